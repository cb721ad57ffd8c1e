"""What every registry must know of who answers."""

from __future__ import annotations

from datetime import timedelta

from relay.model.envelope import StatusCode
from relay.model.ports import Registry
from tests.support.registry import START, Maker, accepted, at, candidate


def test_who_answered_last_and_what_waits_for_how_long(registry: Registry, make: Maker) -> None:
    assert registry.answers("H29") == (None, None)
    claim = make.claim("a", recipients=("H29", "H53"))
    accepted(registry, make, claim)
    assert registry.answers("H29") == (None, START)
    status = make.status(candidate(registry, claim, "H29"), StatusCode.ARRIVED, reporter="H29", now=at(5))
    registry.claim([status], "w1", at(5))
    assert registry.answers("H29") == (at(5), None)
    assert registry.answers("H53") == (None, START)
    assert registry.answers("H26") == (None, None)
    later = make.claim("b", recipients=("H29",), now=START + timedelta(days=1))
    accepted(registry, make, later)
    said, waits = registry.answers("H29")
    assert said == at(5)
    assert waits is not None
