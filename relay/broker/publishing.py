"""Confirmed publishing: every publish ends, by its own tag, within its own time limit, and no queue stops another.

What the broker says: ``ack``/``nack`` by tag (out of order, several at once), ``return`` without a tag and *before* the
ack. A queue without a leader never answers, and worse: the broker's channel itself waits at its *first* publish to such a
queue, with all that stands behind it and with the confirms of what stands before. So there are lines, one channel each, and
each knows the destinations that it has had a confirm from. Where nothing at all is confirmed on the main line, the oldest
destination new to it becomes a suspect, the line is left to drain, and a new one takes over. Where others go on and one
waits, that one becomes a suspect and nothing else changes. Suspects go over a line of their own until one is confirmed.

A line that nacks what it never confirmed is left for a new one too: in RabbitMQ 3.10 a channel whose first publish to a queue
met a leader that had just died is nacked for that queue for ever, while a new channel finds the new leader. A queue that was
full from the beginning looks the same, so this is done ever more seldom for the same destination.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pika import exceptions

from relay.broker.connection import call, open_channel
from relay.broker.encoding import publish_frames
from relay.broker.wire import Foreign, WireConnection, text
from relay.errors import BrokerError, Code
from relay.model.message import Outgoing, Published
from relay.observe import logs

log = logs.get(__name__)

SWEEP: Final = 0.1  # seconds between two looks for publishes out of time
STALL: Final = 1.0  # seconds without any confirm while one is awaited
LINE_LIMIT: Final = 350  # on one channel: above 400 the broker stops reading the whole connection
SIDE_LIMIT: Final = 32  # to suspects, on their own channel
DRAINING: Final = 4  # lines left to drain at the same time
NACK_RENEW: Final = (
    2.0  # seconds that a line must have lived before a nack ends it; doubled each time for a destination
)
NACK_RENEW_MOST: Final = 60.0
REFUSED_PAUSE: Final = 5.0  # seconds without publishing to an exchange that closed the channel
_EXCHANGE = re.compile(r"exchange '([^']*)'")


@dataclass(frozen=True, slots=True)
class PublishLimits:
    """Bounds of the publish window."""

    count: int = 1000
    bytes: int = 64 * 1024 * 1024  # one message above it is let through alone
    seconds: float = 10.0  # from the call to the outcome
    body: int = 128 * 1024 * 1024  # above what the broker takes: it would close the channel for all


Where = tuple[str, str]  # exchange and routing key


class _Slot:
    """One publish on its way."""

    __slots__ = ("deadline", "future", "message_id", "returned", "sent", "size", "where")

    def __init__(
        self, future: asyncio.Future[Published], message: Outgoing, size: int, deadline: float
    ) -> None:
        self.future = future
        self.message_id = message.message_id
        self.where = (message.exchange, message.routing_key)
        self.size = size
        self.deadline = deadline
        self.sent = 0.0
        self.returned = False

    def end(self, outcome: Published) -> None:
        if not self.future.done():
            self.future.set_result(outcome)


class _Line:
    """One confirming channel: its tags, and what is on its way on it."""

    def __init__(self, on_end: Callable[[_Slot, Published], None], on_progress: Callable[[], None]) -> None:
        self.channel: Foreign = None
        self.open: dict[int, _Slot] = {}
        self.late: dict[int, _Slot] = {}  # out of time, unanswered: a late return must find its own
        self.progress = 0.0  # when the broker last answered anything
        self.answered = 0.0  # when the youngest was sent of those that were answered
        self.opened = asyncio.get_running_loop().time()
        self.proven: set[Where] = set()  # confirmed here: the channel knows the queue's leader
        self.doubtful: set[Where] = set()  # nacked here and never confirmed
        self._tag = 0
        self._on_end = on_end
        self._on_progress = on_progress

    @property
    def unanswered(self) -> int:
        return len(self.open) + len(self.late)

    def usable(self, limit: int) -> bool:
        return self.channel is not None and len(self.open) + len(self.late) < limit

    def stalled(self, now: float) -> bool:
        oldest = next(iter(self.late.values()), None) or next(iter(self.open.values()), None)
        return oldest is not None and now - max(self.progress, oldest.sent) > STALL

    def culprit(self) -> _Slot:
        """Return which of the unanswered may have stopped the line: the first to a destination new to it."""
        waiting = [*self.late.values(), *self.open.values()]
        return next((slot for slot in waiting if slot.where not in self.proven), waiting[0])

    def passed_over(self) -> list[_Slot]:
        """Return what waits while publishes that were sent well after it are answered."""
        return [slot for slot in self.open.values() if slot.sent + STALL < self.answered]

    def send(self, slot: _Slot, message: Outgoing, user: str, now: float) -> bool:
        """Put one publish out; False: nothing went out."""
        channel, connection = self.channel, self.channel.connection
        if not channel.is_open or not connection.is_open:
            return False
        try:
            connection.send_frames(
                publish_frames(channel.channel_number, message, user, connection.params.frame_max)
            )
        except (exceptions.AMQPError, ValueError) as error:
            # Cannot be put into AMQP at all, e.g. a name over 255 octets. Nothing went out.
            logs.event(
                log,
                logging.ERROR,
                "publish-malformed",
                exchange=message.exchange,
                detail=type(error).__name__,
            )
            return False
        slot.sent = now
        self._tag += 1
        self.open[self._tag] = slot
        return True

    def expire(self, now: float) -> list[_Slot]:
        """Move what is out of time aside and return it."""
        expired = [tag for tag, slot in self.open.items() if slot.deadline <= now]
        for tag in expired:
            self.late[tag] = self.open.pop(tag)
        return [self.late[tag] for tag in expired]

    def on_confirm(self, frame: Foreign) -> None:
        method = frame.method
        outcome = Published.CONFIRMED if method.NAME == "Basic.Ack" else Published.NACKED
        tag = method.delivery_tag
        self.progress = asyncio.get_running_loop().time()
        for one in self._up_to(tag) if method.multiple else (tag,):
            slot = self.open.pop(one, None)
            if slot is not None:
                self._learn(slot, outcome)
                self._on_end(slot, Published.RETURNED if slot.returned else outcome)
            else:
                slot = self.late.pop(one, None)
                if slot is not None:
                    self._learn(slot, outcome)
                    self._on_end(slot, outcome)
        self._on_progress()

    def _learn(self, slot: _Slot, outcome: Published) -> None:
        self.answered = max(self.answered, slot.sent)
        if outcome is Published.CONFIRMED:
            if not slot.returned:
                self.proven.add(slot.where)
        elif slot.where not in self.proven:
            self.doubtful.add(slot.where)

    def _up_to(self, tag: int) -> list[int]:
        """Return the unanswered tags up to ``tag``; 0 means all."""
        return sorted(one for slots in (self.late, self.open) for one in slots if not tag or one <= tag)

    def on_return(self, _channel: Foreign, method: Foreign, properties: Foreign, _body: bytes) -> None:
        wanted = (text(properties.message_id), text(method.exchange), text(method.routing_key))
        for slots in (self.late, self.open):  # late ones were published before
            for slot in slots.values():
                if not slot.returned and (slot.message_id, *slot.where) == wanted:
                    slot.returned = True
                    return
        logs.event(log, logging.ERROR, "return-of-nothing-ours", exchange=wanted[1], routing_key=wanted[2])

    def abandon(self) -> None:
        """The channel is gone: what was on its way may be there."""
        self.channel = None
        slots = [*self.open.values(), *self.late.values()]
        self.open.clear()
        self.late.clear()
        for slot in slots:
            self._on_end(slot, Published.UNDECIDED)


class ConfirmedPublisher:
    """Publishes over the lines of one connection; ``attach`` gives it a connection, ``detach`` takes it away."""

    def __init__(self, user: str, limits: PublishLimits | None = None) -> None:
        self.limits = limits or PublishLimits()
        self.blocked = False
        self.waiting_for_room: deque[tuple[_Slot, Outgoing]] = deque()
        self._user = user
        self._timeout = 10.0
        self._connection: WireConnection | None = None
        self._main: _Line | None = None
        self._side: _Line | None = None
        self._draining: list[_Line] = []
        self._suspects: set[Where] = set()
        self._nacks: dict[
            Where, tuple[float, float]
        ] = {}  # not before when a line is left for it, and the pause then
        self._count = 0
        self._bytes = 0
        self._sweeper: asyncio.TimerHandle | None = None
        self._refused: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._opening = asyncio.Lock()

    @property
    def outstanding(self) -> int:
        """How many publishes are on their way."""
        return self._count

    @property
    def waiting(self) -> int:
        """How many publishes wait for room."""
        return len(self.waiting_for_room)

    @property
    def suspects(self) -> int:
        """How many destinations answer nothing while others do."""
        return len(self._suspects)

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
        self._look_for_nacks(now)
        if self._sweeper is None:
            self._sweeper = loop.call_later(SWEEP, self._sweep)
        if self._suspects and slot.where in self._suspects:
            self._send_aside(slot, message, now)
        elif not self.waiting_for_room and self._has_room(size):
            self._send(slot, message, now)
        else:
            self.waiting_for_room.append((slot, message))
        return future

    # --- the window

    def _has_room(self, size: int) -> bool:
        main = self._main
        if main is None or self.blocked or not main.usable(LINE_LIMIT):
            return False
        return self._count == 0 or (
            self._count < self.limits.count and self._bytes + size <= self.limits.bytes
        )

    def _send(self, slot: _Slot, message: Outgoing, now: float) -> None:
        assert self._main is not None
        self._account(slot, sent=self._main.send(slot, message, self._user, now))

    def _send_aside(self, slot: _Slot, message: Outgoing, now: float) -> None:
        side = self._side
        if side is None or self.blocked or not side.usable(SIDE_LIMIT):
            slot.end(Published.UNDECIDED)
        else:
            self._account(slot, sent=side.send(slot, message, self._user, now))

    def _account(self, slot: _Slot, *, sent: bool) -> None:
        if sent:
            self._count += 1
            self._bytes += slot.size
        else:
            slot.end(Published.UNDECIDED)

    def _free(self, slot: _Slot) -> None:
        self._count -= 1
        self._bytes -= slot.size

    def _ended(self, slot: _Slot, outcome: Published) -> None:
        """One publish is answered, or its channel is gone."""
        if slot.deadline:  # else the sweeper has freed it
            self._free(slot)
        if self._suspects and outcome is not Published.UNDECIDED:
            self._suspects.discard(slot.where)  # maybe late, but it answers
        if self._nacks and outcome is Published.CONFIRMED:
            self._nacks.pop(slot.where, None)
        slot.end(outcome)

    def _pump(self) -> None:
        waiting = self.waiting_for_room
        if not waiting:
            return
        now = asyncio.get_running_loop().time()
        while waiting:
            slot, message = waiting[0]
            if slot.future.done():
                waiting.popleft()
            elif self._suspects and slot.where in self._suspects:
                waiting.popleft()
                self._send_aside(slot, message, now)
            elif self._has_room(slot.size):
                waiting.popleft()
                self._send(slot, message, now)
            else:
                return

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        lines = [line for line in (self._main, self._side, *self._draining) if line is not None]
        for line in lines:
            for slot in line.expire(now):
                self._free(slot)
                slot.deadline = 0.0
                slot.end(Published.UNDECIDED)
                _tell(logging.WARNING, "publish-undecided", slot)
        for slot, _ in self.waiting_for_room:
            if slot.deadline <= now:
                slot.end(Published.UNDECIDED)
        self._look_for_stall(now)
        self._look_for_nacks(now)
        for line in [line for line in self._draining if not line.open]:
            # Answered, or out of time as a whole: its place is free for the next one.
            self._draining.remove(line)
            _close(line)
        self._pump()
        busy = self._count or self.waiting_for_room or any(line.unanswered for line in lines)
        self._sweeper = loop.call_later(SWEEP, self._sweep) if busy else None

    def _look_for_stall(self, now: float) -> None:
        """Leave a main line that answers nothing to its suspect, and take a new one."""
        main = self._main
        if main is None or main.channel is None or self.blocked:
            return
        for slot in main.passed_over():
            self._suspect(slot)
        if not main.stalled(now) or len(self._draining) >= DRAINING:  # so many: the whole broker is slow
            return
        self._suspect(main.culprit())
        self._draining.append(main)
        self._main = None
        self._spawn(self._open_lines())

    def _look_for_nacks(self, now: float) -> None:
        """Leave a line that was nacked on: what is on its way there is still answered, the next goes over a new one."""
        for line in (self._main, self._side):
            if line is None or not line.doubtful or now - line.opened < NACK_RENEW:
                continue
            if len(self._draining) >= DRAINING or not self._worth_a_line(line.doubtful, now):
                continue
            self._draining.append(line)
            if line is self._main:
                self._main = None
            else:
                self._side = None
            self._spawn(self._open_lines())

    def _worth_a_line(self, doubtful: set[Where], now: float) -> bool:
        worth = False
        for where in doubtful:
            due, pause = self._nacks.get(where, (0.0, NACK_RENEW))
            if due <= now:
                worth = True
                self._nacks[where] = (now + pause, min(2 * pause, NACK_RENEW_MOST))
        return worth

    def _suspect(self, slot: _Slot) -> None:
        if slot.where not in self._suspects:
            self._suspects.add(slot.where)
            _tell(logging.ERROR, "publish-stalled", slot)

    # --- the channels

    async def attach(self, connection: WireConnection, timeout: float) -> None:
        """Open the lines on ``connection`` and start to publish. Raises ``BrokerError``."""
        self._connection = connection
        self._timeout = timeout
        self.blocked = False
        connection.add_on_connection_blocked_callback(lambda _c, _m: self._set_blocked(True))
        connection.add_on_connection_unblocked_callback(lambda _c, _m: self._set_blocked(False))
        await self._open_lines()

    async def _open_lines(self) -> None:
        connection = self._connection
        if connection is None:
            return
        async with self._opening:
            if self._main is None:
                line = await self._open_line(connection)
                if self._connection is connection and line.channel is not None:
                    self._main = line
            if self._side is None:
                side = await self._open_line(connection)
                if self._connection is connection and side.channel is not None:
                    self._side = side
        self._pump()

    async def _open_line(self, connection: WireConnection) -> _Line:
        line = _Line(self._ended, self._pump)
        channel = await open_channel(connection, lambda error: self._line_closed(line, error), self._timeout)
        channel.add_on_return_callback(line.on_return)
        try:
            await _select_confirms(channel, line.on_confirm, self._timeout)
        except exceptions.ChannelClosed as error:
            raise BrokerError(Code.BROKER_REFUSED, str(error.reply_text)) from error
        line.channel = channel if channel.is_open else None
        return line

    def _line_closed(self, line: _Line, error: BaseException) -> None:
        was_in_use = line in {self._main, self._side}
        if line is self._main:
            self._main = None
        if line is self._side:
            self._side = None
        line.abandon()
        if not was_in_use or self._connection is None or not self._connection.is_open:
            return
        reason = getattr(error, "reply_text", "")
        found = _EXCHANGE.search(reason)
        if found:
            self._refused[found[1]] = asyncio.get_running_loop().time() + REFUSED_PAUSE
        logs.event(
            log,
            logging.ERROR,
            "publish-channel-closed",
            reply_code=getattr(error, "reply_code", 0),
            detail=reason,
        )
        self._spawn(self._open_lines())

    def _spawn(self, work: Foreign) -> None:
        task = asyncio.get_running_loop().create_task(self._or_close(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _or_close(self, work: Foreign) -> None:
        try:
            await work
        except BrokerError:
            connection = self._connection
            if connection is not None and connection.is_open:
                connection.close()

    def _set_blocked(self, blocked: bool) -> None:
        self.blocked = blocked
        logs.event(log, logging.WARNING, "publish-blocked" if blocked else "publish-unblocked")
        if not blocked:
            self._pump()

    def detach(self) -> None:
        """The connection is gone. What waits for room goes on waiting until its limit."""
        self._connection = None
        self.blocked = False
        for task in list(self._tasks):
            task.cancel()
        lines = [line for line in (self._main, self._side, *self._draining) if line is not None]
        self._main = self._side = None
        self._draining = []
        for line in lines:
            line.abandon()

    def close(self) -> None:
        """End all publishes as UNDECIDED, those that wait too."""
        self.detach()
        while self.waiting_for_room:
            self.waiting_for_room.popleft()[0].end(Published.UNDECIDED)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None


async def _select_confirms(channel: Foreign, on_confirm: Foreign, timeout: float) -> None:
    def select(*, callback: Foreign) -> None:
        channel.confirm_delivery(ack_nack_callback=on_confirm, callback=callback)

    await call(select, channel=channel, timeout=timeout)


def _tell(level: int, event: str, slot: _Slot) -> None:
    exchange, key = slot.where
    logs.event(log, level, event, exchange=exchange, routing_key=key)


def _close(line: _Line) -> None:
    try:
        line.channel.close()
    except exceptions.AMQPError:
        pass
    line.channel = None
