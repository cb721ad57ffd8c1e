"""Whether an agency answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from relay.lifecycle.activity import WINDOW, Activity, activity

NOW = datetime(2026, 3, 2, tzinfo=UTC)
SHORT, LONG = WINDOW / 2, WINDOW + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("said", "waits", "wanted"),
    [
        (None, None, Activity.UNASKED),
        (None, SHORT, Activity.UNASKED),
        (None, WINDOW, Activity.UNASKED),
        (None, LONG, Activity.SILENT),
        (SHORT, None, Activity.ANSWERING),
        (SHORT, LONG, Activity.ANSWERING),
        (WINDOW, LONG, Activity.ANSWERING),
        (LONG, None, Activity.UNASKED),
        (LONG, SHORT, Activity.UNASKED),
        (LONG, LONG, Activity.SILENT),
    ],
)
def test_by_what_it_said_and_what_waits(
    said: timedelta | None, waits: timedelta | None, wanted: Activity
) -> None:
    assert activity(NOW - said if said else None, NOW - waits if waits else None, NOW) is wanted
