"""Duty: deadlines. *Overdue* is a notice, sent once for each delivery; a later delivery supersedes it."""

from __future__ import annotations

from relay.errors import Code
from relay.keeper.duty import Tools
from relay.model.delivery import State
from relay.model.receipt import LineState
from relay.model.record import Move, Settlement


async def tell_overdue(tools: Tools) -> int:
    """Tell senders of deliveries that are neither delivered nor refused at their deadline. Returns how many documents."""
    now = tools.clock.now()
    documents = await tools.commits.run(lambda: tools.registry.overdue(now, tools.policy.batch))
    told = 0
    for document in documents:
        late = frozenset(
            one.delivery_id for one in document.deliveries if one.state in {State.PLANNED, State.QUEUED}
        )
        receipts = tools.reporter.outcome(
            document,
            await tools.aliases(document),
            now,
            code=Code.OVERDUE,
            only=late,
            states=dict.fromkeys(late, LineState.OVERDUE),
        )
        if await tools.tell(document, Settlement(document.row, (), tuple(receipts))):
            told += 1
            tools.metrics.notice("overdue")
    return told


async def give_up(tools: Tools) -> int:
    """End deliveries that are still planned long after acceptance: refused, retryable. Returns how many documents."""
    now = tools.clock.now()
    before = now - tools.policy.give_up
    documents = await tools.commits.run(lambda: tools.registry.expired(before, tools.policy.batch))
    told = 0
    for document in documents:
        given_up = frozenset(one.delivery_id for one in document.deliveries if one.open)
        moves = tuple(Move(one, State.REFUSED, now, Code.UNDELIVERABLE) for one in sorted(given_up))
        receipts = tools.reporter.outcome(
            document,
            await tools.aliases(document),
            now,
            code=Code.UNDELIVERABLE,
            only=given_up,
            states=dict.fromkeys(given_up, LineState.REFUSED),
        )
        if await tools.tell(document, Settlement(document.row, moves, tuple(receipts))):
            told += 1
            tools.metrics.refused(Code.UNDELIVERABLE)
    return told
