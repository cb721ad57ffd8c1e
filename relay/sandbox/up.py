"""``truc up``: bring a sandbox up, repair it, or say that it runs."""

from __future__ import annotations

import random
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relay.errors import Code, ConfigurationError, OperationError
from relay.sandbox import contents, health, ports, programs
from relay.sandbox.ca import DevelopmentCa
from relay.sandbox.contents import Sandbox
from relay.sandbox.home import RELAY_NAME, Home, Kept, Programs
from relay.sandbox.locks import Lock, held
from relay.sandbox.node import ADMIN, server_binary
from relay.sandbox.supervisor import START_LIMIT, Say, Supervisor
from relay.settings.model import NAME

_PATIENCE = START_LIMIT + 60.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller of ``up`` wants of the home; None: as it is."""

    workers: int | None = None
    tls: bool | None = None
    settings: Mapping[str, Mapping[str, Any]] | None = None
    programs: Programs | None = None
    name: str | None = None
    trusts: tuple[str, ...] | None = None

    def check(self, place: Home) -> None:
        """Refuse what can never be.

        Raises:
            OperationError: NOT-FOUND: a folder to trust holds no sandbox.
            ConfigurationError: CONFIG-INVALID: the name is none, the relay has another, or it would trust its own name.
        """
        before = place.kept().relay_name if place.exists() else None
        if self.name is not None and re.fullmatch(NAME, self.name) is None:
            raise ConfigurationError(Code.CONFIG_INVALID, f"relay.name: {self.name!r} is no name of a relay")
        if self.name is not None and before not in {None, self.name}:
            raise ConfigurationError(Code.CONFIG_INVALID, f"relay.name: this relay is {before}, and stays it")
        own = before or self.name or RELAY_NAME
        for folder in self.trusts or ():
            other = Home(Path(folder))
            if other.kept().relay_name == own:
                raise ConfigurationError(
                    Code.CONFIG_INVALID, f"relay.name: the relay of {folder} is called {own} too"
                )
            if not DevelopmentCa(other.ca).root_cert.exists():
                raise OperationError(Code.NOT_FOUND, f"no sandbox in {folder}")

    def note(self, place: Home) -> None:
        """Note what was asked for; a running supervisor sees the change and follows."""
        self.check(place)
        kept = place.kept()
        if self.workers is not None:
            kept.ports.worker(self.workers)  # refuses what has no port
        if self._edit(kept) != kept:
            place.change(self._edit)

    def _edit(self, now: Kept) -> Kept:
        return replace(
            now,
            workers=now.workers if self.workers is None else self.workers,
            tls=now.tls if self.tls is None else self.tls,
            settings=now.settings
            if self.settings is None
            else {key: dict(value) for key, value in self.settings.items()},
            programs=now.programs if self.programs is None else self.programs,
            trusts=now.trusts if self.trusts is None else self.trusts,
        )


def up(
    home: Path,
    *,
    workers: int | None = None,
    tls: bool | None = None,
    name: str | None = None,
    trusts: Sequence[Path] | None = None,
    detach: bool = False,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    programs: Programs | None = None,
    say: Say = print,
    on_ready: Callable[[], None] | None = None,
) -> Sandbox:
    """Bring the sandbox in ``home`` up; what it keeps (data, ports, passwords, certificates) stays.

    Started, running, damaged or stopped: afterwards documents can be sent. Attached (not ``detach``) it supervises
    until SIGTERM, SIGINT or SIGHUP and stops everything then; where another supervisor is at work it only waits until
    the sandbox works. Detached it returns as soon as sending works.

    Args:
        home: The folder; made if it is missing.
        workers: Number of workers; None: as before, at first 1.
        tls: Speak TLS and nothing else, or plain AMQP on loopback; None: as before, at first plain. A change on a
            running sandbox restarts its broker; data, ports and passwords stay.
        name: Name of the relay, as ``relay.name``; it is given at first and stays. None: as before, at first truc-dev.
        trusts: Folders of other sandboxes whose relays are believed from now on, and no others; None: as before.
        detach: Leave the supervisor behind in a session of its own.
        settings: Settings on top of the sandbox's own, by section; None: as before.
        programs: Other programs in the place of worker and keeper; None: as before.
        say: Takes each line for people; used attached only, the log has all of them.
        on_ready: Called once, attached, when sending works for the first time.

    Raises:
        OperationError: BROKER-MISSING, SANDBOX-LOCKED, SANDBOX-BROKEN (with the reason), NOT-FOUND (no sandbox to trust).
        ConfigurationError: CONFIG-INVALID: the name, or whom it is to trust, will not do.
    """
    place = Home(home)
    believed = None if trusts is None else tuple(str(Home(one).path) for one in trusts)
    asked = Asked(workers, tls, settings, programs, name, believed)
    asked.check(place)
    server_binary()
    place.make_folders()
    began = time.time()
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        lock = Lock(place.lock_file)
        if not lock.take():
            if place.exists():
                asked.note(place)
            if _wait_for_other(place, began, deadline):
                return contents.running(place.path)
            continue
        try:
            _keep(place, asked)
            place.remove_run_status()
            if not detach:
                return _attached(place, say, on_ready)
        finally:
            lock.leave(remove=not detach)
        _spawn(place)
        if _wait_for_other(place, began, deadline):
            return contents.running(place.path)
    raise OperationError(
        Code.SANDBOX_LOCKED, f"another process keeps {place.lock_file} and does not get ready"
    )


def supervise(place: Home, say: Say, on_ready: Callable[[], None] | None = None) -> bool:
    """Be the supervisor of a home until told to stop. False if another one is."""
    lock = Lock(place.lock_file)
    deadline = time.monotonic() + 5.0
    while not lock.take():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    try:
        Supervisor(place, say, on_ready).run()
    finally:
        lock.leave(remove=True)
    return True


def _attached(place: Home, say: Say, on_ready: Callable[[], None] | None) -> Sandbox:
    """Supervise in this process; the caller holds the lock."""
    with place.log("supervisor").open("a", encoding="utf-8") as log:

        def both(line: str) -> None:
            print(stamped(line), file=log, flush=True)
            say(line)

        Supervisor(place, both, on_ready).run()
    place.remove_run_files()
    return contents.running(place.path)


def stamped(line: str) -> str:
    """Return a line of the supervisor's log."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}"


