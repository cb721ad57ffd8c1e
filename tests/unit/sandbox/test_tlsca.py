from __future__ import annotations

import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from relay.errors import Code, ConfigurationError, OperationError
from relay.sandbox import contents, provision
from relay.sandbox.ca import CRL_LIFE, DevelopmentCa, former
from relay.sandbox.home import Home, Kept
from relay.sandbox.tlsca import RENEW_BEFORE, TLS_LIFE, TlsAuthorities, short_hash
from tests.support import pki

NOW = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)


@pytest.fixture
def authorities(tmp_path: Path) -> TlsAuthorities:
    made = TlsAuthorities(tmp_path / "tls")
    made.ensure(NOW)
    return made


def extension(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> x509.ExtensionType:
    return certificate.extensions.get_extension_for_class(kind).value


def test_the_broker_is_known_by_its_addresses_and_is_no_client(
    authorities: TlsAuthorities, tmp_path: Path
) -> None:
    leaf = authorities.server(tmp_path, NOW).leaf()
    root = x509.load_pem_x509_certificate(authorities.root_cert.read_bytes())
    leaf.verify_directly_issued_by(root)
    names = extension(leaf, x509.SubjectAlternativeName)
    assert isinstance(names, x509.SubjectAlternativeName)
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("127.0.0.1"), ip_address("::1")]
    assert extension(leaf, x509.ExtendedKeyUsage) == x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])


