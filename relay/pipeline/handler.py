"""One message's way from the broker to its acknowledgement.

Each call ends in exactly one of: settled, deferred with a due time, quarantined with a code, or abandoned because the
session or the lease is gone (the broker redelivers, the registry completes). Everything before T1 is pure and may be
repeated; everything after it is decided by the frozen row alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from relay.errors import Code, TransientError
from relay.model.delivery import State
from relay.model.message import Incoming, Kind, Lane, Published
from relay.model.ports import BrokerLink, Clock, Directory, Registry
from relay.model.receipt import LineState, SignedReceipt
from relay.model.record import Claim, Claimed, ClaimResult, Document, Move, NewReceipt, Settlement
from relay.model.times import vietnam_day
from relay.observe import logs
from relay.observe.metrics import Metrics
from relay.pipeline import report
from relay.pipeline.accept import Submission, Unanswerable, accept
from relay.pipeline.defer import Deferrer
from relay.pipeline.deliver import Deliverer, Ladder
from relay.pipeline.frozen import claim_again
from relay.pipeline.inspection import Inspection, Passed
from relay.pipeline.plan import HandlerPolicy, Planned, Planner
from relay.pipeline.quarantine import Quarantine
from relay.pipeline.report import Reporter, Subject
from relay.pipeline.route import Route
from relay.pipeline.settle import LeaseLostError, Settler
from relay.pipeline.verify import Examiner, Proven, Unproven, judge
from relay.pipeline.waiting import Waiting
from relay.registry.group import GroupCommitter

_log = logs.get("pipeline.handler")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0  # seconds between attempts on a message that can only be kept
_DECISIONS = 32  # a status whose delivery keeps changing is decided at most so often before it is deferred


class Ending(StrEnum):
    """How a message's way ended."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    REPEATED = "repeated"
    ABSORBED = "absorbed"
    DEFERRED = "deferred"
    QUARANTINED = "quarantined"
    ABANDONED = "abandoned"


