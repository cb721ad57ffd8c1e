"""A worker that stood still for longer than its lease learns it before it publishes anything."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from relay.model.record import Claimed, ClaimResult
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
