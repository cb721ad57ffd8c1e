"""Cases: what is exported about one document, over a log in memory."""

from __future__ import annotations

import hashlib
import json
import uuid

from relay.evidence.case import Case, case_from_json, to_json
from relay.evidence.proof import find, prove
from relay.evidence.synthetic import MemoryLog, RelayKey
from relay.model.evidence import ReceiptSealed, SignedHead, Submission
from relay.model.receipt import ReceiptKind

RECEIPT = b"<receipt/>"


def small_case(key: RelayKey, seed: int = 0) -> tuple[MemoryLog, Case]:
    """Return a log of one document with a receipt whose bytes are known, and its case as it is read back."""
    log = MemoryLog(key, seed=seed)
    chain = log.start("w1")
    document = log.document(chain)
    log.append(chain, receipt_of(document))
    log.seal(chain)
    log.sign()
    return log, case_of(log, document.transport_id)


def receipt_of(document: Submission, body: bytes = RECEIPT) -> ReceiptSealed:
    """Return the record of a receipt."""
    return ReceiptSealed(
        number="w1-9",
        kind=ReceiptKind.HELD,
        accepted=True,
        code="",
        to=document.sender,
        transport_id=document.transport_id,
        sha256=hashlib.sha256(body).hexdigest(),
        size=len(body),
    )


def case_of(log: MemoryLog, transport_id: str, elsewhere: tuple[SignedHead, ...] = ()) -> Case:
    """Return the case of a submission, as it is read back."""
    proof = prove(log, find(log, transport_id), elsewhere)
    case = Case(log.key.relay, transport_id, "2026-01-05T02:00:00Z", proof, receipts=(RECEIPT,))
    return case_from_json(json.loads(json.dumps(to_json(case))))


def submissions(log: MemoryLog, chain: uuid.UUID) -> list[Submission]:
    """Return the documents and statuses on record in a chain."""
    from relay.evidence.record import decode

    return [facts for octets in log.records(chain) if isinstance(facts := decode(octets).facts, Submission)]
