"""The receipt: the relay's signed answer, as a value. Bytes and signature are made in ``evidence``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from relay.errors import Code
from relay.model.inspection import AttachmentVerdict
from relay.model.verdict import Verdict


class ReceiptKind(StrEnum):
    """The four kinds."""

    ACKNOWLEDGEMENT = "acknowledgement"
    OUTCOME = "outcome"
    HELD = "held"
    ATTACHMENT_VERDICT = "attachment-verdict"


class LineState(StrEnum):
    """What a receipt says of one recipient."""

    QUEUED = "queued"
    DEFERRED = "deferred"
    REFUSED = "refused"
    DELIVERED = "delivered"
    WITHDRAWN = "withdrawn"
    OVERDUE = "overdue"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class RecipientLine:
    """One ``recipient`` element."""

    code: str  # as written in the package
    resolved: str
    state: LineState
    outcome_code: Code | None
    delivery_id: str
    at: datetime
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt before it is written and signed."""

    kind: ReceiptKind
    accepted: bool  # result="accepted" (at least one recipient is on its way) or "refused"
    relay: str
    number: str
    at: datetime
    code: Code | None  # None: nothing to remark
    transport_id: str  # as sent, "" if it had none
    sender: str  # "" if not proven
    document_kind: str  # edoc, status or what the property said
    body_sha256: str
    body_bytes: int
    document_id: str = ""
    verdict: Verdict | None = None
    recipients: tuple[RecipientLine, ...] = ()
    attachments: tuple[AttachmentVerdict, ...] = ()  # of the kind attachment-verdict
    detail: str = ""  # appended to the error's messages, e.g. the path of the element that is wrong


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt's bytes as stored and sent, with the hints that stand in AMQP headers."""

    number: str
    kind: ReceiptKind
    accepted: bool
    code: str
    to: str  # agency or gateway code: key on exchange ``receipts``
    correlation_id: str | None
    body: bytes
    message_id: str
    at: datetime
