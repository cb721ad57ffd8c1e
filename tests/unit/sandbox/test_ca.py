from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from relay.errors import Code, ConfigurationError
from relay.sandbox import ca as ca_module
from relay.sandbox.ca import CRL_LIFE, RELAY_URN, DevelopmentCa, KeyKind
from relay.sandbox.files import write_private

NOW = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)


@pytest.fixture
def ca(tmp_path: Path) -> DevelopmentCa:
    made = DevelopmentCa(tmp_path / "ca")
    made.ensure(NOW)
    return made


def test_the_chain_leads_from_the_leaf_to_the_root(ca: DevelopmentCa, tmp_path: Path) -> None:
    issued = ca.agency(tmp_path / "keys", "H26.15", "Sở mẫu", NOW)
    leaf, issuing = x509.load_pem_x509_certificates(issued.cert.read_bytes())
    root = x509.load_pem_x509_certificate(ca.root_cert.read_bytes())
    leaf.verify_directly_issued_by(issuing)
    issuing.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert issuing.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert leaf.not_valid_before_utc < NOW < leaf.not_valid_after_utc
    assert "H26.15 (mẫu)" in leaf.subject.rfc4514_string()


def test_only_the_relay_has_the_relays_name(ca: DevelopmentCa, tmp_path: Path) -> None:
    relay = ca.relay(tmp_path, "truc-dev", NOW).leaf()
    names = relay.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"{RELAY_URN}truc-dev"]
    agency = ca.agency(tmp_path, "H26", "Thành phố mẫu", NOW).leaf()
    with pytest.raises(x509.ExtensionNotFound):
        agency.extensions.get_extension_for_class(x509.SubjectAlternativeName)


@pytest.mark.parametrize(("kind", "size"), [("ec-p256", 256), ("ec-p384", 384), ("rsa-2048", 2048)])
def test_keys_are_of_the_kind_asked_for_and_private(
    ca: DevelopmentCa, tmp_path: Path, kind: KeyKind, size: int
) -> None:
    issued = ca.agency(tmp_path, "G22", "Cơ quan mẫu", NOW, kind=kind)
    key = load_pem_private_key(issued.key.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    assert key.key_size == size
    assert issued.key.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    for path in (issued.key, *ca.folder.glob("*.key")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_there_stays(ca: DevelopmentCa, tmp_path: Path) -> None:
    first = ca.agency(tmp_path, "G22", "Cơ quan mẫu", NOW)
    before = (first.key.read_bytes(), first.cert.read_bytes(), ca.root_cert.read_bytes())
    again = DevelopmentCa(ca.folder)
    again.ensure(NOW + timedelta(days=40))
    second = again.agency(tmp_path, "G22", "Cơ quan mẫu", NOW + timedelta(days=40))
    assert (second.key.read_bytes(), second.cert.read_bytes(), again.root_cert.read_bytes()) == before


@pytest.mark.parametrize("damage", ["no key", "no certificate", "foreign key", "torn certificate", "expired"])
def test_what_cannot_be_used_is_issued_again(ca: DevelopmentCa, tmp_path: Path, damage: str) -> None:
    issued = ca.agency(tmp_path, "G22", "Cơ quan mẫu", NOW)
    serial, now = issued.leaf().serial_number, NOW
    if damage == "no key":
        issued.key.unlink()
    elif damage == "no certificate":
        issued.cert.unlink()
    elif damage == "foreign key":
        issued.key.write_bytes(ca.agency(tmp_path, "G14", "Cơ quan khác", NOW).key.read_bytes())
    elif damage == "torn certificate":
        issued.cert.write_bytes(issued.cert.read_bytes()[:100])
    else:
        now = NOW + timedelta(days=820)
    fresh = ca.agency(tmp_path, "G22", "Cơ quan mẫu", now)
    assert fresh.leaf().serial_number != serial
    key = load_pem_private_key(fresh.key.read_bytes(), None)
    assert key.public_key() == fresh.leaf().public_key()


def test_revocation_is_on_the_issuers_list_and_survives_renewal(ca: DevelopmentCa, tmp_path: Path) -> None:
    leaf = ca.agency(tmp_path, "G22", "Cơ quan mẫu", NOW).leaf()
    ca.revoke(leaf, NOW)
    ca.revoke(leaf, NOW + timedelta(hours=1))
    later = NOW + timedelta(days=20)
    ca.ensure(later)
    root_list, issuing_list = (x509.load_pem_x509_crl(path.read_bytes()) for path in ca.crls)
    entry = issuing_list.get_revoked_certificate_by_serial_number(leaf.serial_number)
    assert entry is not None
    assert entry.revocation_date_utc == NOW
    assert len(list(issuing_list)) == 1
    assert len(list(root_list)) == 0
    assert issuing_list.next_update_utc == later + CRL_LIFE
    issuing = x509.load_pem_x509_certificate(ca.issuing_cert.read_bytes())
    assert issuing_list.is_signature_valid(issuing.public_key())  # type: ignore[arg-type]


def test_the_issuing_ca_is_revoked_on_the_roots_list(ca: DevelopmentCa) -> None:
    issuing = x509.load_pem_x509_certificate(ca.issuing_cert.read_bytes())
    ca.revoke(issuing, NOW)
    root_list = x509.load_pem_x509_crl(ca.crls[0].read_bytes())
    assert root_list.get_revoked_certificate_by_serial_number(issuing.serial_number) is not None


def test_a_damaged_authority_is_named_and_not_replaced(ca: DevelopmentCa) -> None:
    (ca.folder / "root.key").write_text("nothing")
    with pytest.raises(ConfigurationError) as raised:
        ca.ensure(NOW)
    assert raised.value.code is Code.KEY_UNUSABLE
    assert "root" in raised.value.detail


def _meanwhile(
    monkeypatch: pytest.MonkeyPatch, first: Callable[[], object], second: Callable[[], object]
) -> None:
    """Run ``second`` while ``first`` stands before its certificate or list; it may have to wait for ``first``."""
    before, done = threading.Event(), threading.Event()
    write = write_private

    def slow(path: Path, content: bytes | str) -> None:
        if not before.is_set():
            before.set()
            done.wait(1)  # for ever, if the other one waits for us
        write(path, content)

    monkeypatch.setattr(ca_module, "write_private", slow)
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(first)
        assert before.wait(60)
        other = pool.submit(second)
        other.add_done_callback(lambda _: done.set())
        one.result(60)
        other.result(60)


def test_two_that_issue_at_once_leave_a_pair(
    ca: DevelopmentCa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def issue() -> object:
        return DevelopmentCa(ca.folder).agency(tmp_path / "keys", "H98", "Cơ quan mẫu", NOW)

    _meanwhile(monkeypatch, issue, issue)
    key = load_pem_private_key((tmp_path / "keys" / "H98.key").read_bytes(), None)
    (leaf, _) = x509.load_pem_x509_certificates((tmp_path / "keys" / "H98.pem").read_bytes())
    assert key.public_key() == leaf.public_key()


def test_two_that_revoke_at_once_are_both_listed(
    ca: DevelopmentCa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (ca.agency(tmp_path / "keys", code, "Cơ quan mẫu", NOW).leaf() for code in ("H97", "H98"))
    _meanwhile(monkeypatch, lambda: ca.revoke(one, NOW), lambda: DevelopmentCa(ca.folder).revoke(other, NOW))
    listed = {each.serial_number for each in x509.load_pem_x509_crl(ca.crls[1].read_bytes())}
    assert listed == {one.serial_number, other.serial_number}
