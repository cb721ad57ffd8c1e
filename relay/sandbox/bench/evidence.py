"""What evidence costs: the same workers with it and without it, taking turns on one broker and registry.

A worker is told before each turn whether it puts anything on record (``switched``). A turn is a fixed number of
documents with the ingress queue kept full; four make a pair, with and without in the order A B B A and then B A A B, so that
what drifts helps neither. Told is the CPU time of the workers for each document, by the pairs, and the space that the
evidence takes in the registry, all its indices and the room left in its pages included. The keeper seals later, so turns do
not tell what it does: what it uses when nothing flows, which is mostly the check of the whole log round and round, is told as
a share of a core, and all that it uses beyond that while documents flow is counted for the evidence.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any, Final, Literal

from relay.model.times import rfc3339
from relay.registry.examine import evidence_bytes
from relay.sandbox.bench import machine
from relay.sandbox.bench.figures import Estimate, Spread
from relay.sandbox.bench.legs import Portion, Runner
from relay.sandbox.bench.plan import KIB, RECIPIENTS, Plan
from relay.sandbox.bench.run import ended_by_signals
from relay.sandbox.bench.site import Say, site
from relay.sandbox.bench.stock import CHUNK, Stock
from relay.sandbox.bench.switched import RECORDING, SILENT
from relay.sandbox.process import Process

Way = Literal["relay", "unrecorded"]
_SEED: Final = 6_2026
_ORDERS: Final[tuple[tuple[Way, ...], ...]] = (
    ("relay", "unrecorded", "unrecorded", "relay"),
    ("unrecorded", "relay", "relay", "unrecorded"),
)
_WARM: Final = (*_ORDERS[0], *_ORDERS[1])  # before the first pair: caches, connections, the file's pages
_SETTLED: Final = 0.2  # seconds: the last commits of a turn
_SEALED: Final = 12.0  # seconds after which all is sealed, with the settings that a relay has by default
_IDLE: Final = 20.0  # seconds over which the keeper is watched when nothing flows
_LEAST: Final = 2  # chunks of a turn


@dataclass(frozen=True, slots=True)
class Turn:
    """A number of documents, put on record or not."""

    pair: int
    way: Way
    documents: int
    rate: float  # documents a second
    worker_us: float  # CPU time of the workers for each document
    missing: int


@dataclass(frozen=True, slots=True)
class EvidenceReport:
    """The figures of a run."""

    at: str
    command: str
    documents: int  # of one turn
    size: int
    recipients: int
    machine: dict[str, str]
    load_before: float
    turns: tuple[Turn, ...]
    space: tuple[float, ...]  # bytes of the evidence in the registry, for each document on record, by pair
    keeper_us: (
        float  # CPU time of the keeper for each document on record, beyond what it uses when nothing flows
    )
    keeper_idle: float  # CPU seconds that it uses in a second when nothing flows

    def _pairs(self) -> list[tuple[float, float]]:
        """Return of each pair the time with evidence and without."""
        found = []
        for pair in sorted({turn.pair for turn in self.turns}):
            own, other = (
                [turn.worker_us for turn in self.turns if (turn.pair, turn.way) == (pair, way)]
                for way in ("relay", "unrecorded")
            )
            if own and other:
                found.append((fmean(own), fmean(other)))
        return found

    def growth(self) -> list[float]:
        """Return by how much the workers' CPU time for a document grows, percent, of each pair."""
        return [(one / two - 1) * 100 for one, two in self._pairs()]

    def growth_with_keeper(self) -> list[float]:
        """Return the same if all that the keeper does when documents flow is done for the evidence."""
        return [((one + self.keeper_us) / two - 1) * 100 for one, two in self._pairs()]

    def extra_us(self) -> list[float]:
        """Return the microseconds of the workers' CPU time for a document, of each pair."""
        return [one - two for one, two in self._pairs()]

    def without_us(self) -> list[float]:
        """Return the microseconds for a document that is not put on record, of each pair."""
        return [two for _, two in self._pairs()]

    @property
    def clean(self) -> bool:
        """Whether everything arrived."""
        return not any(turn.missing for turn in self.turns)


class _Meter:
    """Tells the workers, lets documents through, and reads what it took."""

    def __init__(
        self, runner: Runner, stock: Stock, serving: Sequence[Process], home: Path, chunks: int
    ) -> None:
        self._runner = runner
        self._stock = stock
        self._workers, self._keeper = list(serving[:-1]), serving[-1]
        self._home = home
        self._chunks = chunks

    def turn(self, pair: int, way: Way) -> Turn:
        """Run one turn."""
        for worker in self._workers:
            worker.send(RECORDING if way == "relay" else SILENT)
        time.sleep(_SETTLED)
        before = self._used()
        done: Portion = self._runner.portion("switched", self._stock, self._chunks)
        time.sleep(_SETTLED)
        used = self._used() - before
        return Turn(
            pair=pair,
            way=way,
            documents=done.documents,
            rate=done.documents / done.seconds if done.seconds else 0.0,
            worker_us=used * 1e6 / max(done.documents, 1),
            missing=done.missing + done.refused,
        )

    def _used(self) -> float:
        return sum(machine.thread_seconds(worker.pid) for worker in self._workers)

    def keeper(self) -> float:
        """Return the CPU seconds that the keeper has used."""
        return machine.thread_seconds(self._keeper.pid)


