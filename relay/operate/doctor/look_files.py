"""Looks at files: configuration, keys, anchors and lists, directory, disks. Reads only."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from relay.directory.authorities import authorities_of
from relay.directory.file import check, summary
from relay.directory.follow import SIGNED, directory_of, in_use
from relay.errors import Code, ConfigurationError, RefusedError, TrucError
from relay.model.agency import Agency, AgencyCertificate
from relay.model.times import VIETNAM
from relay.operate.doctor.facts import (
    AgencyFacts,
    CertificateFacts,
    ConfigFacts,
    DirectoryFacts,
    Disk,
    OcspAnswer,
    RelayKeyFacts,
    RevocationList,
    TrustFacts,
    Unseen,
)
from relay.settings import Complaint, Settings, survey
from relay.settings.keyplace import KeyPlace, is_uri
from relay.trust.certificate import Certificate, PublicKey, read_certificate, relay_name
from relay.trust.chain import Purpose, TrustStore, files_of, read_certificates, read_lists
from relay.trust.configured import configured_store
from relay.trust.keys import chain_of, open_pair_now, read_key

_MOUNTS: Final = Path("/proc/mounts")
_JUDGING: Final = 10.0  # seconds for the chains of all agencies' certificates


def mode_of(path: Path) -> int | None:
    """Return the permission bits of a file, None if there is none."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None


def config(path: Path) -> ConfigFacts:
    """Read the configuration as far as it goes."""
    settings, complaints = survey(path)
    if settings is not None:
        complaints += _administrators_password(settings)
    return ConfigFacts(str(path), mode_of(path), complaints, settings)


def _administrators_password(settings: Settings) -> tuple[Complaint, ...]:
    """Look at the one secret that workers do not read, so that nothing else asks who may."""
    path = settings.broker.management_password_file
    mode = None if path is None else mode_of(path)
    if mode is None or not mode & 0o077:
        return ()
    reason = f"{path} has mode {mode:04o}; it must be 0600 or 0400"
    return (Complaint("broker.management_password_file", reason, "mode"),)


# --- keys and trust


def store(settings: Settings) -> TrustStore:
    """Return the anchors and lists, as the workers use them. Raises ``ConfigurationError``."""
    return configured_store(settings.trust)


def keys(settings: Settings, at: datetime) -> RelayKeyFacts:
    """Look at the relay's key and certificate, as a worker does at its start."""
    relay = settings.relay
    place = relay.place()
    opened = tuple(
        (str(path), mode) for path in place.secrets() if (mode := mode_of(path)) is not None and mode & 0o077
    )
    try:
        chain = list(chain_of(place))
        leaf = chain[0]
        name = relay_name(leaf)
        fits = _fits(place, leaf)
    except TrucError as error:
        return RelayKeyFacts(at, relay.name, opened, trouble=error.detail or str(error))
    verdict, detail = _relay_verdict(settings, chain, at)
    return RelayKeyFacts(
        at,
        relay.name,
        opened,
        fits=fits,
        certificate_name=name,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        verdict=verdict,
        verdict_detail=detail,
    )


def _fits(place: KeyPlace, leaf: Certificate) -> bool:
    """Whether the key is that of the certificate. A token is asked to sign: one that does not answer is a trouble."""
    if is_uri(place.key):
        open_pair_now(place)
        return True
    key = read_key(place)
    return _spki(leaf.key) == _spki(key.public_key())


