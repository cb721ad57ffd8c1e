"""Verdicts of the whole profile: what holds, and every refusal by its code."""

from __future__ import annotations

import base64
import hashlib
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.errors import Code
from relay.model.verdict import SignaturePlace
from relay.trust import verifier as verifier_module
from relay.trust.engine import Outcome, XmlsecEngine
from relay.trust.parse import parse
from tests.support import pki
from tests.support.xmlsign import DIGEST_URIS, DS, ENVELOPED, EXC, MORE, key_info, sign
from tests.unit.trust.conftest import DOCUMENT, PLACE, World

T1, T2 = f'<Transform Algorithm="{ENVELOPED}"/>', f'<Transform Algorithm="{EXC}"/>'


def code(world: World, body: bytes) -> Code:
    result = world.verify(body)
    assert not result.verdict.accepted
    assert result.view is None
    assert not result.verdict.intact
    assert "surprise" not in result.verdict.detail
    return result.verdict.reason


# --- what holds ---


def test_a_good_document(world: World) -> None:
    body = sign(DOCUMENT, world.recipe)
    result = world.verify(body)
    verdict = result.verdict
    assert verdict.accepted
    assert verdict.signer == "CN=Agency one"
    assert verdict.certificate_sha256 == hashlib.sha256(world.ec.der).hexdigest()
    assert (verdict.algorithm, verdict.profile, verdict.verified_at) == ("ecdsa-sha256", "whole", pki.NOW)
    assert result.view is not None
    assert (result.view.sha256, result.view.size) == (hashlib.sha256(body).hexdigest(), len(body))


def test_the_view_is_the_signed_content(world: World) -> None:
    body = sign(
        DOCUMENT.replace(b"</bulk>", b"</bulk>\n<!-- x -->\n<e>a<![CDATA[<b>]]><f/>c&#100;</e>"), world.recipe
    )
    view = world.verify(body).view
    assert view is not None
    header = view.root.first("{urn:t}header")
    assert header is not None
    assert [child.tag for child in header.children] == ["{urn:t}from", "{urn:t}subject"]
    sender = header.first("{urn:t}from")
    assert sender is not None
    assert (sender.text, sender.attributes, sender.attribute("a")) == ("H53", (("a", "1"),), "1")
    bulk, mixed = view.root.first("{urn:t}bulk"), view.root.first("{urn:t}e")
    assert bulk is not None
    assert bulk.text is None
    assert mixed is not None
    assert mixed.text == "a<b>cd"
    with pytest.raises(AttributeError):
        sender.text = "H54"  # type: ignore[misc]


def test_bulk_on_demand(world: World) -> None:
    view = world.verifier.verify(sign(DOCUMENT, world.recipe), PLACE, pki.NOW, with_opaque=True).view
    assert view is not None
    bulk = view.root.first("{urn:t}bulk")
    assert bulk is not None
    assert bulk.text == "QUJD\nREVG"


def test_text_behind_the_signature_is_signed_and_seen(world: World) -> None:
    body = sign(DOCUMENT.replace(b"</header>", b"tail</header>"), world.recipe)
    view = world.verify(body).view
    assert view is not None
    header = view.root.first("{urn:t}header")
    assert header is not None
    assert header.text == "tail"
    assert code(world, body.replace(b"tail<", b"tale<")) is Code.DIGEST_MISMATCH


def test_swapping_the_raw_tree_afterwards_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees: list[Any] = []

    def spy(*arguments: Any) -> Any:
        trees.append(real(*arguments))
        return trees[-1]

    real = parse
    monkeypatch.setattr(verifier_module, "parse", spy)
    view = world.verify(sign(DOCUMENT, world.recipe)).view
    assert view is not None
    before = repr(view)
    for element in trees[0].iter():
        element.text = "swapped"
        element.attrib.clear()
    trees[0].tag = "{urn:t}other"
    del trees[0][:]
    assert repr(view) == before


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
@pytest.mark.parametrize("hash_name", ["sha256", "sha384", "sha512"])
def test_curves_and_hashes(world: World, curve: ec.EllipticCurve, hash_name: str) -> None:
    signer = pki.issue("Curve", world.house.issuing, key=pki.ec_key(curve))
    body = sign(DOCUMENT, world.recipe.but(signer=signer, hash=hash_name, digest=hash_name))
    assert world.verify(body).verdict.accepted


