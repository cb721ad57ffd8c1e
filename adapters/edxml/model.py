"""The typed model of a package: documents of the four business types, and status messages.

Mô hình dữ liệu của gói tin edXML: văn bản (bốn loại nghiệp vụ) và trạng thái xử lý. Each class is an element of the
standard, each field one of its children, in the order of the national encoder, under the standard's own name (in Python's
spelling: ``BussinessDocType`` is ``bussiness_doc_type``). What is absent is ``""``, ``None`` or ``()``. Texts stand as
written, without the white space around them. The misspelling *Bussiness* is normative.
"""

# ruff: noqa: RUF009 -- the calls declare fields, as dataclasses.field does

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import Final

from adapters.edxml.content import Content
from adapters.edxml.rules import (
    Value,
    boolean,
    day,
    day_text,
    flag,
    identifier,
    many,
    moment,
    number,
    organ,
    part,
    text,
)
from relay.errors import RefusedError
from relay.model.codes import normal_form
from relay.model.envelope import StatusCode
from relay.model.message import Kind


class BusinessType(IntEnum):
    """Loại nghiệp vụ (BussinessDocType): what a document does."""

    NEW = 0  # văn bản mới
    REVOCATION = 1  # thu hồi
    UPDATE = 2  # cập nhật
    REPLACEMENT = 3  # thay thế


class SignatureKind(StrEnum):
    """Chữ ký số XML: what stands where the signature belongs. Nothing here has verified it."""

    NONE = "none"
    XMLDSIG = "xmldsig"
    STUB = "stub"  # in the namespace of edXML, as the national encoder writes it: no library can verify it


def normal_or_none(written: str) -> str | None:
    """Return the normal form of an identifier code, None where it has none."""
    return _known(written) if len(written) <= _LONG_CODE else _tried(written)


def _tried(written: str) -> str | None:
    try:
        return normal_form(written)
    except RefusedError:
        return None


_LONG_CODE: Final = 64  # what stands in the place of a code may have any length; such texts are not kept
_known: Final = lru_cache(maxsize=4096)(_tried)


