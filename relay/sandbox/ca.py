"""A development CA, made at run time: root, issuing CA, certificates of agencies and of the relay, revocation lists.

Never for production: its keys lie unencrypted beside what they sign. Names are synthetic and say so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from relay.errors import Code, ConfigurationError
from relay.sandbox.files import private_folder, write_private

KeyKind = Literal["ec-p256", "ec-p384", "rsa-2048", "rsa-3072"]

RELAY_URN: Final = "urn:truc:relay:"
CA_LIFE: Final = timedelta(days=3650)
LEAF_LIFE: Final = timedelta(days=825)
CRL_LIFE: Final = timedelta(days=30)
RENEW_BEFORE: Final = timedelta(days=7)
_BACKDATED = timedelta(hours=1)  # a reader's clock may be a little behind

_PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


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


class DevelopmentCa:
    """The CA in one folder. Everything that exists and is still valid is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def root_cert(self) -> Path:
        """The anchor of signatures."""
        return self.folder / "root.pem"

    @property
    def issuing_cert(self) -> Path:
        return self.folder / "issuing.pem"

    @property
    def crls(self) -> tuple[Path, Path]:
        """Revocation lists (PEM) of the root and of the issuing CA."""
        return self.folder / "root.crl", self.folder / "issuing.crl"

    def ensure(self, now: datetime) -> None:
        """Make root, issuing CA and lists where they are missing; renew the lists.

        Args:
            now: The time, aware.
        """
        private_folder(self.folder)
        root = self._authority("root", "Trục development root (mẫu)", None, now)
        self._authority("issuing", "Trục development issuing CA (mẫu)", root, now)
        self.renew_crls(now)

    def renew_crls(self, now: datetime) -> None:
        """Write both lists anew, with the entries they have, valid for 30 days from ``now``."""
        for name in ("root", "issuing"):
            self._write_crl(name, self._revoked(name), now)

    def revoke(self, certificate: x509.Certificate, now: datetime, at: datetime | None = None) -> None:
        """Put a certificate on its issuer's list (once), revoked ``at`` (``now`` by default)."""
        name = "root" if certificate.issuer == self._load("root")[0].subject else "issuing"
        entries = {entry.serial_number: entry for entry in self._revoked(name)}
        if certificate.serial_number not in entries:
            entries[certificate.serial_number] = (
                x509.RevokedCertificateBuilder()
                .serial_number(certificate.serial_number)
                .revocation_date(at or now)
                .build()
            )
        self._write_crl(name, entries.values(), now)

    def agency(
        self,
        folder: Path,
        code: str,
        name: str,
        now: datetime,
        *,
        kind: KeyKind = "ec-p256",
        renew: bool = False,
    ) -> Issued:
        """Return key and certificate of an agency, ``<folder>/<code>.key`` and ``.pem``, issued if need be.

        Args:
            folder: Where they stand.
            code: The agency's identifier code, the certificate's serialNumber attribute.
            name: The agency's name.
            now: The time, aware.
            kind: Kind of a new key.
            renew: Issue anew in any case, with a new key.
        """
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, name[:64]),
                x509.NameAttribute(NameOID.SERIAL_NUMBER, code),
                x509.NameAttribute(NameOID.COMMON_NAME, f"{code} (mẫu)"),
            ]
        )
        return self._leaf(folder, code, subject, (), now, kind=kind, renew=renew)

    def relay(self, folder: Path, name: str, now: datetime, *, kind: KeyKind = "ec-p256") -> Issued:
        """Return the relay's key and certificate, ``<folder>/relay.key`` and ``.pem``, with its URI SAN."""
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"),
                x509.NameAttribute(NameOID.COMMON_NAME, f"{name} (mẫu)"),
            ]
        )
        names = (x509.UniformResourceIdentifier(RELAY_URN + name),)
        return self._leaf(folder, "relay", subject, names, now, kind=kind, renew=False)

    # --- inside

    def _authority(
        self, name: str, common_name: str, issuer: tuple[x509.Certificate, _PrivateKey] | None, now: datetime
    ) -> tuple[x509.Certificate, _PrivateKey]:
        if (self.folder / f"{name}.pem").exists():
            return self._load(name)
        key = _new_key("ec-p256")
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"),
                x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            ]
        )
        parent, signer = issuer or (None, key)
        certificate = (
            _builder(subject, parent.subject if parent else subject, key, now, CA_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0 if parent else 1), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .add_extension(_authority_id(parent, signer), critical=False)
            .sign(signer, hashes.SHA256())
        )
        _write_key(self.folder / f"{name}.key", key)
        write_private(self.folder / f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM))
        return certificate, key

    def _leaf(
        self,
        folder: Path,
        stem: str,
        subject: x509.Name,
        names: tuple[x509.GeneralName, ...],
        now: datetime,
        *,
        kind: KeyKind,
        renew: bool,
    ) -> Issued:
        issued = Issued(private_folder(folder) / f"{stem}.key", folder / f"{stem}.pem")
        if not renew and _usable(issued, now):
            return issued
        issuing, signer = self._load("issuing")
        key = _new_key(kind)
        builder = (
            _builder(subject, issuing.subject, key, now, LEAF_LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(_authority_id(issuing, signer), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(signer, hashes.SHA256())
        chain = b"".join(item.public_bytes(serialization.Encoding.PEM) for item in (certificate, issuing))
        # A certificate without its key is noticed and issued again; the other way round as well.
        issued.cert.unlink(missing_ok=True)
        _write_key(issued.key, key)
        write_private(issued.cert, chain)
        return issued

    def _load(self, name: str) -> tuple[x509.Certificate, _PrivateKey]:
        try:
            certificate = x509.load_pem_x509_certificate((self.folder / f"{name}.pem").read_bytes())
            key = serialization.load_pem_private_key((self.folder / f"{name}.key").read_bytes(), None)
        except (OSError, ValueError) as error:
            raise ConfigurationError(Code.KEY_UNUSABLE, f"{name} of {self.folder}: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ConfigurationError(Code.KEY_UNUSABLE, f"{name} of {self.folder}: neither EC nor RSA")
        return certificate, key

    def _revoked(self, name: str) -> list[x509.RevokedCertificate]:
        path = self.folder / f"{name}.crl"
        if not path.exists():
            return []
        try:
            return list(x509.load_pem_x509_crl(path.read_bytes()))
        except ValueError as error:
            raise ConfigurationError(Code.KEY_UNUSABLE, f"{path}: {error}") from error

    def _write_crl(self, name: str, entries: Iterable[x509.RevokedCertificate], now: datetime) -> None:
        certificate, key = self._load(name)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(certificate.subject)
            .last_update(now - _BACKDATED)
            .next_update(now + CRL_LIFE)
            .add_extension(_authority_id(certificate, key), critical=False)
            .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
        )
        for entry in entries:
            builder = builder.add_revoked_certificate(entry)
        crl = builder.sign(key, hashes.SHA256())
        write_private(self.folder / f"{name}.crl", crl.public_bytes(serialization.Encoding.PEM))


def _new_key(kind: KeyKind) -> _PrivateKey:
    if kind == "ec-p256":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "ec-p384":
        return ec.generate_private_key(ec.SECP384R1())
    return rsa.generate_private_key(65537, 2048 if kind == "rsa-2048" else 3072)


def _write_key(path: Path, key: _PrivateKey) -> None:
    write_private(
        path,
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: _PrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    begin = now.replace(microsecond=0) - _BACKDATED
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


def _authority_id(parent: x509.Certificate | None, signer: _PrivateKey) -> x509.AuthorityKeyIdentifier:
    if parent is None:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    identifier = parent.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=not authority,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _usable(issued: Issued, now: datetime) -> bool:
    try:
        leaf = issued.leaf()
        key = serialization.load_pem_private_key(issued.key.read_bytes(), None)
    except (OSError, ValueError, IndexError):
        return False
    matches = key.public_key() == leaf.public_key()
    return matches and leaf.not_valid_after_utc - now > RENEW_BEFORE
