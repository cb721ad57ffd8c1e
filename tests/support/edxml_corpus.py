"""Synthetic packages, each named after what is odd in it, with what a reader has to say of it, written by hand.

Made from a handful of right packages by replacing texts. No real agency's package, name or number is in them.
"""

from __future__ import annotations

import base64
import gzip
import io
import uuid
import zipfile
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

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
from adapters.edxml.names import NAMESPACE
from adapters.edxml.writer import document_package, status_package

AT: Final = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
TEXT: Final = "Nội dung mẫu của tệp đính kèm, đủ dài để không bị coi là ngắn. ".encode() * 8
PDF: Final = b"%PDF-1.4\n" + b"1 0 obj <<>> endobj\n" * 30 + b"%%EOF\n"
PAYLOAD: Final = base64.b64encode(TEXT).decode()
FROM: Final = "<edXML:OrganId>H53</edXML:OrganId>"
TO: Final = "<edXML:OrganId>G22</edXML:OrganId>"
NS: Final = f'xmlns="{NAMESPACE}"'


def _fields(**more: object) -> DocumentFields:
    facts: dict[str, object] = {
        "sender": Organ(
            "H53", "Ủy ban (mẫu)", "Cấp trên (mẫu)", "Số 1", "a@example.vn", "024", "025", "example.vn"
        ),
        "recipients": (Organ("G22", "Cơ quan một (mẫu)"), Organ("000.00.13.H53", "Cơ quan hai (mẫu)")),
        "document_id": "H53,2026,7",
        "number": "7",
        "notation": "UBND-VP",
        "place": "Tây Ninh",
        "promulgated_on": date(2026, 3, 2),
        "type_number": 18,
        "type_detail": 1,
        "type_name": "Công văn",
        "subject": "Về việc thử nghiệm",
        "content": "Tóm tắt",
        "signer_name": "Người ký (mẫu)",
        "signer_competence": "KT.",
        "signer_position": "Phó (mẫu)",
        "due_on": date(2026, 4, 1),
        "to_places": ("Như trên", "Lưu: VT"),
        "sphere": "nội bộ",
        "typist": "ab",
        "copies": 2,
        "pages": 3,
        "appendixes": ("Phụ lục I",),
        "answers": (Answered("G22", "1/VPCP", "G22,2026,1", date(2026, 2, 1)),),
        "staff": Staff("Văn phòng", "Chuyên viên (mẫu)", "09", "b@example.vn"),
        "traced_at": AT,
        "attachments": (AttachedFile("van ban.txt", TEXT, "text/plain", "mô tả"),),
        **more,
    }
    return DocumentFields(**facts)  # type: ignore[arg-type]


DOC: Final = document_package(_fields()).decode()
REVOKE: Final = document_package(
    _fields(business_type=1, business_reason="sai", business_document_id="H53,2026,6")
).decode()
UPDATE: Final = document_package(
    _fields(
        business_type=2,
        business_reason="thêm nơi nhận",
        business_document_id="H53,2026,6",
        content_changed=True,
        receiver_changes=(ReceiverChange("H26", added=True), ReceiverChange("G22", added=False)),
    )
).decode()
REPLACE: Final = document_package(
    _fields(
        business_type=3,
        business_reason="ban hành lại",
        replaces=(Replaced("H53,2026,5", ("G22", "H53.13")), Replaced("H53,2026,4", ("G22",))),
    )
).decode()


def status_text(code: str = "03", description: str = "") -> str:
    """Return a right status."""
    return status_package(
        StatusFields(
            reporter=Organ("G22", "Cơ quan báo (mẫu)"),
            addressee="H53",
            document_id="H53,2026,7",
            number="7/UBND-VP",
            promulgation_date="2026/03/02",
            status_code=code,
            reported_at=AT,
            description=description,
            staff=Staff("Văn thư"),
        )
    ).decode()


STATUS: Final = status_text()


@dataclass(frozen=True)
class Case:
    """A package and what is to be said of it."""

    name: str
    body: bytes
    findings: frozenset[str] = frozenset()
    faults: frozenset[str] = frozenset()
    relay: str = ""  # why the relay refuses it; empty: it does not
    strict: bool | None = None  # whether the strict schema takes it; None: not said here
    tolerant: bool = True  # whether the tolerant schema takes it

    def __str__(self) -> str:
        return self.name


def edited(text: str, *changes: tuple[str, str]) -> str:
    """Return a text with each old part, which has to be there, replaced once."""
    for old, new in changes:
        assert old in text, f"{old!r} is not there"
        text = text.replace(old, new, 1)
    return text


def el(name: str, text: str = "") -> str:
    """Return an element of the envelope."""
    return f"<edXML:{name}>{text}</edXML:{name}>"


def without(text: str, name: str) -> str:
    """Return a text without the first element of a name."""
    start = text.index(f"<edXML:{name}>")
    end = text.index(f"</edXML:{name}>", start) + len(f"</edXML:{name}>")
    return text[:start] + text[end:]


def part(text: str, name: str) -> str:
    """Return the first element of a name."""
    return text[text.index(f"<edXML:{name}>") : text.index(f"</edXML:{name}>") + len(f"</edXML:{name}>")]


def moved(text: str, name: str, before: str) -> str:
    """Return a text with an element put before another place."""
    piece = part(text, name)
    return edited(text.replace(piece, "", 1), (before, piece + before))


