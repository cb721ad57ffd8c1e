"""The private node of the tests itself."""

from __future__ import annotations

import pytest

from relay.broker.names import VHOST
from tests.support.node import Node

pytestmark = pytest.mark.broker


def test_the_node_is_private(broker_node: Node) -> None:
    assert VHOST in broker_node.ctl("list_vhosts").split()
    assert broker_node.pid is not None
    assert broker_node.port not in {5672, 25672}
