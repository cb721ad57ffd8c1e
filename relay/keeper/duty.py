"""What every duty of the keeper gets: the registry, a publisher, a reporter, time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, TypeVar

from relay.model.message import Incoming
from relay.model.ports import Clock, Registry
from relay.model.record import Document, Settlement
from relay.observe.metrics import Metrics
from relay.pipeline.report import Reporter
from relay.pipeline.settle import Settler
from relay.registry.group import GroupCommitter

T = TypeVar("T")


class Browser(Protocol):
    """Looks into queues without taking anything out of them."""

    def depth(self, queue: str) -> int:
        """Return how many messages are ready."""
        ...

    def depths(self, queues: tuple[str, ...]) -> dict[str, int]:
        """Return the depths of several queues."""
        ...

    def seen(self, queues: tuple[str, ...]) -> dict[str, tuple[int, int] | None]:
        """Return messages ready and consumers of several queues, None for one that does not exist."""
        ...

    def each(self, queue: str, limit: int, see: Callable[[Incoming], T]) -> list[T]:
        """Return what ``see`` made of up to ``limit`` messages from the head; all of them go back."""
        ...


@dataclass(frozen=True, slots=True)
class KeeperPolicy:
    """Numbers of the keeper, from the settings."""

    interval: timedelta
    receipts_after: timedelta  # a stored receipt without a confirm is published again after this
    lost_after: timedelta  # an overdue deferral counts as lost after this while the queues are empty
    lost_at_last: timedelta  # ... and after this in any case
    give_up: timedelta
    lease: timedelta
    batch: int = 200


@dataclass(frozen=True, slots=True)
class Tools:
    """The keeper's hands."""

    registry: Registry
    commits: GroupCommitter
    settler: Settler
    reporter: Reporter
    browser: Browser
    metrics: Metrics
    clock: Clock
    policy: KeeperPolicy
    gateway_of: Callable[[str], str] = str  # the gateway whose broker user it is

    async def tell(self, document: Document, settlement: Settlement) -> bool:
        """Commit a notice and publish its receipts. False while a live worker holds the document."""
        now = self.clock.now()
        if not await self.commits.run(lambda: self.registry.notice(settlement, now)):
            return False
        await self.settler.publish(new.receipt for new in settlement.receipts)
        return True

    async def off(self, look: Callable[[], T]) -> T:
        """Run a blocking look at the broker off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(None, look)

    async def aliases(self, document: Document) -> Sequence[Document]:
        """Return the other submissions of the same bytes."""
        return await self.commits.run(lambda: self.registry.aliases(document.row))
