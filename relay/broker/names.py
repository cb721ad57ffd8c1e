"""Every name that the relay uses on the broker, in one place.

The shape behind the names: gateways write ``ingress`` alone; the relay alone writes all the rest; an agency's queue is
bound to the exchange of its level and to ``receipts`` under its own code.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from relay.model.levels import Level
from relay.model.message import Lane

VHOST: Final = "truc"

# exchanges
INGRESS: Final = "ingress"
LEVEL_PREFIX: Final = "level."
RECEIPTS: Final = "receipts"
RETRY: Final = "retry"
DUE: Final = "due"
QUARANTINE: Final = "quarantine"
INSPECT: Final = "inspect"

# queues
INGRESS_PREFIX: Final = "ingress."
AGENCY_PREFIX: Final = "agency."
RETRY_PREFIX: Final = "retry."

RUNGS: Final[dict[str, timedelta]] = {
    "5s": timedelta(seconds=5),
    "1m": timedelta(minutes=1),
    "10m": timedelta(minutes=10),
    "1h": timedelta(hours=1),
}
"""The retry ladder, lowest rung first."""

EPOCH_PREFIX: Final = "epoch."
"""Marks of the broker's data, declared by the relay itself: gone when the data folder is gone."""

# headers of ours
HEADER_PREFIX: Final = "truc-"
H_DELIVERY_ID: Final = "truc-delivery-id"
H_SENDER: Final = "truc-sender"
H_RECIPIENT: Final = "truc-recipient"
H_SHA256: Final = "truc-sha256"
H_ACCEPTED_AT: Final = "truc-accepted-at"
H_REFERS_TO: Final = "truc-refers-to"
H_HOPS: Final = "truc-hops"
H_DEADLINE: Final = "truc-deadline"
H_USER: Final = "truc-user"
H_LANE: Final = "truc-lane"
H_ATTEMPT: Final = "truc-attempt"
H_FIRST_SEEN: Final = "truc-first-seen"
H_CODE: Final = "truc-code"
H_RECEIPT_KIND: Final = "truc-receipt-kind"
H_RESULT: Final = "truc-result"
H_DUPLICATE: Final = "truc-duplicate"

# headers of the broker
H_DELIVERY_COUNT: Final = "x-delivery-count"

CONTENT_EDXML: Final = "application/edxml+xml"
CONTENT_RECEIPT: Final = "application/truc-receipt+xml"


def level_exchange(level: Level) -> str:
    """Return the exchange of a level, e.g. ``level.province``."""
    return f"{LEVEL_PREFIX}{level.value}"


def agency_queue(code: str) -> str:
    """Return the queue of a connected agency (normal code), e.g. ``agency.H26``."""
    return f"{AGENCY_PREFIX}{code}"


def code_of_queue(queue: str) -> str | None:
    """Return the code whose queue this is, or None for a queue of another kind."""
    return queue[len(AGENCY_PREFIX) :] if queue.startswith(AGENCY_PREFIX) else None


def lane_queue(lane: Lane) -> str:
    """Return the queue that a lane is taken from, e.g. ``ingress.urgent``; ``due`` for retries."""
    return DUE if lane is Lane.DUE else f"{INGRESS_PREFIX}{lane.value}"


def ingress_key(lane: Lane, sender: str) -> str:
    """Return the routing key of a submission, e.g. ``normal.H26.15``."""
    return f"{lane.value}.{sender}"


def retry_queue(rung: str) -> str:
    """Return the queue of a rung, e.g. ``retry.5s``."""
    return f"{RETRY_PREFIX}{rung}"


def epoch_exchange(epoch: str) -> str:
    """Return the exchange that marks an epoch of the broker's data."""
    return f"{EPOCH_PREFIX}{epoch}"


def exactly(*names: str) -> str:
    """Return the one anchored, escaped expression that matches these names and nothing else.

    RabbitMQ matches permissions unanchored and a dot matches anything, so every pattern comes from here. No name: the
    expression matches nothing but the empty name, which is how a right is denied.
    """
    if not names:
        return "^$"
    ordered = [re.escape(name) for name in sorted(set(names))]
    return f"^{ordered[0]}$" if len(ordered) == 1 else f"^({'|'.join(ordered)})$"


LANES: Final = (Lane.URGENT, Lane.NORMAL, Lane.STATUS)
"""The lanes that gateways may write to."""

LEVEL_EXCHANGES: Final = tuple(level_exchange(level) for level in Level)
EXCHANGES: Final = (INGRESS, *LEVEL_EXCHANGES, RECEIPTS, RETRY, DUE, QUARANTINE, INSPECT)
"""The fixed exchanges."""

QUEUES: Final = (
    *(lane_queue(lane) for lane in LANES),
    *(retry_queue(rung) for rung in RUNGS),
    DUE,
    QUARANTINE,
    INSPECT,
    "agency.<code>",
)
"""The queues; ``agency.<code>`` stands for one per connected agency."""
