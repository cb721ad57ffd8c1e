"""Deliver: publish the open deliveries of a document, one confirmed, mandatory publish for each recipient.

Takes the document as the registry holds it (never the package's own word) and the body as received; gives one move
for each open delivery. Undecided publishes are repeated with the same delivery id; what stays open is deferred.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from relay.broker import names
from relay.directory.admission import standing
from relay.errors import Code
from relay.model.agency import Admission, Agency
from relay.model.delivery import Delivery, State
from relay.model.message import Outgoing, Published
from relay.model.ports import Clock, Directory, Publisher
from relay.model.record import Document, Move
from relay.model.times import rfc3339, vietnam_day

_WHY: Final = {
    Published.NACKED: Code.QUEUE_FULL,
    Published.RETURNED: Code.UNROUTABLE,
    Published.UNDECIDED: Code.NO_CONFIRM,
}


class Ladder:
    """The rungs that a deferral climbs, by name, in order."""

    def __init__(self, rungs: Sequence[str] = tuple(names.RUNGS)) -> None:
        self._rungs = tuple((name, names.RUNGS[name]) for name in rungs)

    def rung(self, attempt: int) -> tuple[str, timedelta]:
        """Return name and delay of the rung for the n-th deferral (from 1); the last rung is for ever."""
        return self._rungs[min(attempt, len(self._rungs)) - 1]

    def instead(self, attempt: int) -> tuple[str, ...]:
        """Return the names of all rungs in the order in which they are tried where one is full: its own, those below, those above."""
        at = min(attempt, len(self._rungs))
        return tuple(name for name, _ in (*reversed(self._rungs[:at]), *self._rungs[at:]))


def message_for(document: Document, delivery: Delivery, body: bytes, refers_to: str | None) -> Outgoing:
    """Build the message for one recipient from the contract's list alone; nothing is copied from the sender."""
    if delivery.level is None:
        raise ValueError("a delivery without a level was refused and is never published")
    headers = {
        names.H_DELIVERY_ID: delivery.delivery_id,
        names.H_SENDER: document.sender,
        names.H_RECIPIENT: delivery.recipient,
        names.H_SHA256: document.body_sha256,
        names.H_ACCEPTED_AT: rfc3339(document.accepted_at),
    }
    if refers_to:
        headers[names.H_REFERS_TO] = refers_to
    return Outgoing(
        exchange=names.level_exchange(delivery.level),
        routing_key=delivery.recipient,
        body=body,
        message_id=document.transport_id,
        type=document.kind.value,
        content_type=names.CONTENT_EDXML,
        headers=headers,
    )


class Deliverer:
    """Publishes what is open and says how each one ended."""

    def __init__(
        self,
        publisher: Publisher,
        directory: Callable[[], Directory],
        reload: Callable[[], Directory],
        clock: Clock,
        ladder: Ladder | None = None,
        on_repeat: Callable[[int], None] = lambda _count: None,
    ) -> None:
        """``on_repeat`` is told how many publishes without an answer are repeated."""
        self._publisher = publisher
        self._directory = directory
        self._reload = reload
        self._clock = clock
        self._ladder = ladder or Ladder()
        self._on_repeat = on_repeat

    async def deliver(
        self,
        document: Document,
        body: bytes,
        refers_to: str | None,
        attempt: int,
        ours: Callable[[], bool] = lambda: True,
    ) -> tuple[Move, ...]:
        """Publish each open delivery of ``document``; ``attempt`` is the number of deferrals so far.

        ``ours`` is asked before anything is published a second time: whether the document still is this worker's.
        """
        listed = [delivery for delivery in document.deliveries if delivery.open]
        paused = {one.delivery_id: agency for one in listed if (agency := self._paused(one)) is not None}
        waiting = [one for one in listed if one.delivery_id not in paused]
        results = await self._publish(document, waiting, body, refers_to)
        undecided = [one for one in waiting if results[one.delivery_id] is Published.UNDECIDED and ours()]
        if undecided:
            self._on_repeat(len(undecided))
            results |= await self._publish(document, undecided, body, refers_to)
        returned = [one for one in waiting if results[one.delivery_id] is Published.RETURNED]
        if returned and ours():
            results |= await self._publish(
                document, await self._resolved_anew(document, returned), body, refers_to
            )
        return tuple(
            self._pause(one, paused[one.delivery_id], attempt)
            if one.delivery_id in paused
            else self._move(one, results[one.delivery_id], attempt)
            for one in listed
        )

    def _paused(self, delivery: Delivery) -> Agency | None:
        """Return the recipient if it is suspended, as the directory says now; None: it takes part."""
        agency, today = self._directory().agency(delivery.recipient), vietnam_day(self._clock.now())
        if agency is None or standing(agency, today) is not Admission.SUSPENDED:
            return None
        return agency

    def _pause(self, delivery: Delivery, agency: Agency, attempt: int) -> Move:
        now, until = self._clock.now(), agency.suspended_until
        _, delay = self._ladder.rung(attempt + 1)
        return Move(
            delivery.delivery_id,
            State.PLANNED,
            now,
            Code.RECIPIENT_SUSPENDED,
            due_at=now + delay,
            attempt=attempt + 1,
            detail="" if until is None else until.isoformat(),
        )

    async def _publish(
        self, document: Document, deliveries: Sequence[Delivery], body: bytes, refers_to: str | None
    ) -> dict[str, Published]:
        """Publish, all on their way before the first confirm is awaited and without a task for each."""
        sent = [self._publisher.submit(message_for(document, one, body, refers_to)) for one in deliveries]
        return {one.delivery_id: await future for one, future in zip(deliveries, sent, strict=True)}

    async def _resolved_anew(self, document: Document, returned: Sequence[Delivery]) -> list[Delivery]:
        """Those that the directory, read anew, still resolves to the same agency; at the level that it has now."""
        directory = await asyncio.get_running_loop().run_in_executor(None, self._reload)
        day = vietnam_day(document.accepted_at)
        found = []
        for delivery in returned:
            agency = directory.resolve(delivery.recipient, day).agency
            if agency is not None and agency.code == delivery.recipient:
                found.append(replace(delivery, level=agency.level))
        return found

    def _move(self, delivery: Delivery, result: Published, attempt: int) -> Move:
        now = self._clock.now()
        if result is Published.CONFIRMED:
            return Move(delivery.delivery_id, State.QUEUED, now)
        _, delay = self._ladder.rung(attempt + 1)
        return Move(
            delivery.delivery_id, State.PLANNED, now, _WHY[result], due_at=now + delay, attempt=attempt + 1
        )
