"""A package without its payloads: what is parsed, and where each payload stands in the source.

Payloads are nearly all of a large package, and none of its meaning. They are found by a look for their tags and replaced
by short marks before a parser sees anything, so that reading costs the envelope alone and any size fits a bounded memory.
What is inside a comment or CDATA section looks the same: whoever parses counts the marks that came out at a payload's
place and, if some did not, parses the source as it is (``Skeleton.whole``). Marks are drawn anew each time: who could guess
one would spell it, by references, where its payload does not stand.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from adapters.edxml.content import BytesSource, Source
from relay.errors import Code, RefusedError

_CHUNK: Final = 1024 * 1024
_OPEN: Final = re.compile(rb"<(?:[^\s<>/!?&'\"=]{1,64}:)?ContentTransferEncoded(?:\s[^<>]*)?(?<!/)>")
_LONGEST_TAG: Final = 64 * 1024
_RANDOM: Final = 16  # bytes of a mark
_NOT_WORTH_IT: Final = 32 * 1024  # a package below that is parsed as it is
_SMALL: Final = 256  # a payload below that costs less where it stands


@dataclass(frozen=True, slots=True)
class Span:
    """Where the text of one payload stands in the source."""

    offset: int
    length: int
    folded: bool  # holds line ends


class Skeleton:
    """The bytes to be parsed, the spans that were cut out, and the source."""

    def __init__(self, source: Source, body: bytes, spans: tuple[Span, ...], drawn: str = "") -> None:
        self.source = source
        self.body = body
        self.spans = spans
        self._drawn = drawn

    @cached_property
    def marks(self) -> dict[str, Span]:
        """Each mark with what it stands for."""
        return {_mark(self._drawn, index): span for index, span in enumerate(self.spans)}

    def whole(self, limit: int) -> Skeleton:
        """Return the source with nothing cut out. Raises ``RefusedError`` TOO-LARGE above ``limit`` bytes."""
        if self.source.size > limit:
            raise RefusedError(Code.TOO_LARGE, f"{self.source.size} bytes, at most {limit}")
        return Skeleton(self.source, self.source.read_at(0, self.source.size), ())


def _mark(drawn: str, index: int) -> str:
    return f"@payload:{drawn}:{index}@"


def skeleton_of(
    source: Source, limit: int, envelope_limit: int, draw: Callable[[int], str] = secrets.token_hex
) -> Skeleton:
    """Cut the payloads out of a package.

    Args:
        source: the package.
        limit: bytes of the whole at most.
        envelope_limit: bytes of all but the payloads at most.
        draw: gives random bytes, as many as it is told, as letters and digits.

    Raises:
        RefusedError: EMPTY-BODY, TOO-LARGE.
    """
    if source.size == 0:
        raise RefusedError(Code.EMPTY_BODY, "no bytes")
    if source.size > limit:
        raise RefusedError(Code.TOO_LARGE, f"{source.size} bytes, at most {limit}")
    if isinstance(source, BytesSource) and source.size < _NOT_WORTH_IT:
        return Skeleton(source, source.body, ())
    cutter = _Cutter(source, envelope_limit, draw(_RANDOM))
    if isinstance(source, BytesSource):
        cutter.take(source.body, 0, last=True)
    else:
        offset = 0
        while offset < source.size:
            chunk = source.read_at(offset, _CHUNK)
            if not chunk:
                break
            cutter.take(chunk, offset, last=offset + len(chunk) >= source.size)
            offset += len(chunk)
    return cutter.result()


class _Cutter:
    """Goes through a source chunk by chunk; what is kept of one for the next is at most a tag."""

    def __init__(self, source: Source, limit: int, drawn: str) -> None:
        self._source = source
        self._limit = limit
        self._drawn = drawn
        self._out: list[bytes] = []
        self._kept = 0
        self._spans: list[Span] = []
        self._rest = b""
        self._inside = False
        self._start = 0  # of the payload that the cutter is inside
        self._lines = 0
        self._folded = False
        self._plain = True

    def take(self, chunk: bytes, offset: int, *, last: bool) -> None:
        """Take the next chunk, which stands at ``offset``."""
        data = self._rest + chunk if self._rest else chunk
        base = offset - len(self._rest)
        self._rest = b""
        position = 0
        while position < len(data):
            if self._inside:
                position = self._payload(data, base, position)
            else:
                found = _OPEN.search(data, position)
                if found is None:
                    keep = len(data) if last else self._safe_end(data, position)
                    self._keep(data[position:keep])
                    self._rest = data[keep:]
                    return
                self._keep(data[position : found.end()])
                position = found.end()
                self._inside, self._start = True, base + position
                self._lines, self._folded, self._plain = 0, False, True

    def _payload(self, data: bytes, base: int, position: int) -> int:
        """Go on inside a payload; return where it ends, or the end of the data."""
        end = data.find(b"<", position)
        stop = len(data) if end < 0 else end
        if self._plain and data.find(b"&", position, stop) >= 0:
            self._plain = False
        if data.find(b"\n", position, stop) >= 0:  # much faster than counting none
            self._lines += data.count(b"\n", position, stop)
        if not self._folded and (self._lines or data.find(b"\r", position, stop) >= 0):
            self._folded = True  # a parser makes a line end of a carriage return
        if end >= 0:
            self._close(base + end)
        return stop

    def _close(self, end: int) -> None:
        self._inside = False
        length = end - self._start
        if self._plain and length >= _SMALL:
            # the line ends stay, so that the places of findings are those of the source
            mark = _mark(self._drawn, len(self._spans)).encode() + b"\n" * self._lines
            self._spans.append(Span(self._start, length, self._folded))
            self._keep(mark)
        else:
            self._check(length)
            self._keep(self._source.read_at(self._start, length))

    @staticmethod
    def _safe_end(data: bytes, position: int) -> int:
        """Return up to where the data holds no tag that goes on in the next chunk."""
        begun = data.rfind(b"<", position)
        if begun < 0 or data.find(b">", begun) >= 0 or len(data) - begun > _LONGEST_TAG:
            return len(data)
        return begun

    def _keep(self, part: bytes) -> None:
        self._check(len(part))
        self._kept += len(part)
        self._out.append(part)

    def _check(self, more: int) -> None:
        if self._kept + more > self._limit:
            raise RefusedError(Code.TOO_LARGE, f"more than {self._limit} bytes beside the payloads")

    def result(self) -> Skeleton:
        """Return what came out. A source that has the marks' own letters, or ends in a payload, stays whole."""
        if self._inside:
            self._check(self._source.size - self._start)
            self._keep(self._source.read_at(self._start, self._source.size - self._start))
        body = b"".join(self._out)
        if self._spans and body.count(self._drawn.encode()) != len(self._spans):
            return Skeleton(self._source, b"", tuple(self._spans)).whole(self._limit)
        return Skeleton(self._source, body, tuple(self._spans), self._drawn)