def archive(*entries: tuple[str, bytes]) -> bytes:
    """Return a ZIP archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in entries:
            target.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


INNER: Final = f"{uuid.UUID(int=7)}.txt"


def attached(
    content: bytes, name: str = "van ban.txt", content_type: str = "application/octet-stream"
) -> str:
    """Return a right package with one attachment of these bytes."""
    return document_package(
        _fields(attachments=(AttachedFile(name, content, content_type),)), checked=False
    ).decode()


def _case(
    name: str,
    text: str | bytes,
    findings: str = "",
    faults: str = "",
    relay: str | None = None,
    *,
    strict: bool | None = None,
    tolerant: bool = True,
) -> Case:
    """``relay`` unless told: the relay refuses by the one fault, or takes it."""
    body = text if isinstance(text, bytes) else text.encode()
    told = faults.split()
    refusal = relay if relay is not None else (told[0] if told else "")
    return Case(name, body, frozenset(findings.split()), frozenset(told), refusal, strict, tolerant)


def right() -> list[Case]:
    """What is as the standard wants it."""
    found = [
        _case("a new document", DOC, strict=True),
        _case("a revocation", REVOKE, strict=True),
        _case("an update", UPDATE, strict=True),
        _case("a replacement", REPLACE, strict=True),
        _case("a document without attachments", document_package(_fields(attachments=())), strict=True),
        _case(
            "all codes in the 2016 form", DOC.replace(FROM, FROM.replace("H53", "000.00.00.H53")), strict=True
        ),
        _case("an enterprise as recipient", edited(DOC, (TO, TO.replace("G22", "0101234567"))), strict=True),
        _case("a dependent enterprise", edited(DOC, (TO, TO.replace("G22", "0101234567-001"))), strict=True),
        _case("a body of a scheme", edited(DOC, (TO, TO.replace("G22", "Z01.A7"))), strict=True),
        _case("letters in a lower group", edited(DOC, (TO, TO.replace("G22", "H37.DN.001"))), strict=True),
        _case("a comment between elements", edited(DOC, (FROM, f"<!-- ghi chú -->{FROM}")), strict=True),
        _case("no XML declaration", DOC.partition("\n")[2], strict=True),
        _case("line ends CRLF between elements", DOC.replace("><", ">\r\n<"), strict=True),
        _case("a subject of 500 characters", edited(DOC, ("Về việc thử nghiệm", "x" * 500)), strict=True),
        _case(
            "priority 4, express at a given hour", edited(DOC, ("Priority>0<", "Priority>4<")), strict=True
        ),
    ]
    found += [
        _case(f"status {code}", status_text(code, "lý do (mẫu)"), strict=True)
        for code in ("01", "02", "03", "04", "05", "06", "13", "15", "16")
    ]
    found += [
        _case(f"document id {form}", DOC.replace("H53,2026,7", text, 1), strict=True)
        for form, text in {
            "classic": "000.00.00.H53,2015/09/30,7816/VP-TTĐT",
            "by the year": "000.00.00.H53,2018,10",
            "UUID": "9fbfbad2-0000-4256-a2eb-50fb1061cddb",
            "a local number": "18661",
            "of a vendor": "H53-2025-12/UBND",
        }.items()
    ]
    return found


def bytes_around() -> list[Case]:
    """What stands before, behind and around the XML."""
    legacy = "http://www.e-doc.vn/Schema/"
    twice = DOC + DOC.partition("\n")[2]
    return [
        _case("byte order mark", b"\xef\xbb\xbf" + DOC.encode(), "byte-order-mark", strict=True),
        _case("junk before the declaration", "HTTP/1.1 200 OK\n\n" + DOC, "leading-bytes", relay="NOT-XML", strict=True),
        _case("a line end before the declaration", "\n" + DOC, "leading-bytes", relay="NOT-XML", strict=True),
        _case("two byte order marks", b"\xef\xbb\xbf" * 2 + DOC.encode(), "byte-order-mark leading-bytes", relay="NOT-XML", strict=True),
        _case("junk behind the root", DOC + "\0\0\0\0", "trailing-bytes", relay="NOT-XML", strict=True),
        _case("the rest of an older file behind the root", DOC + "edXML:To></edXML>", "trailing-bytes", relay="NOT-XML", strict=True),
        _case("other bytes than UTF-8 behind the root", DOC.encode() + b"\xff\xfe\x80", "trailing-bytes", relay="NOT-UTF8", strict=True),
        _case("a comment behind the root", DOC + "<!-- hết -->\n"),
        _case("two packages in one file", twice, faults="NOT-XML"),
        _case("an undeclared xlink prefix", edited(DOC, ("<edXML:Reference>", '<edXML:Reference xlink:href="cid:1">')),
              "undeclared-prefix sdk-attribute", relay="NOT-XML"),
        _case("an undeclared edXML prefix", DOC.replace(' xmlns:edXML="' + NAMESPACE + '"', ""),
              "undeclared-prefix", relay="NOT-XML", strict=True),
        _case("an undeclared prefix that nobody knows", edited(DOC, ("<edXML:Subject>", '<edXML:Subject abc:d="1">')), faults="NOT-XML"),
        _case("cut off in the middle", DOC[: len(DOC) // 2], faults="NOT-XML"),
        _case("an end tag is missing", edited(DOC, ("</edXML:Subject>", "")), faults="NOT-XML"),
        _case("empty", b"", faults="EMPTY-BODY"),
        _case("white space alone", "  \n", faults="NOT-XML"),
        _case("a PDF in the place of a package", PDF, faults="NOT-XML"),
        _case("UTF-16", DOC.replace("UTF-8", "UTF-16").encode("utf-16"), faults="NOT-UTF8"),
        _case("windows-1258", edited(DOC, ("Về việc thử nghiệm", "é")).encode("latin-1", "replace"), faults="NOT-UTF8"),
        _case("another encoding declared", edited(DOC, ("UTF-8", "windows-1258")), faults="NOT-UTF8"),
        _case("a document type", edited(DOC, ("?>\n", "?>\n<!DOCTYPE edXML>")), faults="DTD-FORBIDDEN"),
        _case("entities", edited(DOC, ("?>\n", '?>\n<!DOCTYPE edXML [<!ENTITY a "b">]>')), faults="ENTITY-FORBIDDEN"),
        _case("a processing instruction inside", edited(DOC, (FROM, "<?php x ?>" + FROM)), faults="PI-FORBIDDEN"),
        _case("a comment inside a code", edited(DOC, (TO, el("OrganId", "G<!-- -->22"))), faults="COMMENT-IN-TEXT"),
        _case("the namespace of the past", DOC.replace(NAMESPACE, legacy), faults="WRONG-ROOT", tolerant=False),
        _case("no namespace at all", "<edXML><a/></edXML>", faults="WRONG-ROOT", tolerant=False),
        _case("another root", DOC.replace("<edXML ", "<edXml ").replace("</edXML>", "</edXml>"), faults="WRONG-ROOT", tolerant=False),
        _case("too deep", f"<edXML {NS}>" + "<a>" * 40 + "</a>" * 40 + "</edXML>", faults="TOO-DEEP", tolerant=False),
    ]  # fmt: skip


def elements() -> list[Case]:
    """Order, repetition, unknown, misspelt and misplaced elements."""
    sender = part(DOC, "From")
    business = part(REVOKE, "Bussiness")
    plain = part(DOC, "Bussiness")
    trace = part(DOC, "TraceHeaderList")
    return [
        _case("the subject before the recipients", moved(DOC, "Subject", part(DOC, "To")), "order"),
        _case("ToPlaces in the guide's order", moved(DOC, "ToPlaces", part(DOC, "OtherInfo")), "order"),
        _case("Bussiness before TraceHeader", moved(DOC, "Bussiness", part(DOC, "TraceHeader")), "order"),
        _case("the name before the code in From", moved(DOC, "OrganName", FROM), "order"),
        _case("no TraceHeaderList", DOC.replace(trace, ""), "missing", strict=True),
        _case("no Bussiness", DOC.replace(plain, ""), strict=True),
        _case("no OrganName", without(DOC, "OrganName"), strict=True),
        _case("no SignerInfo", without(DOC, "SignerInfo"), "missing"),
        _case("no FullName of the signer", without(DOC, "FullName"), "missing"),
        _case("no OtherInfo", without(DOC, "OtherInfo"), strict=True),
        _case("no DueDate", without(DOC, "DueDate"), strict=True),
        _case("no Code", without(DOC, "Code"), "missing"),
        _case("no PromulgationInfo", without(DOC, "PromulgationInfo"), "missing"),
        _case("no DocumentType", without(DOC, "DocumentType"), "missing"),
        _case("no Subject", without(DOC, "Subject"), "missing"),
        _case("TraceHeader without OrganId", edited(DOC, (el("OrganId", "H53") + "<edXML:Timestamp>", "<edXML:Timestamp>")), "missing"),
        _case("TraceHeader with the text null", edited(DOC, (el("OrganId", "H53") + "<edXML:Timestamp>", el("OrganId", "null") + "<edXML:Timestamp>")), "filler", strict=True),
        _case("an empty OrganName", edited(DOC, ("Ủy ban (mẫu)", "")), "empty"),
        _case("an empty DueDate", edited(DOC, (el("DueDate", "2026/04/01"), el("DueDate"))), "empty"),
        _case("an empty ResponseFor", edited(DOC, (part(DOC, "ResponseFor"), el("ResponseFor"))), "empty", strict=True),
        _case("an empty ToPlaces", edited(DOC, (part(DOC, "ToPlaces"), el("ToPlaces"))), "empty"),
        _case("a filler as telephone", edited(DOC, ("Telephone>024<", "Telephone>N/A<")), "filler", strict=True),
        _case("Content twice", edited(DOC, (part(DOC, "Content"), part(DOC, "Content") * 2)), "repeated"),
        _case("two subjects", edited(DOC, (part(DOC, "Subject"), part(DOC, "Subject") * 2)), "repeated", "DUPLICATE-VALUE"),
        _case("two From", edited(DOC, (sender, sender * 2)), "repeated", "DUPLICATE-VALUE"),
        _case("a From inside From", edited(DOC, ("<edXML:OrganName>Ủy", f"{sender}<edXML:OrganName>Ủy")), "unknown-element", "DUPLICATE-VALUE", tolerant=False),
        _case("two OrganId in a To", edited(DOC, (TO, TO + el("OrganId", "H26"))), "repeated", "DUPLICATE-VALUE"),
        _case("an OrganId deeper in a To", edited(DOC, ("Cơ quan một (mẫu)", f"Cơ quan{el('OrganId', 'H26')}")), "elements-in-text", "DUPLICATE-VALUE", tolerant=False),
        _case("two DocumentId", edited(DOC, (el("DocumentId", "H53,2026,7"), el("DocumentId", "H53,2026,7") * 2)), "repeated", "DUPLICATE-VALUE"),
        _case("two headers", edited(DOC, (trace, trace * 2)), faults="DUPLICATE-VALUE"),
        _case("a foreign To beside ours", edited(DOC, (TO, TO + '<OrganId xmlns="urn:x">H26</OrganId>')), "foreign-namespace", "DUPLICATE-VALUE"),
        _case("a foreign element", edited(DOC, (FROM, FROM + '<a xmlns="urn:x">b</a>')), "foreign-namespace"),
        _case("no From", DOC.replace(sender, ""), faults="MISSING-VALUE"),
        _case("no To", without(without(DOC, "To"), "To"), faults="NO-RECIPIENT"),
        _case("no OrganId in From", edited(DOC, (FROM, "")), faults="MISSING-VALUE"),
        _case("no DocumentId", edited(DOC, (el("DocumentId", "H53,2026,7"), "")), faults="MISSING-VALUE"),
        _case("an empty DocumentId", edited(DOC, (el("DocumentId", "H53,2026,7"), el("DocumentId"))), faults="EMPTY-DOCUMENT-ID"),
        _case("no envelope", f"<edXML {NS}/>", faults="MISSING-VALUE", tolerant=False),
        _case("no MessageHeader", DOC.replace(part(DOC, "MessageHeader"), ""), faults="MISSING-VALUE"),
        _case("neither document nor status", edited(DOC, (part(DOC, "MessageHeader"), el("MessageHeader", sender))), faults="MISSING-VALUE", relay="NO-RECIPIENT"),
        _case("an unknown element", edited(DOC, (FROM, FROM + el("MaSoThue", "1"))), "unknown-element", tolerant=False),
        _case("a name in another letter case", edited(DOC, ("<edXML:Content>Tóm tắt</edXML:Content>", el("content", "Tóm tắt"))), "unknown-element", tolerant=False),
        _case("an unknown attribute", edited(DOC, ("<edXML:Subject>", '<edXML:Subject note="1">')), "unknown-attribute"),
        _case("attributes of a vendor's kit", edited(DOC, ("<edXML:TraceHeaderList>", '<edXML:TraceHeaderList id="1" version="1.0" mustUnderstand="1" actor="urn:next">')), "sdk-attribute"),
        _case("xlink attributes on a reference", edited(DOC, ("<edXML:Reference>", '<edXML:Reference xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="cid:attachment-1" xlink:type="simple">')), "sdk-attribute"),
        _case("an element of a vendor's kit", edited(DOC, (el("SteeringType", "1"), el("SteeringType", "1") + el("ResponseForTask", el("TaskCode", "1")))), "legacy-element"),
        _case("ErrorList of an older draft", edited(DOC, ("</edXML:edXMLHeader>", el("ErrorList") + "</edXML:edXMLHeader>")), "legacy-element"),
        _case("an empty DigitalSignature", edited(DOC, ("</edXML:edXMLHeader>", el("DigitalSignature") + "</edXML:edXMLHeader>")), "legacy-element"),
        _case("a signature stub", edited(DOC, ("</edXML:edXMLHeader>", "<Signature/></edXML:edXMLHeader>")), "signature-stub"),
        _case("an XML signature", edited(DOC, ("</edXML:edXMLHeader>", '<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"/></edXML:edXMLHeader>')), strict=True),
        _case("Business spelt in English, new", DOC.replace("edXML:Bussiness>", "edXML:Business>"), "misspelt", tolerant=False),
        _case("Business spelt in English, revocation", REVOKE.replace("edXML:Bussiness>", "edXML:Business>"), "misspelt", "BAD-DOCUMENT-TYPE", relay="", tolerant=False),
        _case("BusinessDocType spelt in English, revocation", REVOKE.replace("BussinessDocType", "BusinessDocType"), "misspelt missing business-type-missing business-part-idle", "BAD-DOCUMENT-TYPE", relay="", tolerant=False),
        _case("Business inside TraceHeader", edited(DOC.replace(plain, ""), ("</edXML:TraceHeader>", plain.replace("Bussiness>", "Business>") + "</edXML:TraceHeader>")), "misspelt", tolerant=False),
        _case("a revocation inside TraceHeader", edited(REVOKE.replace(business, ""), ("</edXML:TraceHeader>", business + "</edXML:TraceHeader>")), "unknown-element misplaced", "BAD-DOCUMENT-TYPE", relay="", tolerant=False),
        _case("Bussiness in MessageHeader, new", edited(DOC.replace(plain, ""), (el("SteeringType", "1"), el("SteeringType", "1") + plain)), "unknown-element misplaced", tolerant=False),
        _case("text between elements", edited(DOC, (FROM, "x" + FROM)), "stray-text"),
        _case("elements inside the content", edited(DOC, ("Tóm tắt", "Tóm <b xmlns=''>tắt</b>")), "elements-in-text", relay="", tolerant=False),
        _case("elements inside the number", edited(DOC, (el("CodeNumber", "7"), el("CodeNumber", "<b>7</b>"))), "elements-in-text empty", "BAD-VALUE", tolerant=False),
    ]  # fmt: skip


def values() -> list[Case]:
    """Dates, numbers, lists, codes."""
    day, moment = "<edXML:PromulgationDate>2026/03/02", "<edXML:Timestamp>2026/03/02 08:30:00"

    def dated(text: str) -> str:
        return edited(DOC, (day, day.replace("2026/03/02", text)))

    def timed(text: str) -> str:
        return edited(DOC, (moment, f"<edXML:Timestamp>{text}"))

    def to(code: str) -> str:
        return edited(DOC, (TO, el("OrganId", code)))

    return [
        _case("a date with the day first", dated("30/10/2020"), "date-day-first"),
        _case("a date with dashes", dated("2026-03-02"), "date-dashes"),
        _case("a date with one digit", dated("2026/3/2"), "date-digits"),
        _case("a date with a time", dated("2026/03/02 17:19:16"), "date-with-time"),
        _case("an impossible date", dated("2014/02/30"), "date-impossible", strict=True),
        _case("an empty date", dated(""), "empty"),
        _case("a date in words", dated("hai tháng ba"), "date-unread"),
        _case("a date with an offset", dated("2026-03-02T00:00:00Z"), "date-unread"),
        _case("a date of two digits for the year", dated("02/03/26"), "date-unread"),
        _case("an answered document's date with the day first", edited(DOC, ("2026/02/01", "01/02/2026")), "date-day-first"),
        _case("an answer that is due before the day", edited(DOC, ("2026/04/01", "2026/01/01")), "due-before-promulgation", strict=True),
        _case("a time in ISO 8601 with an offset", timed("2026-03-02T01:30:00Z"), "time-form"),
        _case("a time with milliseconds", timed("2026-03-02 08:30:00.123"), "time-form"),
        _case("a time with the day first", timed("02/03/2026 08:30:00"), "time-form"),
        _case("a time without a time of day", timed("2026/03/02"), "time-unread"),
        _case("an impossible time", timed("2026/03/02 25:00:00"), "time-unread"),
        _case("priority 5", edited(DOC, ("Priority>0<", "Priority>5<")), "priority-five"),
        _case("priority 9", edited(DOC, ("Priority>0<", "Priority>9<")), "out-of-range"),
        _case("priority in words", edited(DOC, ("Priority>0<", "Priority>Khẩn<")), "not-a-number"),
        _case("steering type 0", edited(DOC, ("SteeringType>1<", "SteeringType>0<")), "steering-zero"),
        _case("steering type 7", edited(DOC, ("SteeringType>1<", "SteeringType>7<")), "out-of-range"),
        _case("direction as 1", edited(DOC, ("Direction>false<", "Direction>1<")), "boolean-form"),
        _case("direction as True", edited(DOC, ("Direction>false<", "Direction>True<")), "boolean-form"),
        _case("direction as maybe", edited(DOC, ("Direction>false<", "Direction>maybe<")), "out-of-range"),
        _case("paper as a count of pages", edited(DOC, ("Paper>0<", "Paper>12<")), "paper-count"),
        _case("paper as false", edited(DOC, ("Paper>0<", "Paper>false<")), "boolean-form"),
        _case("page amount of 12000", edited(DOC, ("PageAmount>3<", "PageAmount>12000<")), "out-of-range"),
        _case("page amount in words", edited(DOC, ("PageAmount>3<", "PageAmount>ba<")), "not-a-number"),
        _case("a negative page amount", edited(DOC, ("PageAmount>3<", "PageAmount>-3<")), "out-of-range"),
        _case("a document type in words", edited(DOC, ("<edXML:Type>18<", "<edXML:Type>CV<")), "not-a-number"),
        _case("a type detail of -1", edited(DOC, ("TypeDetail>1<", "TypeDetail>-1<")), "out-of-range"),
        _case("a number with letters", edited(DOC, ("CodeNumber>7<", "CodeNumber>34E31<")), "number-with-letters", strict=True),
        _case("a time stamp as number", edited(DOC, ("CodeNumber>7<", "CodeNumber>20260302083000<")), "too-long"),
        _case("a number of seven digits", edited(DOC, ("CodeNumber>7<", "CodeNumber>1234567<")), strict=True),
        _case("a subject of 501 characters", edited(DOC, ("Về việc thử nghiệm", "x" * 501)), "too-long"),
        _case("a signer's name of 60 characters", edited(DOC, ("Người ký (mẫu)", "x" * 60)), "too-long"),
        _case("places of more than 1000 characters", edited(DOC, (el("Place", "Như trên"), el("Place", "x" * 140) * 8)), "too-long", strict=True),
        _case("a document id of 201 characters", edited(DOC, (">H53,2026,7<", f">{'1' * 201}<")), "too-long document-id-form"),
        _case("a document id of 300 characters", edited(DOC, (">H53,2026,7<", f">{'1' * 300}<")), "too-long document-id-form", relay="BAD-VALUE"),
        _case("a document id of no known form", edited(DOC, (">H53,2026,7<", ">văn bản bảy<")), "document-id-form", strict=True),
        _case("a line end inside a document id", edited(DOC, (">H53,2026,7<", ">H53\n2026<")), "document-id-form", "BAD-VALUE", strict=True),
        _case("a code with white space around", to(" G22\n"), "organ-id-space", relay="BAD-CODE"),
        _case("a code in lower case", to("vxp.saas.03"), "organ-id-shape", relay="BAD-CODE"),
        _case("a code with a typing error", to("000.1137.H53"), "organ-id-shape", relay="BAD-CODE"),
        _case("a code of a centre", to("001.00.20.TT2"), "organ-id-shape", relay="BAD-CODE"),
        _case("a code with a Cyrillic letter", to("\u041d26"), "organ-id-shape", relay="BAD-CODE"),
        _case("a short code of the 2016 form", to("28.22.H17"), "organ-id-short", strict=True),
        _case("a short code of the Government's office", to("01.02.G22"), "organ-id-short", strict=True),
        _case("a connection centre", to("14.00.W00"), "organ-id-short", strict=True),
        _case("an empty recipient", to(""), faults="BAD-CODE"),
        _case("elements inside a code", to("<a>G22</a>"), "elements-in-text", "BAD-CODE", tolerant=False),
        _case("a document to oneself", to("H53"), "from-is-to", strict=True),
        _case("an agency twice", to("H53.13"), "to-repeated", strict=True),
        _case("a parent body given as code", edited(DOC, ("Cấp trên (mẫu)", "000.00.00.H53")), strict=True),
    ]  # fmt: skip


def business() -> list[Case]:
    """Business types and statuses."""
    return [
        _case("a business type of 4", edited(REVOKE, ("BussinessDocType>1<", "BussinessDocType>4<")), "business-part-idle", "BAD-DOCUMENT-TYPE"),
        _case("a business type in words", edited(REVOKE, ("BussinessDocType>1<", "BussinessDocType>thu hồi<")), "business-part-idle", "BAD-DOCUMENT-TYPE"),
        _case("no business type", without(DOC, "BussinessDocType"), "missing business-type-missing"),
        _case("a revocation without reason", without(REVOKE, "BussinessDocReason"), "business-part-missing", strict=True),
        _case("a revocation that repeats the id", edited(REVOKE, (el("DocumentId", "H53,2026,6"), "")), "revokes-own-id", strict=True),
        _case("an update without its document", edited(UPDATE, (el("DocumentId", "H53,2026,6"), "")), "business-part-missing", strict=True),
        _case("an update without what is updated", without(UPDATE, "BussinessDocumentInfo"), "business-part-missing", strict=True),
        _case("a receiver dropped and not told", edited(UPDATE, (el("OrganId", "G22") + el("ReceiverType", "0"), el("OrganId", "H29") + el("ReceiverType", "0"))), "dropped-not-addressed", strict=True),
        _case("a receiver neither dropped nor added", edited(UPDATE, ("ReceiverType>0<", "ReceiverType>2<")), "out-of-range",
            "BAD-VALUE",
            relay=""),
        _case("a receiver without a code", edited(UPDATE, (el("OrganId", "H26") + el("ReceiverType", "1"), el("ReceiverType", "1"))), faults="MISSING-VALUE", relay=""),
        _case("content changed as count", edited(UPDATE, ("DocumentInfo>1<", "DocumentInfo>3<")), "out-of-range"),
        _case("a replacement of nothing", without(REPLACE, "ReplacementInfoList"), "business-part-missing", strict=True),
        _case("a replacement that stands twice", edited(REPLACE, (part(REPLACE, "ReplacementInfo"), part(REPLACE, "ReplacementInfo") * 2)), "replacement-repeated", strict=True),
        _case("a replacement without receivers", without(REPLACE, "OrganIdList"), faults="MISSING-VALUE", relay=""),
        _case("a replacement without an id", edited(REPLACE, (el("DocumentId", "H53,2026,5"), "")), faults="MISSING-VALUE", relay=""),
        _case("a new document with an id that means nothing", edited(DOC, (part(DOC, "StaffInfo"), el("DocumentId", "H53,2014/02/30,1/A") + part(DOC, "StaffInfo"))), "business-part-idle", strict=True),
        _case("a status without a reason where one is due", status_text("02"), "reason-missing", strict=True),
        _case("a take-back without a reason", status_text("13"), "reason-missing", strict=True),
        _case("status 07", edited(STATUS, (">03<", ">07<")), faults="BAD-STATUS-CODE"),
        _case("status 14", edited(STATUS, (">03<", ">14<")), faults="BAD-STATUS-CODE"),
        _case("a status of one digit", edited(STATUS, (">03<", ">3<")), faults="BAD-STATUS-CODE"),
        _case("two status codes", edited(STATUS, (part(STATUS, "StatusCode"), part(STATUS, "StatusCode") * 2)), "repeated", "DUPLICATE-VALUE"),
        _case("a status with a To", edited(STATUS, ("<edXML:ResponseFor>", el("To", TO) + "<edXML:ResponseFor>")), "unknown-element", "STATUS-HAS-TO"),
        _case("a status with a trace", edited(STATUS, ("</edXML:edXMLHeader>", part(DOC, "TraceHeaderList") + "</edXML:edXMLHeader>")), "status-extra", strict=True),
        _case("a status with a body", edited(STATUS, ("</edXML:edXMLHeader>", "</edXML:edXMLHeader>" + el("edXMLBody"))), "status-extra"),
        _case("a status with attachments", edited(STATUS, ("</edXML:edXMLEnvelope>", "</edXML:edXMLEnvelope><AttachmentEncoded><Attachment/></AttachmentEncoded>")), "status-extra", "TYPE-MISMATCH"),
        _case("a status without ResponseFor", without(STATUS, "ResponseFor"), faults="MISSING-VALUE"),
        _case("a status to nobody", edited(STATUS, (el("OrganId", "H53"), "")), faults="MISSING-VALUE", strict=True),
        _case("a status by number alone", without(STATUS, "DocumentId"), "missing", strict=True),
        _case("a status by id alone", without(STATUS, "Code"), "missing", strict=True),
        _case("a status about nothing", without(without(STATUS, "DocumentId"), "Code"), "missing", "MISSING-VALUE", strict=True),
        _case("a status about an impossible date", edited(STATUS, ("2026/03/02<", "2014/02/30<")), "date-impossible", strict=True),
        _case("a status without a time", without(STATUS, "Timestamp"), "missing"),
        _case("a status to oneself", edited(STATUS, (el("OrganId", "H53"), el("OrganId", "G22"))), "from-is-to", strict=True),
        _case("a status of unusual order", moved(STATUS, "Timestamp", part(STATUS, "StatusCode")), "order"),
        _case("staff of a vendor's kit", edited(STATUS, ("</edXML:StaffInfo>", el("StaffId", "1") + "</edXML:StaffInfo>")), strict=True),
        _case("a marked state secret", edited(DOC, ("Về việc thử nghiệm", "[MẬT] Về việc")), relay="STATE-SECRET", strict=True),
    ]  # fmt: skip


def manifest() -> list[Case]:
    """Manifest and attachments, their ids, names and types."""
    reference = part(DOC, "Reference")
    body = part(DOC, "edXMLBody")
    start, end = (
        DOC.index("<AttachmentEncoded>"),
        DOC.index("</AttachmentEncoded>") + len("</AttachmentEncoded>"),
    )
    block = DOC[start:end]
    one = block.removeprefix("<AttachmentEncoded>").removesuffix("</AttachmentEncoded>")
    other_id = one.replace("cid:attachment-1", "cid:attachment-2")
    return [
        _case("no manifest", edited(DOC, (part(DOC, "edXMLManifest") if "<edXML:edXMLManifest>" in DOC else body, el("edXMLBody"))), "missing attachment-alone"),
        _case("no body", edited(DOC, (body, "")), "missing attachment-alone", strict=True),
        _case("no reference", edited(DOC, (reference, "")), "attachment-alone", strict=True),
        _case("a manifest without a version", edited(DOC, (' version="1.0">', ">")), "missing"),
        _case("no attachment", DOC.replace(block, ""), "reference-alone", strict=True),
        _case("an empty AttachmentEncoded", DOC.replace(block, "<AttachmentEncoded/>"), "reference-alone empty"),
        _case("one file more than listed", edited(DOC, (one, one + other_id)), "attachment-alone", strict=True),
        _case("one line more than files", edited(DOC, (reference, reference + reference.replace("attachment-1", "attachment-2"))), "reference-alone", strict=True),
        _case("two attachments of one id", edited(DOC, (one, one * 2)), faults="DUPLICATE-VALUE", relay="", strict=True),
        _case("two lines of one id", edited(DOC, (reference, reference * 2)), "reference-alone", faults="DUPLICATE-VALUE", relay="", strict=True),
        _case("ids without cid on one side", edited(DOC, ("<edXML:ContentId>cid:", "<edXML:ContentId>")), "content-id-bare", strict=True),
        _case("ids without cid on both sides", DOC.replace(">cid:", ">"), "content-id-bare", strict=True),
        _case("no ids at all, one file", edited(DOC, (el("ContentId", "cid:attachment-1"), ""), ("<ContentId>cid:attachment-1</ContentId>", "")), "missing content-id-missing"),
        _case("another name in the manifest", edited(DOC, (el("AttachmentName", "van ban.txt"), el("AttachmentName", "khac.txt"))), "name-differs", strict=True),
        _case("another type in the manifest", edited(DOC, (el("ContentType", "text/plain"), el("ContentType", "application/zip"))), "type-differs", strict=True),
        _case("an attachment without a name", edited(DOC, ("<AttachmentName>van ban.txt</AttachmentName>", "")), "missing"),
        _case("legacy elements of an attachment", edited(DOC, ("<ContentType>text/plain</ContentType>", "<ContentType>text/plain</ContentType><Format>txt</Format><MimeType>text/plain</MimeType>")), "legacy-element"),
        _case("two AttachmentEncoded", edited(DOC, (block, block + block.replace("attachment-1", "attachment-2"))), "repeated attachment-alone"),
        _case("an attachment without bytes", edited(DOC, (one[one.index("<edXML:ContentTransferEncoded"):one.index("</Attachment>")], "")), faults="MISSING-VALUE", relay=""),
        _case("elements inside the base64", edited(DOC, (PAYLOAD, "<a/>" + PAYLOAD)), faults="BAD-VALUE", relay="", tolerant=False),
        _case("two payloads in one attachment", edited(DOC, ("</Attachment>", "<ContentTransferEncoded>QQ==</ContentTransferEncoded></Attachment>")), faults="DUPLICATE-VALUE", relay=""),
        _case("a file name in decomposed letters", DOC.replace("van ban.txt", "va\u0306n.txt"), "name-decomposed", strict=True),
        _case("a file name with a path", DOC.replace("van ban.txt", "../../etc/van ban.txt"), "name-unsafe", strict=True),
        _case("a file name of a drive", DOC.replace("van ban.txt", "C:\\van ban.txt"), "name-unsafe", strict=True),
        _case("a reserved file name", DOC.replace("van ban.txt", "con.txt"), "name-unsafe", strict=True),
        _case("a file name that turns the line", DOC.replace("van ban.txt", "a\u202etxt.exe"), "name-unsafe", strict=True),
    ]  # fmt: skip


def contents() -> list[Case]:
    """The bytes of attachments."""
    folded = "\r\n".join(PAYLOAD[at : at + 76] for at in range(0, len(PAYLOAD), 76))
    zipped = archive((INNER, TEXT))
    lying = archive((INNER, b"\0" * 3_000_000))
    many = archive(("a.txt", TEXT), ("b.txt", TEXT))
    encrypted = bytearray(zipped)
    encrypted[6] |= 1
    encrypted[encrypted.rindex(b"PK\x01\x02") + 8] |= 1
    program = b"MZ" + bytes(58) + (64).to_bytes(4, "little") + b"PE\0\0" + bytes(60)
    unpadded = base64.b64encode(TEXT + b"x").decode().rstrip("=")
    return [
        _case("folded base64", edited(DOC, (PAYLOAD, folded)), "base64-folded", strict=True),
        _case("folded base64 with character references", edited(DOC, (PAYLOAD, folded.replace("\r", "&#xD;"))), "base64-folded", strict=True),
        _case("base64 in a CDATA section", edited(DOC, (PAYLOAD, f"<![CDATA[{PAYLOAD}]]>")), strict=True),
        _case("base64 without padding", edited(DOC, (PAYLOAD, unpadded)), "base64-unpadded", strict=True),
        _case("white space around the base64", edited(DOC, (PAYLOAD, f"\n  {PAYLOAD}\n  ")), "base64-folded", strict=True),
        _case("garbage for base64", edited(DOC, (PAYLOAD, "(nội dung tệp)")), faults="BAD-VALUE", relay="", strict=True),
        _case("base64 of the URL alphabet", edited(DOC, (PAYLOAD, "_-_-" * 100)), faults="BAD-VALUE", relay="", strict=True),
        _case("text behind the padding", edited(DOC, (PAYLOAD, base64.b64encode(b"a").decode() + PAYLOAD)), faults="BAD-VALUE", relay="", strict=True),
        _case("a rest of one character", edited(DOC, (PAYLOAD, PAYLOAD.rstrip("=")[: len(PAYLOAD) // 4 * 4 - 4] + "A")), faults="BAD-VALUE", relay="", strict=True),
        _case("a small payload", attached(b"abc"), strict=True),
        _case("an empty payload", attached(b""), "file-empty", strict=True),
        _case("zipped for transport", attached(zipped), "zip-wrapped", strict=True),
        _case("zipped, declared as what is inside", attached(zipped, content_type="text/plain"), "zip-wrapped", strict=True),
        _case("zipped under its own name", attached(archive(("khac.txt", TEXT))), "zip-wrapped", strict=True),
        _case("an archive that is meant as one", attached(archive(("a.txt", TEXT)), "ho so.zip", "application/zip"), strict=True),
        _case("a word file", attached(archive(("word/document.xml", TEXT)), "a.docx", "application/zip"), "zip-path", strict=True),
        _case("an archive of two files named as text", attached(many), "content-not-as-named", strict=True),
        _case("an archive with a path inside", attached(archive((f"../{INNER}", TEXT))), "zip-path content-not-as-named", strict=True),
        _case("a bomb", attached(archive((INNER, b"\0" * 30_000_000))), "zip-too-large content-not-as-named", strict=True),
        _case("a bomb that lies about its size", attached(archive((INNER, b"\0" * 30_000_000)).replace((30_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))), "zip-damaged content-not-as-named", strict=True),
        _case("an archive in an archive", attached(archive((INNER, lying))), "zip-wrapped zip-nested content-not-as-named", strict=True),
        _case("an encrypted archive", attached(bytes(encrypted)), "zip-encrypted content-not-as-named", strict=True),
        _case("a damaged archive", attached(zipped[:-30]), "zip-damaged content-not-as-named", strict=True),
        _case("the start of an archive alone", attached(b"PK\x03\x04" + b"\xff" * 400), "zip-damaged content-not-as-named", strict=True),
        _case("a package named as a word file", attached(DOC.encode(), "quyet dinh.doc", "application/msword"), "content-not-as-named", strict=True),
        _case("a package named as a PDF", attached(DOC.encode(), "quyet dinh.pdf", "application/pdf"), "content-not-as-named", strict=True),
        _case("a PDF named as text", attached(PDF, "a.txt", "text/plain"), "content-not-as-named", strict=True),
        _case("a PDF declared as a picture", attached(PDF, "a.pdf", "image/png"), "content-not-as-declared", strict=True),
        _case("a PDF damaged by a text editor", attached(PDF + "\ufffd".encode() * 500, "a.pdf", "application/pdf"), "pdf-damaged", strict=True),
        _case("a PDF behind other bytes", attached(b"\r\n" + PDF, "a.pdf", "application/pdf"), strict=True),
        _case("a program", attached(program, "a.exe"), "program", strict=True),
        _case("a program named as a PDF", attached(program, "a.pdf", "application/pdf"), "content-not-as-named program", strict=True),
        _case("a picture", attached(b"\x89PNG\r\n\x1a\n" + TEXT, "a.png", "image/png"), strict=True),
        _case("gzip named as text", attached(gzip.compress(TEXT, mtime=0)), "content-not-as-named", strict=True),
    ]  # fmt: skip


def wholes() -> list[Case]:
    """Packages as whole systems write them, several oddities together."""
    trace = f"<edXML:TraceHeader>{el('OrganId', 'H53')}"
    stamp = el("Timestamp", "2026/03/02 08:31:00")
    appended = f"<edXML:TraceHeader>{el('OrganId', '001.00.20.TT2')}{stamp}</edXML:TraceHeader>"
    xlink = 'xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="cid:attachment-1" xlink:type="simple"'
    kit = edited(
        DOC,
        (f"<edXML {NS}>", f'<edXML {NS} xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'),
        (
            "<edXML:TraceHeaderList>",
            '<edXML:TraceHeaderList id="" version="1.0" mustUnderstand="1" actor="a">',
        ),
        ("</edXML:edXMLHeader>", "<edXML:DigitalSignature/></edXML:edXMLHeader>"),
        ("<edXML:Reference>", f"<edXML:Reference {xlink}>"),
    ).replace("cid:attachment-1</", "attachment-1</")
    zipped = base64.b64encode(archive((INNER, TEXT))).decode()
    earlier = edited(
        DOC,
        (trace, appended + trace),
        (part(DOC, "ResponseFor"), el("ResponseFor")),
        ("</edXML:edXMLHeader>", "<Signature><SignedInfo/></Signature></edXML:edXMLHeader>"),
        (PAYLOAD, zipped),
        ("<ContentType>text/plain</ContentType>", "<ContentType>application/zip</ContentType>"),
    )
    later = edited(
        without(without(DOC, "Bussiness"), "ResponseFor"),
        (trace, trace.replace("H53", "null")),
        ("</edXML:TraceHeaderList>", f"{el('TraceHeader', stamp)}</edXML:TraceHeaderList>"),
        (el("OrganName", "Cơ quan một (mẫu)"), ""),
    )
    return [
        _case("a trace that the national axis added", edited(DOC, (trace, appended + trace)), strict=True),
        _case("as a kit for .NET writes it", kit, "sdk-attribute legacy-element content-id-bare"),
        _case("as the axis gave it out in 2019", earlier, "empty signature-stub zip-wrapped type-differs"),
        _case("as the axis gave it out in 2025", later, "filler missing"),
    ]


CORPUS: Final = tuple(
    case
    for group in (right, bytes_around, elements, values, business, manifest, contents, wholes)
    for case in group()
)
