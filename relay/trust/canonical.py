"""Exclusive C14N (without comments) of the parts that a signature is about, and taking the signature out of its tree."""

from __future__ import annotations

from typing import Any

from lxml import etree


def octets(element: Any) -> bytes:  # noqa: ANN401 -- lxml ships no types
    """Return the canonical form of an element, with the namespaces that it uses visibly and no others.

    Raises:
        lxml.etree.C14NError: it has none (a relative namespace name).
    """
    found: bytes = etree.tostring(element, method="c14n", exclusive=True, with_comments=False)
    return found


def document_octets(root: Any) -> bytes:  # noqa: ANN401
    """Return the canonical form of the document: with processing instructions around its root. Raises as ``octets``."""
    return octets(root.getroottree())


def signed_octets(root: Any, signed: Any) -> bytes:  # noqa: ANN401
    """Return what a digest is taken of: the document if the whole is signed, else the element. Raises as ``octets``."""
    return document_octets(root) if signed is root else octets(signed)


def detach(signature: Any) -> None:  # noqa: ANN401
    """Take the signature out of its tree as the enveloped-signature transform does: text behind it stays, joined."""
    parent = signature.getparent()
    if parent is None:
        return
    tail = signature.tail
    if tail:
        before = signature.getprevious()
        if before is None:
            parent.text = (parent.text or "") + tail
        else:
            before.tail = (before.tail or "") + tail
    parent.remove(signature)
