"""The relay's key in use: what changes with its files, and what does not."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from relay.errors import Code, ConfigurationError, TransientError
from relay.evidence.receipts import ReceiptVerifier
from relay.evidence.signer import RelaySigner
from relay.settings.keyplace import KeyPlace
from relay.trust.chain import TrustStore
from relay.trust.token import TokenKey
from tests.support import pki, softhsm
from tests.support.rewriting import rewrite

UNSIGNED = (
    b'<receipt xmlns="urn:truc:receipt:1" at="2030-05-04T03:02:01.000Z" code="" kind="acknowledgement" number="w1-1"'
    b' relay="truc-test" result="accepted"><document bytes="1" document-id="d" sender="H26" sha256="'
    + b"ab" * 32
    + b'" transport-id="t" type="edoc"></document></receipt>'
)


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> dt.datetime:
        return pki.NOW + dt.timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


class Relay:
    """A relay's two files and the signer over them."""

    def __init__(self, folder: Path) -> None:
        self.house = pki.house(folder / "house")
        self.key, self.certificate = folder / "relay.key", folder / "relay.pem"
        self.clock = Clock()
        self.store = TrustStore.from_files(
            self.house.anchors, self.house.crls, monotonic=self.clock.monotonic
        )
        self.verifier = ReceiptVerifier(self.store)
        self.first = self.entity()
        self.write(self.first)
        self.signer = RelaySigner("truc-test", self.key, (self.certificate,), self.clock, self.store)

    def entity(self, **changes: object) -> pki.Entity:
        wanted: dict[str, object] = {"relay": "truc-test", **changes}
        return pki.issue("Relay", wanted.pop("issuer", self.house.issuing), **wanted)  # type: ignore[arg-type]

    def write(self, entity: pki.Entity, *, key: bool = True, certificate: bool = True) -> None:
        if key:
            rewrite(self.key, entity.key_pem)
        if certificate:
            rewrite(self.certificate, entity.chain_pem)

    def sealed_by(self, entity: pki.Entity) -> bool:
        """Whether a receipt that is sealed now verifies and was made with this one's key."""
        body = self.signer.seal(UNSIGNED)
        result = self.verifier.verify(body, self.clock.now(), "truc-test")
        assert result.accepted, result.verdict
        return result.verdict.certificate_sha256 == _sha256(entity)

    def later(self, seconds: float = 1.5) -> None:
        self.clock.seconds += seconds


def _sha256(entity: pki.Entity) -> str:
    from hashlib import sha256

    return sha256(entity.der).hexdigest()


@pytest.fixture
def relay(tmp_path: Path) -> Relay:
    return Relay(tmp_path)


def test_a_new_key_seals_from_the_next_look_on_and_the_old_receipts_still_hold(relay: Relay) -> None:
    before = relay.signer.seal(UNSIGNED)
    second = relay.entity()
    relay.write(second)
    assert relay.sealed_by(relay.first), "looked at the files more often than once a second"
    relay.later()
    assert relay.sealed_by(second)
    assert (relay.signer.problem, relay.signer.taken) == ("", 1)
    assert relay.signer.certificate.sha256 == _sha256(second)
    assert relay.verifier.verify(before, relay.clock.now(), "truc-test").accepted
    relay.later()
    assert relay.sealed_by(second)
    assert relay.signer.taken == 1


@pytest.mark.parametrize("first_file", ["key", "certificate"])
def test_half_a_change_is_not_taken(relay: Relay, first_file: str) -> None:
    second = relay.entity()
    relay.write(second, key=first_file == "key", certificate=first_file == "certificate")
    relay.later()
    assert relay.sealed_by(relay.first)
    assert "not that of the key" in relay.signer.problem
    relay.write(second)
    relay.later()
    assert relay.sealed_by(second)
    assert relay.signer.problem == ""


