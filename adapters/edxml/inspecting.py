"""Attachments for inspection: whether a package holds a file that may be signed, and those files.

The first is asked for each document on its way, so it reads the beginnings of the payloads alone and then looks for a
mark in their base64 as it stands: a mark of bytes has three forms there, by its place among three.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from functools import partial
from typing import Final

from adapters.edxml.attachments import UnpackLimits
from adapters.edxml.content import Content
from adapters.edxml.model import Document
from adapters.edxml.reader import read
from adapters.edxml.sense import paired
from adapters.edxml.unzip import unwrapped
from relay.errors import Code, RefusedError
from relay.model.inspection import Attached, AttachedFiles

_OPEN: Final = re.compile(rb"<(?:[^\s<>/!?&'\"=]{1,64}:)?ContentTransferEncoded(?:\s[^<>]*)?>")
_NAME: Final = b"ContentTransferEncoded"
_BEGINNING: Final = 1500  # characters: a PDF's header may stand behind a kilobyte of something else
_TAIL: Final = 256 * 1024  # characters of an archive that are decoded
_SPACES: Final = b" \t\r\n"
_UNPACKED: Final = UnpackLimits(max_file_bytes=64 * 1024 * 1024, max_ratio=100)


def _in_base64(mark: bytes) -> tuple[bytes, ...]:
    """Return the forms that a mark has in base64, less what depends on its neighbours."""
    forms = []
    for before in range(3):
        text = base64.b64encode(b"\0" * before + mark)
        whole = (before + len(mark)) * 8 // 6  # characters that the mark and what is before it decide
        forms.append(text[-(-before * 8 // 6) : whole])
    return tuple(forms)


def _forms(*marks: bytes) -> tuple[bytes, ...]:
    return tuple(form for mark in marks for form in _in_base64(mark))


_PDF: Final = _forms(b"/ByteRange")
# A signed office file; and the archive of one file that some put a PDF into for transport, which hides what is in it.
# Of an archive's names, in small letters: a signed office file; and the archive of one file that some put a PDF into for
# transport, which hides what is in it.
_ZIP_NAMES: Final = (b"signatures", b".pdf", b".edxml", b".docx", b".xlsx", b".pptx")
_XML: Final = _forms(b"/xmldsig#")
_OLE: Final = _forms("signatures".encode("utf-16-le"))
_SIGNED_DATA: Final = bytes.fromhex("06092a864886f70d010702")


class EdxmlAttachments:
    """The port ``AttachmentSource`` for edXML."""

    def may_be_signed(self, body: bytes, *, unsigned_too: bool) -> bool:
        """Whether a package holds a file that may bear a signature.

        True also where that cannot be told cheaply: base64 in lines, or not as plain text. False for a PDF whose signature hides its own
        names behind escapes (ISO 32000-2, 7.3.5); with ``unsigned_too`` every file of a kind that can be signed counts.
        """
        return any(place is None or _counts(body, *place, unsigned_too) for place in _payloads(body))

    def attached(self, body: bytes) -> AttachedFiles:
        """Return the attachments in their order, each out of its transport archive; and the name in SignerInfo.

        Raises:
            RefusedError: NOT-XML or what else keeps the package from being read.
        """
        reading = read(body)
        if reading.package is None:
            fault = reading.faults[0] if reading.faults else None
            raise RefusedError(fault.code if fault else Code.NOT_XML, fault.detail if fault else "")
        if not isinstance(reading.package, Document):
            return AttachedFiles()
        found = []
        for reference, attachment in paired(reading.package):
            name = attachment.attachment_name or (reference.attachment_name if reference else "")
            content_type = attachment.content_type or (reference.content_type if reference else "")
            content = attachment.content or Content.of(b"")
            found.append(Attached(name, content_type, partial(_bytes_of, content, name), content.text_bytes))
        signer = reading.package.message_header.signer_info
        leaders = (signer.full_name,) if signer is not None and signer.full_name else ()
        return AttachedFiles(tuple(found), leaders)


def _bytes_of(content: Content, name: str) -> bytes:
    return unwrapped(content, name, _UNPACKED).content.whole()


def _payloads(body: bytes) -> Iterator[tuple[int, int] | None]:
    """Yield where the text of each payload begins and ends; None for one that is not plain text."""
    at = 0
    while (at := body.find(_NAME, at)) >= 0:
        start = body.rfind(b"<", max(0, at - 80), at)
        at += len(_NAME)
        if start >= 0 and body[start + 1 : start + 2] == b"/":
            continue
        opened = _OPEN.match(body, start) if start >= 0 else None
        if opened is None:
            yield None
            continue
        end = body.find(b"<", opened.end())
        plain = body[end : end + 2] == b"</" and body.find(b"&", opened.end(), end) < 0
        yield (opened.end(), end) if plain else None
        at = max(at, end)


def _counts(body: bytes, start: int, end: int, unsigned_too: bool) -> bool:
    while start < end and body[start] in _SPACES:
        start += 1
    while start < end and body[end - 1] in _SPACES:
        end -= 1
    beginning = body[start : min(end, start + _BEGINNING)].translate(None, _SPACES)
    try:
        first = binascii.a2b_base64(beginning[: len(beginning) // 4 * 4])
    except binascii.Error:
        return True  # no base64 as it ought to be: nothing is sure
    if first.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return unsigned_too or _archive_counts(body, start, end)
    forms = _marks(first)
    if forms is None:
        return False
    if unsigned_too or not forms:
        return True
    if any(body.find(space, start, end) >= 0 for space in (b"\n", b"\r", b" ", b"\t")):
        return True  # a mark may stand across lines
    return any(body.find(form, start, end) >= 0 for form in forms)


def _archive_counts(body: bytes, start: int, end: int) -> bool:
    """Whether a name in an archive's directory, which stands at its end, speaks of a signature or of a document."""
    tail = body[max(start, end - _TAIL) : end].translate(None, _SPACES)
    padded = tail[len(tail) % 4 :]  # whole groups, counted from the end
    try:
        last = binascii.a2b_base64(padded)
    except binascii.Error:
        return True
    at = last.rfind(b"PK\x05\x06")
    if at < 0 or len(last) - at < 22:
        return True
    unseen = (end - start) * 3 // 4 - len(last) + 4 if end - start > _TAIL else 0
    if int.from_bytes(last[at + 16 : at + 20], "little") < unseen:
        return True  # the directory begins before what was looked at
    names = last.lower()
    return any(name in names for name in _ZIP_NAMES)


def _marks(first: bytes) -> tuple[bytes, ...] | None:
    """Return the marks to look for by the beginning of a file; none (empty) if it is a signature already; None if it is
    of no kind that can be signed."""
    if b"%PDF-" in first[:1029]:
        return _PDF
    if first.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _OLE
    if first[:1] == b"\x30" and _SIGNED_DATA in first[:32]:
        return ()
    if first[:2] in {b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<"}:
        return ()
    if first.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<":
        return _XML
    return None
