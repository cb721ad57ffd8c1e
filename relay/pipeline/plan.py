"""Plan: what T1 freezes of a proven submission: verdict, deliveries, deadline, and the effect of a status.

Pure but for what a status asks the registry; nothing is stored, so that it may be made again after a conflict.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from relay.errors import Code
from relay.lifecycle import statuses
from relay.model.envelope import Envelope
from relay.model.message import Kind
from relay.model.ports import Clock, Directory, Registry
from relay.model.record import Claim
from relay.model.times import vietnam_day
from relay.observe.metrics import Metrics
from relay.pipeline.accept import AcceptPolicy, Submission
from relay.pipeline.route import Route, RouteLimits, route
from relay.pipeline.verify import Proven
from relay.registry.group import GroupCommitter


@dataclass(frozen=True, slots=True)
class HandlerPolicy:
    """The rules of the way, from the settings."""

    accept: AcceptPolicy
    route: RouteLimits
    urgent_deadline: timedelta
    normal_deadline: timedelta
    give_up: timedelta
    unknown_document: timedelta  # how long a status waits for its document
    set_aside_after: int  # deliveries of one message before it is set aside unparsed
    unknown_revocation: timedelta = timedelta(days=1)  # how long a submission waits for revocation data


@dataclass(frozen=True, slots=True)
class Planned:
    """A claim ready for T1, with what T1 does not store."""

    claim: Claim
    route: Route
    refers_to: str | None = None
    wait: bool = False
    standing: int = 0  # that T1 was committed under


class Planner:
    """Makes the claim of a proven submission."""

    def __init__(
        self,
        registry: Registry,
        commits: GroupCommitter,
        policy: HandlerPolicy,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._commits = commits
        self._policy = policy
        self._metrics = metrics
        self._clock = clock

    async def plan(self, proven: Proven, directory: Directory, now: datetime) -> Planned:
        """Freeze verdict, deliveries, deadline and effect for T1."""
        submission, envelope = proven.submission, proven.envelope
        started = self._clock.monotonic()
        decision = None
        refusal, detail = proven.refusal, proven.detail
        routed = Route(())
        if refusal is None and envelope.kind is Kind.STATUS:
            decision = await self._decide(envelope, submission, directory, now)
            refusal, detail = decision.refusal, decision.detail
        if refusal is None and (decision is None or decision.forward):
            routed = route(
                envelope,
                submission.sha256,
                len(submission.body),
                submission.lane,
                directory,
                self._policy.route,
                now,
            )
            refusal, detail = routed.refusal, routed.detail
        self._metrics.stage("route", self._clock.monotonic() - started)
        claim = Claim(
            sender=envelope.sender,
            transport_id=submission.transport_id,
            kind=envelope.kind,
            user=submission.user,
            lane=submission.lane.value,
            body_sha256=submission.sha256,
            body_bytes=len(submission.body),
            accepted_at=now,
            deadline_at=self._deadline(envelope, submission, now),
            document_id=envelope.document_id,
            code=f"{envelope.code_number}/{envelope.code_notation}",
            promulgation_date=envelope.promulgation_date,
            business_type=envelope.business_type,
            verdict=proven.verdict,
            directory_version=directory.version,
            deliveries=() if refusal is not None else routed.deliveries,
            refusal=refusal,
            detail=detail,
            effect=decision.effect if decision else None,
            status_code=envelope.status_code,
            speaks_of=envelope.speaks_of,
        )
        return Planned(
            claim, routed, decision.refers_to if decision else None, wait=decision.wait if decision else False
        )

    async def _decide(
        self, envelope: Envelope, submission: Submission, directory: Directory, now: datetime
    ) -> statuses.Decision:
        question = statuses.query(envelope, submission.hint, directory, vietnam_day(now))
        if question is None:
            return statuses.Decision(refusal=Code.MISSING_VALUE, detail="ResponseFor")
        candidates = await self._commits.run(lambda: self._registry.candidates(question))
        known = False
        if not candidates:
            known = await self._commits.run(lambda: self._registry.knows(question))
        return statuses.decide(envelope, candidates, known, directory, vietnam_day(now))

    def _deadline(self, envelope: Envelope, submission: Submission, now: datetime) -> datetime | None:
        if envelope.kind is Kind.STATUS:
            return None
        if submission.deadline is not None:
            return submission.deadline
        return now + (self._policy.urgent_deadline if envelope.urgent else self._policy.normal_deadline)
