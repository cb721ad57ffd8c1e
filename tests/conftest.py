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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in order for several processes (``-n``), and say which stay together."""

    def place(item: pytest.Item) -> int:
        parts = item.path.relative_to(_ROOT).parts if item.path.is_relative_to(_ROOT) else ("",)
        folder = parts[0]
        together = folder in _TOGETHER and parts[-1] not in _ALONE
        item.add_marker(pytest.mark.xdist_group(folder if together else "/".join(parts)))
        return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)

    items.sort(key=place)


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
