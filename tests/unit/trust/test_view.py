"""The view read from canonical octets says what the tree says: held against lxml's tree, element by element."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from relay.errors import Code, RefusedError
from relay.model.elements import Elements, Node, decoded, encoded
from relay.model.verdict import ParseLimits, SignaturePlace
from relay.trust import canonical
from relay.trust.view import NotCanonicalError, Views, unverified

OPAQUE = frozenset({"{urn:a}bulk"})
XML = "{http://www.w3.org/XML/1998/namespace}"


def defined(element: Any, opaque: frozenset[str] = OPAQUE) -> Node:
    """Return what the view of an element is, by its definition: attributes by namespace, then by name."""
    inside = [child for child in element if isinstance(child.tag, str)]
    text = (element.text or "") + "".join(child.tail or "" for child in element)
    return Node(
        tag=element.tag,
        text=None if element.tag in opaque else text,
        attributes=tuple(sorted(element.items(), key=lambda item: _place(item[0]))),
        children=tuple(defined(child, opaque) for child in inside),
    )


def _place(name: str) -> tuple[bytes, bytes]:
    space, _, local = name.rpartition("}")
    return space[1:].encode(), local.encode()


def seen(source: str | bytes, opaque: frozenset[str] = OPAQUE, views: Views | None = None) -> Node:
    root = etree.fromstring(source)
    return (views or Views()).view(canonical.octets(root), opaque).root


# --- any tree


SPACES = ("urn:a", "urn:b", "urn:c?x=1&y='2'", "http://d/")
NAMES = ("b", "bulk", "c-1", "Đơn", "_.x")
CHARACTERS = st.text(
    alphabet=st.one_of(
        st.sampled_from("<>&\"'\t\n\r =/?!-];#ax "),
        st.characters(min_codepoint=0x20, exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"),
    ),
    max_size=12,
)
tags = st.builds(
    lambda space, name: f"{{{space}}}{name}" if space else name,
    st.sampled_from(("", *SPACES)),
    st.sampled_from(NAMES),
)
prefixes = st.dictionaries(st.sampled_from((None, "p", "q", "xmlnsx")), st.sampled_from(SPACES), max_size=3)


@st.composite
def trees(draw: st.DrawFn) -> Any:
    """A tree with namespaces declared anywhere, attributes, texts around children and comments."""
    root = etree.Element(draw(tags), nsmap=draw(prefixes))
    elements = [root]
    for _ in range(draw(st.integers(0, 12))):
        parent = draw(st.sampled_from(elements))
        if draw(st.integers(0, 9)) == 0:
            child = etree.Comment("x <y> z")
            parent.append(child)
        else:
            child = etree.SubElement(parent, draw(tags), nsmap=draw(prefixes))
            child.text = draw(st.none() | CHARACTERS)
            for name in draw(st.lists(tags, max_size=2)):
                child.set(name, draw(CHARACTERS))
            elements.append(child)
        child.tail = draw(st.none() | CHARACTERS)
    root.text = draw(st.none() | CHARACTERS)
    if draw(st.booleans()):
        root.set(f"{XML}lang", "vi")
    # as parsers make them: an element without a namespace under a default one is none of these
    return etree.fromstring(etree.tostring(root, encoding="utf-8"))


@given(trees())
@settings(max_examples=200, deadline=None)
def test_a_view_is_what_the_tree_says(root: Any) -> None:
    octets, views = canonical.octets(root), Views()
    first = views.view(octets, OPAQUE)
    assert first.root == defined(root)
    assert views.view(octets, OPAQUE).root == first.root  # by the form that is known now
    assert views._long(octets, OPAQUE).root == first.root
    assert views.view(octets, frozenset()).root == defined(root, frozenset())
    assert Elements.of(first.root).root == first.root


@given(trees())
@settings(max_examples=60, deadline=None)
def test_a_view_of_a_part_is_of_that_part(root: Any) -> None:
    views = Views()
    for element in root.iter(etree.Element):
        assert views.view(canonical.octets(element), OPAQUE).root == defined(element)


@given(CHARACTERS)
def test_a_text_in_canonical_form_comes_back(text: str) -> None:
    assert decoded(encoded(text)) == text
    assert f"<a>{encoded(text).decode()}</a>".encode() == canonical.octets(_holding(text))


def _holding(text: str) -> Any:
    element = etree.Element("a")
    element.text = text
    return element


# --- what is easily got wrong


@pytest.mark.parametrize(
    "source",
    [
        "<a/>",
        "<a></a>",
        "<a><b/><b></b></a>",
        '<a x=">"/>',
        '<a x="&gt;>&lt;b&gt;">t<b y="1>2" z="a > b"/>t</a>',
        '<a x="a>b">1</a>',
        "<a x='\"'/>",
        '<a x=\'" y="\'>"</a>',
        "<a x='=\"' y='xmlns=\"'/>",
        '<a x="&#9;&#10;&#13;&amp;lt;">&#13;&amp;lt;&amp;#xD;</a>',
        "<a><![CDATA[<b>&amp;</b>]]></a>",
        "<a>1<!-- <b> -->2<!----><b>3<!--x--></b>4</a>",
        '<a xmlns="urn:a"><b xmlns=""><c xmlns="urn:a"/></b></a>',
        '<p:a xmlns:p="urn:a" xmlns:q="urn:a"><q:a p:x="1" x="2"/></p:a>',
        '<p:a xmlns:p="urn:a" xmlns:q="urn:b"><p:b xmlns:p="urn:b" xmlns:q="urn:a"><q:b/></p:b><p:b/></p:a>',
        '<p:a xmlns:p="urn:a"><b><p:c xmlns:p="urn:a"><p:d xmlns:p="urn:d"/></p:c><p:e/></b></p:a>',
        '<a xmlns:xmlnsx="urn:x" xmlnsx:y="1" xmlnsy="2"/>',
        '<a xml:lang="vi" xml:id="i"/>',
        '<a z="1" y="2" xmlns:p="urn:a" p:a="3" xmlns:b="urn:b" b:a="4"/>',
        '<a xmlns="urn:a"><bulk>x<c>y</c>z</bulk><bulk/></a>',
        "<Đơn>văn bản<vị_trí ở='đã'/></Đơn>",
        "<\u1680a/>",
    ],
)
def test_cases(source: str) -> None:
    assert seen(source) == defined(etree.fromstring(source))


def test_one_form_two_documents_with_other_namespaces() -> None:
    views = Views()
    for space in ("urn:a", "urn:b", "urn:a"):
        assert seen(f'<a xmlns="{space}">x</a>', views=views).tag == f"{{{space}}}a"
    assert len(views.forms) == 2


def test_one_form_many_values() -> None:
    views = Views()
    for number in range(50):
        source = f'<a xmlns="urn:a" n="{number}" m="&lt;{number}&gt;">{number}</a>'
        assert seen(source, views=views) == defined(etree.fromstring(source))
    assert len(views.forms) == 1


def test_what_is_left_out_hangs_on_who_asks() -> None:
    views = Views()
    source = '<a xmlns="urn:a"><bulk>QUJD</bulk></a>'
    assert seen(source, views=views).children[0].text is None
    assert seen(source, frozenset(), views).children[0].text == "QUJD"
    assert seen(source, views=views).children[0].text is None


@pytest.mark.parametrize(
    "around",
    [
        "<?p?>{}",
        "{}<?p?>",
        "<?p a <b> > ?><?q '\"<?>{}<?r <a> ?>\n<?s?>",
        "<!--x-->{}<!--y-->",
        "<?p </a> ?>{}<?p </a>?>",
    ],
)
def test_instructions_around_the_root_are_no_part(around: str) -> None:
    document = etree.fromstring(around.replace("{}", "<a><b>1\n</b>2</a>"))
    octets = canonical.document_octets(document)
    assert Views().view(octets, OPAQUE).root == defined(document)


def test_a_long_document() -> None:
    source = (
        '<a xmlns="urn:a" x="1>2">' + "<b>" + "x" * 70_000 + "</b><bulk>" + "QUJD" * 70_000 + "</bulk></a>"
    )
    assert seen(source) == defined(etree.fromstring(source, etree.XMLParser(huge_tree=True)))


# --- what no canonicalisation gives is no view, whichever way it is read


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"a",
        b"<a>",
        b"<a",
        b"</a>",
        b"<a/>",
        b"<a></b>",
        b"<a></a></a>",
        b"<a><b></a></b>",
        b"<a></a><b></b>",
        b"<a></a>x",
        b"x<a></a>",
        b"<a></a >",
        b"<a ></a>",
        b'<a  x="1"></a>',
        b"<a x='1'></a>",
        b"<a x=1></a>",
        b'<a x="1></a>',
        b'<a x="1"y="2"></a>',
        b'<a x="1></a><b y="2"></b>',
        b'<a></a x="1">',
        b"<!--x--><a></a>",
        b"<a><!--x--></a>",
        b"<a><?x?></a>",
        b"<a><![CDATA[x]]></a>",
        b"<p:a></p:a>",
        b'<a p:x="1"></a>',
        b"<:a></:a>",
        b"<p:></p:>",
        b"<?x",
        b"<?x?>",
        b"<?x?>\n",
        b"<a>x>y</a>",
        b"<a><</a>",
        b">a<>/a<",
        b"<></>",
        b"<a>\xff</a\xff>",
    ],
)
def test_no_canonical_form(octets: bytes) -> None:
    views = Views()
    for _ in range(2):
        for read in (views.view, views._long):
            with pytest.raises((NotCanonicalError, UnicodeDecodeError)):
                read(octets, OPAQUE).root  # noqa: B018
    assert len(views.forms) == 0


def test_a_known_form_takes_no_other_tags() -> None:
    """A mark left open may make what stands outside of the marks look like a form that is known."""
    views = Views()
    views.view(b'<a x="1"></a>', OPAQUE)
    for octets in (
        b'<a x="1"></a"y>',
        b'<a x="1"></a"y">',
        b'<a x="1></a>',
        b'<a x="<b"></a>',
        b'<a x="1">x</a>"',
    ):
        for read in (views.view, views._long):
            with pytest.raises(NotCanonicalError):
                read(octets, OPAQUE)


# --- bounds


def test_thousands_of_forms_stay_within_bounds() -> None:
    views = Views(most=100, room=200_000)
    rng = random.Random(5)
    for number in range(3_000):
        name = f"n{number}" * rng.randrange(1, 40)
        octets = f"<{name}>{''.join('<b></b>' for _ in range(rng.randrange(5)))}</{name}>".encode()
        assert views.view(octets, OPAQUE).root.tag == name
        assert len(views.forms) <= 100
        assert views.forms.used <= 200_000


def test_a_large_form_is_read_and_not_kept() -> None:
    views = Views()
    views.view(b"<a></a>", OPAQUE)
    for octets in (
        b"<a>" + b"<b></b>" * 19_000 + b"</a>",
        b'<a xmlns="urn:' + b"x" * 2_000_000 + b'"></a>',
        b"<a " + b" ".join(b'a%d=""' % number for number in range(19_000)) + b"></a>",
        b"<" + b"a" * 2_000_000 + b"></" + b"a" * 2_000_000 + b">",
    ):
        assert views.view(octets, OPAQUE).root.tag
    assert len(views.forms) == 1


# --- without a signature


PLACE = SignaturePlace(root="{urn:a}a", path=(), opaque=OPAQUE)


def test_unverified_bulk_is_never_looked_into() -> None:
    bulk = "QUJD" * 20_000
    source = f'<a xmlns="urn:a"><bulk>{bulk}</bulk><b>x</b></a>'
    assert unverified(source.encode(), PLACE, ParseLimits()).root == defined(etree.fromstring(source))


@pytest.mark.parametrize("inside", ["&#13;", "<b/>", "<!--x-->", "é", "<![CDATA[x]]>"])
def test_unverified_bulk_that_is_more_than_base64(inside: str) -> None:
    bulk = "QUJD" * 20_000
    source = f'<a xmlns="urn:a"><bulk>{bulk}{inside}{bulk}</bulk><b>x</b></a>'
    parser = etree.XMLParser(huge_tree=True)
    if inside.startswith("<!--"):
        with pytest.raises(RefusedError) as caught:
            unverified(source.encode(), PLACE, ParseLimits())
        assert caught.value.code is Code.COMMENT_IN_TEXT
        return
    assert unverified(source.encode(), PLACE, ParseLimits()).root == defined(
        etree.fromstring(source.encode(), parser)
    )


@pytest.mark.parametrize("inside", ["&x;", "\x01", "</b>"])
def test_unverified_bulk_that_is_no_xml(inside: str) -> None:
    bulk = "QUJD" * 20_000
    with pytest.raises(RefusedError) as caught:
        unverified(f'<a xmlns="urn:a"><bulk>{bulk}{inside}</bulk></a>'.encode(), PLACE, ParseLimits())
    assert caught.value.code in {Code.NOT_XML, Code.ENTITY_FORBIDDEN}


def test_what_nobody_can_sign_is_no_view() -> None:
    with pytest.raises(RefusedError) as caught:
        unverified(b'<a xmlns="urn:a"><p:b xmlns:p="relative"/></a>', PLACE, ParseLimits())
    assert caught.value.code is Code.NOT_XML


def digests() -> Iterator[str]:
    for seed in range(3):
        yield hashlib.sha256(str(seed).encode()).hexdigest()


def test_a_tree_of_elements_in_any_order_of_numbers() -> None:
    """What is put together says the same as what was read."""
    inner = Views().view(b'<p xmlns="urn:a" i="1">x<q></q>y</p>', OPAQUE)
    names = list(digests())
    whole = Elements.holding(
        "r", inner, Elements.holding("s", *(Elements.leaf("t", n.encode()) for n in names)), inner
    )
    assert whole.root == Node(
        "r", "", (), (inner.root, Node("s", "", (), tuple(Node("t", n, (), ()) for n in names)), inner.root)
    )
    assert Elements.leaf("t", None).root == Node("t", None, (), ())
    assert Elements.of(whole.root) == whole
