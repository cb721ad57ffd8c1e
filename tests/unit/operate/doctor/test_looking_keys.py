"""The relay's key as the doctor finds it in each store."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from tests.support import softhsm
from tests.unit.operate.doctor.test_looking import CONFIG, Place, place, silent

__all__ = ["place", "silent"]
LINE = "key: relay.key, certificates: [relay.pem]"


def configured(place: Place, line: str) -> None:
    place.write("truc.yaml", CONFIG.replace("PORT", "1").replace(LINE, line).encode())


def test_a_key_in_a_token(place: Place) -> None:
    token = softhsm.Token(place.folder)
    token.put(place.relay.key)
    configured(place, f'key: "{token.uri()}", certificates: [relay.pem]')
    assert not place.names("keys")
    found = place.keys()
    assert (found.fits, found.certificate_name, found.trouble, found.open_files) == (True, "truc-dev", "", ())
    token.pin.chmod(0o644)
    assert "keys.open" in place.names("keys")
    token.pin.chmod(0o600)
    token.take_away()
    assert "keys.unusable" in place.names("keys")
    assert softhsm.PIN not in str(place.look("keys").findings)
    token.put_back()
    assert not place.names("keys")


@pytest.mark.parametrize("password", ["abc", "wrong"])
def test_a_key_in_a_pkcs12_file(place: Place, password: str) -> None:
    relay = place.relay
    content = pkcs12.serialize_key_and_certificates(
        b"relay", relay.key, relay.certificate, relay.chain[1:], BestAvailableEncryption(b"abc")
    )
    place.write("relay.p12", content)
    place.write("password", password.encode())
    configured(place, "key: relay.p12, key_password_file: password")
    assert place.names("keys") == (set() if password == "abc" else {"keys.unusable"})
