"""From a signer's certificate to a configured anchor, and what lists and answers of revoked certificates say.

Paths are built here, by the rules of RFC 5280 (6.1) that a signer of documents needs: the verifier of ``cryptography``
is made for TLS and knows neither policies nor revocation nor names but hosts, that of ``pyhanko-certvalidator`` reads
each certificate with a second parser and fetches while it judges. A test compares the two. Everything fails
closed: an unknown critical extension, a constraint that is not understood, an issuer without a usable list.

The checks by name: ``issued_by``, ``check_hash``, ``check_extensions``, ``check_authority``, ``check_path_length``,
``check_authority_usage``, ``check_purposes``, ``check_no_authority``, ``check_usage``, ``check_no_other_work``,
``check_relay``, here; ``check_names`` (``constraints``), ``check_policies`` (``policies``), ``check_exponent``
(``certificate``); over time ``Path.in_time``, ``Path.revoked``, ``Path.vouched``; of lists ``list_signed_by``,
``may_sign_lists``, ``in_scope`` (``crl``).

What does not depend on time is worked out once for each chain and kept. Over time an answer changes only at certain
moments (a certificate ends, a list is out of date); between two of them it is worked out once and kept.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from relay.errors import Code, RefusedError
from relay.trust.certificate import Certificate, relay_name
from relay.trust.constraints import check_names
from relay.trust.crl import Listing, Needed, Revocations, Source, shifted
from relay.trust.policies import check_policies

MAX_PATH: Final = 6
_MAX_PATHS: Final = 8
_MAX_CHECKS: Final = 64  # signatures checked for one chain, against certificates that all issue one another
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_TICK: Final = timedelta(microseconds=1)
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
        x509.NameConstraints.oid,
        x509.PolicyConstraints.oid,
        x509.InhibitAnyPolicy.oid,
    }
)
_E = TypeVar("_E", bound=x509.ExtensionType)
_ANY_PURPOSE: Final = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string
_OTHER_WORK: Final = frozenset({ExtendedKeyUsageOID.OCSP_SIGNING, ExtendedKeyUsageOID.TIME_STAMPING})


class Purpose(StrEnum):
    """What a certificate is asked to sign."""

    DOCUMENT = "document"  # no relay may
    RECEIPT = "receipt"  # only a relay may: URI SAN urn:truc:relay:<name>


class Revocation(StrEnum):
    """What is known of a chain's revocation."""

    GOOD = "good"  # every certificate below the anchor is covered by a list or answer, and not revoked
    REVOKED = "revoked"
    UNKNOWN = "unknown"  # something on the way is covered by none that can be used
    UNCHECKED = "unchecked"  # there is no chain, or its anchor is one whose issuers need no list


@dataclass(frozen=True, slots=True)
class ChainResult:
    """What is known of a signer. ``code`` is OK or the one reason against it."""

    code: Code
    detail: str = ""
    relay: str = ""  # name in the certificate, for RECEIPT
    chain: tuple[Certificate, ...] = ()
    """Leaf to anchor; empty where none was found."""
    revocation: Revocation = Revocation.UNCHECKED
    source: Source | None = None
    """What told the revocation state: of the signer's certificate, or of the one that is revoked."""
    made_at: datetime | None = None
    """When that list or answer was made (thisUpdate)."""
    stale: bool = False
    """Something on the way rests on material past its date, in its time of grace."""
    until: datetime | None = None
    """Last moment at which the same material says the same; None: for ever."""


@dataclass(frozen=True, slots=True)
class PathRules:
    """What the settings ask of a path."""

    policies: frozenset[str] = frozenset()  # dotted; one has to be valid; empty: any
    purposes: frozenset[str] = (
        frozenset()
    )  # dotted extended key usages of which one has to be there; empty: any
    needed: Mapping[str, Needed] = field(default_factory=dict)  # by SHA-256 of the anchor
    grace: timedelta = timedelta()  # how long material past its date is believed
    skew: timedelta = timedelta()  # how far the clocks of issuers may be ahead of ours


@dataclass(frozen=True, slots=True)
class Link:
    """One certificate below the anchor, and what is said of it; None: its issuer has no list and need not."""

    subject: str
    not_after: datetime
    listings: tuple[Listing, ...] | None
    needed: Needed = "either"

    def good(self, moment: datetime, grace: timedelta, skew: timedelta) -> Listing | None:
        """Return the best that vouches for it at a moment: one that is not past its date, then the latest."""
        usable = [
            each
            for each in self.listings or ()
            if self.needed in {"either", each.source} and each.usable(moment, self.not_after, grace, skew)
        ]
        return max(usable, key=lambda each: (moment <= each.next_update, each.this_update), default=None)


