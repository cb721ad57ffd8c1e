"""One system under both loads: the ingress queue kept full, then half of the relay's rate."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
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
from relay.sandbox.bench.site import Site
from relay.sandbox.bench.stock import Stock
from relay.sandbox.bench.talk import Message, Peer

_PATIENCE: Final = 20.0  # seconds for what is on its way when the sender stops
_ROLES: Final = ("worker", "keeper", "bare", "broker", "sender", "readers")


@dataclass(frozen=True, slots=True)
class _Phase:
    """What one phase left."""

    answer: Message
    notes: Notes
    cpu: Mapping[str, float]  # seconds by role

    def cpu_us(self) -> dict[str, float]:
        sent = max(len(self.notes.published), 1)
        return {role: used * 1e6 / sent for role, used in self.cpu.items()}


class Runner:
    """Runs phases on a site with its sender and readers."""

    def __init__(self, site: Site, plan: Plan, sender: Peer, reader: Peer) -> None:
        self._site = site
        self._plan = plan
        self._sender = sender
        self._reader = reader

    def calibrate(self, system: System, stock: Stock) -> float:
        """Return a rough rate from what is ready, so that enough documents can be made."""
        with self._site.serving(system):
            phase = self._phase(stock, min(self._plan.seconds, 5.0), None)
        took = phase.answer["stopped"] - phase.answer["began"]
        return len(phase.notes.receipts) / took if took else 0.0

    def leg(self, pair: int, system: System, stock: Stock, steady_rate: float | None) -> Leg:
        """Run one leg. ``steady_rate`` None: half of the rate that this leg has under full load."""
        plan, recipients = self._plan, len(RECIPIENTS)
        with self._site.serving(system):
            first = self._phase(stock, plan.warm + plan.seconds, None)
            begin, end = first.answer["began"] + plan.warm, first.answer["stopped"]
            rate = first.notes.rate(recipients, begin, end)
            offered = steady_rate or rate / 2
            second = self._phase(stock, plan.warm / 2 + plan.seconds, offered)
        full = Full(
            rate=rate,
            seconds=end - begin,
            sent=first.answer["sent"],
            body_bytes=first.answer["bytes"] / max(first.answer["sent"], 1),
            cpu_us=first.cpu_us(),
            ended_early=first.answer["exhausted"],
        )
        begin, end = second.answer["began"] + plan.warm / 2, second.answer["stopped"]
        steady = Steady(
            rate=offered,
            achieved=second.notes.rate(recipients, begin, end),
            sent=second.answer["sent"],
            delivery_ms=_percentiles(second.notes.delivery_ms(begin)),
            receipt_ms=_percentiles(second.notes.receipt_ms(begin)),
            sender_late_ms=second.answer["late"] * 1000,
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

    def profile(self, stock: Stock) -> Profile:
        """Run one worker under the sampler, the ingress queue kept full."""
        out = self._site.home.path / "run" / "profile.json"
        out.unlink(missing_ok=True)
        with self._site.serving("relay", out) as serving:
            self._phase(stock, self._plan.warm, None)
            serving[0].send(profiled.START)
            phase = self._phase(stock, self._plan.seconds, None)
            serving[0].send(profiled.WRITE)
            found = _written(out, serving[0])
        return profile_of(stock.size, len(phase.notes.published), found)

    def _phase(self, stock: Stock, seconds: float, rate: float | None) -> _Phase:
        folder = self._site.home.path / "run"
        sent, came = folder / "sent", folder / "came"
        self._reader.ask(10.0, do="begin")
        before = cpu_seconds(self._site.home.path)
        answer = self._sender.ask(
            seconds + _PATIENCE + 30.0,
            do="send",
            chunks=[str(path) for path in stock.hand_out()],
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
        return _Phase(answer, Notes.read(sent, came), used_cpu(before, after))

    def _wait_for_deliveries(self, wanted: int) -> None:
        limit = time.monotonic() + _PATIENCE
        while time.monotonic() < limit and self._reader.ask(10.0, do="count")["deliveries"] < wanted:
            time.sleep(0.05)


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