def run_evidence(
    folder: Path,
    *,
    size: int,
    seconds: float,
    pairs: int,
    workers: int,
    command: str,
    say: Say = print,
    wait: Callable[[float], None] = time.sleep,
) -> EvidenceReport:
    """Measure.

    Args:
        folder: Where the sandbox is made; it must not hold one. It stays.
        size: Bytes of a signed package, about.
        seconds: About how long a turn takes; all have the same number of documents.
        pairs: How often with and without are held against each other, two turns of each.
        workers: Workers of the relay.
        command: The command line, for the report.
        say: Takes each line for people.
        wait: Waits so many seconds, until all is sealed.

    Raises:
        OperationError: BROKER-MISSING, SANDBOX-LOCKED, SANDBOX-BROKEN: what was measured did not stand it.
    """
    load_before = os.getloadavg()[0]
    plan = Plan(seconds=seconds, pairs=pairs, sizes=(size,), workers=workers)
    turns: list[Turn] = []
    space: list[float] = []
    with ended_by_signals(), site(folder, plan, say) as place, place.load() as (sender, reader):
        facts = machine.facts(folder, place.broker_version)

        def fill(stock: Stock, documents: int) -> None:
            if made := stock.fill(documents, datetime.now(UTC)):
                say(f"{made} documents signed")

        runner = Runner(place, plan, sender, reader, fill)
        stock = Stock(folder / "documents", size, place.signers, RECIPIENTS, _SEED)
        registry = place.home.registry_url
        try:
            chunks = max(_LEAST, round(runner.calibrate("relay", stock) * seconds / CHUNK))
            say(f"{chunks * CHUNK} documents in each turn, four turns in a pair")
            fill(stock, chunks * CHUNK * (4 * pairs + len(_WARM)))
            with place.serving("switched") as serving:
                meter = _Meter(runner, stock, serving, folder, chunks)
                for way in _WARM:
                    meter.turn(-1, way)
                used, began, bytes_then = meter.keeper(), time.monotonic(), evidence_bytes(registry)
                for pair in range(pairs):
                    own = [meter.turn(pair, way) for way in _ORDERS[pair % 2]]
                    turns += own
                    bytes_now = evidence_bytes(registry)
                    space.append((bytes_now - bytes_then) / _recorded(own))
                    bytes_then = bytes_now
                    say(told(own, pairs))
                wait(_SEALED)
                used, took = meter.keeper() - used, time.monotonic() - began
                still, since = meter.keeper(), time.monotonic()
                wait(_IDLE)
                idle = (meter.keeper() - still) / (time.monotonic() - since)
                keeper_us = max(used - idle * took, 0.0) * 1e6 / _recorded(turns)
        finally:
            shutil.rmtree(folder / "documents", ignore_errors=True)
    return EvidenceReport(
        at=rfc3339(datetime.now(UTC)),
        command=command,
        documents=chunks * CHUNK,
        size=size,
        recipients=len(RECIPIENTS),
        machine=facts,
        load_before=load_before,
        turns=tuple(turns),
        space=tuple(space),
        keeper_us=keeper_us,
        keeper_idle=idle,
    )


def _recorded(turns: Sequence[Turn]) -> int:
    return max(sum(turn.documents for turn in turns if turn.way == "relay"), 1)


def told(turns: Sequence[Turn], pairs: int) -> str:
    """Return a pair in one line."""

    def of(way: Way) -> str:
        return " and ".join(f"{turn.worker_us:.0f}" for turn in turns if turn.way == way)

    missing = sum(turn.missing for turn in turns)
    trouble = f"; MISSING {missing}" if missing else ""
    rate = fmean([turn.rate for turn in turns])
    return (
        f"pair {turns[0].pair + 1} of {pairs}: {of('relay')} µs of CPU with evidence, {of('unrecorded')} without,"
        f" {rate:.0f} documents/s{trouble}"
    )


def as_json(report: EvidenceReport) -> dict[str, Any]:
    """Return the report as JSON knows it, with spreads and estimates over the pairs."""
    figures = {
        "growth_percent": report.growth(),
        "growth_with_keeper_percent": report.growth_with_keeper(),
        "extra_us": report.extra_us(),
        "without_us": report.without_us(),
    }
    return {
        **asdict(report),
        **{
            name: {"pairs": values, **asdict(Spread.of(values)), "estimate": asdict(Estimate.of(values))}
            for name, values in figures.items()
        },
        "space_bytes": asdict(Spread.of(report.space)),
        "clean": report.clean,
    }


def markdown(report: EvidenceReport) -> str:
    """Return the report for people."""

    def row(name: str, values: Sequence[float], form: str, unit: str) -> str:
        estimate = Estimate.of(values)
        return f"| {name} | {estimate.written(form)} {unit} | {Spread.of(values).written(form)} {unit} |"

    growth = report.growth()
    sure = Estimate.of(growth).confidence
    head = (
        f"Evidence: {len(growth)} pairs of 4 turns of {report.documents} documents of {report.size // KIB} KB to"
        f" {report.recipients} recipients, load before {report.load_before:.2f}"
    )
    lines = [
        head,
        "",
        f"| of each document | estimate (with {sure * 100:.0f} % between) | median (lowest to highest pair) |",
        "| --- | --- | --- |",
        row("CPU time of the workers grows by", growth, ".1f", "%"),
        row("the same with the keeper's", report.growth_with_keeper(), ".1f", "%"),
        row("CPU time of the workers for evidence", report.extra_us(), ".0f", "µs"),
        row("CPU time of the workers without it", report.without_us(), ".0f", "µs"),
        f"| CPU time of the keeper | {report.keeper_us:.0f} µs | |",
        f"| the keeper when nothing flows | {report.keeper_idle * 100:.1f} % of a core | |",
        f"| space of the evidence | | {Spread.of(report.space).written('.0f')} bytes |",
        "",
    ]
    return "\n".join(lines)
