"""A copy of the registry as one file, and the way back. SQLite alone: PostgreSQL has tools of its own.

A copy is taken in one read transaction beside workers that write (SQLite's online backup), is examined, and stands
under its name only when it is whole and its checksum is beside it. A restore writes into the file that is there, in one
transaction of SQLite's: whoever dies half-way leaves the old content.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, func, insert, select
from sqlalchemy.pool import NullPool

from relay.errors import Code, OperationError, RegistryError
from relay.model.audit import Act
from relay.model.evidence import Restored
from relay.model.keeping import Chronicler
from relay.registry import acts, dialect, schema
from relay.registry.journal import Chronicle, Journal
from relay.registry.rows import from_us, to_us

CHECKSUM: Final = ".sha256"
"""Added to a copy's name: the file that holds its checksum, as ``sha256sum --check`` reads it."""

_NUMBERS_A_SECOND: Final = 1000
_PATIENCE: Final = 5.0  # seconds for a lock that somebody holds for a moment
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class CopyFacts:
    """What a copy, or a registry that was restored, holds."""

    file: Path
    sha256: str
    bytes: int
    schema_version: int
    documents: int
    deliveries: int
    receipts: int
    newest: datetime | None  # when the newest document in it was accepted
    kept: Path | None = None  # of a restore: where the former content stands


def backup(url: str, target: Path, *, keep: bool = True) -> CopyFacts:
    """Copy the registry at ``url`` to a new file, beside workers that write. Mode 0600, durable when this returns.

    Without ``keep`` the copy is made and checked where it would stand, and removed again.

    Raises:
        RegistryError: REGISTRY-UNUSABLE: no SQLite file, not ours, or damaged.
        OperationError: REGISTRY-BACKUP: the target exists or cannot be written.
    """
    source = _file(url)
    if not source.is_file():
        raise RegistryError(Code.REGISTRY_UNUSABLE, f"{source}: no such file")
    checksum = checksum_of(target)
    if target.exists() or checksum.exists():
        raise OperationError(Code.REGISTRY_BACKUP, f"{target} exists; a copy is never overwritten")
    fresh = target.with_name(f".{target.name}.new")
    try:
        with _own_file(fresh):
            try:
                _copy(source, fresh)
            except sqlite3.Error as error:
                raise RegistryError(Code.REGISTRY_UNUSABLE, f"{source}: {error}") from error
            facts = _examine(fresh, target, quick=True)
            if not keep:
                return facts
            _write(checksum, f"{facts.sha256}  {target.name}\n")
            fresh.rename(target)
            _sync_folder(target.parent)
    except OSError as error:
        checksum.unlink(missing_ok=True)
        raise OperationError(Code.REGISTRY_BACKUP, f"{target}: {error.strerror or error}") from error
    return facts


def examine(copy: Path) -> CopyFacts:
    """Check a copy against its checksum and against itself, and return what it holds.

    Raises:
        OperationError: REGISTRY-BACKUP: no copy, no checksum or another one, damaged, not a registry of this version.
    """
    try:
        said = checksum_of(copy).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        raise OperationError(
            Code.REGISTRY_BACKUP, f"{checksum_of(copy)} is missing or cannot be read"
        ) from None
    try:
        found = _sha256(copy)
    except OSError as error:
        raise OperationError(Code.REGISTRY_BACKUP, f"{copy}: {error.strerror}") from error
    if not said or said[0] != found:
        raise OperationError(Code.REGISTRY_BACKUP, f"{copy} is not what its checksum says")
    return _examine(copy, copy, quick=False)


def check_unused(url: str, now: datetime, lease_seconds: float) -> None:
    """Raise REGISTRY-IN-USE while a process has the registry open or gave a sign of life within its lease.

    Raises:
        OperationError: REGISTRY-IN-USE.
        RegistryError: REGISTRY-UNUSABLE: what stands there is no registry.
    """
    file = _file(url)
    if file.exists():
        with _alone(file, now, lease_seconds):
            pass


