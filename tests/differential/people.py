"""Who signs in the differential test: keys and certificates made at run time, the same ones from the same seed.

Repeatable to the byte where the algorithm allows it (all but RSA-PSS), so that a number and a seed name a document.
"""

from __future__ import annotations

import datetime as dt
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from tests.support.pki import Entity, usage

AT: Final = dt.datetime(2026, 3, 2, 3, 0, tzinfo=dt.UTC)
_FROM, _TO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2070, 1, 1, tzinfo=dt.UTC)
_SIEVE: Final = math.prod(n for n in range(3, 2000, 2) if all(n % d for d in range(3, int(n**0.5) + 1, 2)))


class Maker:
    """Makes keys and certificates from a seed."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"people {seed}")

    def ec_key(self, curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
        curve = curve or ec.SECP256R1()
        return ec.derive_private_key(self._rng.getrandbits(curve.key_size - 8) | 1, curve)

    def rsa_key(self, bits: int) -> rsa.RSAPrivateKey:
        e = 65537
        while True:
            p, q = self._prime(bits // 2), self._prime(bits // 2)
            phi = (p - 1) * (q - 1)
            if p != q and math.gcd(e, phi) == 1:
                break
        d = pow(e, -1, phi)
        public = rsa.RSAPublicNumbers(e, p * q)
        return rsa.RSAPrivateNumbers(
            p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), public
        ).private_key()

    def _prime(self, bits: int) -> int:
        while True:
            number = self._rng.getrandbits(bits) | (3 << (bits - 2)) | 1
            if math.gcd(number, _SIEVE) == 1 and all(
                self._strong(number, self._rng.randrange(2, number)) for _ in range(8)
            ):
                return number

    @staticmethod
    def _strong(number: int, base: int) -> bool:
        """One round of Miller and Rabin."""
        odd, twos = number - 1, 0
        while odd % 2 == 0:
            odd, twos = odd // 2, twos + 1
        x = pow(base, odd, number)
        if x in {1, number - 1}:
            return True
        for _ in range(twos - 1):
            x = x * x % number
            if x == number - 1:
                return True
        return False

    def issue(
        self,
        name: str,
        issuer: Entity | None = None,
        *,
        key: Any = None,
        ca: bool = False,
        path_length: int | None = None,
        not_before: dt.datetime = _FROM,
        not_after: dt.datetime = _TO,
        key_usage: x509.KeyUsage | None = None,
        extra: tuple[x509.ExtensionType, ...] = (),
    ) -> Entity:
        """Make a certificate; without an issuer it is self-signed. The chain leaves the root out."""
        key = key or self.ec_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(self._rng.getrandbits(120) | 1 << 120)
            .not_valid_before(not_before)
            .not_valid_after(not_after)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
            .add_extension(
                key_usage or (usage(certs=True, crls=True) if ca else usage(sign=True, commit=True)),
                critical=True,
            )
        )
        for extension in extra:
            builder = builder.add_extension(extension, critical=True)
        signing = issuer.key if issuer else key
        deterministic = True if isinstance(signing, ec.EllipticCurvePrivateKey) else None
        certificate = builder.sign(signing, hashes.SHA256(), ecdsa_deterministic=deterministic)
        top = issuer is None or issuer.certificate.issuer == issuer.certificate.subject
        return Entity(key, certificate, (certificate, *(() if top or issuer is None else issuer.chain)))


@dataclass(frozen=True)
class People:
    """Everybody who signs, rightly or not."""

    root: Entity
    issuing: Entity
    good: tuple[Entity, ...]
    """Whose signatures count: P-256, RSA 2048, P-384, P-521, P-256; the issuing authority stands in each chain."""
    under_root: Entity
    """Issued by the anchor itself: a chain of one."""
    wrong: dict[str, Entity]
    """Whose signatures do not count, by why."""

    def write_anchor(self, folder: Path) -> Path:
        path = folder / "root.pem"
        path.write_bytes(self.root.pem)
        return path


def people(seed: int) -> People:
    """Make all of them."""
    make = Maker(seed)
    root = make.issue("Differential root", ca=True)
    issuing = make.issue("Differential issuing", root, ca=True, path_length=0)
    good = tuple(
        make.issue(f"Agency {number}", issuing, key=key)
        for number, key in enumerate(
            (
                make.ec_key(),
                make.rsa_key(2048),
                make.ec_key(ec.SECP384R1()),
                make.ec_key(ec.SECP521R1()),
                make.ec_key(),
            )
        )
    )
    stranger = make.issue("Differential issuing", ca=True)  # the issuer's name, another key
    deep = make.issue("Too deep", issuing, ca=True)
    expired_ca = make.issue("Old issuing", root, ca=True, not_after=dt.datetime(2022, 1, 1, tzinfo=dt.UTC))
    no_ca = make.issue("No authority", issuing, key_usage=usage(sign=True, certs=True))
    bound = make.issue(
        "Bound issuing",
        root,
        ca=True,
        extra=(x509.NameConstraints([x509.DirectoryName(_name("Somebody else"))], None),),
    )
    wrong = {
        "unknown-ca": make.issue("Agency 0", stranger),
        "self-signed": make.issue("Agency 0"),
        "expired": make.issue("Expired", issuing, not_after=dt.datetime(2022, 1, 1, tzinfo=dt.UTC)),
        "not-yet": make.issue("Not yet", issuing, not_before=dt.datetime(2060, 1, 1, tzinfo=dt.UTC)),
        "path-length": make.issue("Below the deep", deep),
        "under-no-ca": make.issue("Below an agency", no_ca),
        "expired-issuer": make.issue("Below the old", expired_ca),
        "name-constraints": make.issue("Not somebody else", bound),
        "key-usage": make.issue("Encrypts only", issuing, key_usage=_encrypts()),
        "authority-signs": issuing,
        "rsa-1024": make.issue("Weak", issuing, key=make.rsa_key(1024)),
        "other-curve": make.issue("Coin", issuing, key=make.ec_key(ec.SECP256K1())),
    }
    return People(root, issuing, good, make.issue("Agency of the root", root), wrong)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _encrypts() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
