"""What a worker may rely on while time passes: its leases after a standstill, its T2 while the registry is busy."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from relay.errors import Code, RegistryError
from relay.model.record import Claimed, ClaimResult, Settled, Settlement
from relay.observe.clock import SystemClock
from relay.registry import group
from relay.registry.group import GroupCommitter

LEASE = 0.4


class SlowStore:
    """Commits at once, but for as long as ``pause`` says the next time."""

    def __init__(self) -> None:
        self.pause = 0.0

    def commit(
        self, settlements: Any, claims: Any, published: Any, worker: str, now: Any, heartbeat: bool = True
    ) -> Any:
        pause, self.pause = self.pause, 0.0
        time.sleep(pause)
        return [], [ClaimResult(Claimed.BUSY) for _ in claims]

    def release(self, worker: str) -> None:
        pass


@pytest.fixture(autouse=True)
def _quick_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "HEARTBEAT", LEASE / 8)


def test_a_lease_stands_while_the_heart_beats_and_falls_with_a_gap() -> None:
    async def story() -> None:
        store = SlowStore()
        commits = GroupCommitter(store, "w1", SystemClock(), lease_seconds=LEASE)
        commits.start()
        _, before = await commits.take(None)  # type: ignore[arg-type]
        await asyncio.sleep(LEASE * 2)
        assert commits.stands(before), "nothing happened but time in which the heart beat"
        store.pause = LEASE * 2
        await asyncio.sleep(LEASE * 1.5)
        assert not commits.stands(before), "no heartbeat for longer than the lease"
        await asyncio.sleep(LEASE)
        assert not commits.stands(before), "a heartbeat after the gap does not bring the lease back"
        _, after = await commits.take(None)  # type: ignore[arg-type]
        assert after != before
        assert commits.stands(after)
        await commits.stop()

    asyncio.run(story())


class BusyStore(SlowStore):
    """Busy until told otherwise."""

    busy = True

    def commit(
        self, settlements: Any, claims: Any, published: Any, worker: str, now: Any, heartbeat: bool = True
    ) -> Any:
        if self.busy:
            raise RegistryError(Code.REGISTRY_BUSY)
        return [Settled.DONE for _ in settlements], [ClaimResult(Claimed.BUSY) for _ in claims]


def test_what_was_published_waits_for_its_commit_longer_than_what_was_not() -> None:
    async def story() -> None:
        store = BusyStore()
        commits = GroupCommitter(store, "w1", SystemClock(), patience=0.05, settle_patience=20)
        commits.start()
        settling = asyncio.create_task(commits.settle(Settlement(1)))
        with pytest.raises(RegistryError):
            await commits.take(None)  # type: ignore[arg-type]
        await asyncio.sleep(0.3)
        assert not settling.done()
        store.busy = False
        assert await asyncio.wait_for(settling, 5) is Settled.DONE
        await commits.stop()

    asyncio.run(story())
