"""A look at a registry from outside that changes nothing: does it open, is it whole, and what waits in it for too long."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
import struct
import time
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, func, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from relay.errors import Code, RegistryError
from relay.registry import dialect
from relay.registry.rows import from_us, to_us
from relay.registry.schema import (
    EVIDENCE,
    VERSION,
    broker_epochs,
    deliveries,
    documents,
    evidence_batches,
    evidence_chains,
    evidence_faults,
    evidence_forks,
    evidence_frames,
    leases,
    receipts,
    schema_version,
    workers,
)

_STEPS: Final = 20_000  # of SQLite's machine between two looks at the clock
_LOCK_BYTE: Final = (
    120  # of the -shm file: locked by whoever writes (SQLite, "WAL-index format", section 2.2)
)
_FLOCK: Final = "hhqqi"
_RECENT: Final = 1000  # rows that are looked at for times in the future


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many rows wait, and since when the oldest does."""

    count: int = 0
    oldest: datetime | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """A named lease (the keeper's)."""

    name: str
    holder: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found. ``trouble`` set: it cannot be used, and what follows it is not known."""

    at: datetime
    lease_seconds: float
    trouble: Code | None = None
    detail: str = ""
    file: str = ""  # of SQLite; empty for a server
    mode: int | None = None
    writable: bool = True
    locked_by: int | None = None  # process that holds the write lock without a pause
    wal_bytes: int = 0
    versions: tuple[int, ...] = (VERSION,)
    wanted: int = VERSION
    foreign: bool = False  # holds tables that are not a registry's
    damage: str = ""
    workers: tuple[tuple[str, datetime], ...] = ()  # owner of leases, last heartbeat
    leases: tuple[Lease, ...] = ()
    orphans: tuple[
        tuple[str, Waiting], ...
    ] = ()  # unfinished documents by an owner that gives no sign of life
    unsettled: Waiting = Waiting()
    unpublished: Waiting = Waiting()
    deferred: Waiting = Waiting()  # deliveries past the time at which they were to be tried again
    untold: Waiting = Waiting()  # documents past their deadline, not told
    newest: datetime | None = None  # latest time in the last rows and heartbeats
    epoch: tuple[str, bool] | None = None
    faults: tuple[tuple[str, str], ...] = ()  # of the evidence: what it is about, and what is wrong
    forks: tuple[tuple[str, str], ...] = ()  # relays that have signed two histories, and how that was seen
    unsealed: Waiting = (
        Waiting()
    )  # chains with records that no batch holds; since when the oldest such record stands

    def live(self, owner: str) -> bool:
        """Whether an owner beat within one lease."""
        limit = self.at - timedelta(seconds=self.lease_seconds)
        return any(name == owner and beat >= limit for name, beat in self.workers)


def examine(
    url: str, now: datetime, lease_seconds: float, seconds: float = 10.0, patience: float = 3.0
) -> Examination:
    """Look at a registry. Nothing is created and nothing is changed.

    Not for a process that has the same file open by other means: what it closes here drops that one's locks.

    Args:
        url: as ``open_registry`` takes it; no password in it.
        now: the time by our clock, aware.
        lease_seconds: how long a silent worker keeps its documents.
        seconds: limit for the reading, and once more for the check of the file's wholeness. A file too large for that
            is checked in part.
        patience: seconds over which the write lock has to be held by one process to count as held for good.
    """
    found = Examination(now, lease_seconds)
    try:
        file = dialect.file_of(url)
        if file is None:
            return _read(create_engine(url, poolclass=NullPool), found)
        return _examine_file(Path(file), found, seconds, patience)
    except RegistryError as error:
        return replace(found, trouble=error.code, detail=error.detail)
    except (SQLAlchemyError, ImportError, OSError, sqlite3.Error) as error:
        return replace(found, trouble=Code.REGISTRY_UNUSABLE, detail=f"{type(error).__name__}: {error}"[:200])


def _examine_file(file: Path, found: Examination, seconds: float, patience: float) -> Examination:
    try:
        state = file.stat()
        folder = file.parent.stat()
    except OSError as error:
        return replace(
            found, trouble=Code.REGISTRY_UNUSABLE, detail=f"{file}: {error.strerror}", file=str(file)
        )
    read_only = bool(os.statvfs(file).f_flag & os.ST_RDONLY)
    # Judged for its owner, under whom the workers run; who asks may be root.
    writable = bool(state.st_mode & stat.S_IWUSR and folder.st_mode & stat.S_IWUSR) and not read_only
    found = replace(
        found,
        file=str(file),
        mode=stat.S_IMODE(state.st_mode),
        writable=writable,
        wal_bytes=_size(file, "-wal"),
        # Before we open it ourselves: closing any descriptor of that file drops all locks that its process has on it.
        locked_by=_writer(Path(f"{file}-shm"), patience),
    )
    found = replace(found, damage=_damage(file, seconds))
    if found.damage:
        return found
    engine = create_engine("sqlite://", creator=lambda: _open(file, seconds), poolclass=NullPool)
    return _read(engine, found)


def _size(file: Path, ending: str) -> int:
    try:
        return Path(f"{file}{ending}").stat().st_size
    except OSError:
        return 0


def _open(file: Path, seconds: float) -> sqlite3.Connection:
    # Without a log beside it nobody has it open; read as immutable, so that no file is made next to it.
    still = "" if Path(f"{file}-wal").exists() or Path(f"{file}-shm").exists() else "&immutable=1"
    raw = sqlite3.connect(f"file:{quote(str(file))}?mode=ro{still}", uri=True, timeout=2.0)
    raw.isolation_level = None
    end = time.monotonic() + seconds
    raw.set_progress_handler(lambda: int(time.monotonic() > end), _STEPS)
    return raw


def _damage(file: Path, seconds: float) -> str:
    """Return what SQLite's own check finds, empty if nothing, also where time did not suffice for all of it."""
    try:
        with closing(_open(file, seconds)) as raw:
            lines = [str(row[0]) for row in raw.execute("PRAGMA quick_check(5)")]
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
            return ""
        raise
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if lines == ["ok"] else "; ".join(lines)[:200]


