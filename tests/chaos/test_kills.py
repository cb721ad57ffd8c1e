"""``kill -9`` in the middle: each (document, recipient) ends once, everybody is told, copies are few and explained."""

from __future__ import annotations

import pytest

from tests.chaos.ground import CODES, MARKS, WINDOW, WORKERS, Ground
from tests.chaos.office import Patience, Town

pytestmark = MARKS

MOST_RECIPIENTS = 3


def test_without_a_fault_there_is_no_copy(ground: Ground) -> None:
    with Town(ground.sandbox, CODES, Patience(receipt=90.0, outcome=300.0)) as town:  # slow is no fault
        verdict = ground.under_fault(town, 60, 1, lambda: None, allowed=0)
    assert (verdict.copies, verdict.redelivered, verdict.again) == (0, 0, 0)


@pytest.mark.parametrize(
    ("role", "count"),
    [("workers", 1), ("workers", None), ("keeper", None), ("broker", None)],
    ids=["worker", "all-workers", "keeper", "broker"],
)
def test_a_kill_in_the_middle(ground: Ground, town: Town, role: str, count: int | None) -> None:
    killed: list[int] = []
    in_flight = {"keeper": 0, "broker": WINDOW * WORKERS}.get(role, WINDOW * (count or WORKERS))
    verdict = ground.under_fault(
        town,
        120,
        7,
        lambda: killed.extend(ground.kill(role, count=count, seed=7)),
        allowed=in_flight * MOST_RECIPIENTS,
    )
    assert killed
    print(f"{role}: {verdict}")
