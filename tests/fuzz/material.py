"""Revocation lists, OCSP answers and certificates as targets: whatever comes, it ends in a word, and nothing that was
changed is believed.

An input that begins with ``!`` is what is signed, without a signature: the authority signs it after the mutation, so that
what stands behind a signature is reached with odd contents too.
"""

from __future__ import annotations

import datetime as dt
from functools import cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from relay.errors import Code, RefusedError
from relay.trust.certificate import Certificate, read_certificate
from relay.trust.crl import Listing, RevocationLists, Revocations
from relay.trust.ocsp import is_error, nonce_of, read_answer, told
from relay.trust.outcome import Outcome
from relay.trust.path import PathRules, Purpose, assess
from relay.trust.renew import judge_list
from relay.trust.shelf import parse_list
from tests.support import pki
from tests.support.authority import answer, points_to, responder
from tests.support.pki import NOW

_SKEW: Final = dt.timedelta(minutes=5)
_SIGNED_ANEW: Final = b"!"
_ECDSA_SHA256: Final = bytes.fromhex("300a06082a8648ce3d040302")
_BASIC: Final = bytes.fromhex("06092b0601050507300101")  # id-pkix-ocsp-basic


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    octets = size.to_bytes((size.bit_length() + 7) // 8 or 1, "big")
    length = octets if size < 128 else bytes([0x80 | len(octets)]) + octets
    return bytes([tag]) + length + content


def _signed(data: bytes) -> bytes:
    """Return what the issuing authority makes of an input that is to be signed: certificate, list or basic answer."""
    key = _authority().issuing.key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    content = data[1:60_000]
    value = key.sign(content, ec.ECDSA(hashes.SHA256()))
    return _der(0x30, content + _ECDSA_SHA256 + _der(0x03, b"\0" + value))


def _answered(data: bytes) -> bytes:
    """Return the same as an OCSP response (RFC 6960, 4.2.1)."""
    basic = _der(0x30, _BASIC + _der(0x04, _signed(data)))
    return _der(0x30, _der(0x0A, b"\0") + _der(0xA0, basic))


class _Authority:
    """Made once for each process, with keys and numbers that are always the same: so is what they sign."""

    def __init__(self) -> None:
        self.root = pki.issue("Root", ca=True, serial=1, key=ec.derive_private_key(7, ec.SECP256R1()))
        names = x509.NameConstraints(
            [x509.DNSName("a.vn"), x509.RFC822Name("a.vn")], [x509.DNSName("b.a.vn")]
        )
        self.issuing = pki.issue(
            "Issuing",
            self.root,
            ca=True,
            path_length=0,
            serial=2,
            key=ec.derive_private_key(8, ec.SECP256R1()),
            extra=[
                (names, True),
                (x509.PolicyConstraints(0, None), True),
                (x509.InhibitAnyPolicy(0), True),
                _policy(),
            ],
        )
        alternatives = x509.SubjectAlternativeName([x509.DNSName("x.a.vn"), x509.RFC822Name("x@a.vn")])
        where = points_to(lists=["http://a.vn/l.crl"], responders=["http://a.vn/o"])
        self.leaf = pki.issue(
            "Leaf",
            self.issuing,
            serial=3,
            key=ec.derive_private_key(9, ec.SECP256R1()),
            extra=[(alternatives, False), _policy(), *where],
        )
        self.other = pki.issue("Other", self.issuing, serial=4, extra=[_policy()])
        self.delegate = responder(self.issuing, serial=5, key=ec.derive_private_key(10, ec.SECP256R1()))
        self.certificates = {
            name: read_certificate(one.der)
            for name, one in (("root", self.root), ("issuing", self.issuing), ("leaf", self.leaf))
        }

    def lists(self) -> tuple[bytes, ...]:
        number = (x509.CRLNumber(7), False)
        point = x509.IssuingDistributionPoint(
            full_name=[x509.UniformResourceIdentifier("http://a.vn/l.crl")],
            relative_name=None,
            only_contains_user_certs=True,
            only_contains_ca_certs=False,
            only_some_reasons=None,
            indirect_crl=False,
            only_contains_attribute_certs=False,
        )
        pems = (
            pki.crl(self.issuing, extra=[number]),
            pki.crl(self.issuing, [(self.leaf, NOW), (self.other, NOW)], extra=[number, (point, True)]),
        )
        ders = tuple(x509.load_pem_x509_crl(one).public_bytes(Encoding.DER) for one in pems)
        return (*ders, pems[0])

    def answers(self) -> tuple[bytes, ...]:
        error = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
        return (
            answer(self.leaf, self.issuing, nonce=b"n" * 16),
            answer(self.leaf, self.issuing, revoked_at=NOW, by_name=True),
            answer(self.leaf, self.issuing, responder=self.delegate),
            error.public_bytes(Encoding.DER),
        )


def _policy() -> tuple[x509.ExtensionType, bool]:
    return x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.704.1"), None)]), False


@cache
def _authority() -> _Authority:
    return _Authority()


@cache
def seeds(target: str) -> tuple[bytes, ...]:
    """Return where a target's inputs start from."""
    own = _authority()
    if target == "revocation-list":
        lists = own.lists()
        contents = [x509.load_der_x509_crl(one).tbs_certlist_bytes for one in lists[:2]]
        return (*lists, *(_SIGNED_ANEW + one for one in contents))
    if target == "ocsp-answer":
        answers = own.answers()
        contents = [ocsp.load_der_ocsp_response(one).tbs_response_bytes for one in answers[:3]]
        return (*answers, *(_SIGNED_ANEW + one for one in contents))
    held = own.leaf, own.issuing
    contents = [one.certificate.tbs_certificate_bytes for one in held]
    return (*(one.der for one in held), *(_SIGNED_ANEW + one for one in contents))


@cache
def _known_lists() -> frozenset[bytes]:
    parsed = (parse_list(one) for one in _authority().lists())
    return frozenset(one.tbs_certlist_bytes for one in parsed if one is not None)


@cache
def _known_words() -> frozenset[tuple[object, ...]]:
    return frozenset(_word(one) for one in _authority().answers())


def _word(data: bytes) -> tuple[object, ...]:
    found = read_answer(data)
    if found is None:
        return ()
    own = _authority().certificates
    said = told(found, own["leaf"], own["issuing"], RevocationLists([]))
    return (said.this_update, said.next_update, said.revoked_at) if isinstance(said, Listing) else ()


def fuzz_list(data: bytes) -> None:
    """A list is refused, or is one that the authority signed."""
    issuing = _authority().certificates["issuing"]
    if data.startswith(_SIGNED_ANEW):
        anew = _signed(data)
        judge_list(anew, None, {issuing.x509.subject.public_bytes(): [issuing]}, NOW, _SKEW)
        if (made := parse_list(anew)) is not None:
            RevocationLists([made]).of(_authority().certificates["leaf"], issuing)
        return
    outcome, der = judge_list(data, None, {issuing.x509.subject.public_bytes(): [issuing]}, NOW, _SKEW)
    if outcome is Outcome.TAKEN:
        taken = parse_list(der)
        assert taken is not None
        # of what was signed no bit: the encoding of a signature has more forms than one
        assert taken.tbs_certlist_bytes in _known_lists()
    found = parse_list(data)
    if found is not None:
        lists = RevocationLists([found])
        for listing in lists.of(_authority().certificates["leaf"], issuing):
            assert found.tbs_certlist_bytes in _known_lists(), listing


def fuzz_answer(data: bytes) -> None:
    """An answer says nothing, or what the authority said."""
    if data.startswith(_SIGNED_ANEW):
        _word(_answered(data))
        return
    word = _word(data)
    assert not word or word in _known_words()
    assert not word or not is_error(data)
    if (found := read_answer(data)) is not None:
        nonce_of(found)


def fuzz_certificate(data: bytes) -> None:
    """A certificate is refused by a code, or is one that was issued; as a leaf and on the way to an anchor."""
    own = _authority().certificates
    anew = data.startswith(_SIGNED_ANEW)
    try:
        made = read_certificate(_signed(data) if anew else data)
    except RefusedError:
        return
    anchors = {own["root"].x509.subject.public_bytes(): [own["root"]]}
    lists = RevocationLists([], frozenset({own["root"].sha256}))
    rules = PathRules(policies=frozenset({"1.2.704.1"}))
    for chain in ([made, own["issuing"]], [own["leaf"], made], [made, made]):
        result = assess(chain, Purpose.DOCUMENT, anchors, Revocations(lists), rules=rules).at(NOW)
        assert "surprise" not in result.detail, result.detail
        if result.code is Code.OK and not anew:
            assert _issued(result.chain)


def _issued(chain: tuple[Certificate, ...]) -> bool:
    known = {one.x509.tbs_certificate_bytes for one in _authority().certificates.values()}
    return {one.x509.tbs_certificate_bytes for one in chain} <= known
