"""From a signer's certificate to a configured anchor, and what the lists of revoked certificates say.

Paths are built here, by the rules of RFC 5280 that a signer of documents needs; the verifier of ``cryptography`` is
made for TLS and refuses certificates without a host name. Everything fails closed: an unknown critical extension, name
constraints, an issuer without a usable list. Extended key usage is not judged: which certificate may sign for whom is
the directory's to say, certificate by certificate.

What does not depend on time is worked out once for each chain and kept; a document then costs two comparisons.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes

from relay.errors import Code, RefusedError
from relay.trust.certificate import Certificate, relay_name
from relay.trust.crl import Listing, RevocationLists

MAX_PATH: Final = 6
_MAX_PATHS: Final = 8
_MAX_CHECKS: Final = 64  # signatures checked for one chain, against certificates that all issue one another
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_UNDERSTOOD: Final = frozenset(
    {
        x509.BasicConstraints.oid,
        x509.KeyUsage.oid,
        x509.ExtendedKeyUsage.oid,
        x509.SubjectAlternativeName.oid,
        x509.CertificatePolicies.oid,
        x509.CRLDistributionPoints.oid,
        x509.AuthorityKeyIdentifier.oid,
        x509.SubjectKeyIdentifier.oid,
    }
)


class Purpose(StrEnum):
    """What a certificate is asked to sign."""

    DOCUMENT = "document"  # no relay may
    RECEIPT = "receipt"  # only a relay may: URI SAN urn:truc:relay:<name>


@dataclass(frozen=True, slots=True)
class ChainResult:
    """What is known of a signer. ``code`` is OK or the one reason against it."""

    code: Code
    detail: str = ""
    relay: str = ""  # name in the certificate, for RECEIPT


@dataclass(frozen=True, slots=True)
class Link:
    """One certificate below the anchor, and the lists of its issuer; None: its issuer has none and need not."""

    subject: str
    not_after: datetime
    listings: tuple[Listing, ...] | None


@dataclass(frozen=True, slots=True)
class Path:
    """A chain that holds whatever the time, and what time has to say about it."""

    certificates: tuple[Certificate, ...]  # leaf first, anchor last
    links: tuple[Link, ...]

    def at(self, moment: datetime) -> ChainResult:
        """Judge validity and revocation at a moment."""
        for certificate in self.certificates:
            if moment < certificate.not_before:
                return ChainResult(
                    Code.CERTIFICATE_NOT_YET_VALID,
                    f"{certificate.subject}, {certificate.not_before:%Y-%m-%d}",
                )
            if moment > certificate.not_after:
                return ChainResult(
                    Code.CERTIFICATE_EXPIRED, f"{certificate.subject}, {certificate.not_after:%Y-%m-%d}"
                )
        unknown = None
        for link in self.links:
            if link.listings is None:
                continue
            if any(listing.revoked(moment) for listing in link.listings):
                return ChainResult(Code.CERTIFICATE_REVOKED, link.subject)
            if not any(listing.usable(moment, link.not_after) for listing in link.listings):
                unknown = unknown or ChainResult(
                    Code.REVOCATION_UNKNOWN, f"no usable list for {link.subject}"
                )
        return unknown or ChainResult(Code.OK)


@dataclass(frozen=True, slots=True)
class Assessment:
    """Everything about one chain that does not depend on time: ``paths``, or the ``fault`` that rules them out."""

    paths: tuple[Path, ...]
    fault: ChainResult
    relay: str = ""

    def at(self, moment: datetime) -> ChainResult:
        """Judge at a moment: OK if one path holds, else what the first path lacks."""
        first = None
        for path in self.paths:
            result = path.at(moment)
            if result.code is Code.OK:
                return ChainResult(Code.OK, relay=self.relay)
            first = first or result
        return first or self.fault


def assess(
    chain: Sequence[Certificate],
    purpose: Purpose,
    anchors: dict[bytes, list[Certificate]],
    lists: RevocationLists,
) -> Assessment:
    """Work out the paths from ``chain[0]`` to an anchor.

    Args:
        chain: the leaf and whatever else came with the signature, in any order.
        purpose: what the leaf is to sign.
        anchors: by the DER of their subject.
        lists: revocation lists by issuer.
    """
    leaf = chain[0]
    try:
        relay = _check_leaf(leaf, purpose)
    except RefusedError as error:
        return Assessment((), ChainResult(error.code, error.detail))
    pool: dict[bytes, list[Certificate]] = {}
    for certificate in chain[1:]:
        pool.setdefault(certificate.x509.subject.public_bytes(), []).append(certificate)
    builder = _Builder(anchors, pool)
    paths = []
    for certificates in builder.paths((leaf,)):
        links = tuple(
            Link(certificate.subject, certificate.not_after, lists.of(certificate, issuer, certificates[-1]))
            for certificate, issuer in pairwise(certificates)
        )
        paths.append(Path(certificates, links))
        if len(paths) == _MAX_PATHS:
            break
    return Assessment(
        tuple(paths), builder.fault or ChainResult(Code.UNKNOWN_CA, leaf.x509.issuer.rfc4514_string()), relay
    )


class _Builder:
    """Depth-first search, bounded in depth and in signatures checked."""

    def __init__(self, anchors: dict[bytes, list[Certificate]], pool: dict[bytes, list[Certificate]]) -> None:
        self._anchors = anchors
        self._pool = pool
        self._checks = 0
        self.fault: ChainResult | None = None  # met on the way to an anchor: says more than "unknown CA"

    def paths(self, below: tuple[Certificate, ...]) -> Iterator[tuple[Certificate, ...]]:
        """Yield the ways from the last certificate of ``below`` up to an anchor."""
        if len(below) >= MAX_PATH:
            return
        child = below[-1]
        name = child.x509.issuer.public_bytes()
        for anchor in self._anchors.get(name, ()):
            if self._issued(child, anchor, below):
                yield (*below, anchor)
        known = {certificate.sha256 for certificate in below}
        for issuer in self._pool.get(name, ()):
            if issuer.sha256 not in known and self._issued(child, issuer, below):
                yield from self.paths((*below, issuer))

    def _issued(self, child: Certificate, issuer: Certificate, below: tuple[Certificate, ...]) -> bool:
        if self._checks >= _MAX_CHECKS:
            return False
        self._checks += 1
        try:
            child.x509.verify_directly_issued_by(issuer.x509)
        except (InvalidSignature, ValueError, TypeError):
            return False
        except Exception:  # noqa: BLE001 -- an algorithm that the library refuses
            self.fault = ChainResult(Code.BAD_CERTIFICATE, f"{child.subject}: signature algorithm not taken")
            return False
        try:
            if not isinstance(child.x509.signature_hash_algorithm, _HASHES):
                raise RefusedError(Code.BAD_CERTIFICATE, f"{child.subject}: signed with a weak hash")
            intermediates = sum(1 for each in below[1:] if each.x509.subject != each.x509.issuer)
            _check_issuer(issuer, intermediates)
        except RefusedError as error:
            self.fault = self.fault or ChainResult(error.code, error.detail)
            return False
        return True


def _extensions(certificate: Certificate) -> x509.Extensions:
    try:
        extensions = certificate.x509.extensions
    except Exception as error:
        raise RefusedError(
            Code.BAD_CERTIFICATE, f"{certificate.subject}: extensions cannot be read"
        ) from error
    for extension in extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise RefusedError(
                Code.BAD_CERTIFICATE,
                f"{certificate.subject}: critical extension {extension.oid.dotted_string}",
            )
        if isinstance(extension.value, x509.NameConstraints):
            raise RefusedError(
                Code.BAD_CERTIFICATE, f"{certificate.subject}: name constraints are not understood"
            )
    return extensions


def _usage(extensions: x509.Extensions) -> x509.KeyUsage | None:
    try:
        return extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _constraints(extensions: x509.Extensions) -> x509.BasicConstraints | None:
    try:
        return extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return None


def _check_leaf(leaf: Certificate, purpose: Purpose) -> str:
    extensions = _extensions(leaf)
    constraints = _constraints(extensions)
    if constraints is not None and constraints.ca:
        raise RefusedError(Code.BAD_CERTIFICATE, "a certificate authority's certificate signs no content")
    usage = _usage(extensions)
    if usage is not None and not (usage.digital_signature or usage.content_commitment):
        raise RefusedError(Code.BAD_CERTIFICATE, "its key usage is not signing")
    relay = relay_name(leaf)
    if purpose is Purpose.DOCUMENT and relay is not None:
        raise RefusedError(Code.BAD_CERTIFICATE, "a relay's certificate signs no document")
    if purpose is Purpose.RECEIPT and not relay:
        raise RefusedError(Code.BAD_CERTIFICATE, "not a relay's certificate")
    return relay or ""


def _check_issuer(issuer: Certificate, intermediates: int) -> None:
    extensions = _extensions(issuer)
    constraints = _constraints(extensions)
    if constraints is None or not constraints.ca:
        raise RefusedError(Code.BAD_CERTIFICATE, f"{issuer.subject}: not a certificate authority")
    if constraints.path_length is not None and intermediates > constraints.path_length:
        raise RefusedError(Code.BAD_CERTIFICATE, f"{issuer.subject}: path length exceeded")
    usage = _usage(extensions)
    if usage is not None and not usage.key_cert_sign:
        raise RefusedError(Code.BAD_CERTIFICATE, f"{issuer.subject}: may not sign certificates")
