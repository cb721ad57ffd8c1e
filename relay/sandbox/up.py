"""``truc up``: bring a sandbox up, repair it, or say that it runs."""

from __future__ import annotations

import random
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from relay.errors import Code, OperationError
from relay.sandbox import contents, health, ports, programs
from relay.sandbox.contents import Sandbox
from relay.sandbox.home import Home, Kept, Programs
from relay.sandbox.locks import Lock, held
from relay.sandbox.node import ADMIN, server_binary
from relay.sandbox.supervisor import START_LIMIT, Say, Supervisor

_PATIENCE = START_LIMIT + 60.0


def up(
    home: Path,
    *,
    workers: int | None = None,
    tls: bool | None = None,
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
        detach: Leave the supervisor behind in a session of its own.
        settings: Settings on top of the sandbox's own, by section; None: as before.
        programs: Other programs in the place of worker and keeper; None: as before.
        say: Takes each line for people; used attached only, the log has all of them.
        on_ready: Called once, attached, when sending works for the first time.

    Raises:
        OperationError: BROKER-MISSING, SANDBOX-LOCKED, SANDBOX-BROKEN (with the reason).
    """
    place = Home(home)
    server_binary()
    place.make_folders()
    began = time.time()
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        lock = Lock(place.lock_file)
        if not lock.take():
            if place.exists():
                _ask(place, workers, tls, settings, programs)
            if _wait_for_other(place, began, deadline):
                return contents.running(place.path)
            continue
        try:
            _keep(place, workers, tls, settings, programs)
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


def _keep(
    place: Home,
    workers: int | None,
    tls: bool | None,
    settings: Mapping[str, Mapping[str, Any]] | None,
    other: Programs | None,
) -> None:
    """Make what the home keeps, or bring it in line with what was asked for; the lock is held."""
    if not place.exists():
        with ports.choose(random.Random(secrets.randbits(64))) as chosen:
            place.keep(
                Kept(
                    base_port=chosen.base,
                    node_name=f"truc-{secrets.token_hex(4)}",
                    passwords={ADMIN: secrets.token_urlsafe(18)},
                )
            )
    _ask(place, workers, tls, settings, other)
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


def _ask(
    place: Home,
    workers: int | None,
    tls: bool | None,
    settings: Mapping[str, Mapping[str, Any]] | None,
    other: Programs | None,
) -> None:
    """Note what was asked for; a running supervisor sees the change and follows."""
    kept = place.kept()
    if workers is not None:
        kept.ports.worker(workers)  # refuses what has no port

    def edit(now: Kept) -> Kept:
        return replace(
            now,
            workers=now.workers if workers is None else workers,
            tls=now.tls if tls is None else tls,
            settings=now.settings
            if settings is None
            else {key: dict(value) for key, value in settings.items()},
            programs=now.programs if other is None else other,
        )

    if edit(kept) != kept:
        place.change(edit)


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
