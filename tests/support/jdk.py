"""The JDK's own XML signature, as another hand: a few files in one run of ``java``."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

_HERE = Path(__file__).parent / "java"


def _java(program: str, *arguments: str) -> str:
    done = subprocess.run(
        ["java", "-XX:TieredStopAtLevel=1", str(_HERE / program), *arguments],
        capture_output=True,
        text=True,
        timeout=100,
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
