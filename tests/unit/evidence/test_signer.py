"""The relay's key in use: what changes with its files, and what does not."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from relay.errors import Code, ConfigurationError
from relay.evidence.receipts import ReceiptVerifier
from relay.evidence.signer import RelaySigner
from relay.trust.chain import TrustStore
from tests.support import pki

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
            self.key.write_bytes(entity.key_pem)
        if certificate:
            self.certificate.write_bytes(entity.chain_pem)

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
