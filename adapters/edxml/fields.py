"""Taking single values out of a signed view.

One rule holds for all that the relay reads: it stands at most once, and it is plain text. A second element of the same
name would let two readers take two different values; one in a foreign namespace would deceive readers that look at
names alone, so it counts too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from adapters.edxml.names import NAMESPACE, local_name, q
from relay.errors import Code, RefusedError
from relay.model.codes import normal_form
from relay.model.verdict import Node

XML_SPACE: Final = " \t\r\n"
# The category Cc, all of it, and what turns the direction of writing: a line would read another way than it is.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all below it, in no particular order, without recursion."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(current.children)


_OWN: Final = f"{{{NAMESPACE}}}"
_ORGAN_ID: Final = q("OrganId")
_normal_form: Final = lru_cache(maxsize=16_384)(
    normal_form
)  # the same agencies write all day; 200 bytes each


class Parts:
    """The children of an element by name, sorted in one pass; where it matters, ``optional`` has the last word."""

    __slots__ = ("_doubtful", "_found", "_more", "node")

    def __init__(self, node: Node) -> None:
        found: dict[str, Node] = {}
        more: dict[str, list[Node]] | None = None
        doubtful: set[str] | None = None
        for child in node.children:
            tag = child[0]
            if tag in found:
                more = {} if more is None else more
                more.setdefault(tag, []).append(child)
            else:
                found[tag] = child
                if not tag.startswith(_OWN):
                    doubtful = set() if doubtful is None else doubtful
                    doubtful.add(_OWN + local_name(tag))
        self.node = node
        self._found = found
        self._more = more
        self._doubtful = doubtful

    def get(self, tag: str) -> Node | None:
        """Return the one child with a tag of edXML, or None. Errors as ``optional``."""
        node = self._found.get(tag)
        if (
            node is not None
            and (self._more is not None or self._doubtful is not None)
            and (tag in (self._more or ()) or tag in (self._doubtful or ()))
        ):
            return optional(self.node, local_name(tag))
        return node

    def need(self, tag: str) -> Node:
        """Return the one child with a tag of edXML. Errors as ``required``."""
        node = self.get(tag)
        if node is None:
            raise RefusedError(Code.MISSING_VALUE, f"{local_name(self.node.tag)} has no {local_name(tag)}")
        return node

    def all(self, tag: str) -> list[Node]:
        """Return all children with a tag."""
        first = self._found.get(tag)
        if first is None:
            return []
        return [first] if self._more is None else [first, *self._more.get(tag, ())]

    def text(self, tag: str, limit: int) -> str:
        """Return the text of the child with a tag of edXML, empty if there is none. Errors as ``text_in``."""
        node = self.get(tag)
        return "" if node is None else text_of(node, limit)

    def identity(self, tag: str, limit: int) -> str:
        """Return a text that names a document. Errors as ``identity_in``."""
        node = self.get(tag)
        return "" if node is None else identity_of(node, limit)


def optional(parent: Node, name: str) -> Node | None:
    """Return the one child with the local name ``name``, or None.

    Raises:
        RefusedError: DUPLICATE-VALUE: it stands twice, whatever the namespaces.
    """
    tag = q(name)
    found: Node | None = None
    same_name = 0
    for child in parent.children:
        if child.tag == tag:
            same_name += 1
            found = child
        elif child.tag.endswith(name) and local_name(child.tag) == name:
            same_name += 1
    if found is not None and same_name > 1:
        raise RefusedError(
            Code.DUPLICATE_VALUE, f"{name} stands {same_name} times in {local_name(parent.tag)}"
        )
    return found


def required(parent: Node, name: str) -> Node:
    """Return the one child with the local name ``name``.

    Raises:
        RefusedError: MISSING-VALUE or DUPLICATE-VALUE.
    """
    found = optional(parent, name)
    if found is None:
        raise RefusedError(Code.MISSING_VALUE, f"{local_name(parent.tag)} has no {name}")
    return found


def text_of(node: Node, limit: int) -> str:
    """Return the character data of a value without the white space around it.

    Raises:
        RefusedError: BAD-VALUE: child elements inside, or more than ``limit`` characters.
    """
    if node.children:
        raise RefusedError(Code.BAD_VALUE, f"{local_name(node.tag)} holds elements where a text is due")
    text = (node.text or "").strip(XML_SPACE)
    if len(text) > limit:
        raise RefusedError(Code.BAD_VALUE, f"{local_name(node.tag)} has more than {limit} characters")
    return text


def text_in(parent: Node | None, name: str, limit: int) -> str:
    """Return the text of the child ``name``; empty if it or the parent is absent. Errors as ``text_of``."""
    if parent is None:
        return ""
    node = optional(parent, name)
    return "" if node is None else text_of(node, limit)


def identity_in(parent: Node, name: str, limit: int) -> str:
    """Return a text that names a document: as ``text_in``, and without control characters.

    Such texts go into logs, receipts and listings, where a line break would make one line look like two.
    """
    node = optional(parent, name)
    return "" if node is None else identity_of(node, limit)


def identity_of(node: Node, limit: int) -> str:
    """Return the text of an element that names a document. Errors as ``identity_in``."""
    text = text_of(node, limit)
    if not text.isprintable() and _CONTROL.search(text):
        raise RefusedError(Code.BAD_VALUE, f"{local_name(node.tag)} holds control characters")
    return text


def organ_code(party: Node) -> tuple[str, str]:
    """Return the identifier code of a From, To or ResponseFor as written and in its normal form.

    Raises:
        RefusedError: MISSING-VALUE; DUPLICATE-VALUE, also for an OrganId deeper inside; BAD-CODE for white space
            around, child elements, wrong letters or shape.
    """
    node = Parts(party).need(_ORGAN_ID)
    if node.children:
        raise RefusedError(Code.BAD_CODE, "OrganId holds elements where a code is due")
    for child in party.children:
        if child[3] and any(local_name(inner.tag) == "OrganId" for inner in walk(child)):
            raise RefusedError(
                Code.DUPLICATE_VALUE, f"another OrganId stands deeper in {local_name(party.tag)}"
            )
    written = node.text or ""
    return written, _normal_form(written)
