"""All that differs between SQLite and PostgreSQL: opening, the write lock, upserts, row numbers, what an error means.

Nothing of this leaves the room: the store speaks SQLAlchemy Core and asks here where the two part ways.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Engine, Index, Table, create_engine, event, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from relay.errors import Code, RegistryError

WRITE: Final = "truc_write"
BUSY_TIMEOUT: Final = 2.0  # seconds that one statement waits for the write lock; retries are the caller's
_WAL_PAGES: Final = 4000  # between checkpoints; 4 KiB each
_LOCK_TIMEOUT_MS: Final = int(BUSY_TIMEOUT * 1000)


def open_engine(url: str, busy_timeout: float = BUSY_TIMEOUT) -> Engine:
    """Return an engine for ``sqlite://`` (in memory), ``sqlite:///path`` or ``postgresql+driver://...``.

    Raises:
        RegistryError: REGISTRY-UNUSABLE: no such driver, or not a URL.
    """
    try:
        backend = make_url(url).get_backend_name()
        if backend == "sqlite":
            return _open_sqlite(url, busy_timeout)
        if backend == "postgresql":
            engine = create_engine(url, pool_pre_ping=True)
            event.listen(engine, "connect", _prepare_postgresql)
            return engine
    except (SQLAlchemyError, ImportError) as error:
        raise RegistryError(Code.REGISTRY_UNUSABLE, f"registry URL: {type(error).__name__}") from error
    raise RegistryError(Code.REGISTRY_UNUSABLE, f"no registry on {backend}: sqlite or postgresql")


def _open_sqlite(url: str, busy_timeout: float) -> Engine:
    arguments: dict[str, Any] = {"check_same_thread": False, "timeout": busy_timeout}
    memory = in_memory(url)
    engine = (
        create_engine(url, connect_args=arguments, poolclass=StaticPool)
        if memory
        else create_engine(url, connect_args=arguments)
    )

    @event.listens_for(engine, "connect")
    def _prepare(raw: sqlite3.Connection, _record: object) -> None:
        raw.isolation_level = None  # the driver begins nothing of its own
        raw.execute("PRAGMA foreign_keys = ON")
        if not memory:
            _write_ahead(raw)
            raw.execute("PRAGMA synchronous = FULL")
            raw.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A reader that turns writer can meet SQLITE_BUSY that no waiting mends: writers take the lock at once.
        write = connection.get_execution_options().get(WRITE, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _write_ahead(raw: sqlite3.Connection) -> None:
    """Switch to WAL once. The switch needs the file alone and does not honour the busy handler."""
    for attempt in range(100):
        if raw.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            return
        try:
            raw.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if attempt == 99:
                raise
            time.sleep(0.02)


def _prepare_postgresql(raw: DBAPIConnection, _record: object) -> None:
    cursor = raw.cursor()
    cursor.execute(f"SET lock_timeout = {_LOCK_TIMEOUT_MS}")
    cursor.close()
    raw.commit()


def in_memory(url: str) -> bool:
    """Whether the URL means a SQLite database that lives in this process alone (one connection for all threads)."""
    parsed = make_url(url)
    return parsed.get_backend_name() == "sqlite" and parsed.database in {None, "", ":memory:"}


def file_of(url: str) -> str | None:
    """Return the database file of a SQLite URL, None for what is no file of this machine's."""
    parsed = make_url(url)
    return None if in_memory(url) or parsed.get_backend_name() != "sqlite" else parsed.database


def serialise_schema(connection: Connection) -> None:
    """Let one process at a time create the tables (SQLite has its write lock already)."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(7217302)"))


def index_names(connection: Connection) -> set[str]:
    """Return the names of all indices of the database."""
    known = (
        "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()"
        if connection.dialect.name == "postgresql"
        else "SELECT name FROM sqlite_master WHERE type = 'index'"
    )
    return set(connection.execute(text(known)).scalars())


def next_ids(connection: Connection, table: Table, count: int) -> Sequence[int]:
    """Return ``count`` row ids for ``table`` (column ``id``), ascending; the caller inserts them in this transaction.

    Saves one round trip for each row: ids are needed before the insert, for the rows that point to it.
    """
    if connection.dialect.name == "postgresql":
        numbers = func.generate_series(1, count)
        sequence = func.nextval(func.pg_get_serial_sequence(table.name, "id"))
        return sorted(connection.execute(select(sequence).select_from(numbers)).scalars())
    highest: int = connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()
    return range(highest + 1, highest + 1 + count)  # safe: this transaction holds the only write lock


def insert_new(connection: Connection, table: Table, values: dict[str, object]) -> bool:
    """Insert one row unless its primary key is there already; return whether it was inserted."""
    flavour = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    keys = [column.name for column in table.primary_key]
    result = connection.execute(flavour(table).on_conflict_do_nothing(index_elements=keys), values)
    return result.rowcount == 1


def insert_unless(connection: Connection, index: Index, values: dict[str, object]) -> bool:
    """Insert one row unless that unique (partial) index has it already; return whether it was inserted."""
    flavour = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    where = index.dialect_options["sqlite"]["where"]
    assert index.table is not None
    statement = flavour(index.table).on_conflict_do_nothing(
        index_elements=[column.name for column in index.columns], index_where=where
    )
    return connection.execute(statement, values).rowcount == 1


def upsert(connection: Connection, table: Table, values: dict[str, object]) -> None:
    """Insert one row or overwrite the row with the same primary key."""
    flavour = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    keys = [column.name for column in table.primary_key]
    statement = flavour(table)
    changed = {name: statement.excluded[name] for name in values if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), values)


def is_integrity(error: BaseException) -> bool:
    """Whether a key, a foreign key or a check was broken."""
    return isinstance(error, IntegrityError)


def as_registry_error(error: SQLAlchemyError) -> RegistryError:
    """Return REGISTRY-BUSY for what a retry mends, else REGISTRY-UNUSABLE. Parameters never enter the text."""
    cause: object = error.orig if isinstance(error, DBAPIError) else error
    name = (
        getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or type(cause).__name__
    )
    busy = str(name).startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or name in {
        "40001",
        "40P01",
        "55P03",
        "57P03",
    }
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if busy or lost or isinstance(error, InterfaceError):
        return RegistryError(Code.REGISTRY_BUSY, str(name))
    return RegistryError(
        Code.REGISTRY_UNUSABLE, f"{name}: {cause}"[:200] if isinstance(cause, Exception) else str(name)
    )
