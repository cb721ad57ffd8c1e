"""OCSP answers: whose they are, what they speak of, until when they are believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from relay.trust.certificate import Certificate, read_certificate
from relay.trust.crl import Listing, RevocationLists
from relay.trust.ocsp import MAX_ANSWER, is_error, nonce_of, question, read_answer, told
from relay.trust.outcome import Outcome
from tests.support import pki
from tests.support.authority import HOUR, answer, responder
from tests.support.pki import DAY, NOW, Entity, House

MakeHouse = Callable[[], House]


def of(entity: Entity) -> Certificate:
    return read_certificate(entity.der)


def judged(house: House, leaf: Entity, octets: bytes, *lists: bytes) -> Listing | Outcome:
    found = read_answer(octets)
    assert found is not None
    known = RevocationLists([x509.load_pem_x509_crl(one) for one in lists])
    return told(found, of(leaf), of(house.issuing), known)


def test_the_issuer_answers_for_itself(new_house: MakeHouse) -> None:
    house = new_house()
    leaf = pki.issue("Leaf", house.issuing)
    wanted = Listing(NOW - HOUR, NOW + DAY, None, "ocsp")
    assert judged(house, leaf, answer(leaf, house.issuing)) == wanted
    assert judged(house, leaf, answer(leaf, house.issuing, by_name=True)) == wanted
    assert judged(house, leaf, answer(leaf, house.issuing, certificate_id=hashes.SHA256())) == wanted
    revoked = judged(house, leaf, answer(leaf, house.issuing, revoked_at=NOW - DAY))
    assert revoked == Listing(NOW - HOUR, NOW + DAY, NOW - DAY, "ocsp")


def test_an_issuer_with_rsa(new_house: MakeHouse) -> None:
    house = new_house()
    issuing = pki.issue("RSA", house.root, ca=True, key=pki.rsa_key())
    leaf = pki.issue("Leaf", issuing)
    found = read_answer(answer(leaf, issuing))
    assert found is not None
    assert isinstance(told(found, of(leaf), of(issuing), RevocationLists([])), Listing)


def test_a_delegate_answers(new_house: MakeHouse) -> None:
    house = new_house()
    leaf = pki.issue("Leaf", house.issuing)
    delegate = responder(house.issuing, not_after=NOW + 2 * HOUR)
    listing = judged(house, leaf, answer(leaf, house.issuing, responder=delegate))
    assert listing == Listing(NOW - HOUR, NOW + 2 * HOUR, None, "ocsp"), "no longer than its own certificate"
    early = responder(house.issuing, not_before=NOW)
    listing = judged(house, leaf, answer(leaf, house.issuing, responder=early))
    assert listing == Listing(NOW, NOW + DAY, None, "ocsp"), "nor before it"


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (lambda house: responder(house.issuing, purpose=False), Outcome.NO_RIGHT),
        (lambda house: responder(house.root), Outcome.NO_RIGHT),
        (lambda house: responder(pki.issue("Test issuing", ca=True)), Outcome.NO_RIGHT),
        (lambda house: responder(house.issuing, hash_algorithm=hashes.SHA224()), Outcome.NO_RIGHT),
        (lambda house: responder(house.issuing, ca=True), Outcome.NO_RIGHT),
        (
            lambda house: responder(
                house.issuing,
                extra=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)],
            ),
            Outcome.NO_RIGHT,
        ),
        (lambda house: responder(house.issuing, nocheck=False), Outcome.NO_RIGHT),
    ],
)
def test_who_may_not_answer(new_house: MakeHouse, made: Callable[[House], Entity], wanted: Outcome) -> None:
    house = new_house()
    leaf = pki.issue("Leaf", house.issuing)
    assert judged(house, leaf, answer(leaf, house.issuing, responder=made(house))) is wanted


def test_a_key_usage_that_is_not_signing(new_house: MakeHouse) -> None:
    house = new_house()
    leaf = pki.issue("Leaf", house.issuing)
    eku = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.OCSP_SIGNING])
    delegate = pki.issue(
        "R", house.issuing, key_usage=pki.usage(crls=True), extra=[(eku, False), (x509.OCSPNoCheck(), False)]
    )
    assert judged(house, leaf, answer(leaf, house.issuing, responder=delegate)) is Outcome.NO_RIGHT


def test_a_delegate_that_has_to_be_checked(new_house: MakeHouse) -> None:
    house = new_house()
    leaf, delegate = pki.issue("Leaf", house.issuing), responder(house.issuing, nocheck=False)
    octets = answer(leaf, house.issuing, responder=delegate)
    good = pki.crl(house.issuing, next_update=NOW + HOUR)
    assert judged(house, leaf, octets, good) == Listing(NOW - HOUR, NOW + HOUR, None, "ocsp")
    revoked = pki.crl(house.issuing, [(delegate, NOW - DAY)])
    assert judged(house, leaf, octets, revoked) is Outcome.NO_RIGHT


def test_signatures_that_do_not_hold(new_house: MakeHouse) -> None:
    house = new_house()
    leaf, delegate = pki.issue("Leaf", house.issuing), responder(house.issuing)
    namesake = pki.issue("Test issuing", ca=True)
    forged = answer(leaf, house.issuing, responder=namesake, shown=False, by_name=True)
    assert judged(house, leaf, forged) is Outcome.BAD_SIGNATURE
    hidden = answer(leaf, house.issuing, responder=delegate, shown=False)
    assert judged(house, leaf, hidden) is Outcome.BAD_SIGNATURE
    weak = answer(leaf, house.issuing, digest=hashes.SHA224())
    assert judged(house, leaf, weak) is Outcome.BAD_SIGNATURE
    octets = bytearray(answer(leaf, house.issuing))
    octets[-5] ^= 1
    found = read_answer(bytes(octets))
    assert found is None or judged(house, leaf, bytes(octets)) is Outcome.BAD_SIGNATURE


def test_what_an_answer_speaks_of(new_house: MakeHouse) -> None:
    house = new_house()
    leaf, other = pki.issue("Leaf", house.issuing), pki.issue("Leaf", house.issuing)
    assert judged(house, leaf, answer(other, house.issuing)) is Outcome.OTHER_CERTIFICATE
    # the same serial number under an issuer of the same name and another key
    false = pki.issue("Test issuing", ca=True)
    assert judged(house, leaf, answer(leaf, false)) is Outcome.OTHER_CERTIFICATE
    unknown = answer(leaf, house.issuing, status=ocsp.OCSPCertStatus.UNKNOWN)
    assert judged(house, leaf, unknown) is Outcome.UNKNOWN
    assert judged(house, leaf, answer(leaf, house.issuing, next_update=None)) is Outcome.EXPIRED
    strange: list[tuple[Any, bool]] = [
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)
    ]
    assert judged(house, leaf, answer(leaf, house.issuing, extra=strange)) is Outcome.UNREADABLE


def test_reading(new_house: MakeHouse) -> None:
    house = new_house()
    leaf = pki.issue("Leaf", house.issuing)
    good = answer(leaf, house.issuing, nonce=b"n" * 16)
    found = read_answer(good)
    assert found is not None
    assert nonce_of(found) == b"n" * 16
    error = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    octets = error.public_bytes(Encoding.DER)
    assert read_answer(octets) is None
    assert is_error(octets)
    assert not is_error(good)
    for wrong in (b"", good[:-1], good + b"\x00", b"<html>", b"\x30" * (MAX_ANSWER + 1)):
        assert read_answer(wrong) is None
        assert not is_error(wrong)


def test_the_question(new_house: MakeHouse) -> None:
    house = new_house()
    leaf = pki.issue("Leaf", house.issuing)
    asked = ocsp.load_der_ocsp_request(question(of(leaf), of(house.issuing), b"n" * 32))
    assert asked.serial_number == leaf.certificate.serial_number
    assert asked.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"n" * 32
    assert not ocsp.load_der_ocsp_request(question(of(leaf), of(house.issuing))).extensions
