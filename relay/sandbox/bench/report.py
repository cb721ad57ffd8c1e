"""The report as Markdown and JSON, and its place on the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any, Final

from relay.errors import Code, OperationError
from relay.sandbox.bench.figures import PERCENTS, Spread
from relay.sandbox.bench.plan import KIB, RECIPIENTS, RSA_EVERY, SIGNERS, System
from relay.sandbox.bench.results import Leg, Profile, Report
from relay.sandbox.bench.scrape import Inside

FIGURES: Final = ("<!-- figures: begin -->", "<!-- figures: end -->")
PROFILE: Final = ("<!-- profile: begin -->", "<!-- profile: end -->")
_SYSTEMS: Final[tuple[System, System]] = ("relay", "bare")
_FLOOR: Final = 0.2  # of the bare loop, at the smallest size
_BUSY: Final = (
    "**The machine was busy with other work when the run began: only the ratios and the CPU times say something, "
    "the rates and latencies do not.**"
)
_ROLES: Final = ("worker", "keeper", "bare", "broker", "sender", "readers")


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as JSON can hold it, numbers short."""
    raw = asdict(report)
    raw["ratios"] = {str(size): report.ratios(size) for size in report.plan.sizes if report.legs}
    short: dict[str, Any] = _short(raw)
    return short


def markdown(report: Report, raw_file: str = "") -> str:
    """Return the figures as Markdown, without a heading of their own."""
    lines = _conditions(report, raw_file)
    for size in report.plan.sizes:
        if report.legs:
            lines += ["", *_size(report, size)]
    for profile in report.profiles:
        lines += ["", *_profile(profile)]
    return "\n".join(lines) + "\n"


def _conditions(report: Report, raw_file: str) -> list[str]:
    plan, facts = report.plan, report.machine
    lines = [
        f"`{report.command}`, {report.at}. {plan.pairs} pairs, {plan.seconds:g} s for each phase, "
        f"{plan.workers} worker{'s' if plan.workers > 1 else ''}, signatures checked `{plan.verify}`, "
        f"{len(RECIPIENTS)} recipients, {len(SIGNERS)} signers "
        f"({len(SIGNERS[::RSA_EVERY])} with RSA-2048, the others with ECDSA P-256)."
        if report.legs
        else f"`{report.command}`, {report.at}. {plan.seconds:g} s of full load under the sampler, "
        f"{plan.workers} worker{'s' if plan.workers > 1 else ''}, signatures checked `{plan.verify}`.",
        "",
        "; ".join(f"{name}: {value}" for name, value in facts.items())
        + f"; load average before the run: {report.load_before[0]:.2f}.",
    ]
    if facts.get("file system") in {"tmpfs", "ramfs"}:
        lines += ["", "**The registry lay in memory, not on a disk: the figures flatter the relay.**"]
    if report.load_before[0] > 0.5:
        lines += [
            "",
            _BUSY,
        ]
    if not report.clean:
        lines += ["", "**Something was missing, doubled or refused: the figures do not count.**"]
    if raw_file:
        lines += ["", f"Every measurement: [{raw_file}]({raw_file})."]
    return lines


def _size(report: Report, size: int) -> list[str]:
    ratio = Spread.of(report.ratios(size))
    body = report.spread(size, "relay", lambda leg: leg.full.body_bytes).median
    lines = [
        f"### {size // KIB} KB",
        "",
        f"Mean size of a package: {body:,.0f} bytes. Median of the pairs (lowest to highest).",
        "",
        "| | relay | bare loop |",
        "| --- | ---: | ---: |",
        _row(report, size, "documents a second, full load", ".0f", lambda leg: leg.full.rate),
        f"| **relay / bare loop, by pair** | **{ratio.written('.2f')}** | |",
        _row(report, size, "offered for latency, documents a second", ".0f", lambda leg: leg.steady.rate),
        _row(report, size, "done of them", ".0f", lambda leg: leg.steady.achieved),
    ]
    lines += [
        _row(report, size, f"publish to {what}, p{percent}, ms", ".1f", _latency(what, percent))
        for what in ("arrival", "receipt")
        for percent in PERCENTS
    ]
    lines += [_cpu_row(report, size, role) for role in _ROLES]
    lines += ["", "By pair, documents a second: " + _pairs(report, size) + "."]
    lines += _insides(report, size)
    if size == min(report.plan.sizes) and ratio.median < _FLOOR:
        lines += ["", f"**Below {_FLOOR} of the bare loop.**"]
    return lines


