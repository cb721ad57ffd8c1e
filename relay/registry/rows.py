"""Rows to values and back."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, select

from relay.errors import Code
from relay.model.delivery import Delivery, State
from relay.model.levels import Level
from relay.model.message import Kind
from relay.model.receipt import ReceiptKind, SignedReceipt
from relay.model.record import Claim, Document, HeldEntry
from relay.model.verdict import Revocation, RevocationSource, RevocationState, TimeSource, Verdict
from relay.registry.schema import deliveries, documents, receipt_bodies, receipts

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
IN_AT_ONCE: Final = 500  # values in one IN list, far below every driver's limit


def to_us(at: datetime) -> int:
    """Return microseconds since 1970 UTC of an aware time."""
    return (at - _EPOCH) // _MICROSECOND


def from_us(value: int) -> datetime:
    """Return the aware UTC time."""
    return _EPOCH + timedelta(microseconds=value)


def _maybe_us(at: datetime | None) -> int | None:
    return None if at is None else to_us(at)


def _maybe_time(value: int | None) -> datetime | None:
    return None if value is None else from_us(value)


def value_of(member: StrEnum | None) -> str | None:
    """Return a member's plain value: some drivers write an enum by its name."""
    return None if member is None else member.value


def _code(value: str | None) -> Code | None:
    return None if value is None else Code(value)


def in_slices(values: Iterable[Any]) -> Iterable[list[Any]]:
    """Yield the distinct values in sorted slices that fit into one IN list."""
    ordered = sorted(set(values))
    for start in range(0, len(ordered), IN_AT_ONCE):
        yield ordered[start : start + IN_AT_ONCE]


def split_number(number: str) -> tuple[str, int]:
    """Return series and serial of a receipt's number ``<series>-<serial>``; without a serial it counts as 0."""
    series, dash, serial = number.rpartition("-")
    if dash and serial.isascii() and serial.isdigit() and str(int(serial)) == serial and len(serial) < 19:
        return series, int(serial)
    return number + "-", 0  # no dash-and-digits: kept apart from `<number>-0`


def join_number(series: str, serial: int) -> str:
    """Return the number again."""
    return series[:-1] if series.endswith("-") and serial == 0 else f"{series}-{serial}"


def verdict_text(verdict: Verdict) -> str:
    """Return a verdict as JSON: a list, whose end is cut off where it says nothing beyond the default."""
    revocation = verdict.revocation
    more: list[object] = [
        # the leaf stands before
        list(verdict.chain[1:]),
        [
            revocation.state.value,
            revocation.source.value,
            None if revocation.made_at is None else to_us(revocation.made_at),
        ],
        verdict.on_behalf_of,
        None if verdict.vouched is TimeSource.CLOCK else verdict.vouched.value,
    ]
    while more and more[-1] == _SAYS_NOTHING[len(more) - 1]:
        more.pop()
    return json.dumps(
        [
            verdict.intact,
            verdict.trusted,
            verdict.reason.value,
            to_us(verdict.verified_at),
            verdict.signer,
            verdict.certificate_sha256,
            verdict.algorithm,
            verdict.profile,
            verdict.detail,
            *more,
        ],
        ensure_ascii=False,
        separators=(",", ":"),
    )


_SAYS_NOTHING: Final[tuple[Any, ...]] = ([], ["not-checked", "none", None], "", None)


def verdict_from(text: str) -> Verdict:
    """Return the verdict of its JSON, of any age."""
    values: list[Any] = json.loads(text)
    intact, trusted, reason, at, signer, leaf, algorithm, profile, detail = values[:9]
    more = values[9:]
    above, (state, source, made), behalf, vouched = (*more, *_SAYS_NOTHING[len(more) :])
    return Verdict(
        intact,
        trusted,
        Code(reason),
        from_us(at),
        signer,
        leaf,
        algorithm,
        profile,
        detail,
        chain=(leaf, *above) if above else (),
        revocation=Revocation(
            RevocationState(state), RevocationSource(source), None if made is None else from_us(made)
        ),
        on_behalf_of=behalf,
        vouched=TimeSource.CLOCK if vouched is None else TimeSource(vouched),
    )


