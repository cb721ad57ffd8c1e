"""One system under both loads: the ingress queue kept full, then half of the relay's rate."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relay.errors import Code, OperationError
from relay.sandbox import process
from relay.sandbox.bench import profiled, stages
from relay.sandbox.bench.figures import PERCENTS, Notes, percentile
from relay.sandbox.bench.machine import cpu_seconds
from relay.sandbox.bench.plan import RECIPIENTS, Plan, System
from relay.sandbox.bench.results import Full, Leg, Profile, StageCost, Steady
from relay.sandbox.bench.scrape import Inside, inside
from relay.sandbox.bench.site import Site
from relay.sandbox.bench.stock import CHUNK, Stock
from relay.sandbox.bench.talk import Message, Peer

_PATIENCE: Final = 20.0  # seconds for what is on its way when the sender stops
_CALIBRATION: Final = 10 * CHUNK
_MARGIN: Final = 1.5
_PORTION: Final = 120.0  # seconds for one portion at most
_TRIES: Final = 4
_ENOUGH: Final = 0.7  # of a phase: it is counted, shorter, though the documents ran out
_ROLES: Final = ("worker", "keeper", "bare", "broker", "sender", "readers")


@dataclass(frozen=True, slots=True)
class _Phase:
    """What one phase left."""

    answer: Message
    notes: Notes
    cpu: Mapping[str, float]  # seconds by role
    inside: Inside | None

    def cpu_us(self) -> dict[str, float]:
        sent = max(len(self.notes.published), 1)
        return {role: used * 1e6 / sent for role, used in self.cpu.items()}


@dataclass(frozen=True, slots=True)
class Portion:
    """A number of documents under full load."""

    documents: int
    seconds: float  # from the first publish to the last receipt
    missing: int
    refused: int


Fill = Callable[[Stock, int], None]
"""Makes so many documents ready."""


class Runner:
    """Runs phases on a site with its sender and readers; ``fill`` signs what a phase needs before it begins."""

    def __init__(self, site: Site, plan: Plan, sender: Peer, reader: Peer, fill: Fill) -> None:
        self._site = site
        self._fill = fill
        self._plan = plan
        self._sender = sender
        self._reader = reader

    def calibrate(self, system: System, stock: Stock) -> float:
        """Return a rough rate, so that enough documents can be made, and warm up broker and queues."""
        self._fill(stock, _CALIBRATION)
        with self._site.serving(system):
            phase = self._phase(system, stock, min(self._plan.seconds, 5.0), None)
        took = phase.answer["stopped"] - phase.answer["began"]
        return max(len(phase.notes.receipts) / took, 1.0) if took > 0 else 1.0

    def leg(self, pair: int, system: System, stock: Stock, guess: float, steady_rate: float | None) -> Leg:
        """Run one leg.

        Args:
            pair: Its number.
            system: What stands in the relay's place.
            stock: The documents.
            guess: Documents a second that are expected at most, about.
            steady_rate: Of the second phase; None: half of the rate under full load.
        """
        plan, recipients = self._plan, len(RECIPIENTS)
        with self._site.serving(system):
            first = self._full(system, stock, plan.warm + plan.seconds, guess)
            begin, end = first.answer["began"] + plan.warm, first.answer["stopped"]
            rate = first.notes.rate(recipients, begin, end)
            offered = max(steady_rate or rate / 2, 1.0)
            steady_seconds = plan.warm / 2 + plan.seconds
            self._fill(stock, int(offered * steady_seconds) + CHUNK)
            second = self._phase(system, stock, steady_seconds, offered)
        full = self._figures(first, begin, end)
        begin, end = second.answer["began"] + plan.warm / 2, second.answer["stopped"]
        steady = Steady(
            rate=offered,
            achieved=second.notes.rate(recipients, begin, end),
            sent=second.answer["sent"],
            delivery_ms=_percentiles(second.notes.delivery_ms(begin)),
            receipt_ms=_percentiles(second.notes.receipt_ms(begin)),
            sender_late_ms=second.answer["late"] * 1000,
            inside=second.inside,
        )
        both = (first, second)
        return Leg(
            pair=pair,
            size=stock.size,
            system=system,
            full=full,
            steady=steady,
            missing=sum(phase.notes.missing(recipients) for phase in both),
            copies=sum(phase.notes.copies + phase.notes.strangers for phase in both),
            refused=sum(phase.answer["refused"] for phase in both),
        )

    def portion(self, system: System, stock: Stock, chunks: int) -> Portion:
        """Run so many chunks of documents through what serves already, the ingress queue kept full."""
        phase = self._phase(system, stock, _PORTION, None, chunks)
        last = max([*phase.notes.receipts.values(), phase.answer["began"]])
        return Portion(
            documents=len(phase.notes.published),
            seconds=last - phase.answer["began"],
            missing=phase.notes.missing(len(RECIPIENTS)),
            refused=phase.answer["refused"],
        )

    @staticmethod
    def _figures(phase: _Phase, begin: float, end: float) -> Full:
        return Full(
            rate=phase.notes.rate(len(RECIPIENTS), begin, end),
            seconds=end - begin,
            sent=phase.answer["sent"],
            body_bytes=phase.answer["bytes"] / max(phase.answer["sent"], 1),
            cpu_us=phase.cpu_us(),
            ended_early=phase.answer["exhausted"],
            inside=phase.inside,
        )

    def profile(self, stock: Stock, guess: float) -> Profile:
        """Run one worker under the sampler, the ingress queue kept full."""
        out = self._site.home.path / "run" / "profile.json"
        out.unlink(missing_ok=True)
        with self._site.serving("relay", out) as serving:
            self._full("relay", stock, self._plan.warm, guess)
            self._fill(stock, documents_for(guess, self._plan.seconds))
            serving[0].send(profiled.START)
            phase = self._phase("relay", stock, self._plan.seconds, None)
            serving[0].send(profiled.WRITE)
            found = _written(out, serving[0])
        return profile_of(stock.size, len(phase.notes.published), found)

    def _full(self, system: System, stock: Stock, seconds: float, guess: float) -> _Phase:
        """Run a phase of full load; once more with more documents if they ran out before half of it was over."""
        for _ in range(_TRIES):
            self._fill(stock, documents_for(guess, seconds))
            phase = self._phase(system, stock, seconds, None)
            lasted = phase.answer["stopped"] - phase.answer["began"]
            if not phase.answer["exhausted"] or lasted > seconds * _ENOUGH:
                return phase
            guess = max(guess * 2, len(phase.notes.published) / max(lasted, 0.1))
        raise OperationError(Code.SANDBOX_BROKEN, "documents could not be made as fast as they went")

    def _phase(
        self, system: System, stock: Stock, seconds: float, rate: float | None, chunks: int | None = None
    ) -> _Phase:
        folder = self._site.home.path / "run"
        sent, came = folder / "sent", folder / "came"
        self._reader.ask(10.0, do="begin")
        counted = self._site.counters(system)
        before = cpu_seconds(self._site.home.path)
        answer = self._sender.ask(
            seconds + _PATIENCE + 30.0,
            do="send",
            chunks=[str(path) for path in stock.hand_out()[:chunks]],
            seconds=seconds,
            rate=rate,
            window=self._plan.window,
            patience=_PATIENCE,
            out=str(sent),
        )
        self._wait_for_deliveries(answer["sent"] * len(RECIPIENTS))
        after = cpu_seconds(self._site.home.path)
        self._site.check_serving()
        self._reader.ask(30.0, do="end", out=str(came))
        stock.used(answer["begun"])
        told = inside(counted, self._site.counters(system)) if counted else None
        return _Phase(answer, Notes.read(sent, came), used_cpu(before, after), told)

    def _wait_for_deliveries(self, wanted: int) -> None:
        limit = time.monotonic() + _PATIENCE
        while time.monotonic() < limit and self._reader.ask(10.0, do="count")["deliveries"] < wanted:
            time.sleep(0.05)


def documents_for(rate: float, seconds: float) -> int:
    """Return how many documents to have ready for full load at about that rate, with room to spare."""
    return int(rate * seconds * _MARGIN) + 2 * CHUNK


def used_cpu(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return the CPU seconds between two looks by role, all workers together; roles that stood still are left out."""
    used: defaultdict[str, float] = defaultdict(float)
    for role, seconds in after.items():
        name = "worker" if role[:1] == "w" and role[1:].isdigit() else role
        used[name] += seconds - before.get(role, 0.0)
    return {role: used[role] for role in _ROLES if role in used}


def profile_of(size: int, documents: int, found: Mapping[str, Any]) -> Profile:
    """Return the profile from what the sampler wrote."""
    total = sum(found["stages"].values()) or 1.0
    shared = max(documents, 1)

    def costs(seconds: Mapping[str, float], limit: int) -> tuple[StageCost, ...]:
        ordered = sorted(seconds.items(), key=lambda item: -item[1])[:limit]
        return tuple(StageCost(name, used * 1e6 / shared, used / total) for name, used in ordered)

    return Profile(
        size=size,
        documents=documents,
        samples=found["samples"],
        stages=costs(found["stages"], len(stages.STAGES) + 2),
        hottest=costs(found["functions"], 20),
    )


def _percentiles(ordered: Sequence[float]) -> dict[str, float]:
    return {f"p{percent}": percentile(ordered, percent) for percent in PERCENTS}


def _written(out: Path, worker: process.Process) -> Mapping[str, Any]:
    limit = time.monotonic() + 5.0
    while time.monotonic() < limit:
        try:
            found: Mapping[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            time.sleep(0.05)
        else:
            return found
    raise OperationError(Code.SANDBOX_BROKEN, f"worker {worker.pid} wrote no profile")
