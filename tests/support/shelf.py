"""A registry in memory that is used again: emptied it is as good as new, and what SQLAlchemy has compiled stays with it.

Making one anew takes longer than many a run on it, and a test that lets a worker die at each call needs hundreds.
"""

from __future__ import annotations

import copy
import sqlite3
from typing import Final, Protocol, cast

from relay.registry import SqlRegistry, memory_registry

LEASE: Final = 10.0
"""Seconds after which a worker that was silent has lost its leases."""


class Holder(Protocol):
    """Who works with a registry, until it is over; then the attribute is taken away from it."""

    registry: SqlRegistry

    @property
    def over(self) -> bool: ...


class Shelf:
    """One database for one thread. A holder whose time is over loses its registry to the next one."""

    def __init__(self) -> None:
        self._made: SqlRegistry | None = None
        self._empty = b""
        self._holder: Holder | None = None

    def take(self, holder: Holder) -> SqlRegistry:
        """Return an empty registry of ``holder``'s own: the kept one unless another holder still works with it."""
        if self._holder is not None and not self._holder.over:
            return memory_registry(LEASE)
        if self._made is None:
            self._made = memory_registry(LEASE)
            self._empty = _raw(self._made).serialize()
        else:
            _raw(self._made).deserialize(self._empty)
        if self._holder is not None:
            del self._holder.registry
        self._holder = holder
        return copy.copy(self._made)  # what a test puts in place of a method goes with the copy


def _raw(registry: SqlRegistry) -> sqlite3.Connection:
    pooled = registry._engine.raw_connection()
    try:
        return cast("sqlite3.Connection", pooled.driver_connection)
    finally:
        pooled.close()
