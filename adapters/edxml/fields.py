"""Taking single values out of a signed view.

One rule holds for all that the relay reads: it stands at most once, and it is plain text. A second element of the same
name would let two readers take two different values; one in a foreign namespace would deceive readers that look at
names alone, so it counts too.

What hangs on the elements alone is the same for all documents of one shape: ``Parts`` finds it once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from adapters.edxml.names import local_name, q
from relay.errors import Code, RefusedError
from relay.model.codes import normal_form
from relay.model.elements import Elements, Node, Shape, decoded

XML_SPACE: Final = " \t\r\n"
# The category Cc, all of it, and what turns the direction of writing: a line would read another way than it is.
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_ORGAN_ID: Final = q("OrganId")
_normal_form: Final = lru_cache(maxsize=16_384)(
    normal_form
)  # the same agencies write all day; 200 bytes each


def below(shape: Shape, element: int) -> Iterator[int]:
    """Yield an element and all below it, in no particular order, without recursion."""
    waiting = [element]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(shape.children[current])


class Parts:
    """One element of all documents of one shape, and its children by name. Keeps what it was asked for."""

    __slots__ = (
        "_all",
        "_deeper",
        "_made",
        "_named",
        "_one",
        "_piece",
        "children",
        "element",
        "shape",
        "tag",
    )

    def __init__(self, shape: Shape, element: int = 0) -> None:
        self.shape = shape
        self.element = element
        self.tag = shape.tags[element]
        self.children = shape.children[element]
        self._named: dict[str, list[int]] | None = None  # by local name, whatever the namespace
        self._made: dict[int, Parts] = {}
        self._one: dict[str, Parts | None] = {}
        self._all: dict[str, tuple[Parts, ...]] = {}
        self._deeper: bool | None = None
        own = shape.texts[element]
        self._piece = own[0] if len(own) == 1 else -1

    def get(self, tag: str) -> Parts | None:
        """Return the one child with a tag of edXML, or None.

        Raises:
            RefusedError: DUPLICATE-VALUE: it stands twice, whatever the namespaces.
        """
        try:
            return self._one[tag]
        except KeyError:
            pass
        name = local_name(tag)
        same_name = self._children_named(name)
        own = [child for child in same_name if self.shape.tags[child] == tag]
        check_single(self.tag, name, len(same_name), found=bool(own))
        found = self._one[tag] = self._part(own[-1]) if own else None
        return found

    def need(self, tag: str) -> Parts:
        """Return the one child with a tag of edXML.

        Raises:
            RefusedError: MISSING-VALUE or DUPLICATE-VALUE.
        """
        found = self.get(tag)
        if found is None:
            raise RefusedError(Code.MISSING_VALUE, f"{local_name(self.tag)} has no {local_name(tag)}")
        return found

    def all(self, tag: str) -> tuple[Parts, ...]:
        """Return all children with a tag."""
        found = self._all.get(tag)
        if found is None:
            own = (child for child in self._children_named(local_name(tag)) if self.shape.tags[child] == tag)
            found = self._all[tag] = tuple(map(self._part, own))
        return found

    def text(self, tag: str, elements: Elements, limit: int) -> str:
        """Return the text of the child with a tag of edXML, empty if there is none. Errors as ``get``, ``text_of``."""
        part = self.get(tag)
        return "" if part is None else text_of(part, elements, limit)

    def identity(self, tag: str, elements: Elements, limit: int) -> str:
        """Return a text that names a document. Errors as ``get`` and ``identity_of``."""
        part = self.get(tag)
        return "" if part is None else identity_of(part, elements, limit)

    def written(self, elements: Elements) -> str:
        """Return the text of this element in one document; empty if it was left out."""
        if self._piece < 0:
            return elements.text(self.element) or ""
        octets = elements.pieces[self._piece]
        return decoded(octets) if octets else ""

    @property
    def holds_a_deeper_code(self) -> bool:
        """Whether an OrganId, of any namespace, stands below a child."""
        if self._deeper is None:
            tags = self.shape.tags
            self._deeper = any(
                local_name(tags[inner]) == "OrganId"
                for child in self.children
                for inner in below(self.shape, child)
                if self.shape.children[child]
            )
        return self._deeper

    def _children_named(self, name: str) -> list[int]:
        if self._named is None:
            named: dict[str, list[int]] = {}
            for child in self.children:
                named.setdefault(local_name(self.shape.tags[child]), []).append(child)
            self._named = named
        return self._named.get(name, [])

    def _part(self, element: int) -> Parts:
        found = self._made.get(element)
        if found is None:
            found = self._made[element] = Parts(self.shape, element)
        return found


def check_single(tag: str, name: str, times: int, *, found: bool) -> None:
    """Refuse what stands more than once in the element ``tag``, unless none of them is ours. DUPLICATE-VALUE."""
    if found and times > 1:
        raise RefusedError(Code.DUPLICATE_VALUE, f"{name} stands {times} times in {local_name(tag)}")


def text_of(part: Parts, elements: Elements, limit: int) -> str:
    """Return the character data of a value without the white space around it.

    Raises:
        RefusedError: BAD-VALUE: child elements inside, or more than ``limit`` characters.
    """
    if part.children:
        raise RefusedError(Code.BAD_VALUE, f"{local_name(part.tag)} holds elements where a text is due")
    text = part.written(elements).strip(XML_SPACE)
    if len(text) > limit:
        raise RefusedError(Code.BAD_VALUE, f"{local_name(part.tag)} has more than {limit} characters")
    return text


def identity_of(part: Parts, elements: Elements, limit: int) -> str:
    """Return the text of an element that names a document: as ``text_of``, and without control characters.

    Such texts go into logs, receipts and listings, where a line break would make one line look like two.
    """
    text = text_of(part, elements, limit)
    if not text.isprintable() and CONTROL.search(text):
        raise RefusedError(Code.BAD_VALUE, f"{local_name(part.tag)} holds control characters")
    return text


def organ_code(party: Parts, elements: Elements) -> tuple[str, str]:
    """Return the identifier code of a From, To or ResponseFor as written and in its normal form.

    Raises:
        RefusedError: MISSING-VALUE; DUPLICATE-VALUE, also for an OrganId deeper inside; BAD-CODE for white space
            around, child elements, wrong letters or shape.
    """
    part = party.need(_ORGAN_ID)
    if part.children:
        raise RefusedError(Code.BAD_CODE, "OrganId holds elements where a code is due")
    if party.holds_a_deeper_code:
        raise RefusedError(Code.DUPLICATE_VALUE, f"another OrganId stands deeper in {local_name(party.tag)}")
    written = part.written(elements)
    return written, _normal_form(written)


# --- the same for whoever reads a tree


def optional(parent: Node, name: str) -> Node | None:
    """Return the one child with the local name ``name``, or None. Errors as ``Parts.get``."""
    same_name = [child for child in parent.children if local_name(child.tag) == name]
    own = [child for child in same_name if child.tag == q(name)]
    check_single(parent.tag, name, len(same_name), found=bool(own))
    return own[-1] if own else None


def required(parent: Node, name: str) -> Node:
    """Return the one child with the local name ``name``. Errors as ``Parts.need``."""
    found = optional(parent, name)
    if found is None:
        raise RefusedError(Code.MISSING_VALUE, f"{local_name(parent.tag)} has no {name}")
    return found


def text_in(parent: Node | None, name: str, limit: int) -> str:
    """Return the text of the child ``name``; empty if it or the parent is absent. Errors as ``text_of``."""
    node = None if parent is None else optional(parent, name)
    if node is None:
        return ""
    if node.children:
        raise RefusedError(Code.BAD_VALUE, f"{name} holds elements where a text is due")
    text = (node.text or "").strip(XML_SPACE)
    if len(text) > limit:
        raise RefusedError(Code.BAD_VALUE, f"{name} has more than {limit} characters")
    return text
