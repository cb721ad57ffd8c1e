"""Accept: what the AMQP properties alone decide.

Takes a message and the lane that it was taken from; gives a ``Submission``, or the reason why it is none. Pure.
Properties and headers have no influence on anything later but refusal: routing reads only what was signed.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from relay.broker import names
from relay.errors import Code
from relay.model.message import Incoming, Kind, Lane, Properties

_BROKERS_OWN: Final = frozenset({"x-delivery-count", "x-acquired-count"})
_UNPRINTABLE: Final = re.compile(r"[^ -~]")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class AcceptPolicy:
    """The limits that accept checks, from the settings."""

    relay_user: str
    max_body: int = 48 * 1024 * 1024
    min_deadline: timedelta = timedelta(minutes=10)
    max_deadline: timedelta = timedelta(days=30)
    content_type: str = names.CONTENT_EDXML


@dataclass(frozen=True, slots=True)
class Submission:
    """A message whose properties are in order, or (``refusal``) the one reason why they are not.

    ``user`` is the gateway whose broker user the broker has checked; ``claimed_sender`` is the routing key's word, to be compared with the
    signed one and used for nothing else.
    """

    message: Incoming
    transport_id: str
    correlation_id: str | None  # of the answer: the transport id as sent
    kind: Kind
    lane: Lane
    user: str
    sha256: str
    claimed_sender: str | None
    hint: str | None  # correlation id of a status
    deadline: datetime | None
    deadline_text: str | None
    attempt: int
    first_seen: datetime
    retry: bool  # came from ``due``: ours, nobody waits for a second telling
    refusal: Code | None = None
    detail: str = ""

    @property
    def asked(self) -> bool:
        """Whether the receipts that there are, are to be told again: to a sender who asks, or after a worker's death."""
        return not self.retry or self.message.delivery_count > 0

    @property
    def body(self) -> bytes:
        """The package as received."""
        return self.message.body


@dataclass(frozen=True, slots=True)
class Unanswerable:
    """There is nobody to tell: quarantined and counted."""

    message: Incoming
    code: Code
    detail: str


@dataclass(frozen=True, slots=True)
class Absorbed:
    """A copy that CC or BCC put into another lane; the original stands in its own."""

    message: Incoming


def accept(
    message: Incoming,
    lane: Lane,
    policy: AcceptPolicy,
    now: datetime,
    gateway_of: Callable[[str], str] = str,
) -> Submission | Unanswerable | Absorbed:
    """Judge one message by its properties.

    ``gateway_of`` puts the gateway in the place of its broker user, of which it may have two for a while.
    """
    properties = message.properties
    if not properties.user_id:
        return Unanswerable(message, Code.NO_USER, "published without user_id")
    if lane is Lane.DUE:
        return _from_due(message, policy, gateway_of)
    key_lane, _, claimed = message.routing_key.partition(".")
    if key_lane != lane.value and key_lane in {Lane.URGENT.value, Lane.NORMAL.value, Lane.STATUS.value}:
        return Absorbed(message)
    refusal, detail = _refusal(message, lane, policy)
    deadline, deadline_text = None, None
    if refusal is None and names.H_DEADLINE in properties.headers and properties.type == Kind.EDOC:
        deadline_text = str(properties.headers[names.H_DEADLINE])
        deadline = _deadline(properties.headers[names.H_DEADLINE])
        if deadline is None or not policy.min_deadline <= deadline - now <= policy.max_deadline:
            refusal, detail, deadline = Code.BAD_DEADLINE, "truc-deadline: RFC 3339, within the bounds", None
    return Submission(
        message=message,
        transport_id=properties.message_id or "",
        correlation_id=properties.message_id,
        kind=Kind.STATUS if properties.type == Kind.STATUS else Kind.EDOC,
        lane=lane,
        user=gateway_of(properties.user_id),
        sha256=sha256(message.body).hexdigest(),
        claimed_sender=claimed,
        hint=properties.correlation_id,
        deadline=deadline,
        deadline_text=deadline_text,
        attempt=0,
        first_seen=now,
        retry=False,
        refusal=refusal,
        detail=detail,
    )


