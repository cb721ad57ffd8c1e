"""Duty: what an operator dropped out of quarantine. The decision stands in the registry; here it takes effect and is told.

A delivery ends as refused, DELIVERY-DROPPED: the sender gets an outcome, the recipient a ``held`` notice with that code.
A submission that no document was made of is refused, SUBMISSION-DROPPED, to the gateway that published it. What has
ended otherwise meanwhile stays as it is: its sender knows.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial

from relay.broker import names
from relay.errors import Code
from relay.keeper.duty import Tools
from relay.model.delivery import BY_DROP, Delivery, State
from relay.model.receipt import LineState, RecipientLine, SignedReceipt
from relay.model.record import Document, HeldEntry, Move, NewReceipt, Settlement
from relay.model.standing import Drop
from relay.pipeline.report import Subject, ended


async def tell_dropped(tools: Tools) -> int:
    """Tell decisions that nobody was told of. Returns how many; what a live worker has in hand waits."""
    waiting = await tools.commits.run(lambda: tools.registry.untold_drops(tools.policy.batch))
    told = 0
    for entry, drop in waiting:
        now = tools.clock.now()
        if entry.delivery_id:
            settlement = await _of_delivery(tools, entry, drop, now)
        else:
            settlement = await _of_submission(tools, entry, drop, now)
        if not await tools.commits.run(partial(tools.registry.end_dropped, entry.held_id, settlement, now)):
            continue
        told += 1
        tools.metrics.notice("dropped")
        made = [new.receipt for new in settlement.receipts]
        # an answer of somebody else may have come first: what is not stored is not told
        stored = await tools.commits.run(tools.registry.stored, [one.number for one in made])
        await tools.settler.publish(one for one in made if one.number in stored)
    return told


async def _of_delivery(tools: Tools, entry: HeldEntry, drop: Drop, now: datetime) -> Settlement:
    found = await tools.commits.run(lambda: tools.registry.find(entry.transport_id, entry.sender))
    document = next((one for one in found if _delivery(one, entry.delivery_id) is not None), None)
    delivery = None if document is None else _delivery(document, entry.delivery_id)
    if document is None or delivery is None:
        # Not in this registry: who is named on the message is told what is known.
        to_both = dict.fromkeys(code for code in (entry.sender, entry.recipient) if code)
        return Settlement(None, (), tuple(_notice(tools, entry, drop, to, now) for to in to_both))
    if delivery.state not in BY_DROP:
        return Settlement(None)
    moves = (_move(delivery, drop, now),)
    receipts = await _outcomes(tools, document, moves, now)
    return Settlement(document.row, moves, (*receipts, _notice(tools, entry, drop, entry.recipient, now)))


async def _of_submission(tools: Tools, entry: HeldEntry, drop: Drop, now: datetime) -> Settlement:
    if not entry.user:
        return Settlement(None)
    gateway = tools.gateway_of(entry.user)
    found = await tools.commits.run(lambda: tools.registry.find(entry.transport_id))
    document = next(
        (one for one in found if one.user == gateway and one.body_sha256 == entry.body_sha256), None
    )
    if document is None:
        return await _unproven(tools, entry, drop, gateway, now)
    first = document
    if document.same_content_as is not None:
        original = await tools.commits.run(tools.registry.document, document.same_content_as)
        first = document if original is None else original
    if first is not document:
        # The deliveries are those of the first submission, which has a body of its own.
        if document.settled or document.refusal is not None:
            return Settlement(None)
        return Settlement(document.row, (), (tools.reporter.same_content(document, first, now),))
    moves = tuple(_move(one, drop, now) for one in document.deliveries if _bodiless(one, entry))
    receipts: tuple[NewReceipt, ...] = ()
    if not document.settled:
        receipts = (tools.reporter.acknowledgement(_after(document, moves), (), now),)
    if document.refusal is None:
        receipts += await _outcomes(tools, document, moves, now)
    return Settlement(document.row, moves, receipts)


def _bodiless(delivery: Delivery, entry: HeldEntry) -> bool:
    """Whether the body that is dropped was the one to be delivered; a deferred one has a body on the ladder."""
    return delivery.open and (delivery.due_at is None or entry.origin == names.DUE)


async def _unproven(tools: Tools, entry: HeldEntry, drop: Drop, gateway: str, now: datetime) -> Settlement:
    stored: list[SignedReceipt] = await tools.commits.run(
        partial(tools.registry.refusal_receipts, gateway, entry.transport_id, entry.body_sha256)
    )
    if stored:  # the same submission was refused before: the same bytes again
        await tools.settler.publish(stored, duplicate=True)
        return Settlement(None)
    subject = replace(_subject(entry, drop), user=gateway)
    return Settlement(
        None, (), (tools.reporter.refusal(subject, Code.SUBMISSION_DROPPED, drop.reason, None, now),)
    )


async def _outcomes(
    tools: Tools, document: Document, moves: tuple[Move, ...], now: datetime
) -> tuple[NewReceipt, ...]:
    """What the sender is told: the final outcome if nothing is left open, else of what was dropped."""
    after = _after(document, moves)
    final = ended(after)
    if not moves and not final:
        return ()
    only = None if final else frozenset(move.delivery_id for move in moves)
    aliases = await tools.aliases(document)
    code = Code.DELIVERY_DROPPED if moves else None
    return tuple(tools.reporter.outcome(after, aliases, now, code=code, only=only))


def _after(document: Document, moves: tuple[Move, ...]) -> Document:
    by_id = {move.delivery_id: move for move in moves}
    return replace(
        document,
        deliveries=tuple(
            replace(one, state=move.state, code=move.code, at=move.at, due_at=None, detail=move.detail)
            if (move := by_id.get(one.delivery_id))
            else one
            for one in document.deliveries
        ),
    )


def _delivery(document: Document, delivery_id: str) -> Delivery | None:
    return next((one for one in document.deliveries if one.delivery_id == delivery_id), None)


def _move(delivery: Delivery, drop: Drop, now: datetime) -> Move:
    return Move(
        delivery.delivery_id,
        State.REFUSED,
        now,
        Code.DELIVERY_DROPPED,
        attempt=delivery.attempt,
        detail=drop.reason,
    )


def _notice(tools: Tools, entry: HeldEntry, drop: Drop, to: str, now: datetime) -> NewReceipt:
    line = RecipientLine(
        entry.recipient,
        entry.recipient,
        LineState.REFUSED,
        Code.DELIVERY_DROPPED,
        entry.delivery_id,
        now,
        drop.reason,
    )
    return tools.reporter.held(_subject(entry, drop), to, Code.DELIVERY_DROPPED, drop.reason, now, line)


def _subject(entry: HeldEntry, drop: Drop) -> Subject:
    return Subject(
        user=entry.user,
        transport_id=entry.transport_id,
        correlation_id=entry.transport_id or None,
        kind=drop.kind,
        sha256=entry.body_sha256,
        size=drop.size,
    )
