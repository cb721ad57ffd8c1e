"""Receipts: written, sealed, read, verified; by our hands and by others'."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier

from relay.errors import Code, RefusedError
from relay.errors.catalogue import entry
from relay.evidence import receipts
from relay.evidence.receipts import ReceiptVerifier, read, sign, verify_receipt, write
from relay.model.receipt import LineState, Receipt, ReceiptKind, RecipientLine
from relay.model.verdict import Verdict
from relay.resources import shipped
from relay.trust.chain import TrustStore
from relay.trust.sign import ReceiptSealer, sign_document
from tests.support import jdk, pki
from tests.support.verdicts import ATTACHMENTS

DS = "{http://www.w3.org/2000/09/xmldsig#}"
SHA = "0123456789abcdef" * 4
ID = "5b6ad1e2-41f6-5c0b-8f0e-8a2c1c3b7a11"
OK = Verdict(True, True, Code.OK, pki.NOW, 'CN=Sở A & B,O="Hà Nội"', SHA, "ecdsa-sha256")
LINE = RecipientLine("000.01.15.H26", "H26.15.01", LineState.QUEUED, None, ID, pki.NOW)
BASE = Receipt(
    kind=ReceiptKind.ACKNOWLEDGEMENT,
    accepted=True,
    relay="truc-test",
    number="w1-42",
    at=pki.NOW + timedelta(milliseconds=500),
    code=None,
    transport_id="3f1e4c52-7a40-4a8e-9a55-0d8ae27c9d10",
    sender="H53",
    document_kind="edoc",
    body_sha256=SHA,
    body_bytes=5120,
    document_id="12/2030",
    verdict=OK,
    recipients=(LINE,),
)
REFUSED_LINE = replace(
    LINE,
    resolved="",
    state=LineState.REFUSED,
    outcome_code=Code.RECIPIENT_CLOSED,
    delivery_id="",
    detail="H26.15.02, H26.15.03",
)
SAMPLES = {
    "accepted": BASE,
    "some refused": replace(BASE, recipients=(LINE, REFUSED_LINE)),
    "same content": replace(BASE, code=Code.SAME_CONTENT),
    "not xml": replace(
        BASE,
        accepted=False,
        code=Code.NOT_XML,
        detail="line 3 <&> \x00\x1f \ud800",
        transport_id="<&>\"'\t\n\r\x00\ufffe\ud800]]>",
        sender="",
        document_kind="\x07odd",
        document_id="",
        verdict=replace(
            OK, intact=False, trusted=False, reason=Code.NOT_XML, signer="", certificate_sha256=""
        ),
        recipients=(),
    ),
    "nothing known": replace(
        BASE,
        accepted=False,
        code=Code.EMPTY_BODY,
        transport_id="",
        sender="",
        verdict=None,
        recipients=(),
        body_bytes=0,
    ),
    "delivered": replace(
        BASE, kind=ReceiptKind.OUTCOME, recipients=(replace(LINE, state=LineState.DELIVERED), REFUSED_LINE)
    ),
    "overdue": replace(
        BASE,
        kind=ReceiptKind.OUTCOME,
        code=Code.OVERDUE,
        recipients=(replace(LINE, state=LineState.OVERDUE, outcome_code=Code.OVERDUE),),
    ),
    "held": replace(
        BASE,
        kind=ReceiptKind.HELD,
        code=Code.REJECTED_BY_GATEWAY,
        recipients=(replace(LINE, state=LineState.HELD),),
        detail="3 times",
    ),
    "attachment": replace(BASE, kind=ReceiptKind.ATTACHMENT_VERDICT, recipients=(), attachments=ATTACHMENTS),
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> pki.House:
    return pki.house(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def relay(house: pki.House) -> pki.Entity:
    return pki.issue("Relay", house.issuing, relay="truc-test")


@pytest.fixture(scope="module")
def sealer(relay: pki.Entity) -> ReceiptSealer:
    return ReceiptSealer(relay.key, relay.chain_pem)


@pytest.fixture(scope="module")
def verifier(house: pki.House) -> ReceiptVerifier:
    return ReceiptVerifier(TrustStore.from_files(house.anchors, house.crls))


@pytest.fixture(scope="module")
def schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(shipped("schemas/receipt.xsd"))))


@pytest.fixture(params=sorted(SAMPLES))
def sample(request: pytest.FixtureRequest) -> Receipt:
    return SAMPLES[request.param]


def test_every_kind_is_among_the_samples() -> None:
    assert {receipt.kind for receipt in SAMPLES.values()} == set(ReceiptKind)


def test_the_writing_is_canonical(sample: Receipt, sealer: ReceiptSealer) -> None:
    for octets in (write(sample), sealer.seal(write(sample))):
        assert etree.tostring(etree.fromstring(octets), method="c14n", exclusive=True) == octets


def test_the_schema_takes_it(sample: Receipt, sealer: ReceiptSealer, schema: etree.XMLSchema) -> None:
    schema.assertValid(etree.fromstring(sealer.seal(write(sample))))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b' kind="acknowledgement"', b' kind="other"'),
        (b' kind="acknowledgement"', b""),
        (b' result="accepted"', b' result="maybe"'),
        (b' code="" kind', b' code="lower" kind'),
        (SHA.encode(), b"00"),
        (b' state="queued"', b' state="gone"'),
        (b' bytes="5120"', b' bytes="-1"'),
        (b"</document>", b"</document><document/>"),
        (b"<verdict ", b"<verdict more='1' "),
        (b"T03:02:01.500Z", b"T03:02:01+07:00"),
        (b"urn:truc:receipt:1", b"urn:truc:receipt:2"),
    ],
)
def test_the_schema_refuses(sealer: ReceiptSealer, schema: etree.XMLSchema, old: bytes, new: bytes) -> None:
    octets = sealer.seal(write(BASE))
    assert old in octets
    assert not schema.validate(etree.fromstring(octets.replace(old, new)))


def test_the_schema_wants_a_signature(schema: etree.XMLSchema) -> None:
    assert not schema.validate(etree.fromstring(write(BASE)))


def test_what_is_written_is_read(sample: Receipt) -> None:
    found = read(write(sample))
    assert (found.kind, found.accepted, found.relay, found.number) == (
        sample.kind,
        sample.accepted,
        sample.relay,
        sample.number,
    )
    assert (found.at, found.code, found.sender) == (sample.at, sample.code or "", sample.sender)
    assert (found.body_sha256, found.body_bytes, found.document_id) == (
        sample.body_sha256,
        sample.body_bytes,
        sample.document_id,
    )
    assert [
        (line.code, line.resolved, line.state, line.outcome_code, line.delivery_id, line.at)
        for line in found.recipients
    ] == [
        (line.code, line.resolved, line.state, line.outcome_code or "", line.delivery_id, line.at)
        for line in sample.recipients
    ]
    if sample.verdict is None:
        assert found.verdict is None
    else:
        assert found.verdict is not None
        assert (found.verdict.signer, found.verdict.reason) == (sample.verdict.signer, sample.verdict.reason)
    assert (found.error is None) is (sample.code is None)


def test_odd_characters(sealer: ReceiptSealer) -> None:
    found = read(sealer.seal(write(SAMPLES["not xml"])))
    assert found.transport_id == "<&>\"'\t\n\r\ufffd\ufffd\ufffd]]>"
    assert found.document_kind == "\ufffdodd"
    assert found.error is not None
    assert (
        found.error.messages["en"] == entry(Code.NOT_XML).message["en"] + " (line 3 <&> \ufffd\ufffd \ufffd)"
    )
    assert found.error.messages["vi"].startswith(entry(Code.NOT_XML).message["vi"])


def test_candidates_are_named_at_the_recipient() -> None:
    line = read(write(SAMPLES["some refused"])).recipients[1]
    assert "H26.15.02, H26.15.03" in line.messages["vi"]
    assert set(line.messages) == {"vi", "en"}


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=30))
def test_any_text_survives_or_is_replaced(text: str) -> None:
    octets = write(replace(BASE, transport_id=text, code=Code.NOT_XML, detail=text))
    assert etree.tostring(etree.fromstring(octets), method="c14n", exclusive=True) == octets
    found = read(octets).transport_id
    assert len(found) == len(text)
    assert all(a in (b, "\ufffd") for a, b in zip(found, text, strict=True))


def test_signed_receipt(sealer: ReceiptSealer) -> None:
    signed = sign(SAMPLES["same content"], sealer, to="H53", correlation_id="c", message_id="m")
    assert (signed.number, signed.kind, signed.accepted, signed.code) == (
        "w1-42",
        ReceiptKind.ACKNOWLEDGEMENT,
        True,
        "SAME-CONTENT",
    )
    assert (signed.to, signed.correlation_id, signed.message_id, signed.at) == ("H53", "c", "m", BASE.at)


def test_verified(sample: Receipt, sealer: ReceiptSealer, verifier: ReceiptVerifier) -> None:
    found = verifier.verify(sealer.seal(write(sample)), pki.NOW, "truc-test")
    assert found.accepted
    assert found.receipt == read(write(sample))


def test_with_rsa(house: pki.House, verifier: ReceiptVerifier) -> None:
    entity = pki.issue("Relay", house.issuing, relay="truc-test", key=pki.rsa_key())
    octets = ReceiptSealer(entity.key, entity.chain_pem).seal(write(BASE))
    assert verifier.verify(octets, pki.NOW).accepted


def test_not_verified(
    house: pki.House, sealer: ReceiptSealer, verifier: ReceiptVerifier, tmp_path: Path
) -> None:
    octets = sealer.seal(write(BASE))

    def code(body: bytes, name: str | None = None) -> Code:
        found = verifier.verify(body, pki.NOW, name)
        assert not found.accepted
        return found.verdict.reason

    def by(entity: pki.Entity, receipt: bytes = write(BASE)) -> bytes:
        return ReceiptSealer(entity.key, entity.chain_pem).seal(receipt)

    assert code(octets, "another") is Code.RECEIPT_INVALID
    assert code(octets.replace(b"H53", b"H54")) is Code.DIGEST_MISMATCH
    assert code(write(BASE)) is Code.UNSIGNED
    assert code(b"") is Code.EMPTY_BODY
    assert code(by(pki.issue("Other relay", house.issuing, relay="other"))) is Code.RECEIPT_INVALID
    assert code(by(pki.issue("Agency", house.issuing))) is Code.BAD_CERTIFICATE
    stranger = pki.house(tmp_path / "stranger")
    assert code(by(pki.issue("Relay", stranger.issuing, relay="truc-test"))) is Code.UNKNOWN_CA
    good = pki.issue("Relay", house.issuing, relay="truc-test")
    assert code(by(good, write(BASE).replace(b"accepted", b"whatever"))) is Code.RECEIPT_INVALID
    assert code(by(good, write(BASE).replace(b' number="w1-42"', b""))) is Code.RECEIPT_INVALID
    assert verify_receipt(octets, TrustStore.from_files(house.anchors, house.crls), pki.NOW).accepted


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b' kind="acknowledgement"', b' kind="other"'),
        (b"Z", b""),
        (b' intact="true"', b' intact="1"'),
        (b"<document ", b"<documents "),
        (b' bytes="5120"', b' bytes="x"'),
    ],
)
def test_what_is_no_receipt(old: bytes, new: bytes) -> None:
    octets = (
        write(BASE)
        .replace(old, new)
        .replace(b"</document>", b"</" + new[1:-1] + b">" if b"ments" in new else b"</document>")
    )
    with pytest.raises(RefusedError) as caught:
        read(octets)
    assert caught.value.code is Code.RECEIPT_INVALID


# --- other hands ---


def _third_hand(octets: bytes, key: Any) -> None:
    """Check with nothing but a canonicaliser, a hash and a key: what the standard says, step by step."""
    root = etree.fromstring(octets)
    signature = root[-1]
    assert signature.tag == f"{DS}Signature"
    info = etree.tostring(signature.find(f"{DS}SignedInfo"), method="c14n", exclusive=True)
    value = base64.b64decode(signature.findtext(f"{DS}SignatureValue"))
    digest = base64.b64decode(signature.findtext(f".//{DS}DigestValue"))
    root.remove(signature)
    assert hashlib.sha256(etree.tostring(root, method="c14n", exclusive=True)).digest() == digest
    half = len(value) // 2
    r, s = int.from_bytes(value[:half], "big"), int.from_bytes(value[half:], "big")
    key.verify(encode_dss_signature(r, s), info, ec.ECDSA(hashes.SHA256()))


def test_a_third_hand(sample: Receipt, sealer: ReceiptSealer, relay: pki.Entity) -> None:
    octets = sealer.seal(write(sample))
    _third_hand(octets, relay.key.public_key())
    found = XMLVerifier().verify(
        octets,
        x509_cert=relay.pem.decode(),
        validate_schema=False,
        expect_config=SignatureConfiguration(verification_time=pki.NOW),
    )
    assert isinstance(found, VerifyResult)
    assert found.signed_xml is not None


@pytest.mark.jdk
def test_the_jdk(sealer: ReceiptSealer, tmp_path: Path) -> None:
    paths = []
    for number, receipt in enumerate(SAMPLES.values()):
        paths.append(tmp_path / f"{number}.xml")
        paths[-1].write_bytes(sealer.seal(write(receipt)))
    altered = tmp_path / "altered.xml"
    altered.write_bytes(paths[0].read_bytes().replace(b"H53", b"H54"))
    found = jdk.verify([*paths, altered])
    assert [found[path] for path in paths] == ["valid"] * len(SAMPLES)
    assert found[altered] == "invalid"


def test_a_relays_certificate_signs_no_document(house: pki.House, relay: pki.Entity) -> None:
    from relay.trust.verifier import DocumentVerifier

    body = sign_document(write(BASE), receipts.PLACE, relay.key, relay.chain_pem)
    verifier = DocumentVerifier(TrustStore.from_files(house.anchors, house.crls))
    verdict = verifier.verify(body, receipts.PLACE, pki.NOW).verdict
    assert (verdict.intact, verdict.trusted, verdict.reason) == (True, False, Code.BAD_CERTIFICATE)
