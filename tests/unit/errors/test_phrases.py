"""Sentences in another language."""

from __future__ import annotations

from relay.errors.phrases import Phrases

PHRASES = Phrases(((r"(\d+) of (.+) are gone", r"mất \1 trong \2"), (r"(.+) are gone", r"mất \1")))


def test_the_first_pattern_that_is_the_whole_sentence_counts() -> None:
    assert PHRASES.say("2 of 3 are gone") == "mất 2 trong 3"
    assert PHRASES.say("all are gone") == "mất all"
    assert PHRASES.say("two\nlines are gone") == "mất two\nlines"


def test_what_nobody_has_put_into_words_is_told() -> None:
    assert PHRASES.say("all are gone today") is None
