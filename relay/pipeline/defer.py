"""Defer: the body on the retry ladder, confirmed, before anything depends on its being there."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from relay.broker import names
from relay.errors import BrokerError, Code
from relay.model.message import Outgoing, Published
from relay.model.ports import BrokerLink
from relay.model.record import Document
from relay.model.times import rfc3339
from relay.observe.metrics import Metrics
from relay.pipeline.accept import Submission
from relay.pipeline.deliver import Ladder

_QUICK_RETRIES: Final = 6


class Deferrer:
    """Puts bodies on the ladder."""

    def __init__(self, link: BrokerLink, ladder: Ladder, metrics: Metrics) -> None:
        self._link = link
        self._ladder = ladder
        self._metrics = metrics
        self.refused = 0
        """How many bodies in hand the ladder does not take just now, since it is full."""

    async def put(
        self, submission: Submission, attempt: int, step: int, document: Document | None = None
    ) -> None:
        """Put the body on the ladder's ``step``-th rung, or on another while that is full, under the identity of the
        document whose deliveries are open; returns once the broker has it."""
        rungs = self._ladder.instead(step)
        first_seen = document.accepted_at if document else submission.first_seen
        headers = {
            names.H_USER: document.user if document else submission.user,
            names.H_LANE: document.lane if document else submission.lane.value,
            names.H_ATTEMPT: str(attempt),
            names.H_FIRST_SEEN: rfc3339(first_seen),
        }
        if submission.deadline_text is not None:
            headers[names.H_DEADLINE] = submission.deadline_text
        copy = Outgoing(
            exchange=names.RETRY,
            routing_key=rungs[0],
            body=submission.body,
            message_id=document.transport_id if document else submission.transport_id,
            type=submission.kind.value,
            content_type=names.CONTENT_EDXML,
            correlation_id=submission.hint,
            headers=headers,
            as_self=True,
        )
        pause, refused = 0.1, False
        try:
            while (result := await self._somewhere(copy, rungs)) is not Published.CONFIRMED:
                if not self._link.current(submission.message):
                    raise BrokerError(Code.BROKER_UNREACHABLE, f"retry: {result.value}")
                self.refused += (result is Published.NACKED) - refused
                refused = result is Published.NACKED
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
        finally:
            self.refused -= refused

    async def _somewhere(self, copy: Outgoing, rungs: tuple[str, ...]) -> Published:
        """Publish to the first rung that is not full; NACKED: all are."""
        result = Published.NACKED
        for rung in rungs:
            result = await self._link.publish(replace(copy, routing_key=rung))
            if result is not Published.NACKED:
                break
        return result

    async def defer(self, submission: Submission, code: Code, *, lowest: bool = False) -> None:
        """Defer before T1 and acknowledge: nothing is stored, the ladder alone remembers."""
        attempt = submission.attempt + 1
        step = 1 if lowest or attempt <= _QUICK_RETRIES else 2  # a document mostly comes within seconds
        await self.put(submission, attempt, step)
        self._metrics.deferred(code)
        self._link.ack(submission.message)
