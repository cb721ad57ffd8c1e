"""Times as they are written: UTC on the wire, Vietnam time for days and people (Decision 28/2018, article 14)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

VIETNAM: Final = timezone(timedelta(hours=7))


def rfc3339(at: datetime) -> str:
    """Return a time as it stands in headers and receipts: UTC with milliseconds and ``Z``."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def vietnam_day(at: datetime) -> date:
    """Return the day that counts for validity of codes."""
    return at.astimezone(VIETNAM).date()
