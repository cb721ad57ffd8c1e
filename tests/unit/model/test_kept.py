"""What is worked out once and kept: bounded by number and by size, and nothing large gets in."""

from __future__ import annotations

import random

from relay.model.kept import Kept


def test_what_was_kept_is_found() -> None:
    kept: Kept[str, int] = Kept(10, 1000)
    kept.keep("a", 1, 5)
    assert (kept.get("a"), kept.get("b"), len(kept), kept.used) == (1, None, 1, 5)


def test_it_is_begun_anew_when_there_are_too_many() -> None:
    kept: Kept[int, int] = Kept(3, 1000)
    for number in range(4):
        kept.keep(number, number, 1)
    assert [kept.get(number) for number in range(4)] == [None, None, None, 3]


def test_it_is_begun_anew_when_it_is_full() -> None:
    kept: Kept[int, int] = Kept(1000, 160)
    for number in range(17):
        kept.keep(number, number, 10)
    assert (len(kept), kept.used, kept.get(16)) == (1, 10, 16)


def test_what_is_large_is_not_kept_and_drives_nothing_out() -> None:
    kept: Kept[int, int] = Kept(1000, 160)
    kept.keep(1, 1, 10)
    kept.keep(2, 2, 11)
    assert (kept.get(1), kept.get(2), kept.used) == (1, None, 10)


def test_the_same_key_again_counts_once() -> None:
    kept: Kept[int, int] = Kept(1000, 160)
    for _ in range(3):
        kept.keep(1, 1, 10)
    assert (len(kept), kept.used) == (1, 10)


def test_whatever_comes_it_stays_within_its_bounds() -> None:
    kept: Kept[int, int] = Kept(50, 5000)
    rng = random.Random(1)
    for number in range(5000):
        kept.keep(number, number, rng.randrange(600))
        assert len(kept) <= 50
        assert kept.used <= 5000
