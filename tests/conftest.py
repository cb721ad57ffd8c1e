"""Fixtures that several rooms' tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.node import Node


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