def _writer(shared: Path, patience: float) -> int | None:
    """Return the process that holds the write lock over the whole of ``patience``; None if it is free for a moment."""
    try:
        file = os.open(shared, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    holder = None
    try:
        end = time.monotonic() + patience
        while time.monotonic() < end:
            asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _LOCK_BYTE, 1, 0)
            kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
            if kind == fcntl.F_UNLCK or (holder is not None and pid != holder):
                return None
            holder = int(pid)
            time.sleep(0.03)
    finally:
        os.close(file)
    return holder


def _read(engine: Engine, found: Examination) -> Examination:
    try:
        with engine.connect() as connection:
            there = set(inspect(connection).get_table_names())
            if schema_version.name not in there:
                return replace(found, versions=(), foreign=bool(there))
            versions = tuple(connection.execute(select(schema_version.c.version)).scalars())
            if versions != (VERSION,):
                return replace(found, versions=versions)
            return _rows(connection, found)
    except SQLAlchemyError as error:
        raise dialect.as_registry_error(error) from error
    finally:
        engine.dispose()


def _rows(connection: Connection, found: Examination) -> Examination:
    now = to_us(found.at)
    beats = tuple((str(row.worker), from_us(row.heartbeat_at)) for row in connection.execute(select(workers)))
    found = replace(found, workers=beats)
    recent = select(documents.c.accepted_at).order_by(documents.c.id.desc()).limit(_RECENT).subquery()
    newest = connection.execute(select(func.max(recent.c.accepted_at))).scalar()
    latest = [*(beat for _, beat in beats), *([] if newest is None else [from_us(newest)])]
    epoch = connection.execute(select(broker_epochs.c.epoch, broker_epochs.c.declared)).first()
    count = func.count()

    def waiting(query: str, column: str, table: str) -> Waiting:
        row = connection.execute(
            text(f"SELECT count(*), min({column}) FROM {table} WHERE {query}"),  # noqa: S608 - our own words
            {"now": now} if ":now" in query else {},
        ).one()
        return Waiting(int(row[0]), None if row[1] is None else from_us(int(row[1])))

    owned = (
        select(documents.c.lease_owner, count, func.min(documents.c.claimed_at))
        .where(text("documents.settled = 0"), documents.c.lease_owner.is_not(None))
        .group_by(documents.c.lease_owner)
    )
    found = _evidence(connection, found)
    return replace(
        found,
        leases=tuple(
            Lease(str(row.name), str(row.holder), from_us(row.expires_at))
            for row in connection.execute(select(leases))
        ),
        orphans=tuple(
            (str(owner), Waiting(int(number), from_us(since)))
            for owner, number, since in connection.execute(owned)
            if not found.live(str(owner))
        ),
        unsettled=waiting("settled = 0", "accepted_at", documents.name),
        unpublished=waiting("published_at IS NULL", "at", receipts.name),
        deferred=waiting("state = 'planned' AND due_at < :now", "due_at", deliveries.name),
        untold=waiting("watch_at IS NOT NULL AND watch_at < :now", "watch_at", documents.name),
        newest=max(latest, default=None),
        epoch=None if epoch is None else (str(epoch.epoch), bool(epoch.declared)),
    )


