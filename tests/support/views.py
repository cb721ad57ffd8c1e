"""Signed views for tests that need no signature: lxml's tree copied into nodes, nothing verified."""

from __future__ import annotations

import hashlib
from typing import Any

from lxml import etree

from relay.model.verdict import Node, SignedView


def view_of(body: bytes, *, opaque: frozenset[str] = frozenset()) -> SignedView:
    """Return the view of a whole body; texts of elements named ``opaque`` are left out."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True, remove_pis=True)
    root = etree.fromstring(body, parser)
    return SignedView.of(node_of(root, opaque), sha256=hashlib.sha256(body).hexdigest(), size=len(body))


def node_of(element: Any, opaque: frozenset[str] = frozenset()) -> Node:
    children = [child for child in element if isinstance(child.tag, str)]
    text = None
    if element.tag not in opaque:
        text = "".join([element.text or "", *(child.tail or "" for child in element)])
    return Node(
        tag=element.tag,
        text=text,
        attributes=tuple((str(name), str(value)) for name, value in element.attrib.items()),
        children=tuple(node_of(child, opaque) for child in children),
    )
