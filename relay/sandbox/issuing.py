"""How the sandbox's authorities issue: keys, lives and extensions that the development CAs share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from relay.sandbox.files import write_private

KeyKind = Literal["ec-p256", "ec-p384", "rsa-2048", "rsa-3072"]
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

CA_LIFE: Final = timedelta(days=3650)
LEAF_LIFE: Final = timedelta(days=825)
RENEW_BEFORE: Final = timedelta(days=7)
BACKDATED: Final = timedelta(hours=1)  # a reader's clock may be a little behind


@dataclass(frozen=True, slots=True)
class Issued:
    """A key and its certificate: PEM files, the key as unencrypted PKCS#8, the chain leaf first without the root."""

    key: Path
    cert: Path

    def leaf(self) -> x509.Certificate:
        """Return the certificate itself."""
        return x509.load_pem_x509_certificates(self.cert.read_bytes())[0]

    def leaf_pem(self) -> str:
        """Return the certificate alone, without the issuing CA's, as PEM."""
        return self.leaf().public_bytes(serialization.Encoding.PEM).decode("ascii")


def new_key(kind: KeyKind) -> PrivateKey:
    """Make a key."""
    if kind == "ec-p256":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "ec-p384":
        return ec.generate_private_key(ec.SECP384R1())
    return rsa.generate_private_key(65537, 2048 if kind == "rsa-2048" else 3072)


def write_key(path: Path, key: PrivateKey) -> None:
    """Write a key for its owner's eyes."""
    write_private(
        path,
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    """Begin a certificate: names, key, serial number, dates from ``now`` on, and the key's identifier."""
    begin = now.replace(microsecond=0) - BACKDATED
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def authority_id(parent: x509.Certificate | None, signer: PrivateKey) -> x509.AuthorityKeyIdentifier:
    """Return the identifier of the issuer's key; ``parent`` None: self-signed."""
    if parent is None:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    identifier = parent.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def usage(*, authority: bool, signs_documents: bool = True) -> x509.KeyUsage:
    """Return what a key is for: certificates and lists, else signatures (of documents, or of TLS alone)."""
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=not authority and signs_documents,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def usable(issued: Issued, now: datetime, margin: timedelta = RENEW_BEFORE) -> bool:
    """Whether both files are there, belong together, and hold for longer than ``margin``."""
    try:
        leaf = issued.leaf()
        key = serialization.load_pem_private_key(issued.key.read_bytes(), None)
    except (OSError, ValueError, IndexError):
        return False
    matches = key.public_key() == leaf.public_key()
    return matches and leaf.not_valid_after_utc - now > margin
