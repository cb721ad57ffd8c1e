"""Doubles of what a gateway stands on: a broker in memory, a verifier and a format that read plain JSON."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import deque
from collections.abc import Generator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from adapters.gateway import Account, Gateway, Mailbox, ReceiptFacts, StatusDraft
from relay.errors import BrokerError, Code, RefusedError, TrucError
from relay.model.agency import Agency, AgencyCertificate, Resolution
from relay.model.delivery import delivery_id
from relay.model.envelope import Envelope, Recipient, Reference
from relay.model.levels import Level
from relay.model.message import Incoming, Kind, Outgoing, Properties, Published
from relay.model.verdict import Node, SignaturePlace, SignedView, Verdict, Verification

START = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
TRANSPORT = "0b6b0e3a-5f6e-4b52-9d57-7a2f4f0c9d11"


class Crash(Exception):
    """The process dies here."""


class FakeClock:
    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return (self.time - START).total_seconds()

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class FakeLink:
    """Queues in memory; unsettled messages come back after ``restart``."""

    def __init__(self, clock: FakeClock) -> None:
        self.queues: dict[str, deque[Incoming]] = {}
        self.unsettled: list[Incoming] = []
        self.published: list[Outgoing] = []
        self.rejected: list[Incoming] = []
        self.acked: list[Incoming] = []
        self.results: deque[Published | TrucError] = deque()
        self.die_at: str = ""
        self._clock = clock
        self._tags = itertools.count(1)

    def put(self, queue: str, properties: Properties, body: bytes) -> None:
        self.queues.setdefault(queue, deque()).append(
            Incoming(queue, "", "", properties, body, False, 0, next(self._tags), 1)
        )

    def restart(self) -> None:
        for message in reversed(self.unsettled):
            self.queues[message.queue].appendleft(message)
        self.unsettled.clear()
        self.die_at = ""

    def publish(self, message: Outgoing) -> Published:
        self._die("publish")
        result = self.results.popleft() if self.results else Published.CONFIRMED
        if isinstance(result, TrucError):
            raise result
        self.published.append(message)
        self._die("published")
        return result

    def consume(self, queue: str, prefetch: int, idle: float) -> Generator[Incoming]:
        waiting = self.queues.setdefault(queue, deque())
        while waiting:
            message = waiting.popleft()
            self.unsettled.append(message)
            yield message
        self._clock.sleep(idle)

    def ack(self, message: Incoming) -> None:
        self._die("ack")
        self.unsettled.remove(message)
        self.acked.append(message)

    def reject(self, message: Incoming, *, requeue: bool) -> None:
        self.unsettled.remove(message)
        assert not requeue
        self.rejected.append(message)

    def close(self) -> None:
        pass

    def _die(self, place: str) -> None:
        if self.die_at == place:
            raise Crash


class FakeVerifier:
    """A body is JSON; ``signer`` in it is the fingerprint of who signed, absent means that it does not verify."""

    def __init__(self) -> None:
        self.asked_at: list[datetime] = []

    def verify(self, body: bytes, place: SignaturePlace, at: datetime) -> Verification:
        self.asked_at.append(at)
        signer = json.loads(body).get("signer")
        if signer is None:
            return Verification(Verdict(False, False, Code.SIGNATURE_INVALID, at))
        verdict = Verdict(True, True, Code.OK, at, certificate_sha256=signer)
        root = Node("x", body.decode(), (), ())
        return Verification(verdict, SignedView.of(root, hashlib.sha256(body).hexdigest(), len(body)))


class FakeFormat:
    content_type = "application/edxml+xml"

    def place(self, kind: Kind) -> SignaturePlace:
        return SignaturePlace("x", ())

    def read(self, view: SignedView, kind: Kind) -> Envelope:
        raw = json.loads(view.root.text or "{}")
        return Envelope(
            kind=kind,
            sender=raw["from"],
            sender_written=raw["from"],
            recipients=tuple(Recipient(code, code) for code in raw["to"]),
            document_id="D1",
            code_number="7",
            code_notation="VP",
            promulgation_date="2026/03/02",
            status_code=raw.get("status", ""),
            refers_to=Reference(raw["to"][0], "D1", "7/VP", "2026/03/02") if kind is Kind.STATUS else None,
        )


class FakeDirectory:
    version = "1"

    def __init__(self, agencies: Sequence[Agency], successors: dict[str, str] | None = None) -> None:
        self._agencies = {agency.code: agency for agency in agencies}
        self._successors = successors or {}

    def agency(self, code: str) -> Agency | None:
        return self._agencies.get(code)

    def resolve(self, written: str, day: date) -> Resolution:
        return Resolution(written, self._agencies.get(written))

    def gateway_of(self, user: str) -> str:
        return user

    def may_speak(self, user: str, sender: str) -> bool:
        return True

    def signers(self, sender: str) -> Sequence[AgencyCertificate]:
        agency = self._agencies.get(sender)
        return agency.certificates if agency else ()

    def predecessors(self, code: str, day: date) -> Sequence[str]:
        return [old for old, new in self._successors.items() if new == code]

    def successor_of(self, claimant: str, code: str, day: date) -> bool:
        return self._successors.get(code) == claimant


def agency(code: str, gateway: str | None = None, *, own_queue: bool = True) -> Agency:
    certificate = AgencyCertificate(f"cert-{code}", "")
    return Agency(
        code, code, Level.PROVINCE, gateway=gateway or code, own_queue=own_queue, certificates=(certificate,)
    )


def read_receipt(body: bytes, at: datetime) -> ReceiptFacts:
    if not body.startswith(b"receipt "):
        raise TrucError(Code.RECEIPT_INVALID, "not signed by a relay")
    _, kind, number, transport_id, sender = body.decode().split(" ")
    return ReceiptFacts(kind, "accepted", "", "truc-test", number, at, transport_id, sender)


def write_status(draft: StatusDraft) -> bytes:
    return json.dumps(
        {
            "from": draft.sender,
            "to": [draft.addressee],
            "status": draft.status_code,
            "signer": f"cert-{draft.sender}",
            "about": [draft.document_id, draft.code, draft.promulgation_date],
            "reason": draft.description,
        }
    ).encode()


class Rig:
    """A gateway over doubles, and a mailbox on disk that outlives it."""

    def __init__(self, folder: Path, code: str = "H26") -> None:
        self.clock = FakeClock()
        self.link = FakeLink(self.clock)
        self.verifier = FakeVerifier()
        self.directory = FakeDirectory(
            [agency("H26"), agency("H53"), agency("H26.15", "H26", own_queue=False), agency("H26.16", "H26")],
            {"H27": "H26"},
        )
        self.folder = folder
        self.code = code
        self._ids = (f"00000000-0000-4000-8000-{number:012}" for number in itertools.count(1))
        self.gateway = self.start()

    def start(self) -> Gateway:
        """Start (again) over the same mailbox; what was not settled is redelivered."""
        self.link.restart()
        self.gateway = Gateway(
            Account.of(self.code, self.directory),
            link=self.link,
            mailbox=Mailbox(self.folder / "H26.sqlite"),
            directory=self.directory,
            verifier=self.verifier,
            package_format=FakeFormat(),
            read_receipt=read_receipt,
            write_status=write_status,
            clock=self.clock,
            new_id=lambda: next(self._ids),
            sleep=self.clock.sleep,
        )
        return self.gateway

    def deliver(
        self,
        body: bytes | None = None,
        *,
        queue: str = "agency.H26",
        sender: str = "H53",
        recipient: str = "H26",
        kind: Kind = Kind.EDOC,
        drop: str = "",
        properties: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> bytes:
        """Put a delivery into a queue as the relay would; what is named is changed or dropped."""
        body = body if body is not None else package(sender, recipient)
        sha256 = hashlib.sha256(body).hexdigest()
        all_headers: dict[str, object] = {
            "truc-delivery-id": delivery_id(sender, sha256, recipient),
            "truc-sender": sender,
            "truc-recipient": recipient,
            "truc-sha256": sha256,
            "truc-accepted-at": "2026-03-02T00:59:00Z",
            **(headers or {}),
        }
        all_headers.pop(drop, None)
        values = {
            "message_id": TRANSPORT,
            "type": kind.value,
            "content_type": "application/edxml+xml",
            **(properties or {}),
        }
        values.pop(drop, None)
        self.link.put(queue, Properties(headers=all_headers, **values), body)  # type: ignore[arg-type]
        return body

    def receipt(self, body: str, queue: str = "agency.H26", **properties: str) -> None:
        values = {
            "type": "receipt",
            "content_type": "application/truc-receipt+xml",
            "message_id": "m",
            **properties,
        }
        self.link.put(queue, Properties(**values), body.encode())  # type: ignore[arg-type]


def package(sender: str, *to: str, signer: str | None = None, note: str = "") -> bytes:
    return json.dumps(
        {"from": sender, "to": list(to), "signer": signer or f"cert-{sender}", "note": note}
    ).encode()


def refused() -> BrokerError:
    return BrokerError(Code.PUBLISH_REFUSED, "no right")


def unreachable() -> BrokerError:
    return BrokerError(Code.BROKER_UNREACHABLE, "down")


__all__ = [
    "TRANSPORT",
    "Crash",
    "FakeClock",
    "FakeLink",
    "RefusedError",
    "Rig",
    "package",
    "refused",
    "unreachable",
]
