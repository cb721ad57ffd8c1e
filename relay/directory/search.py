"""Finds agencies by code or by name, as people type them: without diacritics, in any case, in any written form,
abbreviated, by an old name.

An index is made once for a directory; a question over a whole country is answered in milliseconds. Agencies are numbered
in the order in which equals are shown; a set of them is one large integer, a bit for each, so that "all of these words"
is one ``&`` and "the first twenty" are its lowest bits.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import nsmallest
from itertools import accumulate, islice
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
_INITIALS: Final = re.compile(r"[a-z]{2,10}")
_JOINED: Final = re.compile(r"\b([a-z]{1,5}) ?& ?(?=[a-z]{1,6}\b)")  # KH&CN, TT & TT
_VOWELS: Final = frozenset("aeiouy")
_TWO: Final = 2
_MOST_BELOW: Final = 5000  # agencies that are looked at for words of those above them
_AND: Final = "va"  # left out of most abbreviations: Sở TTTT is Sở Thông tin và Truyền thông


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
        initials: list[str] = []
        self._whose = array("i")  # whose initials, line by line
        for number, agency in enumerate(self._agencies):
            self._codes.append((agency.code, number))
            for alias in agency.aliases:
                self._written.setdefault(alias.upper(), number)
            self._written[agency.code] = number
            known: set[str] = set()
            for name in _names(agency):
                written = _tokens(name)
                parts = _in_full(written)
                self._names.append((" ".join(parts), number))
                known.update(parts, written)
                letters = "".join(part[0] for part in parts)
                without = "".join(part[0] for part in parts if part != _AND)
                for one in (letters,) if letters == without else (letters, without):
                    initials.append(one)
                    self._whose.append(number)
            for word in known:
                words.setdefault(word, []).append(number)
        self._initials = "\n".join(("", *initials, ""))
        self._lines = array("i", accumulate((len(one) + 1 for one in initials), initial=0))
        numbers = dict(self._codes)
        self._above = array("i", (numbers.get(one.parent or "", -1) for one in self._agencies))
        self._under: dict[int, list[int]] = {}
        for number, above in enumerate(self._above):
            if above >= 0:
                self._under.setdefault(above, []).append(number)
        self._codes.sort()
        self._names.sort()
        self._vocabulary = sorted(words)
        self._posted: dict[str, int | list[int]] = {
            word: numbers if len(numbers) < _RARE else _bits(numbers) for word, numbers in words.items()
        }

    def search(self, text: str, limit: int = 20) -> list[Agency]:
        """Return the agencies that fit best, at most ``limit``.

        First who has that code or alias, then codes that begin so; who is called so; names that begin with the text;
        names that the text abbreviates (``STTTT``, ``Sở KH&ĐT``), from their beginning; names that hold each word, in any
        order; names that hold a word that begins so for each; names that hold each word or what it abbreviates, anywhere
        (``TPHCM``); the same where agencies above it may have some of the words (``Sở Nội vụ Tây Ninh``). Short, English, other and former names count like the name. Among equals the shorter code is first.
        """
        tokens = _tokens(text)
        if not tokens or limit < 1:
            return []
        words = _in_full(tokens)
        typed, name = text.strip().upper(), " ".join(words)
        found: dict[int, None] = {}
        steps: tuple[Callable[[], list[int]], ...] = (
            lambda: self._by_code(typed),
            lambda: self._beginning(self._codes, typed, limit),
            lambda: self._named(name, limit),
            lambda: self._beginning(self._names, name, limit),
            lambda: self._abbreviated(tokens, limit),
            lambda: _lowest(self._each(tokens, self._whole), limit),
            lambda: _lowest(self._each(tokens, self._prefixed), limit),
            lambda: _lowest(self._each(tokens, self._meant), limit),
            lambda: self._below(tokens, limit),
        )
        for step in steps:
            found.update(dict.fromkeys(step()))
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

    def _named(self, name: str, limit: int) -> list[int]:
        start = bisect_left(self._names, (name, -1))
        end = bisect_left(self._names, (name, len(self._agencies)))
        return nsmallest(limit, {number for _, number in self._names[start:end]})

    def _abbreviated(self, tokens: list[str], limit: int) -> list[int]:
        """Return whose name begins with what the tokens stand for, in their order; who is no longer than that first."""
        short = [token for token in tokens if self._is_short(token)]
        if not short:
            return []
        letters = "".join(
            token if self._is_short(token) else "".join(part[0] for part in _in_full([token]) if part != _AND)
            for token in tokens
        )
        held = self._each([token for token in tokens if token not in short], self._whole)
        begun: dict[int, bool] = {}
        for at in _places(self._initials, f"\n{letters}"):
            number = self._whose[bisect_right(self._lines, at) - 1]
            if held >> number & 1:
                whole = self._initials.startswith("\n", at + 1 + len(letters))
                begun[number] = begun.get(number, False) or whole
        return sorted(begun, key=lambda number: (not begun[number], number))[:limit]

    def _is_short(self, token: str) -> bool:
        """Whether a token is more likely the initials of words than a word."""
        return (
            _INITIALS.fullmatch(token) is not None
            and token not in ABBREVIATIONS
            and (token not in self._posted or _VOWELS.isdisjoint(token))
        )

    @staticmethod
    def _each(tokens: Iterable[str], one: Callable[[str], int]) -> int:
        """Return who fits each token."""
        both = -1
        for token in tokens:
            both &= one(token)
            if not both:
                break
        return both

    def _whole(self, token: str) -> int:
        """Return who has a word, or all words that it is short for."""
        full = self._each(ABBREVIATIONS[token].split(), self._one) if token in ABBREVIATIONS else 0
        return full | self._one(token)

    def _prefixed(self, token: str) -> int:
        """Return who has words that begin so, or those that it is short for."""
        full = self._each(ABBREVIATIONS[token].split(), self._begun) if token in ABBREVIATIONS else 0
        return full | self._begun(token)

    def _meant(self, token: str) -> int:
        """Return who has a word that begins so, or words one after the other that begin with its letters."""
        together = self._prefixed(token)
        if len(token) > _TWO and _INITIALS.fullmatch(token) is not None:
            lines = (bisect_right(self._lines, at) - 1 for at in _places(self._initials, token))
            together |= _bits(sorted({self._whose[line] for line in lines}))
        return together

    def _below(self, tokens: list[str], limit: int) -> list[int]:
        """Return who has some of the words itself, and the others with agencies above it."""
        if len(tokens) < 2:
            return []
        own = sorted((self._meant(token) for token in tokens), key=int.bit_count)
        if not own[0] or own[0].bit_count() > _MOST_BELOW:
            return []
        held = [bits.to_bytes(len(self._agencies) // 8 + 1, "little") for bits in own]
        near = _lowest(own[0], _MOST_BELOW)
        for number in near:  # grows while it is gone through: who is below them, and so on
            if len(near) < _MOST_BELOW:
                near += self._under.get(number, ())
        found: list[int] = []
        for number in sorted(set(near)):
            line = self._upwards(number)
            if any(_is_set(bits, number) for bits in held) and all(
                any(_is_set(bits, one) for one in line) for bits in held
            ):
                found.append(number)
                if len(found) == limit:
                    break
        return found

    def _upwards(self, number: int) -> list[int]:
        """Return an agency and those above it."""
        line = [number]
        while (above := self._above[line[-1]]) >= 0 and above not in line:
            line.append(above)
        return line

    def _one(self, word: str) -> int:
        posted = self._posted.get(word, 0)
        return posted if isinstance(posted, int) else _bits(posted)

    def _begun(self, start: str) -> int:
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


def _tokens(text: str) -> list[str]:
    """Return the words of a text, folded; letters that an ampersand joins are one."""
    return _WORD.findall(_JOINED.sub(r"\1", fold(text)))


def _in_full(tokens: Iterable[str]) -> list[str]:
    """Return words with what is usually shortened in full."""
    return [part for token in tokens for part in ABBREVIATIONS.get(token, token).split()]


def _bits(numbers: list[int]) -> int:
    octets = bytearray(numbers[-1] // 8 + 1) if numbers else bytearray()
    for number in numbers:
        octets[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(octets, "little")


def _places(text: str, part: str) -> Iterator[int]:
    """Yield where a part stands in a text."""
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


def _is_set(bits: bytes, number: int) -> int:
    return bits[number >> 3] >> (number & 7) & 1


def _lowest(bits: int, count: int) -> list[int]:
    """Return the numbers of the lowest bits that are set."""
    if bits <= 0:
        return []
    digits = f"{bits:b}"[::-1]  # looked through once: arithmetic on all bits for each of them takes longer
    return list(islice(_places(digits, "1"), count))
