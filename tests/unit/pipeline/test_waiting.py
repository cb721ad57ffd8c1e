"""Where nothing current tells whether a certificate is revoked: submissions wait, all of them, and go on by themselves."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from relay.broker import names
from relay.errors import Code
from relay.model.message import Incoming, Kind, Lane, Properties
from relay.model.verdict import SignaturePlace, Verification
from relay.pipeline.accept import AcceptPolicy, Submission, accept
from relay.pipeline.verify import Unproven
from tests.support.plainformat import PlainVerifier
from tests.support.simulation import Simulation, edoc, fine_ticks, status
from tests.support.virtual import VirtualLoop, run


@pytest.fixture(autouse=True)
def _ticks() -> None:
    fine_ticks()


class Outage(PlainVerifier):
    """While ``down`` nothing tells whether a signer is revoked."""

    down = True

    def verify(self, body: bytes, place: SignaturePlace, at: datetime) -> Verification:
        found = super().verify(body, place, at)
        if not self.down or not found.verdict.accepted:
            return found
        verdict = replace(found.verdict, trusted=False, reason=Code.REVOCATION_UNKNOWN)
        return Verification(verdict, found.view)


def simulated(body: Callable[[Simulation, Outage], Awaitable[None]]) -> None:
    async def main(loop: VirtualLoop) -> None:
        verifier = Outage()
        await body(Simulation(loop, verifier=verifier), verifier)

    run(main)


def on_the_ladder(sim: Simulation) -> int:
    return sum(len(sim.broker.queues[names.retry_queue(rung)].ready) for rung in names.RUNGS)


def test_documents_and_statuses_wait_and_go_on_by_themselves() -> None:
    async def body(sim: Simulation, verifier: Outage) -> None:
        process = sim.start()
        for number in range(5):
            sim.send(edoc("H26", "H29", "H53", name=f"d{number}"))
        await asyncio.sleep(1800)
        assert on_the_ladder(sim) == 5
        assert sim.told("H26") == []
        assert sim.copies("H29") == []
        verifier.down = False
        await sim.quiet(1200)
        assert len(sim.copies("H29")) == len(sim.copies("H53")) == 5
        assert sim.told("H26") == [("acknowledgement", "accepted", "")] * 5
        verifier.down = True
        sim.send(status("H29", "H26", "d1"))
        await asyncio.sleep(600)
        assert on_the_ladder(sim) == 1
        verifier.down = False
        await sim.quiet(1200)
        await sim.stop(process)
        assert [one.state.value for one in sim.documents()[1].deliveries] == ["delivered", "queued"]
        sim.check()

    simulated(body)


def test_at_its_deadline_the_sender_is_told() -> None:
    async def body(sim: Simulation, _verifier: Outage) -> None:
        process = sim.start()
        deadline = (sim.clock.now() + timedelta(minutes=20)).isoformat()
        sim.send(edoc("H26", "H29"), headers={names.H_DEADLINE: deadline})
        await asyncio.sleep(1100)
        assert sim.told("H26") == []
        await sim.quiet(1500)
        await sim.stop(process)
        assert sim.told("H26") == [("acknowledgement", "refused", "REVOCATION-UNKNOWN")]
        assert sim.copies("H29") == []
        sim.check()

    simulated(body)


@pytest.mark.parametrize(
    ("lane", "window", "hours"),
    [(Lane.URGENT, 24, 2), (Lane.NORMAL, 24, 24), (Lane.NORMAL, 1, 1), (Lane.STATUS, 24, 24)],
)
def test_how_long_each_lane_waits(lane: Lane, window: int, hours: int) -> None:
    async def body(sim: Simulation, _verifier: Outage) -> None:
        process = sim.start()
        waiting = process.handler._waiting
        waiting._policy = replace(waiting._policy, unknown_revocation=timedelta(hours=window))
        now = sim.clock.now()
        properties = Properties(
            message_id=str(uuid.UUID(int=7)),
            type=(Kind.STATUS if lane is Lane.STATUS else Kind.EDOC).value,
            content_type=names.CONTENT_EDXML,
            user_id="H26",
            delivery_mode=2,
        )
        message = Incoming(
            body=b"{}",
            queue=names.lane_queue(lane),
            exchange=names.INGRESS,
            routing_key=names.ingress_key(lane, "H26"),
            properties=properties,
            redelivered=False,
            delivery_count=0,
            session=1,
            tag=1,
        )
        taken = accept(message, lane, AcceptPolicy("relay"), now, str)
        assert isinstance(taken, Submission)
        unproven = Unproven(taken, Code.REVOCATION_UNKNOWN, waits=True)
        end = now + timedelta(hours=hours)
        assert waiting.may_wait(unproven, end - timedelta(seconds=1))
        assert not waiting.may_wait(unproven, end)
        assert not waiting.may_wait(replace(unproven, waits=False), now)
        await sim.stop(process)

    simulated(body)


def test_who_asks_again_meanwhile_puts_no_second_copy_there() -> None:
    async def body(sim: Simulation, verifier: Outage) -> None:
        process = sim.start()
        first = edoc("H26", "H29")
        transport_id = sim.send(first)
        await asyncio.sleep(120)
        for _ in range(6):
            sim.send(first, transport_id=transport_id)
            await asyncio.sleep(30)
        assert on_the_ladder(sim) == 1
        verifier.down = False
        await sim.quiet(1200)
        await sim.stop(process)
        assert len(sim.copies("H29")) == 1
        sim.check()

    simulated(body)


def test_a_copy_that_the_broker_lost_with_its_data_is_not_counted_on() -> None:
    async def body(sim: Simulation, verifier: Outage) -> None:
        process = sim.start()
        document = edoc("H26", "H29")
        transport_id = sim.send(document)
        await asyncio.sleep(2)
        assert on_the_ladder(sim) == 1
        for rung in names.RUNGS:
            sim.broker.queues[names.retry_queue(rung)].ready.clear()
        process.link.inner.lose()
        await process.link.inner.wait_connected()
        sim.send(document, transport_id=transport_id)
        await asyncio.sleep(2)
        assert on_the_ladder(sim) == 1, "acknowledged, and nowhere"
        verifier.down = False
        await sim.quiet(1200)
        await sim.stop(process)
        assert sim.told("H26") == [("acknowledgement", "accepted", "")]
        assert len(sim.copies("H29")) == 1

    simulated(body)


def test_what_is_wrong_besides_is_refused_at_once() -> None:
    async def body(sim: Simulation, _verifier: Outage) -> None:
        process = sim.start()
        sim.send(edoc("H26", "H29", name="a", certificate="d" * 64))  # nobody's
        sim.send(edoc("H26", "H29", name="b"), user="H53")  # may not speak for it
        sim.send(
            edoc("H26", "H29", name="c"), key=names.ingress_key(Lane.NORMAL, "H53")
        )  # the ladder forgets it
        await sim.quiet(60)
        assert on_the_ladder(sim) == 0
        await sim.stop(process)
        told = sim.told("H26") + sim.told("H53")
        assert told == [("acknowledgement", "refused", "REVOCATION-UNKNOWN")] * 3
        sim.check()

    simulated(body)


def test_an_accepted_document_does_not_wait_again() -> None:
    """Its verdict is frozen: what is still open of it goes on, and who asks again is answered."""

    async def body(sim: Simulation, verifier: Outage) -> None:
        verifier.down = False
        process = sim.start()
        first = edoc("H26", "H29")
        transport_id = sim.send(first)
        await sim.quiet()
        verifier.down = True
        sim.send(first, transport_id=transport_id)
        await sim.quiet(60)
        assert on_the_ladder(sim) == 0
        await sim.stop(process)
        assert sim.told("H26") == [("acknowledgement", "accepted", "")]
        assert len(sim.copies("H29")) == 1
        sim.check()

    simulated(body)


def test_a_worker_that_dies_at_any_step_of_putting_off_loses_nothing() -> None:
    """Dead before the copy is on the ladder, between that and the acknowledgement, or afterwards."""

    def die(at: int) -> bool:
        died = []

        async def body(sim: Simulation, verifier: Outage) -> None:
            process = sim.start(die_at=at)
            sim.send(edoc("H26", "H29"))
            await asyncio.sleep(30)
            died.append(not process.life.alive)
            if died[0]:
                await sim.bury(process)
                process = sim.start()
                await asyncio.sleep(30)
            assert on_the_ladder(sim) >= 1
            assert sim.copies("H29") == []
            verifier.down = False
            await sim.quiet(2400)
            await sim.stop(process)
            assert len({one.properties.headers[names.H_DELIVERY_ID] for one in sim.copies("H29")}) == 1
            assert ("acknowledgement", "accepted", "") in sim.told("H26")
            sim.check(copies=2)

        simulated(body)
        return died[0]

    deaths = [die(at) for at in range(1, 5)]
    assert deaths[:2] == [True, True], "the first deferral has a publish and an acknowledgement"
