"""Draining: the very process that wrote itself down, and nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from relay.errors import Code, OperationError, RegistryError
from relay.model.ports import Registry
from relay.model.standing import Enrolled
from relay.observe.clock import SystemClock
from relay.operate import processes
from relay.operate.processes import Drained, Pidfd, chosen, drain, look, others, restarted
from relay.registry import memory_registry
from tests.support.registry import Maker, at

POLITE = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print('up', flush=True)\n"
    "while True: time.sleep(0.05)"  # a pause would miss a signal that comes just before it
)
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"


START = datetime.now(UTC)


class After(SystemClock):
    """Time that stands until a process has ended, and then passes with each look."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child
        self._passed = 0.0

    def monotonic(self) -> float:
        if self._child.poll() is not None:
            self._passed += 0.1
        return self._passed


@pytest.fixture
def registry() -> Iterator[Registry]:
    made = memory_registry()
    yield made
    made.close()


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for child in started:
        child.kill()
        child.wait()
        if child.stdout:
            child.stdout.close()


def start(
    registry: Registry, children: list[subprocess.Popen[str]], name: str = "w1", code: str = POLITE
) -> Enrolled:
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    children.append(child)
    assert child.stdout
    assert child.stdout.readline() == "up\n"
    born = processes.started(child.pid)
    assert born is not None
    one = Enrolled(f"{name}-a", name, "worker", "here", processes.machine(), child.pid, born, START, "1")
    registry.enroll(one)
    return one


def test_a_worker_is_told_and_waited_for(registry: Registry, children: list[subprocess.Popen[str]]) -> None:
    one = start(registry, children)
    registry.claim([Maker().claim("a")], one.owner, at(0))
    (meant,) = chosen(registry, ["w1"], everyone=False)
    assert (meant.before, meant.alive, meant.here) == (1, True, True)
    signals = Pidfd()
    seen: list[list[tuple[str, int]]] = []
    (done,) = drain([meant], registry, signals, SystemClock(), 90.0, seen.append)
    signals.close()
    assert (done.ended, done.unfinished) == (True, 1)
    assert children[0].wait(60) == 0
    assert seen[0] == [("w1", 1)]
    assert others(registry, [done]) == 0


def test_one_that_does_not_end_is_not_killed(
    registry: Registry, children: list[subprocess.Popen[str]]
) -> None:
    start(registry, children, code=DEAF)
    start(registry, children, "w2")
    meant = chosen(registry, [], everyone=True)
    signals = Pidfd()
    done = drain(meant, registry, signals, After(children[1]), 1.0)
    signals.close()
    assert {one.process.name: one.ended for one in done} == {"w1": False, "w2": True}
    assert children[0].poll() is None


def test_a_number_that_is_anothers_now_gets_no_signal(
    registry: Registry, children: list[subprocess.Popen[str]]
) -> None:
    mine = start(registry, children)
    one = replace(mine, started=1)
    assert not look(one, registry).alive
    assert not look(replace(mine, since=START - timedelta(days=4000)), registry).alive, "of an earlier boot"
    assert look(mine, registry).alive
    signals = Pidfd()
    assert not signals.end(one)
    assert signals.wait(one, 0.0)
    assert children[0].poll() is None
    os.kill(children[0].pid, signal.SIGKILL)
    children[0].wait()
    assert not signals.end(one)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"machine": "elsewhere", "host": "pc-2"}, "runs on pc-2"),
        ({"pid": 2**22 + 1}, "has died"),
        ({"name": "w9"}, "no worker w1"),
        ({"role": "keeper"}, "no worker w1"),
    ],
)
def test_what_does_not_run_here_says_where(
    registry: Registry, changed: dict[str, object], words: str
) -> None:
    me = processes.this_process("w1-a", "w1", "worker", START, "1")
    registry.enroll(replace(me, **changed))  # type: ignore[arg-type]
    with pytest.raises(OperationError) as caught:
        chosen(registry, ["w1"], everyone=False)
    assert caught.value.code is Code.NOT_FOUND
    assert words in caught.value.detail


def test_no_worker_at_all_is_said(registry: Registry) -> None:
    with pytest.raises(OperationError):
        chosen(registry, [], everyone=True)


def test_another_users_process_is_left_alone(registry: Registry) -> None:
    class Refusing:
        def end(self, process: Enrolled) -> bool:
            raise PermissionError

        def wait(self, process: Enrolled, seconds: float) -> bool:
            return False

    me = processes.this_process("w1-a", "w1", "worker", START, "1")
    with pytest.raises(OperationError) as caught:
        drain([Drained(me, True, True, 0)], registry, Refusing(), SystemClock(), 1.0)
    assert caught.value.code is Code.NOT_PERMITTED


def test_one_that_was_started_anew_is_seen(registry: Registry) -> None:
    me = processes.this_process("w1-a", "w1", "worker", START, "1")
    registry.enroll(me)
    before = look(me, registry)
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            registry.enroll(replace(me, owner="w1-b"))

    (done,) = restarted([before], registry, wait)
    assert done.restarted
    assert len(waited) == 2
    assert others(registry, [before]) == 1
    registry.leave("w1-b")
    assert not restarted([before], registry, lambda _s: None)[0].restarted


def test_a_process_is_written_down_while_it_runs(registry: Registry) -> None:
    me = processes.this_process("w1-a", "w1", "worker", START, "1")
    assert (me.pid, me.started) == (os.getpid(), processes.started(os.getpid()))
    with suppress(ZeroDivisionError), processes.enrolled(registry, me):
        assert [one.owner for one in registry.enrolled()] == ["w1-a"]
        raise ZeroDivisionError
    assert registry.enrolled() == []


def test_a_registry_in_trouble_keeps_nobody_from_working(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_arguments: object) -> None:
        raise RegistryError(Code.REGISTRY_BUSY, "")

    for name in ("enroll", "leave"):
        monkeypatch.setattr(registry, name, busy)
    ran = False
    with processes.enrolled(registry, processes.this_process("w1-a", "w1", "worker", START, "1")):
        ran = True
    assert ran


def test_a_confined_service_and_its_operator_name_the_same_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_MACHINE_ID", tmp_path / "none")
    assert processes.machine().split("/")[0]
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    assert processes.machine().endswith("/?")
    assert processes.started(1) is None
