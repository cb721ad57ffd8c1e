"""Taking a file out of the one-entry archive that some encoders put it into for transport.

A payload is such an archive if it has exactly one entry, without a path, that is named by a UUID or has the extension of
the attachment, where the attachment itself is no ZIP-based file. Everything else stays as it is. Nothing grows beyond its
bounds, however an archive lies about its size, and nothing is held in memory whole.
"""

from __future__ import annotations

import struct
import tempfile
import uuid
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Final

from adapters.edxml.content import PIECE, Content
from adapters.edxml.oddities import Oddity

_START: Final = b"PK\x03\x04"
_END: Final = b"PK\x05\x06"
_LONGEST_END: Final = 22 + 65535
_DIRECTORY_OF_ONE: Final = 46 + 3 * 65535  # bytes of the central directory for one entry, at most
_ARCHIVES: Final = frozenset({".zip", ".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".jar", ".epub"})
_IN_MEMORY: Final = 4 * 1024 * 1024
_ENCRYPTED: Final = 1
_METHODS: Final = frozenset(
    {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
)  # what encoders use; others grow without a bound
_TROUBLE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # also how `zipfile` says that it does not know a method of packing
    ValueError,
    IndexError,
    OverflowError,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class UnpackLimits:
    """Bounds on what a payload may grow to."""

    max_file_bytes: int = 256 * 1024 * 1024
    max_ratio: int = 200


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """The file, taken out or as it was, and what was remarkable about it."""

    content: Content
    unzipped: bool = False
    oddities: tuple[Oddity, ...] = ()


def unwrapped(content: Content, name: str, limits: UnpackLimits) -> Unwrapped:
    """Take a file out of its transport archive, if it is in one.

    Args:
        content: what the base64 holds.
        name: of the attachment.
        limits: on what may come out.

    Raises:
        RefusedError: what reading ``content`` raises. Trouble with the archive is an oddity, and the content stays.
    """
    if content.start(len(_START)) != _START:
        return Unwrapped(content)
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as archive:
        size = 0
        for piece in content.pieces():
            size += archive.write(piece)
        try:
            if _entries(archive, size) != 1:
                return Unwrapped(content)
            return _from_archive(content, archive, size, name, limits)
        except _TROUBLE:
            return Unwrapped(content, oddities=(Oddity.ZIP_DAMAGED,))


def _entries(archive: IO[bytes], size: int) -> int:
    """Return how many entries an archive says it has, before anything makes a list of them.

    Raises:
        BadZipFile: it has no end record, or a directory larger than one entry can need.
    """
    tail = min(size, _LONGEST_END)
    archive.seek(size - tail)
    end = archive.read(tail)
    at = end.rfind(_END)
    if at < 0 or len(end) - at < 22:
        raise zipfile.BadZipFile
    count, directory = struct.unpack_from("<HI", end, at + 10)
    if count == 1 and directory > _DIRECTORY_OF_ONE:
        raise zipfile.BadZipFile
    return int(count)


def _from_archive(
    content: Content, archive: IO[bytes], size: int, name: str, limits: UnpackLimits
) -> Unwrapped:
    archive.seek(0)
    with zipfile.ZipFile(archive) as opened:
        entries = opened.infolist()
        if len(entries) != 1 or not entries[0].filename or entries[0].is_dir():
            return Unwrapped(content)
        entry = entries[0]
        if entry.compress_type not in _METHODS:
            return Unwrapped(content)
        if "/" in entry.filename or "\\" in entry.filename:
            return Unwrapped(content, oddities=(Oddity.ZIP_PATH,))
        if not _made_for_transport(entry.filename, name):
            return Unwrapped(content)
        bound = min(limits.max_file_bytes, max(size, 1024) * limits.max_ratio)
        if entry.flag_bits & _ENCRYPTED:
            return Unwrapped(content, oddities=(Oddity.ZIP_ENCRYPTED,))
        if entry.file_size > bound:
            return Unwrapped(content, oddities=(Oddity.ZIP_TOO_LARGE,))
        out = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 -- lives as long as its content
        written = 0
        try:
            with opened.open(entry) as stream:
                while piece := stream.read(PIECE):
                    written += len(piece)
                    if written > bound:
                        out.close()
                        return Unwrapped(content, oddities=(Oddity.ZIP_TOO_LARGE,))
                    out.write(piece)
        except _TROUBLE:
            out.close()
            raise
    inner = Content(lambda: _pieces(out), size=written)
    weakref.finalize(inner, out.close)
    oddities = [Oddity.ZIP_WRAPPED]
    if PurePosixPath(name).suffix.lower() not in _ARCHIVES and inner.start(len(_START)) == _START:
        oddities.append(Oddity.ZIP_NESTED)
    return Unwrapped(inner, unzipped=True, oddities=tuple(oddities))


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    """Yield what a temporary file holds; each reader has a place of its own in it."""
    at = 0
    while True:
        file.seek(at)
        piece = file.read(PIECE)
        if not piece:
            return
        at += len(piece)
        yield piece


def _made_for_transport(entry: str, name: str) -> bool:
    """Whether the entry is the attachment itself: named by a UUID, or with the extension of an attachment that is no
    archive of its own kind."""
    inner, outer = PurePosixPath(entry), PurePosixPath(name)
    try:
        uuid.UUID(inner.stem)
    except ValueError:
        extension = outer.suffix.lower()
        return bool(extension) and inner.suffix.lower() == extension and extension not in _ARCHIVES
    return True
