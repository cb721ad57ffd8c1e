"""Revocation lists (RFC 5280, section 5): which of them speak for a certificate, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from relay.trust.certificate import Certificate

Source = Literal["crl", "ocsp"]
Needed = Literal["either", "crl", "ocsp"]
"""By what a certificate has to be vouched for. What any source says to be revoked is revoked."""

_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_TICK: Final = timedelta(microseconds=1)
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Listing:
    """What one list or answer says of one certificate."""

    this_update: datetime
    next_update: datetime
    revoked_at: datetime | None
    source: Source = "crl"

    def usable(
        self,
        moment: datetime,
        not_after: datetime,
        grace: timedelta = timedelta(),
        skew: timedelta = timedelta(),
    ) -> bool:
        """Whether "not revoked" can be believed at a moment for a certificate that ends at ``not_after``.

        A list made after that moment (old evidence, a clock that is a little slow) knows more, not less, unless the
        certificate had ended before: lists drop those.
        """
        if moment > shifted(self.next_update, grace):
            return False
        return shifted(self.this_update, -skew) <= moment or self.this_update <= not_after

    def revoked(self, moment: datetime) -> bool:
        """Whether it was revoked at that moment. A list past its date is believed in this."""
        return self.revoked_at is not None and self.revoked_at <= moment

    def turns(self, grace: timedelta, skew: timedelta) -> Iterator[datetime]:
        """Yield the moments from which on the answers above, or which of two is the better one, may be others."""
        yield shifted(self.this_update, -skew)
        yield shifted(self.next_update, _TICK)
        if grace:
            yield shifted(shifted(self.next_update, grace), _TICK)
        if self.revoked_at is not None:
            yield self.revoked_at


def shifted(moment: datetime, by: timedelta) -> datetime:
    """Return a moment moved; where the calendar ends, its end."""
    try:
        return moment + by
    except OverflowError:
        return _LAST if by > timedelta() else _FIRST


class RevocationLists:
    """All lists that were read.

    Args:
        lists: as read; whether a list is its issuer's own is checked when it is asked for.
        unlisted: SHA-256 (hex) of the certificates of anchors under which an issuer may be without a list.
    """

    def __init__(
        self, lists: Iterable[x509.CertificateRevocationList], unlisted: frozenset[str] = frozenset()
    ) -> None:
        self._by_issuer: dict[bytes, list[x509.CertificateRevocationList]] = {}
        for revocations in lists:
            self._by_issuer.setdefault(revocations.issuer.public_bytes(), []).append(revocations)
        self._unlisted = unlisted
        self._signed: dict[tuple[int, str], bool] = {}

    def end(self) -> datetime | None:
        """Return the earliest time, over the issuers, at which the latest of their lists is out of date."""
        latest = [
            max(ends)
            for lists in self._by_issuer.values()
            if (ends := [each.next_update_utc for each in lists if each.next_update_utc is not None])
        ]
        return min(latest, default=None)

    def made(self) -> datetime | None:
        """Return when the latest list of that issuer was made whose latest list is the oldest; None: no list."""
        latest = [max(each.last_update_utc for each in lists) for lists in self._by_issuer.values()]
        return min(latest, default=None)

    def by_issuer(self) -> Mapping[bytes, Sequence[x509.CertificateRevocationList]]:
        """Return the lists by the DER of their issuer's name."""
        return self._by_issuer

    def need_not(self, anchor: Certificate) -> bool:
        """Whether issuers under this anchor may be without a list."""
        return anchor.sha256 in self._unlisted

    def of(self, certificate: Certificate, issuer: Certificate) -> tuple[Listing, ...]:
        """Return what the lists of ``issuer`` say of ``certificate``."""
        listings = []
        for revocations in self._by_issuer.get(issuer.x509.subject.public_bytes(), ()):
            listing = _listing(revocations, certificate, issuer, self._is_signed)
            if listing is not None:
                listings.append(listing)
        return tuple(listings)

    def _is_signed(self, revocations: x509.CertificateRevocationList, issuer: Certificate) -> bool:
        """A long list is hashed once for each issuer, not with each certificate."""
        name = (id(revocations), issuer.sha256)
        known = self._signed.get(name)
        if known is None:
            known = self._signed[name] = list_signed_by(revocations, issuer)
        return known


