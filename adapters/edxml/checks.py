"""What the standard asks of packages that are sent: due facts, lengths, lists. What others send is read more kindly."""

# ruff: noqa: ANN401 -- lxml ships no types, and values of the model are of several

from __future__ import annotations

from typing import Any, Final

from adapters.edxml.fields import CONTROL
from adapters.edxml.model import Attachment, BusinessType, Document, Package, Reference, StatusMessage
from adapters.edxml.quick import SPACE
from adapters.edxml.rules import Shape, Slot, Value, shape_of
from adapters.edxml.secrecy import shipped_rule
from relay.errors import Code, RefusedError
from relay.model.codes import normal_form
from relay.model.envelope import StatusCode

_EMPTY: Final = {"DocumentId": Code.EMPTY_DOCUMENT_ID, "To": Code.NO_RECIPIENT}
_STATUS_CODES: Final = frozenset(code.value for code in StatusCode)
_MOST_PLACES: Final = 1000


def check_package(package: Package) -> None:
    """Hold a package against the standard before it is written.

    Raises:
        RefusedError: BAD-CODE, NO-RECIPIENT, EMPTY-DOCUMENT-ID, MISSING-VALUE, DUPLICATE-VALUE, BAD-VALUE,
            BAD-DOCUMENT-TYPE, BAD-STATUS-CODE, STATE-SECRET.
    """
    if isinstance(package, StatusMessage):
        _check_status(package)
    else:
        _check_document(package)


def _check_document(document: Document) -> None:
    header, trace = document.message_header, document.trace_header_list
    _part("MessageHeader", header, shape_of(type(header)))
    if trace is None:
        raise RefusedError(Code.MISSING_VALUE, "a document needs a TraceHeaderList")
    if document.business.bussiness_doc_type not in {None, *BusinessType}:
        raise RefusedError(Code.BAD_DOCUMENT_TYPE, "BussinessDocType is none of 0, 1, 2, 3")
    _part("TraceHeaderList", trace, shape_of(type(trace)))
    if sum(len(place) for place in header.to_places) > _MOST_PLACES:
        raise _too_long("ToPlaces", _MOST_PLACES)
    ids: list[tuple[bool, str]] = []
    listed: list[Reference | Attachment] = [*document.references, *document.attachments]
    for one in listed:
        _part(type(one).__name__, one, shape_of(type(one)))
        if not one.attachment_name:
            raise RefusedError(Code.MISSING_VALUE, "an attachment needs a name")
        ids.append((isinstance(one, Attachment), one.content_id))
    if len(set(ids)) < len(ids):
        raise RefusedError(Code.DUPLICATE_VALUE, "two attachments have one ContentId")
    if {one.content_id for one in document.references} != {one.content_id for one in document.attachments}:
        raise RefusedError(
            Code.MISSING_VALUE, "each attachment needs a Reference of its ContentId, and the reverse"
        )
    type_name = header.document_type.type_name if header.document_type else ""
    _check_secrecy("Subject", header.subject)
    _check_secrecy("TypeName", type_name)
    for one in listed:
        _check_secrecy("Description", one.description)
        _check_secrecy("AttachmentName", one.attachment_name, file_name=True)


def _check_status(status: StatusMessage) -> None:
    header = status.message_header
    _part("MessageHeader", header, shape_of(type(header)))
    if header.status_code not in _STATUS_CODES:
        raise RefusedError(Code.BAD_STATUS_CODE, "StatusCode is none of 01 to 06, 13, 15, 16")
    about = header.response_for
    if about is not None and not about.document_id.strip(SPACE) and not about.code.strip(SPACE):
        raise RefusedError(Code.MISSING_VALUE, "a status names its document by DocumentId or Code")
    _check_secrecy("Description", header.description)


# What the standard wants and traffic lacks: written where it is known, and no reason to hold a package back.
_SPARED: Final = frozenset(
    {("StatusFor", "Code"), ("StatusFor", "DocumentId"), ("StatusFor", "PromulgationDate")}
)


def _part(name: str, value: Any, shape: Shape) -> None:
    for slot in shape.slots:
        held = getattr(value, slot.name)
        if slot.rule.many:
            if slot.rule.due and not held:
                raise _missing(name, slot)
            for one in held:
                _one(one, slot)
        elif held is None or (isinstance(held, str) and not held.strip(SPACE)):
            if slot.rule.due and (shape.cls.__name__, slot.rule.tag) not in _SPARED:
                raise _missing(name, slot)
        else:
            _one(held, slot)


def _one(value: Any, slot: Slot) -> None:
    rule = slot.rule
    if slot.shape is not None:
        _part(rule.tag, value, slot.shape)
    elif rule.value is Value.ORGAN:
        normal_form(value)
    elif isinstance(value, str):
        if rule.limit and len(value) > rule.limit:
            raise _too_long(rule.tag, rule.limit)
        if rule.identity and rule.value is not Value.TEXT and CONTROL.search(value):
            raise RefusedError(Code.BAD_VALUE, f"{rule.tag} holds control characters")
    elif rule.value is Value.NUMBER and (value < rule.low or (rule.high and value > rule.high)):
        raise RefusedError(Code.BAD_VALUE, f"{rule.tag} is not between {rule.low} and {rule.high}")


def _missing(name: str, slot: Slot) -> RefusedError:
    tag = slot.rule.tag
    code = _EMPTY.get(tag, Code.MISSING_VALUE) if name == "MessageHeader" else Code.MISSING_VALUE
    return RefusedError(code, f"{name} needs {tag}")


def _too_long(name: str, limit: int) -> RefusedError:
    return RefusedError(Code.BAD_VALUE, f"{name} has more than the {limit} characters of the standard")


def _check_secrecy(name: str, text: str, *, file_name: bool = False) -> None:
    if shipped_rule().marks_text(text, file_name=file_name):
        raise RefusedError(Code.STATE_SECRET, f"a mark of secrecy stands in {name}")
