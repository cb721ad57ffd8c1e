"""``truc resend``: stored receipts once more, and deliveries that wait brought forward; where no body is left, the sender
is told BODY-LOST.

The relay holds no bodies but in the broker: on the retry ladder, in quarantine, in the recipients' queues. What stands
in a recipient's queue is not published a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final

from relay.broker import names
from relay.errors import BrokerError, Code, OperationError
from relay.model.delivery import ENDED, State
from relay.model.message import Incoming, Outgoing, Published
from relay.model.ports import Directory
from relay.model.receipt import SignedReceipt
from relay.model.record import Document
from relay.model.standing import DeliveryStanding, HeldStanding, Standing
from relay.operate import quarantine
from relay.operate.gathering import Looks, queue_of
from relay.operate.quarantine import Door, Hands
from relay.pipeline import report

RESEND, RESEND_RECEIPTS = "document.resend", "document.resend-receipts"
_LOOKED_AT: Final = 1_000_000
_LOOKS, _PAUSE = 10, 0.5  # another operator's look has what it passes over in hand for that long
_ON_ITS_WAY: Final = timedelta(minutes=1)  # from a rung to `due`, and from there into a worker's hands
_INWARD: Final = (*(names.lane_queue(lane) for lane in names.LANES), names.DUE)


class What(StrEnum):
    """What was done about some deliveries, or why nothing was."""

    FORWARD = "brought-forward"  # from the ladder to `due`
    RELEASED = "released"  # out of quarantine
    LOST = "lost"  # no body: the keeper tells the sender BODY-LOST
    LOST_BEFORE = "lost-before"  # the sender was told before, and has to submit again
    IN_QUEUE = "in-queue"  # stands in the recipient's queue, or was taken from there
    ENDED = "ended"
    IN_HAND = "in-hand"  # a live worker is at it
    UNSURE = "unsure"  # its body may be on its way: ask again
    RECEIPT = "receipt"  # published once more
    RECEIPT_FAILED = "receipt-failed"  # not confirmed


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done, or that a dry run found to do."""

    what: What
    recipients: tuple[str, ...] = ()
    where: str = ""  # queue, id in quarantine, or number of the receipt

    @property
    def acts(self) -> bool:
        """Whether it changes anything."""
        return self.what in {What.FORWARD, What.RELEASED, What.LOST, What.RECEIPT}


def receipts(hands: Hands, transport_id: str, sender: str | None, *, dry_run: bool = False) -> list[Step]:
    """Publish the stored receipts about a transport id again: the same bytes, ``truc-duplicate: true``.

    Raises:
        OperationError: NOT-FOUND: there are none.
        BrokerError: the broker does not answer.
    """
    registry, now = hands.registry, hands.clock.now()
    known: dict[str, datetime | None] = {}
    stored: list[SignedReceipt] = []
    for document in registry.find(transport_id, sender):
        standing = registry.standing(document.row, now)
        known |= {one.number: one.published_at for one in (standing.receipts if standing else ())}
        stored += registry.receipts(document.row)
    if sender is None:
        known |= {one.number: one.published_at for one in registry.loose_receipts(transport_id)}
        stored += [*registry.refused(transport_id), *registry.notices(transport_id)]
    if not stored:
        raise OperationError(Code.NOT_FOUND, f"no receipt is stored under {transport_id}")
    if dry_run:
        return [Step(What.RECEIPT, (one.to,), one.number) for one in stored]
    hands.note(RESEND_RECEIPTS, transport_id, ", ".join(one.number for one in stored)[:500])
    steps, confirmed = [], []
    with hands.connect() as door:
        for one in stored:
            first = (
                known.get(one.number) is None
            )  # its first publish was never confirmed: it may be the first one
            result = door.publish_outgoing(report.message(one, duplicate=not first))
            done = result is Published.CONFIRMED
            confirmed += [one.number] if done else []
            steps.append(Step(What.RECEIPT if done else What.RECEIPT_FAILED, (one.to,), one.number))
    if confirmed:
        registry.published(confirmed, hands.clock.now())
    return steps


