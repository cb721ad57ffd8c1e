"""Signing by splicing: no other byte changes, and other hands agree in both directions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from lxml import etree
from signxml.signer import XMLSigner
from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier

from relay.errors import Code, ConfigurationError, RefusedError
from relay.model.verdict import SignaturePlace
from relay.trust.sign import ReceiptSealer, load_chain, load_key, sign_document
from tests.support import jdk, pki
from tests.unit.trust.conftest import DOCUMENT, PLACE, World

PLAIN = DOCUMENT.replace(b"<!--here-->", b"")
EDXML = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
EDXML_PLACE = SignaturePlace(
    f"{{{EDXML}}}edXML",
    (f"{{{EDXML}}}edXMLEnvelope", f"{{{EDXML}}}edXMLHeader"),
    frozenset({f"{{{EDXML}}}ContentTransferEncoded"}),
)
PACKAGE = f"""<?xml version="1.0" encoding="utf-8"?>\r
<!-- made by hand -->\r
<edXML xmlns="{EDXML}" xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'>\r
 <edXML:edXMLEnvelope xmlns:edXML="{EDXML}">
  <edXML:edXMLHeader >
   <edXML:MessageHeader><edXML:From><edXML:OrganId>H53</edXML:OrganId></edXML:From><!-- c -->
    <edXML:Subject><![CDATA[V/v h&p <gấp>]]> sô\u0301 1 &#x111;</edXML:Subject></edXML:MessageHeader>
   <edXML:TraceHeaderList   mustUnderstand = '1'  id="x&quot;" />
  </edXML:edXMLHeader >
 </edXML:edXMLEnvelope>
 <AttachmentEncoded><Attachment><p:ContentTransferEncoded xmlns:p="{EDXML}">QUJD\r
