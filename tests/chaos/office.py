"""Gateways as the protocol wants them under faults: plain pika, ``sandbox.json``, nothing of the relay's code.

An ``Office`` is one broker user that sends until it has its receipts and answers what it receives. After a nack, a
return, a closed channel or a lost connection it publishes again, same id, same bytes; so it does after a time without a
receipt, after BODY-LOST and, rarely, after a long time without the final outcome. What it receives it stores, answers
by a signed 01 from an outbox and acknowledges; of a repeat it sends the stored 01 once more. All offices run in one
event loop in one thread; every arrival is kept for the judge.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Self
from urllib.parse import urlsplit

import pika
from pika.adapters.asyncio_connection import AsyncioConnection

from tests.support.stranger import CONTENT_EDXML, Sandbox
from tests.support.stranger_xml import (
    Facts,
    Receipt,
    Signer,
    check_receipt,
    document,
    read_facts,
    read_receipt,
    sign,
    status,
)

_TICK: Final = 0.05
_WINDOW: Final = 100  # publishes without a confirm
_CONFIRM_LIMIT: Final = 12.0  # seconds; beyond it the channel is closed and all of it is sent again


@dataclass
class Letter:
    """One submission: what goes out under its transport id, however often."""

    transport_id: str
    body: bytes
    kind: str
    key: str
    recipients: tuple[str, ...]
    about: str | None = None
    sha256: str = ""
    times: int = 0  # how often it was published
    confirmed: bool = False
    due_at: float | None = 0.0  # when to publish it (again); None: not
    news_at: float = 0.0  # of the last publish or receipt


@dataclass(frozen=True)
class Arrival:
    """One copy of a document or status as it stood in a recipient's queue."""

    recipient: str
    kind: str
    transport_id: str
    delivery_id: str
    sha256: str  # of the bytes that came
    claimed_sha256: str
    redelivered: bool  # the broker's own second try of one copy
    at: float


@dataclass(frozen=True)
class Patience:
    """Seconds; the protocol says 10 minutes, a test has less time."""

    receipt: float = 8.0  # without any receipt
    outcome: float = 25.0  # without the final outcome
    trouble: float = 1.0  # after nack, return, closed channel


