"""A clock that was set is noticed and believed again for a reason; a full disk is said before a commit fails."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from relay.broker.clock import Offset
from relay.observe.metrics import Metrics
from relay.observe.ready import Reason
from relay.operate.guards import APART, FLOOR, SETTLE, STEP, ClockGuard, DiskGuard, Room, room_at

START = datetime(2026, 5, 6, tzinfo=UTC)


class Clock:
    """A wall clock that can be set, and a monotonic one that cannot."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.wrong = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.passed + self.wrong)

    def monotonic(self) -> float:
        return 1000.0 + self.passed


class Watched:
    """A guard with its clock, its counts and what the broker's clock is said to be."""

    def __init__(self, *, foreign: bool = True) -> None:
        self.clock = Clock()
        self.metrics = Metrics(version="0", process=False)
        self.offset: Offset | None = None
        self.asked = 0
        self.guard = ClockGuard(self.clock, self.metrics, lambda: self.offset, self._again, foreign=foreign)

    def _again(self) -> None:
        self.asked += 1

    def after(self, seconds: float) -> tuple[Reason, ...]:
        """Look once a tick for so long; return what the last look said."""
        found: tuple[Reason, ...] = ()
        for _ in range(int(seconds * 2)):
            self.clock.passed += 0.5
            found = self.guard.look()
        return found

    @property
    def jumps(self) -> float | None:
        return self.metrics.value("truc_clock_jumps_total")


@pytest.mark.parametrize("by", [-3600.0, -STEP - 0.1, STEP + 0.1, 86_400.0])
def test_a_step_is_noticed_and_over_when_the_clock_is_back(by: float) -> None:
    watched = Watched()
    assert watched.after(5) == ()
    watched.clock.wrong = by
    assert watched.after(5) == (Reason.CLOCK_JUMP,)
    assert watched.jumps == 1
    watched.clock.wrong = 0.3
    assert watched.after(1) == ()
    # 1 or 2: back from a step of hardly more than the limit may be no step of its own
    assert watched.jumps in {1, 2}


def test_a_clock_that_is_disciplined_or_not_looked_at_for_long_is_no_step() -> None:
    watched = Watched()
    for _ in range(7200):
        watched.clock.passed += 0.5
        watched.clock.wrong += 0.00025  # 500 ppm, the most that a kernel slews by
        assert watched.guard.look() == ()
    watched.clock.passed += 1800  # the process stood still
    assert watched.guard.look() == ()
    assert watched.jumps == 0


def test_a_new_time_that_stands_is_believed_after_a_while() -> None:
    watched = Watched()
    watched.clock.wrong = 3600
    assert watched.after(SETTLE - 1) == (Reason.CLOCK_JUMP,)
    assert watched.after(2) == ()
    watched.clock.wrong = 0  # back to where it was long ago: a step like any other
    assert watched.after(1) == (Reason.CLOCK_JUMP,)


def test_each_further_step_begins_the_wait_anew() -> None:
    watched = Watched()
    watched.clock.wrong = 100
    watched.after(SETTLE - 5)
    watched.clock.wrong = 200
    assert watched.after(10) == (Reason.CLOCK_JUMP,)
    assert watched.jumps == 2
    watched.clock.wrong = 0
    assert watched.after(1) == ()


def test_the_broker_s_clock_vouches_if_it_is_another_machine_s_and_was_read_after_the_step() -> None:
    for foreign, measured_later, believed in ((True, True, True), (True, False, False), (False, True, False)):
        watched = Watched(foreign=foreign)
        watched.after(5)
        watched.offset = Offset(0.4, watched.clock.monotonic())
        watched.clock.wrong = 50
        assert watched.after(2) == (Reason.CLOCK_JUMP,)
        if measured_later:
            watched.offset = replace(watched.offset, measured=watched.clock.monotonic())
        assert (watched.after(2) == ()) is believed
    watched = Watched()
    watched.clock.wrong = 50
    watched.after(2)
    watched.offset = Offset(50.0, watched.clock.monotonic())  # it says that we are wrong
    assert watched.after(2) == (Reason.CLOCK_JUMP,)


def test_far_apart_from_the_broker_is_said_whoever_is_wrong() -> None:
    watched = Watched(foreign=False)
    assert watched.guard.offset() == {}
    watched.offset = Offset(-APART - 1, watched.clock.monotonic())
    assert watched.guard.look() == (Reason.CLOCK_APART,)
    assert watched.guard.offset() == {(): -APART - 1}
    watched.offset = Offset(APART - 1, watched.clock.monotonic())
    assert watched.guard.look() == ()


def test_a_measurement_with_a_clock_that_was_set_since_says_nothing() -> None:
    watched = Watched(foreign=False)
    watched.after(1)
    watched.clock.wrong = 5000
    watched.after(1)
    assert watched.asked == 1, "another one is asked for at once"
    watched.offset = Offset(5000, watched.clock.monotonic())
    assert set(watched.after(1)) == {Reason.CLOCK_JUMP, Reason.CLOCK_APART}
    watched.clock.wrong = 0
    assert watched.after(1) == (), "what was measured with the wrong clock does not outlive it"
    assert watched.guard.offset() == {}
    assert watched.asked == 2
    watched.offset = Offset(0.2, watched.clock.monotonic())
    assert watched.after(1) == ()


def test_a_machine_that_lets_us_wait_between_two_clocks_makes_no_step() -> None:
    class Slow(Clock):
        waits = False

        def now(self) -> datetime:
            if self.waits:
                self.passed += 30
            return super().now()

    clock, metrics = Slow(), Metrics(version="0", process=False)
    guard = ClockGuard(clock, metrics)
    clock.waits = True
    assert guard.look() == ()
    clock.waits = False
    clock.passed += 1
    assert guard.look() == ()
    assert metrics.value("truc_clock_jumps_total") == 0


def test_no_room_is_said_and_shown(tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    file.write_bytes(b"x" * 100)
    file.with_name("registry.db-wal").write_bytes(b"x" * 20)
    room = Room(FLOOR, 4 * FLOOR)
    guard = DiskGuard(file, lambda folder: room if folder == tmp_path else Room(0, 0))
    assert guard.look() == ()
    room = Room(FLOOR - 1, 4 * FLOOR)
    assert guard.look() == (Reason.REGISTRY_FULL,)
    assert (guard.free(), guard.size(), guard.used()) == ({(): FLOOR - 1}, {(): 4 * FLOOR}, {(): 120})


def test_a_disk_that_cannot_be_asked_is_left_to_the_next_commit(tmp_path: Path) -> None:
    assert DiskGuard(tmp_path / "gone" / "registry.db").look() == ()
    none = DiskGuard(None)
    assert (none.look(), none.free(), none.size(), none.used()) == ((), {}, {}, {})
    assert 0 < room_at(tmp_path).free <= room_at(tmp_path).size
