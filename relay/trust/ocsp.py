"""OCSP (RFC 6960): the question about one certificate, and whether an answer is to be believed.

An answer speaks of exactly one certificate and is signed by its issuer, or by a certificate that this issuer issued for
that purpose (id-kp-OCSPSigning) and that comes with the answer. Such a certificate says that it need not be checked
(id-pkix-ocsp-nocheck), or a list of its issuer has to vouch for it. Answers without nextUpdate are not believed: they
are kept beside the hot path, and nothing would tell until when.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from relay.errors import RefusedError
from relay.trust.certificate import Certificate, read_certificate
from relay.trust.crl import Listing, RevocationLists
from relay.trust.outcome import Outcome

MAX_ANSWER: Final = 64 * 1024
_MAX_CERTIFICATES: Final = 8
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_ANSWER_EXTENSIONS: Final = frozenset({ExtensionOID.SUBJECT_KEY_IDENTIFIER, x509.OCSPNonce.oid})
_RESPONDER_EXTENSIONS: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
        ExtensionOID.OCSP_NO_CHECK,
    }
)


def question(certificate: Certificate, issuer: Certificate, nonce: bytes | None = None) -> bytes:
    """Return the DER of a request about one certificate."""
    # SHA-1 names the issuer here and protects nothing; many responders know no other.
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate.x509, issuer.x509, hashes.SHA1())  # noqa: S303
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def read_answer(der: bytes) -> ocsp.OCSPResponse | None:
    """Return the response that stands in ``der``; None: it is none, is an error, or speaks of several certificates."""
    if len(der) > MAX_ANSWER:
        return None
    try:
        answer = ocsp.load_der_ocsp_response(der)
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return None
        if sum(1 for _ in answer.responses) != 1:
            return None
    except Exception:  # noqa: BLE001 -- the library raises more kinds than it names
        return None
    return answer


def is_error(der: bytes) -> bool:
    """Whether ``der`` is an answer of the protocol that only says why there is none (RFC 6960, 2.3)."""
    try:
        return ocsp.load_der_ocsp_response(der).response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL
    except Exception:  # noqa: BLE001 -- as above
        return False


def nonce_of(answer: ocsp.OCSPResponse) -> bytes | None:
    """Return the nonce of an answer; None: it has none that can be read."""
    try:
        return answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except Exception:  # noqa: BLE001 -- as above
        return None


def told(
    answer: ocsp.OCSPResponse, certificate: Certificate, issuer: Certificate, lists: RevocationLists
) -> Listing | Outcome:
    """Return what an answer says of a certificate, or why it is not believed. Never raises.

    Args:
        answer: from ``read_answer``.
        certificate: the one that was asked about.
        issuer: its issuer's certificate; the caller has checked that it issued ``certificate``.
        lists: what vouches for a responder that does not say that it need not be checked.
    """
    try:
        return _told(answer, certificate, issuer, lists)
    except Exception:  # noqa: BLE001 -- a damaged answer says nothing: the check fails closed
        return Outcome.UNREADABLE


def _told(
    answer: ocsp.OCSPResponse, certificate: Certificate, issuer: Certificate, lists: RevocationLists
) -> Listing | Outcome:
    if not _about(answer, certificate, issuer):
        return Outcome.OTHER_CERTIFICATE
    for extensions in (answer.extensions, answer.single_extensions):
        if any(each.critical and each.oid not in _ANSWER_EXTENSIONS for each in extensions):
            return Outcome.UNREADABLE
    this_update, next_update = answer.this_update_utc, answer.next_update_utc
    if next_update is None or next_update < this_update:
        return Outcome.EXPIRED
    fault = Outcome.BAD_SIGNATURE
    for signer in _signers(answer, issuer):
        if not _signed(answer, signer):
            continue
        if signer.sha256 != issuer.sha256:
            end = _vouched(signer, issuer, lists)
            if end is None:
                fault = Outcome.NO_RIGHT
                continue
            # What it signed holds no longer than its own certificate, and not before that begins.
            next_update = min(next_update, end.next_update)
            this_update = max(this_update, end.this_update)
        if answer.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
            return Outcome.UNKNOWN
        revoked_at = answer.revocation_time_utc
        if answer.certificate_status is ocsp.OCSPCertStatus.REVOKED and revoked_at is None:
            return Outcome.UNREADABLE
        return Listing(this_update, next_update, revoked_at, "ocsp")
    return fault


def _about(answer: ocsp.OCSPResponse, certificate: Certificate, issuer: Certificate) -> bool:
    if answer.serial_number != certificate.x509.serial_number:
        return False
    named = (
        ocsp.OCSPRequestBuilder()
        .add_certificate(certificate.x509, issuer.x509, answer.hash_algorithm)
        .build()
    )
    return (answer.issuer_name_hash, answer.issuer_key_hash) == (
        named.issuer_name_hash,
        named.issuer_key_hash,
    )


def _signers(answer: ocsp.OCSPResponse, issuer: Certificate) -> Iterator[Certificate]:
    """Yield who may have signed: the issuer, and what came with the answer, where the answer names them."""
    if _named(answer, issuer):
        yield issuer
    for each in answer.certificates[:_MAX_CERTIFICATES]:
        try:
            one = read_certificate(each.public_bytes(Encoding.DER))
        except RefusedError:
            continue  # a kind of key that is not taken
        if one.sha256 != issuer.sha256 and _named(answer, one):
            yield one


def _named(answer: ocsp.OCSPResponse, signer: Certificate) -> bool:
    if answer.responder_name is not None:
        return answer.responder_name == signer.x509.subject
    return answer.responder_key_hash == x509.SubjectKeyIdentifier.from_public_key(signer.key).digest


def _signed(answer: ocsp.OCSPResponse, signer: Certificate) -> bool:
    digest = answer.signature_hash_algorithm
    if not isinstance(digest, _HASHES):
        return False
    try:
        if isinstance(signer.key, rsa.RSAPublicKey):
            signer.key.verify(answer.signature, answer.tbs_response_bytes, padding.PKCS1v15(), digest)
        else:
            signer.key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(digest))
    except InvalidSignature:
        return False
    return True


def _vouched(signer: Certificate, issuer: Certificate, lists: RevocationLists) -> Listing | None:
    """Return until when a delegated responder may answer for the issuer; None: it may not."""
    try:
        signer.x509.verify_directly_issued_by(issuer.x509)
    except (InvalidSignature, ValueError, TypeError):
        return None
    if not isinstance(signer.x509.signature_hash_algorithm, _HASHES):
        return None
    extensions = signer.x509.extensions
    if any(each.critical and each.oid not in _RESPONDER_EXTENSIONS for each in extensions):
        return None
    purposes, usage, authority, unchecked = False, True, False, False
    for each in extensions:
        if isinstance(each.value, x509.ExtendedKeyUsage):
            purposes = ExtendedKeyUsageOID.OCSP_SIGNING in each.value
        elif isinstance(each.value, x509.KeyUsage):
            usage = each.value.digital_signature or each.value.content_commitment
        elif isinstance(each.value, x509.BasicConstraints):
            authority = each.value.ca
        elif isinstance(each.value, x509.OCSPNoCheck):
            unchecked = True
    if not purposes or not usage or authority:
        return None
    own = Listing(signer.not_before, signer.not_after, None)
    if unchecked:
        return own
    listings = lists.of(signer, issuer)
    if not listings or any(each.revoked_at is not None for each in listings):
        return None
    latest = max(listings, key=lambda each: each.next_update)
    return Listing(own.this_update, min(own.next_update, latest.next_update), None)
