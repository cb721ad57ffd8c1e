"""Files taken out of packages, also out of hostile and of clumsy ones."""

from __future__ import annotations

import base64
import io
import unicodedata
import uuid
import zipfile

import pytest

from adapters.edxml.attachments import ReceivedFile, UnpackLimits, received_files, safe_name
from adapters.edxml.facts import AttachedFile
from adapters.edxml.format import EdxmlFormat
from adapters.edxml.model import Document
from adapters.edxml.reader import read
from relay.errors import Code, RefusedError
from relay.model.message import Kind
from tests.support.packages import build_document, kinds_of_attachments, replaced, small_pdf
from tests.support.views import view_of

UUID_NAME = f"{uuid.UUID(int=7)}.pdf"


def archive(*entries: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in entries:
            target.writestr(name, content)
    return out.getvalue()


def only(content: bytes, name: str = "tệp.pdf", limits: UnpackLimits | None = None) -> ReceivedFile:
    (file,) = received_files(
        view_of(build_document("H53", ["G22"], attachments=[AttachedFile(name, content)])), limits
    )
    return file


def test_each_kind_of_file_comes_out_as_it_went_in() -> None:
    kinds = list(kinds_of_attachments().values())
    files = received_files(view_of(build_document("H53", ["G22"], attachments=kinds)))
    assert [file.content for file in files] == [kind.content for kind in kinds]
    assert all(unicodedata.is_normalized("NFC", file.name) for file in files)
    assert not any(file.unzipped for file in files)
    # the two Unicode forms of one name are one name on a disk
    assert [file.name for file in files if file.name.startswith("Phụ lục")] == [
        "Phụ lục Mật độ dân số.txt",
        "Phụ lục Mật độ dân số (2).txt",
    ]


@pytest.mark.parametrize("inner", [UUID_NAME, "anything.pdf", "ANY.PDF"])
def test_a_file_zipped_for_transport_is_unzipped(inner: str) -> None:
    content = small_pdf().content
    file = only(archive((inner, content)))
    assert (file.content, file.unzipped, file.warnings) == (content, True, ())


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("a.zip", [("b.zip", b"x")]),
        ("a.docx", [("b.docx", b"x")]),
        ("a.xlsx", [("b.xlsx", b"x")]),
        ("a.zip", [("b.pdf", b"x")]),
        ("a.pdf", [("b.txt", b"x")]),
        ("a.pdf", [(UUID_NAME, b"x"), ("b.pdf", b"y")]),
        ("a.pdf", [(f"../{UUID_NAME}", b"x")]),
        ("a.pdf", [(f"folder/{UUID_NAME}", b"x")]),
        ("a.pdf", [("folder/", b"")]),
        ("a.pdf", []),
    ],
)
def test_other_archives_stay_as_they_are(name: str, entries: list[tuple[str, bytes]]) -> None:
    payload = archive(*entries)
    file = only(payload, name)
    assert (file.content, file.unzipped) == (payload, False)


def test_an_entry_without_a_name_or_of_an_unusual_method_stays_as_it_is() -> None:
    right = archive((UUID_NAME, small_pdf().content))
    nameless = bytearray(archive(("x", b"y")))
    entry = nameless.index(b"PK\x01\x02")
    nameless[entry + 28], nameless[entry + 30] = 0, 1  # the name counts as the extra field
    assert zipfile.ZipFile(io.BytesIO(nameless)).infolist()[0].filename == ""
    assert only(bytes(nameless)).content == nameless
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as target:
        target.writestr(UUID_NAME, b"x" * 999)
    assert only(out.getvalue()).content == out.getvalue()
    assert only(right).content == small_pdf().content


def test_a_docx_stays_a_docx() -> None:
    word = kinds_of_attachments()["docx"]
    assert only(word.content, word.name).content == word.content


def test_a_bomb_is_kept_zipped() -> None:
    payload = archive((UUID_NAME, b"\0" * 3_000_000))
    file = only(payload, limits=UnpackLimits(max_ratio=100))
    assert (file.content, file.unzipped) == (payload, False)
    assert file.warnings


