"""Duty: the evidence. Seals what the processes put on record, signs heads, has them time-stamped, checks the log.

Nothing of the hot path waits for it: it reads what is committed, off the event loop, and writes rows of its own. It may be
down for an hour: the records stand in their chains, and are sealed when it is back. Asking the time-stamp authority goes
on beside the rounds, so that one which does not answer holds up nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from relay.errors import RefusedError, TransientError
from relay.evidence.heads import read_head
from relay.evidence.sealing import LogCheck, Sealer, SealingPolicy, Sign
from relay.keeper.duty import Tools
from relay.model.keeping import EvidenceStore, StoredHead, TimeStamp
from relay.model.ports import Clock
from relay.observe import logs
from relay.observe.metrics import Metrics

_log = logs.get("keeper.evidence")
_SEALING: Final = 2.0  # seconds of one round at most; what is left is taken by the next
_CHECKING: Final = 0.5
_FIRST_PAUSE: Final = timedelta(seconds=5)  # after an authority has failed; doubled up to the usual interval

Series = Mapping[tuple[str, ...], float]
Authority = Callable[[bytes], TimeStamp]
"""Has the SHA-256 of a head's text time-stamped: blocks, raises ``TransientError`` or ``RefusedError``. The number in its
answer is filled in by the caller."""


@dataclass(frozen=True, slots=True)
class EvidencePolicy:
    """Numbers of the duty, from the settings."""

    sealing: SealingPolicy
    check_records: int  # in one round
    stamp: timedelta  # between two time-stamps


@dataclass(frozen=True, slots=True)
class Seen:
    """The log as the duty saw it last, for scrapes."""

    waiting: int  # records that no batch holds
    broken: int  # chains that cannot be sealed
    size: int  # batches
    head_at: datetime | None
    head_size: int
    behind_since: float | None  # monotonic: since when batches wait for a head
    faults: int
    forks: int
    witnessed_at: datetime | None  # the oldest of the witnesses' last signs


class EvidenceDuty:
    """Runs the log.

    Args:
        store: the log as the registry stores it.
        relay: the relay's name.
        sign: the relay's signer.
        policy: numbers.
        clock: time.
        authority: asks the time-stamp authority; None: there is none.
        active: whether this keeper is the one at work: the others tell nothing.
    """

    def __init__(
        self,
        store: EvidenceStore,
        relay: str,
        sign: Sign,
        policy: EvidencePolicy,
        clock: Clock,
        authority: Authority | None = None,
        active: Callable[[], bool] = lambda: True,
    ) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        self._authority = authority
        self._active = active
        self._sealer = Sealer(store, relay, sign, clock, policy.sealing)
        self._check = LogCheck(store, clock)
        self._seen: Seen | None = None
        self._known_faults = -1
        self._asking: asyncio.Task[None] | None = None
        self._ask_after = clock.monotonic()
        self._pause = min(_FIRST_PAUSE, policy.stamp)
        self._stamped: float | None = (
            None  # monotonic: when the last time-stamp came, or the first was wanted
        )
        self._stamped_number = 0

    async def run(self, tools: Tools) -> int:
        """Seal, sign, check; ask for a time-stamp beside it. Returns how many batches and heads were made."""
        joined, head = await tools.off(self._round)
        if head is not None:
            facts = read_head(head.signed.text)
            logs.event(_log, logging.INFO, "head", number=head.number, batch=head.size, count=facts.records)
        self._stamp(tools)
        return joined + (head is not None)

    def _round(self) -> tuple[int, StoredHead | None]:
        clock = self._clock
        try:
            joined = self._sealer.seal(clock.monotonic() + _SEALING)
            head = self._sealer.head()
        finally:  # a key that is away, say: the log is checked and its state told all the same
            if self._policy.check_records:
                self._check.run(self._policy.check_records, clock.monotonic() + _CHECKING)
            self._look()
        return joined, head

    def _look(self) -> None:
        last, size = self._store.last_head(), self._store.size()
        facts = None if last is None else read_head(last.signed.text)
        behind = size > (0 if facts is None else facts.size)
        before = self._seen.behind_since if self._seen is not None else None
        faults, forks = self._store.faults(), self._store.forks()
        signs: dict[str, datetime] = {}
        for stored in self._store.statements():
            signs[stored.witness] = max(stored.at, signs.get(stored.witness, stored.at))
        self._seen = Seen(  # replaced, never changed: a scrape reads it from another thread
            waiting=self._sealer.waiting,
            broken=len(self._sealer.broken),
            size=size,
            head_at=None if facts is None else facts.at,
            head_size=0 if facts is None else facts.size,
            behind_since=(before if before is not None else self._clock.monotonic()) if behind else None,
            faults=len(faults),
            forks=len(forks),
            witnessed_at=min(signs.values(), default=None),
        )
        if len(faults) > max(self._known_faults, 0):
            for fault in faults[max(self._known_faults, 0) :]:
                logs.event(_log, logging.ERROR, "evidence-fault", detail=f"{fault.place}: {fault.what}")
        self._known_faults = len(faults)

    # --- time-stamps

    def _stamp(self, tools: Tools) -> None:
        authority, now = self._authority, self._clock.monotonic()
        if authority is None or (self._asking is not None and not self._asking.done()):
            return
        if now < self._ask_after:
            return
        self._asking = asyncio.get_running_loop().create_task(self._ask(tools, authority))

    async def _ask(self, tools: Tools, authority: Authority) -> None:
        try:
            stamp = await tools.off(lambda: self._stamp_newest(authority))
        except (TransientError, RefusedError) as error:
            self._ask_after = self._clock.monotonic() + self._pause.total_seconds()
            self._pause = min(self._pause * 2, max(self._policy.stamp, _FIRST_PAUSE))
            logs.event(_log, logging.WARNING, "time-stamp-failed", exc=error)
            return
        now = self._clock.monotonic()
        if stamp is None:
            self._ask_after = now + min(_FIRST_PAUSE, self._policy.stamp).total_seconds()
            return
        self._ask_after = now + self._policy.stamp.total_seconds()
        self._pause = min(_FIRST_PAUSE, self._policy.stamp)
        logs.event(_log, logging.INFO, "time-stamped", number=stamp.number)

    def _stamp_newest(self, authority: Authority) -> TimeStamp | None:
        head = self._store.unstamped(self._stamped_number)
        if head is None:
            self._stamped = None  # nothing waits
            return None
        if self._stamped is None:
            self._stamped = self._clock.monotonic()
        answer = authority(head.signed.text)
        stamp = TimeStamp(head.number, answer.authority, answer.at, answer.token)
        self._store.add_stamp(stamp)
        self._stamped_number, self._stamped = head.number, None
        return stamp

    # --- scrapes

    def serve(self, metrics: Metrics) -> None:
        """Answer scrapes from now on."""
        metrics.read("truc_evidence_records_waiting", lambda: self._of(lambda seen: seen.waiting))
        metrics.read("truc_evidence_chains_broken", lambda: self._of(lambda seen: seen.broken))
        metrics.read("truc_evidence_batches", lambda: self._of(lambda seen: seen.size))
        metrics.read("truc_evidence_faults", lambda: self._of(lambda seen: seen.faults))
        metrics.read("truc_evidence_forks", lambda: self._of(lambda seen: seen.forks))
        metrics.read("truc_evidence_head_lag_seconds", lambda: self._of(self._head_lag))
        metrics.read("truc_evidence_time_stamp_lag_seconds", self._stamp_lag)
        metrics.read("truc_evidence_witness_age_seconds", self._witness_age)
        metrics.read("truc_evidence_check_rounds", lambda: self._of(lambda _: self._check.rounds))

    def _of(self, what: Callable[[Seen], float]) -> Series:
        seen = self._seen
        return {} if seen is None or not self._active() else {(): float(what(seen))}

    def _head_lag(self, seen: Seen) -> float:
        return 0.0 if seen.behind_since is None else max(0.0, self._clock.monotonic() - seen.behind_since)

    def _stamp_lag(self) -> Series:
        if self._authority is None or not self._active():
            return {}
        since = self._stamped
        return {(): 0.0 if since is None else max(0.0, self._clock.monotonic() - since)}

    def _witness_age(self) -> Series:
        seen = self._seen
        if seen is None or seen.witnessed_at is None or not self._active():
            return {}
        return {(): max(0.0, (self._clock.now() - seen.witnessed_at).total_seconds())}
