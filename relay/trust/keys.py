"""Where a signing key is kept: a PEM file, a PKCS#12 file, or a PKCS#11 token. ``docs/keys.md`` is the operator's page.

In: a place as an operator names it. Out: a key of one of the kinds of ``cryptography``, and its certificate chain. Checks
are the same wherever a key comes from: RSA of 2048 to 8192 bits or P-256, P-384, P-521, and that of the first certificate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)

from relay.errors import Code, ConfigurationError, RefusedError
from relay.settings.keyplace import KeyPlace, is_uri, parse
from relay.settings.model import read_secret
from relay.trust import names
from relay.trust.certificate import Certificate, read_certificate
from relay.trust.token import TokenKey, token_key

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_MAX_FILE: Final = 1024 * 1024
_SPKI: Final = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key and its chain, which fit each other."""

    key: PrivateKey
    chain: tuple[Certificate, ...]
    pem: bytes  # of the chain

    def check(self) -> None:
        """Raise ``TransientError`` KEY-AWAY if the key is in a token that does not answer."""
        if isinstance(self.key, TokenKey):
            self.key.check()

    def look(self) -> None:
        """See whether a token that was away is back; never waits."""
        if isinstance(self.key, TokenKey):
            self.key.look()

    @property
    def away(self) -> str:
        """Why the key cannot sign now; empty if it can."""
        return self.key.away if isinstance(self.key, TokenKey) else ""


def open_pair(place: KeyPlace, *, wait: bool = True) -> KeyPair:
    """Read key and chain from a place. A token that is not there gives a pair whose key is away.

    Without ``wait`` no token is spoken to: its key is away until ``KeyPair.look``, called again and again, has found it.

    Raises:
        ConfigurationError: KEY-UNUSABLE: unreadable, wrong password or PIN, of a kind or size that is not taken, not a
            pair; CONFIG-INVALID: the file of a password or PIN is empty, or open to others.
    """
    pem, chain = _material(place)
    if is_uri(place.key):
        return KeyPair(token_key(parse(place.key), chain[0].key, wait=wait), chain, pem)
    key = read_key(place)
    if key.public_key().public_bytes(*_SPKI) != chain[0].key.public_bytes(*_SPKI):
        raise ConfigurationError(
            Code.KEY_UNUSABLE, f"{place.key}: the first certificate is not that of the key"
        )
    return KeyPair(key, chain, pem)


def read_key(place: KeyPlace) -> PrivateKey:
    """Read the key of a file, whatever its certificate. Raises as ``open_pair``."""
    path, password = Path(place.key), _password(place)
    return load_pkcs12(path, password)[0] if place.holds_certificates else load_key(path, password)


def chain_of(place: KeyPlace) -> tuple[Certificate, ...]:
    """Read the certificates of a place, leaf first, whatever its key. Raises as ``open_pair``."""
    return _material(place)[1]


def _material(place: KeyPlace) -> tuple[bytes, tuple[Certificate, ...]]:
    if place.holds_certificates and not place.certificates:
        return _read(load_pkcs12(Path(place.key), _password(place))[1], place.key)
    return _chain(place.certificates)


def open_pair_now(place: KeyPlace) -> KeyPair:
    """Do as ``open_pair`` for who cannot wait, such as a command. Raises ``TransientError`` KEY-AWAY besides."""
    pair = open_pair(place)
    pair.check()
    return pair


def load_key(path: Path, password: bytes | None = None) -> PrivateKey:
    """Read a private key from a PEM file (PKCS#8, or the older forms).

    Raises:
        ConfigurationError: KEY-UNUSABLE: no such file, not a key, a key too weak or of another kind.
    """
    try:
        key = load_pem_private_key(_octets(path), password)
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001 -- the library raises more kinds than it names, and none of them may show the key
        raise ConfigurationError(
            Code.KEY_UNUSABLE, f"{path}: not a private key ({type(error).__name__})"
        ) from None
    return _taken(key, path)


