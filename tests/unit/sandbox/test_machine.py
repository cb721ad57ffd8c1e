"""Ports, processes and locks: what a sandbox takes from the machine."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.errors import Code, OperationError
from relay.sandbox import locks, ports, process

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)",
]


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for child in started:
        child.kill()
        child.wait()
        if child.stdout:
            child.stdout.close()


@pytest.mark.parametrize("ephemeral", [(32768, 60999), (1024, 65535), (15000, 25000), (22000, 65535)])
def test_blocks_lie_outside_the_ephemeral_range(ephemeral: tuple[int, int]) -> None:
    low, high = ephemeral
    bases = list(ports.candidates(ephemeral, random.Random(1)))
    assert all(base + ports.BLOCK <= low or base > high for base in bases)
    assert len(bases) == len(set(bases))
    assert bool(bases) == (ephemeral != (1024, 65535))
    if low > 32000:
        assert all(20000 <= base < 32000 for base in bases[:300])


def test_no_block_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda _port: False)
    with pytest.raises(OperationError) as raised, ports.choose(random.Random(1)):
        pass
    assert raised.value.code is Code.SANDBOX_BROKEN


def test_a_chosen_block_is_nobody_elses_while_it_is_held() -> None:
    with ports.choose(random.Random(7)) as first, ports.choose(random.Random(7)) as second:
        assert first != second
        assert set(first.broker).isdisjoint(second.broker)


def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not ports.is_free(server.getsockname()[1])


def test_no_two_purposes_share_a_port_and_a_worker_too_many_is_refused() -> None:
    block = ports.Ports(20000)
    workers = (block.worker(number) for number in range(1, 26))
    numbers = [*block.broker, block.keeper, block.stamps, *workers]
    assert len(set(numbers)) == len(numbers) == ports.BLOCK
    with pytest.raises(OperationError):
        block.worker(26)


def test_a_zombie_does_not_live(children: list[subprocess.Popen[bytes]]) -> None:
    child = subprocess.Popen(SLEEP)
    children.append(child)
    found = process.identify(child.pid)
    assert found is not None
    assert found.alive()
    os.kill(child.pid, signal.SIGKILL)
    limit = time.monotonic() + 60
    while found.alive() and time.monotonic() < limit:
        time.sleep(0.01)
    assert Path(f"/proc/{child.pid}").exists(), "not collected yet: a zombie"
    assert not found.alive()
    assert process.identify(child.pid) is None


def test_the_same_number_with_another_start_is_another_process() -> None:
    me = process.identify(os.getpid())
    assert me is not None
    other = process.Process(me.pid, me.started + 1)
    assert not other.alive()
    other.send(signal.SIGKILL)  # reaches nobody


def test_processes_are_found_by_mark_and_ended_even_if_stubborn(
    tmp_path: Path, children: list[subprocess.Popen[bytes]]
) -> None:
    home = tmp_path / "nhà của tôi"
    environment = {process.HOME_MARK: str(home), process.ROLE_MARK: "w1"}
    ours = subprocess.Popen(STUBBORN, env=environment, stdout=subprocess.PIPE)
    other = subprocess.Popen(SLEEP, env={process.HOME_MARK: f"{home} 2"})
    children += [ours, other]
    assert ours.stdout is not None
    ours.stdout.readline()
    found = process.marked(home)
    assert [(item.process.pid, item.role) for item in found] == [(ours.pid, "w1")]
    process.end([item.process for item in found], 0.2)
    assert process.marked(home) == []
    assert other.poll() is None


def test_a_lock_is_held_by_the_living_alone(tmp_path: Path, children: list[subprocess.Popen[bytes]]) -> None:
    path = tmp_path / "x.lock"
    first, second = locks.Lock(path), locks.Lock(path)
    assert not locks.held(path)
    assert first.take()
    assert not second.take()
    # A child that inherits the descriptor holds on after we have let go, and until it is killed.
    child = subprocess.Popen(SLEEP, pass_fds=(first.descriptor,))
    children.append(child)
    first.leave()
    assert locks.held(path)
    assert not second.take()
    child.kill()
    child.wait()
    assert not locks.held(path)
    assert second.take()
    second.leave(remove=True)
    assert not path.exists()


def test_a_lock_whose_file_was_removed_is_taken_on_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    old, new = locks.Lock(path), locks.Lock(path)
    assert old.take()
    path.unlink()
    assert new.take()
    assert locks.held(path)
    old.leave()
    assert locks.held(path)
    new.leave()
