"""A ``systemctl`` for tests: starts the very command lines of unit files, as processes of this user, in other places.

``python -m tests.support.systemctl STATE WORDS…``; STATE is a folder with ``machine.json``: where the units are, which
paths and ports of theirs stand for which of this machine, the environment of the broker. Specifiers, credentials,
environment, umask, limits, no new privileges, the ban on writable code and the filter of system calls and socket families
are as the unit says; what needs a namespace of the kernel (a read-only system, private folders and devices) is not done.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.support.node import alive
from tests.support.seccomp import filter_of
from tests.support.units import Unit, read, specified

_NO_NEW_PRIVILEGES: Final = 38  # prctl
_DENY_WRITE_EXECUTE: Final = 65  # prctl, Linux 6.3 and later: refuses what MemoryDenyWriteExecute= refuses
BROKER: Final = "rabbitmq-server"


class Manager:
    """The services of one machine."""

    def __init__(self, state: Path) -> None:
        self._state = state
        said: dict[str, Any] = json.loads((state / "machine.json").read_text(encoding="utf-8"))
        self._units = Path(said["units"])
        self._places: dict[str, str] = said["places"]
        self._broker: dict[str, str] = said["broker"]
        self._broker_program: str = said["broker_program"]
        for name in ("pids", "credentials", "log", "enabled"):
            (state / name).mkdir(exist_ok=True)

    def do(self, words: list[str]) -> int:
        """Do what the command says; return the exit code."""
        flags = {word for word in words if word.startswith("-")}
        command, *names = (word for word in words if not word.startswith("-"))
        if flags - {"--now", "--quiet", "-q"}:
            raise SystemExit(f"systemctl: {flags} are not known here")
        names = [name.removesuffix(".service") for name in names]
        if command == "daemon-reload":
            for path in self._units.iterdir():
                read(path)
            return 0
        if command == "enable":
            for name in names:
                self._enable(name)
            return self.do(["start", *names]) if "--now" in flags else 0
        if command == "is-active":
            return 0 if all(self._pid(name) for name in names) else 3
        if command in {"start", "stop", "restart"}:
            for name in self._members(names):
                if command != "start":
                    self._stop(name)
                if command != "stop":
                    self._start(name)
            return 0
        raise SystemExit(f"systemctl: {command} is not known here")

    def _members(self, names: list[str]) -> list[str]:
        """Put the enabled services of a target in its place."""
        found: list[str] = []
        for name in names:
            if name.endswith(".timer"):
                self._unit(name)
            elif name.endswith(".target"):
                enabled = sorted(path.name for path in (self._state / "enabled").iterdir())
                wanted = (one for one in enabled if not one.endswith((".target", ".timer", BROKER)))
                found += [one for one in wanted if name in self._unit(one).values("Install", "WantedBy")]
            else:
                found.append(name)
        return found

    def _enable(self, name: str) -> None:
        if name != BROKER:
            self._unit(name).value("Install", "WantedBy")
        (self._state / "enabled" / name).touch()

    def _unit(self, name: str) -> Unit:
        stem, at, _ = name.partition("@")
        suffix = "" if name.endswith((".target", ".timer")) else ".service"
        return read(self._units / f"{stem}{at}{suffix}")

    def _start(self, name: str) -> None:
        if self._pid(name):
            return
        if name == BROKER:
            self._spawn(name, [self._broker_program], self._broker)
            self._await_broker()
            return
        unit = self._unit(name)
        instance = name.partition("@")[2]
        credentials = self._state / "credentials" / name
        shutil.rmtree(credentials, ignore_errors=True)
        credentials.mkdir(mode=0o700)
        for credential, source in unit.credentials().items():
            shutil.copyfile(self._placed(str(source)), credentials / credential)
            (credentials / credential).chmod(0o400)
        command = [self._placed(word) for word in unit.command(instance, credentials)]
        environment = {"PATH": "/usr/bin:/bin", "CREDENTIALS_DIRECTORY": str(credentials)}
        environment |= {
            key: self._placed(specified(value, instance, credentials))
            for key, value in unit.environment().items()
        }
        if unit.values("Service", "Type") == ["oneshot"]:
            self._once(name, command, environment)
            return
        told = f"truc-notify-{os.getpid()}"  # in the kernel's own name space: a path may be too long
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(f"\0{told}")
            listener.settimeout(90)
            watchdog = str(int(unit.seconds("WatchdogSec") * 1_000_000))
            self._spawn(
                name, command, {**environment, "NOTIFY_SOCKET": f"@{told}", "WATCHDOG_USEC": watchdog}
            )
            while b"READY=1" not in listener.recv(4096):
                pass

    def _spawn(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        with (self._state / "log" / name).open("ab") as log:
            child = subprocess.Popen(
                command,
                env=environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_closed(self._unit(name)) if name != BROKER else None,  # noqa: PLW1509 - one thread only
            )
        (self._state / "pids" / name).write_text(str(child.pid), encoding="ascii")
        child.returncode = 0  # it outlives this process

    def _once(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        with (self._state / "log" / name).open("ab") as log:
            done = subprocess.run(
                command,
                env=environment,
                cwd="/",
                stdout=log,
                stderr=log,
                preexec_fn=_closed(self._unit(name)),
                check=False,
            )
        if done.returncode:
            raise SystemExit(f"Job for {name} failed, exit code {done.returncode}")

    def _await_broker(self) -> None:
        end = time.monotonic() + 90
        log = self._state / "log" / BROKER
        begin = log.stat().st_size
        while time.monotonic() < end:
            if "Starting broker... completed" in log.read_text("utf-8", "replace")[max(0, begin - 4000) :]:
                return
            if not self._pid(BROKER):
                break
            time.sleep(0.1)
        raise SystemExit(f"Job for {BROKER} failed: {log.read_text('utf-8', 'replace')[-2000:]}")

    def _stop(self, name: str) -> None:
        pid = self._pid(name)
        if not pid:
            return
        patience = 60.0 if name == BROKER else self._unit(name).seconds("TimeoutStopSec")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            end = time.monotonic() + patience
            while alive(pid) and time.monotonic() < end:
                time.sleep(0.02)
            if alive(pid):
                (self._state / "log" / "killed").open("a", encoding="utf-8").write(f"{name}\n")
                os.killpg(pid, signal.SIGKILL)
        (self._state / "pids" / name).unlink(missing_ok=True)

    def _pid(self, name: str) -> int:
        """Return the process of a service, 0 if none runs."""
        try:
            pid = int((self._state / "pids" / name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0
        return pid if alive(pid) else 0

    def _placed(self, word: str) -> str:
        for theirs, ours in self._places.items():
            word = word.replace(theirs, ours)
        return word


def _closed(unit: Unit) -> Callable[[], None]:
    """Return what is done between fork and exec: what the units ask for and an ordinary process can do."""
    libc = ctypes.CDLL(None)
    calls = filter_of(unit)

    def close() -> None:
        os.umask(0o077)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        libc.prctl(_DENY_WRITE_EXECUTE, 1, 0, 0, 0)  # an older kernel answers that it knows no such thing
        if calls is not None:
            calls.put_on()

    return close


if __name__ == "__main__":
    sys.exit(Manager(Path(sys.argv[1])).do(sys.argv[2:]))