def restore(
    url: str, copy: Path, act: Act, lease_seconds: float, chronicler: Chronicler | None = None
) -> CopyFacts:
    """Put the content of a copy in the place of the registry at ``url``; the former content is kept beside it.

    What must not come back with old content is mended in the same transaction: leases and heartbeats are gone, and
    receipts count on from a number that no process of this relay can have used (a number names a receipt, and its
    message id follows from it: a second receipt under one number would be dropped by gateways as a repeat).

    Args:
        url: The registry, a SQLite file.
        copy: A file made by ``backup``.
        act: The audit row of the restore; its time counts as now.
        lease_seconds: How long after its last sign of life a worker counts as alive.
        chronicler: Puts the restore on record: a new life of the log begins, on the base of what the copy holds.

    Raises:
        OperationError: REGISTRY-BACKUP, REGISTRY-IN-USE.
        RegistryError: REGISTRY-UNUSABLE: what stands there is no registry, or the file cannot be written.
    """
    examine(copy)
    file = _file(url)
    fresh = file.with_name(f".{file.name}.restore")
    try:
        with _own_file(fresh):
            _copy(copy, fresh)
            _mend(fresh, act, chronicler)
            kept = _put(fresh, file, act.at, lease_seconds)
            facts = _examine(file, file, quick=True)
    except (OSError, sqlite3.Error) as error:
        raise RegistryError(Code.REGISTRY_UNUSABLE, f"{file}: {error}") from error
    return CopyFacts(
        file=file,
        sha256=facts.sha256,
        bytes=facts.bytes,
        schema_version=facts.schema_version,
        documents=facts.documents,
        deliveries=facts.deliveries,
        receipts=facts.receipts,
        newest=facts.newest,
        kept=kept,
    )


def checksum_of(copy: Path) -> Path:
    """Return where the checksum of a copy stands."""
    return copy.with_name(copy.name + CHECKSUM)


# --- the steps


def _file(url: str) -> Path:
    name = dialect.file_of(url)
    if name is None:
        raise RegistryError(
            Code.REGISTRY_UNUSABLE, "only a registry in a SQLite file is copied here; PostgreSQL has pg_dump"
        )
    return Path(name)


def _copy(source: Path, target: Path) -> None:
    """Copy one database into an empty file, as a single file without a log beside it, and make it durable."""
    with (
        closing(sqlite3.connect(_uri(source, "rw"), uri=True, timeout=_PATIENCE)) as read,
        closing(sqlite3.connect(target, timeout=_PATIENCE)) as write,
    ):
        read.backup(write)
        write.execute("PRAGMA journal_mode = DELETE")
    _sync(target)


def _examine(file: Path, name: Path, *, quick: bool) -> CopyFacts:
    """Return the facts of a database nobody writes to; ``quick`` leaves the comparison of indices out."""
    try:
        with closing(sqlite3.connect(_uri(file, "ro", immutable=True), uri=True)) as database:
            check = "quick_check" if quick else "integrity_check"
            verdict = database.execute(f"PRAGMA {check}(1)").fetchone()[0]
            broken = database.execute("PRAGMA foreign_key_check").fetchone()
            versions = [row[0] for row in database.execute("SELECT version FROM schema_version")]
            counts = [
                database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - names of ours
                for table in ("documents", "deliveries", "receipts")
            ]
            newest = database.execute("SELECT max(accepted_at) FROM documents").fetchone()[0]
    except sqlite3.Error as error:
        raise OperationError(Code.REGISTRY_BACKUP, f"{name}: {error}") from error
    if verdict != "ok" or broken is not None:
        raise OperationError(Code.REGISTRY_BACKUP, f"{name} is damaged: {verdict}")
    if versions != [schema.VERSION]:
        raise OperationError(
            Code.REGISTRY_BACKUP, f"{name} has schema {versions}, this relay knows {schema.VERSION}"
        )
    return CopyFacts(
        file=name,
        sha256=_sha256(file),
        bytes=file.stat().st_size,
        schema_version=versions[0],
        documents=counts[0],
        deliveries=counts[1],
        receipts=counts[2],
        newest=None if newest is None else from_us(newest),
    )


def _mend(file: Path, act: Act, chronicler: Chronicler | None) -> None:
    """Change in a copy what must not come back, before anybody can open it."""
    engine = create_engine(f"sqlite:///{file}", poolclass=NullPool)
    with engine.begin() as connection:
        schema.create_or_check(connection)
        for table in (schema.workers, schema.leases, schema.processes):
            connection.execute(table.delete())
        # No process makes a thousand receipts a second for years: so many seconds on, no number is used twice.
        floor = int(act.at.timestamp()) * _NUMBERS_A_SECOND
        highest = connection.execute(select(func.max(schema.receipts.c.serial))).scalar() or 0
        highest = max(highest, connection.execute(select(func.max(schema.restores.c.floor))).scalar() or 0)
        connection.execute(insert(schema.restores), {"at": to_us(act.at), "floor": max(floor, highest + 1)})
        _new_life(connection, act, None if chronicler is None else Chronicle(chronicler))
    engine.dispose()


