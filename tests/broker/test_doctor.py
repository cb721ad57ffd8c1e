"""The doctor at a real installation that is broken in one way after the other, and mended: it names each fault.

One sandbox for all. What a test breaks it mends; the last one finds nothing again.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from click.testing import CliRunner

from relay.broker.management import Management
from relay.broker.names import agency_queue
from relay.cli.main import main
from relay.observe.clock import SystemClock
from relay.operate.doctor.facts import Stray
from relay.operate.doctor.run import AREAS, CHECKS, Patient, Report, doctor
from relay.sandbox import provision
from relay.sandbox.config import process_urls
from relay.sandbox.contents import Sandbox
from relay.sandbox.home import Home
from relay.sandbox.strays import strays
from tests.support.sandbox import running_sandbox
from tests.support.waits import until

pytestmark = pytest.mark.broker

LAWS = ("topology", "permissions")


@dataclass
class Ward:
    """The installation, and the hands that break and mend it."""

    sandbox: Sandbox
    home: Home
    folder: Path
    api: Management

    def look(self, *areas: str, config: Path | None = None, **more: Any) -> Report:
        patient = Patient(
            config or self.home.settings_file,
            more.pop("clock", SystemClock()),
            tuple(process_urls(self.home.kept())),
            self.strays,
            **more,
        )
        return doctor(patient, areas)

    def strays(self) -> tuple[Stray, ...]:
        """Other sandboxes of the machine are no business of this test."""
        return tuple(one for one in strays() if one.home.startswith(str(self.folder)))

    def names(self, *areas: str, **more: Any) -> set[str]:
        return {one.name for one in self.look(*areas, **more).findings}

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        self.api._call(method, f"/api/{path}", body)

    def ctl(self, *words: str) -> None:
        node = self.home.node(self.home.kept())
        subprocess.run(
            ["/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", "-n", f"{node.name}@localhost", *words],
            env=node._environment(),
            cwd=node.folder,
            check=True,
            capture_output=True,
            timeout=60,
        )

    def apply(self) -> None:
        kept = self.home.kept()
        provision.apply_topology(self.home, kept, provision.agencies_of(self.home, kept))

    def changed(self, edit: Callable[[dict[str, Any]], None], name: str = "other.yaml") -> Path:
        """Write a configuration that differs from the sandbox's own, and return it."""
        settings = yaml.safe_load(self.home.settings_file.read_text(encoding="utf-8"))
        edit(settings)
        path = self.folder / name
        path.write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
        path.chmod(0o600)
        return path

    def copy(self, source: Path, name: str) -> Path:
        target = self.folder / name
        shutil.copyfile(source, target)
        target.chmod(0o600)
        return target


class Shifted(SystemClock):
    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=5)


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("ward")
    with running_sandbox(folder / "home") as sandbox:
        home = Home(sandbox.home)
        yield Ward(sandbox, home, folder, home.node(home.kept()).management)


def section(settings: dict[str, Any], name: str, **values: Any) -> None:
    settings[name] = {**settings.get(name, {}), **values}


def test_a_healthy_installation_has_nothing(ward: Ward) -> None:
    until(lambda: not ward.look().findings)  # a worker that has only begun has not opened all its lanes
    report = ward.look()
    assert [(one.name, one.subject, one.detail) for one in report.findings] == []
    assert report.unseen == ()
    assert len(report.checks) == len(CHECKS)


def publish(ward: Ward, exchange: str, key: str) -> None:
    body = {"properties": {}, "routing_key": key, "payload": "x", "payload_encoding": "string"}
    ward.ask("POST", f"exchanges/{quote(ward.api.vhost, safe='')}/{exchange}/publish", body)


def test_users_that_should_not_be(ward: Ward) -> None:
    other = Management(ward.api.url, ward.api.user, ward.api.password, "/")
    ward.api.put_user("guest", "x" * 20)
    ward.api.put_user("second", "x" * 20, "administrator")
    ward.api.put_user("stranger", "x" * 20)
    ward.api.put_permissions("stranger", "^$", "^$", ".*")
    other.put_vhost()
    other.put_permissions("second", "^$", "^$", "^$")
    try:
        wanted = {"broker.user.guest", "broker.user.default-vhost", "permissions.administrators"}
        assert ward.names("broker", "permissions") == {*wanted, "permissions.stranger"}
    finally:
        ward.ask("DELETE", "vhosts/%2F")
        for user in ("guest", "second", "stranger"):
            ward.api.delete_user(user)
    assert not ward.names("broker", "permissions")


