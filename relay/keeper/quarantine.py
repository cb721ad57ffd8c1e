"""Duty: quarantine. What a recipient's gateway rejects or fails on too often, and what expired in ``ingress``, comes here
by dead-lettering; sender and recipient are told by a signed ``held``. The bodies stay until an operator decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from relay.broker import names
from relay.errors import BrokerError, Code
from relay.keeper.duty import Tools
from relay.model.message import Incoming
from relay.model.receipt import LineState, RecipientLine
from relay.model.record import HeldEntry, NewReceipt
from relay.pipeline.quarantine import held_id
from relay.pipeline.report import Subject

_LIMIT: Final = 500
_AGAIN: Final = 60.0  # seconds after which an unchanged depth is no reason not to look
_SHARE: Final = (
    10  # a look reads every body that is held: it takes no more than one part of the time in so many
)


@dataclass(frozen=True, slots=True)
class _Found:
    """What is kept of a message that was looked at; the body is not."""

    entry: HeldEntry
    kind: str
    size: int


class QuarantineDuty:
    """Notes each message once; looks into the queue when its depth has changed, and now and then anyhow."""

    def __init__(self, relay_user: str) -> None:
        self._relay_user = relay_user
        self._seen_depth = 0
        self._seen_noted = 0  # of what is held, after the last look: a release or a drop makes it another
        self._looked = float("-inf")
        self._took = 0.0

    async def run(self, tools: Tools) -> int:
        """Note and tell what is new. Returns how many messages."""
        try:
            depth = await tools.off(lambda: tools.browser.depth(names.QUARANTINE))
            monotonic = tools.clock.monotonic()
            # As many may have gone as have come.
            since = monotonic - self._looked
            if not depth:
                self._seen_depth = 0
                return 0
            noted = await tools.commits.run(tools.registry.held_count)
            same = depth == self._seen_depth and noted == self._seen_noted
            if since < _SHARE * self._took or (same and since < _AGAIN):
                return 0
            at = tools.clock.now()  # a release after this is younger than what is seen now
            limit = max(_LIMIT, depth)
            found = await tools.off(
                lambda: tools.browser.each(names.QUARANTINE, limit, lambda message: self._see(message, at))
            )
        except BrokerError:
            return 0
        self._took = tools.clock.monotonic() - monotonic
        known = {one.held_id for one in await tools.commits.run(tools.registry.held)}
        done = sum([await self._note(tools, one) for one in found if one.entry.held_id not in known])
        self._seen_noted = await tools.commits.run(tools.registry.held_count)
        self._seen_depth, self._looked = depth, monotonic
        return done

    def _see(self, message: Incoming, at: datetime) -> _Found:
        entry = describe(message, self._relay_user, at)
        return _Found(entry, message.properties.type or "", len(message.body))

    async def _note(self, tools: Tools, found: _Found) -> bool:
        entry, receipts = found.entry, self._receipts(tools, found)
        if not await tools.commits.run(lambda: tools.registry.hold(entry, receipts)):
            return False
        tools.metrics.notice("held")
        await tools.settler.publish(new.receipt for new in receipts)
        return True

    def _receipts(self, tools: Tools, found: _Found) -> tuple[NewReceipt, ...]:
        entry = found.entry
        subject = Subject(
            user=entry.user,
            transport_id=entry.transport_id,
            correlation_id=entry.transport_id or None,
            kind=found.kind,
            sha256=entry.body_sha256,
            size=found.size,
        )
        now = tools.clock.now()
        if not entry.delivery_id:
            if not entry.user:
                return ()
            return (tools.reporter.held(subject, tools.gateway_of(entry.user), entry.code, "", now, None),)
        line = RecipientLine(
            entry.recipient, entry.recipient, LineState.HELD, entry.code, entry.delivery_id, now
        )
        told = dict.fromkeys((entry.sender, entry.recipient))
        return tuple(tools.reporter.held(subject, to, entry.code, "", now, line) for to in told if to)


def describe(message: Incoming, relay_user: str, at: datetime) -> HeldEntry:
    """Say where a message in quarantine came from and why, by what the broker and the relay wrote on it."""
    properties = message.properties
    headers = properties.headers
    digest = sha256(message.body).hexdigest()
    death = _first_death(headers)
    queue, reason = str(death.get("queue", "")), str(death.get("reason", ""))
    transport_id = properties.message_id or ""
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
            at=at,
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
            at=at,
            detail=reason,
        )
    code = Code.EXPIRED_IN_QUEUE if reason == "expired" else Code.SET_ASIDE
    user = properties.user_id or ""
    if user == relay_user:  # a retry of ours that was delivered too often: its sender is to be told
        user = str(headers.get(names.H_USER, ""))
    return HeldEntry(
        held_id=held_id(queue, user, transport_id, digest),
        code=code,
        origin=queue,
        user=user,
        transport_id=transport_id,
        sender="",
        recipient="",
        delivery_id="",
        body_sha256=digest,
        at=at,
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
