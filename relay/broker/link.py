"""The relay's link to the broker: one connection that publishes, one that consumes, both made anew when one ends.

Two, because an alarm stops the broker from reading a connection that has published, acknowledgements included. One
life for both, because what was taken over a connection that is gone will come again anyhow: nothing is lost by
dropping the other, and a half-open pair is one state less.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pika import exceptions

from relay.broker.connection import Endpoint, call, close_quietly, open_channel, open_connection
from relay.broker.consuming import LaneConsumer
from relay.broker.publishing import ConfirmedPublisher, PublishLimits
from relay.broker.versions import Behaviour, behaviour, version_of
from relay.broker.wire import WireConnection
from relay.errors import BrokerError, Code, TrucError
from relay.model.message import Incoming, Lane, Outgoing, Published
from relay.observe import logs
from relay.observe.metrics import Incident

log = logs.get(__name__)

STEADY: Final = 30.0  # seconds a connection must last before the back-off starts at the bottom again


@dataclass(frozen=True, slots=True)
class LinkTimes:
    """Time limits and back-off, in seconds."""

    connect: float = 15.0
    answer: float = 10.0  # of one synchronous method, `basic.consume` included
    first_pause: float = 0.25
    longest_pause: float = 20.0
    refused_pause: float = 15.0  # after 403 or 530: a person has to act, hammering does not help
    close: float = 5.0


class AmqpLink:
    """Implements the port ``BrokerLink`` over RabbitMQ.

    ``jitter`` gives numbers in [0, 1). ``on_incident`` hears what an operator should count: ``lost``, ``refused``,
    ``hook-failed``.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        name: str,
        jitter: Callable[[], float],
        limits: PublishLimits | None = None,
        times: LinkTimes | None = None,
        on_incident: Callable[[Incident], None] | None = None,
    ) -> None:
        self.on_connected: Callable[[], Awaitable[None]] | None = None
        self._endpoint = endpoint
        self._name = name
        self._jitter = jitter
        self._times = times or LinkTimes()
        self._incident = on_incident or (lambda _what: None)
        self._publisher = ConfirmedPublisher(endpoint.user, limits)
        self._on_message: Callable[[Lane, Incoming], None] = lambda _lane, _message: None
        self._prefetch: dict[Lane, int] = {}
        self._consumers: tuple[LaneConsumer, ...] = ()
        self._by_session: dict[int, LaneConsumer] = {}
        self._session = 0
        self._publishing: WireConnection | None = None
        self._taking = True
        self._paused = False
        self._up = asyncio.Event()
        self._gone = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None
        self._behaviour: Behaviour | None = None

    # --- life

    async def start(self, on_message: Callable[[Lane, Incoming], None], prefetch: dict[Lane, int]) -> None:
        """Begin to connect and return; ``wait_connected`` waits. Reconnects until ``stop``.

        ``on_message`` is called in the loop and must not block. ``prefetch`` names the lanes to take; none: publish only.
        """
        if self._supervisor is not None:
            raise RuntimeError("started already")
        self._on_message = on_message
        self._prefetch = dict(prefetch)
        self._supervisor = asyncio.get_running_loop().create_task(self._supervise())

    async def stop(self) -> None:
        """Close both connections; whatever is on its way ends UNDECIDED, what is in hand goes back to its queue."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await supervisor
        self._publisher.close()

    async def cancel(self) -> None:
        """Stop taking; what is in hand may still be settled."""
        self._taking = False
        await asyncio.gather(*(consumer.cancel() for consumer in self._consumers))

    async def pause(self) -> None:
        """Take nothing more until ``resume``, over new connections too; what is in hand may still be settled."""
        self._paused = True
        await asyncio.gather(*(consumer.pause() for consumer in self._consumers))

    async def give_back(self) -> None:
        """While paused: give back whatever is in hand. Its session is gone then."""
        for consumer in self._consumers:
            consumer.give_back()

    async def resume(self) -> None:
        """Take again after ``pause``."""
        self._paused = False
        await asyncio.gather(*(consumer.resume() for consumer in self._consumers))

    async def renew(self) -> None:
        """Drop both connections and connect anew."""
        self._up.clear()
        self._gone.set()

    async def wait_connected(self) -> None:
        """Return once both connections are up and ``on_connected`` has returned."""
        await self._up.wait()

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began = loop.time()
            refused = False
            try:
                await self._session_once()
                self._incident("lost")
                logs.event(log, logging.WARNING, "broker-lost", connection=self._name)
            except TrucError as error:
                refused = error.code is Code.BROKER_REFUSED
                self._incident("refused" if refused else "lost")
                logs.event(
                    log,
                    logging.ERROR,
                    "broker-unusable",
                    connection=self._name,
                    code=error.code.value,
                    detail=error.detail or None,
                )
            except exceptions.AMQPError as error:
                self._incident("lost")
                logs.event(
                    log, logging.ERROR, "broker-unusable", connection=self._name, detail=type(error).__name__
                )
            except Exception as fault:  # noqa: BLE001
                # A hook of ours failed: said loudly, tried again; the process stays.
                self._incident("hook-failed")
                logs.event(log, logging.ERROR, "link-failed", exc=fault, connection=self._name)
            failures = 0 if loop.time() - began > STEADY else failures + 1
            await asyncio.sleep(self._pause(failures, refused=refused))

    def _pause(self, failures: int, *, refused: bool) -> float:
        times = self._times
        longest = times.refused_pause if refused else times.first_pause * 2 ** min(failures, 16)
        return min(longest, max(times.longest_pause, times.refused_pause)) * (0.5 + self._jitter() / 2)

    async def _session_once(self) -> None:
        """Both connections from opening to the end of one of them."""
        self._gone.clear()
        times = self._times
        publishing = consuming = None
        tasks: list[asyncio.Task[None]] = []
        try:
            publishing = await open_connection(
                self._endpoint, f"{self._name} publish", self._ended, times.connect
            )
            self._publishing = publishing
            self._behaviour = behaviour(version_of(publishing.server_properties))
            if self.on_connected is not None:
                await self.on_connected()
            await self._publisher.attach(publishing, times.answer)
            if self._prefetch and self._taking:
                consuming = await open_connection(
                    self._endpoint, f"{self._name} consume", self._ended, times.connect
                )
                tasks = self._consume(consuming)
            if not self._gone.is_set():
                self._up.set()
            await self._gone.wait()
        finally:
            self._up.clear()
            self._publishing = None
            self._publisher.detach()
            for task in tasks:
                task.cancel()
            self._consumers = ()
            self._by_session.clear()
            await _close_all([one for one in (consuming, publishing) if one is not None], times.close)

    def _consume(self, connection: WireConnection) -> list[asyncio.Task[None]]:
        self._consumers = tuple(
            LaneConsumer(
                lane, prefetch, self._on_message, self._new_session, self._times.answer, paused=self._paused
            )
            for lane, prefetch in self._prefetch.items()
        )
        loop = asyncio.get_running_loop()
        return [loop.create_task(consumer.run(connection)) for consumer in self._consumers]

    def _new_session(self) -> int:
        self._session += 1
        return self._session

    def _ended(self, _error: BaseException) -> None:
        self._up.clear()
        self._gone.set()

    # --- state

    @property
    def connected(self) -> bool:
        """Whether both connections are up."""
        return self._up.is_set()

    @property
    def consuming(self) -> bool:
        """Whether the consumers of all lanes are registered."""
        return bool(self._consumers) and all(consumer.registered for consumer in self._consumers)

    @property
    def blocked(self) -> bool:
        """Whether the broker has blocked the publishing connection (memory or disk alarm)."""
        return self._publisher.blocked

    @property
    def behaviour(self) -> Behaviour | None:
        """What the connected broker's version does; None before the first connection."""
        return self._behaviour

    @property
    def outstanding(self) -> int:
        """Publishes on their way or waiting for room."""
        return self._publisher.outstanding + self._publisher.waiting

    @property
    def suspects(self) -> int:
        """Destinations that answer no publish although the broker answers others."""
        return self._publisher.suspects

    # --- messages

    async def publish(self, message: Outgoing) -> Published:
        """Publish one message; see the port."""
        return await self._publisher.submit(message)

    async def publish_many(self, messages: Sequence[Outgoing]) -> list[Published]:
        """Publish several without a task for each; outcomes in order."""
        return await self._publisher.publish_many(messages)

    def submit(self, message: Outgoing) -> asyncio.Future[Published]:
        """Publish as soon as there is room; the cheapest form, a plain future."""
        return self._publisher.submit(message)

    def ack(self, message: Incoming) -> None:
        """Acknowledge one message; ignored if its session is gone."""
        self._settle(message, ack=True)

    def requeue(self, message: Incoming) -> None:
        """Give one message back untouched; ignored if its session is gone."""
        self._settle(message, ack=False)

    def current(self, message: Incoming) -> bool:
        """Whether the session that delivered the message still lives."""
        return any(consumer.holds(message) for consumer in self._consumers)

    def _settle(self, message: Incoming, *, ack: bool) -> None:
        for consumer in self._consumers:
            if consumer.session == message.session:
                consumer.settle(message, ack=ack)
                return

    # --- marks

    async def mark_stands(self, mark: str) -> bool:
        """Whether the exchange of that name exists. Raises ``BrokerError`` when the broker cannot be asked."""
        try:
            await self._declare_mark(mark, passive=True)
        except exceptions.ChannelClosedByBroker as error:
            if error.reply_code == 404:
                return False
            raise BrokerError(Code.BROKER_REFUSED, "the mark cannot be looked up") from error
        return True

    async def set_mark(self, mark: str) -> None:
        """Declare the mark, a durable fanout exchange that nothing is bound to. Raises ``BrokerError``."""
        try:
            await self._declare_mark(mark, passive=False)
        except exceptions.ChannelClosedByBroker as error:
            raise BrokerError(Code.BROKER_REFUSED, "the mark cannot be declared") from error

    async def _declare_mark(self, mark: str, *, passive: bool) -> None:
        connection = self._publishing
        if connection is None or not connection.is_open:
            raise BrokerError(Code.BROKER_UNREACHABLE, "not connected")
        timeout = self._times.answer
        # A channel to throw away: a 404 closes it.
        channel = await open_channel(connection, lambda _error: None, timeout)
        try:
            await call(
                channel.exchange_declare,
                mark,
                "fanout",
                channel=channel,
                timeout=timeout,
                passive=passive,
                durable=True,
            )
        finally:
            if channel.is_open:
                channel.close()


async def _close_all(connections: list[Any], timeout: float) -> None:
    """Close and wait a little, so that what is in hand is back in its queue when this returns."""
    for connection in connections:
        close_quietly(connection)
    end = asyncio.get_running_loop().time() + timeout
    while any(not connection.is_closed for connection in connections):
        if asyncio.get_running_loop().time() > end:
            logs.event(log, logging.WARNING, "connection-does-not-close")
            return
        await asyncio.sleep(0.01)
