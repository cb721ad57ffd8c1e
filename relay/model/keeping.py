"""What the registry stores of the evidence beside the records, and the port over it. Bytes are made in ``evidence``."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from relay.model.audit import Act
from relay.model.evidence import (
    Batch,
    Checkpoint,
    Draft,
    Facts,
    LogReader,
    Scribe,
    SignedHead,
    SignedStatement,
)
from relay.model.ports import Clock


def _nothing() -> Sequence[Facts]:
    return ()


@dataclass(frozen=True, slots=True)
class Chronicler:
    """Who puts on record: one process, with a chain of its own."""

    scribe: Scribe
    relay: str
    writer: str  # name of the process, e.g. "w1"
    role: str  # "worker", "keeper", "tool"
    version: str  # of the software
    owner: str  # as in the registry's table of workers; for a tool, anything
    clock: Clock
    current: Callable[[], Sequence[Facts]] = _nothing
    """The key and the directory in use: what differs from the last ones on record goes before the next record."""


@dataclass(frozen=True, slots=True)
class ChainStanding:
    """A chain that may have records that no batch holds."""

    chain: uuid.UUID
    tip: int  # seq of its last record
    header: bytes | None  # of its last batch
    quiet: bool  # its process has ended, or has given no sign of life for long


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A batch to be put at the end of the main log."""

    batch: Batch
    header: bytes


@dataclass(frozen=True, slots=True)
class StoredHead:
    """A head of this relay, with what is looked for in its text."""

    number: int
    size: int
    signed: SignedHead


@dataclass(frozen=True, slots=True)
class TimeStamp:
    """A time-stamp over a head's text."""

    number: int  # of the head
    authority: str  # the address that was asked
    at: datetime  # what the authority says
    token: bytes  # TimeStampToken (RFC 3161), DER


@dataclass(frozen=True, slots=True)
class KnownHead:
    """Another relay's head, as it was shown to this one; its signature was checked before it was stored."""

    relay: str
    number: int
    signed: SignedHead
    seen_at: datetime


class ForkKind(StrEnum):
    """How two histories of one relay contradict each other. Each is shown by two heads that the relay has signed."""

    SAME_NUMBER = "same-number"  # two heads under one number
    SAME_SIZE = "same-size"  # one size, two roots
    PREVIOUS = "previous"  # a head names another former head than the one that was shown
    INCONSISTENT = "inconsistent"  # what the relay gives as proof does not lead from one to the other
    SHRUNK = "shrunk"  # a later head of the same life over fewer batches


@dataclass(frozen=True, slots=True)
class Fork:
    """Two signed heads of one relay that cannot both be true: kept as proof."""

    relay: str
    kind: ForkKind
    first: SignedHead
    second: SignedHead
    at: datetime  # when it was found
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StoredStatement:
    """A witness's statement about a head of ours; its signature was checked before it was stored."""

    number: int
    size: int
    witness: str
    statement: SignedStatement
    at: datetime


@dataclass(frozen=True, slots=True)
class Fault:
    """Something of the log that is not as it must be, as the keeper found it."""

    place: str  # what it is about, in a stable spelling: "chain <uuid> record 17", "main log batch 3"
    what: str
    found_at: datetime


class EvidenceStore(LogReader, Protocol):
    """The evidence as the registry stores it. Each method is one transaction, or one read."""

    def append(self, drafts: Sequence[Draft]) -> None:
        """Put on record, in this process's chain. Does nothing where nothing is put on record (no ``Chronicler``)."""
        ...

    # sealing
    def standings(self, now: datetime, quiet_seconds: float) -> Sequence[ChainStanding]:
        """Return the chains that are not known to be over and sealed."""
        ...

    def retire(self, gone: Sequence[ChainStanding]) -> None:
        """Look no more at chains that are over and sealed, if they still stand where they did; one that is written to
        again comes back."""
        ...

    def size(self) -> int:
        """Return how many batches the main log has."""
        ...

    def headers(self, start: int, limit: int) -> Sequence[bytes]:
        """Return headers of the main log from place ``start`` (0 is the first)."""
        ...

    def join(self, place: int, batches: Sequence[NewBatch]) -> bool:
        """Put batches at the end of the main log, which has ``place`` batches. False: it has not, or another keeper
        has sealed one of these."""
        ...

    def life(self) -> tuple[int, int]:
        """Return the life of the registry (0, and one more with each restore) and the size of the log that it began
        with."""
        ...

    def last_head(self) -> StoredHead | None:
        """Return the head with the highest number."""
        ...

    def add_head(self, new: StoredHead) -> bool:
        """Store a head. False: there is one with its number."""
        ...

    def ask_head(self, now: datetime) -> None:
        """Ask the keeper for a head without waiting for its time."""
        ...

    def asked(self) -> datetime | None:
        """Return when a head was asked for that was not signed yet."""
        ...

    # time-stamps
    def unstamped(self, since: int) -> StoredHead | None:
        """Return the newest head if its number is above ``since`` and nothing vouches for its time."""
        ...

    def add_stamp(self, stamp: TimeStamp) -> None:
        """Store a time-stamp."""
        ...

    def last_stamp(self) -> TimeStamp | None:
        """Return the time-stamp of the newest head that has one."""
        ...

    # witnesses
    def known_heads(self, relay: str) -> Sequence[KnownHead]:
        """Return the heads of another relay that were shown to this one, by number."""
        ...

    def add_known(self, known: KnownHead, draft: Draft) -> bool:
        """Store another relay's head and put it on record. False: the very same stands there."""
        ...

    def add_fork(self, fork: Fork) -> bool:
        """Keep two heads that contradict each other. False: these are kept."""
        ...

    def forks(self) -> Sequence[Fork]:
        """Return all that are kept, oldest first."""
        ...

    def add_statement(self, stored: StoredStatement) -> bool:
        """Store a witness's statement about a head of ours. False: it stands there, or there is no such head."""
        ...

    def statements(self, witness: str | None = None) -> Sequence[StoredStatement]:
        """Return the statements of one witness, or of all, by number."""
        ...

    def head(self, number: int) -> StoredHead | None:
        """Return a head of this relay."""
        ...

    # faults
    def note_fault(self, fault: Fault) -> bool:
        """Note a fault. False: it was known."""
        ...

    def faults(self) -> Sequence[Fault]:
        """Return the faults that were found and not settled, oldest first."""
        ...

    def settle_faults(self, act: Act) -> int:
        """Take the faults off the list that were looked into, with an audit row that says by whom. Returns how many.

        What is wrong with the log stays wrong: whoever checks it again finds it again.
        """
        ...

    # search
    def mentioning(
        self, needle: bytes, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[tuple[uuid.UUID, int, bytes]]:
        """Yield chain, seq and bytes of records in whose commit ``needle`` stands; times are those of the commits."""
        ...


__all__ = [
    "ChainStanding",
    "Checkpoint",
    "Chronicler",
    "EvidenceStore",
    "Fault",
    "Fork",
    "ForkKind",
    "KnownHead",
    "NewBatch",
    "StoredHead",
    "StoredStatement",
    "TimeStamp",
]