def transport_id_fault(value: str | None) -> Code | None:
    """Return what is wrong with a transport id: it must be a lower-case UUID and not the nil one."""
    if not value:
        return Code.MISSING_TRANSPORT_ID
    try:
        parsed = uuid.UUID(value)
    except ValueError:
        return Code.BAD_TRANSPORT_ID
    return None if str(parsed) == value and parsed.int else Code.BAD_TRANSPORT_ID


def _refusal(message: Incoming, lane: Lane, policy: AcceptPolicy) -> tuple[Code | None, str]:
    properties = message.properties
    if fault := transport_id_fault(properties.message_id):
        return fault, "message_id"
    if forbidden := _header_fault(properties):
        return forbidden
    checks = (
        (properties.type not in {Kind.EDOC.value, Kind.STATUS.value}, Code.WRONG_TYPE, "type"),
        (properties.content_type != policy.content_type, Code.WRONG_CONTENT_TYPE, "content_type"),
        (properties.delivery_mode != 2, Code.NOT_PERSISTENT, "delivery_mode"),
        (properties.expiration is not None, Code.EXPIRATION_FORBIDDEN, "expiration"),
        (properties.reply_to is not None, Code.REPLY_TO_FORBIDDEN, "reply_to"),
        (properties.content_encoding is not None, Code.CONTENT_ENCODING_FORBIDDEN, "content_encoding"),
        (
            (properties.type == Kind.STATUS) != (lane is Lane.STATUS),
            Code.WRONG_LANE,
            f"{properties.type} in {lane}",
        ),
        (not message.body, Code.EMPTY_BODY, ""),
        (len(message.body) > policy.max_body, Code.TOO_LARGE, f"at most {policy.max_body} bytes"),
    )
    return next(((code, detail) for wrong, code, detail in checks if wrong), (None, ""))


def _header_fault(properties: Properties) -> tuple[Code, str] | None:
    for name in properties.headers:
        lowered = str(name).lower()
        if lowered in {"cc", "bcc"}:
            return Code.CC_FORBIDDEN, lowered.upper()
        ours = lowered.startswith("truc-") and name != names.H_DEADLINE
        if ours or (lowered.startswith("x-") and name not in _BROKERS_OWN):
            return Code.FORBIDDEN_HEADER, _UNPRINTABLE.sub("?", str(name)[:64])
    return None


def _deadline(value: object) -> datetime | None:
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError:
        return None


def _from_due(
    message: Incoming, policy: AcceptPolicy, gateway_of: Callable[[str], str]
) -> Submission | Unanswerable:
    """Read a retry of our own: its properties were judged when it came first."""
    properties = message.properties
    if properties.user_id != policy.relay_user:
        return Unanswerable(message, Code.NO_USER, "in `due` without the relay's own user_id")
    headers = properties.headers
    try:
        lane = Lane(str(headers[names.H_LANE]))
        attempt = int(str(headers[names.H_ATTEMPT]))
        first_seen = datetime.fromisoformat(str(headers[names.H_FIRST_SEEN]))
        user = gateway_of(str(headers[names.H_USER]))
        kind = Kind(properties.type or "")
    except (KeyError, ValueError) as error:
        return Unanswerable(message, Code.HELD, f"retry headers are damaged: {type(error).__name__}")
    text = headers.get(names.H_DEADLINE)
    return Submission(
        message=message,
        transport_id=properties.message_id or "",
        correlation_id=properties.message_id,
        kind=kind,
        lane=lane,
        user=user,
        sha256=sha256(message.body).hexdigest(),
        claimed_sender=None,
        hint=properties.correlation_id,
        deadline=_deadline(text) if text is not None else None,
        deadline_text=None if text is None else str(text),
        attempt=attempt,
        first_seen=first_seen,
        retry=True,
    )
