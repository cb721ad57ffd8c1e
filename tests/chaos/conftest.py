"""One sandbox for the folder: two workers, a keeper, and offices that send and answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from relay.sandbox.up import up
from tests.chaos.ground import CODES, SETTINGS, SUMMARY, WORKERS, Ground
from tests.chaos.office import Town
from tests.support.ending import ends_with
from tests.support.sandbox import put_down

# Each broken connection fills pages; who reads a failed test wants its message.
logging.getLogger("pika").setLevel(logging.CRITICAL)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in SUMMARY:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def ground(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    home = tmp_path_factory.mktemp("chaos") / "home"
    with ends_with("chaos", request.config) as stack:
        stack.callback(put_down, home)
        up(home, workers=WORKERS, detach=True, settings=SETTINGS)
        yield Ground(home)


@pytest.fixture
def town(ground: Ground) -> Iterator[Town]:
    """The offices; what a test before this one left in doubt is none of theirs."""
    with Town(ground.sandbox, CODES) as running:
        yield running
