"""The ``manifest`` profile: the signature covers the envelope, the envelope's list holds a digest of each attachment.

``open_envelope`` looks, before any arithmetic, at everything beside the envelope: nothing may stand there that a
reader could see, but attachments. ``pair`` pairs these, after the envelope was found intact, with the signed
lines, and ``view_of`` says what was signed: names and types from the lines, bytes by their digest. Knows no format:
``ManifestPlace`` says which tags are meant.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from relay.errors import Code, RefusedError
from relay.model.elements import Elements, encoded
from relay.model.verdict import ManifestPlace
from relay.trust import content, names, signature

_SPACE: Final = " \t\r\n"
_ATTRIBUTED: Final = etree.XPath("//*[@*]")
_CID: Final = "cid:"  # some write it before a content id, on one side or on both


@dataclass(frozen=True, slots=True)
class Line:
    """One signed line: which attachment, how it is described, and the digest of its octets."""

    content_id: str  # bare
    written_id: str  # as the line has it
    described: tuple[tuple[str, str], ...]  # (tag, text)
    digest_hash: names.Hash
    digest: bytes


@dataclass(frozen=True, slots=True)
class Paired:
    """A signed line and the element of its attachment's base64 text."""

    line: Line
    payload: Any


# --- before the arithmetic: what no signature covers ---


def open_envelope(root: Any, place: ManifestPlace, fragment: str) -> Any:  # noqa: ANN401 -- lxml ships no types
    """Check all that stands beside the envelope, and return the envelope.

    Raises:
        RefusedError: FOREIGN-REFERENCE, FOREIGN-ID or UNSIGNED-CONTENT.
    """
    envelope = next(root.iterchildren(etree.Element), None)
    check_envelope(envelope, place, fragment)
    check_one_id(root)
    _check_beside(root, envelope, place)
    return envelope


def _check_beside(root: Any, envelope: Any, place: ManifestPlace) -> None:  # noqa: ANN401
    check_no_comments(root, envelope)
    check_root_children(root, envelope, place)
    outer = [root]
    for holder in root.iterchildren(place.attachments):
        outer.append(holder)
        for attachment in holder.iterchildren(etree.Element):
            check_attachment(attachment, place)
            outer.append(attachment)
    for element in outer:
        check_no_text(element)
    check_no_attributes(outer)


def check_envelope(envelope: Any, place: ManifestPlace, fragment: str | None) -> None:  # noqa: ANN401
    """Refuse a reference to anything but the envelope, first element of the root. FOREIGN-REFERENCE."""
    if envelope is None or envelope.tag != place.envelope or envelope.get(place.id_name) != fragment:
        raise RefusedError(Code.FOREIGN_REFERENCE, "the reference is not to the envelope")


def check_one_id(root: Any) -> None:  # noqa: ANN401
    """Refuse any id but the envelope's, in any spelling: readers find it by that. FOREIGN-ID."""
    if len(content.ids(_attributes(root))) != 1:
        raise RefusedError(Code.FOREIGN_ID, "the envelope's id is not the only one")


def check_no_comments(root: Any, envelope: Any) -> None:  # noqa: ANN401
    """Refuse comments and processing instructions outside the envelope. UNSIGNED-CONTENT."""
    beside = [*root.itersiblings(preceding=True), *root.itersiblings()]
    for child in root:
        if child is not envelope:
            beside += child.iter(etree.Comment, etree.PI)
    if beside:
        raise RefusedError(Code.UNSIGNED_CONTENT, "a comment or instruction outside the envelope")


def check_root_children(root: Any, envelope: Any, place: ManifestPlace) -> None:  # noqa: ANN401
    """Refuse other children of the root than the envelope and one holder of attachments. UNSIGNED-CONTENT."""
    if [child.tag for child in envelope.itersiblings(etree.Element)] not in ([], [place.attachments]):
        raise RefusedError(Code.UNSIGNED_CONTENT, f"{_local(root)} holds more than envelope and attachments")


def check_attachment(attachment: Any, place: ManifestPlace) -> None:  # noqa: ANN401
    """Refuse other children of an attachment than its id, its description and its bytes. UNSIGNED-CONTENT."""
    if attachment.tag != place.attachment:
        raise RefusedError(Code.UNSIGNED_CONTENT, "something beside the attachments")
    tags = [child.tag for child in attachment]
    if (
        len(set(tags)) != len(tags)
        or not {place.content_id, place.payload} <= set(tags)
        or not set(tags) <= {place.content_id, place.payload, *place.described}
    ):
        raise RefusedError(Code.UNSIGNED_CONTENT, "an attachment holds other elements than the four")
    if any(len(child) for child in attachment):
        raise RefusedError(Code.UNSIGNED_CONTENT, "elements where an attachment has text")


