"""What is fuzzed: functions that take any bytes and may end only in a value or in one of the project's own errors."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from adapters.edxml.attachments import UnpackLimits, examined, received_files, safe_name
from adapters.edxml.check import check, relay_objection
from adapters.edxml.content import BytesSource, Content
from adapters.edxml.diff import differences
from adapters.edxml.model import Attachment, Document, Package, SignatureKind, StatusMessage
from adapters.edxml.names import q
from adapters.edxml.reader import survey
from adapters.edxml.references import KnownDocument, meant
from adapters.edxml.repair import proposal_of
from adapters.edxml.sense import form_of
from adapters.edxml.values import read_boolean, read_date, read_flag, read_number, read_time
from adapters.edxml.writer import package_bytes
from relay.errors import RefusedError
from relay.model.codes import form_2016, normal_form
from relay.model.verdict import Node, SignedView
from tests.fuzz import material, stamped
from tests.fuzz.evidence import fuzz_evidence
from tests.fuzz.inspection import fuzz_pdf, fuzz_recognise
from tests.fuzz.shown import fuzz_shown
from tests.fuzz.signature import fuzz_signature

Target = Callable[[bytes], None]

LIMITS: Final = UnpackLimits(max_file_bytes=8 * 1024 * 1024, max_ratio=200)
LONGEST: Final = 1.0  # seconds of processor time for one input; a busy machine is no finding
LONGEST_PDF: Final = 5.0  # judged by libraries, in a process of its own that may take twenty
_CHUNK: Final = 1024 * 1024  # what a reader of a file asks for at least
_PIECE: Final = 701  # a tag is often cut in two
KNOWN: Final = (
    KnownDocument("a", "H53", "H53,2026,6", "7/UBND-VP", "2026/03/02"),
    KnownDocument("b", "H53", "H53,2026,6", "8/UBND-VP", "2026/03/02"),
)


class Pieces:
    """A package that comes in short pieces, as a large file would: its payloads are cut out whatever its size."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self._body)

    def read_at(self, offset: int, count: int) -> bytes:
        """Return up to ``count`` bytes from ``offset`` on; fewer where a whole chunk is asked for."""
        return self._body[offset : offset + (_PIECE if count >= _CHUNK else count)]


def fuzz_package(data: bytes) -> None:
    """Read in two ways, by the relay's own too; judge, resolve, mend, write and compare whatever it is."""
    relay_objection(BytesSource(data))
    reading = survey(data)
    in_pieces = survey(Pieces(data))
    if not reading.faults and not in_pieces.faults:
        assert reading.findings == in_pieces.findings, (reading.findings, in_pieces.findings)
        assert _same(reading.package, in_pieces.package)
    package = reading.package
    if package is None:
        assert reading.faults
        return
    meant(package, KNOWN)
    if reading.faults:
        return
    proposal = proposal_of(reading)
    try:
        body = package_bytes(proposal.package, checked=False)
    except RefusedError:
        return  # garbage in an attachment
    again = survey(body)
    assert not again.faults, again.faults
    assert again.package is not None
    if not proposal.changes:
        assert not differences(replace(package, signature=SignatureKind.NONE, kept=()), again.package)


def _same(one: Package | None, other: Package | None) -> bool:
    """Whether two readings say the same, attachments that are no base64 included."""
    if not isinstance(one, Document) or not isinstance(other, Document):
        return one == other
    bare = [replace(document, attachments=()) for document in (one, other)]
    return bare[0] == bare[1] and [_held(file) for file in one.attachments] == [
        _held(file) for file in other.attachments
    ]


def _held(file: Attachment) -> tuple[Attachment, bytes | None]:
    try:
        held = None if file.content is None else file.content.whole()
    except RefusedError:
        held = None
    return replace(file, content=None), held