def test_a_change_that_is_taken_back_leaves_no_problem(relay: Relay) -> None:
    kept = relay.certificate.with_suffix(".kept")
    relay.certificate.rename(kept)
    relay.later()
    assert relay.sealed_by(relay.first)
    assert "relay.pem" in relay.signer.problem
    kept.rename(relay.certificate)
    relay.later()
    assert relay.sealed_by(relay.first)
    assert (relay.signer.problem, relay.signer.taken) == ("", 0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"relay": "another"}, "of another, not of urn:truc:relay:truc-test"),
        ({"relay": None}, "of no relay"),
        ({"not_after": pki.NOW - pki.DAY}, "holds from"),
        ({"not_before": pki.NOW + pki.DAY}, "holds from"),
        ({"issuer": pki.issue("Stranger", ca=True)}, "not trusted: UNKNOWN-CA"),
        ({"key": pki.ec_key(ec.SECP192R1())}, "WEAK-ALGORITHM"),
    ],
)
def test_what_nobody_could_verify_with_is_not_taken(
    relay: Relay, changes: dict[str, object], reason: str
) -> None:
    relay.write(relay.entity(**changes))
    relay.later()
    assert relay.sealed_by(relay.first)
    assert reason in relay.signer.problem
    assert "PRIVATE" not in relay.signer.problem


def test_a_certificate_that_begins_later_is_taken_when_it_begins(relay: Relay) -> None:
    second = relay.entity(not_before=pki.NOW + dt.timedelta(hours=1))
    relay.write(second)
    relay.later()
    assert relay.sealed_by(relay.first)
    relay.later(3700)
    assert relay.sealed_by(second)


def test_a_revoked_certificate_is_not_taken(relay: Relay) -> None:
    second = relay.entity()
    relay.house.revoke(second)
    relay.later()
    relay.write(second)
    relay.later()
    assert relay.sealed_by(relay.first)
    assert "CERTIFICATE-REVOKED" in relay.signer.problem


def test_where_the_first_is_not_trusted_either_the_change_is_taken(relay: Relay) -> None:
    """A relay whose own anchors do not cover its certificate had no such check at its start."""
    stranger = pki.issue("Stranger", ca=True)
    relay.write(relay.entity(issuer=stranger))
    signer = RelaySigner("truc-test", relay.key, (relay.certificate,), relay.clock, relay.store)
    second = relay.entity(issuer=stranger)
    relay.write(second)
    relay.later()
    signer.refresh()
    assert signer.certificate.sha256 == _sha256(second)


def test_a_relay_does_not_start_with_another_ones_certificate(relay: Relay) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RelaySigner("truc-other", relay.key, (relay.certificate,), relay.clock)
    assert caught.value.code is Code.KEY_UNUSABLE


def test_the_end_is_that_of_the_first_certificate_of_the_chain(relay: Relay) -> None:
    assert relay.signer.end() == relay.house.issuing.certificate.not_valid_after_utc
    relay.write(relay.entity(not_after=pki.NOW + 9 * pki.DAY))
    relay.later()
    relay.signer.refresh()
    assert relay.signer.end() == pki.NOW + 9 * pki.DAY


# --- two signers, and keys in a token


def place_of(folder: Path, entity: pki.Entity, name: str) -> KeyPlace:
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    key.write_bytes(entity.key_pem)
    certificate.write_bytes(entity.chain_pem)
    return KeyPlace(str(key), (certificate,))


def in_token(relay: Relay, folder: Path, entity: pki.Entity) -> tuple[softhsm.Token, KeyPlace]:
    token = softhsm.Token(folder)
    token.put(entity.key)
    place = place_of(folder, entity, "token")
    return token, KeyPlace(token.uri(), place.certificates)


def signer_of(relay: Relay, first: KeyPlace, second: KeyPlace | None = None) -> None:
    relay.signer = RelaySigner(
        "truc-test", first.key, first.certificates, relay.clock, relay.store, second=second
    )


def until(relay: Relay, done: Callable[[], bool]) -> None:
    """Let seconds pass on the relay's clock, and real ones for the device."""
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end, relay.signer.problem
        time.sleep(0.02)
        relay.later()
        relay.signer.refresh()


def test_the_second_key_signs_while_the_first_is_away(relay: Relay, tmp_path: Path) -> None:
    first, second = relay.entity(), relay.entity()
    token, place = in_token(relay, tmp_path, first)
    signer_of(relay, place, place_of(tmp_path, second, "second"))
    assert relay.sealed_by(first)
    token.take_away()
    assert relay.sealed_by(second), "the same receipt, by the other key"
    assert not relay.signer.away
    relay.later()
    relay.signer.check()
    assert relay.signer.problem
    assert relay.signer.certificate.sha256 == _sha256(second)
    assert relay.signer.taken == 1
    token.put_back()
    until(relay, lambda: not relay.signer.problem)
    assert relay.sealed_by(first)
    assert relay.signer.taken == 2


