"""T1: what each claim is, judged over a whole batch with a handful of statements.

Every claim is judged as if the ones before it in the batch had been committed: what they change is kept in memory
beside the rows that were read, and written at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, insert, select, text, update

from relay.errors import Code
from relay.model.delivery import MOVES, Delivery, State
from relay.model.record import Claim, Claimed, ClaimResult, Document, StatusEffect
from relay.registry import dialect, drafts
from relay.registry.journal import Journal
from relay.registry.many import Many
from relay.registry.rows import (
    claimed_document,
    delivery_from,
    delivery_rows,
    document_from,
    document_row,
    in_slices,
    load_delivery_rows,
    load_receipts,
    to_us,
    value_of,
)
from relay.registry.schema import deliveries, documents, mentions, statuses, workers
from relay.registry.settle import mark_ended

FAR_US: Final = 60_000_000
"""Microseconds; what was written for a time further ahead was written by a clock that was wrong."""
_AHEAD_US: Final = 3 * FAR_US  # the clocks of two workers at work are both within a minute of the broker's
_BY_KEY: Final = (
    select(documents).where(documents.c.transport_id.in_(bindparam("ids", expanding=True))).with_for_update()
)
_FIRSTS: Final = (
    select(documents)
    .where(documents.c.body_sha256.in_(bindparam("digests", expanding=True)))
    .where(text("same_content_as IS NULL AND refusal IS NULL"))  # literally as in the partial index
)
_BY_ROW: Final = (
    select(documents).where(documents.c.id.in_(bindparam("ids", expanding=True))).with_for_update()
)
_HEARTBEATS: Final = select(workers.c.worker, workers.c.heartbeat_at).where(
    workers.c.worker.in_(bindparam("names", expanding=True))
)
_INSERT_DOCUMENTS: Final = Many(insert(documents))
_INSERT_DELIVERIES: Final = Many(insert(deliveries))
_INSERT_STATUSES: Final = Many(insert(statuses))
_INSERT_MENTIONS: Final = Many(insert(mentions))
_LEASE: Final = Many(
    update(documents)
    .where(documents.c.id == bindparam("row"))
    .values(lease_owner=bindparam("owner"), claimed_at=bindparam("now"), lost_told=0)
)
_EFFECT: Final = Many(
    update(deliveries)
    .where(deliveries.c.document == bindparam("row"), deliveries.c.delivery_id == bindparam("which"))
    .values(
        state=bindparam("new_state"),
        code=bindparam("new_code"),
        at=bindparam("new_at"),
        due_at=bindparam("new_due_at"),
        change=bindparam("new_change"),
        version=bindparam("new_version"),
    )
)


@dataclass(slots=True)
class _Entry:
    """A document as the batch sees it: its row read or made, and who holds it."""

    document: Document
    lease_owner: str | None
    versions: dict[str, int]
    changes: dict[str, str | None]


@dataclass(slots=True)
class _Batch:
    """What was read for the claims, kept true while they are judged, and what is to be written."""

    worker: str
    now: int
    lease: int  # microseconds
    entries: dict[int, _Entry] = field(default_factory=dict)
    keys: dict[tuple[str, str], int] = field(default_factory=dict)
    firsts: dict[tuple[str, str], int] = field(default_factory=dict)
    heartbeats: dict[str, int] = field(default_factory=dict)
    ids: list[int] = field(default_factory=list)  # unused, the next one last
    new_documents: list[dict[str, object]] = field(default_factory=list)
    new_deliveries: list[dict[str, object]] = field(default_factory=list)
    new_statuses: list[dict[str, object]] = field(default_factory=list)
    new_mentions: list[dict[str, object]] = field(default_factory=list)
    taken: list[dict[str, object]] = field(default_factory=list)
    effects: list[dict[str, object]] = field(default_factory=list)
    moved: set[int] = field(default_factory=set)  # documents whose deliveries an effect ended
    journal: Journal = field(default_factory=Journal)

    def live(self, owner: str | None) -> bool:
        """Whether a lease of ``owner`` holds; one of our own does: this worker has the document in flight."""
        if owner is None:
            return False
        return owner == self.worker or (
            owner in self.heartbeats and _fresh(self.heartbeats[owner], self.now, self.lease)
        )

    def busy(self, row: int) -> bool:
        return self.live(self.entries[row].lease_owner)

    def document(self, row: int | None) -> Document | None:
        return None if row is None or row not in self.entries else self.entries[row].document


def claim_batch(
    connection: Connection,
    claims: Sequence[Claim],
    worker: str,
    now: datetime,
    lease_seconds: float,
    journal: Journal,
) -> list[ClaimResult]:
    """Judge and store the claims inside the caller's transaction. One answer per claim, in order."""
    if not claims:
        return []
    batch = _Batch(worker, to_us(now), int(lease_seconds * 1_000_000), journal=journal)
    _read(connection, batch, claims)
    results = [_judge(batch, claim) for claim in claims]
    _write(connection, batch)
    again = [
        result.document.row
        for result in results
        if result.document and result.outcome in {Claimed.RESUMED, Claimed.REPEATED}
    ]
    if not again:
        return results
    stored = load_receipts(connection, again)
    return [
        replace(result, receipts=tuple(stored.get(result.document.row, ())))
        if result.document and result.outcome in {Claimed.RESUMED, Claimed.REPEATED}
        else result
        for result in results
    ]


