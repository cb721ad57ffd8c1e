"""A worker that is told to stop, and one that stands still for longer than its lease."""

from __future__ import annotations

import os
import signal
import time

from tests.chaos.ground import CODES, MARKS, WINDOW, Ground
from tests.chaos.judge import judge
from tests.chaos.office import Patience, Town

pytestmark = MARKS


def test_a_worker_that_is_told_to_stop_loses_nothing_and_repeats_nothing(ground: Ground, town: Town) -> None:
    verdict = ground.under_fault(
        town, 120, 11, lambda: ground.kill("workers", signal.SIGTERM, count=1, seed=11), allowed=0
    )
    assert verdict.copies == 0


def test_a_worker_that_stood_still_says_nothing_more(ground: Ground) -> None:
    """Stopped for longer than its lease but not long enough for the broker to drop it: it still holds its connection
    and its documents when it goes on, and another worker has completed them meanwhile."""
    with Town(ground.sandbox, CODES, Patience(receipt=4.0)) as town:
        pid, post = ground.freeze_a_worker_at_work(town, 120, 13)
        try:
            town.wait(lambda: not post.unfinished(town), 90, "the other worker completes all")
            before = len(town.arrivals())
        finally:
            os.kill(pid, signal.SIGCONT)
        time.sleep(1.0)
        after = [arrival for arrival in town.arrivals()[before:] if arrival.kind == "edoc"]
        ground.finished(town, post, 90)
        judge(town, post, ground.registry, allowed=WINDOW * 3)
    assert not after, f"{len(after)} copies came from the worker that had lost its lease"