def resend(
    hands: Hands,
    directory: Directory,
    looks: Looks,
    transport_id: str,
    sender: str | None = None,
    to: Sequence[str] = (),
    *,
    gone: bool = False,
    dry_run: bool = False,
) -> list[Step]:
    """Do what can be done now for the deliveries of a transport id that have not ended.

    Args:
        hands: the operator's.
        directory: where a release goes.
        looks: at the depths of queues.
        transport_id: as the sender chose it.
        sender: only this one's document.
        to: only these recipients (normal codes); nobody named: all.
        gone: what is queued is known to stand in no queue any more (somebody emptied it): it counts as lost.
        dry_run: only say what would be done.

    Raises:
        OperationError: NOT-FOUND: no such document, or none of the recipients is its.
        BrokerError: the broker does not answer; what was done before stays done, and may be asked for again.
    """
    steps: list[Step] = []
    found = hands.registry.find(transport_id, sender)
    for document in found:
        job = _Job(hands, directory, looks, document, gone=gone, dry_run=dry_run)
        steps += job.run(to)
    if not steps:
        raise OperationError(
            Code.NOT_FOUND, transport_id if not found else f"no such recipient: {', '.join(to)}"
        )
    return steps


class _Job:
    """The deliveries of one submission."""

    def __init__(
        self,
        hands: Hands,
        directory: Directory,
        looks: Looks,
        document: Document,
        *,
        gone: bool,
        dry_run: bool,
    ) -> None:
        self._hands = hands
        self._directory = directory
        self._looks = looks
        self._asked = document
        self._gone = gone
        self._dry_run = dry_run

    def run(self, to: Sequence[str]) -> list[Step]:
        hands = self._hands
        standing = hands.registry.standing(self._asked.row, hands.clock.now())
        if standing is None:
            return []
        mine = [one for one in standing.deliveries if not to or _named(one, to)]
        held = self._held(standing)
        kinds: dict[What | None, list[DeliveryStanding]] = {}
        steps: list[Step] = []
        for one in mine:
            rejected = held.get(one.delivery.delivery_id)
            if rejected is not None and one.delivery.state not in ENDED:
                steps.append(self._release(rejected, [one]))
            else:
                kinds.setdefault(self._kind(standing, one), []).append(one)
        told = (What.ENDED, What.IN_HAND, What.LOST_BEFORE)
        steps += [Step(what, _codes(kinds[what])) for what in told if what in kinds]
        steps += [
            Step(What.IN_QUEUE, (one.delivery.recipient,), queue_of(self._directory, one.delivery.recipient))
            for one in kinds.get(What.IN_QUEUE, ())
        ]
        if lost := kinds.get(What.LOST):
            steps.append(self._lose(standing, lost))
        if waiting := kinds.get(None):
            steps.append(self._bring(standing, waiting, held.get("")))
        return steps

    def _kind(self, standing: Standing, one: DeliveryStanding) -> What | None:
        """What is to be said of a delivery; None: its body is to be looked for."""
        state = one.delivery.state
        if state in ENDED:
            return What.ENDED
        if state is State.QUEUED:
            return What.LOST if self._gone and standing.document.deadline_at is not None else What.IN_QUEUE
        if standing.holder and standing.alive:
            return What.IN_HAND
        return What.LOST_BEFORE if one.lost else None

    def _held(self, standing: Standing) -> Mapping[str, HeldStanding]:
        """What is in quarantine of it, by delivery id; "" for the submission itself."""
        first = standing.first or standing.document
        found = self._hands.registry.held_about(sorted({first.transport_id, self._asked.transport_id}))
        return {
            one.entry.delivery_id: one
            for one in found
            if one.entry.released_at is None
            and (one.drop is None or one.drop.at < one.entry.at)
            and (one.entry.delivery_id or one.entry.body_sha256 == first.body_sha256)
        }

    # --- what is done

    def _note(self, detail: str) -> None:
        self._hands.note(RESEND, self._asked.transport_id, detail)

    def _release(self, one: HeldStanding, deliveries: Iterable[DeliveryStanding]) -> Step:
        step = Step(What.RELEASED, _codes(deliveries), one.entry.held_id)
        if not self._dry_run:
            quarantine.release(self._hands, one, self._directory, f"resend {self._asked.transport_id}")
        return step

    def _bring(self, standing: Standing, waiting: list[DeliveryStanding], held: HeldStanding | None) -> Step:
        """Find the one body of what is planned: on the ladder, in quarantine, else it is lost."""
        first = standing.first or standing.document
        for look in range(_LOOKS if held is None and self._on_a_rung(waiting) else 1):
            if look:
                self._hands.wait(_PAUSE)
            for rung in names.RUNGS:
                queue = names.retry_queue(rung)
                if self._forward(first, queue):
                    return Step(What.FORWARD, _codes(waiting), queue)
        if held is not None:
            return self._release(held, waiting)
        if self._may_be_on_its_way(waiting):
            return Step(What.UNSURE, _codes(waiting))
        return self._lose(standing, waiting)

    def _forward(self, first: Document, queue: str) -> bool:
        """From a rung to ``due``: confirmed there before the old copy is acknowledged."""
        with self._hands.connect() as door:
            message = _find(door, queue, first)
            if message is None:
                return False
            if self._dry_run:
                return True
            self._note(f"{queue} -> {names.DUE}")
            result = door.publish_outgoing(_forwarded(message))
            if result is not Published.CONFIRMED:
                code = Code.PUBLISH_RETURNED if result is Published.RETURNED else Code.PUBLISH_REFUSED
                raise BrokerError(code, f"it stays in {queue}: {result.value}")
            # A crash here leaves it in both: the second one finds nothing left to publish.
            door.ack(message)
        return True

    def _on_a_rung(self, waiting: Iterable[DeliveryStanding]) -> bool:
        """Whether its body should stand on the ladder: not to be seen there, it may be in another look's hands."""
        now = self._hands.clock.now()
        return any(one.delivery.due_at is not None and one.delivery.due_at > now for one in waiting)

    def _may_be_on_its_way(self, waiting: Iterable[DeliveryStanding]) -> bool:
        now = self._hands.clock.now()
        just_due = any(
            one.delivery.due_at is not None and timedelta(0) <= now - one.delivery.due_at < _ON_ITS_WAY
            for one in waiting
        )
        return just_due or any(seen is not None and seen[0] for seen in self._looks.seen(_INWARD).values())

    def _lose(self, standing: Standing, lost: list[DeliveryStanding]) -> Step:
        step = Step(What.LOST, _codes(lost))
        if self._dry_run:
            return step
        row = (standing.first or standing.document).row
        wanted = [one.delivery.delivery_id for one in lost]
        self._note(f"{Code.BODY_LOST.value} {', '.join(step.recipients)}"[:500])
        if not self._hands.registry.mark_lost(row, wanted, self._hands.clock.now()):
            return Step(What.UNSURE, step.recipients)
        return step


