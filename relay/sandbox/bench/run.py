"""The order of a run: sandbox, calibration, pairs by size, profile."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from types import FrameType
from typing import Final

from relay.model.times import rfc3339
from relay.sandbox.bench import machine
from relay.sandbox.bench.legs import Runner
from relay.sandbox.bench.plan import KIB, RECIPIENTS, Plan, System, first_system
from relay.sandbox.bench.results import Leg, Profile, Report
from relay.sandbox.bench.site import Say, site
from relay.sandbox.bench.stock import Stock

_SEED: Final = 28_2018


def run_bench(
    folder: Path, plan: Plan, *, command: str = "truc bench", keep: bool = False, say: Say = print
) -> Report:
    """Measure the whole path beside the bare loop and return the figures.

    Args:
        folder: Where the sandbox is made; it must not hold one. On the disk that a registry would be on.
        plan: What to measure.
        command: The command line, for the report.
        keep: Leave the folder there.
        say: Takes each line for people.

    Raises:
        OperationError: BROKER-MISSING, SANDBOX-LOCKED, SANDBOX-BROKEN: what was measured did not stand it.
    """
    load_before = os.getloadavg()
    began = time.monotonic()
    legs: list[Leg] = []
    profiles: list[Profile] = []
    fresh = not folder.exists()
    with ended_by_signals(), _removed(folder, remove=fresh and not keep):
        with site(folder, plan, say) as place, place.load() as (sender, reader):
            facts = machine.facts(folder, place.broker_version)

            def fill(stock: Stock, documents: int) -> None:
                made = stock.fill(documents, datetime.now(UTC))
                if made:
                    say(f"{stock.size // KIB} KB: {made} documents signed")

            runner = Runner(place, plan, sender, reader, fill)
            for number, size in enumerate(plan.sizes):
                stock = Stock(folder / "documents", size, place.signers, RECIPIENTS, _SEED + number)
                if plan.profile:
                    profiles.append(_profile(runner, stock, say))
                else:
                    legs += _size(runner, plan, stock, say)
        say(f"done in {time.monotonic() - began:.0f} s")
    return Report(
        at=rfc3339(datetime.now(UTC)),
        command=command,
        plan=plan,
        machine=facts,
        load_before=load_before,
        legs=tuple(legs),
        profiles=tuple(profiles),
    )


def _size(runner: Runner, plan: Plan, stock: Stock, say: Say) -> list[Leg]:
    systems: tuple[System, ...] = ("relay", "bare")
    guess = {system: runner.calibrate(system, stock) for system in systems}
    say(f"{stock.size // KIB} KB: about {guess['relay']:.0f}/s relay, {guess['bare']:.0f}/s bare loop")
    legs: list[Leg] = []
    for pair in range(plan.pairs):
        for system in first_system(pair):
            known = [leg.full.rate for leg in legs if leg.system == "relay"]
            leg = runner.leg(pair, system, stock, guess[system], median(known) / 2 if known else None)
            legs.append(leg)
            guess[system] = max(leg.full.rate, 1.0)
            say(told(leg, plan))
    return legs


def _profile(runner: Runner, stock: Stock, say: Say) -> Profile:
    guess = runner.calibrate("relay", stock)
    say(f"{stock.size // KIB} KB: profile")
    return runner.profile(stock, guess)


def told(leg: Leg, plan: Plan) -> str:
    """Return a leg in one line."""
    trouble = "" if leg.clean else f"; MISSING {leg.missing}, COPIES {leg.copies}, REFUSED {leg.refused}"
    early = "; ended early, no document was left" if leg.full.ended_early else ""
    steady = leg.steady
    return (
        f"{leg.size // KIB} KB, pair {leg.pair + 1} of {plan.pairs}, {leg.system}: {leg.full.rate:.0f} documents/s; "
        f"at {steady.rate:.0f}/s p50 {steady.delivery_ms['p50']:.1f} ms, p99 {steady.delivery_ms['p99']:.1f} ms"
        f"{trouble}{early}"
    )


@contextmanager
def _removed(folder: Path, *, remove: bool) -> Iterator[None]:
    try:
        yield
    finally:
        if remove:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            shutil.rmtree(folder / "documents", ignore_errors=True)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Make SIGTERM and SIGHUP end the run as Ctrl-C does, so that nothing is left behind."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
