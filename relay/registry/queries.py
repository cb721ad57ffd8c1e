"""Reading: documents, candidates of a status, stories, receipts. Nothing here takes a write lock."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select, text

from relay.errors import Code
from relay.model.delivery import State
from relay.model.receipt import SignedReceipt
from relay.model.record import Candidate, Document, Mention, StatusQuery, TrackEvent
from relay.registry.rows import (
    RECEIPTS,
    delivery_from,
    from_us,
    join_number,
    load_delivery_rows,
    load_documents,
    load_receipts,
    receipt_from,
    split_number,
    to_us,
)
from relay.registry.schema import deliveries, documents, mentions, receipts, restores, statuses, workers

_CHANGES: Final = frozenset(
    {1, 2}
)  # revocation, update: they may repeat the id of the document that they are about
_A_DOCUMENT: Final = text("documents.kind = 'edoc'")  # literally as in the partial index
_PLANNED: Final = text("deliveries.state = 'planned'")  # the same
_LOOKED_AT: Final = 20_000


def document(connection: Connection, row: int) -> Document | None:
    """Return one document."""
    return load_documents(connection, [row]).get(row)


def _in_order(connection: Connection, rows: Sequence[int]) -> list[Document]:
    found = load_documents(connection, rows)
    return [found[row] for row in rows if row in found]


def find(connection: Connection, transport_id: str, sender: str | None) -> list[Document]:
    """Return the documents of a transport id, of one sender or of all."""
    query = select(documents.c.id).where(documents.c.transport_id == transport_id).order_by(documents.c.id)
    if sender is not None:
        query = query.where(documents.c.sender == sender)
    return _in_order(connection, connection.execute(query).scalars().all())


def named(
    connection: Connection,
    codes: Sequence[str],
    document_ids: Sequence[str],
    sender: str | None,
    dates: Sequence[str],
    limit: int,
) -> list[Document]:
    """Return the documents of one of these numbers or document ids, newest first."""
    wanted: list[ColumnElement[bool]] = [
        column.in_(texts)
        for column, texts in (
            (documents.c.code, codes),
            (documents.c.document_id, document_ids),
            (documents.c.promulgation_date, dates),
        )
        if texts
    ]
    if sender is not None:
        wanted.append(documents.c.sender == sender)
    query = select(documents.c.id).where(_A_DOCUMENT, *wanted).order_by(documents.c.id.desc()).limit(limit)
    return _in_order(connection, connection.execute(query).scalars().all())


def aliases(connection: Connection, row: int) -> list[Document]:
    """Return the other submissions of the same bytes, oldest first; of one of those: the first and its siblings."""
    first = (
        connection.execute(select(documents.c.same_content_as).where(documents.c.id == row)).scalar() or row
    )
    query = (
        select(documents.c.id)
        .where(or_(documents.c.same_content_as == first, documents.c.id == first), documents.c.id != row)
        .order_by(documents.c.id)
    )
    return _in_order(connection, connection.execute(query).scalars().all())


def receipts_of(connection: Connection, row: int) -> list[SignedReceipt]:
    """Return every stored receipt of a document, oldest first."""
    return load_receipts(connection, [row]).get(row, [])


def refusal_receipts(
    connection: Connection, user: str, transport_id: str, body_sha256: str
) -> list[SignedReceipt]:
    """Return the stored answers to an unproven submission; ``held`` notices are none."""
    query = RECEIPTS.where(
        receipts.c.body_sha256 == body_sha256,
        receipts.c.transport_id == transport_id,
        receipts.c.user_name == user,
        text("receipts.document IS NULL AND receipts.kind <> 'held'"),
    ).order_by(receipts.c.id)
    return [receipt_from(row) for row in connection.execute(query)]


def refused(connection: Connection, transport_id: str) -> list[SignedReceipt]:
    """Return the refusals of unproven submissions under a transport id, whoever sent them, oldest first."""
    query = RECEIPTS.where(
        receipts.c.transport_id == transport_id,
        text("receipts.document IS NULL AND receipts.kind <> 'held'"),
    ).order_by(receipts.c.id)
    return [receipt_from(row) for row in connection.execute(query)]


def notices(connection: Connection, transport_id: str) -> list[SignedReceipt]:
    """Return the ``held`` notices about what came, or was delivered, under a transport id, oldest first."""
    query = RECEIPTS.where(
        receipts.c.transport_id == transport_id,
        text("receipts.document IS NULL AND receipts.kind = 'held'"),
    ).order_by(receipts.c.id)
    return [receipt_from(row) for row in connection.execute(query)]


def unpublished(
    connection: Connection, before: int, limit: int, without: Collection[str] = ()
) -> list[SignedReceipt]:
    """Return receipts stored before that time that no confirm is known for, oldest first, but those to ``without``."""
    query = RECEIPTS.where(text("receipts.published_at IS NULL"), receipts.c.at < before)
    if without:
        query = query.where(receipts.c.addressed_to.not_in(without))
    return [receipt_from(row) for row in connection.execute(query.order_by(receipts.c.at).limit(limit))]


def unpublished_count(connection: Connection, before: int) -> int:
    """Return how many receipts stored before that time no confirm is known for."""
    query = select(func.count()).where(text("receipts.published_at IS NULL"), receipts.c.at < before)
    return connection.execute(query).scalar_one()


def stored(connection: Connection, numbers: Iterable[str]) -> set[str]:
    """Return those of the receipts' numbers that are stored."""
    wanted = {split_number(number): number for number in numbers}
    series = sorted({which for which, _ in wanted})
    serials = sorted({serial for _, serial in wanted})
    query = select(receipts.c.series, receipts.c.serial).where(
        receipts.c.series.in_(series), receipts.c.serial.in_(serials)
    )
    there = {(row.series, row.serial) for row in connection.execute(query)}
    return {number for key, number in wanted.items() if key in there}


