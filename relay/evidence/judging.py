"""Judges a proof or a case that somebody was handed: what holds, what does not, who vouches, and what was left unjudged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain, pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.ocsp import load_der_ocsp_response

from relay.errors import RefusedError
from relay.evidence import heads as h
from relay.evidence.case import Case
from relay.evidence.headlist import HeadReader, Signer, StampCheck
from relay.evidence.proof import Proof, Proven, check, speaks_of
from relay.evidence.said import Said
from relay.evidence.witness import contradiction
from relay.model.evidence import Checkpoint, Head, KeyChange, ReceiptSealed, SignedHead, Submission
from relay.model.times import VIETNAM, rfc3339

_NAMESAKES: Final = 16
"""Certificates of one name that are tried as issuers: a file made for it would have one try each with each."""

ReceiptCheck = Callable[[bytes, datetime], str]
"""Judges a receipt's bytes as of a moment; returns nothing, or what is wrong with its signature."""


@dataclass(frozen=True, slots=True)
class StampSeen:
    """A time-stamp over a head of the proof that holds."""

    head: int
    at: datetime
    authority: str  # subject of its certificate (RFC 4514)


@dataclass(frozen=True, slots=True)
class WitnessSeen:
    """A witness's statement about a head of the proof whose signature holds."""

    head: int
    witness: str
    at: datetime  # as it says
    certificate: str  # SHA-256
    trusted: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """What the checks of a case, or of a proof alone, came to."""

    proven: Proven
    faults: tuple[Said, ...]  # what does not hold
    notes: tuple[Said, ...]  # what could not be checked
    receipts: int  # whose bytes a record in the log binds
    time_stamps: tuple[StampSeen, ...]
    witnesses: tuple[WitnessSeen, ...]
    covered: tuple[Head, ...]  # of the heads from elsewhere: those that cover the records
    extended: tuple[Head, ...]  # ... those that the log goes on from
    trusted: bool  # the head that all rests on is signed by somebody who is vouched for, or is known from elsewhere

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


def check_proof(
    proof: Proof,
    reader: HeadReader,
    *,
    stamps: StampCheck | None = None,
    elsewhere: Sequence[SignedHead] = (),
) -> Checked:
    """Check a proof, what others say of its heads, and hold it against heads from elsewhere.

    A head from elsewhere that the same relay has signed and that contradicts one of the proof is a fault: two histories.

    Raises:
        RefusedError: it does not hold.
    """
    proven = check(proof, reader)
    faults, notes = list[Said](), list[Said]()
    covered, extended = _related(proven, reader, elsewhere, faults, notes)
    stamped, witnessed = list[StampSeen](), list[WitnessSeen]()
    for head, _, checkpoint in proven.heads:
        stamped += _stamps(head, checkpoint, stamps, faults, notes)
        witnessed += _witnesses(head, checkpoint, reader, faults, notes)
    trusted = bool(covered)
    for head, signer, _ in proven.heads:
        if signer.trusted:
            trusted = True
        elif not covered:
            notes.append(_unvouched(head, signer))
    return Checked(
        proven=proven,
        faults=_once(faults),
        notes=_once(notes),
        receipts=0,
        time_stamps=tuple(stamped),
        witnesses=tuple(witnessed),
        covered=tuple(covered),
        extended=tuple(extended),
        trusted=trusted,
    )


def _related(
    proven: Proven,
    reader: HeadReader,
    elsewhere: Sequence[SignedHead],
    faults: list[Said],
    notes: list[Said],
) -> tuple[list[Head], list[Head]]:
    covered, extended = list[Head](), list[Head]()
    signers = {signer.certificate.sha256 for _, signer, _ in proven.heads}
    for signed in elsewhere:
        head = h.read_head(signed.text)
        own = _named(head)
        if head.relay != proven.head.relay:
            notes.append(Said("other-relay", {**own, "relay": head.relay}))
        elif other := _contradicted(head, signed, proven):
            values = {**own, "relay": head.relay, "other": str(other.number), "other_at": _people(other.at)}
            try:
                _, signer = reader.head(signed)
            except RefusedError as error:
                faults.append(Said("elsewhere-signature", {**own, "detail": _detail(error)}))
                continue
            # Anybody can write a head that contradicts, and sign it with a certificate of his own making.
            if signer.trusted or signer.certificate.sha256 in signers:
                faults.append(Said("forked", values))
            else:
                sha256 = signer.certificate.sha256
                faults.append(Said("elsewhere-unvouched", {**own, "sha256": sha256}))
        elif proven.covered_by(signed):
            covered.append(head)
        elif proven.extends(signed):
            extended.append(head)
        else:
            notes.append(Said("unrelated", own))
    return covered, extended


