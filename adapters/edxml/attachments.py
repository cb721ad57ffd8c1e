"""Taking the files out of a verified package, for gateways that store what they receive.

A payload is the base64 of a file or of an archive of one entry that holds the file, and the declared content type does
not tell which: the bytes are looked at. Names come from outside and are made safe before they are used as file names.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from adapters.edxml import names
from adapters.edxml.content import Content
from adapters.edxml.fields import required, text_in
from adapters.edxml.magic import LOOK, fits_name, fits_type, kind_of
from adapters.edxml.oddities import Oddity, oddities
from adapters.edxml.unzip import UnpackLimits, unwrapped
from relay.errors import Code, RefusedError
from relay.model.verdict import Node, SignedView

__all__ = ["Examined", "ReceivedFile", "UnpackLimits", "examined", "received_files", "safe_name", "unique"]

MAX_NAME_BYTES: Final = 200  # file systems take 255; room is left for a number and a temporary suffix
_MAX_TEXT: Final = 8000
_RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
)
_FORBIDDEN: Final = re.compile(r'[\\/:*?"<>|]')
_REPLACEMENT: Final = "\ufffd".encode()
_CORRUPT_AT: Final = 64
_COUNTED_ALONG: Final = 100


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """One file of a received package."""

    name: str  # safe, NFC, unique within the package
    written_name: str  # as the package has it
    content_type: str  # as declared; may be wrong
    content: bytes
    unzipped: bool = False
    warnings: tuple[str, ...] = ()  # in English, for people


def received_files(view: SignedView, limits: UnpackLimits | None = None) -> list[ReceivedFile]:
    """Return the files of a verified package, in its order.

    Args:
        view: a signed view that was made with the texts of payloads.
        limits: bounds for unzipping; an archive beyond them is kept as it is, with a warning.

    Raises:
        RefusedError: BAD-VALUE: a payload is no base64; MISSING-VALUE: it is not there, or was
            left out of the view; DUPLICATE-VALUE: it stands twice.
    """
    bounds = limits or UnpackLimits()
    declared = _manifest(view.root)
    taken: set[str] = set()
    files: list[ReceivedFile] = []
    for holder in view.root.all(names.ATTACHMENTS):
        for node in holder.all(names.ATTACHMENT):
            reference = declared.get(_content_id(node))
            files.append(_received(node, reference, bounds, taken, len(files) + 1))
    return files


def _received(
    node: Node, reference: Node | None, limits: UnpackLimits, taken: set[str], position: int
) -> ReceivedFile:
    written = text_in(node, "AttachmentName", _MAX_TEXT) or text_in(reference, "AttachmentName", _MAX_TEXT)
    content_type = text_in(node, "ContentType", _MAX_TEXT) or text_in(reference, "ContentType", _MAX_TEXT)
    name = unique(safe_name(written, position), taken)
    out = examined(Content.of(_payload(node)), name, content_type, bounds=limits)
    warnings = [oddities()[one].message["en"] for one in out.oddities if oddities()[one].level == "warning"]
    if reference is None:
        warnings.insert(0, oddities()[Oddity.ATTACHMENT_ALONE].message["en"])
    return ReceivedFile(name, written, content_type, out.content.whole(), out.unzipped, tuple(warnings))


@dataclass(frozen=True, slots=True)
class Examined:
    """What a payload turned out to be."""

    content: Content  # taken out of its transport archive, if it was in one
    unzipped: bool
    kind: str  # by its first bytes; empty where the table does not know it
    size: int
    sha256: str
    oddities: tuple[Oddity, ...]


def examined(
    content: Content, name: str, content_type: str, *, bounds: UnpackLimits | None = None
) -> Examined:
    """Look at the bytes of one attachment.

    Args:
        content: what its base64 holds.
        name: safe, or as written.
        content_type: as declared.
        bounds: for unzipping.

    Raises:
        RefusedError: BAD-VALUE: no base64.
    """
    out = unwrapped(content, name, bounds or UnpackLimits())
    found = list(out.oddities)
    start = out.content.start(LOOK)
    kind = kind_of(start)
    size, sha, replaced, last = 0, hashlib.sha256(), 0, b""
    for piece in out.content.pieces():
        sha.update(piece)
        size += len(piece)
        if kind is not None and kind.name == "pdf" and replaced < _CORRUPT_AT:
            replaced += (last + piece).count(_REPLACEMENT)
            last = piece[-2:]
    if content.unpadded:
        found.append(Oddity.BASE64_UNPADDED)
    if not size:
        found.append(Oddity.FILE_EMPTY)
    elif not fits_name(kind, PurePosixPath(name).suffix):
        found.append(Oddity.CONTENT_NOT_AS_NAMED)
    elif not out.unzipped and not fits_type(kind, content_type):
        found.append(Oddity.CONTENT_NOT_AS_DECLARED)
    if kind is not None and kind.program:
        found.append(Oddity.PROGRAM)
    if replaced >= _CORRUPT_AT:
        found.append(Oddity.PDF_DAMAGED)
    return Examined(out.content, out.unzipped, kind.name if kind else "", size, sha.hexdigest(), tuple(found))


def _manifest(root: Node) -> dict[str, Node]:
    """Return the manifest's references by their content id."""
    manifest = root.first(names.ENVELOPE, names.BODY, names.MANIFEST)
    if manifest is None:
        return {}
    return {_content_id(reference): reference for reference in manifest.all(names.REFERENCE)}


