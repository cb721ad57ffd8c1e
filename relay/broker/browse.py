"""Looking into a queue without taking anything out of it."""

from __future__ import annotations

from relay.broker.blocking import BlockingClient
from relay.broker.connection import Endpoint
from relay.model.message import Incoming


class QueueBrowser:
    """Looks over a connection of its own, opened for each look and closed after it: closing gives all messages back.

    Each look counts as one delivery of what was looked at; the limit of ``quarantine`` is far above that.
    """

    def __init__(self, endpoint: Endpoint, *, name: str = "truc browse", timeout: float = 10.0) -> None:
        self._endpoint = endpoint
        self._name = name
        self._timeout = timeout

    def depth(self, queue: str) -> int:
        """Return how many messages are ready; 0 for a queue that does not exist. Raises ``BrokerError``."""
        with self._client() as client:
            return client.depth(queue) or 0

    def depths(self, queues: tuple[str, ...]) -> dict[str, int]:
        """Return the depths of several queues over one connection. Raises ``BrokerError``."""
        with self._client() as client:
            return {queue: client.depth(queue) or 0 for queue in queues}

    def seen(self, queues: tuple[str, ...]) -> dict[str, tuple[int, int] | None]:
        """Return messages ready and consumers of several queues over one connection, None for one that does not exist.

        Needs no right but the login: that much every user may see. Raises ``BrokerError``.
        """
        with self._client() as client:
            return {queue: client.seen(queue) for queue in queues}

    def browse(self, queue: str, limit: int, max_bytes: int) -> list[Incoming]:
        """Return up to ``limit`` messages from the head, together about ``max_bytes``. Raises ``BrokerError``."""
        found: list[Incoming] = []
        size = 0
        with self._client() as client:
            while len(found) < limit and size < max_bytes:
                message = client.get(queue)
                if message is None:
                    break
                found.append(message)
                size += len(message.body)
        return found

    def _client(self) -> BlockingClient:
        return BlockingClient(self._endpoint, name=self._name, timeout=self._timeout)
