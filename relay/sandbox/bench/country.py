"""The directory at the size of a country: import, start, resolve, search, memory; plan and apply beside a real broker.

Each figure that a process has for itself (start, memory) is taken in a process of its own.
"""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

from relay.broker.plan import plan, read_live
from relay.broker.topology import TopologyConfig, desired_topology
from relay.directory import history
from relay.directory.file import load
from relay.directory.importing import Proposal, propose
from relay.directory.search import AgencyIndex
from relay.directory.tables import read
from relay.errors import Code, OperationError
from relay.model.agency import Agency
from relay.model.levels import Level
from relay.model.times import rfc3339
from relay.sandbox import provision
from relay.sandbox.bench import machine
from relay.sandbox.bench.broker import lone_broker
from relay.sandbox.bench.site import Say
from relay.sandbox.config import RELAY_USER

AGENCIES: Final = 111_000
CONNECTED: Final = 3_000
CHANGES: Final = 10
_QUESTIONS: Final = 1_000
_SEED: Final = 20_250_701
_DAY: Final = date(2026, 1, 5)
_BODIES: Final = (
    "Sở Nội vụ", "Sở Tài chính", "Sở Xây dựng", "Sở Y tế", "Sở Giáo dục và Đào tạo", "Sở Khoa học và Công nghệ",
    "Sở Nông nghiệp và Môi trường", "Sở Công Thương", "Sở Tư pháp", "Thanh tra tỉnh", "Văn phòng UBND tỉnh",
    "Ban Quản lý khu công nghiệp",
)  # fmt: skip
_UNITS: Final = (
    "Phòng Tổ chức", "Phòng Kế hoạch", "Văn phòng", "Trung tâm Dịch vụ công", "Chi cục Thuế", "Trường Trung học cơ sở",
    "Trạm Y tế", "Ủy ban nhân dân xã", "Ủy ban nhân dân phường", "Ủy ban nhân dân thị trấn",
)  # fmt: skip
_PLACES: Final = (
    "An", "Bình", "Châu", "Đông", "Hà", "Hòa", "Hưng", "Khánh", "Lâm", "Long", "Minh", "Mỹ", "Nam", "Ngọc", "Phú",
    "Quang", "Sơn", "Tân", "Tây", "Thạnh", "Thành", "Thịnh", "Trung", "Vĩnh", "Xuân", "Yên",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CountryReport:
    """The figures of a run. Times in seconds unless they say otherwise."""

    at: str
    command: str
    machine: dict[str, str]
    load_before: float
    agencies: int
    imported: float
    started: float
    memory_mib: float
    memory_peak_mib: float
    resolve_us: float
    index: float
    search_p50_ms: float
    search_p99_ms: float
    connected: int
    first_apply: float
    planned: float
    applied: float


def country(count: int) -> Iterator[Agency]:
    """Yield so many agencies: provinces, their bodies, and units and communes under these, named by chance."""
    chance = random.Random(_SEED)

    def place() -> str:
        return " ".join(chance.sample(_PLACES, 2))

    made = 0
    for number in range(1, 64):
        province = f"H{number:02d}"
        name = place()
        whole = max(1, (count - made) // (64 - number))
        yield _agency(province, f"Ủy ban nhân dân tỉnh {name}", Level.PROVINCE, province)
        left = whole - 1
        for body in range(1, 100):
            if left <= 0:
                break
            code = f"{province}.{body:02d}"
            level = Level.PROVINCE if body < 30 else Level.DISTRICT
            yield _agency(code, f"{chance.choice(_BODIES)} {name} {place()}", level, province)
            left -= 1
            for unit in range(1, min(left, 40 if body < 99 else left) + 1):
                below = Level.PROVINCE if body < 30 else Level.COMMUNE
                yield _agency(
                    f"{code}.{unit:03d}", f"{chance.choice(_UNITS)} {place()} {unit}", below, province
                )
                left -= 1
        made += whole


def run_country(
    folder: Path, *, count: int = AGENCIES, connected: int = CONNECTED, command: str = "", say: Say = print
) -> CountryReport:
    """Measure the directory with ``count`` agencies, and the topology of ``connected`` ones.

    Args:
        folder: Where files and broker are made; it must not hold a sandbox. It stays.
        count: Agencies of the directory.
        connected: Agencies with a queue of their own.
        command: The command line, for the report.
        say: Takes each line for people.

    Raises:
        OperationError: BROKER-MISSING, SANDBOX-LOCKED, TOPOLOGY-NOT-READY.
    """
    load_before = os.getloadavg()[0]
    folder.mkdir(parents=True, exist_ok=True)
    listed, target = folder / "list.csv", folder / "country.json"
    written = _list(listed, country(count))
    say(f"{written} agencies listed")
    imported = _took(lambda: _import(listed, target))
    say(f"imported in {imported:.1f} s")
    alone = _alone(target)
    say(f"a process starts with them in {alone['seconds']:.1f} s")
    directory = load(target)
    resolve_us = _resolved(directory.resolve, [agency.code for agency in directory.agencies()])
    began = time.perf_counter()
    index = AgencyIndex(directory.agencies())
    indexed = time.perf_counter() - began
    p50, p99 = _searched(index, [agency.name for agency in directory.agencies()])
    say(f"resolve {resolve_us:.1f} µs, search p99 {p99:.1f} ms")
    first, planned, applied, version = _topology(folder / "broker", connected, say)
    return CountryReport(
        at=rfc3339(datetime.now(UTC)),
        command=command,
        machine=machine.facts(folder, version),
        load_before=load_before,
        agencies=written,
        imported=imported,
        started=alone["seconds"],
        memory_mib=alone["memory_mib"],
        memory_peak_mib=alone["peak_mib"],
        resolve_us=resolve_us,
        index=indexed,
        search_p50_ms=p50,
        search_p99_ms=p99,
        connected=connected,
        first_apply=first,
        planned=planned,
        applied=applied,
    )


def markdown(report: CountryReport) -> str:
    """Return the figures as Markdown, without a heading of their own."""
    facts = "; ".join(f"{name}: {value}" for name, value in report.machine.items())
    lines = [
        f"`{report.command}`, {report.at}.",
        "",
        f"{facts}; load average before the run: {report.load_before:.2f}.",
        "",
        f"| {report.agencies:,} agencies | |",
        "| --- | ---: |",
        f"| import from CSV, checked, with history | {report.imported:.1f} s |",
        f"| start of a process with them | {report.started:.1f} s |",
        f"| memory over an empty process, then, at the peak | {report.memory_mib:.0f} MiB, {report.memory_peak_mib:.0f} MiB |",
        f"| `resolve`, median | {report.resolve_us:.1f} µs |",
        f"| index for search | {report.index:.1f} s |",
        f"| search, p50 and p99 of {_QUESTIONS} questions | {report.search_p50_ms:.2f} ms, {report.search_p99_ms:.2f} ms |",
        f"| first `topology apply`, {report.connected:,} connected | {report.first_apply:.0f} s |",
        f"| `topology plan` | {report.planned:.1f} s |",
        f"| `topology apply` of {CHANGES} new agencies | {report.applied:.1f} s |",
    ]
    return "\n".join(lines) + "\n"


def as_json(report: CountryReport) -> dict[str, Any]:
    """Return the report as JSON can hold it."""
    return asdict(report)


def _agency(code: str, name: str, level: Level, gateway: str) -> Agency:
    return Agency(code=code, name=name, level=level, gateway=gateway, own_queue=code == gateway)


def _list(path: Path, agencies: Iterator[Agency]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("code", "name", "level", "gateway"))
        for count, agency in enumerate(agencies, 1):  # noqa: B007 - the number of the last one is the answer
            writer.writerow((agency.code, agency.name, agency.level.value, agency.gateway))
    return count


def _import(listed: Path, target: Path) -> None:
    found = propose(None, read(listed))
    if not isinstance(found, Proposal):
        raise OperationError(Code.SANDBOX_BROKEN, str(found[0]))
    history.write(target, found.agencies, who="bench", act="directory.import", at=datetime.now(UTC))


def _took(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


_ALONE: Final = """
import json, resource, sys, time
from pathlib import Path
from relay.directory.file import load
def now():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
before, began = now(), time.perf_counter()
directory = load(sys.argv[1])
seconds, after = time.perf_counter() - began, now()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "memory_mib": after - before, "peak_mib": peak - before}))
"""


def _alone(target: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", _ALONE, str(target)], capture_output=True, check=True, text=True, timeout=300
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _resolved(resolve: Callable[[str, date], object], codes: Sequence[str]) -> float:
    times = []
    for code in random.Random(_SEED).choices(codes, k=20_000):
        began = time.perf_counter()
        resolve(code, _DAY)
        times.append(time.perf_counter() - began)
    return median(times) * 1e6


def _searched(index: AgencyIndex, names: Sequence[str]) -> tuple[float, float]:
    chance = random.Random(_SEED)
    times = []
    for _ in range(_QUESTIONS):
        words = chance.choice(names).split()
        kind = chance.randrange(4)
        asked = (
            " ".join(words[:3]),
            " ".join(chance.sample(words, min(3, len(words)))),
            words[0][:1],
            "".join(word[0] for word in words[:4]),
        )[kind]
        began = time.perf_counter()
        index.search(asked)
        times.append((time.perf_counter() - began) * 1000)
    return median(times), quantiles(times, n=100)[98]


def _topology(folder: Path, connected: int, say: Say) -> tuple[float, float, float, str]:
    """Return seconds of the first apply, of a plan, of an apply of ``CHANGES`` new ones, and the broker's version."""
    gateways = [f"K{number:02d}" for number in range(1, 61)]
    each = -(-connected // len(gateways))
    agencies = [
        replace(
            _agency(code, f"Cơ quan {code} (mẫu)", Level.PROVINCE, code.partition(".")[0]), own_queue=True
        )
        for gateway in gateways
        for code in [gateway, *(f"{gateway}.{number:02d}" for number in range(1, each))]
    ][:connected]
    with lone_broker(folder, agencies, say) as (home, version):
        kept = home.kept()
        known = list(provision.agencies_of(home, kept))
        first = _took(lambda: _apply(home, kept, known))
        say(f"{len(known)} connected: applied in {first:.0f} s")
        node = home.node(kept)

        def look() -> None:
            live = read_live(node.management)
            wanted = desired_topology(
                TopologyConfig.load(),
                known,
                RELAY_USER,
                dict.fromkeys(gateways),
                relay_password=None,
            )
            plan(wanted, live)

        planned = _took(look)
        more = [
            replace(
                _agency(f"K01.{900 + number}", "Cơ quan mới (mẫu)", Level.PROVINCE, "K01"), own_queue=True
            )
            for number in range(CHANGES)
        ]
        applied = _took(lambda: _apply(home, kept, [*known, *more]))
        say(f"planned in {planned:.1f} s, {CHANGES} changes applied in {applied:.1f} s")
    return first, planned, applied, version


def _apply(home: Any, kept: Any, agencies: Sequence[Agency]) -> None:  # noqa: ANN401
    provision.apply_topology(home, kept, agencies)
