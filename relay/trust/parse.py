"""Hardened parsing of foreign bytes: what is refused here never reaches a signature check.

In: bytes and limits. Out: a tree of lxml without DTD, entities or processing instructions inside its root. Time and
memory are bounded by the byte limit and by counts taken from the raw bytes before the parser builds anything.
"""

from __future__ import annotations

import codecs
import re
import threading
from functools import cache
from typing import Any, Final, NamedTuple

from lxml import etree

from relay.errors import Code, RefusedError
from relay.model.verdict import ParseLimits

_BOM: Final = b"\xef\xbb\xbf"
_OTHER_BOMS: Final = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff", b"\x00<", b"<\x00")
_SPACE: Final = b" \t\r\n"
_SPACES: Final = (b" ", b"\t", b"\r", b"\n")
_DECLARED: Final = re.compile(rb"""\bencoding\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_VERSION: Final = re.compile(rb"""\bversion\s*=\s*["']1\.0["']""")
_ERR_RESOURCE_LIMIT: Final = 114
# libxml2 stops a text, comment or attribute at 10 MB unless told otherwise.
_PLAIN_BYTES: Final = 8 * 1024 * 1024
_LARGE: Final = 16 * 1024
_USUAL: Final = (b'<?xml version="1.0" encoding="UTF-8"', b'<?xml version="1.0" encoding="utf-8"')
# One element costs two "<", and room for comments and CDATA sections. Attributes are fewer than
# elements; canonicalisation looks each one's namespace up among all that are in force, so their sum is bounded too.
_MARKUP_PER_ELEMENT: Final = 4

_FLAT: Final = 8  # levels

_thread = threading.local()


class Counts(NamedTuple):
    """What the raw bytes say of the tree to come: upper bounds that make most looks at it needless."""

    size: int
    markup: int  # of "<", or more
    equals: int
    comments: bool
    instructions: bool  # behind the XML declaration


def _parser(*, huge: bool) -> Any:  # noqa: ANN401 -- lxml ships no types
    """Return this thread's parser: making one costs more than parsing a small document."""
    name = "huge" if huge else "plain"
    parser = getattr(_thread, name, None)
    if parser is None:
        parser = etree.XMLParser(
            encoding="utf-8",  # whatever the declaration says: it was checked
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            dtd_validation=False,
            attribute_defaults=False,
            huge_tree=huge,
            recover=False,
            collect_ids=False,
            remove_blank_text=False,
            remove_comments=False,
            remove_pis=False,
        )
        setattr(_thread, name, parser)
    return parser


def parse(body: bytes, root: str, opaque: frozenset[str], limits: ParseLimits) -> Any:  # noqa: ANN401
    """Parse foreign bytes and return the root element.

    Args:
        body: as received.
        root: ``{namespace}local`` that the root must have.
        opaque: tags whose text may be longer than ``limits.max_text``.
        limits: bounds.

    Raises:
        RefusedError: EMPTY-BODY, TOO-LARGE, NOT-UTF8, NOT-XML, DTD-FORBIDDEN, ENTITY-FORBIDDEN, PI-FORBIDDEN,
            COMMENT-IN-TEXT, TOO-DEEP, TOO-COMPLEX or WRONG-ROOT.
    """
    counts = scan(body, limits)
    try:
        tree = etree.fromstring(body, _parser(huge=len(body) > _PLAIN_BYTES))
    except etree.XMLSyntaxError as error:
        if error.code == _ERR_RESOURCE_LIMIT:
            code = Code.TOO_DEEP if "depth" in str(error) else Code.TOO_COMPLEX
            raise RefusedError(code, "the parser gave up") from error
        line, column = error.position
        raise RefusedError(Code.NOT_XML, f"not well-formed at line {line}, column {column}") from error
    except (ValueError, LookupError) as error:
        raise RefusedError(Code.NOT_XML, "not well-formed") from error
    check_root(tree, root)
    _check_tree(tree, opaque, limits, counts)
    return tree


def scan(body: bytes, limits: ParseLimits) -> Counts:
    """Refuse from the raw bytes what must not meet the parser. Linear in the size of the body.

    Raises:
        RefusedError: EMPTY-BODY, TOO-LARGE, NOT-UTF8, NOT-XML, DTD-FORBIDDEN, ENTITY-FORBIDDEN or TOO-COMPLEX.
    """
    check_size(body, limits)
    check_byte_order(body)
    position = _behind_declaration(body)
    check_letters(body)
    check_prolog(body, position)
    counts = _counted(body, position, limits)
    check_markup(counts, limits)
    check_equals(counts, limits)
    return counts


def check_size(body: bytes, limits: ParseLimits) -> None:
    """Refuse no bytes, and more than a worker should hold. EMPTY-BODY, TOO-LARGE."""
    if not body:
        raise RefusedError(Code.EMPTY_BODY, "no bytes")
    if len(body) > limits.max_bytes:
        raise RefusedError(Code.TOO_LARGE, f"{len(body)} bytes, at most {limits.max_bytes}")


def check_byte_order(body: bytes) -> None:
    """Refuse UTF-16 and UTF-32 by their first bytes, where parsers disagree on what follows. NOT-UTF8."""
    if body.startswith(_OTHER_BOMS):
        raise RefusedError(Code.NOT_UTF8, "UTF-16 or UTF-32")


def check_markup(counts: Counts, limits: ParseLimits) -> None:
    """Refuse more markup than the elements that are taken can have. TOO-COMPLEX."""
    if counts.markup > _MARKUP_PER_ELEMENT * limits.max_elements:
        raise RefusedError(Code.TOO_COMPLEX, "too much markup")


def check_equals(counts: Counts, limits: ParseLimits) -> None:
    """Refuse more attributes in all than elements are taken. TOO-COMPLEX."""
    if counts.equals > limits.max_elements:
        raise RefusedError(Code.TOO_COMPLEX, "too many attributes")


def check_letters(body: bytes) -> None:
    """Refuse what is not UTF-8, piece by piece: nearly all pieces of a large body are ASCII and need no decoding."""
    if len(body) <= _LARGE:
        try:
            body.isascii() or codecs.utf_8_decode(body, "strict", True)
        except UnicodeDecodeError as error:
            raise RefusedError(Code.NOT_UTF8, f"byte {error.start} is not UTF-8") from error
        return
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    for at in range(0, len(body), _LARGE):
        piece = body[at : at + _LARGE]
        begun = len(decoder.getstate()[0])
        if not begun and piece.isascii():
            continue
        try:
            decoder.decode(piece, at + _LARGE >= len(body))
        except UnicodeDecodeError as error:
            raise RefusedError(Code.NOT_UTF8, f"byte {at - begun + error.start} is not UTF-8") from error


def _counted(body: bytes, position: int, limits: ParseLimits) -> Counts:
    """Count what a body holds, a little beyond what the limits allow at most. ``position`` is behind the declaration."""
    size = len(body)
    if size < _LARGE:
        # single bytes are found many times faster than pairs, and most bodies have neither
        return Counts(
            size=size,
            markup=size if size <= limits.max_elements else body.count(b"<"),
            equals=_few(body, b"=", limits.max_attributes),
            comments=b"!" in body and b"<!--" in body,
            instructions=body.find(b"?", position) >= 0 and body.find(b"<?", position) >= 0,
        )
    # nearly all of a large body is payload: going from hit to hit is many times faster than counting
    markup, comments, instructions = 0, False, False
    at = body.find(b"<")
    while at >= 0 and markup <= _MARKUP_PER_ELEMENT * limits.max_elements:
        markup += 1
        if body[at + 1 : at + 2] in (b"!", b"?"):
            comments = comments or body.startswith(b"<!--", at)
            instructions = instructions or (at >= position and body.startswith(b"<?", at))
        at = body.find(b"<", at + 1)
    equals = 0
    at = body.find(b"=")
    while at >= 0 and equals <= limits.max_elements:
        equals += 1
        at = body.find(b"=", at + 1)
    return Counts(size, markup, equals, comments, instructions)


def _few(body: bytes, byte: bytes, most: int) -> int:
    """Count a byte by going from hit to hit, many times faster than counting where there are few."""
    found = 0
    at = body.find(byte)
    while at >= 0:
        found += 1
        if found > most:
            return body.count(byte)
        at = body.find(byte, at + 1)
    return found


def _behind_declaration(body: bytes) -> int:
    """Return the position behind byte order mark and XML declaration, if any."""
    start = len(_BOM) if body.startswith(_BOM) else 0
    if not (body.startswith(b"<?xml", start) and body[start + 5 : start + 6] in _SPACES):
        return start
    end = body.find(b"?>", start)
    if end < 0:
        raise RefusedError(Code.NOT_XML, "the XML declaration has no end")
    check_declaration(body[start:end])
    return end + 2


def check_declaration(declaration: bytes) -> None:
    """Refuse another encoding than UTF-8 and another version than 1.0. NOT-UTF8, NOT-XML."""
    if declaration in _USUAL:
        return
    declared = _DECLARED.search(declaration)
    if declared is not None and (declared[1] or declared[2] or b"").lower() not in (b"utf-8", b"utf8"):
        raise RefusedError(Code.NOT_UTF8, "another encoding is declared")
    if _VERSION.search(declaration) is None:
        raise RefusedError(Code.NOT_XML, "not XML 1.0")


def check_prolog(body: bytes, position: int) -> None:
    """Refuse a document type before the root: it can stand nowhere else. DTD-FORBIDDEN, ENTITY-FORBIDDEN, NOT-XML."""
    size = len(body)
    while True:
        while position < size and body[position] in _SPACE:
            position += 1
        if body.startswith(b"<!--", position):
            end, length = body.find(b"-->", position + 4), 3
        elif body.startswith(b"<?", position):
            end, length = body.find(b"?>", position + 2), 2
        elif body.startswith(b"<!", position):
            if not body.startswith(b"<!DOCTYPE", position):
                raise RefusedError(Code.NOT_XML, "markup that is no element stands before the root")
            if body.find(b"<!ENTITY", position) >= 0:
                raise RefusedError(Code.ENTITY_FORBIDDEN, "the document declares entities")
            raise RefusedError(Code.DTD_FORBIDDEN, "the document has a document type")
        elif body.startswith(b"<", position):
            return
        else:
            raise RefusedError(
                Code.NOT_XML, "no root element" if position >= size else "text before the root"
            )
        if end < 0:
            raise RefusedError(Code.NOT_XML, "a comment or processing instruction has no end")
        position = end + length


@cache
def _deeper_than(depth: int) -> Any:  # noqa: ANN401
    return etree.XPath(f"boolean({'/*' * (depth + 1)})")


@cache
def _wider_than(attributes: int) -> Any:  # noqa: ANN401
    return etree.XPath(f"boolean(//*[count(@*) > {attributes}])")


def _check_tree(root: Any, opaque: frozenset[str], limits: ParseLimits, counts: Counts) -> None:  # noqa: ANN401
    """Check what the raw bytes left open.

    Compiled paths, not a loop over elements: this costs a tenth, and every document pays it.
    """
    if counts.markup > limits.max_elements:
        check_elements(root, limits)
    check_depth(root, limits)
    if counts.equals > limits.max_attributes:
        check_attributes(root, limits)
    if counts.instructions:
        check_instructions(root)
    if counts.comments:
        check_comments(root)
    if counts.size > limits.max_text:
        # a character takes a byte at least: in a smaller body no text is too long
        check_texts(root, opaque, limits)


def check_root(root: Any, name: str) -> None:  # noqa: ANN401
    """Refuse another root than the format's. WRONG-ROOT."""
    if root.tag != name:
        raise RefusedError(Code.WRONG_ROOT, f"the root is not {name}")


def check_elements(root: Any, limits: ParseLimits) -> None:  # noqa: ANN401
    """Refuse too many elements. TOO-COMPLEX."""
    if sum(1 for _ in root.iter(etree.Element)) > limits.max_elements:
        raise RefusedError(Code.TOO_COMPLEX, f"more than {limits.max_elements} elements")


def check_depth(root: Any, limits: ParseLimits) -> None:  # noqa: ANN401
    """Refuse elements too deep inside each other: what follows may recurse. TOO-DEEP."""
    # nearly all documents are flat: the shorter path says so in half the time
    if _deeper_than(min(_FLAT, limits.max_depth))(root) and _deeper_than(limits.max_depth)(root):
        raise RefusedError(Code.TOO_DEEP, f"more than {limits.max_depth} levels")


def check_attributes(root: Any, limits: ParseLimits) -> None:  # noqa: ANN401
    """Refuse too many attributes at one element. TOO-COMPLEX."""
    if _wider_than(limits.max_attributes)(root):
        raise RefusedError(Code.TOO_COMPLEX, f"more than {limits.max_attributes} attributes at one element")


def check_instructions(root: Any) -> None:  # noqa: ANN401
    """Refuse processing instructions inside the root. PI-FORBIDDEN."""
    if next(root.iter(etree.PI), None) is not None:
        raise RefusedError(Code.PI_FORBIDDEN, "inside the root")


def check_comments(root: Any) -> None:  # noqa: ANN401
    """Refuse comments inside an element that has text: readers disagree on what its text is. COMMENT-IN-TEXT."""
    for parent in {comment.getparent() for comment in root.iter(etree.Comment)}:
        if _has_text(parent):
            raise RefusedError(Code.COMMENT_IN_TEXT, f"in an element {etree.QName(parent).localname}")


def check_texts(root: Any, opaque: frozenset[str], limits: ParseLimits) -> None:  # noqa: ANN401
    """Refuse a text or an attribute that is too long, where it is no bulk. TOO-COMPLEX."""
    total = 0
    for node in root.iter(etree.Element):
        for value in node.values():
            total += len(value)
        total += len(node.tail or "")
        if node.tag not in opaque:
            total += len(node.text or "")
        if total > limits.max_text:
            break
    else:
        if not any(comment.tail for comment in root.iter(etree.Comment, etree.PI)):
            return  # all of them together are shorter than one may be
    for node in root.iter(etree.Element):
        if any(len(value) > limits.max_text for value in node.attrib.values()):
            raise RefusedError(Code.TOO_COMPLEX, "a too long attribute")
        if node.tag in opaque:
            continue
        total = len(node.text or "") + sum(len(child.tail or "") for child in node)
        if total > limits.max_text:
            raise RefusedError(Code.TOO_COMPLEX, f"more than {limits.max_text} characters in one element")


def _has_text(node: Any) -> bool:  # noqa: ANN401
    if (node.text or "").strip(" \t\r\n"):
        return True
    return any((child.tail or "").strip(" \t\r\n") for child in node)
