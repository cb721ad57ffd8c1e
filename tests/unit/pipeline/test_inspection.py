"""Bodies on their way to inspection, and deliveries that wait for its verdict: what dies where, what is lost nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from relay.broker import names
from relay.model.inspection import AttachedFiles, InspectionResult
from relay.model.message import Incoming, Published
from relay.pipeline.defer import Deferrer
from relay.pipeline.deliver import Ladder
from relay.pipeline.inspection import Inspection, InspectionPolicy
from tests.support.simulation import RELAY, Process, Simulation, edoc, fine_ticks, only, status
from tests.support.virtual import VirtualLoop, run
from tests.unit.pipeline.test_crashes import Turn

HELD = InspectionPolicy(everything=True, hold="altered", hold_for=timedelta(minutes=10), then_deliver=True)
FREE = replace(HELD, everything=False, hold="never")


class Marked:
    """A package may be signed if it says ``pdf``; ``ink``: only if everything counts."""

    def may_be_signed(self, body: bytes, *, unsigned_too: bool) -> bool:
        return b'"pdf"' in body or (unsigned_too and b'"ink"' in body)

    def attached(self, body: bytes) -> AttachedFiles:
        raise AssertionError("not opened on the hot path")


class Inspecting(Simulation):
    """A simulation whose workers hand over for inspection."""

    def __init__(self, loop: VirtualLoop, policy: InspectionPolicy = FREE) -> None:
        super().__init__(loop)
        self.inspecting = policy

    def start(self, **more: Any) -> Process:
        process = super().start(**more)
        metrics = process.metrics
        ladder = Ladder()
        process.handler._inspection = Inspection(
            process.link,
            self.registry,
            process.commits,
            Deferrer(process.link, ladder, metrics),
            Marked(),
            self.inspecting,
            ladder,
            metrics,
            self.clock,
        )
        return process

    def handed_over(self) -> list[Any]:
        return list(self.broker.queues[names.INSPECT].ready)

    def tell(self, result: InspectionResult, row: int = 1) -> None:
        """What the keeper does once it has a verdict."""
        assert self.registry.tell_inspection(row, result, [], self.clock.now())

    def _check_ack(self, message: Incoming) -> None:
        super()._check_ack(message)
        waits = any(one.body == message.body for one in self.handed_over())
        if b'"pdf"' in message.body and not waits and not self._kept_elsewhere(message):
            rows = [one.row for one in self.documents()]
            if not any(self.registry.inspected(row) for row in rows):
                self.faults.append("acknowledged before it was handed over")


def simulated(
    body: Callable[[Inspecting, Process], Awaitable[None]], policy: InspectionPolicy = FREE
) -> Inspecting:
    async def main(loop: VirtualLoop) -> Inspecting:
        sim = Inspecting(loop, policy)
        process = sim.start()
        await body(sim, process)
        await sim.stop(process)
        return sim

    return run(main)


@pytest.fixture(autouse=True)
def _ticks() -> None:
    fine_ticks()


def signed(name: str = "d1", **more: Any) -> bytes:
    return edoc("H26", "H29", "H53", name=name, pdf=1, **more)


# --- handing over


def test_only_what_may_be_signed_is_handed_over_and_no_delivery_waits() -> None:
    async def body(sim: Inspecting, process: Process) -> None:
        sim.send(edoc("H26", "H29", name="plain", ink=1))
        transport_id = sim.send(signed())
        await sim.quiet()
        (copy,) = sim.handed_over()
        assert copy.body == signed()
        properties = copy.properties
        assert (properties.message_id, properties.user_id, properties.type) == (transport_id, RELAY, "edoc")
        assert properties.headers[names.H_SENDER] == "H26"
        assert len(sim.copies("H29")) == 2
        assert process.metrics.value("truc_inspections_asked_total", outcome="handed-over") == 1
        sim.check()

    simulated(body)


def test_statuses_refusals_and_what_nobody_gets_are_not_handed_over() -> None:
    async def body(sim: Inspecting, _process: Process) -> None:
        sim.send(edoc("H26", "H98", "H99", pdf=1))
        sim.send(edoc("H26", "H29", name="forged", forged=True, pdf=1))
        sim.send(edoc("H26", "H29", name="d2"))
        await sim.quiet()
        sim.send(status("H29", "H26", "d2", pdf=1))
        await sim.quiet()
        assert sim.handed_over() == []

    simulated(body)


def test_a_repetition_is_handed_over_until_the_verdict_stands() -> None:
    async def body(sim: Inspecting, _process: Process) -> None:
        once = sim.send(signed())
        await sim.quiet()
        sim.send(signed(), transport_id=once)
        await sim.quiet()
        assert len(sim.handed_over()) == 2
        sim.tell(InspectionResult.GOOD)
        sim.send(signed(), transport_id=once)
        await sim.quiet()
        assert len(sim.handed_over()) == 2

    simulated(body)


def test_the_same_bytes_under_another_id_are_inspected_once() -> None:
    async def body(sim: Inspecting, _process: Process) -> None:
        sim.send(signed())
        await sim.quiet()
        sim.send(signed())
        await sim.quiet()
        assert len(sim.handed_over()) == 1

    simulated(body)


@pytest.mark.parametrize("answer", [Published.NACKED, Published.UNDECIDED, Published.RETURNED])
def test_a_full_queue_keeps_no_delivery_and_loses_no_inspection(answer: Published) -> None:
    async def body(sim: Inspecting, process: Process) -> None:
        sim.script = only(answer, answer, exchange=names.INSPECT)
        sim.send(signed())
        await asyncio.sleep(3)
        assert len(sim.copies("H29")) == 1
        assert sim.told("H26") == [("acknowledgement", "accepted", "")]
        await sim.quiet()
        assert sim.handed_over()
        assert process.metrics.value("truc_inspections_asked_total", outcome="put-off") == 2
        sim.check()

    simulated(body)


def test_while_the_queue_is_full_the_copies_do_not_multiply() -> None:
    async def body(sim: Inspecting, _process: Process) -> None:
        sim.script = lambda message: Published.NACKED if message.exchange == names.INSPECT else None
        sim.send(signed())
        await asyncio.sleep(300)
        ladder = [names.retry_queue(rung) for rung in names.RUNGS]
        assert sum(len(sim.broker.queues[queue].ready) for queue in ladder) == 1
        sim.script = lambda _message: None
        await asyncio.sleep(200)
        assert len(sim.handed_over()) >= 1
        sim.tell(InspectionResult.GOOD)
        await sim.quiet()
        assert len(sim.copies("H29")) == 1
        sim.check()

    simulated(body, HELD)


def play(die_at: int | None, policy: InspectionPolicy, answers: tuple[Published, ...]) -> int:
    async def main(loop: VirtualLoop) -> int:
        sim = Inspecting(loop, policy)
        sim.script = only(*answers, exchange=names.INSPECT)
        turn = Turn(sim, die_at)
        sim.send(signed())
        if policy.hold != "never":
            turn.process = sim.start(die_at=die_at)
            asyncio.get_running_loop().create_task(_tell_when_handed_over(sim))
        await turn.quiet()
        count = await turn.over()
        assert sim.handed_over(), "handed over to nobody"
        assert {one.body for one in sim.handed_over()} == {signed()}
        await asyncio.sleep(60)
        await sim.keep()
        sim.check(copies=1 if die_at is None else 2)
        assert len({one.properties.headers[names.H_DELIVERY_ID] for one in sim.copies("H29")}) == 1
        return count

    return run(main)


async def _tell_when_handed_over(sim: Inspecting) -> None:
    while not sim.handed_over() or not sim.documents():  # noqa: ASYNC110 - the broker rings no bell
        await asyncio.sleep(0.5)
    sim.tell(InspectionResult.GOOD)


@pytest.mark.parametrize(
    ("policy", "answers"),
    [(FREE, ()), (FREE, (Published.NACKED,)), (HELD, ()), (HELD, (Published.NACKED,))],
    ids=["free", "free, full once", "held", "held, full once"],
)
def test_death_at_every_call_loses_no_inspection(
    policy: InspectionPolicy, answers: tuple[Published, ...]
) -> None:
    points = play(None, policy, answers)
    for die_at in range(1, points + 1):
        try:
            play(die_at, policy, answers)
        except BaseException as error:
            raise AssertionError(f"death at call {die_at} of {points}") from error


# --- waiting for the verdict


def test_a_delivery_waits_and_goes_on_when_the_verdict_is_good() -> None:
    async def body(sim: Inspecting, _process: Process) -> None:
        sim.send(signed())
        sim.send(edoc("H26", "H29", name="plain"))
        await asyncio.sleep(8)
        assert [one.body for one in sim.copies("H29")] == [edoc("H26", "H29", name="plain")]
        lines = [one.code for one in sim.documents()[0].deliveries]
        assert lines == ["ATTACHMENT-PENDING", "ATTACHMENT-PENDING"]
        sim.tell(InspectionResult.DOUBTFUL)  # no hindrance under this policy
        await sim.quiet()
        assert len(sim.copies("H29")) == 2
        assert len(sim.copies("H53")) == 1
        sim.check()

    simulated(body, HELD)


@pytest.mark.parametrize(
    ("hold", "result", "refused"),
    [
        ("altered", InspectionResult.ALTERED, True),
        ("altered", InspectionResult.DOUBTFUL, False),
        ("any-failure", InspectionResult.ALTERED, True),
        ("any-failure", InspectionResult.DOUBTFUL, True),
        ("any-failure", InspectionResult.UNJUDGED, False),
        ("any-failure", InspectionResult.NOTHING, False),
        ("any-failure", InspectionResult.GOOD, False),
    ],
)
def test_what_is_refused_for_its_verdict(hold: Any, result: InspectionResult, refused: bool) -> None:
    async def body(sim: Inspecting, _process: Process) -> None:
        sim.send(edoc("H26", "H29", "H53", ink=1))
        await asyncio.sleep(3)
        sim.tell(result)
        await sim.quiet()
        assert len(sim.copies("H29")) == (0 if refused else 1)
        told = [("acknowledgement", "accepted", "")]
        if refused:
            told.append(("outcome", "refused", "ATTACHMENT-REFUSED"))
            assert [one.state.value for one in sim.documents()[0].deliveries] == ["refused", "refused"]
        assert sim.told("H26") == told
        sim.check()

    simulated(body, replace(HELD, hold=hold))


@pytest.mark.parametrize("then_deliver", [True, False])
def test_without_a_verdict_the_waiting_has_an_end_that_is_told(then_deliver: bool) -> None:
    async def body(sim: Inspecting, _process: Process) -> None:
        sim.send(signed())
        await asyncio.sleep(500)
        assert sim.copies("H29") == []
        await sim.quiet(900)
        assert len(sim.copies("H29")) == (1 if then_deliver else 0)
        outcome = ("outcome", "accepted" if then_deliver else "refused", "ATTACHMENT-UNCHECKED")
        assert sim.told("H26") == [("acknowledgement", "accepted", ""), outcome]
        sim.check()

    simulated(body, replace(HELD, then_deliver=then_deliver))


def test_nothing_waits_that_has_nothing_to_inspect() -> None:
    async def body(sim: Inspecting, _process: Process) -> None:
        sim.send(edoc("H26", "H29"))
        await sim.quiet()
        assert len(sim.copies("H29")) == 1
        assert sim.handed_over() == []

    simulated(body, HELD)


def test_a_take_back_ends_what_waits() -> None:
    async def body(sim: Inspecting, _process: Process) -> None:
        sim.send(signed())
        await asyncio.sleep(3)
        sim.send(status("H26", "H29", "d1", "13"))
        await asyncio.sleep(3)
        sim.tell(InspectionResult.GOOD)
        await sim.quiet()
        assert [one.state.value for one in sim.documents()[0].deliveries] == ["withdrawn", "queued"]
        assert sim.copies("H29") == [] or all(one.body != signed() for one in sim.copies("H29"))

    simulated(body, HELD)
