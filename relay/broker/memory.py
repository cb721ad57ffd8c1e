"""A broker inside the process, and a link to it: the double of the contract suite, with the faults tests ask for."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from relay.broker import names
from relay.broker.publishing import PublishLimits
from relay.broker.topology import Desired
from relay.errors import BrokerError, Code
from relay.model.message import Incoming, Lane, Outgoing, Properties, Published
from relay.model.ports import Clock

TICK: Final = 0.02  # seconds of the real clock between two looks at what has expired


@dataclass(frozen=True, slots=True)
class Stored:
    """A message in a queue."""

    exchange: str
    routing_key: str
    properties: Properties
    body: bytes
    deliveries: int = 0
    since: datetime | None = None


@dataclass(slots=True)
class MemoryQueue:
    """A queue with the limits that its policy gives."""

    name: str
    max_length: int | None = None
    max_bytes: int | None = None
    ttl_ms: int | None = None
    dead_letter: str | None = None  # exchange
    dead_letter_key: str | None = None
    delivery_limit: int | None = None
    stuck: bool = False  # without a leader: never confirms, never delivers
    ready: deque[Stored] = field(default_factory=deque)

    def full(self, size: int) -> bool:
        """Whether one more message of that size is refused."""
        if self.max_length is not None and len(self.ready) >= self.max_length:
            return True
        held = sum(len(one.body) for one in self.ready)
        return self.max_bytes is not None and held + size > self.max_bytes


class _Consumer:
    def __init__(self, link: MemoryLink, lane: Lane, queue: str, prefetch: int, session: int) -> None:
        self.link = link
        self.lane = lane
        self.queue = queue
        self.prefetch = prefetch
        self.session = session
        self.active = True
        self.next_tag = 0
        self.unacked: dict[int, Stored] = {}


class MemoryBroker:
    """Exchanges, queues and bindings in memory; time comes from the clock."""

    def __init__(self, clock: Clock) -> None:
        self.queues: dict[str, MemoryQueue] = {}
        self.exchanges: dict[str, str] = {"": "direct"}
        self.bindings: set[tuple[str, str, str]] = set()  # exchange, key, queue
        self.blocked = False
        self.running = True
        self._clock = clock
        self._consumers: list[_Consumer] = []
        self._links: list[MemoryLink] = []

    @classmethod
    def of(cls, desired: Desired, clock: Clock) -> MemoryBroker:
        """Build a broker with a desired topology."""
        broker = cls(clock)
        for name, kind in desired.exchanges.items():
            broker.declare_exchange(name, kind)
        for name in desired.queues:
            policy: Mapping[str, Any] = next(
                (one.definition for one in desired.policies if re.search(one.pattern, name)), {}
            )
            broker.queues[name] = MemoryQueue(
                name,
                max_bytes=policy.get("max-length-bytes"),
                ttl_ms=policy.get("message-ttl"),
                dead_letter=policy.get("dead-letter-exchange"),
                dead_letter_key=policy.get("dead-letter-routing-key"),
                delivery_limit=policy.get("delivery-limit"),
            )
        for one in desired.bindings:
            broker.bind(one.exchange, one.key, one.queue)
        return broker

    # --- topology

    def declare_exchange(self, name: str, kind: str) -> None:
        """Make an exchange: direct, topic or fanout."""
        self.exchanges[name] = kind

    def declare_queue(self, name: str) -> MemoryQueue:
        """Make a queue, or return the one there is."""
        return self.queues.setdefault(name, MemoryQueue(name))

    def bind(self, exchange: str, key: str, queue: str) -> None:
        """Bind a queue."""
        self.bindings.add((exchange, key, queue))

    def delete_queue(self, name: str) -> None:
        """Delete a queue with what is in it; its consumers are cancelled."""
        self.queues.pop(name, None)
        self.bindings = {one for one in self.bindings if one[2] != name}
        self._consumers = [one for one in self._consumers if one.queue != name]

    def route(self, exchange: str, key: str) -> list[str]:
        """Return the queues that a publish reaches."""
        kind = self.exchanges[exchange]
        if not exchange:
            return [key] if key in self.queues else []
        return sorted(
            {
                queue
                for source, pattern, queue in self.bindings
                if source == exchange and queue in self.queues and _matches(kind, pattern, key)
            }
        )

    # --- messages

    def publish(self, exchange: str, key: str, body: bytes, properties: Properties) -> Published | None:
        """Put a message, mandatory. None: a queue without a leader, there will be no answer."""
        if exchange not in self.exchanges:
            return Published.UNDECIDED
        found = self.route(exchange, key)
        if not found:
            return Published.RETURNED
        outcome: Published | None = Published.CONFIRMED
        for name in found:
            queue = self.queues[name]
            if queue.stuck:
                outcome = None
            elif queue.full(len(body)):
                outcome = Published.NACKED if outcome is not None else None
            else:
                queue.ready.append(Stored(exchange, key, properties, body, since=self._clock.now()))
        self.pump()
        return outcome

    def get(self, queue: str) -> Stored | None:
        """Take one message for good, or None."""
        self.tick()
        ready = self.queues[queue].ready
        return ready.popleft() if ready else None

    def depth(self, queue: str) -> int:
        """Return how many messages are ready."""
        self.tick()
        return len(self.queues[queue].ready)

    def tick(self) -> None:
        """Dead-letter what has expired by the clock."""
        now = self._clock.now()
        for queue in list(self.queues.values()):
            while queue.ttl_ms is not None and queue.ready:
                since = queue.ready[0].since or now
                if (now - since).total_seconds() * 1000 < queue.ttl_ms:
                    break
                self._dead_letter(queue, queue.ready.popleft())
        self.pump()

    def _dead_letter(self, queue: MemoryQueue, message: Stored) -> None:
        if queue.dead_letter is None:
            return
        key = queue.dead_letter_key if queue.dead_letter_key is not None else message.routing_key
        for name in self.route(queue.dead_letter, key):
            # At least once: a full target takes it later; here it takes it at once.
            copy = replace(
                message, exchange=queue.dead_letter, routing_key=key, deliveries=0, since=self._clock.now()
            )
            self.queues[name].ready.append(copy)

    # --- consumers

    def attach(self, link: MemoryLink) -> None:
        """Note a link, so that ``crash`` reaches it."""
        if link not in self._links:
            self._links.append(link)

    def consume(self, consumer: _Consumer) -> None:
        """Register a consumer."""
        self._consumers.append(consumer)
        self.pump()

    def drop(self, consumers: Iterable[_Consumer]) -> None:
        """End consumers; what they had goes back, one delivery older."""
        gone = list(consumers)
        self._consumers = [one for one in self._consumers if one not in gone]
        for one in gone:
            for tag in sorted(one.unacked, reverse=True):
                self._give_back(one.queue, one.unacked.pop(tag))
        self.pump()

    def settle(self, consumer: _Consumer, tag: int, *, ack: bool) -> None:
        """End one delivery."""
        message = consumer.unacked.pop(tag, None)
        if message is not None and not ack:
            self._give_back(consumer.queue, message)
        self.pump()

    def _give_back(self, name: str, message: Stored) -> None:
        queue = self.queues.get(name)
        if queue is None:
            return
        again = replace(message, deliveries=message.deliveries + 1)
        if queue.delivery_limit is not None and again.deliveries > queue.delivery_limit:
            self._dead_letter(queue, again)
        else:
            queue.ready.appendleft(again)

    def pump(self) -> None:
        """Hand out what consumers have room for."""
        for consumer in self._consumers:
            queue = self.queues.get(consumer.queue)
            while (
                queue is not None
                and not queue.stuck
                and consumer.active
                and queue.ready
                and len(consumer.unacked) < consumer.prefetch
            ):
                message = queue.ready.popleft()
                consumer.next_tag += 1
                consumer.unacked[consumer.next_tag] = message
                consumer.link.hand_over(consumer, consumer.next_tag, message)

    # --- faults

    def crash(self) -> None:
        """End every connection; messages stay. ``running`` False keeps links away."""
        for link in self._links:
            link.lose()


def _matches(kind: str, pattern: str, key: str) -> bool:
    if kind == "fanout":
        return True
    if kind == "direct":
        return pattern == key
    return _topic(pattern.split("."), key.split("."))


def _topic(pattern: Sequence[str], words: Sequence[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_topic(pattern[1:], words[skip:]) for skip in range(len(words) + 1))
    return bool(words) and pattern[0] in {"*", words[0]} and _topic(pattern[1:], words[1:])


class MemoryLink:
    """The port ``BrokerLink`` on a ``MemoryBroker``."""

    def __init__(
        self, broker: MemoryBroker, user: str = "relay", limits: PublishLimits | None = None
    ) -> None:
        self.on_connected: Callable[[], Awaitable[None]] | None = None
        self._broker = broker
        self._user = user
        self._limits = limits or PublishLimits()
        self._consumers: list[_Consumer] = []
        self._on_message: Callable[[Lane, Incoming], None] = lambda _lane, _message: None
        self._prefetch: dict[Lane, int] = {}
        self._session = 0
        self._taking = True
        self._paused = False
        self._up = asyncio.Event()
        self._gone = asyncio.Event()
        self._attached = False
        self._supervisor: asyncio.Task[None] | None = None
        self._pending: set[asyncio.Future[Published]] = set()

    async def start(self, on_message: Callable[[Lane, Incoming], None], prefetch: dict[Lane, int]) -> None:
        """Begin to connect; see the port."""
        self._on_message = on_message
        self._prefetch = dict(prefetch)
        self._broker.attach(self)
        self._supervisor = asyncio.get_running_loop().create_task(self._supervise())

    async def stop(self) -> None:
        """Close; what is in hand goes back."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.wait([supervisor])
        self.lose()

    async def cancel(self) -> None:
        """Stop taking."""
        self._taking = False
        for consumer in self._consumers:
            consumer.active = False

    async def pause(self) -> None:
        """Take nothing more until ``resume``."""
        self._paused = True
        for consumer in self._consumers:
            consumer.active = False

    async def give_back(self) -> None:
        """While paused: give back whatever is in hand."""
        if self._paused:
            consumers, self._consumers = self._consumers, []
            self._broker.drop(consumers)

    async def resume(self) -> None:
        """Take again."""
        self._paused = False
        for consumer in self._consumers:
            consumer.active = self._taking
        self._broker.pump()

    async def renew(self) -> None:
        """Connect anew."""
        self.lose()

    async def wait_connected(self) -> None:
        """Return once connected."""
        await self._up.wait()

    def lose(self) -> None:
        """The connections end."""
        self._up.clear()
        self._attached = False
        consumers, self._consumers = self._consumers, []
        for future in list(self._pending):
            if not future.done():
                future.set_result(Published.UNDECIDED)
        self._broker.drop(consumers)
        self._gone.set()

    async def _supervise(self) -> None:
        while True:
            if self._broker.running:
                self._gone.clear()
                self._attached = True
                if self.on_connected is not None:
                    await self.on_connected()
                if self._taking and not self._paused:
                    self._register()
                self._up.set()
                while not self._gone.is_set():
                    self._broker.tick()
                    self._renew_cancelled()
                    await asyncio.sleep(TICK)
            await asyncio.sleep(TICK)

    def _register(self) -> None:
        for lane, prefetch in self._prefetch.items():
            self._add(lane, prefetch)

    def _add(self, lane: Lane, prefetch: int) -> None:
        queue = names.lane_queue(lane)
        if queue not in self._broker.queues:
            return
        self._session += 1
        consumer = _Consumer(self, lane, queue, prefetch, self._session)
        self._consumers.append(consumer)
        self._broker.consume(consumer)

    def _renew_cancelled(self) -> None:
        if not self._taking or self._paused:
            return
        self._consumers = [one for one in self._consumers if one.queue in self._broker.queues]
        there = {one.lane for one in self._consumers}
        for lane, prefetch in self._prefetch.items():
            if lane not in there:
                self._add(lane, prefetch)

    def hand_over(self, consumer: _Consumer, tag: int, message: Stored) -> None:
        """Called by the broker: one delivery."""
        headers: dict[str, object] = {
            **message.properties.headers,
            names.H_DELIVERY_COUNT: message.deliveries,
        }
        handed = Incoming(
            queue=consumer.queue,
            exchange=message.exchange,
            routing_key=message.routing_key,
            properties=replace(message.properties, headers=headers),
            body=message.body,
            redelivered=message.deliveries > 0,
            delivery_count=message.deliveries,
            tag=tag,
            session=consumer.session,
        )

        def deliver() -> None:
            if tag in consumer.unacked:
                self._on_message(consumer.lane, handed)

        asyncio.get_running_loop().call_soon(deliver)

    @property
    def connected(self) -> bool:
        """Whether the link is up."""
        return self._up.is_set()

    @property
    def consuming(self) -> bool:
        """Whether all lanes have a consumer."""
        lanes = {one.lane for one in self._consumers if one.active and one.queue in self._broker.queues}
        return bool(self._prefetch) and lanes == set(self._prefetch)

    @property
    def blocked(self) -> bool:
        """Whether an alarm is in force."""
        return self._broker.blocked

    def current(self, message: Incoming) -> bool:
        """Whether the message's session lives."""
        return any(one.session == message.session for one in self._consumers)

    async def publish(self, message: Outgoing) -> Published:
        """Publish; see the port."""
        return await self.submit(message)

    def submit(self, message: Outgoing) -> asyncio.Future[Published]:
        """Publish as soon as there is room; a plain future with the outcome."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Published] = loop.create_future()
        self._try(message, future, loop.time() + self._limits.seconds)
        return future

    def _try(self, message: Outgoing, future: asyncio.Future[Published], end: float) -> None:
        loop = asyncio.get_running_loop()
        if future.done():
            return
        if not self._attached or self._broker.blocked or len(self._pending) >= self._limits.count:
            if loop.time() >= end:
                future.set_result(Published.UNDECIDED)
            else:
                loop.call_later(0.005, self._try, message, future, end)
            return
        outcome = self._broker.publish(
            message.exchange, message.routing_key, message.body, _properties(message, self._user)
        )
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        if outcome is None:
            loop.call_later(max(end - loop.time(), 0), _decide, future, Published.UNDECIDED)
        else:
            loop.call_soon(_decide, future, outcome)

    async def publish_many(self, messages: Sequence[Outgoing]) -> list[Published]:
        """Publish several; outcomes in order."""
        return list(await asyncio.gather(*(self.publish(message) for message in messages)))

    def ack(self, message: Incoming) -> None:
        """Acknowledge."""
        self._settle(message, ack=True)

    def requeue(self, message: Incoming) -> None:
        """Give back."""
        self._settle(message, ack=False)

    def _settle(self, message: Incoming, *, ack: bool) -> None:
        for consumer in self._consumers:
            if consumer.session == message.session:
                self._broker.settle(consumer, message.tag, ack=ack)
                return

    async def mark_stands(self, mark: str) -> bool:
        """Whether the mark's exchange exists."""
        if not self._attached:
            raise BrokerError(Code.BROKER_UNREACHABLE, "not connected")
        return mark in self._broker.exchanges

    async def set_mark(self, mark: str) -> None:
        """Declare the mark."""
        if not self._attached:
            raise BrokerError(Code.BROKER_UNREACHABLE, "not connected")
        self._broker.declare_exchange(mark, "fanout")


def _decide(future: asyncio.Future[Published], outcome: Published) -> None:
    if not future.done():
        future.set_result(outcome)


def _properties(message: Outgoing, user: str) -> Properties:
    return Properties(
        message_id=message.message_id,
        type=message.type,
        content_type=message.content_type,
        correlation_id=message.correlation_id,
        user_id=user if message.as_self else None,
        delivery_mode=2,
        priority=message.priority,
        timestamp=None if message.timestamp is None else int(message.timestamp.timestamp()),
        headers=dict(message.headers),
    )
