"""The signed view: read from the canonical octets whose digest was taken. What was hashed is what is read.

Exclusive canonical form has one spelling: no comments, no instructions, no CDATA, no references but six; each element
with a start and an end tag; ``<`` where a tag begins and nowhere else; attributes in double quotes, in whose values
``>`` may stand. So a document is tag, text, tag, text, … to its end, and is taken apart without a parser. The tags
without the values of their attributes are the *form* of a document. The first one of a form is looked at tag by tag,
strictly (``_formed``): names, quotes, nesting, namespaces. What comes out, a ``Shape``, is the same for all of that
form, since nothing in it hangs on texts and values; it is kept, within bounds, so that a worker pays it once.

A body that is written as its canonical form would be needs none made (``as_written``). First it has to be tag, text, tag,
text, … to the letter (``_apart``), so that nothing in it is a comment, a section or an instruction. Whether the tags are
written as in canonical form then hangs on the form alone, namespaces included, and is known once libxml2 gave back one
document of that form unchanged. Texts and values must hold nothing that has two spellings.

Nothing here ever refuses what libxml2 wrote; what it cannot have written is no view (``NotCanonicalError``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from relay.errors import Code, RefusedError
from relay.model.elements import Elements, Shape, decoded
from relay.model.kept import Kept
from relay.model.verdict import ParseLimits, SignaturePlace
from relay.trust import canonical, written
from relay.trust.cut import AmbiguousMarkError, Cut, check_marks, cut
from relay.trust.parse import check_size, parse
from relay.trust.payload import is_plain

_SMALL: Final = 256 * 1024  # octets; above, texts that nobody will see are not copied
_MOST: Final = 1024
_ROOM: Final = 16 * 1024 * 1024
_PER_TAG: Final = 100  # bytes, roughly, that one tag takes in what is kept
_NAME: Final = r"[^ \t\r\n\"'<>/=&]+"
_START: Final = re.compile(f'({_NAME})((?: {_NAME}="[^"<]*")*)')
_ATTRIBUTE: Final = re.compile(f' ({_NAME})="([^"<]*)"')
_NO_ANGLES: Final = bytes(one for one in range(256) if one not in b"<>")
_EMPTY: Final = b"/>"  # what most write who write no canonical form
_XML_ATTRIBUTE: Final = b" xml:"  # parsers know some of these, and may have their own way with a value
_XML: Final = {"xml": "http://www.w3.org/XML/1998/namespace"}


class NotCanonicalError(ValueError):
    """Octets that no canonicalisation gives."""


@dataclass(slots=True)
class _Form:
    """What is the same for all documents of one form."""

    shape: Shape
    opaque: tuple[int, ...]  # pieces that are left out
    valued: tuple[int, ...]  # which of the values in quotes are no namespaces
    canonical: bool = False  # known: where the tags are written so, they are their own canonical form


class Views:
    """Makes views, and knows the forms that it met: by what their tags hold, never by what a document says.

    Safe to use from several threads.
    """

    def __init__(self, most: int = _MOST, room: int = _ROOM) -> None:
        """Keep at most so many forms, in so many bytes."""
        self.forms: Kept[tuple[object, ...], _Form] = Kept(most, room)
        self._seldom = True  # a look for two octets costs a third of what it saves where it finds them

    def view(self, octets: bytes, opaque: frozenset[str], source: bytes = b"") -> Elements:
        """Return the elements of a document.

        Args:
            octets: exclusive canonical form, without comments, of an element or of a document with instructions
                around its root.
            opaque: tags whose text is left out.
            source: what stands in a body for it; where that is the same, ``as_written`` knows documents of its form from
                now on.

        Raises:
            NotCanonicalError: they are none.
        """
        if octets.startswith(b"<?") or octets.endswith(b"?>"):
            octets, source = _root_alone(octets), b""
        if len(octets) <= _SMALL:
            apart = _apart(octets)
            if apart is not None:
                tags, texts, outside, values = apart
                form = self._form(tags, outside, values, opaque)
                if source == octets and not form.canonical:
                    form.canonical = _XML_ATTRIBUTE not in octets
                return _filled(form, texts, values)
        return self._long(octets, opaque)

    def as_written(self, octets: bytes, opaque: frozenset[str]) -> Elements | None:
        """Return the elements of what is known to be its own canonical form; None where that is not known.

        Args:
            octets: foreign; of a body that the parser took, whole or without one element that stood between its tags or
                in a text.
            opaque: tags whose text is left out.
        """
        if not octets or len(octets) > _SMALL or b"&" in octets or b"\r" in octets:
            return None
        if self._seldom and _EMPTY in octets:
            return None
        found = self._known(octets, opaque)
        self._seldom = found is None
        return found

    def _known(self, octets: bytes, opaque: frozenset[str]) -> Elements | None:
        """Do as ``as_written``; no reference and no carriage return is among the octets."""
        try:
            apart = _apart(octets)
        except NotCanonicalError:
            return None
        if apart is None:
            return None
        _, texts, outside, values = apart
        form = self.forms.get(_key(outside, values, opaque))
        if form is None or not form.canonical:
            return None
        valued = b"".join(values)
        if b"\n" in valued or b"\t" in valued:  # a space, to every parser
            return None
        return _filled(form, texts, values)

    def _long(self, octets: bytes, opaque: frozenset[str]) -> Elements:
        """Do as ``view``, tag by tag: the last ``>`` before the next ``<`` ends a tag, since texts hold none."""
        tags: list[bytes] = []
        between: list[tuple[int, int]] = []
        at = 0 if octets.startswith(b"<") else -1
        while at >= 0:
            following = octets.find(b"<", at + 1)
            behind = len(octets) if following < 0 else following
            end = octets.rfind(b">", at, behind)
            tags.append(octets[at + 1 : end])
            between.append((end + 1, behind))
            if end < 0:
                raise NotCanonicalError("a tag without an end")
            at = following
        quoted = _quoted(tags)
        if quoted is None or not between or between[-1][0] != len(octets):
            raise NotCanonicalError("text around the root, or a quotation mark left open")
        form = self._form(tags, *quoted, opaque)
        left_out = frozenset(form.opaque)
        texts = [
            b"" if piece in left_out else octets[start:end] for piece, (start, end) in enumerate(between)
        ]
        return _filled(form, texts, quoted[1])

    def _form(
        self, tags: list[bytes], outside: list[bytes], values: list[bytes], opaque: frozenset[str]
    ) -> _Form:
        """Return the form of a document with these tags; ``outside`` and ``values`` of ``_quoted``."""
        known = _key(outside, values, opaque)
        form = self.forms.get(known)
        if form is None:
            form = _formed(tags, opaque)
            size = (
                form.shape.size + sum(map(len, outside)) + sum(map(len, values)) + 2 * _PER_TAG * len(values)
            )
            self.forms.keep(known, form, size)
        return form


def _key(outside: list[bytes], values: list[bytes], opaque: frozenset[str]) -> tuple[object, ...]:
    """Return what all documents of one form share: the tags without values of attributes, but with the namespaces."""
    spaces = [
        value
        for before, value in zip(outside, values, strict=False)
        if before.startswith(b"xmlns", before.rfind(b" ") + 1)
    ]
    return (opaque, b'"'.join(outside), *spaces)


def _filled(form: _Form, texts: list[bytes], values: list[bytes]) -> Elements:
    """Return the elements of a document of that form."""
    pieces: list[bytes | None] = texts  # type: ignore[assignment]
    for piece in form.opaque:
        pieces[piece] = None
    return Elements(
        form.shape,
        tuple(pieces),
        tuple([decoded(values[one]) for one in form.valued]) if form.valued else (),
    )


def _apart(octets: bytes) -> tuple[list[bytes], list[bytes], list[bytes], list[bytes]] | None:
    """Return tags, the texts behind them, and the tags outside of and inside quotation marks, as ``_quoted``.

    None where a ``>`` stands in a value.

    Raises:
        NotCanonicalError: no document has such octets.
    """
    flat = octets.replace(b">", b"<").split(b"<")
    tags = flat[1::2]
    quoted = _quoted(tags)
    if quoted is None:
        return None
    # each "<" is followed by a ">" before the next one, and by no second: else tags and texts would have changed places,
    # as they do behind a ">" in a text or a "<" in a section, of which there may be as many
    if flat[0] or flat[-1] or octets.translate(None, _NO_ANGLES) != b"<>" * len(tags):
        raise NotCanonicalError("not tag, text, tag, text, ... from end to end")
    return tags, flat[2::2], *quoted


def _quoted(tags: list[bytes]) -> tuple[list[bytes], list[bytes]] | None:
    """Return what stands outside of quotation marks in the tags, joined by ``<``, and what stands in them.

    None where a tag leaves one open, as half of a tag does that was cut at a ``>`` in a value: then their number is odd,
    or what seems a value goes on into the next tag.
    """
    split = b"<".join(tags).split(b'"')
    outside, values = split[0::2], split[1::2]
    return None if len(outside) == len(values) or b"<" in b"".join(values) else (outside, values)


@dataclass(slots=True)
class _Scope:
    """The namespaces in force, and the names that were resolved with them."""

    spaces: dict[str, str]
    named: dict[str, str]


def _formed(tags: list[bytes], opaque: frozenset[str]) -> _Form:
    """Look at each tag. ``tags`` without angle brackets, in the order of the document.

    Raises:
        NotCanonicalError: the tags of no canonical form.
    """
    names: list[str] = []
    starts: list[int] = []  # the piece behind each start tag
    # most elements hold none: no list is made for these
    children: dict[int, list[int]] = {}
    behind: dict[int, list[int]] = {}  # pieces behind the end tags of children
    attributes: list[tuple[int, str]] = []
    valued: list[int] = []
    value = 0
    scope = _Scope({}, {})
    open_: list[tuple[int, bytes, _Scope]] = []
    plain: set[bytes] = set()  # start tags without attributes that were looked at
    for number, tag in enumerate(tags):
        if tag.startswith(b"/"):
            if not open_ or open_[-1][1] != tag[1:]:
                raise NotCanonicalError("an end tag that ends nothing")
            open_.pop()
            if open_:
                element, _, scope = open_[-1]
                behind[element].append(number)
            continue
        if names and not open_:
            raise NotCanonicalError("a second root")
        element = len(names)
        if tag in plain:
            written = tag.decode()
        else:
            match = _START.fullmatch(tag.decode())
            if match is None:
                raise NotCanonicalError("no start tag")
            written, inside = match.groups()
            if inside:
                found = _ATTRIBUTE.findall(inside)
                scope = _below(scope, found)
                for name, _ in found:
                    if name != "xmlns" and not name.startswith("xmlns:"):
                        attributes.append((element, _resolved(name, scope) if ":" in name else name))
                        valued.append(value)
                    value += 1
            else:
                plain.add(tag)
        if open_:
            holder = open_[-1][0]
            if holder in children:
                children[holder].append(element)
            else:
                children[holder] = [element]
                behind[holder] = []
        names.append(_resolved(written, scope))
        starts.append(number)
        open_.append((element, written.encode(), scope))
    if open_ or not names:
        raise NotCanonicalError("an element without an end")
    size = _PER_TAG * len(tags) + sum(map(len, {*names, *(name for _, name in attributes)}))
    below = tuple([tuple(children.get(element, ())) for element in range(len(names))])
    texts = tuple([(start, *behind.get(element, ())) for element, start in enumerate(starts)])
    shape = Shape(tuple(names), below, texts, tuple(attributes), size)
    left_out = tuple(piece for name, own in zip(names, texts, strict=True) if name in opaque for piece in own)
    return _Form(shape, left_out, tuple(valued))


def _below(scope: _Scope, attributes: list[tuple[str, str]]) -> _Scope:
    """Return the scope of an element with these attributes."""
    spaces = {
        name.partition(":")[2]: decoded(value.encode())
        for name, value in attributes
        if name == "xmlns" or name.startswith("xmlns:")
    }
    return _Scope({**scope.spaces, **spaces}, {}) if spaces else scope


def _resolved(written: str, scope: _Scope) -> str:
    """Return ``{namespace}local`` of a name as written; of an element without a prefix by the namespace in force."""
    known = scope.named.get(written)
    if known is None:
        prefix, _, local = written.rpartition(":")
        space = _XML.get(prefix) or scope.spaces.get(prefix, "")
        if (":" in written and not space) or not local or ":" in prefix:
            raise NotCanonicalError("a prefix without a namespace")
        known = scope.named[written] = f"{{{space}}}{local}" if space else local
    return known


def _root_alone(octets: bytes) -> bytes:
    """Return the root's part of a document with instructions around it: one on each line (Canonical XML 1.0, 2.3)."""
    start = 0
    while octets.startswith(b"<?", start):
        end = octets.find(b"?>\n", start)
        if end < 0:
            raise NotCanonicalError("an instruction without an end")
        start = end + 3
    end = octets.find(b"\n<?", start)  # none stands inside, and no other "<" is followed by that
    return octets[start:] if end < 0 else octets[start:end]


