"""How the lists and answers in force stand: how old, how long they hold. For scrapes, the doctor, ``truc trust status``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from relay.trust.chain import TrustStore
from relay.trust.crl import Source, list_scope


class State(StrEnum):
    """In one word."""

    FRESH = "fresh"
    DUE = "due"  # past half of its life: the next one is looked for
    GRACE = "grace"  # past its date, and still believed
    OVER = "over"  # what it covers waits


@dataclass(frozen=True, slots=True)
class Standing:
    """One list (the latest of its issuer and scope) or one answer."""

    source: Source
    subject: str  # of a list: its issuer (RFC 4514); of an answer: SHA-256 of the certificate
    this_update: datetime
    next_update: datetime | None
    state: State
    entries: int | None = None  # of a list

    def age(self, now: datetime) -> float:
        """Seconds since it was made."""
        return (now - self.this_update).total_seconds()

    def left(self, now: datetime) -> float:
        """Seconds until its date, negative after it."""
        return ((self.next_update or self.this_update) - now).total_seconds()


def standings(store: TrustStore, now: datetime) -> Iterator[Standing]:
    """Yield the latest list of each issuer and scope, and each answer. What was never believed stands there too."""
    for lists in store.lists().by_issuer().values():
        latest: dict[bytes, Standing] = {}
        for one in lists:
            try:
                scope = list_scope(one)
            except Exception:  # noqa: BLE001, S112 -- a damaged list speaks of nobody
                continue
            made, end = one.last_update_utc, one.next_update_utc
            if scope not in latest or latest[scope].this_update < made:
                issuer = one.issuer.rfc4514_string()
                latest[scope] = Standing("crl", issuer, made, end, state_of(made, end, store, now), len(one))
        yield from latest.values()
    for sha256, answer in store.answers().items():
        made, end = answer.this_update_utc, answer.next_update_utc
        yield Standing("ocsp", sha256, made, end, state_of(made, end, store, now))


def state_of(made: datetime, end: datetime | None, store: TrustStore, now: datetime) -> State:
    """Return the word for two dates."""
    if end is None or now > end:
        return State.GRACE if end is not None and now - end <= store.grace else State.OVER
    return State.FRESH if now < made + (end - made) / 2 else State.DUE


Series = dict[tuple[str, ...], float]


def counts(found: Iterable[Standing]) -> Series:
    """Return how many there are of each source and state."""
    series: Series = {(source, state.value): 0.0 for source in ("crl", "ocsp") for state in State}
    for one in found:
        series[one.source, one.state.value] += 1
    return series


def ages(found: Iterable[Standing], now: datetime) -> Series:
    """Return the age of the oldest of each source."""
    series: Series = {}
    for one in found:
        series[one.source,] = max(series.get((one.source,), one.age(now)), one.age(now))
    return series


def lefts(found: Iterable[Standing], now: datetime) -> Series:
    """Return the least time that is left to one of each source."""
    series: Series = {}
    for one in found:
        series[one.source,] = min(series.get((one.source,), one.left(now)), one.left(now))
    return series
