"""Just enough DER to make certificates that no library would: read into nested lists, change, write, sign again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

SEQUENCE: Final = 0x30
BIT_STRING: Final = 0x03
INTEGER: Final = 0x02


@dataclass(frozen=True, slots=True)
class Value:
    """One value: its tag and its content, either bytes or further values."""

    tag: int
    content: bytes | tuple[Value, ...]

    def __getitem__(self, index: int) -> Value:
        assert not isinstance(self.content, bytes)
        return self.content[index]

    def but(self, path: Sequence[int], change: Callable[[Value], Value]) -> Value:
        """Return the same with the value at a path of indices changed."""
        if not path:
            return change(self)
        assert not isinstance(self.content, bytes)
        inner = list(self.content)
        inner[path[0]] = inner[path[0]].but(path[1:], change)
        return Value(self.tag, tuple(inner))

    def octets(self) -> bytes:
        """Return the encoding."""
        content = (
            self.content
            if isinstance(self.content, bytes)
            else b"".join(each.octets() for each in self.content)
        )
        return bytes([self.tag]) + _length(len(content)) + content


def read(octets: bytes) -> Value:
    """Read one value of DER, constructed ones to their depth."""
    value, _ = _read(octets, 0)
    return value


def sequence(*values: Value) -> Value:
    """Return a SEQUENCE."""
    return Value(SEQUENCE, values)


def integer(number: int) -> Value:
    """Return an INTEGER, not negative."""
    return Value(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def bits(octets: bytes) -> Value:
    """Return a BIT STRING of whole octets."""
    return Value(BIT_STRING, b"\0" + octets)


def _read(octets: bytes, at: int) -> tuple[Value, int]:
    tag, length, at = octets[at], octets[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, at = int.from_bytes(octets[at : at + count], "big"), at + count
    end = at + length
    if not tag & 0x20:
        return Value(tag, octets[at:end]), end
    inner = []
    while at < end:
        value, at = _read(octets, at)
        inner.append(value)
    return Value(tag, tuple(inner)), end


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes([size])
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets
