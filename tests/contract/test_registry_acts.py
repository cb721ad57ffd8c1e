"""Audit rows: kept in the order of writing, found by what they were done to."""

from __future__ import annotations

from relay.model.audit import Act
from relay.model.ports import Registry
from tests.support.registry import at


def test_acts_come_back_newest_first(registry: Registry) -> None:
    first = Act(at(0), "nga", "user.add", "H53", "chứng thư")
    second = Act(at(1), "root", "user.suspend", "H53")
    other = Act(at(1), "nga", "certificate.add", "H26", "ab" * 32)
    for act in (first, second, other):
        registry.note_act(act)
    assert registry.acts() == (other, second, first)
    assert registry.acts("H53") == (second, first)
    assert registry.acts(limit=1) == (other,)
    assert registry.acts("H53", 1) == (second,)
    assert registry.acts("H5") == ()


def test_the_same_act_twice_is_two_rows(registry: Registry) -> None:
    act = Act(at(0), "nga", "user.rotate", "H53")
    registry.note_act(act)
    registry.note_act(act)
    assert registry.acts("H53") == (act, act)


def test_the_order_is_that_of_writing_whatever_the_clock_said(registry: Registry) -> None:
    late = Act(at(9), "nga", "user.suspend", "H53")
    registry.note_act(late)
    early = Act(at(1), "nga", "user.resume", "H53")
    registry.note_act(early)
    assert registry.acts("H53") == (early, late)
