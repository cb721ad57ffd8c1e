"""The long form: 500 documents a round, kinds of kills and moments by seed. ``make chaos``; two variables bound it."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Sequence
from typing import Final, TypeAlias

import pytest

from tests.chaos.ground import PIKA_LEAKS, SUMMARY, WINDOW, WORKERS, Ground
from tests.chaos.office import Town
from tests.chaos.test_broker_data import lose_and_recover

pytestmark = [pytest.mark.campaign, pytest.mark.broker, PIKA_LEAKS]

ROUNDS = int(os.environ.get("TRUC_CHAOS_ROUNDS", "40"))
SECONDS = float(os.environ.get("TRUC_CHAOS_SECONDS", "1500"))
FIRST_SEED = int(os.environ.get("TRUC_CHAOS_SEED", "1000"))
DOCUMENTS = 500
Blow: TypeAlias = tuple[str, signal.Signals, int | None, int]
# role, signal, how many of them, documents in flight that one blow may repeat
BLOWS: Final[tuple[Blow, ...]] = (
    ("workers", signal.SIGKILL, 1, WINDOW),
    ("workers", signal.SIGKILL, None, WINDOW * WORKERS),
    ("keeper", signal.SIGKILL, None, 0),
    ("broker", signal.SIGKILL, None, WINDOW * WORKERS),
    ("workers", signal.SIGTERM, 1, 0),
)


@pytest.mark.timeout(SECONDS + 600)
def test_blow_after_blow(ground: Ground) -> None:
    """Each round: one blow or two in the middle of 500 documents; afterwards all is judged."""
    end = time.monotonic() + SECONDS
    rounds = documents = deliveries = copies = again = 0
    blows: dict[str, int] = {}
    for seed in range(FIRST_SEED, FIRST_SEED + ROUNDS):
        if time.monotonic() > end:
            break
        chance = random.Random(seed)
        chosen = [chance.choice(BLOWS) for _ in range(chance.choice((1, 1, 2)))]

        def strike(chosen: Sequence[Blow] = chosen, seed: int = seed) -> None:
            for number, (role, blow, count, _) in enumerate(chosen):
                if number:
                    time.sleep(random.Random(seed + 2).uniform(0.1, 2.0))
                ground.kill(role, blow, count=count, seed=seed)

        with Town(ground.sandbox, ground.codes) as town:
            verdict = ground.under_fault(
                town,
                DOCUMENTS,
                seed,
                strike,
                allowed=sum(in_flight for *_, in_flight in chosen) * 3,
                seconds=150.0,
            )
        rounds += 1
        documents += verdict.documents
        deliveries += verdict.deliveries
        copies += verdict.copies
        again += verdict.again
        for role, blow, count, _ in chosen:
            name = f"{blow.name} {'1 of ' if count else ''}{role}"
            blows[name] = blows.get(name, 0) + 1
    told = ", ".join(f"{count} x {name}" for name, count in sorted(blows.items()))
    SUMMARY.append(
        f"chaos: {rounds} rounds ({told}), {documents} documents, {deliveries} deliveries, lost 0, ended twice 0, "
        f"{copies} copies on the wire, {again} sent again"
    )
    assert rounds


@pytest.mark.timeout(600)
def test_a_broker_that_lost_its_data_with_a_thousand_documents(ground: Ground) -> None:
    SUMMARY.append(f"chaos: broker data lost: {lose_and_recover(ground, 1000)}")
