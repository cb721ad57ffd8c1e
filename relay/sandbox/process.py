"""Processes of a sandbox, told from all others of the machine by an environment variable of our own.

A number alone says nothing: numbers are used again, and a killed process may stay as a zombie under a parent that
never collects it. A process here is a number with its start time, and it lives while it runs (state in
``/proc/<pid>/stat``). What belongs to a home carries ``TRUC_SANDBOX_HOME`` (the folder's real path) and
``TRUC_SANDBOX_ROLE``; both survive in children, so nothing that a home started can hide from ``down``.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOME_MARK: Final = "TRUC_SANDBOX_HOME"
ROLE_MARK: Final = "TRUC_SANDBOX_ROLE"

_PROC = Path("/proc")
_HOME_PREFIX = f"{HOME_MARK}=".encode()
_DEAD = frozenset("ZXx")


@dataclass(frozen=True, slots=True, order=True)
class Process:
    """One process: its number and its start time in clock ticks since boot."""

    pid: int
    started: int

    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        stat = _stat(self.pid)
        return stat is not None and stat[0] not in _DEAD and stat[1] == self.started

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still is this process."""
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def collect(self) -> None:
        """Take the exit status if it is our child, so that no zombie of ours stays."""
        try:
            os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            pass


@dataclass(frozen=True, slots=True)
class Marked:
    """A living process that carries a home's mark."""

    process: Process
    role: str
    name: str  # the kernel's short name of the program, e.g. ``beam.smp``
    environment: Mapping[str, str]


def identify(pid: int) -> Process | None:
    """Return the living process of that number; None if there is none or only a zombie."""
    stat = _stat(pid)
    return None if stat is None or stat[0] in _DEAD else Process(pid, stat[1])


def parent_of(pid: int) -> int:
    """Return the number of a process's parent; 0 if there is none."""
    fields = _fields(pid)
    return int(fields[1]) if fields else 0


def marked(home: Path) -> list[Marked]:
    """Return the living processes of the home, oldest first. Sees those of this user, or all for root."""
    return [found for _, found in _all_marked(f"{HOME_MARK}={home}".encode())]


def every_marked() -> list[tuple[str, Marked]]:
    """Return the living processes of all homes, each with its home, oldest first. Sees as much as ``marked``."""
    return _all_marked(None)


def _all_marked(wanted: bytes | None) -> list[tuple[str, Marked]]:
    found: list[tuple[str, Marked]] = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            block = (entry / "environ").read_bytes()
            pairs = block.split(b"\0")
            if wanted not in pairs if wanted is not None else _HOME_PREFIX not in block:
                continue
            name = (entry / "comm").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            continue
        process = identify(int(entry.name))
        if process is None:
            continue
        environment = dict(
            pair.decode("utf-8", "surrogateescape").split("=", 1) for pair in pairs if b"=" in pair
        )
        if home := environment.get(HOME_MARK):
            found.append((home, Marked(process, environment.get(ROLE_MARK, ""), name, environment)))
    return sorted(found, key=lambda item: (item[1].process.started, item[1].process.pid))


def end(processes: Iterable[Process], patience: float, *, poll: float = 0.05) -> None:
    """End processes: SIGTERM, wait up to ``patience`` seconds for all of them, SIGKILL for what is left."""
    waiting = [process for process in processes if process.alive()]
    for process in waiting:
        process.send(signal.SIGTERM)
    limit = time.monotonic() + patience
    while waiting:
        for process in waiting:
            process.collect()
        waiting = [process for process in waiting if process.alive()]
        if time.monotonic() > limit:
            break
        if waiting:
            time.sleep(poll)
    for process in waiting:
        process.send(signal.SIGKILL)
    limit = time.monotonic() + 5.0
    while any(process.alive() for process in waiting) and time.monotonic() < limit:
        for process in waiting:
            process.collect()
        time.sleep(0.01)
    for process in waiting:
        process.collect()


def _stat(pid: int) -> tuple[str, int] | None:
    """Return state and start time; the name in between may hold spaces and brackets."""
    fields = _fields(pid)
    return (fields[0], int(fields[19])) if fields else None


def _fields(pid: int) -> list[str]:
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
