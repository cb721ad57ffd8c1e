"""What the keeper sees of queues and ages: bounded, without a name of an agency, from the keeper at work alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import pytest

from relay.broker import names
from relay.errors import BrokerError, Code
from relay.keeper import queues
from relay.keeper.duty import Tools
from relay.keeper.queues import BEHIND_AFTER, EVERY, OWN, QueuesDuty
from relay.model.message import Lane, Published
from relay.observe.metrics import Metrics
from tests.support.simulation import Simulation, edoc, fine_ticks, only
from tests.support.virtual import VirtualLoop, run


@pytest.fixture(autouse=True)
def _ticks() -> None:
    fine_ticks()


class Seen:
    """A broker of which only depths and consumers are known; others of its looks are counted."""

    def __init__(self) -> None:
        self.agencies: dict[str, tuple[int, int] | None] = {}
        self.gone = False
        self.looks: list[int] = []

    def depth(self, queue: str) -> int:
        return 0

    def depths(self, queues: tuple[str, ...]) -> dict[str, int]:
        return dict.fromkeys(queues, 0)

    def browse(self, *_: object) -> list[object]:
        return []

    def seen(self, queues: tuple[str, ...]) -> Mapping[str, tuple[int, int] | None]:
        if self.gone:
            raise BrokerError(Code.BROKER_UNREACHABLE, "no broker")
        asked = [one for one in queues if one not in OWN]
        self.looks.append(len(asked))
        return {
            **{one: (7, 1) if one == "quarantine" else (0, 2) for one in queues if one in OWN},
            **{one: self.agencies[one.removeprefix("agency.")] for one in asked},
        }


class Watch:
    """The duty over such a broker."""

    def __init__(self, sim: Simulation) -> None:
        self.seen = Seen()
        tools, _, _ = sim.tools()
        self.tools: Tools = replace(tools, browser=self.seen)  # type: ignore[arg-type]
        self.active = True
        self.duty = QueuesDuty(lambda: list(self.seen.agencies), lambda: self.active)
        self.metrics = Metrics(version="0", process=False)
        self.duty.serve(self.metrics)

    async def look(self) -> None:
        for _ in range(EVERY):
            assert await self.duty.run(self.tools) == 0

    def states(self) -> dict[str, float]:
        return {key[0]: value for key, value in self.duty.states().items() if value}


def watching(body: Callable[[Simulation, Watch], Awaitable[None]]) -> None:
    async def main(loop: VirtualLoop) -> None:
        sim = Simulation(loop)
        await body(sim, Watch(sim))

    run(main)


def test_totals_and_states_and_never_a_name() -> None:
    async def body(_: Simulation, watch: Watch) -> None:
        watch.seen.agencies = {"H26": (0, 1), "H29": (5, 1), "H53": (9, 0), "G22": None}
        await watch.look()
        assert watch.states() == {"empty": 1, "moving": 1, "unread": 1, "missing": 1}
        value = watch.metrics.value
        assert value("truc_agency_queue_messages") == 14
        assert value("truc_agency_queue_messages_max") == 9
        assert value("truc_agency_queue_consumers") == 2
        assert value("truc_queue_messages", queue="quarantine") == 7
        assert value("truc_queue_consumers", queue=names.lane_queue(Lane.URGENT)) == 2
        text = watch.metrics.exposition().decode()
        assert not any(code in text for code in watch.seen.agencies)

    watching(body)


def test_a_consumer_that_does_not_get_ahead_is_behind_after_ten_minutes() -> None:
    async def body(_: Simulation, watch: Watch) -> None:
        for messages, minutes, state in (
            (5, 0, "moving"),
            (5, 6, "moving"),
            (8, 6, "behind"),
            (7, 1, "moving"),
        ):
            await asyncio.sleep(60 * minutes)
            watch.seen.agencies = {"H26": (messages, 1)}
            await watch.look()
            assert watch.states() == {state: 1}, (messages, minutes)
        # without a consumer nobody was behind: the time begins when one comes
        watch.seen.agencies = {"H26": (9, 0)}
        await watch.look()
        await asyncio.sleep(2 * BEHIND_AFTER)
        watch.seen.agencies = {"H26": (9, 1)}
        await watch.look()
        assert watch.states() == {"moving": 1}
        await asyncio.sleep(BEHIND_AFTER)  # also between two looks
        assert watch.states() == {"behind": 1}

    watching(body)


def test_many_queues_are_looked_at_in_portions_and_one_that_is_gone_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queues, "PORTION", 4)

    async def body(_: Simulation, watch: Watch) -> None:
        watch.seen.agencies = {f"H{n}": (1, 0) for n in range(10)}
        for known in (4, 8, 10, 10):
            await watch.look()
            assert watch.states() == {"unread": known}
        assert watch.seen.looks == [4, 4, 2, 4]
        del watch.seen.agencies["H9"]
        await watch.look()
        assert watch.states() == {"unread": 9}

    watching(body)


def test_it_looks_every_third_round_and_a_broker_that_is_gone_leaves_the_last_look() -> None:
    async def body(_: Simulation, watch: Watch) -> None:
        watch.seen.agencies = {"H26": (3, 1)}
        for _n in range(2 * EVERY):
            await watch.duty.run(watch.tools)
        assert len(watch.seen.looks) == 2
        watch.seen.gone = True
        await watch.look()
        assert watch.states() == {"moving": 1}

    watching(body)


def test_a_keeper_that_stands_by_tells_nothing() -> None:
    async def body(_: Simulation, watch: Watch) -> None:
        watch.seen.agencies = {"H26": (3, 1)}
        await watch.look()
        assert watch.metrics.value("truc_agency_queue_messages") == 3
        watch.active = False
        text = watch.metrics.exposition().decode()
        for name in ("truc_agency_queues", "truc_queue_messages", "truc_oldest_unfinished_age_seconds"):
            assert f"\n{name}{{" not in text
        assert "\ntruc_agency_queue_messages " not in text

    watching(body)


def test_the_age_of_what_is_deferred_grows_until_it_is_done() -> None:
    async def body(sim: Simulation, watch: Watch) -> None:
        def age(lane: str) -> float | None:
            return watch.metrics.value("truc_oldest_unfinished_age_seconds", lane=lane)

        await watch.look()
        assert [age(lane) for lane in ("urgent", "normal", "status")] == [0, 0, 0]
        sim.script = only(Published.NACKED, to="H29")
        process = sim.start()
        sim.send(edoc("H26", "H29"))
        await asyncio.sleep(2)
        await watch.look()
        first = age("normal")
        assert first is not None
        assert 0 < first < 3
        await asyncio.sleep(100)
        assert age("normal") == pytest.approx(first + 100)
        assert age("urgent") == 0
        await sim.quiet()
        await sim.stop(process)
        await watch.look()
        assert age("normal") == 0

    watching(body)
