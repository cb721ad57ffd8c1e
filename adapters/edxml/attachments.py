"""Taking the files out of a verified package, for gateways that store what they receive.

A payload is the base64 of a file or of an archive of one entry that holds the file, and the declared content type does
not tell which: the bytes are looked at. Names come from outside and are made safe before they are used as file names.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import unicodedata
import uuid
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from adapters.edxml import names
from adapters.edxml.fields import required, text_in
from relay.errors import Code, RefusedError
from relay.model.verdict import Node, SignedView

MAX_NAME_BYTES: Final = 200  # file systems take 255; room is left for a number and a temporary suffix
_MAX_TEXT: Final = 8000
_ZIP: Final = b"PK\x03\x04"
_ARCHIVES: Final = frozenset({".zip", ".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".jar", ".epub"})
_RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
)
_FORBIDDEN: Final = re.compile(r'[\\/:*?"<>|]')
_REPLACEMENT: Final = "\ufffd".encode()
_CORRUPT_AT: Final = 64


@dataclass(frozen=True, slots=True)
class UnpackLimits:
    """Bounds on what a payload may grow to."""

    max_file_bytes: int = 256 * 1024 * 1024
    max_ratio: int = 200


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
    name = _unique(safe_name(written, position), taken)
    payload = _payload(node)
    warnings: list[str] = []
    if reference is None:
        warnings.append("the manifest does not name this attachment")
    content, unzipped = payload, False
    if payload.startswith(_ZIP):
        inner, warning = _single_entry(payload, name, limits)
        if inner is not None:
            content, unzipped = inner, True
        if warning:
            warnings.append(warning)
    if name.lower().endswith(".pdf"):
        if not content.startswith(b"%PDF-"):
            warnings.append("named as a PDF, but it is none")
        elif content.count(_REPLACEMENT) >= _CORRUPT_AT:
            warnings.append("the PDF was damaged by a program that took it for text")
    return ReceivedFile(name, written, content_type, content, unzipped, tuple(warnings))


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


def _single_entry(payload: bytes, name: str, limits: UnpackLimits) -> tuple[bytes | None, str]:
    """Return the one entry of an archive that was made for transport, and a warning; None if it is to be kept."""
    try:
        with zipfile.ZipFile(io.BytesIO(payload)) as archive:
            entries = archive.infolist()
            if len(entries) != 1 or not _made_for_transport(entries[0], name):
                return None, ""
            entry = entries[0]
            bound = min(limits.max_file_bytes, max(len(payload), 1024) * limits.max_ratio)
            if entry.flag_bits & 1 or entry.file_size > bound:
                return None, "kept zipped: the archive is encrypted or would grow too large"
            with archive.open(entry) as stream:
                content = stream.read(bound + 1)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, RuntimeError, ValueError):
        return None, "kept as it is: it starts like an archive, but is none that can be read"
    if len(content) > bound:
        return None, "kept zipped: the archive would grow too large"
    return content, ""


def _made_for_transport(entry: zipfile.ZipInfo, name: str) -> bool:
    """Whether the entry is the attachment itself: named by a UUID, or with the extension of an attachment that is
    no archive of its own kind."""
    if entry.is_dir() or "/" in entry.filename or "\\" in entry.filename:
        return False
    inner, outer = PurePosixPath(entry.filename), PurePosixPath(name)
    try:
        uuid.UUID(inner.stem)
    except ValueError:
        extension = outer.suffix.lower()
        return bool(extension) and inner.suffix.lower() == extension and extension not in _ARCHIVES
    return True


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


def _unique(name: str, taken: set[str]) -> str:
    """Return a name that no other of the package has, whatever the letter case, and take it."""
    path = PurePosixPath(name)
    candidate, number = name, 1
    while candidate.casefold() in taken:
        number += 1
        candidate = f"{path.stem} ({number}){path.suffix}"
    taken.add(candidate.casefold())
    return candidate
