"""The looks themselves: files, processes and libraries of this machine; a broker that never answers; limits of time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import pytest

from relay.directory.edition import next_edition, seal
from relay.directory.file import load as load_directory
from relay.errors import Code
from relay.observe.clock import SystemClock
from relay.observe.http import HttpServer
from relay.operate.doctor import look_files, look_processes
from relay.operate.doctor.check import Severity
from relay.operate.doctor.facts import DirectoryFacts, RelayKeyFacts, TrustFacts, Unseen
from relay.operate.doctor.run import CHECKS, Patient, Report, doctor
from relay.operate.doctor.threads import Promise
from relay.settings import Settings, load
from tests.support import pki

CONFIG = """\
relay: {name: truc-dev, key: relay.key, certificates: [relay.pem]}
broker:
  url: "amqp://127.0.0.1:PORT/truc"
  user: relay
  password_file: secret
  management_url: "http://127.0.0.1:PORT"
  management_user: admin
  management_password_file: secret
registry: {url: "sqlite:///registry.db"}
directory: {file: directory.yaml}
trust: {anchors: [house/root.pem], crls: [house/root.crl, house/issuing.crl]}
"""
DIRECTORY = """\
agencies:
  - {code: H26, name: Thành phố mẫu, gateway: H26, certificates: [H26.pem]}
"""
SECRET = "hunter2-hunter2"


class Then(SystemClock):
    """The day for which the test's certificates are made."""

    def now(self) -> datetime:
        return pki.NOW


class In(SystemClock):
    """So many days later."""

    def __init__(self, days: int) -> None:
        self.days = days

    def now(self) -> datetime:
        return pki.NOW + self.days * pki.DAY


