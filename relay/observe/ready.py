"""Why a process cannot do its work now: one closed list for `/ready`, the metric `truc_unready_reason` and the pages."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from relay.errors import Code, RegistryError


class Reason(StrEnum):
    """A reason for `ready: false`. Each ends by itself once its cause is gone."""

    BROKER_GONE = "broker-gone"
    """Not both connections to the broker are up."""
    BROKER_BLOCKED = "broker-blocked"
    """The broker has a memory or disk alarm and takes nothing from us."""
    CONSUMER_MISSING = "consumer-missing"
    """A lane is not consumed: the broker cancelled the consumer, or its queue is missing or has no leader."""
    REGISTRY_BUSY = "registry-busy"
    """The registry is locked by another or does not answer in time."""
    REGISTRY_FULL = "registry-full"
    """No room is left where the registry lies."""
    REGISTRY_UNUSABLE = "registry-unusable"
    """The registry fails in a way that waiting does not mend."""
    REGISTRY_SILENT = "registry-silent"
    """No commit for longer than heartbeats take, without an error yet."""
    CLOCK_JUMP = "clock-jump"
    """The clock was set by more than two seconds, and nothing has vouched for the new time yet."""
    CLOCK_APART = "clock-apart"
    """The clock differs from the broker's by more than a minute."""
    DIRECTORY_OVER = "directory-over"
    """The signed directory expired, and its period of grace is over too."""
    SIGNER_AWAY = "signer-away"
    """No key of the relay's can sign: the tokens that hold them do not answer."""
    STALLED = "stalled"
    """Documents are in hand and none is settled."""
    KEEPER_LATE = "keeper-late"
    """The keeper's rounds do not come any more."""
    STOPPING = "stopping"
    """The process was told to end."""
    CHECK_FAILED = "check-failed"
    """The check itself failed."""


WAITED_FOR: Final = frozenset(
    {Reason.REGISTRY_FULL, Reason.CLOCK_JUMP, Reason.DIRECTORY_OVER, Reason.SIGNER_AWAY}
)
"""What a worker waits for before it takes a further document: a commit that must fail helps nobody, and a verdict that
rests on a wrong clock or on a directory that nobody vouches for any more would be final."""


def of_registry(trouble: RegistryError | None, *, healthy: bool) -> Reason | None:
    """Return what is wrong with the registry.

    Args:
        trouble: why the last group was not committed, None if it was.
        healthy: whether the last commit is recent.
    """
    if trouble is None:
        return None if healthy else Reason.REGISTRY_SILENT
    if "SQLITE_FULL" in trouble.detail:
        return Reason.REGISTRY_FULL
    return Reason.REGISTRY_BUSY if trouble.code is Code.REGISTRY_BUSY else Reason.REGISTRY_UNUSABLE


def words(reasons: Sequence[Reason]) -> list[str]:
    """Return the reasons as `/ready` shows them, each once, in the order of the list above."""
    return [one.value for one in Reason if one in reasons]
