"""Duty: receipts that could not be published, and outcomes that a crash kept from being written."""

from __future__ import annotations

from relay.keeper.duty import Tools
from relay.model.record import Settlement


async def publish_again(tools: Tools) -> int:
    """Publish stored receipts that no confirm is known for. Returns how many were tried."""
    before = tools.clock.now() - tools.policy.receipts_after
    waiting = await tools.commits.run(lambda: tools.registry.unpublished(before, tools.policy.batch))
    tools.metrics.receipts_pending(len(waiting))
    await tools.settler.publish(waiting)
    return len(waiting)


async def finish_outcomes(tools: Tools) -> int:
    """Write the final outcome of documents whose deliveries have all ended. Returns how many."""
    documents = await tools.commits.run(lambda: tools.registry.unfinished_outcomes(tools.policy.batch))
    for document in documents:
        receipts = tools.reporter.outcome(document, await tools.aliases(document), tools.clock.now())
        await tools.tell(document, Settlement(document.row, (), tuple(receipts)))
    return len(documents)
