"""Fuzzing what is decided about attachments before anything judges them: their kind, and whether they may be signed."""

from __future__ import annotations

import base64
import io
import zipfile
from functools import cache
from typing import Final

from adapters.edxml.inspecting import EdxmlAttachments
from adapters.pdf.recognise import byte_ranges, recognise, signed_ends
from relay.model.inspection import AttachmentKind, Finding

_SOURCE: Final = EdxmlAttachments()
TOKENS: Final = (
    b"%PDF-1.7\n",
    b"/ByteRange [0 10 20 30]",
    b"/ByteRange",
    b"PK\x03\x04",
    b"PK\x01\x02",
    b"PK\x05\x06",
    b"_xmlsignatures/",
    b"_XMLSignatures/",
    b"[Content_Types].xml",
    b"META-INF/documentsignatures.xml",
    b"http://www.w3.org/2000/09/xmldsig#",
    b"Signature",
    "_signatures".encode("utf-16-le"),
    b"\xff\xfe<\0",
    b"\xef\xbb\xbf",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    bytes.fromhex("3082010006092a864886f70d010702"),
    b" " * 1100,
)


def fuzz_recognise(data: bytes) -> None:
    """Any file: nothing raises, ranges lie within the file, and what is known as signed is never passed over."""
    found = recognise(data, "a.pdf")
    ends = signed_ends(data)
    assert all(0 <= end <= len(data) for end in ends)
    assert len(ends) <= byte_ranges(data)
    pdf = found.kind is AttachmentKind.PDF
    assert pdf is (found.finding is None)
    text = base64.b64encode(data)
    package = b"<ContentTransferEncoded>" + text + b"</ContentTransferEncoded>"
    signed = found.finding is Finding.UNSUPPORTED or (pdf and byte_ranges(data) > 0)
    if signed:
        assert _SOURCE.may_be_signed(package, unsigned_too=False), found
    if signed or pdf or found.finding is Finding.NO_SIGNATURE:
        assert _SOURCE.may_be_signed(package, unsigned_too=True), found
    _SOURCE.may_be_signed(data, unsigned_too=False)


@cache
def seeds() -> tuple[bytes, ...]:
    """Return files of each kind."""
    signed = b"%PDF-1.7\n1 0 obj\n<< /ByteRange [0 30 60 40] /Contents <00ff> >>\nendobj\n%%EOF\n"
    return (
        signed,
        b"junk\n" * 40 + signed,
        b"%PDF-1.4\n%%EOF\n",
        _archive("[Content_Types].xml", "word/document.xml"),
        _archive("[Content_Types].xml", "_xmlsignatures/sig1.xml"),
        _archive("mimetype", "META-INF/manifest.xml", "META-INF/documentsignatures.xml"),
        _archive("a.pdf"),
        b"<?xml version='1.0'?><a xmlns:ds='http://www.w3.org/2000/09/xmldsig#'><ds:Signature/></a>",
        "<a xmlns='http://www.w3.org/2000/09/xmldsig#'><Signature/></a>".encode("utf-16"),
        *TOKENS[-3:-1],
        b"<ContentTransferEncoded>JVBERi0xLjcKIC9CeXRlUmFuZ2U=</ContentTransferEncoded>",
    )


def _archive(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name in names:
            made.writestr(zipfile.ZipInfo(name), "x" * 50)
    return out.getvalue()
