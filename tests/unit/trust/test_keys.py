"""Keys from their three stores: the same checks wherever a key comes from, and no secret in what is told."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_public_key,
    pkcs12,
)

from relay.errors import Code, ConfigurationError, TransientError
from relay.settings.keyplace import KeyPlace, parse
from relay.trust.keys import KeyPair, chain_of, open_pair, open_pair_now
from relay.trust.sign import sign_document
from relay.trust.token import TokenKey, TokenRsaKey, token_key
from tests.support import pki, softhsm
from tests.support.waits import until
from tests.unit.trust.conftest import DOCUMENT, PLACE, World

PLAIN = DOCUMENT.replace(b"<!--here-->", b"")
PASSWORD = "mật khẩu"


def password_file(folder: Path, text: str = PASSWORD) -> Path:
    path = folder / "password"
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def chain_file(folder: Path, entity: pki.Entity) -> Path:
    path = folder / "chain.pem"
    path.write_bytes(entity.chain_pem)
    return path


def pkcs12_file(folder: Path, entity: pki.Entity, *, shuffled: bool = False, key: Any = None) -> Path:
    path = folder / "key.p12"
    others = list(entity.chain[1:])
    if shuffled:
        others = [pki.issue("Stranger", ca=True).certificate, *reversed(others)]
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"relay",
            key or entity.key,
            entity.certificate,
            others,
            BestAvailableEncryption(PASSWORD.encode()),
        )
    )
    path.chmod(0o600)
    return path


def in_token(folder: Path, entity: pki.Entity) -> KeyPlace:
    token = softhsm.Token(folder)
    token.put(entity.key)
    return KeyPlace(token.uri(), (chain_file(folder, entity),))


def in_pkcs12(folder: Path, entity: pki.Entity) -> KeyPlace:
    return KeyPlace(str(pkcs12_file(folder, entity)), (), password_file(folder))


def in_pem(folder: Path, entity: pki.Entity) -> KeyPlace:
    path = folder / "key.pem"
    locked = BestAvailableEncryption(PASSWORD.encode())
    path.write_bytes(entity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    return KeyPlace(str(path), (chain_file(folder, entity),), password_file(folder))


STORES = {"pem": in_pem, "pkcs12": in_pkcs12, "token": in_token}
Store = Callable[[Path, pki.Entity], KeyPlace]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Store:
    return STORES[request.param]


@pytest.mark.parametrize("which", ["ec", "rsa", "p384", "p521"])
def test_each_store_signs_with_each_kind_of_key(
    world: World, tmp_path: Path, store: Store, which: str
) -> None:
    curves = {"p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
    entity = (
        pki.issue("Strong", world.house.issuing, key=pki.ec_key(curves[which]))
        if which in curves
        else getattr(world, which)
    )
    place = store(tmp_path, entity)
    pair = open_pair_now(place)
    assert pair.away == ""
    assert [one.x509 for one in pair.chain] == list(entity.chain)
    assert [one.x509 for one in chain_of(place)] == list(entity.chain)
    body = sign_document(PLAIN, PLACE, pair.key, pair.pem)
    assert world.verify(body).verdict.accepted
    if which == "rsa":
        assert isinstance(pair.key, rsa.RSAPrivateKey)


def test_a_key_of_another_certificate_is_not_taken(world: World, tmp_path: Path, store: Store) -> None:
    place = store(tmp_path, world.ec)
    other = pki.issue("Other", world.house.issuing)
    (tmp_path / "chain.pem").write_bytes(other.chain_pem)
    with pytest.raises(ConfigurationError, match="that of the") as caught:
        open_pair(KeyPlace(place.key, (tmp_path / "chain.pem",), place.password_file))
    assert caught.value.code is Code.KEY_UNUSABLE


@pytest.mark.parametrize(
    "key", [lambda: pki.rsa_key(1024), lambda: pki.ec_key(ec.SECP256K1())], ids=["rsa-1024", "other-curve"]
)
def test_weak_keys_are_not_taken_from_anywhere(
    world: World, tmp_path: Path, store: Store, key: Callable[[], Any]
) -> None:
    entity = pki.issue("Weak", world.house.issuing, key=key())
    with pytest.raises(ConfigurationError) as caught:
        open_pair(store(tmp_path, entity))
    assert caught.value.code is Code.KEY_UNUSABLE


def test_a_wrong_password_tells_no_secret(world: World, tmp_path: Path, store: Store) -> None:
    place = store(tmp_path, world.ec)
    (secret,) = [path for path in place.secrets() if path.suffix not in {".pem", ".p12"}]
    secret.write_text("khác-9876\n")
    for _ in range(2):
        with pytest.raises(ConfigurationError) as caught:
            open_pair(place)
        assert caught.value.code is Code.KEY_UNUSABLE
        for told in (PASSWORD, softhsm.PIN, "9876", "PRIVATE"):
            assert told not in str(caught.value) + repr(caught.value)


def test_secrets_that_others_may_read_are_not_taken(world: World, tmp_path: Path, store: Store) -> None:
    place = store(tmp_path, world.ec)
    (secret,) = [path for path in place.secrets() if path.suffix not in {".pem", ".p12"}]
    secret.chmod(0o640)
    with pytest.raises(ConfigurationError, match="0600"):
        open_pair(place)


# --- PKCS#12


def test_a_chain_is_put_in_order(world: World, tmp_path: Path) -> None:
    middle = pki.issue("Middle", world.house.root, ca=True)
    lower = pki.issue("Lower", middle, ca=True)
    entity = pki.issue("Leaf", lower)
    path = pkcs12_file(tmp_path, entity, shuffled=True)
    pair = open_pair(KeyPlace(str(path), (), password_file(tmp_path)))
    assert [one.x509 for one in pair.chain] == [entity.certificate, lower.certificate, middle.certificate]


def test_a_pkcs12_file_without_key_or_certificate(world: World, tmp_path: Path) -> None:
    path = tmp_path / "key.pfx"
    secret = BestAvailableEncryption(PASSWORD.encode())
    for key, certificate in ((None, world.ec.certificate), (world.ec.key, None)):
        path.write_bytes(pkcs12.serialize_key_and_certificates(b"x", key, certificate, None, secret))
        with pytest.raises(ConfigurationError, match="no key with its certificate"):
            open_pair(KeyPlace(str(path), (), password_file(tmp_path)))
    path.write_bytes(b"nothing")
    with pytest.raises(ConfigurationError, match="no PKCS#12 file"):
        open_pair(KeyPlace(str(path), (), password_file(tmp_path)))


# --- PKCS#11


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("pkcs11:token=a;object=b?module-path=/m&pin-value=1234", "pin-value is not taken"),
        ("pkcs11:token=a;object=b;pin-value=1234?module-path=/m", "pin-value is not taken"),
        ("pkcs11:token=a;object=b?module-path=/m", "pin-source is missing"),
        ("pkcs11:token=a;object=b?pin-source=/p", "module-path is missing"),
        ("pkcs11:object=b?module-path=/m&pin-source=/p", "token, serial or slot-id is missing"),
        ("pkcs11:token=a?module-path=/m&pin-source=/p", "object or id is missing"),
        ("pkcs11:token=a;token=b;object=b?module-path=/m&pin-source=/p", "stands twice"),
        ("pkcs11:token=a;object=b;type=cert?module-path=/m&pin-source=/p", "type has to be private"),
        ("pkcs11:token=a;object=b;vendor=1?module-path=/m&pin-source=/p", "vendor is not understood"),
        ("pkcs11:token=a;object=b?module-path=m&pin-source=/p", "absolute"),
        ("pkcs11:token=a;object=b?module-path=/m&pin-source=|/bin/secret", "absolute"),
        ("pkcs11:token=a;object=b;slot-id=x?module-path=/m&pin-source=/p", "number"),
        ("other:token=a;object=b?module-path=/m&pin-source=/p", "does not begin with pkcs11"),
    ],
)
def test_uris_that_are_not_taken(uri: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        parse(uri)
    assert "1234" not in str(caught.value)


def test_a_uri_in_full() -> None:
    found = parse(
        "pkcs11:token=Tr%E1%BB%A5c%201;serial=ab;slot-id=7;id=%01%ff;object=k;type=private"
        "?module-path=/usr/lib/a.so&pin-source=file:///etc/truc/a%20pin"
    )
    assert (found.token, found.serial, found.slot_id, found.id) == ("Trục 1", "ab", 7, b"\x01\xff")
    assert found.pin_source == Path("/etc/truc/a pin")
    assert "/etc" not in str(found)
    assert "usr" not in str(found)


@pytest.fixture
def token(tmp_path: Path) -> softhsm.Token:
    return softhsm.Token(tmp_path)


def opened(token: softhsm.Token, folder: Path, entity: pki.Entity, **others: str) -> KeyPair:
    return open_pair(KeyPlace(token.uri(**others), (chain_file(folder, entity),)))


def sign(pair: KeyPair) -> bytes:
    return sign_document(PLAIN, PLACE, pair.key, pair.pem)


def test_of_keys_under_one_name_the_certificates_own_is_taken(
    world: World, tmp_path: Path, token: softhsm.Token
) -> None:
    """So a new key is put beside the former one, and the certificate chooses."""
    for entity in (pki.issue("Old", world.house.issuing), world.ec, pki.issue("New", world.house.issuing)):
        token.put(entity.key)
    token.put(world.rsa.key)
    assert world.verify(sign(opened(token, tmp_path, world.ec))).verdict.accepted
    assert world.verify(sign(opened(token, tmp_path, world.rsa))).verdict.accepted
    with pytest.raises(ConfigurationError, match="3 private keys are named so"):
        opened(token, tmp_path, pki.issue("Else", world.house.issuing))
    with pytest.raises(ConfigurationError, match="no private key"):
        opened(token, tmp_path, world.ec, label="nobody")


def test_a_key_that_the_token_has_made(tmp_path: Path, token: softhsm.Token) -> None:
    public = load_der_public_key(token.make())
    assert isinstance(public, ec.EllipticCurvePublicKey)
    key = token_key(parse(token.uri()), public)
    assert key.away == ""
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    public.verify(key.sign(b"x", ec.ECDSA(hashes.SHA384())), b"x", ec.ECDSA(hashes.SHA384()))


def test_a_key_by_its_id(world: World, tmp_path: Path, token: softhsm.Token) -> None:
    token.put(world.ec.key, number=7)
    assert not opened(token, tmp_path, world.ec, id="%00%00%00%00%00%00%00%07").away
    with pytest.raises(ConfigurationError):
        opened(token, tmp_path, world.ec, id="%00%00%00%00%00%00%00%08")


def test_a_token_that_is_taken_away_and_put_back(world: World, tmp_path: Path, token: softhsm.Token) -> None:
    token.put(world.ec.key)
    pair = opened(token, tmp_path, world.ec)
    sign(pair)
    token.take_away()
    with pytest.raises(TransientError) as caught:
        sign(pair)
    assert caught.value.code is Code.KEY_AWAY
    assert pair.away
    with pytest.raises(TransientError):
        pair.check()
    for _ in range(5):  # asking does not bring it back
        pair.look()
        time.sleep(0.05)
    assert pair.away
    token.put_back()

    def back() -> bool:
        pair.look()
        return not pair.away

    until(back)
    assert world.verify(sign(pair)).verdict.accepted


def test_a_token_that_is_away_at_the_start_is_waited_for(
    world: World, tmp_path: Path, token: softhsm.Token
) -> None:
    token.put(world.ec.key)
    token.take_away()
    pair = opened(token, tmp_path, world.ec)
    assert pair.away == "it is not there"
    with pytest.raises(TransientError):
        open_pair_now(KeyPlace(token.uri(), (tmp_path / "chain.pem",)))
    token.put_back()

    def back() -> bool:
        pair.look()
        return not pair.away

    until(back)
    assert world.verify(sign(pair)).verdict.accepted


def test_a_session_that_ended_is_opened_anew(world: World, tmp_path: Path, token: softhsm.Token) -> None:
    token.put(world.ec.key)
    pair = opened(token, tmp_path, world.ec)
    assert isinstance(pair.key, TokenKey)
    module = pair.key._module
    module.ask(module._sessions[pair.key.uri.token_name].close, 60)
    assert world.verify(sign(pair)).verdict.accepted
    assert not pair.away


def test_a_wrong_pin_is_tried_once_and_again_when_its_file_changes(
    world: World, tmp_path: Path, token: softhsm.Token
) -> None:
    token.put(world.ec.key)
    token.write_pin("sai")
    with pytest.raises(ConfigurationError, match="PinIncorrect"):
        opened(token, tmp_path, world.ec)
    with pytest.raises(ConfigurationError, match="not tried again until its file changes"):
        opened(token, tmp_path, world.ec)
    token.write_pin(softhsm.PIN)
    assert not opened(token, tmp_path, world.ec).away


def test_a_device_that_hangs_is_away_and_nobody_waits_twice(
    world: World, tmp_path: Path, token: softhsm.Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    token.put(world.ec.key)
    pair = opened(token, tmp_path, world.ec)
    key = pair.key
    assert isinstance(key, TokenKey)
    release = threading.Event()
    real = key._handle
    monkeypatch.setattr(key, "_seconds", 0.2)

    class Hanging:
        def sign(self, *arguments: Any, **named: Any) -> Any:
            release.wait(60)
            return real.sign(*arguments, **named)

    key._handle = Hanging()
    with pytest.raises(TransientError, match=r"no answer within 0.2 s"):
        sign(pair)
    other = KeyPlace(token.uri(), (tmp_path / "chain.pem",))
    assert open_pair(other).away == "the device has not answered yet"
    release.set()

    def back() -> bool:
        pair.look()
        return not pair.away

    until(back)
    monkeypatch.setattr(key, "_seconds", 60)
    assert world.verify(sign(pair)).verdict.accepted


def test_a_signature_that_does_not_hold_is_not_given_out(
    world: World, tmp_path: Path, token: softhsm.Token
) -> None:
    token.put(world.ec.key)
    pair = opened(token, tmp_path, world.ec)
    assert isinstance(pair.key, TokenKey)

    class Faulty:
        def sign(self, *_: Any, **__: Any) -> bytes:
            return b"\x01" * 64

    pair.key._handle = Faulty()
    with pytest.raises(TransientError, match="does not hold"):
        sign(pair)
    assert pair.away


def test_no_module(world: World, tmp_path: Path, token: softhsm.Token) -> None:
    chain = (chain_file(tmp_path, world.ec),)
    for path, reason in (
        (tmp_path / "none.so", "is not there"),
        (tmp_path / "chain.pem", "no PKCS#11 module"),
    ):
        uri = token.uri().replace(softhsm.module_path(), str(path))
        with pytest.raises(ConfigurationError, match=reason):
            open_pair(KeyPlace(uri, chain))


def test_a_key_of_a_token_only_signs(world: World, tmp_path: Path, token: softhsm.Token) -> None:
    token.put(world.rsa.key)
    token.put(world.ec.key)
    for entity in (world.rsa, world.ec):
        key: Any = opened(token, tmp_path, entity).key
        assert copy.copy(key) is key
        assert copy.deepcopy(key) is key
        assert key.key_size == entity.key.key_size
        with pytest.raises(ValueError, match="does not leave"):
            key.private_numbers()
        with pytest.raises(ValueError, match="does not leave"):
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with pytest.raises(ValueError, match="does not leave"):
            (key.decrypt if isinstance(key, TokenRsaKey) else key.exchange)(b"", None)
    rsa_key: Any = opened(token, tmp_path, world.rsa).key
    with pytest.raises(ValueError, match="PKCS#1"):
        rsa_key.sign(b"x", padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    with pytest.raises(ValueError, match="SHA-256"):
        rsa_key.sign(b"x", padding.PKCS1v15(), hashes.SHA1())