def fuzz_attachment(data: bytes) -> None:
    """The first line names the attachment; the rest is base64, or is taken for the bytes themselves.

    A gateway's way to the files and that of the tools have to agree on what base64 holds.
    """
    name, _, rest = data.partition(b"\n")
    written = name.decode("utf-8", "replace")[:300]
    assert "/" not in safe_name(written)
    try:
        content = Content.of_base64(BytesSource(rest), 0, len(rest))
        out = examined(content, written, "application/pdf", bounds=LIMITS)
        assert out.size == len(out.content.whole()) <= max(len(rest), LIMITS.max_file_bytes)
        held: bytes | None = content.whole()
    except RefusedError:
        held = None
    try:
        files = received_files(_view(written, rest), LIMITS)
    except RefusedError:
        assert held is None or not rest.isascii() or b"\0" in rest, rest
    else:
        assert len({file.name.casefold() for file in files}) == 3
        if held is not None and not files[0].unzipped:
            assert files[0].content == held
    out = examined(Content.of(rest), written, "application/zip", bounds=LIMITS)
    assert out.size <= max(len(rest), LIMITS.max_file_bytes)


def _view(name: str, payload: bytes) -> SignedView:
    """Return the view of a package with one file three times: listed, listed otherwise and not listed."""
    text = payload.decode("utf-8", "replace")

    def part(tag: str, *children: Node | str) -> Node:
        inside = tuple(one for one in children if isinstance(one, Node))
        return Node(q(tag), "".join(one for one in children if isinstance(one, str)), (), inside)

    def file(tag: str, number: int, *more: Node) -> Node:
        return part(tag, part("ContentId", f"cid:{number}"), part("AttachmentName", name), *more)

    listed = [file("Reference", 1, part("ContentType", "application/pdf")), file("Reference", 2)]
    files = [file("Attachment", number, part("ContentTransferEncoded", text)) for number in (1, 2, 3)]
    manifest = part("edXMLEnvelope", part("edXMLBody", part("edXMLManifest", *listed)))
    return SignedView.of(part("edXML", manifest, part("AttachmentEncoded", *files)), "", len(payload))


def fuzz_code(data: bytes) -> None:
    """Identifier codes, document ids and single values."""
    text = data.decode("utf-8", "replace")
    try:
        normal = normal_form(text)
    except RefusedError:
        normal = ""
    if normal:
        assert normal_form(normal) == normal
        old = form_2016(normal)
        assert old is None or normal_form(old) == normal
    form_of(text)
    for read in (read_date, read_time, read_number, read_boolean, read_flag):
        value, oddity = read(text.strip())
        assert value is not None or oddity is not None


def fuzz_status(data: bytes) -> None:
    """A status in full: the tolerant reader and the relay's own agree on what it says."""
    checked = check(data)
    package = checked.reading.package
    if isinstance(package, StatusMessage) and not checked.faults and checked.relay is None:
        assert package.status is not None
        assert package.message_header.response_for is not None
        assert package.message_header.response_for.addressee is not None


TARGETS: Final[dict[str, Target]] = {
    "package": fuzz_package,
    "attachment": fuzz_attachment,
    "code": fuzz_code,
    "status": fuzz_status,
    "shown": fuzz_shown,
    "evidence": fuzz_evidence,
    "revocation-list": material.fuzz_list,
    "ocsp-answer": material.fuzz_answer,
    "certificate": material.fuzz_certificate,
    "signature": fuzz_signature,
    "time-stamp": stamped.fuzz_stamp,
    "edition": stamped.fuzz_edition,
    "proof-of-key": stamped.fuzz_proof,
    "recognise": fuzz_recognise,
    "pdf": fuzz_pdf,
}


def run_one(target: Target, data: bytes) -> None:
    """Run one input; too slow is a failure too."""
    started = time.process_time()
    target(data)
    taken = time.process_time() - started
    longest = LONGEST_PDF if target is fuzz_pdf else LONGEST
    assert taken <= longest, f"{taken:.1f} s for {len(data)} bytes"
