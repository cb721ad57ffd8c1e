"""The signed view: an immutable copy of what the signature covers, made from the very tree that was verified."""

from __future__ import annotations

from typing import Any, Final

from relay.model.verdict import Node, ParseLimits, SignaturePlace
from relay.trust.parse import parse

Attributes = list[tuple[str, str]]

_new: Final = tuple.__new__  # a Node is a tuple; its own constructor takes twice the time


def copy(
    element: Any,  # noqa: ANN401 -- lxml ships no types
    without: Any,  # noqa: ANN401
    opaque: frozenset[str],
    attributes: list[Attributes] | None = None,
) -> Node:
    """Copy an element and all below it. Depth was bounded when the tree was parsed.

    Args:
        element: the root of the copy.
        without: the ``ds:Signature`` element, which its own digest leaves out. The text behind it is signed.
        opaque: tags whose text is left out (None).
        attributes: takes what attributes the elements have, where they have any.

    Comments are no part of the copy; the pieces of text around them are joined.
    """
    # One walk in the order of the document and no call for each element: every package pays this.
    above: list[tuple[Any, list[Node], int, str]] = []
    opened: Any = None  # the element whose children come now
    made: list[Node] = []  # those of them that are done
    left = 1  # how many are to come
    tails = ""  # text between them
    nodes = element.iter()
    for node in nodes:
        tag = node.tag
        if tag.__class__ is not str:
            pass  # a comment
        elif node is without:
            for _ in range(sum(1 for _ in node.iterdescendants())):
                next(nodes)
        elif len(node):
            above.append((opened, made, left, tails))
            opened, made, left, tails = node, [], len(node), ""
            continue
        else:
            items = node.items()
            if items and attributes is not None:
                attributes.append(items)
            made.append(_new(Node, (tag, None if tag in opaque else node.text or "", tuple(items), ())))
        left -= 1
        if opened is not None and (tail := node.tail):
            tails += tail
        while not left and opened is not None:
            tag = opened.tag
            text = None if tag in opaque else (opened.text or "") + tails
            items = opened.items()
            if items and attributes is not None:
                attributes.append(items)
            done = _new(Node, (tag, text, tuple(items), tuple(made)))
            tail = opened.tail
            opened, made, left, tails = above.pop()
            made.append(done)
            left -= 1
            if tail and opened is not None:
                tails += tail
    return made[0]


def unverified(body: bytes, place: SignaturePlace, limits: ParseLimits) -> Node:
    """Return a view of bytes whose signature was NOT checked: for what the relay stored itself, and for display.

    Raises:
        RefusedError: what the hardened parser refuses.
    """
    return copy(parse(body, place.root, place.opaque, limits), None, place.opaque)