def _new_life(connection: Connection, act: Act, chronicle: Chronicle | None) -> None:
    """Begin a new life of the evidence: heads from here on say what of the former one they stand on."""
    lives, batches = schema.evidence_lives, schema.evidence_batches
    life = (connection.execute(select(func.max(lives.c.life))).scalar() or 0) + 1
    base = connection.execute(select(func.count()).select_from(batches)).scalar_one()
    connection.execute(insert(lives), {"life": life, "base": base, "at": to_us(act.at)})
    with nullcontext(Journal()) if chronicle is None else chronicle.turn() as journal:
        journal.note(act.at, Restored(life, base, act.at))
        acts.note(connection, act, journal)
        if chronicle is not None:
            chronicle.flush(connection, journal)


def _put(fresh: Path, file: Path, now: datetime, lease_seconds: float) -> Path | None:
    """Put ``fresh`` in the place of ``file``; return where the former content stands."""
    if not file.exists():
        try:
            os.link(fresh, file)  # fails where a worker that just started has made one
        except FileExistsError:
            raise OperationError(
                Code.REGISTRY_IN_USE, f"{file} has just been made by another process"
            ) from None
        _sync_folder(file.parent)
        return None
    with _alone(file, now, lease_seconds) as database:
        kept = file.with_name(f"{file.name}.before-{now:%Y%m%dT%H%M%SZ}")
        _keep(file, kept)
        with closing(sqlite3.connect(_uri(fresh, "ro", immutable=True), uri=True)) as read:
            read.backup(database)
    return kept


def _keep(file: Path, kept: Path) -> None:
    """Copy a database that is locked and has no log beside it."""
    descriptor = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as write, file.open("rb") as read:
        while chunk := read.read(_CHUNK):
            write.write(chunk)
        write.flush()
        os.fsync(write.fileno())
    _sync_folder(kept.parent)


@contextmanager
def _alone(file: Path, now: datetime, lease_seconds: float) -> Iterator[sqlite3.Connection]:
    """Hold a registry so that no other process can read or write it, or raise REGISTRY-IN-USE."""
    with closing(sqlite3.connect(_uri(file, "rw"), uri=True, timeout=_PATIENCE, isolation_level=None)) as one:
        try:
            since = to_us(now) - int(lease_seconds * 1_000_000)
            alive = one.execute("SELECT worker FROM workers WHERE heartbeat_at >= ?", (since,)).fetchall()
        except sqlite3.Error as error:
            raise RegistryError(
                Code.REGISTRY_UNUSABLE, f"{file}: {error}; move it away if it is to be replaced"
            ) from error
        if alive:
            names = ", ".join(sorted(str(row[0]) for row in alive))
            raise OperationError(Code.REGISTRY_IN_USE, f"at work: {names}")
        try:
            # Leaving WAL is refused while another connection is open, however idle. A process that comes afterwards
            # meets the lock, or has brought WAL back before it was taken.
            one.execute("PRAGMA journal_mode = DELETE")
            one.execute("PRAGMA locking_mode = EXCLUSIVE")
            one.execute("PRAGMA synchronous = EXTRA")
            one.execute("BEGIN EXCLUSIVE")
            one.execute("COMMIT")
            mode = one.execute("PRAGMA journal_mode").fetchone()[0]
        except sqlite3.OperationalError as error:
            raise OperationError(Code.REGISTRY_IN_USE, f"another process has {file} open") from error
        if mode != "delete":
            raise OperationError(Code.REGISTRY_IN_USE, f"another process has {file} open")
        yield one


@contextmanager
def _own_file(path: Path) -> Iterator[None]:
    """Make an empty file of mode 0600 for a while; what is left of an earlier one is replaced."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        path.with_name(path.name + "-journal").unlink(missing_ok=True)


def _uri(file: Path, mode: str, *, immutable: bool = False) -> str:
    return f"file:{quote(str(file.absolute()))}?mode={mode}{'&immutable=1' if immutable else ''}"


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _write(file: Path, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as write:
        write.write(text)
        write.flush()
        os.fsync(write.fileno())


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_sync_folder = _sync
