"""The ports of a process that may die: each write and each publish is a point, after which nothing runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from relay.broker.memory import MemoryBroker, MemoryLink
from relay.errors import BrokerError, Code
from relay.model.message import Incoming, Lane, Outgoing, Published
from relay.model.record import Claim, ClaimResult, Settled, Settlement
from relay.registry import GroupCommitter, SqlRegistry
from tests.support.virtual import VirtualClock

P = ParamSpec("P")
T = TypeVar("T")


class Crash(BaseException):
    """The worker is dead: nothing catches this."""


@dataclass
class Life:
    """One process from its start to its death."""

    die_at: int | None = None
    count: int = 0
    alive: bool = True
    story: list[str] = field(default_factory=list)

    def point(self, what: str) -> None:
        if not self.alive:
            raise Crash
        self.count += 1
        self.story.append(what)
        if self.count == self.die_at:
            self.alive = False
            raise Crash

    def around(self, what: str, act: Callable[[], T]) -> T:
        """Do it, unless dead; death comes after it: before it is after the one before."""
        if not self.alive:
            raise Crash
        done = act()
        self.point(what)
        return done


class DirectCommits(GroupCommitter):
    """The committer without its thread: each call is one transaction, at once."""

    def __init__(
        self,
        store: SqlRegistry,
        worker: str,
        clock: VirtualClock,
        life: Life,
        writes: Callable[[], int] = lambda: 0,
    ) -> None:
        super().__init__(store, worker, clock)
        self.store = store
        self.writes = writes
        self.life = life
        self.trouble: Callable[[str], None] = lambda _what: None
        self.failing = False
        self.stopped = False
        self.beaten = float("-inf")

    def start(self) -> None:
        self.store.heartbeat(self.worker, self._clock.now())

    async def stop(self) -> None:
        self.stopped = True
        self.life.around("release", lambda: self.store.release(self.worker))

    def _do(self, what: str | None, act: Callable[[], T]) -> T:
        if not self.life.alive:
            raise Crash
        try:
            self.trouble(what or "look")
        except Exception:
            self.failing = True
            raise
        self.failing = False
        if self._clock.monotonic() - self.beaten > 1:
            self.beaten = self._clock.monotonic()
            self.store.heartbeat(self.worker, self._clock.now())
        return act() if what is None else self.life.around(what, act)

    async def claim(self, claim: Claim) -> ClaimResult:
        await asyncio.sleep(0)
        return self._do("T1", lambda: self.store.claim([claim], self.worker, self._clock.now())[0])

    async def take(self, claim: Claim) -> tuple[ClaimResult, int]:
        return await self.claim(claim), 0

    def stands(self, standing: int) -> bool:
        return True

    async def settle(self, settlement: Settlement) -> Settled:
        await asyncio.sleep(0)
        return self._do("T2", lambda: self.store.settle([settlement], self.worker, self._clock.now())[0])

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Death after a look that changed nothing is death before it: only writes are points."""
        await asyncio.sleep(0)
        before = self.writes()
        done = self._do(None, lambda: call(*args, **kwargs))
        if self.writes() != before:
            self.life.point("write")
        return done

    def note_published(self, number: str) -> None:
        self._do(None, lambda: self.store.published([number], self._clock.now()))

    @property
    def accepting(self) -> bool:
        return not self.failing and not self.stopped

    def healthy(self, now: float | None = None, limit: float = 6.0) -> bool:
        return not self.failing


Script = Callable[[Outgoing], Published | None]


class PointedLink:
    """The port ``BrokerLink`` over the memory link. ``script`` may answer a publish in the broker's place."""

    def __init__(
        self, inner: MemoryLink, life: Life, script: Script, on_ack: Callable[[Incoming], None]
    ) -> None:
        self.inner = inner
        self.life = life
        self.script = script
        self.on_ack = on_ack
        self.on_connected: Callable[[], Awaitable[None]] | None = None
        self.renewals = 0
        self.returns = 0
        self.published: list[Outgoing] = []

    async def start(self, on_message: Callable[[Lane, Incoming], None], prefetch: dict[Lane, int]) -> None:
        self.inner.on_connected = self.on_connected
        await self.inner.start(on_message, prefetch)

    async def stop(self) -> None:
        await self.inner.stop()

    async def cancel(self) -> None:
        await self.inner.cancel()

    async def pause(self) -> None:
        await self.inner.pause()

    async def give_back(self) -> None:
        self.returns += 1
        await self.inner.give_back()

    async def resume(self) -> None:
        await self.inner.resume()

    async def renew(self) -> None:
        self.renewals += 1
        await self.inner.renew()

    async def wait_connected(self) -> None:
        await self.inner.wait_connected()

    @property
    def connected(self) -> bool:
        return self.inner.connected

    @property
    def consuming(self) -> bool:
        return self.inner.consuming

    @property
    def blocked(self) -> bool:
        return self.inner.blocked

    def current(self, message: Incoming) -> bool:
        return self.inner.current(message)

    async def mark_stands(self, mark: str) -> bool:
        return await self.inner.mark_stands(mark)

    async def set_mark(self, mark: str) -> None:
        await self.inner.set_mark(mark)

    async def publish(self, message: Outgoing) -> Published:
        return await self.submit(message)

    def submit(self, message: Outgoing) -> asyncio.Future[Published]:
        what = f"publish {message.exchange} {message.routing_key}"
        if not self.life.alive:
            raise Crash
        self.published.append(message)
        answer = self.script(message)
        if answer is None:
            future = self.inner.submit(message)
        else:
            future = asyncio.get_running_loop().create_future()
            future.set_result(answer)
        self.life.point(what)
        return future

    def ack(self, message: Incoming) -> None:
        if self.life.alive and self.inner.current(message):
            self.on_ack(message)
        self.life.around("ack", lambda: self.inner.ack(message))

    def requeue(self, message: Incoming) -> None:
        self.life.around("requeue", lambda: self.inner.requeue(message))


class Browse:
    """The keeper's look into queues."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self.broken = False

    def _check(self) -> None:
        if self.broken:
            raise BrokerError(Code.BROKER_UNREACHABLE, "no broker")

    def depth(self, queue: str) -> int:
        self._check()
        return self.broker.depth(queue)

    def depths(self, queues: tuple[str, ...]) -> dict[str, int]:
        self._check()
        return {queue: self.broker.depth(queue) for queue in queues}

    def seen(self, queues: tuple[str, ...]) -> dict[str, tuple[int, int] | None]:
        self._check()
        return {
            name: (len(queue.ready), sum(one.queue == name for one in self.broker._consumers))
            if (queue := self.broker.queues.get(name)) is not None
            else None
            for name in queues
        }

    def each(self, queue: str, limit: int, see: Callable[[Incoming], T]) -> list[T]:
        self._check()
        return [
            see(Incoming(queue, one.exchange, one.routing_key, one.properties, one.body, True, 1, 1, 1))
            for one in list(self.broker.queues[queue].ready)[:limit]
        ]