def _contradicted(head: Head, signed: SignedHead, proven: Proven) -> Head | None:
    for other, _, checkpoint in proven.heads:
        if contradiction(other, checkpoint.head, head, signed) is not None:
            return other
    return None


def _stamps(
    head: Head, checkpoint: Checkpoint, stamps: StampCheck | None, faults: list[Said], notes: list[Said]
) -> list[StampSeen]:
    found = []
    for token in checkpoint.time_stamps:
        if stamps is None:
            notes.append(Said("unread-stamp", _named(head)))
            continue
        try:
            stamp = stamps(token, checkpoint.head.text)
            found.append(StampSeen(head.number, stamp.at, stamp.authority.subject))
        except RefusedError as error:
            faults.append(Said("stamp", {**_named(head), "detail": _detail(error)}))
    return found


def _witnesses(
    head: Head, checkpoint: Checkpoint, reader: HeadReader, faults: list[Said], notes: list[Said]
) -> list[WitnessSeen]:
    found = []
    for statement in checkpoint.statements:
        try:
            said, signer = reader.statement(statement, checkpoint.head)
        except RefusedError as error:
            faults.append(Said("statement", {**_named(head), "detail": _detail(error)}))
            continue
        if not signer.trusted:
            values = {"witness": said["witness"], "sha256": signer.certificate.sha256}
            notes.append(Said("unvouched-witness", values))
        at = datetime.fromisoformat(said["at"])
        found.append(WitnessSeen(head.number, said["witness"], at, signer.certificate.sha256, signer.trusted))
    return found


