"""The readers: what queues give to the demo's gateways, noted before anybody acts on it.

Knows the wire and the signatures of receipts, and nothing of the relay's own state.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Generator
from datetime import datetime
from typing import Final

from relay.broker import names
from relay.broker.blocking import BlockingClient
from relay.broker.connection import Endpoint
from relay.errors import BrokerError, Code, TrucError
from relay.evidence.receipts import ReceiptVerifier
from relay.model.message import Incoming, Kind, Outgoing, Published
from relay.model.ports import Clock
from relay.sandbox.demo.records import Record, Seen, Sent, Told, ToldLine

_TIMEOUT: Final = 30.0  # seconds for one answer of the broker
_LOOK: Final = 0.05
_NEXT: Final = 0.05  # seconds: a gateway answers what came as soon as there is a pause
# What the broker answers where a repetition would change nothing.
_FOR_GOOD: Final = ("403", "404", "406")


class Book:
    """Everything noted so far. Several threads write, one waits."""

    def __init__(self, sleep: Callable[[float], None], monotonic: Callable[[], float]) -> None:
        self._lock = threading.Lock()
        self._sent: list[Sent] = []
        self._seen: list[Seen] = []
        self._told: list[Told] = []
        self._trouble: TrucError | None = None
        self._sleep = sleep
        self._monotonic = monotonic

    def sent(self, item: Sent) -> None:
        """Note a submission."""
        with self._lock:
            self._sent.append(item)

    def came(self, item: Seen | Told) -> None:
        """Note what a queue gave."""
        with self._lock:
            if isinstance(item, Seen):
                self._seen.append(item)
            else:
                self._told.append(item)

    def trouble(self, error: TrucError) -> None:
        """Note that a gateway cannot go on; who waits gets the error."""
        with self._lock:
            self._trouble = self._trouble or error

    def record(self) -> Record:
        """Return everything so far. Raises what stopped a gateway."""
        with self._lock:
            if self._trouble is not None:
                raise self._trouble
            return Record(tuple(self._sent), tuple(self._seen), tuple(self._told))

    def wait(self, found: Callable[[Record], bool], seconds: float) -> bool:
        """Wait until ``found`` holds of the record. False when time is up. Raises what stopped a gateway."""
        until = self._monotonic() + seconds
        while not found(self.record()):
            if self._monotonic() > until:
                return False
            self._sleep(_LOOK)
        return True


class Tap:
    """A gateway's link (port ``Link``) that notes each message before the gateway sees it.

    Its consumers stay from one call to the next, each on a connection of its own; publishing has another.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        name: str,
        book: Book,
        receipts: ReceiptVerifier,
        clock: Clock,
        on_confirmed: Callable[[Outgoing], None],
    ) -> None:
        self._endpoint = endpoint
        self._on_confirmed = on_confirmed
        self._name = name
        self._book = book
        self._receipts = receipts
        self._clock = clock
        self._publisher = BlockingClient(endpoint, name=f"{name} out", timeout=_TIMEOUT)
        self._consumers: dict[str, BlockingClient] = {}
        self.fresh: list[Seen] = []
        """Documents and statuses since the gateway's owner last looked (and cleared)."""

    def publish(self, message: Outgoing) -> Published:
        """Publish as ourselves. Raises ``BrokerError``, PUBLISH-REFUSED when it is refused for good."""
        self._publisher.open()
        try:
            result = self._publisher.publish_outgoing(message)
        except BrokerError as error:
            if error.code is Code.BROKER_REFUSED and error.detail.startswith(_FOR_GOOD):
                raise BrokerError(Code.PUBLISH_REFUSED, error.detail) from error
            raise
        if result is Published.CONFIRMED:
            self._on_confirmed(message)
        return result

    def consume(self, queue: str, prefetch: int, idle: float) -> Generator[Incoming]:
        """Yield messages until none came for ``idle`` seconds, or for a moment after one that came."""
        if queue not in self._consumers:
            self._consumers[queue] = BlockingClient(
                self._endpoint, name=f"{self._name} in", timeout=_TIMEOUT, prefetch=prefetch
            )
        wait = idle
        while (message := self._consumers[queue].take(queue, wait)) is not None:
            wait = min(idle, _NEXT)
            self._note(message)
            yield message

    def ack(self, message: Incoming) -> None:
        """Acknowledge."""
        self._consumers[message.queue].ack(message)

    def reject(self, message: Incoming, *, requeue: bool) -> None:
        """Give back or dead-letter."""
        consumer = self._consumers[message.queue]
        if requeue:
            consumer.requeue(message)
        else:
            consumer.reject(message)

    def close(self) -> None:
        """Close every connection."""
        for client in (self._publisher, *self._consumers.values()):
            client.close()

    def _note(self, message: Incoming) -> None:
        now = self._clock.now()
        if message.properties.type == Kind.RECEIPT:
            self._book.came(told(message, self._receipts, now))
        else:
            item = seen(message, now)
            self.fresh.append(item)
            self._book.came(item)


def seen(message: Incoming, at: datetime) -> Seen:
    """Return a document or status as it came, whatever it holds; what is missing is empty."""
    properties = message.properties

    def header(name: str) -> str:
        value = properties.headers.get(name)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")

    return Seen(
        kind=Kind.STATUS if properties.type == Kind.STATUS else Kind.EDOC,
        queue=message.queue,
        exchange=message.exchange,
        routing_key=message.routing_key,
        transport_id=properties.message_id or "",
        delivery_id=header(names.H_DELIVERY_ID),
        sender=header(names.H_SENDER),
        recipient=header(names.H_RECIPIENT),
        sha256=hashlib.sha256(message.body).hexdigest(),
        size=len(message.body),
        accepted_at=header(names.H_ACCEPTED_AT),
        refers_to=header(names.H_REFERS_TO),
        at=at,
    )


def told(message: Incoming, receipts: ReceiptVerifier, at: datetime) -> Told:
    """Return a receipt as it came, with its fault where the signature does not hold."""
    result = receipts.verify(message.body, at)
    receipt = result.receipt
    digest = hashlib.sha256(message.body).hexdigest()
    repeated = names.H_DUPLICATE in message.properties.headers
    fault = "" if result.accepted else f"{result.verdict.reason.value} {result.verdict.detail}".strip()
    if receipt is None:
        return Told(
            queue=message.queue,
            kind="",
            result="",
            code="",
            number=message.properties.message_id or "",
            document_kind="",
            transport_id=message.properties.correlation_id or "",
            body_sha256="",
            lines=(),
            repeated=repeated,
            sha256=digest,
            issued_at=at,
            at=at,
            fault=fault or Code.RECEIPT_INVALID.value,
        )
    return Told(
        queue=message.queue,
        kind=receipt.kind.value,
        result="accepted" if receipt.accepted else "refused",
        code=receipt.code,
        number=f"{receipt.relay}/{receipt.number}",
        document_kind=receipt.document_kind,
        transport_id=receipt.transport_id,
        body_sha256=receipt.body_sha256,
        lines=tuple(
            ToldLine(line.code, line.resolved, line.state.value, line.outcome_code)
            for line in receipt.recipients
        ),
        repeated=repeated,
        sha256=digest,
        issued_at=receipt.at,
        at=at,
        signer=receipt.verdict.signer if receipt.verdict else "",
        reason=receipt.verdict.reason if receipt.verdict else "",
        fault=fault,
    )
