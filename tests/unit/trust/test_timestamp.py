"""Time-stamps: the authority is asked by the real protocol, and what it answers is judged part by part."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from functools import partial

import pytest
from asn1crypto import tsp
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from relay.errors import Code, RefusedError, TransientError
from relay.trust.certificate import read_certificate
from relay.trust.timestamp import MAX_TOKEN, TokenJudge, ask, check_time, question, read_answer
from tests.support.tsa import START, Authority, certificate, serving

TEXT = b"truc-head 1\n..."
NONCE = 0x1234_5678_9ABC_DEF0


def _judge(authority: Authority) -> TokenJudge:
    return TokenJudge([read_certificate(authority.root.public_bytes(Encoding.DER))])


def _question() -> bytes:
    return question(hashlib.sha256(TEXT).digest(), NONCE)


def _token(authority: Authority) -> bytes:
    return read_answer(authority.answer(_question()))


def _refused(authority: Authority, code: Code = Code.TIME_STAMP_INVALID) -> str:
    with pytest.raises(RefusedError) as caught:
        _judge(authority).judge(_token(authority), TEXT, NONCE)
    assert caught.value.code is code, caught.value
    return caught.value.detail


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
@pytest.mark.parametrize("status", ["granted", "granted_with_mods"])
def test_a_token_says_when(kind: str, status: str) -> None:
    authority = Authority(kind=kind, status=status)
    stamped = _judge(authority).judge(_token(authority), TEXT, NONCE)
    assert stamped.at == authority.now
    assert (stamped.serial, stamped.accuracy) == (1, 1.5)
    assert stamped.authority.subject == "CN=TSA"
    # one that is kept is judged without the question
    assert _judge(authority).judge(_token(authority), TEXT).serial == 2


@pytest.mark.parametrize("seconds", [-3600.0, -12.0, 12.0, 3600.0])
def test_a_new_token_that_states_another_time_is_refused(seconds: float) -> None:
    """Ours or the authority's clock is wrong: what it would vouch for is false. The margin counts, and the accuracy."""
    authority, second = Authority(), timedelta(seconds=1)
    stamped = _judge(authority).judge(_token(authority), TEXT, NONCE)
    asked = stamped.at + timedelta(seconds=seconds)
    for margin in (abs(seconds) - 1.4, abs(seconds)):  # and 1.5 s by its own account
        check_time(stamped, asked, asked, margin * second)
    with pytest.raises(RefusedError, match="s from ours") as caught:
        check_time(stamped, asked, asked, (abs(seconds) - 1.6) * second)
    assert caught.value.code is Code.TIME_STAMP_INVALID
    # any moment of the time that the answer took will do
    check_time(stamped, min(asked, stamped.at), max(asked, stamped.at), 0 * second)


def test_the_question_is_that_of_the_protocol() -> None:
    asked = tsp.TimeStampReq.load(_question(), strict=True)
    assert asked["version"].native == "v1"
    assert asked["message_imprint"]["hash_algorithm"]["algorithm"].native == "sha256"
    assert asked["message_imprint"]["hashed_message"].native == hashlib.sha256(TEXT).digest()
    assert asked["nonce"].native == NONCE
    assert asked["cert_req"].native is True


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        ("imprint", "something else"),
        ("hash", "another hash"),
        ("nonce", "another question"),
        ("signature", "does not hold"),
        ("digest", "digest of the content"),
        ("named", "another certificate"),
        ("attributes", "do not name"),
        ("two", "not one signature"),
        ("content", "not one signature"),
    ],
)
def test_each_part_of_a_token_is_judged(spoil: str, told: str) -> None:
    assert told in _refused(Authority(spoil=spoil))


def test_the_authority_must_be_one_for_time_stamps_alone() -> None:
    stamping = ExtendedKeyUsageOID.TIME_STAMPING
    assert "critically" in _refused(Authority(critical=False))
    assert "alone" in _refused(Authority(usage=(stamping, ExtendedKeyUsageOID.CODE_SIGNING)))
    assert "not for time-stamping" in _refused(Authority(usage=None))
    assert "valid" in _refused(Authority(until=START + timedelta(days=2)))