def live_owners(connection: Connection, owners: Iterable[str | None], now: int, lease: int) -> set[str]:
    """Return those of the workers whose heartbeat is fresher than ``lease`` microseconds."""
    names = sorted({owner for owner in owners if owner is not None})
    if not names:
        return set()
    return {
        row.worker
        for row in connection.execute(_HEARTBEATS, {"names": names})
        if _fresh(row.heartbeat_at, now, lease)
    }


def _fresh(heartbeat: int, now: int, lease: int) -> bool:
    """Whether a worker with that heartbeat is alive. None is that far ahead: one whose clock is, takes nothing."""
    return -_AHEAD_US < now - heartbeat < lease


def _read(connection: Connection, batch: _Batch, claims: Sequence[Claim]) -> None:
    keys = {(claim.sender, claim.transport_id) for claim in claims}
    contents = {(claim.sender, claim.body_sha256) for claim in claims}
    found: dict[int, Row[Any]] = {}
    for ids in in_slices(claim.transport_id for claim in claims):
        for row in connection.execute(_BY_KEY, {"ids": ids}):
            if (row.sender, row.transport_id) in keys:
                found[row.id] = row
                batch.keys[row.sender, row.transport_id] = row.id
    for digests in in_slices(claim.body_sha256 for claim in claims):
        for row in connection.execute(_FIRSTS, {"digests": digests}):
            if (row.sender, row.body_sha256) in contents:
                found[row.id] = row
                batch.firsts[row.sender, row.body_sha256] = row.id
    wanted = {claim.effect.document for claim in claims if claim.effect}
    wanted |= {row.refers_to for row in found.values() if row.refers_to is not None}
    wanted |= {row.same_content_as for row in found.values() if row.same_content_as is not None}
    for ids in in_slices(wanted - set(found)):
        found.update((row.id, row) for row in connection.execute(_BY_ROW, {"ids": ids}))
    owned = load_delivery_rows(connection, found)
    for key, row in found.items():
        own = owned.get(key, [])
        batch.entries[key] = _Entry(
            document_from(row, [delivery_from(item) for item in own]),
            row.lease_owner,
            {item.delivery_id: item.version for item in own},
            {item.delivery_id: item.change for item in own},
        )
    owners = sorted({row.lease_owner for row in found.values() if row.lease_owner is not None})
    if owners:
        batch.heartbeats = {
            row.worker: row.heartbeat_at for row in connection.execute(_HEARTBEATS, {"names": owners})
        }
    fresh = len(keys - set(batch.keys))
    batch.ids = list(reversed(dialect.next_ids(connection, documents, fresh))) if fresh else []


def _judge(batch: _Batch, claim: Claim) -> ClaimResult:
    row = batch.keys.get((claim.sender, claim.transport_id))
    if row is not None:
        return _judge_known(batch, claim, row)
    first = batch.firsts.get((claim.sender, claim.body_sha256)) if claim.refusal is None else None
    if first is not None:
        original = batch.entries[first].document
        document = _insert(batch, claim, first)
        batch.journal.note(claim.accepted_at, drafts.submission(claim, document, original))
        return ClaimResult(
            Claimed.SAME_CONTENT,
            document,
            original=original,
            completes=_take_open(batch, first),
            referred=batch.document(original.refers_to),
        )
    if claim.effect is None:
        document = _insert(batch, claim, None)
        batch.journal.note(claim.accepted_at, drafts.submission(claim, document))
        return ClaimResult(Claimed.NEW, document)
    objection = _objection(batch, claim.effect)
    if objection is not None:
        return ClaimResult(objection)
    document = _insert(batch, claim, None)
    referred, moved = _apply(batch, claim, claim.effect, document.row)
    batch.journal.note(claim.accepted_at, drafts.submission(claim, document, referred=referred, moved=moved))
    return ClaimResult(Claimed.NEW, document, referred=referred)


def _judge_known(batch: _Batch, claim: Claim, row: int) -> ClaimResult:
    entry = batch.entries[row]
    document = entry.document
    if document.body_sha256 != claim.body_sha256:
        return ClaimResult(Claimed.ID_REUSED)
    if batch.live(entry.lease_owner):
        return ClaimResult(Claimed.BUSY)
    original = batch.document(document.same_content_as)
    referred = batch.document(original.refers_to if original else document.refers_to)
    if document.settled and not any(delivery.open for delivery in document.deliveries):
        return ClaimResult(Claimed.REPEATED, document, original=original, referred=referred)
    _take(batch, row)
    completes = document.same_content_as is not None and _take_open(batch, document.same_content_as)
    return ClaimResult(Claimed.RESUMED, document, original=original, completes=completes, referred=referred)


