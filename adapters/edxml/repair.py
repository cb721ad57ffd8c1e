"""A proposal of a package that is right, each change named. For people: the relay never changes a package.

Nothing is guessed: what cannot be read without a guess is refused, what only a person can say stays and is listed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from adapters.edxml.check import check
from adapters.edxml.checks import check_package
from adapters.edxml.content import Source
from adapters.edxml.model import (
    Attachment,
    Bussiness,
    Document,
    Organ,
    Package,
    Reference,
    SignatureKind,
    StatusMessage,
    TraceHeaderList,
)
from adapters.edxml.oddities import Finding, Oddity
from adapters.edxml.quick import SPACE
from adapters.edxml.reader import Reading
from adapters.edxml.sense import bare_id, paired
from relay.errors import RefusedError

# What a new writing does not mend: it needs somebody who knows the facts.
_FOR_PEOPLE = frozenset(
    {
        *(Oddity.MISSING, Oddity.TOO_LONG, Oddity.FILLER, Oddity.DATE_IMPOSSIBLE, Oddity.DATE_UNREAD),
        *(Oddity.TIME_UNREAD, Oddity.NOT_A_NUMBER, Oddity.OUT_OF_RANGE, Oddity.NUMBER_WITH_LETTERS),
        *(Oddity.ORGAN_ID_SHAPE, Oddity.ORGAN_ID_SHORT, Oddity.FROM_IS_TO, Oddity.BUSINESS_PART_MISSING),
        *(Oddity.BUSINESS_PART_IDLE, Oddity.REVOKES_OWN_ID, Oddity.DROPPED_NOT_ADDRESSED),
        *(Oddity.REASON_MISSING, Oddity.DUE_BEFORE_PROMULGATION, Oddity.DOCUMENT_ID_FORM),
    }
)
# Of these, what stands there is in no new writing.
_DROPPED = frozenset(
    {
        *(Oddity.DATE_IMPOSSIBLE, Oddity.DATE_UNREAD, Oddity.TIME_UNREAD, Oddity.NOT_A_NUMBER),
        Oddity.OUT_OF_RANGE,
    }
)
# What stands there is in no new writing either, and nobody is asked.
_LEFT_OUT = frozenset(
    {
        *(Oddity.BYTE_ORDER_MARK, Oddity.LEADING_BYTES, Oddity.TRAILING_BYTES, Oddity.EMPTY, Oddity.REPEATED),
        *(Oddity.UNKNOWN_ELEMENT, Oddity.UNKNOWN_ATTRIBUTE, Oddity.SDK_ATTRIBUTE, Oddity.LEGACY_ELEMENT),
        *(Oddity.MISSPELT, Oddity.MISPLACED, Oddity.FOREIGN_NAMESPACE, Oddity.STRAY_TEXT),
        *(Oddity.ELEMENTS_IN_TEXT, Oddity.TO_REPEATED, Oddity.REPLACEMENT_REPEATED, Oddity.STATUS_EXTRA),
        *(Oddity.SIGNATURE_STUB, Oddity.REFERENCE_ALONE),
    }
)
_ADDED = frozenset(
    {Oddity.MISSING, Oddity.BUSINESS_TYPE_MISSING, Oddity.ATTACHMENT_ALONE, Oddity.CONTENT_ID_MISSING}
)
# A line of the manifest, an id or a name is given, whoever left it out.
_GIVEN = ("/ContentId", "/AttachmentName", "/edXMLBody", "/edXMLManifest", "/@version")
_OF_BYTES = frozenset({Oddity.BASE64_FOLDED, Oddity.BASE64_UNPADDED})
SIGNATURE = "signature"
"""Code of the change that every signed package undergoes: what is written anew has to be signed anew."""


class Action(StrEnum):
    """What was done at a place."""

    REWRITTEN = "rewritten"
    LEFT_OUT = "left-out"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that the proposal has otherwise. ``code`` is that of an oddity, or ``SIGNATURE``."""

    code: str
    action: Action
    path: str
    line: int
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A package that may take the place of another, once a person has looked at it and it is signed anew."""

    package: Package
    changes: tuple[Change, ...]
    left: tuple[Finding, ...]  # what only a person can mend
    objection: RefusedError | None  # why the strict writer would still refuse it

    @property
    def complete(self) -> bool:
        """Whether the strict writer takes it and no value was dropped because nobody can read it."""
        return self.objection is None and not any(_is_dropped(one) for one in self.left)


def propose(source: Source | bytes) -> Proposal:
    """Return a proposal for a package.

    Raises:
        RefusedError: it cannot be read without a guess, as ``reader.read``; the base64 of an attachment is none.
    """
    checked = check(source)
    if checked.faults:
        raise checked.faults[0].error()
    return proposal_of(checked.reading, checked.findings[len(checked.reading.findings) :])


def proposal_of(reading: Reading, of_files: tuple[Finding, ...] = ()) -> Proposal:
    """Return a proposal for a package that was read without faults.

    Args:
        reading: what came out of reading it.
        of_files: what was found in the bytes of its attachments, which stay as they are.
    """
    package = reading.package
    assert package is not None
    found = (*reading.findings, *(one for one in of_files if one.oddity in _OF_BYTES))
    changes = [_change(one) for one in found if not _for_people(one) or _is_dropped(one)]
    left = tuple(one for one in found if _for_people(one))
    left += tuple(one for one in of_files if one.oddity not in _OF_BYTES and one.entry.level == "warning")
    if package.signature is SignatureKind.XMLDSIG:
        path = "edXMLEnvelope/edXMLHeader/Signature"
        changes.append(Change(SIGNATURE, Action.LEFT_OUT, path, 0, "", ""))
    mended = _mended_document(package, changes) if isinstance(package, Document) else _mended_status(package)
    mended = replace(mended, kept=(), signature=SignatureKind.NONE)
    try:
        check_package(mended)
        objection = None
    except RefusedError as error:
        objection = error
    return Proposal(mended, _once(changes), left, objection)


def _once(changes: list[Change]) -> tuple[Change, ...]:
    """Return the changes; of those that add something at one place the last, which says what."""
    last = {one.path: one for one in changes if one.action is Action.ADDED}
    return tuple(one for one in changes if last.get(one.path, one) is one)


def _change(finding: Finding) -> Change:
    action = Action.REWRITTEN
    if finding.oddity in _LEFT_OUT or _is_dropped(finding):
        action = Action.LEFT_OUT
    elif finding.oddity in _ADDED:
        action = Action.ADDED
    return Change(finding.oddity.value, action, finding.path, finding.line, finding.found, finding.read)


def _for_people(finding: Finding) -> bool:
    if finding.oddity is Oddity.MISSING and finding.path.endswith(_GIVEN):
        return False
    # a date of another document is said again as that one wrote it
    return finding.oddity in _FOR_PEOPLE or _is_echo(finding)


def _is_echo(finding: Finding) -> bool:
    return "/ResponseFor" in finding.path and finding.path.endswith("/PromulgationDate")


def _is_dropped(finding: Finding) -> bool:
    return finding.oddity in _DROPPED and not finding.read and not _is_echo(finding)


def _mended_status(status: StatusMessage) -> StatusMessage:
    header = status.message_header
    about = header.response_for
    if about is not None:
        about = replace(about, organ_id=about.organ_id.strip(SPACE))
    return replace(
        status,
        message_header=replace(
            header, from_=None if header.from_ is None else _trimmed(header.from_), response_for=about
        ),
    )


def _mended_document(document: Document, changes: list[Change]) -> Document:
    header = document.message_header
    recipients: dict[str, Organ] = {}
    for party in header.to:
        trimmed = _trimmed(party)
        recipients.setdefault(trimmed.code or trimmed.organ_id, trimmed)
    references, attachments = _mended_files(document, changes)
    return replace(
        document,
        message_header=replace(
            header,
            from_=None if header.from_ is None else _trimmed(header.from_),
            to=tuple(recipients.values()),
        ),
        trace_header_list=_mended_trace(document.trace_header_list),
        references=references,
        attachments=attachments,
    )


def _trimmed(organ: Organ) -> Organ:
    return replace(organ, organ_id=organ.organ_id.strip(SPACE))


def _mended_trace(trace: TraceHeaderList | None) -> TraceHeaderList | None:
    if trace is None or trace.bussiness is None:
        return trace
    business: Bussiness = trace.bussiness
    return replace(
        trace,
        bussiness=replace(
            business,
            bussiness_doc_type=business.bussiness_doc_type or 0,
            replacement_info_list=tuple(dict.fromkeys(business.replacement_info_list)),
        ),
    )


def _mended_files(
    document: Document, changes: list[Change]
) -> tuple[tuple[Reference, ...], tuple[Attachment, ...]]:
    """Give each attachment an id and its line in the manifest, name and type alike on both sides."""
    used = {bare_id(one.content_id) for one in document.attachments if one.content_id}
    references, attachments = [], []
    for index, (listed, attachment) in enumerate(paired(document), 1):
        content_id = bare_id(attachment.content_id) or (bare_id(listed.content_id) if listed else "")
        if not content_id:
            number = index
            while f"attachment-{number}" in used:
                number += 1
            content_id = f"attachment-{number}"
            path = f"AttachmentEncoded/Attachment[{index}]/ContentId"
            changes.append(Change(Oddity.CONTENT_ID_MISSING.value, Action.ADDED, path, 0, "", content_id))
        used.add(content_id)
        name = attachment.attachment_name or (listed.attachment_name if listed else "")
        content_type = attachment.content_type or (listed.content_type if listed else "")
        attachments.append(
            replace(
                attachment,
                content_id=f"cid:{content_id}",
                attachment_name=name or f"attachment-{index}",
                content_type=content_type,
            )
        )
        references.append(
            Reference(
                content_id=f"cid:{content_id}",
                content_type=content_type,
                description=(listed.description if listed else "") or attachment.description,
                attachment_name=name or f"attachment-{index}",
            )
        )
    return tuple(references), tuple(attachments)
