"""`/ready` of a real worker and a real keeper: false, with the reason, for each cause, and true again after it.

One sandbox for all; each test takes the cause away again and waits until all is well. What the processes show to
Prometheus while they run is looked at here too.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from relay.broker import names
from relay.broker.blocking import BlockingClient
from relay.model.message import Lane
from relay.observe.metrics import CATALOGUE
from relay.operate.guards import FLOOR
from relay.sandbox.home import Home, Programs
from relay.sandbox.node import ADMIN, server_binary
from relay.sandbox.programs import OWN_PROGRAMS
from relay.sandbox.up import up
from tests.support import clocked
from tests.support.promtool import RABBITMQ_NAMES, promtool
from tests.support.sandbox import put_down
from tests.support.waits import until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(900)]

LIMIT: Final = 60.0
TMPFS: Final = 64 * 1024 * 1024
MONTH: Final = 30 * 86_400
OWN: Final = Programs(
    ("{python}", str(Path(clocked.__file__).resolve()), *OWN_PROGRAMS.worker[3:]), OWN_PROGRAMS.keeper
)


@dataclass(frozen=True)
class Place:
    """The sandbox, and the folder of its registry."""

    home: Home
    disk: Path
    real: bool  # a file system of its own, which can be filled

    @property
    def registry(self) -> Path:
        return self.disk / "registry.db"

    def pids(self, role: str) -> list[int]:
        found = json.loads((self.home.path / "sandbox.json").read_text(encoding="utf-8"))["pids"][role]
        return found if isinstance(found, list) else [found]

    def get(self, who: str, path: str) -> tuple[int, bytes]:
        ports = self.home.kept().ports
        port = ports.keeper if who == "keeper" else ports.worker(1)
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def ready(self, who: str = "worker") -> tuple[bool, list[str], dict[str, Any]]:
        """Whether it is ready and why not. That it lives is true whatever the cause: no restart would help."""
        status, body = self.get(who, "/ready")
        facts = json.loads(body)
        assert facts["ready"] == (status == 200) == (not facts["reasons"]), facts
        assert self.get(who, "/live")[0] == 200
        return facts["ready"], facts["reasons"], facts

    def value(self, who: str, series: str) -> float:
        lines = self.get(who, "/metrics")[1].decode().splitlines()
        found = [line for line in lines if line.startswith(f"{series} ")]
        assert len(found) == 1, f"{series}: {found}"
        return float(found[0].rpartition(" ")[2])

    def ctl(self, *arguments: str) -> None:
        node = self.home.node(self.home.kept())
        subprocess.run(
            [server_binary().with_name("rabbitmqctl"), "-q", "-n", f"{node.name}@localhost", *arguments],
            env=node._environment(),
            cwd=node.folder,
            capture_output=True,
            check=True,
            timeout=60,
        )

    def truc(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "relay.cli", *arguments, "--home", str(self.home.path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def send(self) -> str:
        """Publish a document, confirmed, without waiting for more. Returns its transport id."""
        said = self.truc("send", "--as", "H26", "--to", "H53", "--subject", "Thử", "--json")
        return str(json.loads(said)["transport_id"])


def unready(place: Place, *reasons: str, who: str = "worker") -> None:
    """Wait until it says no, for one of these reasons."""

    def seen() -> bool:
        try:
            return bool(set(place.ready(who)[1]) & set(reasons))
        except OSError:
            return False

    until(seen)


def well(place: Place) -> None:
    """Wait until both say yes."""

    def seen() -> bool:
        try:
            return place.ready("worker")[0] and place.ready("keeper")[0]
        except OSError:
            return False

    until(seen)


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A file system of 64 MiB where this user may make one, else the folder as it is. Tells which."""
    folder.mkdir()
    made = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={TMPFS},mode=0700", "tmpfs", str(folder)],
            capture_output=True,
            check=False,
        ).returncode
    )
    try:
        yield made
    finally:
        if made:
            subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("ready")
    with small_disk(folder / "disk") as real:
        home = folder / "home"
        settings: dict[str, dict[str, Any]] = {
            "registry": {"url": f"sqlite:///{folder / 'disk' / 'registry.db'}"},
            "keeper": {"interval_s": 0.5},
        }
        try:
            up(home, workers=1, settings=settings, programs=OWN, detach=True)
            yield Place(Home(home), folder / "disk", real)
        finally:
            put_down(home)