def last_receipt_number(connection: Connection, prefix: str) -> int:
    """Return the highest serial of a series, or the number that a restore set for all, if that is higher."""
    highest = select(func.max(receipts.c.serial)).where(receipts.c.series == prefix)
    floor = select(func.max(restores.c.floor))
    return max(connection.execute(highest).scalar() or 0, connection.execute(floor).scalar() or 0)


def oldest_unsettled(connection: Connection) -> int | None:
    """Return accepted-at of the oldest document that was claimed and never settled."""
    query = select(func.min(documents.c.accepted_at)).where(text("documents.settled = 0"))
    return connection.execute(query).scalar()


def oldest_unfinished(connection: Connection) -> dict[str, int]:
    """Return, by lane, accepted-at of the oldest document that is not settled or has a delivery that is planned.

    Two partial indices hold exactly those. However many are deferred, no more than a bounded number is looked at.
    """
    found: dict[str, int] = {}
    unsettled = (
        select(documents.c.lane, func.min(documents.c.accepted_at))
        .where(text("documents.settled = 0"))
        .group_by(documents.c.lane)
    )
    first = (
        select(deliveries.c.document)
        .where(_PLANNED)
        .distinct()
        .order_by(deliveries.c.document)
        .limit(_LOOKED_AT)
        .subquery()
    )
    planned = (
        select(documents.c.lane, func.min(documents.c.accepted_at))
        .join(first, first.c.document == documents.c.id)
        .group_by(documents.c.lane)
    )
    for query in (unsettled, planned):
        for lane, at in connection.execute(query):
            found[lane] = min(at, found.get(lane, at))
    return found


# candidates of a status


def candidates(connection: Connection, query: StatusQuery, lease: int) -> list[Candidate]:
    """Return the documents that a status may mean: the hint if it agrees, else by the business identity."""
    found = _by_hint(connection, query) or _narrow(_by_identity(connection, query), query)
    if not found:
        return []
    owned = load_delivery_rows(connection, [row.id for row, _ in found])
    values = load_documents(connection, [row.id for row, _ in found])
    stored = _stored_statuses(connection, [row.id for row, _ in found])
    living = _living(connection, {row.lease_owner for row, _ in found}, lease)
    result = []
    for row, delivery_id in found:
        item = next(one for one in owned[row.id] if one.delivery_id == delivery_id)
        result.append(
            Candidate(
                document=values[row.id],
                delivery=delivery_from(item),
                version=item.version,
                change=item.change,
                statuses=tuple(stored.get((row.id, delivery_id), ())),
                leased=row.lease_owner in living,
            )
        )
    return result


