"""The fast engine and libxmlsec1 agree, a signature read in one look is the one read check by check, and any change of
a signed byte is seen."""

from __future__ import annotations

import base64
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from relay.errors import Code, RefusedError
from relay.model.verdict import MANIFEST, Node, ParseLimits, SignaturePlace, Verification
from relay.trust import quick
from relay.trust.engine import XmlsecEngine
from relay.trust.sign import sign_document
from relay.trust.signature import read
from relay.trust.verifier import DocumentVerifier
from relay.trust.view import unverified
from tests.support import manifest, pki
from tests.support.xmlsign import key_info, sign
from tests.unit.trust.conftest import DOCUMENT, PLACE, World

_NAMESPACES = ("", "urn:t", "urn:u", "urn:v", "http://www.w3.org/2000/09/xmldsig#x")
_TEXTS = (
    *(
        "",
        " ",
        "\n  ",
        "văn bản",
        "a&amp;b&lt;&gt;",
        "&#13;",
        "\r\n",
        "\t",
        "<![CDATA[<x>&]]>",
        "]]&gt;",
        "&#x1F600;",
    ),
    *("\u00a0", "e\u0301", "\u2028", "\ufffd", "&#9;&#10;", "<!-- c -->", "x" * 300),
)


def tree(rng: random.Random, depth: int, scope: dict[str, str]) -> str:
    """Return an element with odd namespaces, attributes and texts; well-formed, its default namespace always declared."""
    prefix = rng.choice(("", "", "p", "q", "ds"))
    scope = dict(scope)
    declared = ""
    for each in {prefix, *rng.sample(["", "p", "q", "ds", "unused"], rng.randrange(3))}:
        if each not in scope or rng.random() < 0.4:
            scope[each] = rng.choice(_NAMESPACES if not each else _NAMESPACES[1:])
            declared += f' xmlns{":" + each if each else ""}="{scope[each]}"'
    attributes: dict[tuple[str, str], str] = {}
    for _ in range(rng.randrange(4)):
        used = rng.choice(("", "xml", *(name for name in scope if name)))
        local = rng.choice(("b", "a", "lang") if used != "xml" else ("lang", "space", "base"))
        namespace = {"": "", "xml": "xml"}.get(used, scope.get(used, ""))
        value = rng.choice(("1", "", "a&#10;b", "&quot;", "x\ty", "default", "é"))
        attributes.setdefault((namespace, local), f' {used + ":" if used else ""}{local}="{value}"')
    name = f"{prefix + ':' if prefix else ''}{rng.choice(('x', 'y', 'header'))}"
    inside = "".join(
        rng.choice(_TEXTS) if rng.random() < 0.5 or depth == 0 else tree(rng, depth - 1, scope)
        for _ in range(rng.randrange(4))
    )
    return f"<{name}{declared}{''.join(attributes.values())}>{inside}</{name}>"


def quiet(text: str) -> str:
    """Without comments in texts, which the parser refuses."""
    return text.replace("<!-- c -->", "")


@pytest.mark.parametrize("seed", range(8))
def test_engines_agree_on_generated_documents(world: World, seed: int) -> None:
    rng = random.Random(seed)
    judge = DocumentVerifier(world.verifier._store, engine=XmlsecEngine())
    place = SignaturePlace(PLACE.root, PLACE.path)
    accepted = 0
    for number in range(50):
        inner = tree(rng, 3, {"": "urn:t"})
        inner = inner if number % 5 else inner.replace("</", "<!-- c --></")
        text = f'<r xmlns="urn:t"><header><from>H53</from><!--here--></header>{inner}</r>'
        if number % 2:
            body = sign(
                quiet(text).replace("@@", "").encode(), world.recipe.but(prefix=rng.choice(("", "ds", "p")))
            )
            where = place
        else:
            held = manifest.document((), lines="").replace("</from>", "</from>" + quiet(inner))
            try:
                body = manifest.seal(held, world.recipe)
            except etree.C14NError:
                continue
            where = manifest.PLACE
        if rng.random() < 0.3:
            at = rng.randrange(len(body))
            body = (
                body[:at]
                + rng.choice((b"x", b"<", b"&#13;", b" ", b"\xc3\xa9"))
                + body[at + rng.randrange(2) :]
            )
        fast, slow = world.verifier.verify(body, where, pki.NOW), judge.verify(body, where, pki.NOW)
        assert fast == slow, body
        assert "surprise" not in fast.verdict.detail, body
        accepted += fast.verdict.accepted
    assert accepted > 15


