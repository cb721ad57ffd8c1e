"""The sending gateway in one process: publishes ready documents and notes when each receipt came.

Started by the bench: ``python -m relay.sandbox.bench.sender AMQP_URL``. One broker user speaks for all signers. It
publishes over one connection and takes its receipts over another, as a gateway does.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from relay.broker import names
from relay.broker.connection import Endpoint, call, open_channel, open_connection
from relay.broker.wire import Foreign, properties_of
from relay.model.message import Kind, Lane, Outgoing
from relay.sandbox.bench import stock
from relay.sandbox.bench.reader import broken, run, write
from relay.sandbox.bench.taking import Taker
from relay.sandbox.bench.talk import Message

_TIMEOUT: Final = 15.0
_LONGEST_QUEUE: Final = (
    10_000  # documents without a receipt, at the steady rate: beyond it the relay does not keep up
)


class Sender:
    """Answers the bench: ``start``, then ``send`` as often as it likes."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._user = ""
        self._channel: Foreign = None
        self._published: dict[str, float] = {}
        self._receipts: dict[str, float] = {}
        self._refused = 0
        self._chunks: list[Path] = []
        self._begun = 0
        self._documents: Iterator[stock.Ready] = iter(())
        self._end = 0.0
        self._window = 0  # 0: not filling
        self._exhausted = asyncio.Event()  # no document is left
        self._stopped = False
        self._complete = asyncio.Event()  # stopped, and each document has its receipt
        self._bytes = 0

    async def answer(self, question: Message) -> Mapping[str, Any]:
        """Do what the bench asks."""
        if question["do"] == "start":
            await self._start(question["user"], question["password"])
            return {}
        return await self._send(question)

    async def _start(self, user: str, password: str) -> None:
        self._user = user
        endpoint = Endpoint.from_url(self._url, user, password)
        taking = await open_connection(endpoint, "bench sender receipts", broken, _TIMEOUT)
        await Taker(names.agency_queue(user), self._receipt).start(taking, broken)
        giving = await open_connection(endpoint, "bench sender", broken, _TIMEOUT)
        self._channel = await open_channel(giving, broken, _TIMEOUT)
        self._channel.add_on_return_callback(lambda *_: broken(ValueError("a publish was returned")))

        def select(*, callback: Foreign) -> None:
            self._channel.confirm_delivery(ack_nack_callback=self._confirmed, callback=callback)

        await call(select, channel=self._channel, timeout=_TIMEOUT)

    async def _send(self, question: Message) -> Mapping[str, Any]:
        """Send for ``seconds``: as fast as receipts come within ``window``, or ``rate`` documents a second."""
        self._published, self._receipts = {}, {}
        self._refused = self._begun = self._bytes = 0
        self._stopped = False
        self._exhausted.clear()
        self._complete.clear()
        self._chunks = [Path(path) for path in question["chunks"]]
        self._documents = self._all()
        began = time.monotonic()
        self._end = began + question["seconds"]
        late: list[float] = []
        if question["rate"]:
            await self._steady(question["rate"], late)
        else:
            self._window = question["window"]
            self._fill()
            await _wait(self._exhausted, question["seconds"])
            self._window = 0
        stopped = time.monotonic()
        self._stopped = True
        if len(self._receipts) < len(self._published):
            await _wait(self._complete, question["patience"])
        write(
            Path(question["out"]),
            (
                f"{name} {at:.6f} {self._receipts.get(name, 0.0):.6f}\n"
                for name, at in self._published.items()
            ),
        )
        return {
            "began": began,
            "stopped": stopped,
            "sent": len(self._published),
            "bytes": self._bytes,
            "refused": self._refused,
            "exhausted": self._exhausted.is_set(),
            "begun": self._begun,
            "late": sorted(late)[len(late) * 99 // 100] if late else 0.0,
        }

    def _all(self) -> Iterator[stock.Ready]:
        for path in self._chunks:
            self._begun += 1
            yield from stock.read(path)

    def _fill(self) -> None:
        while len(self._published) - len(self._receipts) < self._window and time.monotonic() < self._end:
            if not self._one():
                return

    async def _steady(self, rate: float, late: list[float]) -> None:
        began = time.monotonic()
        sent = 0
        while (now := time.monotonic()) < self._end and not self._exhausted.is_set():
            due = began + sent / rate
            if due > now:
                await asyncio.sleep(due - now)
            elif len(self._published) - len(self._receipts) > _LONGEST_QUEUE or not self._one():
                return
            else:
                late.append(now - due)
                sent += 1
                if sent % 20 == 0:
                    await asyncio.sleep(0)  # when behind: receipts and confirms come in nevertheless

    def _one(self) -> bool:
        document = next(self._documents, None)
        if document is None:
            self._exhausted.set()
            return False
        message = Outgoing(
            exchange=names.INGRESS,
            routing_key=names.ingress_key(Lane.NORMAL, document.sender),
            body=document.body,
            message_id=document.transport_id,
            type=Kind.EDOC.value,
            content_type=names.CONTENT_EDXML,
            as_self=True,
        )
        properties = properties_of(message, self._user)
        self._published[document.transport_id] = time.monotonic()
        self._channel.basic_publish(names.INGRESS, message.routing_key, document.body, properties, True)
        self._bytes += len(document.body)
        return True

    def _confirmed(self, frame: Foreign) -> None:
        if frame.method.NAME != "Basic.Ack":
            broken(ValueError("a publish was refused"))

    def _receipt(self, properties: Foreign) -> None:
        name = properties.correlation_id
        if name in self._published:
            self._receipts.setdefault(name, time.monotonic())
            if properties.headers and properties.headers.get(names.H_RESULT) == "refused":
                self._refused += 1
            if self._stopped and len(self._receipts) == len(self._published):
                self._complete.set()
        if self._window:
            self._fill()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, so long and no longer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


if __name__ == "__main__":
    run(Sender(sys.argv[1]).answer)
