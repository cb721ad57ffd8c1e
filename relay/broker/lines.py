"""A line: one confirming channel, what is on its way on it, and what was learnt of the queues behind it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from pika import exceptions

from relay.broker.connection import call, open_channel
from relay.broker.encoding import publish_frames
from relay.broker.wire import Foreign, WireConnection, text
from relay.errors import BrokerError, Code
from relay.model.message import Outgoing, Published
from relay.observe import logs

log = logs.get(__name__)

STALL: Final = 1.0  # seconds without any confirm while one is awaited

Where = tuple[str, str]  # exchange and routing key


class Slot:
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


class Line:
    """One confirming channel: its tags, and what is on its way on it."""

    def __init__(self, on_end: Callable[[Slot, Published], None], on_progress: Callable[[], None]) -> None:
        self.channel: Foreign = None
        self.open: dict[int, Slot] = {}
        self.late: dict[int, Slot] = {}  # out of time, unanswered: a late return must find its own
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

    def awaits(self, where: Where) -> int:
        """Return how many publishes to a destination are not answered."""
        return sum(slot.where == where for slots in (self.late, self.open) for slot in slots.values())

    def usable(self, limit: int) -> bool:
        return self.channel is not None and len(self.open) + len(self.late) < limit

    def stalled(self, now: float) -> bool:
        oldest = next(iter(self.late.values()), None) or next(iter(self.open.values()), None)
        return oldest is not None and now - max(self.progress, oldest.sent) > STALL

    def culprit(self) -> Slot:
        """Return which of the unanswered may have stopped the line: the first to a destination new to it."""
        waiting = [*self.late.values(), *self.open.values()]
        return next((slot for slot in waiting if slot.where not in self.proven), waiting[0])

    def passed_over(self) -> list[Slot]:
        """Return what waits while publishes that were sent well after it are answered."""
        return [slot for slot in self.open.values() if slot.sent + STALL < self.answered]

    def send(self, slot: Slot, message: Outgoing, user: str, now: float) -> bool:
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

    def expire(self, now: float) -> list[Slot]:
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

    def _learn(self, slot: Slot, outcome: Published) -> None:
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


async def open_line(
    connection: WireConnection,
    on_end: Callable[[Slot, Published], None],
    on_progress: Callable[[], None],
    on_close: Callable[[Line, BaseException], None],
    timeout: float,
) -> Line:
    """Open a channel that confirms. Its ``channel`` is None if it was closed meanwhile. Raises ``BrokerError``."""
    line = Line(on_end, on_progress)
    channel = await open_channel(connection, lambda error: on_close(line, error), timeout)
    channel.add_on_return_callback(line.on_return)

    def select(*, callback: Foreign) -> None:
        channel.confirm_delivery(ack_nack_callback=line.on_confirm, callback=callback)

    try:
        await call(select, channel=channel, timeout=timeout)
    except exceptions.ChannelClosed as error:
        raise BrokerError(Code.BROKER_REFUSED, str(error.reply_text)) from error
    line.channel = channel if channel.is_open else None
    return line


def close(line: Line) -> None:
    """Close a line on which nothing is awaited, unless the broker did."""
    channel, line.channel = line.channel, None
    if channel is None:
        return
    try:
        channel.close()
    except exceptions.AMQPError:
        pass


def tell(level: int, event: str, slot: Slot) -> None:
    """Log an event about a publish: where to, never what."""
    exchange, key = slot.where
    logs.event(log, level, event, exchange=exchange, routing_key=key)
