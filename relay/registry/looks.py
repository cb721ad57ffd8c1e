"""What operators look at: one document's standing, what is unfinished by age, who runs. Reads alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, case, func, literal, select, text

from relay.model.standing import (
    DeliveryStanding,
    Drop,
    Enrolled,
    HeldStanding,
    ReceiptStanding,
    Shape,
    ShapeBy,
    ShapeCell,
    Standing,
)
from relay.registry.rows import (
    delivery_from,
    from_us,
    held_from,
    in_slices,
    join_number,
    load_delivery_rows,
    load_documents,
)
from relay.registry.schema import deliveries, documents, drops, held, processes, receipts, statuses, workers

# literally as in the partial indices
_UNFINISHED: Final = text(
    "documents.kind = 'edoc' AND documents.finished = 0 AND documents.refusal IS NULL"
    " AND documents.same_content_as IS NULL"
)
_PLANNED: Final = text("deliveries.state = 'planned'")
_UNSETTLED: Final = text("documents.settled = 0")
_HELD: Final = text("held.released_at IS NULL")


def standing(connection: Connection, row: int, now: int, lease: int) -> Standing | None:
    """Return how a submission stands; ``lease`` in microseconds decides whether its holder is alive."""
    document = load_documents(connection, [row]).get(row)
    if document is None:
        return None
    first_row = document.same_content_as or row
    first = None if first_row == row else load_documents(connection, [first_row]).get(first_row)
    lease_row = connection.execute(
        select(documents.c.lease_owner, documents.c.claimed_at).where(documents.c.id == first_row)
    ).one()
    own = connection.execute(
        select(documents.c.lease_owner, documents.c.claimed_at).where(documents.c.id == row)
    ).one()
    holder = own.lease_owner or lease_row.lease_owner or ""
    beat = connection.execute(select(workers.c.heartbeat_at).where(workers.c.worker == holder)).scalar()
    told = connection.execute(
        select(receipts).where(receipts.c.document == row).order_by(receipts.c.id)
    ).all()
    last = {
        found.delivery_id: found
        for found in connection.execute(
            select(statuses.c.delivery_id, statuses.c.status, statuses.c.at)
            .where(statuses.c.document == first_row, statuses.c.refusal.is_(None), statuses.c.status != "13")
            .order_by(statuses.c.id)
        )
    }
    return Standing(
        document=document,
        claimed_at=from_us(own.claimed_at),
        holder=holder,
        alive=beat is not None and now - beat < lease,
        beat_at=None if beat is None else from_us(beat),
        deliveries=tuple(
            _delivery(item, last.get(item.delivery_id))
            for item in load_delivery_rows(connection, [first_row]).get(first_row, [])
        ),
        receipts=tuple(
            ReceiptStanding(
                join_number(one.series, one.serial),
                one.kind,
                one.code,
                one.addressed_to,
                from_us(one.at),
                None if one.published_at is None else from_us(one.published_at),
            )
            for one in told
        ),
        first=first,
    )


def _delivery(item: Row[Any], status: Any) -> DeliveryStanding:  # noqa: ANN401 - a row of three columns, or None
    return DeliveryStanding(
        delivery=delivery_from(item),
        queued_at=None if item.queued_at is None else from_us(item.queued_at),
        change=item.change,
        lost=bool(item.lost),
        lost_told=bool(item.lost_told),
        overdue_told=bool(item.overdue_told),
        last_status="" if status is None else status.status,
        last_status_at=None if status is None else from_us(status.at),
    )


def loose_receipts(connection: Connection, transport_id: str) -> list[ReceiptStanding]:
    """Return the receipts about a transport id that belong to no document: refusals of unproven ones, notices."""
    query = (
        select(receipts)
        .where(receipts.c.transport_id == transport_id, text("receipts.document IS NULL"))
        .order_by(receipts.c.id)
    )
    return [
        ReceiptStanding(
            join_number(one.series, one.serial),
            one.kind,
            one.code,
            one.addressed_to,
            from_us(one.at),
            None if one.published_at is None else from_us(one.published_at),
        )
        for one in connection.execute(query)
    ]


# quarantine

DROP: Final = (
    drops.c.at.label("drop_at"),
    drops.c.reason,
    drops.c.kind,
    drops.c.body_bytes,
    drops.c.told_at,
)


def _held_standings(connection: Connection, wanted: ColumnElement[bool]) -> list[HeldStanding]:
    query = (
        select(held, *DROP)
        .outerjoin(drops, drops.c.held_id == held.c.held_id)
        .where(wanted)
        .order_by(held.c.at, held.c.held_id)
    )
    return [HeldStanding(held_from(row), drop_of(row)) for row in connection.execute(query)]


def drop_of(row: Row[Any]) -> Drop | None:
    """Return the decision in a row that holds the columns ``DROP``; None where there was none."""
    if row.drop_at is None:
        return None
    told = None if row.told_at is None else from_us(row.told_at)
    return Drop(row.held_id, from_us(row.drop_at), row.reason, row.kind, row.body_bytes, told)


def held_one(connection: Connection, held_id: str) -> HeldStanding | None:
    """Return one held message, released or not."""
    return next(iter(_held_standings(connection, held.c.held_id == held_id)), None)


def held_count(connection: Connection) -> int:
    """Return how many are held and not released."""
    return connection.execute(select(func.count()).select_from(held).where(_HELD)).scalar_one()


def held_about(connection: Connection, transport_ids: Sequence[str]) -> list[HeldStanding]:
    """Return what was ever held under these transport ids, oldest first."""
    return [
        one
        for ids in in_slices(transport_ids)
        for one in _held_standings(connection, held.c.transport_id.in_(ids))
    ]


# processes


def enrolled(connection: Connection) -> list[Enrolled]:
    """Return the processes that wrote themselves down and have not ended cleanly, by name."""
    query = (
        select(processes, workers.c.heartbeat_at)
        .outerjoin(workers, workers.c.worker == processes.c.owner)
        .order_by(processes.c.role.desc(), processes.c.name, processes.c.since)
    )
    return [
        Enrolled(
            owner=row.owner,
            name=row.name,
            role=row.role,
            host=row.host,
            machine=row.machine,
            pid=row.pid,
            started=row.started,
            since=from_us(row.since),
            version=row.version,
            beat_at=None if row.heartbeat_at is None else from_us(row.heartbeat_at),
        )
        for row in connection.execute(query)
    ]


def in_hand(connection: Connection, owner: str) -> int:
    """Return how many documents a process has claimed and not settled, or has taken up again."""
    unsettled = select(documents.c.id).where(_UNSETTLED, documents.c.lease_owner == owner)
    resumed = (
        select(deliveries.c.document)
        .join(documents, documents.c.id == deliveries.c.document)
        .where(_PLANNED, documents.c.lease_owner == owner)
    )
    both = unsettled.union(resumed).subquery()
    return connection.execute(select(func.count()).select_from(both)).scalar_one()


# the shape


def shape(connection: Connection, by: ShapeBy, bounds: Sequence[int], now: int) -> Shape:
    """Count what is unfinished by key and age; ``bounds`` are times, the youngest first. The database counts.

    Statuses count while they are planned: once queued, nothing more is expected of them.
    """
    keys: dict[ShapeBy, ColumnElement[Any]] = {
        ShapeBy.AGENCY: deliveries.c.recipient,
        ShapeBy.LEVEL: func.coalesce(deliveries.c.level, ""),
        ShapeBy.LANE: documents.c.lane,
        ShapeBy.CODE: case(
            (deliveries.c.state == "queued", literal("queued")),
            else_=func.coalesce(deliveries.c.code, "planned"),
        ),
    }
    bucket = _bucket(documents.c.accepted_at, bounds)
    planned = func.sum(case((deliveries.c.state == "planned", 1), else_=0))
    columns = (keys[by].label("key"), bucket.label("bucket"), func.count(), planned)
    oldest = func.min(documents.c.accepted_at)
    of_documents = (
        select(*columns, oldest)
        .select_from(documents)
        .join(deliveries, deliveries.c.document == documents.c.id)
        .where(_UNFINISHED, documents.c.accepted_at <= now, deliveries.c.state.in_(("planned", "queued")))
        .group_by("key", "bucket")
    )
    of_statuses = (
        select(*columns, oldest)
        .select_from(deliveries)
        .join(documents, documents.c.id == deliveries.c.document)
        .where(_PLANNED, documents.c.kind == "status")
        .group_by("key", "bucket")
    )
    return Shape(
        deliveries=_cells(connection, of_documents, of_statuses),
        in_hand=_cells(connection, _in_hand(bounds)),
        deferred=_cells(connection, _deferred(bounds, now)),
        held=_cells(connection, _held(bounds)),
    )


def _bucket(column: ColumnElement[Any], bounds: Sequence[int]) -> ColumnElement[int]:
    return case(*((column > bound, place) for place, bound in enumerate(bounds)), else_=len(bounds))


def _in_hand(bounds: Sequence[int]) -> Any:  # noqa: ANN401 - a select of five columns
    bucket = _bucket(documents.c.accepted_at, bounds)
    return (
        select(
            documents.c.lane.label("key"),
            bucket.label("bucket"),
            func.count(),
            func.count(),
            func.min(documents.c.accepted_at),
        )
        .where(_UNSETTLED)
        .group_by("key", "bucket")
    )


def _deferred(bounds: Sequence[int], now: int) -> Any:  # noqa: ANN401
    bucket = _bucket(documents.c.accepted_at, bounds)
    attempt = case((deliveries.c.due_at > now, deliveries.c.attempt), else_=0)
    return (
        select(
            attempt.label("key"),
            bucket.label("bucket"),
            func.count(),
            func.count(),
            func.min(documents.c.accepted_at),
        )
        .select_from(deliveries)
        .join(documents, documents.c.id == deliveries.c.document)
        .where(_PLANNED, deliveries.c.due_at.is_not(None))
        .group_by("key", "bucket")
    )


def _held(bounds: Sequence[int]) -> Any:  # noqa: ANN401
    bucket = _bucket(held.c.at, bounds)
    return (
        select(
            held.c.code.label("key"), bucket.label("bucket"), func.count(), func.count(), func.min(held.c.at)
        )
        .where(_HELD)
        .group_by("key", "bucket")
    )


def _cells(connection: Connection, *queries: Any) -> tuple[ShapeCell, ...]:  # noqa: ANN401
    return tuple(
        ShapeCell(str(key), bucket, count, planned, from_us(oldest))
        for query in queries
        for key, bucket, count, planned, oldest in connection.execute(query)
    )


def answers(connection: Connection, code: str) -> tuple[datetime | None, datetime | None]:
    """Return when the last status of an agency was accepted, and since when its oldest unanswered delivery waits."""
    said = connection.execute(
        select(func.max(statuses.c.at)).where(statuses.c.reporter == code, statuses.c.refusal.is_(None))
    ).scalar()
    waits = connection.execute(
        select(func.min(deliveries.c.queued_at))
        .join(documents, documents.c.id == deliveries.c.document)
        .where(_UNFINISHED, deliveries.c.recipient == code, deliveries.c.state == "queued")
    ).scalar()
    return (
        from_us(said) if said is not None else None,
        from_us(waits) if waits is not None else None,
    )
