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
