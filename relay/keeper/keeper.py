"""The keeper: one process beside the workers, made the only one by a lease in the registry.

It may be down for an hour without harm: every duty starts from what the registry and the broker hold.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from relay.errors import TransientError
from relay.keeper import deadlines, drops, lost, receipts
from relay.keeper.duty import Tools
from relay.keeper.quarantine import QuarantineDuty
from relay.model.ports import BrokerLink
from relay.observe import logs
from relay.observe.ready import Reason, of_registry, words
from relay.pipeline.epoch import EpochWatch
from relay.pipeline.report import Numbers

_log = logs.get("keeper")
_LEASE = "keeper"
_QUIET: Final = 15.0  # seconds without a successful commit before the keeper is not ready

Duty = tuple[str, Callable[[Tools], Awaitable[int]]]
"""A duty's name, from a closed list, and what it does in one round: returns how many things it did."""


class Keeper:
    """Runs the duties in turn while it holds the lease."""

    def __init__(
        self,
        *,
        name: str,
        link: BrokerLink,
        tools: Tools,
        epoch: EpochWatch,
        relay_user: str,
        numbers: Numbers,
        more: Sequence[Duty] = (),
        guard: Callable[[], Sequence[Reason]] = tuple,
        watch: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        """``more`` are duties after the keeper's own; ``guard`` is asked each round what else keeps us from working,
        ``watch`` for facts that stand in ``ready``."""
        self._name = name
        self._more = tuple(more)
        self._guard = guard
        self._watch = watch
        self._watched: Mapping[str, object] = {}
        self._hindered: Sequence[Reason] = ()
        self._link = link
        self._tools = tools
        self._epoch = epoch
        self._numbers = numbers
        self._receipts = receipts.ReceiptsDuty()
        self._quarantine = QuarantineDuty(relay_user)
        self._stopping = asyncio.Event()
        self._last_round = tools.clock.monotonic()
        self._holds_lease: bool = False

    async def run(self) -> None:
        """Connect and keep until ``stop``."""
        self._link.on_connected = self._epoch.check
        self._tools.commits.start()
        await self._link.start(lambda _lane, _message: None, {})
        try:
            while not self._stopping.is_set():
                await self._round()
                try:
                    await asyncio.wait_for(self._stopping.wait(), self._tools.policy.interval.total_seconds())
                except TimeoutError:
                    pass
        finally:
            await self._tools.commits.stop()
            await self._link.stop()

    def stop(self) -> None:
        """Ask for a clean stop (SIGTERM)."""
        self._stopping.set()

    def ready(self) -> tuple[bool, dict[str, object]]:
        """Whether the keeper's rounds go on; a keeper without the lease is well too: another one keeps."""
        age = self._tools.clock.monotonic() - self._last_round
        healthy = self._tools.commits.healthy(limit=_QUIET)
        facts: dict[str, object] = {
            "connected": self._link.connected,
            "blocked": self._link.blocked,
            "registry": healthy,
            "lease": self._holds_lease,
            "stopping": self._stopping.is_set(),
            "seconds_since_round": round(age, 1),
            **self._watched,
        }
        reasons = [*self._hindered]
        if not self._link.connected:
            reasons.append(Reason.BROKER_GONE)
        if self._link.blocked:
            reasons.append(Reason.BROKER_BLOCKED)
        if trouble := of_registry(self._tools.commits.failure, healthy=healthy):
            reasons.append(trouble)
        if age > 10 * self._tools.policy.interval.total_seconds() + 30:
            reasons.append(Reason.KEEPER_LATE)
        if self._stopping.is_set():
            reasons.append(Reason.STOPPING)
        return not reasons, {"reasons": words(reasons), **facts}

    @property
    def active(self) -> bool:
        """Whether this keeper is the one at work."""
        return self._holds_lease

    def lag(self) -> Mapping[tuple[str, ...], float]:
        """Return the seconds by which the next round is late, for a scrape."""
        age = self._tools.clock.monotonic() - self._last_round
        return {(): max(0.0, age - self._tools.policy.interval.total_seconds())}

    async def _still(self, duty: str) -> bool:
        """Renew the lease within a long round; False: another keeper has it."""
        tools = self._tools
        try:
            self._holds_lease = await tools.commits.run(
                lambda: tools.registry.lease(
                    _LEASE, self._name, tools.clock.now(), tools.policy.lease.total_seconds()
                )
            )
        except TransientError as error:
            logs.event(_log, logging.ERROR, "lease-failed", exc=error, duty=duty)
            return False
        return self._holds_lease

    async def _round(self) -> None:
        tools = self._tools
        self._hindered = self._guard()
        self._watched = self._watch()
        try:
            now = tools.clock.now()
            seconds = tools.policy.lease.total_seconds()
            held = await tools.commits.run(lambda: tools.registry.lease(_LEASE, self._name, now, seconds))
            if held and not self._holds_lease:
                # another keeper may have counted on while this one waited
                self._numbers.go_on_from(
                    await tools.commits.run(lambda: tools.registry.last_receipt_number(self._numbers.prefix))
                )
            self._holds_lease = held
        except TransientError as error:
            self._holds_lease = False  # for all that is known another one keeps
            tools.metrics.keeper_active(False)
            logs.event(_log, logging.ERROR, "lease-failed", exc=error)
            return
        tools.metrics.keeper_active(self._holds_lease)
        self._last_round = tools.clock.monotonic()
        if not self._holds_lease or not self._link.connected or self._link.blocked:
            return
        duties: tuple[Duty, ...] = (
            ("receipts", self._receipts.run),
            ("outcomes", receipts.finish_outcomes),
            ("deadlines", deadlines.tell_overdue),
            ("give-up", deadlines.give_up),
            ("lost", lost.tell_lost),
            ("quarantine", self._quarantine.run),
            ("drops", drops.tell_dropped),
            *self._more,
        )
        until = self._last_round + tools.policy.lease.total_seconds() / 2
        for name, duty in duties:
            if tools.clock.monotonic() > until and not await self._still(name):
                return
            try:
                done = await duty(tools)
            except Exception as error:  # noqa: BLE001 - one duty that fails, or one bad row, stops no other duty
                tools.metrics.duty_failed(name)
                logs.event(_log, logging.ERROR, "duty-failed", exc=error, duty=name)
            else:
                if done:
                    logs.event(_log, logging.INFO, "duty", duty=name, count=done)
        tools.metrics.keeper_round(tools.clock.monotonic() - self._last_round)
