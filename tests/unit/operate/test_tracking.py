"""The story of a transport id: what the registry tells, what was held and decided, who acted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from relay.errors import Code
from relay.model.agency import Agency, FormerName
from relay.model.audit import Act
from relay.model.levels import Level
from relay.model.ports import Registry
from relay.model.receipt import ReceiptKind
from relay.model.record import HeldEntry, NewReceipt, Settlement
from relay.model.standing import Drop
from relay.model.times import vietnam_day
from relay.operate.tracking import Track, track
from relay.registry import memory_registry
from tests.support.registry import START, Maker, accepted, at
from tests.unit.gateway.doubles import FakeDirectory

DIRECTORY = FakeDirectory(
    [Agency("H26", "Hà Nội (mẫu)", Level.PROVINCE), Agency("H29", "Mẫu", Level.PROVINCE)]
)


@pytest.fixture
def registry() -> Iterator[Registry]:
    made = memory_registry()
    yield made
    made.close()


def told(registry: Registry, transport_id: str) -> Track:
    found = [registry.standing(one.row, at(99)) for one in registry.find(transport_id)]
    return track(transport_id, registry, DIRECTORY, tuple(one for one in found if one is not None))


def test_held_decided_and_done_stand_in_one_line_of_time(registry: Registry) -> None:
    make = Maker()
    claim = make.claim("a")
    accepted(registry, make, claim)
    entry = HeldEntry(
        "h", Code.REJECTED_BY_GATEWAY, "agency.H29", "", claim.transport_id, "H26", "H29",
        claim.deliveries[0].delivery_id, claim.body_sha256, at(10), "rejected",
    )  # fmt: skip
    notice = NewReceipt(
        make.receipt(kind=ReceiptKind.HELD, code="REJECTED-BY-GATEWAY", to="H29", now=at(11)),
        None,
        user="",
        transport_id=claim.transport_id,
        body_sha256=claim.body_sha256,
    )
    registry.hold(entry, (notice,))
    registry.published([notice.receipt.number], at(12))
    other = replace(entry, held_id="k", delivery_id="of another document")
    registry.hold(other, ())
    registry.note_act(Act(at(13), "lan", "document.resend", claim.transport_id, "retry.1m -> due"))
    registry.decide_drop(Drop("h", at(20), "hỏng"), Act(at(20), "lan", "quarantine.drop", "h", "hỏng"))
    assert registry.end_dropped("h", Settlement(None), at(21))
    registry.released("h", at(20))
    (story,) = told(registry, claim.transport_id).stories
    events = [(one.event, one.recipient) for one in story.events]
    wanted = [
        ("held", "H29"),
        ("receipt", "H29"),
        ("receipt-published", "H29"),
        ("document.resend", ""),
        ("dropped", "H29"),
        ("quarantine.drop", ""),
        ("drop-told", "H29"),
    ]
    assert [one for one in events if one in wanted] == wanted
    assert "k" not in {one.detail for one in story.events}
    assert [one.at for one in story.events] == sorted(one.at for one in story.events)
    assert ("lan: hỏng") in {one.detail for one in story.events}


def test_names_are_those_of_the_directory(registry: Registry) -> None:
    make = Maker()
    claim = make.claim("a")
    accepted(registry, make, claim)
    assert told(registry, claim.transport_id).names == {"H26": "Hà Nội (mẫu)", "H29": "Mẫu"}
    assert track(claim.transport_id, registry, None, ()).names == {}


def test_names_are_those_of_the_day_of_acceptance(registry: Registry) -> None:
    make = Maker()
    claim = make.claim("a")
    accepted(registry, make, claim)
    standings = tuple(
        standing
        for one in registry.find(claim.transport_id)
        if (standing := registry.standing(one.row, at(99))) is not None
    )
    day = vietnam_day(START)
    for until, name in ((day, "Tên cũ"), (day - timedelta(days=1), "Mẫu")):
        known = Agency("H29", "Mẫu", Level.PROVINCE, former_names=(FormerName("Tên cũ", until),))
        assert track(claim.transport_id, registry, FakeDirectory([known]), standings).names["H29"] == name


def test_a_submission_that_is_only_held_has_a_story_too(registry: Registry) -> None:
    registry.hold(HeldEntry("h", Code.HELD, "worker", "H26", "t", "", "", "", "aa", at(1)), ())
    registry.released("h", at(5))
    registry.note_act(Act(at(4), "lan", "quarantine.release", "h"))
    found = told(registry, "t")
    assert found.stories == ()
    assert [(one.event, one.detail) for one in found.loose] == [
        ("held", "h"),
        ("quarantine.release", "lan"),
        ("released", "h"),
    ]
    assert told(registry, "u").loose == ()
