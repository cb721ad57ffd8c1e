"""What a worker waits for before it takes more, and which publishes count as done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from relay.errors import Code, RegistryError
from relay.model.message import Published
from relay.observe.ready import Reason
from tests.support.simulation import Process, Simulation, edoc, fine_ticks, only
from tests.support.virtual import VirtualLoop, run


@pytest.fixture(autouse=True)
def _ticks() -> None:
    fine_ticks()


def simulated(body: Callable[[Simulation], Awaitable[None]]) -> None:
    async def main(loop: VirtualLoop) -> None:
        await body(Simulation(loop))

    run(main)


def repeats(process: Process, reason: str) -> float | None:
    return process.metrics.value("truc_duplicate_publishes_total", reason=reason)


@pytest.mark.parametrize("reason", [Reason.CLOCK_JUMP, Reason.REGISTRY_FULL])
def test_nothing_is_started_while_the_clock_or_the_disk_is_wrong(reason: Reason) -> None:
    async def body(sim: Simulation) -> None:
        process = sim.start(stall=5.0)
        await asyncio.sleep(1)
        process.worker._guard = lambda: (reason,)
        await asyncio.sleep(1)
        sim.send(edoc("H26", "H29"))
        await asyncio.sleep(60)
        ready, facts = process.worker.ready()
        assert not ready
        assert reason.value in str(facts["reasons"])
        assert process.link.published == []
        assert process.link.renewals == 0, "renewing the link mends neither"
        process.worker._guard = tuple
        await sim.quiet()
        await asyncio.sleep(1)
        assert process.worker.ready() == (True, {**process.worker.ready()[1], "reasons": []})
        await sim.stop(process)
        sim.check()

    simulated(body)


def test_a_worker_that_is_hindered_from_the_start_takes_nothing_at_all() -> None:
    async def body(sim: Simulation) -> None:
        sim.send(edoc("H26", "H29"))
        process = sim.start()
        process.worker._guard = lambda: (Reason.DIRECTORY_OVER,)
        await asyncio.sleep(30)
        assert process.link.published == []
        process.worker._guard = tuple
        await sim.quiet()
        await sim.stop(process)
        sim.check()

    simulated(body)


def test_a_registry_that_is_away_for_long_keeps_no_messages_from_others() -> None:
    async def body(sim: Simulation) -> None:
        process = sim.start(stall=5.0)
        await asyncio.sleep(1)
        process.commits.failing, process.commits.failure = True, RegistryError(Code.REGISTRY_BUSY, "locked")
        for number in range(5):
            sim.send(edoc("H26", "H29", name=f"d{number}"))
        await asyncio.sleep(30)
        assert sim.unacknowledged() == 5
        await asyncio.sleep(300)
        assert sim.unacknowledged() == 0
        assert [one.deliveries for one in sim.broker.queues["ingress.normal"].ready] == [1] * 5
        assert "registry-busy" in str(process.worker.ready()[1]["reasons"])
        process.commits.failing, process.commits.failure = False, None
        await sim.quiet()
        assert len(sim.told("H26")) == 5
        assert (process.link.returns, process.link.renewals) == (1, 0)
        await sim.stop(process)
        sim.check()

    simulated(body)


def test_during_an_alarm_of_the_broker_nothing_more_is_taken_and_nothing_given_back() -> None:
    """It holds up all workers alike, and what is being published goes on after it: given back, it would be done twice."""

    async def body(sim: Simulation) -> None:
        process = sim.start(stall=5.0)
        await asyncio.sleep(1)
        sim.broker.blocked = True
        for number in range(3):
            sim.send(edoc("H26", "H29", name=f"d{number}"))
        await asyncio.sleep(30)
        for number in range(3, 6):
            sim.send(edoc("H26", "H29", name=f"d{number}"))
        await asyncio.sleep(300)
        assert sim.unacknowledged() == 3
        assert process.link.returns == 0
        sim.broker.blocked = False
        await sim.quiet()
        assert len(sim.told("H26")) == 6
        assert process.link.renewals == 0
        await sim.stop(process)
        sim.check()

    simulated(body)


def test_far_apart_from_the_broker_is_said_and_stops_nothing() -> None:
    async def body(sim: Simulation) -> None:
        process = sim.start()
        await asyncio.sleep(1)
        process.worker._guard = lambda: (Reason.CLOCK_APART,)
        await asyncio.sleep(1)
        sim.send(edoc("H26", "H29"))
        await sim.quiet()
        assert process.worker.ready()[1]["reasons"] == ["clock-apart"]
        await sim.stop(process)
        sim.check()

    simulated(body)


def test_a_publish_without_an_answer_is_counted_when_it_is_repeated() -> None:
    async def body(sim: Simulation) -> None:
        sim.script = only(Published.UNDECIDED, to="H29")
        process = sim.start()
        sim.send(edoc("H26", "H29", "H53"))
        await sim.quiet()
        assert [repeats(process, one) for one in ("undecided", "resumed", "receipt")] == [1, 0, 0]
        await sim.stop(process)

    simulated(body)


def test_what_a_dead_worker_may_have_published_is_counted_and_a_receipt_that_is_asked_for_again() -> None:
    async def body(sim: Simulation) -> None:
        seen = set()
        for point in range(1, 6):
            dying = sim.start(die_at=point)
            sim.send(edoc("H26", "H29", name=f"d{point}"))
            await asyncio.sleep(30)
            assert not dying.life.alive
            await sim.bury(dying)
            await asyncio.sleep(11)
            next_one = sim.start()
            await sim.quiet()
            claimed, settled = ("T1" in dying.life.story), ("T2" in dying.life.story)
            assert repeats(next_one, "resumed") == (claimed and not settled), dying.life.story
            assert repeats(next_one, "receipt") == settled, dying.life.story
            seen.add((claimed, settled))
            await sim.stop(next_one)
        assert seen == {(False, False), (True, False), (True, True)}

    simulated(body)
