"""Deliver: publish the open deliveries of a document, one confirmed, mandatory publish for each recipient.

Takes the document as the registry holds it (never the package's own word) and the body as received; gives one move
for each open delivery. Undecided publishes are repeated with the same delivery id; what stays open is deferred.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from relay.broker import names
from relay.errors import Code
from relay.model.delivery import Delivery, State
from relay.model.message import Outgoing, Published
from relay.model.ports import Clock, Directory, Publisher
from relay.model.record import Document, Move
from relay.model.times import rfc3339, vietnam_day

_LADDER: Final = tuple(names.RUNGS.items())
_WHY: Final = {
    Published.NACKED: Code.QUEUE_FULL,
    Published.RETURNED: Code.UNROUTABLE,
    Published.UNDECIDED: Code.NO_CONFIRM,
}


def rung(attempt: int) -> tuple[str, timedelta]:
    """Return name and delay of the rung for the n-th deferral (from 1); the last rung is for ever."""
    return _LADDER[min(attempt, len(_LADDER)) - 1]


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
    ) -> None:
        self._publisher = publisher
        self._directory = directory
        self._reload = reload
        self._clock = clock

    async def deliver(
        self, document: Document, body: bytes, refers_to: str | None, attempt: int
    ) -> tuple[Move, ...]:
        """Publish each open delivery of ``document``; ``attempt`` is the number of deferrals so far."""
        waiting = [delivery for delivery in document.deliveries if delivery.open]
        # all on their way before the first confirm is awaited, without a task for each
        sent = [self._publisher.submit(message_for(document, one, body, refers_to)) for one in waiting]
        moves = []
        for delivery, future in zip(waiting, sent, strict=True):
            result = await future
            if result is not Published.CONFIRMED:
                result = await self._again(document, delivery, body, refers_to, result)
            moves.append(self._move(delivery, result, attempt))
        return tuple(moves)

    def _move(self, delivery: Delivery, result: Published, attempt: int) -> Move:
        now = self._clock.now()
        if result is Published.CONFIRMED:
            return Move(delivery.delivery_id, State.QUEUED, now)
        _, delay = rung(attempt + 1)
        return Move(
            delivery.delivery_id, State.PLANNED, now, _WHY[result], due_at=now + delay, attempt=attempt + 1
        )

    async def _again(
        self, document: Document, delivery: Delivery, body: bytes, refers_to: str | None, result: Published
    ) -> Published:
        """One more try where that may help: undecided as it stands, returned with the directory read anew."""
        if result is Published.UNDECIDED:
            result = await self._publisher.submit(message_for(document, delivery, body, refers_to))
        if result is Published.RETURNED:
            result = await self._once_more(document, delivery, body, refers_to)
        return result

    async def _once_more(
        self, document: Document, delivery: Delivery, body: bytes, refers_to: str | None
    ) -> Published:
        directory = await asyncio.get_running_loop().run_in_executor(None, self._reload)
        day = vietnam_day(document.accepted_at)
        agency = directory.resolve(delivery.recipient, day).agency
        if agency is None or agency.code != delivery.recipient:
            return Published.RETURNED
        return await self._publisher.submit(
            message_for(document, replace(delivery, level=agency.level), body, refers_to)
        )
