"""The keeper's own readiness, its lateness, and what it counts of its rounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest

from relay.errors import Code, RegistryError
from relay.keeper.duty import Tools
from relay.keeper.keeper import Keeper
from relay.observe.ready import Reason
from relay.pipeline.epoch import EpochWatch
from tests.support.points import PointedLink
from tests.support.simulation import RELAY, Simulation, fine_ticks
from tests.support.virtual import VirtualLoop, run


@pytest.fixture(autouse=True)
def _ticks() -> None:
    fine_ticks()


class Kept:
    """A keeper whose rounds are begun by the test."""

    def __init__(self, sim: Simulation, name: str = "keeper") -> None:
        self.tools, numbers, self.link = sim.tools(name, interval=timedelta(seconds=5))
        self.hindrances: Sequence[Reason] = ()
        self.fails = False
        self.keeper = Keeper(
            name=f"{name}-owner",
            link=self.link,
            tools=self.tools,
            epoch=EpochWatch(self.link, sim.registry, self.tools.commits, sim._epoch, sim.clock),
            relay_user=RELAY,
            numbers=numbers,
            more=(("queues", self._more),),
            guard=lambda: self.hindrances,
        )
        # the double of the committer has no thread; whether it commits is what these tests say
        self.healthy = True
        self.tools.commits.healthy = lambda *_a, **_k: self.healthy  # type: ignore[method-assign]

    async def _more(self, _tools: Tools) -> int:
        if self.fails:
            raise RegistryError(Code.REGISTRY_UNUSABLE, "no")
        return 0

    async def connect(self) -> PointedLink:
        await self.link.start(lambda _lane, _message: None, {})
        await self.link.wait_connected()
        return self.link

    @property
    def reasons(self) -> object:
        ready, facts = self.keeper.ready()
        assert ready is (facts["reasons"] == [])
        return facts["reasons"]


def simulated(body: Callable[[Simulation, Kept], Awaitable[None]]) -> None:
    async def main(loop: VirtualLoop) -> None:
        sim = Simulation(loop)
        kept = Kept(sim)
        await kept.connect()
        await asyncio.sleep(0.01)
        await body(sim, kept)
        await kept.link.stop()

    run(main)


def test_each_cause_is_told_and_goes_again() -> None:
    async def body(sim: Simulation, kept: Kept) -> None:
        await kept.keeper._round()
        assert kept.reasons == []
        sim.broker.blocked = True
        assert kept.reasons == ["broker-blocked"]
        sim.broker.blocked = False
        kept.tools.commits.failure = RegistryError(Code.REGISTRY_BUSY, "SQLITE_BUSY")
        assert kept.reasons == ["registry-busy"]
        kept.tools.commits.failure = None
        kept.healthy = False
        assert kept.reasons == ["registry-silent"]
        kept.healthy = True
        kept.hindrances = (Reason.CLOCK_JUMP,)
        await kept.keeper._round()
        assert kept.reasons == ["clock-jump"]
        kept.hindrances = ()
        await kept.keeper._round()
        assert kept.reasons == []
        kept.keeper.stop()
        assert kept.reasons == ["stopping"]

    simulated(body)


def test_a_keeper_without_a_link_is_not_ready() -> None:
    async def main(loop: VirtualLoop) -> None:
        assert Kept(Simulation(loop)).reasons == ["broker-gone"]

    run(main)


def test_rounds_that_do_not_come_are_late_and_the_lag_grows_while_nothing_runs() -> None:
    async def body(_: Simulation, kept: Kept) -> None:
        await kept.keeper._round()
        assert kept.keeper.lag() == {(): 0}
        await asyncio.sleep(45)
        assert kept.keeper.lag() == {(): pytest.approx(40, abs=0.1)}
        assert kept.reasons == []
        await asyncio.sleep(60)
        assert kept.reasons == ["keeper-late"]
        await kept.keeper._round()
        assert kept.reasons == []

    simulated(body)


def test_rounds_and_duties_that_fail_are_counted() -> None:
    async def body(_: Simulation, kept: Kept) -> None:
        value = kept.tools.metrics.value
        await kept.keeper._round()
        kept.fails = True
        await kept.keeper._round()
        assert value("truc_keeper_rounds_total") == 2
        assert value("truc_keeper_round_seconds_count") == 2
        assert value("truc_keeper_duty_failures_total", duty="queues") == 1
        assert value("truc_keeper_active") == 1
        assert kept.keeper.active

    simulated(body)


def test_of_two_one_is_active() -> None:
    async def body(sim: Simulation, kept: Kept) -> None:
        other = Kept(sim, "other")
        await other.connect()
        await asyncio.sleep(0.01)
        await kept.keeper._round()
        await other.keeper._round()
        assert (kept.keeper.active, other.keeper.active) == (True, False)
        assert other.reasons == [], "to stand by is well"
        await asyncio.sleep(16)
        await other.keeper._round()
        await kept.keeper._round()
        assert (kept.keeper.active, other.keeper.active) == (False, True)
        await other.link.stop()

    simulated(body)