def load_pkcs12(path: Path, password: bytes | None = None) -> tuple[PrivateKey, bytes]:
    """Read a PKCS#12 file (RFC 7292): the key, and the certificates in it as PEM, the key's own first.

    Raises:
        ConfigurationError: KEY-UNUSABLE: no such file, a wrong password, no key, no certificate of the key, or a key too
            weak or of another kind.
    """
    octets = _octets(path)
    try:
        found = pkcs12.load_pkcs12(octets, password)
    except Exception as error:  # noqa: BLE001 -- as in load_key
        raise ConfigurationError(
            Code.KEY_UNUSABLE, f"{path}: no PKCS#12 file, or not its password ({type(error).__name__})"
        ) from None
    if found.key is None or found.cert is None:
        raise ConfigurationError(Code.KEY_UNUSABLE, f"{path}: no key with its certificate in it")
    return _taken(found.key, path), _ordered(found.cert.certificate, found.additional_certs)


def load_chain(path: Path) -> bytes:
    """Read a certificate chain, leaf first, as PEM.

    Raises:
        ConfigurationError: KEY-UNUSABLE: no such file or no certificate in it.
    """
    pem = _octets(path)
    try:
        x509.load_pem_x509_certificates(pem)
    except (ValueError, x509.InvalidVersion) as error:
        raise ConfigurationError(Code.KEY_UNUSABLE, f"{path}: no certificate") from error
    return pem


def _password(place: KeyPlace) -> bytes | None:
    return None if place.password_file is None else read_secret(place.password_file, "password file").encode()


def _octets(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_FILE:
            raise ConfigurationError(Code.KEY_UNUSABLE, f"{path}: too large")
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(Code.KEY_UNUSABLE, f"{path}: {error.strerror}") from error


def _taken(key: object, path: Path) -> PrivateKey:
    if isinstance(key, rsa.RSAPrivateKey) and names.MIN_RSA_BITS <= key.key_size <= names.MAX_RSA_BITS:
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in names.CURVES:
        return key
    raise ConfigurationError(
        Code.KEY_UNUSABLE, f"{path}: neither RSA of 2048 bits or more nor P-256, P-384, P-521"
    )


def _chain(paths: Sequence[Path]) -> tuple[bytes, tuple[Certificate, ...]]:
    if not paths:
        raise ConfigurationError(Code.KEY_UNUSABLE, "no certificate for the key")
    return _read(b"".join(load_chain(path) for path in paths), ", ".join(map(str, paths)))


def _read(pem: bytes, where: str) -> tuple[bytes, tuple[Certificate, ...]]:
    """Read a chain, the leaf by the rules for signers; anchors and issuers may be of other kinds nowhere either."""
    try:
        found = x509.load_pem_x509_certificates(pem)
        return pem, tuple(read_certificate(one.public_bytes(Encoding.DER)) for one in found)
    except (ValueError, x509.InvalidVersion) as error:
        raise ConfigurationError(Code.KEY_UNUSABLE, f"{where}: no certificate") from error
    except RefusedError as error:
        raise ConfigurationError(Code.KEY_UNUSABLE, f"{where}: {error}") from error


def _ordered(leaf: x509.Certificate, others: Sequence[pkcs12.PKCS12Certificate]) -> bytes:
    """Return the leaf and then each one's issuer, as far as they are there: PKCS#12 keeps no order."""
    chain, left = [leaf], [one.certificate for one in others]
    while True:
        issuer = next((one for one in left if one.subject == chain[-1].issuer and one not in chain), None)
        if issuer is None:
            return b"".join(one.public_bytes(Encoding.PEM) for one in chain)
        chain.append(issuer)


__all__ = [
    "KeyPair",
    "KeyPlace",
    "PrivateKey",
    "chain_of",
    "load_chain",
    "load_key",
    "load_pkcs12",
    "open_pair",
    "open_pair_now",
    "read_key",
]
