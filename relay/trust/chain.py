"""The trust store: anchors, intermediates, revocation lists and answers, kept fresh, and the verdict on one chain."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPResponse

from relay.errors import Code, ConfigurationError, RefusedError
from relay.trust.certificate import Certificate, CertificateCache, read_certificate
from relay.trust.crl import Listing, Needed, RevocationLists, Revocations, check_readable
from relay.trust.ocsp import told
from relay.trust.path import Assessment, ChainResult, PathRules, Purpose, Revocation, assess
from relay.trust.shelf import Shelf, Shelved

_CHECK_EVERY: Final = 1.0  # seconds between two looks at the files
_KEPT: Final = 8192
_MAX_FILE: Final = 256 * 1024 * 1024
_SUFFIXES: Final = frozenset({".pem", ".crt", ".cer", ".der", ".crl"})
_DER: Final = Encoding.DER
_PEM: Final = b"-----BEGIN "


@dataclass(frozen=True, slots=True)
class _Sources:
    anchors: tuple[Path, ...]
    crls: tuple[Path, ...]
    unlisted: tuple[Path, ...]
    intermediates: tuple[Path, ...] = ()
    by_list: tuple[Path, ...] = ()
    by_answer: tuple[Path, ...] = ()

    def stamp(self) -> tuple[tuple[str, int, int, int], ...]:
        """What changes when a file changes; a missing file is a change too."""
        found = []
        for group in (
            self.anchors, self.crls, self.unlisted, self.intermediates, self.by_list, self.by_answer
        ):  # fmt: skip
            for path in (each for source in group for each in files_of(source)):
                try:
                    status = path.stat()
                    found.append((str(path), status.st_mtime_ns, status.st_size, status.st_ino))
                except OSError:
                    found.append((str(path), 0, -1, 0))
        return tuple(found)


_Authorities = dict[bytes, list[Certificate]]
"""Certificates by the DER of their subject."""


@dataclass(frozen=True, slots=True)
class _Files:
    """One reading of the configured files."""

    anchors: _Authorities
    intermediates: tuple[Certificate, ...]
    lists: tuple[x509.CertificateRevocationList, ...]
    unlisted: frozenset[str]
    needed: Mapping[str, Needed]


@dataclass(frozen=True, slots=True)
class _Material:
    """All that is in force, and what was worked out from it: both are dropped together."""

    files: _Files
    shelved: Shelved
    known: _Authorities
    revocations: Revocations
    rules: PathRules
    kept: OrderedDict[tuple[str, ...], Assessment] = field(default_factory=OrderedDict)


@dataclass(frozen=True, slots=True)
class Kept:
    """Authorities, lists and answers of another day. They are trusted in nothing."""

    authorities: tuple[Certificate, ...] = ()
    lists: tuple[x509.CertificateRevocationList, ...] = ()
    answers: tuple[OCSPResponse, ...] = ()


class TrustStore:
    """Answers whether a chain is to be trusted at a moment. Safe to use from several threads.

    The files, and the folder of fetched lists and answers, are looked at again at most once a second; a set of files
    that cannot be read (half written) leaves the former one in force, and ``problem`` says so.
    """

    def __init__(
        self,
        sources: _Sources,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        fetched: Path | None = None,
        rules: PathRules | None = None,
        kept: Kept | None = None,
    ) -> None:
        self._sources = sources
        self._kept = kept or Kept()
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._shelf = None if fetched is None else Shelf(fetched)
        self._rules = rules or PathRules()
        self._learnt: tuple[Certificate, ...] = ()
        self._stamp = sources.stamp()
        self._shelf_stamp = self._shelf.stamp() if self._shelf is not None else None
        self._material = self._made(_load(sources), self._shelf.read() if self._shelf else Shelved())
        self._looked = monotonic()
        self.problem = ""
        """Why the last change of the files was not taken; empty if it was."""
        self.taken = 0
        """How many changes of the files were taken."""

    @classmethod
    def from_files(
        cls,
        anchors: Iterable[Path],
        crls: Iterable[Path] = (),
        *,
        anchors_without_crl: Iterable[Path] = (),
        intermediates: Iterable[Path] = (),
        by_list: Iterable[Path] = (),
        by_answer: Iterable[Path] = (),
        fetched: Path | None = None,
        rules: PathRules | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> TrustStore:
        """Read anchors and lists.

        Args:
            anchors: PEM or DER files, or folders of them, of certificate authorities to trust.
            crls: PEM or DER files, or folders, of revocation lists of every issuer on a path.
            anchors_without_crl: anchors under which an issuer that publishes no list is taken as it is; one whose
                lists are there is held to them. They need not stand in ``anchors`` too.
            intermediates: authorities that may lead to an anchor; they are trusted in nothing.
            by_list: those of the anchors under which lists alone vouch for a certificate.
            by_answer: those under which OCSP answers alone vouch for a signer.
            fetched: folder of fetched lists and answers (``relay.trust.shelf``); it may be missing.
            rules: what else is asked of a path; ``needed`` is filled from ``by_list`` and ``by_answer``, the entry
                "" is what holds for the other anchors.
            monotonic: seconds that never go back.

        Raises:
            ConfigurationError: CONFIG-INVALID: a file is missing or cannot be read, or there is no anchor.
        """
        sources = _Sources(
            tuple(anchors),
            tuple(crls),
            tuple(anchors_without_crl),
            tuple(intermediates),
            tuple(by_list),
            tuple(by_answer),
        )
        return cls(sources, monotonic, fetched=fetched, rules=rules)

    def check(
        self, chain: Sequence[Certificate], at: datetime, purpose: Purpose = Purpose.DOCUMENT
    ) -> ChainResult:
        """Judge the leaf ``chain[0]`` at a moment (aware); the rest are certificates that may lead to an anchor.

        The moment may lie in the past: then it is judged what held at that moment, by the material of today.

        Returns a result with OK, UNKNOWN-CA, CERTIFICATE-EXPIRED, CERTIFICATE-NOT-YET-VALID, CERTIFICATE-REVOKED,
        REVOCATION-UNKNOWN or BAD-CERTIFICATE.
        """
        material = self._fresh()
        name = (purpose.value, *(certificate.sha256 for certificate in chain))
        with self._lock:
            assessment = material.kept.get(name)
            if assessment is not None:
                material.kept.move_to_end(name)
        if assessment is None:
            assessment = assess(
                chain, purpose, material.files.anchors, material.revocations, material.known, material.rules
            )
            with self._lock:
                material.kept[name] = assessment
                if len(material.kept) > _KEPT:
                    material.kept.popitem(last=False)
        return assessment.at(at)

    def learn(self, intermediates: Iterable[Certificate]) -> None:
        """Know these authorities too, in place of those that were learnt before. They are trusted in nothing."""
        learnt = tuple({each.sha256: each for each in intermediates}.values())
        with self._lock:
            if {each.sha256 for each in learnt} == {each.sha256 for each in self._learnt}:
                return
            self._learnt = learnt
            old = self._material
            self._material = self._made(old.files, old.shelved, old.revocations.lists)

    def with_kept(
        self,
        authorities: Iterable[Certificate],
        lists: Sequence[x509.CertificateRevocationList],
        answers: Sequence[OCSPResponse],
    ) -> TrustStore:
        """Return a store with the same anchors and rules that also knows what somebody kept of another day.

        Nothing of it is trusted: authorities have to lead to an anchor, lists and answers have to be their issuers' own,
        and what was revoked by today's material stays so.
        """
        made = TrustStore(
            self._sources,
            self._monotonic,
            fetched=None if self._shelf is None else self._shelf.folder,
            rules=self._rules,
            kept=Kept(tuple(authorities), tuple(lists), tuple(answers)),
        )
        made.learn(self._learnt)
        return made

    @property
    def learnt(self) -> tuple[Certificate, ...]:
        """What ``learn`` was told last."""
        return self._learnt

    def refresh(self) -> None:
        """Look at the files if it is time to; ``problem`` tells what came of it."""
        self._fresh()

    def ends(self) -> tuple[datetime, datetime | None]:
        """Return when the first anchor expires, and when the first issuer's latest list is out of date (None: no list)."""
        material = self._material
        anchors = min(each.not_after for group in material.files.anchors.values() for each in group)
        return anchors, material.revocations.lists.end()

    def lists_made(self) -> datetime | None:
        """Return when the oldest of the lists in force was made (each issuer's latest counts); None: no list."""
        return self._material.revocations.lists.made()

    def authorities(self) -> tuple[tuple[Certificate, ...], tuple[Certificate, ...]]:
        """Return the anchors, and the intermediates that are known from files and from ``learn``."""
        material = self._material
        anchors = tuple(each for group in material.files.anchors.values() for each in group)
        return anchors, tuple(each for group in material.known.values() for each in group)

    def lists(self) -> RevocationLists:
        """Return the lists in force."""
        return self._material.revocations.lists

    def answers(self) -> Mapping[str, OCSPResponse]:
        """Return the OCSP answers that were fetched, by the SHA-256 of the certificate; none was believed yet."""
        return self._material.shelved.answers

    def shelved_lists(self) -> Mapping[str, x509.CertificateRevocationList]:
        """Return the lists that were fetched, by the names of their files."""
        return self._material.shelved.lists

    def damaged(self) -> tuple[str, ...]:
        """Return the names of fetched files that cannot be read."""
        return self._material.shelved.damaged

    @property
    def grace(self) -> timedelta:
        """How long material past its date is believed."""
        return self._rules.grace

    def _fresh(self) -> _Material:
        now = self._monotonic()
        if now - self._looked < _CHECK_EVERY:
            return self._material
        with self._lock:
            if now - self._looked < _CHECK_EVERY:
                return self._material
            self._looked = now
        stamp = self._sources.stamp()
        files = None
        if stamp != self._stamp:
            try:
                files = _load(self._sources)
                self.problem = ""
                self._stamp = stamp
                self.taken += 1
            except ConfigurationError as error:
                self.problem = str(error)
        else:
            self.problem = ""  # also when a change that could not be taken was taken back
        shelved = None
        if self._shelf is not None and (shelf_stamp := self._shelf.stamp()) != self._shelf_stamp:
            self._shelf_stamp = shelf_stamp
            shelved = self._shelf.read(self._material.shelved)
        if files is not None or shelved is not None:
            with self._lock:
                self._renew(files, shelved)
        return self._material

    def _renew(self, files: _Files | None, shelved: Shelved | None) -> None:
        old = self._material
        same_lists = files is None and shelved is not None and not shelved.lists_changed
        self._material = made = self._made(
            files or old.files, shelved or old.shelved, old.revocations.lists if same_lists else None
        )
        if same_lists and shelved is not None:
            # New answers about some say nothing of the others: what was worked out for those stays.
            made.kept.update(
                (name, kept) for name, kept in old.kept.items() if not kept.names & shelved.changed
            )

    def _made(self, files: _Files, shelved: Shelved, same: RevocationLists | None = None) -> _Material:
        """``same``: the lists of before, whose signatures need not be checked again."""
        known: _Authorities = {}
        for certificate in (*files.intermediates, *self._learnt, *self._kept.authorities):
            group = known.setdefault(certificate.x509.subject.public_bytes(), [])
            if all(each.sha256 != certificate.sha256 for each in group):
                group.append(certificate)
        held = (*files.lists, *shelved.lists.values(), *self._kept.lists)
        lists = same or RevocationLists(held, files.unlisted)

        def answered(certificate: Certificate, issuer: Certificate) -> Sequence[Listing]:
            answer = shelved.answers.get(certificate.sha256)
            answers = self._kept.answers if answer is None else (answer, *self._kept.answers)
            said = [told(one, certificate, issuer, lists) for one in answers]
            return [one for one in said if isinstance(one, Listing)]

        rules = replace(self._rules, needed={**self._rules.needed, **files.needed})
        return _Material(files, shelved, known, Revocations(lists, answered), rules)


