"""What was found in attachments: told once, in one commit with its receipts."""

from __future__ import annotations

from relay.model.inspection import InspectionResult
from relay.model.ports import Registry
from relay.model.receipt import ReceiptKind
from relay.model.record import Claimed, NewReceipt, Settled
from tests.support.registry import Maker, accepted, at


def test_a_verdict_is_told_once_and_its_receipts_wait_to_be_published(registry: Registry) -> None:
    make = Maker()
    row = accepted(registry, make, make.claim("a"))
    before = {one.number for one in registry.receipts(row)}
    assert registry.inspected(row) is None
    first = [
        NewReceipt(make.receipt(kind=ReceiptKind.ATTACHMENT_VERDICT, to=to, now=at(1)), row)
        for to in ("H26", "H29")
    ]
    assert registry.tell_inspection(row, InspectionResult.ALTERED, first, at(1))
    again = [NewReceipt(make.receipt(kind=ReceiptKind.ATTACHMENT_VERDICT), row)]
    assert not registry.tell_inspection(row, InspectionResult.GOOD, again, at(2))
    assert registry.inspected(row) is InspectionResult.ALTERED
    told = {new.receipt.number for new in first}
    assert {one.number for one in registry.receipts(row)} == before | told
    assert told <= {one.number for one in registry.unpublished(at(9999), 9)}
    assert registry.stored([new.receipt.number for new in again]) == set()


def test_a_verdict_needs_no_lease_and_takes_none(registry: Registry) -> None:
    make = Maker()
    claim = make.claim("a")
    (claimed,) = registry.claim([claim], "w1", claim.accepted_at)
    assert claimed.outcome is Claimed.NEW
    assert claimed.document is not None
    row = claimed.document.row
    assert registry.tell_inspection(
        row, InspectionResult.GOOD, [], at(1)
    )  # while a worker holds the document
    assert registry.settle([make.queued(claim, row)], "w1", at(2)) == [Settled.DONE]
    assert registry.inspected(row) is InspectionResult.GOOD
