"""Building unsigned packages, in the order and the prefix style of the national encoder.

The root binds the namespace as default, the envelope and what is in it carry the prefix ``edXML``, attachments carry
none but for the payload. What is built has room for a signature as last child of ``edXMLHeader``. Absent facts are left
out, never written as empty elements.
"""

from __future__ import annotations

import base64
import re
from datetime import date, datetime
from typing import Final

from adapters.edxml.checks import check_document, check_status
from adapters.edxml.facts import Answered, AttachedFile, DocumentFields, Organ, Staff, StatusFields
from adapters.edxml.names import NAMESPACE
from relay.errors import Code, RefusedError
from relay.model.times import VIETNAM

# The facts are part of this module's vocabulary: who builds a package needs no second import.
__all__ = [
    "Answered",
    "AttachedFile",
    "DocumentFields",
    "Organ",
    "Staff",
    "StatusFields",
    "document_package",
    "escaped",
    "status_package",
]

# XML 1.0 takes no other control characters, no surrogates and no non-characters at the end of the first plane.
_NOT_IN_XML: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def document_package(fields: DocumentFields, *, checked: bool = True) -> bytes:
    """Return an unsigned document.

    Args:
        fields: its facts.
        checked: hold the facts against the lengths and lists of the standard first. Tests turn it off.

    Raises:
        RefusedError: as ``check_document``; also unchecked BAD-VALUE, where a text holds characters that XML cannot.
    """
    if checked:
        check_document(fields)
    header = _Element("MessageHeader")
    header.add(_organ("From", fields.sender))
    for recipient in fields.recipients:
        header.add(_organ("To", recipient))
    header.text("DocumentId", fields.document_id, always=True)
    header.add(_Element("Code").text("CodeNumber", fields.number).text("CodeNotation", fields.notation))
    header.add(
        _Element("PromulgationInfo")
        .text("Place", fields.place)
        .text("PromulgationDate", _date(fields.promulgated_on))
    )
    header.add(
        _Element("DocumentType")
        .text("Type", str(fields.type_number))
        .text("TypeDetail", _number(fields.type_detail))
        .text("TypeName", fields.type_name)
    )
    header.text("Subject", fields.subject)
    header.text("Content", fields.content)
    header.add(
        _Element("SignerInfo")
        .text("Competence", fields.signer_competence)
        .text("Position", fields.signer_position)
        .text("FullName", fields.signer_name)
    )
    header.text("DueDate", _date(fields.due_on))
    header.add(_other_info(fields))
    for answered in fields.answers:
        header.add(_response_for(answered))
    header.text("SteeringType", str(fields.steering_type))
    places = _Element("ToPlaces")
    for place in fields.to_places:
        places.text("Place", place)
    header.add(places)
    trace = _Element("TraceHeaderList")
    trace.add(
        _Element("TraceHeader").text("OrganId", fields.sender.code).text("Timestamp", _time(fields.traced_at))
    )
    trace.add(_business(fields))
    edxml_header = _Element("edXMLHeader").add(header).add(trace)
    manifest = _Element("edXMLManifest", ' version="1.0"')
    for index, file in enumerate(fields.attachments, 1):
        manifest.add(
            _Element("Reference")
            .text("ContentId", _content_id(index))
            .text("ContentType", file.content_type)
            .text("Description", file.description)
            .text("AttachmentName", file.name, always=True)
        )
    body = _Element("edXMLBody").add(manifest, always=True)
    return _package([edxml_header, body], fields.attachments)


def status_package(fields: StatusFields, *, checked: bool = True) -> bytes:
    """Return an unsigned status. Arguments as ``document_package``; errors as ``check_status``."""
    if checked:
        check_status(fields)
    response = (
        _Element("ResponseFor")
        .text("OrganId", fields.addressee)
        .text("Code", fields.number)
        .text("PromulgationDate", fields.promulgation_date)
        .text("DocumentId", fields.document_id)
    )
    header = _Element("MessageHeader").add(_organ("From", fields.reporter)).add(response)
    header.add(_staff(fields.staff))
    header.text("StatusCode", fields.status_code)
    header.text("Description", fields.description)
    header.text("Timestamp", _time(fields.reported_at))
    return _package([_Element("edXMLHeader").add(header)], ())


def escaped(text: str) -> str:
    """Return character data; a carriage return is written so that a parser gives it back.

    Raises:
        RefusedError: BAD-VALUE: a character that XML 1.0 cannot hold.
    """
    if _NOT_IN_XML.search(text):
        raise RefusedError(Code.BAD_VALUE, "a text holds characters that XML cannot")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")


