"""Readiness and life: the words, what they follow from, and where they are written."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.errors import Code, RegistryError
from relay.observe.http import HttpServer
from relay.observe.metrics import Metrics
from relay.observe.pulse import STILL, Pulse
from relay.observe.ready import WAITED_FOR, Reason, of_registry, words

ROOT = Path(__file__).resolve().parents[3]


class Clock:
    seconds = 5.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("trouble", "healthy", "reason"),
    [
        (None, True, None),
        (None, False, Reason.REGISTRY_SILENT),
        (RegistryError(Code.REGISTRY_BUSY, "SQLITE_BUSY"), True, Reason.REGISTRY_BUSY),
        (RegistryError(Code.REGISTRY_BUSY, "SQLITE_BUSY"), False, Reason.REGISTRY_BUSY),
        (
            RegistryError(Code.REGISTRY_UNUSABLE, "SQLITE_FULL: database or disk is full"),
            True,
            Reason.REGISTRY_FULL,
        ),
        (RegistryError(Code.REGISTRY_UNUSABLE, "SQLITE_IOERR_WRITE"), True, Reason.REGISTRY_UNUSABLE),
    ],
)
def test_what_is_wrong_with_the_registry(
    trouble: RegistryError | None, healthy: bool, reason: Reason | None
) -> None:
    assert of_registry(trouble, healthy=healthy) is reason


def test_reasons_are_told_once_and_in_one_order() -> None:
    told = words([Reason.STOPPING, Reason.BROKER_GONE, Reason.STOPPING])
    assert told == ["broker-gone", "stopping"]


def test_each_reason_is_explained_to_operators() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    missing = [one.value for one in Reason if f"| `{one.value}` |" not in page]
    assert not missing
    assert set(Reason) >= WAITED_FOR


def test_a_loop_that_turns_is_alive_and_one_that_stands_is_not() -> None:
    clock = Clock()
    broken = False
    pulse = Pulse(clock, lambda: broken)

    async def main() -> None:
        clock.seconds += STILL + 1
        assert not pulse.live()[0]
        task = asyncio.create_task(pulse.run())
        await asyncio.sleep(0)
        assert pulse.live() == (True, {"loop_still_seconds": 0.0, "writer": True})
        clock.seconds += STILL - 1
        assert pulse.live()[0]
        clock.seconds += 1
        assert not pulse.live()[0]
        task.cancel()

    asyncio.run(main())
    clock.seconds = 5.0
    broken = True
    assert pulse.live()[0] is False
    assert pulse.live()[1]["writer"] is False


def test_life_is_answered_over_http() -> None:
    alive = True
    with HttpServer(lambda: b"", lambda: (True, {}), live=lambda: (alive, {"writer": alive})) as server:
        with urllib.request.urlopen(f"{server.url}/live", timeout=60) as answer:
            assert json.loads(answer.read()) == {"live": True, "writer": True}
        alive = False
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{server.url}/live", timeout=60)
        with caught.value as refused:
            assert (refused.code, json.loads(refused.read())["live"]) == (503, False)


def test_a_scrape_that_takes_long_does_not_hold_up_the_loop() -> None:
    """A reading may wait (for a disk, say): the loop goes on, and another address is answered meanwhile."""
    metrics = Metrics(version="0", process=False)
    begun, over = threading.Event(), threading.Event()

    def slow() -> dict[tuple[str, ...], float]:
        begun.set()
        assert over.wait(90)
        return {(): 1.0}

    metrics.read("truc_registry_disk_free_bytes", slow)

    def get(url: str) -> bytes:
        with urllib.request.urlopen(url, timeout=90) as answer:
            return bytes(answer.read())

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        scrape = loop.run_in_executor(None, get, f"{server.url}/metrics")
        assert await loop.run_in_executor(None, begun.wait, 90)
        for _ in range(20):
            await asyncio.sleep(0.001)  # the loop turns while the reading waits
        assert await loop.run_in_executor(None, get, f"{server.url}/live")
        assert not scrape.done()
        over.set()
        return await scrape

    with HttpServer(metrics.exposition, lambda: (True, {})) as server:
        assert b"truc_registry_disk_free_bytes 1.0" in asyncio.run(main())