@dataclass(frozen=True, slots=True)
class HeadsChecked:
    """What the checks of heads alone came to."""

    heads: tuple[tuple[Head, Signer], ...]  # in the order of relay, life and number
    faults: tuple[Said, ...]
    notes: tuple[Said, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    @property
    def trusted(self) -> bool:
        """Whether somebody vouches for whoever signed each of them."""
        return all(signer.trusted for _, signer in self.heads)


def check_heads(signed: Sequence[SignedHead], reader: HeadReader) -> HeadsChecked:
    """Check heads by themselves: who signed them, and whether two of one relay contradict each other.

    Two that do, both signed by the relay, are the proof that it has two histories, for whoever gets them.

    Raises:
        RefusedError: one of them is no head, or its signature does not hold.
    """
    read = [(*reader.head(one), one) for one in dict.fromkeys(signed)]
    read.sort(key=lambda one: (one[0].relay, one[0].life, one[0].number, one[2].text))
    faults, notes = list[Said](), list[Said]()
    # Next to each other is enough: where numbers, sizes and roots go on from one to the next, they do so over all.
    for (head, signer, one), (later, other, two) in pairwise(read):
        if head.relay != later.relay or contradiction(head, one, later, two) is None:
            continue
        same = signer.certificate.sha256 == other.certificate.sha256
        values = {"relay": head.relay, "other": str(later.number), "other_at": _people(later.at)}
        reason = "forked-heads" if same or (signer.trusted and other.trusted) else "forked-unvouched"
        faults.append(Said(reason, {**_named(head), **values}))
    notes += [_unvouched(head, signer) for head, signer, _ in read if not signer.trusted]
    return HeadsChecked(tuple((head, signer) for head, signer, _ in read), _once(faults), _once(notes))


def check_case(
    case: Case,
    reader: HeadReader,
    *,
    stamps: StampCheck | None = None,
    elsewhere: Sequence[SignedHead] = (),
    receipt: ReceiptCheck | None = None,
) -> Checked:
    """Check a case: its proof, then whatever stands beside the proof against the records.

    Raises:
        RefusedError: the proof does not hold.
    """
    base = check_proof(case.proof, reader, stamps=stamps, elsewhere=elsewhere)
    faults, notes = list(base.faults), list(base.notes)
    records = [record for _, record, _ in base.proven.records]
    if base.proven.head.relay != case.relay:
        faults.append(Said("case-relay", {"relay": case.relay, "other": base.proven.head.relay}))
    faults += [
        Said("other-record", {"seq": str(one.seq), "id": case.transport_id})
        for one in records
        if not speaks_of(one.facts, case.transport_id) and not isinstance(one.facts, KeyChange)
    ]
    sealed = {one.facts.sha256: one for one in records if isinstance(one.facts, ReceiptSealed)}
    bound = 0
    for body in case.receipts:
        found = sealed.pop(hashlib.sha256(body).hexdigest(), None)
        if found is None:
            faults.append(Said("unbound-receipt"))
            continue
        bound += 1
        if receipt is not None and (why := receipt(body, found.at)):
            faults.append(Said("receipt", {"seq": str(found.seq), "detail": why}))
    notes += [
        Said("no-receipt", {"number": one.facts.number})
        for one in sealed.values()
        if isinstance(one.facts, ReceiptSealed)
    ]
    held = {hashlib.sha256(der).hexdigest() for der in case.certificates}
    wanted = {
        one.facts.verdict.certificate_sha256
        for one in records
        if isinstance(one.facts, Submission) and one.facts.verdict is not None
    }
    notes += [Said("no-certificate", {"sha256": one}) for one in sorted(wanted - held - {""})]
    notes += _without_issuer(case.certificates)
    readers: tuple[tuple[str, tuple[bytes, ...], Callable[[bytes], object]], ...] = (
        ("certificate", case.certificates, x509.load_der_x509_certificate),
        ("list", case.revocation_lists, x509.load_der_x509_crl),
        ("answer", case.ocsp_answers, load_der_ocsp_response),
    )
    faults += chain.from_iterable(
        _unreadable(f"unreadable-{what}", octets, read) for what, octets, read in readers
    )
    return replace(base, faults=tuple(faults), notes=_once(notes), receipts=bound)


def issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's key has signed a certificate. Whether it was allowed to is another matter."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _without_issuer(held: Sequence[bytes]) -> list[Said]:
    """Certificates that lead to no other one in the file: what is between them and an anchor is missing."""
    found = list[tuple[x509.Certificate, x509.Name, x509.Name]]()
    by_name: dict[x509.Name, list[x509.Certificate]] = {}
    for der in held:
        with suppress(ValueError):  # one that cannot be read is named elsewhere
            one = x509.load_der_x509_certificate(der)
            found.append((one, one.subject, one.issuer))
            by_name.setdefault(one.subject, []).append(one)
    return [
        Said("no-issuer", {"subject": subject.rfc4514_string(), "issuer": issuer.rfc4514_string()})
        for one, subject, issuer in found
        if issuer != subject and not any(issued(one, other) for other in by_name.get(issuer, ())[:_NAMESAKES])
    ]


def _unreadable(reason: str, held: Sequence[bytes], read: Callable[[bytes], object]) -> list[Said]:
    found = []
    for place, der in enumerate(held, 1):
        try:
            read(der)
        except (ValueError, x509.InvalidVersion):
            found.append(Said(reason, {"place": str(place)}))
    return found


def _unvouched(head: Head, signer: Signer) -> Said:
    values = {"sha256": signer.certificate.sha256, "detail": f"{signer.code.value} {signer.detail}".strip()}
    return Said("unvouched", {**_named(head), **values})


def _named(head: Head) -> dict[str, str]:
    return {"number": str(head.number), "at": _people(head.at)}


def _people(at: datetime) -> str:
    return f"{at.astimezone(VIETNAM):%d/%m/%Y %H:%M:%S} +07:00"


def _detail(error: RefusedError) -> str:
    return f"{error.code.value} {error.detail}".strip()


def _once(found: Sequence[Said]) -> tuple[Said, ...]:
    return tuple({(one.reason, *sorted(one.values.items())): one for one in found}.values())


def head_name(head: Head, language: str) -> str:
    """Return what a head is called in front of people."""
    word = "đầu nhật ký" if language == "vi" else "head"
    return f"{word} {head.number}, {_people(head.at)}"


def seen_json(checked: Checked) -> dict[str, object]:
    """Return for programs what others say of the heads."""
    return {
        "time_stamps": [
            {"head": one.head, "at": rfc3339(one.at), "authority": one.authority}
            for one in checked.time_stamps
        ],
        "witnesses": [
            {
                "head": one.head,
                "witness": one.witness,
                "at": rfc3339(one.at),
                "certificate": one.certificate,
                "trusted": one.trusted,
            }
            for one in checked.witnesses
        ],
    }
