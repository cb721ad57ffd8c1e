"""The stranger's verifier of evidence (Java, from the documentation alone): one run over several targets."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PROGRAM = Path(__file__).parent / "java" / "CheckEvidence.java"


@dataclass
class Answer:
    """What it said of one target."""

    ok: bool = False
    faults: list[tuple[str, str, str, int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def ask(targets: Sequence[Path], *, known: str = "", heads: Sequence[Path] = ()) -> dict[Path, Answer]:
    options = ["--known", known] if known else []
    for head in heads:
        options += ["--head", str(head)]
    done = subprocess.run(
        ["java", "-XX:TieredStopAtLevel=1", str(_PROGRAM), *options, *map(str, targets)],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: dict[Path, Answer] = {}
    answer = Answer()
    for line in done.stdout.splitlines():
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