@pytest.mark.parametrize("hash_name", ["sha256", "sha384", "sha512"])
def test_rsa(world: World, hash_name: str) -> None:
    body = sign(DOCUMENT, world.recipe.but(signer=world.rsa, hash=hash_name))
    assert world.verify(body).verdict.algorithm == f"rsa-{hash_name}"
    assert world.verify(body).verdict.accepted


@pytest.mark.parametrize(
    "spelling",
    [
        lambda b: b"\xef\xbb\xbf" + b,
        lambda b: b.replace(b"\n", b"\r\n"),
        lambda b: b.replace(b"<bulk>QUJD\nREVG</bulk>", b"<bulk><![CDATA[QUJDREVG]]></bulk>"),
        lambda b: b.replace(b"<subject>", b"<!-- no one's --><subject>"),
        lambda b: b.replace(b'<from a="1">', b"<from   b = '2'\n a='1' >"),
        lambda b: (
            b.replace(b"<r xmlns", b"<?pi x?><!-- c --><r xmlns:x='urn:x' xmlns").rstrip() + b"<?pi y?>"
        ),
        lambda b: b.replace(b"<header>", b'<q:header xmlns:q="urn:t">').replace(b"</header>", b"</q:header>"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "ds"])
def test_odd_spellings(world: World, spelling: Any, prefix: str) -> None:
    assert world.verify(sign(spelling(DOCUMENT), world.recipe.but(prefix=prefix))).verdict.accepted


def test_carriage_returns_in_base64(world: World) -> None:
    body = sign(DOCUMENT, world.recipe)
    head, rest = body.split(b"<SignatureValue>")
    value, tail = rest.split(b"</SignatureValue>")
    body = head + b"<SignatureValue>" + value[:40] + b"&#13;\n" + value[40:] + b"\n</SignatureValue>" + tail
    assert world.verify(body).verdict.accepted


def test_a_stub_is_named(world: World) -> None:
    body = sign(DOCUMENT.replace(b"<subject>", b"<Signature>x</Signature><subject>"), world.recipe)
    result = world.verify(body)
    assert result.verdict.accepted
    assert "stub" in result.verdict.detail


def test_signature_at_the_root(world: World) -> None:
    place = SignaturePlace("{urn:t}r", ())
    body = sign(DOCUMENT.replace(b"<!--here-->", b"").replace(b"</r>", b"<!--here--></r>"), world.recipe)
    assert world.verifier.verify(body, place, pki.NOW).verdict.accepted
    assert code(world, body) is Code.SIGNATURE_MISPLACED


# --- structure ---


def test_unsigned_and_many(world: World) -> None:
    body = sign(DOCUMENT, world.recipe)
    assert code(world, DOCUMENT) is Code.UNSIGNED
    assert code(world, DOCUMENT.replace(b"<!--here-->", b"<Signature/>")) is Code.UNSIGNED
    signature = body[body.index(b"<Signature") : body.index(b"</Signature>") + len(b"</Signature>")]
    assert code(world, body.replace(signature, signature * 2)) is Code.MANY_SIGNATURES
    assert code(world, body.replace(b"</r>", signature + b"</r>")) is Code.MANY_SIGNATURES
    nested = body.replace(b"</KeyInfo>", b"</KeyInfo><Object>" + signature + b"</Object>")
    assert code(world, nested) is Code.MANY_SIGNATURES


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.replace(b"<!--here--></header>", b"</header><!--here-->"),
        lambda d: d.replace(b"<!--here-->", b"").replace(b"<subject>", b"<!--here--><subject>"),
        lambda d: d.replace(b"<!--here-->", b"<x><!--here--></x>"),
        lambda d: d.replace(b"<bulk>", b"<header/><bulk>"),
        lambda d: d.replace(b"<header>", b"<header><from>G22</from></header><header>"),
        lambda d: d.replace(b"<header>", b"<old><header>").replace(b"</header>", b"</header></old>"),
    ],
)
def test_misplaced(world: World, change: Any) -> None:
    assert code(world, sign(change(DOCUMENT), world.recipe)) is Code.SIGNATURE_MISPLACED