def test_rights_that_are_not_those_of_the_plan(ward: Ward) -> None:
    vhost = quote(ward.api.vhost, safe="")
    ward.ask("DELETE", f"topic-permissions/{vhost}/H29")
    ward.api.put_permissions("H53", "^$", ".*", r"^agency\.H53$")
    ward.api.put_permissions("H26", "^$", "^ingress$", "^$")
    try:
        report = ward.look("permissions")
        assert {(one.name, one.subject) for one in report.findings} == {
            ("permissions.no-topic-rule", "H29"),
            ("permissions.too-many", "H53"),
            ("permissions.differ", "H26"),
        }
    finally:
        ward.apply()
    assert not ward.names("permissions")


def test_topology_that_is_not_that_of_the_plan(ward: Ward) -> None:
    vhost = quote(ward.api.vhost, safe="")
    ward.api.delete_policy("truc-agency")
    ward.ask("PUT", f"queues/{vhost}/foreign", {"durable": True, "arguments": {}})
    ward.ask("POST", f"bindings/{vhost}/e/level.province/q/agency.H53", {"routing_key": "H26"})
    ward.ask("DELETE", f"queues/{vhost}/{agency_queue('H29.20')}")
    try:
        found = ward.names("topology")
        assert found >= {"topology.policy-missing", "topology.foreign", "topology.binding-wrong"}
        assert found >= {"topology.queue-missing", "topology.binding-missing"}
    finally:
        ward.ask("DELETE", f"queues/{vhost}/foreign")
        ward.apply()
    assert not ward.names(*LAWS)


def test_dead_letters_that_reach_nobody(ward: Ward) -> None:
    """First half: the way back is cut, and a message falls due. Looked at once the broker's statistics know it."""
    vhost = quote(ward.api.vhost, safe="")
    ward.ask("DELETE", f"bindings/{vhost}/e/due/q/due/~")
    assert ward.names(*LAWS) == {"topology.binding-missing"}
    publish(ward, "retry", "5s")


def test_queues_with_what_should_not_stand_there(ward: Ward) -> None:
    publish(ward, "quarantine", "quarantine")
    publish(ward, "receipts", "H26")


def test_a_configuration_that_cannot_be_used(ward: Ward) -> None:
    def wrong(settings: dict[str, Any]) -> None:
        section(settings, "broker", url="amqp://broker.example/truc", colour="red")
        section(settings, "directory", file=str(ward.folder / "nothing.yaml"))

    path = ward.changed(wrong)
    path.chmod(0o666)
    open_file = ward.copy(ward.home.password_file("relay"), "open.password")
    open_file.chmod(0o644)
    report = ward.look("config", config=path)
    assert {(one.name, one.subject) for one in report.findings} == {
        ("config.unknown-key", "broker.colour"),
        ("config.plain-amqp", "broker.url"),
        ("config.file-missing", "directory.file"),
        ("config.writable", str(path)),
    }
    path = ward.changed(lambda settings: section(settings, "broker", password_file=str(open_file)))
    assert ward.names("config", config=path) == {"config.secret-open"}
    path.write_text("relay: [", encoding="utf-8")
    assert ward.names("config", config=path) == {"config.invalid"}
    assert ward.names("config", config=ward.folder / "none.yaml") == {"config.missing"}


def test_a_broker_that_is_not_there_hides_nothing_else(ward: Ward) -> None:
    free = ward.home.kept().ports.worker(9)

    def elsewhere(settings: dict[str, Any]) -> None:
        section(
            settings,
            "broker",
            url=f"amqp://127.0.0.1:{free}/truc",
            management_url=f"http://127.0.0.1:{free}",
        )
        section(settings, "trust", crl_required=False)

    report = ward.look(config=ward.changed(elsewhere))
    assert {one.name for one in report.findings} == {"broker.unreachable", "trust.crl-optional"}
    blind = {name for _, names in report.unseen for name in names}
    assert {check.name for check in CHECKS if check.area in {"queue", "topology", "clock"}} <= blind
    assert not {name for name in blind if name.startswith(("registry.", "keys.", "disk.", "directory."))}


