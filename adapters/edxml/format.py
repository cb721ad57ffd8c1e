"""edXML behind the relay's port: where the signature stands, and what a signed view says.

Reads only ``relay.model.elements``, that is, what was signed. Any order of elements and any unknown element
is taken; what the relay acts on must be there exactly once (``fields``). ``docs/edxml.md`` lists each refusal.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from adapters.edxml import names
from adapters.edxml.fields import XML_SPACE, Parts, identity_of, organ_code, text_of
from adapters.edxml.secrecy import SecrecyRule, shipped_rule
from relay.errors import Code, RefusedError
from relay.model.elements import Elements, Shape
from relay.model.envelope import Envelope, Recipient, Reference, StatusCode
from relay.model.kept import Kept
from relay.model.message import Kind
from relay.model.verdict import ManifestPlace, SignaturePlace, SignedView

# Hard bounds, in characters, well above what the standard allows and what is met in traffic: beyond them a value is
# no longer what its name says. The standard's own lengths are noted, not enforced, on what others send.
MAX_DOCUMENT_ID: Final = 255
MAX_NUMBER: Final = 64
MAX_NOTATION: Final = 128
MAX_DATE: Final = 40
MAX_TEXT: Final = 8000
MAX_REPLACED: Final = 1000  # documents that one replacement is kept to speak of
_MOST_SHAPES: Final = 1024
_ROOM: Final = 16 * 1024 * 1024  # bytes, roughly
STANDARD_SUBJECT: Final = 500

_BUSINESS_TYPES: Final = {"0": 0, "1": 1, "2": 2, "3": 3}
_PRIORITIES: Final = {"0": 0, "1": 1, "2": 2, "3": 3, "4": 4}
_STATUS_CODES: Final = frozenset(code.value for code in StatusCode)
_REVOCATION: Final = 1
_UPDATE: Final = 2
_REPLACEMENT: Final = 3
_ACTS_ON_ONE: Final = frozenset({_REVOCATION, _UPDATE})

_FROM: Final = names.q("From")
_TO: Final = names.q("To")
_DOCUMENT_ID: Final = names.q("DocumentId")
_CODE: Final = names.q("Code")
_CODE_NUMBER: Final = names.q("CodeNumber")
_CODE_NOTATION: Final = names.q("CodeNotation")
_PROMULGATION_INFO: Final = names.q("PromulgationInfo")
_PROMULGATION_DATE: Final = names.q("PromulgationDate")
_SUBJECT: Final = names.q("Subject")
_OTHER_INFO: Final = names.q("OtherInfo")
_PRIORITY: Final = names.q("Priority")
_TRACES: Final = names.q("TraceHeaderList")
_BUSSINESS: Final = names.q("Bussiness")
_BUSSINESS_DOC_TYPE: Final = names.q("BussinessDocType")
_REPLACEMENTS: Final = names.q("ReplacementInfoList")
_REPLACEMENT_INFO: Final = names.q("ReplacementInfo")
_RESPONSE_FOR: Final = names.q("ResponseFor")
_STATUS_CODE: Final = names.q("StatusCode")
_DESCRIPTION: Final = names.q("Description")
_TIMESTAMP: Final = names.q("Timestamp")

_STATUS_PLACE: Final = SignaturePlace(
    root=names.ROOT,
    path=(names.ENVELOPE, names.HEADER),
    opaque=frozenset({names.PAYLOAD}),
    stub=names.STUB_SIGNATURE,
)
_DOCUMENT_PLACE: Final = replace(
    _STATUS_PLACE,
    manifest=ManifestPlace(
        envelope=names.ENVELOPE,
        references=(names.BODY, names.MANIFEST),
        reference=names.REFERENCE,
        content_id=names.q("ContentId"),
        described=(names.q("AttachmentName"), names.q("ContentType")),
        attachments=names.ATTACHMENTS,
        attachment=names.ATTACHMENT,
        payload=names.PAYLOAD,
    ),
)


class EdxmlFormat:
    """The port ``PackageFormat`` for edXML."""

    content_type: str = names.CONTENT_TYPE

    def __init__(self, secrecy: SecrecyRule | None = None) -> None:
        """Take the rule on state secrets; without one, that of ``config/state_secrets.yaml``."""
        self._secrecy = secrecy or shipped_rule()
        self._shapes: Kept[Shape, Parts] = Kept(_MOST_SHAPES, _ROOM)

    def place(self, kind: Kind) -> SignaturePlace:
        """Return where signature and payloads stand; a status has no attachments and knows the whole profile alone."""
        return _DOCUMENT_PLACE if kind is Kind.EDOC else _STATUS_PLACE

    def read(self, view: SignedView, kind: Kind) -> Envelope:
        """Return what the signed view says.

        Args:
            view: the signed view; texts of payloads are not needed.
            kind: what the sender declared the package to be; receipts are no edXML.

        Raises:
            RefusedError: STATE-SECRET before all else; WRONG-ROOT, TYPE-MISMATCH, MISSING-VALUE, DUPLICATE-VALUE,
                BAD-VALUE, BAD-CODE, BAD-DOCUMENT-TYPE, EMPTY-DOCUMENT-ID, NO-RECIPIENT, STATUS-HAS-TO,
                BAD-STATUS-CODE. The detail names elements, never their content.
        """
        elements = view.elements
        self._secrecy.check(elements)
        root = self._parts(elements.shape)
        if root.tag != names.ROOT:
            raise RefusedError(Code.WRONG_ROOT, "the root is not edXML")
        edxml_header = root.need(names.ENVELOPE).need(names.HEADER)
        header = edxml_header.need(names.MESSAGE_HEADER)
        if kind is Kind.EDOC:
            return _document(edxml_header, header, elements)
        if kind is Kind.STATUS:
            return _status(root, header, elements)
        raise RefusedError(Code.TYPE_MISMATCH, "an edXML package is a document or a status")

    def _parts(self, shape: Shape) -> Parts:
        """Return the root of all documents of a shape."""
        known = self._shapes.get(shape)
        if known is None:
            known = Parts(shape)
            self._shapes.keep(shape, known, shape.size)
        return known


def _document(edxml_header: Parts, header: Parts, elements: Elements) -> Envelope:
    if header.all(_STATUS_CODE):
        raise RefusedError(Code.TYPE_MISMATCH, "a package with a StatusCode is a status")
    notes: list[str] = []
    written, sender = organ_code(header.need(_FROM), elements)
    recipients = _recipients(header, elements, notes)
    document_id = identity_of(header.need(_DOCUMENT_ID), elements, MAX_DOCUMENT_ID)
    if not document_id:
        raise RefusedError(Code.EMPTY_DOCUMENT_ID, "DocumentId is empty")
    number, notation = _number(header, elements)
    promulgation = header.get(_PROMULGATION_INFO)
    date = "" if promulgation is None else promulgation.identity(_PROMULGATION_DATE, elements, MAX_DATE)
    subject = header.text(_SUBJECT, elements, MAX_TEXT)
    if len(subject) > STANDARD_SUBJECT:
        notes.append(f"Subject is longer than {STANDARD_SUBJECT} characters")
    trace = edxml_header.get(_TRACES)
    business = None if trace is None else trace.get(_BUSSINESS)
    business_type = _business_type(business, elements)
    refers_to = None
    if business is not None and business_type in _ACTS_ON_ONE:
        own = Reference(sender, document_id, _joined(number, notation), date)
        refers_to = _document_acted_upon(business, elements, business_type, own)
    return Envelope(
        kind=Kind.EDOC,
        sender=sender,
        sender_written=written,
        recipients=recipients,
        document_id=document_id,
        code_number=number,
        code_notation=notation,
        promulgation_date=date,
        subject=subject,
        priority=_priority(header, elements, notes),
        business_type=business_type,
        refers_to=refers_to,
        speaks_of=_documents_replaced(business, elements)
        if business_type == _REPLACEMENT
        else (refers_to.document_id,)
        if refers_to
        else (),
        notes=tuple(notes),
    )


def _recipients(header: Parts, elements: Elements, notes: list[str]) -> tuple[Recipient, ...]:
    """Return one recipient for each normal code, the first spelling kept."""
    found: dict[str, Recipient] = {}
    for party in header.all(_TO):
        written, code = organ_code(party, elements)
        if code in found:
            notes.append(f"recipient {code} stands more than once")
        else:
            found[code] = Recipient(written=written, code=code)
    if not found:
        raise RefusedError(Code.NO_RECIPIENT, "MessageHeader has no To")
    return tuple(found.values())


def _number(header: Parts, elements: Elements) -> tuple[str, str]:
    """Return number and notation of the document."""
    code = header.get(_CODE)
    if code is None:
        return "", ""
    return code.identity(_CODE_NUMBER, elements, MAX_NUMBER), code.identity(
        _CODE_NOTATION, elements, MAX_NOTATION
    )


def _joined(number: str, notation: str) -> str:
    """Return ``number/notation``, the form in which statuses name a document."""
    return f"{number}/{notation}" if number and notation else number or notation


def _priority(header: Parts, elements: Elements, notes: list[str]) -> int:
    """Return 0 to 4; all else, also the 5 that some write for normal, is 0."""
    info = header.get(_OTHER_INFO)
    part = None if info is None else info.get(_PRIORITY)
    if part is None:
        return 0
    value = _choice(part, elements, _PRIORITIES)
    if value is None:
        notes.append("Priority is none of 0 to 4 and counts as 0")
        return 0
    return value


def _choice(part: Parts, elements: Elements, choices: dict[str, int]) -> int | None:
    """Return which of some texts an element holds; None if none of them, or elements."""
    return None if part.children else choices.get(part.written(elements).strip(XML_SPACE))


def _business_type(business: Parts | None, elements: Elements) -> int:
    """Return 0 to 3; without a Bussiness or a BussinessDocType the document is a new one."""
    part = None if business is None else business.get(_BUSSINESS_DOC_TYPE)
    if part is None:
        return 0
    value = _choice(part, elements, _BUSINESS_TYPES)
    if value is None:
        raise RefusedError(Code.BAD_DOCUMENT_TYPE, "BussinessDocType is none of 0, 1, 2, 3")
    return value


def _document_acted_upon(
    business: Parts, elements: Elements, business_type: int, own: Reference
) -> Reference | None:
    """Return what a revocation or update is about.

    Its Bussiness/DocumentId comes first. A revocation without one repeats the DocumentId of the document revoked. In a
    new document Bussiness/DocumentId may stand and means nothing; a replacement may name several and is read whole by
    who acts on it.
    """
    named = business.identity(_DOCUMENT_ID, elements, MAX_DOCUMENT_ID)
    if named and named != own.document_id:
        return Reference(sender=own.sender, document_id=named, code="", promulgation_date="")
    return own if business_type == _REVOCATION or named else None


def _documents_replaced(business: Parts | None, elements: Elements) -> tuple[str, ...]:
    """Return the ids that a replacement names, each once; a line without one names none."""
    found: dict[str, None] = {}
    for listed in () if business is None else business.all(_REPLACEMENTS):
        for line in listed.all(_REPLACEMENT_INFO):
            named = line.identity(_DOCUMENT_ID, elements, MAX_DOCUMENT_ID)
            if named:
                found[named] = None
    return tuple(found)[:MAX_REPLACED]


def _status(root: Parts, header: Parts, elements: Elements) -> Envelope:
    addressed = bool(header.all(_TO))
    if not header.all(_STATUS_CODE):
        if addressed or header.get(_DOCUMENT_ID) is not None:
            raise RefusedError(Code.TYPE_MISMATCH, "a package without a StatusCode is a document")
        raise RefusedError(Code.MISSING_VALUE, "MessageHeader has no StatusCode")
    if addressed:
        raise RefusedError(Code.STATUS_HAS_TO, "a status is addressed by ResponseFor and has no To")
    if any(part.all(names.ATTACHMENT) for part in root.all(names.ATTACHMENTS)):
        raise RefusedError(Code.TYPE_MISMATCH, "a status has no attachments")
    written, sender = organ_code(header.need(_FROM), elements)
    status_code = text_of(header.need(_STATUS_CODE), elements, MAX_TEXT)
    if status_code not in _STATUS_CODES:
        raise RefusedError(Code.BAD_STATUS_CODE, "StatusCode is none of 01 to 06, 13, 15, 16")
    response = header.need(_RESPONSE_FOR)
    addressee_written, addressee = organ_code(response, elements)
    about = Reference(
        # 13 is the sender's own word to a recipient; every other status answers the sender
        sender=sender if status_code == StatusCode.TAKE_BACK.value else addressee,
        document_id=response.identity(_DOCUMENT_ID, elements, MAX_DOCUMENT_ID),
        code=response.identity(_CODE, elements, MAX_NUMBER + MAX_NOTATION + 1),
        promulgation_date=response.identity(_PROMULGATION_DATE, elements, MAX_DATE),
    )
    if not about.document_id and not about.code:
        raise RefusedError(Code.MISSING_VALUE, "ResponseFor has neither DocumentId nor Code")
    return Envelope(
        kind=Kind.STATUS,
        sender=sender,
        sender_written=written,
        recipients=(Recipient(written=addressee_written, code=addressee),),
        document_id="",
        status_code=status_code,
        description=header.text(_DESCRIPTION, elements, MAX_TEXT),
        timestamp=header.identity(_TIMESTAMP, elements, MAX_DATE),
        refers_to=about,
    )
