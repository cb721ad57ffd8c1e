"""The few ways in which records, batches and their parts write a value, each with exactly one spelling.

Numbers are unsigned LEB128 without superfluous bytes; times are eight bytes, microseconds since 1970 UTC, big-endian;
texts and octets stand behind their length in bytes. A reader refuses every other spelling, so that equal content has
equal bytes.
"""

from __future__ import annotations

import re
import uuid
from binascii import unhexlify
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NoReturn

from relay.errors import Code, RefusedError

MAX_RECORD: Final = 1 << 20
"""Bytes of one record; a document for thousands of recipients stays far below."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MAX_NUMBER: Final = (1 << 63) - 1
_LAST_TIME: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_UUID: Final = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_HASH: Final = re.compile("[0-9a-f]{64}").fullmatch
_SMALL: Final = tuple(bytes([one]) for one in range(128))


def refuse(why: str) -> NoReturn:
    """Raise EVIDENCE-MALFORMED."""
    raise RefusedError(Code.EVIDENCE_MALFORMED, why)


# --- writing ---------------------------------------------------------------------------------------------------------


def number(value: int) -> bytes:
    """Unsigned LEB128."""
    if value < 128:
        return _SMALL[value]
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def time(at: datetime) -> bytes:
    """Eight bytes: microseconds since 1970 UTC."""
    return ((at - _EPOCH) // _MICROSECOND).to_bytes(8, "big")


def text(value: str) -> bytes:
    """Length in bytes, then UTF-8. A lone surrogate, which UTF-8 has no bytes for, becomes a question mark."""
    octets = value.encode("utf-8", "replace")
    return number(len(octets)) + octets


@lru_cache(maxsize=4096)
def word(value: str) -> bytes:
    """``text`` of what stands in many records: a code, a user, a kind, an algorithm."""
    return text(value)


def blob(value: bytes) -> bytes:
    """Length, then the bytes."""
    return number(len(value)) + value


def token(value: str) -> bytes:
    """A text that mostly is an id or a hash: 0x00 and a text; 0x01 and 16 bytes for a lower-case UUID; 0x02 and 32 bytes
    for 64 lower-case hexadecimal digits."""
    size = len(value)
    if size == 36 and value[8] == value[13] == value[18] == value[23] == "-" and value == value.lower():
        try:  # ``suppress`` would take as long as all the rest
            octets = unhexlify(value.replace("-", ""))
        except ValueError:
            octets = b""
        if len(octets) == 16:
            return b"\x01" + octets
    elif size == 64 and value == value.lower():
        try:
            return b"\x02" + unhexlify(value)
        except ValueError:
            pass
    return b"\x00" + text(value)


@lru_cache(maxsize=4096)
def lasting(value: str) -> bytes:
    """``token`` of what stands in many records: the hash of a certificate, the version of a directory."""
    return token(value)


# --- reading ---------------------------------------------------------------------------------------------------------


class Cursor:
    """Reads values one after the other. Every method raises ``RefusedError`` EVIDENCE-MALFORMED for what is not there,
    or not in its one spelling."""

    __slots__ = ("_at", "_octets")

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        end = self._at + size
        if end > len(self._octets):
            refuse(f"ends at byte {len(self._octets)}, inside a value")
        taken = self._octets[self._at : end]
        self._at = end
        return taken

    def byte(self) -> int:
        """One byte."""
        at = self._at
        if at >= len(self._octets):
            refuse(f"ends at byte {at}, before a value")
        self._at = at + 1
        return self._octets[at]

    def flag(self) -> bool:
        """One byte, 0 or 1."""
        value = self.byte()
        if value > 1:
            refuse(f"byte {self._at - 1} is {value}, neither 0 nor 1")
        return value == 1

    def number(self) -> int:
        """Unsigned LEB128, below 2^63."""
        value = self.byte()
        if value < 128:
            return value
        value &= 127
        shift = 7
        while True:
            part = self.byte()
            value |= (part & 127) << shift
            shift += 7
            if part < 128:
                break
            if shift > 63:
                refuse("a number that is too long")
        if part == 0 or value > _MAX_NUMBER:
            refuse("a number that is too long")
        return value

    def time(self) -> datetime:
        """Eight bytes."""
        value = int.from_bytes(self.take(8), "big")
        if value > _LAST_TIME:
            refuse("a time behind the year 9999")
        return _EPOCH + timedelta(microseconds=value)

    def blob(self) -> bytes:
        """Length, then the bytes."""
        return self.take(self.number())

    def text(self) -> str:
        """Length, then UTF-8."""
        octets = self.take(self.number())
        try:
            return octets.decode("utf-8")
        except UnicodeDecodeError:
            refuse("a text that is not UTF-8")

    def token(self) -> str:
        """A text, a UUID or a hash."""
        form = self.byte()
        if form == 1:
            return str(uuid.UUID(bytes=self.take(16)))
        if form == 2:
            return self.take(32).hex()
        if form != 0:
            refuse(f"no token begins with {form}")
        value = self.text()
        if (len(value) == 36 and _UUID(value)) or (len(value) == 64 and _HASH(value)):
            refuse("a token that has a shorter spelling")
        return value

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._octets) - self._at)

    def end(self) -> None:
        """Nothing more may stand here."""
        if self._at != len(self._octets):
            refuse(f"{len(self._octets) - self._at} bytes too many")
