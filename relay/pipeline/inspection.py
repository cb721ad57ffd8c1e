"""Inspection: a document's body handed over to the keeper's inspector, and the deliveries that wait for its verdict.

The body goes to ``inspect`` after T2 and is confirmed there before the ingress delivery is acknowledged, only where there
is something to inspect. A crash between makes a repetition, which asks once more unless the verdict is stored; a second
copy in ``inspect`` finds it stored. Where the policy holds deliveries up, they stay planned and the body goes round the
ladder until the verdict stands or the time for it is over.
"""

from __future__ import annotations

from asyncio import Future
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from relay.broker import names
from relay.errors import Code
from relay.model.delivery import Delivery, State
from relay.model.inspection import AttachmentSource, InspectionResult
from relay.model.message import Kind, Outgoing, Published
from relay.model.ports import Clock, Publisher, Registry
from relay.model.record import Document, Move
from relay.model.times import rfc3339
from relay.observe.metrics import Metrics
from relay.pipeline.accept import Submission
from relay.pipeline.defer import Deferrer
from relay.pipeline.deliver import Ladder
from relay.registry.group import GroupCommitter

Hold = Literal["never", "altered", "any-failure"]
_PATIENT: Final = 6  # looks at the lowest rung before the next one is taken
REFUSED: Final[dict[Hold, frozenset[InspectionResult]]] = {
    "never": frozenset(),
    "altered": frozenset({InspectionResult.ALTERED}),
    "any-failure": frozenset({InspectionResult.ALTERED, InspectionResult.DOUBTFUL}),
}


@dataclass(frozen=True, slots=True)
class InspectionPolicy:
    """What is inspected, and what waits for it."""

    everything: bool  # also files without a mark of a signature
    hold: Hold
    hold_for: timedelta
    then_deliver: bool  # when no verdict came in that time


@dataclass(frozen=True, slots=True)
class Passed:
    """Deliveries may go on; ``late``: though no verdict came in time."""

    late: bool = False

    def noted(self, moves: tuple[Move, ...]) -> tuple[Move, ...]:
        """Return the moves with the remark on those that were queued too late for a verdict."""
        if not self.late:
            return moves
        return tuple(
            replace(move, code=Code.ATTACHMENT_UNCHECKED) if move.state is State.QUEUED else move
            for move in moves
        )


class Inspection:
    """The worker's side of inspection."""

    def __init__(
        self,
        publisher: Publisher,
        registry: Registry,
        commits: GroupCommitter,
        deferrer: Deferrer,
        source: AttachmentSource,
        policy: InspectionPolicy,
        ladder: Ladder,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._publisher = publisher
        self._registry = registry
        self._commits = commits
        self._deferrer = deferrer
        self._source = source
        self._policy = policy
        self._ladder = ladder
        self._metrics = metrics
        self._clock = clock

    @property
    def ladder_full(self) -> bool:
        """Whether a body waits for room on the ladder."""
        return self._deferrer.refused > 0

    def wanted(self, document: Document, body: bytes) -> bool:
        """Whether a submission has something to inspect. Of several of the same bytes only the first is inspected."""
        if document.kind is not Kind.EDOC or document.refusal is not None:
            return False
        if document.same_content_as is not None:
            return False
        if all(one.state is State.REFUSED for one in document.deliveries):
            return False
        return self._source.may_be_signed(body, unsigned_too=self._policy.everything)

    async def wanted_still(self, document: Document, body: bytes) -> bool:
        """``wanted``, of a submission that was in hand before: unless its verdict stands."""
        if not self.wanted(document, body):
            return False
        return await self._commits.run(self._registry.inspected, document.row) is None

    def hand_over(self, document: Document, body: bytes) -> Future[Published]:
        """Publish the body to ``inspect``; await the answer with ``taken``."""
        return self._publisher.submit(message_for(document, body))

    async def taken(
        self, answer: Future[Published], submission: Submission, document: Document, *, on_ladder: bool
    ) -> None:
        """Return once the broker has the body for inspection, or, where that queue does not take it, on the ladder,
        from where it comes back to be handed over again; ``on_ladder``: it is there already, for its deliveries' sake.
        """
        if await answer is Published.CONFIRMED:
            self._metrics.asked_to_inspect("handed-over")
            return
        if not on_ladder:  # each round would double the copies
            attempt = submission.attempt + 1
            step = 1 + sum(attempt > limit for limit in (_PATIENT, 2 * _PATIENT))
            await self._deferrer.put(submission, attempt, step, document)
        self._metrics.asked_to_inspect("put-off")

    # --- what waits for the verdict

    async def gate(self, document: Document, body: bytes) -> Passed | tuple[Move, ...]:
        """Say what becomes of the open deliveries: they may go on, or the moves that are made instead."""
        policy = self._policy
        if policy.hold == "never" or not self.wanted(_first_of(document), body):
            return Passed()
        result = await self._commits.run(self._registry.inspected, document.same_content_as or document.row)
        now = self._clock.now()
        waiting = [one for one in document.deliveries if one.open]
        if result is not None:
            if result in REFUSED[policy.hold]:
                return tuple(
                    Move(one.delivery_id, State.REFUSED, now, Code.ATTACHMENT_REFUSED, attempt=one.attempt)
                    for one in waiting
                )
            return Passed()
        if now - document.accepted_at < policy.hold_for:
            return tuple(self._wait(one, now) for one in waiting)
        if policy.then_deliver:
            return Passed(late=True)
        return tuple(
            Move(one.delivery_id, State.REFUSED, now, Code.ATTACHMENT_UNCHECKED, attempt=one.attempt)
            for one in waiting
        )

    def step(self, attempt: int) -> int:
        """Return the rung on which a body waits for its verdict, from the number of deferrals so far."""
        return 1 if attempt < _PATIENT else 2

    def _wait(self, one: Delivery, now: datetime) -> Move:
        _, delay = self._ladder.rung(self.step(one.attempt))
        return Move(
            one.delivery_id,
            State.PLANNED,
            now,
            Code.ATTACHMENT_PENDING,
            due_at=now + delay,
            attempt=one.attempt + 1,
        )


def _first_of(document: Document) -> Document:
    """Return a document as one that is inspected itself: its bytes are what counts."""
    return replace(document, same_content_as=None)


def message_for(document: Document, body: bytes) -> Outgoing:
    """Build the message for ``inspect``: whose document it is, and the hash that its body has to have."""
    return Outgoing(
        exchange=names.INSPECT,
        routing_key=names.INSPECT,
        body=body,
        message_id=document.transport_id,
        type=document.kind.value,
        content_type=names.CONTENT_EDXML,
        headers={
            names.H_SENDER: document.sender,
            names.H_SHA256: document.body_sha256,
            names.H_ACCEPTED_AT: rfc3339(document.accepted_at),
        },
        as_self=True,
    )
