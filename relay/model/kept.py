"""A memory with bounds: what was worked out once for many documents of one form, by number and by size.

Begun anew when full: a lock and an order of use would cost each document more than that does once in thousands. Nothing
large gets in, so that one document cannot empty it.
"""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
_SHARE = 16


class Kept(Generic[K, V]):
    """Values by key. Safe to use from several threads: at worst something is worked out twice.

    Args:
        most: number of values.
        room: sum of their sizes, in bytes or in whatever ``keep`` is told. What takes more than a sixteenth of it is
            not kept.
    """

    __slots__ = ("_kept", "_most", "_room", "_used")

    def __init__(self, most: int, room: int) -> None:
        self._most = most
        self._room = room
        self._kept: dict[K, V] = {}
        self._used = 0

    def __len__(self) -> int:
        """Return how many values are kept."""
        return len(self._kept)

    @property
    def used(self) -> int:
        """The sum of their sizes."""
        return self._used

    def get(self, key: K) -> V | None:
        """Return a value, or None."""
        return self._kept.get(key)

    def keep(self, key: K, value: V, size: int) -> None:
        """Keep a value under a key, unless it is too large or the key has one: two threads may have worked it out."""
        if size > self._room // _SHARE or key in self._kept:
            return
        if len(self._kept) >= self._most or self._used + size > self._room:
            self._kept, self._used = {}, 0
        self._kept[key] = value
        self._used += size
