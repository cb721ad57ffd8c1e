"""When a file was accepted, by evidence: the record that binds its bytes, and the time-stamp over a head that covers it.

A time-stamp over such a head shows that the bytes, signature included, existed before it (RFC 3161; the use is that of
ETSI EN 319 102-1, 5.5: what existed at a time is judged as of that time). So a document can be judged years later, when the
certificate that signed it is over: the time is the authority's, not ours and not the signer's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.x509.ocsp import OCSPResponse

from relay.errors import Code, RefusedError
from relay.evidence.case import Case
from relay.evidence.held import Binding, HeldFiles
from relay.evidence.judging import Checked
from relay.model.verdict import TimeSource
from relay.trust.certificate import Certificate, read_certificate
from relay.trust.ocsp import read_answer
from relay.trust.shelf import parse_list

_ACCEPTED: Final = frozenset({"acceptance", "status", "receipt"})


@dataclass(frozen=True, slots=True)
class Vouching:
    """What evidence says of one file."""

    source: TimeSource  # RECORD or TIME_STAMP
    at: datetime  # the file existed by then: as of this time it is to be judged
    accepted_at: datetime  # by the relay's clock, as its record says
    transport_id: str
    kind: str  # "acceptance", "status", "receipt"
    relay: str
    authority: str = ""  # that gave the time-stamp: subject of its certificate (RFC 4514)
    unjudged: bool = False  # there are time-stamps, and no root of an authority to judge them by


def vouching(checked: Checked, sha256: str) -> Vouching:
    """Return when a file was accepted.

    Args:
        checked: a proof or a case that was checked.
        sha256: of the file, lower-case hex.

    Raises:
        RefusedError: EVIDENCE-BROKEN: something in it does not hold. NOT-ON-RECORD: no record binds the file, or only one
            that refuses it, or nobody who is trusted signed the heads.
    """
    if not checked.ok:
        raise RefusedError(Code.EVIDENCE_BROKEN, checked.faults[0].text("en"))
    if not checked.trusted:
        said = "; ".join(one.text("en") for one in checked.notes if one.reason == "unvouched")
        raise RefusedError(Code.NOT_ON_RECORD, said or "nobody vouches for who signed it")
    bound = _bound(checked, sha256)
    relay = checked.proven.head.relay
    # A head before the one that covers the records says nothing about them, and nor does a stamp over it.
    covering = {head.number for head, _, _ in checked.proven.heads[checked.proven.under :]}
    before = {head.number for head, _, _ in checked.proven.heads[: checked.proven.under]}
    stamps = [one for one in checked.time_stamps if one.head in covering - before]
    if not stamps:
        unjudged = any(one.reason == "unread-stamp" for one in checked.notes)
        return Vouching(
            TimeSource.RECORD,
            bound.at,
            bound.at,
            bound.transport_id,
            bound.kind,
            relay,
            unjudged=unjudged,
        )
    first = min(stamps, key=lambda one: one.at)
    return Vouching(
        TimeSource.TIME_STAMP,
        first.at,
        bound.at,
        bound.transport_id,
        bound.kind,
        relay,
        first.authority,
    )


def _bound(checked: Checked, sha256: str) -> Binding:
    held = HeldFiles({"": sha256})
    for batch, record, _ in checked.proven.records:
        held.seen(batch.chain, record)
    found = [one for one in held.bindings if one.kind in _ACCEPTED]
    if found:
        return min(found, key=lambda one: one.at)
    if any(one.kind == "refusal" for one in held.bindings):
        raise RefusedError(Code.NOT_ON_RECORD, "the record says that the relay refused it")
    raise RefusedError(Code.NOT_ON_RECORD, "no record in it names the SHA-256 of this file")


def material(
    case: Case,
) -> tuple[list[Certificate], list[x509.CertificateRevocationList], list[OCSPResponse]]:
    """Return the certificates, lists and answers that a case holds; what cannot be read is left out (the check of the
    case names it)."""
    certificates = []
    for der in case.certificates:
        try:
            certificates.append(read_certificate(der))
        except RefusedError:
            continue
    lists = [one for one in map(parse_list, case.revocation_lists) if one is not None]
    answers = [one for one in map(read_answer, case.ocsp_answers) if one is not None]
    return certificates, lists, answers
