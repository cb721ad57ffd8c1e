"""Sandboxes on real brokers: two at once, one of them an ordinary user's; kills of all kinds; nothing is left behind.

Stand-ins take the places of worker and keeper: what is looked at here is who starts, adopts, restarts and ends them.
The tests share two sandboxes and stand in the order of a life; each leaves them working.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from relay.broker.login import try_login
from relay.errors import Code, OperationError
from relay.resources import shipped
from relay.sandbox import contents, health, ports, process, supervisor
from relay.sandbox.down import down
from relay.sandbox.home import Home, Programs
from relay.sandbox.keys import issue_keys
from relay.sandbox.locks import Lock
from relay.sandbox.up import up
from tests.support import standin
from tests.support.jsonschema import faults
from tests.support.waits import until

pytestmark = pytest.mark.broker

ROOT = Path(__file__).resolve().parents[2]
STANDIN = str(Path(standin.__file__).resolve())
PROGRAMS = Programs(("{python}", STANDIN, "{config}"), ("{python}", STANDIN, "{config}"))
ORDINARY = 54321  # a user number that stands in no password file


@dataclass(frozen=True)
class Pair:
    ours: Home
    other: Home  # an ordinary user's


def call(expression: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Evaluate an expression over ``home``, ``PROGRAMS``, ``up`` and ``down`` as an ordinary user, as root only."""
    return subprocess.run(
        [*_as_ordinary(), *_python(expression, folder)],
        env={"PATH": os.environ["PATH"], "HOME": str(folder.parent), "PYTHONPATH": str(ROOT)},
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def _python(expression: str, folder: Path) -> list[str]:
    code = (
        "from pathlib import Path; from relay.sandbox.up import up; from relay.sandbox.down import down; "
        "from relay.sandbox.home import Programs; "
        f"home = Path({str(folder)!r}); "
        f"PROGRAMS = Programs(*(({('{python}', STANDIN, '{config}')!r},) * 2)); {expression}"
    )
    return [sys.executable, "-c", code]


def _as_ordinary() -> list[str]:
    if os.geteuid() != 0:
        return []
    plain = ["setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups"]
    # Where Python or the checkout lies in a folder that only root may enter, the user may read, and nothing else.
    reading = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
    probe = "import relay, subprocess, sys; subprocess.run([sys.executable, '-c', 'import lxml'], check=True)"
    seen = subprocess.run(
        [*plain, sys.executable, "-c", probe],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
    )
    return plain if seen.returncode == 0 else [*plain, *reading]


def api(home: Home, method: str, path: str, body: object = None) -> Any:
    node = home.node(home.kept())
    request = Request(
        f"http://127.0.0.1:{node.ports.management}/api/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": _basic(node.admin_password), "Content-Type": "application/json"},
    )
    with build_opener(ProxyHandler({})).open(request, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def _basic(password: str) -> str:
    import base64

    return "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()


def kill(*processes: process.Process | None) -> None:
    for one in processes:
        assert one is not None
        one.send(signal.SIGKILL)
    until(lambda: not any(one.alive() for one in processes if one))


def works(home: Home) -> bool:
    return health.trouble(home, home.kept()) == ""


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    base = Path(tempfile.mkdtemp(prefix="truc-"))
    base.chmod(0o755)
    ours, theirs = base / "Hộp cát số 1", base / "của người khác" / "hộp"
    theirs.mkdir(parents=True)
    if os.geteuid() == 0:
        os.chown(theirs.parent, ORDINARY, ORDINARY)
        os.chown(theirs, ORDINARY, ORDINARY)
    answers: list[subprocess.CompletedProcess[str]] = []
    other = threading.Thread(
        target=lambda: answers.append(
            call("print(up(home, programs=PROGRAMS, detach=True).amqp_url)", theirs)
        )
    )
    other.start()
    try:
        up(ours, workers=2, programs=PROGRAMS, detach=True)
        other.join()
        assert answers[0].returncode == 0, answers[0].stderr
        yield Pair(Home(ours), Home(theirs))
    finally:
        other.join()
        other = threading.Thread(target=down, args=(theirs,))
        other.start()
        down(ours)
        other.join()
        shutil.rmtree(base, ignore_errors=True)


def test_two_sandboxes_work_at_once_and_do_not_meet(pair: Pair) -> None:
    assert works(pair.ours)
    assert works(pair.other)
    first, second = pair.ours.kept(), pair.other.kept()
    assert set(range(first.base_port, first.base_port + ports.BLOCK)).isdisjoint(
        range(second.base_port, second.base_port + ports.BLOCK)
    )
    low, high = ports.ephemeral_range()
    assert not low <= first.base_port <= high
    for home in (pair.ours, pair.other):
        queues = {row["name"] for row in api(home, "GET", "queues/truc?columns=name")}
        assert {"ingress.normal", "agency.H53.31.20", "agency.H30.10", "due"} <= queues
        assert "agency.H30.10.01" not in queues
    wanted = ORDINARY if os.geteuid() == 0 else os.geteuid()
    theirs = process.marked(pair.other.path)
    assert {Path(f"/proc/{item.process.pid}").stat().st_uid for item in theirs} == {wanted}


def test_the_file_is_true_private_and_as_its_schema_says(pair: Pair) -> None:
    raw = json.loads(pair.ours.sandbox_file.read_text(encoding="utf-8"))
    assert faults(raw, json.loads(shipped("schemas/sandbox.schema.json").read_text(encoding="utf-8"))) == []
    assert pair.ours.sandbox_file.stat().st_mode & 0o077 == 0
    roles = {item.process.pid: (item.role, item.name) for item in process.marked(pair.ours.path)}
    pids = raw["pids"]
    assert roles[pids["broker"]] == ("broker", "beam.smp")
    assert roles[pids["keeper"]][0] == "keeper"
    assert roles[pids["supervisor"]][0] == "supervisor"
    assert [roles[pid][0] for pid in pids["workers"]] == ["w1", "w2"]
    sandbox = contents.running(pair.ours.path)
    for gateway in sandbox.gateways.values():
        port = pair.ours.kept().ports.amqp
        assert try_login("127.0.0.1", port, sandbox.vhost, gateway.user, gateway.password)


def test_up_on_a_running_home_changes_nothing(pair: Pair) -> None:
    before = contents.running(pair.ours.path)
    assert up(pair.ours.path, detach=True) == before
    assert up(pair.ours.path) == before, "attached it returns as well: somebody else supervises"


def test_no_second_broker_on_one_folder(pair: Pair) -> None:
    kept = pair.ours.kept()
    node = pair.ours.node(kept)
    vm = pair.ours.running().broker
    assert node.start() == vm
    assert not Lock(node.lock_file).take(), "the VM itself holds the lock"
    node.pid_file.write_text("1\n")
    assert node.vm() == vm, "a wrong pid file leads nobody astray"


def test_children_outlive_a_killed_supervisor_and_are_adopted(pair: Pair) -> None:
    before = pair.ours.running()
    kill(before.supervisor)
    assert works(pair.ours)
    up(pair.ours.path, detach=True)
    after = pair.ours.running()
    assert (after.broker, after.keeper, after.workers) == (before.broker, before.keeper, before.workers)
    assert after.supervisor != before.supervisor


def test_a_killed_process_is_started_again_and_the_file_stays_true(pair: Pair) -> None:
    before = pair.ours.running()
    kill(before.keeper, before.workers["w1"])
    until(lambda: works(pair.ours))
    after = pair.ours.running()
    assert after.workers["w2"] == before.workers["w2"]
    assert after.workers["w1"] != before.workers["w1"]
    pids = contents.running(pair.ours.path).pids
    assert after.keeper is not None
    assert (pids.keeper, pids.workers[0]) == (after.keeper.pid, after.workers["w1"].pid)
    assert "w1 ended" in pair.ours.log("supervisor").read_text(encoding="utf-8")


def test_other_numbers_and_settings_reach_a_running_home(pair: Pair) -> None:
    before = pair.ours.running()
    up(pair.ours.path, workers=1, settings={"deadlines": {"min_s": 1}}, detach=True)
    until(lambda: set(pair.ours.running().workers) == {"w1"} and works(pair.ours))
    after = pair.ours.running()
    assert after.broker == before.broker
    assert after.workers["w1"] != before.workers["w1"]
    assert not before.workers["w2"].alive()


def test_everything_killed_comes_back_with_all_that_it_had(pair: Pair) -> None:
    message = {"properties": {"delivery_mode": 2}, "routing_key": "agency.H26", "payload": "x"}
    sent = api(
        pair.ours, "POST", "exchanges/truc/amq.default/publish", {**message, "payload_encoding": "string"}
    )
    assert sent == {"routed": True}
    kept = pair.ours.kept()
    files = {
        path: path.read_bytes()
        for folder in ("ca", "keys", "relay")
        for path in (pair.ours.path / folder).iterdir()
    }
    before = pair.ours.running()
    kill(before.supervisor, before.broker, before.keeper, *before.workers.values())
    up(pair.ours.path, detach=True)
    assert works(pair.ours)
    assert pair.ours.kept() == kept
    lists = set(pair.ours.ca.glob("*.crl"))
    assert {path: path.read_bytes() for path in files if path not in lists} == {
        path: content for path, content in files.items() if path not in lists
    }
    taken = api(
        pair.ours,
        "POST",
        "queues/truc/agency.H26/get",
        {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"},
    )
    assert [row["payload"] for row in taken] == ["x"]


def test_a_lost_broker_is_made_again_from_the_directory(pair: Pair) -> None:
    node = pair.ours.node(pair.ours.kept())
    before = pair.ours.running()
    node.data.rename(
        node.data.with_name("lost")
    )  # in one step: the broker goes on writing until it is killed
    kill(before.broker)
    up(pair.ours.path, detach=True)
    queues = {row["name"] for row in api(pair.ours, "GET", "queues/truc?columns=name")}
    assert {"ingress.urgent", "agency.G22", "retry.1h", "quarantine"} <= queues
    login = contents.running(pair.ours.path).agency("H53.31")
    assert try_login("127.0.0.1", node.ports.amqp, "truc", login.user, login.password)
    assert pair.ours.running().workers == before.workers


def test_an_agency_is_added_even_on_a_queue_that_a_crash_left_without_a_leader(pair: Pair) -> None:
    body = {"durable": True, "arguments": {"x-queue-type": "quorum"}}
    api(pair.ours, "PUT", "queues/truc/agency.H77", body)
    kill(pair.ours.running().broker)
    up(pair.ours.path, detach=True)
    added = issue_keys(pair.ours.path, "H77")
    assert (added.level, added.gateway) == ("province", "H77")
    port = pair.ours.kept().ports.amqp
    assert try_login("127.0.0.1", port, "truc", added.user, added.password)
    message = {"properties": {}, "routing_key": "agency.H77", "payload": "y", "payload_encoding": "string"}
    assert api(pair.ours, "POST", "exchanges/truc/amq.default/publish", message) == {"routed": True}
    taken: list[Any] = api(
        pair.ours,
        "POST",
        "queues/truc/agency.H77/get",
        {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"},
    )
    assert len(taken) == 1
    assert "H77" in contents.running(pair.ours.path).agencies
    again = issue_keys(pair.ours.path, "H77")
    assert again.cert.read_bytes() == added.cert.read_bytes()


def test_attached_it_tells_what_it_does_and_ends_all_on_a_signal(pair: Pair) -> None:
    """And ``down``, called by the ordinary user at the same time, copes with a dead supervisor."""
    before = pair.ours.running()
    kill(before.supervisor, pair.other.running().supervisor)
    answers: list[subprocess.CompletedProcess[str]] = []
    other = threading.Thread(target=lambda: answers.append(call("print(down(home))", pair.other.path)))
    other.start()
    attached = subprocess.Popen(
        _python("up(home, say=lambda line: print(line, flush=True))", pair.ours.path),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with attached:
        assert attached.stdout is not None
        lines = iter(attached.stdout.readline, "")
        assert any("w1 runs already" in line for line in lines)
        assert any(line.strip() == "ready" for line in lines)
        assert pair.ours.running().broker == before.broker
        kill(pair.ours.running().keeper)
        assert any("keeper ended" in line for line in lines)
        attached.send_signal(signal.SIGINT)
        assert attached.wait(60) == 0
    other.join()
    assert (answers[0].returncode, answers[0].stdout) == (0, "True\n"), answers[0].stderr
    for home in (pair.ours, pair.other):
        _nothing_is_left(home)
        assert contents.running(home.path).up is False
        assert down(home.path) is False


def _nothing_is_left(home: Home) -> None:
    assert process.marked(home.path) == []
    kept = home.kept()
    assert all(ports.is_free(port) for port in range(kept.base_port, kept.base_port + ports.BLOCK))
    assert list(home.path.rglob("*.lock")) == []
    assert not (home.path / "broker" / "pid").exists()


def test_a_start_that_fails_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_TRIES", 2)
    failing = Programs(("{python}", "-c", "raise SystemExit('no such setting')"), PROGRAMS.keeper)
    home = Home(tmp_path / "h")
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(OperationError, match="w1 does not stay alive: no such setting") as raised:
        up(home.path, programs=failing, say=lambda _line: None)
    assert raised.value.code is Code.SANDBOX_BROKEN
    assert signal.getsignal(signal.SIGTERM) is before
    _nothing_is_left(home)
