"""Finds agencies by code or by name, as people type them: without diacritics, in any case, in any written form,
abbreviated, by an old name.

An index is made once for a directory; a question over a whole country is answered in milliseconds. Agencies are numbered
in the order in which equals are shown; a set of them is one large integer, a bit for each, so that "all of these words"
is one ``&`` and "the first twenty" are its lowest bits.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from heapq import nsmallest
from typing import Final

from relay.errors import RefusedError
from relay.model.agency import Agency
from relay.model.codes import normal_form

ABBREVIATIONS: Final[Mapping[str, str]] = {
    "ubnd": "uy ban nhan dan",
    "hdnd": "hoi dong nhan dan",
    "vpcp": "van phong chinh phu",
    "ubmttq": "uy ban mat tran to quoc",
    "tp": "thanh pho",
    "tx": "thi xa",
    "tt": "thi tran",
    "vp": "van phong",
    "bql": "ban quan ly",
}
"""How names of agencies are shortened; both what is typed and what is stored is read in full."""

_WORD: Final = re.compile(r"\w+")
_RARE: Final = 256  # below it a list of numbers is smaller than the bits
_INITIALS: Final = (2, 8)  # letters


def fold(text: str) -> str:
    """Return a text without diacritics and case: ``Sở Nội vụ`` and ``so noi vu`` are the same."""
    bare = "".join(mark for mark in unicodedata.normalize("NFD", text) if not unicodedata.combining(mark))
    return bare.replace("đ", "d").replace("Đ", "D").casefold()


def search(agencies: Iterable[Agency], text: str, limit: int = 20) -> list[Agency]:
    """Return the agencies that fit best, at most ``limit``; see ``AgencyIndex.search``, which is for many questions."""
    return AgencyIndex(agencies).search(text, limit)


class AgencyIndex:
    """What is needed to find agencies quickly. Immutable."""

    def __init__(self, agencies: Iterable[Agency]) -> None:
        self._agencies = sorted(agencies, key=lambda agency: (len(agency.code), agency.code))
        self._written: dict[str, int] = {}
        self._codes: list[tuple[str, int]] = []
        self._names: list[tuple[str, int]] = []
        words: dict[str, list[int]] = {}
        self._initials: dict[str, list[int]] = {}
        for number, agency in enumerate(self._agencies):
            self._codes.append((agency.code, number))
            for alias in agency.aliases:
                self._written.setdefault(alias.upper(), number)
            self._written[agency.code] = number
            known: set[str] = set()
            for name in _names(agency):
                parts = _words(name)
                self._names.append((" ".join(parts), number))
                known.update(parts)
                initials = "".join(part[0] for part in parts)
                for length in range(_INITIALS[0], min(len(initials), _INITIALS[1]) + 1):
                    listed = self._initials.setdefault(initials[:length], [])
                    if len(listed) < _RARE and (not listed or listed[-1] != number):
                        listed.append(number)
            for word in known:
                words.setdefault(word, []).append(number)
        self._codes.sort()
        self._names.sort()
        self._vocabulary = sorted(words)
        self._posted: dict[str, int | list[int]] = {
            word: numbers if len(numbers) < _RARE else _bits(numbers) for word, numbers in words.items()
        }

    def search(self, text: str, limit: int = 20) -> list[Agency]:
        """Return the agencies that fit best, at most ``limit``.

        First who has that code or alias, then codes that begin so; names that begin with the text; names that hold each
        word, in any order; names that hold a word that begins so for each; names whose words begin with these letters.
        Short, English, other and former names count like the name. Among equals the shorter code is first.
        """
        words = _words(text)
        if not words or limit < 1:
            return []
        typed = text.strip().upper()
        found: dict[int, None] = {}
        for numbers in (
            self._by_code(typed),
            self._beginning(self._codes, typed, limit),
            self._beginning(self._names, " ".join(words), limit),
            _lowest(self._all(words, whole=True), limit),
            _lowest(self._all(words, whole=False), limit),
            self._initials.get(fold(typed), []) if len(words) == 1 else [],
        ):
            found.update(dict.fromkeys(numbers))
            if len(found) >= limit:
                break
        return [self._agencies[number] for number in list(found)[:limit]]

    def _by_code(self, typed: str) -> list[int]:
        try:
            normal = normal_form(typed)
        except RefusedError:
            normal = typed
        return [number for key in (typed, normal) if (number := self._written.get(key)) is not None][:1]

    @staticmethod
    def _beginning(ordered: list[tuple[str, int]], text: str, limit: int) -> list[int]:
        start = bisect_left(ordered, (text, -1))
        end = bisect_left(ordered, (text + "\U0010ffff", -1))
        return nsmallest(limit, {number for _, number in ordered[start:end]})

    def _all(self, words: Iterable[str], *, whole: bool) -> int:
        both = -1
        for word in words:
            both &= self._one(word) if whole else self._prefixed(word)
            if not both:
                break
        return both

    def _one(self, word: str) -> int:
        posted = self._posted.get(word, 0)
        return posted if isinstance(posted, int) else _bits(posted)

    def _prefixed(self, start: str) -> int:
        together = 0
        for at in range(bisect_left(self._vocabulary, start), len(self._vocabulary)):
            if not self._vocabulary[at].startswith(start):
                break
            together |= self._one(self._vocabulary[at])
        return together


def _names(agency: Agency) -> Iterator[str]:
    yield agency.name
    yield from (name for name in (agency.short_name, agency.english_name) if name)
    yield from agency.other_names
    yield from (former.name for former in agency.former_names)


def _words(text: str) -> list[str]:
    return [
        part
        for word in _WORD.findall(fold(text))
        for part in (ABBREVIATIONS[word].split() if word in ABBREVIATIONS else (word,))
    ]


def _bits(numbers: list[int]) -> int:
    octets = bytearray(numbers[-1] // 8 + 1) if numbers else bytearray()
    for number in numbers:
        octets[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(octets, "little")


def _lowest(bits: int, count: int) -> list[int]:
    """Return the numbers of the lowest bits that are set."""
    found: list[int] = []
    while bits > 0 and len(found) < count:
        low = bits & -bits
        found.append(low.bit_length() - 1)
        bits ^= low
    return found