class _Element:
    """An element of the envelope in the making; empty ones are dropped by whoever adds them."""

    def __init__(self, name: str, attributes: str = "") -> None:
        self._name = name
        self._attributes = attributes
        self._parts: list[str] = []

    def text(self, name: str, value: str, *, always: bool = False) -> _Element:
        """Add a child with a text; nothing if that is empty and not wanted ``always``. Returns itself."""
        if value or always:
            self._parts.append(f"<edXML:{name}>{escaped(value)}</edXML:{name}>")
        return self

    def add(self, child: _Element | None, *, always: bool = False) -> _Element:
        """Add a child; nothing if it is empty and not wanted ``always``. Returns itself."""
        if child is not None and (child._parts or always):  # noqa: SLF001
            self._parts.append(child.written())
        return self

    def written(self) -> str:
        """Return the element as text."""
        return f"<edXML:{self._name}{self._attributes}>{''.join(self._parts)}</edXML:{self._name}>"


def _package(parts: list[_Element], files: tuple[AttachedFile, ...]) -> bytes:
    chunks = [
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        + f'<edXML xmlns="{NAMESPACE}"><edXML:edXMLEnvelope xmlns:edXML="{NAMESPACE}">'.encode(),
        *(part.written().encode() for part in parts),
        b"</edXML:edXMLEnvelope>",
    ]
    if files:
        chunks.append(b"<AttachmentEncoded>")
        for index, file in enumerate(files, 1):
            chunks += [
                f"<Attachment><ContentId>{_content_id(index)}</ContentId>"
                f"<AttachmentName>{escaped(file.name)}</AttachmentName>"
                f"<ContentType>{escaped(file.content_type)}</ContentType>"
                f'<edXML:ContentTransferEncoded xmlns:edXML="{NAMESPACE}">'.encode(),
                base64.b64encode(file.content),
                b"</edXML:ContentTransferEncoded></Attachment>",
            ]
        chunks.append(b"</AttachmentEncoded>")
    chunks.append(b"</edXML>\n")
    return b"".join(chunks)


def _content_id(index: int) -> str:
    return f"cid:attachment-{index}"


def _organ(name: str, organ: Organ) -> _Element:
    return (
        _Element(name)
        .text("OrganId", organ.code, always=True)
        .text("OrganizationInCharge", organ.in_charge)
        .text("OrganName", organ.name)
        .text("OrganAdd", organ.address)
        .text("Email", organ.email)
        .text("Telephone", organ.telephone)
        .text("Fax", organ.fax)
        .text("Website", organ.website)
    )


def _other_info(fields: DocumentFields) -> _Element:
    appendixes = _Element("Appendixes")
    for appendix in fields.appendixes:
        appendixes.text("Appendix", appendix)
    return (
        _Element("OtherInfo")
        .text("Priority", str(fields.priority))
        .text("SphereOfPromulgation", fields.sphere)
        .text("TyperNotation", fields.typist)
        .text("PromulgationAmount", _number(fields.copies))
        .text("PageAmount", _number(fields.pages))
        .text("Direction", "true" if fields.direction else "false")
        .add(appendixes)
    )


def _response_for(answered: Answered) -> _Element:
    return (
        _Element("ResponseFor")
        .text("OrganId", answered.code)
        .text("Code", answered.number)
        .text("DocumentId", answered.document_id)
        .text("PromulgationDate", _date(answered.promulgation_date))
    )


def _business(fields: DocumentFields) -> _Element:
    business = _Element("Bussiness").text("BussinessDocType", str(fields.business_type))
    business.text("BussinessDocReason", fields.business_reason)
    if fields.content_changed or fields.receiver_changes:
        receivers = _Element("ReceiverList")
        for change in fields.receiver_changes:
            receivers.add(
                _Element("Receiver")
                .text("OrganId", change.code)
                .text("ReceiverType", "1" if change.added else "0")
            )
        business.add(
            _Element("BussinessDocumentInfo")
            .text("DocumentInfo", "1" if fields.content_changed else "0")
            .text("DocumentReceiver", "1" if fields.receiver_changes else "0")
            .add(receivers)
        )
    business.text("DocumentId", fields.business_document_id)
    business.add(_staff(fields.staff))
    business.text("Paper", "1" if fields.on_paper_too else "0")
    replaced_list = _Element("ReplacementInfoList")
    for replaced in fields.replaces:
        codes = _Element("OrganIdList")
        for code in replaced.codes:
            codes.text("OrganId", code)
        replaced_list.add(_Element("ReplacementInfo").text("DocumentId", replaced.document_id).add(codes))
    return business.add(replaced_list)


def _staff(staff: Staff | None) -> _Element | None:
    if staff is None:
        return None
    return (
        _Element("StaffInfo")
        .text("Department", staff.department)
        .text("Staff", staff.name)
        .text("Mobile", staff.mobile)
        .text("Email", staff.email)
    )


def _date(day: date | None) -> str:
    return "" if day is None else f"{day:%Y/%m/%d}"


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(VIETNAM):%Y/%m/%d %H:%M:%S}"


def _number(value: int | None) -> str:
    return "" if value is None else str(value)
