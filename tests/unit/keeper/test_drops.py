"""What an operator dropped: it ends, and everybody concerned is told, once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from relay.broker import names
from relay.broker.memory import Stored
from relay.errors import Code
from relay.keeper.quarantine import QuarantineDuty
from relay.model.audit import Act
from relay.model.delivery import State
from relay.model.message import Kind, Published
from relay.model.record import HeldEntry
from relay.model.standing import Drop
from relay.pipeline.frozen import claim_again
from tests.support.registry import Maker
from tests.support.simulation import RELAY, Simulation, edoc, fine_ticks, only, status
from tests.support.virtual import VirtualLoop, run

QUEUED = ("acknowledgement", "accepted", "")
HELD = ("held", "accepted", "REJECTED-BY-GATEWAY")
TOLD = ("held", "accepted", "DELIVERY-DROPPED")


@pytest.fixture(autouse=True)
def _ticks() -> None:
    fine_ticks()


def simulated(body: Callable[[Simulation], Awaitable[None]]) -> None:
    async def main(loop: VirtualLoop) -> None:
        await body(Simulation(loop))

    run(main)


async def settle(sim: Simulation, *bodies: bytes, ladder: bool = True) -> None:
    process = sim.start()
    for body in bodies:
        sim.send(body)
        await sim.quiet(ladder=ladder)
    await sim.stop(process)


def drop(sim: Simulation, entry: HeldEntry, reason: str = "cổng hỏng") -> None:
    """What ``truc quarantine drop`` does after it has the message in hand."""
    now = sim.clock.now()
    sim.registry.decide_drop(
        Drop(entry.held_id, now, reason, "edoc", 9), Act(now, "lan", "quarantine.drop", entry.held_id)
    )
    sim.broker.queues[names.QUARANTINE].ready.clear()
    sim.registry.released(entry.held_id, now)


async def reject(sim: Simulation, code: str, kind: Kind = Kind.EDOC) -> HeldEntry:
    """The recipient's gateway rejects its copy; the keeper notes and tells it."""
    (copy,) = sim.copies(code, kind)
    sim.broker.queues[names.agency_queue(code)].ready.remove(copy)
    death = {"queue": f"agency.{code}", "reason": "rejected", "time": 1, "count": 1}
    headers = {**copy.properties.headers, "x-death": [death]}
    dead = Stored("", names.QUARANTINE, replace(copy.properties, headers=headers), copy.body)
    sim.broker.queues[names.QUARANTINE].ready.append(dead)
    await sim.keep()
    (entry,) = sim.registry.held()
    return entry


def states(sim: Simulation) -> list[State]:
    document = sim.registry.document(1)
    assert document is not None
    return [one.state for one in document.deliveries]


def test_a_dropped_delivery_ends_as_refused_and_both_sides_are_told_once() -> None:
    async def body(sim: Simulation) -> None:
        await settle(sim, edoc("H26", "H29", "H53"))
        drop(sim, await reject(sim, "H29"))
        await sim.keep(3)
        await sim.keep(3, name="another")
        dropped = ("outcome", "refused", "DELIVERY-DROPPED")
        assert sim.told("H26") == [QUEUED, HELD, dropped]
        assert sim.told("H29") == [HELD, TOLD]
        assert states(sim) == [State.REFUSED, State.QUEUED]
        document = sim.registry.document(1)
        assert document is not None
        assert not document.finished
        assert (document.deliveries[0].code, document.deliveries[0].detail) == (
            Code.DELIVERY_DROPPED,
            "cổng hỏng",
        )
        (receipt,) = [one for one in sim.registry.receipts(1) if one.code == "DELIVERY-DROPPED"]
        assert "cổng hỏng".encode() in receipt.body
        await settle(sim, status("H53", "H26", "d1"))
        assert sim.told("H26")[-1] == ("outcome", "accepted", "")

    simulated(body)


def test_the_last_open_delivery_dropped_ends_the_document() -> None:
    async def body(sim: Simulation) -> None:
        await settle(sim, edoc("H26", "H29"))
        drop(sim, await reject(sim, "H29"))
        await sim.keep(3)
        assert sim.told("H26") == [QUEUED, HELD, ("outcome", "refused", "DELIVERY-DROPPED")]
        document = sim.registry.document(1)
        assert document is not None
        assert document.finished
        await sim.keep(2, lost_after=timedelta(0))
        assert len(sim.told("H26")) == 3

    simulated(body)


