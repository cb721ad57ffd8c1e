"""What a file is and whether it bears a mark of a signature, by its bytes alone.

Linear in the size of the file, without a parser of anybody's: this much is done in the keeper itself. Whatever is a PDF
goes on to the process that judges; of the other kinds a signature is recognised and named, not judged.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

from relay.model.inspection import AttachmentKind, Finding

HEADER_WITHIN: Final = 1024  # bytes before which readers look for %PDF- (ISO 32000-2, annex I)
_ZIP: Final = b"PK\x03\x04"
_EMPTY_ZIP: Final = b"PK\x05\x06"
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_END_OF_ZIP: Final = struct.Struct("<4s4H2LH")
_LONGEST_END: Final = _END_OF_ZIP.size + 65535
_ENTRY: Final = struct.Struct("<4s6H3L5H2L")
_MOST_ENTRIES: Final = 65535
_DIRECTORY: Final = 8 * 1024 * 1024  # bytes of a ZIP's directory that are looked at
_XMLDSIG: Final = "http://www.w3.org/2000/09/xmldsig#"
_SIGNED_DATA: Final = bytes.fromhex("06092a864886f70d010702")  # OID of CMS SignedData
_XML_STARTS: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,1024}<[?!A-Za-z_:]")
_UTF16: Final = {
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
    b"<\x00": "utf-16-le",
    b"\x00<": "utf-16-be",
}
_RANGE: Final = re.compile(rb"/ByteRange\s{0,1000}(?:\[|\d{1,10}\s{1,1000}\d{1,10}\s{1,1000}R)")
_BYTE_RANGE: Final = re.compile(
    rb"/ByteRange\s{0,1000}\[\s{0,1000}(\d{1,12})\s{1,1000}(\d{1,12})\s{1,1000}(\d{1,12})\s{1,1000}(\d{1,12})\s{0,1000}\]"
)


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a file is. ``finding`` is None for a PDF, which has to be judged."""

    kind: AttachmentKind
    finding: Finding | None
    reason: str = ""


def recognise(content: bytes, name: str) -> Recognised:
    """Say what a file is, and of all but a PDF what is found in it. Never raises."""
    if content.startswith((_ZIP, _EMPTY_ZIP)):
        return _zip(content)
    if b"%PDF-" in content[: HEADER_WITHIN + 5]:
        return Recognised(AttachmentKind.PDF, None)
    if content.startswith(_OLE):
        marks = ("_signatures".encode("utf-16-le"), "_xmlsignatures".encode("utf-16-le"))
        if any(mark in content for mark in marks):
            return Recognised(AttachmentKind.OTHER, Finding.UNSUPPORTED, "ole-signature")
        return Recognised(AttachmentKind.OTHER, Finding.NO_SIGNATURE)
    if content[:1] == b"\x30" and _SIGNED_DATA in content[:32]:
        return Recognised(AttachmentKind.OTHER, Finding.UNSUPPORTED, "cms-file")
    if _is_xml(content):
        return _xml(content)
    if name.rstrip(". ").lower().endswith(".pdf"):
        return Recognised(AttachmentKind.OTHER, Finding.UNREADABLE, "not-as-named")
    return Recognised(AttachmentKind.OTHER, Finding.NOT_INSPECTED)


def signed_ends(content: bytes) -> list[int]:
    """Return where the byte ranges that a PDF names end, in order; those that make no sense are left out."""
    found = set()
    for match in _BYTE_RANGE.finditer(content):
        first, length, second, rest = (int(part) for part in match.groups())
        end = second + rest
        if first == 0 and length < second and end <= len(content):
            found.add(end)
    return sorted(found)


def byte_ranges(content: bytes) -> int:
    """Return how many ranges of signatures stand in a PDF: a signature's dictionary stands in no compressed stream
    (ISO 32000-2, 12.8.1), so whatever a viewer can take for one is counted; a text that merely mentions the word is not."""
    return sum(1 for _ in _RANGE.finditer(content))


# --- ZIP: Office Open XML and OpenDocument


def _zip(content: bytes) -> Recognised:
    names = _entries(content)
    if names is None:
        return Recognised(AttachmentKind.OTHER, Finding.UNREADABLE, "zip-damaged")
    office = any(name == b"[Content_Types].xml" for name in names)
    if any(name.lower().startswith(b"_xmlsignatures/") for name in names):
        return Recognised(AttachmentKind.OOXML, Finding.UNSUPPORTED, "ooxml-signature")
    if any(
        name.lower() in {b"meta-inf/documentsignatures.xml", b"meta-inf/signatures.xml"} for name in names
    ):
        return Recognised(AttachmentKind.OTHER, Finding.UNSUPPORTED, "odf-signature")
    if office:
        return Recognised(AttachmentKind.OOXML, Finding.NO_SIGNATURE)
    if b"mimetype" in names and b"META-INF/manifest.xml" in names:
        return Recognised(AttachmentKind.OTHER, Finding.NO_SIGNATURE)
    return Recognised(AttachmentKind.OTHER, Finding.NOT_INSPECTED)


def _entries(content: bytes) -> list[bytes] | None:
    """Return the names in a ZIP's directory; None where it cannot be read. Nothing is unpacked."""
    at = content.rfind(b"PK\x05\x06", max(0, len(content) - _LONGEST_END))
    if at < 0 or len(content) - at < _END_OF_ZIP.size:
        return None
    _, _, _, _, count, size, offset, _ = _END_OF_ZIP.unpack_from(content, at)
    if size > _DIRECTORY or offset + size > at:
        return None
    names: list[bytes] = []
    place, end = offset, offset + size
    while len(names) < min(count, _MOST_ENTRIES) and place + _ENTRY.size <= end:
        fields = _ENTRY.unpack_from(content, place)
        if fields[0] != b"PK\x01\x02":
            return None
        name, extra, comment = fields[10], fields[11], fields[12]
        start = place + _ENTRY.size
        names.append(content[start : start + name])
        place = start + name + extra + comment
    return names if len(names) == count else None


# --- XML


def _is_xml(content: bytes) -> bool:
    return content[:2] in _UTF16 or _XML_STARTS.match(content) is not None


def _xml(content: bytes) -> Recognised:
    """A namespace may be written with character references; whoever does that wants not to be found, and is not."""
    encoding = _UTF16.get(content[:2])
    mark = _XMLDSIG.encode(encoding or "ascii")
    word = "Signature".encode(encoding or "ascii")
    if mark in content and word in content:
        return Recognised(AttachmentKind.XML, Finding.UNSUPPORTED, "xml-signature")
    return Recognised(AttachmentKind.XML, Finding.NO_SIGNATURE)
