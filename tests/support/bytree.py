"""What a signed view of edXML says, read from its tree one element at a time: what the reader by shapes is held against."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.edxml import format as flat
from adapters.edxml import names
from adapters.edxml.fields import CONTROL, XML_SPACE
from adapters.edxml.names import local_name, q
from adapters.edxml.secrecy import _FIELD, _FILE_NAME, _LEVEL, SecrecyRule
from relay.errors import Code, RefusedError
from relay.model.codes import normal_form
from relay.model.envelope import Envelope, Recipient, Reference, StatusCode
from relay.model.message import Kind
from relay.model.verdict import Node


def walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from walk(child)


def secret(root: Node, rule: SecrecyRule) -> str | None:
    """Where a mark of secrecy stands."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        kind = rule._kind_of(node.tag)
        if kind & _LEVEL and any(
            rule._marks_level(value)
            for part in walk(node)
            for value in (part.text or "", *(value for _, value in part.attributes))
        ):
            return local_name(node.tag)
        if kind & _FIELD and rule.marks_text(_whole_text(node), file_name=kind & _FILE_NAME != 0):
            return local_name(node.tag)
        for name, value in node.attributes:
            if rule._kind_of(name) & _LEVEL and rule._marks_level(value):
                return local_name(name)
        waiting.extend(node.children)
    return None


def _whole_text(node: Node) -> str:
    return (node.text or "") + "".join(_whole_text(child) for child in node.children)


def optional(parent: Node, tag: str) -> Node | None:
    name = local_name(tag)
    same_name = [child for child in parent.children if local_name(child.tag) == name]
    own = [child for child in same_name if child.tag == tag]
    if own and len(same_name) > 1:
        raise RefusedError(
            Code.DUPLICATE_VALUE, f"{name} stands {len(same_name)} times in {local_name(parent.tag)}"
        )
    return own[0] if own else None


def need(parent: Node, tag: str) -> Node:
    found = optional(parent, tag)
    if found is None:
        raise RefusedError(Code.MISSING_VALUE, f"{local_name(parent.tag)} has no {local_name(tag)}")
    return found


def text_of(node: Node, limit: int) -> str:
    if node.children:
        raise RefusedError(Code.BAD_VALUE, f"{local_name(node.tag)} holds elements where a text is due")
    text = (node.text or "").strip(XML_SPACE)
    if len(text) > limit:
        raise RefusedError(Code.BAD_VALUE, f"{local_name(node.tag)} has more than {limit} characters")
    return text


def identity_of(node: Node, limit: int) -> str:
    text = text_of(node, limit)
    if CONTROL.search(text):
        raise RefusedError(Code.BAD_VALUE, f"{local_name(node.tag)} holds control characters")
    return text


def text(parent: Node | None, tag: str, limit: int) -> str:
    node = None if parent is None else optional(parent, tag)
    return "" if node is None else text_of(node, limit)


def identity(parent: Node | None, tag: str, limit: int) -> str:
    node = None if parent is None else optional(parent, tag)
    return "" if node is None else identity_of(node, limit)


def organ_code(party: Node) -> tuple[str, str]:
    node = need(party, q("OrganId"))
    if node.children:
        raise RefusedError(Code.BAD_CODE, "OrganId holds elements where a code is due")
    for child in party.children:
        if child.children and any(local_name(inner.tag) == "OrganId" for inner in walk(child)):
            raise RefusedError(
                Code.DUPLICATE_VALUE, f"another OrganId stands deeper in {local_name(party.tag)}"
            )
    written = node.text or ""
    return written, normal_form(written)


def read(root: Node, kind: Kind, rule: SecrecyRule) -> Envelope:
    place = secret(root, rule)
    if place is not None:
        raise RefusedError(Code.STATE_SECRET, f"a mark of secrecy stands in {place}")
    if root.tag != names.ROOT:
        raise RefusedError(Code.WRONG_ROOT, "the root is not edXML")
    edxml_header = need(need(root, names.ENVELOPE), names.HEADER)
    header = need(edxml_header, names.MESSAGE_HEADER)
    if kind is Kind.EDOC:
        return _document(edxml_header, header)
    if kind is Kind.STATUS:
        return _status(root, header)
    raise RefusedError(Code.TYPE_MISMATCH, "an edXML package is a document or a status")


