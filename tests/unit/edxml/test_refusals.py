"""What the reader refuses, each with its code."""

from __future__ import annotations

import pytest

from adapters.edxml import names
from adapters.edxml.format import EdxmlFormat
from relay.errors import Code, RefusedError
from relay.model.message import Kind
from tests.support.packages import build_document, build_status, replaced
from tests.support.views import view_of

DOCUMENT = build_document("H53", ["G22"], document_id="H53,2026,7")
STATUS = build_status("G22", "H53", "H53,2026,7")
FROM = "<edXML:From><edXML:OrganId>H53</edXML:OrganId>"
TO = "<edXML:To><edXML:OrganId>G22</edXML:OrganId>"
TO_WHOLE = f"{TO}<edXML:OrganName>Cơ quan nhận 1 (mẫu)</edXML:OrganName></edXML:To>"
ID = "<edXML:DocumentId>H53,2026,7</edXML:DocumentId>"
CODE = "<edXML:StatusCode>01</edXML:StatusCode>"
RESPONSE = "<edXML:ResponseFor><edXML:OrganId>H53</edXML:OrganId>"
TYPE = "<edXML:BussinessDocType>0</edXML:BussinessDocType>"


def refusal(package: bytes, kind: Kind) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        EdxmlFormat().read(view_of(package), kind)
    return caught.value


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("edXML:From>", "edXML:Sender>", Code.MISSING_VALUE),
        ("edXML:MessageHeader>", "edXML:Other>", Code.MISSING_VALUE),
        ("edXML:edXMLHeader>", "edXML:Other>", Code.MISSING_VALUE),
        (FROM, "<edXML:From>", Code.MISSING_VALUE),
        (TO, "<edXML:To>", Code.MISSING_VALUE),
        (ID, "", Code.MISSING_VALUE),
        (ID, ID + ID, Code.DUPLICATE_VALUE),
        (ID, ID + '<DocumentId xmlns="">other</DocumentId>', Code.DUPLICATE_VALUE),
        (ID, "<edXML:DocumentId/>", Code.EMPTY_DOCUMENT_ID),
        (ID, "<edXML:DocumentId>\n \t</edXML:DocumentId>", Code.EMPTY_DOCUMENT_ID),
        (ID, "<edXML:DocumentId>a<b/>c</edXML:DocumentId>", Code.BAD_VALUE),
        (ID, "<edXML:DocumentId>a\nb</edXML:DocumentId>", Code.BAD_VALUE),
        (ID, f"<edXML:DocumentId>{'a' * 256}</edXML:DocumentId>", Code.BAD_VALUE),
        (FROM, f"<edXML:From><edXML:OrganId>G22</edXML:OrganId></edXML:From>{FROM}", Code.DUPLICATE_VALUE),
        (FROM, f"{FROM}<edXML:OrganId>H53</edXML:OrganId>", Code.DUPLICATE_VALUE),
        (FROM, f"{FROM}<edXML:From><edXML:OrganId>G22</edXML:OrganId></edXML:From>", Code.DUPLICATE_VALUE),
        (FROM, f"{FROM}<OrganId xmlns=''>G22</OrganId>", Code.DUPLICATE_VALUE),
        (TO, f"{TO}<edXML:OrganId>H26</edXML:OrganId>", Code.DUPLICATE_VALUE),
        (FROM, "<edXML:From><edXML:OrganId> H53</edXML:OrganId>", Code.BAD_CODE),
        (FROM, "<edXML:From><edXML:OrganId>h53</edXML:OrganId>", Code.BAD_CODE),
        (FROM, "<edXML:From><edXML:OrganId>Н53</edXML:OrganId>", Code.BAD_CODE),  # Cyrillic
        (FROM, "<edXML:From><edXML:OrganId>H<i>53</i></edXML:OrganId>", Code.BAD_CODE),
        (FROM, "<edXML:From><edXML:OrganId/>", Code.BAD_CODE),
        (TO, "<edXML:To><edXML:OrganId>G22\n</edXML:OrganId>", Code.BAD_CODE),
        (TO, "<edXML:To><edXML:OrganId>000.1137.H53</edXML:OrganId>", Code.BAD_CODE),
        (TO, "<edXML:To><edXML:OrganId>G22<x/></edXML:OrganId>", Code.BAD_CODE),
        (TO_WHOLE, "", Code.NO_RECIPIENT),
        (TO_WHOLE, '<To xmlns="urn:other"><OrganId>G22</OrganId></To>', Code.NO_RECIPIENT),
        (TYPE, "<edXML:BussinessDocType>4</edXML:BussinessDocType>", Code.BAD_DOCUMENT_TYPE),
        (TYPE, "<edXML:BussinessDocType>mới</edXML:BussinessDocType>", Code.BAD_DOCUMENT_TYPE),
        (TYPE, "<edXML:BussinessDocType/>", Code.BAD_DOCUMENT_TYPE),
        (TYPE, "<edXML:BussinessDocType>1<x/></edXML:BussinessDocType>", Code.BAD_DOCUMENT_TYPE),
        (TYPE, TYPE + TYPE, Code.DUPLICATE_VALUE),
        (ID, ID + CODE, Code.TYPE_MISMATCH),
        ("<edXML:Priority>0", "<edXML:Priority>0</edXML:Priority><edXML:Priority>3", Code.DUPLICATE_VALUE),
        ("<edXML:CodeNumber>1896", f"<edXML:CodeNumber>{'1' * 65}", Code.BAD_VALUE),
        ("<edXML:CodeNumber>1896", "<edXML:CodeNumber>1<b/>", Code.BAD_VALUE),
        ("<edXML:Subject>", "<edXML:Subject><b/>", Code.BAD_VALUE),
        ("<edXML:Subject>", "<edXML:Subject/><edXML:Subject>", Code.DUPLICATE_VALUE),
    ],
)
def test_a_document_is_refused(old: str, new: str, code: Code) -> None:
    assert old.encode() in DOCUMENT
    assert refusal(DOCUMENT.replace(old.encode(), new.encode()), Kind.EDOC).code is code


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("edXML:From>", "edXML:Sender>", Code.MISSING_VALUE),
        (CODE, "", Code.MISSING_VALUE),
        (CODE, CODE + CODE, Code.DUPLICATE_VALUE),
        (CODE, f"{CODE}<edXML:StatusCode>03</edXML:StatusCode>", Code.DUPLICATE_VALUE),
        *(
            (CODE, f"<edXML:StatusCode>{wrong}</edXML:StatusCode>", Code.BAD_STATUS_CODE)
            for wrong in ("", "1", "00", "07", "08", "09", "10", "11", "12", "14", "17", "٠١", "arrived")
        ),
        (CODE, "<edXML:StatusCode>0<b/>1</edXML:StatusCode>", Code.BAD_VALUE),
        (CODE, CODE + TO_WHOLE, Code.STATUS_HAS_TO),
        ("edXML:ResponseFor>", "edXML:Other>", Code.MISSING_VALUE),
        (RESPONSE, "<edXML:ResponseFor>", Code.MISSING_VALUE),
        (RESPONSE, f"{RESPONSE}<edXML:OrganId>G22</edXML:OrganId>", Code.DUPLICATE_VALUE),
        (RESPONSE, f"{RESPONSE}</edXML:ResponseFor>{RESPONSE}", Code.DUPLICATE_VALUE),
        (RESPONSE, "<edXML:ResponseFor><edXML:OrganId>h53</edXML:OrganId>", Code.BAD_CODE),
        (ID, ID + ID, Code.DUPLICATE_VALUE),
        (f"<edXML:Code>1896/UBND-KSTTHC</edXML:Code><edXML:PromulgationDate>2026/03/02</edXML:PromulgationDate>{ID}", "",
         Code.MISSING_VALUE),
        (CODE, CODE + CODE.replace("StatusCode", "Description") * 2, Code.DUPLICATE_VALUE),
    ],
)  # fmt: skip
def test_a_status_is_refused(old: str, new: str, code: Code) -> None:
    assert old.encode() in STATUS
    assert refusal(STATUS.replace(old.encode(), new.encode()), Kind.STATUS).code is code