def test_a_healthy_one_is_ready_and_shows_everything(place: Place) -> None:
    well(place)
    place.send()
    until(lambda: place.value("worker", 'truc_deliveries_total{level="province",outcome="queued"}') >= 1)
    until(lambda: place.value("keeper", 'truc_agency_queues{state="unread"}') >= 1)
    shown: set[str] = set()
    for who in ("worker", "keeper"):
        text = place.get(who, "/metrics")[1].decode()
        shown |= {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
        promtool("check", "metrics", given=text)  # its own rules for names, units and types
    elsewhere = {"truc_directory_validity_seconds", "truc_directory_fresh_seconds"}  # of a signed directory
    assert {metric.name for metric in CATALOGUE} - elsewhere <= shown
    assert place.value("keeper", "truc_agency_queue_messages_max") >= 1
    assert abs(place.value("worker", "truc_clock_offset_seconds")) < 10
    assert place.value("worker", "truc_registry_disk_free_bytes") > FLOOR
    assert place.value("keeper", 'truc_certificate_left_seconds{purpose="agency"}') > MONTH


def test_rabbitmq_has_the_series_that_rules_and_dashboard_ask_for(place: Place) -> None:
    port = place.home.kept().ports.prometheus
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    there = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    listed = {line.split()[0] for line in RABBITMQ_NAMES.read_text(encoding="utf-8").splitlines()}
    assert listed <= there


def test_broker_gone(place: Place) -> None:
    well(place)
    (supervisor,) = place.pids("supervisor")
    os.kill(supervisor, signal.SIGSTOP)  # it would start another at once
    try:
        os.kill(place.pids("broker")[0], signal.SIGKILL)
        unready(place, "broker-gone")
        unready(place, "broker-gone", who="keeper")
        assert place.value("worker", "truc_ready") == 0
        assert place.value("worker", 'truc_unready_reason{reason="broker-gone"}') == 1
        assert place.value("worker", "truc_broker_connected") == 0
    finally:
        os.kill(supervisor, signal.SIGCONT)
    well(place)
    assert place.value("worker", "truc_ready") == 1


def test_broker_blocked(place: Place) -> None:
    well(place)
    # An alarm is told to who publishes: something waits that the worker will publish when it goes on.
    (worker,) = place.pids("workers")
    os.kill(worker, signal.SIGSTOP)
    try:
        place.send()
        place.ctl("set_vm_memory_high_watermark", "0.0001")
    finally:
        os.kill(worker, signal.SIGCONT)
    try:
        unready(place, "broker-blocked")
    finally:
        place.ctl("set_vm_memory_high_watermark", "0.5")
    well(place)


def test_consumer_cancelled(place: Place) -> None:
    well(place)
    queue = names.lane_queue(Lane.STATUS)
    node = place.home.node(place.home.kept())
    with BlockingClient(node.endpoint(ADMIN, node.admin_password), name="test") as client:
        client.raw.queue_delete(queue)
    unready(place, "consumer-missing")
    facts = place.ready()[2]
    assert facts["consuming"] is False
    place.truc("topology", "apply")
    well(place)


def test_registry_locked(place: Place) -> None:
    well(place)
    with closing(sqlite3.connect(place.registry, timeout=20, isolation_level=None)) as database:
        with Path(f"{place.registry}-turn").open() as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            database.execute("BEGIN IMMEDIATE")
        unready(place, "registry-busy")
        unready(place, "registry-busy", who="keeper")
        assert place.value("worker", 'truc_registry_commit_failures_total{code="REGISTRY-BUSY"}') >= 1
        database.execute("ROLLBACK")
    well(place)


def test_registry_disk_full(place: Place) -> None:
    """A file system that is really full where the test may make one; else the processes may write no file any more."""
    well(place)
    before = place.value("worker", 'truc_documents_settled_total{lane="normal",outcome="accepted"}')
    if place.real:
        filler = place.disk / "filler"
        with filler.open("wb") as file:
            try:
                while True:
                    file.write(b"\0" * (1 << 20))
                    file.flush()
            except OSError:
                pass

        def give_room() -> None:
            filler.unlink()

    else:
        pids = [*place.pids("workers"), *place.pids("keeper")]
        limits = [(pid, resource.prlimit(pid, resource.RLIMIT_FSIZE)) for pid in pids]
        for pid, (_, hard) in limits:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))

        def give_room() -> None:
            for pid, limit in limits:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)

    try:
        unready(place, "registry-full", "registry-unusable")
        unready(place, "registry-full", "registry-unusable", who="keeper")
        place.send()
        time.sleep(1.0)
        after = place.value("worker", 'truc_documents_settled_total{lane="normal",outcome="accepted"}')
        assert after == before, "nothing is taken that cannot be committed"
    finally:
        give_room()
    well(place)
    settled = 'truc_documents_settled_total{lane="normal",outcome="accepted"}'
    until(lambda: place.value("worker", settled) == before + 1)


def test_clock_set(place: Place) -> None:
    """While the time is doubtful nothing is judged by it: a certificate that ends in a month would be refused for good."""
    well(place)
    settled = 'truc_documents_settled_total{lane="normal",outcome="accepted"}'
    before = place.value("worker", settled)
    refused = place.value("worker", 'truc_refusals_total{code="REVOCATION-UNKNOWN"}')
    shift = next(place.home.path.rglob("w1.yaml")).with_name("clock")
    shift.write_text(str(2 * MONTH), encoding="ascii")
    try:
        unready(place, "clock-jump")
        assert place.value("worker", "truc_clock_jumps_total") >= 1
        place.send()
        time.sleep(1.0)
        assert place.value("worker", settled) == before
    finally:
        shift.unlink()
    well(place)
    until(lambda: place.value("worker", settled) == before + 1)
    assert place.value("worker", 'truc_refusals_total{code="REVOCATION-UNKNOWN"}') == refused
