"""What wants attention, each matter seen and not seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from relay.directory.advice import DISTRICTS_ENDED, SOON, Matter, advice
from relay.directory.snapshot import AgencyDirectory
from relay.model.agency import Admission, Agency, AgencyCertificate
from relay.model.levels import Level
from relay.model.times import vietnam_day
from tests.support.pki import DAY, NOW, issue

TODAY = vietnam_day(NOW)


def certificate(days: int, **more: object) -> AgencyCertificate:
    return AgencyCertificate("", issue("a", not_after=NOW + days * DAY).pem.decode(), **more)  # type: ignore[arg-type]


FINE = Agency(
    code="H01",
    name="Một",
    level=Level.PROVINCE,
    gateway="H01",
    own_queue=True,
    certificates=(certificate(200),),
)


def matters(*agencies: Agency, day: date = TODAY) -> list[tuple[str, Matter]]:
    return [(one.code, one.matter) for one in advice(AgencyDirectory.of(agencies, "1"), day)]


def test_nothing_of_one_that_is_fine() -> None:
    assert matters(FINE, replace(FINE, code="H01.01", gateway="H01", parent="H01", certificates=())) == []


@pytest.mark.parametrize(
    ("changed", "matter"),
    [
        ({"gateway": None}, Matter.NOT_CONNECTED),
        ({"certificates": ()}, Matter.NO_CERTIFICATE),
        ({"certificates": (certificate(-1),)}, Matter.NO_CERTIFICATE),
        ({"certificates": (certificate(SOON.days - 1),)}, Matter.CERTIFICATE_ENDS),
        ({"certificates": (certificate(200, not_after=TODAY + timedelta(days=3)),)}, Matter.CERTIFICATE_ENDS),
        ({"certificates": (certificate(200, retired_at=NOW - DAY),)}, Matter.NO_CERTIFICATE),
        ({"admission": Admission.CLOSED}, Matter.NO_SUCCESSOR),
        ({"valid_to": TODAY - timedelta(days=1)}, Matter.NO_SUCCESSOR),
        ({"admission": Admission.SUSPENDED, "suspended_until": TODAY}, Matter.SUSPENSION_OVER),
    ],
)
def test_a_matter(changed: dict[str, object], matter: Matter) -> None:
    assert matters(replace(FINE, **changed)) == [("H01", matter)]  # type: ignore[arg-type]


def test_what_is_in_order_is_not_told() -> None:
    both = (certificate(5), certificate(200))
    assert matters(replace(FINE, certificates=both)) == []
    assert (
        matters(replace(FINE, admission=Admission.SUSPENDED, suspended_until=TODAY + timedelta(days=1))) == []
    )
    assert matters(replace(FINE, valid_from=TODAY + timedelta(days=1), gateway=None)) == []


def test_families() -> None:
    assert matters(replace(FINE, code="H01.01", gateway="H01.01")) == [("H01.01", Matter.ORPHAN)]
    old = replace(FINE, code="H02", gateway="H02", admission=Admission.CLOSED, successors=("H03",))
    heir = replace(FINE, code="H03", gateway="H03", admission=Admission.CLOSED)
    assert matters(old, heir) == [("H02", Matter.SUCCESSOR_CLOSED), ("H03", Matter.NO_SUCCESSOR)]
    below = replace(FINE, code="H02.01", gateway="H02.01", parent="H02")
    alive = replace(FINE, code="H03", gateway="H03")
    assert matters(old, alive, below) == [("H02.01", Matter.PARENT_CLOSED)]


def test_a_number_that_no_decision_gives_out() -> None:
    assert matters(replace(FINE, code="H64", gateway="H64")) == [("H64", Matter.OUT_OF_RANK)]


def test_districts_are_over_from_their_day_on() -> None:
    district = replace(
        FINE, code="H01.31", parent="H01", gateway="H01", level=Level.DISTRICT, certificates=()
    )
    eve = DISTRICTS_ENDED - timedelta(days=1)
    long = replace(FINE, certificates=(certificate(200),))
    assert Matter.DISTRICT_ENDED not in {matter for _, matter in matters(long, district, day=eve)}
    assert ("H01.31", Matter.DISTRICT_ENDED) in matters(long, district, day=DISTRICTS_ENDED)
    ended = replace(district, valid_to=eve, successors=("H01",))
    assert "H01.31" not in {code for code, _ in matters(long, ended, day=DISTRICTS_ENDED)}
    other = replace(district, code="Z01.ABC", parent=None)
    assert ("Z01.ABC", Matter.DISTRICT_ENDED) not in matters(long, other, day=DISTRICTS_ENDED)
