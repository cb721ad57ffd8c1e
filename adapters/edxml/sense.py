"""Whether the parts of a package fit together: what no single element can say.

Takes a package that was read; adds findings, and faults where two things could be meant.
"""

from __future__ import annotations

import re
import uuid
from enum import StrEnum
from typing import Final

from adapters.edxml.model import (
    Attachment,
    BusinessType,
    Document,
    Organ,
    Package,
    Reference,
    ReplacementInfo,
    StatusMessage,
    normal_or_none,
)
from adapters.edxml.oddities import Fault, Finding, Oddity
from adapters.edxml.walker import Walker, written
from relay.errors import Code
from relay.model.envelope import StatusCode

_CID: Final = "cid:"
_HEADER: Final = "edXMLEnvelope/edXMLHeader/MessageHeader"
_TRACE: Final = "edXMLEnvelope/edXMLHeader/TraceHeaderList"
_BUSINESS: Final = f"{_TRACE}/Bussiness"
_MOST_PLACES: Final = 1000
_LONGEST_ID: Final = 300
_CLASSIC: Final = re.compile(r"[^,]+,[^,]+,.+", re.DOTALL)
_CLASSIC_DATE: Final = re.compile(r"[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}")
_YEARLY: Final = re.compile(r"([^,]+),([0-9]{4}),([0-9]+)")
_LOCAL: Final = re.compile(r"[0-9]{1,18}")
_VENDOR: Final = re.compile(r"(.+?)-([0-9]{4})-(.+)", re.DOTALL)
_REASONED: Final = frozenset({StatusCode.REFUSED, StatusCode.TAKE_BACK, StatusCode.DECLINED})


class IdForm(StrEnum):
    """The five forms of document ids that are met."""

    CLASSIC = "classic"  # code, date, number/notation
    YEARLY = "yearly"  # code, year, running number: Decision 28/2018, article 10
    UUID = "uuid"
    LOCAL = "local"  # a number of the sender's own
    VENDOR = "vendor"  # code-year-number
    OTHER = "other"


def form_of(document_id: str) -> IdForm:
    """Return the form of a document id. Ids are compared as texts, whatever their form; nothing is read out of one."""
    if len(document_id) > _LONGEST_ID:
        return IdForm.OTHER
    if _YEARLY.fullmatch(document_id):
        return IdForm.YEARLY
    if _CLASSIC.fullmatch(document_id) and _CLASSIC_DATE.fullmatch(document_id.split(",")[1].strip()):
        return IdForm.CLASSIC
    if _LOCAL.fullmatch(document_id):
        return IdForm.LOCAL
    try:
        if len(document_id) >= 32:
            uuid.UUID(document_id)
            return IdForm.UUID
    except ValueError:
        pass
    match = _VENDOR.fullmatch(document_id)
    if match is not None and normal_or_none(match[1]) is not None:
        return IdForm.VENDOR
    return IdForm.OTHER


def make_sense(package: Package, walker: Walker) -> None:
    """Add what the parts say together."""
    if isinstance(package, StatusMessage):
        _status(package, walker)
    else:
        _parties(package, walker)
        _business(package, walker)
        _rest(package, walker)
        _pairs(package, walker)


def _note(walker: Walker, oddity: Oddity, path: str, found: str = "", read: str = "") -> None:
    walker.findings.append(Finding(oddity, 0, path, found, read))


def _status(status: StatusMessage, walker: Walker) -> None:
    header = status.message_header
    if status.status in _REASONED and not header.description:
        _note(walker, Oddity.REASON_MISSING, f"{_HEADER}/Description", header.status_code)
    about = header.response_for
    if about is not None and header.from_ is not None and about.addressee == header.from_.code is not None:
        _note(walker, Oddity.FROM_IS_TO, f"{_HEADER}/ResponseFor/OrganId", about.organ_id)


def _parties(document: Document, walker: Walker) -> None:
    header = document.message_header
    sender = header.from_.code if header.from_ else None
    seen: set[str] = set()
    for index, party in enumerate(header.to, 1):
        code = party.code
        if code is None:
            continue
        path = f"{_HEADER}/To[{index}]/OrganId"
        if code in seen:
            _note(walker, Oddity.TO_REPEATED, path, party.organ_id, code)
        if code == sender:
            _note(walker, Oddity.FROM_IS_TO, path, party.organ_id)
        seen.add(code)


def _business(document: Document, walker: Walker) -> None:
    trace = document.trace_header_list
    business = trace.bussiness if trace else None
    if business is None:
        return
    kind = document.business_type
    if business.bussiness_doc_type is None and not any(
        fault.path.endswith("BussinessDocType") for fault in walker.faults
    ):
        _note(walker, Oddity.BUSINESS_TYPE_MISSING, _BUSINESS, read="0")
    wanted = {
        BusinessType.NEW: (),
        BusinessType.REVOCATION: ("bussiness_doc_reason",),
        BusinessType.UPDATE: ("bussiness_doc_reason", "bussiness_document_info", "document_id"),
        BusinessType.REPLACEMENT: ("bussiness_doc_reason", "replacement_info_list"),
    }[kind]
    for name in wanted:
        if not getattr(business, name):
            _note(walker, Oddity.BUSINESS_PART_MISSING, f"{_BUSINESS}/{_NAMES[name]}", str(int(kind)))
    idle = []
    if kind is BusinessType.NEW and business.document_id:
        idle.append("document_id")
    if kind is not BusinessType.UPDATE and business.bussiness_document_info is not None:
        idle.append("bussiness_document_info")
    if kind is not BusinessType.REPLACEMENT and business.replacement_info_list:
        idle.append("replacement_info_list")
    for name in idle:
        _note(walker, Oddity.BUSINESS_PART_IDLE, f"{_BUSINESS}/{_NAMES[name]}", str(int(kind)))
    if kind is BusinessType.REVOCATION and not business.document_id:
        own = document.message_header.document_id
        _note(walker, Oddity.REVOKES_OWN_ID, f"{_BUSINESS}/DocumentId", read=own)
    addressed = {party.code for party in document.message_header.to}
    info = business.bussiness_document_info
    for index, receiver in enumerate(info.receiver_list if info else (), 1):
        if receiver.receiver_type == 0 and normal_or_none(receiver.organ_id) not in addressed:
            path = f"{_BUSINESS}/BussinessDocumentInfo/ReceiverList/Receiver[{index}]"
            _note(walker, Oddity.DROPPED_NOT_ADDRESSED, path, receiver.organ_id)
    lines: set[ReplacementInfo] = set()
    for index, replaced in enumerate(business.replacement_info_list, 1):
        if replaced in lines:
            path = f"{_BUSINESS}/ReplacementInfoList/ReplacementInfo[{index}]"
            _note(walker, Oddity.REPLACEMENT_REPEATED, path, replaced.document_id)
        lines.add(replaced)


