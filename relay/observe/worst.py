"""The highest of many counts over a sliding window, without a name: for what no label may name."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

WINDOW: Final = 900.0  # seconds
PARTS: Final = 15
NAMES: Final = 2_000  # counted in one part; what comes above that counts for nobody


class Worst:
    """Counts by name; tells how often the name that came most often came within the window. For several threads.

    Args:
        monotonic: seconds that never go back.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._parts: deque[tuple[int, Counter[str]]] = deque()

    def note(self, name: str) -> None:
        """Count one event of a name."""
        with self._lock:
            part = self._drop_old()
            if not self._parts or self._parts[-1][0] != part:
                self._parts.append((part, Counter()))
            counted = self._parts[-1][1]
            if name in counted or len(counted) < NAMES:
                counted[name] += 1

    def highest(self) -> int:
        """Return the highest count of the last ``WINDOW`` seconds, to one part of it."""
        with self._lock:
            self._drop_old()
            together: Counter[str] = Counter()
            for _, counted in self._parts:
                together.update(counted)
        return max(together.values(), default=0)

    def _drop_old(self) -> int:
        part = int(self._monotonic() * PARTS / WINDOW)
        while self._parts and self._parts[0][0] <= part - PARTS:
            self._parts.popleft()
        return part
