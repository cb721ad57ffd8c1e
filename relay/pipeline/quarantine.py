"""Quarantine: where a message goes that is our surprise, or that nobody can be told about. Never a lost body.

Publishes the body to ``quarantine``, notes it in the registry and tells the publishing gateway by a signed ``held``.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from relay.broker import names
from relay.errors import BrokerError, Code
from relay.model.message import Incoming, Lane, Outgoing, Published
from relay.model.ports import BrokerLink, Clock, Registry
from relay.model.record import HeldEntry, NewReceipt
from relay.observe import logs
from relay.observe.metrics import Metrics
from relay.pipeline.report import Reporter, Subject
from relay.pipeline.settle import Settler
from relay.registry.group import GroupCommitter

_HELD_NS: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:truc:held")
_REMEMBERED: Final = 1000
_log = logs.get("pipeline.quarantine")


def held_id(*facts: str) -> str:
    """Return the stable id of a held message, so that a crash between publish and note makes no second one."""
    return str(uuid.uuid5(_HELD_NS, "\n".join(facts)))


class Quarantine:
    """The worker's side of quarantine."""

    def __init__(
        self,
        link: BrokerLink,
        registry: Registry,
        commits: GroupCommitter,
        settler: Settler,
        reporter: Reporter,
        metrics: Metrics,
        clock: Clock,
        relay_user: str,
        gateway_of: Callable[[str], str] = str,
    ) -> None:
        """``gateway_of``: the gateway whose broker user published; it is told."""
        self._link = link
        self._registry = registry
        self._commits = commits
        self._settler = settler
        self._reporter = reporter
        self._metrics = metrics
        self._clock = clock
        self._relay_user = relay_user
        self._gateway_of = gateway_of
        self._put: dict[
            tuple[int, int], str
        ] = {}  # in the broker, not yet noted: by the message's session and tag

    async def set_aside(self, lane: Lane, message: Incoming, code: Code, detail: str) -> None:
        """Store the body in ``quarantine``, confirmed, then note it and tell its user. The caller acknowledges."""
        now = self._clock.now()
        properties = message.properties
        user, origin_lane = properties.user_id or "", lane.value
        if lane is Lane.DUE and user == self._relay_user:
            user = str(properties.headers.get(names.H_USER, ""))
            origin_lane = str(properties.headers.get(names.H_LANE, ""))
        digest = sha256(message.body).hexdigest()
        transport_id = properties.message_id or ""
        identity = held_id(user, transport_id, digest)
        headers = {names.H_CODE: code.value, names.H_USER: user, names.H_LANE: origin_lane}
        if isinstance(deadline := properties.headers.get(names.H_DEADLINE), str):
            headers[names.H_DEADLINE] = deadline  # counts again after a release
        copy = Outgoing(
            exchange=names.QUARANTINE,
            routing_key=names.QUARANTINE,
            body=message.body,
            message_id=identity,
            type=properties.type or "",
            content_type=properties.content_type or "",
            correlation_id=transport_id or None,
            headers=headers,
            as_self=True,
        )
        if (
            self._put.get((message.session, message.tag)) != identity
        ):  # else: tried again, since it was not noted
            await self._keep(message, copy)
            self._remember(message, identity)
            self._metrics.quarantined(code)
            logs.event(
                _log,
                logging.WARNING,
                "quarantined",
                code=code,
                transport_id=transport_id,
                queue=message.queue,
            )
        entry = HeldEntry(
            held_id=identity,
            code=code,
            origin=message.queue,
            user=user,
            transport_id=transport_id,
            sender="",
            recipient="",
            delivery_id="",
            body_sha256=digest,
            at=now,
            detail=detail,
        )
        receipts: tuple[NewReceipt, ...] = ()
        if user:
            subject = Subject(
                user, transport_id, properties.message_id, properties.type or "", digest, len(message.body)
            )
            receipts = (self._reporter.held(subject, self._gateway_of(user), code, "", now, None),)
        if await self._commits.run(lambda: self._registry.hold(entry, receipts)):
            await self._settler.publish(new.receipt for new in receipts)
        self._put.pop((message.session, message.tag), None)

    async def _keep(self, message: Incoming, copy: Outgoing) -> None:
        """Return once the broker has the copy. Raises ``BrokerError`` when the session of the message is gone."""
        pause = 0.1
        while (result := await self._link.publish(copy)) is not Published.CONFIRMED:
            if not self._link.current(message):
                raise BrokerError(Code.BROKER_UNREACHABLE, f"quarantine: {result.value}")
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)

    def _remember(self, message: Incoming, identity: str) -> None:
        if len(self._put) >= _REMEMBERED:  # of sessions that are gone, nearly all
            self._put.clear()
        self._put[message.session, message.tag] = identity
