"""The list of cases: each is a kind of change, a variant of it, and what is known of it beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from tests.differential.documents import Bench
from tests.differential.people import People


class Truth(StrEnum):
    """What is known of a case before anybody judges it."""

    HOLDS = "holds"  # made as XML signatures ask, by somebody under the anchor: one of the three at least takes it
    BROKEN = "broken"  # not what was signed, or not by who is trusted: ours refuses, whatever the others do
    OPEN = "open"  # a matter of reading; differences are explained like all others


Make = Callable[[Bench], bytes]


@dataclass(frozen=True)
class Variant:
    name: str
    truth: Truth
    make: Make


@dataclass(frozen=True)
class Case:
    """One document to judge."""

    number: int
    kind: str
    variant: str
    truth: Truth
    body: bytes

    @property
    def name(self) -> str:
        return f"{self.kind}/{self.variant}"


_KINDS: dict[str, list[Variant]] = {}


def variant(name: str, truth: Truth) -> Callable[[Make], Make]:
    """Register ``kind/variant``."""

    def register(make: Make) -> Make:
        kind, _, which = name.partition("/")
        known = _KINDS.setdefault(kind, [])
        assert which
        assert all(one.name != which for one in known), name
        known.append(Variant(which, truth, make))
        return make

    return register


def holds(name: str) -> Callable[[Make], Make]:
    return variant(name, Truth.HOLDS)


def broken(name: str) -> Callable[[Make], Make]:
    return variant(name, Truth.BROKEN)


def open_(name: str) -> Callable[[Make], Make]:
    return variant(name, Truth.OPEN)


def kinds() -> dict[str, list[Variant]]:
    """All kinds with their variants, in the order of the files."""
    from tests.differential import (  # noqa: F401 -- they register
        changes_algorithms,
        changes_bytes,
        changes_manifest,
        changes_signature,
        changes_tree,
    )

    return _KINDS


def cases(people: People, seed: int, count: int) -> Iterator[Case]:
    """Yield ``count`` cases: kinds in turn, and of each kind its variants in turn."""
    listed = list(kinds().items())
    for number in range(count):
        kind, variants = listed[number % len(listed)]
        chosen = variants[number // len(listed) % len(variants)]
        yield Case(number, kind, chosen.name, chosen.truth, chosen.make(Bench(people, seed, number)))
