"""What comes from the broker and what goes to it, without a word of AMQP's library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Lane(StrEnum):
    """The queues that a worker takes from. ``DUE`` holds retries, believed only with the relay's own user id."""

    URGENT = "urgent"
    NORMAL = "normal"
    STATUS = "status"
    DUE = "due"


class Kind(StrEnum):
    """The AMQP property ``type``."""

    EDOC = "edoc"
    STATUS = "status"
    RECEIPT = "receipt"


@dataclass(frozen=True, slots=True)
class Properties:
    """The AMQP properties of a message as sent; absent is None, headers are what the wire held."""

    message_id: str | None = None
    type: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None
    user_id: str | None = None
    app_id: str | None = None
    delivery_mode: int | None = None
    priority: int | None = None
    timestamp: int | None = None  # seconds since 1970, UTC
    headers: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message taken from a queue and not yet settled.

    ``tag`` is valid only with ``session``: a delivery tag lives and dies with its channel.
    """

    queue: str
    exchange: str
    routing_key: str
    properties: Properties
    body: bytes
    redelivered: bool
    delivery_count: int  # 0 on the first delivery (header x-delivery-count of a quorum queue)
    tag: int
    session: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to publish, persistent and mandatory. Headers are strings; nothing is ever copied from a sender."""

    exchange: str
    routing_key: str
    body: bytes
    message_id: str
    type: str
    content_type: str
    correlation_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    as_self: bool = False  # publish with our own user_id, checked by the broker (retry and due only)
    priority: int | None = None
    timestamp: datetime | None = None


class Published(StrEnum):
    """How one publish ended. Only CONFIRMED means that a queue has it."""

    CONFIRMED = "confirmed"
    RETURNED = "returned"  # no queue is bound to the key
    NACKED = "nacked"  # a queue is full or failing
    UNDECIDED = "undecided"  # channel closed or no confirm in time: it may be there