def _parties(query: StatusQuery) -> ColumnElement[bool]:
    """By a recipient about a document of the addressee, or by the sender about its own to the addressee."""
    reporters, addressees = _codes(query)
    return or_(
        and_(documents.c.sender.in_(addressees), deliveries.c.recipient.in_(reporters)),
        and_(documents.c.sender.in_(reporters), deliveries.c.recipient.in_(addressees)),
    )


def _codes(query: StatusQuery) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Reporter and addressee, each with the codes that it has succeeded."""
    return (query.reporter, *query.reporters), (query.addressee, *query.addressees)


def _named(query: StatusQuery) -> ColumnElement[bool]:
    """By document id; where the status gives none, by number and notation, and by the date as far as it is given."""
    reference = query.reference
    if reference.document_id:
        return documents.c.document_id == reference.document_id
    # a document without a notation is stored with the stroke behind its number
    numbered = documents.c.code.in_((reference.code, f"{reference.code}/"))
    if not reference.promulgation_date:
        return numbered
    return and_(numbered, documents.c.promulgation_date == reference.promulgation_date)


def knows(connection: Connection, query: StatusQuery) -> bool:
    """Whether a document of that id (or number) exists that the addressee sent or got, whoever reports."""
    _, addressees = _codes(query)
    sent = select(documents.c.id).where(
        _A_DOCUMENT,
        _named(query),
        documents.c.sender.in_(addressees),
    )
    got = (
        select(documents.c.id)
        .join(deliveries, deliveries.c.document == documents.c.id)
        .where(
            _A_DOCUMENT,
            _named(query),
            deliveries.c.recipient.in_(addressees),
        )
    )
    return any(connection.execute(one.limit(1)).first() is not None for one in (sent, got))


def _matches(
    connection: Connection, query: StatusQuery, wanted: ColumnElement[bool]
) -> list[tuple[Row[Any], str]]:
    statement = (
        select(
            documents.c.id,
            documents.c.lease_owner,
            documents.c.code,
            documents.c.promulgation_date,
            deliveries.c.delivery_id,
        )
        .join(deliveries, deliveries.c.document == documents.c.id)
        .where(
            _A_DOCUMENT,
            _named(query),
            text("documents.same_content_as IS NULL AND documents.refusal IS NULL"),
            _parties(query),
            wanted,
        )
        .order_by(documents.c.id, deliveries.c.place)
    )
    if query.reference.sender:
        statement = statement.where(documents.c.sender == query.reference.sender)
    found: list[Row[Any]] = list(connection.execute(statement))
    return [(row, row.delivery_id) for row in found]


def _by_hint(connection: Connection, query: StatusQuery) -> list[tuple[Row[Any], str]]:
    if not query.hint:
        return []
    named = select(func.coalesce(documents.c.same_content_as, documents.c.id)).where(
        documents.c.transport_id == query.hint
    )
    rows = list(connection.execute(named).scalars())
    return _matches(connection, query, documents.c.id.in_(rows)) if rows else []


def _by_identity(connection: Connection, query: StatusQuery) -> list[tuple[Row[Any], str]]:
    reporters, addressees = _codes(query)
    return _matches(connection, query, documents.c.sender.in_({*reporters, *addressees}))


def _narrow(found: list[tuple[Row[Any], str]], query: StatusQuery) -> list[tuple[Row[Any], str]]:
    """Where the document id is not unique, number/notation and date decide as far as they are given."""
    for name in ("code", "promulgation_date"):
        wanted = getattr(query.reference, name)
        if len({row.id for row, _ in found}) > 1 and wanted:
            found = [(row, which) for row, which in found if getattr(row, name) == wanted]
    return found


def meant(connection: Connection, row: int) -> list[Mention]:
    """Return what a document names and what of its sender's that can mean: by the id; of a revocation or update else by its own."""
    own = connection.execute(
        select(
            documents.c.sender,
            documents.c.document_id,
            documents.c.business_type,
            documents.c.same_content_as,
        ).where(documents.c.id == row)
    ).first()
    if own is None:
        return []
    first = own.same_content_as or row
    named = select(mentions.c.document_id).where(mentions.c.document == first).order_by(mentions.c.place)

    def known(document_id: str) -> tuple[str, ...]:
        found = (
            select(documents.c.transport_id)
            .where(
                _A_DOCUMENT,
                documents.c.document_id == document_id,
                documents.c.sender == own.sender,
                documents.c.id != first,
                text("documents.same_content_as IS NULL AND documents.refusal IS NULL"),
            )
            .order_by(documents.c.id)
        )
        return tuple(connection.execute(found).scalars())

    return [
        Mention(one, known(one) or (known(own.document_id) if own.business_type in _CHANGES else ()))
        for one in connection.execute(named).scalars()
    ]


