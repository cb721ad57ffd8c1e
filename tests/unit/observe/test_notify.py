"""What the service manager hears, and that its absence is nobody's trouble."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from relay.observe import notify


def _heard(listener: socket.socket) -> list[str]:
    found = []
    listener.settimeout(0.2)
    try:
        while True:
            found.append(listener.recv(4096).decode())
    except TimeoutError:
        return found


@pytest.mark.parametrize("abstract", [False, True])
def test_it_hears_ready_first_and_then_that_the_loop_turns(
    abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"@{tmp_path.name}-notify" if abstract else str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    answers = iter([True, False])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{address[1:]}" if abstract else address)

        async def run() -> None:
            telling = notify.keep_telling(lambda: (True, {}), lambda: (next(answers, True), {}))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(telling, 0.1)

        asyncio.run(run())
        first, second, third, *_ = _heard(listener)
    assert first == "READY=1"
    assert second == "WATCHDOG=1\nSTATUS=ready"
    assert third == "WATCHDOG=1\nSTATUS=not ready, see /ready"


def test_what_only_a_restart_mends_feeds_no_watchdog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))

        async def run() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(notify.keep_telling(lambda: (False, {}), lambda: (True, {})), 0.1)

        asyncio.run(run())
        assert _heard(listener) == ["READY=1"]


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "relative"])
def test_nobody_there_is_no_trouble(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert notify.tell(READY="1") is False


@pytest.mark.parametrize(
    ("patience", "seconds"), [("", 10.0), ("x", 10.0), ("0", 10.0), ("90000000", 10.0), ("3000000", 1.0)]
)
def test_it_is_told_three_times_within_the_patience(patience: str, seconds: float) -> None:
    assert notify.interval({"WATCHDOG_USEC": patience}) == seconds
