"""Format and trust together: odd spellings are signed as they are, verified, and read from the signed view."""

from __future__ import annotations

import pytest
from lxml import etree

from adapters.edxml.attachments import received_files
from adapters.edxml.format import EdxmlFormat
from adapters.edxml.reader import survey
from adapters.edxml.schema import Mode, schema_faults
from relay.errors import Code, RefusedError
from relay.model.message import Kind
from relay.model.verdict import MANIFEST, WHOLE
from relay.trust.chain import TrustStore
from relay.trust.sign import sign_document
from relay.trust.verifier import DocumentVerifier
from tests.support.packages import build_document, build_status, kinds_of_attachments, oddities
from tests.support.pki import NOW, Entity, House, house, issue
from tests.support.spelling import SPELLINGS
from tests.support.views import view_of

EDXML = EdxmlFormat()
_MODES: tuple[Mode, ...] = ("strict", "tolerant")
FILES = tuple(kinds_of_attachments().values())
PACKAGES = {
    Kind.EDOC: build_document("H53", ["G22", "000.00.13.H53"], document_id="7", attachments=FILES),
    Kind.STATUS: build_status("G22", "H53", "7", description="Đã nhận & đang xử lý"),
}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> House:
    return house(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def signer(pki: House) -> Entity:
    return issue("Test agency", pki.issuing)


@pytest.fixture(scope="module")
def verifier(pki: House) -> DocumentVerifier:
    return DocumentVerifier(TrustStore.from_files(pki.anchors, pki.crls))


@pytest.mark.parametrize("kind", PACKAGES)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_any_spelling_is_signed_verified_and_read(
    signer: Entity, verifier: DocumentVerifier, spelling: str, kind: Kind
) -> None:
    plain = PACKAGES[kind]
    place = EDXML.place(kind)
    signed = sign_document(oddities(plain)[spelling], place, signer.key, signer.chain_pem)
    verification = verifier.verify(signed, place, NOW)
    assert verification.verdict.reason is Code.OK
    assert verification.view is not None
    assert EDXML.read(verification.view, kind) == EDXML.read(view_of(plain), kind)
    with_payloads = verifier.verify(signed, place, NOW, with_opaque=True).view
    assert with_payloads is not None
    if kind is Kind.EDOC:
        assert [file.content for file in received_files(with_payloads)] == [file.content for file in FILES]


def test_a_stub_signature_is_content_like_any_other_and_is_named(
    signer: Entity, verifier: DocumentVerifier
) -> None:
    stub = b"<edXML:Signature><edXML:SignatureValue>x</edXML:SignatureValue></edXML:Signature></edXML:edXMLHeader>"
    package = PACKAGES[Kind.EDOC].replace(b"</edXML:edXMLHeader>", stub)
    place = EDXML.place(Kind.EDOC)
    verification = verifier.verify(sign_document(package, place, signer.key, signer.chain_pem), place, NOW)
    assert verification.verdict.accepted
    assert "stub" in verification.verdict.detail
    assert verification.view is not None
    assert EDXML.read(verification.view, Kind.EDOC).document_id == "7"


def test_a_comment_cannot_split_a_code(signer: Entity) -> None:
    package = PACKAGES[Kind.EDOC].replace(b">G22<", b">G2<!-- -->2<")
    with pytest.raises(RefusedError) as caught:
        sign_document(package, EDXML.place(Kind.EDOC), signer.key, signer.chain_pem)
    assert caught.value.code is Code.COMMENT_IN_TEXT


@pytest.mark.parametrize("profile", [WHOLE, MANIFEST])
def test_signed_packages_are_those_of_the_schemas_and_of_the_reader(
    signer: Entity, verifier: DocumentVerifier, profile: str
) -> None:
    plain, place = PACKAGES[Kind.EDOC], EDXML.place(Kind.EDOC)
    signed = sign_document(plain, place, signer.key, signer.chain_pem, profile=profile)
    verification = verifier.verify(signed, place, NOW, with_opaque=True)
    assert (verification.verdict.accepted, verification.verdict.profile) == (True, profile)
    assert verification.view is not None
    assert EDXML.read(verification.view, Kind.EDOC) == EDXML.read(view_of(plain), Kind.EDOC)
    assert [file.content for file in received_files(verification.view)] == [file.content for file in FILES]
    for mode in _MODES:
        assert not schema_faults(etree.fromstring(signed), mode)
    found = survey(signed)
    assert (found.faults, found.package and found.package.kept) == ((), ())


def test_a_status_knows_the_whole_profile_alone(signer: Entity) -> None:
    with pytest.raises(RefusedError) as caught:
        sign_document(
            PACKAGES[Kind.STATUS], EDXML.place(Kind.STATUS), signer.key, signer.chain_pem, profile=MANIFEST
        )
    assert caught.value.code is Code.MANIFEST_MALFORMED
