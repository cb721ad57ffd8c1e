"""Route: from the signed envelope to one delivery for each resolved recipient. Pure; reads nothing but what was signed.

Resolve first, deliver later: after this file nobody looks at the directory, except once more for a returned publish.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from relay.directory.admission import between
from relay.errors import Code
from relay.model.agency import Agency, Resolution
from relay.model.delivery import Delivery, State, delivery_id
from relay.model.envelope import Envelope
from relay.model.message import Kind, Lane
from relay.model.ports import Directory
from relay.model.times import vietnam_day


@dataclass(frozen=True, slots=True)
class RouteLimits:
    """Bounds on the fan-out, from the settings."""

    max_recipients: int = 1000
    max_fanout_bytes: int = 1024 * 1024 * 1024
    hold: timedelta = timedelta(days=7)
    """How long a document can wait for a recipient: until it is given up."""


@dataclass(frozen=True, slots=True)
class Route:
    """The deliveries of a document, or the one reason why the whole document is refused.

    With a refusal the lines of the recipients stand in ``deliveries`` for the receipt; they are never stored.
    """

    deliveries: tuple[Delivery, ...]
    refusal: Code | None = None
    detail: str = ""


def route(
    envelope: Envelope,
    sha256: str,
    size: int,
    lane: Lane,
    directory: Directory,
    limits: RouteLimits,
    now: datetime,
) -> Route:
    """Resolve every recipient as of ``now`` (accepted-at) and check the limits of the fan-out."""
    if lane is Lane.URGENT and not envelope.urgent:
        return Route((), Code.WRONG_LANE, "the signed Priority is not urgent")
    if not envelope.recipients:
        return Route((), Code.NO_RECIPIENT)
    if len(envelope.recipients) > limits.max_recipients:
        return Route((), Code.TOO_LARGE, f"at most {limits.max_recipients} recipients")
    if size * len(envelope.recipients) > limits.max_fanout_bytes:
        return Route((), Code.TOO_LARGE, f"body x recipients at most {limits.max_fanout_bytes} bytes")
    day = vietnam_day(now)
    sender = directory.agency(envelope.sender)
    deliveries: dict[str, Delivery] = {}
    for recipient in envelope.recipients:
        resolution = directory.resolve(recipient.written, day)
        if sender is not None and resolution.agency is not None:
            resolution = _admitted(envelope.kind, sender, resolution.agency, resolution, now, limits.hold)
        delivery = _delivery(envelope.sender, sha256, recipient.code, resolution, now)
        deliveries.setdefault(delivery.recipient, delivery)
    planned = tuple(deliveries.values())
    if all(delivery.state is State.REFUSED for delivery in planned):
        codes = {delivery.code for delivery in planned}
        first = planned[0].code or Code.UNKNOWN_RECIPIENT
        return Route(planned, first if len(codes) == 1 else Code.NO_RECIPIENT, planned[0].detail)
    return Route(planned)


def _admitted(
    kind: Kind, sender: Agency, recipient: Agency, resolution: Resolution, now: datetime, hold: timedelta
) -> Resolution:
    """Refuse what the admission of the two forbids; what a suspension with a near end holds up is planned."""
    code = between(sender, recipient, vietnam_day(now))
    if code is None or (code is Code.TRIAL_ONLY and kind is Kind.STATUS):
        return resolution
    until = recipient.suspended_until
    if code is Code.RECIPIENT_SUSPENDED and until is not None:
        held = replace(resolution, until=until)
        return held if until < vietnam_day(now + hold) else replace(held, agency=None, refusal=code)
    return replace(resolution, agency=None, refusal=code)


def _delivery(sender: str, sha256: str, code: str, resolution: Resolution, now: datetime) -> Delivery:
    agency = resolution.agency
    resolved = agency.code if agency else code
    return Delivery(
        delivery_id=delivery_id(sender, sha256, resolved),
        written=resolution.written,
        recipient=resolved,
        level=agency.level if agency else None,
        state=State.PLANNED if agency else State.REFUSED,
        code=resolution.refusal,
        at=now,
        detail=resolution.until.isoformat() if resolution.until else ", ".join(resolution.candidates),
    )
