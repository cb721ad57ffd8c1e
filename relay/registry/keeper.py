"""What runs beside the hot path: deadlines, losses, give-up, named leases, the broker's epoch, quarantine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    delete,
    exists,
    or_,
    select,
    text,
    update,
)

from relay.errors import Code
from relay.model.delivery import State
from relay.model.evidence import Moved
from relay.model.record import Document, HeldEntry, NewReceipt
from relay.registry import dialect, drafts
from relay.registry.claims import FAR_US
from relay.registry.journal import Journal
from relay.registry.rows import from_us, held_from, load_documents, to_us
from relay.registry.schema import broker_epochs, deliveries, documents, held, leases, workers
from relay.registry.settle import store_receipts, store_unproven

_LONGEST: Final = 10  # another keeper's lease may be so many times as long as ours
_A_DAY_US: Final = 86_400_000_000
_OPEN: Final = ("planned", "queued")
_FIRST: Final = documents.alias("first")
_PLANNED: Final = text("deliveries.state = 'planned'")  # literally as in the partial index


def _load(connection: Connection, rows: Sequence[int]) -> list[Document]:
    found = load_documents(connection, rows)
    return [found[row] for row in rows if row in found]


def overdue(connection: Connection, now: int, limit: int) -> list[Document]:
    """Return documents with a delivery past its deadline, not ended and not told, the earliest deadline first."""
    late = exists().where(
        deliveries.c.document == documents.c.id,
        deliveries.c.state.in_(_OPEN),
        deliveries.c.overdue_told == 0,
    )
    query = (
        select(documents.c.id)
        .where(text("documents.watch_at IS NOT NULL"), documents.c.watch_at < now, late)
        .order_by(documents.c.watch_at)
        .limit(limit)
    )
    return _load(connection, connection.execute(query).scalars().all())


def _unheld(since: int) -> ColumnElement[bool]:
    """Not leased by a worker that beat since then."""
    alive = exists().where(workers.c.worker == documents.c.lease_owner, workers.c.heartbeat_at >= since)
    return or_(documents.c.lease_owner.is_(None), ~alive)


def lost(connection: Connection, due_before: int, claimed_before: int, limit: int) -> list[Document]:
    """Return documents whose body the broker seems to have no more, not yet told.

    A lease counts as live when its worker beat after ``claimed_before``.
    """
    gone = (
        select(deliveries.c.document)
        .join(documents, documents.c.id == deliveries.c.document)
        .where(
            _PLANNED,
            deliveries.c.lost_told == 0,
            or_(deliveries.c.lost == 1, deliveries.c.due_at < due_before),
            _unheld(claimed_before),
        )
        .distinct()
        .order_by(deliveries.c.document)
        .limit(limit)
    )
    unsettled = (
        select(documents.c.id)
        .where(
            text("documents.settled = 0"),
            documents.c.claimed_at < claimed_before,
            documents.c.lost_told == 0,
            _unheld(claimed_before),
        )
        .order_by(documents.c.id)
        .limit(limit)
    )
    rows = {*connection.execute(gone).scalars(), *connection.execute(unsettled).scalars()}
    return _load(connection, sorted(rows)[:limit])


def expired(connection: Connection, accepted_before: int, limit: int) -> list[Document]:
    """Return documents accepted before that time with a delivery still planned, oldest first."""
    planned = select(deliveries.c.document).where(_PLANNED)
    query = (
        select(documents.c.id)
        .where(documents.c.id.in_(planned), documents.c.accepted_at < accepted_before)
        .order_by(documents.c.id)
        .limit(limit)
    )
    return _load(connection, connection.execute(query).scalars().all())


def unfinished_outcomes(connection: Connection, limit: int) -> list[Document]:
    """Return settled documents all of whose deliveries ended, without a final outcome; also other submissions of the
    same bytes that came between the making of the first one's outcome and its commit."""
    still_open = exists().where(deliveries.c.document == documents.c.id, deliveries.c.state.in_(_OPEN))
    told = exists().where(_FIRST.c.id == documents.c.same_content_as, _FIRST.c.finished == 1)
    query = (
        select(documents.c.id)
        .where(
            text("documents.outcome_due = 1"),
            documents.c.settled == 1,
            documents.c.finished == 0,
            or_(and_(documents.c.same_content_as.is_(None), ~still_open), told),
        )
        .order_by(documents.c.id)
        .limit(limit)
    )
    return _load(connection, connection.execute(query).scalars().all())


