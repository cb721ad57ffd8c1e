"""What the demo writes down: what was sent, what came out of the queues, what senders were told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from relay.model.delivery import delivery_id
from relay.model.message import Kind

# A record is judged again and again while it grows.
_delivery_id = lru_cache(maxsize=65_536)(delivery_id)


@dataclass(frozen=True, slots=True)
class Sent:
    """One submission, and what must come of it."""

    kind: Kind
    sender: str
    transport_id: str
    sha256: str  # of the bytes as published, lower-case hex
    size: int  # bytes
    at: datetime  # when the broker had confirmed it
    label: str = ""  # what it is in the scenario
    reaches: tuple[str, ...] = ()  # normal codes of the agencies that must get it
    refusal: str = ""  # code of the acknowledgement: why all of it is refused
    refused: Mapping[str, str] = field(
        default_factory=dict
    )  # code as written -> why this recipient is refused
    code: str = ""  # code of an acknowledgement that accepts, e.g. SAME-CONTENT
    notices: tuple[str, ...] = ()  # codes of further outcomes that must come, e.g. OVERDUE
    answers: Mapping[str, int] = field(
        default_factory=dict
    )  # recipient -> how many statuses it owes the sender
    about: str = ""  # of a status: transport id of the document
    again: bool = False  # the same submission once more: the first receipt must come back, marked

    @property
    def deliveries(self) -> dict[str, str]:
        """The delivery ids that must be seen, with their recipients."""
        return {_delivery_id(self.sender, self.sha256, code): code for code in self.reaches}


@dataclass(frozen=True, slots=True)
class Seen:
    """One copy of a document or status that a queue gave to a gateway."""

    kind: Kind
    queue: str
    exchange: str
    routing_key: str
    transport_id: str
    delivery_id: str
    sender: str
    recipient: str
    sha256: str  # of the bytes as received, not the header
    size: int
    accepted_at: str  # as the relay wrote it
    refers_to: str  # of a status
    at: datetime


@dataclass(frozen=True, slots=True)
class ToldLine:
    """What a receipt says of one recipient."""

    code: str
    resolved: str
    state: str
    outcome_code: str


@dataclass(frozen=True, slots=True)
class Told:
    """One copy of a receipt that a queue gave to a sender's gateway; ``fault`` is set where its signature fails."""

    queue: str
    kind: str
    result: str
    code: str
    number: str  # with the relay's name: unique
    document_kind: str
    transport_id: str
    body_sha256: str  # of the document that it speaks of
    lines: tuple[ToldLine, ...]
    repeated: bool  # marked as the copy of an earlier one
    sha256: str  # of the receipt's own bytes
    issued_at: datetime
    at: datetime
    signer: str = ""  # of the document, as the relay's verdict names it
    reason: str = ""  # of the verdict
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """Everything, at one moment."""

    sent: tuple[Sent, ...] = ()
    seen: tuple[Seen, ...] = ()
    told: tuple[Told, ...] = ()
