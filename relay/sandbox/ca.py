"""A development CA, made at run time: root, issuing CA, certificates of agencies and of the relay, revocation lists.

Never for production: its keys lie unencrypted beside what they sign. Names are synthetic and say so.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from relay.errors import Code, ConfigurationError
from relay.sandbox.files import alone, private_folder, write_private
from relay.sandbox.issuing import (
    BACKDATED,
    CA_LIFE,
    LEAF_LIFE,
    Issued,
    KeyKind,
    PrivateKey,
    authority_id,
    builder,
    new_key,
    usable,
    usage,
    write_key,
)

__all__ = ["CRL_LIFE", "RELAY_URN", "DevelopmentCa", "Issued", "KeyKind"]

RELAY_URN: Final = "urn:truc:relay:"
CRL_LIFE: Final = timedelta(days=30)


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
        with alone(self.folder):
            root = self._authority("root", "Trục development root (mẫu)", None, now)
            self._authority("issuing", "Trục development issuing CA (mẫu)", root, now)
        self.renew_crls(now)

    def renew_crls(self, now: datetime) -> None:
        """Write both lists anew, with the entries they have, valid for 30 days from ``now``."""
        with alone(self.folder):
            for name in ("root", "issuing"):
                self._write_crl(name, self._revoked(name), now)

    def revoke(self, certificate: x509.Certificate, now: datetime, at: datetime | None = None) -> None:
        """Put a certificate on its issuer's list (once), revoked ``at`` (``now`` by default)."""
        name = "root" if certificate.issuer == self._load("root")[0].subject else "issuing"
        with alone(self.folder):
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
        with alone(self.folder):  # a running sandbox issues by itself to those who join
            return self._leaf(folder, code, subject, (), now, kind=kind, renew=renew)

    def relay(
        self, folder: Path, name: str, now: datetime, *, kind: KeyKind = "ec-p256", renew: bool = False
    ) -> Issued:
        """Return the relay's key and certificate, ``<folder>/relay.key`` and ``.pem``, with its URI SAN.

        A certificate that is replaced stays in ``former``, for those who verify what its key signed; it is not
        revoked. ``renew``: issue anew in any case, with a new key.
        """
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"),
                x509.NameAttribute(NameOID.COMMON_NAME, f"{name} (mẫu)"),
            ]
        )
        names = (x509.UniformResourceIdentifier(RELAY_URN + name),)
        there = Issued(folder / "relay.key", folder / "relay.pem")
        with alone(self.folder):
            if renew or not usable(there, now):
                _keep_former(there, folder)
            return self._leaf(folder, "relay", subject, names, now, kind=kind, renew=renew)

    # --- inside

    def _authority(
        self, name: str, common_name: str, issuer: tuple[x509.Certificate, PrivateKey] | None, now: datetime
    ) -> tuple[x509.Certificate, PrivateKey]:
        if (self.folder / f"{name}.pem").exists():
            return self._load(name)
        key = new_key("ec-p256")
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"),
                x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            ]
        )
        parent, signer = issuer or (None, key)
        certificate = (
            builder(subject, parent.subject if parent else subject, key, now, CA_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0 if parent else 1), critical=True)
            .add_extension(usage(authority=True), critical=True)
            .add_extension(authority_id(parent, signer), critical=False)
            .sign(signer, hashes.SHA256())
        )
        write_key(self.folder / f"{name}.key", key)
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
        if not renew and usable(issued, now):
            return issued
        issuing, signer = self._load("issuing")
        key = new_key(kind)
        request = (
            builder(subject, issuing.subject, key, now, LEAF_LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(authority_id(issuing, signer), critical=False)
        )
        if names:
            request = request.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = request.sign(signer, hashes.SHA256())
        chain = b"".join(item.public_bytes(serialization.Encoding.PEM) for item in (certificate, issuing))
        # A certificate without its key is noticed and issued again; the other way round as well.
        issued.cert.unlink(missing_ok=True)
        write_key(issued.key, key)
        write_private(issued.cert, chain)
        return issued

    def _load(self, name: str) -> tuple[x509.Certificate, PrivateKey]:
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
            .last_update(now - BACKDATED)
            .next_update(now + CRL_LIFE)
            .add_extension(authority_id(certificate, key), critical=False)
            .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
        )
        for entry in entries:
            builder = builder.add_revoked_certificate(entry)
        crl = builder.sign(key, hashes.SHA256())
        write_private(self.folder / f"{name}.crl", crl.public_bytes(serialization.Encoding.PEM))


def former(folder: Path) -> tuple[Path, ...]:
    """Return the certificates that a relay had before, by the names of their files."""
    return tuple(sorted((folder / "former").glob("*.pem")))


def _keep_former(issued: Issued, folder: Path) -> None:
    try:
        pem, serial = issued.cert.read_bytes(), issued.leaf().serial_number
    except (OSError, ValueError, IndexError):
        return  # nothing there that anybody could verify with
    write_private(private_folder(folder / "former") / f"{serial:x}.pem", pem)