_SPELLINGS = (
    lambda s: s,
    lambda s: s.replace(b"><", b">\n  <"),
    lambda s: s.replace(b"><", b">&#13;\n<"),
    lambda s: s.replace(b"</SignatureValue>", b"&#13;\n</SignatureValue>"),
    lambda s: s.replace(b"<X509Certificate>", b"<X509Certificate>\n"),
    lambda s: re.sub(rb"<(\w+) ([^<>]*[^/])/>", rb"<\1 \2></\1>", s),
    lambda s: s.replace(b'"', b"'"),
    lambda s: s.replace(b"<SignatureValue>", b"<SignatureValue><![CDATA[").replace(
        b"</SignatureV", b"]]></SignatureV"
    ),
    lambda s: s.replace(b"<SignedInfo>", b"<SignedInfo><!-- c -->"),
    lambda s: s.replace(b"<SignedInfo>", b"<SignedInfo>text"),
    lambda s: s.replace(b"<Reference ", b'<Reference Id="x" '),
    lambda s: s.replace(b'URI=""', b'URI="#e1"'),
    lambda s: s.replace(b'URI=""', b'URI="#e 1"'),
    lambda s: s.replace(b"xmlenc#sha256", b"xmlenc#sha512"),
    lambda s: s.replace(b"ecdsa-sha256", b"ecdsa-sha1"),
    lambda s: s.replace(b"<KeyInfo>", b"<KeyInfo><KeyName/>"),
    lambda s: s.replace(b"<KeyInfo>", b"<Object/><KeyInfo>"),
    lambda s: s.replace(b"</Transforms>", b"<Transform/></Transforms>"),
    lambda s: s.replace(b"<DigestValue>", b"<DigestValue>A"),
    lambda s: s.replace(b"<DigestValue>", b"<DigestValue>&amp;"),
    lambda s: s.replace(b"<X509Data>", b"<X509Data><X509Certificate>QUJD</X509Certificate>"),
    lambda s: s.replace(b"<X509Certificate>", b"<X509Certificate a='1'>"),
    lambda s: s.replace(b"<Signature xmlns", b"<Signature Id='s' xmlns"),
    lambda s: s.replace(b"<Signature xmlns", b"<Signature xmlns:x='urn:x' xmlns"),
    lambda s: s.replace(b"<SignedInfo>", b"<SignedInfo xmlns:x='urn:x'>"),
    lambda s: s.replace(b"<SignedInfo>", b"<SignedInfo xmlns:x='urn:x' x:a='1'>"),
)


@pytest.mark.parametrize("by_manifest", [False, True])
@pytest.mark.parametrize("prefix", ["", "ds"])
@pytest.mark.parametrize("number", range(len(_SPELLINGS)))
def test_what_is_read_at_one_look_is_what_is_read_check_by_check(
    world: World, number: int, prefix: str, by_manifest: bool
) -> None:
    plain = False
    for hash_name in ("sha256", "sha384"):
        body = sign(DOCUMENT, world.recipe.but(hash=hash_name))
        start, end = body.index(b"<Signature "), body.index(b"</Signature>") + 12
        changed = _SPELLINGS[number](body[start:end])
        if prefix:
            changed = re.sub(rb"<(/?)(?=[A-Z])(?!!)", rb"<\1ds:", changed).replace(
                b" xmlns=", b" xmlns:ds=", 1
            )
            changed = changed.replace(b"<ds:![CDATA[", b"<![CDATA[")
        signature = etree.fromstring(changed)
        looked = quick.read(signature, by_manifest=by_manifest)
        try:
            parts = read(signature, by_manifest=by_manifest)
        except RefusedError:
            # only certificates are left to the long way
            if looked is not None:
                with pytest.raises(RefusedError) as caught:
                    read(signature, by_manifest=by_manifest)
                assert caught.value.code is Code.KEYINFO_MALFORMED
            continue
        if looked is None:
            continue
        found, plain = looked[0], True
        same = ("element", "algorithm", "digest_hash", "digest", "value", "fragment")
        assert [getattr(found, name) for name in same] == [getattr(parts, name) for name in same]
        octets = etree.tostring(signature[0], method="c14n", exclusive=True, with_comments=False)
        assert found.signed_info == octets
    assert plain or number >= 7, "plain signatures take the short way"


