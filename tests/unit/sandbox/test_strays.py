"""Processes that dead sandboxes left: found by their mark, told apart from those of a living supervisor."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relay.operate.doctor.facts import Stray
from relay.sandbox.locks import Lock
from relay.sandbox.strays import strays


@contextmanager
def marked(home: Path, role: str) -> Iterator[int]:
    child = subprocess.Popen(
        ["sleep", "60"],
        env={"TRUC_SANDBOX_HOME": str(home), "TRUC_SANDBOX_ROLE": role, "PATH": "/usr/bin:/bin"},
    )
    try:
        yield child.pid
    finally:
        child.kill()
        child.wait(60)


def of(folder: Path) -> tuple[Stray, ...]:
    return tuple(one for one in strays() if one.home.startswith(str(folder)))


def test_what_a_dead_supervisor_left_is_found(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with marked(home, "w1") as worker, marked(home, "broker") as broker:
        assert of(tmp_path) == (Stray(str(home), ("sleep", "w1"), (worker, broker), folder_gone=False),)
        lock = Lock(home / "supervisor.lock")
        assert lock.take()
        assert of(tmp_path) == ()
        lock.leave()
        assert len(of(tmp_path)) == 1
    assert of(tmp_path) == ()


def test_a_supervisor_that_is_about_to_take_its_lock_counts(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with marked(home, "w1"), marked(home, "supervisor"):
        assert of(tmp_path) == ()


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with marked(tmp_path / "gone", "keeper"):
        (found,) = of(tmp_path)
    assert found.folder_gone
    assert found.roles == ("keeper",)
