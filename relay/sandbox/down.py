"""``truc down``: end a sandbox and leave only its folder."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from relay.errors import Code, OperationError
from relay.sandbox import process
from relay.sandbox.home import Home
from relay.sandbox.locks import Lock
from relay.sandbox.supervisor import stop_everything

_PATIENCE = 90.0


def down(home: Path) -> bool:
    """End the supervisor, then workers and keeper, then the broker and its epmd; remove the locks. Safe to repeat.

    Works as well where the supervisor is dead or notes are lost: what belongs to the home is found by its mark.

    Returns:
        Whether anything ran.

    Raises:
        OperationError: SANDBOX-BROKEN: something could not be ended.
    """
    place = Home(home)
    if not place.path.is_dir():
        return False
    ran = bool(process.marked(place.path))
    if not place.exists() and not ran:
        return False
    lock = Lock(place.lock_file)
    if not lock.take():
        ran = True
        _end_supervisor(place, lock)
    try:
        stop_everything(place)
        left = process.marked(place.path)
        if left:
            raise OperationError(Code.SANDBOX_BROKEN, f"process {left[0].process.pid} could not be ended")
        place.remove_run_files()
    finally:
        lock.leave(remove=True)
    return ran


def _end_supervisor(place: Home, lock: Lock) -> None:
    """Tell the supervisor to stop, which stops all in order; kill it if it does not; return with its lock in hand."""
    asked: process.Process | None = None
    limit = time.monotonic() + _PATIENCE
    while not lock.take():
        status = place.status()
        if status is not None and status.supervisor != asked and status.supervisor.alive():
            asked = status.supervisor
            asked.send(signal.SIGTERM)
        if time.monotonic() > limit:
            if asked is None:
                raise OperationError(Code.SANDBOX_LOCKED, f"an unknown process holds {place.lock_file}")
            asked.send(signal.SIGKILL)
            limit = time.monotonic() + 5.0
        time.sleep(0.05)