def _spki(key: PublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _relay_verdict(settings: Settings, chain: list[Certificate], at: datetime) -> tuple[Code | None, str]:
    try:
        result = store(settings).check(chain, at, Purpose.RECEIPT)
    except ConfigurationError:
        return None, ""
    return result.code, result.detail


def trust(settings: Settings, at: datetime) -> TrustFacts:
    """Read anchors and lists."""
    given = settings.trust
    try:
        anchors = tuple(
            (one.subject, one.not_after)
            for source in given.anchors
            for path in files_of(source)
            for one in read_certificates(path)
        )
        lists = tuple(
            RevocationList(str(path), one.issuer.rfc4514_string(), one.last_update_utc, one.next_update_utc)
            for source in given.crls
            for path in files_of(source)
            for one in read_lists(path)
        )
        known = store(settings)
    except ConfigurationError as error:
        return TrustFacts(at, error.detail, (), (), given.crl_required)
    folder = given.fetch.folder
    fetched = tuple(
        RevocationList(
            str(folder / name) if folder else name,
            one.issuer.rfc4514_string(),
            one.last_update_utc,
            one.next_update_utc,
        )
        for name, one in known.shelved_lists().items()
    )
    answers = tuple(
        OcspAnswer(sha256, one.this_update_utc, one.next_update_utc)
        for sha256, one in known.answers().items()
    )
    return TrustFacts(
        at,
        "",
        anchors,
        (*lists, *fetched),
        given.crl_required,
        str(folder) if folder else "",
        answers,
        known.damaged(),
    )


# --- directory


def directory(settings: Settings, at: datetime) -> DirectoryFacts:
    """Load the directory, and judge the certificates in it by our anchors and lists as far as time allows."""
    path = settings.directory.file
    if path.suffix == SIGNED:
        return _signed(settings, at)
    checked = check(path)
    if checked.directory is None:
        text = summary(checked.findings, path).removeprefix(f"{path}: ")
        return DirectoryFacts(at, str(path), mode_of(path), text)
    agencies = _agencies(settings, checked.directory.agencies(), at)
    return DirectoryFacts(at, str(path), mode_of(path), "", checked.directory.version, agencies)


def _signed(settings: Settings, at: datetime) -> DirectoryFacts:
    """Look at the edition that the workers follow: genuine, fresh, and what stands in it."""
    path = settings.directory.file
    try:
        edition, trouble = in_use(path, settings.directory.kept or path.parent, store(settings), at)
    except ConfigurationError as error:
        return DirectoryFacts(at, str(path), mode_of(path), error.detail)
    if edition is None:
        return DirectoryFacts(at, str(path), mode_of(path), trouble or "no whole edition has been taken yet")
    checked = directory_of(edition, path)
    if checked.directory is None:
        trouble = trouble or summary(checked.findings, path).removeprefix(f"{path}: ")
        return DirectoryFacts(at, str(path), mode_of(path), trouble)
    return DirectoryFacts(
        at,
        str(path),
        mode_of(path),
        trouble,
        checked.directory.version,
        _agencies(settings, checked.directory.agencies(), at),
        serial=edition.serial,
        due_at=edition.half_life,
        expires_at=edition.expires_at,
        over_at=edition.expires_at + timedelta(days=settings.directory.grace_days),
    )


def _agencies(settings: Settings, agencies: tuple[Agency, ...], at: datetime) -> tuple[AgencyFacts, ...]:
    judge = _judge(settings, agencies)
    limit = time.monotonic() + _JUDGING
    return tuple(
        AgencyFacts(agency, tuple(_certificates(agency, judge if time.monotonic() < limit else None, at)))
        for agency in agencies
    )


@dataclass(frozen=True, slots=True)
class _Judge:
    """Anchors and lists, and the lists once more by the name of their issuer."""

    store: TrustStore
    lists: Mapping[bytes, tuple[x509.CertificateRevocationList, ...]]
    required: bool

    def verdict(self, certificate: Certificate, at: datetime) -> Code | None:
        """Judge a certificate; None where nothing can be said.

        What leads from it to an anchor comes with each signature and may be unknown here. Then the lists still tell
        whether it is revoked, or that no list speaks for its issuer, so that it is refused.
        """
        code = self.store.check([certificate], at).code
        if code is not Code.UNKNOWN_CA:
            return code
        lists = self.lists.get(certificate.x509.issuer.public_bytes(), ())
        number = certificate.x509.serial_number
        for one in lists:
            entry = one.get_revoked_certificate_by_serial_number(number)
            if entry is not None and entry.revocation_date_utc <= at:
                return Code.CERTIFICATE_REVOKED
        return Code.REVOCATION_UNKNOWN if self.required and not lists else None


def _judge(settings: Settings, agencies: Iterable[Agency]) -> _Judge | None:
    try:
        known = store(settings)
    except ConfigurationError:
        return None
    known.learn(authorities_of(agencies))
    lists = {name: tuple(group) for name, group in known.lists().by_issuer().items()}
    return _Judge(known, lists, settings.trust.crl_required)


def _certificates(agency: Agency, judge: _Judge | None, at: datetime) -> Iterable[CertificateFacts]:
    for one in agency.certificates:
        try:
            read = _read(one)
        except RefusedError as error:
            yield CertificateFacts(one.sha256, at, current=True, verdict=error.code)
            continue
        end = read.not_after
        if one.not_after is not None:
            # Through that day, in Vietnam.
            end = min(end, datetime.combine(one.not_after + timedelta(days=1), clock_time.min, VIETNAM))
        if one.retired_at is not None:
            end = min(end, one.retired_at)
        current = read.not_before <= at < end and one.signs_at(at)
        verdict = judge.verdict(read, at) if judge is not None and current else None
        yield CertificateFacts(one.sha256, end, current, verdict)


def _read(one: AgencyCertificate) -> Certificate:
    try:
        return read_certificate(x509.load_pem_x509_certificate(one.pem.encode()).public_bytes(Encoding.DER))
    except ValueError as error:
        raise RefusedError(Code.BAD_CERTIFICATE, "not a certificate") from error


# --- disks


def disks(settings: Settings) -> tuple[Disk, ...] | Unseen:
    """Look at the file systems that the relay writes to, and at that of its directory."""
    places = {"directory": settings.directory.file.parent}
    url = urlsplit(settings.registry.url)
    if url.scheme == "sqlite":
        places["registry"] = Path(settings.registry.url.removeprefix("sqlite:///")).parent
    if settings.logging.file is not None:
        places["log"] = settings.logging.file.parent
    found = []
    for place, folder in places.items():
        try:
            state = os.statvfs(folder)
        except OSError:
            continue  # a folder that is not there has its own check, by what should lie in it
        found.append(
            Disk(
                place,
                str(folder),
                free=state.f_bavail * state.f_frsize,
                total=state.f_blocks * state.f_frsize,
                inodes_free=state.f_favail,
                inodes=state.f_files,
                read_only=bool(state.f_flag & os.ST_RDONLY),
                kind=_kind(folder),
            )
        )
    return tuple(found)


def _kind(folder: Path) -> str:
    """Return the kind of the file system: that of the longest mount point above the folder."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    real = folder.resolve()
    best, kind = -1, ""
    for line in lines:
        words = line.split(" ")
        if len(words) < 3:
            continue
        point = Path(words[1].replace("\\040", " "))
        if (point == real or point in real.parents) and len(point.parts) >= best:
            best, kind = len(point.parts), words[2]
    return kind
