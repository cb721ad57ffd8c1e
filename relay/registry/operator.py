"""What operators change in the registry: a drop out of quarantine, a loss that they know of; and who runs.

A drop is a decision first (``decide_drop``), durable before the message is taken out of the broker; the keeper tells it
(``end_dropped``) in one transaction with the end of the delivery.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, and_, delete, exists, or_, select, text, update

from relay.errors import Code
from relay.model.delivery import BY_DROP, State
from relay.model.record import HeldEntry, Settlement
from relay.model.standing import Drop, Enrolled
from relay.registry import dialect, drafts
from relay.registry.journal import Journal
from relay.registry.keeper import note_lost
from relay.registry.looks import DROP, drop_of
from relay.registry.rows import held_from, to_us
from relay.registry.schema import deliveries, documents, drops, held, processes, workers
from relay.registry.settle import mark_ended, store_receipts, store_unproven

_DROPPABLE = tuple(state.value for state in BY_DROP)
_AN_HOUR_US = 3_600_000_000


def decide_drop(connection: Connection, drop: Drop, journal: Journal) -> None:
    """Note the decision; one about the same message that was told before counts anew, one that was not stands."""
    values: dict[str, object] = {
        "held_id": drop.held_id,
        "at": to_us(drop.at),
        "reason": drop.reason,
        "kind": drop.kind,
        "body_bytes": drop.size,
        "told_at": None,
    }
    if not dialect.insert_new(connection, drops, values):
        again = update(drops).where(drops.c.held_id == drop.held_id, drops.c.told_at.is_not(None))
        again = again.values({name: value for name, value in values.items() if name != "held_id"})
        if connection.execute(again).rowcount != 1:
            return
    entry = connection.execute(select(held).where(held.c.held_id == drop.held_id)).first()
    if entry is not None:
        journal.note(drop.at, drafts.held(held_from(entry), "dropped", drop.reason))


def untold_drops(connection: Connection, limit: int) -> list[tuple[HeldEntry, Drop]]:
    """Return the decisions that nobody was told of, oldest first."""
    query = (
        select(held, *DROP)
        .join(drops, drops.c.held_id == held.c.held_id)
        .where(text("drops.told_at IS NULL"))
        .order_by(drops.c.at)
        .limit(limit)
    )
    return [(held_from(row), drop) for row in connection.execute(query) if (drop := drop_of(row)) is not None]


def end_dropped(
    connection: Connection,
    held_id: str,
    settlement: Settlement,
    now: int,
    live: Callable[[str | None], bool],
    journal: Journal,
) -> bool:
    """End the deliveries of a dropped message, store what is told about it, and note that it is told.

    False, and nothing changed: a live worker has the document in hand, a delivery has gone on meanwhile, or the
    document has had its final outcome: to be decided again from what stands then.
    """
    row = settlement.document
    if row is not None:
        query = select(documents.c.transport_id, documents.c.lease_owner, documents.c.finished).where(
            documents.c.id == row
        )
        found = connection.execute(query.with_for_update()).first()
        if found is None or live(found.lease_owner):
            return False
        if found.finished and any(new.final and new.document == row for new in settlement.receipts):
            return False
        if not _still_open(connection, row, [move.delivery_id for move in settlement.moves]):
            return False
        for move in settlement.moves:
            connection.execute(
                update(deliveries)
                .where(deliveries.c.document == row, deliveries.c.delivery_id == move.delivery_id)
                .values(
                    state=State.REFUSED.value,
                    code=None if move.code is None else move.code.value,
                    at=to_us(move.at),
                    due_at=None,
                    detail=move.detail,
                    lost=0,
                    version=deliveries.c.version + 1,
                )
            )
        if settlement.moves:
            moves = tuple([drafts.moved(move) for move in settlement.moves])
            journal.note(drafts.latest(settlement.moves), drafts.deliveries(found.transport_id, moves))
        # Unsettled, it would be looked for as lost.
        connection.execute(update(documents).where(documents.c.id == row).values(settled=1, lease_owner=None))
        mark_ended(connection, [row])
    finals = [new.document for new in settlement.receipts if new.final and new.document is not None]
    done = set(
        connection.execute(
            select(documents.c.id).where(documents.c.id.in_(finals), documents.c.finished == 1)
        ).scalars()
    )
    kept = [
        new
        for new in settlement.receipts
        if new.document is not None and not (new.final and new.document in done)
    ]
    store_receipts(connection, kept, journal)
    if finals:
        ended = update(documents).where(documents.c.id.in_(finals))
        connection.execute(ended.values(finished=1, watch_at=None, outcome_due=0))
    for new in settlement.receipts:
        if new.document is None:
            store_unproven(connection, new, journal)
    connection.execute(update(drops).where(drops.c.held_id == held_id).values(told_at=now))
    return True


def _still_open(connection: Connection, row: int, wanted: Sequence[str]) -> bool:
    there = connection.execute(
        select(deliveries.c.delivery_id).where(
            deliveries.c.document == row,
            deliveries.c.delivery_id.in_(wanted),
            deliveries.c.state.in_(_DROPPABLE),
        )
    ).scalars()
    return set(there) == set(wanted)


def mark_lost(
    connection: Connection,
    row: int,
    wanted: Sequence[str],
    now: int,
    live: Callable[[str | None], bool],
    journal: Journal,
) -> int:
    """Mark deliveries as lost, planned again; the keeper tells the sender. Returns how many; 0 for a document in hand.

    What was marked before, told or not, is left alone, and so is what has ended.
    """
    owner = connection.execute(
        select(documents.c.lease_owner).where(documents.c.id == row).with_for_update()
    ).scalar()
    if live(owner):
        return 0
    a_document = exists().where(documents.c.id == deliveries.c.document, documents.c.kind == "edoc")
    which = and_(
        deliveries.c.document == row,
        deliveries.c.delivery_id.in_(wanted),
        deliveries.c.lost == 0,
        or_(deliveries.c.state == "planned", and_(deliveries.c.state == "queued", a_document)),
    )
    note_lost(connection, which, now, journal)
    changed = (
        update(deliveries)
        .where(which)
        .values(
            state=State.PLANNED.value,
            code=Code.BODY_LOST.value,
            at=now,
            due_at=None,
            lost=1,
            lost_told=0,
            version=deliveries.c.version + 1,
        )
    )
    return connection.execute(changed).rowcount


# processes


def enroll(connection: Connection, process: Enrolled, now: int) -> None:
    """Write a process down. What died without taking itself off goes: its number is another's now, or it beats no more."""
    beats = exists().where(workers.c.worker == processes.c.owner)
    connection.execute(
        delete(processes).where(
            or_(
                and_(processes.c.machine == process.machine, processes.c.pid == process.pid),
                and_(processes.c.since < now - _AN_HOUR_US, ~beats),
            )
        )
    )
    connection.execute(
        processes.insert(),
        {
            "owner": process.owner,
            "name": process.name,
            "role": process.role,
            "host": process.host,
            "machine": process.machine,
            "pid": process.pid,
            "started": process.started,
            "since": to_us(process.since),
            "version": process.version,
        },
    )


def leave(connection: Connection, owner: str) -> None:
    """Take a process off: it ended cleanly."""
    connection.execute(delete(processes).where(processes.c.owner == owner))