def test_certificates_are_kept_by_what_holds_them(world: World) -> None:
    verifier = DocumentVerifier(world.verifier._store)
    for signer in (world.ec, world.rsa, world.ec, world.rsa):
        body = sign_document(DOCUMENT.replace(b"<!--here-->", b""), PLACE, signer.key, signer.chain_pem)
        verdict = verifier.verify(body, PLACE, pki.NOW).verdict
        assert (verdict.accepted, verdict.signer) == (True, signer.certificate.subject.rfc4514_string())
        bad = body.replace(b"<X509Certificate>MI", b"<X509Certificate>MJ", 1)
        assert verifier.verify(bad, PLACE, pki.NOW).verdict.reason is Code.KEYINFO_MALFORMED


# --- any change of a signed byte ---


def documents(world: World) -> list[tuple[bytes, SignaturePlace]]:
    files = (*manifest.FILES, manifest.File("c", bytes(range(256)) * 130, "cid:c"))
    whole = manifest.document(files).replace("<!--here-->", "").replace(' Id="e1"', "").encode()
    bare = sign(
        DOCUMENT.replace(b"<!--here-->", b"tail<!--here-->"), world.recipe.but(key_info=key_info(world.ec))
    )
    return [
        (manifest.seal(manifest.document(files), world.recipe), manifest.PLACE),
        (sign_document(whole, manifest.PLACE, world.ec.key, world.ec.chain_pem), manifest.PLACE),
        (bare, PLACE),
    ]


def seen(result: Verification) -> Node:
    assert result.view is not None
    return result.view.root


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_what_is_intact_is_what_was_signed(world: World, data: st.DataObject) -> None:
    body, place = data.draw(st.sampled_from(documents(world)))
    original = world.verifier.verify(body, place, pki.NOW, with_opaque=True)
    assert original.verdict.accepted
    at = data.draw(st.integers(0, len(body) - 1))
    cut = data.draw(st.sampled_from([0, 1, 1, 1, 4, 40]))
    new = data.draw(
        st.sampled_from([b"", b"A", b"x", b" ", b"\r", b"&#32;", b"<a/>", b"<!-- -->", b"==", b"\xc3\xa9"])
    )
    changed = body[:at] + new + body[at + cut :]
    result = world.verifier.verify(changed, place, pki.NOW, with_opaque=True)
    assert "surprise" not in result.verdict.detail
    if not result.verdict.intact:
        assert result.view is None
        return
    if result.verdict.profile == MANIFEST:
        assert texts(seen(original)) == texts(seen(result))
    else:
        assert seen(result) == seen(original)


def texts(root: Node) -> list[object]:
    """All that a view says, with the octets of bulk instead of their spelling."""
    found: list[object] = []
    stack = [root]
    while stack:
        node = stack.pop()
        text = base64.b64decode(node.text or "") if node.tag.endswith("}bulk") else node.text
        found.append((node.tag, text, node.attributes))
        stack.extend(node.children)
    return found


def test_the_view_of_a_whole_document_is_its_tree_without_the_signature(world: World) -> None:
    for body, place in documents(world)[1:]:
        result = world.verifier.verify(body, place, pki.NOW)
        start, end = body.index(b"<Signature "), body.index(b"</Signature>") + 12
        assert seen(result) == unverified(body[:start] + body[end:], place, ParseLimits()).root
