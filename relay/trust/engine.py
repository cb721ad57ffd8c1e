"""The arithmetic: does the signature value hold over the tree, with the key of the leaf certificate?"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections import OrderedDict
from enum import StrEnum
from typing import Any, Final, Protocol

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from relay.trust.certificate import PublicKey
from relay.trust.libxml import load_xmlsec
from relay.trust.signature import SignatureParts

_KEPT_KEYS: Final = 4096


class Outcome(StrEnum):
    """How the arithmetic ended."""

    HOLDS = "holds"
    DIGEST_DIFFERS = "digest-differs"  # the content is not what was signed
    VALUE_DIFFERS = "value-differs"  # the signature value is not that key's over SignedInfo


class Engine(Protocol):
    """Checks one signature whose structure was checked before. Safe to use from several threads."""

    def check(self, root: Any, parts: SignatureParts, key: PublicKey, key_id: str) -> Outcome:  # noqa: ANN401
        """Return the outcome.

        Args:
            root: the document's root; the engine may destroy the tree, but only when the signature does not hold.
            parts: the signature's parts, inside that tree.
            key: public key of the leaf certificate, of the kind that the algorithm asks for.
            key_id: a name of that key, stable (the certificate's hash).
        """
        ...


class XmlsecEngine:
    """The engine of xmlsec (libxmlsec1): given key, two transforms, one signature method, nothing looked up.

    Raises:
        ConfigurationError: LIBXML-MISMATCH, when made.
    """

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

    def check(self, root: Any, parts: SignatureParts, key: PublicKey, key_id: str) -> Outcome:  # noqa: ANN401
        """Check the signature; see ``Engine``."""
        context = self._xmlsec.SignatureContext()
        # A key that is set is the key that is used: KeyInfo is then never looked at.
        context.key = self._key(key, key_id)
        context.enable_reference_transform(self._enveloped)
        context.enable_reference_transform(self._c14n)
        context.enable_reference_transform(self._digests[parts.digest_hash])
        context.enable_signature_transform(self._c14n)
        context.enable_signature_transform(self._signatures[parts.algorithm.kind, parts.algorithm.hash])
        try:
            context.verify(parts.element)
        except self._xmlsec.Error:
            return why(root, parts)
        return Outcome.HOLDS

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


def content_digest(root: Any, parts: SignatureParts) -> bytes:  # noqa: ANN401
    """Return the digest of the document without its signature. Takes the signature out of the tree.

    Raises:
        lxml.etree.C14NError: the document has no canonical form (a relative namespace name).
    """
    parts.element.getparent().remove(parts.element)  # keeps the text behind it
    octets = etree.tostring(root.getroottree(), method="c14n", exclusive=True, with_comments=False)
    return hashlib.new(parts.digest_hash, octets).digest()


def why(root: Any, parts: SignatureParts) -> Outcome:  # noqa: ANN401
    """Tell why a signature that does not hold does not."""
    try:
        same = hmac.compare_digest(content_digest(root, parts), parts.digest)
    except (etree.LxmlError, ValueError):
        return Outcome.VALUE_DIFFERS
    return Outcome.VALUE_DIFFERS if same else Outcome.DIGEST_DIFFERS
