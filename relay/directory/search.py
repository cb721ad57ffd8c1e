"""Finds agencies by code or by name, as people type them: without diacritics, in any case, in any written form."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from relay.errors import RefusedError
from relay.model.agency import Agency
from relay.model.codes import normal_form


def fold(text: str) -> str:
    """Return a text without diacritics and case: ``Sở Nội vụ`` and ``so noi vu`` are the same."""
    bare = "".join(mark for mark in unicodedata.normalize("NFD", text) if not unicodedata.combining(mark))
    return bare.replace("đ", "d").replace("Đ", "D").casefold()


def search(agencies: Iterable[Agency], text: str, limit: int = 20) -> list[Agency]:
    """Return the agencies that fit best, at most ``limit``.

    A code (either form, or an alias) fits whole or by its beginning, a name if it holds every word, in any order; a
    name that begins with the text comes before one that only holds it. Among equals the shorter code is first.
    """
    wanted = fold(text).strip()
    if not wanted or limit < 1:
        return []
    words = re.findall(r"\w+", wanted)
    typed = text.strip().upper()
    code = _normal(typed)
    found: list[tuple[int, int, str, Agency]] = []
    for agency in agencies:
        rank = _rank(agency, typed, code, wanted, words)
        if rank is not None:
            found.append((rank, len(agency.code), agency.code, agency))
    found.sort(key=lambda item: item[:3])
    return [agency for *_, agency in found[:limit]]


def _rank(agency: Agency, typed: str, code: str | None, wanted: str, words: list[str]) -> int | None:
    if code == agency.code or typed in agency.aliases:
        return 0
    if agency.code.startswith(typed):
        return 1
    name = fold(agency.name)
    if name.startswith(wanted):
        return 2
    parts = set(re.findall(r"\w+", name))
    if words and parts.issuperset(words):
        return 3
    if words and all(any(part.startswith(word) for part in parts) for word in words):
        return 4
    return None


def _normal(typed: str) -> str | None:
    try:
        return normal_form(typed)
    except RefusedError:
        return None
