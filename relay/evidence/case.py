"""A case: everything that the relay holds about one submission, in one file that can be filed and checked by itself.

``truc-evidence-1``, a JSON object: the proof of every record about a transport id, the receipts' bytes that these records
bind, certificates, revocation lists as they were held, the directory's entries of that day. What the proof binds is checked;
what stands beside it for the reader (verdicts in words, directory entries) is told apart from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from relay.evidence.octets import refuse
from relay.evidence.proof import Proof, b64, from_json, items, member, octets, text
from relay.evidence.proof import to_json as proof_json
from relay.model.times import rfc3339

FORMAT: Final = "truc-evidence-1"
MAX_BYTES: Final = 256 * 1024 * 1024


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
    names = getattr(value, "__dataclass_fields__", None) or getattr(value, "_fields", None)
    if names is not None:
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return rfc3339(value)
    if value is None or isinstance(value, bool | int):
        return value
    return str(value)
