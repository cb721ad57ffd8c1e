"""The folder of a sandbox: where everything lies, what it keeps for good, and what runs in it now.

::

    sandbox.json     for gateways, tools and people: addresses, passwords, keys, process numbers
    kept.json        what must survive everything: ports, node name, passwords, number of workers
    supervisor.lock  held by the living supervisor
    broker/          the RabbitMQ node (its own lock, held by the Erlang VM)
    ca/  keys/  relay/   development CA, keys of agencies, key of the relay
    stamps/          the development time-stamp authority
    tls/             of a home with TLS: its authorities, in logins/ the client certificates of gateways
    config/          truc.yaml, one file for each process, directory.json, password files
    data/            the registry
    log/             one file for each process
    run/             what runs: processes.json, status.json
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from relay.errors import Code, OperationError
from relay.sandbox.files import private_folder, write_private
from relay.sandbox.locks import Lock
from relay.sandbox.node import Node
from relay.sandbox.ports import Ports
from relay.sandbox.process import Process
from relay.sandbox.tlsca import TlsAuthorities

RELAY_NAME: Final = "truc-dev"
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Programs:
    """How the processes are started. ``{config}`` and ``{name}`` are filled in; the first word is a program."""

    worker: tuple[str, ...]
    keeper: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a home keeps for good."""

    base_port: int
    node_name: str
    passwords: Mapping[str, str]  # by broker user
    workers: int = 1
    tls: bool = False
    added: tuple[str, ...] = ()  # codes beside the samples, by ``keys issue``
    relay_name: str = RELAY_NAME
    trusts: tuple[str, ...] = ()  # folders of other sandboxes, whose relays' signatures this one believes
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # on top of the sandbox's own
    programs: Programs | None = None  # None: those of this installation

    @property
    def ports(self) -> Ports:
        return Ports(self.base_port)


@dataclass(frozen=True, slots=True)
class Running:
    """What the supervisor started or adopted."""

    supervisor: Process | None = None
    broker: Process | None = None
    keeper: Process | None = None
    workers: Mapping[str, Process] = field(default_factory=dict)


State = Literal["starting", "ready", "stopping", "failed"]


@dataclass(frozen=True, slots=True)
class Status:
    """What the supervisor says of itself, for another ``up`` that waits for it."""

    state: State
    supervisor: Process
    code: str = ""  # of a failure
    detail: str = ""