class Office:
    """One broker user; made and run by ``Town``."""

    def __init__(self, sandbox: Sandbox, code: str, patience: Patience) -> None:
        self.code = code
        self.patience = patience
        entry = sandbox.raw["gateways"][code]
        self.user = str(entry["user"])
        self._sandbox = sandbox
        url = urlsplit(sandbox.raw["amqp_url"])
        self._parameters = pika.ConnectionParameters(
            host=url.hostname,
            port=url.port,
            virtual_host=url.path[1:],
            credentials=pika.PlainCredentials(self.user, entry["password"]),
            heartbeat=10,
            socket_timeout=3,
            stack_timeout=5,
        )
        self._signer: Signer = sandbox.signer(code)
        self.letters: dict[str, Letter] = {}
        self.receipts: dict[str, list[Receipt]] = defaultdict(list)
        self.arrivals: list[Arrival] = []
        self.answers: dict[str, str] = {}  # delivery id: transport id of its 01
        self.answering = True
        self.reading = True
        self._channel: Any = None
        self._tag = 0
        self._unconfirmed: dict[int, tuple[Letter, float]] = {}
        self._returned: set[str] = set()
        self._blocked = False
        self._consuming: Any = None
        self.troubles: list[str] = []

    # --- what a test asks for

    def paper(self, recipients: tuple[str, ...], subject: str, size: int = 600) -> Letter:
        """Make and sign a document; ``Town.post`` sends it."""
        facts = Facts(
            self.code,
            recipients,
            subject=subject,
            files=(("Công văn.txt", uuid.uuid4().bytes * (size // 16)),),
        )
        body = sign(document(facts), self._signer)
        return Letter(
            str(uuid.uuid4()),
            body,
            "edoc",
            f"normal.{self.code}",
            recipients,
            sha256=sha256(body).hexdigest(),
        )

    def final(self, transport_id: str) -> Receipt | None:
        """Return the outcome that says *delivered* of every recipient."""
        wanted = set(self.letters[transport_id].recipients)
        for receipt in self.receipts[transport_id]:
            if (
                receipt.kind == "outcome"
                and {line.code for line in receipt.lines if line.state == "delivered"} == wanted
            ):
                return receipt
        return None

    def acknowledged(self, transport_id: str) -> bool:
        return any(
            each.kind == "acknowledgement" and each.result == "accepted"
            for each in self.receipts[transport_id]
        )

    # --- publishing

    async def publish_for_ever(self) -> None:
        """Keep a publishing connection and bring out what is due."""
        while True:
            await self._publish_once()
            await asyncio.sleep(0.3)

    async def _publish_once(self) -> None:
        connection = await self._open()
        if connection is None:
            return
        ended = asyncio.Event()
        connection.add_on_close_callback(lambda *_: ended.set())
        connection.add_on_connection_blocked_callback(lambda *_: self._set_blocked(True))
        connection.add_on_connection_unblocked_callback(lambda *_: self._set_blocked(False))
        try:
            channel = await self._confirming(connection, ended)
            while channel is not None and not ended.is_set():
                self._bring_out(channel)
                self._remind()
                await asyncio.sleep(_TICK)
        finally:
            self._abandon("connection lost")
            _close(connection)

    async def _confirming(self, connection: Any, ended: asyncio.Event) -> Any:
        channel = await _channel(connection, ended)
        if channel is None:
            return None
        channel.add_on_close_callback(lambda *_: ended.set())
        channel.add_on_return_callback(
            lambda _c, _m, properties, _b: self._returned.add(properties.message_id)
        )
        ready = asyncio.get_running_loop().create_future()
        channel.confirm_delivery(self._on_confirm, callback=lambda _: _resolve(ready, True))
        self._tag, self._blocked = 0, False
        return channel if await _either(ready, ended) else None

    def _set_blocked(self, blocked: bool) -> None:
        self._blocked = blocked

    def _bring_out(self, channel: Any) -> None:
        now = time.monotonic()
        if any(now - since > _CONFIRM_LIMIT for _, since in self._unconfirmed.values()) and not self._blocked:
            self.troubles.append("no confirm")
            channel.close()
            return
        if self._blocked:
            return
        for letter in [
            each for each in self.letters.values() if each.due_at is not None and each.due_at <= now
        ]:
            if len(self._unconfirmed) >= _WINDOW or not channel.is_open:
                return
            properties = pika.BasicProperties(
                user_id=self.user,
                message_id=letter.transport_id,
                type=letter.kind,
                content_type=CONTENT_EDXML,
                delivery_mode=2,
                correlation_id=letter.about,
            )
            channel.basic_publish("ingress", letter.key, letter.body, properties, mandatory=True)
            self._tag += 1
            self._unconfirmed[self._tag] = (letter, now)
            letter.times += 1
            letter.due_at, letter.news_at = None, now

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        tags = [
            tag
            for tag in self._unconfirmed
            if tag == method.delivery_tag or (method.multiple and tag <= method.delivery_tag)
        ]
        for tag in tags:
            letter, _ = self._unconfirmed.pop(tag)
            if method.NAME == "Basic.Ack" and letter.transport_id not in self._returned:
                letter.confirmed = True
            else:
                self._returned.discard(letter.transport_id)
                self.troubles.append("nack or return")
                letter.due_at = time.monotonic() + self.patience.trouble

    def _abandon(self, why: str) -> None:
        if self._unconfirmed:
            self.troubles.append(why)
        for letter, _ in self._unconfirmed.values():
            letter.due_at = time.monotonic() + self.patience.trouble
        self._unconfirmed.clear()

    def _remind(self) -> None:
        """Send again what has waited too long for its receipts."""
        now = time.monotonic()
        for letter in self.letters.values():
            if letter.kind != "edoc" or letter.due_at is not None or not letter.confirmed:
                continue
            had = self.receipts[letter.transport_id]
            silent = now - letter.news_at
            if (not had and silent > self.patience.receipt) or (
                silent > self.patience.outcome and self.final(letter.transport_id) is None
            ):
                letter.due_at = now

    # --- reading

    async def read_for_ever(self) -> None:
        """Keep a consuming connection on the office's own queue."""
        while True:
            if self.reading:
                await self._read_once()
            await asyncio.sleep(0.3)

    async def _read_once(self) -> None:
        connection = await self._open()
        if connection is None:
            return
        ended = asyncio.Event()
        connection.add_on_close_callback(lambda *_: ended.set())
        try:
            channel = await _channel(connection, ended)
            if channel is None:
                return
            channel.add_on_close_callback(lambda *_: ended.set())
            channel.add_on_cancel_callback(lambda *_: ended.set())
            channel.basic_qos(prefetch_count=50)
            channel.basic_consume(f"agency.{self.code}", self._take)
            while self.reading and not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), _TICK)
        finally:
            _close(connection)

    def _take(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        if properties.type == "receipt":
            self._take_receipt(read_receipt(body))
        else:
            self._take_document(method, properties, body)
        channel.basic_ack(method.delivery_tag)

    def _take_receipt(self, receipt: Receipt) -> None:
        # A submission that is repeated is told all so far again: only what is new asks for something.
        new = all(receipt.number != known.number for known in self.receipts[receipt.transport_id])
        self.receipts[receipt.transport_id].append(receipt)
        letter = self.letters.get(receipt.transport_id)
        if letter is None:
            return
        letter.news_at = time.monotonic()
        if new and receipt.code == "BODY-LOST":
            letter.due_at = letter.news_at

    def _take_document(self, method: Any, properties: Any, body: bytes) -> None:
        headers = properties.headers
        delivery_id = str(headers["truc-delivery-id"])
        self.arrivals.append(
            Arrival(
                recipient=str(headers["truc-recipient"]),
                kind=properties.type,
                transport_id=properties.message_id,
                delivery_id=delivery_id,
                sha256=sha256(body).hexdigest(),
                claimed_sha256=str(headers["truc-sha256"]),
                redelivered=method.redelivered,
                at=time.monotonic(),
            )
        )
        if properties.type != "edoc" or not self.answering:
            return
        if delivery_id in self.answers:
            self.letters[self.answers[delivery_id]].due_at = time.monotonic()
            return
        answer = sign(status(read_facts(body), self.code, "01"), self._signer)
        letter = Letter(
            str(uuid.uuid4()),
            answer,
            "status",
            f"status.{self.code}",
            (str(headers["truc-sender"]),),
            about=properties.message_id,
            sha256=sha256(answer).hexdigest(),
        )
        self.answers[delivery_id] = letter.transport_id
        self.letters[letter.transport_id] = letter

    # --- connections

    async def _open(self) -> Any:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        connection = AsyncioConnection(
            self._parameters,
            on_open_callback=lambda it: _resolve(future, it),
            on_open_error_callback=lambda _it, _error: _resolve(future, None),
            on_close_callback=lambda _it, _error: _resolve(future, None),
            custom_ioloop=loop,
        )
        done, _ = await asyncio.wait([future], timeout=6)
        if not done:
            future.cancel()
            _close(connection)
            return None
        return future.result()


class Town:
    """All offices of a test, in one thread. Use as a context manager."""

    def __init__(self, sandbox: Sandbox, codes: Iterable[str], patience: Patience | None = None) -> None:
        self.sandbox = sandbox
        self.offices = {code: Office(sandbox, code, patience or Patience()) for code in codes}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="offices", daemon=True)
        self._tasks: list[asyncio.Task[None]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._tasks])
        self._thread.join(15)
        assert not self._thread.is_alive(), "the offices do not close"

    def _run(self) -> None:
        async def live() -> None:
            for office in self.offices.values():
                for life in (office.publish_for_ever(), office.read_for_ever()):
                    self._tasks.append(asyncio.create_task(life))
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.sleep(0.2)  # connections close

        try:
            self._loop.run_until_complete(live())
        finally:
            self._loop.close()

    def post(self, letters: Iterable[tuple[str, Letter]]) -> None:
        """Hand letters to their offices (code, letter); they go out at once."""
        listed = list(letters)

        def put() -> None:
            for code, letter in listed:
                self.offices[code].letters[letter.transport_id] = letter

        self._loop.call_soon_threadsafe(put)

    # --- what the test sees

    def arrivals(self) -> list[Arrival]:
        return [arrival for office in self.offices.values() for arrival in list(office.arrivals)]

    def documents_arrived(self) -> int:
        return sum(1 for arrival in self.arrivals() if arrival.kind == "edoc")

    def has_got(self, documents: int) -> bool:
        """Say whether so many copies of documents arrived in all offices together."""
        return self.documents_arrived() >= documents

    def wait(self, look: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait until ``look`` says so."""
        end = time.monotonic() + seconds
        while not look():
            failed = [
                task for task in self._tasks if task.done() and not task.cancelled() and task.exception()
            ]
            assert not failed, f"an office died: {failed[0].exception()!r}"
            assert time.monotonic() < end, f"not in {seconds:.0f} s: {what}"
            time.sleep(0.05)


@dataclass
class Post:
    """What a test sent: (sender, letter), in order."""

    sent: list[tuple[str, Letter]] = field(default_factory=list)

    def unfinished(self, town: Town) -> list[Letter]:
        """Return the letters that lack their acknowledgement or final outcome."""
        return [
            letter
            for code, letter in self.sent
            if letter.transport_id not in town.offices[code].letters
            or not town.offices[code].acknowledged(letter.transport_id)
            or town.offices[code].final(letter.transport_id) is None
        ]


def check_receipts(receipts: Iterable[Receipt], sandbox: Sandbox) -> None:
    """Verify receipts against the anchor."""
    root = sandbox.root
    for receipt in receipts:
        check_receipt(receipt, root)


def _resolve(future: asyncio.Future[Any], value: object) -> None:
    if not future.done():
        future.set_result(value)


async def _channel(connection: Any, ended: asyncio.Event) -> Any:
    """Open a channel; None if the connection ends first."""
    opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    connection.channel(on_open_callback=lambda channel: _resolve(opened, channel))
    return await _either(opened, ended)


def _close(connection: Any) -> None:
    if not (connection.is_closing or connection.is_closed):
        connection.close()


async def _either(future: asyncio.Future[Any], ended: asyncio.Event) -> Any:
    """Return the future's result, or None if ``ended`` comes first or nothing in 6 seconds."""
    ending = asyncio.ensure_future(ended.wait())
    try:
        await asyncio.wait([future, ending], timeout=6, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ending.cancel()
    return future.result() if future.done() else None
