"""The relay's durable state behind one port: documents, deliveries, statuses, receipts, leases."""

from __future__ import annotations

from relay.model.keeping import Chronicler
from relay.registry.group import GroupCommitter
from relay.registry.memory import memory_registry
from relay.registry.sqlstore import SqlRegistry


def open_registry(
    url: str, lease_seconds: float = 10.0, *, chronicler: Chronicler | None = None
) -> SqlRegistry:
    """Open the registry at ``url`` (``sqlite:///path``, ``sqlite://`` in memory, ``postgresql+driver://...``).

    Creates the tables in an empty database. ``lease_seconds``: how long a silent worker keeps its documents.
    ``chronicler``: who puts on record what is committed; without one nothing is, which is right only for who reads.

    Raises:
        RegistryError: REGISTRY-UNUSABLE or REGISTRY-BUSY.
    """
    return SqlRegistry(url, lease_seconds, chronicler=chronicler)


__all__ = ["GroupCommitter", "SqlRegistry", "memory_registry", "open_registry"]