@dataclass(frozen=True, slots=True)
class Path:
    """A chain that holds whatever the time, and what time has to say about it."""

    certificates: tuple[Certificate, ...]  # leaf first, anchor last
    links: tuple[Link, ...]

    def at(self, moment: datetime, rules: PathRules) -> ChainResult:
        """Judge validity and revocation at a moment."""
        return self.in_time(moment, rules) or self.revoked(moment) or self.vouched(moment, rules)

    def in_time(self, moment: datetime, rules: PathRules) -> ChainResult | None:
        """Return what the dates of the certificates have against it."""
        for certificate in self.certificates:
            if moment < shifted(certificate.not_before, -rules.skew):
                return self._fault(
                    Code.CERTIFICATE_NOT_YET_VALID,
                    f"{certificate.subject}, {certificate.not_before:%Y-%m-%d}",
                )
            if moment > certificate.not_after:
                return self._fault(
                    Code.CERTIFICATE_EXPIRED, f"{certificate.subject}, {certificate.not_after:%Y-%m-%d}"
                )
        return None

    def revoked(self, moment: datetime) -> ChainResult | None:
        """Return that one of the certificates was revoked by then, if a list or an answer says so."""
        for link in self.links:
            for listing in link.listings or ():
                if listing.revoked(moment):
                    return replace(
                        self._fault(Code.CERTIFICATE_REVOKED, link.subject),
                        revocation=Revocation.REVOKED,
                        source=listing.source,
                        made_at=listing.this_update,
                    )
        return None

    def vouched(self, moment: datetime, rules: PathRules) -> ChainResult:
        """Return OK if something that can be used says of each certificate that it is not revoked."""
        used = [link.good(moment, rules.grace, rules.skew) for link in self.links]
        for link, found in zip(self.links, used, strict=True):
            if found is None and link.listings is not None:
                return replace(
                    self._fault(Code.REVOCATION_UNKNOWN, f"no usable list or answer for {link.subject}"),
                    revocation=Revocation.UNKNOWN,
                )
        leaf = used[0]
        return ChainResult(
            Code.OK,
            chain=self.certificates,
            revocation=Revocation.UNCHECKED if None in used else Revocation.GOOD,
            source=leaf.source if leaf is not None else None,
            made_at=leaf.this_update if leaf is not None else None,
            stale=any(each is not None and moment > each.next_update for each in used),
        )

    def _fault(self, code: Code, detail: str) -> ChainResult:
        return ChainResult(code, detail, chain=self.certificates)

    def turns(self, rules: PathRules) -> Iterator[datetime]:
        """Yield the moments from which on ``at`` may say something else than before."""
        for certificate in self.certificates:
            yield shifted(certificate.not_before, -rules.skew)
            yield shifted(certificate.not_after, _TICK)
        for link in self.links:
            for listing in link.listings or ():
                yield from listing.turns(rules.grace, rules.skew)


class Assessment:
    """Everything about one chain under one set of material: its paths, or the fault that rules them out.

    ``at`` keeps its answers, each for the span of time in which nothing can change it.
    """

    __slots__ = ("_answers", "_fault", "_paths", "_relay", "_rules", "_turns", "names")

    def __init__(
        self, paths: tuple[Path, ...], fault: ChainResult, relay: str = "", rules: PathRules | None = None
    ) -> None:
        self._paths = paths
        self._fault = fault
        self._relay = relay
        self._rules = rules or PathRules()
        self._turns = sorted({turn for path in paths for turn in path.turns(self._rules)})
        self._answers: dict[int, ChainResult] = {}
        self.names = frozenset(each.sha256 for path in paths for each in path.certificates)
        """SHA-256 of all certificates that it rests on."""

    def at(self, moment: datetime) -> ChainResult:
        """Judge at a moment: OK if one path holds, else what the first path lacks."""
        span = bisect_right(self._turns, moment)
        answer = self._answers.get(span)
        if answer is None:
            until = self._turns[span] - _TICK if span < len(self._turns) else None
            answer = self._answers[span] = replace(self.judged(moment), until=until)
        return answer

    def judged(self, moment: datetime) -> ChainResult:
        """Judge at a moment from the material itself."""
        first = None
        for path in self._paths:
            result = path.at(moment, self._rules)
            if result.code is Code.OK:
                return replace(result, relay=self._relay) if self._relay else result
            first = first or result
        return first or self._fault


