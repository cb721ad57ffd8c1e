"""What is no fault of a directory and still wants somebody's attention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from cryptography import x509

from relay.directory.admission import standing
from relay.directory.snapshot import AgencyDirectory, is_closed
from relay.model.agency import Admission, Agency, AgencyCertificate
from relay.model.codes import out_of_rank, parent_code
from relay.model.levels import Level
from relay.model.times import vietnam_day

SOON: Final = timedelta(days=30)
DISTRICTS_ENDED: Final = date(2025, 7, 1)
"""From this day on there is no district level: Resolution 203/2025/QH15, Law 72/2025/QH15."""


class Matter(StrEnum):
    """What it is about."""

    ORPHAN = "orphan"
    OUT_OF_RANK = "out-of-rank"
    PARENT_CLOSED = "parent-closed"
    DISTRICT_ENDED = "district-ended"
    NOT_CONNECTED = "not-connected"
    NO_CERTIFICATE = "no-certificate"
    CERTIFICATE_ENDS = "certificate-ends"
    NO_SUCCESSOR = "no-successor"
    SUCCESSOR_CLOSED = "successor-closed"
    SUSPENSION_OVER = "suspension-over"


@dataclass(frozen=True, slots=True)
class Advice:
    """One matter of one agency."""

    matter: Matter
    code: str
    detail: str = ""


def advice(directory: AgencyDirectory, day: date) -> Iterator[Advice]:
    """Yield what wants attention on a day, in the order of the directory."""
    for agency in directory.agencies():
        if out_of_rank(agency.code):
            yield Advice(Matter.OUT_OF_RANK, agency.code)
        above = parent_code(agency.code)
        if agency.parent is None and above is not None:
            yield Advice(Matter.ORPHAN, agency.code, above)
        if is_closed(agency, day):
            yield from _of_closed(directory, agency, day)
        elif agency.valid_on(day):
            yield from _of_living(directory, agency, day)


def _of_closed(directory: AgencyDirectory, agency: Agency, day: date) -> Iterator[Advice]:
    if not agency.successors:
        yield Advice(Matter.NO_SUCCESSOR, agency.code)
    for code in agency.successors:
        heir = directory.agency(code)
        if heir is not None and is_closed(heir, day) and not heir.successors:
            yield Advice(Matter.SUCCESSOR_CLOSED, agency.code, code)


def _of_living(directory: AgencyDirectory, agency: Agency, day: date) -> Iterator[Advice]:
    above = directory.agency(agency.parent) if agency.parent is not None else None
    if above is not None and is_closed(above, day):
        yield Advice(Matter.PARENT_CLOSED, agency.code, above.code)
    elif agency.level is Level.DISTRICT and agency.code[0] in "HK" and day >= DISTRICTS_ENDED:
        yield Advice(Matter.DISTRICT_ENDED, agency.code)
    if agency.admission is Admission.SUSPENDED and standing(agency, day) is not Admission.SUSPENDED:
        yield Advice(Matter.SUSPENSION_OVER, agency.code, str(agency.suspended_until))
    if agency.gateway is None:
        yield Advice(Matter.NOT_CONNECTED, agency.code)
        return
    ends = [_last_day(one) for one in directory.signers(agency.code)]
    if not ends or max(ends) < day:
        yield Advice(Matter.NO_CERTIFICATE, agency.code, max(ends).isoformat() if ends else "")
    elif max(ends) < day + SOON:
        yield Advice(Matter.CERTIFICATE_ENDS, agency.code, max(ends).isoformat())


def _last_day(certificate: AgencyCertificate) -> date:
    """Return the last day on which a certificate signs: its own, or an earlier one that the directory sets."""
    ends = vietnam_day(x509.load_pem_x509_certificate(certificate.pem.encode()).not_valid_after_utc)
    retired = vietnam_day(certificate.retired_at) if certificate.retired_at is not None else None
    return min(one for one in (ends, certificate.not_after, retired) if one is not None)
