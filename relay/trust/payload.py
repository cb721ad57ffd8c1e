"""The octets of bulk text: base64 decoded piece by piece, and their digest; whole they never stand in memory.

White space is free. Anything else that is no base64, or a second spelling of its end (RFC 4648, 3.5), is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import importlib
from collections.abc import Callable, Iterator
from typing import Final

from relay.trust import names

_PIECE: Final = 64 * 1024  # a multiple of 4; what is decoded is hashed while it is in the nearest memory
_LOOK: Final = 16 * 1024  # a multiple of 4
_SPACES: Final = b" \t\r\n"
_PLAIN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/= \t\n"


class NotBase64Error(ValueError):
    """The text is no base64."""


def _decoder() -> tuple[bool, Callable[[bytes | memoryview], bytes]]:
    # pybase64 decodes with vector instructions, some fifteen times as fast as the interpreter's own; where it is not
    # installed the answer is the same.
    try:
        fast = importlib.import_module("pybase64")
    except ImportError:
        return False, lambda piece: binascii.a2b_base64(piece, strict_mode=True)
    decode = fast.b64decode

    def decoded(piece: bytes | memoryview) -> bytes:
        found: bytes = decode(piece, validate=True)
        return found

    return True, decoded


_FAST, _decode = _decoder()


def pieces(text: bytes | memoryview) -> Iterator[bytes]:
    """Yield the octets that a base64 text holds.

    Raises:
        NotBase64Error: it is none.
    """
    source = memoryview(text)
    rest = b""
    size = len(source)
    at = 0
    while at < size:
        part: bytes | memoryview = source[at : at + _PIECE]
        at += _PIECE
        if rest:
            part = rest + bytes(part)
            rest = b""
        try:
            if len(part) % 4:
                raise ValueError
            found = _decode(part)
        except ValueError:  # white space in it, perhaps
            compact = bytes(part).translate(None, _SPACES)
            whole = len(compact) // 4 * 4 if at < size else len(compact)
            part, rest = compact[:whole], compact[whole:]
            if len(part) % 4:
                raise NotBase64Error("its length is none of base64's") from None
            try:
                found = _decode(part) if part else b""
            except ValueError as error:
                raise NotBase64Error(str(error)) from error
        if b"=" in bytes(part[-2:]):
            _check_end(bytes(part[-4:]), found)
            if rest or bytes(source[at:]).translate(None, _SPACES):
                raise NotBase64Error("text behind the padding")
        yield found


def _check_end(block: bytes, found: bytes) -> None:
    if base64.b64encode(found[-(3 - block.count(b"=")) :]) != block:
        raise NotBase64Error("a second spelling of its end")


def is_plain(text: bytes | memoryview) -> bool:
    """Whether a text holds base64 characters, spaces, tabs and line feeds alone, in any order.

    Such a text is the same in the source, in the tree and in any canonical form.
    """
    if _FAST:
        source = memoryview(text)
        try:
            for at in range(0, len(source), _LOOK):  # small pieces come from memory that is warm
                _decode(source[at : at + _LOOK])
            return True
        except ValueError:
            pass  # white space, perhaps
    return not bytes(text).translate(None, _PLAIN)


def digest(text: bytes | memoryview, name: names.Hash) -> bytes:
    """Return the digest of the octets that a base64 text holds. Raises as ``pieces``."""
    made = hashlib.new(name)
    for piece in pieces(text):
        made.update(piece)
    return made.digest()
