"""Audit rows: written by tools, never changed."""

from __future__ import annotations

from sqlalchemy import Connection, select

from relay.model.audit import Act
from relay.registry import dialect, drafts
from relay.registry.journal import Journal
from relay.registry.rows import from_us, to_us
from relay.registry.schema import acts


def note(connection: Connection, act: Act, journal: Journal) -> None:
    """Add one row, and put it on record."""
    (row,) = dialect.next_ids(connection, acts, 1)
    values = {
        "id": row,
        "at": to_us(act.at),
        "who": act.who,
        "act": act.act,
        "subject": act.subject,
        "detail": act.detail,
    }
    connection.execute(acts.insert(), values)
    journal.note(act.at, drafts.act(row, act))


def latest(connection: Connection, subject: str | None, limit: int) -> tuple[Act, ...]:
    """Return the rows of one subject, or all, the last written first."""
    query = select(acts).order_by(acts.c.id.desc()).limit(limit)
    if subject is not None:
        query = query.where(acts.c.subject == subject)
    return tuple(
        Act(from_us(row.at), row.who, row.act, row.subject, row.detail) for row in connection.execute(query)
    )
