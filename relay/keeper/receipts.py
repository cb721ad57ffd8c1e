"""Duty: receipts that could not be published, and outcomes that a crash kept from being written."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from relay.keeper.duty import Tools
from relay.model.record import Document, NewReceipt, Settlement

_LONGEST: Final = timedelta(hours=1)  # between two tries of the same receipt
_REMEMBERED: Final = 10_000


class ReceiptsDuty:
    """Publishes stored receipts that no confirm is known for.

    One that fails again (its queue is full, its agency has none) is tried less and less often, so that the receipts of
    one closed door do not stand before all the others.
    """

    def __init__(self) -> None:
        self._next: dict[str, tuple[float, float]] = {}  # number: not before, pause

    async def run(self, tools: Tools) -> int:
        """Publish what waits and may be tried. Returns how many were confirmed."""
        before = tools.clock.now() - tools.policy.receipts_after
        limit = tools.policy.batch + len(self._next)
        waiting = await tools.commits.run(lambda: tools.registry.unpublished(before, limit))
        tools.metrics.receipts_pending(len(waiting))
        now = tools.clock.monotonic()
        known = {one.number for one in waiting}
        self._next = {number: after for number, after in self._next.items() if number in known}
        ripe = [one for one in waiting if self._next.get(one.number, (now, 0.0))[0] <= now]
        ripe = ripe[: tools.policy.batch]
        if ripe:
            tools.metrics.duplicate_publish("receipt", len(ripe))  # the confirm may merely have gone unnoted
        failed = await tools.settler.publish(ripe)
        for receipt in ripe:
            if receipt.number not in failed:
                self._next.pop(receipt.number, None)
                continue
            _, pause = self._next.get(receipt.number, (now, tools.policy.interval.total_seconds()))
            if len(self._next) < _REMEMBERED or receipt.number in self._next:
                self._next[receipt.number] = (now + pause, min(pause * 2, _LONGEST.total_seconds()))
        return len(ripe) - len(failed)


async def finish_outcomes(tools: Tools) -> int:
    """Write the final outcome of documents whose deliveries have all ended. Returns how many."""
    documents = await tools.commits.run(lambda: tools.registry.unfinished_outcomes(tools.policy.batch))
    written = 0
    for document in documents:
        receipts = await _outcomes(tools, document)
        written += await tools.tell(document, Settlement(document.row, (), receipts))
    return written


async def _outcomes(tools: Tools, document: Document) -> tuple[NewReceipt, ...]:
    """The final outcome for each submission of these bytes that lacks it."""
    row = document.same_content_as
    found = None if row is None else await tools.commits.run(tools.registry.document, row)
    first = document if found is None else found
    others = [one for one in await tools.aliases(first) if not one.finished]
    made = tools.reporter.outcome(first, others, tools.clock.now())
    return tuple(new for new in made if new.document != first.row or not first.finished)
