"""The JDK's own XML signature, as another hand: a few files in one run of ``java``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent / "java"


def _java(program: str, *arguments: str, seconds: float = 100) -> str:
    done = subprocess.run(
        ["java", "-XX:TieredStopAtLevel=1", str(_HERE / program), *arguments],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def verify(files: Sequence[Path]) -> dict[Path, str]:
    """Return "valid" or "invalid …" for each file."""
    lines = _java("VerifyXml.java", *map(str, files)).splitlines()
    split = (line.split(" ", 1) for line in lines)
    return {Path(name): verdict for name, verdict in split}


def sign(
    key: Path, kind: str, certificate: Path, namespace: str, local: str, pairs: Sequence[tuple[Path, Path]]
) -> None:
    """Sign each first file of ``pairs`` into the second; key and certificate are DER, kind is EC or RSA."""
    _java(
        "SignXml.java",
        str(key),
        kind,
        str(certificate),
        namespace,
        local,
        *(str(p) for pair in pairs for p in pair),
    )


def dump(listing: Path) -> dict[str, dict[str, str]]:
    """Return what the JDK's DOM sees in each file that a listing names: path to base64 of the text."""
    found: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in _java("DumpXml.java", str(listing)).splitlines():
        name, _, rest = line.partition(" ")
        if name == "file":
            current = found.setdefault(rest, {})
        else:
            current[name] = rest
    return found


def judge(
    anchor: Path, moment: str, bodies: Iterable[bytes], container: Path, seconds: float
) -> list[dict[str, Any]]:
    """Return what one JVM says of each document: "valid", "chain", "reads", "error".

    ``moment`` is RFC 3339 in UTC; ``container`` is where the documents are put for it.
    """
    with container.open("wb") as out:
        for body in bodies:
            out.write(len(body).to_bytes(4, "big") + body)
    told = _java("JudgeXml.java", str(anchor), moment, str(container), seconds=seconds)
    return [json.loads(line) for line in told.splitlines()]
