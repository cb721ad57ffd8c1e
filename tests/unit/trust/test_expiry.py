"""What is kept for a chain is, at any moment, what the material itself says at that moment: it outlives nothing."""

from __future__ import annotations

import datetime as dt
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.errors import Code
from relay.trust.certificate import Certificate, read_certificate
from relay.trust.crl import Listing
from relay.trust.path import Assessment, ChainResult, Link, Path, PathRules
from tests.support import pki
from tests.support.pki import NOW

HOUR = dt.timedelta(hours=1)
TICK = dt.timedelta(microseconds=1)
EDGES = st.integers(-12, 12)  # few values, so that dates coincide


def moment(hours: int) -> dt.datetime:
    return NOW + hours * HOUR


@cache
def certificate(begin: int, end: int) -> Certificate:
    made = pki.issue("C", not_before=moment(begin), not_after=moment(end))
    return read_certificate(made.der)


@st.composite
def lives(draw: Any) -> tuple[int, int]:
    one, other = draw(EDGES), draw(EDGES)
    return min(one, other), max(one, other)


@st.composite
def listings(draw: Any) -> Listing:
    begin, end = draw(lives())
    revoked = draw(st.one_of(st.none(), st.none(), EDGES))
    return Listing(
        moment(begin),
        moment(end),
        None if revoked is None else moment(revoked),
        draw(st.sampled_from(["crl", "ocsp"])),
    )


@st.composite
def paths(draw: Any) -> Path:
    certificates = tuple(certificate(*draw(lives())) for _ in range(draw(st.integers(2, 3))))
    links = tuple(
        Link(
            each.subject,
            each.not_after,
            draw(st.one_of(st.none(), st.lists(listings(), max_size=3).map(tuple))),
            draw(st.sampled_from(["either", "crl", "ocsp"])),
        )
        for each in certificates[:-1]
    )
    return Path(certificates, links)


RULES = st.builds(
    PathRules,
    grace=st.integers(0, 4).map(lambda hours: hours * HOUR),
    skew=st.integers(0, 2).map(lambda hours: hours * HOUR),
)
SHIFTS = st.sampled_from([-TICK, dt.timedelta(0), TICK, HOUR / 2])


def plain(result: ChainResult) -> tuple[Any, ...]:
    return (result.code, result.detail, result.revocation, result.source, result.made_at, result.stale)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(paths(), min_size=1, max_size=2),
    RULES,
    st.lists(st.tuples(st.integers(-20, 20), SHIFTS), min_size=1, max_size=30),
)
def test_kept_answers_outlive_nothing(
    found: list[Path], rules: PathRules, asked: list[tuple[int, dt.timedelta]]
) -> None:
    assessment = Assessment(tuple(found), ChainResult(Code.UNKNOWN_CA), rules=rules)
    for hours, shift in asked:
        at = moment(hours) + shift
        kept = assessment.at(at)
        assert plain(kept) == plain(assessment.judged(at))
        assert kept.until is None or at <= kept.until
        if kept.until is not None:
            assert plain(assessment.judged(kept.until)) == plain(kept)
        if kept.code is Code.OK:
            ends = [each.not_after for each in kept.chain]
            assert kept.until is not None
            assert kept.until <= min(ends)
            assert not kept.stale or rules.grace


@settings(max_examples=200, deadline=None)
@given(paths(), RULES, st.integers(-20, 20), SHIFTS)
def test_what_is_good_is_vouched_for(path: Path, rules: PathRules, hours: int, shift: dt.timedelta) -> None:
    """Said once more, in other words than the code's."""
    at = moment(hours) + shift
    result = path.at(at, rules)
    in_time = all(each.not_before - rules.skew <= at <= each.not_after for each in path.certificates)
    revoked = any(
        one.revoked_at is not None and one.revoked_at <= at
        for link in path.links
        for one in link.listings or ()
    )
    vouched = all(
        link.listings is None
        or any(
            (link.needed in {"either", one.source})
            and at <= one.next_update + rules.grace
            and (one.this_update - rules.skew <= at or one.this_update <= link.not_after)
            for one in link.listings
        )
        for link in path.links
    )
    assert (result.code is Code.OK) == (in_time and not revoked and vouched)
    if result.code is Code.REVOCATION_UNKNOWN:
        assert in_time
        assert not revoked
