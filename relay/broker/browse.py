"""Looking into a queue without taking anything out of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from relay.broker.blocking import BlockingClient
from relay.broker.connection import Endpoint
from relay.model.message import Incoming

T = TypeVar("T")


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

    def each(self, queue: str, limit: int, see: Callable[[Incoming], T]) -> list[T]:
        """Return what ``see`` made of up to ``limit`` messages from the head. Raises ``BrokerError``.

        One body is in memory at a time, whatever the queue holds; all of them go back at the end, in their order.
        """
        found: list[T] = []
        with self._client() as client:
            while len(found) < limit and (message := client.get(queue)) is not None:
                found.append(see(message))
        return found

    def _client(self) -> BlockingClient:
        return BlockingClient(self._endpoint, name=self._name, timeout=self._timeout)
