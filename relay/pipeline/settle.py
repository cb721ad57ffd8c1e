"""Settle: T2, the receipts on their way, and the one acknowledgement of the ingress delivery.

The order holds promise 2: commit, publish the receipts, await their confirms, acknowledge. A receipt that cannot be
published is stored already; the keeper publishes it later, so the ingress delivery need not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable

from relay.errors import BrokerError, Code
from relay.model.message import Incoming, Published
from relay.model.ports import Clock, MessageSource, Publisher, Registry
from relay.model.receipt import SignedReceipt
from relay.model.record import Settled, Settlement
from relay.observe.metrics import Metrics
from relay.pipeline import report
from relay.registry.group import GroupCommitter


class LeaseLostError(BrokerError):
    """Another worker has the document now: publish and commit nothing more for it."""

    def __init__(self) -> None:
        super().__init__(Code.REGISTRY_BUSY, "the lease went to another worker")


class Settler:
    """Commits T2, publishes receipts, acknowledges."""

    def __init__(
        self,
        registry: Registry,
        commits: GroupCommitter,
        publisher: Publisher,
        source: MessageSource,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._commits = commits
        self._publisher = publisher
        self._source = source
        self._metrics = metrics
        self._clock = clock

    async def settle(self, message: Incoming, settlement: Settlement) -> None:
        """T2, receipts, acknowledgement. Raises ``LeaseLostError`` with nothing published."""
        await self.publish(await self.commit(settlement))
        self._source.ack(message)

    async def commit(self, settlement: Settlement) -> tuple[SignedReceipt, ...]:
        """T2. Returns the receipts that are now to be published: those that were stored.

        A final outcome that came second, or the second answer to an unproven submission, is stored by nobody and told
        to nobody. Raises ``LeaseLostError``: nothing was stored.
        """
        settled = await self._commits.settle(settlement)
        if settled is Settled.LOST:
            raise LeaseLostError
        receipts = tuple(new.receipt for new in settlement.receipts)
        if settled is Settled.PARTLY:
            stored = await self._commits.run(self._registry.stored, [one.number for one in receipts])
            receipts = tuple(one for one in receipts if one.number in stored)
        return receipts

    async def repeat(self, message: Incoming, receipts: Iterable[SignedReceipt]) -> None:
        """Publish stored receipts again, the same bytes, marked; then acknowledge."""
        await self.publish(receipts, duplicate=True)
        self._source.ack(message)

    async def publish(self, receipts: Iterable[SignedReceipt], *, duplicate: bool = False) -> set[str]:
        """Publish receipts and note those that were confirmed; the keeper looks after the others.

        Returns the numbers of those that were not confirmed.
        """
        waiting = list(receipts)
        if duplicate and waiting:
            self._metrics.duplicate_publish("receipt", len(waiting))
        sent = [self._publisher.submit(report.message(one, duplicate=duplicate)) for one in waiting]
        failed = set()
        for receipt, future in zip(waiting, sent, strict=True):
            if await future is not Published.CONFIRMED:
                failed.add(receipt.number)
            else:
                self._metrics.receipt_published(receipt.kind)
                self._commits.note_published(receipt.number)
        return failed
