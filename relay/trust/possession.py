"""Proof that somebody holds the private key of a certificate: a signed challenge, or a request for a certificate.

A challenge is a short text that is made for one agency, once. Its signature is what ``openssl dgst -sha256 -sign`` makes:
RSA PKCS#1 v1.5, or ECDSA as DER (RFC 3279), over the exact bytes; SHA-256, SHA-384 or SHA-512. A PKCS#10 request
(RFC 2986) proves the same by its own signature, where its key is the certificate's.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from relay.errors import Code, ConfigurationError, RefusedError
from relay.model.times import rfc3339
from relay.trust.certificate import Certificate

_HASHES: Final = (hashes.SHA256(), hashes.SHA384(), hashes.SHA512())
_STRONG: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_MAX: Final = 64 * 1024  # octets of a signature's or request's file


def challenge_text(relay: str, code: str, nonce: str, until: datetime) -> bytes:
    """Return the bytes that an agency signs, its final line break included."""
    return (
        "Truc certificate challenge, version 1\n"
        f"relay: {relay}\nagency: {code}\nnonce: {nonce}\nuntil: {rfc3339(until)}\n"
    ).encode("ascii")


def prove(key: bytes, challenge: bytes) -> bytes:
    """Sign a challenge with a private key (PEM, unencrypted); return the signature, base64 with a line break.

    Raises:
        ConfigurationError: KEY-UNUSABLE.
    """
    try:
        private = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(Code.KEY_UNUSABLE, "not an unencrypted private key in PEM") from error
    if isinstance(private, ec.EllipticCurvePrivateKey):
        signature = private.sign(challenge, ec.ECDSA(hashes.SHA256()))
    elif isinstance(private, rsa.RSAPrivateKey):
        signature = private.sign(challenge, padding.PKCS1v15(), hashes.SHA256())
    else:
        raise ConfigurationError(Code.KEY_UNUSABLE, "neither an EC nor an RSA key")
    return base64.b64encode(signature) + b"\n"


def signed_by(certificate: Certificate, challenge: bytes, proof: bytes) -> bool:
    """Whether ``proof`` (raw or base64) is a signature of the challenge by the certificate's key."""
    return any(
        _verifies(certificate, challenge, signature, algorithm)
        for signature in _readings(proof[:_MAX])
        for algorithm in _HASHES
    )


def requested_by(certificate: Certificate, request: bytes) -> None:
    """Check that a PKCS#10 request (PEM or DER) was signed by its own key, and that this is the certificate's.

    Raises:
        RefusedError: PROOF-INVALID.
    """
    try:
        found = (
            x509.load_pem_x509_csr(request)
            if b"-----BEGIN" in request[:_MAX]
            else x509.load_der_x509_csr(request)
        )
        holds = found.is_signature_valid and isinstance(found.signature_hash_algorithm, _STRONG)
        same = found.public_key() == certificate.key
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise RefusedError(Code.PROOF_INVALID, "not a PKCS#10 request") from error
    if not holds:
        raise RefusedError(Code.PROOF_INVALID, "the request's own signature does not hold")
    if not same:
        raise RefusedError(Code.PROOF_INVALID, "the request is for another key")


def _readings(proof: bytes) -> list[bytes]:
    try:
        return [proof, base64.b64decode(b"".join(proof.split()), validate=True)]
    except binascii.Error:
        return [proof]


def _verifies(
    certificate: Certificate, challenge: bytes, signature: bytes, algorithm: hashes.HashAlgorithm
) -> bool:
    try:
        if isinstance(certificate.key, rsa.RSAPublicKey):
            certificate.key.verify(signature, challenge, padding.PKCS1v15(), algorithm)
        else:
            certificate.key.verify(signature, challenge, ec.ECDSA(algorithm))
    except (InvalidSignature, ValueError):
        return False
    return True