def test_without_a_second_key_it_waits(relay: Relay, tmp_path: Path) -> None:
    first = relay.entity()
    token, place = in_token(relay, tmp_path, first)
    signer_of(relay, place)
    token.take_away()
    for sign in (
        lambda: relay.signer.seal(UNSIGNED),
        lambda: relay.signer.sign_text(b"head", "head"),
        relay.signer.check,
    ):
        with pytest.raises(TransientError) as caught:
            sign()
        assert caught.value.code is Code.KEY_AWAY
    assert relay.signer.away
    token.put_back()
    until(relay, lambda: not relay.signer.away)
    relay.signer.check()
    assert relay.sealed_by(first)


def test_a_head_waits_for_a_certificate_that_holds_and_a_receipt_does_not(relay: Relay) -> None:
    """One that was signed outside of its dates would stay in the log, and never verify."""
    relay.later(-400 * 86_400.0)
    for way in (-1, 1):
        with pytest.raises(TransientError) as caught:
            relay.signer.sign_text(b"head", "head")
        assert caught.value.code is Code.KEY_NOT_VALID
        assert b"Signature" in relay.signer.seal(UNSIGNED)
        relay.later(-way * 4000 * 86_400.0)
    relay.later(400 * 86_400.0)
    assert relay.signer.sign_text(b"head", "head")


def test_a_signer_begins_without_its_device(relay: Relay, tmp_path: Path) -> None:
    first = relay.entity()
    token, place = in_token(relay, tmp_path, first)
    token.take_away()
    signer_of(relay, place)
    assert relay.signer.away
    assert relay.signer.certificate.sha256 == _sha256(first)
    token.put_back()
    until(relay, lambda: not relay.signer.away)
    assert relay.sealed_by(first)


def test_the_second_key_signs_when_the_first_certificate_has_ended(relay: Relay, tmp_path: Path) -> None:
    first = relay.entity(not_after=pki.NOW + dt.timedelta(hours=1))
    second = relay.entity()
    signer_of(relay, place_of(tmp_path, first, "first"), place_of(tmp_path, second, "second"))
    assert relay.sealed_by(first)
    assert relay.signer.end() == second.chain[1].not_valid_after_utc
    relay.later(3700)
    assert relay.sealed_by(second)


def test_a_second_key_that_cannot_be_used_is_a_problem_and_no_hindrance(relay: Relay, tmp_path: Path) -> None:
    first = place_of(tmp_path, relay.first, "first")
    wrong = place_of(tmp_path, relay.entity(relay="another"), "wrong")
    signer_of(relay, first, wrong)
    relay.later()
    assert relay.sealed_by(relay.first)
    assert "of another" in relay.signer.problem
    mended = relay.entity()
    place_of(tmp_path, mended, "wrong")
    relay.later()
    relay.signer.refresh()
    assert relay.signer.problem == ""
    signer_of(relay, place_of(tmp_path, relay.entity(relay="another"), "bad"), first)
    assert relay.sealed_by(relay.first)
    with pytest.raises(ConfigurationError):
        signer_of(relay, place_of(tmp_path, relay.entity(relay="another"), "bad"))


def test_a_key_in_a_token_changes_with_its_certificate(relay: Relay, tmp_path: Path) -> None:
    """Overlap: the new key stands beside the former one under the same name; the certificate says which signs."""
    first, second = relay.entity(), relay.entity()
    token, place = in_token(relay, tmp_path, first)
    signer_of(relay, place)
    rewrite(place.certificates[0], second.chain_pem)  # before its key is there
    relay.later()
    assert relay.sealed_by(first)
    until(relay, lambda: "that of the certificate" in relay.signer.problem)
    token.put(second.key)
    until(relay, lambda: not relay.signer.problem)
    assert relay.sealed_by(second)
    assert relay.signer.taken == 1
    assert isinstance(relay.signer._in_use().own.key, TokenKey)


def test_from_a_file_to_a_token_and_back_in_two_workers(relay: Relay, tmp_path: Path) -> None:
    """Two signers at a time: each receipt verifies by the certificate that it carries."""
    second = relay.entity()
    _, place = in_token(relay, tmp_path, second)
    other = RelaySigner("truc-test", place.key, place.certificates, relay.clock, relay.store)
    for signer, entity in ((relay.signer, relay.first), (other, second), (relay.signer, relay.first)):
        found = relay.verifier.verify(signer.seal(UNSIGNED), relay.clock.now(), "truc-test")
        assert found.accepted
        assert found.verdict.certificate_sha256 == _sha256(entity)
