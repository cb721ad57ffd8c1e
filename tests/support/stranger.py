"""A gateway by a third party: plain pika, ``sandbox.json`` and the published protocol, nothing of the relay's code.

One ``Stranger`` is one broker user. It publishes what it is told, right or wrong, on one connection, and reads its
agencies' queues on another, in a thread; every arrival is kept for the test to look at.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import ssl
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import pika
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pika.exceptions import AMQPError, ChannelClosedByBroker, NackError, UnroutableError

from tests.support.stranger_xml import (
    DoesNotHoldError,
    Facts,
    Receipt,
    Signer,
    check_receipt,
    document,
    hint,
    read_facts,
    read_receipt,
    sign,
    status,
    verified,
)

CONTENT_EDXML: Final = "application/edxml+xml"
CONTENT_RECEIPT: Final = "application/truc-receipt+xml"
# What may stand on a delivery, by the protocol, and what the broker itself adds.
DOCUMENT_HEADERS: Final = frozenset(
    {"truc-delivery-id", "truc-sender", "truc-recipient", "truc-sha256", "truc-accepted-at", "truc-refers-to"}
)
RECEIPT_HEADERS: Final = frozenset({"truc-receipt-kind", "truc-result", "truc-code", "truc-duplicate"})
BROKER_HEADERS: Final = frozenset({"x-delivery-count", "x-acquired-count"})
_HEADER_PLACE: Final = "{http://www.mic.gov.vn/TBT/QCVN_102_2016}edXMLEnvelope/{http://www.mic.gov.vn/TBT/QCVN_102_2016}edXMLHeader"
T = TypeVar("T")


@dataclass(frozen=True)
class Received:
    """A document or status as it arrived."""

    queue: str
    type: str
    content_type: str
    message_id: str
    headers: Mapping[str, Any]
    properties: Any
    body: bytes
    arrived: float
    repeated: bool  # a delivery id that was stored before: acknowledged and dropped

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    @property
    def delivery_id(self) -> str:
        return str(self.headers["truc-delivery-id"])

    @property
    def recipient(self) -> str:
        return str(self.headers["truc-recipient"])


@dataclass(frozen=True)
class Sandbox:
    """``sandbox.json`` as any program reads it."""

    raw: Mapping[str, Any]

    @classmethod
    def load(cls, file: Path) -> Sandbox:
        return cls(json.loads(file.read_text(encoding="utf-8")))

    @property
    def root(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(Path(self.raw["ca_cert"]).read_bytes())

    def tls(self, host: str) -> pika.SSLOptions:
        """Return how a connection by ``amqps`` is made: the broker has to show a certificate of that name."""
        return pika.SSLOptions(ssl.create_default_context(cafile=self.raw["tls_ca_cert"]), host)

    def signer(self, agency: str) -> Signer:
        entry = self.raw["agencies"][agency]
        return Signer.load(entry["key"], entry["cert"])

    def leafs(self, agency: str) -> set[bytes]:
        """Return the certificates (DER) that may sign for an agency: its own and its gateway's."""
        codes = {agency, self.raw["agencies"][agency]["gateway"]}
        return {
            self.signer(code).chain[0].public_bytes(Encoding.DER)
            for code in codes
            if code in self.raw["agencies"]
        }


