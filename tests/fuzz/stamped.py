"""Time-stamps, signed directories and proofs of possession as targets: whatever comes is refused by one of the project's
own errors, and nothing is believed that was not signed."""

from __future__ import annotations

import hashlib
import re
import tempfile
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Final

from asn1crypto import cms, tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from relay.directory import edition as ed
from relay.errors import Code, ConfigurationError, RefusedError
from relay.model.agency import Agency
from relay.model.levels import Level
from relay.trust.certificate import Certificate, read_certificate
from relay.trust.chain import TrustStore
from relay.trust.detached import sign_detached
from relay.trust.possession import challenge_text, prove, requested_by, signed_by
from relay.trust.sign import PrivateKey
from relay.trust.timestamp import TokenJudge, question, read_answer
from tests.support import pki, tsa
from tests.support.pki import DAY, NOW

_NONCE: Final = 77
_SIGNED_ANEW: Final = b"!"
"""An input of the target ``edition`` that begins so is signed after the mutation, to get behind the signature."""

DER_TOKENS: Final = (
    *(
        b"\x30\x80",
        b"\x00\x00",
        b"\x30\x00",
        b"\x02\x01\x01",
        b"\x02\x00",
        b"\x05\x00",
        b"\x31\x00",
        b"\x04\x00",
    ),
    *(b"\x30\x84\xff\xff\xff\xff", b"\x1f\xff", b"\x24\x80", b"\xa0\x80", b"\x18\x0f20260131000000Z"),
    bytes.fromhex("06092a864886f70d010702"),
    bytes.fromhex("060b2a864886f70d0109100104"),
    bytes.fromhex("0609608648016503040201"),
    bytes.fromhex("0609608648016503040204"),
    bytes.fromhex("06052b0e03021a"),
)
_OF_A_TOKEN: Final = frozenset(
    {Code.TIME_STAMP_INVALID, Code.WEAK_ALGORITHM, Code.BAD_CERTIFICATE, Code.KEYINFO_MALFORMED}
)
JSON_TOKENS: Final = (
    *(
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b"null",
        b"true",
        b"1e400",
        b"-0",
        b"NaN",
        b"\n",
        b"!",
        b"{}",
        b"[]",
    ),
    *(
        b'"serial":',
        b'"ancestors":',
        b'"agencies":',
        b'"put":',
        b'"drop":',
        b'"code":"H01"',
        b'"pem":',
        b'"b64":false',
    ),
    *(b"\\ud800", b'"2026-01-31T00:00:00"', b'"9999-12-31T23:59:59-23:00"', b"[" * 2000, b"=", b"\xc2\xa0"),
)

_INNER: Final = re.compile(rb'"signature":"(?:[^"\\]|\\.)*"')

# --- time-stamps


@cache
def _authority() -> tsa.Authority:
    made = tsa.Authority()
    made.root_key, made.key = (
        ec.derive_private_key(11, ec.SECP256R1()),
        ec.derive_private_key(12, ec.SECP256R1()),
    )
    made.root = tsa.certificate("TSA root", made.root_key, authority=True)
    made.leaf = tsa.certificate("TSA", made.key, ("TSA root", made.root_key), usage=made.usage)
    return made


@cache
def _judge() -> TokenJudge:
    return TokenJudge([read_certificate(_authority().root.public_bytes(Encoding.DER))])


def _message() -> bytes:
    return b"what is stamped"


@cache
def stamp_seeds() -> tuple[bytes, ...]:
    """Return answers that grant, one that does not, and bare tokens."""
    asked = question(hashlib.sha256(_message()).digest(), _NONCE)
    good = _authority().answer(asked)
    spoils = ("imprint", "nonce", "signature", "digest", "named", "attributes", "two", "hash", "content")
    wrong = [_spoiled(spoil, asked) for spoil in spoils]
    busy = _authority()
    busy.status = "rejection"
    refusal = busy.answer(asked)
    busy.status = "granted"
    return (good, refusal, read_answer(good), *wrong)


def _spoiled(spoil: str, asked: bytes) -> bytes:
    authority = _authority()
    authority.spoil = spoil
    try:
        return authority.answer(asked)
    finally:
        authority.spoil = ""


def fuzz_stamp(data: bytes) -> None:
    """An answer, or a token alone: refused, or says the time that the authority wrote."""
    answered = _token_of(data)
    token = data if answered is None else answered
    try:
        stamped = _judge().judge(token, _message(), None if answered is None else _NONCE)
    except RefusedError as refused:
        if refused.code not in _OF_A_TOKEN:
            raise
        return
    assert stamped.at == _authority().now
    assert stamped.policy == tsa.POLICY
    assert stamped.authority.subject == "CN=TSA"
    info = cms.ContentInfo.load(token)["content"]["encap_content_info"]["content"]
    said = tsp.TSTInfo.load(bytes(info))
    assert said["message_imprint"]["hashed_message"].native == hashlib.sha256(_message()).digest()


def _token_of(data: bytes) -> bytes | None:
    try:
        return read_answer(data)
    except RefusedError as refused:
        if refused.code is not Code.TIME_STAMP_INVALID:
            raise
        return None


# --- signed directories


