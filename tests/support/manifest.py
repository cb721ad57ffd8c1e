"""Documents of the manifest profile in a small format, made and signed without scruples."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lxml import etree

from relay.model.verdict import ManifestPlace, SignaturePlace
from tests.support.xmlsign import DIGEST_URIS, DS, Recipe, key_info, value_of

NS = "urn:t"


def q(name: str) -> str:
    return f"{{{NS}}}{name}"


PLACE = SignaturePlace(
    q("r"),
    (q("env"), q("header")),
    frozenset({q("bulk")}),
    manifest=ManifestPlace(
        envelope=q("env"),
        references=(q("body"), q("list")),
        reference=q("line"),
        content_id=q("id"),
        described=(q("name"), q("type")),
        attachments=q("files"),
        attachment=q("file"),
        payload=q("bulk"),
    ),
)


@dataclass(frozen=True)
class File:
    name: str
    octets: bytes
    content_id: str


FILES = (File("a.pdf", b"%PDF first", "cid:a"), File("b.pdf", b"\0\1\2" * 40, "cid:b"))


def digests(octets: bytes, name: str = "sha256") -> str:
    value = base64.b64encode(hashlib.new(name, octets).digest()).decode()
    return (
        f'<d:DigestMethod xmlns:d="{DS}" Algorithm="{DIGEST_URIS[name]}"/>'
        f'<d:DigestValue xmlns:d="{DS}">{value}</d:DigestValue>'
    )


def line(file: File, name: str = "sha256") -> str:
    return (
        f"<line><id>{file.content_id}</id><name>{file.name}</name><type>application/pdf</type>"
        f"{digests(file.octets, name)}</line>"
    )


def attachment(file: File) -> str:
    text = base64.b64encode(file.octets).decode()
    return (
        f"<file><id>{file.content_id}</id><name>{file.name}</name><type>application/pdf</type>"
        f"<bulk>{text}</bulk></file>"
    )


def document(
    files: Sequence[File] = FILES, *, lines: str | None = None, attachments: str | None = None
) -> str:
    """Return a document to be sealed, with room for its signature."""
    listed = "".join(map(line, files)) if lines is None else lines
    held = "".join(map(attachment, files)) if attachments is None else attachments
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<r xmlns="{NS}"><env Id="e1"><header><from>H53</from><!--here--></header>'
        f"<body><list>{listed}</list></body></env><files>{held}</files></r>"
    )


def seal(unsigned: str, recipe: Recipe) -> bytes:
    """Sign the first child of the root with the signature put in the place of ``<!--here-->``."""
    chosen = recipe if recipe.reference_uri else replace(recipe, reference_uri="#e1")
    envelope = etree.fromstring(unsigned.replace("<!--here-->", "").encode())[0]
    digest = base64.b64encode(hashlib.new(chosen.digest, canonical(envelope)).digest()).decode()
    kind = "rsa" if hasattr(chosen.signer.key, "key_size") and chosen.signer.key.key_size > 1024 else "ecdsa"
    method = chosen.method or f"http://www.w3.org/2001/04/xmldsig-more#{kind}-{chosen.hash}"
    info = (
        f'<SignedInfo xmlns="{DS}">{chosen.c14n}<SignatureMethod Algorithm="{method}"/>'
        f'<Reference URI="{chosen.reference_uri}"><Transforms>{chosen.transforms}</Transforms>'
        f'<DigestMethod Algorithm="{DIGEST_URIS[chosen.digest]}"/><DigestValue>{digest}</DigestValue></Reference>'
        "</SignedInfo>"
    )
    value = base64.b64encode(value_of(chosen, canonical(etree.fromstring(info)))).decode()
    whole = f'<Signature xmlns="{DS}">{info}<SignatureValue>{value}</SignatureValue>{key_info(chosen.signer)}</Signature>'
    return unsigned.replace("<!--here-->", whole).encode()


def canonical(element: Any) -> bytes:
    octets: bytes = etree.tostring(element, method="c14n", exclusive=True, with_comments=False)
    return octets
