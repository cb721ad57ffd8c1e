"""The signed view: an immutable copy of what the signature covers, made from the very tree that was verified."""

from __future__ import annotations

from typing import Any

from relay.model.verdict import Node


def copy(element: Any, without: Any, opaque: frozenset[str]) -> Node:  # noqa: ANN401 -- lxml ships no types
    """Copy an element and all below it. Depth was bounded when the tree was parsed.

    Args:
        element: the root of the copy.
        without: the ``ds:Signature`` element, which its own digest leaves out. The text behind it is signed.
        opaque: tags whose text is left out (None).

    Comments are no part of the copy; the pieces of text around them are joined.
    """
    tag = element.tag
    hidden = tag in opaque
    texts = [] if hidden else [element.text]
    children = []
    for child in element:
        if not hidden:
            texts.append(child.tail)
        if child is not without and isinstance(child.tag, str):
            children.append(copy(child, without, opaque))
    if hidden:
        text = None
    elif len(texts) == 1:
        text = texts[0] or ""
    else:
        text = "".join(filter(None, texts))
    return Node(tag, text, tuple(element.items()), tuple(children))
