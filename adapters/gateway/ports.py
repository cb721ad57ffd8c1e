"""What a gateway needs from outside, and the values that pass between its parts."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from relay.model.message import Incoming, Kind, Outgoing, Published


class Link(Protocol):
    """A gateway's access to the broker, as its broker user. Errors: ``BrokerError``."""

    def publish(self, message: Outgoing) -> Published:
        """Publish persistent, mandatory and with our own ``user_id``; wait for the confirm, never without limit.

        Raises:
            BrokerError: the broker refuses it for good (PUBLISH-REFUSED: a right is missing) or is not there.
        """
        ...

    def consume(self, queue: str, prefetch: int, idle: float) -> Generator[Incoming]:
        """Yield messages with manual acknowledgement until nothing came for ``idle`` seconds.

        Leaving the loop cancels the consumer; what was not settled goes back to the queue.
        """
        ...

    def ack(self, message: Incoming) -> None:
        """Acknowledge one message."""
        ...

    def reject(self, message: Incoming, *, requeue: bool) -> None:
        """Give one back (``requeue``) or send it to quarantine by dead-lettering."""
        ...

    def close(self) -> None:
        """Close both connections; a second call does nothing."""
        ...


@dataclass(frozen=True, slots=True)
class ReceiptFacts:
    """What a verified receipt says, as far as a gateway acts on it. ``json`` holds all of it for people."""

    kind: str
    result: str  # accepted or refused
    code: str  # "" when there is nothing to remark
    relay: str
    number: str
    at: datetime
    transport_id: str
    sender: str  # "" if the relay could not prove it
    recipients: tuple[ReceiptLine, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """One recipient in a receipt."""

    code: str
    resolved: str
    state: str
    outcome_code: str
    delivery_id: str
    at: str
    detail: str = ""


class ReceiptReader(Protocol):
    """Reads a receipt whose signature it verified and whose signer is a relay."""

    def __call__(self, body: bytes, at: datetime) -> ReceiptFacts:
        """Return the facts. Raises ``TrucError`` RECEIPT-INVALID when signature, signer or shape do not hold."""
        ...


@dataclass(frozen=True, slots=True)
class StatusDraft:
    """A status before it is written and signed."""

    sender: str  # normal code of the agency that reports
    addressee: str  # code as the document meant wrote it: From of a document, To of our own
    document_id: str
    code: str  # "number/notation" of the document meant
    promulgation_date: str  # yyyy/MM/dd, as written there
    status_code: str  # "01" ... "16"
    description: str
    at: datetime


class StatusWriter(Protocol):
    """Writes a status in the document format and signs it with the agency's key (or its gateway's)."""

    def __call__(self, draft: StatusDraft) -> bytes:
        """Return the signed package."""
        ...


class OutState(StrEnum):
    """Where a submission of ours stands."""

    WAITING = "waiting"  # to be published
    CONFIRMED = "confirmed"  # the broker keeps it
    REFUSED = "refused"  # the broker does not take it from us; a retry does not help


@dataclass(frozen=True, slots=True)
class Submission:
    """A document or status of ours, kept with its bytes so that it can be sent again as it was."""

    transport_id: str
    agency: str
    kind: Kind
    lane: str
    body: bytes
    created_at: datetime
    correlation_id: str | None = None
    deadline: datetime | None = None
    state: OutState = OutState.WAITING
    attempts: int = 0
    tried_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Arrived:
    """A document or status that passed every check of a gateway."""

    delivery_id: str
    kind: Kind
    agency: str  # the recipient, one of ours
    sender: str
    sender_written: str
    transport_id: str
    sha256: str
    accepted_at: str  # as the relay wrote it, RFC 3339 UTC
    received_at: datetime
    document_id: str
    code: str  # "number/notation"
    promulgation_date: str
    subject: str
    business_type: int
    priority: int
    body: bytes = field(repr=False)
    recipients: tuple[str, ...] = ()  # as written
    refers_to: str = ""  # of a status: transport id of the document meant
    status_code: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    """A receipt in the mailbox."""

    facts: ReceiptFacts
    agency: str
    correlation_id: str
    received_at: datetime
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Taken:
    """What one run over the queue did, in counts."""

    documents: int = 0
    statuses: int = 0
    receipts: int = 0
    repeats: int = 0
    rejected: tuple[str, ...] = ()  # "<message id>: <code>: <detail>"
    published: int = 0  # statuses and documents from the outbox
