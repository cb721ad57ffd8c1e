"""The scripts of deploy/: which copies are kept, which one is restored, what the pilot's authority signs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

ROOT = Path(__file__).resolve().parents[3]
BACKUP = ROOT / "deploy" / "backup" / "truc-backup"
RESTORE = ROOT / "deploy" / "backup" / "truc-restore"
PILOT_CA = ROOT / "deploy" / "pki" / "pilot-ca"

# Stands in for the command: writes the copy that was asked for, or says what it was asked.
TRUC = """#!/bin/sh
if [ "$2" = backup ]; then
    [ -e "$FAIL" ] && exit 4
    echo new >"$3"; echo sum >"$3.sha256"
else
    echo "$@"
fi
"""


def _run(*words: str | Path, cwd: Path, code: int = 0) -> str:
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={"PATH": f"{cwd}/bin:/usr/bin:/bin", "FAIL": f"{cwd}/fail"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "copies").mkdir()
    (tmp_path / "bin" / "truc").write_text(TRUC, encoding="utf-8")
    (tmp_path / "bin" / "truc").chmod(0o755)
    for day in range(1, 6):
        for suffix in ("", ".sha256"):
            (tmp_path / "copies" / f"registry-2026010{day}T000000Z.db{suffix}").touch()
    (tmp_path / "copies" / "registry-by-hand.db").touch()
    return tmp_path


def _days(folder: Path) -> list[str]:
    names = sorted(path.name for path in (folder / "copies").glob("registry-2*.db"))
    assert [f"{name}.sha256" for name in names] == sorted(
        path.name for path in (folder / "copies").glob("*.sha256")
    )
    return names


def test_the_newest_copies_are_kept_and_what_was_put_there_by_hand(folder: Path) -> None:
    made = Path(_run(BACKUP, "truc.yaml", folder / "copies", "3", cwd=folder).strip())
    assert made.read_text("utf-8") == "new\n"
    assert _days(folder) == [
        "registry-20260104T000000Z.db",
        "registry-20260105T000000Z.db",
        made.name,
    ]
    assert (folder / "copies" / "registry-by-hand.db").exists()


def test_nothing_is_deleted_where_no_new_copy_stands(folder: Path) -> None:
    (folder / "fail").touch()
    _run(BACKUP, "truc.yaml", folder / "copies", "1", cwd=folder, code=4)
    assert len(_days(folder)) == 5


@pytest.mark.parametrize("words", [(), ("a",), ("a", "b", "0"), ("a", "b", "x"), ("a", "b", "3", "c")])
def test_wrong_words_do_nothing(words: tuple[str, ...], folder: Path) -> None:
    _run(BACKUP, *words, cwd=folder, code=2)
    assert len(_days(folder)) == 5


def test_of_a_folder_the_newest_copy_is_restored(folder: Path) -> None:
    newest = folder / "copies" / "registry-20260105T000000Z.db"
    said = _run(RESTORE, "truc.yaml", folder / "copies", "--dry-run", cwd=folder)
    assert said.split() == ["registry", "restore", str(newest), "--config", "truc.yaml", "--dry-run"]
    said = _run(RESTORE, "truc.yaml", folder / "copies" / "one.db", cwd=folder)
    assert said.split() == ["registry", "restore", str(folder / "copies" / "one.db"), "--config", "truc.yaml"]
    _run(RESTORE, "truc.yaml", folder / "bin", cwd=folder, code=5)
    _run(RESTORE, "truc.yaml", folder / "copies", "--force", cwd=folder, code=2)


# --- the pilot's authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    _run(PILOT_CA, "init", "ca", "Pilot", cwd=folder)
    wish = "subjectAltName=URI:urn:truc:relay:other"
    _run(
        *("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-keyout", "key", "-out", "csr", "-subj", "/CN=H26", "-addext", wish),
        *("-addext", "basicConstraints=CA:TRUE"),
        cwd=folder,
    )
    return folder


def _signed(folder: Path, *kind: str) -> x509.Certificate:
    _run(PILOT_CA, "sign", "ca", "csr", "out.pem", *kind, cwd=folder)
    return x509.load_pem_x509_certificate((folder / "out.pem").read_bytes())


def _alternative(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [str(one.value) for one in found.value]


def test_no_wish_of_a_request_is_heard(authority: Path) -> None:
    certificate = _signed(authority, "agency")
    assert _alternative(certificate) == []
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    root = x509.load_pem_x509_certificate((authority / "ca" / "ca.pem").read_bytes())
    certificate.verify_directly_issued_by(root)


def test_each_kind_has_what_it_is_for(authority: Path) -> None:
    assert _alternative(_signed(authority, "relay", "truc-pilot")) == ["urn:truc:relay:truc-pilot"]
    server = _signed(authority, "server", "broker.example")
    assert _alternative(server) == ["broker.example"]
    both = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert set(server.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == both
    login = _signed(authority, "login")
    assert list(login.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]


def test_a_request_that_is_not_its_sender_s_is_refused(authority: Path) -> None:
    request = bytearray(x509.load_pem_x509_csr((authority / "csr").read_bytes()).public_bytes(Encoding.DER))
    request[-3] ^= 0x01
    (authority / "forged.der").write_bytes(bytes(request))
    _run("openssl", "req", "-inform", "DER", "-in", "forged.der", "-out", "forged", cwd=authority)
    _run(PILOT_CA, "sign", "ca", "forged", "forged.pem", "agency", cwd=authority, code=1)
    assert not (authority / "forged.pem").exists()


@pytest.mark.parametrize("subject", ["/CN=topology", "/CN=relay", "/CN=H26/CN=G22", "/CN=H26,topology"])
def test_a_login_is_an_agency_s_code_and_nothing_else(subject: str, authority: Path) -> None:
    _run(
        *("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-keyout", "key2", "-out", "csr2", "-subj", subject),
        cwd=authority,
    )
    _run(PILOT_CA, "sign", "ca", "csr2", "login.pem", "login", cwd=authority, code=1)
    assert not (authority / "login.pem").exists()


@pytest.mark.parametrize("name", ["a\nb", "a,DNS:b", "a b", ""])
def test_a_name_that_is_none_is_refused(name: str, authority: Path) -> None:
    done = subprocess.run(
        [PILOT_CA, "sign", "ca", "csr", "odd.pem", "server", name],
        cwd=authority,
        capture_output=True,
        check=False,
    )
    assert done.returncode in {1, 2}
    assert not (authority / "odd.pem").exists()


def test_keys_are_private_a_second_authority_is_refused_and_a_revoked_certificate_is_listed(
    authority: Path,
) -> None:
    assert (authority / "ca" / "ca.key").stat().st_mode & 0o077 == 0
    before = (authority / "ca" / "ca.key").read_bytes()
    _run(PILOT_CA, "init", "ca", "Pilot", cwd=authority, code=1)
    assert (authority / "ca" / "ca.key").read_bytes() == before
    certificate = _signed(authority, "agency")
    _run(PILOT_CA, "revoke", "ca", "out.pem", cwd=authority)
    crl = x509.load_pem_x509_crl((authority / "ca" / "ca.crl").read_bytes())
    assert crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None


# --- logs


def test_logs_are_rotated_by_renaming_alone(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "logrotate.d" / "truc").read_text(encoding="utf-8")
    words = {line.split()[0] for line in text.splitlines() if re.match(r"\s+\w", line)}
    assert "copytruncate" not in words
    assert words == {
        *("daily", "rotate", "missingok", "notifempty", "compress", "delaycompress", "dateext", "su", "create"),
    }  # fmt: skip
    rotate = shutil.which("logrotate", path="/usr/sbin:/usr/bin")
    if rotate:  # it judges the file itself where it is installed
        (tmp_path / "w1.log").write_text("{}\n", encoding="utf-8")
        own = re.sub(r"(?m)^\s+(su|create).*\n", "", text).replace("/var/log/truc", str(tmp_path))
        (tmp_path / "conf").write_text(own, encoding="utf-8")
        (tmp_path / "conf").chmod(0o644)
        tmp_path.chmod(0o755)
        done = subprocess.run(
            [rotate, "--force", "--state", tmp_path / "state", tmp_path / "conf"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert not (tmp_path / "w1.log").exists()
        assert list(tmp_path.glob("w1.log-*"))
