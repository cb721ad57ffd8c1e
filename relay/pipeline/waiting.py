"""Waiting for revocation data: a submission that nothing current can decide is put off, never refused in haste.

Nothing is stored, the ladder alone remembers, as for a status whose document is not there yet. It waits until its
deadline at the latest, and then the refusal is told. A sender who submits again in the meantime puts no second copy on
the ladder of this worker.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from relay.errors import Code
from relay.model.message import Incoming, Lane, Properties
from relay.model.ports import BrokerLink, Clock
from relay.observe import logs
from relay.observe.metrics import Metrics
from relay.pipeline.accept import Submission
from relay.pipeline.defer import Deferrer
from relay.pipeline.deliver import Ladder
from relay.pipeline.plan import HandlerPolicy
from relay.pipeline.verify import Unproven

_log = logs.get("pipeline.waiting")
_HIGHEST: Final = 3  # rung: a list that has come is made use of within ten minutes
_REMEMBERED: Final = 10_000


class Waiting:
    """Decides who waits, and puts them off."""

    def __init__(
        self,
        link: BrokerLink,
        deferrer: Deferrer,
        ladder: Ladder,
        policy: HandlerPolicy,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._link = link
        self._deferrer = deferrer
        self._ladder = ladder
        self._policy = policy
        self._metrics = metrics
        self._clock = clock
        # On the ladder until this monotonic time, and in the session of that message: what came before a connection was
        # lost may have gone with the broker's data.
        self._there: dict[tuple[str, str, str], tuple[float, Incoming]] = {}

    def may_wait(self, unproven: Unproven, now: datetime) -> bool:
        """Whether only revocation data are missing, and there is time left."""
        return unproven.waits and now < self._until(unproven.submission)

    async def put_off(self, submission: Submission, code: Code) -> None:
        """Put the body on the ladder, unless it is there, and acknowledge."""
        key = (submission.user, submission.transport_id, submission.sha256)
        now = self._clock.monotonic()
        if submission.retry or not self._is_there(key, now):
            attempt = submission.attempt + 1
            step = min(attempt, _HIGHEST)
            await self._deferrer.put(submission, attempt, step)
            self._remember(key, submission.message, now, self._ladder.rung(step)[1])
            self._metrics.deferred(code)
            logs.event(
                _log,
                logging.WARNING,
                "waits",
                user=submission.user,
                transport_id=submission.transport_id,
                code=code,
                until=self._until(submission),
            )
        self._link.ack(submission.message)

    def _until(self, submission: Submission) -> datetime:
        last = submission.first_seen + self._policy.unknown_revocation
        if submission.deadline is not None:
            return min(last, submission.deadline)
        if submission.lane is Lane.URGENT:
            return min(last, submission.first_seen + self._policy.urgent_deadline)
        if submission.lane is Lane.NORMAL:
            return min(last, submission.first_seen + self._policy.normal_deadline)
        return last

    def _is_there(self, key: tuple[str, str, str], now: float) -> bool:
        until, message = self._there.get(key, (now, None))
        return message is not None and until > now and self._link.current(message)

    def _remember(self, key: tuple[str, str, str], message: Incoming, now: float, delay: timedelta) -> None:
        if len(self._there) >= _REMEMBERED:
            self._there = {one: there for one, there in self._there.items() if there[0] > now}
        if len(self._there) < _REMEMBERED:
            light = replace(message, body=b"", properties=Properties())
            self._there[key] = (now + delay.total_seconds(), light)