def _evidence(connection: Connection, found: Examination) -> Examination:
    if not {table.name for table in EVIDENCE} <= set(inspect(connection).get_table_names()):
        return found  # made by a relay that had none; the next process that writes adds the tables
    sealed = (
        select(
            evidence_batches.c.chain,
            func.max(evidence_batches.c.first + evidence_batches.c.count).label("next"),
        )
        .group_by(evidence_batches.c.chain)
        .subquery()
    )
    oldest = (
        select(func.min(evidence_frames.c.at))
        .join(evidence_chains, evidence_chains.c.id == evidence_frames.c.chain)
        .outerjoin(sealed, sealed.c.chain == evidence_frames.c.chain)
        .where(
            evidence_chains.c.open == 1,
            evidence_frames.c.first + evidence_frames.c.count > func.coalesce(sealed.c.next, 1),
        )
        .group_by(evidence_frames.c.chain)
    )
    times = [int(at) for at in connection.execute(oldest).scalars()]
    return replace(
        found,
        faults=tuple(
            (str(row.place), str(row.what))
            for row in connection.execute(select(evidence_faults).order_by(evidence_faults.c.at).limit(100))
        ),
        forks=tuple(
            (str(row.relay), f"{row.kind}: {row.detail}")
            for row in connection.execute(
                select(evidence_forks.c.relay, evidence_forks.c.kind, evidence_forks.c.detail).order_by(
                    evidence_forks.c.id
                )
            )
        ),
        unsealed=Waiting(len(times), from_us(min(times)) if times else None),
    )


def evidence_bytes(url: str) -> int:
    """Return the bytes that the evidence takes in a SQLite file: its tables and their indices, whole pages.

    Raises:
        RegistryError: REGISTRY-UNUSABLE: not a file of SQLite.
    """
    file = dialect.file_of(url)
    if file is None:
        raise RegistryError(Code.REGISTRY_UNUSABLE, "only a registry in a SQLite file is measured")
    query = "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE aggregate = TRUE AND name LIKE '%evidence!_%' ESCAPE '!'"
    try:
        with closing(sqlite3.connect(f"file:{quote(file)}?mode=ro", uri=True, timeout=10)) as database:
            return int(database.execute(query).fetchone()[0])
    except sqlite3.Error as error:
        raise RegistryError(Code.REGISTRY_UNUSABLE, f"{file}: {error}") from error
