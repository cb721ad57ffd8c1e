"""The worker: two connections, a window of documents in hand, and the watch over its own progress.

Takes its parts from outside; runs until told to stop. What the broker's green lights say does not count here: a worker
is well while what it holds gets settled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from relay.errors import BrokerError, RegistryError
from relay.model.message import Incoming, Lane
from relay.model.ports import BrokerLink, Clock
from relay.observe import logs
from relay.observe.metrics import Ending as CountedEnding
from relay.observe.metrics import Metrics
from relay.observe.ready import WAITED_FOR, Reason, of_registry, words
from relay.pipeline.epoch import EpochWatch
from relay.pipeline.handler import Ending, Handler
from relay.pipeline.lanes import Lanes
from relay.registry.group import GroupCommitter

_log = logs.get("pipeline.worker")
_TICK = 0.5
_FINISH = 20.0  # seconds that documents in hand have at a stop
_PAUSE: Final = 1 / 6  # of the time after which all is given back, before nothing more is taken
COUNTED: Final[dict[Ending, CountedEnding]] = {
    Ending.ACCEPTED: "accepted",
    Ending.REFUSED: "refused",
    Ending.REPEATED: "repeated",
    Ending.ABSORBED: "repeated",
    Ending.DEFERRED: "deferred",
    Ending.QUARANTINED: "quarantined",
}


@dataclass(frozen=True, slots=True)
class WorkerPolicy:
    """Numbers of the worker, from the settings."""

    prefetch: dict[Lane, int]
    stall: float = 30.0  # seconds without a settled document while some are in hand
    registry_quiet: float = 15.0  # seconds without a successful commit before the worker is not ready
    give_back: float = 60.0  # seconds that what the broker handed out may wait for a cause to pass


class Worker:
    """Runs the handler over the lanes."""

    def __init__(
        self,
        *,
        name: str,
        link: BrokerLink,
        commits: GroupCommitter,
        handler: Handler,
        lanes: Lanes,
        epoch: EpochWatch,
        policy: WorkerPolicy,
        metrics: Metrics,
        clock: Clock,
        watch: Callable[[], Mapping[str, object]] = dict,
        guard: Callable[[], Sequence[Reason]] = tuple,
    ) -> None:
        """``watch`` is asked at each look at our own progress; what it returns stands among the facts of ``ready``.

        ``guard`` is asked there what else keeps us from working (the clock, the disk); for some of that nothing new is
        started (``WAITED_FOR``).
        """
        self._name = name
        self._link = link
        self._commits = commits
        commits.busy = lanes.fullness
        self._handler = handler
        self._lanes = lanes
        self._epoch = epoch
        self._policy = policy
        self._metrics = metrics
        self._clock = clock
        self._facts = watch
        self._watched: Mapping[str, object] = {}
        self._guard = guard
        self._hindered: Sequence[Reason] = ()
        self._waits = False  # for a cause in WAITED_FOR to pass
        self._held_up: float | None = None  # monotonic: since when nothing may be started
        self._paused = False
        self._gave_back = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._alone = False  # a message that was seen before is in hand: nothing else starts
        self._last_settled = clock.monotonic()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Connect, take, settle, until ``stop``; then finish what is in hand and give the rest back."""
        self._link.on_connected = self._epoch.check
        self._commits.start()
        self._look_out()  # before the first message comes
        await self._link.start(self._on_message, self._policy.prefetch)
        logs.event(_log, logging.INFO, "worker-takes")
        try:
            while not self._stopping.is_set():
                await self._watch()
        finally:
            await self._finish()
            logs.event(_log, logging.INFO, "worker-stopped")

    def stop(self) -> None:
        """Ask for a clean stop (SIGTERM)."""
        self._stopping.set()

    def ready(self) -> tuple[bool, dict[str, object]]:
        """Whether the worker can do its work now, and why not."""
        silent = self._clock.monotonic() - self._last_settled
        busy = self._lanes.documents or self._lanes.waiting()
        facts: dict[str, object] = {
            "consuming": self._link.consuming,
            "blocked": self._link.blocked,
            "registry": self._commits.healthy(limit=self._policy.registry_quiet),
            "moving": not busy or self._held_up is not None or silent < self._policy.stall,
            "stopping": self._stopping.is_set(),
            "paused": self._paused,
            "in_hand": self._lanes.documents,
            "waiting": self._lanes.waiting(),
            **self._watched,
        }
        reasons = [*self._hindered]
        if not self._link.connected:
            reasons.append(Reason.BROKER_GONE)
        elif not facts["consuming"] and not self._paused:
            reasons.append(Reason.CONSUMER_MISSING)
        if facts["blocked"]:
            reasons.append(Reason.BROKER_BLOCKED)
        if trouble := of_registry(self._commits.failure, healthy=bool(facts["registry"])):
            reasons.append(trouble)
        if not facts["moving"]:
            reasons.append(Reason.STALLED)
        if facts["stopping"]:
            reasons.append(Reason.STOPPING)
        return not reasons, {"reasons": words(reasons), **facts}

    def _on_message(self, lane: Lane, message: Incoming) -> None:
        # Also while we stop: given back before the broker knows that we take no more, it would come again, and count.
        self._lanes.put(lane, message)
        self._start_next()

    def _start_next(self) -> None:
        """Start what the window has room for, unless we stop or the registry or the broker is in trouble."""
        while not self._alone and not self._stopping.is_set() and self._may_start():
            if (taken := self._lanes.take()) is None:
                return
            lane, message = taken
            if not self._link.current(message):
                self._lanes.done(message)  # its session is gone: the broker delivers it again
                continue
            if message.delivery_count > 0:
                self._metrics.redelivered(lane)
                self._alone = True
            task = asyncio.create_task(self._run_one(lane, message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run_one(self, lane: Lane, message: Incoming) -> None:
        try:
            if message.delivery_count > 0:
                await self._others()
            started = self._clock.monotonic()
            ending = await self._handler.handle(lane, message)
            seconds = self._clock.monotonic() - started
            self._metrics.stage("total", seconds)
            self._note(lane, message, ending, seconds)
            if ending is not Ending.ABANDONED:
                self._last_settled = self._clock.monotonic()
                self._metrics.settled(lane, COUNTED[ending], self._clock.now())
        finally:
            self._lanes.done(message)
            if message.delivery_count > 0:
                self._alone = False
            self._start_next()

    def _note(self, lane: Lane, message: Incoming, ending: Ending, seconds: float) -> None:
        """One line for each message: which, from whom, how it ended. Nothing of its content."""
        logs.event(
            _log,
            logging.INFO,
            "message-ended",
            transport_id=message.properties.message_id,
            outcome=ending,
            lane=lane,
            user=message.properties.user_id,
            kind=message.properties.type,
            bytes=len(message.body),
            seconds=round(seconds, 4),
        )

    async def _others(self) -> None:
        """Wait until nothing else is in hand: a message that may have killed a worker takes no company along. But for what
        waits for room on the ladder: there is none before somebody takes from ``due``."""
        mine = asyncio.current_task()
        while others := [task for task in self._tasks if task is not mine]:
            await asyncio.wait(others, timeout=_TICK)
            if self._handler.ladder_full:
                return

    async def _watch(self) -> None:
        """One look at our own progress."""
        try:
            await asyncio.wait_for(self._stopping.wait(), _TICK)
        except TimeoutError:
            pass
        self._metrics.in_flight(self._lanes.documents, self._lanes.bytes)
        self._watched = self._facts()
        self._look_out()
        await self._let_others()
        now = self._clock.monotonic()
        if not (self._lanes.documents or self._lanes.waiting()):
            self._last_settled = now
        elif now - self._last_settled > self._policy.stall and self._may_move():
            logs.event(_log, logging.ERROR, "stalled", in_flight=self._lanes.documents)
            self._last_settled = now
            await self._link.renew()
        self._start_next()

    def _look_out(self) -> None:
        """Ask what else keeps us from working."""
        self._hindered = self._guard()
        self._waits = not WAITED_FOR.isdisjoint(self._hindered)

    def _may_start(self) -> bool:
        return not self._link.blocked and not self._waits and self._commits.accepting

    def _is_held_up(self) -> bool:
        """Whether something keeps us from working that lasts; a registry that is only busy writing does not."""
        return self._link.blocked or self._waits or self._commits.failure is not None

    async def _let_others(self) -> None:
        """Keep nothing from workers that can do what we cannot: take nothing more after a while, then give back what waits
        here; take again once the cause is gone. Being handed out for half an hour would end a channel anyhow
        (``consumer_timeout``).

        First the one, then the other: where all workers wait for the same cause, what is given back goes round among
        them otherwise, each round counts, and what was handed out too often is set aside.
        """
        now = self._clock.monotonic()
        if not self._is_held_up():
            if self._held_up is not None:
                self._last_settled = now  # nothing could be settled meanwhile: no stall
            self._held_up = None
            if self._paused:
                logs.event(_log, logging.INFO, "worker-takes")
                self._paused = self._gave_back = False
                await self._link.resume()
            return
        if self._held_up is None:
            self._held_up = now
        waited = now - self._held_up
        if not self._paused and waited >= self._policy.give_back * _PAUSE:
            self._paused = True
            logs.event(_log, logging.WARNING, "worker-pauses", detail=" ".join(words(self._hindered)) or None)
            await self._link.pause()
        # An alarm holds up all workers; what is being published goes on after it, and would be done twice.
        if not self._gave_back and waited >= self._policy.give_back and not self._link.blocked:
            self._gave_back = True
            logs.event(_log, logging.WARNING, "worker-gives-back", count=self._lanes.waiting())
            self._lanes.drain()  # closing the channels gives it back, and what is in hand and waits too
            await self._link.give_back()

    def _may_move(self) -> bool:
        """Whether nothing but the link can be the reason. Each renewal counts as a delivery of all that is in hand, and
        what was delivered too often is set aside: no renewal for the sake of the registry, an alarm or a full ladder."""
        return self._may_start() and self._link.connected and not self._handler.ladder_full

    async def _finish(self) -> None:
        await self._link.cancel()
        for message in self._lanes.drain():
            self._link.requeue(message)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_FINISH)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        try:
            await self._commits.stop()
        except (RegistryError, BrokerError) as error:
            logs.event(_log, logging.ERROR, "stop-failed", exc=error)
        await self._link.stop()
