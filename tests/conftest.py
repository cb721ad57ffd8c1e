"""Fixtures that several rooms' tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.node import Node

_ROOT: Final = Path(__file__).parent
_FIRST: Final = ("chaos", "acceptance", "pages", "broker", "contract")
"""Folders by how long they take: with several processes the longest start first. The rest follows as collected."""
_TOGETHER: Final = frozenset({"chaos", "acceptance"})
"""Folders whose tests share one sandbox, and so one process; elsewhere each file may go to another one."""
_ALONE: Final = frozenset({"test_production.py"})
"""Files there that share nothing: they make a machine of their own."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Say which tests stay together in one process (``-n``); said any later, it would not be heard."""
    parts = _parts(item)
    together = parts[0] in _TOGETHER and parts[-1] not in _ALONE
    item.add_marker(pytest.mark.xdist_group(parts[0] if together else "/".join(parts)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in order for several processes."""
    items.sort(key=lambda item: _FIRST.index(_parts(item)[0]) if _parts(item)[0] in _FIRST else len(_FIRST))


def _parts(item: pytest.Item) -> tuple[str, ...]:
    return item.path.relative_to(_ROOT).parts if item.path.is_relative_to(_ROOT) else ("",)


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