def test_wrapping(world: World) -> None:
    body = sign(DOCUMENT, world.recipe)
    declaration, rest = body.split(b"\n", 1)
    false = DOCUMENT.split(b"\n", 1)[1].replace(b"H53", b"G22").rstrip()
    signature = body[body.index(b"<Signature") : body.index(b"</Signature>") + len(b"</Signature>")]
    # the signed document moved into a false one, the signature kept where it is looked for
    moved = false.replace(b"<!--here-->", signature).replace(
        b"</r>", DOCUMENT.split(b"\n", 1)[1].rstrip() + b"</r>"
    )
    assert code(world, declaration + moved) is Code.DIGEST_MISMATCH
    # the same with the original inside an Object
    inner = DOCUMENT.split(b"\n", 1)[1].replace(b"<!--here-->", b"").rstrip()
    wrapped = signature.replace(b"</KeyInfo>", b"</KeyInfo><Object>" + inner + b"</Object>")
    assert code(world, declaration + false.replace(b"<!--here-->", wrapped)) is Code.SIGNATURE_MALFORMED
    # a second header before or behind the signed one
    extra = b"<header><from>G22</from></header>"
    assert (
        code(world, declaration + rest.replace(b"<header>", extra + b"<header>", 1))
        is Code.SIGNATURE_MISPLACED
    )
    # something new anywhere
    assert code(world, body.replace(b"<bulk>", b"<from>G22</from><bulk>")) is Code.DIGEST_MISMATCH
    # everything inside another document
    assert code(world, declaration + b'<r xmlns="urn:t">' + rest + b"</r>") is Code.SIGNATURE_MISPLACED


@pytest.mark.parametrize(
    "changes",
    [
        {"more_children": "<Object/>"},
        {"more_children": "<x xmlns='urn:x'/>"},
        {"more_children": "text"},
        {"more_children": "<!-- c -->"},
        {"signature_attributes": ' Id="s1"'},
        {"signature_attributes": ' xmlns:x="urn:x" x:a="1"'},
        {"transforms": T1 + "<!-- c -->" + T2},
        {"transforms": T1 + "text" + T2},
        {"transforms": T1 + "<x/>" + T2},
        {"c14n": ""},
    ],
)
def test_malformed(world: World, changes: Any) -> None:
    assert code(world, sign(DOCUMENT, world.recipe.but(**changes))) is Code.SIGNATURE_MALFORMED


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<SignatureValue>", b"<SignatureValue Id='v'>"),
        (b"<SignatureValue>", b"<SignatureValue>****"),
        (b"</SignatureValue>", b"AAAA" * 2000 + b"</SignatureValue>"),
        (b"<DigestValue>", b"<DigestValue>AAAA"),
        (b"<DigestValue>", b"<DigestValue>\xc3\xb4"),
        (b'<Reference URI="">', b'<Reference URI="" Type="t">'),
        (b'<Reference URI="">', b'<Reference URI="" Id="t">'),
        (b"<SignedInfo>", b"<SignedInfo Id='x'>"),
        (b"<DigestMethod ", b"<DigestMethod a='b' "),
        (b"<KeyInfo>", b"<KeyName>x</KeyName><KeyInfo>"),
        (b"</SignatureValue>", b"</SignatureValue><SignatureValue>AAAA</SignatureValue>"),
    ],
)
def test_malformed_afterwards(world: World, old: bytes, new: bytes) -> None:
    assert code(world, sign(DOCUMENT, world.recipe).replace(old, new)) is Code.SIGNATURE_MALFORMED


@pytest.mark.parametrize("uri", ["#x", "#xpointer(/)", "http://127.0.0.1:9/x", "file:///etc/passwd", " "])
def test_foreign_references(world: World, uri: str) -> None:
    assert code(world, sign(DOCUMENT, world.recipe.but(reference_uri=uri))) is Code.FOREIGN_REFERENCE


