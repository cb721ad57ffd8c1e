"""Whose revocation data are kept fresh: the relay's own keys are among them, wherever they are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from relay.operate.revocation import signers
from relay.settings.model import RelaySettings, SecondKeySettings
from relay.trust.path import Purpose
from tests.support import pki
from tests.unit.operate.doctor.well import NOW, SETTINGS


def test_both_keys_of_the_relay_and_a_file_that_is_gone(tmp_path: Path) -> None:
    house = pki.house(tmp_path / "house")
    first, second = (pki.issue(f"Relay {n}", house.issuing, relay="truc-dev") for n in (1, 2))
    (tmp_path / "first.p12").write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"x", first.key, first.certificate, first.chain[1:], BestAvailableEncryption(b"abc")
        )
    )
    (tmp_path / "password").write_text("abc")
    (tmp_path / "password").chmod(0o600)
    (tmp_path / "second.pem").write_bytes(second.chain_pem)
    relay = RelaySettings(
        name="truc-dev",
        key=str(tmp_path / "first.p12"),
        key_password_file=tmp_path / "password",
        second=SecondKeySettings(key=str(tmp_path / "second.key"), certificates=(tmp_path / "second.pem",)),
    )
    settings = replace(SETTINGS, relay=relay)
    found = list(signers(settings, tuple, NOW))
    assert [purpose for purpose, _ in found] == [Purpose.RECEIPT, Purpose.RECEIPT]
    assert [[one.x509 for one in chain] for _, chain in found] == [list(first.chain), list(second.chain)]
    (tmp_path / "first.p12").unlink()
    assert [[one.x509 for one in chain] for _, chain in signers(settings, tuple, NOW)] == [list(second.chain)]
