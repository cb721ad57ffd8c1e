"""edXML behind the relay's port: where the signature stands, and what a signed view says.

Reads only ``relay.model.verdict.Node`` trees, that is, what was signed. Any order of elements and any unknown element
is taken; what the relay acts on must be there exactly once (``fields``). ``docs/edxml.md`` lists each refusal.
"""

from __future__ import annotations

from typing import Final

from adapters.edxml import names
from adapters.edxml.fields import identity_in, optional, organ_code, required, text_in, text_of
from adapters.edxml.secrecy import SecrecyRule, shipped_rule
from relay.errors import Code, RefusedError
from relay.model.envelope import Envelope, Recipient, Reference, StatusCode
from relay.model.message import Kind
from relay.model.verdict import Node, SignaturePlace, SignedView

# Hard bounds, in characters, well above what the standard allows and what is met in traffic: beyond them a value is
# no longer what its name says. The standard's own lengths are noted, not enforced, on what others send.
MAX_DOCUMENT_ID: Final = 255
MAX_NUMBER: Final = 64
MAX_NOTATION: Final = 128
MAX_DATE: Final = 40
MAX_TEXT: Final = 8000
MAX_REPLACED: Final = 1000  # documents that one replacement is kept to speak of
STANDARD_SUBJECT: Final = 500

_BUSINESS_TYPES: Final = {"0": 0, "1": 1, "2": 2, "3": 3}
_PRIORITIES: Final = {"0": 0, "1": 1, "2": 2, "3": 3, "4": 4}
_STATUS_CODES: Final = frozenset(code.value for code in StatusCode)
_REVOCATION: Final = 1
_UPDATE: Final = 2
_REPLACEMENT: Final = 3

_PLACE: Final = SignaturePlace(
    root=names.ROOT,
    path=(names.ENVELOPE, names.HEADER),
    opaque=frozenset({names.PAYLOAD}),
    stub=names.STUB_SIGNATURE,
)


class EdxmlFormat:
    """The port ``PackageFormat`` for edXML."""

    content_type: str = names.CONTENT_TYPE

    def __init__(self, secrecy: SecrecyRule | None = None) -> None:
        """Take the rule on state secrets; without one, that of ``config/state_secrets.yaml``."""
        self._secrecy = secrecy or shipped_rule()

    def place(self, kind: Kind) -> SignaturePlace:
        """Return where signature and payloads stand: the same for documents and statuses."""
        return _PLACE

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
        self._secrecy.check(view.root)
        if view.root.tag != names.ROOT:
            raise RefusedError(Code.WRONG_ROOT, "the root is not edXML")
        edxml_header = required(required(view.root, "edXMLEnvelope"), "edXMLHeader")
        header = required(edxml_header, "MessageHeader")
        if kind is Kind.EDOC:
            return _document(edxml_header, header)
        if kind is Kind.STATUS:
            return _status(view.root, header)
        raise RefusedError(Code.TYPE_MISMATCH, "an edXML package is a document or a status")


def _document(edxml_header: Node, header: Node) -> Envelope:
    if any(header.all(names.q("StatusCode"))):
        raise RefusedError(Code.TYPE_MISMATCH, "a package with a StatusCode is a status")
    notes: list[str] = []
    written, sender = organ_code(required(header, "From"))
    recipients = _recipients(header, notes)
    required(header, "DocumentId")
    document_id = identity_in(header, "DocumentId", MAX_DOCUMENT_ID)
    if not document_id:
        raise RefusedError(Code.EMPTY_DOCUMENT_ID, "DocumentId is empty")
    number, notation = _number(header)
    date = identity_in(optional(header, "PromulgationInfo") or _NOTHING, "PromulgationDate", MAX_DATE)
    subject = text_in(header, "Subject", MAX_TEXT)
    if len(subject) > STANDARD_SUBJECT:
        notes.append(f"Subject is longer than {STANDARD_SUBJECT} characters")
    trace = optional(edxml_header, "TraceHeaderList")
    business = None if trace is None else optional(trace, "Bussiness")
    business_type = _business_type(business)
    refers_to = _document_acted_upon(
        business, business_type, Reference(sender, document_id, _joined(number, notation), date)
    )
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
        priority=_priority(header, notes),
        business_type=business_type,
        refers_to=refers_to,
        speaks_of=_documents_replaced(business)
        if business_type == _REPLACEMENT
        else (refers_to.document_id,)
        if refers_to
        else (),
        notes=tuple(notes),
    )


_NOTHING: Final = Node(tag="", text=None, attributes=(), children=())