def _take(batch: _Batch, row: int) -> None:
    batch.entries[row].lease_owner = batch.worker
    batch.taken.append({"row": row, "owner": batch.worker, "now": batch.now})


def _take_open(batch: _Batch, row: int) -> bool:
    """Take the first submission of the same bytes along if something of it is open and nobody is at it."""
    entry = batch.entries.get(row)
    if entry is None or batch.live(entry.lease_owner):
        return False
    if entry.document.settled and not any(delivery.open for delivery in entry.document.deliveries):
        return False
    _take(batch, row)
    return True


def _insert(batch: _Batch, claim: Claim, same_content_as: int | None) -> Document:
    row = batch.ids.pop()
    document = claimed_document(claim, row, same_content_as)
    batch.new_documents.append(document_row(claim, row, batch.worker, batch.now, same_content_as))
    if same_content_as is None:
        batch.new_deliveries += delivery_rows(claim, row)
        batch.new_mentions += [
            {"document": row, "place": place, "document_id": named}
            for place, named in enumerate(claim.speaks_of)
        ]
        if claim.refusal is None:
            batch.firsts[claim.sender, claim.body_sha256] = row
    batch.keys[claim.sender, claim.transport_id] = row
    batch.entries[row] = _Entry(document, batch.worker, {}, {})
    return document


def _find(document: Document, delivery_id: str) -> Delivery | None:
    return next((delivery for delivery in document.deliveries if delivery.delivery_id == delivery_id), None)


def _objection(batch: _Batch, effect: StatusEffect) -> Claimed | None:
    entry = batch.entries.get(effect.document)
    if entry is None or entry.versions.get(effect.delivery_id) != effect.version:
        return Claimed.CONFLICT
    delivery = _find(entry.document, effect.delivery_id)
    withdraws = effect.move_to is State.WITHDRAWN and delivery is not None and delivery.state is State.PLANNED
    if withdraws and effect.refusal is None and batch.busy(effect.document):
        return Claimed.BUSY  # it may be publishing this very delivery
    return None


def _apply(
    batch: _Batch, claim: Claim, effect: StatusEffect, submission: int
) -> tuple[Document, State | None]:
    """Return the document meant, as it is then, and the state that its delivery was moved to."""
    entry = batch.entries[effect.document]
    batch.new_statuses.append(
        {
            "document": effect.document,
            "delivery_id": effect.delivery_id,
            "submission": submission,
            "status": effect.status.value,
            "timestamp": effect.timestamp,
            "reporter": claim.sender,
            "refusal": value_of(effect.refusal),
            "at": to_us(claim.accepted_at),
        }
    )
    before = _find(entry.document, effect.delivery_id)
    if effect.refusal is not None or before is None:
        return entry.document, None
    after, moved = before, None
    if effect.move_to is not None and effect.move_to in MOVES[before.state]:
        reason = Code.WITHDRAWN if effect.move_to is State.WITHDRAWN else None
        after = replace(before, state=effect.move_to, code=reason, at=claim.accepted_at, due_at=None)
        batch.moved.add(effect.document)
        moved = effect.move_to
    change = effect.change if effect.change is not None else entry.changes[effect.delivery_id]
    entry.versions[effect.delivery_id] += 1
    entry.changes[effect.delivery_id] = change
    entry.document = replace(
        entry.document,
        deliveries=tuple(
            after if delivery.delivery_id == effect.delivery_id else delivery
            for delivery in entry.document.deliveries
        ),
    )
    batch.effects.append(
        {
            "row": effect.document,
            "which": effect.delivery_id,
            "new_state": after.state.value,
            "new_code": value_of(after.code),
            "new_at": None if after.at is None else to_us(after.at),
            "new_due_at": None if after.due_at is None else to_us(after.due_at),
            "new_change": change,
            "new_version": entry.versions[effect.delivery_id],
        }
    )
    return entry.document, moved


def _write(connection: Connection, batch: _Batch) -> None:
    _INSERT_DOCUMENTS(connection, batch.new_documents)
    _INSERT_DELIVERIES(connection, batch.new_deliveries)
    _LEASE(connection, batch.taken)
    _EFFECT(connection, batch.effects)
    _INSERT_STATUSES(connection, batch.new_statuses)
    _INSERT_MENTIONS(connection, batch.new_mentions)
    mark_ended(connection, batch.moved)


def beat(connection: Connection, worker: str, now: int) -> None:
    """Write a worker's heartbeat; one older than what stands changes nothing, unless a clock that was wrong wrote it:
    that would make its leases last, after its death, until that time has come."""
    known = connection.execute(select(workers.c.heartbeat_at).where(workers.c.worker == worker)).scalar()
    if known is None or known < now or known > now + FAR_US:
        dialect.upsert(connection, workers, {"worker": worker, "heartbeat_at": now})
