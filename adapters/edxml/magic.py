"""What a file is by its first bytes: a small table of what travels between agencies, and of what should not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LOOK: Final = 1024  # bytes from the start that are enough


@dataclass(frozen=True, slots=True)
class FileKind:
    """A sort of files: how they start, how they are named, how they are declared."""

    name: str
    starts: tuple[bytes, ...]
    extensions: frozenset[str]
    types: frozenset[str]
    anywhere: bool = False  # the start may stand behind some other bytes
    program: bool = False


def _kind(
    name: str,
    starts: tuple[bytes, ...],
    extensions: str,
    types: str,
    *,
    anywhere: bool = False,
    program: bool = False,
) -> FileKind:
    return FileKind(
        name,
        starts,
        frozenset(extensions.split()),
        frozenset(types.split()),
        anywhere=anywhere,
        program=program,
    )


_OOXML: Final = "application/vnd.openxmlformats-officedocument."
KINDS: Final = (
    _kind("zip", (b"PK\x03\x04", b"PK\x05\x06"), ".zip .docx .xlsx .pptx .odt .ods .odp .jar .epub .docm .xlsm .kmz",
          f"application/zip application/x-zip-compressed {_OOXML}wordprocessingml.document "
          f"{_OOXML}spreadsheetml.sheet {_OOXML}presentationml.presentation application/vnd.oasis.opendocument.text "
          "application/vnd.oasis.opendocument.spreadsheet application/java-archive application/epub+zip"),
    _kind("ole", (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",), ".doc .xls .ppt .msg .mpp .vsd .dot .xlt",
          "application/msword application/vnd.ms-excel application/vnd.ms-powerpoint application/vnd.ms-outlook"),
    _kind("rtf", (b"{\\rtf",), ".rtf .doc", "application/rtf text/rtf application/msword"),
    _kind("png", (b"\x89PNG\r\n\x1a\n",), ".png", "image/png"),
    _kind("jpeg", (b"\xff\xd8\xff",), ".jpg .jpeg .jfif", "image/jpeg image/jpg"),
    _kind("gif", (b"GIF87a", b"GIF89a"), ".gif", "image/gif"),
    _kind("tiff", (b"II*\x00", b"MM\x00*"), ".tif .tiff", "image/tiff"),
    _kind("bmp", (b"BM",), ".bmp", "image/bmp"),
    _kind("7z", (b"7z\xbc\xaf\x27\x1c",), ".7z", "application/x-7z-compressed"),
    _kind("rar", (b"Rar!\x1a\x07",), ".rar", "application/vnd.rar application/x-rar-compressed application/x-rar"),
    _kind("gzip", (b"\x1f\x8b\x08",), ".gz .tgz", "application/gzip application/x-gzip"),
    _kind("pdf", (b"%PDF-",), ".pdf", "application/pdf", anywhere=True),
    _kind("program", (b"MZ", b"\x7fELF", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe"),
          ".exe .dll .com .scr .msi .class .so", "application/x-msdownload application/x-executable", program=True),
    _kind("html", (b"<!DOCTYPE html", b"<!doctype html", b"<html", b"<HTML"), ".html .htm .xls .doc",
          "text/html application/xhtml+xml application/vnd.ms-excel application/msword"),
    _kind("xml", (b"<?xml", b"\xef\xbb\xbf<?xml", b"<edXML"), ".xml .edxml .svg .xsd .xsl .xhtml .html",
          "text/xml application/xml application/edxml+xml image/svg+xml application/xhtml+xml text/html"),
)  # fmt: skip
# Extensions whose files always start as the table says.
_CERTAIN: Final = frozenset(
    {
        *(
            [
                ".pdf",
                ".png",
                ".jpg",
                ".jpeg",
                ".gif",
                ".tif",
                ".tiff",
                ".zip",
                ".docx",
                ".xlsx",
                ".pptx",
                ".odt",
                ".ods",
                ".odp",
                ".7z",
                ".rar",
                ".gz",
            ]
        )
    }
)
_KNOWN_EXTENSIONS: Final = frozenset().union(*(kind.extensions for kind in KINDS)) | {".txt", ".csv", ".log"}
_KNOWN_TYPES: Final = frozenset().union(*(kind.types for kind in KINDS)) | {"text/plain", "text/csv"}


def kind_of(start: bytes) -> FileKind | None:
    """Return the kind of a file by its first ``LOOK`` bytes; None where the table does not know it."""
    for kind in KINDS:
        if start.startswith(kind.starts) or (kind.anywhere and any(one in start for one in kind.starts)):
            if kind.name == "program" and start.startswith(b"MZ") and not _is_program(start):
                continue
            if kind.name == "bmp" and start[6:10] != b"\0\0\0\0":
                continue
            return kind
    return None


def _is_program(start: bytes) -> bool:
    """Whether what starts with MZ has the rest of such a header: two letters alone may be anything."""
    return len(start) >= 64 and int.from_bytes(start[60:64], "little") < 1 << 20


def fits_name(kind: FileKind | None, extension: str) -> bool:
    """Whether a file of this kind may be named so; ``extension`` with its dot, any letter case."""
    extension = extension.lower()
    if kind is None:
        return extension not in _CERTAIN
    return extension in kind.extensions or extension not in _KNOWN_EXTENSIONS


def fits_type(kind: FileKind | None, content_type: str) -> bool:
    """Whether a file of this kind may be declared so; what the table does not know is not judged."""
    bare = content_type.partition(";")[0].strip().lower()
    return kind is None or bare in kind.types or bare not in _KNOWN_TYPES
