# ruff: noqa: ANN401 -- values of the model are of several types, and lxml ships none
"""What differs between two packages in meaning, and whether the bytes of their attachments do.

Order, prefixes, white space, the two forms of a code and how an attachment is encoded are no meaning. What only one of
manifest and attachment says of a file counts for both.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from adapters.edxml.attachments import examined
from adapters.edxml.model import Attachment, Document, Kept, Package, Reference, normal_or_none
from adapters.edxml.rules import Shape, Slot, Value, shape_of
from adapters.edxml.sense import paired
from adapters.edxml.walker import written
from relay.errors import RefusedError

UNREADABLE: Final = "no base64"
"""What stands for the bytes of an attachment that cannot be read."""
_HEADER: Final = "MessageHeader"


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that is another, or that only one of the two has; empty where it is absent."""

    path: str
    left: str
    right: str


def differences(left: Package, right: Package) -> tuple[Difference, ...]:
    """Return what differs in meaning. An attachment whose bytes cannot be read is told as different, also from itself."""
    if type(left) is not type(right):
        return (Difference("", left.kind.value, right.kind.value),)
    found: list[Difference] = []
    shape = shape_of(type(left.message_header))
    _compare(left.message_header, right.message_header, shape, _HEADER, found)
    if isinstance(left, Document) and isinstance(right, Document):
        ours, theirs = left.trace_header_list, right.trace_header_list
        if ours is not None and theirs is not None:
            _compare(ours, theirs, shape_of(type(ours)), "TraceHeaderList", found)
        elif ours is not theirs:
            there = ("TraceHeaderList", "") if ours is not None else ("", "TraceHeaderList")
            found.append(Difference("TraceHeaderList", *there))
        _compare_files(left, right, found)
    if left.signature is not right.signature:
        found.append(Difference("Signature", left.signature.value, right.signature.value))
    _compare_kept(left.kept, right.kept, found)
    return tuple(found)


def _compare(left: Any, right: Any, shape: Shape, path: str, found: list[Difference]) -> None:
    for slot in shape.slots:
        ours, theirs = getattr(left, slot.name), getattr(right, slot.name)
        here = f"{path}/{slot.rule.within or slot.rule.tag}"
        if slot.rule.many:
            _compare_many(ours, theirs, slot, here, found)
        else:
            _compare_one(ours, theirs, slot, here, found)


def _compare_one(ours: Any, theirs: Any, slot: Slot, path: str, found: list[Difference]) -> None:
    if slot.shape is not None:
        empty = slot.shape.cls()
        _compare(ours or empty, theirs or empty, slot.shape, path, found)
    elif _meaning(ours, slot) != _meaning(theirs, slot):
        found.append(Difference(path, _shown(ours), _shown(theirs)))


def _compare_many(
    ours: Sequence[Any], theirs: Sequence[Any], slot: Slot, path: str, found: list[Difference]
) -> None:
    """Compare lists of agencies by their codes, other lists place by place."""
    keyed = slot.rule.value is Value.ORGAN or (slot.shape is not None and "OrganId" in slot.shape.by_name)
    if not keyed or slot.rule.tag in {"TraceHeader", "ResponseFor"}:
        for index in range(max(len(ours), len(theirs))):
            one = ours[index] if index < len(ours) else None
            other = theirs[index] if index < len(theirs) else None
            _compare_one(one, other, slot, f"{path}[{index + 1}]", found)
        return
    left, right = _by_code(ours), _by_code(theirs)
    for code in dict.fromkeys([*left, *right]):
        here = f"{path}[{code}]"
        if code not in left or code not in right:
            found.append(Difference(here, code if code in left else "", code if code in right else ""))
        elif slot.shape is not None:
            _compare(left[code], right[code], slot.shape, here, found)


def _by_code(items: Sequence[Any]) -> dict[str, Any]:
    codes = [(one if isinstance(one, str) else one.organ_id, one) for one in items]
    return {normal_or_none(code) or code: one for code, one in codes}


def _meaning(value: Any, slot: Slot) -> Any:
    if isinstance(value, str):
        if slot.rule.value is Value.ORGAN:
            return normal_or_none(value) or value
        return unicodedata.normalize("NFC", value)
    return value