def _load(sources: _Sources) -> _Files:
    anchors: _Authorities = {}
    unlisted = set()
    for group, without in ((sources.anchors, False), (sources.unlisted, True)):
        for certificate in _certificates(group):
            same = anchors.setdefault(certificate.x509.subject.public_bytes(), [])
            if all(each.sha256 != certificate.sha256 for each in same):
                same.append(certificate)
            if without:
                unlisted.add(certificate.sha256)
    if not anchors:
        raise ConfigurationError(Code.CONFIG_INVALID, "no trust anchor is configured")
    needed: dict[str, Needed] = {one.sha256: "crl" for one in _certificates(sources.by_list)}
    for one in _certificates(sources.by_answer):
        if one.sha256 in needed:
            raise ConfigurationError(
                Code.CONFIG_INVALID, f"{one.subject}: lists alone, or answers alone, not both"
            )
        needed[one.sha256] = "ocsp"
    if strangers := needed.keys() - {each.sha256 for group in anchors.values() for each in group}:
        raise ConfigurationError(
            Code.CONFIG_INVALID, f"a rule for {len(strangers)} certificates that are no anchors"
        )
    lists = tuple(
        revocations
        for source in sources.crls
        for path in _existing(source)
        for revocations in read_lists(path)
    )
    return _Files(anchors, tuple(_certificates(sources.intermediates)), lists, frozenset(unlisted), needed)


