"""One certificate: parsed once, kept by the hash of its DER."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from relay.errors import Code, RefusedError
from relay.trust import names

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

_MIN_EXPONENT: Final = 65_537
RELAY_URN: Final = "urn:truc:relay:"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate whose key is of a kind that is taken. ``sha256`` is lower-case hex over the DER."""

    x509: x509.Certificate
    sha256: str
    subject: str  # RFC 4514
    key: PublicKey
    kind: Literal["rsa", "ecdsa"]
    not_before: datetime
    not_after: datetime

    @property
    def der(self) -> bytes:
        """The octets that it was read from."""
        return self.x509.public_bytes(Encoding.DER)


def read_certificate(der: bytes) -> Certificate:
    """Read one certificate from DER.

    Raises:
        RefusedError: KEYINFO-MALFORMED: not a certificate, or bytes behind it. WEAK-ALGORITHM: RSA below 2048 bits
            or a curve that is not taken. BAD-CERTIFICATE: another kind of key.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        subject = certificate.subject.rfc4514_string()
        for name in (certificate.subject, certificate.issuer):
            name.public_bytes()  # read when it is asked for; a damaged one is found here
        not_before, not_after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except Exception as error:  # the library raises more kinds than it names
        raise RefusedError(Code.KEYINFO_MALFORMED, "not a certificate") from error
    if certificate.serial_number <= 0:  # RFC 5280, 4.1.2.2
        raise RefusedError(Code.BAD_CERTIFICATE, "its serial number is not positive")
    key = _key(certificate)
    return Certificate(
        x509=certificate,
        sha256=hashlib.sha256(der).hexdigest(),
        subject=subject,
        key=key,
        kind="rsa" if isinstance(key, rsa.RSAPublicKey) else "ecdsa",
        not_before=not_before,
        not_after=not_after,
    )


def read_pem(pem: str) -> Certificate:
    """Read the first certificate of a PEM text. Raises as ``read_certificate``."""
    try:
        found = x509.load_pem_x509_certificate(pem.encode())
    except (ValueError, x509.InvalidVersion) as error:
        raise RefusedError(Code.KEYINFO_MALFORMED, "not a certificate") from error
    return read_certificate(found.public_bytes(Encoding.DER))


def pem_of(certificate: Certificate) -> str:
    """Return a certificate as PEM."""
    return certificate.x509.public_bytes(Encoding.PEM).decode("ascii")


def _key(certificate: x509.Certificate) -> PublicKey:
    try:
        key = certificate.public_key()
    except Exception as error:
        raise RefusedError(Code.BAD_CERTIFICATE, "its public key cannot be read") from error
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < names.MIN_RSA_BITS:
            raise RefusedError(
                Code.WEAK_ALGORITHM, f"RSA of {key.key_size} bits, at least {names.MIN_RSA_BITS}"
            )
        if key.key_size > names.MAX_RSA_BITS:
            raise RefusedError(
                Code.BAD_CERTIFICATE, f"RSA of {key.key_size} bits, at most {names.MAX_RSA_BITS}"
            )
        check_exponent(key)
        return key
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name not in names.CURVES:
            raise RefusedError(Code.WEAK_ALGORITHM, f"curve {key.curve.name}")
        return key
    raise RefusedError(Code.BAD_CERTIFICATE, f"a key of the kind {type(key).__name__}")


def check_exponent(key: rsa.RSAPublicKey) -> None:
    """Refuse a public exponent that is even or below 65537 (FIPS 186-5, A.1.1): WEAK-ALGORITHM."""
    exponent = key.public_numbers().e
    if exponent < _MIN_EXPONENT or exponent % 2 == 0:
        raise RefusedError(Code.WEAK_ALGORITHM, f"RSA with the public exponent {exponent}")


def relay_name(certificate: Certificate) -> str | None:
    """Return NAME of the URI SAN ``urn:truc:relay:NAME``; None where there is none.

    Raises:
        RefusedError: BAD-CERTIFICATE: the extensions cannot be read, or several relays are named.
    """
    try:
        san = certificate.x509.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    except Exception as error:
        raise RefusedError(Code.BAD_CERTIFICATE, "its extensions cannot be read") from error
    uris = san.get_values_for_type(x509.UniformResourceIdentifier)
    found = [uri[len(RELAY_URN) :] for uri in uris if uri.lower().startswith(RELAY_URN)]
    if len(found) > 1:
        raise RefusedError(Code.BAD_CERTIFICATE, "it names several relays")
    return found[0] if found else None


class CertificateCache:
    """Certificates by the hash of their DER; bounded, safe to use from several threads."""

    def __init__(self, size: int = 8192) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, Certificate] = OrderedDict()

    def read(self, der: bytes) -> Certificate:
        """Return the certificate. Raises as ``read_certificate``."""
        name = hashlib.sha256(der).digest()
        with self._lock:
            found = self._kept.get(name)
            if found is not None:
                self._kept.move_to_end(name)
                return found
        made = read_certificate(der)
        with self._lock:
            self._kept[name] = made
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
        return made