def test_several_references_and_none(world: World) -> None:
    body = sign(DOCUMENT, world.recipe)
    reference = body[body.index(b"<Reference") : body.index(b"</Reference>") + len(b"</Reference>")]
    assert (
        code(world, sign(DOCUMENT, world.recipe.but(more_references=reference.decode())))
        is Code.FOREIGN_REFERENCE
    )
    assert code(world, body.replace(b'<Reference URI="">', b"<Reference>")) is Code.FOREIGN_REFERENCE
    assert code(world, body.replace(reference, b"")) is Code.SIGNATURE_MALFORMED


INCLUSIVE = f'<InclusiveNamespaces xmlns="{EXC}" PrefixList="#default"/>'


@pytest.mark.parametrize(
    "changes",
    [
        {"transforms": T1},
        {"transforms": T2},
        {"transforms": T2 + T1},
        {"transforms": T1 + T2 + T2},
        {"transforms": ""},
        {"transforms": T1 + f'<Transform Algorithm="{DS}base64"/>'},
        {"transforms": T1 + '<Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"/>' + T2},
        {"transforms": T1 + '<Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"/>' + T2},
        {"transforms": '<Transform Algorithm="http://www.w3.org/2002/06/xmldsig-filter2"/>' + T2},
        {"transforms": T1 + '<Transform Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>'},
        {"transforms": T1 + f'<Transform Algorithm="{EXC}WithComments"/>'},
        {"transforms": T1 + f'<Transform Algorithm="{EXC}">{INCLUSIVE}</Transform>'},
        {"transforms": f'<Transform Algorithm="{ENVELOPED}"><XPath>/</XPath></Transform>' + T2},
        {"c14n": f'<CanonicalizationMethod Algorithm="{EXC}WithComments"/>'},
        {"c14n": '<CanonicalizationMethod Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>'},
        {"c14n": f'<CanonicalizationMethod Algorithm="{EXC}">{INCLUSIVE}</CanonicalizationMethod>'},
    ],
)
def test_foreign_transforms(world: World, changes: Any) -> None:
    assert code(world, sign(DOCUMENT, world.recipe.but(**changes))) is Code.FOREIGN_TRANSFORM


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": "sha1"},
        {"digest_uri": f"{MORE}md5"},
        {"digest_uri": f"{MORE}sha224"},
        {"digest_uri": "x"},
        {"method": f"{DS}rsa-sha1"},
        {"method": f"{DS}dsa-sha1"},
        {"method": f"{DS}hmac-sha1"},
        {"method": f"{MORE}hmac-sha256"},
        {"method": f"{MORE}rsa-md5"},
        {"method": f"{MORE}ecdsa-sha1"},
        {"method": f"{MORE}ecdsa-sha224"},
        {"method": "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1"},
        {"method": "http://www.w3.org/2021/04/xmldsig-more#eddsa-ed25519"},
        {"method": "x"},
    ],
)
def test_weak_algorithms(world: World, changes: Any) -> None:
    assert code(world, sign(DOCUMENT, world.recipe.but(**changes))) is Code.WEAK_ALGORITHM