def _named(one: DeliveryStanding, to: Sequence[str]) -> bool:
    return one.delivery.recipient in to or one.delivery.written in to


def _codes(deliveries: Iterable[DeliveryStanding]) -> tuple[str, ...]:
    return tuple(one.delivery.recipient for one in deliveries)


def _find(door: Door, queue: str, first: Document) -> Incoming | None:
    # What is passed over goes back when the door closes.
    for _ in range(_LOOKED_AT):
        message = door.get(queue)
        if message is None:
            return None
        same = message.properties.message_id == first.transport_id
        if same and sha256(message.body).hexdigest() == first.body_sha256:
            return message
    return None


def _forwarded(message: Incoming) -> Outgoing:
    """The same retry, as the relay had put it on the ladder."""
    properties = message.properties
    kept = (names.H_USER, names.H_LANE, names.H_ATTEMPT, names.H_FIRST_SEEN, names.H_DEADLINE)
    return Outgoing(
        exchange=names.DUE,
        routing_key=names.DUE,
        body=message.body,
        message_id=properties.message_id or "",
        type=properties.type or "",
        content_type=properties.content_type or names.CONTENT_EDXML,
        correlation_id=properties.correlation_id,
        headers={name: str(properties.headers[name]) for name in kept if name in properties.headers},
        as_self=True,
    )