def take_lease(connection: Connection, name: str, holder: str, now: int, length: int) -> bool:
    """Take or renew a named lease for ``length`` microseconds; False while another's lasts.

    One that ends later than any can, was written by a clock that was wrong, then or now: nobody waits for it.
    """
    connection.execute(delete(workers).where(workers.c.heartbeat_at < now - _A_DAY_US))
    free = (
        update(leases)
        .where(
            leases.c.name == name,
            or_(
                leases.c.holder == holder,
                leases.c.expires_at <= now,
                leases.c.expires_at > now + _LONGEST * length + FAR_US,
            ),
        )
        .values(holder=holder, expires_at=now + length)
    )
    if connection.execute(free).rowcount == 1:
        return True
    return dialect.insert_new(
        connection, leases, {"name": name, "holder": holder, "expires_at": now + length}
    )


# the broker's data, and the loss of them


def broker_epoch(connection: Connection) -> tuple[str, bool] | None:
    """Return the known epoch and whether its mark was declared."""
    row = connection.execute(select(broker_epochs.c.epoch, broker_epochs.c.declared)).first()
    return None if row is None else (row.epoch, bool(row.declared))


def new_epoch(connection: Connection, epoch: str, previous: str | None, now: int, journal: Journal) -> bool:
    """Replace the epoch if it is still ``previous``; what stood in the broker's queues is marked as lost."""
    if previous is None:
        return dialect.insert_new(connection, broker_epochs, {"one": 1, "epoch": epoch})
    replaced = (
        update(broker_epochs)
        .where(broker_epochs.c.one == 1, broker_epochs.c.epoch == previous)
        .values(epoch=epoch, declared=0)
    )
    if connection.execute(replaced).rowcount != 1:
        return False
    # Whoever holds one of these has published to the broker that is no more: its commit must not stand.
    connection.execute(update(documents).where(documents.c.lease_owner.is_not(None)).values(lease_owner=None))
    a_document = exists().where(documents.c.id == deliveries.c.document, documents.c.kind == "edoc")
    lost_now = or_(deliveries.c.state == "planned", and_(deliveries.c.state == "queued", a_document))
    note_lost(connection, lost_now, now, journal)
    connection.execute(
        update(deliveries)
        .where(lost_now)
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
    return True


def note_lost(connection: Connection, which: ColumnElement[bool], now: int, journal: Journal) -> None:
    """Put on record that these deliveries are planned again, their bodies lost; before they are."""
    named = documents.alias("named")  # another one than in ``which``
    query = (
        select(named.c.transport_id, deliveries.c.document, deliveries.c.delivery_id)
        .join(named, named.c.id == deliveries.c.document)
        .where(which)
        .order_by(deliveries.c.document, deliveries.c.place)
    )
    of: dict[int, tuple[str, list[Moved]]] = {}
    for row in connection.execute(query):
        moves = of.setdefault(row.document, (row.transport_id, []))[1]
        moves.append(Moved(row.delivery_id, State.PLANNED, Code.BODY_LOST.value))
    for transport_id, moves in of.values():
        journal.note(from_us(now), drafts.deliveries(transport_id, tuple(moves)))


def epoch_declared(connection: Connection, epoch: str) -> None:
    """Note that the mark of that epoch stands in the broker."""
    connection.execute(update(broker_epochs).where(broker_epochs.c.epoch == epoch).values(declared=1))


# quarantine


def hold(connection: Connection, entry: HeldEntry, receipts: Sequence[NewReceipt], journal: Journal) -> bool:
    """Note a quarantined message with its notices; what was released and is held again counts anew."""
    values: dict[str, object] = {
        "held_id": entry.held_id,
        "code": entry.code.value,
        "origin": entry.origin,
        "user_name": entry.user,
        "transport_id": entry.transport_id,
        "sender": entry.sender,
        "recipient": entry.recipient,
        "delivery_id": entry.delivery_id,
        "body_sha256": entry.body_sha256,
        "at": to_us(entry.at),
        "detail": entry.detail,
        "released_at": None,
    }
    if not dialect.insert_new(connection, held, values):
        again = (
            update(held)
            .where(held.c.held_id == entry.held_id, held.c.released_at < values["at"])
            .values({name: value for name, value in values.items() if name != "held_id"})
        )
        if connection.execute(again).rowcount != 1:
            return False
    journal.note(entry.at, drafts.held(entry, "held"))
    store_receipts(connection, [new for new in receipts if new.document is not None], journal)
    for new in receipts:
        if new.document is None:
            store_unproven(connection, new, journal)
    return True


def held_entries(connection: Connection) -> list[HeldEntry]:
    """Return what is held and not released, oldest first."""
    query = select(held).where(held.c.released_at.is_(None)).order_by(held.c.at, held.c.held_id)
    return [held_from(row) for row in connection.execute(query)]


def released(connection: Connection, held_id: str, now: int, journal: Journal) -> None:
    """Note a release or drop."""
    query = select(held).where(held.c.held_id == held_id, held.c.released_at.is_(None))
    found = connection.execute(query.with_for_update()).first()
    if found is None:
        return
    connection.execute(update(held).where(held.c.held_id == held_id).values(released_at=now))
    journal.note(from_us(now), drafts.held(held_from(found), "released"))
