"""What differs between broker versions, in one table; the version is read from the connection's server properties."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

Version = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one range of versions does. Each field names a difference that loses, loops or reorders documents."""

    since: Version
    default_delivery_limit: int | None  # of a quorum queue without one; then dropped if there is no target
    requeue_counts: bool  # nack(requeue) raises x-delivery-count
    copies_checked: bool  # keys in CC and BCC meet the topic permission
    x_death_believed: bool  # an x-death that a client publishes is counted on from
    quorum_priorities: int  # classes inside one quorum queue; 0: the property has no effect
    default_max_message: int  # bytes, where the configuration names none


_MIB: Final = 1024 * 1024

TABLE: Final = (
    Behaviour((3, 10), None, True, False, True, 0, 128 * _MIB),
    Behaviour((4, 0), 20, True, True, False, 2, 16 * _MIB),
    Behaviour((4, 3), 20, False, True, False, 32, 16 * _MIB),
)
"""Ascending; a version has the last row that does not lie above it."""

OLDEST: Final[Version] = TABLE[0].since


def version_of(server_properties: Mapping[str, object] | None) -> Version | None:
    """Return (major, minor) from a connection's server properties, or None if they do not tell."""
    written = (server_properties or {}).get("version")
    found = re.match(
        r"(\d+)\.(\d+)", written.decode("ascii", "replace") if isinstance(written, bytes) else str(written)
    )
    return (int(found[1]), int(found[2])) if found else None


def behaviour(version: Version | None) -> Behaviour:
    """Return the row of a version; the oldest row, which promises least, for one below it or unknown."""
    known = [row for row in TABLE if version is not None and row.since <= version]
    return known[-1] if known else TABLE[0]
