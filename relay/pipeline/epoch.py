"""The mark of the broker's data: tells a broker that lost its data folder from one that merely restarted.

An exchange named after a random id is declared once and noted in the registry. When it is missing, everything that
stood in the broker is gone: the registry puts open and queued deliveries back to planned, the keeper tells the senders
(BODY-LOST), and the same submission again completes exactly them. Checked after each connect, before anything is taken.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable

from relay.broker import names
from relay.model.ports import BrokerLink, Clock, Registry
from relay.observe import logs
from relay.registry.group import GroupCommitter

_log = logs.get("pipeline.epoch")


class EpochWatch:
    """Compares the registry's epoch with the broker's mark."""

    def __init__(
        self,
        link: BrokerLink,
        registry: Registry,
        commits: GroupCommitter,
        new_id: Callable[[], uuid.UUID],
        clock: Clock,
    ) -> None:
        self._link = link
        self._registry = registry
        self._commits = commits
        self._new_id = new_id
        self._clock = clock

    async def check(self) -> None:
        """Make registry and broker agree. Any process may do it; the registry lets one win."""
        known = await self._commits.run(self._registry.broker_epoch)
        if known is not None and known[1] and await self._link.mark_stands(names.epoch_exchange(known[0])):
            return
        epoch = known[0] if known is not None else ""
        if known is None or known[1]:
            fresh = str(self._new_id())
            now = self._clock.now()
            previous = known[0] if known is not None else None
            won = await self._commits.run(lambda: self._registry.new_broker_epoch(fresh, previous, now))
            if not won:
                await self.check()
                return
            if previous is not None:
                logs.event(_log, logging.ERROR, "broker-data-lost", epoch=fresh)
            epoch = fresh
        await self._link.set_mark(names.epoch_exchange(epoch))
        await self._commits.run(lambda: self._registry.epoch_declared(epoch))