def test_weak_keys(world: World) -> None:
    rsa_1024 = pki.issue("Weak", world.house.issuing, key=pki.rsa_key(1024))
    rsa_sha1 = sign(DOCUMENT, world.recipe.but(signer=world.rsa, hash="sha1"))
    k1 = pki.issue("Koblitz", world.house.issuing, key=pki.ec_key(ec.SECP256K1()))
    assert code(world, sign(DOCUMENT, world.recipe.but(signer=rsa_1024))) is Code.WEAK_ALGORITHM
    assert code(world, rsa_sha1) is Code.WEAK_ALGORITHM
    assert code(world, sign(DOCUMENT, world.recipe.but(signer=k1))) is Code.WEAK_ALGORITHM
    edwards = pki.issue("Edwards", world.house.issuing, key=ed25519.Ed25519PrivateKey.generate())
    assert code(world, sign(DOCUMENT, world.recipe.but(key_info=key_info(edwards)))) is Code.BAD_CERTIFICATE


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<KeyName>x</KeyName>",
        "<KeyValue/>",
        "<RetrievalMethod URI='http://127.0.0.1:9/'/>",
        "@<KeyName>x</KeyName>",
        "@<KeyValue/>",
        "@@",
        "text@",
        "<!-- c -->@",
        "<X509Data/>",
        "<X509Data><X509SubjectName>CN=x</X509SubjectName></X509Data>",
        "<X509Data><X509IssuerSerial/><X509Certificate>#</X509Certificate></X509Data>",
        "<X509Data><X509Certificate>#</X509Certificate><X509CRL>AAAA</X509CRL></X509Data>",
        "<X509Data><X509Certificate></X509Certificate></X509Data>",
        "<X509Data><X509Certificate>!!!!</X509Certificate></X509Data>",
        "<X509Data><X509Certificate>MAA=</X509Certificate></X509Data>",
        "<X509Data><X509Certificate>#+</X509Certificate></X509Data>",
        "<X509Data><X509Certificate a='b'>#</X509Certificate></X509Data>",
        "<X509Data>" + "<X509Certificate>#</X509Certificate>" * 9 + "</X509Data>",
        "<X509Data><X509Certificate>#</X509Certificate><X509Certificate>MAA=</X509Certificate></X509Data>",
    ],
)
def test_key_info(world: World, inner: str) -> None:
    data = key_info(world.ec)[len("<KeyInfo>") : -len("</KeyInfo>")]
    filled = inner.replace("@", data)
    filled = filled.replace("#+", b64(world.ec.der + b"\0")).replace("#", b64(world.ec.der))
    body = sign(DOCUMENT, world.recipe.but(key_info=f"<KeyInfo>{filled}</KeyInfo>"))
    assert code(world, body) is Code.KEYINFO_MALFORMED
    attribute = key_info(world.ec).replace("<KeyInfo>", "<KeyInfo Id='k'>")
    assert code(world, sign(DOCUMENT, world.recipe.but(key_info=attribute))) is Code.KEYINFO_MALFORMED


# --- arithmetic ---


def test_altered(world: World) -> None:
    body = sign(DOCUMENT, world.recipe)
    assert code(world, body.replace(b"H53", b"H54")) is Code.DIGEST_MISMATCH
    assert code(world, body.replace(b'a="1"', b'a="2"')) is Code.DIGEST_MISMATCH
    assert code(world, body.replace(b"QUJD", b"QUJE")) is Code.DIGEST_MISMATCH
    assert code(world, body.replace(b"<bulk>", b"<bulk >\n")) is Code.DIGEST_MISMATCH
    at = body.index(b"<SignatureValue>") + 20
    other = b"A" if body[at : at + 1] != b"A" else b"B"
    assert code(world, body[:at] + other + body[at + 1 :]) is Code.SIGNATURE_INVALID
    value = body[body.index(b"<SignatureValue>") + 16 : body.index(b"</SignatureValue>")]
    assert code(world, body.replace(value, b"AAAA")) is Code.SIGNATURE_INVALID
    assert code(world, body.replace(value, b64(bytes(64)).encode())) is Code.SIGNATURE_INVALID


def test_another_key(world: World) -> None:
    other = pki.issue("Other", world.house.issuing)
    assert code(world, sign(DOCUMENT, world.recipe.but(key_info=key_info(other)))) is Code.SIGNATURE_INVALID
    rsa_info = sign(DOCUMENT, world.recipe.but(key_info=key_info(world.rsa)))
    assert code(world, rsa_info) is Code.SIGNATURE_INVALID
    false_order = "".join(reversed(key_info(world.ec).partition("<X509Certificate>")[1:2]))
    assert false_order  # leaf first: an issuer's certificate in its place is another key
    swapped = replace(world.ec, chain=tuple(reversed(world.ec.chain)))
    assert code(world, sign(DOCUMENT, world.recipe.but(key_info=key_info(swapped)))) is Code.SIGNATURE_INVALID


def test_no_canonical_form(world: World) -> None:
    body = sign(DOCUMENT, world.recipe).replace(b"<bulk>", b'<x xmlns="relative"/><bulk>')
    assert code(world, body) in (Code.SIGNATURE_INVALID, Code.DIGEST_MISMATCH)


def test_comments_that_split(world: World) -> None:
    body = sign(DOCUMENT, world.recipe)
    # canonical XML leaves comments out, so these signatures hold: the parser must refuse them
    assert code(world, body.replace(b">H53<", b">H5<!-- -->3<")) is Code.COMMENT_IN_TEXT
    assert code(world, body.replace(b"</subject>", b"<!-- --></subject>")) is Code.COMMENT_IN_TEXT
    assert world.verify(body.replace(b"<subject>", b"<!-- --><subject>")).verdict.accepted


