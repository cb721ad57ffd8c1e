"""Group commit: company, answers, trouble, end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from relay.errors import Code, RegistryError
from relay.model.delivery import State
from relay.model.record import Claim, Claimed, ClaimResult, Settled, Settlement
from relay.registry import GroupCommitter, SqlRegistry, memory_registry
from relay.registry import group as module
from tests.support.registry import Maker
from tests.support.waits import until_then


@pytest.fixture(autouse=True)
def _calm_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first beat none: it would commit by itself in the middle of what a slow machine does."""
    monkeypatch.setattr(module, "HEARTBEAT", 3600.0)


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class Watched:
    """A store that counts its commits, and fails on demand."""

    def __init__(self, store: SqlRegistry) -> None:
        self.store = store
        self.sizes: list[tuple[int, int, int]] = []
        self.beats = 0
        self.errors: list[Exception] = []

    def commit(
        self,
        settlements: Sequence[Settlement],
        claims: Sequence[Claim],
        published: Sequence[str],
        worker: str,
        now: datetime,
        heartbeat: bool = True,
    ) -> tuple[list[Settled | RegistryError], list[ClaimResult | RegistryError]]:
        if self.errors:
            raise self.errors.pop(0)
        self.sizes.append((len(settlements), len(claims), len(published)))
        self.beats += heartbeat
        return self.store.commit(settlements, claims, published, worker, now, heartbeat)

    def release(self, worker: str) -> None:
        self.store.release(worker)


@asynccontextmanager
async def group(
    watched: Watched,
    *,
    max_batch: int = 256,
    max_wait: float = 0.003,
    patience: float = 5.0,
    capacity: int = 4096,
) -> AsyncIterator[GroupCommitter]:
    made = GroupCommitter(
        watched,
        "w1",
        WallClock(),
        max_batch=max_batch,
        max_wait=max_wait,
        patience=patience,
        capacity=capacity,
    )
    made.start()
    try:
        yield made
    finally:
        await made.stop()


@pytest.fixture
def watched() -> Watched:
    return Watched(memory_registry())


def test_many_documents_share_few_commits(watched: Watched) -> None:
    make = Maker()

    async def one(committer: GroupCommitter, number: int) -> None:
        claim = make.claim(f"d{number}")
        result = await committer.claim(claim)
        assert result.outcome is Claimed.NEW
        assert result.document
        settlement = make.queued(claim, result.document.row)
        assert await committer.settle(settlement) is Settled.DONE
        committer.note_published(settlement.receipts[0].receipt.number)

    async def scene() -> None:
        async with group(watched, max_wait=0.05) as committer:
            await asyncio.gather(*(one(committer, number) for number in range(300)))

    asyncio.run(scene())
    assert [sum(column) for column in zip(*watched.sizes, strict=True)] == [300, 300, 300]
    assert len(watched.sizes) < 30
    assert watched.store.unpublished(datetime.now(UTC), 9) == []


def test_a_full_group_does_not_wait(watched: Watched) -> None:
    make = Maker()

    async def scene() -> float:
        async with group(watched, max_wait=30.0, max_batch=8) as committer:
            started = time.monotonic()
            await asyncio.gather(*(committer.claim(make.claim(f"d{number}")) for number in range(8)))
            return time.monotonic() - started

    assert asyncio.run(scene()) < 10
    assert (0, 8, 0) in watched.sizes


def test_busy_is_retried_and_then_told(watched: Watched) -> None:
    make = Maker()
    busy = RegistryError(Code.REGISTRY_BUSY, "SQLITE_BUSY")

    async def scene() -> None:
        async with group(watched, patience=60.0) as committer:
            await committer.run(int)  # the first heartbeat is over
            watched.errors = [busy, busy]
            assert (await committer.claim(make.claim("a"))).outcome is Claimed.NEW
            assert watched.errors == []
        async with group(watched, patience=0.05) as committer:
            await committer.run(int)
            watched.errors = [busy] * 50
            with pytest.raises(RegistryError) as caught:
                await committer.claim(make.claim("b"))
            assert caught.value.code is Code.REGISTRY_BUSY
            watched.errors = []
            assert (await committer.claim(make.claim("b"))).outcome is Claimed.NEW

    asyncio.run(scene())


def test_the_thread_outlives_any_error(watched: Watched) -> None:
    make = Maker()

    async def scene() -> None:
        async with group(watched) as committer:
            await committer.run(int)
            watched.errors = [ValueError("a fault of ours")]
            with pytest.raises(RegistryError) as caught:
                await committer.claim(make.claim("a"))
            assert caught.value.code is Code.REGISTRY_UNUSABLE
            assert (await committer.claim(make.claim("a"))).outcome is Claimed.NEW

    asyncio.run(scene())


