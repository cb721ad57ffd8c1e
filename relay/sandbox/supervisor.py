"""Keeps a sandbox running: starts what is missing, adopts what an earlier supervisor left, restarts what dies.

The supervisor holds ``supervisor.lock``. Killed with -9 it takes nobody along; the next one finds the processes by
what was noted (number and start time), takes over those that run as they should, and ends what else carries this
home's mark.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType
from typing import Final

from relay.errors import Code, OperationError, TrucError
from relay.model.agency import Agency
from relay.sandbox import contents, health, process, programs, provision
from relay.sandbox.config import KEEPER, worker_name
from relay.sandbox.home import Home, Kept, Running, Status
from relay.sandbox.node import STOP_LIMIT
from relay.sandbox.ports import claim
from relay.sandbox.process import Process, identify
from relay.sandbox.stamping import StampAuthority, StampServer

Say = Callable[[str], None]

POLL: Final = 0.2
START_LIMIT: Final = 120.0
RENEW_LISTS: Final = 24 * 3600.0
_FIRST_DELAY, _LAST_DELAY = 0.5, 15.0
_STEADY = 30.0  # seconds of life after which a process's back-off starts anew
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_BOOT_PATIENCE = 1.0  # seconds for a broker in its boot to end by itself
_TRIES = 5  # deaths of one process before the sandbox was ever ready


class _Stopping(Exception):
    """The supervisor was told to end."""


@dataclass(slots=True)
class _Slot:
    """One process that should run."""

    name: str
    process: Process | None = None
    fingerprint: str = ""
    since: float = 0.0
    deaths: int = 0
    not_before: float = 0.0

    def died(self, now: float) -> float:
        """Note a death; return the seconds to wait before the next start."""
        self.deaths = 1 if now - self.since > _STEADY else self.deaths + 1
        delay = 0.0 if self.deaths == 1 else min(_FIRST_DELAY * 2 ** (self.deaths - 2), _LAST_DELAY)
        self.process = None
        self.not_before = now + delay
        return delay


class Supervisor:
    """One run of the supervisor in this process; the caller holds the lock."""

    def __init__(self, home: Home, say: Say, on_ready: Callable[[], None] | None = None) -> None:
        self.home = home
        self._say = say
        self._on_ready = on_ready
        self._stop = threading.Event()
        me = identify(os.getpid())
        assert me is not None
        self._me = me
        self._broker = _Slot("broker")
        self._slots: dict[str, _Slot] = {}
        self._kept: Kept = home.kept()
        self._agencies: Sequence[Agency] = ()
        self._lists_renewed = 0.0
        self._ready = False
        self._was_ready = False
        self._booting = False
        self._stamps: StampServer | None = None
        self._stamps_not_before = 0.0

    def run(self) -> None:
        """Supervise until SIGTERM or SIGINT, then stop everything in order.

        Raises:
            OperationError: the sandbox could not be brought up; everything was stopped again.
        """
        self._note("starting")
        with self._listening(), claim(self._kept.base_port):
            try:
                self._supervise()
            except _Stopping:
                self._say("stopping")
                if self.home.exists():
                    self._note("stopping")
                stop_everything(self.home, booting=self._booting)
            except TrucError as error:
                stop_everything(self.home)
                self._note("failed", error)
                raise
            finally:
                if self._stamps is not None:
                    self._stamps.close()

    # --- the loop

    def _supervise(self) -> None:
        noted = self.home.running()
        self._provide()
        self._adopt(noted)
        began = time.monotonic()
        while True:
            self._check()
            try:
                self._look_after()
            except OSError as error:  # a full disk, say: what runs goes on
                if not self._was_ready:
                    raise OperationError(Code.SANDBOX_BROKEN, str(error)) from error
                self._say(f"{error}: trying again")
                self._stop.wait(_LAST_DELAY / 3)
            if not self._was_ready and time.monotonic() - began > START_LIMIT:
                raise OperationError(
                    Code.SANDBOX_BROKEN,
                    f"not ready after {START_LIMIT:.0f} s: {health.trouble(self.home, self._kept)}",
                )
            self._stop.wait(POLL)

    def _look_after(self) -> None:
        if not self.home.lock_file.exists():
            self._say("the folder is gone")
            raise _Stopping
        asked = self.home.asked  # what is asked for from here on is for the next look
        if asked and self._was_ready:
            self._repair()
        self._notice_changes()
        self._keep_stamps()
        self._keep_broker()
        self._keep_processes()
        self._look_whether_ready()
        if asked:
            self.home.answer()

    def _check(self) -> None:
        if self._stop.is_set():
            raise _Stopping

    def _provide(self) -> None:
        """Make files true to what the home keeps, and learn which processes should run."""
        self._agencies = provision.prepare(self.home, datetime.now(UTC))
        self._kept = self.home.kept()
        self._lists_renewed = time.monotonic()
        wanted = [KEEPER, *(worker_name(number) for number in range(1, self._kept.workers + 1))]
        for name in wanted:
            slot = self._slots.setdefault(name, _Slot(name))
            self._replace_if_other(slot)
        for name in [name for name in self._slots if name not in wanted]:
            slot = self._slots.pop(name)
            if slot.process is not None:
                self._say(f"{name} is not wanted any more")
                process.end([slot.process], 20.0)
        if self._broker.process is not None and not self.home.node(self._kept).as_configured():
            self._end_broker()
        self._publish()

    def _repair(self) -> None:
        """Make anew what is missing or damaged among the files. What cannot be made does not end what runs."""
        try:
            self._provide()
        except TrucError as error:
            self._say(f"the files cannot be repaired: {error}")

    def _notice_changes(self) -> None:
        try:
            kept = self.home.kept()
        except OperationError:
            self._say("kept.json was damaged: writing it again")
            self.home.keep(self._kept)
            return
        if kept != self._kept:
            self._provide()
        elif time.monotonic() - self._lists_renewed > RENEW_LISTS:
            self._agencies = provision.prepare(self.home, datetime.now(UTC))
            self._lists_renewed = time.monotonic()
            self._publish()  # a certificate of the relay may have been renewed too

    def _replace_if_other(self, slot: _Slot) -> None:
        wanted = programs.fingerprint(self.home, self._kept, slot.name)
        if slot.process is not None and slot.fingerprint != wanted:
            self._say(f"{slot.name} has other settings now: restarting it")
            process.end([slot.process], 20.0)
            slot.process = None
            slot.not_before = 0.0
        slot.fingerprint = wanted

    def _adopt(self, noted: Running) -> None:
        """Take over what was noted and runs as it should; end all else that carries this home's mark."""
        before = {KEEPER: noted.keeper, **noted.workers}
        marked = process.marked(self.home.path)
        settings = {item.process: item.environment.get(programs.SETTINGS_MARK) for item in marked}
        for name, slot in self._slots.items():
            candidate = before.get(name)
            if candidate is not None and settings.get(candidate) == slot.fingerprint:
                slot.process = candidate
                slot.since = time.monotonic()
                self._say(f"{name} runs already: process {candidate.pid}")
        kept = {slot.process for slot in self._slots.values()}
        process.end(
            [
                item.process
                for item in marked
                if item.role not in {"broker", "supervisor"}
                and item.process not in kept
                and not _belongs_to(item, self._slots)
            ],
            20.0,
        )

    # --- broker

    def _keep_broker(self) -> None:
        slot = self._broker
        now = time.monotonic()
        if slot.process is not None:
            slot.process.collect()
            if slot.process.alive():
                return
            delay = slot.died(now)
            self._not_ready(f"the broker ended: starting it again{_in(delay)}")
            self._repair()
        if now < slot.not_before:
            return
        try:
            self._start_broker(slot)
        except TrucError as error:
            if not self._was_ready:
                raise
            delay = slot.died(time.monotonic())
            self._not_ready(f"the broker does not start ({error}): again{_in(delay)}")

    def _end_broker(self) -> None:
        """End a broker that runs with other settings than it should have now."""
        self._not_ready("the broker has other settings now: restarting it")
        self.home.node(self._kept).stop()
        self._broker.process = None
        self._broker.not_before = 0.0

    def _start_broker(self, slot: _Slot) -> None:
        node = self.home.node(self._kept)
        if node.running() and not node.as_configured():
            self._end_broker()
        adopted = node.running()
        vm = node.start()
        self._booting = not adopted
        try:
            version = node.wait_ready(vm, on_wait=self._check)
        except OperationError:
            if not adopted:
                raise
            self._say("the broker that runs here does not answer: replacing it")
            node.stop()
            vm = node.start()
            version = node.wait_ready(vm, on_wait=self._check)
        self._booting = False
        slot.since = time.monotonic()
        changes = provision.apply_topology(self.home, self._kept, self._agencies, self._say)
        slot.process = vm
        self._publish()
        self._say(
            f"broker {'runs already' if adopted else 'started'}: RabbitMQ {version}, process {vm.pid}, "
            f"{changes} changes of topology"
        )

    # --- time-stamps

    def _keep_stamps(self) -> None:
        """Serve the time-stamp authority. Without it heads go unstamped, and nothing else is different."""
        if self._stamps is not None or time.monotonic() < self._stamps_not_before:
            return
        try:
            authority = StampAuthority(self.home.stamps)
            self._stamps = StampServer(authority, self._kept.ports.stamps, lambda: datetime.now(UTC))
        except OSError as error:
            self._stamps_not_before = time.monotonic() + _LAST_DELAY
            self._say(f"no time-stamps: {error}")

    # --- worker and keeper

    def _keep_processes(self) -> None:
        if self._broker.process is None and not self._was_ready:
            return
        for slot in self._slots.values():
            now = time.monotonic()
            if slot.process is not None:
                slot.process.collect()
                if slot.process.alive():
                    continue
                delay = slot.died(now)
                self._not_ready(f"{slot.name} ended: starting it again{_in(delay)}")
                if not self._was_ready and slot.deaths >= _TRIES:
                    tail = programs.log_tail(self.home, slot.name)
                    raise OperationError(Code.SANDBOX_BROKEN, f"{slot.name} does not stay alive: {tail}")
            if now < slot.not_before:
                continue
            self._end_rest_of(slot.name)
            slot.process = programs.launch(self.home, self._kept, slot.name)
            slot.since = now
            self._publish()

    def _end_rest_of(self, name: str) -> None:
        """End what a dead process left: its pool, or one that was started and never noted."""
        process.end([item.process for item in process.marked(self.home.path) if item.role == name], 1.0)

    # --- what is told

    def _look_whether_ready(self) -> None:
        if self._ready or health.trouble(self.home, self._kept):
            return
        self._ready = self._was_ready = True
        self._note("ready")
        self._say("ready")
        if self._on_ready is not None:
            self._on_ready()

    def _not_ready(self, message: str) -> None:
        self._say(message)
        if self._ready:
            self._ready = False
            self._note("starting")
        self._publish()

    def _publish(self) -> None:
        self.home.note_running(
            Running(
                supervisor=self._me,
                broker=self._broker.process,
                keeper=self._slots[KEEPER].process if KEEPER in self._slots else None,
                workers={
                    name: slot.process
                    for name, slot in self._slots.items()
                    if name != KEEPER and slot.process is not None
                },
            )
        )
        with self.home.guard():
            contents.publish(self.home, self.home.kept(), self._agencies)

    def _note(self, state: str, error: TrucError | None = None) -> None:
        assert state in {"starting", "ready", "stopping", "failed"}
        self.home.note_status(
            Status(
                state=state,  # type: ignore[arg-type]
                supervisor=self._me,
                code=error.code.value if error else "",
                detail=error.detail if error else "",
            )
        )

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Take the signals that end the supervisor; the caller's own handlers come back afterwards."""

        def stop(_number: int, _frame: FrameType | None) -> None:
            self._stop.set()

        before = {number: signal.signal(number, stop) for number in _ENDING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def stop_everything(home: Home, *, booting: bool = False) -> None:
    """End workers and keeper, then broker and epmd, then whatever else carries the home's mark, but not the caller.

    ``booting``: the broker was just started and took nothing yet; it would hear SIGTERM only after its boot.
    Works from the marks of living processes alone, so it needs nothing that a damaged home may lack.
    """
    mine = _ancestors()
    roles: dict[bool, list[Process]] = {True: [], False: []}
    for item in process.marked(home.path):
        if item.role != "supervisor" and item.process.pid not in mine:
            roles[item.role == "broker"].append(item.process)
    process.end(roles[False], 20.0)
    try:
        home.node(home.kept()).stop(_BOOT_PATIENCE if booting else STOP_LIMIT)
    except (OperationError, KeyError):
        process.end(roles[True], 30.0)
    process.end([item.process for item in process.marked(home.path) if item.process.pid not in mine], 5.0)
    if home.exists():
        home.note_running(Running())
        kept = home.kept()
        agencies = provision.agencies_of(home, kept)
        if all(agency.gateway is None or agency.gateway in kept.passwords for agency in agencies):
            with home.guard():
                contents.publish(home, kept, agencies)


def _belongs_to(item: process.Marked, slots: dict[str, _Slot]) -> bool:
    """Whether a process is the child of one that was adopted (a worker's pool)."""
    slot = slots.get(item.role)
    return slot is not None and slot.process is not None


def _in(delay: float) -> str:
    return f" in {delay:.1f} s" if delay else ""


def _ancestors() -> set[int]:
    """Return the numbers of this process and all above it: ``down`` may be called from a child of the sandbox."""
    found: set[int] = set()
    pid = os.getpid()
    while pid > 1 and pid not in found:
        found.add(pid)
        pid = process.parent_of(pid)
    return found
