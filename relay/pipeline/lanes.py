"""Lanes: which message is taken in hand next, and how much may be in hand at once.

The window is bounded in documents and in bytes. Among the lanes that wait, smooth weighted round robin chooses: urgent
goes first by far, and no lane ever starves. One message larger than the whole byte window still passes, alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from relay.model.message import Incoming, Lane


class Lanes:
    """Messages taken from the broker and not yet in hand, by lane."""

    def __init__(self, weights: Mapping[Lane, int], max_documents: int, max_bytes: int) -> None:
        self._weights = dict(weights)
        self._credit = dict.fromkeys(self._weights, 0)
        self._waiting: dict[Lane, deque[Incoming]] = {lane: deque() for lane in self._weights}
        self._max_documents = max_documents
        self._max_bytes = max_bytes
        self.documents = 0
        self.bytes = 0

    def put(self, lane: Lane, message: Incoming) -> None:
        """Add a message that the broker delivered."""
        self._waiting[lane].append(message)

    def take(self) -> tuple[Lane, Incoming] | None:
        """Return the next message to start, or None while nothing waits or the window is full."""
        ready = [lane for lane, queue in self._waiting.items() if queue]
        if not ready or self.documents >= self._max_documents:
            return None
        lane = self._choose(ready)
        size = len(self._waiting[lane][0].body)
        if self.documents and self.bytes + size > self._max_bytes:
            return None
        total = sum(self._weights[one] for one in ready)
        for one in ready:
            self._credit[one] += self._weights[one]
        self._credit[lane] -= total
        self.documents += 1
        self.bytes += size
        return lane, self._waiting[lane].popleft()

    def done(self, message: Incoming) -> None:
        """Give the room of a finished message back."""
        self.documents -= 1
        self.bytes -= len(message.body)

    def fullness(self) -> float:
        """Return the share of the window in use, 0 to 1; may be asked from another thread."""
        return min(1.0, self.documents / self._max_documents)

    def waiting(self) -> int:
        """Return how many messages wait."""
        return sum(len(queue) for queue in self._waiting.values())

    def drain(self) -> list[Incoming]:
        """Return and forget everything that waits (stopping, or the session is gone)."""
        left = [message for queue in self._waiting.values() for message in queue]
        for queue in self._waiting.values():
            queue.clear()
        return left

    def _choose(self, ready: list[Lane]) -> Lane:
        return max(ready, key=lambda lane: self._credit[lane] + self._weights[lane])