def test_a_status_that_came_first_stands() -> None:
    async def body(sim: Simulation) -> None:
        await settle(sim, edoc("H26", "H29"))
        entry = await reject(sim, "H29")
        drop(sim, entry)
        await settle(sim, status("H29", "H26", "d1"))
        await sim.keep(2)
        assert states(sim) == [State.DELIVERED]
        assert ("outcome", "accepted", "") in sim.told("H26")
        assert TOLD not in sim.told("H29")
        assert sim.registry.untold_drops(9) == []

    simulated(body)


def test_a_dropped_status_is_told_to_its_sender() -> None:
    async def body(sim: Simulation) -> None:
        await settle(sim, edoc("H26", "H29"), status("H29", "H26", "d1"))
        drop(sim, await reject(sim, "H26", Kind.STATUS))
        await sim.keep(2)
        assert sim.told("H29") == [HELD, ("outcome", "refused", "DELIVERY-DROPPED")]
        assert TOLD in sim.told("H26")

    simulated(body)


def test_a_dropped_submission_is_refused_to_who_published_it_and_may_come_again() -> None:
    async def body(sim: Simulation) -> None:
        broken = edoc("H26", "H29", explode=True)
        await settle(sim, broken)
        (entry,) = sim.registry.held()
        drop(sim, entry)
        await sim.keep(2)
        refused = ("acknowledgement", "refused", "SUBMISSION-DROPPED")
        assert sim.told("H26") == [("held", "accepted", "HELD"), refused]
        # again held, again dropped: the same refusal comes once more, marked as a repetition
        process = sim.start()
        sim.send(broken, transport_id=entry.transport_id)
        await sim.quiet()
        await sim.stop(process)
        (again,) = sim.registry.held()
        assert again.held_id == entry.held_id
        drop(sim, again)
        await sim.keep(2)
        copies = [
            one
            for one in sim.copies("H26", Kind.RECEIPT)
            if one.properties.headers[names.H_CODE] == "SUBMISSION-DROPPED"
        ]
        assert [names.H_DUPLICATE in one.properties.headers for one in copies] == [False, True]
        assert sim.registry.untold_drops(9) == []

    simulated(body)


def test_an_answer_that_somebody_else_stored_first_is_the_only_one() -> None:
    """A worker refuses the same submission between the keeper's look and its commit: nothing is told that is not stored."""

    async def body(sim: Simulation) -> None:
        await settle(sim, edoc("H26", "H29", explode=True))
        (entry,) = sim.registry.held()
        drop(sim, entry)
        await sim.keep(2)
        drop(sim, entry)
        sim.registry.refusal_receipts = lambda *_which: []  # type: ignore[method-assign]
        await sim.keep(2)
        del sim.registry.refusal_receipts
        stored = {one.body for one in sim.stored_receipts()} | {
            one.body for one in sim.registry.notices(entry.transport_id)
        }
        assert {one.body for one in sim.copies("H26", Kind.RECEIPT)} == stored
        assert sim.registry.untold_drops(9) == []

    simulated(body)


def test_what_nobody_sent_is_dropped_in_silence() -> None:
    async def body(sim: Simulation) -> None:
        entry = HeldEntry("h", Code.NO_USER, "ingress.normal", "", "t", "", "", "", "aa", sim.clock.now())
        sim.registry.hold(entry, ())
        drop(sim, entry)
        await sim.keep()
        assert sim.registry.untold_drops(9) == []
        assert sim.registry.unpublished(sim.clock.now() + timedelta(days=1), 9) == []

    simulated(body)


def test_what_is_rejected_again_after_a_release_is_seen_at_once() -> None:
    async def body(sim: Simulation) -> None:
        await settle(sim, edoc("H26", "H29"))
        entry = await reject(sim, "H29")
        (dead,) = sim.broker.queues[names.QUARANTINE].ready
        tools, _, link = sim.tools()
        await link.start(lambda _lane, _message: None, {})
        await link.wait_connected()
        duty = QuarantineDuty(RELAY)
        assert await duty.run(tools) == 0
        death = {"queue": "agency.H29", "reason": "rejected", "time": 2, "count": 2}
        again = replace(dead.properties, headers={**dead.properties.headers, "x-death": [death]})
        sim.broker.queues[names.QUARANTINE].ready[0] = replace(dead, properties=again)
        assert await duty.run(tools) == 0, "as many as before"
        sim.registry.released(entry.held_id, sim.clock.now())
        assert await duty.run(tools) == 1
        await link.stop()

    simulated(body)


