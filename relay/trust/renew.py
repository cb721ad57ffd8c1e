"""Which lists and answers are to be had, when they are due, and whether what came may take the place of what was there.

Due at half of their life; a list besides at least as often as the settings say. What failed is tried again after half a
minute, then more and more rarely, at least each quarter of an hour. What came is judged in full before it is put on the
shelf: issuer, signature, dates, number, nonce. What is not better than what is there changes nothing.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID

from relay.trust.certificate import Certificate
from relay.trust.chain import Purpose, TrustStore
from relay.trust.crl import Listing, Source, list_number, list_scope, list_signed_by
from relay.trust.fetch import Fetcher, Got
from relay.trust.ocsp import MAX_ANSWER, is_error, nonce_of, question, read_answer, told
from relay.trust.outcome import Outcome
from relay.trust.shelf import Shelf, answer_name, list_name, parse_list

FIRST_AGAIN: Final = 30.0  # seconds after a failure
LAST_AGAIN: Final = 900.0
_SOONEST: Final = 60.0  # seconds between two looks at a source that has nothing new
_MAX_ADDRESSES: Final = 4  # of one certificate
_TAKEN_EXTENSIONS: Final = frozenset({x509.IssuingDistributionPoint.oid})

Signer = tuple[Purpose, Sequence[Certificate]]
"""What a certificate is for; itself and what came with it."""


@dataclass(frozen=True, slots=True)
class RenewPolicy:
    """What the settings say."""

    lists: tuple[str, ...] = ()
    responder: str = ""
    nonce: Literal["off", "try", "require"] = "try"
    every: timedelta = timedelta(hours=1)
    skew: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One list or answer that is to be had."""

    name: str  # of its file
    source: Source
    addresses: tuple[str, ...]  # any of them
    configured: bool  # an operator named them; else a certificate did
    certificate: Certificate | None = None  # that an answer is about
    issuer: Certificate | None = None


@dataclass(frozen=True, slots=True)
class Renewed:
    """What came of one fetch."""

    wanted: Wanted
    outcome: Outcome
    detail: str = ""


