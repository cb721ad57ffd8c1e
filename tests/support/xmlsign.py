"""A signer without scruples, for tests: makes any signature, right or wrong, and says nothing."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from tests.support.pki import Entity

DS = "http://www.w3.org/2000/09/xmldsig#"
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
ENC = "http://www.w3.org/2001/04/xmlenc#"
EXC = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = DS + "enveloped-signature"
_HASH: dict[str, tuple[str, Any]] = {
    "sha1": ("sha1", hashes.SHA1()),
    "sha256": ("sha256", hashes.SHA256()),
    "sha384": ("sha384", hashes.SHA384()),
    "sha512": ("sha512", hashes.SHA512()),
}
DIGEST_URIS = {
    "sha1": DS + "sha1",
    "sha256": ENC + "sha256",
    "sha384": MORE + "sha384",
    "sha512": ENC + "sha512",
}


@dataclass(frozen=True)
class Recipe:
    """How to sign. Pieces of XML are inserted as they are."""

    signer: Entity
    digest: str = "sha256"
    hash: str = "sha256"
    method: str | None = None  # URI; by default the one that fits key and hash
    digest_uri: str | None = None
    c14n: str = f'<CanonicalizationMethod Algorithm="{EXC}"/>'
    reference_uri: str = ""
    transforms: str = f'<Transform Algorithm="{ENVELOPED}"/><Transform Algorithm="{EXC}"/>'
    key_info: str | None = None
    more_references: str = ""
    more_children: str = ""  # behind KeyInfo
    signature_attributes: str = ""
    prefix: str = ""  # a prefix for the ds namespace

    def but(self, **changes: Any) -> Recipe:
        return replace(self, **changes)


def key_info(entity: Entity, *, only_leaf: bool = False) -> str:
    certificates = entity.chain[:1] if only_leaf else entity.chain
    inner = "".join(
        f"<X509Certificate>{base64.b64encode(each.public_bytes(Encoding.DER)).decode()}</X509Certificate>"
        for each in certificates
    )
    return f"<KeyInfo><X509Data>{inner}</X509Data></KeyInfo>"


def value_of(recipe: Recipe, octets: bytes) -> bytes:
    key, algorithm = recipe.signer.key, _HASH[recipe.hash][1]
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(octets, padding.PKCS1v15(), algorithm)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    size = (key.curve.key_size + 7) // 8
    r, s = decode_dss_signature(key.sign(octets, ec.ECDSA(algorithm)))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def sign(unsigned: bytes, recipe: Recipe, marker: bytes = b"<!--here-->") -> bytes:
    """Sign with the signature put in the place of ``marker``; both digests are always true for ``URI=""``."""
    tree = etree.fromstring(unsigned.replace(marker, b"")).getroottree()
    canonical = etree.tostring(tree, method="c14n", exclusive=True, with_comments=False)
    digest = base64.b64encode(hashlib.new(_HASH[recipe.digest][0], canonical).digest()).decode()
    kind = "rsa" if isinstance(recipe.signer.key, rsa.RSAPrivateKey) else "ecdsa"
    method = recipe.method or (f"{DS}rsa-sha1" if recipe.hash == "sha1" else f"{MORE}{kind}-{recipe.hash}")
    digest_uri = recipe.digest_uri or DIGEST_URIS[recipe.digest]
    info = (
        f'<SignedInfo>{recipe.c14n}<SignatureMethod Algorithm="{method}"/>'
        f'<Reference URI="{recipe.reference_uri}"><Transforms>{recipe.transforms}</Transforms>'
        f'<DigestMethod Algorithm="{digest_uri}"/><DigestValue>{digest}</DigestValue></Reference>'
        f"{recipe.more_references}</SignedInfo>"
    )
    whole = (
        f'<Signature xmlns="{DS}"{recipe.signature_attributes}>{info}<SignatureValue>@@</SignatureValue>'
        f"{key_info(recipe.signer) if recipe.key_info is None else recipe.key_info}{recipe.more_children}</Signature>"
    )
    if recipe.prefix:
        p = recipe.prefix
        whole = whole.replace("</", "\0").replace("<", f"<{p}:").replace("\0", f"</{p}:")
        whole = whole.replace("xmlns=", f"xmlns:{p}=", 1)
    signed_info = etree.fromstring(whole)[0]
    octets = etree.tostring(signed_info, method="c14n", exclusive=True, with_comments=False)
    whole = whole.replace("@@", base64.b64encode(value_of(recipe, octets)).decode())
    return unsigned.replace(marker, whole.encode())
