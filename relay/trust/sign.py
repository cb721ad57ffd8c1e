"""Signing: an enveloped signature spliced into bytes that are otherwise left as they are.

``sign_document`` is for packages in any spelling, ``ReceiptSealer`` for the relay's own canonical receipts.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from relay.errors import Code, ConfigurationError, RefusedError
from relay.model.verdict import MANIFEST, WHOLE, XMLDSIG, ParseLimits, SignaturePlace
from relay.trust import canonical, manifest, names, payload
from relay.trust.certificate import read_certificate
from relay.trust.cut import Cut, cut
from relay.trust.keys import PrivateKey, load_chain, load_key
from relay.trust.parse import check_size, parse
from relay.trust.splice import insert, offsets

_HASHES: Final[dict[names.Hash, hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_BY_CURVE: Final[dict[str, names.Hash]] = {
    "secp256r1": "sha256",
    "secp384r1": "sha384",
    "secp521r1": "sha512",
}
_SIGNED_ID: Final = "signed"
_LINE_DIGESTS: Final = re.compile(rb"<ds:DigestMethod [^<>]*/><ds:DigestValue [^<>]*>[^<]*</ds:DigestValue>")
MANIFEST_FROM: Final = 1024 * 1024
"""Bytes of a package from which the manifest profile is cheaper by enough to be worth its rules (docs/benchmarks.md)."""
_NOT_BY_MANIFEST: Final = frozenset(
    {
        Code.FOREIGN_REFERENCE,
        Code.FOREIGN_ID,
        Code.UNSIGNED_CONTENT,
        Code.MANIFEST_MALFORMED,
        Code.ATTACHMENT_MISMATCH,
        Code.ATTACHMENT_ALTERED,
    }
)
_DIGEST_URI: Final = {name: uri for uri, name in names.DIGESTS.items()}
_SIGNATURE_URI: Final = {(each.kind, each.hash): uri for uri, each in names.SIGNATURES.items()}


@dataclass(frozen=True, slots=True)
class _Pen:
    """A key made ready: everything of the signature that does not change stands in three pieces of bytes."""

    key: PrivateKey
    kind: Literal["rsa", "ecdsa"]
    hash: names.Hash
    before_digest: bytes  # of SignedInfo in its canonical form
    key_info: bytes

    def element(self, digest: bytes, reference: str = "") -> bytes:
        """Return the signature element over the digest of what ``reference`` (a URI) names."""
        before = self.before_digest.replace(b' URI=""', f' URI="{reference}"'.encode(), 1)
        info = before + base64.b64encode(digest) + b"</DigestValue></Reference></SignedInfo>"
        return (
            b'<Signature xmlns="'
            + XMLDSIG.encode()
            + b'">'
            # inside Signature the namespace is in force already; the canonical form of SignedInfo alone repeats it
            + info.replace(b' xmlns="' + XMLDSIG.encode() + b'"', b"", 1)
            + b"<SignatureValue>"
            + base64.b64encode(self._value(info))
            + b"</SignatureValue>"
            + self.key_info
            + b"</Signature>"
        )

    def _value(self, info: bytes) -> bytes:
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(info, padding.PKCS1v15(), _HASHES[self.hash])
        r, s = decode_dss_signature(self.key.sign(info, ec.ECDSA(_HASHES[self.hash])))
        size = (self.key.curve.key_size + 7) // 8
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def _pen(key: PrivateKey, chain_pem: bytes) -> _Pen:
    try:
        chain = x509.load_pem_x509_certificates(chain_pem)
        leaf = read_certificate(chain[0].public_bytes(Encoding.DER))
    except (ValueError, x509.InvalidVersion) as error:
        raise ConfigurationError(Code.KEY_UNUSABLE, "no certificate for the key") from error
    except RefusedError as error:
        raise ConfigurationError(Code.KEY_UNUSABLE, error.detail) from error
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if leaf.key.public_bytes(*spki) != key.public_key().public_bytes(*spki):
        raise ConfigurationError(Code.KEY_UNUSABLE, "the first certificate is not that of the key")
    hash_name = "sha256" if isinstance(key, rsa.RSAPrivateKey) else _BY_CURVE[key.curve.name]
    info = (
        f'<SignedInfo xmlns="{XMLDSIG}">'
        f'<CanonicalizationMethod Algorithm="{names.C14N}"></CanonicalizationMethod>'
        f'<SignatureMethod Algorithm="{_SIGNATURE_URI[leaf.kind, hash_name]}"></SignatureMethod>'
        f'<Reference URI=""><Transforms><Transform Algorithm="{names.ENVELOPED}"></Transform>'
        f'<Transform Algorithm="{names.C14N}"></Transform></Transforms>'
        f'<DigestMethod Algorithm="{_DIGEST_URI[hash_name]}"></DigestMethod><DigestValue>'
    )
    certificates = b"".join(
        b"<X509Certificate>" + base64.b64encode(each.public_bytes(Encoding.DER)) + b"</X509Certificate>"
        for each in chain
    )
    return _Pen(
        key,
        leaf.kind,
        hash_name,
        info.encode(),
        b"<KeyInfo><X509Data>" + certificates + b"</X509Data></KeyInfo>",
    )


def sign_document(
    unsigned: bytes,
    place: SignaturePlace,
    key: PrivateKey,
    chain_pem: bytes,
    *,
    profile: str = WHOLE,
    limits: ParseLimits | None = None,
) -> bytes:
    """Return the document with its signature as last child of the element at ``place.path``.

    No other byte changes, but that by manifest the envelope gets an id and each line of the list a digest.

    Args:
        unsigned: a package without a signature, in any legal spelling.
        place: where the format keeps its signature.
        key: RSA or ECDSA.
        chain_pem: certificates, leaf first.
        profile: ``whole`` or ``manifest``.
        limits: of the parser.

    Raises:
        RefusedError: the package would not pass the hardened parser, has a signature already (MANY-SIGNATURES), or
            has no such element, several, or an empty-element tag there (SIGNATURE-MISPLACED). By manifest also: the
            format has none, digests stand there already, or a line is not complete (MANIFEST-MALFORMED), there is an
            id (FOREIGN-ID), something unsigned could be seen (UNSIGNED-CONTENT), attachments and lines do not pair
            (ATTACHMENT-MISMATCH), or an attachment is no base64 (ATTACHMENT-ALTERED).
        ConfigurationError: KEY-UNUSABLE: the key is not that of the first certificate.
    """
    pen = _pen(key, chain_pem)
    bounds = limits or ParseLimits()
    check_size(unsigned, bounds)
    if profile == MANIFEST:
        return _by_manifest(unsigned, place, pen, bounds)
    root = _unsigned_root(unsigned, place, bounds)
    position = _end_tag(unsigned, place)
    element = pen.element(_digest(pen, root.getroottree()))
    return unsigned[:position] + element + unsigned[position:]


def sign_suitably(unsigned: bytes, place: SignaturePlace, key: PrivateKey, chain_pem: bytes) -> bytes:
    """Sign by the profile that suits: by manifest from ``MANIFEST_FROM`` bytes, if the package is made for it.

    A package with anything beside its envelope that the manifest profile does not take is signed as a whole.
    Arguments and errors as ``sign_document``.
    """
    if place.manifest is not None and len(unsigned) >= MANIFEST_FROM:
        try:
            return sign_document(unsigned, place, key, chain_pem, profile=MANIFEST)
        except RefusedError as error:
            if error.code not in _NOT_BY_MANIFEST:
                raise
    return sign_document(unsigned, place, key, chain_pem)


def without_signature(signed: bytes) -> bytes:
    """Return what ``sign_document`` was given, from what it made."""
    start = signed.rfind(b"<Signature xmlns=")
    end = signed.find(b"</Signature>", start)
    if not 0 < start < end:
        return signed
    signature = signed[start:end]
    bare = signed[:start] + signed[end + len(b"</Signature>") :]
    if f'URI="#{_SIGNED_ID}"'.encode() not in signature:
        return bare
    return _LINE_DIGESTS.sub(b"", bare).replace(f' Id="{_SIGNED_ID}"'.encode(), b"", 1)


def _by_manifest(unsigned: bytes, place: SignaturePlace, pen: _Pen, limits: ParseLimits) -> bytes:
    manifest_place = place.manifest
    if manifest_place is None:
        raise RefusedError(Code.MANIFEST_MALFORMED, "the format has no manifest profile")
    bulk = cut(unsigned) or Cut(unsigned, {})
    skeleton = bulk.skeleton
    root = _unsigned_root(skeleton, place, limits)
    envelope = manifest.open_unsigned(root, manifest_place)
    texts = manifest.unsigned_lines(root, envelope, manifest_place)
    digests = [_line_digests(pen.hash, bulk.texts.get(text, text.encode())) for text in texts]
    if sum(text in bulk.texts for text in texts) != len(bulk.texts):
        raise RefusedError(Code.UNSIGNED_CONTENT, "bulk that is no attachment")
    path = (place.root, manifest_place.envelope)
    start, lines = offsets(skeleton, path, (*path, *manifest_place.references, manifest_place.reference))
    pieces = dict(zip(lines.ends, digests, strict=True))
    pieces[start.starts[0]] = f' {manifest_place.id_name}="{_SIGNED_ID}"'.encode()
    skeleton = insert(skeleton, pieces)
    root = parse(skeleton, place.root, place.opaque, limits)
    element = pen.element(_digest(pen, root.find(manifest_place.envelope)), f"#{_SIGNED_ID}")
    return bulk.filled(insert(skeleton, {_end_tag(skeleton, place): element}))


def _line_digests(hash_name: names.Hash, text: bytes | memoryview) -> bytes:
    try:
        digest = base64.b64encode(payload.digest(text, hash_name)).decode()
    except payload.NotBase64Error as error:
        raise RefusedError(Code.ATTACHMENT_ALTERED, "an attachment is no base64") from error
    return (
        f'<ds:DigestMethod xmlns:ds="{XMLDSIG}" Algorithm="{_DIGEST_URI[hash_name]}"/>'
        f'<ds:DigestValue xmlns:ds="{XMLDSIG}">{digest}</ds:DigestValue>'
    ).encode()


def _unsigned_root(unsigned: bytes, place: SignaturePlace, limits: ParseLimits) -> Any:  # noqa: ANN401 -- lxml's
    root = parse(unsigned, place.root, place.opaque, limits)
    if next(root.iter(names.SIGNATURE), None) is not None:
        raise RefusedError(Code.MANY_SIGNATURES, "the document is signed already")
    return root


def _digest(pen: _Pen, element: Any) -> bytes:  # noqa: ANN401
    try:
        return hashlib.new(pen.hash, canonical.octets(element)).digest()
    except (etree.LxmlError, ValueError) as error:
        raise RefusedError(Code.NOT_XML, "the document has no canonical form") from error


def _end_tag(body: bytes, place: SignaturePlace) -> int:
    """Return the offset of the end tag of the one element at the place."""
    found = offsets(body, (place.root, *place.path))[0].ends
    if len(found) != 1:
        raise RefusedError(
            Code.SIGNATURE_MISPLACED, f"{len(found)} elements {place.path[-1] if place.path else place.root}"
        )
    return found[0]


class ReceiptSealer:
    """Signs the relay's receipts (port ``ReceiptSigner``): canonical bytes in, so nothing is parsed.

    Args:
        key: the relay's key, ECDSA P-256 by default elsewhere (RSA costs ten times that).
        chain_pem: its certificates, leaf first.

    Raises:
        ConfigurationError: KEY-UNUSABLE: the key is not that of the first certificate.
    """

    def __init__(self, key: PrivateKey, chain_pem: bytes) -> None:
        self._pen = _pen(key, chain_pem)

    @classmethod
    def from_files(cls, key: Path, chain: Path) -> ReceiptSealer:
        """Make one from PEM files. Raises as ``load_key`` and ``load_chain``."""
        return cls(load_key(key), load_chain(chain))

    def seal(self, unsigned: bytes) -> bytes:
        """Return the receipt with its signature as last child of the root.

        Args:
            unsigned: one element in exclusive canonical form: no declaration, nothing behind its end tag.
        """
        position = unsigned.rindex(b"</")
        element = self._pen.element(hashlib.new(self._pen.hash, unsigned).digest())
        return unsigned[:position] + element + unsigned[position:]


__all__ = [
    "MANIFEST_FROM",
    "PrivateKey",
    "ReceiptSealer",
    "load_chain",
    "load_key",
    "sign_document",
    "sign_suitably",
    "without_signature",
]
