"""A worker dies at every call it makes, in scenario after scenario; another one completes what it left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from relay.model.message import Published
from tests.support.simulation import Process, Simulation, edoc, fine_ticks, only, status
from tests.support.virtual import VirtualLoop, run

Scenario = Callable[[Simulation, "Turn"], Awaitable[None]]


class Turn:
    """Waits until all is quiet, and puts another worker where one has died."""

    def __init__(self, sim: Simulation, die_at: int | None) -> None:
        self.sim = sim
        self.die_at = die_at
        self.died = False
        self.process: Process | None = None

    async def quiet(self, *, ladder: bool = True) -> None:
        if self.process is None:
            self.process = self.sim.start(die_at=self.die_at)
        await self.sim.quiet(ladder=ladder)
        if not self.process.life.alive and not self.died:
            self.died = True
            await self.sim.bury(self.process)
            self.process = self.sim.start()
            await self.sim.quiet(ladder=ladder)

    async def over(self) -> int:
        process = self.process
        assert process is not None
        if process.life.alive:
            process.worker.stop()
            await asyncio.wait([process.task])
        if not process.life.alive:
            await self.sim.bury(process)
        else:
            await process.task
        return self.sim.processes[0].life.count


async def one_recipient(sim: Simulation, turn: Turn) -> None:
    sim.send(edoc("H26", "H29"))
    await turn.quiet()


async def three_recipients_one_unknown(sim: Simulation, turn: Turn) -> None:
    sim.send(edoc("H26", "H29", "H99", "H53"))
    await turn.quiet()


async def full_queue(sim: Simulation, turn: Turn) -> None:
    sim.script = only(Published.NACKED, to="H53")
    sim.send(edoc("H26", "H29", "H53"))
    await turn.quiet()


async def returned_twice(sim: Simulation, turn: Turn) -> None:
    sim.script = only(Published.RETURNED, Published.RETURNED, to="H53")
    sim.send(edoc("H26", "H29", "H53"))
    await turn.quiet()


async def undecided(sim: Simulation, turn: Turn) -> None:
    sim.script = only(Published.UNDECIDED, Published.UNDECIDED, to="H29")
    sim.send(edoc("H26", "H29", "H53"))
    await turn.quiet()


async def receipt_refused(sim: Simulation, turn: Turn) -> None:
    sim.script = only(Published.NACKED, exchange="receipts")
    sim.send(edoc("H26", "H29"))
    await turn.quiet()


async def status_delivers(sim: Simulation, turn: Turn) -> None:
    sim.send(edoc("H26", "H29"))
    await turn.quiet()
    sim.send(status("H29", "H26", "d1"))
    await turn.quiet()
    sim.send(status("H29", "H26", "d1", "03"))
    await turn.quiet()


async def status_before_its_document(sim: Simulation, turn: Turn) -> None:
    sim.send(status("H29", "H26", "d1"))
    await turn.quiet(ladder=False)
    sim.send(edoc("H26", "H29"))
    await turn.quiet()


async def status_about_nothing(sim: Simulation, turn: Turn) -> None:
    sim.send(status("H29", "H26", "d9"))
    await turn.quiet()


async def take_back_while_planned(sim: Simulation, turn: Turn) -> None:
    sim.script = only(*[Published.NACKED] * 6, to="H29")
    sim.send(edoc("H26", "H29", "H53"))
    await turn.quiet(ladder=False)
    sim.send(status("H26", "H29", "d1", "13"))
    await turn.quiet()


async def refused_unproven(sim: Simulation, turn: Turn) -> None:
    sim.send(edoc("H26", "H29", forged=True))
    await turn.quiet()


async def refused_proven(sim: Simulation, turn: Turn) -> None:
    sim.send(edoc("H26", "H98", "H99"))
    await turn.quiet()


async def same_submission_again(sim: Simulation, turn: Turn) -> None:
    once = sim.send(edoc("H26", "H29"))
    await turn.quiet()
    sim.send(edoc("H26", "H29"), transport_id=once)
    await turn.quiet()


async def same_content(sim: Simulation, turn: Turn) -> None:
    sim.send(edoc("H26", "H29"))
    await turn.quiet()
    sim.send(edoc("H26", "H29"))
    await turn.quiet()
    sim.send(status("H29", "H26", "d1"))
    await turn.quiet()


async def id_reused(sim: Simulation, turn: Turn) -> None:
    once = sim.send(edoc("H26", "H29"))
    await turn.quiet()
    for _ in range(2):
        sim.send(edoc("H26", "H29", name="other"), transport_id=once)
        await turn.quiet()


async def surprise(sim: Simulation, turn: Turn) -> None:
    sim.send(edoc("H26", "H29", explode=True))
    await turn.quiet()


SCENARIOS: tuple[Scenario, ...] = (
    one_recipient,
    three_recipients_one_unknown,
    full_queue,
    returned_twice,
    undecided,
    receipt_refused,
    status_delivers,
    status_before_its_document,
    status_about_nothing,
    take_back_while_planned,
    refused_unproven,
    refused_proven,
    same_submission_again,
    same_content,
    id_reused,
    surprise,
)


def play(scenario: Scenario, die_at: int | None) -> tuple[int, Simulation]:
    async def main(loop: VirtualLoop) -> tuple[int, Simulation]:
        sim = Simulation(loop)
        turn = Turn(sim, die_at)
        await scenario(sim, turn)
        count = await turn.over()
        await asyncio.sleep(60)
        await sim.keep()
        sim.check(copies=1 if die_at is None else 2, foretold=scenario is status_before_its_document)
        return count, sim

    return run(main)


@pytest.fixture(autouse=True)
def _ticks() -> None:
    fine_ticks()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.__name__)
def test_death_at_every_call_leaves_something_that_the_redelivery_completes(scenario: Scenario) -> None:
    points, _ = play(scenario, None)
    for die_at in range(1, points + 1):
        try:
            play(scenario, die_at)
        except BaseException as error:
            raise AssertionError(f"death at call {die_at} of {points}") from error