def test_nothing_verified_by_an_engine_that_says_no(world: World) -> None:
    class No(XmlsecEngine):
        def check(self, *arguments: Any) -> Outcome:
            return Outcome(digest=True, value=False)

    verifier = verifier_module.DocumentVerifier(world.verifier._store, engine=No())
    result = verifier.verify(sign(DOCUMENT, world.recipe), PLACE, pki.NOW)
    assert (result.verdict.reason, result.view) == (Code.SIGNATURE_INVALID, None)


def test_an_engine_that_breaks_is_a_refusal(world: World) -> None:
    class Broken(XmlsecEngine):
        def check(self, *arguments: Any) -> Outcome:
            raise RuntimeError("broken")

    verifier = verifier_module.DocumentVerifier(world.verifier._store, engine=Broken())
    result = verifier.verify(sign(DOCUMENT, world.recipe), PLACE, pki.NOW)
    assert (result.verdict.intact, result.verdict.trusted, result.view) == (False, False, None)
    assert "a surprise of ours: RuntimeError" in result.verdict.detail


def test_digests_other_than_the_signatures_hash(world: World) -> None:
    assert set(DIGEST_URIS) == {"sha1", "sha256", "sha384", "sha512"}
    assert world.verify(sign(DOCUMENT, world.recipe.but(digest="sha512", hash="sha256"))).verdict.accepted


def test_many_threads(world: World) -> None:
    signers = [pki.issue(f"T{i}", world.house.issuing) for i in range(4)]
    good = [
        sign(DOCUMENT.replace(b"H53", b"H%d" % i), world.recipe.but(signer=signers[i % 4])) for i in range(24)
    ]
    bad = [body.replace(b"REVG", b"REVH") for body in good]
    work = [(body, True) for body in good] + [(body, False) for body in bad]
    work *= 4
    random.Random(1).shuffle(work)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda item: world.verify(item[0]).verdict.accepted, work))
    assert found == [wanted for _, wanted in work]


def test_namespaces_that_cost(world: World) -> None:
    """As many attributes with namespaces of their own, in force together, as the limits allow."""
    nest = b"".join(
        b"<x" + b"".join(b" xmlns:a%d_%d='u:%d_%d' a%d_%d:z=''" % ((d, i) * 3) for i in range(64)) + b">"
        for d in range(28)
    )
    leaf = b"<y" + b"".join(b" a%d_%d:z=''" % (i % 28, i // 28) for i in range(60)) + b"/>"
    costly = nest + leaf * 260 + b"</x>" * 28
    body = sign(DOCUMENT.replace(b"<bulk>", costly + b"<bulk>"), world.recipe)
    start = time.process_time()
    assert world.verify(body).verdict.accepted
    assert time.process_time() - start < 20.0
    more = body.replace(b"<bulk>", leaf * 100 + b"<bulk>")
    assert code(world, more) is Code.TOO_COMPLEX


# --- never raises ---


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes(world: World, body: bytes) -> None:
    result = world.verify(body)
    assert result.view is None
    assert "surprise" not in result.verdict.detail


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_mutations(world: World, data: st.DataObject) -> None:
    original = sign(DOCUMENT, world.recipe.but(key_info=key_info(world.ec, only_leaf=True)))
    body = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        kind = data.draw(st.sampled_from(["set", "cut", "insert", "copy"]))
        if kind == "set":
            body[at] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del body[at : at + data.draw(st.integers(1, 60))]
        elif kind == "insert":
            body[at:at] = data.draw(
                st.sampled_from(
                    [b"<", b"<!-- -->", b"&#13;", b"<?x?>", b"\0", b"]]>", b"<a/>", b"&", b" ", b"\xff"]
                )
            )
        else:
            body[at:at] = body[: data.draw(st.integers(1, 200))]
        if not body:
            break
    result = world.verify(bytes(body))
    assert "surprise" not in result.verdict.detail
    if result.verdict.intact:  # only what the signature does not cover may differ
        first = world.verify(original)
        assert result.view is not None
        assert first.view is not None
        assert result.view.root == first.view.root
