"""What a process watches of its machine: that the clock was not set, and that there is room for the registry.

Cheap enough for each tick of an event loop; nothing here waits for anybody.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay.broker.clock import Offset
from relay.model.ports import Clock
from relay.observe import logs
from relay.observe.metrics import Metrics
from relay.observe.ready import Reason

_log = logs.get("operate.guards")
STEP: Final = 2.0  # seconds; a clock that is merely disciplined moves by half a millisecond a second
APART: Final = 60.0  # seconds from the broker's clock, whichever of the two is wrong
SETTLE: Final = 60.0  # seconds after which a new time is believed, if nothing speaks against it
FLOOR: Final = 32 * 1024 * 1024  # bytes; a group commit and its share of the log stay far below


class ClockGuard:
    """Notices a clock that was set, and says when the time is to be believed again.

    A step is seen against the monotonic clock, which nobody can set. It is over when the clock is back where it was;
    when the broker's clock, measured after the step, agrees; or when the new time has stood for ``SETTLE`` seconds (a
    wrong clock that was put right). A broker on this machine has this machine's clock and vouches for nothing.

    Args:
        clock: ours.
        metrics: counts steps.
        broker: the last measurement of the broker's clock, None while there is none.
        again: asks for another measurement soon.
        foreign: whether the broker runs on another machine.
    """

    def __init__(
        self,
        clock: Clock,
        metrics: Metrics,
        broker: Callable[[], Offset | None] = lambda: None,
        again: Callable[[], None] = lambda: None,
        *,
        foreign: bool = False,
    ) -> None:
        self._clock = clock
        self._metrics = metrics
        self._broker = broker
        self._again = again
        self._foreign = foreign
        self._before: float | None = None  # where the clock stood before the step that is not settled yet
        self._since = float("-inf")  # the last step
        self._seen = 0.0
        self._seen = self._lead()

    def look(self) -> tuple[Reason, ...]:
        """Return what is wrong with the clock now."""
        lead, now = self._lead(), self._clock.monotonic()
        step, self._seen = lead - self._seen, lead
        if abs(step) > STEP:
            self._metrics.clock_jumped()
            logs.event(_log, logging.ERROR, "clock-jumped", seconds=round(step, 3))
            if self._before is None:
                self._before = lead - step
            self._since = now
            self._again()
        if self._before is not None and self._settled(lead, self._before, now):
            logs.event(_log, logging.WARNING, "clock-settled", seconds=round(lead - self._before, 3))
            self._before = None
        offset = self._measured()
        apart = offset is not None and abs(offset.seconds) > APART
        return (Reason.CLOCK_JUMP,) * (self._before is not None) + (Reason.CLOCK_APART,) * apart

    def offset(self) -> Mapping[tuple[str, ...], float]:
        """Return the last measured distance from the broker's clock, for a scrape."""
        offset = self._measured()
        return {} if offset is None else {(): offset.seconds}

    def _settled(self, lead: float, before: float, now: float) -> bool:
        if abs(lead - before) <= STEP or now - self._since >= SETTLE:
            return True
        offset = self._measured()
        return self._foreign and offset is not None and abs(offset.seconds) <= STEP

    def _measured(self) -> Offset | None:
        """Return the measurement if it was made with the clock as it is now."""
        offset = self._broker()
        return None if offset is None or offset.measured <= self._since else offset

    def _lead(self) -> float:
        """Return by how much the wall clock is ahead of the monotonic one; as before if the machine let us wait between."""
        before = self._clock.monotonic()
        wall = self._clock.now().timestamp()
        after = self._clock.monotonic()
        return wall - before if after - before < STEP / 4 else self._seen


@dataclass(frozen=True, slots=True)
class Room:
    """A file system, in bytes."""

    free: int  # for us; the superuser may have more
    size: int


def room_at(folder: Path) -> Room:
    """Return the room where a folder lies. Raises ``OSError``."""
    found = os.statvfs(folder)
    return Room(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


class DiskGuard:
    """Says that no room is left before the registry has to find out by a commit that fails.

    Args:
        file: the registry's file; None where it is none of this machine's.
        room: tells the room in a folder.
    """

    def __init__(self, file: Path | None, room: Callable[[Path], Room] = room_at) -> None:
        self._file = file
        self._room = room

    def look(self) -> tuple[Reason, ...]:
        """Return what is wrong with the disk now."""
        if self._file is None:
            return ()
        try:
            full = self._room(self._file.parent).free < FLOOR
        except OSError:
            return ()  # the next commit tells
        return (Reason.REGISTRY_FULL,) if full else ()

    def free(self) -> Mapping[tuple[str, ...], float]:
        """Return the room that is left, for a scrape."""
        return {} if self._file is None else {(): self._room(self._file.parent).free}

    def size(self) -> Mapping[tuple[str, ...], float]:
        """Return the size of the file system, for a scrape."""
        return {} if self._file is None else {(): self._room(self._file.parent).size}

    def used(self) -> Mapping[tuple[str, ...], float]:
        """Return the size of the registry's files, for a scrape."""
        if self._file is None:
            return {}
        parts = (self._file, self._file.with_name(self._file.name + "-wal"))
        return {(): sum(part.stat().st_size for part in parts if part.exists())}
