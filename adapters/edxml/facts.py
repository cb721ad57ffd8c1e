"""What a package to be built says, as values: the facts of a document and of a status."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from adapters.edxml import model
from adapters.edxml.content import Content
from adapters.edxml.walker import written


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


# to the model


def document_of(fields: DocumentFields) -> model.Document:
    """Return the facts of a document as the model has them."""
    sender = organ_of(fields.sender)
    return model.Document(
        message_header=model.MessageHeader(
            from_=sender,
            to=tuple(organ_of(one) for one in fields.recipients),
            document_id=fields.document_id,
            code=model.CodeInfo(code_number=fields.number, code_notation=fields.notation),
            promulgation_info=model.PromulgationInfo(
                place=fields.place, promulgation_date=fields.promulgated_on
            ),
            document_type=model.DocumentType(
                type=fields.type_number, type_detail=fields.type_detail, type_name=fields.type_name
            ),
            subject=fields.subject,
            content=fields.content,
            signer_info=model.SignerInfo(
                competence=fields.signer_competence,
                position=fields.signer_position,
                full_name=fields.signer_name,
            ),
            due_date=fields.due_on,
            other_info=model.OtherInfo(
                priority=fields.priority,
                sphere_of_promulgation=fields.sphere,
                typer_notation=fields.typist,
                promulgation_amount=fields.copies,
                page_amount=fields.pages,
                direction=fields.direction,
                appendixes=fields.appendixes,
            ),
            response_for=tuple(
                model.ResponseFor(
                    organ_id=one.code,
                    code=one.number,
                    document_id=one.document_id,
                    promulgation_date=written(one.promulgation_date) if one.promulgation_date else "",
                )
                for one in fields.answers
            ),
            steering_type=fields.steering_type,
            to_places=fields.to_places,
        ),
        trace_header_list=model.TraceHeaderList(
            trace_header=(model.TraceHeader(organ_id=fields.sender.code, timestamp=fields.traced_at),),
            bussiness=_business(fields),
        ),
        references=tuple(
            model.Reference(
                content_id=_content_id(index),
                content_type=file.content_type,
                description=file.description,
                attachment_name=file.name,
            )
            for index, file in enumerate(fields.attachments, 1)
        ),
        attachments=tuple(
            model.Attachment(
                content_id=_content_id(index),
                attachment_name=file.name,
                content_type=file.content_type,
                content=Content.of(file.content),
            )
            for index, file in enumerate(fields.attachments, 1)
        ),
    )


def status_of(fields: StatusFields) -> model.StatusMessage:
    """Return the facts of a status as the model has them."""
    return model.StatusMessage(
        message_header=model.StatusHeader(
            from_=organ_of(fields.reporter),
            response_for=model.StatusFor(
                organ_id=fields.addressee,
                code=fields.number,
                promulgation_date=fields.promulgation_date,
                document_id=fields.document_id,
            ),
            staff_info=_staff(fields.staff),
            status_code=fields.status_code,
            description=fields.description,
            timestamp=fields.reported_at,
        )
    )


def organ_of(organ: Organ) -> model.Organ:
    """Return an agency as the model has it."""
    return model.Organ(
        organ_id=organ.code,
        organization_in_charge=organ.in_charge,
        organ_name=organ.name,
        organ_add=organ.address,
        email=organ.email,
        telephone=organ.telephone,
        fax=organ.fax,
        website=organ.website,
    )


def _business(fields: DocumentFields) -> model.Bussiness:
    info = None
    if fields.content_changed or fields.receiver_changes:
        info = model.BussinessDocumentInfo(
            document_info=fields.content_changed,
            document_receiver=bool(fields.receiver_changes),
            receiver_list=tuple(
                model.Receiver(organ_id=one.code, receiver_type=1 if one.added else 0)
                for one in fields.receiver_changes
            ),
        )
    return model.Bussiness(
        bussiness_doc_type=fields.business_type,
        bussiness_doc_reason=fields.business_reason,
        bussiness_document_info=info,
        document_id=fields.business_document_id,
        staff_info=_staff(fields.staff),
        paper=fields.on_paper_too,
        replacement_info_list=tuple(
            model.ReplacementInfo(document_id=one.document_id, organ_id_list=one.codes)
            for one in fields.replaces
        ),
    )


def _staff(staff: Staff | None) -> model.StaffInfo | None:
    if staff is None:
        return None
    return model.StaffInfo(
        department=staff.department, staff=staff.name, mobile=staff.mobile, email=staff.email
    )


def _content_id(index: int) -> str:
    return f"cid:attachment-{index}"