REVG</p:ContentTransferEncoded></Attachment></AttachmentEncoded>
</edXML>""".encode()


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("which", ["ec", "rsa"])
@pytest.mark.parametrize(
    ("unsigned", "place"), [(PLAIN, PLACE), (PACKAGE, EDXML_PLACE), (PLAIN + b"<?pi x?>", PLACE)]
)
def test_only_the_signature_is_new(
    world: World, start: bytes, which: str, unsigned: bytes, place: SignaturePlace
) -> None:
    signer: pki.Entity = getattr(world, which)
    body = sign_document(start + unsigned, place, signer.key, signer.chain_pem)
    begin, end = body.index(b"<Signature "), body.index(b"</Signature>") + len(b"</Signature>")
    assert body[:begin] + body[end:] == start + unsigned
    assert world.verifier.verify(body, place, pki.NOW).verdict.accepted


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
def test_stronger_curves(world: World, curve: ec.EllipticCurve) -> None:
    signer = pki.issue("Strong", world.house.issuing, key=pki.ec_key(curve))
    body = sign_document(PLAIN, PLACE, signer.key, signer.chain_pem)
    assert world.verify(body).verdict.accepted


@pytest.mark.parametrize(
    ("unsigned", "code"),
    [
        (b"", Code.EMPTY_BODY),
        (PLAIN.replace(b"header", b"footer"), Code.SIGNATURE_MISPLACED),
        (PLAIN.replace(b"<bulk>", b"<header>x</header><bulk>"), Code.SIGNATURE_MISPLACED),
        (b'<r xmlns="urn:t"><header/></r>', Code.SIGNATURE_MISPLACED),
        (b'<r xmlns="urn:t"><header a="1" /> </r>', Code.SIGNATURE_MISPLACED),
        (b'<r xmlns="urn:t"><header><x xmlns="relative"/></header></r>', Code.NOT_XML),
        (b"<!DOCTYPE r>" + PLAIN[39:], Code.DTD_FORBIDDEN),
    ],
)
def test_what_cannot_be_signed(world: World, unsigned: bytes, code: Code) -> None:
    with pytest.raises(RefusedError) as caught:
        sign_document(unsigned, PLACE, world.ec.key, world.ec.chain_pem)
    assert caught.value.code is code


@pytest.mark.parametrize("inner", [b"", b"/>", b"<![CDATA[/>]]>", b"<!--/>-->", b"<x/>", b"<header/>"])
def test_content_that_looks_like_an_end(world: World, inner: bytes) -> None:
    unsigned = b'<r xmlns="urn:t"><header a="/>">' + inner + b"</header></r>"
    body = sign_document(unsigned, PLACE, world.ec.key, world.ec.chain_pem)
    assert body.startswith(unsigned[: -len(b"</header></r>")] + b"<Signature ")
    assert world.verify(body).verdict.accepted


def test_not_twice(world: World) -> None:
    body = sign_document(PLAIN, PLACE, world.ec.key, world.ec.chain_pem)
    with pytest.raises(RefusedError) as caught:
        sign_document(body, PLACE, world.ec.key, world.ec.chain_pem)
    assert caught.value.code is Code.MANY_SIGNATURES


def test_keys(world: World, tmp_path: Path) -> None:
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    key.write_bytes(world.ec.key_pem)
    chain.write_bytes(world.ec.chain_pem)
    assert world.verify(sign_document(PLAIN, PLACE, load_key(key), load_chain(chain))).verdict.accepted
    ReceiptSealer.from_files(key, chain)
    locked = world.ec.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    key.write_bytes(locked)
    assert load_key(key, b"secret").key_size == 256


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"not a key",
        lambda: pki.rsa_key(1024),
        ed25519.Ed25519PrivateKey.generate,
        lambda: pki.ec_key(ec.SECP256K1()),
    ],
)
def test_keys_that_cannot_be_used(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "key.pem"
    if callable(content):
        path.write_bytes(content().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"key\.pem") as caught:
        load_key(path)
    assert caught.value.code is Code.KEY_UNUSABLE


def test_chains_that_cannot_be_used(world: World, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        load_chain(tmp_path / "missing.pem")
    (tmp_path / "bad.pem").write_bytes(b"bad")
    with pytest.raises(ConfigurationError):
        load_chain(tmp_path / "bad.pem")
    for chain in (
        b"",
        world.rsa.chain_pem,
        b"".join(reversed(world.ec.chain_pem.partition(b"-----END CERTIFICATE-----\n"))),
    ):
        with pytest.raises(ConfigurationError) as caught:
            ReceiptSealer(world.ec.key, chain)
        assert caught.value.code is Code.KEY_UNUSABLE


@pytest.mark.parametrize("which", ["ec", "rsa"])
def test_signxml_agrees(world: World, which: str) -> None:
    signer: pki.Entity = getattr(world, which)
    body = sign_document(PACKAGE, EDXML_PLACE, signer.key, signer.chain_pem)
    found = XMLVerifier().verify(
        body,
        x509_cert=signer.pem.decode(),
        expect_config=SignatureConfiguration(location=".//", verification_time=pki.NOW),
        validate_schema=False,
    )
    assert isinstance(found, VerifyResult)
    assert found.signed_xml is not None
    assert found.signed_xml.find(f".//{{{EDXML}}}OrganId").text == "H53"


def test_signed_by_signxml(world: World) -> None:
    root = etree.fromstring(PLAIN)
    root[0].append(
        etree.fromstring('<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#" Id="placeholder"/>')
    )
    signer = XMLSigner(
        signature_algorithm="ecdsa-sha256",
        c14n_algorithm="http://www.w3.org/2001/10/xml-exc-c14n#",
    )
    chain = [each.public_bytes(Encoding.PEM).decode() for each in world.ec.chain]
    signed = signer.sign(root, key=world.ec.key, cert="".join(chain))
    body = etree.tostring(signed).replace(b' Id="placeholder"', b"")
    assert world.verify(body).verdict.accepted


@pytest.mark.jdk
def test_the_jdk_agrees(world: World, tmp_path: Path) -> None:
    names = []
    for which in ("ec", "rsa"):
        signer: pki.Entity = getattr(world, which)
        for number, (unsigned, place) in enumerate(((PLAIN, PLACE), (PACKAGE, EDXML_PLACE))):
            path = tmp_path / f"{which}{number}.xml"
            path.write_bytes(sign_document(unsigned, place, signer.key, signer.chain_pem))
            names.append(path)
    altered = tmp_path / "altered.xml"
    altered.write_bytes(names[0].read_bytes().replace(b"H53", b"H54"))
    found = jdk.verify([*names, altered])
    assert [found[name] for name in names] == ["valid"] * 4
    assert found[altered] == "invalid"


@pytest.mark.jdk
@pytest.mark.parametrize(("which", "kind"), [("ec", "EC"), ("rsa", "RSA")])
def test_signed_by_the_jdk(world: World, tmp_path: Path, which: str, kind: str) -> None:
    issuer = world.house.root  # the JDK program puts in one certificate: it has to be the anchor's own
    signer = pki.issue("Java", issuer, key=getattr(world, which).key)
    (tmp_path / "key.der").write_bytes(
        signer.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    )
    (tmp_path / "cert.der").write_bytes(signer.certificate.public_bytes(Encoding.DER))
    (tmp_path / "in.xml").write_bytes(PACKAGE)
    out = tmp_path / "out.xml"
    jdk.sign(
        tmp_path / "key.der", kind, tmp_path / "cert.der", EDXML, "edXMLHeader", [(tmp_path / "in.xml", out)]
    )
    verdict = world.verifier.verify(out.read_bytes(), EDXML_PLACE, pki.NOW).verdict
    assert verdict.accepted, verdict
    assert isinstance(signer.certificate, x509.Certificate)
