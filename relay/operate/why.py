"""``truc why``: where a document is, what it waits for, since when, and what to do. One pure function over facts.

Takes what the registry holds and what a look at the broker's queues gave; gives one reason for each case, recipients
that stand alike together. The sentences are data: ``config/why.yaml``, both languages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Final

import yaml

from relay.broker import names
from relay.errors import Code
from relay.errors.catalogue import Language, entry
from relay.model.delivery import ENDED, State
from relay.model.message import Kind
from relay.model.standing import DeliveryStanding, HeldStanding, ReceiptStanding, Standing
from relay.resources import shipped

Seen = tuple[int, int] | None
"""Messages ready and consumers of a queue; None: there is no such queue."""

Value = str | int | datetime | Code

INGRESS: Final = tuple(names.lane_queue(lane) for lane in names.LANES)
LADDER: Final = tuple(names.retry_queue(rung) for rung in names.RUNGS)
_LISTED: Final = 10  # recipients that a sentence names


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known about a transport id."""

    transport_id: str
    now: datetime
    standings: tuple[Standing, ...] = ()  # of each sender that used the id
    loose: tuple[ReceiptStanding, ...] = ()  # receipts under the id that belong to no document
    held: tuple[HeldStanding, ...] = ()  # what was ever in quarantine under it
    queues: Mapping[str, Seen] | None = None  # None: the broker cannot be reached
    queue_of: Mapping[str, str] = field(default_factory=dict)  # by recipient: the queue that serves it


@dataclass(frozen=True, slots=True)
class Reason:
    """One sentence before it is said. ``key`` is one of ``config/why.yaml``."""

    key: str
    sender: str = ""
    recipients: tuple[str, ...] = ()
    since: datetime | None = None
    values: Mapping[str, Value] = field(default_factory=dict)
    also: tuple[str, ...] = ()  # keys of sentences that follow, without their "+"


def why(facts: Facts) -> tuple[Reason, ...]:
    """Say where everything under a transport id is. Never empty; ``unknown`` stands alone."""
    found: list[Reason] = []
    for standing in facts.standings:
        found += _document(facts, standing)
    for one in facts.held:
        if not one.entry.delivery_id:
            found += _submission(facts, one)
    if not facts.standings:
        found += [_refused_unproven(facts, one) for one in facts.loose if one.kind != "held"]
    found += [_receipt(one) for one in facts.loose if one.published_at is None]
    return tuple(found) or (_unknown(facts),)


def _unknown(facts: Facts) -> Reason:
    values: dict[str, Value] = {"id": facts.transport_id, "ingress": _ingress(facts)}
    waiting = sum(seen[0] for queue in LADDER if facts.queues and (seen := facts.queues.get(queue)))
    if not waiting:
        return Reason("unknown", values=values)
    return Reason("unknown", values={**values, "ladder": waiting}, also=("put-off",))


def _ingress(facts: Facts) -> str:
    if facts.queues is None:
        return "?"
    seen = ((queue, facts.queues.get(queue)) for queue in INGRESS)
    return ", ".join(f"{queue} {'–' if one is None else one[0]}" for queue, one in seen)


# --- what is no document


def _refused_unproven(facts: Facts, receipt: ReceiptStanding) -> Reason:
    values: dict[str, Value] = {"id": facts.transport_id, "told": receipt.to, "number": receipt.number}
    if receipt.code == Code.SUBMISSION_DROPPED:
        reason = next((one.drop.reason for one in reversed(facts.held) if one.drop), "")
        return Reason("dropped-submission", since=receipt.at, values={**values, "reason": reason})
    return Reason("refused-unproven", since=receipt.at, values={**values, **_meaning(receipt.code)})


def _submission(facts: Facts, one: HeldStanding) -> Iterator[Reason]:
    entry = one.entry
    values: dict[str, Value] = {"id": facts.transport_id, "held": entry.held_id, "told": entry.user}
    if one.drop is not None and one.drop.told_at is None:
        yield Reason("dropping", since=one.drop.at, values={**values, "reason": one.drop.reason})
    elif entry.released_at is None and one.drop is None:
        key = "held-submission" if entry.user else "held-nobody"
        yield Reason(key, since=entry.at, values={**values, **_meaning(entry.code)})


