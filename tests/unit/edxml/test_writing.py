"""Packages that are built: their order, what is checked on the way out, samples, and what people are shown."""

from __future__ import annotations

import io
import random
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pypdf
import pytest
from lxml import etree

from adapters.edxml.attachments import received_files
from adapters.edxml.facts import (
    Answered,
    AttachedFile,
    DocumentFields,
    Organ,
    ReceiverChange,
    Replaced,
    Staff,
    StatusFields,
)
from adapters.edxml.format import EdxmlFormat
from adapters.edxml.names import local_name, q
from adapters.edxml.samples import sample_document, sample_pdf
from adapters.edxml.show import shown
from adapters.edxml.writer import document_package, status_package
from relay.errors import Code, RefusedError
from relay.model.message import Kind
from tests.support.packages import AT, big_file, build_status, small_pdf
from tests.support.views import view_of

FULL = DocumentFields(
    sender=Organ("H53", "Ủy ban (mẫu)", "Cấp trên", "Số 1", "a@example.vn", "024", "025", "example.vn"),
    recipients=(Organ("G22"), Organ("000.00.13.H53")),
    document_id="H53,2026,7",
    number="7",
    notation="UBND-VP",
    place="Tây Ninh",
    promulgated_on=date(2026, 3, 2),
    type_number=18,
    type_name="Công văn",
    subject="Về việc thử <&> nghiệm",
    signer_name="Người ký (mẫu)",
    traced_at=AT,
    attachments=(small_pdf(), AttachedFile("b.txt", b"b", "text/plain", "mô tả")),
    type_detail=0,
    content="tóm tắt",
    signer_competence="KT.",
    signer_position="Phó",
    due_on=date(2026, 4, 1),
    to_places=("Như trên", "Lưu: VT"),
    priority=1,
    sphere="nội bộ",
    typist="ab",
    copies=2,
    pages=1,
    direction=True,
    appendixes=("Phụ lục I",),
    answers=(Answered("G22", "1/VPCP", "x", date(2026, 2, 1)),),
    business_type=2,
    business_reason="sai số",
    business_document_id="H53,2026,6",
    content_changed=True,
    receiver_changes=(ReceiverChange("H26", added=True), ReceiverChange("H29", added=False)),
    staff=Staff("Văn phòng", "Chuyên viên (mẫu)", "09", "b@example.vn"),
    on_paper_too=True,
    replaces=(Replaced("H53,2026,5", ("G22", "H26")),),
)
STATUS = StatusFields(
    reporter=Organ("G22"),
    addressee="H53",
    document_id="H53,2026,7",
    number="7/UBND-VP",
    promulgation_date="2026/03/02",
    status_code="03",
    reported_at=AT,
    staff=Staff("Văn thư"),
)


def order(package: bytes, *path: str) -> list[str]:
    element = etree.fromstring(package).find("/".join(q(name) for name in path))
    return [local_name(child.tag) for child in element]


def test_the_order_is_that_of_the_national_encoder() -> None:
    package = document_package(FULL)
    assert order(package, "edXMLEnvelope") == ["edXMLHeader", "edXMLBody"]
    assert order(package, "edXMLEnvelope", "edXMLHeader") == ["MessageHeader", "TraceHeaderList"]
    header = ("edXMLEnvelope", "edXMLHeader", "MessageHeader")
    assert order(package, *header) == [
        "From", "To", "To", "DocumentId", "Code", "PromulgationInfo", "DocumentType", "Subject", "Content",
        "SignerInfo", "DueDate", "OtherInfo", "ResponseFor", "SteeringType", "ToPlaces",
    ]  # fmt: skip
    assert order(package, *header, "From") == [
        "OrganId", "OrganizationInCharge", "OrganName", "OrganAdd", "Email", "Telephone", "Fax", "Website",
    ]  # fmt: skip
    assert order(package, "edXMLEnvelope", "edXMLHeader", "TraceHeaderList", "Bussiness") == [
        "BussinessDocType", "BussinessDocReason", "BussinessDocumentInfo", "DocumentId", "StaffInfo", "Paper",
        "ReplacementInfoList",
    ]  # fmt: skip
    status = status_package(STATUS)
    assert order(status, "edXMLEnvelope") == ["edXMLHeader"]
    assert order(status, *header) == ["From", "ResponseFor", "StaffInfo", "StatusCode", "Timestamp"]


def test_the_bytes_have_the_prefixes_and_times_of_the_standard() -> None:
    package = document_package(FULL).decode()
    assert package.startswith(
        '<?xml version="1.0" encoding="UTF-8"?>\n<edXML xmlns="http://www.mic.gov.vn/TBT/'
    )
    assert "<edXML:MessageHeader>" in package
    assert "<AttachmentEncoded><Attachment><ContentId>" in package
    assert "<edXML:Timestamp>2026/03/02 08:30:00</edXML:Timestamp>" in package  # Vietnam time
    assert document_package(FULL) == document_package(FULL)


def test_absent_facts_leave_no_empty_elements() -> None:
    tree = etree.fromstring(
        document_package(replace(FULL, sender=Organ("H53"), staff=None, due_on=None, content=""))
    )
    assert not [element.tag for element in tree.iter() if not len(element) and not element.text]


