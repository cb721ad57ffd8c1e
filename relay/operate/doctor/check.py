"""The nouns: a check, what it found, and how that is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from relay.operate.doctor.facts import Facts, Seen, Unseen
from relay.operate.doctor.texts import Text

S = TypeVar("S")
T = TypeVar("T")


class Severity(StrEnum):
    """How bad a finding is."""

    FAULT = "fault"  # documents are lost, refused, stand still or go astray, or will in no time
    WARNING = "warning"  # it works, and somebody should look


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that is wrong. ``detail`` holds facts (numbers, names), no sentence, no secret."""

    subject: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One check by its stable name, whose first word is its area.

    ``judge`` is pure: it gets the facts and tells what is wrong, or why the facts are not there.
    """

    name: str
    judge: Callable[[Facts], tuple[Found, ...] | Unseen]
    parts: tuple[str, ...]  # the fields of ``Facts`` that it needs

    @property
    def area(self) -> str:
        """The first word of the name."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, with what is written about its check."""

    name: str
    severity: Severity
    owner: str
    subject: str
    detail: str
    text: Text


def on(part: str, name: str, judge: Callable[[S], Iterable[Found]]) -> Check:
    """Return a check over one part of the facts; it cannot be made where that part was not seen."""

    def look(facts: Facts) -> tuple[Found, ...] | Unseen:
        seen: Seen[S] = getattr(facts, part)
        return seen if isinstance(seen, Unseen) else tuple(judge(seen))

    return Check(name, look, (part,))


def on_both(first: str, second: str, name: str, judge: Callable[[S, T], Iterable[Found]]) -> Check:
    """Return a check over two parts of the facts."""

    def look(facts: Facts) -> tuple[Found, ...] | Unseen:
        one: Seen[S] = getattr(facts, first)
        other: Seen[T] = getattr(facts, second)
        if isinstance(one, Unseen):
            return one
        return other if isinstance(other, Unseen) else tuple(judge(one, other))

    return Check(name, look, (first, second))


def size(octets: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if abs(octets) < 1024:
            return f"{octets:.0f} {unit}"
        octets /= 1024
    return f"{octets:.1f} GiB"


def span(seconds: float) -> str:
    """Return a length of time for people."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} d"


def some(names: Iterable[str], shown: int = 5) -> str:
    """Return the first names and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - shown} more" if len(listed) > shown else ""
    return ", ".join(listed[:shown]) + more
