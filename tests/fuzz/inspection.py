"""Fuzzing what is decided about attachments: their kind, whether they may be signed, and what signatures of a PDF say."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import logging
import re
import tempfile
import zipfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from adapters.edxml.inspecting import EdxmlAttachments
from adapters.pdf.material import JudgePolicy, Material, MaterialFiles
from adapters.pdf.recognise import byte_ranges, recognise, signed_ends
from relay.model.inspection import AttachmentKind, CertificateState, Finding, Integrity

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


# --- the judge of PDF files, without the process around it: it bounds time and memory, and hides what raises

PDF_TOKENS: Final = (
    *(
        b"/ByteRange [0 10 20 30]",
        b"/Contents <00>",
        b"/SubFilter /adbe.pkcs7.detached",
        b"/FT /Sig",
        b"/V 1 0 R",
    ),
    *(
        b"/Perms",
        b"/DocMDP",
        b"/Prev 0",
        b"/XRefStm 1",
        b"/Size 9999999",
        b"/Type /ObjStm",
        b"/Filter /FlateDecode",
    ),
    *(
        b"endobj\n",
        b"9 0 obj\n",
        b"startxref\n0\n%%EOF\n",
        b"trailer\n<< >>\n",
        b"xref\n0 1\n",
        b"<< >>",
        b"[",
        b"]",
    ),
    *(
        b"1 0 R",
        b"null",
        b"stream\n",
        b"\nendstream",
        b"-1",
        b"99999999999999999999",
        b"(" * 500,
        b"[" * 500,
        b"%",
    ),
)
_COVERED: Final = re.compile(rb"/ByteRange\s*\[\s*(\d{1,9})\s+(\d{1,9})\s+(\d{1,9})\s+(\d{1,9})\s*\]")


@cache
def pdf_seeds() -> tuple[bytes, ...]:
    """Return the files of the tests that are judged good, and some that are not."""
    from tests.unit.pdf.cases import CASES

    names = (
        *("good", "good, cross-reference streams", "good, CMS in BER", "time-stamp", "leader and agency"),
        *("leader and agency, time-stamp over both", "good, by a word processor", "form filled in, allowed"),
        *("no signature", "empty field"),
    )
    return tuple(CASES[name]() for name in names)


@cache
def _judging() -> tuple[Material, JudgePolicy]:
    from tests.support import pdfs

    logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
    logging.getLogger("pyhanko_certvalidator").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        anchors, lists = pdfs.office().write(Path(folder))
        material = MaterialFiles(tuple(anchors), (), tuple(lists)).read()
    return material, JudgePolicy(sha1_until=datetime(2019, 1, 1, tzinfo=UTC))


def _covered(content: bytes) -> set[bytes]:
    """Return hashes of what the ranges in a file cover."""
    found = set()
    for match in _COVERED.finditer(content):
        first, length, second, rest = map(int, match.groups())
        found.add(hashlib.sha256(content[first : first + length] + content[second : second + rest]).digest())
    return found


@cache
def _known() -> frozenset[bytes]:
    return frozenset(one for seed in pdf_seeds() for one in _covered(seed))


def fuzz_pdf(data: bytes) -> None:
    """Any PDF: nothing raises, and what is called intact, by a certificate that holds, was signed so."""
    from adapters.pdf.judge import judged
    from tests.support import pdfs

    material, policy = _judging()
    try:
        found = asyncio.run(judged(data, material, policy, pdfs.NOW))
    except MemoryError:
        return
    good = [
        one
        for one in found.signatures
        if one.integrity is Integrity.INTACT and one.certificate is CertificateState.VALID
    ]
    assert not good or _covered(data) & _known(), good


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
