"""The evidence as it is stored: the port ``EvidenceStore`` on the registry's tables.

Records are read as they stand, frame by frame; nothing here judges them.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, LargeBinary, Row, Select, cast, delete, func, insert, select, update

from relay.model.audit import Act
from relay.model.evidence import Checkpoint, Draft, SignedHead, SignedStatement
from relay.model.keeping import (
    ChainStanding,
    Fault,
    Fork,
    ForkKind,
    KnownHead,
    NewBatch,
    StoredHead,
    StoredStatement,
    TimeStamp,
)
from relay.registry import acts, dialect
from relay.registry.journal import Journal, split
from relay.registry.rows import from_us, to_us
from relay.registry.schema import evidence_asked as asked
from relay.registry.schema import evidence_batches as batches
from relay.registry.schema import evidence_chains as chains
from relay.registry.schema import evidence_faults as faults
from relay.registry.schema import evidence_forks as forks
from relay.registry.schema import evidence_frames as frames
from relay.registry.schema import evidence_heads as heads
from relay.registry.schema import evidence_known as known
from relay.registry.schema import evidence_lives as lives
from relay.registry.schema import evidence_stamps as stamps
from relay.registry.schema import evidence_statements as statements
from relay.registry.schema import workers

_SLICE: Final = 1000  # rows in one read: no reader holds a transaction for long
# whatever a stranger's hand has put there: bytes
_OCTETS: Final = cast(frames.c.octets, LargeBinary).label("octets")
_HEADER: Final = cast(batches.c.header, LargeBinary).label("header")
_RETIRED: Final = 50  # chains in one transaction
_FRAMES: Final = 32  # each of up to some hundred kilobytes

Writing: TypeAlias = Callable[[], AbstractContextManager[Connection]]
Recording: TypeAlias = Callable[[], AbstractContextManager[tuple[Connection, Journal]]]


class SqlEvidence:
    """``relay.model.keeping.EvidenceStore``; made by a registry, whose transactions it uses."""

    def __init__(self, read: Writing, write: Writing, record: Recording) -> None:
        self._read = read
        self._write = write
        self._record = record

    def append(self, drafts: Sequence[Draft]) -> None:
        """Put on record, in this process's chain."""
        with self._record() as (_, journal):
            journal.drafts += drafts

    # --- as a log (port LogReader)

    def chains(self) -> Sequence[uuid.UUID]:
        """Return the chains that have a record, in the order of their beginning."""
        with self._read() as connection:
            found = connection.execute(select(chains.c.chain).order_by(chains.c.id)).scalars().all()
        return [uuid.UUID(one) for one in found]

    def records(self, chain: uuid.UUID, start: int = 1, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of a chain's records as they stand, from seq ``start`` to ``end``, both included.

        Which record is which follows from where it stands in its commit's row. One that is missing is just not
        yielded: the numbers in the records tell.
        """
        row, at = self._row(chain), 0
        while row is not None:
            query = (
                select(frames.c.id, frames.c.first, frames.c.count, _OCTETS)
                .where(frames.c.chain == row, frames.c.first >= at, frames.c.first + frames.c.count > start)
                .order_by(frames.c.first)
                .limit(_FRAMES)
            )
            if not at:  # the frame that holds ``start`` is the last that begins at or before it
                begin = (
                    select(func.max(frames.c.first))
                    .where(frames.c.chain == row, frames.c.first <= start)
                    .scalar_subquery()
                )
                query = query.where(frames.c.first >= func.coalesce(begin, 0))
            if end is not None:
                query = query.where(frames.c.first <= end)
            with self._read() as connection:
                found = connection.execute(query).all()
            for frame in found:
                for seq, octets in enumerate(split(frame.octets), frame.first):
                    if seq >= start and (end is None or seq <= end):
                        yield octets
            if len(found) < _FRAMES:
                return
            at = found[-1].first + 1

    def batches(self) -> Iterator[bytes]:
        """Yield the bytes of the batches' headers in the order of the main log."""
        place = 0
        while found := self.headers(place, _SLICE):
            yield from found
            place += len(found)

    def checkpoints(self) -> Iterator[Checkpoint]:
        """Yield the heads with what others say of them, oldest first."""
        number = -1
        while True:
            query = select(heads).where(heads.c.number > number).order_by(heads.c.number).limit(_SLICE)
            with self._read() as connection:
                found = connection.execute(query).all()
                if not found:
                    return
                between = (found[0].number, found[-1].number)
                tokens = _grouped(connection, select(stamps).where(stamps.c.number.between(*between)))
                said = _grouped(connection, select(statements).where(statements.c.number.between(*between)))
            for row in found:
                yield Checkpoint(
                    SignedHead(row.text, row.signature),
                    tuple(one.token for one in tokens.get(row.number, ())),
                    tuple(SignedStatement(one.text, one.signature) for one in said.get(row.number, ())),
                )
            number = found[-1].number

    def witnessed(self) -> Iterator[SignedHead]:
        """Yield the heads of other relays that were handed to this one, oldest first."""
        last = 0
        while True:
            query = select(known).where(known.c.id > last).order_by(known.c.id).limit(_SLICE)
            with self._read() as connection:
                found = connection.execute(query).all()
            if not found:
                return
            for row in found:
                yield SignedHead(row.text, row.signature)
            last = found[-1].id

    # --- sealing

    def standings(self, now: datetime, quiet_seconds: float) -> Sequence[ChainStanding]:
        """Return the chains that are not known to be over and sealed."""
        since = to_us(now) - int(quiet_seconds * 1_000_000)
        with self._read() as connection:
            rows = connection.execute(
                select(chains.c.id, chains.c.chain, chains.c.owner).where(chains.c.open == 1)
            ).all()
            alive = set(
                connection.execute(select(workers.c.worker).where(workers.c.heartbeat_at >= since)).scalars()
            )
            return [
                ChainStanding(
                    uuid.UUID(row.chain),
                    self._tip(connection, row.id),
                    connection.execute(
                        select(_HEADER)
                        .where(batches.c.chain == row.id)
                        .order_by(batches.c.number.desc())
                        .limit(1)
                    ).scalar(),
                    row.owner not in alive,
                )
                for row in rows
            ]

    @staticmethod
    def _tip(connection: Connection, row: int) -> int:
        query = (
            select(frames.c.first + frames.c.count - 1)
            .where(frames.c.chain == row)
            .order_by(frames.c.first.desc())
            .limit(1)
        )
        return connection.execute(query).scalar() or 0

    def retire(self, gone: Sequence[ChainStanding]) -> None:
        """Look no more at chains that are over and sealed, if they still stand where they did; one that is written to
        again comes back."""
        for start in range(0, len(gone), _RETIRED):
            with self._write() as connection:
                for one in gone[start : start + _RETIRED]:
                    # The row first: whoever wakes up and appends takes it too, so that one of the two comes after.
                    row = connection.execute(
                        update(chains)
                        .where(chains.c.chain == str(one.chain))
                        .values(open=0)
                        .returning(chains.c.id)
                    ).scalar()
                    if row is not None and self._tip(connection, row) != one.tip:
                        connection.execute(update(chains).where(chains.c.id == row).values(open=1))

    def size(self) -> int:
        """Return how many batches the main log has."""
        with self._read() as connection:
            return _size(connection)

    def headers(self, start: int, limit: int) -> Sequence[bytes]:
        """Return headers of the main log from place ``start`` (0 is the first)."""
        query = select(_HEADER).where(batches.c.place >= start).order_by(batches.c.place).limit(limit)
        with self._read() as connection:
            return connection.execute(query).scalars().all()

    def join(self, place: int, new: Sequence[NewBatch]) -> bool:
        """Put batches at the end of the main log; False: it has another size than ``place``, or a batch stands."""
        with self._write() as connection:
            if _size(connection) != place:
                return False
            rows = []
            standing: dict[uuid.UUID, tuple[int, int]] = {}  # of a chain: its row, and its last batch
            for at, one in enumerate(new, place):
                batch = one.batch
                row, last = standing.get(batch.chain) or _sealed(connection, batch.chain)
                if last + 1 != batch.number:
                    return False
                standing[batch.chain] = (row, batch.number)
                rows.append(
                    {
                        "place": at,
                        "chain": row,
                        "number": batch.number,
                        "first": batch.first,
                        "count": batch.count,
                        "header": one.header,
                    }
                )
            connection.execute(insert(batches), rows)
        return True

    def life(self) -> tuple[int, int]:
        """Return the life of the registry and the size of the log that it began with."""
        with self._read() as connection:
            query = select(lives.c.life, lives.c.base).order_by(lives.c.life.desc()).limit(1)
            found = connection.execute(query).first()
        return (0, 0) if found is None else (found.life, found.base)

    def last_head(self) -> StoredHead | None:
        """Return the head with the highest number."""
        return self._head(select(heads).order_by(heads.c.number.desc()).limit(1))

    def head(self, number: int) -> StoredHead | None:
        """Return a head of this relay."""
        return self._head(select(heads).where(heads.c.number == number))

    def add_head(self, new: StoredHead) -> bool:
        """Store a head; False: there is one with its number. What was asked for is given by it."""
        values: dict[str, object] = {
            "number": new.number,
            "size": new.size,
            "text": new.signed.text,
            "signature": new.signed.signature,
        }
        with self._write() as connection:
            added = dialect.insert_new(connection, heads, values)
            if added:
                connection.execute(delete(asked))
            return added

    def ask_head(self, now: datetime) -> None:
        """Ask the keeper for a head without waiting for its time."""
        with self._write() as connection:
            dialect.upsert(connection, asked, {"one": 1, "at": to_us(now)})

    def asked(self) -> datetime | None:
        """Return when a head was asked for that was not signed yet."""
        with self._read() as connection:
            at = connection.execute(select(asked.c.at)).scalar()
        return None if at is None else from_us(at)

    # --- time-stamps

    def unstamped(self, since: int) -> StoredHead | None:
        """Return the newest head if its number is above ``since`` and it has no time-stamp."""
        newest = self.last_head()
        if newest is None or newest.number <= since:
            return None
        with self._read() as connection:
            there = connection.execute(
                select(stamps.c.number).where(stamps.c.number == newest.number).limit(1)
            ).first()
        return newest if there is None else None

    def add_stamp(self, stamp: TimeStamp) -> None:
        """Store a time-stamp; one by the same authority over the same head stands."""
        values: dict[str, object] = {
            "number": stamp.number,
            "authority": stamp.authority,
            "at": to_us(stamp.at),
            "token": stamp.token,
        }
        with self._write() as connection:
            dialect.insert_new(connection, stamps, values)

    def last_stamp(self) -> TimeStamp | None:
        """Return the time-stamp of the newest head that has one."""
        with self._read() as connection:
            row = connection.execute(select(stamps).order_by(stamps.c.number.desc()).limit(1)).first()
        return None if row is None else TimeStamp(row.number, row.authority, from_us(row.at), row.token)

    # --- witnesses

    def known_heads(self, relay: str) -> Sequence[KnownHead]:
        """Return the heads of another relay that were shown to this one, by number."""
        query = select(known).where(known.c.relay == relay).order_by(known.c.number, known.c.id)
        with self._read() as connection:
            return [
                KnownHead(row.relay, row.number, SignedHead(row.text, row.signature), from_us(row.at))
                for row in connection.execute(query)
            ]

    def add_known(self, new: KnownHead, draft: Draft) -> bool:
        """Store another relay's head and put it on record. False: the very same stands there."""
        with self._record() as (connection, journal):
            same = select(known.c.id).where(
                known.c.relay == new.relay, known.c.number == new.number, known.c.text == new.signed.text
            )
            if connection.execute(same).first() is not None:
                return False
            connection.execute(
                insert(known),
                {
                    "relay": new.relay,
                    "number": new.number,
                    "at": to_us(new.seen_at),
                    "text": new.signed.text,
                    "signature": new.signed.signature,
                },
            )
            journal.drafts.append(draft)
        return True

    def add_fork(self, fork: Fork) -> bool:
        """Keep two heads that contradict each other. False: these are kept."""
        with self._write() as connection:
            same = select(forks.c.id).where(
                forks.c.relay == fork.relay,
                forks.c.first_text == fork.first.text,
                forks.c.second_text == fork.second.text,
            )
            if connection.execute(same).first() is not None:
                return False
            connection.execute(
                insert(forks),
                {
                    "relay": fork.relay,
                    "kind": fork.kind.value,
                    "at": to_us(fork.at),
                    "first_text": fork.first.text,
                    "first_signature": fork.first.signature,
                    "second_text": fork.second.text,
                    "second_signature": fork.second.signature,
                    "detail": fork.detail,
                },
            )
        return True

    def forks(self) -> Sequence[Fork]:
        """Return all that are kept, oldest first."""
        with self._read() as connection:
            return [
                Fork(
                    row.relay,
                    ForkKind(row.kind),
                    SignedHead(row.first_text, row.first_signature),
                    SignedHead(row.second_text, row.second_signature),
                    from_us(row.at),
                    row.detail,
                )
                for row in connection.execute(select(forks).order_by(forks.c.id))
            ]

    def add_statement(self, stored: StoredStatement) -> bool:
        """Store a witness's statement about a head of ours. False: it stands there, or there is no such head."""
        with self._write() as connection:
            there = connection.execute(select(heads.c.number).where(heads.c.number == stored.number)).first()
            return there is not None and dialect.insert_new(
                connection,
                statements,
                {
                    "number": stored.number,
                    "witness": stored.witness,
                    "size": stored.size,
                    "at": to_us(stored.at),
                    "text": stored.statement.text,
                    "signature": stored.statement.signature,
                },
            )

    def statements(self, witness: str | None = None) -> Sequence[StoredStatement]:
        """Return the statements of one witness, or of all, by number."""
        query = select(statements).order_by(statements.c.number, statements.c.witness)
        if witness is not None:
            query = query.where(statements.c.witness == witness)
        with self._read() as connection:
            return [
                StoredStatement(
                    row.number,
                    row.size,
                    row.witness,
                    SignedStatement(row.text, row.signature),
                    from_us(row.at),
                )
                for row in connection.execute(query)
            ]

    # --- faults

    def note_fault(self, fault: Fault) -> bool:
        """Note a fault. False: it was known."""
        values: dict[str, object] = {
            "place": fault.place,
            "what": fault.what,
            "at": to_us(fault.found_at),
        }
        with self._write() as connection:
            return dialect.insert_new(connection, faults, values)

    def faults(self) -> Sequence[Fault]:
        """Return the faults that were found, oldest first."""
        with self._read() as connection:
            return [
                Fault(row.place, row.what, from_us(row.at))
                for row in connection.execute(select(faults).order_by(faults.c.at, faults.c.place))
            ]

    def settle_faults(self, act: Act) -> int:
        """Take the faults off the list that were looked into, with an audit row. Returns how many."""
        with self._record() as (connection, journal):
            gone = connection.execute(delete(faults)).rowcount
            if gone:
                acts.note(connection, act, journal)
        return gone

    # --- search

    def mentioning(
        self, needle: bytes, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[tuple[uuid.UUID, int, bytes]]:
        """Yield chain, seq and bytes of the records that hold ``needle``.

        Times bound the commits that are searched, by the time of their last record; without them all are.
        """
        last = 0
        while True:
            where = func.instr(frames.c.octets, needle) > 0
            query = (
                select(frames.c.id, chains.c.chain, frames.c.first, _OCTETS)
                .join(chains, chains.c.id == frames.c.chain)
                .where(frames.c.id > last)
                .order_by(frames.c.id)
                .limit(_FRAMES)
            )
            if since is not None:
                query = query.where(frames.c.at >= to_us(since))
            if until is not None:
                query = query.where(frames.c.at <= to_us(until))
            with self._read() as connection:
                if connection.dialect.name == "postgresql":
                    where = func.position(needle, frames.c.octets) > 0
                found = connection.execute(query.where(where)).all()
            for frame in found:
                for seq, octets in enumerate(split(frame.octets), frame.first):
                    if needle in octets:
                        yield uuid.UUID(frame.chain), seq, octets
            if len(found) < _FRAMES:
                return
            last = found[-1].id

    # --- inside

    def _row(self, chain: uuid.UUID) -> int | None:
        with self._read() as connection:
            return connection.execute(select(chains.c.id).where(chains.c.chain == str(chain))).scalar()

    def _head(self, query: Select[Any]) -> StoredHead | None:
        with self._read() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        return StoredHead(row.number, row.size, SignedHead(row.text, row.signature))


def _size(connection: Connection) -> int:
    highest = connection.execute(select(func.max(batches.c.place))).scalar()
    return 0 if highest is None else int(highest) + 1


def _sealed(connection: Connection, chain: uuid.UUID) -> tuple[int, int]:
    row = connection.execute(select(chains.c.id).where(chains.c.chain == str(chain))).scalar_one()
    last = connection.execute(select(func.max(batches.c.number)).where(batches.c.chain == row)).scalar()
    return row, last or 0


def _grouped(connection: Connection, query: Select[Any]) -> dict[int, list[Row[Any]]]:
    found: dict[int, list[Row[Any]]] = {}
    for row in connection.execute(query):
        found.setdefault(row.number, []).append(row)
    return found