def check_no_text(element: Any) -> None:  # noqa: ANN401
    """Refuse text between the elements that no signature covers. UNSIGNED-CONTENT."""
    pieces = [element.text, *(child.tail for child in element)]
    if any(piece and piece.strip(_SPACE) for piece in pieces):
        raise RefusedError(Code.UNSIGNED_CONTENT, f"text in {_local(element)}")


def check_no_attributes(elements: Iterable[Any]) -> None:
    """Refuse attributes, but namespaces, of what no signature covers and of what an attachment has. UNSIGNED-CONTENT."""
    for element in elements:
        leaves = [child for child in element if not len(child)] if element.getparent() is not None else []
        if any(one.attrib for one in (element, *leaves)):
            raise RefusedError(Code.UNSIGNED_CONTENT, f"an attribute in {_local(element)}")


# --- after it: the signed lines, and what hangs on them ---


def lines(envelope: Any, place: ManifestPlace) -> list[Line]:  # noqa: ANN401
    """Return the signed lines.

    Raises:
        RefusedError: MANIFEST-MALFORMED or WEAK-ALGORITHM.
    """
    holder = envelope
    for tag in place.references:
        holder = holder.find(tag)
        if holder is None:
            return []
    check_one_list(envelope, place)
    found = []
    for element in holder.iterchildren(place.reference):
        check_line(element, place)
        method, value = element.find(names.DIGEST_METHOD), element.find(names.DIGEST_VALUE)
        digest_hash = signature.digest_algorithm(method)
        digest = signature.octets(value, Code.MANIFEST_MALFORMED, 64)
        check_line_digest(digest, digest_hash)
        found.append(_line(element, place, digest_hash, digest))
    check_lines(found)
    return found


def _line(element: Any, place: ManifestPlace, digest_hash: names.Hash, digest: bytes) -> Line:  # noqa: ANN401
    name = element.find(place.content_id)
    described = tuple((tag, _text(one)) for tag in place.described if (one := element.find(tag)) is not None)
    return Line(_plain_id(name), _text(name), described, digest_hash, digest)


def check_one_list(envelope: Any, place: ManifestPlace) -> None:  # noqa: ANN401
    """Refuse a second list, or a second one of what it stands in. MANIFEST-MALFORMED."""
    holder = envelope
    for tag in place.references:
        if len(holder.findall(tag)) != 1:
            raise RefusedError(Code.MANIFEST_MALFORMED, f"several {tag.rpartition('}')[2]}")
        holder = holder.find(tag)


def check_line(element: Any, place: ManifestPlace) -> None:  # noqa: ANN401
    """Refuse a line without exactly one id and one digest, or with two descriptions. MANIFEST-MALFORMED."""
    for tag in (place.content_id, names.DIGEST_METHOD, names.DIGEST_VALUE):
        if len(element.findall(tag)) != 1:
            raise RefusedError(
                Code.MANIFEST_MALFORMED, f"a line without exactly one {tag.rpartition('}')[2]}"
            )
    if any(len(element.findall(tag)) > 1 for tag in place.described):
        raise RefusedError(Code.MANIFEST_MALFORMED, "a line describes its attachment twice")
    method = element.find(names.DIGEST_METHOD)
    if len(method) or set(method.attrib) != {"Algorithm"} or (method.text or "").strip(_SPACE):
        raise RefusedError(Code.MANIFEST_MALFORMED, "a digest method with parameters")


def check_line_digest(digest: bytes, digest_hash: names.Hash) -> None:
    """Refuse a digest of another length than its method gives. MANIFEST-MALFORMED."""
    if len(digest) != names.DIGEST_SIZES[digest_hash]:
        raise RefusedError(Code.MANIFEST_MALFORMED, "a digest has a wrong length")


def check_lines(found: list[Line]) -> None:
    """Refuse a line without a name, or two of the same. MANIFEST-MALFORMED."""
    named = {line.content_id for line in found}
    if "" in named or len(named) != len(found):
        raise RefusedError(Code.MANIFEST_MALFORMED, "lines without a ContentId of their own")


def pair(root: Any, envelope: Any, place: ManifestPlace) -> list[Paired]:  # noqa: ANN401
    """Pair the attachments with the signed lines, in the lines' order.

    Raises:
        RefusedError: MANIFEST-MALFORMED, WEAK-ALGORITHM or ATTACHMENT-MISMATCH.
    """
    return _pair(lines(envelope, place), root, place)


