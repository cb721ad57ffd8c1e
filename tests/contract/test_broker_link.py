"""What every ``BrokerLink`` does: the same suite on the double and on a real broker."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest

from relay.broker import names
from relay.broker.blocking import BlockingClient
from relay.broker.link import AmqpLink, LinkTimes
from relay.broker.memory import MemoryBroker, MemoryLink
from relay.broker.publishing import PublishLimits
from relay.errors import BrokerError
from relay.model.message import Incoming, Lane, Outgoing, Properties, Published
from relay.model.ports import BrokerLink
from tests.support.node import Node
from tests.support.topology import AGENCIES, RELAY, Ground
from tests.support.waits import until_then as until

SECONDS = 60


class MovingClock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 5, 1, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


class World(Protocol):
    """What a test can do to the broker behind the link."""

    def link(self, limits: PublishLimits | None = None) -> BrokerLink: ...
    def put(self, lane: Lane, body: bytes, properties: Properties) -> None: ...
    def depth(self, queue: str) -> int: ...
    def take(self, queue: str) -> tuple[str, Properties, bytes]: ...
    def set_full(self, queue: str) -> None: ...
    def close_connections(self) -> None: ...


class MemoryWorld:
    def __init__(self, ground_desired: Any) -> None:
        self.clock = MovingClock()
        self.broker = MemoryBroker.of(ground_desired, self.clock)

    def link(self, limits: PublishLimits | None = None) -> BrokerLink:
        return MemoryLink(self.broker, RELAY, limits)

    def put(self, lane: Lane, body: bytes, properties: Properties) -> None:
        key = f"{lane.value}.H53"
        assert self.broker.publish("ingress", key, body, properties) is Published.CONFIRMED

    def depth(self, queue: str) -> int:
        return self.broker.depth(queue)

    def take(self, queue: str) -> tuple[str, Properties, bytes]:
        found = self.broker.get(queue)
        assert found is not None
        return found.routing_key, found.properties, found.body

    def set_full(self, queue: str) -> None:
        self.broker.queues[queue].max_length = 0

    def close_connections(self) -> None:
        self.broker.crash()


class RealWorld:
    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.admin = BlockingClient(ground.admin, name="test")

    def link(self, limits: PublishLimits | None = None) -> BrokerLink:
        return AmqpLink(
            self.ground.endpoint(RELAY),
            name="contract",
            jitter=random.Random(1).random,
            limits=limits,
            times=LinkTimes(first_pause=0.05),
        )

    def put(self, lane: Lane, body: bytes, properties: Properties) -> None:
        user = properties.user_id
        client = BlockingClient(self.ground.endpoint("H53"), name="gateway") if user else self.admin
        assert client.publish("ingress", f"{lane.value}.H53", body, properties) is Published.CONFIRMED
        if user:
            client.close()

    def depth(self, queue: str) -> int:
        return self.admin.depth(queue) or 0

    def take(self, queue: str) -> tuple[str, Properties, bytes]:
        found = self.admin.take(queue, SECONDS)
        assert found is not None
        self.admin.ack(found)
        return found.routing_key, found.properties, found.body

    def set_full(self, queue: str) -> None:
        self.ground.management.put_policy(
            "full", names.exactly(queue), "queues", {"max-length": 0, "overflow": "reject-publish"}, 99
        )

    def close_connections(self) -> None:
        self.admin.close()
        self.ground.node.ctl("close_all_connections", "-p", self.ground.vhost, "test")


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.broker)])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "memory":
        yield MemoryWorld(Ground(None, "none").desired(AGENCIES))  # type: ignore[arg-type]
        return
    node: Node = request.getfixturevalue("broker_node")
    ground = Ground(node, f"c-{request.node.name}")
    ground.apply(AGENCIES)
    real = RealWorld(ground)
    try:
        yield real
    finally:
        real.admin.close()


@dataclass
class Hand:
    """A started link and what it was given."""

    link: BrokerLink
    taken: asyncio.Queue[tuple[Lane, Incoming]]

    async def next(self) -> tuple[Lane, Incoming]:
        return await asyncio.wait_for(self.taken.get(), SECONDS)


def run(
    world: World,
    body: Callable[[Hand], Awaitable[None]],
    prefetch: dict[Lane, int] | None = None,
    limits: PublishLimits | None = None,
    hook: Callable[[], Awaitable[None]] | None = None,
) -> None:
    async def main() -> None:
        taken: asyncio.Queue[tuple[Lane, Incoming]] = asyncio.Queue()
        link = world.link(limits)
        link.on_connected = hook
        lanes = {Lane.NORMAL: 10} if prefetch is None else prefetch
        await link.start(lambda lane, message: taken.put_nowait((lane, message)), lanes)
        try:
            async with asyncio.timeout(3 * SECONDS):
                await link.wait_connected()
                await body(Hand(link, taken))
        finally:
            await link.stop()

    asyncio.run(main())


def outgoing(key: str = "H53", exchange: str = "level.province", **more: Any) -> Outgoing:
    fields: dict[str, Any] = {
        "exchange": exchange,
        "routing_key": key,
        "body": b"<edoc/>",
        "message_id": "0b0e7d2c-5f1e-4f57-9a25-5a0a4fd8a111",
        "type": "edoc",
        "content_type": names.CONTENT_EDXML,
    }
    return Outgoing(**(fields | more))


SENT = Properties(message_id="m1", type="edoc", content_type=names.CONTENT_EDXML, delivery_mode=2)


def test_a_confirmed_publish_stands_in_the_queue_with_fresh_properties(world: World) -> None:
    async def body(hand: Hand) -> None:
        at = datetime(2026, 1, 5, tzinfo=UTC)
        message = outgoing(headers={names.H_SENDER: "H5"}, priority=3, timestamp=at, correlation_id="c")
        assert await hand.link.publish(message) is Published.CONFIRMED

    run(world, body)
    key, properties, content = world.take("agency.H53")
    assert (key, content) == ("H53", b"<edoc/>")
    expected = Properties(
        message_id="0b0e7d2c-5f1e-4f57-9a25-5a0a4fd8a111",
        type="edoc",
        content_type=names.CONTENT_EDXML,
        correlation_id="c",
        delivery_mode=2,
        priority=3,
        timestamp=int(datetime(2026, 1, 5, tzinfo=UTC).timestamp()),
        headers={names.H_SENDER: "H5"},
    )
    headers = {k: v for k, v in properties.headers.items() if k != names.H_DELIVERY_COUNT}
    assert replace(properties, headers=headers) == expected


def test_own_user_id_only_where_asked_for(world: World) -> None:
    async def body(hand: Hand) -> None:
        assert await hand.link.publish(outgoing("", "due", as_self=True)) is Published.CONFIRMED

    run(world, body)
    assert world.take("due")[1].user_id == RELAY


def test_unroutable_among_routable_is_told_apart(world: World) -> None:
    async def body(hand: Hand) -> None:
        keys = ["H53", "H9", "H530", "H5", "H9", "H53"]
        results = await asyncio.gather(*(hand.link.publish(outgoing(key)) for key in keys))
        good, back = Published.CONFIRMED, Published.RETURNED
        assert results == [good, back, back, good, back, good]  # H530 is a district

    run(world, body)


def test_a_full_queue_is_a_nack_and_stops_no_other(world: World) -> None:
    world.set_full("agency.H5")

    async def body(hand: Hand) -> None:
        results: list[Published] = []
        while Published.NACKED not in results[::2]:  # the queue learns after us that it is full
            results += await asyncio.gather(
                hand.link.publish(outgoing("H5")), hand.link.publish(outgoing("H53"))
            )
        assert set(results[1::2]) == {Published.CONFIRMED}

    run(world, body)


def test_a_missing_exchange_is_undecided_and_publishing_goes_on(world: World) -> None:
    async def body(hand: Hand) -> None:
        assert await hand.link.publish(outgoing(exchange="level.moon")) is Published.UNDECIDED
        assert await hand.link.publish(outgoing()) is Published.CONFIRMED

    run(world, body)


def test_many_at_once_through_a_small_window(world: World) -> None:
    async def body(hand: Hand) -> None:
        messages = [outgoing(message_id=f"m{number}", body=b"x" * 1000) for number in range(300)]
        results = await asyncio.gather(*(hand.link.publish(message) for message in messages))
        assert set(results) == {Published.CONFIRMED}

    run(world, body, limits=PublishLimits(count=7, bytes=5000))
    assert world.depth("agency.H53") == 300


def test_what_is_taken_is_complete_and_acknowledged_once(world: World) -> None:
    sent = replace(SENT, user_id="H53", app_id="app", priority=2, timestamp=7, correlation_id="c")
    world.put(Lane.NORMAL, b"body \x00\xff", sent)

    async def body(hand: Hand) -> None:
        lane, message = await hand.next()
        assert lane is Lane.NORMAL
        assert (message.queue, message.exchange, message.routing_key) == (
            "ingress.normal",
            "ingress",
            "normal.H53",
        )
        assert message.body == b"body \x00\xff"
        assert message.delivery_count == 0
        assert not message.redelivered
        headers = {k: v for k, v in message.properties.headers.items() if k != names.H_DELIVERY_COUNT}
        assert replace(message.properties, headers=headers) == sent
        assert hand.link.current(message)
        hand.link.ack(message)
        await asyncio.sleep(0.1)

    run(world, body)
    assert world.depth("ingress.normal") == 0


def test_requeued_comes_again_and_is_counted(world: World) -> None:
    world.put(Lane.NORMAL, b"1", SENT)

    async def body(hand: Hand) -> None:
        _, first = await hand.next()
        hand.link.requeue(first)
        _, second = await hand.next()
        assert second.redelivered
        assert second.delivery_count == 1
        hand.link.ack(second)
        await asyncio.sleep(0.1)

    run(world, body)


def test_prefetch_bounds_each_lane_by_itself(world: World) -> None:
    for number in range(6):
        world.put(Lane.NORMAL, str(number).encode(), SENT)
        world.put(Lane.URGENT, str(number).encode(), SENT)

    async def body(hand: Hand) -> None:
        await until(lambda: hand.taken.qsize() >= 6)
        await asyncio.sleep(0.5)
        lanes = [hand.taken.get_nowait()[0] for _ in range(hand.taken.qsize())]
        assert lanes.count(Lane.NORMAL) == 2
        assert lanes.count(Lane.URGENT) == 4

    run(world, body, {Lane.NORMAL: 2, Lane.URGENT: 4})
    assert world.depth("ingress.normal") == 6


def test_a_pause_keeps_what_is_in_hand_and_ends(world: World) -> None:
    world.put(Lane.NORMAL, b"1", SENT)

    async def body(hand: Hand) -> None:
        _, message = await hand.next()
        await hand.link.pause()
        await until(lambda: not hand.link.consuming)
        world.put(Lane.NORMAL, b"2", SENT)
        await asyncio.sleep(0.5)
        assert hand.taken.empty()
        assert hand.link.current(message)
        await hand.link.resume()
        _, other = await hand.next()
        assert (other.body, other.delivery_count) == (b"2", 0)
        await until(lambda: hand.link.consuming)
        assert hand.link.current(message), "the same session"
        hand.link.ack(message)
        hand.link.ack(other)
        await asyncio.sleep(0.1)

    run(world, body)
    assert world.depth("ingress.normal") == 0


def test_while_paused_all_can_be_given_back_and_nothing_is_taken(world: World) -> None:
    for number in (b"1", b"2"):
        world.put(Lane.NORMAL, number, SENT)

    async def body(hand: Hand) -> None:
        (_, first), (_, second) = await hand.next(), await hand.next()
        await hand.link.give_back()
        assert hand.link.current(first), "only while paused"
        await hand.link.pause()
        await hand.link.give_back()
        await until(lambda: not hand.link.current(first) and not hand.link.current(second))
        await asyncio.sleep(1.5)
        assert hand.taken.empty()
        assert hand.link.connected
        assert not hand.link.consuming
        hand.link.ack(first)  # of a session that is gone: ignored
        await hand.link.resume()
        again = [await hand.next(), await hand.next()]
        assert sorted((one.body, one.delivery_count) for _, one in again) == [(b"1", 1), (b"2", 1)]
        for _, one in again:
            hand.link.ack(one)
        await until(lambda: hand.link.consuming)
        await asyncio.sleep(0.1)

    run(world, body)
    assert world.depth("ingress.normal") == 0


def test_a_link_that_paused_before_it_connected_takes_nothing(world: World) -> None:
    world.put(Lane.NORMAL, b"1", SENT)

    async def body(hand: Hand) -> None:
        await hand.link.pause()
        await hand.link.give_back()
        await hand.link.renew()
        await asyncio.sleep(0.3)
        await hand.link.wait_connected()
        while not hand.taken.empty():  # what came before the pause
            hand.taken.get_nowait()
        await asyncio.sleep(0.5)
        assert hand.taken.empty()
        await hand.link.resume()
        _, message = await hand.next()
        hand.link.ack(message)
        await asyncio.sleep(0.1)

    run(world, body)
    assert world.depth("ingress.normal") == 0


def test_after_cancel_nothing_comes_and_what_is_in_hand_can_be_settled(world: World) -> None:
    world.put(Lane.NORMAL, b"1", SENT)

    async def body(hand: Hand) -> None:
        _, message = await hand.next()
        await hand.link.cancel()
        assert not hand.link.consuming
        world.put(Lane.NORMAL, b"2", SENT)
        await asyncio.sleep(0.2)
        assert hand.taken.empty()
        assert await hand.link.publish(outgoing()) is Published.CONFIRMED
        hand.link.ack(message)
        await asyncio.sleep(0.1)

    run(world, body)
    assert world.depth("ingress.normal") == 1


@pytest.mark.parametrize("how", ["renew", "broker"])
def test_a_new_session_redelivers_and_ignores_old_tags(world: World, how: str) -> None:
    hooks: list[int] = []

    async def hook() -> None:
        hooks.append(1)

    world.put(Lane.NORMAL, b"1", SENT)

    async def body(hand: Hand) -> None:
        _, old = await hand.next()
        if how == "renew":
            await hand.link.renew()
        else:
            await until(lambda: hand.link.consuming)
            await asyncio.to_thread(world.close_connections)
        _, new = await hand.next()
        assert new.redelivered
        assert new.session != old.session
        assert not hand.link.current(old)
        assert hand.link.current(new)
        hand.link.ack(old)
        hand.link.requeue(old)
        await hand.link.wait_connected()
        assert len(hooks) == 2
        assert await hand.link.publish(outgoing()) is Published.CONFIRMED
        hand.link.ack(new)
        await asyncio.sleep(0.1)

    run(world, body, hook=hook)
    assert world.depth("ingress.normal") == 0


def test_the_hook_runs_before_anything_is_taken_and_may_ask_for_the_mark(world: World) -> None:
    world.put(Lane.NORMAL, b"1", SENT)
    seen: list[tuple[bool, bool]] = []
    link: list[BrokerLink] = []

    async def main() -> None:
        taken: asyncio.Queue[Incoming] = asyncio.Queue()
        one = world.link()
        link.append(one)
        mark = names.epoch_exchange("6a0f6f0a-0000-4000-8000-000000000001")

        async def hook() -> None:
            before = await one.mark_stands(mark)
            await one.set_mark(mark)
            await asyncio.sleep(0.2)
            assert taken.empty()
            seen.append((before, await one.mark_stands(mark)))

        one.on_connected = hook
        with pytest.raises(BrokerError):
            await one.mark_stands(mark)
        await one.start(lambda _lane, message: taken.put_nowait(message), {Lane.NORMAL: 1})
        try:
            await asyncio.wait_for(taken.get(), SECONDS)
        finally:
            await one.stop()

    asyncio.run(main())
    assert seen == [(False, True)]


def test_consuming_says_when_all_lanes_are_registered(world: World) -> None:
    async def body(hand: Hand) -> None:
        await until(lambda: hand.link.consuming)
        assert hand.link.connected
        assert not hand.link.blocked

    run(world, body, {Lane.NORMAL: 1, Lane.DUE: 1, Lane.STATUS: 1, Lane.URGENT: 1})


def test_a_link_without_lanes_publishes(world: World) -> None:
    async def body(hand: Hand) -> None:
        assert await hand.link.publish(outgoing()) is Published.CONFIRMED
        assert hand.link.connected
        assert not hand.link.consuming

    run(world, body, {})


def test_the_memory_ladder_is_driven_by_the_clock() -> None:
    world = MemoryWorld(Ground(None, "none").desired(AGENCIES))  # type: ignore[arg-type]
    properties = replace(SENT, headers={names.H_ATTEMPT: "2"})
    assert world.broker.publish("retry", "1m", b"x", properties) is Published.CONFIRMED
    world.clock.time += timedelta(seconds=59)
    assert world.depth("due") == 0
    world.clock.time += timedelta(seconds=1)
    assert world.depth("due") == 1
    assert world.take("due")[1].headers[names.H_ATTEMPT] == "2"