def aside(sim: Simulation, row: int, origin: str = "ingress.normal") -> HeldEntry:
    document = sim.registry.document(row)
    assert document is not None
    entry = HeldEntry(
        "h",
        Code.HELD,
        origin,
        "H26",
        document.transport_id,
        "",
        "",
        "",
        document.body_sha256,
        sim.clock.now(),
    )
    sim.registry.hold(entry, ())
    return entry


@pytest.mark.parametrize("origin", ["ingress.normal", "due"])
def test_a_submission_dropped_after_it_was_claimed_ends_what_has_no_other_body(origin: str) -> None:
    async def body(sim: Simulation) -> None:
        sim.script = only(*[Published.NACKED] * 99, to="H53")
        await settle(sim, edoc("H26", "H29", "H53"), ladder=False)
        assert states(sim) == [State.QUEUED, State.PLANNED]
        drop(sim, aside(sim, 1, origin))
        await sim.keep()
        ends = origin == names.DUE
        assert states(sim) == [State.QUEUED, State.REFUSED if ends else State.PLANNED]
        assert (("outcome", "refused", "DELIVERY-DROPPED") in sim.told("H26")) == ends

    simulated(body)


def test_a_submission_dropped_before_it_was_acknowledged_gets_its_acknowledgement() -> None:
    async def body(sim: Simulation) -> None:
        sim.registry.claim([Maker().claim("a", now=sim.clock.now())], "w1-dies", sim.clock.now())
        document = sim.registry.document(1)
        assert document is not None
        assert not document.settled
        drop(sim, aside(sim, 1))
        await sim.keep()
        assert len(sim.registry.untold_drops(9)) == 1, "a live worker has it in hand"
        await asyncio.sleep(20)
        await sim.keep(2)
        assert sim.registry.untold_drops(9) == []
        told = sim.told("H26")
        assert told[0] == ("acknowledgement", "accepted", "")
        assert told[-1] == ("outcome", "refused", "DELIVERY-DROPPED")
        assert set(states(sim)) == {State.REFUSED}
        await asyncio.sleep(4 * 3600)
        await sim.keep(2)
        assert sim.told("H26") == told, "nothing is looked for as lost"

    simulated(body)


def test_a_later_submission_of_the_same_bytes_is_dropped_with_its_acknowledgement() -> None:
    async def body(sim: Simulation) -> None:
        await settle(sim, edoc("H26", "H29"))
        first = sim.registry.document(1)
        assert first is not None
        later = replace(claim_again(first), transport_id="00000000-0000-0000-0000-0000000000ff")
        sim.registry.claim([later], "w1-dies", sim.clock.now())
        drop(sim, aside(sim, 2))
        await asyncio.sleep(20)
        await sim.keep(2)
        assert sim.told("H26") == [QUEUED, ("acknowledgement", "accepted", "SAME-CONTENT")]
        assert states(sim) == [State.QUEUED], "the first one has a body of its own"
        assert sim.registry.untold_drops(9) == []

    simulated(body)


def test_a_delivery_that_the_registry_does_not_know_is_told_to_both() -> None:
    async def body(sim: Simulation) -> None:
        entry = HeldEntry(
            "h", Code.REJECTED_BY_GATEWAY, "agency.H29", "", "t", "H26", "H29", "d", "aa", sim.clock.now()
        )
        sim.registry.hold(entry, ())
        drop(sim, entry)
        await sim.keep(2)
        assert sim.told("H26") == sim.told("H29") == [TOLD]
        assert sim.registry.untold_drops(9) == []

    simulated(body)


def test_what_is_due_later_is_not_told_as_lost() -> None:
    async def body(sim: Simulation) -> None:
        sim.script = only(*[Published.NACKED] * 99, to="H53")
        await settle(sim, edoc("H26", "H29", "H53"), ladder=False)
        document = sim.registry.document(1)
        assert document is not None
        assert sim.registry.mark_lost(1, [document.deliveries[0].delivery_id], sim.clock.now()) == 1
        await sim.keep(2)
        (lost,) = [one for one in sim.registry.receipts(1) if one.code == "BODY-LOST"]
        assert b'resolved="H29"' in lost.body
        assert b'resolved="H53"' not in lost.body

    simulated(body)
