"""Each business type and each status of the strict writer goes through the relay and is read back the same."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from click.testing import CliRunner

from adapters.edxml.check import check
from adapters.edxml.facts import (
    AttachedFile,
    DocumentFields,
    Organ,
    ReceiverChange,
    Replaced,
    StatusFields,
    document_of,
    status_of,
)
from adapters.edxml.model import Package, SignatureKind
from adapters.edxml.reader import read
from adapters.edxml.references import KnownDocument, meant
from adapters.edxml.writer import package_bytes
from relay.cli.main import main
from tests.acceptance.conftest import Axis
from tests.support.stranger_xml import sign

SENDER, RECIPIENT = "H53.31", "G22"
AT = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
NUMBER = "1896"
BUSINESS: dict[str, dict[str, Any]] = {
    "new": {},
    "revocation": {"business_type": 1, "business_reason": "sai", "business_document_id": "{new}"},
    "update": {
        "business_type": 2,
        "business_reason": "thêm nơi nhận",
        "business_document_id": "{new}",
        "content_changed": True,
        "receiver_changes": (ReceiverChange("H26.15", added=True),),
    },
    "replacement": {"business_type": 3, "business_reason": "ban hành lại"},
}
# in an order that the rules of take-back allow: 15 and 16 answer the revocation
STATUSES = ("01", "02", "03", "04", "05", "06")


@dataclass(frozen=True)
class Passed:
    """What went through: as written, as published, as it arrived."""

    package: Package
    body: bytes
    received: Any
    transport_id: str


def document(document_id: str, more: dict[str, Any]) -> Package:
    facts: dict[str, Any] = {
        "sender": Organ(SENDER, "Cơ quan gửi (mẫu)"),
        "recipients": (Organ(RECIPIENT, "Cơ quan nhận (mẫu)"),),
        "document_id": document_id,
        "number": NUMBER,
        "notation": "UBND-VP",
        "place": "Tây Ninh",
        "promulgated_on": date(2026, 3, 2),
        "type_number": 18,
        "type_name": "Công văn",
        "subject": "Về việc thử nghiệm",
        "signer_name": "Người ký (mẫu)",
        "traced_at": AT,
        "attachments": (AttachedFile("văn bản.txt", b"noi dung" * 100, "text/plain"),),
        **more,
    }
    return document_of(DocumentFields(**facts))


def status(code: str, reporter: str, addressee: str, document_id: str, number: str = "") -> Package:
    return status_of(
        StatusFields(
            reporter=Organ(reporter, "Cơ quan báo (mẫu)"),
            addressee=addressee,
            document_id=document_id,
            number=number,
            promulgation_date="2026/03/02",
            status_code=code,
            reported_at=AT,
            description="lý do (mẫu)",
        )
    )


def through(axis: Axis, package: Package, sender: str, recipient: str) -> Passed:
    """Write strictly, sign, publish, and wait for it at the recipient."""
    gateway, other = axis.gateway(sender), axis.gateway(recipient)
    body = sign(package_bytes(package), gateway.signer())
    kind, transport_id = package.kind.value, str(uuid.uuid4())
    assert gateway.publish(body, kind=kind, message_id=transport_id) == "ack"
    return Passed(package, body, other.arrival(transport_id, 40, kind=kind), transport_id)


@pytest.fixture(scope="module")
def passed(axis: Axis) -> dict[str, Passed]:
    ids = {name: str(uuid.uuid4()) for name in BUSINESS}
    found: dict[str, Passed] = {}
    for name, more in BUSINESS.items():
        facts = {key: ids["new"] if value == "{new}" else value for key, value in more.items()}
        if name == "replacement":
            facts["replaces"] = (Replaced(ids["new"], (RECIPIENT,)),)
        found[name] = through(axis, document(ids[name], facts), SENDER, RECIPIENT)
    for code in STATUSES:
        package = status(code, RECIPIENT, SENDER, ids["new"], f"{NUMBER}/UBND-VP")
        found[code] = through(axis, package, RECIPIENT, SENDER)
    found["16"] = through(axis, status("16", RECIPIENT, SENDER, ids["update"]), RECIPIENT, SENDER)
    found["15"] = through(axis, status("15", RECIPIENT, SENDER, ids["revocation"]), RECIPIENT, SENDER)
    found["13"] = through(axis, status("13", SENDER, RECIPIENT, ids["replacement"]), SENDER, RECIPIENT)
    return found


@pytest.mark.parametrize("name", [*BUSINESS, *STATUSES, "13", "15", "16"])
def test_it_arrives_bit_for_bit_and_reads_as_it_was_written(passed: dict[str, Passed], name: str) -> None:
    one = passed[name]
    assert one.received.body == one.body
    read_back = read(one.received.body).package
    assert read_back is not None
    assert read_back.signature is SignatureKind.XMLDSIG
    assert replace(read_back, signature=SignatureKind.NONE) == one.package
    checked = check(one.received.body, "strict")
    assert not checked.faults
    assert not checked.schema
    assert checked.relay is None


@pytest.mark.parametrize(
    ("name", "about"),
    [*((code, "new") for code in STATUSES), ("13", "replacement"), ("15", "revocation"), ("16", "update")],
)
def test_a_status_is_about_the_document_that_it_names(
    passed: dict[str, Passed], name: str, about: str
) -> None:
    assert passed[name].received.headers["truc-refers-to"] == passed[about].transport_id


def test_track_tells_which_document_a_status_is_about(axis: Axis, passed: dict[str, Passed]) -> None:
    axis.settled()
    for name, about in (("03", "new"), ("13", "replacement"), ("15", "revocation")):
        command = ["track", passed[name].transport_id, "--home", str(axis.home)]
        told = json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)
        assert [one["refers_to"] for one in told["documents"]] == [passed[about].transport_id]
        assert passed[about].transport_id in CliRunner().invoke(main, command).stdout


@pytest.mark.parametrize("name", ["revocation", "update", "replacement"])
def test_track_tells_which_document_a_change_is_about(
    axis: Axis, passed: dict[str, Passed], name: str
) -> None:
    command = ["track", passed[name].transport_id, "--home", str(axis.home), "--json"]
    (told,) = json.loads(CliRunner().invoke(main, command).stdout)["documents"]
    (mention,) = told["speaks_of"]
    assert mention["transport_ids"] == [passed["new"].transport_id]


@pytest.mark.parametrize("name", ["revocation", "update", "replacement"])
def test_a_change_means_the_document_that_was_sent_before(passed: dict[str, Passed], name: str) -> None:
    known = []
    for other in BUSINESS:
        package: Any = read(passed[other].received.body).package
        document_id = package.message_header.document_id
        known.append(
            KnownDocument(passed[other].transport_id, SENDER, document_id, package.number, "2026/03/02")
        )
    package = read(passed[name].received.body).package
    assert package is not None
    (answer,) = meant(package, known)
    assert answer.document is not None
    assert answer.document.key == passed["new"].transport_id


def test_a_status_by_number_and_date_alone_finds_its_document(axis: Axis) -> None:
    number = str(uuid.uuid4().int)[:11]
    sent = through(axis, document(str(uuid.uuid4()), {"number": number}), SENDER, RECIPIENT)
    told = through(axis, status("03", RECIPIENT, SENDER, "", f"{number}/UBND-VP"), RECIPIENT, SENDER)
    assert told.received.headers["truc-refers-to"] == sent.transport_id
