"""The arithmetic: do digest and signature value hold over the tree, with the key of the leaf certificate?

``FastEngine`` is what the relay runs: canonical form by libxml2, hash by hashlib, the value by cryptography.
``XmlsecEngine`` answers the same question by libxmlsec1 and is its judge.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections import OrderedDict
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, NamedTuple, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from relay.trust import canonical
from relay.trust.certificate import PublicKey
from relay.trust.cut import around
from relay.trust.libxml import load_xmlsec
from relay.trust.signature import SignatureParts

_KEPT_KEYS: Final = 4096
Bulk = Mapping[str, memoryview]
"""Stretches of base64 text by the marks that stand for them, in the order of the document."""
_PKCS1: Final = padding.PKCS1v15()


class Outcome(NamedTuple):
    """How the arithmetic ended."""

    digest: bool  # the content is what was signed
    value: bool  # the signature value is that key's over SignedInfo
    octets: bytes = (
        b""  # whose digest was taken, marks in the places of bulk; empty if the engine does not hand them out
    )


HOLDS: Final = Outcome(digest=True, value=True)


class Engine(Protocol):
    """Checks one signature whose structure was checked before. Safe to use from several threads."""

    @property
    def fills(self) -> bool:
        """Whether it can put bulk that was cut out back into a whole document's canonical form."""
        ...

    def check(
        self,
        root: Any,  # noqa: ANN401 -- lxml ships no types
        signed: Any,  # noqa: ANN401
        parts: SignatureParts,
        key: PublicKey,
        key_id: str,
        bulk: Bulk,
        octets: bytes = b"",
    ) -> Outcome:
        """Return the outcome. The engine may take the signature out of the tree, and changes nothing else.

        Args:
            root: the document's root.
            signed: the element that the reference names; the root for the whole document.
            parts: the signature's parts, inside that tree.
            key: public key of the leaf certificate, of the kind that the algorithm asks for.
            key_id: a name of that key, stable (the certificate's hash).
            bulk: what the marks in the tree stand for; empty unless ``fills``, and by manifest.
            octets: the canonical form of ``signed`` without the signature, where it is known already.
        """
        ...


class FastEngine:
    """Narrow and fast: what ``signature.read`` let through is all that it can compute."""

    fills = True

    def check(
        self,
        root: Any,  # noqa: ANN401
        signed: Any,  # noqa: ANN401
        parts: SignatureParts,
        key: PublicKey,
        key_id: str,
        bulk: Bulk,
        octets: bytes = b"",
    ) -> Outcome:
        """Check the signature; see ``Engine``."""
        try:
            signed_info = parts.signed_info or canonical.octets(parts.element[0])
            if not octets:
                canonical.detach(parts.element)
                octets = canonical.signed_octets(root, signed)
        except (etree.LxmlError, ValueError):
            return Outcome(digest=False, value=False)  # no canonical form: nothing can have been signed
        same = hmac.compare_digest(content_digest(octets, parts, bulk), parts.digest)
        return Outcome(same, value_holds(parts, key, signed_info), octets)


def value_size(key: PublicKey) -> int:
    """Return how many octets a signature value of this key has, no more and no fewer (RFC 8017, 8.2.2; RFC 6931, 2.3.6).

    libxmlsec1 takes leading zeros before r and s, the JDK does not: two spellings of one value, and two verdicts on it.
    """
    size = (key.key_size + 7) // 8
    return size if isinstance(key, rsa.RSAPublicKey) else 2 * size


def content_digest(octets: bytes, parts: SignatureParts, bulk: Bulk) -> bytes:
    """Return the digest of what is signed, by its canonical octets.

    Bulk text is its own canonical form, so each mark in the form of the tree is hashed as what it stands for.

    Raises:
        AmbiguousMarkError: of ``cut.around``.
    """
    made: Any = getattr(hashlib, parts.digest_hash)()  # ``hashlib.new`` takes twice the time
    if not bulk:
        made.update(octets)
        return bytes(made.digest())
    for piece in around(octets, bulk):
        made.update(piece)
    return bytes(made.digest())