def _shown(value: Any) -> str:
    return "" if value is None else written(value)


def _compare_files(left: Document, right: Document, found: list[Difference]) -> None:
    ours, theirs = _files(left), _files(right)
    for name in dict.fromkeys([*ours, *theirs]):
        path = f"Attachment[{name}]"
        if name not in ours or name not in theirs:
            found.append(Difference(path, name if name in ours else "", name if name in theirs else ""))
            continue
        mine, other = ours[name], theirs[name]
        _differ(f"{path}/ContentType", mine.content_type, other.content_type, found)
        _differ(f"{path}/Description", mine.description, other.description, found)
        one, two = _bytes(mine.attachment), _bytes(other.attachment)
        if one != two or one == UNREADABLE:  # what cannot be read cannot be said to be the same
            found.append(Difference(f"{path}/content", one, two))
        if mine.reference is None or other.reference is None:
            _differ(f"Reference[{name}]", mine.listed_name, other.listed_name, found)
            continue
        _differ(f"Reference[{name}]/AttachmentName", mine.listed_name, other.listed_name, found)
        _differ(f"Reference[{name}]/ContentType", mine.listed_type, other.listed_type, found)
    there, here = _listed_alone(right), _listed_alone(left)
    for name in dict.fromkeys([*here, *there]):
        _differ(f"Reference[{name}]", name if name in here else "", name if name in there else "", found)


def _differ(path: str, left: str, right: str, found: list[Difference]) -> None:
    if unicodedata.normalize("NFC", left) != unicodedata.normalize("NFC", right):
        found.append(Difference(path, left, right))


@dataclass(frozen=True, slots=True)
class _File:
    """An attachment with its line of the manifest; what one of the two leaves out the other says."""

    attachment: Attachment
    reference: Reference | None

    @property
    def content_type(self) -> str:
        return self.attachment.content_type or (self.reference.content_type if self.reference else "")

    @property
    def description(self) -> str:
        return (self.reference.description if self.reference else "") or self.attachment.description

    @property
    def listed_name(self) -> str:
        return (self.reference.attachment_name or self.attachment.attachment_name) if self.reference else ""

    @property
    def listed_type(self) -> str:
        return (self.reference.content_type or self.attachment.content_type) if self.reference else ""


def _files(document: Document) -> dict[str, _File]:
    """Return the attachments by name; a name that stands twice gets a number."""
    result: dict[str, _File] = {}
    counts: dict[str, int] = {}
    for reference, attachment in paired(document):
        name = attachment.attachment_name or (reference.attachment_name if reference else "")
        base = unicodedata.normalize("NFC", name)
        counts[base] = counts.get(base, 0) + 1
        name = base if counts[base] == 1 else f"{base} ({counts[base]})"
        result[name] = _File(attachment, reference)
    return result


def _listed_alone(document: Document) -> list[str]:
    """Return the files that the manifest lists and that are not in the package."""
    held = {id(reference) for reference, _ in paired(document)}
    return [
        unicodedata.normalize("NFC", one.attachment_name or one.content_id)
        for one in document.references
        if id(one) not in held
    ]


def _bytes(attachment: Attachment) -> str:
    """Return size and hash of the file itself, out of its transport archive if it is in one."""
    if attachment.content is None:
        return ""
    try:
        out = examined(attachment.content, attachment.attachment_name, attachment.content_type)
    except RefusedError:
        return UNREADABLE
    return f"{out.size} B, sha256 {out.sha256}"


def _compare_kept(left: tuple[Kept, ...], right: tuple[Kept, ...], found: list[Difference]) -> None:
    ours = {(one.path, _plain(one.xml)): one for one in left}
    theirs = {(one.path, _plain(one.xml)): one for one in right}
    found += [Difference(one.path, one.xml, "") for key, one in ours.items() if key not in theirs]
    found += [Difference(one.path, "", one.xml) for key, one in theirs.items() if key not in ours]


def _plain(xml: str) -> str:
    """Return what an element says whatever its prefixes and the white space between its children."""
    try:
        return str(etree.canonicalize(xml, rewrite_prefixes=True, strip_text=True))
    except (etree.XMLSyntaxError, ValueError):
        return xml  # an attribute or a stray text
