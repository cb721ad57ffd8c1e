"""What is taken from a body's own octets, without a canonical form, is what the canonical form would have given."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from relay.errors import Code
from relay.model.verdict import Verification
from relay.trust import canonical, written
from relay.trust.sign import sign_document
from relay.trust.verifier import DocumentVerifier
from relay.trust.view import Views
from tests.support import pki
from tests.support.xmlsign import DS, ENC, ENVELOPED, EXC, MORE, key_info, value_of
from tests.unit.trust.conftest import DOCUMENT, PLACE, World
from tests.unit.trust.test_view import CHARACTERS, OPAQUE, trees

PLAIN = DOCUMENT.replace(b"<!--here-->", b"")

# --- views


@given(trees(), st.data())
@settings(max_examples=200, deadline=None)
def test_what_is_known_as_its_own_form_is_its_own_form(root: Any, data: st.DataObject) -> None:
    views = Views()
    for source in (canonical.octets(root), etree.tostring(root, encoding="utf-8")):
        try:
            tree = etree.fromstring(source)
        except etree.XMLSyntaxError:  # libxml2 leaves "&" as it is in the canonical form of a namespace
            continue
        views.view(canonical.octets(tree), OPAQUE, source)
    learnt = canonical.octets(root)
    at = data.draw(st.integers(0, len(learnt)))
    new = data.draw(
        st.one_of(
            CHARACTERS.map(str.encode),
            st.sampled_from(
                [b"<x/>", b"<x></x>", b"&#32;", b"&gt;", b"&amp;", b"\t", b"\n", b"\r", b"<!---->"]
            ),
        )
    )
    body = learnt[:at] + new + learnt[at + data.draw(st.sampled_from([0, 0, 1, 5])) :]
    try:
        tree = etree.fromstring(body)
        octets = canonical.octets(tree)
    except etree.LxmlError:
        return
    found = views.as_written(body, OPAQUE)
    if found is not None:
        assert octets == body
        assert found.root == Views().view(octets, OPAQUE).root


@pytest.mark.parametrize(
    ("first", "second", "known"),
    [
        ("<a>1</a>", "<a>2</a>", True),
        ('<a x="1">1</a>', '<a x="2>1">2</a>', False),  # a ">" in a value goes the long way
        ('<a x="1">1</a>', '<a x="2">2</a>', True),
        ('<a x="1"></a>', '<a x="1\t2"></a>', False),
        ('<a x="1"></a>', '<a x="1\n2"></a>', False),
        ("<a>1</a>", "<a>1\r\n</a>", False),
        ("<a>1</a>", "<a>&amp;</a>", False),
        ("<a>1</a>", "<a>&#65;</a>", False),
        ("<a>1</a>", "<a><![CDATA[1]]></a>", False),
        ("<a>1</a>", "<a>1<!-- --></a>", False),
        ("<a>1</a>", "<a>1<?b c?></a>", False),
        ("<a>1</a>", "<a >1</a>", False),
        ("<a>1</a>", "<a>1</a >", False),
        ("<a>1</a>", "<a>1>2</a>", False),
        ("<a></a>", "<a/>", False),
        ("<a/>", "<a/>", False),
        ("<a x='1'></a>", "<a x='1'></a>", False),
        ('<a y="1" x="1"></a>', '<a y="1" x="1"></a>', False),
        ('<a x="1" y="1"></a>', '<a x="7" y="8"></a>', True),
        ('<p:a xmlns:p="urn:a"></p:a>', '<p:a xmlns:p="urn:a"></p:a>', True),
        (
            '<p:a xmlns:p="urn:a"></p:a>',
            '<p:a xmlns:p="urn:b"></p:a>',
            False,
        ),  # attributes would be sorted by it
        ('<a xmlns:p="urn:a"></a>', '<a xmlns:p="urn:a"></a>', False),  # a prefix that nobody uses
        ('<a xml:lang="vi"></a>', '<a xml:lang="en"></a>', False),
        ("<?i?><a></a>", "<?i?><a></a>", False),
        # a ">" in a text, and more "<" than ">" in a section: tags and texts change places
        ("<a><p>1</p><q>2</q></a>", "<a>>p<![CDATA[1</p><q<2]]>/q></a>", False),
    ],
)
def test_a_form_is_known_by_one_document_that_came_back_unchanged(
    first: str, second: str, known: bool
) -> None:
    views = Views()
    tree = etree.fromstring(first)
    views.view(canonical.document_octets(tree), OPAQUE, first.encode())
    assert (views.as_written(second.encode(), OPAQUE) is not None) is known


def test_a_form_is_known_for_the_tags_left_out_that_it_was_seen_with() -> None:
    views, body = Views(), b'<a xmlns="urn:a"><bulk>1</bulk></a>'
    views.view(body, OPAQUE, body)
    assert views.as_written(body, frozenset()) is None
    found = views.as_written(body, OPAQUE)
    assert found is not None
    assert found.root.children[0].text is None


SECTIONS = [(b"<![CDATA[", b"]]>"), (b"<!--", b"-->"), (b"<?p ", b"?>")]


@pytest.mark.parametrize(("begin", "end"), SECTIONS)
def test_tags_and_texts_never_change_places(begin: bytes, end: bytes) -> None:
    """Each start tag becomes text in front of a section, each later pair of tags the section's end: the same pieces
    between the same number of angle brackets."""
    learnt = b"<a><p>1</p><q><s>2</s></q><p>3</p></a>"
    views, tried = Views(), 0
    views.view(learnt, OPAQUE, learnt)
    assert views.as_written(learnt, OPAQUE) is not None
    starts = [match.span() for match in re.finditer(b"<[a-z]+>", learnt)]
    for opened in starts:
        for closed in re.finditer(b"<([a-z]+)>([0-9]*)</", learnt):
            if closed.start() <= opened[1]:
                continue
            tag, text = closed.groups()
            body = (
                learnt[: opened[0]]
                + b">" + learnt[opened[0] + 1 : opened[1] - 1] + begin
                + learnt[opened[1] : closed.start()]
                + b"<" + tag + b"<" + text + end + b"/"
                + learnt[closed.end() :]
            )  # fmt: skip
            tried += 1
            assert views.as_written(body, OPAQUE) is None, body
    assert tried > 5


# --- documents


class Canonical:
    """Counts the canonical forms that are made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = 0
        whole = canonical.octets

        def octets(element: Any) -> bytes:
            self.made += 1
            return whole(element)

        monkeypatch.setattr(canonical, "octets", octets)


