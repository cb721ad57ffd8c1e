"""Evidence: what is put on record, and how records become batches, a log and signed heads. Bytes are made in ``evidence``.

Each process appends records to a chain of its own. The keeper seals runs of a chain into batches (a Merkle tree over the
records, its root in the batch's header), joins the headers of all chains into the one main log (a Merkle tree over the
headers), and signs heads over it. ``docs/evidence.md`` has the formats to the byte.

What each document makes several of is a tuple with names: these cost half of what a frozen dataclass does.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple, Protocol

from relay.model.delivery import State
from relay.model.receipt import ReceiptKind


class RecordKind(IntEnum):
    """The kinds of records, by the byte that stands for each."""

    CHAIN_START = 1
    ACCEPTANCE = 2  # T1 of a document, and of a status without an effect
    REFUSAL = 3  # of a whole submission, its sender proven or not
    STATUS = 4  # T1 of a status that has an effect on a delivery
    DELIVERY = 5  # moves of deliveries: T2, the keeper's, a drop
    RECEIPT = 6
    HELD = 7  # noted in quarantine, released, dropped
    KEY_CHANGE = 8  # the relay's certificate that seals from here on
    DIRECTORY_CHANGE = 9
    OPERATOR_ACT = 10
    RESTORE = 11  # the registry went back to a copy
    WITNESSED = 12  # another relay's head was seen
    CHAIN_END = 13  # the writer ended cleanly: nothing comes after it


@dataclass(frozen=True, slots=True)
class ChainStart:
    """First record of every chain."""

    chain: uuid.UUID
    relay: str
    writer: str  # name of the process, e.g. "w1"
    role: str  # "worker", "keeper", "tool"
    version: str  # of the software


class Judged(NamedTuple):
    """The verdict on a package; its time is the record's."""

    intact: bool
    trusted: bool
    reason: str
    certificate_sha256: str  # lower-case hex, empty if none could be read
    algorithm: str
    profile: str


class Line(NamedTuple):
    """One delivery as it stands at that moment."""

    delivery_id: str
    recipient: str  # resolved normal code
    state: State
    code: str = ""


class Effect(NamedTuple):
    """What a status did to the delivery that it speaks of."""

    refers_to: str  # transport id of the document meant
    delivery_id: str
    status: str  # "01" ... "16"
    move_to: State | None
    change: str  # "asked", "withdrawn", "declined" or ""
    refusal: str = ""  # code, if the status was stored and refused


class Submission(NamedTuple):
    """ACCEPTANCE, REFUSAL and STATUS: one submission, frozen. STATUS alone has an effect, REFUSAL alone a code."""

    transport_id: str  # as sent
    sender: str  # normal code; empty if it was not proven
    user: str  # broker user
    document_kind: str  # "edoc", "status", or what the property said
    body_sha256: str  # lower-case hex
    body_bytes: int
    document_id: str
    directory_version: str
    verdict: Judged | None  # None: refused before verification
    lines: tuple[Line, ...] = ()
    refusal: str = ""  # the code
    same_content_as: str = ""  # transport id of the first submission of these bytes
    effect: Effect | None = None


class Moved(NamedTuple):
    """One move of a delivery; its time is the record's."""

    delivery_id: str
    state: State
    code: str = ""


class Deliveries(NamedTuple):
    """DELIVERY: moves of one document's deliveries."""

    transport_id: str
    moves: tuple[Moved, ...]


class ReceiptSealed(NamedTuple):
    """RECEIPT: a receipt was stored. Its bytes are bound by their hash."""

    number: str
    kind: ReceiptKind
    accepted: bool
    code: str
    to: str
    transport_id: str  # of the submission, as sent
    sha256: str  # lower-case hex over the receipt's bytes as stored and sent
    size: int


@dataclass(frozen=True, slots=True)
class HeldNoted:
    """HELD: a message in quarantine."""

    held_id: str
    act: str  # "held", "released", "dropped"
    code: str
    origin: str
    user: str
    transport_id: str
    body_sha256: str  # lower-case hex, or empty
    detail: str = ""


@dataclass(frozen=True, slots=True)
class KeyChange:
    """KEY_CHANGE: the certificates, leaf first, that receipts and heads are signed with from here on."""

    certificates: tuple[bytes, ...]  # DER


@dataclass(frozen=True, slots=True)
class DirectoryChange:
    """DIRECTORY_CHANGE: the directory that counts from here on. ``former`` is empty at a start."""

    former: str
    version: str
    agencies: int


@dataclass(frozen=True, slots=True)
class OperatorAct:
    """OPERATOR_ACT: as the audit row says it (``relay.model.audit.Act``); ``row`` is that row's number."""

    row: int
    who: str
    act: str
    subject: str
    detail: str
    acted_at: datetime


@dataclass(frozen=True, slots=True)
class Restored:
    """RESTORE: the registry went back to a copy; what the log held behind ``size`` batches is not in it any more."""

    life: int  # of the heads signed from here on
    size: int  # batches in the main log that the copy holds
    restored_at: datetime