def _keep(place: Home, asked: Asked) -> None:
    """Make what the home keeps, or bring it in line with what was asked for; the lock is held."""
    if not place.exists():
        with ports.choose(random.Random(secrets.randbits(64))) as chosen:
            place.keep(
                Kept(
                    base_port=chosen.base,
                    node_name=f"truc-{secrets.token_hex(4)}",
                    passwords={ADMIN: secrets.token_urlsafe(18)},
                    relay_name=asked.name or RELAY_NAME,
                )
            )
    asked.note(place)
    kept = place.kept()
    node = place.node(kept)
    # Ports are kept from the first start on; before it, nobody knows them yet.
    if (
        not node.data.exists()
        and not node.running()
        and not all(ports.is_free(port) for port in kept.ports.broker)
    ):
        with ports.choose(random.Random(secrets.randbits(64))) as chosen:
            place.change(lambda now: replace(now, base_port=chosen.base))


def _spawn(place: Home) -> None:
    """Start the supervisor in a session of its own, with no output or input of ours."""
    with place.log("supervisor").open("ab") as log:
        subprocess.run(
            [sys.executable, "-m", "relay.sandbox.daemon", str(place.path)],
            env=programs.environment(place, "supervisor"),
            cwd=place.path,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            check=True,
            timeout=60,
        )


def _wait_for_other(place: Home, began: float, deadline: float) -> bool:
    """Wait until the sandbox of another supervisor works. False if that supervisor is gone.

    Raises:
        OperationError: what that supervisor said when it gave up, or SANDBOX-BROKEN with what does not work in time.
    """
    # A supervisor that was just killed may hold its lock for a moment: only an answer shows that it works.
    place.ask()
    gone_since: float | None = None
    reason = "the supervisor said nothing"
    while time.monotonic() < deadline:
        status = place.status()
        if status is not None and status.state == "failed" and place.status_written() >= began - 0.1:
            raise OperationError(Code(status.code), status.detail)
        if held(place.lock_file):
            gone_since = None
            if status is not None and status.state == "ready" and not place.asked:
                reason = health.trouble(place, place.kept())
                if not reason:
                    return True
        elif gone_since is None:
            gone_since = time.monotonic()
        elif time.monotonic() - gone_since > 3.0:
            return False
        time.sleep(0.1)
    raise OperationError(Code.SANDBOX_BROKEN, f"{reason}; see {place.logs}")
