"""The processes of a relay: each writes itself down at its start; ``truc drain`` ends workers of this machine.

There is no remote control: a worker ends by SIGTERM, as from whatever supervises it, and a signal goes only to the very
process that wrote itself down (number, start time, machine, boot and namespace agree). What runs elsewhere is named with its
host, and left alone.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from relay.errors import Code, OperationError, RegistryError
from relay.model.ports import Clock, Registry
from relay.model.standing import Enrolled

WORKER: Final = "worker"
_PROC = Path("/proc")
_MACHINE_ID = Path("/etc/machine-id")
_DEAD = frozenset("ZXx")
_CLOCKS_APART: Final = 60.0  # seconds by which the clock may have been set since
_STEP: Final = 0.5  # seconds between two looks at who has ended
_AGAIN: Final = 3.0  # seconds in which a supervisor would have started a worker anew
DRAIN: Final = "worker.drain"


def machine() -> str:
    """Return what a process number counts in: this machine, and the namespace of process numbers.

    Read from what a confined service sees too: of ``/proc`` that is its own processes alone.
    """
    try:
        name = _MACHINE_ID.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        name = ""
    try:
        space = str((_PROC / "self/ns/pid").stat().st_ino)
    except OSError:
        space = "?"
    return f"{name or socket.gethostname()}/{space}"


def alive(process: Enrolled) -> bool:
    """Whether this very process still runs here: the number has this start time, and it was written in this boot."""
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return process.since.timestamp() > booted - _CLOCKS_APART and started(process.pid) == process.started


def started(pid: int) -> int | None:
    """Return the start time of a living process in clock ticks since boot; None if there is none, or only a zombie."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in _DEAD else int(fields[19])


def this_process(owner: str, name: str, role: str, now: datetime, version: str) -> Enrolled:
    """Return what this process writes down about itself."""
    pid = os.getpid()
    return Enrolled(owner, name, role, socket.gethostname(), machine(), pid, started(pid) or 0, now, version)


@contextmanager
def enrolled(registry: Registry, process: Enrolled) -> Iterator[None]:
    """Be written down while the body runs. A registry that fails keeps nobody from working."""
    with suppress(RegistryError):
        registry.enroll(process)
    try:
        yield
    finally:
        with suppress(RegistryError):
            registry.leave(process.owner)


@dataclass(frozen=True, slots=True)
class Drained:
    """How one worker ended, or what a drain would find."""

    process: Enrolled
    here: bool  # on this machine
    alive: bool  # before; of another machine: whether it beats is the registry's word
    before: int  # documents in hand
    ended: bool = False
    unfinished: int = 0  # documents still in its name: the broker delivers them again
    restarted: bool = False  # a worker of that name has started since


class Signals(Protocol):
    """Ends processes; the real one is ``Pidfd``."""

    def end(self, process: Enrolled) -> bool:
        """Send SIGTERM to this very process; False if it is no more. Raises ``PermissionError``."""
        ...

    def wait(self, process: Enrolled, seconds: float) -> bool:
        """Wait until it has ended, so long at most; return whether it has."""
        ...


class Pidfd:
    """By a handle on the process, so that no number can be another's in between."""

    def __init__(self) -> None:
        self._handles: dict[str, int] = {}

    def end(self, process: Enrolled) -> bool:
        """Send SIGTERM."""
        try:
            handle = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return False
        if not alive(process):
            os.close(handle)
            return False
        self._handles[process.owner] = handle
        try:
            signal.pidfd_send_signal(handle, signal.SIGTERM)
        except ProcessLookupError:
            return False
        return True

    def wait(self, process: Enrolled, seconds: float) -> bool:
        """Wait on the handle."""
        handle = self._handles.get(process.owner)
        if handle is None:
            return True
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def close(self) -> None:
        """Let the handles go."""
        for handle in self._handles.values():
            os.close(handle)
        self._handles.clear()


