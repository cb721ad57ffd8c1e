"""What a worker may rely on while time passes: its leases after a standstill, its T2 while the registry is busy."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from relay.errors import Code, RegistryError
from relay.model.record import Claimed, ClaimResult, Settled, Settlement
from relay.observe.clock import SystemClock
from relay.registry import group
from relay.registry.group import GroupCommitter
from tests.support.waits import until_then

HEARTBEAT = 1 / 64  # seconds that floating-point numbers add up to without a rest
LEASE = 16 * HEARTBEAT


class Time:
    """Time that passes when the test says so; who sleeps or waits does so in real time."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        return self._now

    def pass_by(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(group, "time", made)
    monkeypatch.setattr(group, "HEARTBEAT", HEARTBEAT)
    return made


class SlowStore:
    """Commits at once, but for as long as ``pause`` says the next time."""

    def __init__(self, passing: Time | None = None) -> None:
        self.pause = 0.0
        self.beats = 0
        self._passing = passing

    def commit(
        self, settlements: Any, claims: Any, published: Any, worker: str, now: Any, heartbeat: bool = True
    ) -> Any:
        pause, self.pause = self.pause, 0.0
        if self._passing is not None:
            self._passing.pass_by(pause)
        self.beats += heartbeat
        return [], [ClaimResult(Claimed.BUSY) for _ in claims]

    def release(self, worker: str) -> None:
        pass


def test_a_lease_stands_while_the_heart_beats_and_falls_with_a_gap(passing: Time) -> None:
    async def story() -> None:
        store = SlowStore(passing)
        commits = GroupCommitter(store, "w1", SystemClock(), max_wait=0.0, lease_seconds=LEASE)
        commits.start()

        async def beat() -> None:
            seen = store.beats
            passing.pass_by(HEARTBEAT)
            await until_then(lambda: store.beats > seen and commits._beaten == passing.monotonic())

        await until_then(lambda: commits._beaten == passing.monotonic())
        _, before = await commits.take(None)  # type: ignore[arg-type]
        for _ in range(2 * 16):
            await beat()
        assert commits.stands(before), "nothing happened but time in which the heart beat"
        store.pause = LEASE * 2
        seen = store.beats
        passing.pass_by(HEARTBEAT)
        await until_then(lambda: store.beats > seen and not store.pause)
        assert not commits.stands(before), "no heartbeat for longer than the lease"
        await beat()
        assert not commits.stands(before), "a heartbeat after the gap does not bring the lease back"
        _, after = await commits.take(None)  # type: ignore[arg-type]
        assert after != before
        assert commits.stands(after)
        await commits.stop()

    asyncio.run(story())


class BusyStore(SlowStore):
    """Busy until told otherwise."""

    busy = True
    asked = 0

    def commit(
        self, settlements: Any, claims: Any, published: Any, worker: str, now: Any, heartbeat: bool = True
    ) -> Any:
        self.asked += bool(settlements)
        if self.busy:
            raise RegistryError(Code.REGISTRY_BUSY)
        return [Settled.DONE for _ in settlements], [ClaimResult(Claimed.BUSY) for _ in claims]


def test_what_was_published_waits_for_its_commit_longer_than_what_was_not() -> None:
    async def story() -> None:
        store = BusyStore()
        commits = GroupCommitter(store, "w1", SystemClock(), patience=0.05, settle_patience=600)
        commits.start()
        settling = asyncio.create_task(commits.settle(Settlement(1)))
        with pytest.raises(RegistryError):
            await commits.take(None)  # type: ignore[arg-type]
        seen = store.asked
        await until_then(lambda: store.asked > seen + 3)
        assert not settling.done()
        store.busy = False
        assert await asyncio.wait_for(settling, 60) is Settled.DONE
        await commits.stop()

    asyncio.run(story())
