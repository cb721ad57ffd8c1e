"""The stranger's verifier of evidence (Java, from the documentation alone): one run over several targets."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

_SOURCES = Path(__file__).parent / "java" / "evidence"


@dataclass
class Answer:
    """What it said of one target."""

    ok: bool = False
    faults: list[tuple[str, str, str, int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@cache
def _classes() -> str:
    folder = tempfile.mkdtemp(prefix="evidence-classes-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    done = subprocess.run(
        ["javac", "-Xlint:all,-serial", "-Werror", "-d", folder, *map(str, sorted(_SOURCES.glob("*.java")))],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def _run(*arguments: str) -> str:
    done = subprocess.run(
        ["java", "-XX:TieredStopAtLevel=1", "-cp", _classes(), "evidence.CheckEvidence", *arguments],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def fields(chain: Path) -> list[str]:
    """Return the fields of each record of a chain's file as it reads them, or "-" for one that it takes for none."""
    return _run("--fields", str(chain)).splitlines()


def ask(targets: Sequence[Path], *, known: str = "", heads: Sequence[Path] = ()) -> dict[Path, Answer]:
    options = ["--known", known] if known else []
    for head in heads:
        options += ["--head", str(head)]
    printed = _run(*options, *map(str, targets))
    answers: dict[Path, Answer] = {}
    answer = Answer()
    for line in printed.splitlines():
        if line.startswith("= "):
            answer = answers.setdefault(Path(line[2:]), Answer())
        elif line.startswith("# "):
            answer.notes.append(line[2:])
        elif line in {"ok", "broken"}:
            answer.ok = line == "ok"
        else:
            kind, what, where, first, last = line.split(" ")
            answer.faults.append((kind, what, where, int(first), int(last)))
    return answers