def _recipients(header: Node, notes: list[str]) -> tuple[Recipient, ...]:
    """Return one recipient for each normal code, the first spelling kept."""
    found: dict[str, Recipient] = {}
    for party in header.all(names.q("To")):
        written, code = organ_code(party)
        if code in found:
            notes.append(f"recipient {code} stands more than once")
        else:
            found[code] = Recipient(written=written, code=code)
    if not found:
        raise RefusedError(Code.NO_RECIPIENT, "MessageHeader has no To")
    return tuple(found.values())


def _number(header: Node) -> tuple[str, str]:
    """Return number and notation of the document."""
    code = optional(header, "Code")
    if code is None:
        return "", ""
    return identity_in(code, "CodeNumber", MAX_NUMBER), identity_in(code, "CodeNotation", MAX_NOTATION)


def _joined(number: str, notation: str) -> str:
    """Return ``number/notation``, the form in which statuses name a document."""
    return f"{number}/{notation}" if number and notation else number or notation


def _priority(header: Node, notes: list[str]) -> int:
    """Return 0 to 4; all else, also the 5 that some write for normal, is 0."""
    info = optional(header, "OtherInfo")
    node = None if info is None else optional(info, "Priority")
    if node is None:
        return 0
    value = None if node.children else _PRIORITIES.get((node.text or "").strip(" \t\r\n"))
    if value is None:
        notes.append("Priority is none of 0 to 4 and counts as 0")
        return 0
    return value


def _business_type(business: Node | None) -> int:
    """Return 0 to 3; without a Bussiness or a BussinessDocType the document is a new one."""
    node = None if business is None else optional(business, "BussinessDocType")
    if node is None:
        return 0
    value = None if node.children else _BUSINESS_TYPES.get((node.text or "").strip(" \t\r\n"))
    if value is None:
        raise RefusedError(Code.BAD_DOCUMENT_TYPE, "BussinessDocType is none of 0, 1, 2, 3")
    return value


def _document_acted_upon(business: Node | None, business_type: int, own: Reference) -> Reference | None:
    """Return what a revocation or update is about.

    Its Bussiness/DocumentId comes first. A revocation without one repeats the DocumentId of the document revoked. In a
    new document Bussiness/DocumentId may stand and means nothing; a replacement may name several and is read whole by
    who acts on it.
    """
    if business is None or business_type not in {_REVOCATION, _UPDATE}:
        return None
    named = identity_in(business, "DocumentId", MAX_DOCUMENT_ID)
    if named and named != own.document_id:
        return Reference(sender=own.sender, document_id=named, code="", promulgation_date="")
    return own if business_type == _REVOCATION or named else None


def _documents_replaced(business: Node | None) -> tuple[str, ...]:
    """Return the ids that a replacement names, each once; a line without one names none."""
    found: dict[str, None] = {}
    for listed in () if business is None else business.all(names.q("ReplacementInfoList")):
        for line in listed.all(names.q("ReplacementInfo")):
            named = identity_in(line, "DocumentId", MAX_DOCUMENT_ID)
            if named:
                found[named] = None
    return tuple(found)[:MAX_REPLACED]


def _status(root: Node, header: Node) -> Envelope:
    addressed = any(header.all(names.q("To")))
    if not any(header.all(names.q("StatusCode"))):
        if addressed or optional(header, "DocumentId") is not None:
            raise RefusedError(Code.TYPE_MISMATCH, "a package without a StatusCode is a document")
        raise RefusedError(Code.MISSING_VALUE, "MessageHeader has no StatusCode")
    if addressed:
        raise RefusedError(Code.STATUS_HAS_TO, "a status is addressed by ResponseFor and has no To")
    if any(True for part in root.all(names.ATTACHMENTS) for _ in part.all(names.ATTACHMENT)):
        raise RefusedError(Code.TYPE_MISMATCH, "a status has no attachments")
    written, sender = organ_code(required(header, "From"))
    status_code = text_of(required(header, "StatusCode"), MAX_TEXT)
    if status_code not in _STATUS_CODES:
        raise RefusedError(Code.BAD_STATUS_CODE, "StatusCode is none of 01 to 06, 13, 15, 16")
    response = required(header, "ResponseFor")
    addressee_written, addressee = organ_code(response)
    about = Reference(
        # 13 is the sender's own word to a recipient; every other status answers the sender
        sender=sender if status_code == StatusCode.TAKE_BACK.value else addressee,
        document_id=identity_in(response, "DocumentId", MAX_DOCUMENT_ID),
        code=identity_in(response, "Code", MAX_NUMBER + MAX_NOTATION + 1),
        promulgation_date=identity_in(response, "PromulgationDate", MAX_DATE),
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
        description=text_in(header, "Description", MAX_TEXT),
        timestamp=identity_in(header, "Timestamp", MAX_DATE),
        refers_to=about,
    )
