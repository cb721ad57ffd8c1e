"""What a file is and whether it bears a mark of a signature, by its bytes alone."""

from __future__ import annotations

import io
import random
import zipfile

import pytest

from adapters.pdf.recognise import byte_ranges, recognise, signed_ends
from relay.model.inspection import AttachmentKind, Finding
from tests.support import packages
from tests.unit.pdf.cases import by_both, good

XMLDSIG = "http://www.w3.org/2000/09/xmldsig#"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)


def archive(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name in names:
            made.writestr(name, "x")
    return out.getvalue()


def xml(text: str, encoding: str = "utf-8") -> bytes:
    return text.encode(encoding)


SIGNED_XML = f'<a><ds:Signature xmlns:ds="{XMLDSIG}"/></a>'


@pytest.mark.parametrize(
    ("content", "name", "kind", "finding", "reason"),
    [
        (b"%PDF-1.7", "a", AttachmentKind.PDF, None, ""),
        (b"\xef\xbb\xbf junk %PDF-1.4", "a.docx", AttachmentKind.PDF, None, ""),
        (b"x" * 2000 + b"%PDF-1.4", "a.pdf", AttachmentKind.OTHER, Finding.UNREADABLE, "not-as-named"),
        (b"", "a.PDF ", AttachmentKind.OTHER, Finding.UNREADABLE, "not-as-named"),
        (b"", "a.txt", AttachmentKind.OTHER, Finding.NOT_INSPECTED, ""),
        (
            archive("[Content_Types].xml", "word/document.xml"),
            "a.docx",
            AttachmentKind.OOXML,
            Finding.NO_SIGNATURE,
            "",
        ),
        (
            archive("[Content_Types].xml", "_xmlsignatures/origin.sigs"),
            "a.docx",
            AttachmentKind.OOXML,
            Finding.UNSUPPORTED,
            "ooxml-signature",
        ),
        (
            archive("_XmlSignatures/sig1.xml"),
            "a.zip",
            AttachmentKind.OOXML,
            Finding.UNSUPPORTED,
            "ooxml-signature",
        ),
        (
            archive("mimetype", "META-INF/manifest.xml", "META-INF/documentsignatures.xml"),
            "a.odt",
            AttachmentKind.OTHER,
            Finding.UNSUPPORTED,
            "odf-signature",
        ),
        (
            archive("mimetype", "META-INF/manifest.xml"),
            "a.odt",
            AttachmentKind.OTHER,
            Finding.NO_SIGNATURE,
            "",
        ),
        (archive("a.txt"), "a.zip", AttachmentKind.OTHER, Finding.NOT_INSPECTED, ""),
        (archive(), "a.zip", AttachmentKind.OTHER, Finding.NOT_INSPECTED, ""),
        (archive("a.txt")[:-8], "a.zip", AttachmentKind.OTHER, Finding.UNREADABLE, "zip-damaged"),
        (b"PK\x03\x04", "a.docx", AttachmentKind.OTHER, Finding.UNREADABLE, "zip-damaged"),
        (xml(SIGNED_XML), "a.xml", AttachmentKind.XML, Finding.UNSUPPORTED, "xml-signature"),
        (
            b"\xef\xbb\xbf" + xml(SIGNED_XML),
            "a.xml",
            AttachmentKind.XML,
            Finding.UNSUPPORTED,
            "xml-signature",
        ),
        (xml(SIGNED_XML, "utf-16"), "a.xml", AttachmentKind.XML, Finding.UNSUPPORTED, "xml-signature"),
        (xml(SIGNED_XML, "utf-16-be"), "a.xml", AttachmentKind.XML, Finding.UNSUPPORTED, "xml-signature"),
        (xml("<?xml version='1.0'?><a/>"), "a.xml", AttachmentKind.XML, Finding.NO_SIGNATURE, ""),
        (OLE, "a.doc", AttachmentKind.OTHER, Finding.NO_SIGNATURE, ""),
        (
            OLE + "_signatures".encode("utf-16-le"),
            "a.doc",
            AttachmentKind.OTHER,
            Finding.UNSUPPORTED,
            "ole-signature",
        ),
        (
            bytes.fromhex("3082010006092a864886f70d010702a0820000"),
            "a.p7s",
            AttachmentKind.OTHER,
            Finding.UNSUPPORTED,
            "cms-file",
        ),
    ],
)
def test_recognised(
    content: bytes, name: str, kind: AttachmentKind, finding: Finding | None, reason: str
) -> None:
    found = recognise(content, name)
    assert (found.kind, found.finding, found.reason) == (kind, finding, reason)


def test_a_directory_that_lies_about_its_size_is_damaged() -> None:
    content = bytearray(archive("[Content_Types].xml"))
    at = content.rfind(b"PK\x05\x06")
    content[at + 10 : at + 12] = (60000).to_bytes(2, "little")
    assert recognise(bytes(content), "a.docx").reason == "zip-damaged"


def test_an_ordinary_office_file_has_no_signature() -> None:
    assert recognise(packages.word_file(["mẫu"]), "a.docx").finding is Finding.NO_SIGNATURE


def test_ranges_of_a_signed_file() -> None:
    assert signed_ends(good()) == [len(good())]
    ends = signed_ends(by_both())
    assert ends[-1] == len(by_both())
    assert len(ends) == byte_ranges(by_both()) == 2
    assert byte_ranges(b"/ByteRange\n[ /ByteRange 5 0 R (the word /ByteRange) /ByteRanges [") == 2
    assert signed_ends(b"/ByteRange [0 5 3 9]") == []  # the hole would begin behind its end


def test_no_bytes_raise() -> None:
    rng = random.Random(5)
    starts = (b"", b"PK\x03\x04", b"%PDF-", b"<", b"\xff\xfe<\0", OLE[:8], b"\x30\x80")
    for _ in range(3000):
        content = (
            rng.choice(starts)
            + rng.randbytes(rng.randrange(80))
            + rng.choice((b"", b"PK\x05\x06" + rng.randbytes(18)))
        )
        recognise(content, "a.pdf")
        signed_ends(content)