def test_the_authority_must_lead_to_a_root_that_is_given() -> None:
    authority, other = Authority(), Authority()
    with pytest.raises(RefusedError, match="no root"):
        _judge(other).judge(_token(authority), TEXT)
    with pytest.raises(RefusedError, match="no root"):
        TokenJudge([]).judge(_token(authority), TEXT)


def test_an_authority_behind_another_one() -> None:
    authority = Authority()
    between_key = ec.generate_private_key(ec.SECP256R1())
    between = certificate("between", between_key, ("TSA root", authority.root_key), authority=True)
    authority.leaf = certificate(
        "TSA", authority.key, ("between", between_key), usage=(ExtendedKeyUsageOID.TIME_STAMPING,)
    )
    roots = [read_certificate(authority.root.public_bytes(Encoding.DER))]
    more = [read_certificate(between.public_bytes(Encoding.DER))]
    assert TokenJudge(roots, more).judge(_token(authority), TEXT).at == authority.now
    no_authority = certificate("between", between_key, ("TSA root", authority.root_key))
    with pytest.raises(RefusedError, match="authority"):
        TokenJudge(roots, [read_certificate(no_authority.public_bytes(Encoding.DER))]).judge(
            _token(authority), TEXT
        )


def test_a_token_over_another_text_shows_nothing() -> None:
    authority = Authority()
    with pytest.raises(RefusedError, match="something else"):
        _judge(authority).judge(_token(authority), TEXT + b"x")


def test_a_token_is_taken_as_it_came_and_not_encoded_anew() -> None:
    answer = Authority().answer(_question())
    token = read_answer(answer)
    at = answer.index(token)
    assert answer[:2] + token[:2] == b"\x30\x82\x30\x82"
    longer = b"\x30\x83\x00" + token[2:]  # its length, in one octet more than it takes
    written = answer[:2] + (int.from_bytes(answer[2:4], "big") + 1).to_bytes(2, "big") + answer[4:at] + longer
    assert read_answer(written) == longer


def test_an_answer_that_grants_nothing_says_why() -> None:
    with pytest.raises(RefusedError) as caught:
        _token(Authority(status="rejection"))
    assert "rejection" in caught.value.detail
    assert "bận" in caught.value.detail


def test_no_byte_of_a_token_may_be_another_one() -> None:
    """Whatever is changed: refused in words, or outside what is signed and without effect."""
    authority = Authority()
    token = _token(authority)
    judge = _judge(authority)
    good = judge.judge(token, TEXT, NONCE)
    for place in range(0, len(token), 3):
        spoilt = bytearray(token)
        spoilt[place] ^= 0x41
        try:
            found = judge.judge(bytes(spoilt), TEXT, NONCE)
        except RefusedError:
            continue
        assert (found.at, found.serial, found.authority) == (good.at, good.serial, good.authority), place


def test_what_is_no_answer() -> None:
    authority = Authority()
    answer = authority.answer(_question())
    for octets in (b"", b"0", b"<html>", answer[:-3], answer + b"x", bytes(MAX_TOKEN + 1)):
        with pytest.raises(RefusedError) as caught:
            read_answer(octets)
        assert caught.value.code is Code.TIME_STAMP_INVALID
    for octets in (b"", b"0", answer, bytes(MAX_TOKEN + 1)):
        with pytest.raises(RefusedError):
            _judge(authority).judge(octets, TEXT)


def test_over_http() -> None:
    authority = Authority()
    with serving(authority) as address:
        token = read_answer(ask(address, _question(), 60))
        assert _judge(authority).judge(token, TEXT, NONCE).at == authority.now
        for change in ({"http": 503}, {"http": 200, "content_type": "text/html"}):
            for name, value in change.items():
                setattr(authority, name, value)
            with pytest.raises(TransientError) as caught:
                ask(address, _question(), 60)
            assert caught.value.code is Code.TIME_STAMP_AWAY
    gone = partial(ask, address, _question(), 60)
    with pytest.raises(TransientError):
        gone()
