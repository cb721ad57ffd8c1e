"""The registry as a double for tests: the same store on a database in memory, so it cannot differ."""

from __future__ import annotations

from relay.model.keeping import Chronicler
from relay.registry.sqlstore import SqlRegistry


def memory_registry(lease_seconds: float = 10.0, *, chronicler: Chronicler | None = None) -> SqlRegistry:
    """Return an empty registry that dies with the object."""
    return SqlRegistry("sqlite://", lease_seconds, chronicler=chronicler)
