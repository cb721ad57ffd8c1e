"""Duty: quarantine. What a recipient's gateway rejects or fails on too often, and what expired in ``ingress``, comes here
by dead-lettering; sender and recipient are told by a signed ``held``. The bodies stay until an operator decides."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from relay.broker import names
from relay.errors import BrokerError, Code
from relay.keeper.duty import Tools
from relay.model.message import Incoming
from relay.model.receipt import LineState, RecipientLine
from relay.model.record import HeldEntry, NewReceipt
from relay.pipeline.quarantine import held_id
from relay.pipeline.report import Subject

_LIMIT, _BYTES = 500, 64 * 1024 * 1024


class QuarantineDuty:
    """Notes each message once; looks into the queue only when its depth has changed."""

    def __init__(self, relay_user: str) -> None:
        self._relay_user = relay_user
        self._seen_depth = 0

    async def run(self, tools: Tools) -> int:
        """Note and tell what is new. Returns how many messages."""
        try:
            depth = await tools.off(lambda: tools.browser.depth(names.QUARANTINE))
            if depth == self._seen_depth:
                return 0
            found = (
                await tools.off(lambda: tools.browser.browse(names.QUARANTINE, _LIMIT, _BYTES))
                if depth
                else []
            )
        except BrokerError:
            return 0
        self._seen_depth = depth
        return sum([await self._note(tools, message) for message in found])

    async def _note(self, tools: Tools, message: Incoming) -> bool:
        entry = describe(message, self._relay_user, tools)
        receipts = await self._receipts(tools, message, entry)
        if not await tools.commits.run(lambda: tools.registry.hold(entry, receipts)):
            return False
        tools.metrics.notice("held")
        await tools.settler.publish(new.receipt for new in receipts)
        return True

    async def _receipts(self, tools: Tools, message: Incoming, entry: HeldEntry) -> tuple[NewReceipt, ...]:
        subject = Subject(
            user=entry.user,
            transport_id=entry.transport_id,
            correlation_id=entry.transport_id or None,
            kind=message.properties.type or "",
            sha256=entry.body_sha256,
            size=len(message.body),
        )
        now = tools.clock.now()
        if not entry.delivery_id:
            if not entry.user:
                return ()
            return (tools.reporter.held(subject, entry.user, entry.code, "", now, None),)
        line = RecipientLine(
            entry.recipient, entry.recipient, LineState.HELD, entry.code, entry.delivery_id, now
        )
        told = dict.fromkeys((entry.sender, entry.recipient))
        return tuple(tools.reporter.held(subject, to, entry.code, "", now, line) for to in told if to)


def describe(message: Incoming, relay_user: str, tools: Tools) -> HeldEntry:
    """Say where a message in quarantine came from and why, by what the broker and the relay wrote on it."""
    properties = message.properties
    headers = properties.headers
    digest = sha256(message.body).hexdigest()
    death = _first_death(headers)
    queue, reason = str(death.get("queue", "")), str(death.get("reason", ""))
    transport_id = properties.message_id or ""
    now = tools.clock.now()
    if properties.user_id == relay_user and names.H_CODE in headers:
        return HeldEntry(
            held_id=transport_id,
            code=_code(headers[names.H_CODE]),
            origin="worker",
            user=str(headers.get(names.H_USER, "")),
            transport_id=properties.correlation_id or "",
            sender="",
            recipient="",
            delivery_id="",
            body_sha256=digest,
            at=now,
        )
    if names.code_of_queue(queue) is not None:
        delivery = str(headers.get(names.H_DELIVERY_ID, ""))
        return HeldEntry(
            held_id=held_id(
                queue, delivery or transport_id, str(death.get("time", "")), str(death.get("count", ""))
            ),
            code=Code.REJECTED_BY_GATEWAY,
            origin=queue,
            user="",
            transport_id=transport_id,
            sender=str(headers.get(names.H_SENDER, "")),
            recipient=str(headers.get(names.H_RECIPIENT, "")),
            delivery_id=delivery,
            body_sha256=digest,
            at=now,
            detail=reason,
        )
    code = Code.EXPIRED_IN_QUEUE if reason == "expired" else Code.SET_ASIDE
    return HeldEntry(
        held_id=held_id(queue, properties.user_id or "", transport_id, digest),
        code=code,
        origin=queue,
        user=properties.user_id or "",
        transport_id=transport_id,
        sender="",
        recipient="",
        delivery_id="",
        body_sha256=digest,
        at=now,
        detail=reason,
    )


def _first_death(headers: Mapping[str, object]) -> Mapping[str, Any]:
    deaths = headers.get("x-death")
    if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict):
        return deaths[0]
    return {}


def _code(value: object) -> Code:
    try:
        return Code(str(value))
    except ValueError:
        return Code.HELD
