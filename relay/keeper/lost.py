"""Duty: deliveries whose body the broker no longer has. They are planned again; the sender is told BODY-LOST, retryable,
and the same submission again completes exactly the open deliveries."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from relay.broker import names
from relay.errors import BrokerError, Code
from relay.keeper.duty import Tools
from relay.model.message import Lane
from relay.model.receipt import LineState
from relay.model.record import Settlement

_WHERE_BODIES_WAIT = (
    *(names.lane_queue(lane) for lane in Lane),
    *(names.retry_queue(rung) for rung in names.RUNGS),
)


async def tell_lost(tools: Tools) -> int:
    """Tell senders of lost bodies. Returns how many documents.

    A deferral long past its time may merely wait in a queue while no worker runs: as long as something waits there,
    only the longer limit counts. What the registry marked when the broker's data was lost is told at once.
    """
    now = tools.clock.now()
    limit = tools.policy.lost_at_last if await _waiting(tools) else tools.policy.lost_after
    before = now - limit
    documents = await tools.commits.run(lambda: tools.registry.lost(before, before, tools.policy.batch))
    told = 0
    for document in documents:
        # What is due later has a body of its own on the ladder.
        gone = frozenset(
            one.delivery_id
            for one in document.deliveries
            if one.open and (one.due_at is None or one.due_at < before)
        )
        if len(gone) > 1:
            # One that was told before is not told again, and must not keep the others from being told.
            gone = gone - await tools.commits.run(partial(_told, tools, document.row, now)) or gone
        receipts = tools.reporter.outcome(
            document,
            await tools.aliases(document),
            now,
            code=Code.BODY_LOST,
            only=gone,
            states=dict.fromkeys(gone, LineState.DEFERRED),
        )
        if await tools.tell(document, Settlement(document.row, (), tuple(receipts))):
            told += 1
            tools.metrics.notice("lost")
    return told


def _told(tools: Tools, row: int, now: datetime) -> frozenset[str]:
    standing = tools.registry.standing(row, now)
    return frozenset(
        one.delivery.delivery_id for one in (standing.deliveries if standing else ()) if one.lost_told
    )


async def _waiting(tools: Tools) -> bool:
    try:
        depths = await tools.off(partial(tools.browser.depths, _WHERE_BODIES_WAIT))
    except BrokerError:
        return True
    return any(depths.values())
