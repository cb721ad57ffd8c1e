"""The short way for the text of an element: a value that nobody has to say anything about is had at once.

All else, and whatever is not certain here, goes the long way through ``walker``, which gives the same value for what is
taken here; a test holds the two against each other.
"""

# ruff: noqa: ANN401 -- values of the model are of several types

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from adapters.edxml import values as read
from relay.errors import RefusedError
from relay.model.codes import normal_form

if TYPE_CHECKING:
    from adapters.edxml.oddities import Oddity
    from adapters.edxml.rules import Rule

SPACE: Final = " \t\r\n"
FILLERS: Final = frozenset({"null", "NULL", "Null", "N/A", "n/a", "undefined", "None"})
SHORT_2016: Final = re.compile(r"(?:[0-9]{2,3}\.){1,3}[A-KW][0-9]{2}", re.ASCII)
FULL_2016: Final = re.compile(r"[0-9]{3}\.[0-9]{2}\.[0-9]{2}\.[A-Z][0-9]{2}", re.ASCII)
ODD: Final = object()
"""What sends a text the long way."""

Quick = Callable[["str | None"], Any]
_SIMPLE: Final[dict[str, Callable[[str], tuple[Any, Oddity | None]]]] = {
    "time": read.read_time,
    "boolean": read.read_boolean,
    "flag": read.read_flag,
}


def quick_of(rule: Rule) -> Quick:
    """Return a function from the text of an element to its value by that rule, or ``ODD``."""
    return _QUICK[str(rule.value)](rule)


@lru_cache(maxsize=4096)
def _is_ordinary(code: str) -> bool:
    """Whether an identifier code is one without a remark."""
    try:
        normal_form(code)
    except RefusedError:
        return False
    return not SHORT_2016.fullmatch(code) or FULL_2016.fullmatch(code) is not None


_read_day: Final = lru_cache(maxsize=1024)(read.read_date)
_DAY: Final = len("yyyy/MM/dd")


def _quick_text(rule: Rule) -> Quick:
    longest = rule.limit or sys.maxsize

    def quick(text: str | None) -> Any:
        if not text or len(text) > longest or text in FILLERS:
            return ODD
        return text if text[0] > " " and text[-1] > " " else ODD

    return quick


def _quick_id(rule: Rule) -> Quick:
    longest = rule.limit or sys.maxsize

    def quick(text: str | None) -> Any:
        if not text or len(text) > longest or text in FILLERS or not text.isprintable():
            return ODD
        return text if text[0] > " " and text[-1] > " " else ODD

    return quick


def _quick_organ(rule: Rule) -> Quick:
    longest = rule.limit

    def quick(text: str | None) -> Any:
        return text if text and len(text) <= longest and _is_ordinary(text) else ODD

    return quick


def _quick_day_text(_rule: Rule) -> Quick:
    def quick(text: str | None) -> Any:
        return text if text and len(text) == _DAY and _read_day(text)[1] is None else ODD

    return quick


def _quick_day(_rule: Rule) -> Quick:
    def quick(text: str | None) -> Any:
        if not text or len(text) != _DAY:
            return ODD
        value, oddity = _read_day(text)
        return value if oddity is None else ODD

    return quick


def _quick_number(rule: Rule) -> Quick:
    low, high = rule.low, rule.high or 10**9

    def quick(text: str | None) -> Any:
        if not text or len(text) > 9 or not text.isascii() or not text.isdigit():
            return ODD
        value = int(text)
        return value if low <= value <= high else ODD

    return quick


def _quick_simple(rule: Rule) -> Quick:
    how = _SIMPLE[str(rule.value)]

    def quick(text: str | None) -> Any:
        if not text:
            return ODD
        value, oddity = how(text)
        return value if oddity is None else ODD

    return quick


_QUICK: Final[dict[str, Callable[[Rule], Quick]]] = {
    "text": _quick_text,
    "id": _quick_id,
    "organ": _quick_organ,
    "day-text": _quick_day_text,
    "number": _quick_number,
    "date": _quick_day,
    "time": _quick_simple,
    "boolean": _quick_simple,
    "flag": _quick_simple,
}
