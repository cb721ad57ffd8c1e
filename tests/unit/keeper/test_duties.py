"""The keeper's duties, each over the broker in memory and a real registry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from relay.broker import names
from relay.broker.memory import Stored
from relay.errors import Code, RegistryError
from relay.keeper.keeper import Keeper
from relay.keeper.quarantine import QuarantineDuty
from relay.keeper.receipts import ReceiptsDuty
from relay.model.delivery import State
from relay.model.message import Incoming, Kind, Lane, Outgoing, Properties, Published
from tests.support.simulation import RELAY, Crash, Simulation, edoc, fine_ticks, only, status
from tests.support.virtual import VirtualLoop, run

QUEUED = ("acknowledgement", "accepted", "")


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


def states(sim: Simulation, row: int = 1) -> list[State]:
    document = sim.registry.document(row)
    assert document is not None
    return [one.state for one in document.deliveries]


def test_a_receipt_that_could_not_be_published_is_published_once() -> None:
    async def body(sim: Simulation) -> None:
        sim.script = only(Published.NACKED, exchange=names.RECEIPTS)
        await settle(sim, edoc("H26", "H29"))
        assert sim.told("H26") == []
        await sim.keep(3)
        assert sim.told("H26") == [QUEUED]
        assert len(sim.copies("H26", Kind.RECEIPT)) == 1

    simulated(body)


def test_receipts_of_a_closed_door_do_not_stand_before_the_others() -> None:
    async def body(sim: Simulation) -> None:
        sim.script = lambda one: Published.RETURNED if one.exchange == names.RECEIPTS else None
        await settle(sim, *(edoc("H26", "H29", name=f"a{n}") for n in range(4)), edoc("H53", "H29", name="b"))
        shut: list[Outgoing] = []

        def door(message: Outgoing) -> Published | None:
            if message.exchange == names.RECEIPTS and message.routing_key == "H26":
                shut.append(message)
                return Published.RETURNED
            return None

        sim.script = door
        tools, _, link = sim.tools(interval=timedelta(seconds=5))
        tools = replace(tools, policy=replace(tools.policy, batch=2))
        await link.start(lambda _lane, _message: None, {})
        await link.wait_connected()
        duty = ReceiptsDuty()
        assert [await duty.run(tools) for _ in range(2)] == [0, 1]
        assert sim.told("H53") == [QUEUED]
        assert len(shut) == 2
        assert tools.metrics.value("truc_receipts_pending") == 5
        assert await duty.run(tools) == 0
        assert len(shut) == 2, "tried again before its pause was over"
        assert tools.metrics.value("truc_receipts_pending") == 4, "those of the closed door too"
        await asyncio.sleep(6)
        sim.script = lambda _message: None
        assert await duty.run(tools) + await duty.run(tools) == 4
        await link.stop()

    simulated(body)


def test_overdue_is_told_once_and_superseded_by_the_delivery() -> None:
    async def body(sim: Simulation) -> None:
        await settle(sim, edoc("H26", "H29", "H53"))
        await sim.keep()
        assert sim.told("H26") == [QUEUED]
        await asyncio.sleep(24 * 3600 + 1)
        await sim.keep(2)
        await sim.keep(2)
        overdue = ("outcome", "accepted", "OVERDUE")
        assert sim.told("H26") == [QUEUED, overdue]
        await settle(sim, status("H29", "H26", "d1"), status("H53", "H26", "d1"))
        assert sim.told("H26") == [QUEUED, overdue, ("outcome", "accepted", "")]
        assert set(states(sim)) == {State.DELIVERED}
        sim.check()

    simulated(body)


def test_what_stays_planned_is_given_up_and_ended() -> None:
    async def body(sim: Simulation) -> None:
        sim.script = lambda one: Published.NACKED if one.routing_key == "H53" else None
        await settle(sim, edoc("H26", "H29", "H53"), ladder=False)
        await asyncio.sleep(8 * 24 * 3600)
        sim.script = lambda _message: None
        await sim.keep(2, lost_after=timedelta(days=30), lost_at_last=timedelta(days=30))
        assert states(sim) == [State.QUEUED, State.REFUSED]
        told = sim.told("H26")
        assert told.count(("outcome", "refused", "UNDELIVERABLE")) == 1
        await settle(sim, status("H29", "H26", "d1"))
        assert sim.told("H26")[-1] == ("outcome", "accepted", "")
        document = sim.registry.document(1)
        assert document is not None
        assert document.finished

    simulated(body)


def lose_the_ladder(sim: Simulation) -> None:
    for rung in names.RUNGS:
        sim.broker.queues[names.retry_queue(rung)].ready.clear()


def test_what_was_never_settled_is_given_up_and_over() -> None:
    """Its worker died after T1 and the broker lost the body: nobody comes back to settle it."""

    async def body(sim: Simulation) -> None:
        process = sim.start()

        async def dies(*_anything: object) -> None:
            process.life.alive = False
            raise Crash

        process.handler._deliverer.deliver = dies  # type: ignore[assignment,method-assign]
        transport_id = sim.send(edoc("H26", "H29", "H53"))
        await sim.quiet()
        await sim.bury(process)
        sim.broker.queues[names.lane_queue(Lane.NORMAL)].ready.clear()
        await sim.keep()
        assert sim.registry.oldest_unsettled() is not None
        await asyncio.sleep(8 * 86_400)
        await sim.keep(3)
        assert states(sim) == [State.REFUSED, State.REFUSED]
        assert ("outcome", "refused", "UNDELIVERABLE") in sim.told("H26")
        assert sim.registry.oldest_unsettled() is None
        assert sim.registry.oldest_unfinished() == {}
        (document,) = sim.registry.find(transport_id)
        assert document.finished
        await sim.keep(3)
        assert len(sim.told("H26")) == len(sim.registry.receipts(document.row))

    simulated(body)


def test_a_loss_is_told_though_another_one_of_the_same_document_was_told_before() -> None:
    """An operator finds one recipient's queue emptied, and later another one's."""

    async def body(sim: Simulation) -> None:
        await settle(sim, edoc("H26", "H29", "H53"))
        document = sim.registry.document(1)
        assert document is not None
        for count, delivery in enumerate(document.deliveries, 1):
            assert sim.registry.mark_lost(1, [delivery.delivery_id], sim.clock.now())
            await sim.keep(3)
            lost = [one for one in sim.registry.receipts(1) if one.code == "BODY-LOST"]
            assert len(lost) == count
            assert delivery.recipient.encode() in lost[-1].body

    simulated(body)


@pytest.mark.parametrize("same_id", [True, False], ids=["same id", "another id"])
def test_a_lost_body_is_told_once_and_completed_by_sending_it_again(same_id: bool) -> None:
    async def body(sim: Simulation) -> None:
        sim.script = only(Published.NACKED, to="H53")
        document = edoc("H26", "H29", "H53")
        process = sim.start()
        once = sim.send(document)
        await sim.quiet(ladder=False)
        await sim.stop(process)
        lose_the_ladder(sim)
        await asyncio.sleep(121)
        await sim.keep()
        assert ("outcome", "accepted", "BODY-LOST") not in sim.told("H26"), "it was due only a moment ago"
        await asyncio.sleep(10)
        await sim.keep(2)
        lost = ("outcome", "accepted", "BODY-LOST")
        assert sim.told("H26") == [QUEUED, lost]
        process = sim.start()
        sim.send(document, transport_id=once if same_id else None)
        await sim.quiet()
        await sim.stop(process)
        assert states(sim) == [State.QUEUED, State.QUEUED]
        assert [len(sim.copies("H29")), len(sim.copies("H53"))] == [1, 1]
        await sim.keep(2)
        assert sim.told("H26").count(lost) == 1
        sim.check()

    simulated(body)


def test_the_loss_of_the_brokers_data_is_told_and_mended() -> None:
    async def body(sim: Simulation) -> None:
        await settle(sim, edoc("H26", "H29"))
        for queue in sim.broker.queues.values():
            queue.ready.clear()
        for exchange in [one for one in sim.broker.exchanges if one.startswith(names.EPOCH_PREFIX)]:
            del sim.broker.exchanges[exchange]
        process = sim.start()  # whoever connects first finds out
        await asyncio.sleep(1)
        await sim.keep(2)
        assert sim.told("H26") == [("outcome", "accepted", "BODY-LOST")]
        sim.send(edoc("H26", "H29"))
        await sim.quiet()
        await sim.stop(process)
        assert states(sim) == [State.QUEUED]
        assert len(sim.copies("H29")) == 1

    simulated(body)


# quarantine


def dead(queue: str, reason: str, **headers: object) -> dict[str, object]:
    death = {"queue": queue, "reason": reason, "time": 1, "count": 1, "exchange": "", "routing-keys": []}
    return {"x-death": [death], **headers}


def put_aside(sim: Simulation, properties: Properties, body: bytes = b"<edoc/>") -> None:
    sim.broker.queues[names.QUARANTINE].ready.append(Stored("", names.QUARANTINE, properties, body))


def test_what_a_gateway_rejected_is_told_to_sender_and_recipient_once() -> None:
    async def body(sim: Simulation) -> None:
        await settle(sim, edoc("H26", "H29"))
        (copy,) = sim.copies("H29")
        headers = dead("agency.H29", "rejected", **copy.properties.headers)
        put_aside(sim, replace(copy.properties, headers=headers), copy.body)
        await sim.keep(3)
        await sim.keep(3, name="another")
        held = ("held", "accepted", "REJECTED-BY-GATEWAY")
        assert [sim.told("H26").count(held), sim.told("H29").count(held)] == [1, 1]
        (entry,) = sim.registry.held()
        assert entry.delivery_id == copy.properties.headers[names.H_DELIVERY_ID]
        assert states(sim) == [State.QUEUED]

    simulated(body)


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        (Properties("m", user_id="H26", headers=dead("ingress.normal", "expired")), Code.EXPIRED_IN_QUEUE),
        (Properties("m", user_id="H26", headers=dead("ingress.normal", "delivery_limit")), Code.SET_ASIDE),
        (
            Properties("m", user_id=RELAY, headers=dead("due", "delivery_limit", **{names.H_USER: "H26"})),
            Code.SET_ASIDE,
        ),
        (Properties(None, user_id="H26", headers={"x-death": "nonsense"}), Code.SET_ASIDE),
    ],
)
def test_what_died_on_its_way_in_is_told_to_the_user_that_published_it(
    properties: Properties, code: Code
) -> None:
    async def body(sim: Simulation) -> None:
        put_aside(sim, properties)
        await sim.keep(3)
        assert sim.told("H26") == [("held", "accepted", code.value)]
        assert [one.code for one in sim.registry.held()] == [code]

    simulated(body)


def test_what_the_worker_set_aside_is_not_told_a_second_time() -> None:
    async def body(sim: Simulation) -> None:
        await settle(sim, edoc("H26", "H29", explode=True))
        await sim.keep(3)
        assert sim.told("H26") == [("held", "accepted", "HELD")]
        assert sim.broker.depth(names.QUARANTINE) == 1

    simulated(body)


def test_one_that_came_as_another_went_is_seen_and_nothing_is_signed_in_vain() -> None:
    async def body(sim: Simulation) -> None:
        tools, numbers, link = sim.tools()
        await link.start(lambda _lane, _message: None, {})
        await link.wait_connected()
        duty = QuarantineDuty(RELAY)
        put_aside(sim, Properties("a", user_id="H26"))
        assert await duty.run(tools) == 1
        signed = numbers()
        sim.broker.queues[names.QUARANTINE].ready.clear()
        put_aside(sim, Properties("b", user_id="H26"))
        assert await duty.run(tools) == 0
        await asyncio.sleep(61)
        assert await duty.run(tools) == 1
        put_aside(sim, Properties("c", user_id="H26"))
        assert await duty.run(tools) == 1
        assert int(numbers().split("-")[1]) == int(signed.split("-")[1]) + 3
        await link.stop()

    simulated(body)


def test_a_release_is_not_undone_by_a_look_that_began_before_it() -> None:
    async def body(sim: Simulation) -> None:
        put_aside(sim, Properties("a", user_id="H26"))
        await sim.keep()
        (entry,) = sim.registry.held()
        tools, _, link = sim.tools()
        await link.start(lambda _lane, _message: None, {})
        await link.wait_connected()
        each = tools.browser.each

        def look(queue: str, limit: int, see: Callable[[Incoming], object]) -> list[object]:
            found = each(queue, limit, see)
            sim.loop.passing.passed += 1
            sim.registry.released(entry.held_id, sim.clock.now())
            return list(found)

        tools.browser.each = look  # type: ignore[method-assign,assignment]
        assert await QuarantineDuty(RELAY).run(tools) == 0
        assert sim.registry.held() == []
        await link.stop()

    simulated(body)


# being the only one, and going on


def test_of_two_keepers_one_keeps_and_numbers_never_repeat() -> None:
    async def body(sim: Simulation) -> None:
        keepers: list[Keeper] = []
        put_aside(sim, Properties("a", user_id="H26"))
        keepers.append(await sim.keep(name="keeper"))
        put_aside(sim, Properties("b", user_id="H26"))
        idle = await _second(sim)
        assert [keepers[0].ready()[1]["lease"], idle.ready()[1]["lease"]] == [True, False]
        assert len(sim.told("H26")) == 1
        await asyncio.sleep(16)
        heir = await _second(sim, idle)
        assert heir.ready()[1]["lease"] is True
        assert len(sim.told("H26")) == 2
        messages = [one.properties.message_id for one in sim.copies("H26", Kind.RECEIPT)]
        assert len(set(messages)) == 2

    async def _second(sim: Simulation, again: Keeper | None = None) -> Keeper:
        from relay.pipeline.epoch import EpochWatch

        if again is None:
            tools, numbers, link = sim.tools("keeper")
            epoch = EpochWatch(link, sim.registry, tools.commits, sim._epoch, sim.clock)
            again = Keeper(
                name="other", link=link, tools=tools, epoch=epoch, relay_user=RELAY, numbers=numbers
            )
            await link.start(lambda _lane, _message: None, {})
            await link.wait_connected()
        await again._round()
        return again

    simulated(body)


def test_a_duty_that_fails_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(sim: Simulation) -> None:
        await settle(sim, edoc("H26", "H29"))
        await asyncio.sleep(24 * 3600 + 1)
        put_aside(sim, Properties("a", user_id="H26"))

        def broken(*_: object) -> None:
            raise ValueError("a row that cannot be read")

        monkeypatch.setattr(sim.registry, "lost", broken)
        monkeypatch.setattr(sim.registry, "unpublished", lambda *_: _raise())
        await sim.keep()
        assert {kind for kind, _, _ in sim.told("H26")} == {"acknowledgement", "outcome", "held"}

    def _raise() -> None:
        raise RegistryError(Code.REGISTRY_BUSY, "locked")

    simulated(body)


def test_without_the_registry_the_keeper_waits() -> None:
    async def body(sim: Simulation) -> None:
        tools, numbers, link = sim.tools()
        from relay.pipeline.epoch import EpochWatch

        epoch = EpochWatch(link, sim.registry, tools.commits, sim._epoch, sim.clock)
        keeper = Keeper(name="k", link=link, tools=tools, epoch=epoch, relay_user=RELAY, numbers=numbers)
        task = asyncio.ensure_future(keeper.run())
        await asyncio.sleep(12)
        assert keeper.ready()[0]

        def trouble(_what: str) -> None:
            raise RegistryError(Code.REGISTRY_UNUSABLE, "gone")

        tools.commits.trouble = trouble  # type: ignore[attr-defined]
        await asyncio.sleep(200)
        assert not keeper.ready()[0]
        tools.commits.trouble = lambda _what: None  # type: ignore[attr-defined]
        await asyncio.sleep(12)
        assert keeper.ready()[0]
        keeper.stop()
        await task

    simulated(body)


def test_an_alias_that_came_while_the_outcome_was_made_gets_it_from_the_keeper() -> None:
    async def body(sim: Simulation) -> None:
        await settle(sim, edoc("H26", "H29"))
        sim.registry.aliases, aliases = (lambda row: []), sim.registry.aliases  # type: ignore[method-assign]
        process = sim.start()
        late = sim.send(edoc("H26", "H29"))
        await sim.quiet()
        sim.send(status("H29", "H26", "d1"))
        await sim.quiet()
        await sim.stop(process)
        sim.registry.aliases = aliases  # type: ignore[method-assign]
        await sim.keep(2)
        sim.check()
        (alias,) = sim.registry.find(late)
        kinds = [one.kind.value for one in sim.registry.receipts(alias.row)]
        assert kinds == ["acknowledgement", "outcome"]

    simulated(body)