def refusal(change: dict[str, Any]) -> Code:
    with pytest.raises(RefusedError) as caught:
        document_package(replace(FULL, **change))
    return caught.value.code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"recipients": ()}, Code.NO_RECIPIENT),
        ({"recipients": (Organ("g22"),)}, Code.BAD_CODE),
        ({"sender": Organ(" H53")}, Code.BAD_CODE),
        ({"sender": Organ("H53", name="x" * 201)}, Code.BAD_VALUE),
        ({"document_id": " "}, Code.EMPTY_DOCUMENT_ID),
        ({"subject": ""}, Code.MISSING_VALUE),
        ({"subject": "x" * 501}, Code.BAD_VALUE),
        ({"subject": "a\x00b"}, Code.BAD_VALUE),
        ({"subject": "a\ud800b"}, Code.BAD_VALUE),
        ({"number": "x" * 12}, Code.BAD_VALUE),
        ({"to_places": ("x" * 151,)}, Code.BAD_VALUE),
        ({"attachments": (AttachedFile("", b""),)}, Code.MISSING_VALUE),
        ({"attachments": (AttachedFile("x" * 501, b""),)}, Code.BAD_VALUE),
        ({"attachments": (AttachedFile("Mật.pdf", b""),)}, Code.STATE_SECRET),
        ({"business_type": 4}, Code.BAD_DOCUMENT_TYPE),
        ({"priority": 5}, Code.BAD_VALUE),
        ({"steering_type": 0}, Code.BAD_VALUE),
    ],
)
def test_what_is_sent_is_held_against_the_standard(change: dict[str, Any], code: Code) -> None:
    assert refusal(change) is code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"addressee": "h53"}, Code.BAD_CODE),
        ({"status_code": "07"}, Code.BAD_STATUS_CODE),
        ({"document_id": "", "number": ""}, Code.MISSING_VALUE),
        ({"description": "x" * 501}, Code.BAD_VALUE),
        ({"description": "[Mật] x"}, Code.STATE_SECRET),
    ],
)
def test_a_status_that_is_sent_is_held_against_the_standard(change: dict[str, Any], code: Code) -> None:
    with pytest.raises(RefusedError) as caught:
        status_package(replace(STATUS, **change))
    assert caught.value.code is code


def test_a_carriage_return_survives() -> None:
    package = document_package(replace(FULL, content="a\r\nb"))
    found = etree.fromstring(package).find(f".//{q('Content')}")
    assert found.text == "a\r\nb"


def test_twenty_megabytes_go_through() -> None:
    big = big_file(random.Random(1), 20_000_000)
    assert len(big.content) == 20_000_000
    (file,) = received_files(view_of(document_package(replace(FULL, attachments=(big,)))))
    assert file.content == big.content
    assert pypdf.PdfReader(io.BytesIO(small_pdf().content)).pages


@pytest.mark.parametrize("seed", range(12))
def test_samples_are_valid_and_come_again(seed: int) -> None:
    at = datetime(2026, 3, 2, 18, tzinfo=UTC)

    def sample() -> DocumentFields:
        return sample_document(
            random.Random(seed), Organ("H53"), [Organ("G22")], at, priority=1, payload_bytes=5000
        )

    package = document_package(sample())
    assert package == document_package(sample())
    assert EdxmlFormat().read(view_of(package), Kind.EDOC).urgent
    assert sample().promulgated_on == date(2026, 3, 3)  # already the next day in Vietnam
    (file,) = received_files(view_of(package))
    assert file.warnings == ()
    assert 4900 < len(file.content) < 5100
    reader = pypdf.PdfReader(io.BytesIO(file.content), strict=True)
    assert len(reader.pages) == 1
    assert reader.metadata is not None
    assert sample().subject in str(reader.metadata.title)
    assert "Ve viec" in reader.pages[0].extract_text()


def test_a_small_sample_has_no_filler() -> None:
    assert len(sample_pdf(random.Random(1), ["x"])) < 900


def test_people_see_a_document() -> None:
    facts = shown(view_of(document_package(FULL)))
    assert (facts.sender, facts.sender_name, facts.recipients[1]) == (
        "H53",
        "Ủy ban (mẫu)",
        ("000.00.13.H53", ""),
    )
    assert (facts.number, facts.subject, facts.type_name) == (
        "7/UBND-VP",
        "Về việc thử <&> nghiệm",
        "Công văn",
    )
    assert facts.signer == "KT. Phó Người ký (mẫu)"
    assert [(file.name, file.payload_bytes) for file in facts.files] == [
        (file.name, len(file.content)) for file in FULL.attachments
    ]


def test_people_see_a_status() -> None:
    facts = shown(
        view_of(
            build_status("G22", "H53", "H53,2026,7", status_code="02", description="dòng 1\n\x9b[2Jdòng 2")
        )
    )
    assert (facts.sender, facts.recipients) == ("G22", (("H53", ""),))
    assert (facts.document_id, facts.number, facts.status_code) == ("H53,2026,7", "1896/UBND-KSTTHC", "02")
    assert facts.reason == "dòng 1 [2Jdòng 2"


def test_nothing_shown_can_move_the_cursor_or_turn_the_line() -> None:
    package = document_package(replace(FULL, subject="a\u202egnp.\u2066b" + "x" * 400), checked=False)
    subject = shown(view_of(package)).subject
    assert subject.isprintable()
    assert len(subject) == 300


@pytest.mark.parametrize("name", ["notation", "number", "document_id"])
@pytest.mark.parametrize("letter", ["\u200e", "\u202e", "\t", "\x85"])
def test_what_names_a_document_is_written_only_if_it_is_read(name: str, letter: str) -> None:
    """The relay refuses controls and turned directions there: the writer has to say so first."""
    given: dict[str, Any] = {name: f"7{letter}8"}
    with pytest.raises(RefusedError, match="holds control characters") as caught:
        document_package(replace(FULL, **given))
    assert caught.value.code is Code.BAD_VALUE
