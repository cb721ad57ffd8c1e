"""Certificates for tests, made at run time: a root, issuing authorities, leaves and lists. Nothing is kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

NOW = dt.datetime(2030, 5, 4, 3, 2, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(bits: int = 2048, which: int = 0) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def usage(
    *, sign: bool = False, commit: bool = False, certs: bool = False, crls: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=sign,
        content_commitment=commit,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certs,
        crl_sign=crls,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass(frozen=True)
class Entity:
    key: Key
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]  # itself first, without the root

    @property
    def chain_pem(self) -> bytes:
        return b"".join(each.public_bytes(Encoding.PEM) for each in self.chain)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def issue(
    name: str,
    issuer: Entity | None = None,
    *,
    key: Any = None,
    ca: bool = False,
    path_length: int | None = None,
    not_before: dt.datetime | None = None,
    not_after: dt.datetime | None = None,
    key_usage: x509.KeyUsage | None = None,
    relay: str | None = None,
    extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
    hash_algorithm: Any = None,
    basic: bool = True,
    subject: x509.Name | None = None,
    serial: int | None = None,
) -> Entity:
    """Make a certificate; without an issuer it is self-signed."""
    key = key or ec_key()
    subject = subject or x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(not_before or NOW - 30 * DAY)
        .not_valid_after(not_after or NOW + 30 * DAY)
    )
    if basic:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    chosen = key_usage or (usage(certs=True, crls=True) if ca else usage(sign=True, commit=True))
    builder = builder.add_extension(chosen, critical=True)
    if relay is not None:
        uri = x509.UniformResourceIdentifier(f"urn:truc:relay:{relay}")
        builder = builder.add_extension(x509.SubjectAlternativeName([uri]), critical=False)
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical=critical)
    certificate = builder.sign(issuer.key if issuer else key, hash_algorithm or hashes.SHA256())
    chain = () if issuer is None or issuer.certificate.issuer == issuer.certificate.subject else issuer.chain
    return Entity(key, certificate, (certificate, *chain))


def crl(
    issuer: Entity,
    revoked: Sequence[tuple[Entity, dt.datetime]] = (),
    *,
    this_update: dt.datetime | None = None,
    next_update: dt.datetime | None = None,
    extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
    key: Any = None,
) -> bytes:
    """Make a revocation list, PEM."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(this_update or NOW - DAY)
        .next_update(next_update or NOW + DAY)
    )
    for entity, at in revoked:
        entry = x509.RevokedCertificateBuilder(entity.certificate.serial_number, at)
        builder = builder.add_revoked_certificate(entry.build())
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key or issuer.key, hashes.SHA256()).public_bytes(Encoding.PEM)


@dataclass(frozen=True)
class House:
    """A root, an issuing authority under it, and their lists."""

    root: Entity
    issuing: Entity
    folder: Path

    @property
    def anchors(self) -> list[Path]:
        return [self.folder / "root.pem"]

    @property
    def crls(self) -> list[Path]:
        return [self.folder / "root.crl", self.folder / "issuing.crl"]

    def revoke(self, *entities: Entity, at: dt.datetime | None = None) -> None:
        revoked = [(entity, at or NOW - DAY) for entity in entities]
        (self.folder / "issuing.crl").write_bytes(crl(self.issuing, revoked))


def house(folder: Path) -> House:
    """Make a root and an issuing authority, and write anchor and lists to files."""
    folder.mkdir(parents=True, exist_ok=True)
    root = issue("Test root", ca=True)
    issuing = issue("Test issuing", root, ca=True, path_length=0)
    (folder / "root.pem").write_bytes(root.pem)
    (folder / "root.crl").write_bytes(crl(root))
    (folder / "issuing.crl").write_bytes(crl(issuing))
    return House(root, issuing, folder)