class Home:
    """One sandbox folder, by its real path."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        if "\n" in str(self.path):
            raise OperationError(Code.SANDBOX_BROKEN, "the path of a sandbox holds no line break")

    # --- places

    @property
    def sandbox_file(self) -> Path:
        return self.path / "sandbox.json"

    @property
    def lock_file(self) -> Path:
        return self.path / "supervisor.lock"

    @property
    def ca(self) -> Path:
        return self.path / "ca"

    @property
    def tls(self) -> Path:
        """The authorities of TLS."""
        return self.path / "tls"

    @property
    def stamps(self) -> Path:
        """Keys and certificates of the time-stamp authority."""
        return self.path / "stamps"

    @property
    def logins(self) -> Path:
        """Client certificates by which gateways log in."""
        return self.tls / "logins"

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    @property
    def relay(self) -> Path:
        return self.path / "relay"

    @property
    def config(self) -> Path:
        return self.path / "config"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def logs(self) -> Path:
        return self.path / "log"

    @property
    def directory_file(self) -> Path:
        """JSON, which gateways in any language read; a home of an older version keeps its YAML."""
        before = self.config / "directory.yaml"
        return before if before.exists() else self.config / "directory.json"

    @property
    def settings_file(self) -> Path:
        """The configuration of the relay as a whole, for ``truc topology`` and tools."""
        return self.config / "truc.yaml"

    @property
    def registry_url(self) -> str:
        return f"sqlite:///{self.data / 'registry.db'}"

    def process_settings(self, name: str) -> Path:
        """The configuration of one process: ``keeper`` or a worker's name."""
        return self.config / f"{name}.yaml"

    def password_file(self, user: str) -> Path:
        """The file that holds a service's broker password."""
        return self.config / f"{user}.password"

    def log(self, name: str) -> Path:
        """The log of a process."""
        return self.logs / f"{name}.log"

    @property
    def _kept_file(self) -> Path:
        return self.path / "kept.json"

    @property
    def _running_file(self) -> Path:
        return self.path / "run" / "processes.json"

    @property
    def _status_file(self) -> Path:
        return self.path / "run" / "status.json"

    @property
    def _ask_file(self) -> Path:
        return self.path / "run" / "ask"

    def exists(self) -> bool:
        """Whether a sandbox was made here."""
        return self._kept_file.exists()

    def make_folders(self) -> None:
        """Make what is missing; each folder is its owner's alone."""
        for folder in (
            self.path,
            self.ca,
            self.keys,
            self.relay,
            self.config,
            self.data,
            self.logs,
            self.path / "run",
        ):
            private_folder(folder)

    # --- what it keeps

    def kept(self) -> Kept:
        """Read what the home keeps. Raises NOT-FOUND (no sandbox here) or SANDBOX-BROKEN (unreadable)."""
        try:
            raw = json.loads(self._kept_file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise OperationError(Code.NOT_FOUND, f"no sandbox in {self.path}") from error
        except (OSError, ValueError) as error:
            raise OperationError(Code.SANDBOX_BROKEN, f"{self._kept_file}: {error}") from error
        try:
            if raw.pop("format") != _FORMAT:
                raise ValueError("another format")
            programs = raw.pop("programs")
            return Kept(
                added=tuple(raw.pop("added")),
                trusts=tuple(raw.pop("trusts", ())),  # not in homes of before
                programs=Programs(tuple(programs["worker"]), tuple(programs["keeper"])) if programs else None,
                **raw,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise OperationError(Code.SANDBOX_BROKEN, f"{self._kept_file} cannot be used: {error}") from error

    def keep(self, kept: Kept) -> None:
        """Write what the home keeps, for the first time."""
        write_private(self._kept_file, json.dumps({"format": _FORMAT, **asdict(kept)}, indent=1) + "\n")

    def change(self, edit: Callable[[Kept], Kept]) -> Kept:
        """Read, edit and write what the home keeps, one process at a time; return what stands there now."""
        with self.guard():
            before = self.kept()
            after = edit(before)
            if after != before:
                self.keep(after)
        return after

    def password(self, user: str) -> str:
        """Return a broker user's password, made up and kept at the first call."""
        kept = self.kept()
        if user not in kept.passwords:
            kept = self.change(
                lambda now: (
                    now
                    if user in now.passwords
                    else replace(now, passwords={**now.passwords, user: secrets.token_urlsafe(18)})
                )
            )
        return kept.passwords[user]

    def guard(self, limit: float = 10.0) -> _Guard:
        """Return a context in which this process alone edits the home's files."""
        return _Guard(Lock(self.path / "run" / "edit.lock"), limit)

    def node(self, kept: Kept) -> Node:
        """Return the home's broker node."""
        return Node(
            self.path,
            self.path / "broker",
            kept.ports,
            kept.node_name,
            kept.passwords["admin"],
            TlsAuthorities(self.tls).root_cert if kept.tls else None,
        )

    # --- what runs

    def running(self) -> Running:
        """Return what was noted as running; each may have died since."""
        raw = _read_json(self._running_file)
        if raw is None:
            return Running()
        try:
            return Running(
                supervisor=_process(raw["supervisor"]),
                broker=_process(raw["broker"]),
                keeper=_process(raw["keeper"]),
                workers={name: Process(*pair) for name, pair in raw["workers"].items()},
            )
        except (KeyError, TypeError, AttributeError):
            return Running()

    def note_running(self, running: Running) -> None:
        """Note what runs."""
        write_private(
            self._running_file,
            json.dumps(
                {
                    "supervisor": _pair(running.supervisor),
                    "broker": _pair(running.broker),
                    "keeper": _pair(running.keeper),
                    "workers": {name: _pair(process) for name, process in running.workers.items()},
                }
            ),
        )

    def status(self) -> Status | None:
        """Return what the supervisor said last; its process may be dead."""
        raw = _read_json(self._status_file)
        try:
            return None if raw is None else Status(**{**raw, "supervisor": Process(*raw["supervisor"])})
        except (KeyError, TypeError):
            return None

    def note_status(self, status: Status) -> None:
        """Say how it stands."""
        write_private(
            self._status_file,
            json.dumps(
                {
                    "state": status.state,
                    "supervisor": _pair(status.supervisor),
                    "code": status.code,
                    "detail": status.detail,
                }
            ),
        )

    def ask(self) -> None:
        """Ask the supervisor for a sign of life; see ``asked``."""
        self._ask_file.touch(mode=0o600)

    def answer(self) -> None:
        """Give the sign of life that was asked for: everything was looked after once more."""
        self._ask_file.unlink(missing_ok=True)

    @property
    def asked(self) -> bool:
        """Whether a question is still without an answer."""
        return self._ask_file.exists()

    def status_written(self) -> float:
        """Return when the supervisor last said something, seconds of the epoch; 0 if never."""
        try:
            return self._status_file.stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def remove_run_status(self) -> None:
        """Forget what an earlier supervisor said."""
        self._status_file.unlink(missing_ok=True)

    def remove_run_files(self) -> None:
        """Remove notes and locks of a sandbox that no longer runs."""
        for path in (self._running_file, self._status_file, self._ask_file):
            path.unlink(missing_ok=True)


class _Guard:
    def __init__(self, lock: Lock, limit: float) -> None:
        self._lock = lock
        self._limit = limit

    def __enter__(self) -> None:
        private_folder(self._lock.path.parent)
        end = time.monotonic() + self._limit
        while not self._lock.take():
            if time.monotonic() > end:
                raise OperationError(Code.SANDBOX_LOCKED, f"{self._lock.path} stays locked")
            time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        self._lock.leave(remove=True)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return raw if isinstance(raw, dict) else None


def _pair(process: Process | None) -> list[int] | None:
    return None if process is None else [process.pid, process.started]


def _process(pair: list[int] | None) -> Process | None:
    return None if pair is None else Process(*pair)