class Place:
    """A configuration with its files; nothing runs."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.house = pki.house(folder / "house")
        later = pki.NOW + 300 * pki.DAY
        self.relay = pki.issue("Truc", self.house.issuing, relay="truc-dev", not_after=later)
        self.agency = pki.issue("H26", self.house.issuing, not_after=later)
        self.write("relay.key", self.relay.key_pem)
        self.write("relay.pem", self.relay.chain_pem)
        self.write("secret", f"{SECRET}\n".encode())
        self.write("H26.pem", self.agency.pem)
        self.write("directory.yaml", DIRECTORY.encode())
        self.config = self.write("truc.yaml", CONFIG.replace("PORT", str(port)).encode())

    def write(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o600)
        return path

    @property
    def settings(self) -> Settings:
        return load(self.config)

    def look(self, *areas: str, limit: float = 20.0, urls: tuple[str, ...] = ()) -> Report:
        return doctor(Patient(self.config, Then(), urls), areas, limit)

    def names(self, *areas: str) -> set[str]:
        return {one.name for one in self.look(*areas).findings}

    def keys(self) -> RelayKeyFacts:
        return look_files.keys(self.settings, pki.NOW)

    def trust(self) -> TrustFacts:
        return look_files.trust(self.settings, pki.NOW)

    def directory(self) -> DirectoryFacts:
        return look_files.directory(self.settings, pki.NOW)


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes every connection and never says anything."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen(64)
        yield int(door.getsockname()[1])


@pytest.fixture
def place(tmp_path: Path, silent: int) -> Place:
    return Place(tmp_path, silent)


def test_a_signed_directory_is_looked_at_as_who_follows_it_has_it(place: Place) -> None:
    plain = place.directory()
    agencies = load_directory(place.folder / "directory.yaml").agencies()
    edition = next_edition(
        agencies, None, relay="truc-dev", issued_at=pki.NOW, expires_at=pki.NOW + 10 * pki.DAY
    )
    whole = seal(edition, place.relay.key, place.relay.chain_pem)
    place.write("agencies.signed", whole)
    place.config.write_text(
        place.config.read_text().replace("directory.yaml", "agencies.signed"), encoding="utf-8"
    )
    seen = place.directory()
    assert (seen.trouble, seen.serial) == ("", 1)
    assert [one.agency.code for one in seen.agencies] == [one.agency.code for one in plain.agencies]
    assert seen.due_at == pki.NOW + 5 * pki.DAY
    assert seen.over_at == pki.NOW + 17 * pki.DAY
    assert "directory.invalid" not in place.names("directory")
    place.write(
        "agencies.signed.w1.kept", whole
    )  # what a worker keeps is in use, also when the lists have ended
    for days, name in ((6, "directory.ageing"), (11, "directory.expired")):
        report = doctor(Patient(place.config, In(days), ()), ("directory",), 20.0)
        assert name in {one.name for one in report.findings}
    place.write("agencies.signed", whole[:-30])
    damaged = place.directory()
    assert damaged.trouble
    assert damaged.serial == 1
    before = sorted(path.name for path in place.folder.iterdir())
    place.directory()
    assert sorted(path.name for path in place.folder.iterdir()) == before  # a look writes nothing


def test_a_broker_that_never_answers_hangs_nothing_and_hides_nothing(place: Place) -> None:
    place.write("relay.key", pki.issue("other").key_pem).chmod(0o644)
    began = time.monotonic()
    report = place.look(limit=3.5)
    assert time.monotonic() - began < 40.0
    assert {one.name for one in report.findings} >= {"keys.open", "keys.mismatch", "registry.unusable"}
    blind = {name for reason, names in report.unseen for name in names if reason == "no answer in time"}
    assert {check.name for check in CHECKS if set(check.parts) & {"queues", "login", "broker"}} <= blind
    assert not report.healthy


def test_the_whole_of_it_is_bounded() -> None:
    from relay.operate.doctor import run

    assert run.LIMIT * 1.25 < 60


def test_work_that_fails_or_hangs_is_not_seen() -> None:
    gate = threading.Event()
    slow = Promise(gate.wait, ())
    assert slow.result(0.05) == Unseen("no answer in time")
    gate.set()

    def wrong() -> int:
        raise ZeroDivisionError("oh")

    assert Promise(wrong, (ZeroDivisionError,)).result(5.0) == Unseen("oh")
    found = Promise(wrong, (OSError,)).result(5.0)
    assert isinstance(found, Unseen)
    assert "ZeroDivisionError" in found.reason
    assert Promise(lambda: 7, ()).result(5.0) == 7


def test_no_secret_is_in_what_was_found(place: Place) -> None:
    report = place.look(limit=3.5)
    shown = repr(report)
    assert SECRET not in shown
    assert "PRIVATE KEY" not in shown


def test_files_that_are_well(place: Place) -> None:
    keys, trust, directory = place.keys(), place.trust(), place.directory()
    assert (keys.trouble, keys.fits, keys.certificate_name) == ("", True, "truc-dev")
    assert (keys.open_files, keys.verdict) == ((), Code.OK)
    assert (trust.trouble, len(trust.anchors), len(trust.lists)) == ("", 1, 2)
    ((certificate,),) = [one.certificates for one in directory.agencies]
    assert (certificate.current, certificate.verdict) == (
        True,
        None,
    )  # its issuer comes with a signature only
    assert place.names("keys", "directory", "config", "disk", "trust") == {"trust.anchor-ending"}


def test_an_agency_whose_certificate_is_revoked_or_of_nobody(place: Place) -> None:
    place.house.revoke(place.agency)
    assert place.names("directory") == {"directory.certificate-revoked"}
    place.house.revoke()
    other = pki.issue("Another authority", ca=True)
    stranger = pki.issue("H26", other, not_after=pki.NOW + 300 * pki.DAY)
    place.write("H26.pem", stranger.pem)
    assert place.names("directory") == {"directory.certificate-untrusted"}
    place.write("H26.pem", pki.issue("H26", place.house.issuing, not_after=pki.NOW - pki.DAY).pem)
    assert place.names("directory") == {"directory.certificates-ended"}
    place.write("H26.pem", pki.issue("H26", place.house.issuing, not_after=pki.NOW + 3 * pki.DAY).pem)
    assert place.names("directory") == {"directory.certificate-ending"}


def test_a_relay_whose_certificate_is_revoked(place: Place) -> None:
    place.house.revoke(place.relay)
    assert place.names("keys") == {"keys.untrusted"}


def test_the_administrators_password_is_looked_at_too(place: Place) -> None:
    text = place.config.read_text(encoding="utf-8")
    place.write(
        "truc.yaml",
        text.replace("management_password_file: secret", "management_password_file: top").encode(),
    )
    place.write("top", b"x\n").chmod(0o640)
    found = place.look("config").findings
    assert [(one.name, one.subject) for one in found] == [
        ("config.secret-open", "broker.management_password_file")
    ]


def test_a_key_that_is_none(place: Place) -> None:
    place.write("relay.key", b"no key")
    assert place.names("keys") == {"keys.unusable"}


def test_lists_that_are_late(place: Place) -> None:
    issuing = place.house.issuing
    (place.folder / "house" / "issuing.crl").write_bytes(
        pki.crl(issuing, this_update=pki.NOW - 20 * pki.DAY, next_update=pki.NOW - pki.DAY)
    )
    found = [one for one in place.look("trust").findings if one.severity is Severity.FAULT]
    assert [(one.name, one.subject) for one in found] == [("trust.crl-ended", "CN=Test issuing")]
    assert "issuing.crl" in found[0].detail


def test_disks_are_those_of_the_folders(place: Place) -> None:
    disks = look_files.disks(place.settings)
    assert not isinstance(disks, Unseen)
    assert {one.place for one in disks} == {"directory", "registry"}
    for one in disks:
        assert 0 < one.free <= one.total
        assert one.kind


def test_processes_say_what_they_are(silent: int) -> None:
    facts: Mapping[str, object] = {"directory": "ab", "reasons": ["broker-gone"]}
    text = b'truc_build_info{python="3.11.2",version="9.9"} 1.0\n'
    with (
        HttpServer(lambda: text, lambda: (True, {"directory": "ab"})) as good,
        HttpServer(lambda: text, lambda: (False, facts)) as bad,
    ):
        found = look_processes.processes(
            (f"{good.url}/metrics", bad.url, f"http://127.0.0.1:{silent}")
        ).answers
    assert (found[0].ready, found[0].version, found[0].python) == (True, "9.9", "3.11.2")
    assert found[0].reasons == {"directory": "ab"}
    assert (found[1].ready, found[1].reasons["reasons"]) == (False, ["broker-gone"])
    assert found[2].trouble
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (gone,) = look_processes.processes((f"http://127.0.0.1:{port}",)).answers
    assert "refused" in gone.trouble


def test_this_installation_has_what_it_asks_for() -> None:
    found = look_processes.libraries()
    assert (found.missing, found.libxml_trouble) == ((), "")
    assert found.python >= (3, 11)
    assert found.openssl_number >= (3, 0)


@pytest.mark.parametrize(
    ("version", "bounds", "kept"),
    [
        ("1.3.2", "<2,>=1.3.2", True),
        ("1.3.1", "<2,>=1.3.2", False),
        ("2.0", "<2,>=1.3.2", False),
        ("6.1.3", "==6.1.3", True),
        ("6.1.3.0", "==6.1.3", True),
        ("6.1.4", "==6.1.3", False),
        ("44.0.1", ">=44", True),
        ("2.1.9", "<2.2,>=2.0.36", True),
        ("1", "", True),
    ],
)
def test_bounds_of_versions(version: str, bounds: str, kept: bool) -> None:
    assert look_processes.satisfies(version, bounds) is kept
