"""A case: everything that the relay holds about one submission, in one file that can be filed and checked by itself.

``truc-evidence-1``, a JSON object: the proof of every record about a transport id, the receipts' bytes that these records
bind, certificates, revocation lists as they were held, the directory's entries of that day. What the proof binds is checked;
what stands beside it for the reader (verdicts in words, directory entries) is told apart from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.x509.ocsp import load_der_ocsp_response

from relay.errors import RefusedError
from relay.evidence import heads as h
from relay.evidence.headlist import HeadReader, StampCheck
from relay.evidence.octets import refuse
from relay.evidence.proof import Proof, Proven, b64, check, from_json, items, member, octets, speaks_of, text
from relay.evidence.proof import to_json as proof_json
from relay.model.evidence import KeyChange, ReceiptSealed, SignedHead, Submission
from relay.model.times import rfc3339

FORMAT: Final = "truc-evidence-1"
MAX_BYTES: Final = 256 * 1024 * 1024

ReceiptCheck = Callable[[bytes, datetime], str]
"""Judges a receipt's bytes as of a moment; returns nothing, or what is wrong with its signature."""


@dataclass(frozen=True, slots=True)
class Case:
    """The file as a value. ``told`` is for people: nothing signed binds it."""

    relay: str
    transport_id: str
    exported_at: str  # RFC 3339
    proof: Proof
    receipts: tuple[bytes, ...] = ()
    certificates: tuple[bytes, ...] = ()  # DER: signers of documents, and what leads to anchors
    revocation_lists: tuple[bytes, ...] = ()  # DER
    ocsp_answers: tuple[bytes, ...] = ()  # DER
    told: Mapping[str, Any] = field(default_factory=dict)


def to_json(case: Case) -> dict[str, Any]:
    """Return the case as what JSON can hold."""
    return {
        "format": FORMAT,
        "relay": case.relay,
        "transport_id": case.transport_id,
        "exported_at": case.exported_at,
        "proof": proof_json(case.proof),
        "receipts": [b64(one) for one in case.receipts],
        "certificates": [b64(one) for one in case.certificates],
        "revocation_lists": [b64(one) for one in case.revocation_lists],
        "ocsp_answers": [b64(one) for one in case.ocsp_answers],
        "told": dict(case.told),
    }


def case_from_json(value: object) -> Case:
    """Read a case.

    Raises:
        RefusedError: EVIDENCE-MALFORMED.
    """
    found = member(value, dict)
    if found.get("format") != FORMAT:
        refuse(f"no evidence of form {FORMAT}")
    return Case(
        relay=text(found, "relay"),
        transport_id=text(found, "transport_id"),
        exported_at=text(found, "exported_at"),
        proof=from_json(found.get("proof")),
        receipts=_list(found, "receipts"),
        certificates=_list(found, "certificates"),
        revocation_lists=_list(found, "revocation_lists"),
        ocsp_answers=_list(found, "ocsp_answers"),
        told=member(found.get("told"), dict),
    )


def _list(found: Mapping[str, Any], name: str) -> tuple[bytes, ...]:
    return tuple(octets({"one": each}, "one") for each in items(found, name))


