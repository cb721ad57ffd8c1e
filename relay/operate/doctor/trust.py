"""Keys and certificates of the relay, anchors, revocation lists, and the certificates of the agencies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Final

from relay.errors import Code
from relay.model.agency import Admission, Agency
from relay.operate.doctor.check import Found, on, some, span
from relay.operate.doctor.facts import (
    AgencyFacts,
    DirectoryFacts,
    RelayKeyFacts,
    RevocationList,
    TrustFacts,
)

RELAY_ENDING: Final = timedelta(days=30)
ANCHOR_ENDING: Final = timedelta(days=90)
AGENCY_ENDING: Final = timedelta(days=30)
_CRL_LEFT: Final = 0.2  # of a list's life
_ACTIVE: Final = frozenset({Admission.TRIAL, Admission.ADMITTED})


# --- the relay's key


def _key_open(keys: RelayKeyFacts) -> Iterator[Found]:
    for path, mode in keys.open_files:
        yield Found(path, f"mode {mode:04o}")


def _key_unusable(keys: RelayKeyFacts) -> Iterator[Found]:
    if keys.trouble:
        yield Found(detail=keys.trouble)


def _mismatch(keys: RelayKeyFacts) -> Iterator[Found]:
    if not keys.trouble and not keys.fits:
        yield Found()


def _name(keys: RelayKeyFacts) -> Iterator[Found]:
    if not keys.trouble and keys.certificate_name != keys.name:
        there = f"urn:truc:relay:{keys.certificate_name}" if keys.certificate_name else "no urn:truc:relay:"
        yield Found(keys.name, f"{there} in the certificate")


def _key_ended(keys: RelayKeyFacts) -> Iterator[Found]:
    if keys.not_after is not None and keys.not_after <= keys.at:
        yield Found(detail=f"since {keys.not_after:%Y-%m-%d %H:%M} UTC")


def _key_early(keys: RelayKeyFacts) -> Iterator[Found]:
    if keys.not_before is not None and keys.not_before > keys.at:
        yield Found(detail=f"from {keys.not_before:%Y-%m-%d %H:%M} UTC")


def _key_ending(keys: RelayKeyFacts) -> Iterator[Found]:
    if keys.not_after is not None and keys.at < keys.not_after <= keys.at + RELAY_ENDING:
        yield Found(detail=f"{keys.not_after:%Y-%m-%d %H:%M} UTC")


_OF_TIME: Final = frozenset({Code.CERTIFICATE_EXPIRED, Code.CERTIFICATE_NOT_YET_VALID})


def _key_distrusted(keys: RelayKeyFacts) -> Iterator[Found]:
    named = keys.certificate_name == keys.name  # a wrong name has its own check
    if keys.verdict not in {None, Code.OK, *_OF_TIME} and named and not keys.trouble:
        yield Found(detail=f"{keys.verdict}: {keys.verdict_detail}")


# --- anchors and lists


def _trust_unusable(trust: TrustFacts) -> Iterator[Found]:
    if trust.trouble:
        yield Found(detail=trust.trouble)


def _anchor_ended(trust: TrustFacts) -> Iterator[Found]:
    for subject, end in trust.anchors:
        if end <= trust.at:
            yield Found(subject, f"since {end:%Y-%m-%d}")


def _anchor_ending(trust: TrustFacts) -> Iterator[Found]:
    for subject, end in trust.anchors:
        if trust.at < end <= trust.at + ANCHOR_ENDING:
            yield Found(subject, f"{end:%Y-%m-%d}")


def _latest(trust: TrustFacts) -> list[RevocationList]:
    """Return the latest list of each issuer: an old one beside a newer one does no harm."""
    found: dict[str, RevocationList] = {}
    for one in trust.lists:
        if one.issuer not in found or one.this_update > found[one.issuer].this_update:
            found[one.issuer] = one
    return [found[issuer] for issuer in sorted(found)]


def _crl_ended(trust: TrustFacts) -> Iterator[Found]:
    for one in _latest(trust):
        if one.next_update is None or one.next_update <= trust.at:
            end = (
                "has no next update" if one.next_update is None else f"since {one.next_update:%Y-%m-%d %H:%M}"
            )
            yield Found(one.issuer, f"{end} UTC, {one.file}" if one.next_update else f"{end}, {one.file}")


def _crl_ending(trust: TrustFacts) -> Iterator[Found]:
    for one in _latest(trust):
        if one.next_update is None or one.next_update <= trust.at:
            continue
        left = one.next_update - trust.at
        if left < _CRL_LEFT * (one.next_update - one.this_update):
            yield Found(one.issuer, f"{span(left.total_seconds())} left, {one.file}")


def _crl_future(trust: TrustFacts) -> Iterator[Found]:
    for one in _latest(trust):
        if one.this_update > trust.at + timedelta(minutes=5):
            yield Found(one.issuer, f"made {one.this_update:%Y-%m-%d %H:%M} UTC, {one.file}")


def _crl_none(trust: TrustFacts) -> Iterator[Found]:
    if trust.required and not trust.lists and not trust.answers and not trust.trouble:
        yield Found()


def _answers_ended(trust: TrustFacts) -> Iterator[Found]:
    ended = [
        one.certificate[:16]
        for one in trust.answers
        if one.next_update is None or one.next_update <= trust.at
    ]
    if ended:
        yield Found(detail=f"{len(ended)}: {some(ended)}")


def _answers_ending(trust: TrustFacts) -> Iterator[Found]:
    ending = [
        one.certificate[:16]
        for one in trust.answers
        if one.next_update is not None
        and trust.at < one.next_update
        and one.next_update - trust.at < _CRL_LEFT * (one.next_update - one.this_update)
    ]
    if ending:
        yield Found(detail=f"{len(ending)}: {some(ending)}")


def _fetched_none(trust: TrustFacts) -> Iterator[Found]:
    answered = trust.answers or any(one.file.startswith(trust.fetching) for one in trust.lists)
    if trust.fetching and not trust.trouble and not answered:
        yield Found(trust.fetching)


def _fetched_damaged(trust: TrustFacts) -> Iterator[Found]:
    if trust.damaged:
        yield Found(trust.fetching, f"{len(trust.damaged)}: {some(trust.damaged)}")


def _crl_optional(trust: TrustFacts) -> Iterator[Found]:
    if not trust.required:
        yield Found("trust.crl_required")


# --- the directory


def _directory_invalid(directory: DirectoryFacts) -> Iterator[Found]:
    if directory.trouble:
        yield Found(directory.path, directory.trouble)


def _directory_writable(directory: DirectoryFacts) -> Iterator[Found]:
    if directory.mode is not None and directory.mode & 0o022:
        yield Found(directory.path, f"mode {directory.mode:04o}")


def _directory_ageing(directory: DirectoryFacts) -> Iterator[Found]:
    due, ends = directory.due_at, directory.expires_at
    if due is not None and ends is not None and due <= directory.at < ends:
        yield Found(directory.path, f"serial {directory.serial}, expires {ends:%Y-%m-%d %H:%M} UTC")


def _directory_expired(directory: DirectoryFacts) -> Iterator[Found]:
    ends, over = directory.expires_at, directory.over_at
    if ends is not None and over is not None and ends <= directory.at:
        yield Found(
            directory.path,
            f"serial {directory.serial}, expired {ends:%Y-%m-%d %H:%M} UTC, in use until {over:%Y-%m-%d %H:%M} UTC",
        )


def _in_force(agency: Agency, day: date) -> bool:
    return agency.admission in _ACTIVE and agency.valid_on(day)


def _signing(directory: DirectoryFacts) -> list[AgencyFacts]:
    """Return the gateways that take part today: who has none of its own is signed for by its gateway."""
    day = directory.at.date()
    return [
        one
        for one in directory.agencies
        if one.agency.gateway == one.agency.code and _in_force(one.agency, day)
    ]


def _unserved(directory: DirectoryFacts) -> Iterator[Found]:
    day = directory.at.date()
    codes = [
        one.agency.code
        for one in directory.agencies
        if one.agency.gateway is None and _in_force(one.agency, day)
    ]
    if codes:
        yield Found(detail=f"{len(codes)}: {some(codes)}")


def _no_certificate(directory: DirectoryFacts) -> Iterator[Found]:
    for one in _signing(directory):
        if not one.certificates:
            yield Found(one.agency.code)


def _none_current(directory: DirectoryFacts) -> Iterator[Found]:
    for one in _signing(directory):
        if one.certificates and not any(each.current for each in one.certificates):
            last = max(each.not_after for each in one.certificates)
            yield Found(one.agency.code, f"the last until {last:%Y-%m-%d}")


def _last_ending(directory: DirectoryFacts) -> Iterator[Found]:
    for one in _signing(directory):
        current = [each.not_after for each in one.certificates if each.current]
        if current and max(current) <= directory.at + AGENCY_ENDING:
            yield Found(one.agency.code, f"{max(current):%Y-%m-%d}")


def _expired(directory: DirectoryFacts) -> Iterator[Found]:
    codes = [
        one.agency.code
        for one in directory.agencies
        if any(each.not_after <= directory.at for each in one.certificates)
        and any(each.current for each in one.certificates)
    ]
    if codes:
        yield Found(detail=f"{len(codes)}: {some(codes)}")


def _verdicts(wrong: Callable[[Code], bool]) -> Callable[[DirectoryFacts], Iterator[Found]]:
    def judge(directory: DirectoryFacts) -> Iterator[Found]:
        for one in directory.agencies:
            for each in one.certificates:
                if each.current and each.verdict is not None and wrong(each.verdict):
                    yield Found(one.agency.code, f"{each.verdict}, {each.sha256[:16]}…")

    return judge


def _heirless(directory: DirectoryFacts) -> Iterator[Found]:
    day = directory.at.date()
    codes = [
        one.agency.code
        for one in directory.agencies
        if not one.agency.successors
        and (
            one.agency.admission is Admission.CLOSED
            or (one.agency.valid_to is not None and one.agency.valid_to < day)
        )
    ]
    if codes:
        yield Found(detail=f"{len(codes)}: {some(codes)}")


CHECKS: Final = (
    on("keys", "keys.open", _key_open),
    on("keys", "keys.unusable", _key_unusable),
    on("keys", "keys.mismatch", _mismatch),
    on("keys", "keys.name", _name),
    on("keys", "keys.ended", _key_ended),
    on("keys", "keys.not-yet", _key_early),
    on("keys", "keys.ending", _key_ending),
    on("keys", "keys.untrusted", _key_distrusted),
    on("trust", "trust.unusable", _trust_unusable),
    on("trust", "trust.anchor-ended", _anchor_ended),
    on("trust", "trust.anchor-ending", _anchor_ending),
    on("trust", "trust.crl-missing", _crl_none),
    on("trust", "trust.crl-ended", _crl_ended),
    on("trust", "trust.crl-ending", _crl_ending),
    on("trust", "trust.crl-future", _crl_future),
    on("trust", "trust.answers-ended", _answers_ended),
    on("trust", "trust.answers-ending", _answers_ending),
    on("trust", "trust.fetched-none", _fetched_none),
    on("trust", "trust.fetched-damaged", _fetched_damaged),
    on("trust", "trust.crl-optional", _crl_optional),
    on("directory", "directory.invalid", _directory_invalid),
    on("directory", "directory.ageing", _directory_ageing),
    on("directory", "directory.expired", _directory_expired),
    on("directory", "directory.writable", _directory_writable),
    on("directory", "directory.unserved", _unserved),
    on("directory", "directory.no-certificate", _no_certificate),
    on("directory", "directory.certificates-ended", _none_current),
    on("directory", "directory.certificate-ending", _last_ending),
    on("directory", "directory.certificate-expired", _expired),
    on(
        "directory", "directory.certificate-revoked", _verdicts(lambda code: code is Code.CERTIFICATE_REVOKED)
    ),
    on(
        "directory",
        "directory.certificate-untrusted",
        _verdicts(lambda code: code not in {Code.OK, Code.CERTIFICATE_REVOKED, *_OF_TIME}),
    ),
    on("directory", "directory.no-successor", _heirless),
)
