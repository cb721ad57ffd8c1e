"""Starting the processes of a sandbox: their commands, their environment, their logs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

import relay
from relay.errors import Code, OperationError
from relay.sandbox import process
from relay.sandbox.config import KEEPER
from relay.sandbox.home import Home, Kept, Programs

SETTINGS_MARK: Final = "TRUC_SANDBOX_SETTINGS"
_PASSED_ON: Final = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "VIRTUAL_ENV", "TZ", "SOFTHSM2_CONF")

OWN_PROGRAMS: Final = Programs(
    worker=("{python}", "-m", "relay.cli", "worker", "--config", "{config}", "--name", "{name}"),
    keeper=("{python}", "-m", "relay.cli", "keeper", "--config", "{config}"),
)


def command(home: Home, kept: Kept, name: str) -> list[str]:
    """Return the command line of the keeper or of a worker by its name."""
    programs = kept.programs or OWN_PROGRAMS
    words = programs.keeper if name == KEEPER else programs.worker
    values = {"{python}": sys.executable, "{config}": str(home.process_settings(name)), "{name}": name}
    return [values.get(word, word) for word in words]


def fingerprint(home: Home, kept: Kept, name: str) -> str:
    """Return what tells one way of running a process from another: command and settings."""
    digest = sha256("\0".join(command(home, kept, name)).encode())
    digest.update(home.process_settings(name).read_bytes())
    return digest.hexdigest()


def environment(home: Home, role: str, **more: str) -> dict[str, str]:
    """Return the complete environment of a process of the sandbox; nothing else of the caller's leaks in."""
    # The checkout or the site-packages that this very code came from: children run the same code from any folder.
    code = str(Path(relay.__file__).resolve().parents[1])
    return {
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": code,
        "PYTHONUNBUFFERED": "1",
        process.HOME_MARK: str(home.path),
        process.ROLE_MARK: role,
        **more,
    }


def launch(home: Home, kept: Kept, name: str) -> process.Process:
    """Start the keeper or a worker in a session of its own, its outputs in its log.

    Raises:
        OperationError: SANDBOX-BROKEN: the program cannot be started.
    """
    words = command(home, kept, name)
    return start(home, name, words, {SETTINGS_MARK: fingerprint(home, kept, name)})


def start(home: Home, role: str, words: Sequence[str], more: dict[str, str]) -> process.Process:
    """Start any program of the sandbox under a role; see ``launch``."""
    with home.log(role).open("ab") as log:
        os.fchmod(log.fileno(), 0o600)
        try:
            child = subprocess.Popen(
                words,
                env=environment(home, role, **more),
                cwd=home.path,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            raise OperationError(Code.SANDBOX_BROKEN, f"{role} cannot be started: {error}") from error
    started = process.identify(child.pid)
    child.returncode = 0  # watched by its identity from here on, also by a later supervisor
    return started or process.Process(child.pid, -1)


def log_tail(home: Home, role: str, lines: int = 5) -> str:
    """Return the end of a process's log, for an error message."""
    try:
        text = home.log(role).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return " | ".join(text.splitlines()[-lines:])
