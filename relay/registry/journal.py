"""What one transaction puts on record, and the chain of this process that it is appended to.

Each statement that changes a document, a delivery, a receipt or an act notes a draft beside it, and all drafts of a
transaction are stored by that transaction: a record stands if and only if the state does. The bytes are made by a
``Scribe``, passed in. A chain belongs to one process: no other one waits for it.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert, select, update

from relay.errors import Code, RegistryError
from relay.model.evidence import ChainEnd, ChainStart, DirectoryChange, Draft, Facts, KeyChange, Tip, Written
from relay.model.keeping import Chronicler
from relay.registry import dialect
from relay.registry.many import Many
from relay.registry.rows import to_us
from relay.registry.schema import evidence_chains as chains
from relay.registry.schema import evidence_frames as frames

_LENGTH: Final = 4
_MAX_RECORDS: Final = 4096  # of one frame: one is read in one piece
_REOPEN: Final = 600.0  # seconds without a record after which a keeper may have looked away from the chain
_INSERT: Final = Many(insert(frames))


class Journal:
    """The drafts of one transaction, in their order."""

    __slots__ = ("drafts",)

    def __init__(self) -> None:
        self.drafts: list[Draft] = []

    def note(self, at: datetime, facts: Facts) -> None:
        """Put something on record when the transaction commits."""
        self.drafts.append(Draft(at, facts))

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Forget what is noted inside if that fails."""
        mark = len(self.drafts)
        try:
            yield
        except BaseException:
            del self.drafts[mark:]
            raise


class Chronicle:
    """Appends to the chain of one process. Safe to use from several threads: one transaction at a time."""

    def __init__(self, who: Chronicler, draw: Callable[[], uuid.UUID] = uuid.uuid4) -> None:
        """``draw`` gives the chain's id."""
        self._who = who
        self._chain = draw()
        self._lock = threading.RLock()
        self._tip: Tip | None = None  # None: to be read from what is stored
        self._row = 0
        self._next: tuple[Tip, int, Sequence[Facts]] | None = None
        self._appended = who.clock.monotonic()
        self._current: dict[type[Facts], Facts] = {}  # key and directory, as this chain has them
        self._ending = False  # what is being committed is the last record
        self._over = False

    @contextmanager
    def turn(self) -> Iterator[Journal]:
        """Hold the chain for one transaction, from before it begins until after it was committed.

        Whoever leaves by an exception may or may not have committed: where the chain stands is then read again.

        Raises:
            RegistryError: REGISTRY-UNUSABLE: the chain is over. What cannot be put on record is not stored either.
        """
        with self._lock:
            if self._over:
                raise RegistryError(Code.REGISTRY_UNUSABLE, "closed: nothing can be put on record any more")
            self._next, self._ending = None, False
            try:
                yield Journal()
            except BaseException:
                self._tip = None
                raise
            self._committed()

    def _committed(self) -> None:
        if self._next is not None:
            self._tip, self._row, told = self._next
            self._current.update((type(one), one) for one in told)
            self._appended = self._who.clock.monotonic()
            self._over = self._ending

    def flush(self, connection: Connection, journal: Journal, *, look: bool = False) -> None:
        """Store what the transaction has noted, before it commits.

        ``look``: also when nothing was noted, look whether the key or the directory is another one.
        """
        drafts = journal.drafts
        if not drafts and not look:
            return
        told = self._changes()
        if not drafts and not told:
            return
        tip, row = self._standing(connection)
        who = self._who
        before: list[Draft] = []
        if tip is None:
            tip, row = self._begin(connection)
            start = ChainStart(self._chain, who.relay, who.writer, who.role, who.version)
            before.append(Draft(who.clock.now(), start))
        elif who.clock.monotonic() - self._appended > _REOPEN:
            connection.execute(update(chains).where(chains.c.id == row).values(open=1))
        if told:
            now = who.clock.now()
            before += [Draft(now, one) for one in told]
        drafts = [*before, *drafts]
        written, after = who.scribe.write(tip, drafts)
        _INSERT(connection, _frames(row, written, drafts))
        self._next = (after, row, told)

    def end(self, connection: Connection, reason: str) -> None:
        """Note that nothing comes after this. Does nothing for a chain without a record."""
        if self._standing(connection)[0] is not None:
            journal = Journal()
            journal.note(self._who.clock.now(), ChainEnd(reason))
            self.flush(connection, journal)
            self._ending = True

    def close(self) -> None:
        """Put nothing more on record, whether the end could be told or not; waits for who is at it."""
        with self._lock:
            self._over = True

    @property
    def begun(self) -> bool:
        """Whether there is, or may be, a record."""
        return self._row > 0

    def _changes(self) -> list[Facts]:
        told: list[Facts] = []
        for facts in self._who.current():
            before = self._current.get(type(facts))
            if isinstance(facts, DirectoryChange):
                former = before.version if isinstance(before, DirectoryChange) else ""
                if former != facts.version:
                    told.append(replace(facts, former=former))
            elif isinstance(facts, KeyChange) and facts != before:
                told.append(facts)
        return told

    def _standing(self, connection: Connection) -> tuple[Tip | None, int]:
        """Return where the chain stands, if it stands anywhere, and the number of its row."""
        if self._tip is not None:
            return self._tip, self._row
        query = select(chains.c.id).where(chains.c.chain == str(self._chain))
        row = connection.execute(query).scalar()
        last = None if row is None else last_record(connection, row)
        return (None, 0) if row is None or last is None else (self._who.scribe.tip(self._chain, last), row)

    def _begin(self, connection: Connection) -> tuple[Tip, int]:
        (row,) = dialect.next_ids(connection, chains, 1)
        connection.execute(
            chains.insert(), {"id": row, "chain": str(self._chain), "owner": self._who.owner, "open": 1}
        )
        return self._who.scribe.tip(self._chain), row


def _frames(row: int, written: Sequence[Written], drafts: Sequence[Draft]) -> list[dict[str, object]]:
    parts = [written[start : start + _MAX_RECORDS] for start in range(0, len(written), _MAX_RECORDS)]
    return [
        {
            "chain": row,
            "first": part[0].seq,
            "count": len(part),
            "at": to_us(drafts[place * _MAX_RECORDS + len(part) - 1].at),
            "octets": b"".join(
                [piece for one in part for piece in (len(one.octets).to_bytes(_LENGTH, "big"), one.octets)]
            ),
        }
        for place, part in enumerate(parts)
    ]


def split(octets: bytes) -> list[bytes]:
    """Return the records of a frame. What is left at a damaged end comes as one more, which is no record."""
    out, at = [], 0
    while at < len(octets):
        start = at + _LENGTH
        end = start + int.from_bytes(octets[at:start], "big")
        if end > len(octets):
            out.append(octets[at:])
            break
        out.append(octets[start:end])
        at = end
    return out


def last_record(connection: Connection, row: int) -> tuple[int, bytes] | None:
    """Return seq and bytes of a chain's last record."""
    query = (
        select(frames.c.first, frames.c.count, frames.c.octets)
        .where(frames.c.chain == row)
        .order_by(frames.c.first.desc())
        .limit(1)
    )
    found = connection.execute(query).first()
    return None if found is None else (found.first + found.count - 1, split(found.octets)[-1])
