"""What a body says in its own octets: its root, and that without the signature. Found by their tags, without a parser.

Only a proposal. It holds where two others agree: ``Views.as_written`` finds the root, or what is left of it, to be tags and
texts alone, of a form that is canonical; and ``quick.read`` finds what was cut out to be one plain signature. Since the
former holds no comment, section or instruction, and the parser took the body, in which a ``<`` stands at the cut, the cut
is between two tags or in a text. So what was cut out is the signature in the tree, whole and alone, what is left is the
canonical form of the tree without it, and none needs to be made.
"""

from __future__ import annotations

from typing import Any, Final

LARGEST: Final = 256 * 1024  # octets; beyond, a copy costs more than it saves
_SPACE: Final = b" \t\r\n"


def root_of(source: bytes) -> bytes:
    """Return a body from its root's start tag to its end tag; empty if there is nothing to propose."""
    start = _start(source)
    return source[start:].rstrip(_SPACE) if start >= 0 else b""


def apart(source: bytes, signature: Any) -> tuple[bytes, bytes]:  # noqa: ANN401 -- lxml ships no types
    """Return the root without the signature, and the signature; both empty if there is nothing to propose.

    Args:
        source: what the tree was made of.
        signature: the element in that tree.
    """
    prefix = signature.prefix
    name = f"{prefix}:Signature".encode() if prefix else b"Signature"
    start = _start(source)
    begin = source.find(b"<" + name + b" ", start) if start >= 0 else -1
    if begin < 0:
        return b"", b""
    end_tag = b"</" + name + b">"
    end = source.find(end_tag, begin)
    if end < 0:
        return b"", b""
    end += len(end_tag)
    return (source[start:begin] + source[end:]).rstrip(_SPACE), source[begin:end]


def _start(source: bytes) -> int:
    """Return where the first tag behind the XML declaration begins; -1 if there is none, or the body is large."""
    if len(source) > LARGEST:
        return -1
    behind = source.find(b"?>") + 2 if source.startswith(b"<?xml ") else 0
    return source.find(b"<", behind)
