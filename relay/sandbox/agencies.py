"""The sample agencies of a sandbox. Codes have the real shape; names say that they are samples.

::

    central    G22  G14  G18
    province   H26  H26.15  H26.15.01  H29  H29.20        each is its own gateway with its own queue
    district   H53.31
    commune    H53.31.20       (H53 itself: province)
    gateway H30 serves H30, H30.10 (own queue) and H30.10.01 (no queue of its own: read from that of H30)
    closed     H29.21 -> H29.20      H53.32 -> H53.31 or H53.31.20
    suspended  H26.16
"""

from __future__ import annotations

from datetime import date
from typing import Final

from relay.model.agency import Admission, Agency
from relay.model.codes import form_2016, normal_form, parent_code
from relay.model.levels import default_level

GATEWAYS: Final = (
    "G22",
    "G14",
    "G18",
    "H26",
    "H26.15",
    "H26.15.01",
    "H29",
    "H29.20",
    "H53",
    "H53.31",
    "H53.31.20",
)
"""Agencies that are their own gateway with their own queue."""

SHARED_GATEWAY: Final = "H30"
SERVED_WITH_QUEUE: Final = "H30.10"
SERVED_WITHOUT_QUEUE: Final = "H30.10.01"
CLOSED_ONE_SUCCESSOR: Final = "H29.21"
CLOSED_TWO_SUCCESSORS: Final = "H53.32"
SUSPENDED: Final = "H26.16"

_LAST_DAY = date(2025, 6, 30)
_NAMES = {
    "G22": "Văn phòng Chính phủ",
    "G14": "Bộ số 14",
    "G18": "Bộ số 18",
    "H26": "Thành phố Hà Nội",
    "H26.15": "Sở số 15 thành phố Hà Nội",
    "H26.15.01": "Chi cục số 01 thuộc Sở số 15 thành phố Hà Nội",
    "H26.16": "Sở số 16 thành phố Hà Nội, đang tạm dừng",
    "H29": "Tỉnh số 29",
    "H29.20": "Sở số 20 tỉnh số 29",
    "H29.21": "Sở số 21 tỉnh số 29, đã sáp nhập",
    "H30": "Tỉnh số 30",
    "H30.10": "Sở số 10 tỉnh số 30",
    "H30.10.01": "Chi cục số 01 thuộc Sở số 10 tỉnh số 30",
    "H53": "Tỉnh số 53",
    "H53.31": "Huyện số 31 tỉnh số 53",
    "H53.31.20": "Xã số 20 huyện số 31 tỉnh số 53",
    "H53.32": "Huyện số 32 tỉnh số 53, đã chia tách",
}


def sample_agencies() -> tuple[Agency, ...]:
    """Return the sample agencies, without certificates, sorted by code."""
    agencies = [_agency(code, gateway=code, own_queue=True) for code in GATEWAYS]
    agencies += [
        _agency(SHARED_GATEWAY, gateway=SHARED_GATEWAY, own_queue=True),
        _agency(SERVED_WITH_QUEUE, gateway=SHARED_GATEWAY, own_queue=True),
        _agency(SERVED_WITHOUT_QUEUE, gateway=SHARED_GATEWAY, own_queue=False),
        _agency(SUSPENDED, gateway=SUSPENDED, own_queue=True, admission=Admission.SUSPENDED),
        _closed(CLOSED_ONE_SUCCESSOR, ("H29.20",)),
        _closed(CLOSED_TWO_SUCCESSORS, ("H53.31", "H53.31.20")),
    ]
    return tuple(sorted(agencies, key=lambda agency: agency.code))


def new_agency(written: str, known: frozenset[str]) -> Agency:
    """Return an agency for a code that the sandbox does not know: its own gateway, own queue, level by rule.

    Args:
        written: The code in either form.
        known: The codes of the directory, to find the nearest parent in it.

    Raises:
        RefusedError: BAD-CODE.
    """
    code = normal_form(written)
    parent = parent_code(code)
    while parent is not None and parent not in known:
        parent = parent_code(parent)
    alias = form_2016(code)
    return Agency(
        code=code,
        name=f"Cơ quan {code} (mẫu)",
        level=default_level(code),
        level_defaulted=True,
        parent=parent,
        gateway=code,
        own_queue=True,
        aliases=(alias,) if alias else (),
    )


def _agency(
    code: str, *, gateway: str | None, own_queue: bool, admission: Admission = Admission.ADMITTED
) -> Agency:
    alias = form_2016(code)
    return Agency(
        code=code,
        name=f"{_NAMES[code]} (mẫu)",
        level=default_level(code),
        parent=parent_code(code),
        gateway=gateway,
        own_queue=own_queue,
        aliases=(alias,) if alias else (),
        admission=admission,
    )


def _closed(code: str, successors: tuple[str, ...]) -> Agency:
    alias = form_2016(code)
    return Agency(
        code=code,
        name=f"{_NAMES[code]} (mẫu)",
        level=default_level(code),
        parent=parent_code(code),
        aliases=(alias,) if alias else (),
        valid_to=_LAST_DAY,
        successors=successors,
        admission=Admission.CLOSED,
    )
