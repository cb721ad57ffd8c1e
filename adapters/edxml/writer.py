"""The strict writer: the one that makes unsigned packages, in the order and the prefix style of the national encoder.

The root binds the namespace as default, the envelope and what is in it carry the prefix ``edXML``, attachments carry
none but for the payload. What is built has room for a signature as last child of ``edXMLHeader``. Absent facts are left
out, never written as empty elements; the same model gives the same bytes. What was read and has no place in the model is
not written.
"""

# ruff: noqa: ANN401 -- lxml ships no types, and values of the model are of several

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from adapters.edxml.checks import check_package
from adapters.edxml.content import encoded
from adapters.edxml.facts import (
    Answered,
    AttachedFile,
    DocumentFields,
    Organ,
    Staff,
    StatusFields,
    document_of,
    status_of,
)
from adapters.edxml.model import Attachment, Document, Package
from adapters.edxml.names import NAMESPACE
from adapters.edxml.rules import Shape, Slot, Value, shape_of
from adapters.edxml.walker import written
from relay.errors import Code, RefusedError

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
    "package_bytes",
    "status_package",
    "write_package",
]

# XML 1.0 takes no other control characters, no surrogates and no non-characters at the end of the first plane.
_NOT_IN_XML: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PREFIX: Final = "edXML:"


def document_package(fields: DocumentFields, *, checked: bool = True) -> bytes:
    """Return an unsigned document.

    Args:
        fields: its facts.
        checked: hold the facts against the lengths and lists of the standard first. Tests turn it off.

    Raises:
        RefusedError: as ``check_package``; BAD-VALUE: a character that XML cannot hold.
    """
    return package_bytes(document_of(fields), checked=checked)


def status_package(fields: StatusFields, *, checked: bool = True) -> bytes:
    """Return an unsigned status. Arguments and errors as ``document_package``."""
    return package_bytes(status_of(fields), checked=checked)


def package_bytes(package: Package, *, checked: bool = True) -> bytes:
    """Return an unsigned package. Arguments and errors as ``write_package``."""
    out = io.BytesIO()
    write_package(package, out, checked=checked)
    return out.getvalue()


def write_package(package: Package, out: BinaryIO, *, checked: bool = True) -> None:
    """Write an unsigned package; attachments go through piece by piece, whatever their size.

    Args:
        package: what it says. Its ``signature`` and ``kept`` are not written.
        out: where its bytes go.
        checked: hold it against the lengths and lists of the standard first.

    Raises:
        RefusedError: as ``check_package``, before anything is written; BAD-VALUE: a character that XML cannot hold;
            what an attachment's content raises.
        OSError: of ``out`` or of a file that is attached.
    """
    if checked:
        check_package(package)
    out.writelines(_pieces(package))


def escaped(text: str) -> str:
    """Return character data; a carriage return is written so that a parser gives it back.

    Raises:
        RefusedError: BAD-VALUE: a character that XML 1.0 cannot hold.
    """
    if _NOT_IN_XML.search(text):
        raise RefusedError(Code.BAD_VALUE, "a text holds characters that XML cannot")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")


def _pieces(package: Package) -> Iterator[bytes]:
    parts = ['<?xml version="1.0" encoding="UTF-8"?>\n', f'<edXML xmlns="{NAMESPACE}">']
    parts.append(f'<edXML:edXMLEnvelope xmlns:edXML="{NAMESPACE}"><edXML:edXMLHeader>')
    header = package.message_header
    _part(parts, "MessageHeader", header, shape_of(type(header)), _PREFIX)
    if isinstance(package, Document):
        if package.trace_header_list is not None:
            trace = package.trace_header_list
            _part(parts, "TraceHeaderList", trace, shape_of(type(trace)), _PREFIX)
        parts.append('</edXML:edXMLHeader><edXML:edXMLBody><edXML:edXMLManifest version="1.0">')
        for reference in package.references:
            _part(parts, "Reference", reference, shape_of(type(reference)), _PREFIX)
        parts.append("</edXML:edXMLManifest></edXML:edXMLBody></edXML:edXMLEnvelope>")
    else:
        parts.append("</edXML:edXMLHeader></edXML:edXMLEnvelope>")
    yield "".join(parts).encode()
    if isinstance(package, Document) and package.attachments:
        yield b"<AttachmentEncoded>"
        for attachment in package.attachments:
            yield from _attachment(attachment)
        yield b"</AttachmentEncoded>"
    yield b"</edXML>\n"


def _attachment(attachment: Attachment) -> Iterator[bytes]:
    if attachment.content is None:
        raise RefusedError(Code.MISSING_VALUE, "an attachment has no content that could be written")
    parts = ["<Attachment>"]
    _slots(parts, attachment, shape_of(Attachment), "")
    parts.append(f'<edXML:ContentTransferEncoded xmlns:edXML="{NAMESPACE}">')
    yield "".join(parts).encode()
    yield from encoded(attachment.content)
    yield b"</edXML:ContentTransferEncoded></Attachment>"


def _part(parts: list[str], name: str, value: Any, shape: Shape, prefix: str) -> None:
    """Add an element with its children; nothing if none of them says anything."""
    inner: list[str] = []
    _slots(inner, value, shape, prefix)
    if inner:
        parts.append(f"<{prefix}{name}>")
        parts += inner
        parts.append(f"</{prefix}{name}>")


def _slots(parts: list[str], holder: Any, shape: Shape, prefix: str) -> None:
    for slot in shape.slots:
        value = getattr(holder, slot.name)
        rule = slot.rule
        if not rule.many:
            _one(parts, value, slot, prefix)
            continue
        inner: list[str] = []
        for one in value:
            _one(inner, one, slot, prefix)
        if inner and rule.within:
            inner = [f"<{prefix}{rule.within}>", *inner, f"</{prefix}{rule.within}>"]
        parts += inner


def _one(parts: list[str], value: Any, slot: Slot, prefix: str) -> None:
    rule = slot.rule
    if slot.shape is not None:
        if value is not None:
            _part(parts, rule.tag, value, slot.shape, prefix)
        return
    if value is None or (value == "" and not rule.kept_empty):
        return
    if isinstance(value, str):
        text = escaped(value)
    elif rule.value is Value.FLAG:
        text = "1" if value else "0"
    else:
        text = written(value)
    parts.append(f"<{prefix}{rule.tag}>{text}</{prefix}{rule.tag}>")
