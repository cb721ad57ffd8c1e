"""The trust store: anchors and revocation lists from files, kept fresh, and the answer for one chain of certificates."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from relay.errors import Code, ConfigurationError, RefusedError
from relay.trust.certificate import Certificate, CertificateCache, read_certificate
from relay.trust.crl import RevocationLists, Revocations
from relay.trust.path import Assessment, ChainResult, Purpose, Revocation, assess

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

    def stamp(self) -> tuple[tuple[str, int, int, int], ...]:
        """What changes when a file changes; a missing file is a change too."""
        found = []
        for source in (*self.anchors, *self.crls, *self.unlisted):
            for path in files_of(source):
                try:
                    status = path.stat()
                    found.append((str(path), status.st_mtime_ns, status.st_size, status.st_ino))
                except OSError:
                    found.append((str(path), 0, -1, 0))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class _Material:
    """One reading of all files, and what was worked out from it: both are dropped together."""

    anchors: dict[bytes, list[Certificate]]
    lists: RevocationLists
    kept: OrderedDict[tuple[str, ...], Assessment] = field(default_factory=OrderedDict)


class TrustStore:
    """Answers whether a chain is to be trusted at a moment. Safe to use from several threads.

    The files are looked at again at most once a second; a set that cannot be read (half written) leaves the former
    one in force, and ``problem`` says so.
    """

    def __init__(self, sources: _Sources, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._sources = sources
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._stamp = sources.stamp()
        self._material = _load(sources)
        self._looked = monotonic()
        self.problem = ""
        """Why the last change of the files was not taken; empty if it was."""
        self.taken = 0
        """How many changes were taken."""

    @classmethod
    def from_files(
        cls,
        anchors: Iterable[Path],
        crls: Iterable[Path] = (),
        *,
        anchors_without_crl: Iterable[Path] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> TrustStore:
        """Read anchors and lists.

        Args:
            anchors: PEM or DER files, or folders of them, of certificate authorities to trust.
            crls: PEM or DER files, or folders, of revocation lists of every issuer on a path.
            anchors_without_crl: anchors under which an issuer that publishes no list is taken as it is; one whose
                lists are there is held to them. They need not stand in ``anchors`` too.
            monotonic: seconds that never go back.

        Raises:
            ConfigurationError: CONFIG-INVALID: a file is missing or cannot be read, or there is no anchor.
        """
        return cls(_Sources(tuple(anchors), tuple(crls), tuple(anchors_without_crl)), monotonic)

    def check(
        self, chain: Sequence[Certificate], at: datetime, purpose: Purpose = Purpose.DOCUMENT
    ) -> ChainResult:
        """Judge the leaf ``chain[0]`` at a moment (aware); the rest are certificates that may lead to an anchor.

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
            assessment = assess(chain, purpose, material.anchors, Revocations(material.lists))
            with self._lock:
                material.kept[name] = assessment
                if len(material.kept) > _KEPT:
                    material.kept.popitem(last=False)
        return assessment.at(at)

    def refresh(self) -> None:
        """Look at the files if it is time to; ``problem`` tells what came of it."""
        self._fresh()

    def ends(self) -> tuple[datetime, datetime | None]:
        """Return when the first anchor expires, and when the first issuer's latest list is out of date (None: no list)."""
        material = self._material
        anchors = min(each.not_after for group in material.anchors.values() for each in group)
        return anchors, material.lists.end()

    def lists_made(self) -> datetime | None:
        """Return when the oldest of the lists in force was made (each issuer's latest counts); None: no list."""
        return self._material.lists.made()

    def _fresh(self) -> _Material:
        now = self._monotonic()
        if now - self._looked < _CHECK_EVERY:
            return self._material
        with self._lock:
            if now - self._looked < _CHECK_EVERY:
                return self._material
            self._looked = now
        stamp = self._sources.stamp()
        if stamp != self._stamp:
            try:
                self._material = _load(self._sources)
                self.problem = ""
                self._stamp = stamp
                self.taken += 1
            except ConfigurationError as error:
                self.problem = str(error)
        else:
            self.problem = ""  # also when a change that could not be taken was taken back
        return self._material


def _load(sources: _Sources) -> _Material:
    anchors: dict[bytes, list[Certificate]] = {}
    unlisted = set()
    for group, without in ((sources.anchors, False), (sources.unlisted, True)):
        for source in group:
            for path in _existing(source):
                for certificate in read_certificates(path):
                    same = anchors.setdefault(certificate.x509.subject.public_bytes(), [])
                    if all(each.sha256 != certificate.sha256 for each in same):
                        same.append(certificate)
                    if without:
                        unlisted.add(certificate.sha256)
    if not anchors:
        raise ConfigurationError(Code.CONFIG_INVALID, "no trust anchor is configured")
    lists = [
        revocations
        for source in sources.crls
        for path in _existing(source)
        for revocations in read_lists(path)
    ]
    return _Material(anchors, RevocationLists(lists, frozenset(unlisted)))


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
    except (ValueError, RefusedError) as error:
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
            return [x509.load_der_x509_crl(octets)]
        parts = octets.split(b"-----BEGIN X509 CRL-----")[1:]
        return [x509.load_pem_x509_crl(b"-----BEGIN X509 CRL-----" + part) for part in parts]
    except ValueError as error:
        raise ConfigurationError(Code.CONFIG_INVALID, f"{path}: no revocation list ({error})") from error


__all__ = [
    "CertificateCache",
    "ChainResult",
    "Purpose",
    "Revocation",
    "TrustStore",
    "files_of",
    "read_certificates",
    "read_lists",
]