class _Publisher:
    """A relay that publishes two editions, with keys that are always the same."""

    def __init__(self) -> None:
        root = pki.issue("Root", ca=True, serial=1, key=ec.derive_private_key(13, ec.SECP256R1()))
        self.key: PrivateKey = ec.derive_private_key(14, ec.SECP256R1())
        self.relay = pki.issue("Relay", root, serial=2, relay="truc-fuzz", key=self.key)
        stranger = pki.issue("Stranger", relay="truc-fuzz", key=ec.derive_private_key(15, ec.SECP256R1()))
        with tempfile.TemporaryDirectory() as folder:
            anchor = Path(folder) / "root.pem"
            anchor.write_bytes(root.pem)
            self.store = TrustStore.from_files([], anchors_without_crl=[anchor], monotonic=lambda: 0.0)
        first, second, third = (
            Agency(code=code, name="Đơn vị", level=Level.PROVINCE, gateway=code, own_queue=True)
            for code in ("H01", "H02", "H03")
        )
        until = NOW + timedelta(days=20)
        self.one = ed.next_edition([first, second], None, "truc-fuzz", NOW - DAY, until, "ghi chú")
        self.two = ed.next_edition([first, third], self.one, "truc-fuzz", NOW, until)
        own = self.key, self.relay.chain_pem
        self.files = (
            ed.seal(self.one, *own),
            ed.seal(self.two, *own),
            ed.seal_difference(self.one, self.two, *own),
            ed.seal(self.one, stranger.key, stranger.pem),
            ed.seal(replace(self.one, relay="truc-other"), *own),
        )
        self.payloads = frozenset(_payload(one) for one in self.files)

    def sealed(self, payload: bytes) -> bytes:
        return sign_detached(payload, self.key, self.relay.chain_pem, ed.KIND) + b"\n" + payload


def _payload(content: bytes) -> bytes:
    """Return what a file signs, less the other signature that a difference holds: the same in each process."""
    return _INNER.sub(b'"signature":""', content.partition(b"\n")[2])


@cache
def _publisher() -> _Publisher:
    return _Publisher()


@cache
def edition_seeds() -> tuple[bytes, ...]:
    """Return signed files, and payloads that are signed after the mutation."""
    files = _publisher().files
    return (*files, *(_SIGNED_ANEW + one.partition(b"\n")[2] for one in files))


def fuzz_edition(data: bytes) -> None:
    """A signed directory or difference: refused, or one that was published; what a difference makes is what it says."""
    anew = data.startswith(_SIGNED_ANEW)
    content = _publisher().sealed(data[1:]) if anew else data
    try:
        found = ed.read(content, _publisher().store, NOW)
    except ConfigurationError as refused:
        if refused.code is not Code.DIRECTORY_INVALID:
            raise
        return
    payload = content.partition(b"\n")[2]
    assert anew or _payload(content) in _publisher().payloads
    if isinstance(found, ed.Edition):
        assert found.name == hashlib.sha256(payload).hexdigest()
        assert found.relay == "truc-fuzz"
        return
    try:
        made, kept = ed.apply(_publisher().one, found)
        whole = ed.read(kept, _publisher().store, NOW)  # as whoever follows does
    except ConfigurationError as refused:
        if refused.code is not Code.DIRECTORY_INVALID:
            raise
        return
    assert found.base == _publisher().one.name
    assert whole == made
    assert _payload(kept) in _publisher().payloads  # nobody signs the whole of what the mutation made


# --- proofs that somebody holds a key

_HOLDER: Final = ec.derive_private_key(16, ec.SECP256R1())


@cache
def _holder() -> Certificate:
    return read_certificate(pki.issue("Holder", key=_HOLDER).der)


@cache
def _challenge() -> bytes:
    return challenge_text("truc-fuzz", "H53", "0" * 32, NOW)


@cache
def proof_seeds() -> tuple[bytes, ...]:
    """Return a signed challenge in two spellings, and requests: the holder's and another's."""
    pem = _HOLDER.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    text = prove(pem, _challenge())
    requests = [
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "H53")]))
        .sign(key, hashes.SHA256())
        for key in (_HOLDER, ec.derive_private_key(17, ec.SECP256R1()))
    ]
    return (
        text,
        text[:40] + b"\n" + text[40:],
        *(one.public_bytes(coding) for one in requests for coding in (Encoding.DER, Encoding.PEM)),
    )


@cache
def _known_requests() -> frozenset[bytes]:
    ders = proof_seeds()[2], proof_seeds()[4]
    return frozenset(x509.load_der_x509_csr(one).tbs_certrequest_bytes for one in ders)


def fuzz_proof(data: bytes) -> None:
    """A proof holds only as the holder made it. Of a request no bit that was signed may be another."""
    if signed_by(_holder(), _challenge(), data):
        assert not signed_by(_holder(), _challenge() + b" ", data)
    try:
        requested_by(_holder(), data)
    except RefusedError as refused:
        if refused.code is not Code.PROOF_INVALID:
            raise
        return
    found = x509.load_pem_x509_csr(data) if b"-----BEGIN" in data else x509.load_der_x509_csr(data)
    assert found.tbs_certrequest_bytes in _known_requests()
    assert found.public_key() == _HOLDER.public_key()