@dataclass(frozen=True, slots=True)
class Witnessed:
    """WITNESSED: another relay's head, as it was handed to this one."""

    relay: str
    number: int
    size: int
    head_sha256: str  # lower-case hex over the head's text


@dataclass(frozen=True, slots=True)
class ChainEnd:
    """CHAIN_END."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A kind that this version does not know: hashed and chained like any other, not read."""

    kind: int
    content: bytes


Facts = (
    ChainStart
    | Submission
    | Deliveries
    | ReceiptSealed
    | HeldNoted
    | KeyChange
    | DirectoryChange
    | OperatorAct
    | Restored
    | Witnessed
    | ChainEnd
    | Unknown
)


class Draft(NamedTuple):
    """Something to be put on record: it has no place in a chain yet."""

    at: datetime  # the relay's clock
    facts: Facts


@dataclass(frozen=True, slots=True)
class Record:
    """One record as read from its bytes."""

    kind: int
    seq: int  # from 1, without gaps, in its chain
    at: datetime
    link: bytes  # the first 16 bytes of the former record's hash
    facts: Facts


@dataclass(frozen=True, slots=True)
class Tip:
    """Where a chain stands: what the next record's place follows from."""

    chain: uuid.UUID
    seq: int  # of the last record; 0 before the first
    hash: bytes  # of the last record, 32 bytes; before the first what follows from the chain's id


class Written(NamedTuple):
    """One record as stored."""

    seq: int
    octets: bytes
    hash: bytes  # its leaf hash: SHA-256(0x00 || octets)


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch's header as read from its bytes; these are one leaf of the main log."""

    chain: uuid.UUID
    number: int  # from 1, without gaps, in its chain
    first: int  # seq of its first record
    count: int
    root: bytes  # Merkle root over its records
    last: bytes  # hash of its last record
    previous: bytes  # hash of the chain's former header; 32 zero bytes at first
    sealed_at: datetime

    @property
    def end(self) -> int:
        """Seq of its last record."""
        return self.first + self.count - 1


@dataclass(frozen=True, slots=True)
class Head:
    """What is signed: the whole log in a few lines."""

    relay: str
    number: int  # from 1, without gaps, in the log
    life: int  # 0, and one more with each restore of the registry from a copy
    base: int  # batches of the former life that this one begins with; 0 in the first
    size: int  # batches in the main log
    records: int  # in these batches
    root: bytes  # Merkle root over the batches' headers
    at: datetime
    previous: bytes  # SHA-256 of the former head's text; 32 zero bytes at first


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A head's text, exactly as signed, and the line of its signature (RFC 7515, detached; ``relay.trust.detached``)."""

    text: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """A witness's statement that it was shown a head, in the same form as a head."""

    text: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A head and what others say of it."""

    head: SignedHead
    time_stamps: tuple[bytes, ...] = ()  # RFC 3161 TimeStampToken, DER, over SHA-256 of the head's text
    statements: tuple[SignedStatement, ...] = field(default=())


# --- ports -----------------------------------------------------------------------------------------------------------


class Scribe(Protocol):
    """Turns drafts into records. Pure: the caller keeps the tip and gives up the new one when its commit fails."""

    def write(self, tip: Tip, drafts: Sequence[Draft]) -> tuple[list[Written], Tip]:
        """Return the records that follow ``tip`` and where the chain stands after them."""
        ...

    def tip(self, chain: uuid.UUID, last: tuple[int, bytes] | None = None) -> Tip:
        """Return where a chain stands whose last record has that seq and these bytes; None: before its first record."""
        ...


class LogReader(Protocol):
    """A log as it is stored, in the registry or in files. What it yields is judged, never believed."""

    def chains(self) -> Sequence[uuid.UUID]:
        """Return the chains that have a record, in any order."""
        ...

    def records(self, chain: uuid.UUID, start: int = 1, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of a chain's records as they stand, from seq ``start`` to ``end``, both included."""
        ...

    def batches(self) -> Iterator[bytes]:
        """Yield the bytes of the batches' headers in the order of the main log."""
        ...

    def checkpoints(self) -> Iterator[Checkpoint]:
        """Yield the heads with what others say of them, oldest first."""
        ...

    def witnessed(self) -> Iterator[SignedHead]:
        """Yield the heads of other relays that were handed to this one, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class LedgerReceipt:
    """A receipt as the registry stores it."""

    number: str
    transport_id: str
    sha256: str  # lower-case hex over its bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class LedgerDelivery:
    """A delivery as the registry stores it."""

    delivery_id: str
    transport_id: str
    state: State
    at: datetime  # of the state; of the acceptance where it has none


class Ledger(Protocol):
    """What the registry holds that has to be on record: to be held against the log."""

    def receipts(self) -> Iterator[LedgerReceipt]:
        """Yield every receipt."""
        ...

    def deliveries(self) -> Iterator[LedgerDelivery]:
        """Yield every delivery."""
        ...
