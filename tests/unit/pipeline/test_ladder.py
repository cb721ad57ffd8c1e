"""The ladder of deferrals climbs the rungs that the settings name, in their order, and stays on the last."""

from __future__ import annotations

from datetime import timedelta

from relay.broker import names
from relay.pipeline.deliver import Ladder


def test_all_rungs_by_default() -> None:
    ladder = Ladder()
    assert [ladder.rung(attempt)[0] for attempt in (1, 2, 3, 4, 5, 99)] == [*names.RUNGS, "1h", "1h"]


def test_only_the_rungs_that_are_named() -> None:
    ladder = Ladder(("5s", "10m"))
    assert [ladder.rung(attempt) for attempt in (1, 2, 3)] == [
        ("5s", timedelta(seconds=5)),
        ("10m", timedelta(minutes=10)),
        ("10m", timedelta(minutes=10)),
    ]


def test_where_one_is_full_those_below_come_before_those_above() -> None:
    ladder = Ladder()
    assert ladder.instead(1) == ("5s", "1m", "10m", "1h")
    assert ladder.instead(3) == ("10m", "1m", "5s", "1h")
    assert ladder.instead(99) == ("1h", "10m", "1m", "5s")
