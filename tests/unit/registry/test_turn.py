"""Turns at the lock file: one at a time, given back by the dead, waited for no longer than patience lasts."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from relay.errors import Code, RegistryError
from relay.registry.turn import Turn

HOLDER = """
import sys, time
from relay.registry.turn import Turn
with Turn(sys.argv[1], 5.0):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_turn_of_a_dead_process_is_free(tmp_path: Path) -> None:
    with holder(tmp_path / "turn") as process:
        process.kill()
        process.wait()
        began = time.monotonic()
        with Turn(str(tmp_path / "turn"), 30.0):
            assert time.monotonic() - began < 10


def test_a_holder_is_waited_for_only_so_long(tmp_path: Path) -> None:
    with holder(tmp_path / "turn") as process:
        began = time.monotonic()
        with Turn(str(tmp_path / "turn"), 0.2):
            assert time.monotonic() - began >= 0.2
        process.kill()


def test_a_holder_that_stands_still_costs_the_patience_once(tmp_path: Path) -> None:
    path = str(tmp_path / "turn")
    turn = Turn(path, 5.0)
    with holder(tmp_path / "turn") as process:
        with turn:
            pass
        began = time.monotonic()
        for _ in range(3):
            with turn:
                pass
        assert time.monotonic() - began < 5.0
        process.kill()
        process.wait()
    with turn:  # free again, and really had: another one waits for it
        began = time.monotonic()
        with Turn(path, 0.1):
            assert time.monotonic() - began >= 0.1


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(RegistryError) as caught:
        Turn(str(tmp_path / "no" / "turn"), 1.0)
    assert caught.value.code is Code.REGISTRY_UNUSABLE


def test_it_may_be_closed_twice(tmp_path: Path) -> None:
    turn = Turn(str(tmp_path / "turn"), 1.0)
    turn.close()
    turn.close()
