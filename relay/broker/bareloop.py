"""The bare loop: what the broker and the library cost in the relay's place when nothing is done with a document.

Takes from ``ingress.normal`` with the relay's own user and prefetch, publishes the body under three keys of the level
exchanges and one small message to ``receipts``, all mandatory and persistent, and acknowledges when the four are
confirmed. No signature, no registry, no receipt of any meaning: the relay is measured against it, and it runs in a
private sandbox alone. Same connections, same frame reader and writer as the relay's link.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pika

from relay.broker import names
from relay.broker.connection import Endpoint, call, close_quietly, open_channel, open_connection
from relay.broker.wire import Foreign
from relay.errors import BrokerError, Code
from relay.model.message import Lane
from relay.settings import load

ANSWER: Final = b"<answer/>".ljust(256)
"""The small message; a receipt is some 3 KB."""
_TIMEOUT: Final = 10.0  # seconds for one answer of the broker


@dataclass(frozen=True, slots=True)
class Target:
    """One exchange and key that each body is published to."""

    exchange: str
    key: str

    @classmethod
    def read(cls, written: str) -> Target:
        """Read ``exchange:key``. Raises ``ValueError``."""
        exchange, colon, key = written.partition(":")
        if not (exchange and colon and key):
            raise ValueError(f"{written!r} is not exchange:key")
        return cls(exchange, key)


class _Held:
    """One document in hand: its tag and how many confirms are missing."""

    __slots__ = ("missing", "tag")

    def __init__(self, tag: int, missing: int) -> None:
        self.tag = tag
        self.missing = missing


class BareLoop:
    """Consumes, publishes, acknowledges, over two connections like the relay."""

    def __init__(self, endpoint: Endpoint, targets: Sequence[Target], *, prefetch: int) -> None:
        self._endpoint = endpoint
        self._targets = tuple(targets)
        self._prefetch = prefetch
        self._taking: Foreign = None
        self._giving: Foreign = None
        self._published = 0
        self._waiting: dict[int, _Held] = {}  # by publishing tag, in order
        self._end: asyncio.Future[None] | None = None

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Run until ``stop``.

        Raises:
            BrokerError: the broker is gone, or refused or returned a publish: the figure would be worth nothing.
        """
        end = self._end = asyncio.get_running_loop().create_future()
        giving = await open_connection(self._endpoint, "bare loop publish", self._failed, _TIMEOUT)
        taking = await open_connection(self._endpoint, "bare loop consume", self._failed, _TIMEOUT)
        try:
            self._giving = await open_channel(giving, self._failed, _TIMEOUT)
            self._giving.add_on_return_callback(lambda *_: self._failed(ValueError("returned")))
            await call(self._select_confirms, channel=self._giving, timeout=_TIMEOUT)
            self._taking = await open_channel(taking, self._failed, _TIMEOUT)
            await call(
                self._taking.basic_qos, channel=self._taking, timeout=_TIMEOUT, prefetch_count=self._prefetch
            )
            queue = names.lane_queue(Lane.NORMAL)
            await call(self._taking.basic_consume, queue, self._taken, channel=self._taking, timeout=_TIMEOUT)
            on_ready()
            await end
        finally:
            if not end.done():
                end.cancel()
            close_quietly(taking)
            close_quietly(giving)
            await asyncio.sleep(0.1)

    def stop(self) -> None:
        """End ``run``; what is in hand goes back to its queue."""
        if self._end is not None and not self._end.done():
            self._end.set_result(None)

    def _failed(self, error: BaseException) -> None:
        if self._end is not None and not self._end.done():
            self._end.set_exception(BrokerError(Code.BROKER_UNREACHABLE, str(error)))

    def _select_confirms(self, *, callback: Foreign) -> None:
        self._giving.confirm_delivery(ack_nack_callback=self._confirmed, callback=callback)

    def _taken(self, _channel: Foreign, method: Foreign, sent: Foreign, body: bytes) -> None:
        properties = pika.BasicProperties(
            content_type=sent.content_type, delivery_mode=2, message_id=sent.message_id, type=sent.type
        )
        answer = pika.BasicProperties(delivery_mode=2, correlation_id=sent.message_id, type="receipt")
        held = _Held(method.delivery_tag, len(self._targets) + 1)
        publish = self._giving.basic_publish
        for target in self._targets:
            publish(target.exchange, target.key, body, properties, True)
        publish(names.RECEIPTS, method.routing_key.partition(".")[2], ANSWER, answer, True)
        for _ in range(held.missing):
            self._published += 1
            self._waiting[self._published] = held

    def _confirmed(self, frame: Foreign) -> None:
        method = frame.method
        if method.NAME != "Basic.Ack":
            self._failed(ValueError("a publish was refused"))
            return
        tag = method.delivery_tag
        if not method.multiple:
            self._one(self._waiting.pop(tag))
            return
        done = []
        for one in self._waiting:
            if one > tag:
                break
            done.append(one)
        for one in done:
            self._one(self._waiting.pop(one))

    def _one(self, held: _Held) -> None:
        held.missing -= 1
        if not held.missing:
            self._taking.basic_ack(held.tag)


async def _main(config: Path, targets: Sequence[Target], ready: Path) -> None:
    settings = load(config)
    broker = settings.broker
    endpoint = Endpoint.from_url(
        broker.url, broker.user, broker.password(), ca_file=broker.ca_file, heartbeat=broker.heartbeat
    )
    bare = BareLoop(endpoint, targets, prefetch=settings.worker.prefetch.normal)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, bare.stop)
    await bare.run(ready.touch)


def main() -> None:
    """Run from the command line, until SIGTERM."""
    parser = argparse.ArgumentParser(prog="bareloop")
    parser.add_argument("--config", type=Path, required=True, help="configuration of a worker")
    parser.add_argument("--ready", type=Path, required=True, help="file that is made when it takes")
    parser.add_argument("--target", type=Target.read, action="append", required=True, metavar="EXCHANGE:KEY")
    arguments = parser.parse_args()
    asyncio.run(_main(arguments.config, arguments.target, arguments.ready))


if __name__ == "__main__":
    main()
