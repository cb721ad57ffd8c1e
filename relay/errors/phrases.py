"""Sentences in another language: what is said of one, by the first pattern that is the whole of it."""

from __future__ import annotations

import re
from collections.abc import Iterable


class Phrases:
    r"""A list of sentences, looked through in its order.

    Args:
        lines: a pattern for the whole sentence, in which ``.`` is any character, and what is said instead; ``\1`` stands
            for what the first group took.
    """

    __slots__ = ("_lines",)

    def __init__(self, lines: Iterable[tuple[str, str]]) -> None:
        self._lines = tuple((re.compile(pattern, re.DOTALL), text) for pattern, text in lines)

    def say(self, sentence: str) -> str | None:
        """Return a sentence in the other language; None where nobody has put it into words."""
        for pattern, text in self._lines:
            match = pattern.fullmatch(sentence)
            if match is not None:
                return match.expand(text)
        return None
