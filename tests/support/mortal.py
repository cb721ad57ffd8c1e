"""Runs ``truc`` in the sandbox's place for a worker or keeper, to die or stand still at a point that a test has named.

``python -m tests.support.mortal worker|keeper ARGUMENT...``. The process is the real one; only its statements are watched,
and its clock can be set wrong. What is to happen stands in files of the home's folder ``fates``:

- ``<role>``: ``point when skip signal``. The process of that role that next comes to the point for the ``skip + 1``-th time
  sends itself the signal and leaves ``<role>.met`` behind. ``when``: ``before`` or ``after`` the statement, inside its
  transaction, or ``released``: when the connection is given back after it, so that it is committed.
- ``<role>.clock``: seconds that its clock is ahead.
"""

from __future__ import annotations

import os
import re
import runpy
import signal
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, Pool, event

import relay.observe.clock
from relay.sandbox.process import HOME_MARK, ROLE_MARK

FOLDER: Final = "fates"
POINTS: Final[Mapping[str, re.Pattern[str]]] = {
    "chain": re.compile("INSERT INTO evidence_chains"),
    "frames": re.compile("INSERT INTO evidence_frames"),
    "read": re.compile(r"SELECT\b.*\bFROM evidence_frames", re.DOTALL),
    "join": re.compile("INSERT INTO evidence_batches"),
    "head": re.compile("INSERT INTO evidence_heads"),
}


class Fate:
    """Watches the statements of this process."""

    def __init__(self, folder: Path, role: str) -> None:
        self._file = folder / role
        self._left: dict[tuple[str, str], int] = {}
        self._after = threading.local()

    def install(self) -> None:
        """Watch from now on, whatever engine is made."""

        def before(_c: object, _k: object, statement: str, *_more: object) -> None:
            self._at("before", statement)

        def after(_c: object, _k: object, statement: str, *_more: object) -> None:
            self._at("after", statement)
            if any(pattern.match(statement) for pattern in POINTS.values()):
                self._after.statement = statement

        def released(*_: object) -> None:
            statement = getattr(self._after, "statement", "")
            self._after.statement = ""
            if statement:
                self._at("released", statement)

        event.listen(Engine, "before_cursor_execute", before)
        event.listen(Engine, "after_cursor_execute", after)
        event.listen(Pool, "checkin", released)

    def _at(self, when: str, statement: str) -> None:
        point = next((name for name, pattern in POINTS.items() if pattern.match(statement)), None)
        if point is None:
            return
        try:
            wanted, moment, skip, number = self._file.read_text(encoding="ascii").split()
        except (OSError, ValueError):
            return
        if (wanted, moment) != (point, when):
            return
        left = self._left.setdefault((point, when), int(skip))
        if left:
            self._left[point, when] = left - 1
            return
        self._left.clear()
        self._file.rename(self._file.with_name(f"{self._file.name}.met"))
        os.kill(os.getpid(), int(number))
        time.sleep(0.01)  # until the signal is there


class WrongClock(relay.observe.clock.SystemClock):
    """The machine's clock, and what a file says beyond it."""

    file: Path
    looked = 0.0
    ahead = 0.0

    def now(self) -> datetime:
        """Return the time as this process has it."""
        if self.monotonic() - WrongClock.looked > 0.05:
            WrongClock.looked = self.monotonic()
            try:
                WrongClock.ahead = float(WrongClock.file.read_text(encoding="ascii") or 0)
            except (OSError, ValueError):
                WrongClock.ahead = 0.0
        return datetime.now(UTC) + timedelta(seconds=WrongClock.ahead)


def strike(folder: Path, role: str, point: str, when: str, skip: int, number: signal.Signals) -> None:
    """Name a role's fate; the folder is made."""
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / f"{role}.met").unlink(missing_ok=True)
    fresh = folder / f".{role}.new"
    fresh.write_text(f"{point} {when} {skip} {int(number)}", encoding="ascii")
    fresh.rename(folder / role)


def main(words: list[str], environment: Mapping[str, str]) -> None:
    """Run the command."""
    folder, role = Path(environment[HOME_MARK]) / FOLDER, environment[ROLE_MARK]
    WrongClock.file = folder / f"{role}.clock"
    clock: Any = relay.observe.clock
    clock.SystemClock = WrongClock
    Fate(folder, role).install()
    sys.argv = ["truc", *words]
    runpy.run_module("relay.cli", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
