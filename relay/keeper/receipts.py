"""Duty: receipts that could not be published, and outcomes that a crash kept from being written."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from relay.keeper.duty import Tools
from relay.model.record import Document, NewReceipt, Settlement

_LONGEST: Final = timedelta(hours=1)  # between two tries of the same door
_SHUT: Final = 5_000  # doors named in one question


class ReceiptsDuty:
    """Publishes stored receipts that no confirm is known for.

    A door that fails again (its queue is full, its agency has none) is tried less and less often, so that its receipts,
    however many, do not stand before all the others.
    """

    def __init__(self) -> None:
        self._next: dict[str, tuple[float, float]] = {}  # to whom: not before, pause

    async def run(self, tools: Tools) -> int:
        """Publish what waits and may be tried. Returns how many were confirmed."""
        before = tools.clock.now() - tools.policy.receipts_after
        now = tools.clock.monotonic()
        shut = [to for to, (not_before, _) in self._next.items() if not_before > now][:_SHUT]
        ripe = await tools.commits.run(lambda: tools.registry.unpublished(before, tools.policy.batch, shut))
        tools.metrics.receipts_pending(
            await tools.commits.run(lambda: tools.registry.unpublished_count(before))
        )
        if ripe:
            tools.metrics.duplicate_publish("receipt", len(ripe))  # the confirm may merely have gone unnoted
        failed = await tools.settler.publish(ripe)
        first = tools.policy.interval.total_seconds()
        passed = {one.to for one in ripe if one.number not in failed}
        for to in {one.to for one in ripe}:
            _, pause = self._next.pop(to, (now, first))
            if any(one.number in failed for one in ripe if one.to == to):
                pause = first if to in passed else pause
                self._next[to] = (now + pause, min(pause * 2, _LONGEST.total_seconds()))
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
