"""The copy of a verified tree says what the tree says: held against a slow one that follows the definition."""

from __future__ import annotations

import random
from typing import Any

import pytest
from lxml import etree

from relay.model.verdict import Node
from relay.trust.view import copy

OPAQUE = frozenset({"{urn:a}bulk"})


def defined(element: Any, without: Any) -> Node:
    """Return what a copy of the element is, by its definition."""
    inside = [child for child in element if isinstance(child.tag, str) and child is not without]
    text = (element.text or "") + "".join(child.tail or "" for child in element)
    return Node(
        tag=element.tag,
        text=None if element.tag in OPAQUE else text,
        attributes=tuple(element.items()),
        children=tuple(defined(child, without) for child in inside),
    )


def tree(rng: random.Random) -> Any:
    """Return a tree of up to some dozens of elements, with comments, texts between and attributes."""
    root = etree.Element("{urn:a}root")
    elements = [root]
    for _ in range(rng.randrange(40)):
        parent = rng.choice(elements)
        if rng.random() < 0.15:
            child = etree.Comment("x")
            parent.append(child)
        else:
            child = etree.SubElement(parent, rng.choice(("{urn:a}b", "{urn:a}bulk", "c", "{urn:d}e")))
            child.text = rng.choice((None, "", "text", "văn bản"))
            if rng.random() < 0.3:
                child.set(rng.choice(("a", "{urn:d}a")), "1")
            elements.append(child)
        child.tail = rng.choice((None, None, "\n  ", "behind"))
    return root


@pytest.mark.parametrize("seed", range(300))
def test_a_copy_is_what_its_definition_says(seed: int) -> None:
    rng = random.Random(seed)
    root = tree(rng)
    inner = [element for element in root.iter(etree.Element) if element is not root]
    without = rng.choice([None, *inner])
    assert copy(root, without, OPAQUE) == defined(root, without)


def test_a_copy_of_a_part_stops_at_its_end() -> None:
    root = etree.fromstring("<r><a>1<b/>2</a>tail<c/></r>")
    assert copy(root[0], None, OPAQUE) == Node("a", "12", (), (Node("b", "", (), ()),))
    assert copy(root[1], None, OPAQUE) == Node("c", "", (), ())


def test_text_behind_what_is_left_out_stays() -> None:
    root = etree.fromstring("<r><s><t>x</t></s>signed<c/></r>")
    assert copy(root, root[0], OPAQUE) == Node("r", "signed", (), (Node("c", "", (), ()),))