@dataclass(frozen=True, slots=True, kw_only=True)
class Organ:
    """From, To — Cơ quan gửi, cơ quan nhận: an agency. Only the code routes; the rest is for people."""

    organ_id: str = organ("OrganId", "mã định danh", "identifier code", due=True, vital=True, kept_empty=True)
    organization_in_charge: str = text("OrganizationInCharge", "cơ quan chủ quản", "parent body", 200)
    organ_name: str = text("OrganName", "tên cơ quan", "name", 200)
    organ_add: str = text("OrganAdd", "địa chỉ", "address", 250)
    email: str = text("Email", "thư điện tử", "e-mail", 100)
    telephone: str = text("Telephone", "điện thoại", "telephone", 20)
    fax: str = text("Fax", "fax", "fax", 20)
    website: str = text("Website", "trang thông tin", "website", 100)

    @property
    def code(self) -> str | None:
        """The code in its normal form; None where it has none."""
        return normal_or_none(self.organ_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeInfo:
    """Code — Số, ký hiệu văn bản: number and notation."""

    code_number: str = identifier("CodeNumber", "số", "number", 11, due=True)
    code_notation: str = identifier("CodeNotation", "ký hiệu", "notation", 30, due=True)

    @property
    def joined(self) -> str:
        """``number/notation``, the form in which statuses name a document."""
        return "/".join(filter(None, (self.code_number, self.code_notation)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PromulgationInfo:
    """PromulgationInfo — Thông tin ban hành: where and when it was promulgated."""

    place: str = text("Place", "địa danh", "place", 50, due=True)
    promulgation_date: date | None = day(
        "PromulgationDate", "ngày ban hành", "date of promulgation", due=True, identity=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentType:
    """DocumentType — Loại văn bản. The numbers mean different things to different vendors: the name is what counts."""

    type: int | None = number("Type", "mã loại", "number of the type", due=True)
    type_detail: int | None = number("TypeDetail", "mã chi tiết", "detail of the type")
    type_name: str = text("TypeName", "tên loại", "name of the type", 100, due=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerInfo:
    """SignerInfo — Người ký: who signed the document."""

    competence: str = text("Competence", "quyền hạn ký", "competence", 100)
    position: str = text("Position", "chức vụ", "position", 100)
    full_name: str = text("FullName", "họ và tên", "full name", 50, due=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherInfo:
    """OtherInfo — Thông tin khác."""

    priority: int | None = number("Priority", "độ khẩn", "priority", 0, 4, identity=True)
    sphere_of_promulgation: str = text("SphereOfPromulgation", "phạm vi lưu hành", "circulation", 100)
    typer_notation: str = text("TyperNotation", "ký hiệu người đánh máy", "typist", 10)
    promulgation_amount: int | None = number("PromulgationAmount", "số bản phát hành", "copies", 0, 999)
    page_amount: int | None = number("PageAmount", "số trang", "pages", 0, 9999)
    direction: bool | None = boolean("Direction", "có chỉ đạo", "contains a direction")
    appendixes: tuple[str, ...] = many(text("Appendix", "phụ lục", "appendix"), within="Appendixes")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseFor:
    """ResponseFor — Văn bản được phúc đáp: a document that this one answers. ``code`` is "number/notation"."""

    organ_id: str = organ("OrganId", "mã định danh", "identifier code")
    code: str = identifier("Code", "số, ký hiệu", "number and notation", 42)
    document_id: str = identifier("DocumentId", "mã văn bản", "document id", 200)
    promulgation_date: str = day_text("PromulgationDate", "ngày ban hành", "date of promulgation")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusFor:
    """ResponseFor of a status — Văn bản được báo trạng thái: ``organ_id`` is whom the status is for."""

    organ_id: str = organ("OrganId", "gửi tới", "addressee", due=True, vital=True)
    code: str = identifier("Code", "số, ký hiệu", "number and notation", 42, due=True)
    promulgation_date: str = day_text("PromulgationDate", "ngày ban hành", "date of promulgation", due=True)
    document_id: str = identifier("DocumentId", "mã văn bản", "document id", 200, due=True)

    @property
    def addressee(self) -> str | None:
        """The addressee's code in its normal form; None where it has none."""
        return normal_or_none(self.organ_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffInfo:
    """StaffInfo — Cán bộ xử lý: who has it in hand."""

    department: str = text("Department", "phòng, ban", "department", 300)
    staff: str = text("Staff", "cán bộ", "staff", 300)
    mobile: str = text("Mobile", "di động", "mobile", 30)
    email: str = text("Email", "thư điện tử", "e-mail", 100)
    department_id: str = text("DepartmentId", "mã phòng, ban", "department id", 100)
    staff_id: str = text("StaffId", "mã cán bộ", "staff id", 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Receiver — Thay đổi một nơi nhận: 1 is newly added, 0 is dropped."""

    organ_id: str = organ("OrganId", "mã định danh", "identifier code", due=True, vital=True)
    receiver_type: int | None = number(
        "ReceiverType", "thêm hay bỏ", "added or dropped", 0, 1, due=True, vital=True, identity=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BussinessDocumentInfo:
    """BussinessDocumentInfo — Nội dung cập nhật: what an update changes."""

    document_info: bool | None = flag("DocumentInfo", "đổi nội dung", "content changed", due=True)
    document_receiver: bool | None = flag("DocumentReceiver", "đổi nơi nhận", "receivers changed", due=True)
    receiver_list: tuple[Receiver, ...] = many(
        part("Receiver", "nơi nhận", "receiver", Receiver), within="ReceiverList"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacementInfo:
    """ReplacementInfo — Văn bản bị thay thế: a document replaced, and for whom."""

    document_id: str = identifier("DocumentId", "mã văn bản", "document id", 200, due=True, vital=True)
    organ_id_list: tuple[str, ...] = many(
        organ("OrganId", "mã định danh", "identifier code", due=True, vital=True), within="OrganIdList"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bussiness:
    """Bussiness — Nghiệp vụ: new, revocation, update or replacement, and of which document."""

    bussiness_doc_type: int | None = number(
        "BussinessDocType", "loại nghiệp vụ", "business type", 0, 3, due=True, identity=True
    )
    bussiness_doc_reason: str = text("BussinessDocReason", "lý do", "reason", 500)
    bussiness_document_info: BussinessDocumentInfo | None = part(
        "BussinessDocumentInfo", "nội dung cập nhật", "what is updated", BussinessDocumentInfo
    )
    document_id: str = identifier("DocumentId", "văn bản liên quan", "document acted upon", 200)
    staff_info: StaffInfo | None = part("StaffInfo", "cán bộ xử lý", "staff", StaffInfo)
    paper: bool | None = flag("Paper", "có bản giấy", "on paper too")
    replacement_info_list: tuple[ReplacementInfo, ...] = many(
        part("ReplacementInfo", "văn bản bị thay thế", "document replaced", ReplacementInfo),
        within="ReplacementInfoList",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceHeader:
    """TraceHeader — Vết luân chuyển: one station and its time."""

    organ_id: str = text("OrganId", "mã định danh", "identifier code", 35, due=True)
    timestamp: datetime | None = moment("Timestamp", "thời điểm", "time", due=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceHeaderList:
    """TraceHeaderList — Vết luân chuyển và nghiệp vụ."""

    trace_header: tuple[TraceHeader, ...] = many(
        part("TraceHeader", "vết luân chuyển", "station", TraceHeader, due=True)
    )
    bussiness: Bussiness | None = part("Bussiness", "nghiệp vụ", "business", Bussiness, identity=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageHeader:
    """MessageHeader của văn bản: the facts of a document."""

    from_: Organ | None = part("From", "nơi gửi", "sender", Organ, due=True, vital=True, identity=True)
    to: tuple[Organ, ...] = many(part("To", "nơi nhận", "recipient", Organ, due=True, vital=True))
    document_id: str = identifier(
        "DocumentId", "mã văn bản", "document id", 200, due=True, vital=True, kept_empty=True
    )
    code: CodeInfo | None = part(
        "Code", "số, ký hiệu", "number and notation", CodeInfo, due=True, identity=True
    )
    promulgation_info: PromulgationInfo | None = part(
        "PromulgationInfo", "ban hành", "promulgation", PromulgationInfo, due=True, identity=True
    )
    document_type: DocumentType | None = part("DocumentType", "loại văn bản", "type", DocumentType, due=True)
    subject: str = text("Subject", "trích yếu", "subject", 500, due=True, identity=True)
    content: str = text("Content", "nội dung", "content", 500)
    signer_info: SignerInfo | None = part("SignerInfo", "người ký", "signer", SignerInfo, due=True)
    due_date: date | None = day("DueDate", "hạn trả lời", "answer due")
    other_info: OtherInfo | None = part(
        "OtherInfo", "thông tin khác", "other facts", OtherInfo, identity=True
    )
    response_for: tuple[ResponseFor, ...] = many(
        part("ResponseFor", "phúc đáp văn bản", "answers", ResponseFor)
    )
    steering_type: int | None = number("SteeringType", "loại chỉ đạo", "steering", 1, 3)
    to_places: tuple[str, ...] = many(
        text("Place", "nơi nhận ghi trên văn bản", "places", 150), within="ToPlaces"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusHeader:
    """MessageHeader của trạng thái: the facts of a status message. Nothing else stands in it."""

    from_: Organ | None = part("From", "nơi báo", "reporter", Organ, due=True, vital=True, identity=True)
    response_for: StatusFor | None = part(
        "ResponseFor", "về văn bản", "about", StatusFor, due=True, vital=True, identity=True
    )
    staff_info: StaffInfo | None = part("StaffInfo", "cán bộ xử lý", "staff", StaffInfo)
    status_code: str = text(
        "StatusCode", "trạng thái", "status", 2, value=Value.ID, due=True, vital=True, identity=True
    )
    description: str = text("Description", "lý do", "reason", 500, identity=True)
    timestamp: datetime | None = moment("Timestamp", "thời điểm", "time", due=True, identity=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Reference — Mục kê tệp đính kèm: one line of the manifest."""

    content_id: str = text("ContentId", "mã tệp", "content id", 255, value=Value.ID, due=True)
    content_type: str = text("ContentType", "kiểu tệp", "content type", 255)
    description: str = text("Description", "mô tả", "description", 500)
    attachment_name: str = text("AttachmentName", "tên tệp", "file name", 500, due=True, kept_empty=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """Attachment — Tệp đính kèm. ``content`` is what its base64 holds, before anything is unzipped; None: unreadable."""

    content_id: str = text("ContentId", "mã tệp", "content id", 255, value=Value.ID, due=True)
    attachment_name: str = text("AttachmentName", "tên tệp", "file name", 500, due=True)
    description: str = text("Description", "mô tả", "description", 500)
    content_type: str = text("ContentType", "kiểu tệp", "content type", 255)
    content: Content | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the model has no place for, kept as it stood: an unknown element or attribute, a value that cannot be read."""

    path: str
    line: int
    xml: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Văn bản: a document message."""

    message_header: MessageHeader
    trace_header_list: TraceHeaderList | None = None
    references: tuple[Reference, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    signature: SignatureKind = SignatureKind.NONE
    kept: tuple[Kept, ...] = ()

    @property
    def kind(self) -> Kind:
        """A document."""
        return Kind.EDOC

    @property
    def business(self) -> Bussiness:
        """The business block; an empty one where there is none."""
        trace = self.trace_header_list
        return (trace.bussiness if trace else None) or Bussiness()

    @property
    def business_type(self) -> BusinessType:
        """What it does; without a word on it the document is new."""
        return BusinessType(self.business.bussiness_doc_type or 0)

    @property
    def sender(self) -> str | None:
        """The sender's code in its normal form; None where it has none."""
        return self.message_header.from_.code if self.message_header.from_ else None

    @property
    def number(self) -> str:
        """``number/notation``."""
        return self.message_header.code.joined if self.message_header.code else ""

    @property
    def promulgated_on(self) -> date | None:
        """The date of promulgation."""
        info = self.message_header.promulgation_info
        return info.promulgation_date if info else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusMessage:
    """Trạng thái xử lý: a status message."""

    message_header: StatusHeader
    signature: SignatureKind = SignatureKind.NONE
    kept: tuple[Kept, ...] = ()

    @property
    def kind(self) -> Kind:
        """A status."""
        return Kind.STATUS

    @property
    def status(self) -> StatusCode | None:
        """The status; None where the code does not exist."""
        try:
            return StatusCode(self.message_header.status_code)
        except ValueError:
            return None

    @property
    def sender(self) -> str | None:
        """The reporter's code in its normal form; None where it has none."""
        return self.message_header.from_.code if self.message_header.from_ else None


Package = Document | StatusMessage
