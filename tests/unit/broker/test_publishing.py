"""The publisher over a connection of the test: what happens in which order is the test's to say."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from pika import exceptions, frame, spec

from relay.broker import lines, names
from relay.broker.lines import STALL
from relay.broker.publishing import NACK_RENEW, SIDE_LIMIT, SWEEP, ConfirmedPublisher, PublishLimits
from relay.broker.scouts import SCOUTS
from relay.model.message import Outgoing, Published
from tests.support.virtual import VirtualLoop, run

Answer = Callable[["Channel", str, int], None]


class Channel:
    """A channel that confirms; ``answer`` says what the broker does with each publish."""

    def __init__(self, connection: Connection, number: int) -> None:
        self.connection = connection
        self.channel_number = number
        self.is_open = True
        self.keys: list[str] = []
        self._closed: list[Callable[..., None]] = []
        self._confirm: Any = None

    def add_on_close_callback(self, callback: Callable[..., None]) -> None:
        self._closed.append(callback)

    def add_on_return_callback(self, _callback: Callable[..., None]) -> None:
        """Nothing is returned here."""

    def confirm_delivery(self, ack_nack_callback: Any, callback: Any) -> None:
        self._confirm = ack_nack_callback
        self.connection.later(lambda: callback(None))

    def took(self, key: str) -> None:
        self.keys.append(key)
        self.connection.answer(self, key, len(self.keys))

    def ack(self, tag: int) -> None:
        self._confirm(frame.Method(self.channel_number, spec.Basic.Ack(tag)))

    def nack(self, tag: int) -> None:
        self._confirm(frame.Method(self.channel_number, spec.Basic.Nack(tag)))

    def close(self) -> None:
        if not self.is_open:
            raise exceptions.ChannelWrongStateError
        self._end(exceptions.ChannelClosedByClient(0, ""))

    def lose(self, reason: str) -> None:
        self._end(exceptions.ChannelClosedByBroker(404, reason))

    def _end(self, error: BaseException) -> None:
        self.is_open = False
        for callback in self._closed:
            callback(self, error)


class Connection:
    """A connection whose broker the test plays."""

    def __init__(self) -> None:
        self.is_open = True
        self.answers = True  # to methods, on a connection that is blocked none
        self.channels: list[Channel] = []
        self.answer: Answer = lambda channel, _key, tag: self.later(lambda: channel.ack(tag))
        self.params = type("Parameters", (), {"frame_max": 131072})
        self._blocked: list[Callable[..., None]] = []
        self._unblocked: list[Callable[..., None]] = []

    def later(self, what: Callable[[], None]) -> None:
        if self.answers:
            asyncio.get_running_loop().call_soon(what)

    def channel(self, on_open_callback: Callable[[Channel], None]) -> Channel:
        made = Channel(self, len(self.channels) + 1)
        self.channels.append(made)
        self.later(lambda: on_open_callback(made))
        return made

    def add_on_connection_blocked_callback(self, callback: Callable[..., None]) -> None:
        self._blocked.append(callback)

    def add_on_connection_unblocked_callback(self, callback: Callable[..., None]) -> None:
        self._unblocked.append(callback)

    def block(self) -> None:
        self.answers = False
        for callback in self._blocked:
            callback(self, None)

    def unblock(self) -> None:
        self.answers = True
        for callback in self._unblocked:
            callback(self, None)

    def send_frames(self, frames: Sequence[bytes]) -> None:
        head = frames[0]
        number = int.from_bytes(head[1:3], "big")
        exchange = 13 + head[13] + 1
        key = head[exchange + 1 : exchange + 1 + head[exchange]].decode()
        self.channels[number - 1].took(key)

    def close(self) -> None:
        self.is_open = False


def message(key: str) -> Outgoing:
    return Outgoing("level.province", key, b"<edoc/>", f"m-{key}", "edoc", names.CONTENT_EDXML)


def published(body: Callable[[ConfirmedPublisher, Connection], Awaitable[None]]) -> None:
    async def main(_loop: VirtualLoop) -> None:
        publisher, connection = ConfirmedPublisher("relay", PublishLimits(seconds=10.0)), Connection()
        await publisher.attach(connection, 10.0)  # type: ignore[arg-type]
        await body(publisher, connection)
        publisher.close()

    run(main)


def test_a_line_left_to_drain_that_the_broker_closes_stops_nothing() -> None:
    """It is closed twice then; the sweeper, without which no publish would ever be out of time, goes on."""

    async def body(publisher: ConfirmedPublisher, connection: Connection) -> None:
        assert await publisher.submit(message("H5")) is Published.CONFIRMED
        main = publisher._main
        assert main is not None
        well, connection.answer = connection.answer, lambda _channel, _key, _tag: None
        stuck = publisher.submit(message("H5"))
        await asyncio.sleep(2 * STALL)
        assert publisher._draining == [main]
        main.channel.lose("NOT_FOUND - no exchange 'level.district' in vhost 'truc'")
        assert await stuck is Published.UNDECIDED
        assert publisher._draining == []
        silent = publisher.submit(message("H5"))
        async with asyncio.timeout(60):
            assert await silent is Published.UNDECIDED
        connection.answer = well
        async with asyncio.timeout(60):
            assert await publisher.submit(message("H53")) is Published.CONFIRMED
        assert publisher.outstanding == 0

    published(body)


def test_a_fault_in_one_look_does_not_end_all_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(publisher: ConfirmedPublisher, connection: Connection) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: seen.append(context))
        connection.answer = lambda _channel, _key, _tag: None
        with monkeypatch.context() as broken:
            broken.setattr(lines.Line, "expire", _fail)
            lost = publisher.submit(message("H5"))
            await asyncio.sleep(3 * SWEEP)
        async with asyncio.timeout(60):
            assert await lost is Published.UNDECIDED
        assert seen

    seen: list[object] = []
    published(body)


def _fail(*_anything: object) -> None:
    raise RuntimeError


def test_while_the_broker_blocks_no_channel_is_asked_for_and_the_connection_stays() -> None:
    """A blocked connection is not read: what was asked of it would not be answered, and be taken for its end."""

    async def body(publisher: ConfirmedPublisher, connection: Connection) -> None:
        well = connection.answer
        connection.answer = lambda channel, _key, tag: connection.later(lambda: channel.nack(tag))
        await asyncio.sleep(2 * NACK_RENEW)
        assert await publisher.submit(message("H5")) is Published.NACKED
        before = len(connection.channels)
        connection.block()
        waiting = publisher.submit(message("H29"))
        await asyncio.sleep(30)
        assert len(connection.channels) == before
        assert connection.is_open
        assert await waiting is Published.UNDECIDED
        connection.answer = well
        connection.unblock()
        assert await publisher.submit(message("H5")) is Published.CONFIRMED
        await asyncio.sleep(1)
        assert len(publisher._scouts.lines) == SCOUTS

    published(body)


def test_what_an_alarm_kept_silent_is_no_suspect() -> None:
    async def body(publisher: ConfirmedPublisher, connection: Connection) -> None:
        assert await publisher.submit(message("H5")) is Published.CONFIRMED
        main = publisher._main
        held: list[Callable[[], None]] = []
        connection.answer = lambda channel, _key, tag: held.append(lambda: channel.ack(tag))
        waiting = publisher.submit(message("H5"))
        await asyncio.sleep(STALL / 2)
        connection.block()
        assert await waiting is Published.UNDECIDED
        await asyncio.sleep(30)
        connection.unblock()
        await asyncio.sleep(3 * SWEEP)
        assert publisher.suspects == 0
        assert publisher._main is main
        for answer in held:
            answer()

    published(body)


def test_a_scout_that_is_nacked_is_left_although_it_is_never_idle() -> None:
    """What a channel knows of a queue whose leader died it knows for ever; under load no look meets a scout idle."""

    async def body(publisher: ConfirmedPublisher, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        met = list(connection.channels)  # a leader that is no more
        end = loop.time() + 60
        ended: list[Published] = []
        numbers = itertools.count()

        def answer(channel: Channel, key: str, tag: int) -> None:
            if key == "H5" and channel in met:
                connection.later(lambda: channel.nack(tag))
            else:
                loop.call_later(0.3, channel.ack, tag)

        def more(_ended: object = None) -> None:
            if Published.CONFIRMED not in ended and loop.time() < end:
                publisher.submit(message(f"new{next(numbers)}")).add_done_callback(more)

        connection.answer = answer
        for _ in range(2 * SCOUTS):
            more()
        while Published.CONFIRMED not in ended and loop.time() < end:
            ended.append(await publisher.submit(message("H5")))
        assert ended[0] is Published.NACKED
        assert ended[-1] is Published.CONFIRMED
        assert publisher._draining == []

    published(body)


def silent(connection: Connection, *keys: str) -> None:
    """Let queues be without a leader: a channel waits at its first publish to one, with all that stands behind it."""
    well = connection.answer
    waiting: set[Channel] = set()

    def answer(channel: Channel, key: str, tag: int) -> None:
        if key in keys:
            waiting.add(channel)
        if channel not in waiting:
            well(channel, key, tag)

    connection.answer = answer


async def suspected(publisher: ConfirmedPublisher, *keys: str) -> None:
    for key in keys:
        publisher.submit(message(key))
    async with asyncio.timeout(60):
        while publisher.suspects < len(keys):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(SWEEP)


def test_over_a_new_connection_nothing_is_a_suspect() -> None:
    """What answers again would stand behind what does not, on the line of suspects."""

    async def body(publisher: ConfirmedPublisher, connection: Connection) -> None:
        silent(connection, "H5", "H29")
        await suspected(publisher, "H5", "H29")
        publisher.detach()
        another = Connection()
        silent(another, "H5")
        await publisher.attach(another, 10.0)  # type: ignore[arg-type]
        stuck = publisher.submit(message("H5"))
        assert await publisher.submit(message("H29")) is Published.CONFIRMED
        assert await stuck is Published.UNDECIDED

    published(body)


def test_one_suspect_does_not_take_all_the_room_of_the_others() -> None:
    async def body(publisher: ConfirmedPublisher, connection: Connection) -> None:
        well, dead = connection.answer, {"H5", "H29"}

        def answer(channel: Channel, key: str, tag: int) -> None:
            if key not in dead:
                well(channel, key, tag)

        connection.answer = answer
        await suspected(publisher, "H5", "H29")
        await asyncio.sleep(30)  # what was asked of both is given up
        for _ in range(2 * SIDE_LIMIT):
            publisher.submit(message("H5"))
        dead.remove("H29")
        assert await publisher.submit(message("H29")) is Published.CONFIRMED
        assert publisher.suspects == 1

    published(body)


def test_what_may_have_stopped_a_line_is_asked_alone_before_it_is_a_suspect() -> None:
    """H29 is on its way when H5 stops the line, and new to it: it is taken for the culprit."""

    async def body(publisher: ConfirmedPublisher, connection: Connection) -> None:
        for key in ("H5", "H29"):
            assert await publisher.submit(message(key)) is Published.CONFIRMED
        main = publisher._main
        assert main is not None
        well, dead = connection.answer, {main.channel}
        connection.answer = lambda channel, key, tag: None if channel in dead else well(channel, key, tag)
        lost = publisher.submit(message("H29"))
        await asyncio.sleep(2 * STALL)
        assert publisher._main is not main
        assert publisher.suspects == 0
        assert await publisher.submit(message("H29")) is Published.CONFIRMED
        assert await lost is Published.UNDECIDED

    published(body)