def _document(edxml_header: Node, header: Node) -> Envelope:
    if any(header.all(q("StatusCode"))):
        raise RefusedError(Code.TYPE_MISMATCH, "a package with a StatusCode is a status")
    notes: list[str] = []
    written, sender = organ_code(need(header, q("From")))
    recipients: dict[str, Recipient] = {}
    for party in header.all(q("To")):
        as_written, code = organ_code(party)
        if code in recipients:
            notes.append(f"recipient {code} stands more than once")
        recipients.setdefault(code, Recipient(as_written, code))
    if not recipients:
        raise RefusedError(Code.NO_RECIPIENT, "MessageHeader has no To")
    document_id = identity_of(need(header, q("DocumentId")), flat.MAX_DOCUMENT_ID)
    if not document_id:
        raise RefusedError(Code.EMPTY_DOCUMENT_ID, "DocumentId is empty")
    code_node = optional(header, q("Code"))
    number = identity(code_node, q("CodeNumber"), flat.MAX_NUMBER)
    notation = identity(code_node, q("CodeNotation"), flat.MAX_NOTATION)
    date = identity(optional(header, q("PromulgationInfo")), q("PromulgationDate"), flat.MAX_DATE)
    subject = text(header, q("Subject"), flat.MAX_TEXT)
    if len(subject) > flat.STANDARD_SUBJECT:
        notes.append(f"Subject is longer than {flat.STANDARD_SUBJECT} characters")
    trace = optional(edxml_header, q("TraceHeaderList"))
    business = None if trace is None else optional(trace, q("Bussiness"))
    type_node = None if business is None else optional(business, q("BussinessDocType"))
    business_type = 0
    if type_node is not None:
        if type_node.children or (type_node.text or "").strip(XML_SPACE) not in {"0", "1", "2", "3"}:
            raise RefusedError(Code.BAD_DOCUMENT_TYPE, "BussinessDocType is none of 0, 1, 2, 3")
        business_type = int((type_node.text or "").strip(XML_SPACE))
    refers_to: Reference | None = None
    speaks_of: tuple[str, ...] = ()
    if business is not None and business_type in {1, 2}:
        own = Reference(sender, document_id, "/".join(filter(None, (number, notation))), date)
        named = identity(business, q("DocumentId"), flat.MAX_DOCUMENT_ID)
        if named and named != document_id:
            refers_to = Reference(sender, named, "", "")
        elif named or business_type == 1:
            refers_to = own
        speaks_of = (refers_to.document_id,) if refers_to else ()
    return Envelope(
        kind=Kind.EDOC,
        sender=sender,
        sender_written=written,
        recipients=tuple(recipients.values()),
        document_id=document_id,
        code_number=number,
        code_notation=notation,
        promulgation_date=date,
        subject=subject,
        priority=_priority(header, notes),
        business_type=business_type,
        refers_to=refers_to,
        speaks_of=_replaced(business) if business is not None and business_type == 3 else speaks_of,
        notes=tuple(notes),
    )


def _priority(header: Node, notes: list[str]) -> int:
    info = optional(header, q("OtherInfo"))
    node = None if info is None else optional(info, q("Priority"))
    if node is None:
        return 0
    value = (node.text or "").strip(XML_SPACE)
    if node.children or value not in {"0", "1", "2", "3", "4"}:
        notes.append("Priority is none of 0 to 4 and counts as 0")
        return 0
    return int(value)


def _replaced(business: Node) -> tuple[str, ...]:
    named = [
        identity(line, q("DocumentId"), flat.MAX_DOCUMENT_ID)
        for listed in business.all(q("ReplacementInfoList"))
        for line in listed.all(q("ReplacementInfo"))
    ]
    return tuple(dict.fromkeys(filter(None, named)))[: flat.MAX_REPLACED]


def _status(root: Node, header: Node) -> Envelope:
    addressed = any(header.all(q("To")))
    if not any(header.all(q("StatusCode"))):
        if addressed or optional(header, q("DocumentId")) is not None:
            raise RefusedError(Code.TYPE_MISMATCH, "a package without a StatusCode is a document")
        raise RefusedError(Code.MISSING_VALUE, "MessageHeader has no StatusCode")
    if addressed:
        raise RefusedError(Code.STATUS_HAS_TO, "a status is addressed by ResponseFor and has no To")
    if any(True for part in root.all(names.ATTACHMENTS) for _ in part.all(names.ATTACHMENT)):
        raise RefusedError(Code.TYPE_MISMATCH, "a status has no attachments")
    written, sender = organ_code(need(header, q("From")))
    status_code = text_of(need(header, q("StatusCode")), flat.MAX_TEXT)
    if status_code not in {code.value for code in StatusCode}:
        raise RefusedError(Code.BAD_STATUS_CODE, "StatusCode is none of 01 to 06, 13, 15, 16")
    response = need(header, q("ResponseFor"))
    addressee_written, addressee = organ_code(response)
    about = Reference(
        sender=sender if status_code == "13" else addressee,
        document_id=identity(response, q("DocumentId"), flat.MAX_DOCUMENT_ID),
        code=identity(response, q("Code"), flat.MAX_NUMBER + flat.MAX_NOTATION + 1),
        promulgation_date=identity(response, q("PromulgationDate"), flat.MAX_DATE),
    )
    if not about.document_id and not about.code:
        raise RefusedError(Code.MISSING_VALUE, "ResponseFor has neither DocumentId nor Code")
    return Envelope(
        kind=Kind.STATUS,
        sender=sender,
        sender_written=written,
        recipients=(Recipient(addressee_written, addressee),),
        document_id="",
        status_code=status_code,
        description=text(header, q("Description"), flat.MAX_TEXT),
        timestamp=identity(header, q("Timestamp"), flat.MAX_DATE),
        refers_to=about,
    )