def test_a_login_is_the_code_and_nothing_else_and_of_another_root(
    authorities: TlsAuthorities, tmp_path: Path
) -> None:
    issued = authorities.login(tmp_path / "logins", "H26.15", NOW)
    leaf = issued.leaf()
    assert leaf.subject.rfc4514_string() == "CN=H26.15"
    assert extension(leaf, x509.ExtendedKeyUsage) == x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(authorities.logins_cert.read_bytes()))
    assert authorities.logins_cert.read_bytes() != authorities.root_cert.read_bytes()
    assert load_pem_private_key(issued.key.read_bytes(), None).public_key() == leaf.public_key()
    for path in (issued.key, *authorities.folder.glob("*.key")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_certificates_are_kept_until_they_are_about_to_end(
    authorities: TlsAuthorities, tmp_path: Path
) -> None:
    first = authorities.server(tmp_path, NOW).leaf()
    nearly = NOW + TLS_LIFE - RENEW_BEFORE - timedelta(hours=2)
    assert authorities.server(tmp_path, nearly).leaf() == first
    renewed = authorities.server(tmp_path, nearly + timedelta(hours=2)).leaf()
    assert renewed != first
    assert renewed.not_valid_after_utc - nearly > RENEW_BEFORE
    assert authorities.server(tmp_path, nearly, renew=True).leaf() != renewed


def test_a_certificate_of_a_lost_root_is_made_anew(authorities: TlsAuthorities, tmp_path: Path) -> None:
    first = authorities.server(tmp_path, NOW).leaf()
    authorities.root_cert.unlink()
    authorities.ensure(NOW)
    second = authorities.server(tmp_path, NOW).leaf()
    assert second != first
    second.verify_directly_issued_by(x509.load_pem_x509_certificate(authorities.root_cert.read_bytes()))


def test_a_damaged_root_is_named_and_not_replaced(authorities: TlsAuthorities) -> None:
    (authorities.folder / "logins.key").write_text("nothing")
    with pytest.raises(ConfigurationError) as raised:
        authorities.ensure(NOW)
    assert raised.value.code is Code.KEY_UNUSABLE
    assert "logins" in raised.value.detail


def test_a_relays_former_certificates_stay(tmp_path: Path) -> None:
    ca, folder = DevelopmentCa(tmp_path / "ca"), tmp_path / "relay"
    ca.ensure(NOW)
    first = ca.relay(folder, "truc-dev", NOW).leaf()
    assert former(folder) == ()
    second = ca.relay(folder, "truc-dev", NOW, renew=True).leaf()
    third = ca.relay(folder, "truc-dev", NOW + timedelta(days=820)).leaf()  # about to end
    kept = {x509.load_pem_x509_certificates(path.read_bytes())[0] for path in former(folder)}
    assert kept == {first, second}
    assert third not in kept
    lists = x509.load_pem_x509_crl(ca.crls[1].read_bytes())
    assert list(lists) == [], "what was sealed with them still holds"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.make_folders()
    made.keep(Kept(base_port=20_000, node_name="truc-test", passwords={"admin": "a" * 24}, tls=True))
    return made


def test_a_home_with_tls_has_all_that_is_needed_and_one_without_names_none_of_it(home: Home) -> None:
    agencies = provision.prepare(home, NOW)
    kept = home.kept()
    node = home.node(kept)
    text = node._configuration()
    assert "listeners.tcp = none" in text
    assert "tcp" not in text.replace("listeners.tcp = none", "").replace("prometheus.tcp", "")
    assert not node.as_configured(), "nothing was started yet"
    for name in ("server.pem", "server.key", "logins.pem"):
        assert (node.tls_folder / name).exists()
    raw = contents.contents(home, kept, agencies)
    assert raw["tls_ca_cert"] == str(home.tls / "root.pem")
    assert all(
        Path(one["tls_cert"]).exists() and Path(one["tls_key"]).exists() for one in raw["gateways"].values()
    )
    assert {path.stem for path in home.logins.glob("*.pem")} == set(raw["gateways"])
    settings = home.settings_file.read_text(encoding="utf-8")
    assert f"ca_file: {raw['tls_ca_cert']}" in settings
    assert "amqps://" in settings
    assert "https://" in settings

    home.keep(replace(kept, tls=False))
    plain = contents.contents(home, home.kept(), provision.prepare(home, NOW))
    assert "tls_ca_cert" not in plain
    assert {key for one in plain["gateways"].values() for key in one} == {"user", "password", "serves"}
    assert plain["amqp_url"].startswith("amqp://127.0.0.1:")
    assert "ca_file" not in home.settings_file.read_text(encoding="utf-8")


def test_a_gateway_without_a_certificate_does_not_log_in_by_one(home: Home) -> None:
    agencies = provision.prepare(home, NOW)
    home.keep(replace(home.kept(), tls=False))
    contents.publish(home, home.kept(), agencies)
    sandbox = contents.running(home.path)
    assert not sandbox.endpoint("H26").external
    for gateway, login in (("H26", "certificate"), ("H99", "password")):
        with pytest.raises(OperationError) as raised:
            sandbox.endpoint(gateway, login)  # type: ignore[arg-type]
        assert raised.value.code is Code.NOT_FOUND


def test_a_revoked_login_stands_on_the_list_that_the_broker_finds(
    authorities: TlsAuthorities, tmp_path: Path
) -> None:
    folder = tmp_path / "node"
    folder.mkdir()
    leaf = authorities.login(tmp_path / "logins", "H26", NOW).leaf()
    authorities.publish(folder, NOW)
    (published,) = (folder / "crls").iterdir()
    assert list(x509.load_pem_x509_crl(published.read_bytes())) == []
    authorities.revoke(leaf, NOW)
    authorities.revoke(leaf, NOW + timedelta(hours=1))
    authorities.publish(folder, NOW + timedelta(days=20))
    listed = x509.load_pem_x509_crl(published.read_bytes())
    assert [(one.serial_number, one.revocation_date_utc) for one in listed] == [(leaf.serial_number, NOW)]
    assert listed.next_update_utc == NOW + timedelta(days=20) + CRL_LIFE
    root = x509.load_pem_x509_certificate(authorities.logins_cert.read_bytes())
    assert listed.is_signature_valid(root.public_key())  # type: ignore[arg-type]
    assert (folder / "logins.pem").read_bytes() == authorities.logins_cert.read_bytes()


@pytest.mark.parametrize("name", ["Trục development gateway logins (mẫu)", "H26.15", "  Two   Words "])
def test_the_list_is_named_as_openssl_names_it(tmp_path: Path, name: str) -> None:
    import subprocess

    authority = pki.issue(name, ca=True)
    path = tmp_path / "list.pem"
    path.write_bytes(pki.crl(authority))
    told = subprocess.run(
        ["openssl", "crl", "-in", str(path), "-noout", "-hash"], capture_output=True, text=True, check=True
    )
    assert f"{short_hash(authority.certificate.subject):08x}" == told.stdout.strip()