def _certificates(group: Iterable[Path]) -> Iterator[Certificate]:
    for source in group:
        for path in _existing(source):
            yield from read_certificates(path)


def files_of(source: Path) -> list[Path]:
    """Return a configured file, or the files of a configured folder that are read."""
    if source.is_dir():
        return sorted(path for path in source.iterdir() if path.suffix.lower() in _SUFFIXES)
    return [source]


def _existing(source: Path) -> list[Path]:
    if not source.exists():
        raise ConfigurationError(Code.CONFIG_INVALID, f"{source}: no such file or folder")
    return files_of(source)


def _octets(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_FILE:
            raise ConfigurationError(Code.CONFIG_INVALID, f"{path}: too large")
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(Code.CONFIG_INVALID, f"{path}: {error.strerror}") from error


def read_certificates(path: Path) -> list[Certificate]:
    """Read the certificates of one file, PEM (one or several) or DER.

    Raises:
        ConfigurationError: CONFIG-INVALID.
    """
    octets = _octets(path)
    try:
        if _PEM in octets:
            found = x509.load_pem_x509_certificates(octets)
        else:
            found = [x509.load_der_x509_certificate(octets)]
        return [read_certificate(each.public_bytes(_DER)) for each in found]
    except (ValueError, x509.InvalidVersion, RefusedError) as error:
        raise ConfigurationError(
            Code.CONFIG_INVALID, f"{path}: no certificate that can be used ({error})"
        ) from error


def read_lists(path: Path) -> list[x509.CertificateRevocationList]:
    """Read the revocation lists of one file, PEM (one or several) or DER.

    Raises:
        ConfigurationError: CONFIG-INVALID.
    """
    octets = _octets(path)
    try:
        if _PEM not in octets:
            found = [x509.load_der_x509_crl(octets)]
        else:
            parts = octets.split(b"-----BEGIN X509 CRL-----")[1:]
            found = [x509.load_pem_x509_crl(b"-----BEGIN X509 CRL-----" + part) for part in parts]
        for one in found:
            check_readable(one)
    except (ValueError, x509.InvalidVersion) as error:
        raise ConfigurationError(Code.CONFIG_INVALID, f"{path}: no revocation list ({error})") from error
    return found


__all__ = [
    "CertificateCache",
    "ChainResult",
    "PathRules",
    "Purpose",
    "Revocation",
    "TrustStore",
    "files_of",
    "read_certificates",
    "read_lists",
]