def look(process: Enrolled, registry: Registry) -> Drained:
    """Say of a worker where it runs, whether it lives, and what it has in hand."""
    here = process.machine == machine()
    lives = alive(process) if here else process.beat_at is not None
    return Drained(process, here, lives, registry.in_hand(process.owner))


def chosen(registry: Registry, names: Sequence[str], *, everyone: bool) -> list[Drained]:
    """Return the workers that are meant, as they stand.

    Args:
        registry: where they wrote themselves down.
        names: of workers.
        everyone: all living workers of this machine instead.

    Raises:
        OperationError: NOT-FOUND: a name is nobody's here, or (``everyone``) no worker runs here; of a worker that
            runs elsewhere the detail names the host.
    """
    found = [look(one, registry) for one in registry.enrolled() if one.role == WORKER]
    here = [one for one in found if one.here and one.alive]
    if everyone:
        if not here:
            raise OperationError(Code.NOT_FOUND, "no worker of this relay runs on this machine")
        return here
    meant = []
    for name in names:
        mine = [one for one in here if one.process.name == name]
        if not mine:
            raise OperationError(Code.NOT_FOUND, _not_here(name, found))
        meant += mine
    return meant


def _not_here(name: str, found: Sequence[Drained]) -> str:
    elsewhere = sorted({one.process.host for one in found if one.process.name == name and not one.here})
    if elsewhere:
        return f"worker {name} runs on {', '.join(elsewhere)}: give the command there"
    dead = any(one.process.name == name for one in found)
    return f"worker {name} has died: nothing to drain" if dead else f"no worker {name} is written down"


def drain(
    meant: Sequence[Drained],
    registry: Registry,
    signals: Signals,
    clock: Clock,
    timeout: float,
    progress: Callable[[list[tuple[str, int]]], None] = lambda _left: None,
) -> list[Drained]:
    """End workers: each takes nothing new, finishes what it has, gives the rest back and exits.

    All are told at once and waited for together, ``timeout`` seconds at most; none is ever killed. ``progress`` is told
    the workers that are left and how much each has in hand.

    Raises:
        OperationError: NOT-PERMITTED: a process is another user's; those before it were told already.
    """
    for one in meant:
        try:
            signals.end(one.process)
        except PermissionError:
            raise OperationError(
                Code.NOT_PERMITTED, f"{one.process.name} is process {one.process.pid} of another user"
            ) from None
    limit = clock.monotonic() + timeout
    waiting = list(meant)
    while waiting and clock.monotonic() < limit:
        progress([(one.process.name, registry.in_hand(one.process.owner)) for one in waiting])
        signals.wait(waiting[0].process, min(_STEP, max(0.0, limit - clock.monotonic())))
        waiting = [one for one in waiting if not signals.wait(one.process, 0.0)]
    left = {one.process.owner for one in waiting}
    return [
        Drained(
            one.process,
            one.here,
            one.alive,
            one.before,
            ended=one.process.owner not in left,
            unfinished=registry.in_hand(one.process.owner),
        )
        for one in meant
    ]


def restarted(drained: Sequence[Drained], registry: Registry, wait: Callable[[float], None]) -> list[Drained]:
    """Say of which of them another one of the same name runs by now: a supervisor starts again what ends."""
    owners = {one.process.owner for one in drained}
    names: set[str] = set()
    for _ in range(int(_AGAIN / _STEP)):
        names = {
            one.name
            for one in registry.enrolled()
            if one.role == WORKER and one.owner not in owners and look(one, registry).alive
        }
        if all(one.process.name in names for one in drained):
            break
        wait(_STEP)
    return [replace(one, restarted=one.process.name in names) for one in drained]


def others(registry: Registry, drained: Sequence[Drained]) -> int:
    """Return how many other workers of the relay live, here or elsewhere."""
    owners = {one.process.owner for one in drained}
    return sum(
        look(one, registry).alive
        for one in registry.enrolled()
        if one.role == WORKER and one.owner not in owners
    )