class Handler:
    """Runs the stages in their order for one message at a time; many calls run at once."""

    def __init__(
        self,
        *,
        link: BrokerLink,
        registry: Registry,
        commits: GroupCommitter,
        examiner: Examiner,
        directory: Callable[[], Directory],
        deliverer: Deliverer,
        reporter: Reporter,
        settler: Settler,
        quarantine: Quarantine,
        policy: HandlerPolicy,
        metrics: Metrics,
        clock: Clock,
        ladder: Ladder | None = None,
        inspection: Inspection | None = None,
    ) -> None:
        """``inspection``: of attachments; None: none are inspected."""
        self._link = link
        self._inspection = inspection
        self._registry = registry
        self._commits = commits
        self._examiner = examiner
        self._directory = directory
        self._deliverer = deliverer
        self._reporter = reporter
        self._settler = settler
        self._quarantine = quarantine
        self._policy = policy
        self._planner = Planner(registry, commits, policy, metrics, clock)
        self._deferrer = Deferrer(link, ladder or Ladder(), metrics)
        self._waiting = Waiting(link, self._deferrer, ladder or Ladder(), policy, metrics, clock)
        self._metrics = metrics
        self._clock = clock
        self._spared = False  # a message was set aside in this life: the others seen too often are read
        self._in_hand: Counter[tuple[str, str]] = Counter()  # by sender and transport id

    @property
    def ladder_full(self) -> bool:
        """Whether a message in hand can go nowhere until there is room on the ladder."""
        inspection = self._inspection
        return self._deferrer.refused > 0 or (inspection is not None and inspection.ladder_full)

    async def handle(self, lane: Lane, message: Incoming) -> Ending:
        """Take one message to its end. Never raises but for cancellation."""
        pause = _FIRST_PAUSE
        while True:
            try:
                ending = await self._try(lane, message)
            except Exception as error:  # noqa: BLE001 - a surprise that could not be set aside: nobody has the message but we
                self._surprised(lane, message, error)
                ending = None
            if ending is not None:
                return ending
            # Trouble of ours that cannot be put off. Given back, the message would count as seen once more, and what is
            # seen too often is set aside: so it stays in hand until the trouble has passed or its session has ended.
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            if not self._link.current(message):
                return Ending.ABANDONED

    async def _try(self, lane: Lane, message: Incoming) -> Ending | None:
        """One attempt; None: it can only be made again later."""
        try:
            return await self._way(lane, message)
        except LeaseLostError:
            self._link.requeue(message)
            return Ending.ABANDONED
        except TransientError as error:
            return await self._later(lane, message, error.code)
        except Exception as error:  # noqa: BLE001 - a surprise of ours is quarantined, never a loop
            self._surprised(lane, message, error)
            with suppress(TransientError):
                return await self._set_aside(lane, message, Code.HELD, type(error).__name__)
            return None

    def _surprised(self, lane: Lane, message: Incoming, error: Exception) -> None:
        transport_id = message.properties.message_id
        logs.event(_log, logging.ERROR, "surprise", exc=error, lane=lane, transport_id=transport_id)

    async def _way(self, lane: Lane, message: Incoming) -> Ending:
        now = self._clock.now()
        if message.delivery_count > self._policy.set_aside_after and not self._spared:
            # The first one met is what kills: those before it were settled in an earlier life, those behind it only
            # kept it company and have been counted with it.
            ending = await self._set_aside(
                lane, message, Code.SET_ASIDE, f"{message.delivery_count} deliveries"
            )
            self._spared = True
            return ending
        started = self._clock.monotonic()
        directory = self._directory()  # one state of it for the whole document
        taken = accept(message, lane, self._policy.accept, now, directory.gateway_of)
        if isinstance(taken, Unanswerable):
            return await self._set_aside(lane, message, taken.code, taken.detail)
        if not isinstance(taken, Submission):
            self._link.ack(message)
            return Ending.ABSORBED
        verifying = self._clock.monotonic()
        self._metrics.stage("accept", verifying - started)
        if taken.refusal is not None and taken.refusal is not Code.BAD_DEADLINE:
            return await self._refuse(Unproven(taken, taken.refusal, taken.detail))
        examined = await self._examiner.examine(taken.body, taken.kind, now)
        judged = judge(taken, examined, directory, vietnam_day(now))
        self._metrics.stage("verify", self._clock.monotonic() - verifying)
        if isinstance(judged, Unproven):
            return await self._refuse(judged)
        return await self._claim(judged, directory, now)

    # T1

    async def _claim(self, proven: Proven, directory: Directory, now: datetime) -> Ending:
        key = (proven.envelope.sender, proven.submission.transport_id)
        with self._holding(key):
            return await self._decide_and_claim(proven, directory, now)

    @contextmanager
    def _holding(self, key: tuple[str, str]) -> Iterator[None]:
        """Note that a submission is in hand here, so that a lease of our own on it means something."""
        self._in_hand[key] += 1
        try:
            yield
        finally:
            self._in_hand[key] -= 1
            if not self._in_hand[key]:
                del self._in_hand[key]

    async def _decide_and_claim(self, proven: Proven, directory: Directory, now: datetime) -> Ending:
        submission = proven.submission
        for _ in range(_DECISIONS):
            planned = await self._planner.plan(proven, directory, now)
            if planned.wait:
                if now - submission.first_seen < self._policy.unknown_document:
                    return await self._put_off(submission, Code.STATUS_UNKNOWN_DOCUMENT)
                refused = replace(planned.claim, refusal=Code.STATUS_UNKNOWN_DOCUMENT, deliveries=())
                planned = replace(planned, claim=refused, route=Route(()))
            started = self._clock.monotonic()
            result, standing = await self._commits.take(planned.claim)
            planned = replace(planned, standing=standing)
            self._metrics.stage("claim", self._clock.monotonic() - started)
            if result.outcome is not Claimed.CONFLICT:
                return await self._claimed(submission, planned, result)
        return await self._put_off(submission, Code.REGISTRY_BUSY)

    async def _claimed(self, submission: Submission, planned: Planned, result: ClaimResult) -> Ending:
        message, document = submission.message, result.document
        if result.outcome is Claimed.BUSY:
            self._metrics.duplicate("busy")
            await self._let_go(planned.claim)
            return await self._put_off(submission, Code.REGISTRY_BUSY, lowest=True)
        if result.outcome is Claimed.ID_REUSED or document is None:
            self._metrics.duplicate("id-reused")
            return await self._refuse_proven(submission, planned.claim, Code.ID_REUSED)
        if result.outcome is Claimed.REPEATED:
            self._metrics.duplicate("repeated")
            if submission.asked:
                await self._settler.publish(result.receipts, duplicate=True)
            await self._taken(await self._hand_over(submission, document, again=True), submission, document)
            self._link.ack(message)
            return Ending.REPEATED
        rows = [document.row]
        try:
            if document.same_content_as is not None and result.original is not None:
                if result.completes:
                    rows.append(result.original.row)
                return await self._same_content(
                    submission, result, document, result.original, planned.standing
                )
            return await self._complete(submission, planned, result, document)
        except Exception:
            # also after a lost lease: what nobody has taken meanwhile still bears our name
            with suppress(TransientError):  # else `_let_go` at the next attempt
                await self._commits.run(self._registry.abandon, rows, self._commits.worker)
            raise

    async def _let_go(self, claim: Claim) -> None:
        """Give a lease of our own back that nothing here works under: the registry failed us when it was to end."""
        if self._in_hand[claim.sender, claim.transport_id] > 1:
            return
        rows = await self._commits.run(
            lambda: [one.row for one in self._registry.find(claim.transport_id, claim.sender)]
        )
        if rows:
            await self._commits.run(self._registry.abandon, rows, self._commits.worker)

    async def _same_content(
        self,
        submission: Submission,
        result: ClaimResult,
        document: Document,
        original: Document,
        standing: int,
    ) -> Ending:
        """Known bytes under another transport id: an acknowledgement of its own, with the deliveries that there are.

        What is still open of them, and in nobody's hands, is published with this body: the broker may have lost the
        other one (BODY-LOST).
        """
        self._metrics.duplicate("same-content")
        told: tuple[SignedReceipt, ...] = ()
        if result.completes:
            refers_to = result.referred.transport_id if result.referred else None
            moves = await self._publish_open(submission, original, refers_to, standing)
            receipts = await self._receipts(original, moves, Route(()), resumed=True)
            told += await self._settler.commit(Settlement(original.row, moves, receipts))
            self._count(original, moves)
            original = replace(original, deliveries=report.apply(original.deliveries, moves))
        own: tuple[NewReceipt, ...] = ()
        if document.kind is Kind.EDOC:
            own = (self._reporter.same_content(document, original, self._clock.now()),)
        told += await self._settler.commit(Settlement(document.row, (), own))
        await self._settler.publish(told)
        self._link.ack(submission.message)
        return Ending.REPEATED

    # deliver and T2

    async def _complete(
        self, submission: Submission, planned: Planned, result: ClaimResult, document: Document
    ) -> Ending:
        """Publish what is open by the frozen row, then T2 with the receipts that it calls for."""
        resumed = result.outcome is Claimed.RESUMED
        refers_to = result.referred.transport_id if result.referred else planned.refers_to
        if resumed:
            self._count_repeats(document)
        moves = await self._publish_open(submission, document, refers_to, planned.standing)
        started = self._clock.monotonic()
        receipts = await self._receipts(document, moves, planned.route, resumed=resumed)
        receipts += await self._outcomes_of(result.referred)
        self._metrics.stage("report", self._clock.monotonic() - started)
        started = self._clock.monotonic()
        told = await self._settler.commit(Settlement(document.row, moves, receipts))
        if resumed and submission.asked and result.receipts:
            await self._settler.publish(result.receipts, duplicate=True)
        handed_over = await self._hand_over(submission, document, again=resumed)
        await self._settler.publish(told)
        await self._taken(handed_over, submission, document, moves)
        self._link.ack(submission.message)
        self._metrics.stage("settle", self._clock.monotonic() - started)
        self._count(document, moves)
        if document.refusal is not None:
            return Ending.REFUSED
        deferred = any(move.state is State.PLANNED for move in moves)
        return Ending.DEFERRED if deferred else Ending.ACCEPTED

    async def _hand_over(
        self, submission: Submission, document: Document, *, again: bool
    ) -> asyncio.Future[Published] | None:
        """Publish the body for the inspection of its attachments; None where there is nothing to inspect.

        ``again``: it may have been handed over before, and inspected since.
        """
        inspection = self._inspection
        if inspection is None:
            return None
        if again:
            wanted = await inspection.wanted_still(document, submission.body)
        else:
            wanted = inspection.wanted(document, submission.body)
        return inspection.hand_over(document, submission.body) if wanted else None

    async def _taken(
        self,
        answer: asyncio.Future[Published] | None,
        submission: Submission,
        document: Document,
        moves: tuple[Move, ...] = (),
    ) -> None:
        """Return once a body that was handed over is safe."""
        if self._inspection is not None and answer is not None:
            on_ladder = any(move.state is State.PLANNED for move in moves)
            await self._inspection.taken(answer, submission, document, on_ladder=on_ladder)

    async def _publish_open(
        self, submission: Submission, document: Document, refers_to: str | None, standing: int
    ) -> tuple[Move, ...]:
        """Publish the open deliveries; what stays open is put on the ladder, confirmed, before its T2.

        A worker that stood still for a lease publishes nothing of what it had claimed before: ``LeaseLostError``.
        """
        now = self._clock.now()
        waiting = {one.delivery_id: one for one in document.deliveries if one.open}
        if not waiting:
            return ()
        # what nothing can be signed about is not published either: each retry would publish it once more
        self._reporter.check()
        if now - document.accepted_at >= self._policy.give_up:
            return tuple(Move(one, State.REFUSED, now, Code.UNDELIVERABLE) for one in waiting)
        attempt = max(one.attempt for one in document.deliveries)
        started = self._clock.monotonic()
        step = attempt + 1
        gate: Passed | tuple[Move, ...] = Passed()
        if self._inspection is not None:
            gate = await self._inspection.gate(document, submission.body)
        if not self._commits.stands(standing):
            raise LeaseLostError
        if isinstance(gate, Passed):
            moves = await self._deliverer.deliver(
                document, submission.body, refers_to, attempt, lambda: self._commits.stands(standing)
            )
            moves = gate.noted(moves)
        else:
            moves = gate
            step = self._inspection.step(attempt) if self._inspection is not None else step
        self._metrics.stage("deliver", self._clock.monotonic() - started)
        deferred = [waiting[move.delivery_id] for move in moves if move.state is State.PLANNED]
        if not deferred:
            return moves
        if not self._commits.stands(standing):
            raise LeaseLostError
        if not submission.retry and all(one.due_at is not None and one.due_at > now for one in deferred):
            # A copy is on the ladder already; one more for each time that the sender asks would never end.
            return tuple(
                replace(
                    move, due_at=waiting[move.delivery_id].due_at, attempt=waiting[move.delivery_id].attempt
                )
                if move.state is State.PLANNED
                else move
                for move in moves
            )
        await self._deferrer.put(submission, attempt + 1, step, document)
        return moves

    async def _receipts(
        self, document: Document, moves: tuple[Move, ...], routed: Route, *, resumed: bool
    ) -> tuple[NewReceipt, ...]:
        """What T2 tells: the acknowledgement the first time, afterwards what has ended badly."""
        now = self._clock.now()
        after = replace(document, deliveries=report.apply(document.deliveries, moves))
        if resumed and document.settled:
            gone = {move.delivery_id: move.code for move in moves if move.state is State.REFUSED}
            code = next(iter(gone.values()), None) or Code.UNDELIVERABLE
            if not gone:  # queued although no verdict came in time: the sender is told that too
                code = Code.ATTACHMENT_UNCHECKED
                gone = {move.delivery_id: code for move in moves if move.code is code}
            if not gone:
                return ()
            aliases = await self._commits.run(lambda: self._registry.aliases(document.row))
            only = None if report.ended(after) else frozenset(gone)
            return tuple(self._reporter.outcome(after, aliases, now, code=code, only=only))
        if document.kind is Kind.STATUS and document.refusal is None:
            refused = [one for one in after.deliveries if one.state is State.REFUSED]
            if not refused:
                return ()
        lines = routed.deliveries if document.refusal is not None and not resumed else ()
        return (self._reporter.acknowledgement(document, moves, now, lines),)

    async def _outcomes_of(self, referred: Document | None) -> tuple[NewReceipt, ...]:
        """The final outcome of the document that a status has just ended, to each submission of it."""
        if referred is None:
            return ()
        now = self._clock.now()
        if report.ended(referred):
            aliases = await self._commits.run(lambda: self._registry.aliases(referred.row))
            return tuple(self._reporter.outcome(referred, aliases, now))
        return ()

    async def _put_off(self, submission: Submission, code: Code, *, lowest: bool = False) -> Ending:
        await self._deferrer.defer(submission, code, lowest=lowest)
        return Ending.DEFERRED

    async def _later(self, lane: Lane, message: Incoming, code: Code) -> Ending | None:
        """Transient trouble of ours: put the message off, or (None) keep it."""
        if not self._link.current(message):
            return Ending.ABANDONED
        now, gateway_of = self._clock.now(), self._directory().gateway_of
        taken = accept(message, lane, self._policy.accept, now, gateway_of)
        if not isinstance(taken, Submission) or taken.refusal is not None:
            return None  # the ladder would wash off what it is refused for
        with suppress(TransientError):
            return await self._put_off(taken, code, lowest=True)
        return Ending.ABANDONED

    # refusals

    async def _refuse(self, unproven: Unproven) -> Ending:
        """A refusal whose sender is not proven, unless a proven attempt with the same bytes stands in the registry."""
        submission, code = unproven.submission, unproven.refusal
        frozen = await self._commits.run(
            lambda: [
                one
                for one in self._registry.find(submission.transport_id)
                if one.user == submission.user and one.body_sha256 == submission.sha256
            ]
        )
        if frozen:
            claim = claim_again(frozen[0])
            with self._holding((claim.sender, claim.transport_id)):
                result, standing = await self._commits.take(claim)
                planned = Planned(claim, Route(()), standing=standing)
                return await self._claimed(submission, planned, result)
        stored = await self._commits.run(
            lambda: self._registry.refusal_receipts(
                submission.user, submission.transport_id, submission.sha256
            )
        )
        if not stored and self._waiting.may_wait(unproven, self._clock.now()):
            await self._waiting.put_off(submission, code)
            return Ending.DEFERRED
        self._refused(submission.user, submission.transport_id, code)
        if stored:
            self._metrics.duplicate("repeated")
            await self._settler.repeat(submission.message, stored)
            return Ending.REPEATED
        receipt = self._reporter.refusal(
            subject_of(submission), code, unproven.detail, unproven.verdict, self._clock.now()
        )
        await self._settler.settle(submission.message, Settlement(None, (), (receipt,)))
        return Ending.REFUSED

    async def _refuse_proven(self, submission: Submission, claim: Claim, code: Code) -> Ending:
        """Same id, other bytes: the sender is proven, its first document is not shown."""
        stored = await self._commits.run(
            self._registry.refusal_receipts, submission.user, submission.transport_id, submission.sha256
        )
        self._refused(submission.user, submission.transport_id, code)
        if stored:
            self._metrics.duplicate("repeated")
            await self._settler.repeat(submission.message, stored)
            return Ending.REPEATED
        receipt = self._reporter.refusal(
            subject_of(submission), code, "", claim.verdict, self._clock.now(), to=claim.sender
        )
        await self._settler.settle(submission.message, Settlement(None, (), (receipt,)))
        return Ending.REFUSED

    async def _set_aside(self, lane: Lane, message: Incoming, code: Code, detail: str) -> Ending:
        await self._quarantine.set_aside(lane, message, code, detail)
        self._link.ack(message)
        return Ending.QUARANTINED

    def _refused(self, user: str, transport_id: str, code: Code) -> None:
        self._metrics.refused(code, user)
        logs.event(_log, logging.INFO, "refused", user=user, transport_id=transport_id, code=code)

    def _count_repeats(self, document: Document) -> None:
        """Count what is published now and may stand in its queue already."""
        waiting = [one for one in document.deliveries if one.open]
        if not document.settled:
            self._metrics.duplicate_publish("resumed", len(waiting))
        elif unsure := sum(one.code is Code.NO_CONFIRM for one in waiting):
            self._metrics.duplicate_publish("undecided", unsure)

    def _count(self, document: Document, moves: tuple[Move, ...]) -> None:
        if document.refusal is not None:
            self._refused(document.user, document.transport_id, document.refusal)
        levels = {one.delivery_id: one.level for one in document.deliveries}
        for move in moves:
            told = LineState.DEFERRED if move.state is State.PLANNED else LineState(move.state.value)
            self._metrics.delivery(levels.get(move.delivery_id), told)
            if move.state is State.PLANNED and move.code is not None:
                self._metrics.deferred(move.code)


def subject_of(submission: Submission) -> Subject:
    """Return what is known of a submission without trusting it."""
    return Subject(
        user=submission.user,
        transport_id=submission.transport_id,
        correlation_id=submission.correlation_id,
        kind=submission.message.properties.type or "",
        sha256=submission.sha256,
        size=len(submission.body),
    )
