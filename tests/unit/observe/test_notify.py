"""What the service manager hears, and that its absence is nobody's trouble."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from relay.observe import notify
from tests.support.waits import until_then


def _heard(listener: socket.socket) -> list[str]:
    """What has been told so far."""
    found = []
    listener.setblocking(False)
    try:
        while True:
            found.append(listener.recv(4096).decode())
    except BlockingIOError:
        return found


async def _told_until(telling: Coroutine[None, None, None], enough: Callable[[], bool]) -> None:
    """Let it tell until that is enough."""
    task = asyncio.create_task(telling)
    await until_then(lambda: enough() or task.done())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("abstract", [False, True])
def test_it_hears_ready_first_and_then_that_the_loop_turns(
    abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"@{tmp_path.name}-notify" if abstract else str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    answers = iter([True, False])
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{address[1:]}" if abstract else address)

        def three() -> bool:
            heard.extend(_heard(listener))
            return len(heard) >= 3

        telling = notify.keep_telling(lambda: (True, {}), lambda: (next(answers, True), {}))
        asyncio.run(_told_until(telling, three))
    assert heard[0] == "READY=1"
    assert heard[1] == "WATCHDOG=1\nSTATUS=ready"
    assert heard[2] == "WATCHDOG=1\nSTATUS=not ready, see /ready"


def test_what_only_a_restart_mends_feeds_no_watchdog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    looked: list[int] = []

    def dead() -> tuple[bool, dict[str, object]]:
        looked.append(1)
        return False, {}

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        asyncio.run(_told_until(notify.keep_telling(dead, lambda: (True, {})), lambda: len(looked) > 3))
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
