"""The verifier under any bytes, with signatures that fit what the mutations made of a document.

A seed holds ``@chain@``, ``@digest@`` and ``@value@`` where certificates, digest and signature value stand; they are filled
in after the mutation, so an input gets as deep as its structure lets it, and the same seed gives the same inputs with
any keys. What is left of them by a mutation is filled in, what is not is not.
"""

from __future__ import annotations

import base64
import hashlib
import random
import re
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from lxml import etree

from adapters.edxml.facts import AttachedFile
from adapters.edxml.format import EdxmlFormat
from relay.errors import Code, RefusedError
from relay.model.elements import Elements
from relay.model.message import Kind
from relay.model.verdict import MANIFEST, REASONS, Node, ParseLimits, SignaturePlace, Verification
from relay.trust.certificate import Certificate, read_certificate
from relay.trust.chain import TrustStore
from relay.trust.engine import XmlsecEngine
from relay.trust.sign import sign_document
from relay.trust.signature import SignatureParts, read
from relay.trust.verifier import DocumentVerifier
from tests.support import pki
from tests.support.packages import build_document, build_status
from tests.support.xmlsign import DIGEST_URIS, DS, key_info

CHAIN: Final = b"@chain@"
DIGEST: Final = b"@digest@"
VALUE: Final = b"@value@"
TOKENS: Final = (
    *(CHAIN, DIGEST, VALUE, b'URI=""', b'URI="#signed"', b' Id="signed"', b' Id="x"', b' xml:id="signed"'),
    *(b"<Object>", b"</Object>", b"<KeyInfo>", b"</KeyInfo>", b"<KeyName>", b"<SignedInfo>", b"</Reference>"),
    *(
        b"<X509Data>",
        b"</X509Data>",
        b"<Transforms>",
        b"</Transforms>",
        b"rsa-sha256",
        b"sha1",
        b"sha512",
        b"sha384",
    ),
    *(
        b"WithComments",
        b"<InclusiveNamespaces/>",
        b'xmlns=""',
        b'xmlns:p="urn:p"',
        b' p:Id="a"',
        b' xsi:type="p:q"',
    ),
    *(
        b"cid:",
        b"=",
        b"====",
        b"&#13;",
        b"\r\n",
        b"<!-- -->",
        b"<?x?>",
        b"<![CDATA[",
        b"<![CDATA[ ]]>",
        b"]]>",
        b"&#84;",
        b"TrucBulkText00000000",
    ),
    *(b"A" * 40_000, b"</edXML:edXMLHeader>", b"<AttachmentEncoded/>", b"<Attachment/>", b" "),
)
_ATTRIBUTES: Final = (
    *(
        b' Id="signed"',
        b' Id="x"',
        b' ID="y"',
        b' a="1"',
        b' xmlns="urn:x"',
        b' xmlns:edXML="urn:x"',
        b' xml:lang="vi"',
    ),
    b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="x"',
)
_START: Final = re.compile(rb"<([A-Za-z:]+)[\s>]")
_FORMAT: Final = EdxmlFormat()
_PARSER: Final = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)


class _CheckByCheck(DocumentVerifier):
    """Reads no signature at one look, makes every canonical form, and keeps nothing."""

    def as_written(self, octets: bytes, opaque: frozenset[str]) -> Elements | None:
        return None

    def signature(
        self, element: Any, *, by_manifest: bool, octets: bytes = b""
    ) -> tuple[SignatureParts, tuple[Certificate, ...]]:
        parts = read(element, by_manifest=by_manifest)
        return parts, tuple(read_certificate(der) for der in parts.certificates)


@dataclass(frozen=True)
class _World:
    signer: pki.Entity
    fast: DocumentVerifier
    judge: DocumentVerifier
    chain: bytes


@cache
def _world() -> _World:
    with tempfile.TemporaryDirectory() as folder:
        house = pki.house(Path(folder))
        store = TrustStore.from_files(house.anchors, house.crls, monotonic=lambda: 0.0)
    signer = pki.issue("Fuzz", house.issuing)
    limits = ParseLimits(max_bytes=1024 * 1024)
    return _World(
        signer,
        DocumentVerifier(store, limits),
        _CheckByCheck(store, limits, XmlsecEngine()),
        key_info(signer).removeprefix("<KeyInfo><X509Data>").removesuffix("</X509Data></KeyInfo>").encode(),
    )


