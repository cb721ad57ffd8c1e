"""What a package to be built says, as values: the facts of a document and of a status."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class Organ:
    """An agency as From and To name it. Only the code routes; the rest is for people."""

    code: str
    name: str = ""
    in_charge: str = ""  # the parent body's name
    address: str = ""
    email: str = ""
    telephone: str = ""
    fax: str = ""
    website: str = ""


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """One file of a package, written as the base64 of its bytes as they are."""

    name: str
    content: bytes
    content_type: str = "application/octet-stream"
    description: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """A document that this one answers (ResponseFor)."""

    code: str = ""  # normal or 2016 form of its sender
    number: str = ""  # "number/notation"
    document_id: str = ""
    promulgation_date: date | None = None


@dataclass(frozen=True, slots=True)
class Replaced:
    """One line of a replacement: the document replaced and for whom."""

    document_id: str
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReceiverChange:
    """One line of an update: an agency dropped from the receivers or newly added."""

    code: str
    added: bool


@dataclass(frozen=True, slots=True)
class Staff:
    """Who has a document in hand (StaffInfo)."""

    department: str = ""
    name: str = ""
    mobile: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class DocumentFields:
    """The facts of a document message; those without a default are due in every one."""

    sender: Organ
    recipients: tuple[Organ, ...]
    document_id: str
    number: str
    notation: str
    place: str
    promulgated_on: date
    type_number: int
    type_name: str
    subject: str
    signer_name: str
    traced_at: datetime  # aware; written in Vietnam time
    attachments: tuple[AttachedFile, ...] = ()
    type_detail: int | None = None
    content: str = ""
    signer_competence: str = ""  # TL., KT., TM. ...
    signer_position: str = ""
    due_on: date | None = None
    to_places: tuple[str, ...] = ()
    priority: int = 0
    sphere: str = ""
    typist: str = ""
    copies: int | None = None
    pages: int | None = None
    direction: bool = False
    appendixes: tuple[str, ...] = ()
    answers: tuple[Answered, ...] = ()
    steering_type: int = 1  # 1 no steering, 2 steering, 3 report on steering
    business_type: int = 0  # 0 new, 1 revocation, 2 update, 3 replacement
    business_reason: str = ""
    business_document_id: str = ""  # the document acted upon
    content_changed: bool = False  # of an update
    receiver_changes: tuple[ReceiverChange, ...] = ()
    staff: Staff | None = None
    on_paper_too: bool = False
    replaces: tuple[Replaced, ...] = ()


@dataclass(frozen=True, slots=True)
class StatusFields:
    """The facts of a status message about one document."""

    reporter: Organ
    addressee: str  # code of the agency that is told
    document_id: str
    number: str  # "number/notation" of the document
    promulgation_date: str  # of the document, as it wrote it
    status_code: str
    reported_at: datetime  # aware; written in Vietnam time
    description: str = ""  # the reason
    staff: Staff | None = None
