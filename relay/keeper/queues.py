"""Duty: looking over the queues and the ages, for whoever scrapes. Reads alone, in bounded portions.

Depth and consumers of each queue come from passive declares, which need no right but the login and cost the broker
next to nothing. Of the agencies' queues a portion is looked at each time, and the totals are those of the last look at
each. No series names an agency: for the worst of them there is a command.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, Literal, get_args

from relay.broker import names
from relay.errors import BrokerError
from relay.keeper.duty import Tools
from relay.model.message import Lane
from relay.observe.metrics import Metrics

State = Literal["empty", "moving", "behind", "unread", "missing"]
Series = Mapping[tuple[str, ...], float]

EVERY: Final = 3  # rounds from one look to the next
PORTION: Final = 500  # agencies' queues in one look
BEHIND_AFTER: Final = 600.0  # seconds that a queue with a consumer may go without becoming shorter

OWN: Final = (
    *(names.lane_queue(lane) for lane in Lane),
    *(names.retry_queue(rung) for rung in names.RUNGS),
    names.QUARANTINE,
    names.INSPECT,
)
"""The relay's own queues: a closed list, hence a label."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An agency's queue as it was seen last."""

    messages: int
    consumers: int
    since: float  # monotonic: since when it has not become shorter
    missing: bool = False

    def state(self, now: float) -> State:
        """Return the one word for it."""
        if self.missing:
            return "missing"
        if not self.messages:
            return "empty"
        if not self.consumers:
            return "unread"
        return "behind" if now - self.since >= BEHIND_AFTER else "moving"


class QueuesDuty:
    """Looks, and answers scrapes from what it saw last.

    Args:
        connected: gives the codes of the agencies that have a queue of their own.
        active: whether this keeper is the one at work; the others tell nothing, or all would be counted twice.
    """

    def __init__(self, connected: Callable[[], Sequence[str]], active: Callable[[], bool]) -> None:
        self._connected = connected
        self._active = active
        self._round = 0
        self._next = 0  # where the next portion begins
        self._own: dict[str, tuple[int, int]] = {}
        self._agencies: dict[str, Seen] = {}
        self._oldest: Mapping[str, datetime] | None = None
        self._now: Callable[[], datetime] | None = None
        self._monotonic: Callable[[], float] = float

    async def run(self, tools: Tools) -> int:
        """Look at one portion, every third round. Returns 0: nothing was done that is to be told of."""
        self._round += 1
        if (self._round - 1) % EVERY:
            return 0
        self._now, self._monotonic = tools.clock.now, tools.clock.monotonic
        self._oldest = await tools.commits.run(tools.registry.oldest_unfinished)
        codes = self._connected()
        portion = self._portion(codes)
        try:
            found = await tools.off(partial(tools.browser.seen, (*OWN, *map(names.agency_queue, portion))))
        except BrokerError:
            return 0
        self._own = {queue: seen for queue in OWN if (seen := found[queue]) is not None}
        now = tools.clock.monotonic()
        there = set(codes)
        agencies = {code: seen for code, seen in self._agencies.items() if code in there}
        for code in portion:
            agencies[code] = _after(agencies.get(code), found[names.agency_queue(code)], now)
        self._agencies = agencies  # replaced, never changed: a scrape reads it from another thread
        return 0

    def _portion(self, codes: Sequence[str]) -> Sequence[str]:
        if len(codes) <= PORTION:
            return codes
        start = self._next if self._next < len(codes) else 0
        self._next = start + PORTION
        return codes[start : start + PORTION]

    # --- scrapes

    def serve(self, metrics: Metrics) -> None:
        """Answer scrapes from now on."""
        metrics.read("truc_oldest_unfinished_age_seconds", self.ages)
        metrics.read("truc_queue_messages", lambda: self._of_own(0))
        metrics.read("truc_queue_consumers", lambda: self._of_own(1))
        metrics.read("truc_agency_queues", self.states)
        metrics.read("truc_agency_queue_messages", lambda: self._total(sum, "messages"))
        metrics.read("truc_agency_queue_messages_max", lambda: self._total(max, "messages"))
        metrics.read("truc_agency_queue_consumers", lambda: self._total(sum, "consumers"))

    def ages(self) -> Series:
        """Return the age of the oldest unfinished submission by lane, now."""
        oldest = self._oldest
        if oldest is None or self._now is None or not self._active():
            return {}
        now = self._now()
        ages = {lane: max(0.0, (now - at).total_seconds()) for lane, at in oldest.items()}
        return {(lane.value,): ages.get(lane.value, 0.0) for lane in names.LANES}

    def states(self) -> Series:
        """Return how many agencies' queues are in each state."""
        if not self._agencies or not self._active():
            return {}
        now = self._monotonic()
        counted = Counter(seen.state(now) for seen in self._agencies.values())
        return {(state,): counted[state] for state in get_args(State)}

    def _of_own(self, which: Literal[0, 1]) -> Series:
        return {(queue,): seen[which] for queue, seen in self._own.items()} if self._active() else {}

    def _total(self, of: Callable[[list[int]], int], what: Literal["messages", "consumers"]) -> Series:
        agencies = self._agencies
        if not agencies or not self._active():
            return {}
        return {(): of([getattr(seen, what) for seen in agencies.values()])}


def _after(before: Seen | None, found: tuple[int, int] | None, now: float) -> Seen:
    """Return a queue as it is, with what its past says about it."""
    if found is None:
        return Seen(0, 0, now, missing=True)
    messages, consumers = found
    # without a consumer nobody is behind: the time starts when one comes
    if before is None or not before.consumers or not 0 < before.messages <= messages:
        return Seen(messages, consumers, now)
    return Seen(messages, consumers, before.since)