_NAMES: Final = {
    "bussiness_doc_reason": "BussinessDocReason",
    "bussiness_document_info": "BussinessDocumentInfo",
    "document_id": "DocumentId",
    "replacement_info_list": "ReplacementInfoList",
}


def _rest(document: Document, walker: Walker) -> None:
    header = document.message_header
    if header.document_id and form_of(header.document_id) is IdForm.OTHER:
        _note(walker, Oddity.DOCUMENT_ID_FORM, f"{_HEADER}/DocumentId", header.document_id)
    day = document.promulgated_on
    if header.due_date is not None and day is not None and header.due_date < day:
        _note(walker, Oddity.DUE_BEFORE_PROMULGATION, f"{_HEADER}/DueDate", written(header.due_date))
    places = sum(len(place) for place in header.to_places)
    if places > _MOST_PLACES:
        _note(walker, Oddity.TOO_LONG, f"{_HEADER}/ToPlaces", str(places), str(_MOST_PLACES))
    number = header.code.code_number if header.code else ""
    if number and not (number.isascii() and number.isdigit()):
        _note(walker, Oddity.NUMBER_WITH_LETTERS, f"{_HEADER}/Code/CodeNumber", number)


# manifest and attachments


def bare_id(content_id: str) -> str:
    """Return a content id without the ``cid:`` that some leave out."""
    return content_id[len(_CID) :] if content_id[: len(_CID)].lower() == _CID else content_id


def paired(document: Document) -> list[tuple[Reference | None, Attachment]]:
    """Return each attachment with its line of the manifest; without an id on either side the only ones belong together."""
    by_id = {bare_id(one.content_id): one for one in document.references if one.content_id}
    pairs = [
        (by_id.get(bare_id(one.content_id)) if one.content_id else None, one) for one in document.attachments
    ]
    if len(pairs) == len(document.references) == 1 and pairs[0][0] is None:
        only, attachment = document.references[0], document.attachments[0]
        if not only.content_id or not attachment.content_id:
            return [(only, attachment)]
    return pairs


def _pairs(document: Document, walker: Walker) -> None:
    manifest = "edXMLEnvelope/edXMLBody/edXMLManifest/Reference"
    _same_id([one.content_id for one in document.references], manifest, walker)
    _same_id([one.content_id for one in document.attachments], "AttachmentEncoded/Attachment", walker)
    pairs = paired(document)
    named = {id(reference) for reference, _ in pairs if reference is not None}
    for index, reference in enumerate(document.references, 1):
        path = f"{manifest}[{index}]"
        if reference.content_id and not reference.content_id.startswith(_CID):
            _note(walker, Oddity.CONTENT_ID_BARE, f"{path}/ContentId", reference.content_id)
        if id(reference) not in named:
            _note(walker, Oddity.REFERENCE_ALONE, path, reference.attachment_name)
    for index, (counterpart, attachment) in enumerate(pairs, 1):
        path = f"AttachmentEncoded/Attachment[{index}]"
        if attachment.content_id and not attachment.content_id.startswith(_CID):
            _note(walker, Oddity.CONTENT_ID_BARE, f"{path}/ContentId", attachment.content_id)
        if counterpart is None:
            _note(walker, Oddity.ATTACHMENT_ALONE, path, attachment.attachment_name)
            continue
        if not counterpart.content_id or not attachment.content_id:
            _note(walker, Oddity.CONTENT_ID_MISSING, f"{path}/ContentId")
        if counterpart.attachment_name and attachment.attachment_name not in {
            "",
            counterpart.attachment_name,
        }:
            _note(
                walker,
                Oddity.NAME_DIFFERS,
                f"{path}/AttachmentName",
                counterpart.attachment_name,
                attachment.attachment_name,
            )
        if counterpart.content_type and attachment.content_type not in {"", counterpart.content_type}:
            _note(
                walker,
                Oddity.TYPE_DIFFERS,
                f"{path}/ContentType",
                counterpart.content_type,
                attachment.content_type,
            )


def _same_id(ids: list[str], path: str, walker: Walker) -> None:
    seen: set[str] = set()
    for index, content_id in enumerate(ids, 1):
        bare = bare_id(content_id)
        if bare and bare in seen:
            walker.faults.append(
                Fault(Code.DUPLICATE_VALUE, 0, f"{path}[{index}]/ContentId", "two of one ContentId")
            )
        seen.add(bare)


def addressed(document: Document) -> tuple[Organ, ...]:
    """Return the recipients, each agency once."""
    found: dict[str, Organ] = {}
    for party in document.message_header.to:
        found.setdefault(party.code or party.organ_id, party)
    return tuple(found.values())