@dataclass(frozen=True, slots=True)
class Checked:
    """What the checks of a case, or of a proof alone, came to."""

    proven: Proven
    faults: tuple[str, ...]  # in English: what does not hold
    notes: tuple[str, ...]  # what could not be checked
    receipts: int  # whose bytes a record in the log binds
    time_stamps: int
    covered: tuple[str, ...]  # of the heads from elsewhere: those that cover the records
    extended: tuple[str, ...]  # ... those that the log goes on from
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
    """Check a proof, and hold it against heads from elsewhere.

    Raises:
        RefusedError: it does not hold.
    """
    proven = check(proof, reader)
    faults, notes, stamped = [], [], 0
    covered, extended = [], []
    for signed in elsewhere:
        head = h.read_head(signed.text)
        name = f"head {head.number} of {rfc3339(head.at)}"
        if proven.covered_by(signed):
            covered.append(name)
        elif proven.extends(signed):
            extended.append(name)
        else:
            notes.append(f"{name} stands in no relation to this proof: make one with --head")
    for _, _, checkpoint in proven.heads:
        for token in checkpoint.time_stamps:
            if stamps is None:
                notes.append("a time-stamp was not judged: no anchor of its authority was given")
                continue
            try:
                stamps(token, checkpoint.head.text)
                stamped += 1
            except RefusedError as error:
                faults.append(f"time-stamp: {error.code.value} {error.detail}".strip())
    trusted = bool(covered)
    for head, signer, _ in proven.heads:
        if signer.trusted:
            trusted = True
        elif not covered:
            notes.append(
                f"head {head.number}: nobody vouches for certificate {signer.certificate.sha256} "
                f"({signer.code.value} {signer.detail})".replace(" )", ")")
            )
    return Checked(
        proven,
        tuple(faults),
        tuple(dict.fromkeys(notes)),
        0,
        stamped,
        tuple(covered),
        tuple(extended),
        trusted,
    )


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
        faults.append(f"the file says it is of {case.relay}, its log is that of {base.proven.head.relay}")
    faults += [
        f"record {one.seq} is not about {case.transport_id}"
        for one in records
        if not speaks_of(one.facts, case.transport_id) and not isinstance(one.facts, KeyChange)
    ]
    sealed = {one.facts.sha256: one for one in records if isinstance(one.facts, ReceiptSealed)}
    bound = 0
    for body in case.receipts:
        found = sealed.pop(hashlib.sha256(body).hexdigest(), None)
        if found is None:
            faults.append("a receipt that no record binds")
            continue
        bound += 1
        if receipt is not None and (why := receipt(body, found.at)):
            faults.append(f"receipt of record {found.seq}: {why}")
    notes += [
        f"receipt {one.facts.number} is on record, and its bytes are not in the file"
        for one in sealed.values()
        if isinstance(one.facts, ReceiptSealed)
    ]
    held = {hashlib.sha256(der).hexdigest() for der in case.certificates}
    wanted = {
        one.facts.verdict.certificate_sha256
        for one in records
        if isinstance(one.facts, Submission) and one.facts.verdict is not None
    }
    notes += [f"certificate {one} is not in the file" for one in sorted(wanted - held - {""})]
    for der in case.certificates:
        _readable(x509.load_der_x509_certificate, der, "a certificate", faults)
    for der in case.revocation_lists:
        _readable(x509.load_der_x509_crl, der, "a revocation list", faults)
    for der in case.ocsp_answers:
        _readable(load_der_ocsp_response, der, "an OCSP answer", faults)
    return Checked(
        base.proven,
        tuple(faults),
        tuple(dict.fromkeys(notes)),
        bound,
        base.time_stamps,
        base.covered,
        base.extended,
        base.trusted,
    )


def _readable(read: Callable[[bytes], object], der: bytes, what: str, faults: list[str]) -> None:
    try:
        read(der)
    except (ValueError, x509.InvalidVersion):
        faults.append(f"{what} cannot be read")


# --- the records in words ----------------------------------------------------------------------------------------------


def record_json(record: Any) -> dict[str, Any]:  # noqa: ANN401 - any record
    """Return a record for people and programs: its kind's name, place, time and fields."""
    facts = record.facts
    known = _NAMES.get(record.kind, f"kind-{record.kind}")
    return {"kind": known, "seq": record.seq, "at": rfc3339(record.at), "facts": _plain(facts)}


_NAMES: Final = {
    1: "chain-start",
    2: "acceptance",
    3: "refusal",
    4: "status",
    5: "delivery",
    6: "receipt",
    7: "held",
    8: "key-change",
    9: "directory-change",
    10: "operator-act",
    11: "restore",
    12: "witnessed",
    13: "chain-end",
}


def _plain(value: Any) -> Any:  # noqa: ANN401
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return rfc3339(value)
    if value is None or isinstance(value, bool | int):
        return value
    return str(value)
