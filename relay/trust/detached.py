"""A signature beside bytes that are no XML: JSON Web Signature with a detached, unencoded payload (RFC 7515, RFC 7797).

One line of JSON, ``{"protected": …, "signature": …}``, says everything; any JOSE library makes and checks it. The
certificates stand in the protected header (``x5c``, leaf first). Algorithms by name: ES256, ES384, ES512, RS256.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from relay.errors import Code, ConfigurationError, RefusedError
from relay.trust.certificate import Certificate, read_certificate
from relay.trust.chain import TrustStore
from relay.trust.path import Purpose
from relay.trust.sign import PrivateKey

MAX_LINE: Final = 64 * 1024
_MAX_CHAIN: Final = 8
_CURVES: Final[dict[str, tuple[str, hashes.HashAlgorithm]]] = {
    "secp256r1": ("ES256", hashes.SHA256()),
    "secp384r1": ("ES384", hashes.SHA384()),
    "secp521r1": ("ES512", hashes.SHA512()),
}
_RSA: Final = "RS256"
_SPKI: Final = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class Signed:
    """Who signed: the certificate, and the relay that it names."""

    certificate: Certificate
    relay: str


def sign_detached(payload: bytes, key: PrivateKey, chain_pem: bytes, kind: str) -> bytes:
    """Return the line, without an end of line.

    Args:
        payload: the bytes that are signed, exactly as they will stand beside it.
        key: RSA or ECDSA.
        chain_pem: certificates, leaf first.
        kind: media type without ``application/``, header ``typ``: a signature over one kind is none over another.

    Raises:
        ConfigurationError: KEY-UNUSABLE: the key is not that of the first certificate.
    """
    try:
        chain = x509.load_pem_x509_certificates(chain_pem)
    except (ValueError, x509.InvalidVersion) as error:
        raise ConfigurationError(Code.KEY_UNUSABLE, "no certificate for the key") from error
    if chain[0].public_key().public_bytes(*_SPKI) != key.public_key().public_bytes(*_SPKI):
        raise ConfigurationError(Code.KEY_UNUSABLE, "the first certificate is not that of the key")
    header = {
        "alg": _RSA if isinstance(key, rsa.RSAPrivateKey) else _CURVES[key.curve.name][0],
        "b64": False,
        "crit": ["b64"],
        "typ": kind,
        "x5c": [base64.b64encode(each.public_bytes(Encoding.DER)).decode() for each in chain],
    }
    protected = _encode(json.dumps(header, separators=(",", ":")).encode())
    signed = protected.encode() + b"." + payload
    if isinstance(key, rsa.RSAPrivateKey):
        value = key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    else:
        r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(_CURVES[key.curve.name][1])))
        size = (key.curve.key_size + 7) // 8
        value = r.to_bytes(size, "big") + s.to_bytes(size, "big")
    return json.dumps({"protected": protected, "signature": _encode(value)}, separators=(",", ":")).encode()


def verify_detached(line: bytes, payload: bytes, kind: str, store: TrustStore, at: datetime) -> Signed:
    """Check a line over a payload: made by a relay's certificate that is to be trusted at that moment.

    Raises:
        RefusedError: SIGNATURE-MALFORMED, WEAK-ALGORITHM, SIGNATURE-INVALID, or what is wrong with the certificate.
    """
    chain = open_detached(line, payload, kind)
    result = store.check(chain, at, Purpose.RECEIPT)
    if result.code is not Code.OK:
        raise RefusedError(result.code, result.detail)
    return Signed(chain[0], result.relay)


def open_detached(line: bytes, payload: bytes, kind: str) -> Sequence[Certificate]:
    """Check that a line is a signature over a payload, and return its certificates, leaf first; nobody vouches for them.

    Raises:
        RefusedError: SIGNATURE-MALFORMED, WEAK-ALGORITHM, SIGNATURE-INVALID, KEYINFO-MALFORMED, BAD-CERTIFICATE.
    """
    protected, value = _line(line)
    header = _object(_decode(protected))
    if header.keys() != {"alg", "b64", "crit", "typ", "x5c"}:
        raise RefusedError(
            Code.SIGNATURE_MALFORMED, "the header has other members than alg, b64, crit, typ, x5c"
        )
    if header["b64"] is not False or header["crit"] != ["b64"] or header["typ"] != kind:
        raise RefusedError(Code.SIGNATURE_MALFORMED, f"not a detached signature of type {kind}")
    chain = _chain(header["x5c"])
    signed = protected.encode() + b"." + payload
    if not _holds(chain[0], header["alg"], value, signed):
        raise RefusedError(Code.SIGNATURE_INVALID, "the signature does not fit content and key")
    return chain


def _holds(leaf: Certificate, algorithm: object, value: bytes, signed: bytes) -> bool:
    key = leaf.key
    try:
        if isinstance(key, rsa.RSAPublicKey):
            if algorithm != _RSA:
                raise RefusedError(Code.WEAK_ALGORITHM, "RSA keys sign by RS256")
            key.verify(value, signed, padding.PKCS1v15(), hashes.SHA256())
            return True
        name, digest = _CURVES[key.curve.name]
        size = (key.curve.key_size + 7) // 8
        if algorithm != name or len(value) != 2 * size:
            raise RefusedError(Code.WEAK_ALGORITHM, f"this key signs by {name}")
        r, s = int.from_bytes(value[:size], "big"), int.from_bytes(value[size:], "big")
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(digest))
    except InvalidSignature:
        return False
    return True


def _line(line: bytes) -> tuple[str, bytes]:
    if len(line) > MAX_LINE:
        raise RefusedError(Code.SIGNATURE_MALFORMED, "the line of the signature is too long")
    found = _object(line)
    if found.keys() != {"protected", "signature"} or not all(isinstance(one, str) for one in found.values()):
        raise RefusedError(Code.SIGNATURE_MALFORMED, "has to hold protected and signature")
    return found["protected"], _decode(found["signature"])


def _chain(raw: object) -> Sequence[Certificate]:
    if not isinstance(raw, list) or not 0 < len(raw) <= _MAX_CHAIN:
        raise RefusedError(Code.SIGNATURE_MALFORMED, f"x5c holds 1 to {_MAX_CHAIN} certificates")
    try:
        return [read_certificate(base64.b64decode(one, validate=True)) for one in raw]
    except (TypeError, ValueError) as error:
        raise RefusedError(Code.KEYINFO_MALFORMED, "x5c holds what is no certificate") from error


def _object(octets: bytes) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a member stands twice")
        return found

    try:
        found = json.loads(octets.decode("utf-8"), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise RefusedError(Code.SIGNATURE_MALFORMED, "not one JSON object") from error
    if not isinstance(found, dict):
        raise RefusedError(Code.SIGNATURE_MALFORMED, "not one JSON object")
    return found


def _encode(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    """Base64url without padding, in its one form: a second spelling of the same bytes is refused."""
    try:
        octets = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(Code.SIGNATURE_MALFORMED, "not base64url") from error
    if _encode(octets) != text:
        raise RefusedError(Code.SIGNATURE_MALFORMED, "not base64url in its one form")
    return octets