def _receipt(one: ReceiptStanding) -> Reason:
    return Reason(
        "receipt-waiting", since=one.at, values={"number": one.number, "kind": one.kind, "told": one.to}
    )


# --- a document


def _document(facts: Facts, standing: Standing) -> Iterator[Reason]:
    document = standing.document
    sender = document.sender
    if document.refusal is not None:
        values: dict[str, Value] = {"id": facts.transport_id, **_meaning(document.refusal)}
        yield _with_detail(Reason("refused", sender, (), document.accepted_at, values), document.detail)
    else:
        yield from _together(_delivery(facts, standing, one) for one in standing.deliveries)
        yield from _lease(facts, standing)
        yield from _outcome(standing)
    for one in standing.receipts:
        if one.published_at is None:
            yield replace(_receipt(one), sender=sender)


def _lease(facts: Facts, standing: Standing) -> Iterator[Reason]:
    """Who has it in hand: said where something is still to be published and no delivery says more."""
    document = standing.document
    waiting = [one for one in standing.deliveries if _plainly_planned(one)]
    if document.settled and not waiting:
        return
    values: dict[str, Value] = {"id": facts.transport_id, "holder": standing.holder}
    if not standing.holder:
        if not any(one.entry.released_at is None and not one.entry.delivery_id for one in facts.held):
            yield Reason("abandoned", document.sender, (), standing.claimed_at, values)
        return
    values["beat"] = standing.beat_at or "–"
    key = "in-hand" if standing.alive else "orphaned"
    yield Reason(key, document.sender, (), standing.claimed_at, values)


def _plainly_planned(one: DeliveryStanding) -> bool:
    return one.delivery.state is State.PLANNED and one.delivery.due_at is None and not one.lost


def _outcome(standing: Standing) -> Iterator[Reason]:
    document = standing.document
    ended = bool(standing.deliveries) and all(one.delivery.state in ENDED for one in standing.deliveries)
    if document.kind is Kind.EDOC and ended and not document.finished:
        yield Reason("outcome-waiting", document.sender, (), None, {})


def _delivery(facts: Facts, standing: Standing, one: DeliveryStanding) -> Reason | None:
    document, delivery = standing.document, one.delivery
    at = delivery.at or document.accepted_at
    base = Reason("planned", document.sender, (delivery.recipient,), at, {"id": facts.transport_id})
    if delivery.state is State.DELIVERED:
        reason = _but(base, "delivered", status=one.last_status or "01")
        return _changed(reason, one)
    if delivery.state is State.WITHDRAWN:
        return _but(base, "withdrawn")
    if delivery.state is State.REFUSED:
        return _with_detail(_but(base, "refused-delivery", **_meaning(delivery.code)), delivery.detail)
    held = _held(facts, delivery.delivery_id)
    if held is not None:
        reason = _held_delivery(base, held)
    elif delivery.state is State.QUEUED:
        reason = _queued(facts, standing, one, base)
    elif one.lost:
        reason = _but(base, "lost" if one.lost_told else "lost-untold")
    elif delivery.due_at is not None:
        reason = _deferred(facts, one, base)
    elif not document.settled or standing.holder:
        return None  # the lease says it
    else:
        reason = base
    return _late(facts, standing, _changed(reason, one))


def _held(facts: Facts, delivery_id: str) -> HeldStanding | None:
    there = [
        one
        for one in facts.held
        if one.entry.delivery_id == delivery_id
        and (one.entry.released_at is None or (one.drop is not None and one.drop.told_at is None))
    ]
    return there[-1] if there else None


def _held_delivery(base: Reason, one: HeldStanding) -> Reason:
    if one.drop is not None and one.drop.told_at is None:
        return replace(_but(base, "dropping", reason=one.drop.reason), since=one.drop.at)
    entry = one.entry
    return replace(_but(base, "held", held=entry.held_id, detail=entry.detail or "–"), since=entry.at)


def _deferred(facts: Facts, one: DeliveryStanding, base: Reason) -> Reason:
    delivery = one.delivery
    assert delivery.due_at is not None
    values: dict[str, Value] = {
        "due": delivery.due_at,
        "attempt": delivery.attempt,
        **_meaning(delivery.code),
    }
    if delivery.due_at > facts.now:
        return _but(base, "deferred", **values)
    seen = None if facts.queues is None else facts.queues.get(names.DUE)
    if seen is None:
        return _but(base, "due", ready="?", consumers="?", **values)
    key = "due" if seen[1] else "due-unread"
    return _but(base, key, ready=seen[0], consumers=seen[1], **values)


