"""The mailbox: a gateway's durable room, one SQLite file for each agency queue.

Everything that must not be half done is one commit here: an arrived document and its status 01, a submission before
it is published. SQLite in WAL with ``synchronous=FULL``: what was committed survives a power cut.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL

from adapters.gateway.ports import Arrived, OutState, ReceiptFacts, ReceiptLine, StoredReceipt, Submission
from relay.errors import Code, RegistryError
from relay.model.message import Kind

_BUSY_SECONDS = 20

_META = sa.MetaData()

_RECEIVED = sa.Table(
    "received",
    _META,
    sa.Column("row", sa.Integer, primary_key=True),
    sa.Column("delivery_id", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("agency", sa.Text, nullable=False),
    sa.Column("sender", sa.Text, nullable=False),
    sa.Column("sender_written", sa.Text, nullable=False),
    sa.Column("transport_id", sa.Text, nullable=False, index=True),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("accepted_at", sa.Text, nullable=False),
    sa.Column("received_at", sa.Text, nullable=False),
    sa.Column("document_id", sa.Text, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("promulgation_date", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("business_type", sa.Integer, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("recipients", sa.Text, nullable=False),
    sa.Column("refers_to", sa.Text, nullable=False),
    sa.Column("status_code", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("shown_at", sa.Text),
)

_SENT = sa.Table(
    "sent",
    _META,
    sa.Column("row", sa.Integer, primary_key=True),
    sa.Column("agency", sa.Text, nullable=False),
    sa.Column("transport_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("lane", sa.Text, nullable=False),
    sa.Column("correlation_id", sa.Text),
    sa.Column("deadline", sa.Text),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("tried_at", sa.Text),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("agency", "transport_id"),
)

_RECEIPTS = sa.Table(
    "receipts",
    _META,
    sa.Column("row", sa.Integer, primary_key=True),
    sa.Column("relay", sa.Text, nullable=False),
    sa.Column("number", sa.Text, nullable=False),
    sa.Column("agency", sa.Text, nullable=False),
    sa.Column("correlation_id", sa.Text, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("facts", sa.Text, nullable=False),
    sa.Column("received_at", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("shown_at", sa.Text),
    sa.UniqueConstraint("relay", "number"),
)


class Mailbox:
    """One mailbox. Errors: ``RegistryError`` REGISTRY-BUSY (locked) or REGISTRY-UNUSABLE (full, damaged, no right)."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        with _troubles():
            path.touch(mode=0o600)
            self._engine = sa.create_engine(
                URL.create("sqlite", database=str(path)),
                connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
            )
            sa.event.listen(self._engine, "connect", _durable)
            _META.create_all(self._engine)

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    # arrived

    def arrived(self, delivery_id: str) -> Arrived | None:
        """Return what was stored under a delivery id."""
        rows = self._read(sa.select(_RECEIVED).where(_RECEIVED.c.delivery_id == delivery_id))
        return _arrived(rows[0]) if rows else None

    def store(self, item: Arrived, answer: Submission | None) -> bool:
        """Store an arrived package and the status that answers it, in one commit. False: it was there before."""
        values = {**asdict(item), "kind": item.kind.value, "recipients": json.dumps(item.recipients)}
        values["received_at"] = _iso(item.received_at)
        with _troubles(), self._engine.begin() as connection:
            known = connection.execute(
                sa.select(_RECEIVED.c.row).where(_RECEIVED.c.delivery_id == item.delivery_id)
            ).first()
            if known is not None:
                return False
            connection.execute(_RECEIVED.insert().values(**values))
            if answer is not None:
                connection.execute(_SENT.insert().values(**_sent_values(answer)))
        return True

    def documents(self, agency: str, transport_id: str) -> list[Arrived]:
        """Return the documents (no statuses) that came to ``agency`` under a transport id; senders may differ."""
        return [
            _arrived(row)
            for row in self._read(
                sa.select(_RECEIVED).where(
                    _RECEIVED.c.agency == agency,
                    _RECEIVED.c.transport_id == transport_id,
                    _RECEIVED.c.kind == Kind.EDOC.value,
                )
            )
        ]

    def unseen(self, agency: str, limit: int | None = None, *, again: bool = False) -> list[Arrived]:
        """Return what came to ``agency`` and was not marked as seen, oldest first; with ``again`` everything."""
        query = (
            sa.select(_RECEIVED).where(_RECEIVED.c.agency == agency).order_by(_RECEIVED.c.row).limit(limit)
        )
        return [
            _arrived(row)
            for row in self._read(query if again else query.where(_RECEIVED.c.shown_at.is_(None)))
        ]

    def unseen_receipts(self, agency: str, *, again: bool = False) -> list[StoredReceipt]:
        """Return the receipts of ``agency`` not marked as seen, oldest first; with ``again`` all."""
        query = sa.select(_RECEIPTS).where(_RECEIPTS.c.agency == agency).order_by(_RECEIPTS.c.row)
        return [
            _receipt(row)
            for row in self._read(query if again else query.where(_RECEIPTS.c.shown_at.is_(None)))
        ]

    def seen(self, items: Sequence[Arrived], receipts: Sequence[StoredReceipt], now: datetime) -> None:
        """Mark as seen what a person or system has been given."""
        with _troubles(), self._engine.begin() as connection:
            for item in items:
                connection.execute(
                    _RECEIVED.update()
                    .where(_RECEIVED.c.delivery_id == item.delivery_id)
                    .values(shown_at=_iso(now))
                )
            for receipt in receipts:
                connection.execute(
                    _RECEIPTS.update()
                    .where(
                        _RECEIPTS.c.relay == receipt.facts.relay, _RECEIPTS.c.number == receipt.facts.number
                    )
                    .values(shown_at=_iso(now))
                )

    # receipts

    def add_receipt(self, receipt: StoredReceipt) -> bool:
        """Store a receipt by the submission that it speaks of. False: it was there and came once more, which is noted."""
        facts = receipt.facts
        same = sa.and_(_RECEIPTS.c.relay == facts.relay, _RECEIPTS.c.number == facts.number)
        with _troubles(), self._engine.begin() as connection:
            again = connection.execute(
                _RECEIPTS.update().where(same).values(received_at=_iso(receipt.received_at))
            )
            if again.rowcount:
                return False
            connection.execute(
                _RECEIPTS.insert().values(
                    relay=facts.relay,
                    number=facts.number,
                    agency=receipt.agency,
                    correlation_id=receipt.correlation_id,
                    kind=facts.kind,
                    facts=json.dumps({**asdict(facts), "at": _iso(facts.at)}, ensure_ascii=False),
                    received_at=_iso(receipt.received_at),
                    body=receipt.body,
                )
            )
        return True

    def receipts(self, transport_id: str, agency: str | None = None) -> list[StoredReceipt]:
        """Return every receipt of a submission, oldest first."""
        query = (
            sa.select(_RECEIPTS).where(_RECEIPTS.c.correlation_id == transport_id).order_by(_RECEIPTS.c.row)
        )
        return [
            _receipt(row)
            for row in self._read(query if agency is None else query.where(_RECEIPTS.c.agency == agency))
        ]

    # sent

    def add_submission(self, item: Submission) -> Submission:
        """Store a submission before it is published; return what stands under its id, which may be an earlier one."""
        with _troubles(), self._engine.begin() as connection:
            row = connection.execute(sa.select(_SENT).where(_same(item))).first()
            if row is not None:
                return _submission(row)
            connection.execute(_SENT.insert().values(**_sent_values(item)))
        return item

    def submission(self, transport_id: str, agency: str | None = None) -> Submission | None:
        """Return a submission of ours by its transport id."""
        query = sa.select(_SENT).where(_SENT.c.transport_id == transport_id)
        rows = self._read(query if agency is None else query.where(_SENT.c.agency == agency))
        return _submission(rows[0]) if rows else None

    def tried(self, item: Submission, state: OutState, now: datetime) -> None:
        """Note how a publish ended."""
        with _troubles(), self._engine.begin() as connection:
            connection.execute(
                _SENT.update()
                .where(_same(item))
                .values(state=state.value, attempts=_SENT.c.attempts + 1, tried_at=_iso(now))
            )

    def say_again(self, agency: str, transport_id: str) -> int:
        """Put the statuses of ``agency`` about a document back into the outbox, same ids, same bytes. Returns how many."""
        with _troubles(), self._engine.begin() as connection:
            return connection.execute(
                _SENT.update()
                .where(
                    _SENT.c.agency == agency,
                    _SENT.c.correlation_id == transport_id,
                    _SENT.c.kind == Kind.STATUS.value,
                    _SENT.c.state == OutState.CONFIRMED.value,
                )
                .values(state=OutState.WAITING.value)
            ).rowcount

    def waiting(self, limit: int = 100) -> list[Submission]:
        """Return submissions that the broker does not have yet, oldest first."""
        return [
            _submission(row)
            for row in self._read(
                sa.select(_SENT)
                .where(_SENT.c.state == OutState.WAITING.value)
                .order_by(_SENT.c.row)
                .limit(limit)
            )
        ]

    def unanswered(self, tried_before: datetime, created_after: datetime) -> list[Submission]:
        """Return documents that the broker confirmed and no receipt answers, last tried before ``tried_before``."""
        answered = sa.select(_RECEIPTS.c.row).where(_RECEIPTS.c.correlation_id == _SENT.c.transport_id)
        return [
            _submission(row)
            for row in self._read(
                sa.select(_SENT)
                .where(
                    _SENT.c.kind == Kind.EDOC.value,
                    _SENT.c.state == OutState.CONFIRMED.value,
                    _SENT.c.tried_at < _iso(tried_before),
                    _SENT.c.created_at > _iso(created_after),
                    ~answered.exists(),
                )
                .order_by(_SENT.c.row)
            )
        ]

    # one reader

    @contextmanager
    def reader(self, seconds: float) -> Iterator[bool]:
        """Hold the right to read the queue; yields False when another process kept it for ``seconds``.

        The right ends with the process, however it ends.
        """
        with _troubles():
            handle = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield _locked(handle, time.monotonic() + seconds)
        finally:
            os.close(handle)

    def _read(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        with _troubles(), self._engine.connect() as connection:
            return connection.execute(query).all()


def _locked(handle: int, until: float) -> bool:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.05)
        else:
            return True


