"""What the reader takes, case by case."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from adapters.edxml import names
from adapters.edxml.facts import Answered, Replaced
from adapters.edxml.format import EdxmlFormat
from relay.model.envelope import Envelope, Recipient, Reference
from relay.model.message import Kind
from tests.support.packages import build_document, build_status, kinds_of_attachments, oddities, replaced
from tests.support.spelling import SPELLINGS
from tests.support.views import view_of

EDXML = EdxmlFormat()
PLACE = EDXML.place(Kind.EDOC)


def read(package: bytes, kind: Kind = Kind.EDOC) -> Envelope:
    return EDXML.read(view_of(package, opaque=PLACE.opaque), kind)


def document(**facts: object) -> bytes:
    given: dict[str, object] = {"document_id": "H53,2026,7", **facts}
    return build_document("H53.31.20", ["G22", "000.00.13.H53"], **given)  # type: ignore[arg-type]


def status(**facts: str) -> bytes:
    return build_status("G22", "000.20.31.H53", "H53,2026,7", **facts)  # type: ignore[arg-type]


def test_the_place_of_the_signature_is_that_of_the_standard() -> None:
    assert PLACE.root == "{http://www.mic.gov.vn/TBT/QCVN_102_2016}edXML"
    assert [names.local_name(tag) for tag in PLACE.path] == ["edXMLEnvelope", "edXMLHeader"]
    assert {names.local_name(tag) for tag in PLACE.opaque} == {"ContentTransferEncoded"}
    assert PLACE.stub == "{http://www.mic.gov.vn/TBT/QCVN_102_2016}Signature"
    assert EDXML.place(Kind.STATUS) == replace(PLACE, manifest=None), "a status knows the whole profile alone"
    assert EDXML.content_type == "application/edxml+xml"


def test_a_document_is_read_whole() -> None:
    envelope = read(document(subject="Về việc thử nghiệm", priority=2, promulgated_on=date(2026, 1, 31)))
    assert envelope == Envelope(
        kind=Kind.EDOC,
        sender="H53.31.20",
        sender_written="H53.31.20",
        recipients=(Recipient("G22", "G22"), Recipient("000.00.13.H53", "H53.13")),
        document_id="H53,2026,7",
        code_number="1896",
        code_notation="UBND-KSTTHC",
        promulgation_date="2026/01/31",
        subject="Về việc thử nghiệm",
        priority=2,
    )
    assert envelope.urgent


def test_a_status_is_read_whole() -> None:
    assert read(status(status_code="02", description="Gửi nhầm nơi nhận"), Kind.STATUS) == Envelope(
        kind=Kind.STATUS,
        sender="G22",
        sender_written="G22",
        recipients=(Recipient("000.20.31.H53", "H53.31.20"),),
        document_id="",
        status_code="02",
        description="Gửi nhầm nơi nhận",
        timestamp="2026/03/02 08:30:00",
        refers_to=Reference("H53.31.20", "H53,2026,7", "1896/UBND-KSTTHC", "2026/03/02"),
    )


def test_a_change_names_the_documents_that_it_speaks_of() -> None:
    replaced_two = (
        Replaced("H53,2026,5", ("G22",)),
        Replaced("H53,2026,5", ("H26",)),
        Replaced("4", ("G22",)),
    )
    assert read(document(business_type=3, replaces=replaced_two)).speaks_of == ("H53,2026,5", "4")
    assert read(document(business_type=1, business_document_id="6")).speaks_of == ("6",)
    assert read(document(business_type=1)).speaks_of == ("H53,2026,7",)
    assert read(document(business_type=2)).speaks_of == ()
    assert read(document(replaces=replaced_two)).speaks_of == ()  # a new document


def test_a_take_back_is_about_a_document_of_its_own_sender() -> None:
    refers_to = read(status(status_code="13"), Kind.STATUS).refers_to
    assert refers_to is not None
    assert refers_to.sender == "G22"


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("kind", [Kind.EDOC, Kind.STATUS])
def test_spelling_changes_nothing(spelling: str, kind: Kind) -> None:
    package = document(attachments=list(kinds_of_attachments().values())) if kind is Kind.EDOC else status()
    odd = oddities(package)[spelling]
    assert read(odd, kind) == read(package, kind)
    assert odd != package


def test_the_same_agency_twice_is_one_recipient_and_the_first_spelling_stays() -> None:
    envelope = read(build_document("H53", ["000.00.00.G22", "H26", "G22", "H26"], document_id="1"))
    assert envelope.recipients == (Recipient("000.00.00.G22", "G22"), Recipient("H26", "H26"))
    assert len(envelope.notes) == 2


def test_one_may_write_to_oneself() -> None:
    assert read(build_document("H53", ["H53"])).recipients == (Recipient("H53", "H53"),)


@pytest.mark.parametrize(
    ("written", "counts_as"),
    [
        ("0", 0),
        ("1", 1),
        ("4", 4),
        (" 3\n", 3),
        ("5", 0),
        ("-1", 0),
        ("+1", 0),
        ("01", 0),
        ("٣", 0),
        ("khẩn", 0),
        ("", 0),
    ],
)
def test_an_odd_priority_counts_as_normal(written: str, counts_as: int) -> None:
    package = replaced(document(), "<edXML:Priority>0<", f"<edXML:Priority>{written}<")
    assert read(package).priority == counts_as


def test_a_priority_with_elements_inside_counts_as_normal() -> None:
    assert read(replaced(document(), "<edXML:Priority>0<", "<edXML:Priority>3<x/><")).priority == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<edXML:BussinessDocType>0</edXML:BussinessDocType>", ""),
        (
            "<edXML:BussinessDocType>0</edXML:BussinessDocType>",
            "<edXML:BussinessDocType> 0 </edXML:BussinessDocType>",
        ),
        ("edXML:TraceHeaderList>", "edXML:Other>"),
    ],
)
def test_without_a_business_type_a_document_is_new(old: str, new: str) -> None:
    assert read(document().replace(old.encode(), new.encode())).business_type == 0


def test_what_is_optional_may_be_missing() -> None:
    bare = (
        f'<edXML xmlns="{names.NAMESPACE}"><edXMLEnvelope><edXMLHeader><MessageHeader>'
        "<DocumentId>18661</DocumentId><Unknown><OrganId>null</OrganId></Unknown>"
        "<To><OrganName/><OrganId>28.22.H17</OrganId></To><From><OrganId>0101234567</OrganId></From>"
        "</MessageHeader></edXMLHeader></edXMLEnvelope></edXML>"
    )
    assert read(bare.encode()) == Envelope(
        kind=Kind.EDOC,
        sender="0101234567",
        sender_written="0101234567",
        recipients=(Recipient("28.22.H17", "H17.22.28"),),
        document_id="18661",
    )


def test_dates_and_numbers_are_kept_as_written() -> None:
    package = replaced(
        document(number="34E31"), "<edXML:PromulgationDate>2026/03/02<", "<edXML:PromulgationDate>30/02/2020<"
    )
    envelope = read(package)
    assert (envelope.code_number, envelope.promulgation_date) == ("34E31", "30/02/2020")


def test_a_long_subject_is_taken_and_noted() -> None:
    envelope = read(document(subject="á" * 501))
    assert envelope.subject == "á" * 501
    assert envelope.notes


def test_a_revocation_is_about_the_document_that_it_names_or_else_its_own_number() -> None:
    named = read(document(business_type=1, business_document_id="old")).refers_to
    assert named == Reference("H53.31.20", "old", "", "")
    own = read(document(business_type=1)).refers_to
    assert own == Reference("H53.31.20", "H53,2026,7", "1896/UBND-KSTTHC", "2026/03/02")


def test_an_update_is_about_the_document_that_it_names() -> None:
    assert read(document(business_type=2)).refers_to is None
    named = read(document(business_type=2, business_document_id="old")).refers_to
    assert named is not None
    assert named.document_id == "old"


def test_a_new_document_and_a_replacement_are_about_no_single_one() -> None:
    assert read(document(business_type=0, business_document_id="2014/02/30")).refers_to is None
    replacement = document(
        business_type=3, replaces=(Replaced("old", ("G22",)),), answers=(Answered("G22", "1/VP"),)
    )
    envelope = read(replacement)
    assert (envelope.business_type, envelope.refers_to) == (3, None)


def test_nothing_of_the_payload_is_needed() -> None:
    view = view_of(document(), opaque=PLACE.opaque)
    payload = next(view.root.all(names.ATTACHMENTS)).first(names.ATTACHMENT, names.PAYLOAD)
    assert payload is not None
    assert payload.text is None
    assert EDXML.read(view, Kind.EDOC) == read(document())


def test_the_numbers_of_a_status_may_stand_for_its_document_id() -> None:
    package = replaced(status(), "<edXML:DocumentId>H53,2026,7</edXML:DocumentId>", "<edXML:DocumentId/>")
    refers_to = read(package, Kind.STATUS).refers_to
    assert refers_to == Reference("H53.31.20", "", "1896/UBND-KSTTHC", "2026/03/02")
