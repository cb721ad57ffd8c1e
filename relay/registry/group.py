"""Group commit: many documents of one worker in one transaction, written by one thread.

The event loop hands in claims and settlements and awaits; the thread takes what has gathered, at the latest
``max_wait`` after the first of it came (sooner the less is in hand), and commits it at once. While it commits, the next group gathers: the slower
the disk, the larger the groups.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from relay.errors import Code, RegistryError
from relay.model.ports import Clock
from relay.model.record import Claim, ClaimResult, Settled, Settlement

P = ParamSpec("P")
T = TypeVar("T")
U = TypeVar("U")

HEARTBEAT: Final = 2.0  # seconds between two heartbeats of a worker
_NOTES_KEPT: Final = 100_000  # publishes not yet noted; beyond it the keeper publishes once more
_PAUSES: Final = (0.01, 0.02, 0.05, 0.1, 0.2)  # seconds between tries while the registry is busy


class GroupStore(Protocol):
    """The part of the store that a group needs."""

    def commit(
        self,
        settlements: Sequence[Settlement],
        claims: Sequence[Claim],
        published: Sequence[str],
        worker: str,
        now: datetime,
        heartbeat: bool = True,
    ) -> tuple[list[Settled | RegistryError], list[ClaimResult | RegistryError]]:
        """Commit one group. Raises ``RegistryError`` when nothing was committed."""
        ...

    def release(self, worker: str) -> None:
        """Give all leases of a worker back."""
        ...


@dataclass(slots=True)
class _Group:
    """What has gathered since the last commit."""

    claims: list[tuple[Claim, asyncio.Future[Any]]] = field(default_factory=list)
    settlements: list[tuple[Settlement, asyncio.Future[Any]]] = field(default_factory=list)
    calls: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = field(default_factory=list)
    published: list[str] = field(default_factory=list)
    since: float = 0.0  # when the first of them came

    @property
    def waiting(self) -> int:
        return len(self.claims) + len(self.settlements) + len(self.calls)


class GroupCommitter:
    """The worker's way to its registry. Make it, ``start`` it inside the event loop, ``await stop()`` at the end.

    Args:
        store: usually what ``open_registry`` gave.
        worker: lease owner, one name per process start.
        clock: time of commits and heartbeats.
        max_wait: seconds that the first item of a group waits for company when the worker's window is full.
        busy: share of the window that is in use, 0 to 1. A commit costs the same for one document as for many: with
            few in hand the wait is short, because nobody else may come; with many it is long, and nobody is the later.
        max_batch: a group of that many items closes at once.
        patience: seconds over which REGISTRY-BUSY is tried again before the waiters are told.
        settle_patience: the same for T2.
        capacity: items in hand; more callers wait their turn.
        lease_seconds: a worker that was silent for longer has lost its leases.
        on_commit: told, in the writer thread, of each commit that succeeded: seconds and how many items shared it.
        on_failure: told there of each group that was not committed although it was tried again: the code.
    """

    def __init__(
        self,
        store: GroupStore,
        worker: str,
        clock: Clock,
        *,
        max_wait: float = 0.025,
        busy: Callable[[], float] = lambda: 1.0,
        max_batch: int = 256,
        patience: float = 5.0,
        settle_patience: float = 60.0,
        capacity: int = 4096,
        lease_seconds: float = 10.0,
        on_commit: Callable[[float, int], None] | None = None,
        on_failure: Callable[[Code], None] | None = None,
    ) -> None:
        self._store = store
        self._worker = worker
        self._clock = clock
        self._max_wait = max_wait
        self.busy = busy
        self._max_batch = max_batch
        self._patience = patience
        self._settle_patience = settle_patience
        self._on_commit = on_commit
        self._on_failure = on_failure
        self._room = asyncio.Semaphore(capacity)
        self._group = _Group()
        self._bell = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lease_seconds = lease_seconds
        self._beaten = float("-inf")
        self._standing = 0  # counts the gaps between heartbeats that were longer than a lease
        self._committed: float | None = None
        self._failing = False
        self.failure: RegistryError | None = None
        """Why the last group was not committed; None if it was."""

    # on the event loop

    def start(self) -> None:
        """Start the writer thread; the running loop is the one that is answered."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="registry-writer", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Commit what has gathered, end the thread, give the leases back; whoever still waits gets an answer.

        May be called twice. Leases that cannot be given back run out by themselves.
        """
        with self._bell:
            self._stopping = True
            self._bell.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
            with suppress(RegistryError):
                await asyncio.to_thread(self._store.release, self._worker)

    async def claim(self, claim: Claim) -> ClaimResult:
        """T1 of one document. Raises ``RegistryError``: not stored."""
        result, _ = await self.take(claim)
        return result

    async def take(self, claim: Claim) -> tuple[ClaimResult, int]:
        """T1 of one document, and the standing that it was committed under (see ``stands``)."""
        return await self._ask(self._add_claim, claim)

    def stands(self, standing: int) -> bool:
        """Whether leases of that standing surely hold: no gap since then let another worker take them.

        A process that stood still learns here, before anything else, that time has passed.
        """
        return standing == self._standing and time.monotonic() - self._beaten < self._lease_seconds

    async def settle(self, settlement: Settlement) -> Settled:
        """T2 of one document. Raises ``RegistryError``: not stored.

        What was published is known to this worker alone until it is stored, and done again otherwise: REGISTRY-BUSY is
        waited out far beyond the usual patience.
        """
        until = time.monotonic() + self._settle_patience
        while True:
            try:
                return await self._ask(self._add_settlement, settlement)
            except RegistryError as error:
                if error.code is not Code.REGISTRY_BUSY or self._stopping or time.monotonic() >= until:
                    raise
            await asyncio.sleep(_PAUSES[-1])

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run any other call on the registry in the writer thread, after the group that is gathering."""
        return await self._ask(self._add_call, lambda: call(*args, **kwargs))

    @property
    def worker(self) -> str:
        """The lease owner."""
        return self._worker

    @property
    def accepting(self) -> bool:
        """Whether new documents may be taken in hand: there is room, and the last commit did not fail."""
        return not self._stopping and not self._room.locked() and not self._failing

    def note_published(self, number: str) -> None:
        """Note, with the next group, that the broker confirmed that receipt."""
        with self._bell:
            if len(self._group.published) < _NOTES_KEPT:
                self._group.published.append(number)
                self._ring()

    def idle_for(self, now: float | None = None) -> float:
        """Return seconds since the last commit that succeeded (``now``: monotonic); infinite before the first."""
        current = self._clock.monotonic() if now is None else now
        return float("inf") if self._committed is None else current - self._committed

    def healthy(self, now: float | None = None, limit: float = 3 * HEARTBEAT) -> bool:
        """Whether the registry writes: the thread lives and its last commit is younger than ``limit`` seconds."""
        return self._thread is not None and self._thread.is_alive() and self.idle_for(now) < limit

    @property
    def broken(self) -> bool:
        """Whether the writer thread has ended though nobody stopped it: nothing will be committed any more."""
        return self._thread is not None and not self._thread.is_alive() and not self._stopping

    async def _ask(self, add: Callable[[T, asyncio.Future[U]], None], item: T) -> U:
        async with self._room:
            if self._loop is None:
                raise RegistryError(Code.REGISTRY_UNUSABLE, "the registry's writer is not started")
            future: asyncio.Future[U] = self._loop.create_future()
            with self._bell:
                if self._stopping:
                    raise RegistryError(Code.REGISTRY_BUSY, "the registry's writer has stopped")
                add(item, future)
                self._ring()
            return await future

    def _add_claim(self, item: Claim, future: asyncio.Future[tuple[ClaimResult, int]]) -> None:
        self._group.claims.append((item, future))

    def _add_settlement(self, item: Settlement, future: asyncio.Future[Settled]) -> None:
        self._group.settlements.append((item, future))

    def _add_call(self, item: Callable[[], T], future: asyncio.Future[T]) -> None:
        self._group.calls.append((item, future))

    def _ring(self) -> None:
        """Wake the thread for the first item and when the group is full; it sleeps through what is between."""
        gathered = self._group.waiting + len(self._group.published)
        if gathered == 1:
            self._group.since = time.monotonic()
        if gathered == 1 or self._group.waiting == self._max_batch:
            self._bell.notify()

    # in the writer thread

    def _run(self) -> None:
        while True:
            group, last = self._take()
            try:
                self._commit(group)
            except Exception as error:  # noqa: BLE001 - whatever it is, the waiters hear of it and the thread goes on
                trouble = RegistryError(Code.REGISTRY_UNUSABLE, type(error).__name__)
                self._answer(
                    [(future, trouble) for _, future in (*group.settlements, *group.claims, *group.calls)]
                )
                time.sleep(_PAUSES[0])
            if last:
                return

    def _take(self) -> tuple[_Group, bool]:
        with self._bell:
            while True:
                group = self._group
                age = time.monotonic() - group.since
                patience = self._max_wait * self.busy()
                gathered = group.waiting > 0 or bool(group.published)
                if self._stopping or group.waiting >= self._max_batch or (gathered and age >= patience):
                    break
                if gathered:
                    self._bell.wait(patience - age)
                    continue
                due = self._beaten + HEARTBEAT - time.monotonic()
                if due <= 0:
                    break
                self._bell.wait(due)
            self._group = _Group(since=time.monotonic())
            return group, self._stopping

    def _commit(self, group: _Group) -> None:
        # A future that was cancelled is still committed: its caller may have gone, the document has not.
        heartbeat = time.monotonic() - self._beaten >= HEARTBEAT
        answers: list[tuple[asyncio.Future[Any], Any]] = []
        if group.claims or group.settlements or group.published or heartbeat:
            try:
                settled, claimed = self._patiently(lambda: self._write(group))
                answers += zip((future for _, future in group.settlements), settled, strict=True)
                answers += [
                    (future, result if isinstance(result, RegistryError) else (result, self._standing))
                    for (_, future), result in zip(group.claims, claimed, strict=True)
                ]
            except RegistryError as error:
                self._failing, self.failure = True, error
                if self._on_failure is not None:
                    self._on_failure(error.code)
                answers += [(future, error) for _, future in (*group.settlements, *group.claims)]
                self._put_back(group.published)
                if not answers and not group.calls:
                    time.sleep(_PAUSES[-1])
        self._answer(answers)
        for call, future in group.calls:
            try:
                answer = self._patiently(call)
            except Exception as error:  # noqa: BLE001 - it is the caller's
                answer = error
            self._answer([(future, answer)])

    def _write(
        self, group: _Group
    ) -> tuple[list[Settled | RegistryError], list[ClaimResult | RegistryError]]:
        at = time.monotonic()
        heartbeat = at - self._beaten >= HEARTBEAT
        if at - self._beaten >= self._lease_seconds:
            self._standing += 1  # before the heartbeat that would hide the gap
        done = self._store.commit(
            [item for item, _ in group.settlements],
            [item for item, _ in group.claims],
            group.published,
            self._worker,
            self._clock.now(),
            heartbeat,
        )
        if heartbeat:
            self._beaten = at
        self._committed = self._clock.monotonic()
        self._failing, self.failure = False, None
        if self._on_commit is not None and group.waiting:
            self._on_commit(time.monotonic() - at, group.waiting)
        return done

    def _patiently(self, work: Callable[[], T]) -> T:
        """Try again while the registry is busy, as long as the patience lasts (also at the end)."""
        until = time.monotonic() + self._patience
        attempt = 0
        while True:
            try:
                return work()
            except RegistryError as error:
                if error.code is not Code.REGISTRY_BUSY or time.monotonic() >= until:
                    raise
            time.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
            attempt += 1

    def _put_back(self, published: list[str]) -> None:
        with self._bell:
            room = _NOTES_KEPT - len(self._group.published)
            self._group.published[:0] = published[:room]

    def _answer(self, answers: list[tuple[asyncio.Future[Any], Any]]) -> None:
        """Hand the answers over in one call: waking the loop costs a system call each time."""
        if not answers or self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(_resolve, answers)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more


def _resolve(answers: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, answer in answers:
        if future.done():
            continue
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        else:
            future.set_result(answer)
