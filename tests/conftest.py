"""Fixtures that several rooms' tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as properties
from xdist.scheduler import LoadScopeScheduling

from tests.support.ending import enter
from tests.support.node import Node

_ROOT: Final = Path(__file__).parent
_FIRST: Final = ("chaos", "acceptance", "pages", "broker", "contract")
"""Folders by how long they take: with several processes the longest start first. The rest follows as collected."""
_TOGETHER: Final = frozenset({"chaos", "acceptance"})
"""Folders whose tests share one sandbox, and so one process; elsewhere each file may go to another one."""
_LIVE: Final = frozenset(_FIRST)
"""Folders whose tests wait for processes of their own: broker, workers, gateways, JVMs."""
_ALONE: Final = frozenset({"test_demo.py", "test_life.py", "test_production.py"})
"""Files there that share nothing: they make a machine of their own."""

# A property says whether code is right, not whether the machine is quick: no deadline for an example, no complaint about
# the time that data took. The same code gets the same examples, so that a run says the same of it each time; others are
# looked for with --hypothesis-profile=search.
properties.register_profile(
    "same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
properties.register_profile(
    "search", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
properties.load_profile("same")


class _ByPlace(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a folder whose tests share a sandbox to one process, and each other file to whichever is free."""

    def _split_scope(self, nodeid: str) -> str:
        return _scope(Path(nodeid.split("::", 1)[0]).relative_to(_ROOT.name).parts)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    return _ByPlace(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in order for several processes; those that wait for a broker get a second try.

    What fails once and then passes is printed with its traceback under "seen once": it is a defect to be found, of the
    test or of the relay, not a pass like another. What depends on no other process gets no second try.
    """
    for item in items:
        if _parts(item)[0] in _LIVE:
            item.add_marker(pytest.mark.flaky(reruns=1))
    items.sort(key=_turn)


def pytest_runtest_setup(item: pytest.Item) -> None:
    enter(_scope(_parts(item)), item.config)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what failed at first and passed at the second try, with its traceback."""
    seen = terminalreporter.getreports("rerun")
    if seen:
        terminalreporter.section("seen once: failed, then passed or failed again")
    for report in seen:
        terminalreporter.write_line(report.nodeid, bold=True)
        terminalreporter.write_line(report.longreprtext)


def _parts(item: pytest.Item) -> tuple[str, ...]:
    return item.path.relative_to(_ROOT).parts if item.path.is_relative_to(_ROOT) else ("",)


def _scope(parts: tuple[str, ...]) -> str:
    """What stays in one process: a folder whose tests share a sandbox, else a file."""
    return parts[0] if parts[0] in _TOGETHER and parts[-1] not in _ALONE else "/".join(parts)


def _turn(item: pytest.Item) -> tuple[int, bool]:
    """Where a test stands in the order; those of one scope stand side by side."""
    parts = _parts(item)
    return _FIRST.index(parts[0]) if parts[0] in _FIRST else len(_FIRST), parts[-1] in _ALONE


@pytest.fixture(scope="session")
def broker_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One real, private RabbitMQ node for the whole run: empty, vhost ``truc``, user ``admin``.

    Tests that change it for others (kill, alarm) start a ``Node`` of their own.
    """
    node = Node(tmp_path_factory.mktemp("node"))
    try:
        yield node.start()
    finally:
        node.close()