def signed(world: World, unsigned: bytes) -> bytes:
    return sign_document(unsigned, PLACE, world.ec.key, world.ec.chain_pem)


def warm(world: World, *documents: bytes) -> DocumentVerifier:
    """Return a verifier that knows the forms of some documents, and the chain of their signer."""
    verifier = DocumentVerifier(world.verifier._store)
    for document in documents:
        assert verifier.verify(document, PLACE, pki.NOW).verdict.accepted
        assert verifier.verify(document, PLACE, pki.NOW).verdict.accepted
    return verifier


def test_the_second_document_of_a_form_needs_no_canonical_form(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = warm(world, signed(world, PLAIN))
    following = signed(world, PLAIN.replace(b"H53", b"G22"))
    count = Canonical(monkeypatch)
    found = verifier.verify(following, PLACE, pki.NOW)
    assert (found.verdict.accepted, count.made) == (True, 0)
    assert found == DocumentVerifier(world.verifier._store).verify(following, PLACE, pki.NOW)
    assert count.made > 0


def test_a_document_that_is_written_otherwise_is_canonicalised(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = warm(world, signed(world, PLAIN))
    following = signed(world, PLAIN.replace(b'a="1"', b"a = '1'"))
    count = Canonical(monkeypatch)
    found = verifier.verify(following, PLACE, pki.NOW)
    assert (found.verdict.accepted, count.made) == (True, 1)


START, END = b"<Signature ", b"</Signature>"
FOREIGN = b'<Signature xmlns="urn:other">'


def around(body: bytes, before: bytes, behind: bytes = b"") -> bytes:
    """Put something right before and right behind the signature."""
    start, end = body.index(START), body.index(END) + len(END)
    return body[:start] + before + body[start:end] + behind + body[end:]


def spaced(body: bytes) -> bytes:
    """Write the start tag of the true signature in a way of its own."""
    return body.replace(b'<Signature xmlns="http', b'<Signature\nxmlns="http')


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    # what is cut out begins at another Signature and ends behind the true one: what is left is what was signed
    "an element closed in a way of its own": lambda body: spaced(around(body, FOREIGN + b"</Signature >")),
    "and elements between them": lambda body: spaced(
        around(body, FOREIGN + b"</Signature ></header><header>")
    ),
    "one around it": lambda body: spaced(around(body, FOREIGN, END)).replace(
        END + END, b"</Signature >" + END
    ),
    "the true one in an instruction": lambda body: around(body, b"<?x ", b"?>"),
    "the true one in a comment": lambda body: around(body, b"<!--", b"-->"),
    "a copy in a comment": lambda body: around(body, b"<!--" + cut_out(body) + b"-->"),
    "the true one in a comment, a false one in its place": lambda body: around(
        body,
        b"<!--",
        b"-->" + re.sub(b"<SignatureValue>....", b"<SignatureValue>AAAA", spaced(cut_out(body))),
    ),
    "a copy in a section": lambda body: around(body, b"<![CDATA[" + cut_out(body) + b"]]>"),
    "a copy": lambda body: around(body, cut_out(body)),
    "a copy elsewhere": lambda body: body.replace(b"</r>", cut_out(body) + b"</r>"),
    "moved": lambda body: body.replace(cut_out(body), b"").replace(b"</r>", cut_out(body) + b"</r>"),
    "moved into a text": lambda body: body.replace(cut_out(body), b"").replace(
        b"H53<", b"H5" + cut_out(body) + b"3<"
    ),
    "an element inside": lambda body: body.replace(END, b"<x></x>" + END),
    "a text behind": lambda body: around(body, b"", b"x"),
    "a comment behind": lambda body: around(body, b"", b"<!---->"),
    "a section behind": lambda body: around(body, b"", b"<![CDATA[]]>"),
    "a tag's space": lambda body: body.replace(b"<header>", b"<header >"),
    "another prefix": lambda body: (
        re.sub(rb"<(/?)(?=[A-Z])", rb"<\1d:", cut_out(body))
        .replace(b"xmlns=", b"xmlns:d=")
        .join(body.split(cut_out(body)))
    ),
    "a byte order mark": lambda body: b"\xef\xbb\xbf" + body,
    "no declaration": lambda body: body[body.index(b"<r ") :],
    "a comment before": lambda body: body.replace(b"<r ", b"<!-- <Signature  --><r "),
    "an instruction before": lambda body: body.replace(b"<r ", b"<?x <Signature ?><r "),
    "lines of another system": lambda body: body.replace(b"\n", b"\r\n"),
}


def cut_out(body: bytes) -> bytes:
    return body[body.index(START) : body.index(END) + len(END)]


@pytest.mark.parametrize("name", CHANGES)
def test_a_verifier_that_knows_the_form_says_what_one_says_that_knows_none(world: World, name: str) -> None:
    body = signed(world, PLAIN)
    changed = CHANGES[name](body)
    assert changed != body
    cold = DocumentVerifier(world.verifier._store).verify(changed, PLACE, pki.NOW)
    assert warm(world, body).verify(changed, PLACE, pki.NOW) == cold
    assert "surprise" not in cold.verdict.detail


@pytest.mark.parametrize("name", list(CHANGES)[:3])
def test_what_is_cut_out_is_the_signature_and_nothing_else(world: World, name: str) -> None:
    """What is left is the very document that was signed; what any reader sees is not."""
    body = signed(world, PLAIN)
    changed = CHANGES[name](body)
    tree = etree.fromstring(changed)
    (element,) = tree.iter(f"{{{DS}}}Signature")
    rest, _ = written.apart(changed, element)
    digest = base64.b64encode(hashlib.sha256(rest).digest())
    assert (b"<DigestValue>" + digest) in changed or name == "one around it"
    verdict = warm(world, body).verify(changed, PLACE, pki.NOW).verdict
    assert verdict.reason in {Code.DIGEST_MISMATCH, Code.SIGNATURE_MISPLACED}


def sealed(
    world: World, octets: bytes, prefix: str = "", declared: str | None = None, named: str = ""
) -> bytes:
    """Return a signature over octets as they are, of their signer's own hand.

    Args:
        world: who signs.
        octets: what the digest is taken of.
        prefix: of the signature's elements.
        declared: the declaration that stands at the signature; that of the prefix unless told otherwise.
        named: that which is signed at SignedInfo; the same unless told otherwise.
    """
    right = f' xmlns:{prefix[:-1]}="{DS}"' if prefix else f' xmlns="{DS}"'
    declared = right if declared is None else declared
    digest = base64.b64encode(hashlib.sha256(octets).digest()).decode()
    inside = (
        f'<CanonicalizationMethod Algorithm="{EXC}"></CanonicalizationMethod>'
        f'<SignatureMethod Algorithm="{MORE}ecdsa-sha256"></SignatureMethod><Reference URI=""><Transforms>'
        f'<Transform Algorithm="{ENVELOPED}"></Transform><Transform Algorithm="{EXC}"></Transform></Transforms>'
        f'<DigestMethod Algorithm="{ENC}sha256"></DigestMethod><DigestValue>{digest}</DigestValue></Reference></SignedInfo>'
    )
    info = prefixed(f"<SignedInfo>{inside}", prefix).replace(
        "SignedInfo>", f"SignedInfo{named or declared}>", 1
    )
    value = base64.b64encode(value_of(world.recipe, info.encode())).decode()
    whole = f"<Signature><SignedInfo>{inside}<SignatureValue>{value}</SignatureValue>{key_info(world.ec)}</Signature>"
    return prefixed(whole, prefix).replace("Signature>", f"Signature{declared}>", 1).encode()


def prefixed(elements: str, prefix: str) -> str:
    return re.sub("<(/?)", rf"<\1{prefix}", elements)


def test_a_signer_cannot_have_tags_read_that_are_none(world: World) -> None:
    """The digest is of the octets as they stand, tags and texts have changed places in them."""
    unsigned = PLAIN[PLAIN.index(b"<r ") :].rstrip()
    text = unsigned.replace(b"<from a=", b"t>from a=").replace(b">H53<", b"<![CDATA[H53<")
    subject = re.search(b"<subject>(.*?)</subject>", unsigned)
    assert subject is not None
    text = text.replace(subject[0], b"x<subject<" + subject[1] + b"]]>/subject>")
    at = text.index(b"</header>")
    body = text[:at] + sealed(world, text) + text[at:]
    for verifier in (DocumentVerifier(world.verifier._store), warm(world, signed(world, PLAIN))):
        found = verifier.verify(body, PLACE, pki.NOW)
        assert (found.verdict.reason, found.view) == (Code.DIGEST_MISMATCH, None)


@pytest.mark.parametrize(
    ("declared", "named", "reason"),
    [
        (f' xmlns:a="{DS}"', "", Code.OK),
        (f' xmlns:b="{DS}"', f' xmlns:a="{DS}"', Code.OK),
        (f' xmlns:b="{DS}"', "", Code.SIGNATURE_INVALID),
        (f' xmlns="{DS}"', "", Code.SIGNATURE_INVALID),
    ],
)
def test_the_prefix_declared_is_the_one_used(world: World, declared: str, named: str, reason: Code) -> None:
    """The prefix of the signature is in force before it; what it declares itself is another one."""
    text = f'<r xmlns="urn:t" xmlns:a="{DS}" a:x="1"><header><from>H53</from></header><bulk>QUJD</bulk></r>'.encode()
    at = text.index(b"</header>")
    good = text[:at] + sealed(world, text, "a:") + text[at:]
    body = text[:at] + sealed(world, text, "a:", declared, named) + text[at:]
    cold = DocumentVerifier(world.verifier._store).verify(body, PLACE, pki.NOW)
    assert cold.verdict.reason is reason
    assert warm(world, good).verify(body, PLACE, pki.NOW) == cold


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_any_change_is_seen_alike_by_who_knows_the_form(world: World, data: st.DataObject) -> None:
    body = signed(world, PLAIN)
    verifier = warm(world, body)
    at = data.draw(st.integers(0, len(body) - 1))
    new = data.draw(
        st.sampled_from(
            [b"", b"A", b" ", b"\r", b"\t", b"&#32;", b"&amp;", b"<a/>", b"<a></a>", b"<!-- -->", b"\xc3\xa9"]
        )
    )
    changed = body[:at] + new + body[at + data.draw(st.sampled_from([0, 1, 1, 4])) :]
    assert outcome(verifier, changed) == outcome(DocumentVerifier(world.verifier._store), changed)


def outcome(verifier: DocumentVerifier, body: bytes) -> Verification:
    return verifier.verify(body, PLACE, pki.NOW)
