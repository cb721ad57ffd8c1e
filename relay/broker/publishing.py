"""Confirmed publishing on one channel: every publish ends, by its own tag, within its own time limit.

What the broker says: ``ack``/``nack`` by tag (out of order, several at once), ``return`` without a tag and *before* the
ack. A queue without a leader never answers; its publish ends UNDECIDED at the limit and frees its room, so that the
others go on.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pika import exceptions

from relay.broker.connection import call, open_channel
from relay.broker.encoding import publish_frames
from relay.broker.wire import Foreign, WireConnection, text
from relay.errors import BrokerError, Code
from relay.model.message import Outgoing, Published

log = logging.getLogger(__name__)

SWEEP: Final = 0.1  # seconds between two looks for publishes out of time
LATE_LIMIT: Final = 20_000  # tags out of time that are remembered, so that a late return finds its own
REFUSED_PAUSE: Final = 5.0  # seconds without publishing to an exchange that closed the channel
_EXCHANGE = re.compile(r"exchange '([^']*)'")


@dataclass(frozen=True, slots=True)
class PublishLimits:
    """Bounds of the publish window."""

    count: int = 1000
    bytes: int = 64 * 1024 * 1024  # one message above it is let through alone
    seconds: float = 10.0  # from the call to the outcome
    body: int = 128 * 1024 * 1024  # above what the broker takes: it would close the channel for all


class _Slot:
    """One publish on its way."""

    __slots__ = ("deadline", "exchange", "future", "key", "message_id", "returned", "size")

    def __init__(
        self, future: asyncio.Future[Published], message: Outgoing, size: int, deadline: float
    ) -> None:
        self.future = future
        self.message_id = message.message_id
        self.exchange = message.exchange
        self.key = message.routing_key
        self.size = size
        self.deadline = deadline
        self.returned = False


class ConfirmedPublisher:
    """Publishes over one channel at a time; ``attach`` gives it a connection, ``detach`` takes it away."""

    def __init__(self, user: str, limits: PublishLimits | None = None) -> None:
        self.limits = limits or PublishLimits()
        self.blocked = False
        self._user = user
        self._connection: WireConnection | None = None
        self._channel: Foreign = None
        self._tag = 0
        self._open: dict[int, _Slot] = {}
        self._late: dict[int, _Slot] = {}
        self._bytes = 0
        self._waiting: deque[tuple[_Slot, Outgoing]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._refused: dict[str, float] = {}
        self._reopening: asyncio.Task[None] | None = None

    @property
    def outstanding(self) -> int:
        """How many publishes are on their way."""
        return len(self._open)

    @property
    def waiting(self) -> int:
        """How many publishes wait for room."""
        return len(self._waiting)

    async def publish(self, message: Outgoing) -> Published:
        """Publish one message, mandatory and persistent; see the port."""
        return await self.submit(message)

    async def publish_many(self, messages: Sequence[Outgoing]) -> list[Published]:
        """Publish several at once, without a task for each; outcomes in order."""
        futures = [self.submit(message) for message in messages]
        return [await future for future in futures]

    def submit(self, message: Outgoing) -> asyncio.Future[Published]:
        """Publish as soon as there is room; the future holds the outcome and never an exception.

        A future that is cancelled leaves the message on its way: its outcome is unknown to the caller only.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Published] = loop.create_future()
        size = len(message.body)
        now = loop.time()
        if size > self.limits.body or self._refused.get(message.exchange, 0.0) > now:
            future.set_result(Published.UNDECIDED)
            return future
        slot = _Slot(future, message, size, now + self.limits.seconds)
        if self._sweeper is None:
            self._sweeper = loop.call_later(SWEEP, self._sweep)
        if not self._waiting and self._has_room(size):
            self._send(slot, message)
        else:
            self._waiting.append((slot, message))
        return future

    # --- the window

    def _has_room(self, size: int) -> bool:
        if self._channel is None or self.blocked:
            return False
        if not self._open:
            return True
        return len(self._open) < self.limits.count and self._bytes + size <= self.limits.bytes

    def _send(self, slot: _Slot, message: Outgoing) -> None:
        channel, connection = self._channel, self._connection
        if connection is None or not channel.is_open or not connection.is_open:
            _end(slot, Published.UNDECIDED)
            return
        try:
            connection.send_frames(
                publish_frames(channel.channel_number, message, self._user, connection.params.frame_max)
            )
        except (exceptions.AMQPError, ValueError) as error:
            # Cannot be put into AMQP at all, e.g. a name over 255 octets. Nothing went out.
            log.error(
                "publish-malformed", extra={"exchange": message.exchange, "reason": type(error).__name__}
            )
            _end(slot, Published.UNDECIDED)
            return
        self._tag += 1
        self._open[self._tag] = slot
        self._bytes += slot.size

    def _pump(self) -> None:
        waiting = self._waiting
        while waiting and (waiting[0][0].future.done() or self._has_room(waiting[0][0].size)):
            slot, message = waiting.popleft()
            if not slot.future.done():
                self._send(slot, message)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        expired = [tag for tag, slot in self._open.items() if slot.deadline <= now]
        for tag in expired:
            slot = self._open.pop(tag)
            self._bytes -= slot.size
            self._late[tag] = slot
            _end(slot, Published.UNDECIDED)
            log.warning("publish-undecided", extra={"exchange": slot.exchange, "routing_key": slot.key})
        for slot, _ in self._waiting:
            if slot.deadline <= now:
                _end(slot, Published.UNDECIDED)
        if len(self._late) > LATE_LIMIT and self._channel is not None:
            self._late.clear()
            self._channel.close()
        self._pump()
        idle = not self._open and not self._waiting
        self._sweeper = None if idle else loop.call_later(SWEEP, self._sweep)

    # --- what the broker says

    def _on_confirm(self, frame: Foreign) -> None:
        method = frame.method
        outcome = Published.CONFIRMED if method.NAME == "Basic.Ack" else Published.NACKED
        tag = method.delivery_tag
        if method.multiple:
            for one in _up_to(self._open, tag):
                self._confirmed(self._open.pop(one), outcome)
            for one in _up_to(self._late, tag):
                del self._late[one]
        else:
            slot = self._open.pop(tag, None)
            if slot is None:
                self._late.pop(tag, None)
                return
            self._confirmed(slot, outcome)
        if self._waiting:
            self._pump()

    def _confirmed(self, slot: _Slot, outcome: Published) -> None:
        self._bytes -= slot.size
        _end(slot, Published.RETURNED if slot.returned else outcome)

    def _on_return(self, _channel: Foreign, method: Foreign, properties: Foreign, _body: bytes) -> None:
        wanted = (text(properties.message_id), text(method.exchange), text(method.routing_key))
        for slots in (self._late, self._open):  # late ones were published before
            for slot in slots.values():
                if not slot.returned and (slot.message_id, slot.exchange, slot.key) == wanted:
                    slot.returned = True
                    return
        log.error("return-of-nothing-ours", extra={"exchange": wanted[1], "routing_key": wanted[2]})

    # --- the channel

    async def attach(self, connection: WireConnection, timeout: float) -> None:
        """Open a confirming channel on ``connection`` and start to publish. Raises ``BrokerError``."""
        self._connection = connection
        self.blocked = False
        connection.add_on_connection_blocked_callback(lambda _c, _m: self._set_blocked(True))
        connection.add_on_connection_unblocked_callback(lambda _c, _m: self._set_blocked(False))
        await self._open_channel(timeout)

    async def _open_channel(self, timeout: float) -> None:
        connection = self._connection
        if connection is None:
            return
        opened: list[Foreign] = []

        def closed(error: BaseException) -> None:
            if opened and self._channel is opened[0]:
                self._channel_closed(error, timeout)

        channel = await open_channel(connection, closed, timeout)
        channel.add_on_return_callback(self._on_return)
        try:
            await _select_confirms(channel, self._on_confirm, timeout)
        except exceptions.ChannelClosed as error:
            raise BrokerError(Code.BROKER_REFUSED, str(error.reply_text)) from error
        if channel.is_open and self._connection is connection:
            opened.append(channel)
            self._tag = 0
            self._channel = channel
            self._pump()

    def _channel_closed(self, error: BaseException, timeout: float) -> None:
        self._channel = None
        self._abandon()
        if self._connection is None or not self._connection.is_open:
            return
        reason = getattr(error, "reply_text", "")
        found = _EXCHANGE.search(reason)
        if found:
            self._refused[found[1]] = asyncio.get_running_loop().time() + REFUSED_PAUSE
        log.error("publish-channel-closed", extra={"code": getattr(error, "reply_code", 0), "reason": reason})
        self._reopening = asyncio.get_running_loop().create_task(self._reopen(timeout))

    async def _reopen(self, timeout: float) -> None:
        try:
            await self._open_channel(timeout)
        except BrokerError:
            connection = self._connection
            if connection is not None and connection.is_open:
                connection.close()

    def _set_blocked(self, blocked: bool) -> None:
        self.blocked = blocked
        log.warning("publish-blocked" if blocked else "publish-unblocked")
        if not blocked:
            self._pump()

    def _abandon(self) -> None:
        """Whatever was on its way is undecided: it may be there."""
        slots = list(self._open.values())
        self._open.clear()
        self._late.clear()
        self._bytes = 0
        for slot in slots:
            _end(slot, Published.UNDECIDED)

    def detach(self) -> None:
        """The connection is gone. What waits for room goes on waiting until its limit."""
        self._connection = None
        self._channel = None
        self.blocked = False
        if self._reopening is not None:
            self._reopening.cancel()
            self._reopening = None
        self._abandon()

    def close(self) -> None:
        """End all publishes as UNDECIDED, those that wait too."""
        self.detach()
        while self._waiting:
            _end(self._waiting.popleft()[0], Published.UNDECIDED)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None


async def _select_confirms(channel: Foreign, on_confirm: Foreign, timeout: float) -> None:
    def select(*, callback: Foreign) -> None:
        channel.confirm_delivery(ack_nack_callback=on_confirm, callback=callback)

    await call(select, channel=channel, timeout=timeout)


def _up_to(slots: dict[int, _Slot], tag: int) -> list[int]:
    """Return the tags up to ``tag``; tags stand in a dict in the order of publishing. 0 means all."""
    found = []
    for one in slots:
        if tag and one > tag:
            break
        found.append(one)
    return found


def _end(slot: _Slot, outcome: Published) -> None:
    if not slot.future.done():
        slot.future.set_result(outcome)