def test_an_archive_that_lies_about_its_size_is_kept_zipped() -> None:
    payload = archive((UUID_NAME, b"\0" * 3_000_000))
    lying = payload.replace((3_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lying != payload
    file = only(lying, limits=UnpackLimits(max_ratio=100))
    assert (file.content, file.unzipped) == (lying, False)


@pytest.mark.parametrize(
    "damage", [b"PK\x03\x04", b"PK\x03\x04" + b"\xff" * 200, archive((UUID_NAME, b"x" * 999))[:-30]]
)
def test_a_damaged_archive_is_kept_and_told(damage: bytes) -> None:
    file = only(damage)
    assert file.content == damage
    assert any("archive" in warning for warning in file.warnings)


def test_a_pdf_that_is_none_or_was_read_as_text_is_told() -> None:
    assert only(b"hello").warnings == ("The file is not what the extension of its name says.",)
    damaged = b"%PDF-1.4\n" + "\ufffd".encode() * 100
    assert "damaged" in only(damaged).warnings[0]
    assert only(small_pdf().content).warnings == ()


def payload(text: str) -> bytes:
    whole = build_document("H53", ["G22"], attachments=[AttachedFile("a.txt", b"hello, world")])
    return replaced(whole, base64.b64encode(b"hello, world").decode(), text)


@pytest.mark.parametrize("text", ["aGVsbG8sIHdvcmxk", " aGVs\r\nbG8s\tIHdv\n  cmxk\n"])
def test_wrapped_base64_is_taken(text: str) -> None:
    (file,) = received_files(view_of(payload(text)))
    assert file.content == b"hello, world"


def test_base64_without_padding_is_taken() -> None:
    (file,) = received_files(view_of(payload("aGVsbG8")))
    assert file.content == b"hello"


@pytest.mark.parametrize("text", ["aGVsbG8!", "a", "aGVs=bG8", "aGVs<b/>bG8="])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(RefusedError) as caught:
        received_files(view_of(payload(text)))
    assert caught.value.code is Code.BAD_VALUE


def test_a_view_without_payloads_gives_no_files_but_an_error() -> None:
    view = view_of(payload("aGVs"), opaque=EdxmlFormat().place(Kind.EDOC).opaque)
    with pytest.raises(RefusedError) as caught:
        received_files(view)
    assert caught.value.code is Code.MISSING_VALUE


def test_ids_match_with_and_without_their_prefix_and_strangers_are_told() -> None:
    package = build_document("H53", ["G22"], attachments=[AttachedFile("a.txt", b"x")])
    bare = package.replace(b"<ContentId>cid:attachment-1<", b"<ContentId>attachment-1<")
    assert bare != package
    assert received_files(view_of(bare))[0].warnings == ()
    stranger = received_files(
        view_of(package.replace(b"<ContentId>cid:attachment-1<", b"<ContentId>other<"))
    )[0]
    assert stranger.warnings == ("An attachment that the manifest does not list.",)


def test_a_name_missing_beside_the_payload_comes_from_the_manifest() -> None:
    package = build_document("H53", ["G22"], attachments=[AttachedFile("a.txt", b"x")])
    nameless = replaced(package, "<AttachmentName>a.txt</AttachmentName><ContentType>", "<ContentType>")
    assert received_files(view_of(nameless))[0].name == "a.txt"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Công văn số 1896.pdf", "Công văn số 1896.pdf"),
        (unicodedata.normalize("NFD", "Tờ trình.docx"), "Tờ trình.docx"),
        ("../../etc/passwd", "_._etc_passwd"),
        ("C:\\temp\\a.pdf", "C__temp_a.pdf"),
        ("a\x00b\r\nc.txt", "abc.txt"),
        ("a\u202egpj.exe", "agpj.exe"),
        ("CON.pdf", "_CON.pdf"),
        ("nul", "_nul"),
        ("a.pdf. . ", "a.pdf"),
        ("  nhiều   chỗ  trống .pdf", "nhiều chỗ trống.pdf"),
        (".htaccess", "htaccess"),
        ("", "attachment-3"),
        ("...", "attachment-3"),
        ("/", "attachment-3"),
    ],
)
def test_names_are_made_safe(written: str, name: str) -> None:
    assert safe_name(written, 3) == name


def test_no_payload_is_read_from_where_it_only_seems_to_stand() -> None:
    """What stands for a payload while the envelope is parsed is drawn anew: nobody can spell it elsewhere."""
    octets = bytes(range(256)) * 400
    body = build_document("H53", ["G22"], attachments=(AttachedFile("a.bin", octets, "application/pdf"),))
    text = base64.b64encode(octets)
    holder = b"<ContentTransferEncoded>" + text + b"</ContentTransferEncoded>"
    assert body.count(text) == 1
    for spelled in (b"&#64;payload:0@", b"<![CDATA[@]]>payload:0@"):
        changed = body.replace(text, spelled).replace(
            b"<edXML:MessageHeader>", b"<!-- " + holder + b" --><edXML:MessageHeader>"
        )
        package = read(changed).package
        assert isinstance(package, Document)
        (attached,) = package.attachments
        if attached.content is None:
            continue
        try:
            seen = b"".join(attached.content.pieces())
        except RefusedError:
            continue  # the letters of a mark are no base64
        assert seen != octets
