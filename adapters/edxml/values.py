"""Texts to values: what the standard writes, and the other spellings that are met.

Each function takes a text without white space around it and returns (value, oddity or None). A value of None with an
oddity: it cannot be read without guessing.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Final

from adapters.edxml.oddities import Oddity
from relay.model.times import VIETNAM

_DATE: Final = re.compile(r"([0-9]{4})/([0-9]{2})/([0-9]{2})")
_TIME: Final = re.compile(r"([0-9]{4})/([0-9]{2})/([0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2})")
_CLOCK: Final = r"(?:[ T]+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]{1,9})?)?)?"
_ZONE: Final = r"(Z|[+-][0-9]{2}:?[0-9]{2})?"
_YEAR_FIRST: Final = re.compile(r"([0-9]{4})([/-])([0-9]{1,2})\2([0-9]{1,2})" + _CLOCK + _ZONE)
_DAY_FIRST: Final = re.compile(r"([0-9]{1,2})([/-])([0-9]{1,2})\2([0-9]{4})" + _CLOCK + _ZONE)
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,9}")
_TRUE: Final = frozenset({"true", "1", "yes", "có"})
_FALSE: Final = frozenset({"false", "0", "no", "không"})


def read_date(text: str) -> tuple[date | None, Oddity | None]:
    """Read ``yyyy/MM/dd``; other orders and signs where only one day can be meant."""
    match = _DATE.fullmatch(text)
    if match is not None:
        try:
            return date(int(match[1]), int(match[2]), int(match[3])), None
        except ValueError:
            return None, Oddity.DATE_IMPOSSIBLE
    parts = _parts(text)
    if parts is None:
        return None, Oddity.DATE_UNREAD
    oddity, (year, month, day_number), clock, zone = parts
    try:
        hour, minute, second = clock or (0, 0, 0)
        value = datetime(year, month, day_number, hour, minute, second, tzinfo=VIETNAM)
    except ValueError:
        return None, Oddity.DATE_IMPOSSIBLE
    if clock is not None:
        # with an offset the day depends on where one stands
        return (None, Oddity.DATE_UNREAD) if zone else (value.date(), Oddity.DATE_WITH_TIME)
    return (None, Oddity.DATE_UNREAD) if zone else (value.date(), oddity)


def read_time(text: str) -> tuple[datetime | None, Oddity | None]:
    """Read ``yyyy/MM/dd HH:mm:ss`` in Vietnam time; other spellings of one moment too."""
    match = _TIME.fullmatch(text)
    if match is not None:
        try:
            year, month, day_number, hour, minute, second = map(int, match.groups())
            return datetime(year, month, day_number, hour, minute, second, tzinfo=VIETNAM), None
        except ValueError:
            return None, Oddity.TIME_UNREAD
    parts = _parts(text)
    if parts is None:
        return None, Oddity.TIME_UNREAD
    _, (year, month, day_number), clock, zone = parts
    if clock is None:
        return None, Oddity.TIME_UNREAD
    try:
        value = datetime(year, month, day_number, clock[0], clock[1], clock[2], tzinfo=VIETNAM)
        if zone == "Z":
            value = value.replace(tzinfo=UTC)
        elif zone:
            value = datetime.fromisoformat(f"{value.replace(tzinfo=None).isoformat()}{zone}")
        return value.astimezone(VIETNAM), Oddity.TIME_FORM
    except (ValueError, OverflowError):
        return None, Oddity.TIME_UNREAD


def _parts(text: str) -> tuple[Oddity, tuple[int, int, int], tuple[int, int, int] | None, str] | None:
    """Return what is odd, year, month and day, the time of day if there is one, and the offset."""
    match = _YEAR_FIRST.fullmatch(text)
    if match is not None:
        year, sign, month, day_number = match[1], match[2], match[3], match[4]
        oddity = Oddity.DATE_DASHES if sign == "-" else Oddity.DATE_DIGITS
    else:
        match = _DAY_FIRST.fullmatch(text)
        if match is None:
            return None
        day_number, month, year = match[1], match[3], match[4]
        oddity = Oddity.DATE_DAY_FIRST
    clock = None if match[5] is None else (int(match[5]), int(match[6]), int(match[7] or 0))
    return oddity, (int(year), int(month), int(day_number)), clock, match[8] or ""


def read_number(text: str) -> tuple[int | None, Oddity | None]:
    """Read a whole number of at most nine digits."""
    if not _NUMBER.fullmatch(text):
        return None, Oddity.NOT_A_NUMBER
    return int(text), None


def read_boolean(text: str) -> tuple[bool | None, Oddity | None]:
    """Read ``true`` or ``false``; other spellings of the two."""
    if text == "true":
        return True, None
    if text == "false":
        return False, None
    return _truth(text)


def read_flag(text: str) -> tuple[bool | None, Oddity | None]:
    """Read ``1`` or ``0``; other spellings of the two. A larger number is a count of what there is."""
    if text == "1":
        return True, None
    if text == "0":
        return False, None
    if text.isascii() and text.isdigit() and len(text) <= 4:
        return True, Oddity.PAPER_COUNT
    return _truth(text)


def _truth(text: str) -> tuple[bool | None, Oddity | None]:
    folded = text.casefold()
    if folded in _TRUE:
        return True, Oddity.BOOLEAN_FORM
    if folded in _FALSE:
        return False, Oddity.BOOLEAN_FORM
    return None, Oddity.OUT_OF_RANGE
