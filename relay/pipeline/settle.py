"""Settle: T2, the receipts on their way, and the one acknowledgement of the ingress delivery.

The order holds promise 2: commit, publish the receipts, await their confirms, acknowledge. A receipt that cannot be
published is stored already; the keeper publishes it later, so the ingress delivery need not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable

from relay.errors import BrokerError, Code
from relay.model.message import Incoming, Published
from relay.model.ports import Clock, MessageSource, Publisher
from relay.model.receipt import SignedReceipt
from relay.model.record import NewReceipt, Settled, Settlement
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
        commits: GroupCommitter,
        publisher: Publisher,
        source: MessageSource,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._commits = commits
        self._publisher = publisher
        self._source = source
        self._metrics = metrics
        self._clock = clock

    async def settle(self, message: Incoming, settlement: Settlement) -> None:
        """T2, receipts, acknowledgement. Raises ``LeaseLostError`` with nothing published.

        A final outcome that came second (the keeper's, or another status's, was first) is not told.
        """
        settled = await self._commits.settle(settlement)
        if settled is Settled.LOST:
            raise LeaseLostError
        stored = [
            new for new in settlement.receipts if settled is not Settled.ENDED_BEFORE or not new.final
        ]
        await self.publish(new.receipt for new in stored)
        self._source.ack(message)

    async def repeat(self, message: Incoming, receipts: Iterable[SignedReceipt]) -> None:
        """Publish stored receipts again, the same bytes, marked; then acknowledge."""
        await self.publish(receipts, duplicate=True)
        self._source.ack(message)

    async def publish(self, receipts: Iterable[SignedReceipt], *, duplicate: bool = False) -> None:
        """Publish receipts and note those that were confirmed; the keeper looks after the others."""
        waiting = list(receipts)
        sent = [self._publisher.submit(report.message(one, duplicate=duplicate)) for one in waiting]
        for receipt, future in zip(waiting, sent, strict=True):
            if await future is Published.CONFIRMED:
                self._metrics.receipt_published(receipt.kind)
                self._commits.note_published(receipt.number)

    async def store(self, receipts: tuple[NewReceipt, ...]) -> None:
        """Store receipts of an unproven submission and publish them."""
        await self._commits.settle(Settlement(document=None, receipts=receipts))
        await self.publish(new.receipt for new in receipts)
