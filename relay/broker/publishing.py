"""Confirmed publishing: every publish ends, by its own tag, within its own time limit, and no queue stops another.

What the broker says: ``ack``/``nack`` by tag (out of order, several at once), ``return`` without a tag and *before* the
ack. A queue without a leader never answers, and worse: the broker's channel itself waits at its *first* publish to such a
queue, with all that stands behind it and with the confirms of what stands before. So there are lines, one channel each. The
main line carries what goes where a publish was confirmed before; scouts ask the rest, one at a time each. Where one publish
waits while others go on, its destination becomes a suspect, and so does one that a scout gets no answer from; where nothing
at all is confirmed on the main line, it is left to drain, a new one takes over, and the oldest destination new to it is to be
asked by a scout again. Suspects go over a line of their own until one of theirs is confirmed.

A line that nacks what it never confirmed is left for a new one too: in RabbitMQ 3.10 a channel whose first publish to a queue
met a leader that had just died is nacked for that queue for ever, while a new channel finds the new leader. A queue that was
full from the beginning looks the same, so this is done ever more seldom for the same destination.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from relay.broker import lines
from relay.broker.lines import Line, Slot, Where, tell
from relay.broker.scouts import Scouts
from relay.broker.wire import Foreign, WireConnection
from relay.errors import BrokerError
from relay.model.message import Outgoing, Published
from relay.observe import logs

log = logs.get(__name__)

SWEEP: Final = 0.1  # seconds between two looks for publishes out of time
LINE_LIMIT: Final = 350  # on one channel: above 400 the broker stops reading the whole connection
SIDE_LIMIT: Final = 32  # to suspects, on their own channel
SIDE_EACH: Final = 2  # to one of them
DRAINING: Final = 4  # lines left to drain at the same time
# Seconds that a line must have lived before a nack ends it; doubled each time for the same destination.
NACK_RENEW: Final = 2.0
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


class ConfirmedPublisher:
    """Publishes over the lines of one connection; ``attach`` gives it a connection, ``detach`` takes it away."""

    def __init__(self, user: str, limits: PublishLimits | None = None) -> None:
        self.limits = limits or PublishLimits()
        self.blocked = False
        self.waiting_for_room: deque[tuple[Slot, Outgoing]] = deque()
        self._user = user
        self._timeout = 10.0
        self._connection: WireConnection | None = None
        self._main: Line | None = None
        self._side: Line | None = None
        self._draining: list[Line] = []
        self._scouts = Scouts(self._send_on, self._dispatch, self._suspect)
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
        """How many publishes wait for room or for a scout's answer."""
        return len(self.waiting_for_room) + self._scouts.waiting

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
        if self._sweeper is None:
            self._sweeper = loop.call_later(SWEEP, self._sweep)
        self._dispatch(Slot(future, message, size, now + self.limits.seconds), message)
        return future

    def _dispatch(self, slot: Slot, message: Outgoing) -> None:
        """Choose the line by what is known of the destination."""
        if self._suspects and slot.where in self._suspects:
            self._send_aside(slot, message)
        elif slot.where not in self._scouts.answering:
            self._scouts.offer(slot, message)
        elif self._main is not None and not self.waiting_for_room and self._has_room(self._main, slot.size):
            self._send_on(self._main, slot, message)
        else:
            self.waiting_for_room.append((slot, message))

    # --- the window

    def _has_room(self, line: Line, size: int) -> bool:
        if self.blocked or not line.usable(LINE_LIMIT):
            return False
        return self._count == 0 or (
            self._count < self.limits.count and self._bytes + size <= self.limits.bytes
        )

    def _send_on(self, line: Line, slot: Slot, message: Outgoing) -> bool:
        """Put one publish out if there is room; False: there is none."""
        if not self._has_room(line, slot.size):
            return False
        now = asyncio.get_running_loop().time()
        if self._refused and self._refused.get(message.exchange, 0.0) > now:  # since it began to wait
            slot.end(Published.UNDECIDED)
        else:
            self._account(slot, sent=line.send(slot, message, self._user, now))
        return True

    def _send_aside(self, slot: Slot, message: Outgoing) -> None:
        side = self._side
        if (
            side is None
            or self.blocked
            or not side.usable(SIDE_LIMIT)
            or side.awaits(slot.where) >= SIDE_EACH
        ):
            slot.end(Published.UNDECIDED)
        else:
            self._account(slot, sent=side.send(slot, message, self._user, asyncio.get_running_loop().time()))

    def _account(self, slot: Slot, *, sent: bool) -> None:
        if sent:
            self._count += 1
            self._bytes += slot.size
        else:
            slot.end(Published.UNDECIDED)

    def _free(self, slot: Slot) -> None:
        self._count -= 1
        self._bytes -= slot.size

    def _ended(self, slot: Slot, outcome: Published) -> None:
        """One publish is answered, or its channel is gone."""
        if slot.deadline:  # else the sweeper has freed it
            self._free(slot)
        if self._suspects and outcome is not Published.UNDECIDED:
            self._suspects.discard(slot.where)  # maybe late, but it answers
        if self._nacks and outcome is Published.CONFIRMED:
            self._nacks.pop(slot.where, None)
        self._scouts.ended(slot, outcome)
        slot.end(outcome)

    def _pump(self) -> None:
        self._scouts.pump()
        waiting = self.waiting_for_room
        while waiting:
            slot, message = waiting[0]
            if slot.future.done():
                waiting.popleft()
            elif slot.where not in self._scouts.answering:  # in trouble since it began to wait
                waiting.popleft()
                self._dispatch(slot, message)
            elif self._main is not None and self._send_on(self._main, slot, message):
                waiting.popleft()
            else:
                return

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._look_over(loop.time())
        finally:  # without a sweeper nothing would ever be out of time
            busy = self._count or self.waiting or any(line.unanswered for line in self._lines())
            self._sweeper = loop.call_later(SWEEP, self._sweep) if busy else None

    def _look_over(self, now: float) -> None:
        every = self._lines()
        for line in every:
            for slot in line.expire(now):
                self._free(slot)
                slot.deadline = 0.0
                slot.end(Published.UNDECIDED)
                tell(logging.WARNING, "publish-undecided", slot)
        for slot, _ in self.waiting_for_room:
            if slot.deadline <= now:
                slot.end(Published.UNDECIDED)
        if not self.blocked:
            self._look_for_stall(now)
        self._look_for_nacks(now)
        for line in [line for line in self._draining if not line.open]:
            # Answered, or out of time as a whole: its place is free for the next one.
            self._draining.remove(line)
            lines.close(line)
        self._scouts.sweep(now)
        missing = self._scouts.wanted or self._main is None or self._side is None
        # a broker that has blocked a connection answers nothing on it, and no answer would end the connection
        if missing and not self.blocked and self._connection is not None and not self._opening.locked():
            self._spawn(self._open_lines())
        self._pump()

    def _lines(self) -> list[Line]:
        own = [line for line in (self._main, self._side, *self._draining) if line is not None]
        return [*own, *self._scouts.lines, *self._scouts.left]

    def _look_for_stall(self, now: float) -> None:
        """Name the suspects; leave a main line that answers nothing."""
        self._scouts.look_for_stall(now)
        main = self._main
        if main is None or main.channel is None:
            return
        for slot in main.passed_over():
            self._suspect(slot)
        if not main.stalled(now) or len(self._draining) >= DRAINING:  # so many: the whole broker is slow
            return
        # Nobody knows which of them it is. A scout asks alone; on the line of suspects one that answers would stand
        # behind one that does not.
        perhaps = main.culprit()
        tell(logging.WARNING, "publish-stalled", perhaps)
        self._draining.append(main)
        self._main = None
        self._scouts.distrust(perhaps.where)

    def _look_for_nacks(self, now: float) -> None:
        """Leave lines that were nacked on: what is on its way there is still answered, the next goes over new ones."""
        old = [line for line in self._lines() if line.doubtful and now - line.opened >= NACK_RENEW]
        due = {where for line in old for where in line.doubtful if self._nacks.get(where, (0.0,))[0] <= now}
        if not due or len(self._draining) >= DRAINING:
            return
        for where in due:
            _, pause = self._nacks.get(where, (0.0, NACK_RENEW))
            self._nacks[where] = (now + pause, min(2 * pause, NACK_RENEW_MOST))
        for line in old:
            if line.doubtful.isdisjoint(due):
                continue
            if line is self._main:
                self._main = None
                self._draining.append(line)
            elif line is self._side:
                self._side = None
                self._draining.append(line)
            elif line in self._scouts.lines:
                self._scouts.leave(line)

    def _suspect(self, slot: Slot) -> None:
        if slot.where not in self._suspects:
            self._suspects.add(slot.where)
            tell(logging.ERROR, "publish-stalled", slot)
        self._scouts.distrust(slot.where)

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
            while self._connection is connection and self._scouts.wanted:
                scout = await self._open_line(connection)
                if self._connection is not connection or scout.channel is None:
                    break
                self._scouts.lines.append(scout)
        self._pump()

    async def _open_line(self, connection: WireConnection) -> Line:
        return await lines.open_line(connection, self._ended, self._pump, self._line_closed, self._timeout)

    def _line_closed(self, line: Line, error: BaseException) -> None:
        was_in_use = line in {self._main, self._side}
        if line is self._main:
            self._main = None
        if line is self._side:
            self._side = None
        if line in self._draining:
            self._draining.remove(line)
        was_in_use |= self._scouts.forget(line)
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
        if not self.blocked:
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
            if connection is not None and connection.is_open and not self.blocked:
                connection.close()

    def _set_blocked(self, blocked: bool) -> None:
        self.blocked = blocked
        logs.event(log, logging.WARNING, "publish-blocked" if blocked else "publish-unblocked")
        if not blocked:
            now = asyncio.get_running_loop().time()
            for line in self._lines():
                line.progress = now  # it was not the queues that kept silent
            self._pump()

    def detach(self) -> None:
        """The connection is gone. What waits for room goes on waiting until its limit."""
        self._connection = None
        self.blocked = False
        self._suspects.clear()
        for task in list(self._tasks):
            task.cancel()
        own = [line for line in (self._main, self._side, *self._draining) if line is not None]
        self._main = self._side = None
        self._draining = []
        for line in [*own, *self._scouts.detach()]:
            line.abandon()

    def close(self) -> None:
        """End all publishes as UNDECIDED, those that wait too."""
        self.detach()
        while self.waiting_for_room:
            self.waiting_for_room.popleft()[0].end(Published.UNDECIDED)
        self._scouts.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
