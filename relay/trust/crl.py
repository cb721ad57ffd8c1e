"""Revocation lists (RFC 5280, section 5) from files: which of them speak for a certificate, and what they say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from relay.trust.certificate import Certificate

_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


@dataclass(frozen=True, slots=True)
class Listing:
    """What one list says of one certificate."""

    this_update: datetime
    next_update: datetime
    revoked_at: datetime | None

    def usable(self, moment: datetime, not_after: datetime) -> bool:
        """Whether "not listed" can be believed at a moment for a certificate that ends at ``not_after``.

        A list made after that moment (old evidence, a clock that is a little slow) knows more, not less, unless the
        certificate had ended before: lists drop those.
        """
        return moment <= self.next_update and (self.this_update <= moment or self.this_update <= not_after)

    def revoked(self, moment: datetime) -> bool:
        """Whether it was revoked at that moment. A list past its date is believed in this."""
        return self.revoked_at is not None and self.revoked_at <= moment


class RevocationLists:
    """All configured lists.

    Args:
        lists: as read; whether a list is its issuer's own is checked when it is asked for.
        unlisted: SHA-256 (hex) of the certificates of anchors under which an issuer may be without a list.
    """

    def __init__(self, lists: Iterable[x509.CertificateRevocationList], unlisted: frozenset[str]) -> None:
        self._by_issuer: dict[bytes, list[x509.CertificateRevocationList]] = {}
        for revocations in lists:
            self._by_issuer.setdefault(revocations.issuer.public_bytes(), []).append(revocations)
        self._unlisted = unlisted

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

    def of(
        self, certificate: Certificate, issuer: Certificate, anchor: Certificate
    ) -> tuple[Listing, ...] | None:
        """Return what the lists of ``issuer`` say of ``certificate``; None where it has none and need not."""
        listings = []
        for revocations in self._by_issuer.get(issuer.x509.subject.public_bytes(), ()):
            listing = _listing(revocations, certificate, issuer)
            if listing is not None:
                listings.append(listing)
        if not listings and anchor.sha256 in self._unlisted:
            return None
        return tuple(listings)


def _listing(
    revocations: x509.CertificateRevocationList, certificate: Certificate, issuer: Certificate
) -> Listing | None:
    """Return None where the list is not the issuer's, or does not speak of such a certificate."""
    try:
        if not isinstance(revocations.signature_hash_algorithm, _HASHES):
            return None
        if not _may_sign_lists(issuer) or not revocations.is_signature_valid(issuer.key):
            return None
        if not _in_scope(revocations, certificate):
            return None
        next_update = revocations.next_update_utc
        if next_update is None:
            return None
        entry = revocations.get_revoked_certificate_by_serial_number(certificate.x509.serial_number)
        revoked_at = None if entry is None else entry.revocation_date_utc
    except Exception:  # noqa: BLE001 -- a damaged list says nothing: the check fails closed
        return None
    return Listing(revocations.last_update_utc, next_update, revoked_at)


def _may_sign_lists(issuer: Certificate) -> bool:
    try:
        return issuer.x509.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True


def _in_scope(revocations: x509.CertificateRevocationList, certificate: Certificate) -> bool:
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
