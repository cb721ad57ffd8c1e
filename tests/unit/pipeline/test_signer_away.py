"""No key can sign for a while: what waits, what may have gone out, and that everything is told in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from relay.errors import Code, TransientError
from relay.observe.ready import Reason
from tests.support.plainformat import PlainSigner
from tests.support.simulation import Process, Simulation, edoc, fine_ticks
from tests.support.virtual import VirtualLoop, run


@pytest.fixture(autouse=True)
def _ticks() -> None:
    fine_ticks()


def simulated(body: Callable[[Simulation], Awaitable[None]]) -> None:
    async def main(loop: VirtualLoop) -> None:
        await body(Simulation(loop))

    run(main)


class Device:
    """A signer in a device: away, it is found out by use alone, until somebody looks again."""

    def __init__(self) -> None:
        self.there = True
        self.known_away = False
        self.asked_while_away = 0

    def seal(self, unsigned: bytes) -> bytes:
        if not self.there:
            self.asked_while_away += 1
            self.known_away = True
        self.check()
        return PlainSigner().seal(unsigned)

    def check(self) -> None:
        if self.known_away:
            raise TransientError(Code.KEY_AWAY, "not there")

    def look(self) -> None:
        self.known_away = not self.there

    def into(self, process: Process) -> None:
        reporter = process.worker._handler._reporter
        reporter._signer = self
        reporter.check = self.check
        process.worker._guard = lambda: (Reason.SIGNER_AWAY,) if self.known_away else ()


def test_a_device_that_is_away_for_minutes_loses_nothing_and_repeats_nothing() -> None:
    async def body(sim: Simulation) -> None:
        device, process = Device(), sim.start()
        device.into(process)
        await asyncio.sleep(1)
        device.there = False
        for recipient in ("H29", "H53", "G22"):
            sim.send(edoc("H26", recipient))
        await asyncio.sleep(120)
        assert "signer-away" in str(process.worker.ready()[1]["reasons"])
        assert not sim.told("H26")
        # found out by those that were in hand at that moment; nothing was tried after that
        assert device.asked_while_away <= 3
        published = [one for one in process.link.published if one.type == "edoc"]
        assert len([one for one in published if one.exchange.startswith("level.")]) <= 3
        before = len([one for one in published if one.exchange.startswith("level.")])
        sim.send(edoc("H26", "H29", name="d2"))
        await asyncio.sleep(120)
        after = [one for one in process.link.published if one.exchange.startswith("level.")]
        assert len(after) == before, "a retry published without being able to tell"
        device.there = True
        device.look()
        await sim.quiet()
        assert len(sim.told("H26")) == 4
        assert {result for _, result, _ in sim.told("H26")} == {"accepted"}
        await sim.stop(process)
        sim.check(copies=2)

    simulated(body)


def test_another_worker_whose_device_is_there_goes_on_with_what_a_stopped_one_had() -> None:
    """What was handed to a worker stays with it for a while; stopped, it gives it back at once."""

    async def body(sim: Simulation) -> None:
        device, first = Device(), sim.start()
        device.into(first)
        await asyncio.sleep(1)
        device.there = False
        sim.send(edoc("H26", "H29"))
        await asyncio.sleep(30)
        second = sim.start(name="w2")
        await sim.stop(first)
        await sim.quiet()
        assert sim.told("H26") == [("acknowledgement", "accepted", "")]
        await sim.stop(second)
        sim.check(copies=2)

    simulated(body)


def test_what_waits_for_a_device_is_given_back_once_and_other_workers_go_on() -> None:
    """After its time a worker holds nothing and takes nothing; where all wait, nothing goes round among them."""

    async def body(sim: Simulation) -> None:
        device = Device()
        waiting = [sim.start(name=name, prefetch=3) for name in ("w1", "w2", "w3", "w4")]
        for one in waiting:
            device.into(one)
        await asyncio.sleep(1)
        device.there, device.known_away = False, True
        await asyncio.sleep(1)
        for number in range(20):
            sim.send(edoc("H26", "H29", name=f"d{number}"))
        await asyncio.sleep(30)
        assert sim.unacknowledged() == 12
        assert all(one.worker.ready()[1]["reasons"] == ["signer-away"] for one in waiting), (
            "no stall, no lack of consumers"
        )
        await asyncio.sleep(300)
        assert sim.unacknowledged() == 0
        ready = sim.broker.queues["ingress.normal"].ready
        assert sorted(one.deliveries for one in ready) == [0] * 8 + [1] * 12
        assert [one.link.returns for one in waiting] == [1] * 4
        assert all(one.worker.ready()[1]["reasons"] == ["signer-away"] for one in waiting)
        assert not sim.told("H26")
        other = sim.start(name="w5")  # its key is elsewhere
        await sim.quiet()
        assert len(sim.told("H26")) == 20
        device.there = True
        device.look()
        await asyncio.sleep(1)
        await sim.stop(other)
        for number in range(20):
            sim.send(edoc("H26", "H29", name=f"e{number}"))
        await sim.quiet()
        assert len(sim.told("H26")) == 40
        assert [one.worker.ready() for one in waiting] == [
            (True, {**one.worker.ready()[1], "reasons": []}) for one in waiting
        ]
        for one in waiting:
            assert one.link.renewals == 0
            await sim.stop(one)
        sim.check()

    simulated(body)


def test_a_short_absence_gives_nothing_back() -> None:
    async def body(sim: Simulation) -> None:
        device, process = Device(), sim.start()
        device.into(process)
        await asyncio.sleep(1)
        device.there, device.known_away = False, True
        await asyncio.sleep(1)
        sim.send(edoc("H26", "H29"))
        await asyncio.sleep(40)
        assert not process.worker.ready()[1]["consuming"]
        sim.send(edoc("H26", "H53"))
        await asyncio.sleep(5)
        assert sim.unacknowledged() == 1, "nothing more is taken, what is in hand stays"
        device.there = True
        device.look()
        await sim.quiet()
        assert len(sim.told("H26")) == 2
        assert (process.link.returns, process.link.renewals) == (0, 0)
        await sim.stop(process)
        sim.check()

    simulated(body)


def test_a_new_session_takes_nothing_while_the_device_is_away() -> None:
    async def body(sim: Simulation) -> None:
        device, process = Device(), sim.start()
        device.into(process)
        await asyncio.sleep(1)
        device.there, device.known_away = False, True
        await asyncio.sleep(30)
        process.link.inner.lose()
        sim.send(edoc("H26", "H29"))
        await asyncio.sleep(300)
        assert sim.unacknowledged() == 0
        assert [one.deliveries for one in sim.broker.queues["ingress.normal"].ready] == [0]
        device.there = True
        device.look()
        await sim.quiet()
        assert sim.told("H26") == [("acknowledgement", "accepted", "")]
        await sim.stop(process)
        sim.check()

    simulated(body)


def test_a_worker_that_paused_can_be_stopped() -> None:
    async def body(sim: Simulation) -> None:
        device, process = Device(), sim.start()
        device.into(process)
        await asyncio.sleep(1)
        device.there, device.known_away = False, True
        await asyncio.sleep(1)
        sim.send(edoc("H26", "H29"))
        await asyncio.sleep(30)
        await sim.stop(process)
        assert [one.deliveries for one in sim.broker.queues["ingress.normal"].ready] == [1]

    simulated(body)


def test_a_refusal_waits_too() -> None:
    async def body(sim: Simulation) -> None:
        device, process = Device(), sim.start()
        device.into(process)
        await asyncio.sleep(1)
        device.there = False
        sim.send(edoc("H26", "H29", forged=True))
        await asyncio.sleep(60)
        assert not sim.told("H26")
        device.there = True
        device.look()
        await sim.quiet()
        assert sim.told("H26") == [("acknowledgement", "refused", "SIGNATURE-INVALID")]
        await sim.stop(process)
        sim.check()

    simulated(body)


def test_what_was_taken_before_the_absence_was_looked_at_is_not_published() -> None:
    """Between two looks of the worker: documents go round the ladder, their deliveries stay planned."""

    async def body(sim: Simulation) -> None:
        device, process = Device(), sim.start()
        device.into(process)
        process.worker._guard = tuple
        await asyncio.sleep(1)
        device.there, device.known_away = False, True
        sim.send(edoc("H26", "H29"))
        await asyncio.sleep(60)
        assert not [one for one in process.link.published if one.exchange.startswith("level.")]
        assert not sim.told("H26")
        device.there, device.known_away = True, False
        await sim.quiet()
        assert sim.told("H26") == [("acknowledgement", "accepted", "")]
        await sim.stop(process)
        sim.check()

    simulated(body)
