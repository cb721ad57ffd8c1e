"""The figures as values: one phase, one leg, one run. ``asdict`` of a ``Report`` is the JSON file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from relay.sandbox.bench.figures import Spread
from relay.sandbox.bench.plan import Plan, System
from relay.sandbox.bench.scrape import Inside


@dataclass(frozen=True, slots=True)
class Full:
    """A phase with the ingress queue kept full."""

    rate: float  # documents a second, all deliveries and the receipt there
    seconds: float  # that were counted
    sent: int
    body_bytes: float  # mean
    cpu_us: Mapping[str, float]  # CPU time for each document, by role
    ended_early: bool  # the documents that were ready ran out
    inside: Inside | None = None  # of the relay


@dataclass(frozen=True, slots=True)
class Steady:
    """A phase at a fixed rate."""

    rate: float  # documents a second that were offered
    achieved: float  # that were done
    sent: int
    delivery_ms: Mapping[str, float]  # p50, p95, p99
    receipt_ms: Mapping[str, float]
    sender_late_ms: float  # p99 of how late the sender itself was
    inside: Inside | None = None  # of the relay


@dataclass(frozen=True, slots=True)
class Leg:
    """One system under both loads."""

    pair: int
    size: int
    system: System
    full: Full
    steady: Steady
    missing: int
    copies: int
    refused: int

    @property
    def clean(self) -> bool:
        """Whether everything arrived exactly once and nothing was refused."""
        return not (self.missing or self.copies or self.refused)


@dataclass(frozen=True, slots=True)
class StageCost:
    """One row of the profile."""

    stage: str
    us: float  # CPU time for each document
    share: float  # of the worker's CPU time


@dataclass(frozen=True, slots=True)
class Profile:
    """Where a worker's CPU time goes at one size."""

    size: int
    documents: int
    samples: int
    stages: tuple[StageCost, ...]
    hottest: tuple[StageCost, ...]  # single functions, with what they call in C


@dataclass(frozen=True, slots=True)
class Report:
    """One run."""

    at: str  # RFC 3339
    command: str
    plan: Plan
    machine: Mapping[str, str]
    load_before: tuple[float, float, float]
    legs: tuple[Leg, ...]
    profiles: tuple[Profile, ...] = ()

    def of(self, size: int, system: System) -> list[Leg]:
        """Return the legs of one size and system, by pair."""
        found = [leg for leg in self.legs if leg.size == size and leg.system == system]
        return sorted(found, key=lambda leg: leg.pair)

    def spread(self, size: int, system: System, value: Callable[[Leg], float]) -> Spread:
        """Return a value of all legs of one size and system."""
        return Spread.of(value(leg) for leg in self.of(size, system))

    def ratios(self, size: int) -> list[float]:
        """Return relay / bare for each pair."""
        bare = {leg.pair: leg.full.rate for leg in self.of(size, "bare")}
        return [
            leg.full.rate / bare[leg.pair] for leg in self.of(size, "relay") if bare.get(leg.pair, 0.0) > 0
        ]

    @property
    def clean(self) -> bool:
        """Whether each leg was clean."""
        return all(leg.clean for leg in self.legs)