def _stored_statuses(connection: Connection, rows: Sequence[int]) -> dict[tuple[int, str], list[str]]:
    found: dict[tuple[int, str], list[str]] = {}
    query = (
        select(statuses.c.document, statuses.c.delivery_id, statuses.c.status)
        .where(statuses.c.document.in_(rows), statuses.c.refusal.is_(None))
        .order_by(statuses.c.id)
    )
    for row in connection.execute(query):
        found.setdefault((row.document, row.delivery_id), []).append(row.status)
    return found


def _living(connection: Connection, owners: Iterable[str | None], lease: int) -> set[str | None]:
    """Return those who beat within one lease of the latest beat of all: a read needs no clock of its own."""
    names = [owner for owner in owners if owner is not None]
    if not names:
        return set()
    latest = select(func.max(workers.c.heartbeat_at)).scalar_subquery()
    query = select(workers.c.worker).where(
        workers.c.worker.in_(names), workers.c.heartbeat_at > latest - lease
    )
    return set(connection.execute(query).scalars())


# the story


def story(connection: Connection, row: int) -> list[TrackEvent]:
    """Return the timeline of a document, derived from what is stored about it, oldest first."""
    told = document(connection, row)
    if told is None:
        return []
    first = told.same_content_as or told.row
    events = [
        TrackEvent(
            told.accepted_at,
            "refused" if told.refusal else "accepted",
            "",
            (told.refusal or Code.OK).value,
            told.detail or told.verdict.signer,
        )
    ]
    events += [
        TrackEvent(other.accepted_at, "same-content", "", Code.SAME_CONTENT.value, other.transport_id)
        for other in aliases(connection, row)
    ]
    for item in load_delivery_rows(connection, [first]).get(first, []):
        events += _delivery_events(item, to_us(told.accepted_at))
    # Of a take-back the reporter is the sender: only its delivery says which recipient is asked.
    spoken = (
        select(statuses, deliveries.c.recipient)
        .join(
            deliveries,
            and_(
                deliveries.c.document == statuses.c.document,
                deliveries.c.delivery_id == statuses.c.delivery_id,
            ),
            isouter=True,
        )
        .where(or_(statuses.c.document == first, statuses.c.submission == row))
    )
    events += [
        TrackEvent(
            from_us(item.at),
            "status",
            item.reporter,
            item.status,
            item.refusal or item.timestamp,
            "" if item.recipient in {None, item.reporter} else item.recipient,
        )
        for item in connection.execute(spoken)
    ]
    for item in connection.execute(select(receipts).where(receipts.c.document == row)):
        number = join_number(item.series, item.serial)
        events.append(
            TrackEvent(from_us(item.at), "receipt", item.addressed_to, item.code, f"{item.kind} {number}")
        )
        if item.published_at is not None:
            events.append(
                TrackEvent(
                    from_us(item.published_at), "receipt-published", item.addressed_to, item.code, number
                )
            )
    return sorted(events, key=lambda event: event.at)


def _delivery_events(item: Row[Any], accepted_at: int) -> list[TrackEvent]:
    events = []
    if item.queued_at is not None:
        events.append(TrackEvent(from_us(item.queued_at), "queued", item.recipient, "", item.delivery_id))
    at = from_us(item.at if item.at is not None else accepted_at)
    code = item.code or ""
    if item.lost:
        events.append(TrackEvent(at, "lost", item.recipient, Code.BODY_LOST.value, item.detail))
    elif item.state == State.PLANNED.value:
        name = "planned" if item.due_at is None else "deferred"
        due = "" if item.due_at is None else f"due {from_us(item.due_at).isoformat()}"
        events.append(TrackEvent(at, name, item.recipient, code, due or item.detail))
    elif item.state != State.QUEUED.value:
        events.append(TrackEvent(at, item.state, item.recipient, code, item.detail))
    return events


def numbers_of(numbers: Iterable[str]) -> list[tuple[str, int]]:
    """Return series and serial of each number, each once."""
    return sorted({split_number(number) for number in numbers})