def value_holds(parts: SignatureParts, key: PublicKey, signed_info: bytes) -> bool:
    """Whether the signature value is that key's over the canonical SignedInfo."""
    algorithm = hash_algorithm(parts.algorithm.hash)
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(parts.value, signed_info, _PKCS1, algorithm)
            return True
        half = len(parts.value) // 2
        r, s = int.from_bytes(parts.value[:half], "big"), int.from_bytes(parts.value[half:], "big")
        key.verify(encode_dss_signature(r, s), signed_info, ec.ECDSA(algorithm))
    except (InvalidSignature, ValueError):
        return False
    return True


@cache
def hash_algorithm(name: str) -> hashes.HashAlgorithm:
    """Return a hash of cryptography by its name, such as ``sha256``."""
    found: hashes.HashAlgorithm = getattr(hashes, name.upper())()
    return found


class XmlsecEngine:
    """The engine of xmlsec (libxmlsec1): given key, two transforms, one signature method, nothing looked up.

    Raises:
        ConfigurationError: LIBXML-MISMATCH, when made.
    """

    fills = False

    def __init__(self) -> None:
        self._xmlsec = xmlsec = load_xmlsec()
        constants = xmlsec.constants
        self._lock = threading.Lock()
        self._keys: OrderedDict[str, Any] = OrderedDict()
        self._digests = {
            "sha256": constants.TransformSha256,
            "sha384": constants.TransformSha384,
            "sha512": constants.TransformSha512,
        }
        self._signatures = {
            ("rsa", "sha256"): constants.TransformRsaSha256,
            ("rsa", "sha384"): constants.TransformRsaSha384,
            ("rsa", "sha512"): constants.TransformRsaSha512,
            ("ecdsa", "sha256"): constants.TransformEcdsaSha256,
            ("ecdsa", "sha384"): constants.TransformEcdsaSha384,
            ("ecdsa", "sha512"): constants.TransformEcdsaSha512,
        }
        self._c14n = constants.TransformExclC14N
        self._enveloped = constants.TransformEnveloped

    def check(
        self,
        root: Any,  # noqa: ANN401
        signed: Any,  # noqa: ANN401
        parts: SignatureParts,
        key: PublicKey,
        key_id: str,
        bulk: Bulk,
        octets: bytes = b"",
    ) -> Outcome:
        """Check the signature; see ``Engine``."""
        context = self._xmlsec.SignatureContext()
        # A key that is set is the key that is used: KeyInfo is then never looked at.
        context.key = self._key(key, key_id)
        context.enable_reference_transform(self._enveloped)
        context.enable_reference_transform(self._c14n)
        context.enable_reference_transform(self._digests[parts.digest_hash])
        context.enable_signature_transform(self._c14n)
        context.enable_signature_transform(self._signatures[parts.algorithm.kind, parts.algorithm.hash])
        if parts.fragment:
            name = next(name for name, value in signed.items() if value == parts.fragment)
            context.register_id(signed, name)
        try:
            context.verify(parts.element)
        except self._xmlsec.Error:
            return why(root, signed, parts)
        return HOLDS

    def _key(self, key: PublicKey, key_id: str) -> Any:  # noqa: ANN401
        with self._lock:
            found = self._keys.get(key_id)
            if found is not None:
                self._keys.move_to_end(key_id)
                return found
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        made = self._xmlsec.Key.from_memory(pem, self._xmlsec.constants.KeyDataFormatPem)
        with self._lock:
            self._keys[key_id] = made
            if len(self._keys) > _KEPT_KEYS:
                self._keys.popitem(last=False)
        return made


def why(root: Any, signed: Any, parts: SignatureParts) -> Outcome:  # noqa: ANN401
    """Tell why a signature that does not hold does not."""
    try:
        canonical.detach(parts.element)
        octets = canonical.signed_octets(root, signed)
    except (etree.LxmlError, ValueError):
        return Outcome(digest=False, value=False)  # no canonical form: nothing can have been signed
    return Outcome(hmac.compare_digest(content_digest(octets, parts, {}), parts.digest), value=False)