def document_row(
    claim: Claim, row: int, owner: str, now: int, same_content_as: int | None
) -> dict[str, object]:
    """Return the insert of a claim's document, leased by ``owner``."""
    ends_at_once = not any(delivery.state is State.PLANNED for delivery in claim.deliveries)
    first = same_content_as is None and claim.refusal is None and claim.kind is Kind.EDOC
    return {
        "id": row,
        "sender": claim.sender,
        "transport_id": claim.transport_id,
        "kind": claim.kind.value,
        "user_name": claim.user,
        "lane": claim.lane,
        "body_sha256": claim.body_sha256,
        "body_bytes": claim.body_bytes,
        "accepted_at": to_us(claim.accepted_at),
        "deadline_at": _maybe_us(claim.deadline_at),
        "document_id": claim.document_id,
        "code": claim.code,
        "promulgation_date": claim.promulgation_date,
        "business_type": claim.business_type,
        "verdict": verdict_text(claim.verdict),
        "directory_version": claim.directory_version,
        "refusal": value_of(claim.refusal),
        "detail": claim.detail,
        "same_content_as": same_content_as,
        "refers_to": claim.effect.document if claim.effect and same_content_as is None else None,
        "status_code": claim.status_code,
        "lease_owner": owner,
        "claimed_at": now,
        "watch_at": _maybe_us(claim.deadline_at) if first and not ends_at_once else None,
        "outcome_due": int(first and ends_at_once)
        if same_content_as is None
        else int(claim.kind is Kind.EDOC),
    }


def delivery_rows(claim: Claim, row: int) -> list[dict[str, object]]:
    """Return the inserts of a claim's deliveries; of two with the same id the first stands."""
    once = {delivery.delivery_id: delivery for delivery in reversed(claim.deliveries)}
    return [
        {
            "document": row,
            "delivery_id": delivery.delivery_id,
            "place": place,
            "written": delivery.written,
            "recipient": delivery.recipient,
            "level": value_of(delivery.level),
            "state": delivery.state.value,
            "code": value_of(delivery.code),
            "at": _maybe_us(delivery.at),
            "due_at": _maybe_us(delivery.due_at),
            "attempt": delivery.attempt,
            "detail": delivery.detail,
            "version": 1,
        }
        for place, delivery in enumerate(claim.deliveries)
        if once[delivery.delivery_id] is delivery
    ]


def claimed_document(claim: Claim, row: int, same_content_as: int | None) -> Document:
    """Return the value of a row that was just made from a claim."""
    once = {delivery.delivery_id: delivery for delivery in reversed(claim.deliveries)}
    own = tuple(delivery for delivery in claim.deliveries if once[delivery.delivery_id] is delivery)
    return Document(
        row=row,
        sender=claim.sender,
        transport_id=claim.transport_id,
        kind=claim.kind,
        user=claim.user,
        lane=claim.lane,
        body_sha256=claim.body_sha256,
        body_bytes=claim.body_bytes,
        accepted_at=claim.accepted_at,
        deadline_at=claim.deadline_at,
        document_id=claim.document_id,
        code=claim.code,
        promulgation_date=claim.promulgation_date,
        business_type=claim.business_type,
        verdict=claim.verdict,
        directory_version=claim.directory_version,
        deliveries=own if same_content_as is None else (),
        refusal=claim.refusal,
        detail=claim.detail,
        same_content_as=same_content_as,
        refers_to=claim.effect.document if claim.effect and same_content_as is None else None,
        status_code=claim.status_code,
    )


def delivery_from(row: Row[Any]) -> Delivery:
    """Return the value of one row of deliveries."""
    return Delivery(
        delivery_id=row.delivery_id,
        written=row.written,
        recipient=row.recipient,
        level=None if row.level is None else Level(row.level),
        state=State(row.state),
        code=_code(row.code),
        at=_maybe_time(row.at),
        due_at=_maybe_time(row.due_at),
        attempt=row.attempt,
        detail=row.detail,
    )


