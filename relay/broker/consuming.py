"""Taking from one lane: a channel of its own, registered again when the broker cancels it or it closes.

A channel for each lane keeps a queue that is missing or has no leader from stopping the others, and gives each lane its
own prefetch. Delivery tags live and die with their channel: each opening gets a new session number.

What the broker has handed out stands in this process's memory, and a prefetch counts messages, not bytes. So a lane
begins with a few, and takes as many as its prefetch says once bodies have turned out to be small enough: a backlog of the
largest documents then ends no worker for want of memory, or one once, but never each new one again. More is taken by a
further consumer on the same channel; cancelling one gives back what is on its way, one delivery older.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from pika import exceptions

from relay.broker.connection import call, open_channel
from relay.broker.names import lane_queue
from relay.broker.wire import Foreign, WireConnection, incoming
from relay.errors import BrokerError
from relay.model.message import Incoming, Lane
from relay.observe import logs

log = logs.get(__name__)

FIRST_PAUSE: Final = 0.5  # seconds before a lane is registered again; doubles
LONGEST_PAUSE: Final = 15.0
FIRST: Final = 5  # messages that a lane takes at first
LOOK: Final = 32  # messages after which their average size says how many are taken
ROOM: Final = 128 * 1024 * 1024  # bytes of a lane that may be handed out, by that average


class LaneConsumer:
    """The consumer of one lane on one connection."""

    def __init__(
        self,
        lane: Lane,
        prefetch: int,
        on_message: Callable[[Lane, Incoming], None],
        new_session: Callable[[], int],
        timeout: float,
        *,
        paused: bool = False,
    ) -> None:
        """``paused``: takes nothing until ``resume``."""
        self.lane = lane
        self.queue = lane_queue(lane)
        self.registered = False
        self.session = 0
        self._prefetch = prefetch
        self._on_message = on_message
        self._new_session = new_session
        self._timeout = timeout
        self._channel: Foreign = None
        self._tags: list[str] = []  # of the consumers on the channel
        self._taking = 0  # messages that they take together
        self._seen = self._seen_bytes = 0
        self._growth: asyncio.Task[None] | None = None
        self._deliver: Foreign = None
        self._ended: asyncio.Event = asyncio.Event()
        self._wanted = True
        self._registering = False
        self._open: asyncio.Event = asyncio.Event()  # not paused
        if not paused:
            self._open.set()

    async def run(self, connection: WireConnection) -> None:
        """Consume until the connection ends or ``cancel``; register anew after whatever else."""
        pause = FIRST_PAUSE
        while self._still(connection):
            await self._open.wait()
            self._ended.clear()
            try:
                self._registering = True
                try:
                    await self._register(connection)
                finally:
                    self._registering = False
                pause = FIRST_PAUSE
                await self._ended.wait()
            except (BrokerError, exceptions.AMQPError) as error:
                logs.event(log, logging.ERROR, "consumer-failed", queue=self.queue, detail=str(error))
            self._forget()
            if self._still(connection):
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    def _still(self, connection: WireConnection) -> bool:
        return self._wanted and bool(connection.is_open)

    async def _register(self, connection: WireConnection) -> None:
        channel = await open_channel(connection, lambda _error: self._ended.set(), self._timeout)
        self._channel = channel
        self.session = session = self._new_session()
        try:
            await call(
                channel.queue_declare, self.queue, channel=channel, timeout=self._timeout, passive=True
            )
            channel.add_on_cancel_callback(self._cancelled)

            def deliver(_channel: Foreign, method: Foreign, properties: Foreign, body: bytes) -> None:
                message = incoming(self.queue, method, properties, body, session)
                try:
                    self._on_message(self.lane, message)
                except Exception as fault:  # noqa: BLE001
                    # The taker's own fault must not take the connection with it.
                    logs.event(log, logging.ERROR, "taker-failed", exc=fault, queue=self.queue)
                    self.settle(message, ack=False)
                self._look_at(len(body))

            self._deliver = deliver
            await self._start_consuming(channel)
        except (BrokerError, exceptions.AMQPError):
            _close(channel)
            raise

    async def _start_consuming(self, channel: Foreign) -> None:
        self._tags, self._taking = [], 0
        self._seen = self._seen_bytes = 0
        await self._consume(channel, min(FIRST, self._prefetch))
        self.registered = True
        await self._unless_unwanted()

    async def _consume(self, channel: Foreign, count: int) -> None:
        """Register one more consumer, which takes ``count`` messages."""
        await call(channel.basic_qos, channel=channel, timeout=self._timeout, prefetch_count=count)
        tag = channel._generate_consumer_tag()  # noqa: SLF001 - known before the answer, to be cancelled
        self._tags.append(tag)
        # The queue may have no leader: then this is never answered.
        await call(
            channel.basic_consume,
            self.queue,
            self._deliver,
            channel=channel,
            timeout=self._timeout,
            consumer_tag=tag,
        )
        self._taking += count

    async def _unless_unwanted(self) -> None:
        if not self._open.is_set() or not self._wanted:  # since the broker was asked
            await self._stop_consuming()

    async def _stop_consuming(self) -> None:
        if self._growth is not None:
            await asyncio.wait([self._growth])
        channel = self._channel
        if channel is None or not channel.is_open or not self.registered:
            return
        self.registered = False
        try:
            for tag in self._tags:
                await call(channel.basic_cancel, tag, channel=channel, timeout=self._timeout)
        except (BrokerError, exceptions.AMQPError):
            logs.event(log, logging.WARNING, "consumer-cancel-unanswered", queue=self.queue)

    def _look_at(self, size: int) -> None:
        """Take more once enough bodies were small enough."""
        if self._taking >= self._prefetch:
            return
        self._seen += 1
        self._seen_bytes += size
        if self._seen < LOOK or not self.registered or self._growth is not None:
            return
        room = ROOM * self._seen // max(1, self._seen_bytes)
        self._seen = self._seen_bytes = 0
        wanted = min(room, self._prefetch)
        if wanted == self._prefetch or wanted >= 2 * self._taking:
            work = self._grow(self._channel, wanted - self._taking)
            self._growth = asyncio.get_running_loop().create_task(work)

    async def _grow(self, channel: Foreign, count: int) -> None:
        try:
            await self._consume(channel, count)
        except (BrokerError, exceptions.AMQPError) as error:
            if channel is self._channel:
                logs.event(log, logging.ERROR, "consumer-failed", queue=self.queue, detail=str(error))
                self._ended.set()
        finally:
            self._growth = None

    def _cancelled(self, _frame: Foreign) -> None:
        logs.event(log, logging.ERROR, "consumer-cancelled", queue=self.queue)
        self._ended.set()

    def _forget(self) -> None:
        channel, self._channel = self._channel, None
        self.registered = False
        if self._growth is not None:
            self._growth.cancel()
        if channel is not None and self._wanted:
            _close(channel)
        elif channel is not None:
            self._channel = channel if channel.is_open else None

    def holds(self, message: Incoming) -> bool:
        """Whether the message was delivered on the channel that is open now."""
        channel = self._channel
        return channel is not None and message.session == self.session and bool(channel.is_open)

    def settle(self, message: Incoming, *, ack: bool) -> None:
        """Acknowledge or requeue one message of this session; a tag of a channel that is gone is ignored."""
        channel = self._channel
        if channel is None or message.session != self.session or not channel.is_open:
            return
        if ack:
            channel.basic_ack(message.tag)
        else:
            channel.basic_nack(message.tag, requeue=True)

    async def pause(self) -> None:
        """Take nothing more until ``resume``; what is in hand may still be settled."""
        self._open.clear()
        await self._stop_consuming()

    def give_back(self) -> None:
        """While paused: give back whatever is in hand, by closing the channel that it came on."""
        if not self._open.is_set():
            self._ended.set()

    async def resume(self) -> None:
        """Take again: on the same channel if it is open, so that what is in hand stays there."""
        if self._open.is_set():
            return
        self._open.set()
        channel = self._channel
        if channel is None or not channel.is_open or self._registering or self._ended.is_set():
            return  # `run` does it
        try:
            await self._start_consuming(channel)
        except (BrokerError, exceptions.AMQPError) as error:
            logs.event(log, logging.ERROR, "consumer-failed", queue=self.queue, detail=str(error))
            self._ended.set()

    async def cancel(self) -> None:
        """Take nothing more; what is in hand may still be settled on the open channel."""
        self._wanted = False
        await self._stop_consuming()
        self._ended.set()


def _close(channel: Foreign) -> None:
    try:
        if channel.is_open:
            channel.close()
    except exceptions.AMQPError:
        pass
