"""The certificate office of the forge: any certificate, right or wrong, under the development CA or beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from relay.sandbox.attacks import der

DAY: Final = timedelta(days=1)
Extensions = Sequence[tuple[x509.ExtensionType, bool]]
_ECDSA_SHA256: Final = der.sequence(der.Value(6, bytes.fromhex("2a8648ce3d040302")))


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key and the certificates shown with it (DER, leaf first), which need not belong together."""

    key: Any
    chain: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority: its key, its certificate, and what is shown with a leaf under it (itself first)."""

    key: Any
    certificate: x509.Certificate
    chain: tuple[bytes, ...]


class Office(Protocol):
    """What the world around the forge does with its certificates, where it lets the forge."""

    def enrol(self, leaf: bytes, code: str) -> None:
        """Put a certificate (DER) into the directory for an agency: an operator was deceived, or it was good once."""

    def publish(self, revocations: x509.CertificateRevocationList) -> None:
        """Give the relay a revocation list besides those that it has."""

    def answer(self, certificate: x509.Certificate, octets: bytes) -> None:
        """Give the relay an answer about a certificate (OCSP, DER), as if it had fetched it."""

    def revoke(self, certificate: x509.Certificate, at: datetime) -> None:
        """Put a certificate on its issuer's list."""


def usage(
    *, sign: bool = False, certs: bool = False, lists: bool = False, agree: bool = False
) -> x509.KeyUsage:
    """Return a key usage."""
    return x509.KeyUsage(
        digital_signature=sign,
        content_commitment=sign,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=agree,
        key_cert_sign=certs,
        crl_sign=lists,
        encipher_only=False,
        decipher_only=False,
    )


def name_of(common: str) -> x509.Name:
    """Return a name, synthetic and said to be."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{common} (mẫu)")])


class Papers:
    """Issues certificates. ``folder`` holds the development CA's certificates and keys."""

    def __init__(self, folder: Path, now: datetime, office: Office) -> None:
        self._folder = folder
        self.now = now
        self.office = office
        self.root = self._load("root", shown=False)
        self.issuing = self._load("issuing", shown=True)

    def _load(self, name: str, *, shown: bool) -> Authority:
        certificate = x509.load_pem_x509_certificate((self._folder / f"{name}.pem").read_bytes())
        key = load_pem_private_key((self._folder / f"{name}.key").read_bytes(), None)
        return Authority(key, certificate, (certificate.public_bytes(Encoding.DER),) if shown else ())

    # --- what is issued

    def certificate(
        self,
        subject: x509.Name,
        public_key: Any,  # noqa: ANN401
        issuer: Authority | None = None,
        *,
        ca: bool = False,
        path_length: int | None = None,
        begin: timedelta = -DAY,
        end: timedelta = 30 * DAY,
        key_usage: x509.KeyUsage | None = None,
        basic: bool = True,
        extra: Extensions = (),
        hash_algorithm: Any = None,  # noqa: ANN401
        signing_key: Any = None,  # noqa: ANN401
        issuer_name: x509.Name | None = None,
    ) -> x509.Certificate:
        """Return a certificate; without an issuer it is signed by ``signing_key`` and names itself."""
        parent = issuer or None
        named = issuer_name or (parent.certificate.subject if parent else subject)
        request = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(named)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before((self.now + begin).replace(microsecond=0))
            .not_valid_after((self.now + end).replace(microsecond=0))
        )
        if basic:
            request = request.add_extension(
                x509.BasicConstraints(ca=ca, path_length=path_length), critical=True
            )
        chosen = key_usage or (usage(certs=True, lists=True) if ca else usage(sign=True))
        request = request.add_extension(chosen, critical=True)
        for extension, critical in extra:
            request = request.add_extension(extension, critical=critical)
        key: Any = signing_key or (parent.key if parent else None)
        return request.sign(key, hash_algorithm or hashes.SHA256())

    def authority(
        self,
        name: str,
        issuer: Authority | None = None,
        *,
        listed: bool = True,
        **how: Any,  # noqa: ANN401
    ) -> Authority:
        """Return a new authority, with an empty revocation list where the relay can be given one."""
        key = how.pop("key", None) or ec.generate_private_key(ec.SECP256R1())
        subject = how.pop("subject", None) or name_of(name)
        how = {"ca": True, **how}
        certificate = self.certificate(
            subject, key.public_key(), issuer, signing_key=issuer.key if issuer else key, **how
        )
        above = () if issuer is None else issuer.chain
        made = Authority(key, certificate, (certificate.public_bytes(Encoding.DER), *above))
        if listed:
            self.office.publish(self.revocations(made))
        return made

    def revocations(
        self,
        authority: Authority,
        revoked: Sequence[x509.Certificate] = (),
        *,
        key: Any = None,  # noqa: ANN401
        made: timedelta = -DAY,
        until: timedelta = 10 * DAY,
    ) -> x509.CertificateRevocationList:
        """Return a revocation list."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(authority.certificate.subject)
            .last_update(self.now + made)
            .next_update(self.now + until)
        )
        for each in revoked:
            entry = x509.RevokedCertificateBuilder(each.serial_number, self.now - timedelta(hours=1))
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(key or authority.key, hashes.SHA256())

    def signer(
        self,
        issuer: Authority | None = None,
        *,
        key: Any = None,  # noqa: ANN401
        code: str = "H97",
        enrol: bool = True,
        shown: Sequence[bytes] | None = None,
        **how: Any,  # noqa: ANN401
    ) -> Signer:
        """Return a key with a certificate in the name of an agency, in the directory unless told otherwise."""
        parent = issuer or self.issuing
        own = key or ec.generate_private_key(ec.SECP256R1())
        leaf = self.certificate(
            name_of(code), own.public_key(), parent, signing_key=how.pop("signing_key", parent.key), **how
        )
        return self.enrolled(
            Signer(own, (leaf.public_bytes(Encoding.DER), *(parent.chain if shown is None else shown))),
            code if enrol else None,
        )

    def enrolled(self, signer: Signer, code: str | None) -> Signer:
        """Put a signer's certificate into the directory for an agency; None: do not."""
        if code is not None:
            self.office.enrol(signer.chain[0], code)
        return signer

    # --- what no library issues

    def rebuilt(self, leaf: bytes, change: Any, key: Any = None) -> bytes:  # noqa: ANN401
        """Return a certificate whose inner structure (TBSCertificate) was changed, signed again.

        Args:
            leaf: DER.
            change: from the TBSCertificate as ``der.Value`` to another.
            key: ECDSA key to sign with; by default the issuing authority's.
        """
        whole = der.read(leaf)
        inner = change(whole[0])
        value = (key or self.issuing.key).sign(inner.octets(), ec.ECDSA(hashes.SHA256()))
        return der.sequence(inner, _ECDSA_SHA256, der.bits(value)).octets()


def spki(public_key: Any) -> der.Value:  # noqa: ANN401
    """Return a public key as SubjectPublicKeyInfo."""
    return der.read(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def position_of_key(inner: der.Value) -> int:
    """Return where SubjectPublicKeyInfo stands in a TBSCertificate: behind version, serial, algorithm, names, dates."""
    return 6 if inner[0].tag == 0xA0 else 5