class Renewer:
    """Keeps a shelf. To be used from one thread at a time."""

    def __init__(
        self,
        store: TrustStore,
        shelf: Shelf,
        fetcher: Fetcher,
        policy: RenewPolicy,
        *,
        nonce: Callable[[int], bytes] = secrets.token_bytes,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._fetcher = fetcher
        self._policy = policy
        self._nonce = nonce
        self._monotonic = monotonic
        self._next: dict[str, float] = {}
        self._tried: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self.wayless: tuple[Certificate, ...] = ()
        """Those of the certificates that ``wanted`` was given last from which no way to an anchor is known here: for them
        only the lists of the settings are fetched."""

    def wanted(self, signers: Iterable[Signer], now: datetime) -> list[Wanted]:
        """Return what is to be had for these certificates and the authorities above them, each once."""
        found = {
            list_name(address): Wanted(list_name(address), "crl", (address,), True)
            for address in self._policy.lists
        }
        wayless = []
        for purpose, certificates in signers:
            chain = self._store.check(certificates, now, purpose).chain
            if not chain:
                wayless.append(certificates[0])
            for certificate, issuer in pairwise(chain):
                for one in self._of(certificate, issuer):
                    found.setdefault(one.name, one)
        self.wayless = tuple(wayless)
        return list(found.values())

    def due(self, wanted: Iterable[Wanted], now: datetime) -> list[Wanted]:
        """Return those whose time has come."""
        return [one for one in wanted if self._is_due(one, now)]

    def renew(self, wanted: Wanted, now: datetime) -> Renewed:
        """Fetch one, judge it, put it on the shelf. Never raises."""
        result = Renewed(wanted, Outcome.NOT_ALLOWED)
        for address in wanted.addresses:
            result = self._fetch(wanted, address, now)
            if result.outcome.good:
                break
        self._note(wanted, result.outcome, now)
        return result

    def publish(self, results: Iterable[Renewed]) -> None:
        """Tell the readers, if anything was put on the shelf. Raises ``OSError``."""
        if any(one.outcome is Outcome.TAKEN for one in results):
            self._shelf.publish()
            self._store.refresh()

    def tidy(self, wanted: Iterable[Wanted], now: datetime) -> int:
        """Remove what nobody wants any more, once its time is over. Returns how many files."""
        names = {one.name for one in wanted}
        shelved = self._shelf.read()
        ends = {name: each.next_update_utc for name, each in shelved.lists.items()}
        ends |= {answer_name(sha256): each.next_update_utc for sha256, each in shelved.answers.items()}
        gone = [
            name
            for name, end in ends.items()
            if name not in names and (end is None or end + self._store.grace < now)
        ]
        self._shelf.sweep(now.timestamp() - 3600)
        for name in (*gone, *(one for one in shelved.damaged if one not in names)):
            self._shelf.remove(name)
        return len(gone)

    # --- what is wanted

    def _of(self, certificate: Certificate, issuer: Certificate) -> Iterator[Wanted]:
        for addresses in self._points(certificate):
            yield Wanted(list_name(addresses[0]), "crl", addresses, False)
        name = answer_name(certificate.sha256)
        if self._policy.responder:
            yield Wanted(name, "ocsp", (self._policy.responder,), True, certificate, issuer)
        elif addresses := self._responders(certificate):
            yield Wanted(name, "ocsp", addresses, False, certificate, issuer)

    def _points(self, certificate: Certificate) -> Iterator[tuple[str, ...]]:
        try:
            points = certificate.x509.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        except x509.ExtensionNotFound:
            return
        for point in points:
            addresses = self._allowed(_uris(point.full_name or ()))
            if (
                addresses and point.crl_issuer is None and point.reasons is None
            ):  # neither indirect nor in part
                yield addresses

    def _responders(self, certificate: Certificate) -> tuple[str, ...]:
        try:
            access = certificate.x509.extensions.get_extension_for_class(
                x509.AuthorityInformationAccess
            ).value
        except x509.ExtensionNotFound:
            return ()
        ours = [one for one in access if one.access_method == AuthorityInformationAccessOID.OCSP]
        return self._allowed(_uris(one.access_location for one in ours))

    def _allowed(self, addresses: Iterable[str]) -> tuple[str, ...]:
        return tuple(one for one in addresses if self._fetcher.allowed(one))[:_MAX_ADDRESSES]

    # --- when

    def _is_due(self, wanted: Wanted, now: datetime) -> bool:
        clock = self._monotonic()
        held = self._held(wanted)
        if wanted.name not in self._next:
            # The first look in this life: an answer may wait for its half-life, a list is looked for at once.
            return wanted.source == "crl" or held is None or now >= _half(*held)
        if held is None or now > held[1]:  # also when the clock was set forward
            wait = min(self._wait(wanted.name), self._next[wanted.name] - self._tried[wanted.name])
            return clock >= self._tried[wanted.name] + wait
        return clock >= self._next[wanted.name]

    def _wait(self, name: str) -> float:
        failures = self._failures.get(name, 0)
        if not failures:
            return _SOONEST
        first = min(FIRST_AGAIN, self._policy.every.total_seconds())
        return min(first * 2.0 ** min(failures - 1, 10), LAST_AGAIN)

    def _note(self, wanted: Wanted, outcome: Outcome, now: datetime) -> None:
        name, clock = wanted.name, self._monotonic()
        self._tried[name] = clock
        self._failures[name] = 0 if outcome.good else self._failures.get(name, 0) + 1
        if not outcome.good:
            self._next[name] = clock + self._wait(name)
            return
        held = self._read(wanted)
        if held is None:
            self._next[name] = clock + _SOONEST
            return
        this_update, next_update = held
        half = (_half(this_update, next_update) - now).total_seconds()
        wait = half if half > 0 else (next_update - now).total_seconds() / 4
        if wanted.source == "crl" or half <= 0:
            wait = min(wait, self._policy.every.total_seconds())
        self._next[name] = clock + max(wait, min(_SOONEST, self._policy.every.total_seconds()))

    def _held(self, wanted: Wanted) -> tuple[datetime, datetime] | None:
        """Return the dates of what readers have now."""
        if wanted.certificate is not None:
            answer = self._store.answers().get(wanted.certificate.sha256)
            return None if answer is None else _dates(answer.this_update_utc, answer.next_update_utc)
        revocations = self._store.shelved_lists().get(wanted.name)
        return (
            None if revocations is None else _dates(revocations.last_update_utc, revocations.next_update_utc)
        )

    def _read(self, wanted: Wanted) -> tuple[datetime, datetime] | None:
        """Return the dates of what lies on the shelf."""
        octets = self._shelf.octets(wanted.name)
        if octets is None:
            return None
        if wanted.certificate is not None:
            answer = read_answer(octets)
            return None if answer is None else _dates(answer.this_update_utc, answer.next_update_utc)
        revocations = parse_list(octets)
        return (
            None if revocations is None else _dates(revocations.last_update_utc, revocations.next_update_utc)
        )

    # --- what came

    def _fetch(self, wanted: Wanted, address: str, now: datetime) -> Renewed:
        before = self._shelf.octets(wanted.name)
        if wanted.certificate is not None and wanted.issuer is not None:
            nonce = None if self._policy.nonce == "off" else self._nonce(32)
            asked = question(wanted.certificate, wanted.issuer, nonce)
            got = self._fetcher.ask(address, asked, MAX_ANSWER, configured=wanted.configured)
            outcome, octets = self._judged_answer(wanted, got, nonce, before, now)
        else:
            got = self._fetcher.get(address, configured=wanted.configured)
            outcome, octets = self._judged_list(got, before, now)
        if outcome is Outcome.TAKEN:
            try:
                self._shelf.put(wanted.name, octets)
            except OSError as error:
                return Renewed(wanted, Outcome.NOT_STORED, f"{self._shelf.folder}: {error.strerror}")
        return Renewed(wanted, outcome, got.detail)

    def _judged_list(self, got: Got, before: bytes | None, now: datetime) -> tuple[Outcome, bytes]:
        if got.outcome is not Outcome.TAKEN:
            return got.outcome, b""
        anchors, known = self._store.authorities()
        issuers: dict[bytes, list[Certificate]] = {}
        for one in (*anchors, *known):
            issuers.setdefault(one.x509.subject.public_bytes(), []).append(one)
        former = None if before is None else parse_list(before)
        return judge_list(got.octets, former, issuers, now, self._policy.skew)

    def _judged_answer(
        self, wanted: Wanted, got: Got, nonce: bytes | None, before: bytes | None, now: datetime
    ) -> tuple[Outcome, bytes]:
        if got.outcome is not Outcome.TAKEN or wanted.certificate is None or wanted.issuer is None:
            return got.outcome, b""
        answer = read_answer(got.octets)
        if answer is None:
            return (Outcome.RESPONDER_ERROR if is_error(got.octets) else Outcome.UNREADABLE), b""
        if nonce is not None:
            same = nonce_of(answer)
            if same != nonce and (same is not None or self._policy.nonce == "require"):
                return Outcome.NONCE, b""
        listing = told(answer, wanted.certificate, wanted.issuer, self._store.lists())
        if not isinstance(listing, Listing):
            return listing, b""
        if listing.next_update <= now:
            return Outcome.EXPIRED, b""
        if listing.this_update > now + self._policy.skew:
            return Outcome.FUTURE, b""
        former = None if before is None else read_answer(before)
        if former is not None:
            was = told(former, wanted.certificate, wanted.issuer, self._store.lists())
            if isinstance(was, Listing) and was.this_update > listing.this_update:
                return Outcome.ROLLBACK, b""
        return (Outcome.UNCHANGED if got.octets == before else Outcome.TAKEN), got.octets


def judge_list(
    octets: bytes,
    former: x509.CertificateRevocationList | None,
    issuers: Mapping[bytes, Sequence[Certificate]],
    now: datetime,
    skew: timedelta,
) -> tuple[Outcome, bytes]:
    """Judge a list that was fetched.

    Args:
        octets: what came, DER or PEM.
        former: the list that it is to take the place of.
        issuers: authorities that are known, by the DER of their subject.
        now: aware.
        skew: how far ahead of ours the issuer's clock may be.

    Returns TAKEN or UNCHANGED with the list as DER, or what is wrong with it.
    """
    new = parse_list(octets)
    if new is None:
        return Outcome.UNREADABLE, b""
    try:
        candidates = issuers.get(new.issuer.public_bytes(), ())
        if not candidates:
            return Outcome.OTHER_ISSUER, b""
        if not any(list_signed_by(new, issuer) for issuer in candidates):
            return Outcome.BAD_SIGNATURE, b""
        if any(each.critical and each.oid not in _TAKEN_EXTENSIONS for each in new.extensions):
            return Outcome.UNREADABLE, b""  # a delta list, or what nobody here understands
        number, scope = list_number(new), list_scope(new)
        made, end = new.last_update_utc, new.next_update_utc
        der = new.public_bytes(Encoding.DER)
    except Exception:  # noqa: BLE001 -- the library raises more kinds than it names
        return Outcome.UNREADABLE, b""
    if end is None or end <= now:
        return Outcome.EXPIRED, b""
    if made > now + skew:
        return Outcome.FUTURE, b""
    if former is not None:
        if former.public_bytes(Encoding.DER) == der:
            return Outcome.UNCHANGED, der
        try:
            same = former.issuer == new.issuer and list_scope(former) == scope
            was = list_number(former) if same else None
        except Exception:  # noqa: BLE001 -- what lay there is damaged and binds nobody
            same, was = False, None
        if same and (former.last_update_utc > made or (was is not None and (number is None or number < was))):
            return Outcome.ROLLBACK, b""
    return Outcome.TAKEN, der


def _uris(names: Iterable[x509.GeneralName]) -> Iterator[str]:
    return (one.value for one in names if isinstance(one, x509.UniformResourceIdentifier))


def _dates(this_update: datetime, next_update: datetime | None) -> tuple[datetime, datetime]:
    return this_update, next_update or datetime.min.replace(tzinfo=UTC)


def _half(this_update: datetime, next_update: datetime) -> datetime:
    return this_update + (next_update - this_update) / 2
