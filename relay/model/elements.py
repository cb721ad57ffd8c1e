"""The elements of a signed view: flat, in the order of the document, as octets; and the same as a tree for who wants one.

What documents of one form share, which element stands in which, is a ``Shape`` and is worked out once; what is a
document's own are its pieces of text and the values of its attributes. Nothing here can change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

Attributes = tuple[tuple[str, str], ...]
"""Name, ``{namespace}local`` or plain, and value."""

_UNESCAPED: Final = (
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", '"'),
    ("&#x9;", "\t"),
    ("&#xA;", "\n"),
    ("&#xD;", "\r"),
    ("&amp;", "&"),  # last: what it stands before is text
)


def decoded(octets: bytes) -> str:
    """Return the characters of a text or attribute value in canonical form (Canonical XML 1.0, 2.3)."""
    text = octets.decode()
    if "&" in text:
        for written, meant in _UNESCAPED:
            text = text.replace(written, meant)
    return text


def encoded(text: str) -> bytes:
    """Return a text in canonical form (Canonical XML 1.0, 2.3)."""
    for written, meant in (("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&#xD;", "\r")):
        text = text.replace(meant, written)
    return text.encode()


class Node(NamedTuple):
    """One element of the signed view, and all below it; immutable.

    ``tag`` is ``{namespace}local``; ``text`` is the character data directly inside, joined; for an element that the
    profile names opaque (attachment payloads) it is None unless asked for. Attributes stand in canonical order.
    """

    tag: str
    text: str | None
    attributes: Attributes
    children: tuple[Node, ...]

    def all(self, tag: str) -> Iterator[Node]:
        """Yield the direct children with that tag."""
        return (child for child in self.children if child.tag == tag)

    def first(self, *path: str) -> Node | None:
        """Return the first element along a path of tags, or None."""
        node: Node | None = self
        for tag in path:
            if node is None:
                return None
            node = next(node.all(tag), None)
        return node

    def attribute(self, name: str) -> str | None:
        """Return an attribute's value by its ``{namespace}local`` or plain name."""
        return next((value for key, value in self.attributes if key == name), None)


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """Which elements stand in which, and where their texts are to be found. Elements have numbers; the root is 0.

    One shape is shared by many documents and may be a key: it is compared by identity.
    """

    tags: tuple[str, ...]
    """``{namespace}local`` of each element."""
    children: tuple[tuple[int, ...], ...]
    """The numbers of each element's children: higher than its own."""
    texts: tuple[tuple[int, ...], ...]
    """The pieces that make up the text of each element, children's texts left out."""
    attributes: tuple[tuple[int, str], ...]
    """Element and name of each attribute, in the order of the values."""
    size: int
    """How many bytes this takes in memory, roughly."""


@dataclass(frozen=True, slots=True, eq=False)
class Elements:
    """The elements of one document."""

    shape: Shape
    pieces: tuple[bytes | None, ...]
    """Pieces of text in canonical form; None is one that was left out (bulk)."""
    values: tuple[str, ...] = ()
    """Values of the attributes."""

    def __eq__(self, other: object) -> bool:
        """Whether both say the same; how they are stored is no matter."""
        return isinstance(other, Elements) and self.root == other.root

    __hash__ = None  # type: ignore[assignment]

    def text(self, element: int) -> str | None:
        """Return the text of an element; None if it was left out, be it in part."""
        own = self.shape.texts[element]
        if len(own) == 1:
            piece = self.pieces[own[0]]
            return None if piece is None else decoded(piece)
        found = [self.pieces[one] for one in own]
        return None if None in found else "".join(decoded(piece) for piece in found if piece)

    @property
    def attributes(self) -> Attributes:
        """All attributes, of whatever elements."""
        if not self.values:
            return ()
        return tuple(
            (name, value) for (_, name), value in zip(self.shape.attributes, self.values, strict=True)
        )

    @property
    def root(self) -> Node:
        """The same as a tree, made when asked for."""
        shape = self.shape
        attributes: dict[int, Attributes] = {}
        for (element, name), value in zip(shape.attributes, self.values, strict=True):
            attributes[element] = (*attributes.get(element, ()), (name, value))
        made: list[Node] = []  # from the last element to the first: children before what holds them
        last = len(shape.tags) - 1
        for element in range(last, -1, -1):
            made.append(
                Node(
                    shape.tags[element],
                    self.text(element),
                    attributes.get(element, ()),
                    tuple(made[last - child] for child in shape.children[element]),
                )
            )
        return made[last]

    @classmethod
    def of(cls, root: Node) -> Elements:
        """Return the elements of a tree."""
        nodes = [root]
        children: list[tuple[int, ...]] = []
        at = 0
        while at < len(nodes):  # level by level: any order will do in which children come later
            below = nodes[at].children
            children.append(tuple(range(len(nodes), len(nodes) + len(below))))
            nodes.extend(below)
            at += 1
        shape = Shape(
            tuple(node.tag for node in nodes),
            tuple(children),
            tuple((number,) for number in range(len(nodes))),
            tuple((number, name) for number, node in enumerate(nodes) for name, _ in node.attributes),
            sum(_PER_ELEMENT + len(node.tag) for node in nodes),
        )
        return cls(
            shape,
            tuple(None if node.text is None else encoded(node.text) for node in nodes),
            tuple(value for node in nodes for _, value in node.attributes),
        )

    @classmethod
    def holding(cls, tag: str, *inside: Elements) -> Elements:
        """Return an element without text and attributes, and in it others."""
        tags = [tag]
        children: list[tuple[int, ...]] = [()]
        texts: list[tuple[int, ...]] = [()]
        attributes: list[tuple[int, str]] = []
        own: list[int] = []
        pieces: list[bytes | None] = []
        values: list[str] = []
        for each in inside:
            first, behind, shape = len(tags), len(pieces), each.shape
            own.append(first)
            tags += shape.tags
            children += [tuple(first + child for child in below) for below in shape.children]
            texts += [tuple(behind + piece for piece in text) for text in shape.texts]
            attributes += [(first + element, name) for element, name in shape.attributes]
            pieces += each.pieces
            values += each.values
        children[0] = tuple(own)
        size = sum(each.shape.size for each in inside) + _PER_ELEMENT + len(tag)
        shape = Shape(tuple(tags), tuple(children), tuple(texts), tuple(attributes), size)
        return cls(shape, tuple(pieces), tuple(values))

    @classmethod
    def leaf(cls, tag: str, text: bytes | None) -> Elements:
        """Return one element with a text in canonical form."""
        return cls(Shape((tag,), ((),), ((0,),), (), _PER_ELEMENT + len(tag)), (text,))


_PER_ELEMENT: Final = 300
"""Bytes that the tuples of one element take in a shape, roughly."""
