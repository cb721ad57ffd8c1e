"""A running sandbox for tests: real broker, real worker and keeper, sample agencies.

Put it into a folder's ``conftest.py``: ``from tests.support.sandbox import sandbox`` (session-scoped).
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.sandbox import process
from relay.sandbox.contents import Sandbox
from relay.sandbox.down import down
from relay.sandbox.home import Home
from relay.sandbox.up import up

QUICK: Mapping[str, Mapping[str, Any]] = {"keeper": {"interval_s": 0.5}}
"""Settings under which the keeper's duties can be waited for."""


@contextmanager
def running_sandbox(
    folder: Path,
    *,
    workers: int = 1,
    settings: Mapping[str, Mapping[str, Any]] = QUICK,
    tls: bool | None = None,
) -> Iterator[Sandbox]:
    """Bring a sandbox up, and down again whatever happens."""
    try:
        yield up(folder, workers=workers, settings=settings, tls=tls, detach=True)
    finally:
        put_down(folder)


def put_down(folder: Path) -> None:
    """End a sandbox whose data nobody wants any more: a broker that stops in order takes six seconds for it."""
    for first in (True, False):  # the supervisor would start anew what ends
        for found in process.marked(Home(folder).path):
            if (found.role == "supervisor") is first:
                found.process.send(signal.SIGKILL)
    down(folder)


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox for the whole run; tests that kill or fill things bring up one of their own."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox") / "home") as running:
        yield running
