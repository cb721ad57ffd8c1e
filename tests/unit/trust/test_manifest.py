"""The manifest profile: what holds, what is seen of it, and every refusal by its code."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from relay.errors import Code, RefusedError
from relay.model.verdict import MANIFEST, WHOLE, Node, ParseLimits, Verification
from relay.trust import cut
from relay.trust.engine import XmlsecEngine
from relay.trust.sign import MANIFEST_FROM, sign_document, sign_suitably, without_signature
from relay.trust.verifier import DocumentVerifier
from tests.support import pki
from tests.support.manifest import FILES, PLACE, File, attachment, digests, document, line, q, seal
from tests.unit.trust.conftest import World

A, B = FILES
BIG = File("big.pdf", bytes(range(256)) * 600, "cid:big")


def judged(world: World, body: bytes) -> Verification:
    """Judge by both engines, which have to agree on everything."""
    slow = DocumentVerifier(world.verifier._store, engine=XmlsecEngine()).verify(body, PLACE, pki.NOW)
    fast = world.verifier.verify(body, PLACE, pki.NOW)
    assert fast == slow
    assert "surprise" not in fast.verdict.detail
    return fast


def code(world: World, body: bytes) -> Code:
    found = judged(world, body)
    assert not found.verdict.intact
    assert found.view is None
    return found.verdict.reason


def sealed(world: World, unsigned: str) -> bytes:
    return seal(unsigned, world.recipe)


# --- what holds ---


def test_a_good_document(world: World) -> None:
    body = sealed(world, document())
    found = judged(world, body)
    assert found.verdict.accepted
    assert (found.verdict.profile, found.verdict.reason) == (MANIFEST, Code.OK)
    assert found.view is not None
    assert found.view.sha256 == hashlib.sha256(body).hexdigest()
    held = found.view.root.first(q("files"))
    assert held is not None
    assert [(one.first(q("name")), one.first(q("bulk"))) for one in held.children] == [
        (Node(q("name"), file.name, (), ()), Node(q("bulk"), None, (), ())) for file in FILES
    ]


def test_bulk_on_demand(world: World) -> None:
    for files in (FILES, (A, BIG, B)):
        body = sealed(world, document(files))
        view = world.verifier.verify(body, PLACE, pki.NOW, with_opaque=True).view
        assert view is not None
        held = view.root.first(q("files"))
        assert held is not None
        texts = [one.first(q("bulk")) for one in held.children]
        assert [base64.b64decode(text.text or "") for text in texts if text] == [one.octets for one in files]


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
def test_digests_of_each_kind(world: World, name: str) -> None:
    assert judged(world, sealed(world, document(lines=line(A, name) + line(B, "sha256")))).verdict.accepted


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.replace("<name>a.pdf</name><type>application/pdf</type><bulk>", "<bulk>"),
        lambda d: d.replace(
            "<file><id>cid:a", "<file><id> a "
        ),  # a name without its cid:, and space around it
        lambda d: (
            d.replace("<file>", "\n <file>").replace("<bulk>", "<bulk>\r\n  ").replace("</bulk>", "\n</bulk>")
        ),
        lambda d: d.replace("<bulk>", "<bulk>&#32;").replace("</bulk>", "<![CDATA[ ]]></bulk>"),
        lambda d: d.replace("<env ", "<!--?--><env ").replace("<!--?-->", ""),
        lambda d: d.replace("<from>", "<!-- signed content has comments --><from>"),
        lambda d: d.replace('<r xmlns="urn:t">', '<r xmlns="urn:t" xmlns:x="urn:x">'),
        lambda d: d.replace("<files>", '<files xmlns:y="urn:y">'),
    ],
)
def test_spellings_that_hold(world: World, change: Callable[[str], str]) -> None:
    changed = change(document())
    assert judged(world, sealed(world, changed)).verdict.accepted


def test_attachments_in_another_order_are_the_same(world: World) -> None:
    body = sealed(world, document(attachments=attachment(B) + attachment(A)))
    found = judged(world, body)
    assert found.view is not None
    assert found.view.root == judged(world, sealed(world, document())).view.root  # type: ignore[union-attr]


def test_no_attachments(world: World) -> None:
    bare = document(())
    assert judged(world, sealed(world, bare)).verdict.accepted
    assert judged(world, sealed(world, bare.replace("<files></files>", ""))).verdict.accepted
    assert judged(world, sealed(world, bare.replace("<body><list></list></body>", ""))).verdict.accepted


def test_what_is_read_is_signed_not_what_stands_in_the_attachment(world: World) -> None:
    body = sealed(world, document()).replace(b"<file><id>cid:a</id>", b"<file><id>a</id>")
    found = judged(world, body)
    assert found.view is not None
    assert found.view.root == judged(world, sealed(world, document())).view.root  # type: ignore[union-attr]


def test_a_format_without_the_profile_refuses_it(world: World) -> None:
    body = sealed(world, document())
    found = world.verifier.verify(body, replace(PLACE, manifest=None), pki.NOW)
    assert found.verdict.reason is Code.FOREIGN_REFERENCE


# --- the reference and the envelope ---


@pytest.mark.parametrize(
    "uri", ["#e2", "#xpointer(/)", "#xpointer(id('e1'))", "e1", "#", "##e1", "#e1 ", "x#e1"]
)
def test_references_to_something_else(world: World, uri: str) -> None:
    assert code(world, seal(document(), world.recipe.but(reference_uri=uri))) is Code.FOREIGN_REFERENCE


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.replace("<env ", "<x/><env "),
        lambda d: d.replace("<env Id", "<env ID"),
        lambda d: d.replace("<env Id", "<env xml:id"),
        lambda d: d.replace('<env Id="e1">', "<env>"),
        lambda d: d.replace('Id="e1"', 'Id=" e1"'),
    ],
)
def test_another_envelope(world: World, change: Callable[[str], str]) -> None:
    # xmlsec would not even find these, so the fast engine judges alone
    body = sealed(world, change(document()))
    found = world.verifier.verify(body, PLACE, pki.NOW)
    assert found.verdict.reason in {Code.FOREIGN_REFERENCE, Code.SIGNATURE_MISPLACED}


@pytest.mark.parametrize("name", ["Id", "ID", "id", "iD", "xml:id", "w:Id"])
@pytest.mark.parametrize("place", ["<from", "<files", "<file ", "<r", "<line", "<bulk"])
def test_a_second_id(world: World, name: str, place: str) -> None:
    unsigned = document().replace("<file>", "<file >")
    changed = unsigned.replace(place, f'{place} xmlns:w="urn:w" {name}="other"', 1)
    assert code(world, sealed(world, changed)) is Code.FOREIGN_ID


def test_an_id_twice_in_the_whole_profile_too(world: World) -> None:
    unsigned = document().replace("<!--here-->", "").replace(' Id="e1"', "")
    twice = unsigned.replace("<from>", '<from Id="x">').replace("<list>", '<list xml:id="x">')
    once = unsigned.replace("<from>", '<from Id="x">').replace("<list>", '<list xml:id="y">')
    key, chain = world.ec.key, world.ec.chain_pem
    assert code(world, sign_document(twice.encode(), PLACE, key, chain)) is Code.FOREIGN_ID
    empty = once.replace('Id="x"', 'Id=""').replace('xml:id="y"', 'ID=" "')
    for good in (once, empty):
        found = judged(world, sign_document(good.encode(), PLACE, key, chain)).verdict
        assert (found.accepted, found.profile) == (True, WHOLE)


@pytest.mark.parametrize("profile", [WHOLE, MANIFEST])
def test_a_prefix_in_a_value(world: World, profile: str) -> None:
    xsi = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:p="urn:p" xsi:type="p:T"'
    changed = document().replace("<from>", f"<from {xsi}>")
    body = sealed(world, changed)
    if profile == WHOLE:
        bare = changed.replace("<!--here-->", "").replace(' Id="e1"', "").encode()
        body = sign_document(bare, PLACE, world.ec.key, world.ec.chain_pem)
    assert code(world, body) is Code.HIDDEN_NAMESPACE


# --- what no signature covers ---


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.replace('<r xmlns="urn:t">', '<r xmlns="urn:t" a="1">'),
        lambda d: d.replace('<r xmlns="urn:t">', '<r xmlns="urn:t" xml:lang="vi">'),
        lambda d: d.replace("<files>", '<files a="1">'),
        lambda d: d.replace("<file>", '<file a="1">', 1),
        lambda d: d.replace("<bulk>", '<bulk a="1">', 1),
        lambda d: d.replace("<file><id>", '<file><id a="1">', 1),
        lambda d: d.replace("<files>", "text<files>"),
        lambda d: d.replace("</r>", "text</r>"),
        lambda d: d.replace("<files>", "<files>text"),
        lambda d: d.replace("</file>", "</file>text", 1),
        lambda d: d.replace("<bulk>", "text<bulk>", 1),
        lambda d: d.replace("<files>", "<!-- c --><files>"),
        lambda d: d.replace("<file>", "<!-- c --><file>", 1),
        lambda d: d.replace("<bulk>", "<!-- c --><bulk>", 1),
        lambda d: d.replace("<r ", "<!-- c --><r "),
        lambda d: d.replace("<r ", "<?pi x?><r "),
        lambda d: d + "<!-- c -->",
        lambda d: d + "<?pi x?>",
        lambda d: d.replace("</files>", "</files><files/>"),
        lambda d: d.replace("</files>", "</files><x/>"),
        lambda d: d.replace("<files>", "<x/><files>"),
        lambda d: d.replace("</file>", "</file><x/>", 1),
        lambda d: d.replace("<file>", '<file xmlns="urn:other">', 1),
        lambda d: d.replace("<bulk>", "<note>see</note><bulk>", 1),
        lambda d: d.replace("<bulk>", "<name>twice</name><bulk>", 1),
        lambda d: d.replace("<bulk>", "<bulk>QUFB</bulk><bulk>", 1),
        lambda d: d.replace("<file><id>cid:a</id>", "<file>"),
        lambda d: d.replace("<bulk>", "<bulk><x/>", 1),
        lambda d: d.replace("<files>", "<files><file/>"),
    ],
)
def test_unsigned_content(world: World, change: Callable[[str], str]) -> None:
    changed = change(document())
    assert changed != document()
    assert code(world, sealed(world, changed)) is Code.UNSIGNED_CONTENT


def test_a_comment_in_the_bulk_is_one_in_text(world: World) -> None:
    assert (
        code(world, sealed(world, document().replace("<bulk>", "<bulk>QUFB<!-- c -->")))
        is Code.COMMENT_IN_TEXT
    )


# --- the signed lines ---


@pytest.mark.parametrize(
    "lines",
    [
        line(A) + line(B).replace("cid:b", "cid:a"),
        line(A) + line(B).replace("cid:b", " a "),
        line(A) + line(B).replace("<id>cid:b</id>", ""),
        line(A) + line(B).replace("<id>cid:b</id>", "<id></id>"),
        line(A) + line(B).replace("<id>", "<id>cid:b</id><id>"),
        line(A) + line(B).replace(digests(B.octets), ""),
        line(A) + line(B).replace(digests(B.octets), digests(B.octets) * 2),
        line(A) + line(B).replace("<name>b.pdf</name>", "<name>b.pdf</name><name>c.pdf</name>"),
        line(A) + line(B).replace("DigestValue xmlns", 'DigestValue a="1" xmlns'),
        line(A) + line(B).replace("<d:DigestMethod ", '<d:DigestMethod a="1" '),
        line(A) + line(B).replace("DigestMethod ", "DigestMetho ").replace("", ""),
        line(A)
        + digests(B.octets)
        .join(line(B).split(digests(B.octets)))
        .replace("=</d:DigestValue>", "</d:DigestValue>"),
        line(A) + line(B).replace("xmlenc#sha256", "xmldsig-more#sha384").replace("xmlenc#", "xmldsig-more#"),
    ],
)
def test_malformed_lines(world: World, lines: str) -> None:
    assert code(world, sealed(world, document(lines=lines))) in {Code.MANIFEST_MALFORMED, Code.WEAK_ALGORITHM}


@pytest.mark.parametrize("method", ["http://www.w3.org/2000/09/xmldsig#sha1", "urn:x", ""])
def test_weak_digests_of_attachments(world: World, method: str) -> None:
    lines = line(A).replace("http://www.w3.org/2001/04/xmlenc#sha256", method)
    assert code(world, sealed(world, document((A,), lines=lines))) is Code.WEAK_ALGORITHM


def test_a_digest_of_another_length(world: World) -> None:
    short = digests(A.octets, "sha256").replace("xmlenc#sha256", "xmlenc#sha512")
    lines = line(A).replace(digests(A.octets), short)
    assert code(world, sealed(world, document((A,), lines=lines))) is Code.MANIFEST_MALFORMED


def test_two_lists(world: World) -> None:
    two = document().replace("</list>", "</list><list></list>")
    assert code(world, sealed(world, two)) is Code.MANIFEST_MALFORMED
    two = document().replace("</body>", "</body><body></body>")
    assert code(world, sealed(world, two)) is Code.MANIFEST_MALFORMED


# --- attachments and lines ---


@pytest.mark.parametrize(
    "attachments",
    [
        attachment(A),
        "",
        attachment(A) + attachment(B) + attachment(replace(A, content_id="cid:c")),
        attachment(A) + attachment(A),
        attachment(A) + attachment(B) + attachment(B),
        attachment(A) + attachment(replace(B, content_id="cid:c")),
        attachment(A) + attachment(replace(B, name="other.pdf")),
        attachment(A) + attachment(B).replace("application/pdf", "text/html"),
        attachment(A) + attachment(replace(B, name="b.pdf ")),
    ],
)
def test_attachments_that_do_not_pair(world: World, attachments: str) -> None:
    assert code(world, sealed(world, document(attachments=attachments))) is Code.ATTACHMENT_MISMATCH


def test_a_description_that_no_line_has(world: World) -> None:
    lines = line(A).replace("<type>application/pdf</type>", "")
    assert code(world, sealed(world, document((A,), lines=lines))) is Code.ATTACHMENT_MISMATCH


@pytest.mark.parametrize(
    "attachments",
    [
        attachment(replace(A, octets=b"%PDF other")) + attachment(B),
        attachment(replace(A, octets=B.octets)) + attachment(replace(B, octets=A.octets)),
        attachment(A) + attachment(replace(B, octets=B.octets + b"\n")),
        attachment(A) + attachment(replace(B, octets=b"")),
        attachment(A) + attachment(B).replace("</bulk>", "*</bulk>"),
        attachment(A) + attachment(B).replace("</bulk>", "=</bulk>"),
        attachment(A) + attachment(B).replace("</bulk>", "====</bulk>"),
        attachment(A) + attachment(B).replace("</bulk>", "&#160;</bulk>"),
    ],
)
def test_altered_attachments(world: World, attachments: str) -> None:
    body = sealed(world, document()).decode()
    start, end = body.index("<files>") + 7, body.index("</files>")
    assert code(world, (body[:start] + attachments + body[end:]).encode()) is Code.ATTACHMENT_ALTERED


def test_a_second_spelling_of_the_same_octets(world: World) -> None:
    text = base64.b64encode(A.octets).decode()
    assert text.endswith("==")
    other = text[:-3] + chr(ord(text[-3]) + 1) + "=="
    assert base64.b64decode(other) == A.octets
    assert code(world, sealed(world, document((A,)).replace(text, other))) is Code.ATTACHMENT_ALTERED


# --- the signed part ---


def test_a_changed_envelope(world: World) -> None:
    body = sealed(world, document())
    assert code(world, body.replace(b"<from>H53", b"<from>G22")) is Code.DIGEST_MISMATCH
    assert code(world, body.replace(b"<list>", b"<list><x/>")) is Code.DIGEST_MISMATCH
    other = body.replace(b"<SignatureValue>M", b"<SignatureValue>N")
    if other != body:
        assert code(world, other) is Code.SIGNATURE_INVALID


def test_wrapping(world: World) -> None:
    good = sealed(world, document())
    start, end = good.index(b"<env "), good.index(b"</env>") + 6
    envelope = good[start:end]
    signature = envelope[envelope.index(b"<Signature") : envelope.index(b"</Signature>") + 12]
    false = envelope.replace(b"H53", b"G22")
    bare = false.replace(signature, b"")
    for body in (
        good.replace(envelope, false.replace(b'Id="e1"', b'Id="e2"') + b"<old>" + envelope + b"</old>"),
        good.replace(envelope, false + envelope),
        good.replace(
            envelope, false.replace(b"<body>", b"<old>" + envelope.replace(signature, b"") + b"</old><body>")
        ),
        good.replace(envelope, bare.replace(b' Id="e1"', b"") + envelope),
        good.replace(b"</files>", b"</files>" + bare),
    ):
        assert body != good
        found = world.verifier.verify(body, PLACE, pki.NOW)
        assert not found.verdict.intact
        assert found.verdict.reason in {
            Code.FOREIGN_REFERENCE,
            Code.FOREIGN_ID,
            Code.MANY_SIGNATURES,
            Code.SIGNATURE_MISPLACED,
            Code.UNSIGNED_CONTENT,
        }


# --- bulk that never meets the parser ---


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t, Code.OK),
        (lambda t: t[:-4], Code.ATTACHMENT_ALTERED),
        (lambda t: t[:400] + "\r\n" + t[400:], Code.OK),
        (lambda t: "\n".join(t[at : at + 76] for at in range(0, len(t), 76)), Code.OK),
        (lambda t: t[:50_000] + "&#13;" + t[50_000:], Code.OK),
        (lambda t: t[:50_000] + "&amp;" + t[50_000:], Code.ATTACHMENT_ALTERED),
        (lambda t: t[:50_000] + "&x;" + t[50_000:], Code.NOT_XML),
        (lambda t: t[:50_000] + "\0" + t[50_000:], Code.NOT_XML),
        (lambda t: t[:50_000] + "é" + t[50_000:], Code.ATTACHMENT_ALTERED),
        (lambda t: t[:50_000] + "<!-- -->" + t[50_000:], Code.COMMENT_IN_TEXT),
        (lambda t: "<![CDATA[" + t + "]]>", Code.OK),
        (lambda t: t[:50_000] + "<![CDATA[" + t[50_000:] + "]]>", Code.OK),
        (lambda t: "B" + t[1:], Code.ATTACHMENT_ALTERED),
        (lambda t: t + "TrucBulkText00000000", Code.ATTACHMENT_ALTERED),
    ],
)
def test_large_bulk(world: World, change: Callable[[str], str], reason: Code) -> None:
    body = sealed(world, document((A, BIG, B))).decode()
    text = base64.b64encode(BIG.octets).decode()
    changed = body.replace(text, change(text)).encode()
    assert len(changed) > cut.SMALLEST
    found = judged(world, changed)
    assert found.verdict.reason is reason


@pytest.mark.parametrize("profile", [WHOLE, MANIFEST])
@pytest.mark.parametrize(
    "change",
    [
        lambda d: d,
        lambda d: d.replace("<from>H53", "<from>TrucBulkText00000000"),
        lambda d: d.replace("<from>H53", "<from>&#84;rucBulkText00000000"),
        lambda d: d.replace("<from>H53", '<from a="&#84;rucBulkText00000000">'),
        lambda d: d.replace("<from>H53", "<from>" + "A" * 40_000),
        lambda d: d.replace("<!--here-->", f"<x><!--{'>' + 'A' * 40_000}--></x><!--here-->"),
    ],
)
def test_what_looks_like_bulk_or_its_mark(world: World, profile: str, change: Callable[[str], str]) -> None:
    files = (A, BIG, replace(BIG, content_id="cid:big2"))
    if profile == MANIFEST:
        body = sealed(world, change(document(files)))
    else:
        unsigned = change(document(files)).replace("<!--here-->", "").replace(' Id="e1"', "")
        body = sign_document(unsigned.encode(), PLACE, world.ec.key, world.ec.chain_pem)
    found = judged(world, body)
    assert (found.verdict.reason, found.verdict.profile) == (Code.OK, profile)
    full = [world.verifier.verify(body, PLACE, pki.NOW, with_opaque=True)]
    full.append(
        DocumentVerifier(world.verifier._store, engine=XmlsecEngine()).verify(
            body, PLACE, pki.NOW, with_opaque=True
        )
    )
    assert full[0] == full[1]
    assert full[0].view is not None
    held = full[0].view.root.first(q("files"))
    assert held is not None
    texts = [one.first(q("bulk")) for one in held.children]
    assert [base64.b64decode(text.text or "") for text in texts if text] == [one.octets for one in files]


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d + " " * 40_000 + "<?pi x?>",
        lambda d: d.replace("<r ", " " * 40_000 + "<r "),
        lambda d: d.replace("<from>", "<from>\n" + " " * 40_000).replace(
            "</from>", "\n" * 20_000 + "</from>"
        ),
        lambda d: d.replace("<from>", " " * 40_000 + "<from>"),
        lambda d: d.replace("<from>", f"<!--c-->{' ' * 40_000}<!--c--><from>"),
        lambda d: d.replace("<files>", "\n" * 40_000 + "<files>").replace(
            "<file>", " " * 40_000 + "<file>", 1
        ),
    ],
)
@pytest.mark.parametrize("profile", [WHOLE, MANIFEST])
def test_long_white_space_is_white_space(world: World, profile: str, change: Callable[[str], str]) -> None:
    text = change(document((A, BIG)))
    if profile == MANIFEST:
        if text.endswith("?>"):
            text = text.removesuffix("<?pi x?>")
        body = sealed(world, text)
    else:
        unsigned = text.replace("<!--here-->", "").replace(' Id="e1"', "").encode()
        body = sign_document(unsigned, PLACE, world.ec.key, world.ec.chain_pem)
    found = judged(world, body)
    assert (found.verdict.reason, found.verdict.profile) == (Code.OK, profile)


def test_tags_without_end_cost_little(world: World) -> None:
    for body in (b"<" * 8_000_000, b"<r>" + b"<a>" * 4_000_000, b"<" + b"<>" * 4_000_000):
        started = time.process_time()
        assert not world.verifier.verify(body, PLACE, pki.NOW).verdict.intact
        assert time.process_time() - started < 5


def test_much_white_space_inside_a_signature(world: World) -> None:
    body = sealed(world, document())
    wide = body.replace(b"<SignedInfo xmlns", b" \n" * 30_000 + b"<SignedInfo xmlns")
    assert judged(world, wide).verdict.accepted
    inside = body.replace(b"<SignatureMethod", b" " * 60_000 + b"<SignatureMethod")
    assert code(world, inside) is Code.SIGNATURE_INVALID


@pytest.mark.parametrize("at", [40, 60_000, -40])
def test_a_whole_document_with_changed_bulk(world: World, at: int) -> None:
    unsigned = document((BIG,)).replace("<!--here-->", "").replace(' Id="e1"', "").encode()
    body = sign_document(unsigned, PLACE, world.ec.key, world.ec.chain_pem)
    assert judged(world, body).verdict.accepted
    text = base64.b64encode(BIG.octets)
    start = body.index(text) + (at if at >= 0 else len(text) + at)
    for piece in (b"/", b"\r", b"\n"):
        changed = body[:start] + piece + body[start + 1 :]
        if changed != body:
            assert code(world, changed) is Code.DIGEST_MISMATCH


def test_bounds_hold_for_bulk_too(world: World) -> None:
    body = sealed(world, document((BIG,)))
    limits = ParseLimits(max_bytes=len(body) - 1)
    verifier = DocumentVerifier(world.verifier._store, limits)
    assert verifier.verify(body, PLACE, pki.NOW).verdict.reason is Code.TOO_LARGE
    long = sealed(world, document().replace("<from>H53", "<from>" + "A" * 70_000))
    assert code(world, long) is Code.TOO_COMPLEX


# --- signing ---


def unsigned_of(files: tuple[File, ...]) -> bytes:
    text = document(files).replace("<!--here-->", "").replace(' Id="e1"', "")
    for file in files:
        text = text.replace(digests(file.octets), "")
    return text.encode()


@pytest.mark.parametrize("files", [(), (A,), FILES, (A, BIG, B)])
@pytest.mark.parametrize("which", ["ec", "rsa"])
def test_signed_by_manifest(world: World, files: tuple[File, ...], which: str) -> None:
    signer: pki.Entity = getattr(world, which)
    unsigned = unsigned_of(files)
    body = sign_document(unsigned, PLACE, signer.key, signer.chain_pem, profile=MANIFEST)
    found = judged(world, body)
    assert (found.verdict.accepted, found.verdict.profile) == (True, MANIFEST)
    assert without_signature(body) == unsigned
    whole = sign_document(unsigned, PLACE, signer.key, signer.chain_pem)
    assert without_signature(whole) == unsigned
    assert judged(world, whole).verdict.profile == WHOLE


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d.replace(b"<env>", b'<env Id="x">'), Code.FOREIGN_ID),
        (
            lambda d: d.replace(b"</line>", digests(A.octets).encode() + b"</line>", 1),
            Code.MANIFEST_MALFORMED,
        ),
        (lambda d: d.replace(b"<line><id>cid:a</id>", b"<line>"), Code.MANIFEST_MALFORMED),
        (lambda d: d.replace(b"<line><id>cid:a", b"<line><id>cid:b"), Code.MANIFEST_MALFORMED),
        (lambda d: d.replace(b"</file>", b"<note/></file>", 1), Code.UNSIGNED_CONTENT),
        (lambda d: d.replace(b"<r ", b"<!-- --><r "), Code.UNSIGNED_CONTENT),
        (lambda d: d.replace(b"<file><id>cid:a", b"<file><id>cid:x"), Code.ATTACHMENT_MISMATCH),
        (lambda d: d.replace(b"<bulk>", b"<bulk>*", 1), Code.ATTACHMENT_ALTERED),
        (lambda d: d.replace(b"<env>", b"<x/><env>"), Code.FOREIGN_REFERENCE),
        (lambda d: d.replace(b"<header><from>H53</from></header>", b"<header/>"), Code.SIGNATURE_MISPLACED),
    ],
)
def test_what_cannot_be_signed_by_manifest(
    world: World, change: Callable[[bytes], bytes], reason: Code
) -> None:
    unsigned = change(unsigned_of(FILES))
    assert unsigned != unsigned_of(FILES)
    with pytest.raises(RefusedError) as caught:
        sign_document(unsigned, PLACE, world.ec.key, world.ec.chain_pem, profile=MANIFEST)
    assert caught.value.code is reason


def test_the_profile_that_suits(world: World) -> None:
    large = File("large.bin", bytes(MANIFEST_FROM), "cid:l")
    for files, change, profile in (
        (FILES, b"", WHOLE),
        ((large,), b"", MANIFEST),
        ((large,), b"<note/>", WHOLE),  # a child of the attachment that the manifest profile does not take
    ):
        unsigned = unsigned_of(files).replace(b"</file>", change + b"</file>")
        found = world.verifier.verify(
            sign_suitably(unsigned, PLACE, world.ec.key, world.ec.chain_pem), PLACE, pki.NOW
        )
        assert (found.verdict.accepted, found.verdict.profile) == (True, profile)
