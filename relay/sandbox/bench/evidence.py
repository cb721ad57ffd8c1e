"""What evidence costs: the relay as it is beside one that puts nothing on record, taking turns on one broker and registry.

Told are the CPU time of workers and keeper for each document with the ingress queue kept full, and the space that the
evidence takes in the registry, all its indices and the room left in its pages included.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from relay.model.times import rfc3339
from relay.registry.examine import evidence_bytes
from relay.sandbox.bench import machine
from relay.sandbox.bench.figures import Spread
from relay.sandbox.bench.legs import Runner
from relay.sandbox.bench.plan import KIB, RECIPIENTS, Plan
from relay.sandbox.bench.site import Say, site
from relay.sandbox.bench.stock import Stock

Way = Literal["relay", "unrecorded"]
_SEED: Final = 6_2026


@dataclass(frozen=True, slots=True)
class Turn:
    """One way of running the relay, under full load once."""

    pair: int
    way: Way
    documents: int
    rate: float  # documents a second
    worker_us: float  # CPU time of the workers for each document
    keeper_us: float
    evidence_bytes: float  # of the registry's growth, for each document
    missing: int


@dataclass(frozen=True, slots=True)
class EvidenceReport:
    """The figures of a run."""

    at: str
    command: str
    seconds: float
    size: int
    recipients: int
    machine: dict[str, str]
    load_before: float
    turns: tuple[Turn, ...]

    def _pairs(self) -> list[tuple[Turn, Turn]]:
        own = {turn.pair: turn for turn in self.turns if turn.way == "relay"}
        other = {turn.pair: turn for turn in self.turns if turn.way == "unrecorded"}
        return [(own[pair], other[pair]) for pair in sorted(own) if pair in other]

    def growth(self) -> Spread:
        """Return by how much the workers' CPU time for a document grows, percent, over the pairs."""
        return Spread.of((one.worker_us / two.worker_us - 1) * 100 for one, two in self._pairs())

    def growth_with_keeper(self) -> Spread:
        """Return the same with the keeper's time, which is not that of a document alone."""
        return Spread.of(
            ((one.worker_us + one.keeper_us) / (two.worker_us + two.keeper_us) - 1) * 100
            for one, two in self._pairs()
        )

    def extra_us(self) -> Spread:
        """Return the microseconds of the workers' CPU time for a document."""
        return Spread.of(one.worker_us - two.worker_us for one, two in self._pairs())

    def space(self) -> Spread:
        """Return the bytes of evidence for a document."""
        return Spread.of(turn.evidence_bytes for turn in self.turns if turn.way == "relay")

    @property
    def clean(self) -> bool:
        """Whether everything arrived."""
        return not any(turn.missing for turn in self.turns)


def run_evidence(
    folder: Path, *, size: int, seconds: float, pairs: int, workers: int, command: str, say: Say = print
) -> EvidenceReport:
    """Measure.

    Args:
        folder: Where the sandbox is made; it must not hold one. It stays.
        size: Bytes of a signed package, about.
        seconds: Length of one turn.
        pairs: How often each way has its turn.
        workers: Workers of the relay.
        command: The command line, for the report.
        say: Takes each line for people.

    Raises:
        OperationError: BROKER-MISSING, SANDBOX-LOCKED, SANDBOX-BROKEN: what was measured did not stand it.
    """
    load_before = os.getloadavg()[0]
    plan = Plan(seconds=seconds, pairs=pairs, sizes=(size,), workers=workers)
    turns: list[Turn] = []
    with site(folder, plan, say) as place, place.load() as (sender, reader):
        facts = machine.facts(folder, place.broker_version)

        def fill(stock: Stock, documents: int) -> None:
            if made := stock.fill(documents, datetime.now(UTC)):
                say(f"{made} documents signed")

        runner = Runner(place, plan, sender, reader, fill)
        stock = Stock(folder / "documents", size, place.signers, RECIPIENTS, _SEED)
        registry = place.home.registry_url
        try:
            guess = runner.calibrate("relay", stock)
            for pair in range(pairs):
                ways: tuple[Way, Way] = ("relay", "unrecorded")
                for way in ways if pair % 2 == 0 else reversed(ways):
                    before = evidence_bytes(registry)
                    full, missing = runner.full(way, stock, guess)
                    grown = evidence_bytes(registry) - before
                    guess = max(full.rate, 1.0)
                    turns.append(
                        Turn(
                            pair=pair,
                            way=way,
                            documents=full.sent,
                            rate=full.rate,
                            worker_us=full.cpu_us.get("worker", 0.0),
                            keeper_us=full.cpu_us.get("keeper", 0.0),
                            evidence_bytes=grown / max(full.sent, 1),
                            missing=missing,
                        )
                    )
                    say(told(turns[-1], pairs))
        finally:
            shutil.rmtree(folder / "documents", ignore_errors=True)
    return EvidenceReport(
        at=rfc3339(datetime.now(UTC)),
        command=command,
        seconds=seconds,
        size=size,
        recipients=len(RECIPIENTS),
        machine=facts,
        load_before=load_before,
        turns=tuple(turns),
    )


def told(turn: Turn, pairs: int) -> str:
    """Return a turn in one line."""
    trouble = f"; MISSING {turn.missing}" if turn.missing else ""
    name = "with evidence" if turn.way == "relay" else "without"
    return (
        f"pair {turn.pair + 1} of {pairs}, {name}: {turn.rate:.0f} documents/s, workers {turn.worker_us:.0f} µs"
        f" of CPU for each, keeper {turn.keeper_us:.0f} µs, evidence {turn.evidence_bytes:.0f} bytes{trouble}"
    )


def as_json(report: EvidenceReport) -> dict[str, Any]:
    """Return the report as JSON knows it, with the spreads over the pairs."""
    return {
        **asdict(report),
        "growth_percent": asdict(report.growth()),
        "growth_with_keeper_percent": asdict(report.growth_with_keeper()),
        "extra_us": asdict(report.extra_us()),
        "bytes": asdict(report.space()),
        "clean": report.clean,
    }


def markdown(report: EvidenceReport) -> str:
    """Return the report for people."""
    head = (
        f"Evidence: {len(report.turns) // 2} pairs of {report.seconds:g} s, documents of {report.size // KIB} KB to"
        f" {report.recipients} recipients, load before {report.load_before:.2f}"
    )
    lines = [
        head,
        "",
        "| of each document | median (lowest to highest pair) |",
        "| --- | --- |",
        f"| CPU time of the workers grows by | {report.growth().written('.1f')} % |",
        f"| the same, keeper included | {report.growth_with_keeper().written('.1f')} % |",
        f"| CPU time of the workers for evidence | {report.extra_us().written('.0f')} µs |",
        f"| space of the evidence | {report.space().written('.0f')} bytes |",
        "",
    ]
    return "\n".join(lines)
