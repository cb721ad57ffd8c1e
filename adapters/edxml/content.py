"""The bytes of an attachment, had in pieces: from memory, from a file, or from the base64 of a package.

Nothing here holds more than a few pieces at a time, whatever the size. Two contents are equal if their bytes are.
"""

from __future__ import annotations

import binascii
import hashlib
import os
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

from relay.errors import Code, RefusedError

PIECE: Final = 3 * 256 * 1024  # bytes; a multiple of 3, so that each piece is whole in base64
_TEXT_PIECE: Final = PIECE // 3 * 4
_SPACES: Final = b" \t\r\n"


class Source(Protocol):
    """Bytes that can be read at any place."""

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def read_at(self, offset: int, count: int) -> bytes:
        """Return up to ``count`` bytes from ``offset`` on; fewer at the end only."""
        ...


class BytesSource:
    """Bytes in memory."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.body)

    def read_at(self, offset: int, count: int) -> bytes:
        """Return up to ``count`` bytes from ``offset`` on."""
        return self.body[offset : offset + count]


class FileSource:
    """A file; open as long as somebody holds this object."""

    def __init__(self, path: Path) -> None:
        """Open a file. Raises ``OSError``."""
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._handle)
        self._size = os.fstat(self._handle).st_size

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return self._size

    def read_at(self, offset: int, count: int) -> bytes:
        """Return up to ``count`` bytes from ``offset`` on."""
        parts = []
        while count > 0:
            part = os.pread(self._handle, count, offset)
            if not part:
                break
            parts.append(part)
            offset += len(part)
            count -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


class Content:
    """Bytes that come in pieces, as often as one wants them."""

    __slots__ = ("__weakref__", "_digest", "_pieces", "_size", "text_bytes", "unpadded")

    def __init__(
        self, pieces: Callable[[], Iterator[bytes]], size: int | None = None, text_bytes: int = 0
    ) -> None:
        self._pieces = pieces
        self._size = size
        self._digest = ""
        self.text_bytes = text_bytes  # of the base64 in a package, 0 where it comes from elsewhere
        self.unpadded = False  # known once the bytes were read to their end

    @classmethod
    def of(cls, content: bytes) -> Content:
        """Return bytes in memory as a content."""
        view = memoryview(content)
        return cls(
            lambda: (bytes(view[at : at + PIECE]) for at in range(0, len(view), PIECE)), size=len(content)
        )

    @classmethod
    def of_file(cls, path: Path) -> Content:
        """Return a file as a content. Raises ``OSError``, also later while it is read."""
        size = path.stat().st_size

        def pieces() -> Iterator[bytes]:
            with path.open("rb") as file:
                while piece := file.read(PIECE):
                    yield piece

        return cls(pieces, size=size)

    @classmethod
    def of_base64(cls, source: Source, offset: int, length: int) -> Content:
        """Return what the base64 at that place of a source holds. Its pieces raise as ``decoded``."""
        return cls._decoding(lambda: text_pieces(source, offset, length), length)

    @classmethod
    def of_base64_text(cls, text: str) -> Content:
        """Return what a base64 text holds. Its pieces raise as ``decoded``."""

        def pieces() -> Iterator[bytes]:
            for at in range(0, len(text), _TEXT_PIECE):
                yield text[at : at + _TEXT_PIECE].encode("utf-8", "replace")

        return cls._decoding(pieces, len(text))

    @classmethod
    def _decoding(cls, pieces: Callable[[], Iterator[bytes]], length: int) -> Content:
        content = cls(lambda: decoded(pieces(), content._found_unpadded), text_bytes=length)
        return content

    def _found_unpadded(self) -> None:
        self.unpadded = True

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes, none of the pieces empty and all but the last of a size that 3 divides."""
        return self._pieces()

    def whole(self) -> bytes:
        """Return all bytes at once. Raises as ``pieces``."""
        return b"".join(self.pieces())

    def start(self, count: int) -> bytes:
        """Return the first ``count`` bytes. Raises as ``pieces``."""
        found = b""
        for piece in self.pieces():
            found += piece[: count - len(found)]
            if len(found) >= count:
                break
        return found

    def measure(self) -> tuple[int, str]:
        """Return size and SHA-256 (lower-case hex); read once. Raises as ``pieces``."""
        if not self._digest:
            sha, size = hashlib.sha256(), 0
            for piece in self.pieces():
                sha.update(piece)
                size += len(piece)
            self._size, self._digest = size, sha.hexdigest()
        assert self._size is not None
        return self._size, self._digest

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes, lower-case hex. Raises as ``pieces``."""
        return self.measure()[1]

    @property
    def size(self) -> int:
        """How many bytes. Raises as ``pieces`` where it is not known before."""
        return self._size if self._size is not None else self.measure()[0]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Content):
            return NotImplemented
        return self is other or self.measure() == other.measure()

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        return f"Content({self._size} bytes)"


def text_pieces(source: Source, offset: int, length: int) -> Iterator[bytes]:
    """Yield the bytes of a part of a source in pieces."""
    end = offset + length
    while offset < end:
        piece = source.read_at(offset, min(_TEXT_PIECE, end - offset))
        if not piece:
            return
        yield piece
        offset += len(piece)


def decoded(pieces: Iterator[bytes], on_unpadded: Callable[[], None] | None = None) -> Iterator[bytes]:
    """Yield what base64 holds. White space anywhere and missing padding are taken; the latter is told.

    Raises:
        RefusedError: BAD-VALUE: other characters, text behind the padding, or a rest of one character.
    """
    rest, ended = b"", False
    for piece in pieces:
        compact = piece.translate(None, _SPACES)
        if not compact:
            continue
        if ended:
            raise _no_base64()
        compact = rest + compact if rest else compact
        whole = len(compact) // 4 * 4
        block, rest = compact[:whole], compact[whole:]
        if block:
            ended = block.endswith(b"=")
            yield from _block(block)
    if rest:
        if ended:
            raise _no_base64()
        bare = rest.rstrip(b"=")
        if len(bare) < 2 or len(rest) - len(bare) > 4 - len(bare):
            raise _no_base64()
        if on_unpadded is not None:
            on_unpadded()
        yield from _block(bare + b"=" * (4 - len(bare)))


def _block(block: bytes) -> Iterator[bytes]:
    try:
        content = binascii.a2b_base64(block, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise _no_base64() from error
    if content:
        yield content


def _no_base64() -> RefusedError:
    return RefusedError(Code.BAD_VALUE, "ContentTransferEncoded is no base64")


def encoded(content: Content) -> Iterator[bytes]:
    """Yield the base64 of a content, on one line. Raises as ``Content.pieces``."""
    rest = b""
    for piece in content.pieces():
        whole = rest + piece if rest else piece
        cut = len(whole) // 3 * 3
        if cut:
            yield binascii.b2a_base64(whole if cut == len(whole) else whole[:cut], newline=False)
        rest = whole[cut:]
    if rest:
        yield binascii.b2a_base64(rest, newline=False)
