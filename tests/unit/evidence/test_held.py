"""Files that somebody holds: the records that bind them are found, and what no record binds is said."""

from __future__ import annotations

from relay.evidence.held import HeldFiles
from relay.evidence.record import decode
from relay.evidence.synthetic import relay_key
from tests.support.evidencecase import RECEIPT, receipt_of, small_case, submissions


def test_a_file_is_bound_by_the_records_that_name_its_hash() -> None:
    log, case = small_case(relay_key("truc-a"))
    (chain,) = log.chains()
    document = submissions(log, chain)[0]
    receipt = receipt_of(document, RECEIPT).sha256
    held = HeldFiles(
        {"sent": document.body_sha256, "again": document.body_sha256, "receipt": receipt, "other": "ab" * 32}
    )
    for octets in log.records(chain):
        held.seen(chain, decode(octets))
    assert [(one.file, one.kind) for one in held.bindings] == [
        ("again", "acceptance"),
        ("receipt", "receipt"),
        ("sent", "acceptance"),
    ]
    assert {one.transport_id for one in held.bindings} == {case.transport_id}
    assert held.unbound == ("other",)
