"""A signer that does what it is told, the same bytes each time: right signatures, and wrong ones that hold in themselves."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from lxml import etree

from tests.support.pki import Entity
from tests.support.xmlsign import DIGEST_URIS, DS, ENVELOPED, EXC, MORE, key_info

HERE: Final = b"<!--here-->"
_HASHES: Final[dict[str, Any]] = {
    "sha1": hashes.SHA1(),
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
    "md5": hashes.MD5(),
}
URIS: Final = {**DIGEST_URIS, "sha224": f"{MORE}sha224", "md5": f"{MORE}md5"}


def exclusive(node: Any) -> bytes:
    """The canonical form that both profiles ask for."""
    return bytes(etree.tostring(node, method="c14n", exclusive=True, with_comments=False))


@dataclass(frozen=True)
class Pen:
    """How to sign. Pieces of XML are inserted as they are; what is not told is as the profile wants it."""

    signer: Entity
    digest: str = "sha256"
    hash: str = "sha256"
    octets: Callable[[Any], bytes] = exclusive
    """What the digest is over: from the tree, without the signature."""
    info_octets: Callable[[Any], bytes] = exclusive
    method: str | None = None
    digest_uri: str | None = None
    c14n: str = f'<CanonicalizationMethod Algorithm="{EXC}"/>'
    uri: str | None = ' URI=""'
    transforms: str = (
        f'<Transforms><Transform Algorithm="{ENVELOPED}"/><Transform Algorithm="{EXC}"/></Transforms>'
    )
    reference_attributes: str = ""
    more_references: str = ""
    key_info: str | None = None
    more_children: str = ""
    attributes: str = ""
    prefix: str = ""
    between: str = ""  # white space between the elements of the signature
    width: int = 0  # of a line of base64; 0: one line
    line: str = "\n"
    value: Callable[[bytes], bytes] | None = None
    digest_text: Callable[[str], str] = str

    def but(self, **changes: Any) -> Pen:
        return replace(self, **changes)

    def base64(self, octets: bytes) -> str:
        text = base64.b64encode(octets).decode()
        if not self.width:
            return text
        return self.line.join(text[at : at + self.width] for at in range(0, len(text), self.width))


def kind_of(entity: Entity) -> str:
    return "rsa" if isinstance(entity.key, rsa.RSAPrivateKey) else "ecdsa"


def value(entity: Entity, octets: bytes, hash_name: str = "sha256") -> bytes:
    """Return a signature value as XML signatures write it."""
    key = entity.key
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(octets, padding.PKCS1v15(), _HASHES[hash_name])
    r, s = decode_dss_signature(key.sign(octets, ec.ECDSA(_HASHES[hash_name], deterministic_signing=True)))
    size = (key.curve.key_size + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def probabilistic(entity: Entity, octets: bytes) -> bytes:
    """RSA-PSS with SHA-256."""
    key = entity.key
    assert isinstance(key, rsa.RSAPrivateKey)
    return key.sign(octets, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())


def by_secret(secret: bytes) -> Callable[[bytes], bytes]:
    """HMAC-SHA256 with a secret that everybody knows."""
    return lambda octets: hmac.new(secret, octets, "sha256").digest()


def sign(draft: bytes, pen: Pen) -> bytes:
    """Return ``draft`` with a signature in the place of the marker."""
    tree = etree.fromstring(draft.replace(HERE, b"")).getroottree()
    digest = pen.digest_text(pen.base64(hashlib.new(pen.digest, pen.octets(tree)).digest()))
    method = pen.method or (
        f"{DS}rsa-sha1"
        if (kind_of(pen.signer), pen.hash) == ("rsa", "sha1")
        else f"{MORE}{kind_of(pen.signer)}-{pen.hash}"
    )
    gap = pen.between
    info = (
        f'<SignedInfo>{gap}{pen.c14n}{gap}<SignatureMethod Algorithm="{method}"/>{gap}'
        f"<Reference{pen.uri or ''}{pen.reference_attributes}>{gap}{pen.transforms}{gap}"
        f'<DigestMethod Algorithm="{pen.digest_uri or URIS[pen.digest]}"/>{gap}<DigestValue>{digest}</DigestValue>{gap}'
        f"</Reference>{gap}{pen.more_references}</SignedInfo>"
    )
    known = key_info(pen.signer) if pen.key_info is None else pen.key_info
    whole = (
        f'<Signature xmlns="{DS}"{pen.attributes}>{gap}{info}{gap}<SignatureValue>@@</SignatureValue>{gap}'
        f"{known}{gap}{pen.more_children}</Signature>"
    )
    if pen.prefix:
        for before, after in (
            ("</", "\0"),
            ("<!", "\1"),
            ("<", f"<{pen.prefix}:"),
            ("\0", f"</{pen.prefix}:"),
            ("\1", "<!"),
        ):
            whole = whole.replace(before, after)
        whole = whole.replace("xmlns=", f"xmlns:{pen.prefix}=", 1)
    octets = pen.info_octets(next(etree.fromstring(whole).iter(f"{{{DS}}}SignedInfo")))
    made = pen.value(octets) if pen.value else value(pen.signer, octets, pen.hash)
    return draft.replace(HERE, whole.replace("@@", pen.base64(made)).encode())