_views: Final = Views()


def unverified(body: bytes, place: SignaturePlace, limits: ParseLimits) -> Elements:
    """Return a view of bytes whose signature was NOT checked: for what the relay stored itself, and for display.

    Raises:
        RefusedError: what the hardened parser refuses; NOT-XML: besides, what has no canonical form (a relative
            namespace name), so that nobody can sign it.
    """
    check_size(body, limits)
    without = cut(body) if place.opaque else None
    if without is not None:
        try:
            return _unverified(without.skeleton, without, place, limits)
        except (AmbiguousMarkError, RefusedError):  # white space became a mark, perhaps
            pass
    return _unverified(body, None, place, limits)


def _unverified(source: bytes, without: Cut | None, place: SignaturePlace, limits: ParseLimits) -> Elements:
    root = parse(source, place.root, place.opaque, limits)
    if without is not None:
        check_marks(root, without, place.opaque)
        if not all(map(is_plain, without.texts.values())):
            raise AmbiguousMarkError
    own = written.root_of(source)
    elements = _views.as_written(own, place.opaque)
    return elements or _views.view(octets_of(root), place.opaque, own)


def octets_of(root: Any) -> bytes:  # noqa: ANN401 -- lxml ships no types
    """Return the canonical octets of a tree that is not verified. NOT-XML: it has none."""
    try:
        return canonical.octets(root)
    except etree.LxmlError as error:
        raise RefusedError(Code.NOT_XML, "no canonical form") from error