def _latency(what: str, percent: int) -> Callable[[Leg], float]:
    def value(leg: Leg) -> float:
        steady = leg.steady
        return (steady.delivery_ms if what == "arrival" else steady.receipt_ms)[f"p{percent}"]

    return value


def _row(report: Report, size: int, name: str, form: str, value: Callable[[Leg], float]) -> str:
    cells = [report.spread(size, system, value).written(form) for system in _SYSTEMS]
    return f"| {name} | {' | '.join(cells)} |"


def _cpu_row(report: Report, size: int, role: str) -> str:
    cells = []
    for system in _SYSTEMS:
        found = [leg.full.cpu_us[role] for leg in report.of(size, system) if role in leg.full.cpu_us]
        cells.append(Spread.of(found).written(".0f") if found else "")
    name = {"bare": "bare loop", "worker": "workers"}.get(role, role)
    return f"| CPU for each document, {name}, µs | {' | '.join(cells)} |"


def _insides(report: Report, size: int) -> list[str]:
    lines = []
    loads: tuple[tuple[str, Callable[[Leg], Inside | None]], ...] = (
        ("full load", lambda leg: leg.full.inside),
        ("the steady rate", lambda leg: leg.steady.inside),
    )
    for name, of in loads:
        found = [one for leg in report.of(size, "relay") if (one := of(leg)) is not None]
        if not found:
            continue
        stages = ", ".join(
            f"{stage} {median(one.stage_ms.get(stage, 0.0) for one in found):.1f}"
            for stage in found[0].stage_ms
        )
        sentence = f"Inside the relay at {name}, mean ms of a document in each stage: {stages}."
        if any(one.in_commit for one in found):
            took, shared = median(one.commit_ms for one in found), median(one.in_commit for one in found)
            sentence += f" A commit takes {took:.1f} ms and is shared by {shared:.1f} claims and settlements."
        lines += ["", sentence]
    return lines


def _pairs(report: Report, size: int) -> str:
    bare = {leg.pair: leg.full.rate for leg in report.of(size, "bare")}
    return ", ".join(
        f"{leg.full.rate:.0f} / {bare[leg.pair]:.0f}" for leg in report.of(size, "relay") if leg.pair in bare
    )


def _profile(profile: Profile) -> list[str]:
    head = (
        f"{profile.documents} documents, {profile.samples} samples of the main thread, the other threads by "
        "their own clocks."
    )
    return [
        f"### Profile at {profile.size // KIB} KB",
        "",
        head,
        "",
        "| stage | µs for each document | share |",
        "| --- | ---: | ---: |",
        *(f"| {one.stage} | {one.us:.0f} | {one.share:.0%} |" for one in profile.stages),
        f"| all | {sum(one.us for one in profile.stages):.0f} | 100% |",
        "",
        "The functions that used most, with what they call in libraries:",
        "",
        "| function | µs for each document | share |",
        "| --- | ---: | ---: |",
        *(f"| `{one.stage}` | {one.us:.0f} | {one.share:.0%} |" for one in profile.hottest),
    ]


def place(page: str, marks: tuple[str, str], text: str) -> str:
    """Return the page with what stands between two marks replaced.

    Raises:
        OperationError: NOT-FOUND: the page has no such marks.
    """
    begin, end = marks
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise OperationError(Code.NOT_FOUND, f"no {begin} … {end} on the page")
    return f"{before}{begin}\n{text.strip()}\n{end}{after}"


def write(report: Report, out: Path) -> list[Path]:
    """Write the report and return the files: JSON to a ``.json``; on a page with marks between them, its raw data
    beside it in a folder of the page's name; else a page of its own.

    Raises:
        OperationError: NOT-FOUND: the page lacks the marks.
    """
    if out.suffix == ".json":
        _write_json(report, out)
        return [out]
    marks = FIGURES if report.legs else PROFILE
    plan = report.plan
    kind = "profile" if report.profiles else "figures"
    raw = out.with_suffix("") / f"{kind}-{plan.workers}-{plan.verify}.json"
    raw.parent.mkdir(parents=True, exist_ok=True)
    _write_json(report, raw)
    text = markdown(report, raw.relative_to(out.parent).as_posix())
    if out.exists():
        text = place(out.read_text(encoding="utf-8"), marks, text)
    out.write_text(text, encoding="utf-8")
    return [out, raw]


def _write_json(report: Report, out: Path) -> None:
    out.write_text(json.dumps(as_json(report), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _short(value: Any) -> Any:  # noqa: ANN401 - whatever JSON can hold
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {key: _short(one) for key, one in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_short(one) for one in value]
    return value
