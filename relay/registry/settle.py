"""T2: states, receipts and marks of documents whose publishing is over; and the same for the keeper's notices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, bindparam, exists, false, insert, or_, select, text, update

from relay.errors import Code
from relay.model.delivery import ENDED, MOVES, State
from relay.model.record import Move, NewReceipt, Settled, Settlement
from relay.registry import dialect, drafts
from relay.registry.journal import Journal
from relay.registry.many import Many
from relay.registry.rows import in_slices, split_number, to_us, value_of
from relay.registry.schema import deliveries, documents, receipt_bodies, receipts, unproven_key

SOURCES: Final[dict[State, tuple[str, ...]]] = {
    target: tuple(source.value for source in State if target in MOVES[source]) for target in State
}
# A move to planned is the deferral; back from queued goes only what the broker lost (keeper.new_epoch).
_DEFERRABLE: Final = (State.PLANNED.value,)

_LOCK: Final = (
    select(documents.c.id, documents.c.transport_id, documents.c.lease_owner, documents.c.finished)
    .where(documents.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(documents.c.id)
    .with_for_update()
)


def _move_to(target: State) -> Many:
    sources = _DEFERRABLE if target is State.PLANNED else SOURCES[target]
    statement = update(deliveries).where(
        deliveries.c.document == bindparam("row"),
        deliveries.c.delivery_id == bindparam("which"),
        or_(*(deliveries.c.state == source for source in sources)) if sources else false(),
    )
    values: dict[str, Any] = {
        "state": target.value,
        "at": bindparam("new_at"),
        "code": bindparam("new_code"),
        "due_at": bindparam("new_due_at"),
        "attempt": bindparam("new_attempt"),
        "detail": bindparam("new_detail"),
        "version": deliveries.c.version + 1,
    }
    if target in {State.QUEUED, State.PLANNED}:  # the body is in the broker again
        values |= {"lost": 0, "lost_told": 0}
    if target is State.QUEUED:
        values["queued_at"] = bindparam("new_at")
    return Many(statement.values(**values))


_MOVES: Final = {target: _move_to(target) for target in State}
_DONE: Final = Many(
    update(documents)
    .where(documents.c.id == bindparam("row"))
    .values(settled=1, lease_owner=None, lost_told=0)
)
_FINISH: Final = Many(
    update(documents)
    .where(documents.c.id == bindparam("row"))
    .values(finished=1, watch_at=None, outcome_due=0)
)
_INSERT_RECEIPTS: Final = Many(insert(receipts))
_INSERT_BODIES: Final = Many(insert(receipt_bodies))
_OPEN: Final = ("planned", "queued")


@dataclass(slots=True)
class _Writes:
    moves: dict[State, list[dict[str, object]]] = field(default_factory=dict)
    done: list[dict[str, object]] = field(default_factory=list)
    finish: list[dict[str, object]] = field(default_factory=list)
    receipts: list[NewReceipt] = field(default_factory=list)
    unproven: list[tuple[NewReceipt, int]] = field(default_factory=list)  # and the settlement's place
    told: list[tuple[NewReceipt, int | None]] = field(default_factory=list)
    ended: set[int] = field(default_factory=set)  # documents in which a delivery ended
    moved: list[tuple[int, tuple[Move, ...]]] = field(default_factory=list)  # by document
    names: dict[int, str] = field(default_factory=dict)  # transport ids


def _rows_of(settlements: Iterable[Settlement]) -> set[int]:
    rows: set[int] = set()
    for settlement in settlements:
        if settlement.document is not None:
            rows.add(settlement.document)
        rows.update(new.document for new in settlement.receipts if new.document is not None)
    return rows


def settle_batch(
    connection: Connection, settlements: Sequence[Settlement], worker: str, journal: Journal
) -> list[Settled]:
    """Store the settlements inside the caller's transaction. One answer for each, in order.

    Raises:
        sqlalchemy.exc.IntegrityError: one of them breaks a key; the caller rolls back and does them one by one.
    """
    if not settlements:
        return []
    owners: dict[int, str | None] = {}
    finished: dict[int, bool] = {}
    writes = _Writes()
    for ids in in_slices(_rows_of(settlements)):
        for row in connection.execute(_LOCK, {"ids": ids}):
            owners[row.id] = row.lease_owner
            finished[row.id] = bool(row.finished)
            writes.names[row.id] = row.transport_id
    results = []
    for settlement in settlements:
        if settlement.document is not None and owners.get(settlement.document) != worker:
            results.append(Settled.LOST)
            continue
        if settlement.document is not None:
            owners[settlement.document] = None
            writes.done.append({"row": settlement.document})
        whole = _collect(writes, settlement, finished, len(results))
        results.append(Settled.DONE if whole else Settled.PARTLY)
    for place in _write(connection, writes, journal):
        results[place] = Settled.PARTLY
    return results


def _collect(writes: _Writes, settlement: Settlement, finished: dict[int, bool], place: int) -> bool:
    """Add a settlement to the writes; return whether all of it: a document ends once, a second final is left out."""
    whole = True
    if settlement.document is not None and settlement.moves:
        writes.moved.append((settlement.document, settlement.moves))
        for move in settlement.moves:
            writes.moves.setdefault(move.state, []).append(_move_row(settlement.document, move))
            if move.state in ENDED:
                writes.ended.add(settlement.document)
    for new in settlement.receipts:
        if new.told:
            writes.told.append((new, settlement.document))
        if new.document is None:
            writes.unproven.append((new, place))
            continue
        if new.final:
            if finished.get(new.document, False):
                whole = False
                continue
            finished[new.document] = True
            writes.finish.append({"row": new.document})
        writes.receipts.append(new)
    return whole


def _move_row(document: int, move: Move) -> dict[str, object]:
    return {
        "row": document,
        "which": move.delivery_id,
        "new_at": to_us(move.at),
        "new_code": value_of(move.code),
        "new_due_at": None if move.due_at is None else to_us(move.due_at),
        "new_attempt": move.attempt,
        "new_detail": move.detail,
    }


def _write(connection: Connection, writes: _Writes, journal: Journal) -> list[int]:
    """Write; return the places of the settlements of which a receipt was there already."""
    whole = True
    for target, rows in writes.moves.items():
        whole &= _MOVES[target](connection, rows) == len(rows)
    _note_moves(connection, writes, journal, whole=whole)
    _DONE(connection, writes.done)
    store_receipts(connection, writes.receipts, journal)
    there = [place for new, place in writes.unproven if not store_unproven(connection, new, journal)]
    for new, document in writes.told:
        _mark_told(connection, new, document)
    mark_ended(connection, writes.ended)
    _FINISH(connection, writes.finish)
    return there


def _note_moves(connection: Connection, writes: _Writes, journal: Journal, *, whole: bool) -> None:
    """Put the moves on record that took place; not ``whole``: some did not, what went further stays."""
    stands: dict[tuple[int, str], tuple[str, int]] = {}
    if not whole:
        for ids in in_slices(row for row, _ in writes.moved):
            query = select(deliveries).where(deliveries.c.document.in_(ids))
            stands.update(
                ((one.document, one.delivery_id), (one.state, one.at)) for one in connection.execute(query)
            )
    for row, moves in writes.moved:
        made = [
            move
            for move in moves
            if whole or stands.get((row, move.delivery_id)) == (move.state.value, to_us(move.at))
        ]
        if made:
            facts = drafts.deliveries(writes.names[row], tuple([drafts.moved(move) for move in made]))
            journal.note(drafts.latest(made), facts)


def _receipt_row(new: NewReceipt, row: int) -> dict[str, object]:
    receipt = new.receipt
    series, serial = split_number(receipt.number)
    return {
        "id": row,
        "series": series,
        "serial": serial,
        "kind": receipt.kind.value,
        "accepted": int(receipt.accepted),
        "code": receipt.code,
        "addressed_to": receipt.to,
        "correlation_id": receipt.correlation_id,
        "message_id": receipt.message_id,
        "at": to_us(receipt.at),
        "document": new.document,
        "final": int(new.final),
        "user_name": new.user,
        "transport_id": new.transport_id,
        "body_sha256": new.body_sha256,
    }


def store_receipts(connection: Connection, new: Sequence[NewReceipt], journal: Journal) -> None:
    """Insert receipts of documents, metadata and bytes, and put them on record."""
    if not new:
        return
    ids = dialect.next_ids(connection, receipts, len(new))
    rows = [_receipt_row(item, row) for item, row in zip(new, ids, strict=True)]
    bodies = [{"receipt": row, "body": item.receipt.body} for item, row in zip(new, ids, strict=True)]
    _INSERT_RECEIPTS(connection, rows)
    _INSERT_BODIES(connection, bodies)
    for item in new:
        journal.note(item.receipt.at, drafts.receipt(item.receipt))


def store_unproven(connection: Connection, new: NewReceipt, journal: Journal) -> bool:
    """Insert the receipt of a submission whose sender is not proven; False: the first one of the submission stands."""
    (row,) = dialect.next_ids(connection, receipts, 1)
    if not dialect.insert_unless(connection, unproven_key, _receipt_row(new, row)):
        return False
    _INSERT_BODIES(connection, [{"receipt": row, "body": new.receipt.body}])
    if new.refused is not None:
        journal.note(new.receipt.at, new.refused)
    journal.note(new.receipt.at, drafts.receipt(new.receipt))
    return True


def _mark_told(connection: Connection, new: NewReceipt, document: int | None) -> None:
    rows = {row for row in (document, new.document) if row is not None}
    marks = {Code.OVERDUE.value: {"overdue_told": 1}, Code.BODY_LOST.value: {"lost_told": 1}}
    values = marks.get(new.receipt.code)
    if not rows or values is None:
        return
    connection.execute(
        update(deliveries)
        .where(deliveries.c.document.in_(rows), deliveries.c.delivery_id.in_(new.told))
        .values(**values)
    )
    if new.receipt.code == Code.OVERDUE.value:
        untold = exists().where(
            deliveries.c.document == documents.c.id,
            deliveries.c.state.in_(_OPEN),
            deliveries.c.overdue_told == 0,
        )
        connection.execute(update(documents).where(documents.c.id.in_(rows), ~untold).values(watch_at=None))


def mark_ended(connection: Connection, rows: Iterable[int]) -> None:
    """Note those documents whose last delivery has ended: their final outcome is due, no deadline can pass."""
    for ids in in_slices(rows):
        still_open = exists().where(deliveries.c.document == documents.c.id, deliveries.c.state.in_(_OPEN))
        connection.execute(
            update(documents)
            .where(documents.c.id.in_(ids), ~still_open)
            .where(text("kind = 'edoc' AND finished = 0 AND refusal IS NULL AND same_content_as IS NULL"))
            .values(outcome_due=1, watch_at=None)
        )


def notice(
    connection: Connection, settlement: Settlement, live: Callable[[str | None], bool], journal: Journal
) -> bool:
    """Store a keeper's settlement; nothing unless all of it still holds.

    ``live`` tells of a lease owner whether it is alive. False: a live worker holds the document, a move is not
    possible any more, something was told before, or the document has had its final outcome.
    """
    facts: dict[int, tuple[str | None, bool]] = {}
    writes = _Writes()
    for ids in in_slices(_rows_of([settlement])):
        for row in connection.execute(_LOCK, {"ids": ids}):
            facts[row.id] = (row.lease_owner, bool(row.finished))
            writes.names[row.id] = row.transport_id
    main = settlement.document
    if main is not None and (main not in facts or live(facts[main][0])):
        return False
    if any(new.final and new.document in facts and facts[new.document][1] for new in settlement.receipts):
        return False
    if not _still_holds(connection, settlement):
        return False
    _collect(writes, settlement, {row: finished for row, (_, finished) in facts.items()}, 0)
    _write(connection, writes, journal)
    if main is not None and settlement.moves:
        _settle_what_is_over(connection, main)
    told_lost = {new.document for new in settlement.receipts if new.receipt.code == Code.BODY_LOST.value}
    told_lost.discard(None)
    if told_lost:
        rows = told_lost | ({main} if main is not None else set())
        connection.execute(update(documents).where(documents.c.id.in_(rows)).values(lost_told=1))
    return True


def _settle_what_is_over(connection: Connection, row: int) -> None:
    """A document whose worker died and whose body is gone is settled by nobody else once its last delivery has ended."""
    left = exists().where(deliveries.c.document == row, deliveries.c.state == State.PLANNED.value)
    connection.execute(
        update(documents)
        .where(documents.c.id == row, documents.c.settled == 0, ~left)
        .values(settled=1, lease_owner=None)
    )


def _still_holds(connection: Connection, settlement: Settlement) -> bool:
    main = settlement.document
    if main is None:
        return True
    rows = {
        row.delivery_id: row
        for row in connection.execute(
            select(
                deliveries.c.delivery_id,
                deliveries.c.state,
                deliveries.c.overdue_told,
                deliveries.c.lost_told,
            ).where(deliveries.c.document == main)
        )
    }
    for move in settlement.moves:
        sources = _DEFERRABLE if move.state is State.PLANNED else SOURCES[move.state]
        if move.delivery_id not in rows or rows[move.delivery_id].state not in sources:
            return False
    for new in settlement.receipts:
        for row in (rows[told] for told in new.told if told in rows):
            if new.receipt.code == Code.OVERDUE.value and (row.overdue_told or row.state not in _OPEN):
                return False
            if new.receipt.code == Code.BODY_LOST.value and (
                row.lost_told or row.state != State.PLANNED.value
            ):
                return False
    return True
