"""The signed view: an immutable copy of what the signature covers, made from the very tree that was verified."""

from __future__ import annotations

from typing import Any

from relay.model.verdict import Node, ParseLimits, SignaturePlace
from relay.trust.parse import parse


def copy(element: Any, without: Any, opaque: frozenset[str]) -> Node:  # noqa: ANN401 -- lxml ships no types
    """Copy an element and all below it. Depth was bounded when the tree was parsed.

    Args:
        element: the root of the copy.
        without: the ``ds:Signature`` element, which its own digest leaves out. The text behind it is signed.
        opaque: tags whose text is left out (None).

    Comments are no part of the copy; the pieces of text around them are joined.
    """
    return _copy(element, element.tag, without, opaque)


def _copy(element: Any, tag: str, without: Any, opaque: frozenset[str]) -> Node:  # noqa: ANN401
    text = None if tag in opaque else element.text or ""
    attributes = tuple(element.items())
    if not len(element):
        return Node(tag, text, attributes, ())
    tails = []
    children = []
    for child in element:
        kind = child.tag
        if child.tail is not None:
            tails.append(child.tail)
        if child is not without and isinstance(kind, str):
            children.append(_copy(child, kind, without, opaque))
    if text is not None and tails:
        text += "".join(tails)
    return Node(tag, text, attributes, tuple(children))


def unverified(body: bytes, place: SignaturePlace, limits: ParseLimits) -> Node:
    """Return a view of bytes whose signature was NOT checked: for what the relay stored itself, and for display.

    Raises:
        RefusedError: what the hardened parser refuses.
    """
    return copy(parse(body, place.root, place.opaque, limits), None, place.opaque)
