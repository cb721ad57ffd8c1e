"""Whether a package may hold a signed file is seen without decoding it, and never missed where a mark is there."""

from __future__ import annotations

import base64
import io
import random
import zipfile

import pytest

from adapters.edxml.facts import AttachedFile
from adapters.edxml.inspecting import EdxmlAttachments
from relay.errors import RefusedError
from tests.support import packages
from tests.unit.pdf.cases import good

SOURCE = EdxmlAttachments()
PDF = "application/pdf"


def package(*contents: bytes, name: str = "a.pdf") -> bytes:
    files = [AttachedFile(name, content, PDF) for content in contents]
    return packages.build_document("H26", ["H53"], attachments=files)


def archive(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(name, content)
    return out.getvalue()


def may(body: bytes, *, everything: bool = False) -> bool:
    return SOURCE.may_be_signed(body, unsigned_too=everything)


@pytest.mark.parametrize("before", range(6))
def test_a_mark_is_seen_wherever_it_stands(before: int) -> None:
    assert may(package(b"%PDF-1.7\n" + b"x" * before + b" /ByteRange [0 1 2 3]"))


def test_a_signed_pdf_among_others_is_seen() -> None:
    assert may(package(b"chu", good(), b"so"))


def test_an_unsigned_pdf_counts_only_where_everything_does() -> None:
    body = package(b"%PDF-1.7 /ByteRang /yteRange")
    assert (may(body), may(body, everything=True)) == (False, True)


@pytest.mark.parametrize("content", [b"chu thuong", b"", b"\x89PNG\r\n\x1a\n", b"/ByteRange"])
def test_what_cannot_be_signed_never_counts(content: bytes) -> None:
    body = package(content)
    assert (may(body), may(body, everything=True)) == (False, False)


@pytest.mark.parametrize(
    "content",
    [
        archive("_xmlsignatures/sig1.xml", b"x"),
        archive("META-INF/documentsignatures.xml", b"x"),
        archive("quyet-dinh.pdf", good()),  # what is in it cannot be seen
        b"<a xmlns:ds='http://www.w3.org/2000/09/xmldsig#'/>",
        "<a/>".encode("utf-16"),
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "_signatures".encode("utf-16-le"),
        bytes.fromhex("3082010006092a864886f70d010702a0820000"),
        b"junk before it %PDF-1.4 /ByteRange",
    ],
)
def test_other_signed_files_are_seen(content: bytes) -> None:
    assert may(package(content))


def test_an_ordinary_office_file_does_not_count() -> None:
    body = package(packages.word_file(["mẫu"]), name="a.docx")
    assert (may(body), may(body, everything=True)) == (False, True)


def test_base64_in_lines_hides_no_mark() -> None:
    content = b"%PDF-1.7\n" + b"x" * 500 + b"/ByteRange" + b"y" * 500
    body = package(content)
    text = base64.b64encode(content)
    lines = b"\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    assert body.count(text) == 1
    assert may(body.replace(text, lines))
    assert not may(package(b"%PDF-1.7"))


@pytest.mark.parametrize("change", [(b"JVBERi", b"&#74;VBERi"), (b"JVBERi", b"<![CDATA[JVBERi")])
def test_a_payload_that_is_not_plain_text_may_hide_a_mark(change: tuple[bytes, bytes]) -> None:
    body = package(b"%PDF-1.7")
    assert body.count(change[0]) == 1
    assert not may(body)
    assert may(body.replace(*change))


def test_what_has_no_payload_does_not_count() -> None:
    for body in (b"", b"<a/>", b"</ContentTransferEncoded>x<"):
        assert not may(body)


def test_names_in_a_directory_are_found_whatever_their_letters_and_however_large_the_archive() -> None:
    large = archive("_XMLSignatures/Sig.xml", random.Random(3).randbytes(600_000))
    assert may(package(large))
    assert not may(package(archive("a.txt", random.Random(3).randbytes(600_000))))


def test_attachments_come_in_their_order_and_out_of_their_archives() -> None:
    wrapped = archive("a.pdf", good())
    found = SOURCE.attached(package(good(), wrapped, b"khac"))
    assert [one.content() for one in found.files] == [good(), good(), b"khac"]
    assert found.files[0].content_type == PDF
    assert found.files[0].size >= len(good())
    assert found.leaders == ("Người ký (mẫu)",)


def test_a_status_has_none_and_what_cannot_be_read_is_refused() -> None:
    assert SOURCE.attached(packages.build_status("H53", "H26", "d1")).files == ()
    with pytest.raises(RefusedError):
        SOURCE.attached(b"no package")