class Stranger:
    """One broker user's two connections."""

    def __init__(self, sandbox: Sandbox, gateway: str) -> None:
        self.sandbox = sandbox
        self.code = gateway
        entry = sandbox.raw["gateways"][gateway]
        self.user: str = entry["user"]
        self.serves: tuple[str, ...] = tuple(entry["serves"])
        url = urlsplit(sandbox.raw["amqp_url"])
        self._parameters = pika.ConnectionParameters(
            host=url.hostname,
            port=url.port,
            virtual_host=url.path[1:],
            credentials=pika.PlainCredentials(self.user, entry["password"]),
            heartbeat=0,  # the publishing side may rest for long while a test looks at results
            blocked_connection_timeout=60,
            ssl_options=sandbox.tls(str(url.hostname)) if url.scheme == "amqps" else None,
        )
        self._signers: dict[str, Signer] = {}
        self._publisher: Any = None
        self._confirming: Any = None
        self._flooding: Any = None
        self._reader: Any = None
        self._thread: threading.Thread | None = None
        self._news = threading.Condition()
        self._stored: set[str] = set()
        self.rejects: set[str] = set()  # transport ids of documents that it cannot take
        self.failure: Exception | None = None
        self.documents: list[Received] = []  # edoc and status, also repeated ones
        self.receipts: list[Receipt] = []
        self.by_sha256: dict[str, list[Receipt]] = defaultdict(list)
        self.by_transport_id: dict[str, list[Receipt]] = defaultdict(list)

    # --- life

    def start(self) -> Stranger:
        """Begin to read the queues of the agencies that it serves."""
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._read, args=(ready,), name=f"reads {self.code}", daemon=True
        )
        self._thread.start()
        assert ready.wait(60), f"{self.code} cannot read: {self.failure}"
        assert self.failure is None, self.failure
        return self

    def close(self) -> None:
        if self._reader is not None and self._reader.is_open:
            self._reader.add_callback_threadsafe(self._stop)
        if self._thread is not None:
            self._thread.join(10)
        if self._publisher is not None and self._publisher.is_open:
            with contextlib.suppress(AMQPError):
                self._publisher.close()

    # --- making

    def signer(self, agency: str | None = None) -> Signer:
        code = agency or self.code
        if code not in self._signers:
            self._signers[code] = self.sandbox.signer(code)
        return self._signers[code]

    def paper(self, facts: Facts) -> bytes:
        """Return a document, signed by its sender."""
        return sign(document(facts), self.signer(facts.sender))

    # --- publishing

    def publish(
        self,
        body: bytes,
        *,
        kind: str = "edoc",
        key: str | None = None,
        message_id: str | None = "",
        headers: Mapping[str, Any] | None = None,
        exchange: str = "ingress",
        **properties: Any,
    ) -> str:
        """Publish and await the broker's word: ``ack``, ``nack``, ``returned`` or ``closed <code>``.

        Everything is as the protocol wants it unless told otherwise; a property given as None is left out.
        """
        chosen = self._properties(kind, message_id, headers, properties)
        channel = self._confirming_channel()
        try:
            channel.basic_publish(exchange, key or self.key(kind), body, chosen, mandatory=True)
        except UnroutableError:
            return "returned"
        except NackError:
            channel.close()  # the next one goes over a new channel
            return "nack"
        except ChannelClosedByBroker as error:
            return f"closed {error.reply_code}"
        return "ack"

    def flood(self, bodies: Iterable[tuple[str, bytes, str, str]]) -> None:
        """Publish (transport id, body, kind, key) without waiting for single confirms."""
        channel = self._flooding_channel()
        for message_id, body, kind, key in bodies:
            channel.basic_publish(
                "ingress", key, body, self._properties(kind, message_id, None, {}), mandatory=True
            )
        self._publisher.process_data_events(0)

    def key(self, kind: str = "edoc", *, urgent: bool = False, sender: str | None = None) -> str:
        lane = "status" if kind == "status" else "urgent" if urgent else "normal"
        return f"{lane}.{sender or self.code}"

    def send(
        self, facts: Facts, *, urgent: bool = False, message_id: str = "", **more: Any
    ) -> tuple[str, bytes]:
        """Sign and publish a document; return transport id and body."""
        message_id = message_id or str(uuid.uuid4())
        body = self.paper(facts)
        word = self.publish(
            body, key=self.key(urgent=urgent, sender=facts.sender), message_id=message_id, **more
        )
        assert word == "ack", word
        return message_id, body

    def tell(
        self,
        facts: Facts,
        code: str,
        *,
        about: str | None = None,
        reporter: str | None = None,
        addressee: str | None = None,
        description: str = "",
        when: str = "",
    ) -> tuple[str, bytes]:
        """Sign and publish a status about a document (``about``: its transport id); return transport id and body."""
        who = reporter or self.code
        body = sign(
            status(facts, who, code, addressee=addressee, description=description, when=when),
            self.signer(who),
        )
        message_id = str(uuid.uuid4())
        word = self.publish(
            body,
            kind="status",
            key=self.key("status", sender=who),
            message_id=message_id,
            correlation_id=about,
        )
        assert word == "ack", word
        return message_id, body

    def answer(
        self, received: Received, code: str = "01", *, description: str = "", when: str = ""
    ) -> tuple[str, bytes]:
        """Send a status about a received document in the name of the agency it was for."""
        return self.tell(
            read_facts(received.body),
            code,
            about=received.message_id,
            reporter=received.recipient,
            addressee=str(received.headers["truc-sender"]),
            description=description,
            when=when,
        )

    def depth(self, queue: str) -> int:
        """Return how many messages stand ready in a queue."""
        connection = pika.BlockingConnection(self._parameters)
        try:
            return int(connection.channel().queue_declare(queue, passive=True).method.message_count)
        finally:
            connection.close()

    # --- reading

    def wait(self, look: Callable[[], T | None], seconds: float = 60.0, what: str = "") -> T:
        """Wait until ``look`` gives something; it is called again after each arrival."""
        end = time.monotonic() + seconds
        with self._news:
            while not (found := look()):
                left = end - time.monotonic()
                assert self.failure is None, f"{self.code} stopped reading: {self.failure!r}"
                assert left > 0, f"{self.code}: {what or 'what was waited for'} did not arrive in {seconds} s"
                self._news.wait(min(left, 0.5))
            return found

    def receipts_of(self, transport_id: str, kind: str = "") -> list[Receipt]:
        with self._news:
            return [each for each in self.by_transport_id[transport_id] if not kind or each.kind == kind]

    def acknowledgement(self, transport_id: str, seconds: float = 60.0) -> Receipt:
        """Wait for the acknowledgement of a submission, check and return it."""
        return self.receipt(transport_id, "acknowledgement", seconds=seconds)

    def receipt(
        self, transport_id: str, kind: str, *, code: str | None = None, seconds: float = 60.0
    ) -> Receipt:
        """Wait for a receipt of that kind (and code), check and return it."""

        def look() -> Receipt | None:
            found = self.receipts_of(transport_id, kind)
            return next((each for each in found if code is None or each.code == code), None)

        found = self.wait(look, seconds, f"{kind} {code or ''} for {transport_id}")
        check_receipt(found, self.sandbox.root)
        return found

    def arrival(self, transport_id: str, seconds: float = 60.0, *, kind: str = "edoc") -> Received:
        """Wait for a document or status by its transport id and return the first."""
        return self.wait(
            lambda: next(iter(self.arrivals(transport_id, kind)), None), seconds, f"{kind} {transport_id}"
        )

    def arrivals(self, transport_id: str, kind: str = "edoc") -> list[Received]:
        with self._news:
            return [each for each in self.documents if each.message_id == transport_id and each.type == kind]

    def arrived_with(self, sha256: str) -> list[Received]:
        with self._news:
            return [each for each in self.documents if each.headers.get("truc-sha256") == sha256]

    def check(self, received: Received) -> None:
        """Do what the protocol asks of a gateway before it stores. Raises ``DoesNotHoldError``."""
        headers = received.headers
        if headers["truc-sha256"] != received.sha256:
            raise DoesNotHoldError("SHA-256 differs")
        if extra := set(headers) - DOCUMENT_HEADERS - BROKER_HEADERS:
            raise DoesNotHoldError(f"headers that the protocol does not name: {sorted(extra)}")
        properties = received.properties
        if any((properties.user_id, properties.expiration, properties.reply_to, properties.correlation_id)):
            raise DoesNotHoldError("properties that the protocol does not name")
        if properties.delivery_mode != 2 or received.content_type != CONTENT_EDXML:
            raise DoesNotHoldError("not persistent, or another content type")
        if received.recipient not in self.serves:
            raise DoesNotHoldError("for an agency that this gateway does not serve")
        sender = str(headers["truc-sender"])
        leaf = verified(received.body, _HEADER_PLACE, self.sandbox.root)
        if leaf.public_bytes(Encoding.DER) not in self.sandbox.leafs(sender):
            raise DoesNotHoldError("signed by another than the sender or its gateway")
        if read_facts(received.body).sender != sender:
            raise DoesNotHoldError("the signed From is not truc-sender")

    # --- inside

    def _properties(
        self, kind: str, message_id: str | None, headers: Mapping[str, Any] | None, changed: Mapping[str, Any]
    ) -> Any:
        values: dict[str, Any] = {
            "user_id": self.user,
            "message_id": str(uuid.uuid4()) if message_id == "" else message_id,
            "type": kind,
            "content_type": CONTENT_EDXML,
            "delivery_mode": 2,
            "headers": dict(headers) if headers else None,
            **changed,
        }
        return pika.BasicProperties(**{name: value for name, value in values.items() if value is not None})

    def _connected(self) -> Any:
        if self._publisher is None or not self._publisher.is_open:
            self._publisher = pika.BlockingConnection(self._parameters)
        return self._publisher

    def _confirming_channel(self) -> Any:
        if self._confirming is None or not self._confirming.is_open:
            self._confirming = self._connected().channel()
            self._confirming.confirm_delivery()
        return self._confirming

    def _flooding_channel(self) -> Any:
        if self._flooding is None or not self._flooding.is_open:
            self._flooding = self._connected().channel()
        return self._flooding

    def _read(self, ready: threading.Event) -> None:
        try:
            self._reader = pika.BlockingConnection(self._parameters)
            for agency in self.serves:
                queue = f"agency.{agency}"
                channel = self._reader.channel()
                try:
                    channel.queue_declare(queue, passive=True)
                except ChannelClosedByBroker:
                    continue  # it has no queue of its own
                channel.basic_qos(prefetch_count=300)
                channel.basic_consume(queue, self._take(queue))
            ready.set()
            while self._reader.is_open:
                self._reader.process_data_events(time_limit=None)
        except Exception as error:
            if not isinstance(error, _Stop):
                self.failure = error
        finally:
            ready.set()
            with self._news:
                self._news.notify_all()

    def _stop(self) -> None:
        with contextlib.suppress(AMQPError):
            self._reader.close()
        raise _Stop

    def _take(self, queue: str) -> Callable[..., None]:
        def take(channel: Any, method: Any, properties: Any, body: bytes) -> None:
            if properties.type != "receipt" and properties.message_id in self.rejects:
                channel.basic_reject(method.delivery_tag, requeue=False)
                return
            with self._news:
                self._store(queue, properties, body)
                self._news.notify_all()
            channel.basic_ack(method.delivery_tag)

        return take

    def _store(self, queue: str, properties: Any, body: bytes) -> None:
        now = time.monotonic()
        headers: dict[str, Any] = dict(properties.headers or {})
        if properties.type == "receipt":
            receipt = hint(
                read_receipt(body),
                correlation_id=properties.correlation_id,
                duplicate=headers.get("truc-duplicate") == "true",
                queue=queue,
                arrived=now,
            )
            self.receipts.append(receipt)
            self.by_sha256[receipt.sha256].append(receipt)
            self.by_transport_id[receipt.transport_id].append(receipt)
            return
        delivery_id = str(headers.get("truc-delivery-id", ""))
        repeated = delivery_id in self._stored
        self._stored.add(delivery_id)
        self.documents.append(
            Received(
                queue=queue,
                type=properties.type or "",
                content_type=properties.content_type or "",
                message_id=properties.message_id or "",
                headers=headers,
                properties=properties,
                body=body,
                arrived=now,
                repeated=repeated,
            )
        )


class _Stop(Exception):
    """Ends the reading thread."""