def _durable(connection: Any, _record: Any) -> None:  # noqa: ANN401 - the driver's own object
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


@contextmanager
def _troubles() -> Iterator[None]:
    try:
        yield
    except sa.exc.OperationalError as error:
        text = str(error.orig)
        code = Code.REGISTRY_BUSY if "locked" in text or "busy" in text else Code.REGISTRY_UNUSABLE
        raise RegistryError(code, f"mailbox: {text}") from error
    except (sa.exc.DatabaseError, OSError) as error:
        raise RegistryError(Code.REGISTRY_UNUSABLE, f"mailbox: {error}") from error


def _same(item: Submission) -> sa.ColumnElement[bool]:
    return sa.and_(_SENT.c.agency == item.agency, _SENT.c.transport_id == item.transport_id)


def _sent_values(item: Submission) -> dict[str, Any]:
    values = asdict(item)
    values.update(
        kind=item.kind.value,
        state=item.state.value,
        created_at=_iso(item.created_at),
        deadline=_iso(item.deadline) if item.deadline else None,
        tried_at=_iso(item.tried_at) if item.tried_at else None,
    )
    return values


def _arrived(row: sa.Row[Any]) -> Arrived:
    values = dict(row._mapping)  # noqa: SLF001 - the public name of it in SQLAlchemy
    del values["row"], values["shown_at"]
    values.update(
        kind=Kind(row.kind), recipients=tuple(json.loads(row.recipients)), received_at=_time(row.received_at)
    )
    return Arrived(**values)


def _receipt(row: sa.Row[Any]) -> StoredReceipt:
    raw = json.loads(row.facts)
    raw["at"] = _time(raw["at"])
    raw["recipients"] = tuple(ReceiptLine(**line) for line in raw["recipients"])
    return StoredReceipt(
        ReceiptFacts(**raw), row.agency, row.correlation_id, _time(row.received_at), row.body
    )


def _submission(row: sa.Row[Any]) -> Submission:
    return Submission(
        transport_id=row.transport_id,
        agency=row.agency,
        kind=Kind(row.kind),
        lane=row.lane,
        body=row.body,
        created_at=_time(row.created_at),
        correlation_id=row.correlation_id,
        deadline=_time(row.deadline) if row.deadline else None,
        state=OutState(row.state),
        attempts=row.attempts,
        tried_at=_time(row.tried_at) if row.tried_at else None,
    )


def _iso(at: datetime) -> str:
    # One width and one zone, so that text compares as time does.
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