def assess(
    chain: Sequence[Certificate],
    purpose: Purpose,
    anchors: Mapping[bytes, Sequence[Certificate]],
    revocations: Revocations,
    known: Mapping[bytes, Sequence[Certificate]] | None = None,
    rules: PathRules | None = None,
) -> Assessment:
    """Work out the paths from ``chain[0]`` to an anchor.

    Args:
        chain: the leaf and whatever else came with the signature, in any order.
        purpose: what the leaf is to sign.
        anchors: by the DER of their subject.
        revocations: lists and answers.
        known: further certificates of authorities, by the DER of their subject; they are trusted in nothing.
        rules: what the settings ask.
    """
    try:
        return _assess(chain, purpose, anchors, revocations, known or {}, rules or PathRules())
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 -- fail closed: no certificate may stop a worker
        fault = f"a surprise of ours: {type(error).__name__}"
        return Assessment((), ChainResult(Code.BAD_CERTIFICATE, fault))


def _assess(
    chain: Sequence[Certificate],
    purpose: Purpose,
    anchors: Mapping[bytes, Sequence[Certificate]],
    revocations: Revocations,
    known: Mapping[bytes, Sequence[Certificate]],
    rules: PathRules,
) -> Assessment:
    leaf = chain[0]
    try:
        check_extensions(leaf)
        check_no_authority(leaf)
        check_usage(leaf)
        check_no_other_work(leaf)
        check_purposes(leaf, rules.purposes)
        relay = check_relay(leaf, purpose)
    except RefusedError as error:
        return Assessment((), ChainResult(error.code, error.detail))
    pool: dict[bytes, list[Certificate]] = {}
    for certificate in chain[1:]:
        pool.setdefault(certificate.x509.subject.public_bytes(), []).append(certificate)
    builder = _Builder(anchors, pool, known, rules)
    paths = []
    for certificates in builder.paths((leaf,)):
        anchor = certificates[-1]
        needed = rules.needed.get(anchor.sha256, rules.needed.get("", "either"))
        links = tuple(
            Link(
                certificate.subject,
                certificate.not_after,
                revocations.of(certificate, issuer, anchor),
                # authorities publish lists; who asks for answers means those who sign
                needed if index == 0 or needed == "crl" else "either",
            )
            for index, (certificate, issuer) in enumerate(pairwise(certificates))
        )
        paths.append(Path(certificates, links))
        if len(paths) == _MAX_PATHS:
            break
    return Assessment(
        tuple(paths),
        builder.fault or ChainResult(Code.UNKNOWN_CA, leaf.x509.issuer.rfc4514_string()),
        relay,
        rules,
    )


class _Builder:
    """Depth-first search, bounded in depth and in signatures checked."""

    def __init__(
        self,
        anchors: Mapping[bytes, Sequence[Certificate]],
        pool: Mapping[bytes, Sequence[Certificate]],
        known: Mapping[bytes, Sequence[Certificate]],
        rules: PathRules,
    ) -> None:
        self._anchors = anchors
        self._pool = pool
        self._known = known
        self._rules = rules
        self._checks = 0
        self.fault: ChainResult | None = None  # met on the way to an anchor: says more than "unknown CA"

    def paths(self, below: tuple[Certificate, ...]) -> Iterator[tuple[Certificate, ...]]:
        """Yield the ways from the last certificate of ``below`` up to an anchor."""
        if len(below) >= MAX_PATH:
            return
        child = below[-1]
        name = child.x509.issuer.public_bytes()
        for anchor in self._anchors.get(name, ()):
            if self._issued(child, anchor, below) and self._constrained((*below, anchor)):
                yield (*below, anchor)
        seen = {certificate.sha256 for certificate in below}
        seen |= {anchor.sha256 for anchor in self._anchors.get(name, ())}
        # What we know ourselves comes first: a signature that is full of useless certificates leads nobody astray.
        for issuer in (*self._known.get(name, ()), *self._pool.get(name, ())):
            if issuer.sha256 not in seen and self._issued(child, issuer, below):
                seen.add(issuer.sha256)
                yield from self.paths((*below, issuer))

    def _issued(self, child: Certificate, issuer: Certificate, below: tuple[Certificate, ...]) -> bool:
        if self._checks >= _MAX_CHECKS:
            return False
        self._checks += 1
        try:
            if not issued_by(child, issuer):
                return False
            check_hash(child)
            check_extensions(issuer)
            check_authority(issuer)
            check_path_length(issuer, below)
            check_authority_usage(issuer)
            check_purposes(issuer, self._rules.purposes)
        except RefusedError as error:
            self.fault = self.fault or ChainResult(error.code, error.detail)
            return False
        return True

    def _constrained(self, path: tuple[Certificate, ...]) -> bool:
        try:
            check_names(path)
            check_policies(path, self._rules.policies)
        except RefusedError as error:
            self.fault = self.fault or ChainResult(error.code, error.detail)
            return False
        return True


