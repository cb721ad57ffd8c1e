"""promtool, and what a PromQL expression names."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from relay.observe.metrics import CATALOGUE

ROOT: Final = Path(__file__).resolve().parents[2]
PROMETHEUS: Final = ROOT / "deploy" / "prometheus"
RABBITMQ_NAMES: Final = Path(__file__).with_name("rabbitmq-3.10.metrics")

_WORDS: Final = frozenset(
    {
        "by",
        "on",
        "and",
        "or",
        "unless",
        "offset",
        "ignoring",
        "without",
        "group_left",
        "group_right",
        "bool",
        "inf",
        "nan",
    }
)


def promtool(*arguments: str, given: str = "", folder: Path = PROMETHEUS, limit: float = 120.0) -> str:
    """Run promtool, ``given`` as its input, and return what it says; it must be content."""
    program = shutil.which("promtool", path=f"{sys.prefix}/bin") or shutil.which("promtool")
    assert program, "promtool is missing: scripts/setup brings it"
    done = subprocess.run(
        [program, *arguments],
        input=given,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def names_in(expression: str) -> set[str]:
    """Return the names of series that an expression asks for."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
    bare = re.sub(r"\{[^}]*\}", "", bare)
    bare = re.sub(r"\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    found = re.findall(r"(?<![\w:.])([a-zA-Z_:][\w:]*)(?!\s*\()(?![\w:])", bare)
    return {name for name in found if name not in _WORDS and not re.fullmatch(r"\d\w*", name)}


def known_series() -> set[str]:
    """Return every name of a series that our processes, RabbitMQ 3.10 or Prometheus itself give."""
    ours: set[str] = set()
    for metric in CATALOGUE:
        ours |= (
            {f"{metric.name}_{part}" for part in ("bucket", "sum", "count")}
            if metric.kind == "histogram"
            else {metric.name}
        )
    process = {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"}
    process |= {"process_max_fds", "process_start_time_seconds", "process_virtual_memory_bytes"}
    rabbitmq = {line.split()[0] for line in RABBITMQ_NAMES.read_text(encoding="utf-8").splitlines() if line}
    return ours | process | rabbitmq | {"up", "ALERTS"}