def test_notes_of_publishes_survive_a_failed_commit(watched: Watched) -> None:
    make = Maker()
    claim = make.claim("a")

    async def scene() -> None:
        async with group(watched, patience=0.0) as committer:
            result = await committer.claim(claim)
            assert result.document
            settlement = make.queued(claim, result.document.row)
            await committer.settle(settlement)
            watched.errors = [RegistryError(Code.REGISTRY_BUSY)]
            committer.note_published(settlement.receipts[0].receipt.number)
            await until_then(lambda: watched.errors == [])

    asyncio.run(scene())
    assert watched.store.unpublished(datetime.now(UTC), 9) == []


def test_one_bad_item_has_its_own_answer(watched: Watched) -> None:
    make = Maker()

    async def scene() -> None:
        async with group(watched, max_wait=30.0, max_batch=2) as committer:
            claims = [make.claim("a"), make.claim("b")]
            results = await asyncio.gather(*(committer.claim(claim) for claim in claims))
            rows = [result.document.row for result in results if result.document]
            good = make.queued(claims[0], rows[0])
            taken = good.receipts[0].receipt.number
            bad = make.queued(claims[1], rows[1])
            bad = Settlement(
                bad.document,
                bad.moves,
                (type(bad.receipts[0])(make.receipt(number=taken), rows[1]),),
            )
            answers = await asyncio.gather(
                committer.settle(good), committer.settle(bad), return_exceptions=True
            )
            assert answers[0] is Settled.DONE
            assert isinstance(answers[1], RegistryError)
            untouched = watched.store.document(rows[1])
            assert untouched
            assert {item.state for item in untouched.deliveries} == {State.PLANNED}

    asyncio.run(scene())


def test_other_calls_run_in_the_writer_thread_and_raise_to_their_caller(watched: Watched) -> None:
    async def scene() -> None:
        async with group(watched) as committer:
            assert await committer.run(watched.store.last_receipt_number, "w1") == 0
            with pytest.raises(ZeroDivisionError):
                await committer.run(divmod, 1, 0)
            assert await committer.run(divmod, 7, 2) == (3, 1)

    asyncio.run(scene())


def test_little_room_slows_and_loses_nothing(watched: Watched) -> None:
    make = Maker()

    async def scene() -> None:
        async with group(watched, capacity=3) as committer:
            results = await asyncio.gather(*(committer.claim(make.claim(f"d{n}")) for n in range(20)))
            assert {result.outcome for result in results} == {Claimed.NEW}

    asyncio.run(scene())
    assert max(claims for _, claims, _ in watched.sizes) <= 3


def test_a_stop_answers_everybody_and_then_refuses(watched: Watched) -> None:
    make = Maker()

    async def scene() -> None:
        async with group(watched, max_wait=30.0) as committer:
            waiting = asyncio.create_task(committer.claim(make.claim("a")))
            await asyncio.sleep(0.01)
            await committer.stop()
            assert (await waiting).outcome is Claimed.NEW
            assert not committer.healthy()
            with pytest.raises(RegistryError):
                await committer.claim(make.claim("b"))
            await committer.stop()

    asyncio.run(scene())


def test_an_idle_worker_beats_and_is_healthy(watched: Watched) -> None:
    async def scene() -> None:
        async with group(watched) as committer:
            await until_then(lambda: committer.idle_for() < 60)
            assert watched.beats == 1
            assert committer.healthy(limit=60)
            assert not committer.healthy(time.monotonic() + 60)
            committer._beaten -= module.HEARTBEAT - 0.2
            committer.note_published("w1-1")  # wakes the thread, which then waits for the rest of its pause
            await until_then(lambda: watched.beats == 2)

    asyncio.run(scene())


def test_a_failure_is_told_counted_and_forgotten_with_the_next_commit(watched: Watched) -> None:
    make = Maker()
    counted: list[Code] = []

    def why(committer: GroupCommitter) -> str:
        return "" if committer.failure is None else committer.failure.detail

    async def scene() -> None:
        committer = GroupCommitter(watched, "w1", WallClock(), patience=0.02, on_failure=counted.append)
        assert not committer.broken, "not started yet"
        committer.start()
        await committer.run(int)
        assert why(committer) == ""
        watched.errors = [RegistryError(Code.REGISTRY_UNUSABLE, "SQLITE_FULL: disk full")]
        with pytest.raises(RegistryError):
            await committer.claim(make.claim("a"))
        assert why(committer) == "SQLITE_FULL: disk full"
        assert counted == [Code.REGISTRY_UNUSABLE]
        assert (await committer.claim(make.claim("a"))).outcome is Claimed.NEW
        assert why(committer) == ""
        assert not committer.broken
        await committer.stop()
        assert not committer.broken, "it was stopped"

    asyncio.run(scene())


def test_a_writer_that_ended_by_itself_is_broken(watched: Watched) -> None:
    async def scene() -> None:
        committer = GroupCommitter(watched, "w1", WallClock())
        committer._run = lambda: None  # type: ignore[method-assign]
        committer.start()
        assert committer._thread is not None
        committer._thread.join(60)
        assert committer.broken

    asyncio.run(scene())