# --- the checks, each by its own name: a test switches them off one by one, and each is missed by somebody


def issued_by(child: Certificate, issuer: Certificate) -> bool:
    """Whether the issuer's name stands in ``child`` and its key signed it. Raises for an algorithm that is not taken."""
    try:
        child.x509.verify_directly_issued_by(issuer.x509)
    except (InvalidSignature, ValueError, TypeError):
        return False
    except Exception as error:
        raise RefusedError(Code.BAD_CERTIFICATE, f"{child.subject}: signature algorithm not taken") from error
    return True


def check_hash(certificate: Certificate) -> None:
    """A certificate is signed with SHA-2."""
    if not isinstance(certificate.x509.signature_hash_algorithm, _HASHES):
        raise RefusedError(Code.BAD_CERTIFICATE, f"{certificate.subject}: signed with a weak hash")


def check_extensions(certificate: Certificate) -> None:
    """Extensions can be read, and none that is critical is unknown (RFC 5280, 4.2)."""
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


def check_authority(issuer: Certificate) -> None:
    """An issuer says that it is an authority (RFC 5280, 4.2.1.9)."""
    constraints = _extension(issuer, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise RefusedError(Code.BAD_CERTIFICATE, f"{issuer.subject}: not a certificate authority")


def check_path_length(issuer: Certificate, below: Sequence[Certificate]) -> None:
    """No more authorities below an issuer than it allows; self-issued ones do not count (RFC 5280, 4.2.1.9)."""
    constraints = _extension(issuer, x509.BasicConstraints)
    allowed = None if constraints is None else constraints.path_length
    between = sum(1 for each in below[1:] if each.x509.subject != each.x509.issuer)
    if allowed is not None and between > allowed:
        raise RefusedError(Code.BAD_CERTIFICATE, f"{issuer.subject}: path length exceeded")


def check_authority_usage(issuer: Certificate) -> None:
    """An issuer's key usage, if any, is signing certificates (RFC 5280, 4.2.1.3)."""
    usage = _extension(issuer, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise RefusedError(Code.BAD_CERTIFICATE, f"{issuer.subject}: may not sign certificates")


def check_purposes(certificate: Certificate, wanted: frozenset[str]) -> None:
    """Of the extended key usages that the settings ask for one is there, or none at all (RFC 5280, 4.2.1.12)."""
    usages = _extension(certificate, x509.ExtendedKeyUsage)
    if not wanted or usages is None:
        return
    if not {each.dotted_string for each in usages} & {*wanted, _ANY_PURPOSE}:
        raise RefusedError(
            Code.BAD_CERTIFICATE, f"{certificate.subject}: none of the extended key usages that are asked for"
        )


def check_no_authority(leaf: Certificate) -> None:
    """A signer is no authority."""
    constraints = _extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise RefusedError(Code.BAD_CERTIFICATE, "a certificate authority's certificate signs no content")


def check_usage(leaf: Certificate) -> None:
    """A signer's key usage, if any, is signing."""
    usage = _extension(leaf, x509.KeyUsage)
    if usage is not None and not (usage.digital_signature or usage.content_commitment):
        raise RefusedError(Code.BAD_CERTIFICATE, "its key usage is not signing")


def check_no_other_work(leaf: Certificate) -> None:
    """A time-stamper's or an OCSP responder's certificate signs nothing else (RFC 3161, 2.3; RFC 6960, 4.2.2.2)."""
    usages = _extension(leaf, x509.ExtendedKeyUsage)
    if usages is not None and _OTHER_WORK & set(usages):
        raise RefusedError(
            Code.BAD_CERTIFICATE, "its extended key usage is that of a time-stamper or responder"
        )


def check_relay(leaf: Certificate, purpose: Purpose) -> str:
    """Relays sign receipts and no documents, others the other way round; return the relay's name."""
    relay = relay_name(leaf)
    if purpose is Purpose.DOCUMENT and relay is not None:
        raise RefusedError(Code.BAD_CERTIFICATE, "a relay's certificate signs no document")
    if purpose is Purpose.RECEIPT and not relay:
        raise RefusedError(Code.BAD_CERTIFICATE, "not a relay's certificate")
    return relay or ""


def _extension(certificate: Certificate, kind: type[_E]) -> _E | None:
    try:
        return certificate.x509.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