class Revocations:
    """Lists and answers together."""

    def __init__(
        self,
        lists: RevocationLists,
        answers: Callable[[Certificate, Certificate], Sequence[Listing]] | None = None,
    ) -> None:
        """``answers`` gives what OCSP said of a certificate of an issuer."""
        self.lists = lists
        self._answers = answers

    def of(
        self, certificate: Certificate, issuer: Certificate, anchor: Certificate
    ) -> tuple[Listing, ...] | None:
        """Return what is said of ``certificate``; None where its issuer publishes nothing and need not."""
        found = self.lists.of(certificate, issuer)
        if self._answers is not None:
            found = (*found, *self._answers(certificate, issuer))
        if not found and self.lists.need_not(anchor):
            return None
        return found


def check_readable(revocations: x509.CertificateRevocationList) -> None:
    """Read what the library reads when it is asked for: name, dates, extensions. Raises ``ValueError``."""
    try:
        revocations.issuer.public_bytes()
        _ = (revocations.last_update_utc, revocations.next_update_utc, revocations.extensions)
    except Exception as error:  # it raises more kinds than it names
        raise ValueError("not a list that can be read") from error


def list_signed_by(revocations: x509.CertificateRevocationList, issuer: Certificate) -> bool:
    """Whether a list is that of the issuer: his name, his right to sign lists, his signature with a hash that is taken."""
    try:
        if revocations.issuer != issuer.x509.subject or not may_sign_lists(issuer):
            return False
        if not isinstance(revocations.signature_hash_algorithm, _HASHES):
            return False
        return revocations.is_signature_valid(issuer.key)
    except Exception:  # noqa: BLE001 -- what the library refuses is signed by nobody
        return False


def list_number(revocations: x509.CertificateRevocationList) -> int | None:
    """Return the CRL number (RFC 5280, 5.2.3); None: it has none. Raises what the library raises on damaged ones."""
    try:
        return revocations.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return None


def list_scope(revocations: x509.CertificateRevocationList) -> bytes:
    """Return what tells the lists of one issuer apart: the DER of the issuing distribution point; empty: none."""
    try:
        return revocations.extensions.get_extension_for_class(
            x509.IssuingDistributionPoint
        ).value.public_bytes()
    except x509.ExtensionNotFound:
        return b""


def _listing(
    revocations: x509.CertificateRevocationList,
    certificate: Certificate,
    issuer: Certificate,
    is_signed: Callable[[x509.CertificateRevocationList, Certificate], bool],
) -> Listing | None:
    """Return None where the list is not the issuer's, or does not speak of such a certificate."""
    try:
        if not is_signed(revocations, issuer) or not in_scope(revocations, certificate):
            return None
        next_update = revocations.next_update_utc
        if next_update is None:
            return None
        entry = revocations.get_revoked_certificate_by_serial_number(certificate.x509.serial_number)
        revoked_at = None if entry is None else entry.revocation_date_utc
        return Listing(revocations.last_update_utc, next_update, revoked_at)
    except Exception:  # noqa: BLE001 -- a damaged list says nothing: the check fails closed
        return None


def may_sign_lists(issuer: Certificate) -> bool:
    """Whether the key usage lets it sign lists."""
    try:
        return issuer.x509.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True


def in_scope(revocations: x509.CertificateRevocationList, certificate: Certificate) -> bool:
    """Whether a list speaks of such a certificate: neither a delta nor in part, and what is critical is understood."""
    for extension in revocations.extensions:
        value = extension.value
        if isinstance(value, x509.IssuingDistributionPoint):
            if value.indirect_crl or value.only_some_reasons or value.only_contains_attribute_certs:
                return False
            authority = _is_authority(certificate)
            if (value.only_contains_user_certs and authority) or (
                value.only_contains_ca_certs and not authority
            ):
                return False
            if value.relative_name is not None:
                return False
            if value.full_name is not None and not _points_to(certificate, set(value.full_name)):
                return False
        elif extension.critical:  # a delta list, or what nobody here understands
            return False
    return True


def _is_authority(certificate: Certificate) -> bool:
    try:
        return certificate.x509.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _points_to(certificate: Certificate, wanted: set[x509.GeneralName]) -> bool:
    try:
        points = certificate.x509.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return False
    return any(wanted & set(point.full_name or ()) for point in points)