def test_a_document_in_the_clothes_of_a_status_is_refused() -> None:
    assert refusal(DOCUMENT, Kind.STATUS).code is Code.TYPE_MISMATCH


def test_a_status_in_the_clothes_of_a_document_is_refused() -> None:
    assert refusal(STATUS, Kind.EDOC).code is Code.TYPE_MISMATCH


def test_no_package_is_a_receipt() -> None:
    assert refusal(DOCUMENT, Kind.RECEIPT).code is Code.TYPE_MISMATCH


def test_a_status_carries_no_files() -> None:
    with_file = replaced(STATUS, "</edXML>", "<AttachmentEncoded><Attachment/></AttachmentEncoded></edXML>")
    assert refusal(with_file, Kind.STATUS).code is Code.TYPE_MISMATCH


@pytest.mark.parametrize(
    "namespace", ["", "http://www.e-doc.vn/Schema/", "http://www.mic.gov.vn/TBT/QCVN_102_2022"]
)
def test_another_root_is_refused(namespace: str) -> None:
    package = DOCUMENT.replace(names.NAMESPACE.encode(), namespace.encode()) if namespace else b"<edXML/>"
    assert refusal(package, Kind.EDOC).code is Code.WRONG_ROOT


def test_two_envelopes_and_two_headers_are_refused() -> None:
    one = DOCUMENT.partition(b"<edXML:edXMLEnvelope")[2].partition(b"</edXML:edXMLEnvelope>")[0]
    envelope = b"<edXML:edXMLEnvelope" + one + b"</edXML:edXMLEnvelope>"
    assert refusal(DOCUMENT.replace(envelope, envelope + envelope), Kind.EDOC).code is Code.DUPLICATE_VALUE
    header = "<edXML:MessageHeader>"
    package = replaced(DOCUMENT, header, f"<edXML:MessageHeader/>{header}")
    assert refusal(package, Kind.EDOC).code is Code.DUPLICATE_VALUE


def test_a_refusal_says_where_and_never_what() -> None:
    package = build_document("H53", ["G22"], document_id="Nguyễn\nbí mật", subject="riêng tư")
    detail = refusal(package, Kind.EDOC).detail
    assert "DocumentId" in detail
    assert "Nguyễn" not in detail
