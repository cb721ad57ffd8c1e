"""Looking into a queue without taking anything out of it: depths, and the bodies of a quarantine."""

from __future__ import annotations

from relay.broker.blocking import BlockingClient
from relay.broker.connection import Endpoint
from relay.model.message import Incoming


class QueueBrowser:
    """Each look is a connection of its own: looks are rare, and everything goes back when it closes."""

    def __init__(self, endpoint: Endpoint, *, name: str) -> None:
        self._endpoint = endpoint
        self._name = name

    def depth(self, queue: str) -> int:
        """Return how many messages stand ready; 0 for a queue that is not there. Raises ``BrokerError``."""
        with BlockingClient(self._endpoint, name=self._name) as client:
            return client.depth(queue) or 0

    def depths(self, queues: tuple[str, ...]) -> dict[str, int]:
        """Return the depths of several queues by one connection. Raises ``BrokerError``."""
        with BlockingClient(self._endpoint, name=self._name) as client:
            return {queue: client.depth(queue) or 0 for queue in queues}

    def browse(self, queue: str, limit: int, max_bytes: int) -> list[Incoming]:
        """Return messages from the head, at most ``limit`` and about ``max_bytes``; all go back. Raises ``BrokerError``."""
        found: list[Incoming] = []
        size = 0
        with BlockingClient(self._endpoint, name=self._name) as client:
            while len(found) < limit and size < max_bytes and (message := client.get(queue)) is not None:
                found.append(message)
                size += len(message.body)
        return found