def _content_id(node: Node) -> str:
    """Return a content id without the ``cid:`` that some write."""
    return text_in(node, "ContentId", _MAX_TEXT).removeprefix("cid:")


def _payload(node: Node) -> bytes:
    holder = required(node, "ContentTransferEncoded")
    if holder.text is None:
        raise RefusedError(Code.MISSING_VALUE, "the view was made without the texts of payloads")
    if holder.children:
        raise RefusedError(Code.BAD_VALUE, "ContentTransferEncoded holds elements where base64 is due")
    compact = (
        "".join(holder.text.split()) if any(space in holder.text for space in " \t\r\n") else holder.text
    )
    try:
        # some encoders leave the padding off
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(Code.BAD_VALUE, "ContentTransferEncoded is no base64") from error


def safe_name(written: str, position: int = 1) -> str:
    """Return a file name that can be used on any system: one part, NFC, no control or reserved characters.

    ``position`` names a file that has no usable name left.
    """
    text = unicodedata.normalize("NFC", written)
    text = "".join(character for character in text if unicodedata.category(character)[0] != "C")
    text = _FORBIDDEN.sub("_", " ".join(text.split())).strip(" .")
    stem, dot, extension = text.rpartition(".")
    if not dot:
        stem, extension = text, ""
    if not text.strip("_ ."):
        return f"attachment-{position}"
    if text.partition(".")[0].lower() in _RESERVED:
        stem = f"_{stem}"
    suffix = _cut(f".{extension}", 32) if dot else ""
    return _cut(stem, MAX_NAME_BYTES - len(suffix.encode())).rstrip(" .") + suffix


def _cut(text: str, limit: int) -> str:
    """Return the start of a text that has at most ``limit`` bytes."""
    return text.encode()[:limit].decode(errors="ignore")


def unique(name: str, taken: set[str]) -> str:
    """Return a name that no other of the package has, whatever the letter case, and take it."""
    path = PurePosixPath(name)
    candidate, number = name, 1
    while candidate.casefold() in taken:
        # beyond a few of one name nobody counts along; and this ends soon, however many there are
        number = number + 1 if number < _COUNTED_ALONG else max(number, len(taken)) + 1
        candidate = f"{path.stem} ({number}){path.suffix}"
    taken.add(candidate.casefold())
    return candidate