def document_from(row: Row[Any], own: Sequence[Delivery]) -> Document:
    """Return the value of one row of documents."""
    return Document(
        row=row.id,
        sender=row.sender,
        transport_id=row.transport_id,
        kind=Kind(row.kind),
        user=row.user_name,
        lane=row.lane,
        body_sha256=row.body_sha256,
        body_bytes=row.body_bytes,
        accepted_at=from_us(row.accepted_at),
        deadline_at=_maybe_time(row.deadline_at),
        document_id=row.document_id,
        code=row.code,
        promulgation_date=row.promulgation_date,
        business_type=row.business_type,
        verdict=verdict_from(row.verdict),
        directory_version=row.directory_version,
        deliveries=tuple(own),
        refusal=_code(row.refusal),
        detail=row.detail,
        same_content_as=row.same_content_as,
        refers_to=row.refers_to,
        status_code=row.status_code,
        settled=bool(row.settled),
        finished=bool(row.finished),
    )


def receipt_from(row: Row[Any]) -> SignedReceipt:
    """Return the value of one row of receipts joined with its body."""
    return SignedReceipt(
        number=join_number(row.series, row.serial),
        kind=ReceiptKind(row.kind),
        accepted=bool(row.accepted),
        code=row.code,
        to=row.addressed_to,
        correlation_id=row.correlation_id,
        body=row.body,
        message_id=row.message_id,
        at=from_us(row.at),
    )


_DOCUMENTS = select(documents).where(documents.c.id.in_(bindparam("ids", expanding=True)))
_DELIVERIES = (
    select(deliveries)
    .where(deliveries.c.document.in_(bindparam("ids", expanding=True)))
    .order_by(deliveries.c.document, deliveries.c.place)
)
RECEIPTS = select(receipts, receipt_bodies.c.body).join(
    receipt_bodies, receipt_bodies.c.receipt == receipts.c.id
)
_RECEIPTS_OF = RECEIPTS.where(receipts.c.document.in_(bindparam("ids", expanding=True))).order_by(
    receipts.c.id
)


def load_delivery_rows(connection: Connection, rows: Iterable[int]) -> dict[int, list[Row[Any]]]:
    """Return the rows of deliveries by document, in the order of the package."""
    found: dict[int, list[Row[Any]]] = defaultdict(list)
    for ids in in_slices(rows):
        for row in connection.execute(_DELIVERIES, {"ids": ids}):
            found[row.document].append(row)
    return found


def load_documents(connection: Connection, rows: Iterable[int]) -> dict[int, Document]:
    """Return documents with their deliveries by row id."""
    wanted = list(rows)
    if not wanted:
        return {}
    owned = load_delivery_rows(connection, wanted)
    return {
        row.id: document_from(row, [delivery_from(item) for item in owned[row.id]])
        for ids in in_slices(wanted)
        for row in connection.execute(_DOCUMENTS, {"ids": ids})
    }


def load_receipts(connection: Connection, rows: Iterable[int]) -> dict[int, list[SignedReceipt]]:
    """Return the stored receipts by document, oldest first."""
    found: dict[int, list[SignedReceipt]] = defaultdict(list)
    for ids in in_slices(rows):
        for row in connection.execute(_RECEIPTS_OF, {"ids": ids}):
            found[row.document].append(receipt_from(row))
    return found


def held_from(row: Row[Any]) -> HeldEntry:
    """Return the value of one row."""
    return HeldEntry(
        held_id=row.held_id,
        code=Code(row.code),
        origin=row.origin,
        user=row.user_name,
        transport_id=row.transport_id,
        sender=row.sender,
        recipient=row.recipient,
        delivery_id=row.delivery_id,
        body_sha256=row.body_sha256,
        at=from_us(row.at),
        detail=row.detail,
        released_at=None if row.released_at is None else from_us(row.released_at),
    )