@cache
def signature_seeds() -> tuple[bytes, ...]:
    """Return documents and statuses of both profiles with open places where keys come in."""
    files = (
        AttachedFile("a.pdf", b"%PDF-1.4 a", "application/pdf"),
        AttachedFile("b.txt", b"b" * 200, "text/plain"),
    )
    bulk = (AttachedFile("c.bin", bytes(range(256)) * 100, "application/pdf"), files[0])
    plain = [
        (build_document("H53", ["G22"], document_id="7"), Kind.EDOC, "whole"),
        (build_document("H53", ["G22", "H29"], document_id="8", attachments=files), Kind.EDOC, "whole"),
        (build_document("H53", ["G22", "H29"], document_id="9", attachments=files), Kind.EDOC, "manifest"),
        (build_document("H53", ["G22"], document_id="10"), Kind.EDOC, "manifest"),
        (build_document("H53", ["G22"], document_id="11", attachments=bulk), Kind.EDOC, "whole"),
        (build_document("H53", ["G22"], document_id="12", attachments=bulk), Kind.EDOC, "manifest"),
        (build_document("H53", ["G22"], document_id="13", attachments=files), Kind.EDOC, "manifest"),
        (build_status("G22", "H53", "7", description="Đã nhận"), Kind.STATUS, "whole"),
    ]
    signer = _world().signer
    return tuple(
        _opened(sign_document(body, _FORMAT.place(kind), signer.key, signer.chain_pem, profile=profile))
        for body, kind, profile in plain
    )


def _opened(signed: bytes) -> bytes:
    for tag, mark in ((b"SignatureValue", VALUE), (b"X509Data", CHAIN)):
        start, end = signed.rindex(b"<%b>" % tag) + len(tag) + 2, signed.rindex(b"</%b>" % tag)
        signed = signed[:start] + mark + signed[end:]
    start = signed.index(b"<Signature ")
    at = signed.index(b"<DigestValue>", start) + len(b"<DigestValue>")
    return signed[:at] + DIGEST + signed[signed.index(b"<", at) :]


def change_elements(body: bytearray, rng: random.Random) -> None:
    """Do something to whole elements, so that what comes out is well-formed more often than not."""
    spans = []
    for _ in range(2):
        tag = rng.choice(_START.findall(body) or [b""])
        starts = [one.start() for one in re.finditer(b"<" + re.escape(tag) + rb"(?=[\s>])", body)]
        if not tag or not starts:
            return
        start = rng.choice(starts)
        close = b"</" + tag + b">"
        end = body.find(close, start)
        spans.append((start, len(body) if end < 0 else end + len(close)))
    (start, end), (other, other_end) = spans
    piece, inside = bytes(body[start:end]), body.find(b">", start) + 1
    how = rng.randrange(8)
    if how == 0:
        del body[start:end]
    elif how == 1:
        body[end:end] = piece
    elif how == 2:
        body[other:other] = piece
    elif how == 3:
        body[start:end] = body[other:other_end]
    elif how == 4:
        body[start:end] = b"<x>" + piece + b"</x>"
    elif how == 5:
        body[inside:inside] = rng.choice(TOKENS)
    elif how == 6:
        body[inside - 1 : inside - 1] = rng.choice(_ATTRIBUTES)
    else:
        body[end:end] = rng.choice((b" ", b"text", b"<!-- -->", b"\n", b"<x/>"))


def filled(data: bytes) -> bytes:
    """Return an input with its signature made true, as far as one can be made of it."""
    body = data.replace(CHAIN, _world().chain)
    if DIGEST not in body and VALUE not in body:
        return body
    signature = _signature(body)
    digest, value = b"", b""
    if signature is not None:
        info = signature.find(f"{{{DS}}}SignedInfo")
        octets = None if info is None else _canonical(info)  # before the signature is taken out of its tree
        digest = _digest(signature) if DIGEST in body else b""
        if octets is not None and VALUE in body:
            value = _value(info, octets.replace(DIGEST, digest))
    return body.replace(DIGEST, digest).replace(VALUE, value)