def test_a_password_that_is_refused(ward: Ward) -> None:
    secret = ward.folder / "wrong.password"
    secret.write_text("not-the-password\n", encoding="utf-8")
    secret.chmod(0o600)
    path = ward.changed(
        lambda settings: section(
            settings, "broker", password_file=str(secret), management_password_file=str(secret)
        )
    )
    report = ward.look("broker", config=path)
    assert {one.name for one in report.findings} == {"broker.refused"}
    assert any("refuses user or password" in reason for reason, _ in report.unseen)


def test_a_broker_that_takes_no_large_message(ward: Ward) -> None:
    assert not ward.names("broker", deep=True)
    ward.ctl("eval", "application:set_env(rabbit, max_message_size, 1000000).")
    try:
        assert ward.names("broker", deep=True) == {"broker.limit.message-size"}
    finally:
        ward.ctl("eval", "application:set_env(rabbit, max_message_size, 134217728).")


def test_keys_and_trust(ward: Ward) -> None:
    agency = ward.sandbox.agency("H26")
    key = ward.copy(ward.home.relay / "relay.key", "relay.key")
    key.chmod(0o640)

    def wrong(settings: dict[str, Any]) -> None:
        section(settings, "relay", key=str(key), certificates=[str(agency.cert)])
        section(settings, "trust", crls=[])

    found = ward.names("keys", "trust", config=ward.changed(wrong))
    assert found == {"keys.open", "keys.mismatch", "keys.name", "trust.crl-missing"}
    late = ward.look("keys", "trust", clock=At(days=830))
    assert {one.name for one in late.findings} == {"keys.ended", "trust.crl-ended"}
    soon = ward.look("keys", "trust", clock=At(days=800))
    assert "keys.ending" in {one.name for one in soon.findings}
    damaged = ward.folder / "damaged.pem"
    damaged.write_text("no certificate", encoding="utf-8")
    path = ward.changed(lambda settings: section(settings, "trust", anchors=[str(damaged)]))
    assert ward.names("trust", config=path) == {"trust.unusable"}


class At(SystemClock):
    """Another day."""

    def __init__(self, *, days: float) -> None:
        self._by = timedelta(days=days)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._by


def test_a_directory_with_faults(ward: Ward) -> None:
    raw = yaml.safe_load(ward.home.directory_file.read_text(encoding="utf-8"))
    broken = ward.folder / "broken.yaml"
    path = ward.changed(lambda settings: section(settings, "directory", file=str(broken)))
    for entry in raw["agencies"]:
        if entry["code"] == "H26":
            entry["certificates"] = []
        if entry["code"] == "H29.20":
            entry["gateway"] = None
            entry.pop("queue", None)
        if entry["code"] == "H53.32":
            entry["successors"] = []
    broken.write_text(yaml.safe_dump(raw, allow_unicode=True), encoding="utf-8")
    broken.chmod(0o666)
    assert ward.names("directory", config=path) == {
        "directory.no-certificate",
        "directory.unserved",
        "directory.no-successor",
        "directory.writable",
    }
    assert "workers.directory" in ward.names("workers", config=path)
    broken.write_text("agencies: [{code: h26}]", encoding="utf-8")
    broken.chmod(0o600)
    assert ward.names("directory", config=path) == {"directory.invalid"}


def test_registries_that_cannot_be_used(ward: Ward) -> None:
    file = ward.folder / "copy.db"
    path = ward.changed(lambda settings: section(settings, "registry", url=f"sqlite:///{file}"))
    assert ward.names("registry", config=path) == {"registry.unusable"}
    with (
        closing(sqlite3.connect(ward.home.data / "registry.db")) as source,
        closing(sqlite3.connect(file)) as target,
    ):
        source.backup(target)
        target.execute("UPDATE schema_version SET version = 99")
        target.commit()
    file.chmod(0o444)
    before = (file.read_bytes(), sorted(file.parent.iterdir()))
    assert ward.names("registry", config=path) == {
        "registry.schema",
        "registry.read-only",
        "registry.open",
    }
    assert (file.read_bytes(), sorted(file.parent.iterdir())) == before
    file.chmod(0o600)
    content = bytearray(file.read_bytes())
    content[4096:12288] = os.urandom(8192)
    file.write_bytes(content)
    assert ward.names("registry", config=path) == {"registry.damaged"}