def _queued(facts: Facts, standing: Standing, one: DeliveryStanding, base: Reason) -> Reason:
    recipient = one.delivery.recipient
    queue = facts.queue_of.get(recipient, names.agency_queue(recipient))
    base = replace(base, since=one.queued_at or base.since)
    if standing.document.kind is Kind.STATUS:
        return _but(base, "status-queued", queue=queue)
    if facts.queues is None or queue not in facts.queues:
        return _but(base, "queued-unseen", queue=queue)
    seen = facts.queues[queue]
    if seen is None:
        return _but(base, "queued-missing", queue=queue)
    ready, consumers = seen
    if not ready:
        key = "queued-taken" if consumers else "queued-gone"
    else:
        key = "queued-behind" if consumers else "queued-unread"
    return _but(base, key, queue=queue, ready=ready, consumers=consumers)


def _changed(reason: Reason, one: DeliveryStanding) -> Reason:
    word = {"asked": "asked", "withdrawn": "given-back", "declined": "declined"}.get(one.change or "")
    return reason if word is None else replace(reason, also=(*reason.also, word))


def _late(facts: Facts, standing: Standing, reason: Reason) -> Reason:
    deadline = standing.document.deadline_at
    if deadline is None or deadline >= facts.now:
        return reason
    return replace(reason, also=(*reason.also, "overdue"), values={**reason.values, "deadline": deadline})


def _with_detail(reason: Reason, detail: str) -> Reason:
    if not detail:
        return reason
    return replace(reason, also=(*reason.also, "detail"), values={**reason.values, "detail": detail})


def _meaning(code: Code | str | None) -> dict[str, Value]:
    try:
        known = Code(code) if code else Code.OK
    except ValueError:  # written by a newer relay
        return {"code": str(code)}
    return {"code": known}


def _but(base: Reason, key: str, **values: Value) -> Reason:
    return replace(base, key=key, values={**base.values, **values})


def _together(reasons: Iterable[Reason | None]) -> list[Reason]:
    """Put recipients together that stand alike; of their times the earliest is told."""
    groups: dict[object, Reason] = {}
    for one in reasons:
        if one is None:
            continue
        alike = (one.key, one.also, tuple(sorted((name, str(value)) for name, value in one.values.items())))
        before = groups.get(alike)
        if before is None:
            groups[alike] = one
            continue
        since = min((at for at in (before.since, one.since) if at is not None), default=None)
        groups[alike] = replace(before, recipients=before.recipients + one.recipients, since=since)
    return list(groups.values())


# --- saying it


@cache
def texts() -> dict[str, dict[Language, str]]:
    """Return the sentences by key. Raises ``ValueError`` when the shipped file is damaged."""
    raw = yaml.safe_load(shipped("config/why.yaml").read_text(encoding="utf-8"))
    return {str(key): {"vi": both["vi"], "en": both["en"]} for key, both in raw.items()}


def sentence(reason: Reason, language: Language, when: Callable[[datetime], str]) -> str:
    """Return a reason in words; ``when`` writes times."""
    blanks = {"sender": reason.sender, "to": _recipients(reason.recipients)}
    for name, value in {**reason.values, "since": reason.since or "–"}.items():
        if isinstance(value, datetime):
            blanks[name] = when(value)
        elif isinstance(value, Code):
            meant = entry(value)
            blanks |= {
                name: value.value,
                "message": meant.message[language],
                "remedy": meant.remedy[language],
            }
        else:
            blanks[name] = str(value)
    blanks = {"message": "", "remedy": "", **blanks}
    parts = [texts()[key][language] for key in (reason.key, *(f"+{word}" for word in reason.also))]
    said = " ".join(part.format(**blanks) for part in parts)
    return " ".join(said.split())


def _recipients(codes: tuple[str, ...]) -> str:
    if not codes:
        return ""
    more = f" (+{len(codes) - _LISTED})" if len(codes) > _LISTED else ""
    return f"{', '.join(codes[:_LISTED])}{more}: "