def _pair(signed: list[Line], root: Any, place: ManifestPlace) -> list[Paired]:  # noqa: ANN401
    elements = [
        one
        for holder in root.iterchildren(place.attachments)
        for one in holder.iterchildren(place.attachment)
    ]
    by_id = {_plain_id(one.find(place.content_id)): one for one in elements}
    check_pairs(signed, elements, by_id)
    paired = []
    for line in signed:
        attachment = by_id.get(line.content_id)
        if attachment is None:
            continue
        check_description(line, attachment, place)
        paired.append(Paired(line, attachment.find(place.payload)))
    return paired


def check_pairs(signed: list[Line], elements: list[Any], by_id: dict[str, Any]) -> None:
    """Refuse an attachment that no line names, a line without one, two of the same name. ATTACHMENT-MISMATCH."""
    if len(elements) != len(by_id) or by_id.keys() != {line.content_id for line in signed}:
        raise RefusedError(Code.ATTACHMENT_MISMATCH, "attachments and signed lines do not pair one to one")


def check_description(line: Line, attachment: Any, place: ManifestPlace) -> None:  # noqa: ANN401
    """Refuse a name or type that differs from the signed one: absent or equal. ATTACHMENT-MISMATCH."""
    signed = dict(line.described)
    for tag in place.described:
        own = attachment.find(tag)
        if own is not None and _text(own) != signed.get(tag):
            raise RefusedError(Code.ATTACHMENT_MISMATCH, f"{tag.rpartition('}')[2]} is not the signed one")


def check_payload(line: Line, digest: bytes) -> None:
    """Refuse an attachment whose octets are not those that were signed. ATTACHMENT-ALTERED."""
    if not hmac.compare_digest(line.digest, digest):
        raise RefusedError(Code.ATTACHMENT_ALTERED, "an attachment is not what was signed")


def open_unsigned(root: Any, place: ManifestPlace) -> Any:  # noqa: ANN401
    """Return the envelope of a package that is about to be signed; all but id and digests is checked.

    Raises:
        RefusedError: FOREIGN-REFERENCE: it is not the root's first child. FOREIGN-ID: there is an id. UNSIGNED-CONTENT.
    """
    if content.ids(_attributes(root)):
        raise RefusedError(Code.FOREIGN_ID, "the package has an id already")
    envelope = next(root.iterchildren(etree.Element), None)
    check_envelope(envelope, place, None)
    _check_beside(root, envelope, place)
    return envelope


def unsigned_lines(root: Any, envelope: Any, place: ManifestPlace) -> list[str]:  # noqa: ANN401
    """Return the base64 text that belongs to each line of a package that is about to be signed.

    Raises:
        RefusedError: MANIFEST-MALFORMED: digests stand there already, or a line has no id of its own.
            ATTACHMENT-MISMATCH.
    """
    holder = envelope
    for tag in place.references:
        holder = None if holder is None else holder.find(tag)
    elements = [] if holder is None else list(holder.iterchildren(place.reference))
    if holder is not None:
        check_one_list(envelope, place)
    found = []
    for element in elements:
        if element.find(names.DIGEST_METHOD) is not None or element.find(names.DIGEST_VALUE) is not None:
            raise RefusedError(Code.MANIFEST_MALFORMED, "a line has a digest already")
        if len(element.findall(place.content_id)) != 1:
            raise RefusedError(Code.MANIFEST_MALFORMED, "a line without exactly one ContentId")
        found.append(_line(element, place, "sha256", b""))
    check_lines(found)
    return [one.payload.text or "" for one in _pair(found, root, place)]


def view_of(
    root: str, envelope: Elements, attached: list[tuple[Line, bytes | None]], place: ManifestPlace
) -> Elements:
    """Return what was signed, in the shape of the format: the envelope, and attachments as the signed lines say.

    Args:
        root: name of the document's root.
        envelope: what is signed, read from its octets.
        attached: the lines whose attachments hold what was signed, with the base64 text or None.
        place: where the format keeps them.
    """
    attachments = [
        Elements.holding(
            place.attachment,
            Elements.leaf(place.content_id, encoded(line.written_id)),
            *(Elements.leaf(tag, encoded(text)) for tag, text in line.described),
            Elements.leaf(place.payload, text),
        )
        for line, text in attached
    ]
    holder = (Elements.holding(place.attachments, *attachments),) if attachments else ()
    return Elements.holding(root, envelope, *holder)


def _attributes(root: Any) -> content.Attributes:  # noqa: ANN401
    return [item for element in _ATTRIBUTED(root) for item in element.items()]


def _plain_id(element: Any) -> str:  # noqa: ANN401
    return _text(element).strip(_SPACE).removeprefix(_CID)


def _text(element: Any) -> str:  # noqa: ANN401
    return "" if element is None else element.text or ""


def _local(element: Any) -> str:  # noqa: ANN401
    return str(etree.QName(element).localname)