def test_alarms(ward: Ward) -> None:
    ward.ctl("set_vm_memory_high_watermark", "0.0001")
    ward.ctl("set_disk_free_limit", "100000GB")
    try:
        until(lambda: {"broker.alarm.memory", "broker.alarm.disk"} <= ward.names("broker"))
        found = ward.names("broker")
        assert found <= {"broker.alarm.memory", "broker.alarm.disk", "broker.limit.memory", "broker.blocked"}
    finally:
        ward.ctl("set_vm_memory_high_watermark", "0.5")
        ward.ctl("set_disk_free_limit", "200MB")


def test_a_registry_that_somebody_keeps_locked(ward: Ward) -> None:
    code = (
        "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20); "
        "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(ward.home.data / "registry.db")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        report = ward.look("registry")
        assert [(one.name, one.detail) for one in report.findings] == [
            ("registry.locked", f"process {holder.pid}")
        ]
    finally:
        holder.kill()
        holder.wait(60)
        if holder.stdout is not None:
            holder.stdout.close()
    until(lambda: not ward.names("registry"))


def test_a_clock_that_differs_from_the_brokers(ward: Ward) -> None:
    report = ward.look("clock", clock=Shifted())
    assert [one.name for one in report.findings] == ["clock.broker"]
    assert "behind this machine" in report.findings[0].detail


def test_a_worker_that_stands_still(ward: Ward) -> None:
    worker = next(iter(ward.home.running().workers.values()))
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        found = ward.names("workers")
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    assert "workers.deaf" in found
    until(lambda: not ward.names("workers"))


@contextmanager
def marked(home: Path) -> Iterator[int]:
    child = subprocess.Popen(
        ["sleep", "60"],
        env={"TRUC_SANDBOX_HOME": str(home), "TRUC_SANDBOX_ROLE": "w1", "PATH": "/usr/bin:/bin"},
    )
    try:
        yield child.pid
    finally:
        child.kill()
        child.wait(60)


def test_what_dead_sandboxes_left_behind(ward: Ward) -> None:
    old = ward.folder / "old"
    old.mkdir()
    with marked(old) as one, marked(ward.folder / "gone") as two:
        report = ward.look("sandbox")
    assert {(each.name, each.subject): each.detail for each in report.findings} == {
        ("sandbox.stray", str(old)): f"w1; processes {one}",
        ("sandbox.folder-gone", str(ward.folder / "gone")): f"w1; processes {two}",
    }
    assert not ward.names("sandbox")


def test_what_stands_in_queues_is_seen(ward: Ward) -> None:
    """Second half of the tests on queues, and the mending."""
    wanted = {"queue.dead-letters-stuck", "queue.quarantine", "queue.unread"}
    vhost = quote(ward.api.vhost, safe="")
    try:
        until(lambda: wanted <= ward.names("queue"), 60)
    finally:
        for queue in ("quarantine", agency_queue("H26")):
            ward.ask("DELETE", f"queues/{vhost}/{queue}/contents")
        ward.ask("DELETE", f"queues/{vhost}/retry.5s")
        ward.apply()


def test_the_command_speaks_both_languages_and_shows_no_secret(ward: Ward) -> None:
    until(lambda: not ward.names(*LAWS, "queue"), 60)
    ward.api.put_user("guest", "x" * 20)
    try:
        shown = run("--home", str(ward.home.path), "--only", "broker", "--lang", "vi")
        told = run("--home", str(ward.home.path), "--only", "broker", "--json")
    finally:
        ward.api.delete_user("guest")
    assert (shown.exit_code, told.exit_code) == (6, 6)
    assert "CẢNH BÁO  broker.user.guest" in shown.output
    assert "-> rabbitmqctl delete_user guest." in shown.output
    (finding,) = json.loads(told.output)["findings"]
    assert finding["check"] == "broker.user.guest"
    assert set(finding["remedy"]) == {"vi", "en"}
    for password in ward.home.kept().passwords.values():
        assert password not in shown.output + told.output


def run(*words: str) -> Any:
    return CliRunner().invoke(main, ["doctor", *words], prog_name="truc")


def test_mended_it_has_nothing_again(ward: Ward) -> None:
    until(lambda: not ward.names(*(area for area in AREAS if area != "clock")), 60)
    assert ward.look().healthy
