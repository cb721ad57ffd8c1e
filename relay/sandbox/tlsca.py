"""The TLS authorities of a sandbox, made at run time and apart from the CA of signatures.

Two roots, because they answer two questions. ``root.pem`` says *this is the broker*: it signs the broker's certificate
and nothing else, and clients take it as anchor (``tls_ca_cert``). ``logins.pem`` says *this is gateway X*: the broker
logs in whoever shows a certificate of it as the user in the certificate's common name, so it signs logins of gateways
and nothing else, never a name that is no agency's code (``admin`` and ``relay`` are none).
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from relay.errors import Code, ConfigurationError
from relay.model.codes import normal_form
from relay.sandbox.ca import CRL_LIFE
from relay.sandbox.files import alone, private_folder, write_private
from relay.sandbox.issuing import (
    BACKDATED,
    CA_LIFE,
    Issued,
    PrivateKey,
    authority_id,
    builder,
    new_key,
    usable,
    usage,
    write_key,
)

TLS_LIFE: Final = timedelta(days=397)
RENEW_BEFORE: Final = timedelta(days=30)
_NAMES: Final[tuple[x509.GeneralName, ...]] = (
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
)


class TlsAuthorities:
    """Both roots in one folder. What exists and still holds is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def root_cert(self) -> Path:
        """The anchor of the broker's certificate."""
        return self.folder / "root.pem"

    @property
    def logins_cert(self) -> Path:
        """The anchor of client certificates, for the broker alone."""
        return self.folder / "logins.pem"

    def ensure(self, now: datetime) -> None:
        """Make the roots where they are missing. ``now``: the time, aware."""
        private_folder(self.folder)
        with alone(self.folder):
            self._root("root", "Trục development TLS root (mẫu)", now)
            self._root("logins", "Trục development gateway logins (mẫu)", now)

    def server(
        self, folder: Path, now: datetime, *, life: timedelta = TLS_LIFE, renew: bool = False
    ) -> Issued:
        """Return the broker's key and certificate in ``folder``, for localhost, 127.0.0.1 and ::1; renewed if it ends
        within 30 days (the broker notices by itself)."""
        subject = _subject("localhost")
        purpose = ExtendedKeyUsageOID.SERVER_AUTH
        with alone(self.folder):
            return self._leaf("root", folder, "server", subject, purpose, _NAMES, now, life, renew)

    def login(
        self, folder: Path, code: str, now: datetime, *, life: timedelta = TLS_LIFE, renew: bool = False
    ) -> Issued:
        """Return key and certificate by which a gateway logs in, ``<folder>/<code>.key`` and ``.pem``.

        Raises:
            RefusedError: BAD-CODE: not an agency's code in the normal form; such a name is never signed.
        """
        subject = _subject(normal_form(code))
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH
        with alone(self.folder):
            return self._leaf("logins", folder, code, subject, purpose, (), now, life, renew)

    def revoke(self, login: x509.Certificate, now: datetime) -> None:
        """Put a login certificate on the list (once); see ``publish``."""
        with alone(self.folder):
            entries = {entry.serial_number: entry for entry in self._revoked()}
            if login.serial_number not in entries:
                entries[login.serial_number] = (
                    x509.RevokedCertificateBuilder()
                    .serial_number(login.serial_number)
                    .revocation_date(now)
                    .build()
                )
                self._write_list(entries.values(), now)

    def publish(self, folder: Path, now: datetime) -> None:
        """Give the broker what it judges client certificates by: ``logins.pem`` and the list, renewed, in ``crls``.

        The broker looks for a list by its issuer's hashed name at each login; where there is none it takes nobody.
        """
        authority, _ = self._load("logins")
        with alone(self.folder):
            self._write_list(self._revoked(), now)
        anchor = self.logins_cert.read_bytes()
        if not (there := folder / "logins.pem").exists() or there.read_bytes() != anchor:
            write_private(there, anchor)
        name = f"{short_hash(authority.subject):08x}.r0"
        write_private(private_folder(folder / "crls") / name, self.list_file.read_bytes())

    @property
    def list_file(self) -> Path:
        """The list of revoked login certificates, PEM."""
        return self.folder / "logins.crl"

    # --- inside

    def _revoked(self) -> list[x509.RevokedCertificate]:
        try:
            return list(x509.load_pem_x509_crl(self.list_file.read_bytes()))
        except FileNotFoundError:
            return []
        except ValueError as error:
            raise ConfigurationError(Code.KEY_UNUSABLE, f"{self.list_file}: {error}") from error

    def _write_list(self, entries: Iterable[x509.RevokedCertificate], now: datetime) -> None:
        authority, signer = self._load("logins")
        request = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(authority.subject)
            .last_update(now - BACKDATED)
            .next_update(now + CRL_LIFE)
            .add_extension(authority_id(authority, signer), critical=False)
            .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
        )
        for entry in entries:
            request = request.add_revoked_certificate(entry)
        crl = request.sign(signer, hashes.SHA256())
        write_private(self.list_file, crl.public_bytes(serialization.Encoding.PEM))

    def _root(self, name: str, common_name: str, now: datetime) -> None:
        if (self.folder / f"{name}.pem").exists():
            self._load(name)
            return
        key = new_key("ec-p256")
        subject = _subject(common_name)
        certificate = (
            builder(subject, subject, key, now, CA_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage(authority=True), critical=True)
            .add_extension(authority_id(None, key), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_key(self.folder / f"{name}.key", key)
        write_private(self.folder / f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM))

    def _leaf(
        self,
        root: str,
        folder: Path,
        stem: str,
        subject: x509.Name,
        purpose: x509.ObjectIdentifier,
        names: tuple[x509.GeneralName, ...],
        now: datetime,
        life: timedelta,
        renew: bool,
    ) -> Issued:
        issued = Issued(private_folder(folder) / f"{stem}.key", folder / f"{stem}.pem")
        authority, signer = self._load(root)
        if not renew and usable(issued, now, RENEW_BEFORE) and _of(issued, authority):
            return issued
        key = new_key("ec-p256")
        request = (
            builder(subject, authority.subject, key, now, life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage(authority=False, signs_documents=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(authority_id(authority, signer), critical=False)
        )
        if names:
            request = request.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = request.sign(signer, hashes.SHA256())
        # A certificate without its key is noticed and issued again; the other way round as well.
        issued.cert.unlink(missing_ok=True)
        write_key(issued.key, key)
        write_private(issued.cert, certificate.public_bytes(serialization.Encoding.PEM))
        return issued

    def _load(self, name: str) -> tuple[x509.Certificate, PrivateKey]:
        try:
            certificate = x509.load_pem_x509_certificate((self.folder / f"{name}.pem").read_bytes())
            key = serialization.load_pem_private_key((self.folder / f"{name}.key").read_bytes(), None)
        except (OSError, ValueError) as error:
            raise ConfigurationError(Code.KEY_UNUSABLE, f"{name} of {self.folder}: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ConfigurationError(Code.KEY_UNUSABLE, f"{name} of {self.folder}: not an EC key")
        return certificate, key


def _subject(common_name: str) -> x509.Name:
    # One common name and nothing else: the broker joins several with a comma, which would be another user.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def short_hash(name: x509.Name) -> int:
    """Return the hash by which OpenSSL and Erlang name the files of a folder of lists (``openssl crl -hash``).

    For names of common names alone: the hash is over their canonical form, UTF-8 in lower case without spaces at the
    ends.
    """
    canonical = x509.Name(
        [x509.NameAttribute(one.oid, " ".join(str(one.value).split()).lower()) for one in name]
    ).public_bytes()
    # Without the outer SEQUENCE; a name this short has one octet of length.
    return int.from_bytes(hashlib.sha1(canonical[2:], usedforsecurity=False).digest()[:4], "little")


def _of(issued: Issued, authority: x509.Certificate) -> bool:
    """Whether a certificate is of this root, and not of one that was lost."""
    try:
        issued.leaf().verify_directly_issued_by(authority)
    except Exception:  # noqa: BLE001 -- whatever is wrong with it, it is issued again
        return False
    return True