def _signature(body: bytes) -> Any:
    try:
        return next(etree.fromstring(body, _PARSER).iter(f"{{{DS}}}Signature"), None)
    except (etree.LxmlError, ValueError, LookupError):
        return None


def _canonical(element: Any) -> bytes | None:
    try:
        octets: bytes = etree.tostring(element, method="c14n", exclusive=True, with_comments=False)
    except (etree.LxmlError, ValueError):
        return None
    return octets


def _digest(signature: Any) -> bytes:
    reference = next(signature.iter(f"{{{DS}}}Reference"), None)
    method = None if reference is None else reference.find(f"{{{DS}}}DigestMethod")
    name = {uri: name for name, uri in DIGEST_URIS.items()}.get(
        "" if method is None else method.get("Algorithm", ""), "sha256"
    )
    root = signature.getroottree()
    target: Any = root
    uri = "" if reference is None else reference.get("URI", "")
    if uri.startswith("#"):
        target = next((one for one in root.iter(etree.Element) if uri[1:] in one.attrib.values()), None)
    if target is None or signature.getparent() is None:
        return b""
    _take_out(signature)
    octets = _canonical(target)
    return b"" if octets is None else base64.b64encode(hashlib.new(name, octets).digest())


def _take_out(signature: Any) -> None:
    parent, tail = signature.getparent(), signature.tail
    if tail:
        before = signature.getprevious()
        if before is None:
            parent.text = (parent.text or "") + tail
        else:
            before.tail = (before.tail or "") + tail
    parent.remove(signature)


def _value(info: Any, octets: bytes) -> bytes:
    method = info.find(f"{{{DS}}}SignatureMethod")
    algorithm = "" if method is None else method.get("Algorithm", "")
    chosen = (
        hashes.SHA384() if "384" in algorithm else hashes.SHA512() if "512" in algorithm else hashes.SHA256()
    )
    key = _world().signer.key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(key.sign(octets, ec.ECDSA(chosen)))
    return base64.b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def fuzz_signature(data: bytes) -> None:
    """Verify an input, filled in; where it comes to arithmetic also by libxmlsec1, check by check and without what is known
    of earlier documents. What is intact reads as another reader reads it."""
    world = _world()
    body = filled(data)
    kind = Kind.STATUS if b"StatusCode>" in body else Kind.EDOC
    place = _FORMAT.place(kind)
    found = world.fast.verify(body, place, pki.NOW)
    _sound(found)
    if found.verdict.intact or found.verdict.reason in {Code.DIGEST_MISMATCH, Code.SIGNATURE_INVALID}:
        judged = world.judge.verify(body, place, pki.NOW)
        assert judged == found, (judged.verdict, found.verdict)
    if found.view is not None:
        _reads(found, body, place)
        try:
            _FORMAT.read(found.view, kind)
        except RefusedError:
            pass


def _reads(found: Verification, body: bytes, place: SignaturePlace) -> None:
    """Hold the view against the tree of the whole body."""
    assert found.view is not None
    root = etree.fromstring(body, _PARSER)
    _take_out(next(root.iter(f"{{{DS}}}Signature")))
    seen = found.view.root
    if found.verdict.profile == MANIFEST:
        assert (seen.tag, seen.text or "", seen.attributes) == (root.tag, "", ())
        seen, root = seen.children[0], root[0]
    _same(seen, root, place.opaque)


def _same(seen: Node, element: Any, opaque: frozenset[str]) -> None:
    inside = [each for each in element if isinstance(each.tag, str)]
    assert (seen.tag, len(seen.children)) == (element.tag, len(inside))
    assert dict(seen.attributes) == dict(element.attrib)
    if seen.tag not in opaque:
        assert seen.text == (element.text or "") + "".join(each.tail or "" for each in element)
    for node, each in zip(seen.children, inside, strict=True):
        _same(node, each, opaque)


def _sound(found: Verification) -> None:
    verdict = found.verdict
    assert verdict.reason in REASONS, verdict
    assert "surprise" not in verdict.detail, verdict
    assert (found.view is None) is not verdict.intact
    assert verdict.intact or not verdict.trusted
    assert verdict.accepted is (verdict.reason is Code.OK)
