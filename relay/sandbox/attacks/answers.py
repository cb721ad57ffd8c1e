"""False answers about revocation (OCSP): a certificate that no list vouches for, and somebody who says that it is good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from relay.errors import Code
from relay.sandbox.attacks.case import Family, Where
from relay.sandbox.attacks.forge import Forge
from relay.sandbox.attacks.papers import DAY, Authority, Extensions, Papers, Signer, name_of, usage

FAMILY: Final = Family("revocation answers", "RFC 6960, sections 3.2 and 4.2.2")

_STRANGE: Final = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
_NO_CHECK: Final = (x509.OCSPNoCheck(), False)
_PURPOSE: Final = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it is given; by default everything is right."""

    about: x509.Certificate
    issuer: x509.Certificate
    responder: x509.Certificate
    key: Any
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD
    made: timedelta = -timedelta(hours=1)
    until: timedelta | None = field(default=DAY)
    shown: tuple[x509.Certificate, ...] = ()
    hash_algorithm: Any = field(default_factory=hashes.SHA256)
    critical: x509.ExtensionType | None = None

    def octets(self, papers: Papers) -> bytes:
        """Return it as DER."""
        until = None if self.until is None else papers.now + self.until
        builder = (
            ocsp.OCSPResponseBuilder()
            .add_response(
                self.about,
                self.issuer,
                hashes.SHA1(),  # noqa: S303 -- names the issuer, protects nothing
                self.status,
                papers.now + self.made,
                until,
                None,
                None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.NAME, self.responder)
        )
        if self.shown:
            builder = builder.certificates(self.shown)
        if self.critical is not None:
            builder = builder.add_extension(self.critical, critical=True)
        return builder.sign(self.key, self.hash_algorithm).public_bytes(Encoding.DER)


Make = Callable[[Forge, Authority, x509.Certificate], Answer]


def answered(make: Make) -> Callable[[Forge], bytes]:
    """A document by a signer whose authority has no list, and an answer about its certificate."""

    def build(forge: Forge) -> bytes:
        papers = forge.papers
        authority = papers.authority("Answering", papers.root, listed=False)
        signer: Signer = papers.signer(authority)
        leaf = x509.load_der_x509_certificate(signer.chain[0])
        papers.office.answer(leaf, make(forge, authority, leaf).octets(papers))
        return forge.sign(forge.unsigned(), signer)

    return build


def by_issuer(_forge: Forge, authority: Authority, leaf: x509.Certificate) -> Answer:
    """The right answer."""
    return Answer(leaf, authority.certificate, authority.certificate, authority.key)


def _changed(**changes: Any) -> Callable[[Forge], bytes]:  # noqa: ANN401
    def make(forge: Forge, authority: Authority, leaf: x509.Certificate) -> Answer:
        right = by_issuer(forge, authority, leaf)
        fields = {name: getattr(right, name) for name in Answer.__slots__}
        return Answer(**{**fields, **changes})

    return answered(make)


def _delegated(
    extra: Extensions = (_PURPOSE, _NO_CHECK),
    *,
    issuer: Callable[[Forge], Authority] | None = None,
    **how: Any,  # noqa: ANN401
) -> Callable[[Forge], bytes]:
    """An answer by somebody else, whose certificate comes along."""

    def make(forge: Forge, authority: Authority, leaf: x509.Certificate) -> Answer:
        key = ec.generate_private_key(ec.SECP256R1())
        parent = authority if issuer is None else issuer(forge)
        responder = forge.papers.certificate(
            name_of("Responder"), key.public_key(), parent, extra=extra, **how
        )
        return Answer(leaf, authority.certificate, responder, key, shown=(responder,))

    return answered(make)


def _another(forge: Forge, authority: Authority, _leaf: x509.Certificate) -> Answer:
    other = forge.papers.signer(authority)
    about = x509.load_der_x509_certificate(other.chain[0])
    return Answer(about, authority.certificate, authority.certificate, authority.key)


def _by_name(forge: Forge, authority: Authority, leaf: x509.Certificate) -> Answer:
    """Signed by a key of the attacker's, in the issuer's name."""
    key = ec.generate_private_key(ec.SECP256R1())
    false = forge.papers.certificate(authority.certificate.subject, key.public_key(), signing_key=key)
    return Answer(leaf, authority.certificate, false, key)


_UNKNOWN: Final = Code.REVOCATION_UNKNOWN
_INSIDE: Final = Where.INSIDE
_CLEARED: Final = "a revoked certificate that is told as good"
FAMILY.add("about another certificate", _UNKNOWN, "ocsp._about", _CLEARED, answered(_another), where=_INSIDE)  # fmt: skip
FAMILY.add("in the issuer's name by another key", _UNKNOWN, "ocsp._signed", _CLEARED, answered(_by_name), where=_INSIDE)  # fmt: skip
FAMILY.add("by an agency under the same authority", _UNKNOWN, "ocsp._vouched", _CLEARED, _delegated(extra=(_NO_CHECK,)), where=_INSIDE)  # fmt: skip
FAMILY.add("by a responder of another authority", _UNKNOWN, "ocsp._vouched", _CLEARED, _delegated(issuer=lambda forge: forge.issuing), where=_INSIDE)  # fmt: skip
FAMILY.add("by a responder that nothing vouches for", _UNKNOWN, "ocsp._vouched", _CLEARED, _delegated(extra=(_PURPOSE,)), where=_INSIDE)  # fmt: skip
FAMILY.add("by a responder that is an authority", _UNKNOWN, "ocsp._vouched", _CLEARED, _delegated(ca=True, key_usage=usage(sign=True, certs=True)), where=_INSIDE)  # fmt: skip
FAMILY.add("by a responder with a critical extension that nobody knows", _UNKNOWN, "ocsp._vouched", _CLEARED, _delegated(extra=(_PURPOSE, _NO_CHECK, (_STRANGE, True))), where=_INSIDE)  # fmt: skip
FAMILY.add("by a responder whose key may not sign", _UNKNOWN, "ocsp._vouched", _CLEARED, _delegated(key_usage=usage(agree=True)), where=_INSIDE)  # fmt: skip
FAMILY.add("by a responder whose certificate is signed with SHA-224", _UNKNOWN, "ocsp._vouched", "less than 128 bits", _delegated(hash_algorithm=hashes.SHA224()), where=_INSIDE)  # fmt: skip
FAMILY.add("with a critical extension that nobody knows", _UNKNOWN, "ocsp._told", "a condition that is not understood", _changed(critical=_STRANGE), where=_INSIDE)  # fmt: skip
FAMILY.add("out of date", _UNKNOWN, "crl.Listing.usable", "an old answer played again", _changed(made=-20 * DAY, until=-10 * DAY), where=_INSIDE)  # fmt: skip
FAMILY.add("without an end", _UNKNOWN, "ocsp._told", "an old answer played for ever", _changed(until=None), where=_INSIDE)  # fmt: skip
FAMILY.add("that knows nothing", _UNKNOWN, "ocsp._told", "an answer that is taken for good because it is no refusal", _changed(status=ocsp.OCSPCertStatus.UNKNOWN), where=_INSIDE)  # fmt: skip
FAMILY.add("signed with SHA-224", _UNKNOWN, "ocsp._signed", "less than 128 bits", _changed(hash_algorithm=hashes.SHA224()), where=_INSIDE)  # fmt: skip
