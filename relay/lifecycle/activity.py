"""Whether an agency answers: worked out from its statuses, never stored, and not to be mixed up with its admission."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

WINDOW: Final = timedelta(days=3)


class Activity(StrEnum):
    """What an agency's statuses of late say about it."""

    ANSWERING = "answering"
    SILENT = "silent"
    UNASKED = "unasked"  # nothing was sent to it that it could have answered


def activity(
    last_status: datetime | None,
    oldest_unanswered: datetime | None,
    now: datetime,
    window: timedelta = WINDOW,
) -> Activity:
    """Judge an agency by the last status that was accepted from it and the oldest delivery that waits for its first.

    Args:
        last_status: when its last status was accepted; None: never.
        oldest_unanswered: since when the oldest delivery stands in its queue without a status; None: there is none.
        now: the moment asked about.
        window: how long a gateway may take; one that said something within it is not silent, whatever else waits.
    """
    if last_status is not None and now - last_status <= window:
        return Activity.ANSWERING
    if oldest_unanswered is not None and now - oldest_unanswered > window:
        return Activity.SILENT
    return Activity.UNASKED
