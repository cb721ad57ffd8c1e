"""What the registry stores and answers: the rows of T1 and T2 as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from relay.errors import Code
from relay.model.delivery import Delivery, State
from relay.model.envelope import Reference, StatusCode
from relay.model.evidence import Submission
from relay.model.message import Kind
from relay.model.receipt import SignedReceipt
from relay.model.verdict import Verdict


@dataclass(frozen=True, slots=True)
class StatusEffect:
    """What an accepted status does to the delivery that it speaks of. Decided by ``lifecycle``, applied in T1."""

    document: int  # row id of the document meant
    delivery_id: str  # its delivery to the agency that reports, or that is asked (13)
    version: int  # of that delivery when the decision was made; a later version means: decide again
    status: StatusCode
    timestamp: str  # as written in the status
    move_to: State | None  # DELIVERED, WITHDRAWN or None
    change: str | None  # new change sub-state: "asked", "withdrawn", "declined" or None for no change
    refusal: Code | None = None  # the status is stored and refused (e.g. 05 after 15)


@dataclass(frozen=True, slots=True)
class Claim:
    """T1 for one document: everything that is frozen before anything is published."""

    sender: str
    transport_id: str
    kind: Kind
    user: str  # broker user that published it
    lane: str
    body_sha256: str
    body_bytes: int
    accepted_at: datetime
    deadline_at: datetime | None  # None for a status
    document_id: str
    code: str  # "number/notation"
    promulgation_date: str
    business_type: int
    verdict: Verdict
    directory_version: str
    deliveries: tuple[Delivery, ...]  # PLANNED or REFUSED
    refusal: Code | None = None  # the whole document is refused (its sender is proven)
    detail: str = ""
    effect: StatusEffect | None = None  # of a status
    status_code: str = ""
    speaks_of: tuple[str, ...] = ()  # of a revocation, update or replacement: the document ids that it names


class Claimed(StrEnum):
    """How a claim ended."""

    NEW = "new"  # the row is ours, nothing was there
    RESUMED = "resumed"  # a half-finished attempt, now ours: open deliveries by the frozen verdict
    REPEATED = "repeated"  # finished before: its receipts again
    BUSY = "busy"  # a live worker has it
    ID_REUSED = "id-reused"  # same key, other bytes
    SAME_CONTENT = "same-content"  # same bytes of this sender under another transport id
    CONFLICT = "conflict"  # the status's delivery changed meanwhile: decide again


@dataclass(frozen=True, slots=True)
class Document:
    """One row of documents with its deliveries."""

    row: int
    sender: str
    transport_id: str
    kind: Kind
    user: str
    lane: str
    body_sha256: str
    body_bytes: int
    accepted_at: datetime
    deadline_at: datetime | None
    document_id: str
    code: str
    promulgation_date: str
    business_type: int
    verdict: Verdict
    directory_version: str
    deliveries: tuple[Delivery, ...]
    refusal: Code | None = None
    detail: str = ""
    same_content_as: int | None = None  # row id of the first submission of these bytes
    refers_to: int | None = None  # of a status: the document meant
    status_code: str = ""
    settled: bool = False  # T2 was committed at least once
    finished: bool = False  # the final outcome was written (documents only)


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """Answer to one claim."""

    outcome: Claimed
    document: Document | None = None  # None for BUSY, CONFLICT; of ID_REUSED: None, nothing is shown
    receipts: tuple[
        SignedReceipt, ...
    ] = ()  # REPEATED and SAME_CONTENT: every stored receipt of *this* submission
    original: Document | None = None  # SAME_CONTENT: the first submission of these bytes
    completes: bool = False  # ... whose open deliveries are now ours to publish, with this body
    referred: Document | None = None  # of a status: the document meant, after the effect


@dataclass(frozen=True, slots=True)
class Move:
    """One delivery's change of state in T2."""

    delivery_id: str
    state: State
    at: datetime
    code: Code | None = None
    due_at: datetime | None = None  # with PLANNED: deferred until then
    attempt: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class NewReceipt:
    """A receipt to be stored with T2 and the document that it tells of.

    ``document`` is None for a refusal whose sender is not proven: then (user, transport id, sha256) is its key.
    """

    receipt: SignedReceipt
    document: int | None
    final: bool = False  # the one outcome that ends a document; a second one is ignored
    told: tuple[str, ...] = ()  # delivery ids whose overdue or loss is told by this receipt
    user: str = ""
    transport_id: str = ""
    body_sha256: str = ""
    refused: Submission | None = None  # what is put on record of a refusal that no row of a document tells of


@dataclass(frozen=True, slots=True)
class Settlement:
    """T2 for one document."""

    document: int | None
    moves: tuple[Move, ...] = ()
    receipts: tuple[NewReceipt, ...] = ()


class Settled(StrEnum):
    """How a settlement ended."""

    DONE = "done"
    PARTLY = "partly"  # done, but of its receipts one was not stored: another one stands in its place
    LOST = "lost"  # the lease is another's now: publish and acknowledge nothing more


@dataclass(frozen=True, slots=True)
class StatusQuery:
    """Asks for the documents that a status may mean.

    ``hint`` is the correlation id as sent: believed only where sender, recipient and document id agree. The codes
    that a party has succeeded stand behind its own in ``reporters`` and ``addressees``.
    """

    reporter: str  # normal code, From of the status
    addressee: str  # normal code, ResponseFor/OrganId
    reference: Reference
    hint: str | None
    reporters: tuple[str, ...] = ()  # further codes that the reporter speaks for by succession
    addressees: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document that a status may mean, with the one delivery in question and its stored statuses."""

    document: Document
    delivery: Delivery
    version: int
    change: str | None
    statuses: tuple[str, ...]  # status codes stored so far, in order
    leased: bool  # a live worker is publishing it just now


@dataclass(frozen=True, slots=True)
class Mention:
    """A document that a revocation, update or replacement names, and what of its sender's it can mean."""

    document_id: str
    transport_ids: tuple[str, ...]  # none: unknown here; several: ambiguous


@dataclass(frozen=True, slots=True)
class TrackEvent:
    """One line of a document's story."""

    at: datetime
    event: str  # accepted, queued, deferred, receipt, status, ...
    recipient: str
    code: str
    detail: str
    about: str = ""  # of a status by the sender: the recipient that it speaks to


@dataclass(frozen=True, slots=True)
class HeldEntry:
    """One message in quarantine as the registry knows it."""

    held_id: str  # stable: message id, delivery id or hash
    code: Code
    origin: str  # queue that it came from, or the worker's name
    user: str
    transport_id: str
    sender: str
    recipient: str
    delivery_id: str
    body_sha256: str
    at: datetime
    detail: str = ""
    released_at: datetime | None = None
