"""The directory file: YAML or JSON in, a snapshot or every finding out.

::

    agencies:
      - code: H26.15              # normal (2020) form
        name: Sở Nội vụ
        level: province           # central, province, district, commune; by the default rule if absent
        parent: H26               # the code above it if absent and listed
        gateway: H26              # who serves it; its own code for a gateway; absent: not connected at all
        queue: own                # own or gateway; own for a gateway, else gateway if absent
        aliases: [000.00.15.H26]  # other written forms that beat the default conversion
        certificates:             # PEM text, the path of a PEM file, or {pem|file, not_before, not_after, retired_at}
          - certs/h26-15.pem
        valid_from: 2021-01-01
        valid_to: 2025-06-30      # last day
        successors: [H26.16]
        admission: admitted       # trial, admitted, suspended, closed
        suspended_until: 2026-01-05   # of a suspended one, where known: first day on which it takes part again
        short_name: SNV           # these five are for people: search, pages, history
        english_name: Department of Home Affairs
        other_names: [Sở Nội vụ thành phố]
        former_names: [{name: Sở Tổ chức, until: 2021-12-31}]   # with its last day
        contact: 024 0000 0000
      - code: H26
        name: Thành phố
        gateway: H26
        users:                    # broker users of a gateway; without it the one named by its code, with a password
          - {name: H26, until: "2026-03-01T00:00:00Z"}
          - H26+1                 # or {name, by: password|certificate, until}

Paths are relative to the file. A name that ends in ``.json`` is read as JSON, which is about eight times as fast and
meant for a whole country (115,000 agencies: some 2 seconds instead of 20).
"""

from __future__ import annotations

import gc
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from relay.directory.entries import Entries, Finding
from relay.directory.jsontext import loads
from relay.directory.snapshot import AgencyDirectory
from relay.errors import Code, ConfigurationError

_TOP: Final = frozenset({"agencies", "note"})
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of reading a file: a snapshot, or what stands against it."""

    directory: AgencyDirectory | None
    findings: tuple[Finding, ...]


def load(path: str | os.PathLike[str]) -> AgencyDirectory:
    """Return the snapshot of a file.

    Raises:
        ConfigurationError: DIRECTORY-INVALID; the detail names the first findings with line and entry.
    """
    checked = check(path)
    if checked.directory is None:
        raise ConfigurationError(Code.DIRECTORY_INVALID, summary(checked.findings, Path(path)))
    return checked.directory


def check(path: str | os.PathLike[str]) -> Checked:
    """Read and validate a file; every finding is told, not only the first. Never raises for what stands in it."""
    file = Path(path).absolute()
    if file.suffix == ".signed":
        return _failed("is a signed edition: it is followed, and changed where it is published")
    try:
        content = file.read_bytes()
    except OSError as fault:
        return _failed(f"cannot be read: {fault.strerror}")
    try:
        with _without_collection():
            raw = _parse(content, file)
    except (ValueError, yaml.YAMLError, RecursionError) as fault:
        mark = getattr(fault, "problem_mark", None)
        line = mark.line + 1 if mark is not None else getattr(fault, "lineno", None)
        return _failed("is not JSON" if file.suffix == ".json" else "is not YAML", line)
    if not isinstance(raw, dict) or not isinstance(raw.get("agencies"), list):
        return _failed("has to hold a list named agencies")
    digest = hashlib.sha256(content).digest()
    del content  # a country is large: it stands in memory once
    entries = Entries(file.parent)
    for name in raw.keys() - _TOP:
        entries.find(None, f"no such part: {str(name)[:40]}")
    with _without_collection():
        entries.read(raw["agencies"])
    if entries.findings:
        return Checked(None, _with_lines(entries.findings, file))
    parts = dict(entries.files)
    version = _version([digest, *(hashlib.sha256(part).digest() for part in parts.values())])
    return Checked(AgencyDirectory.of(entries.agencies, version, (file, *parts)), ())


def note_of(path: str | os.PathLike[str]) -> str:
    """Return the note of a file that was read before; empty if it has none."""
    file = Path(path)
    raw = _parse(file.read_bytes(), file)
    return str(raw.get("note") or "") if isinstance(raw, dict) else ""


def version_now(directory: AgencyDirectory) -> str | None:
    """Return the version that a snapshot's files would give if they still name the same ones; None: unreadable."""
    try:
        return _version([hashlib.sha256(path.read_bytes()).digest() for path in directory.sources])
    except OSError:
        return None


def summary(findings: Iterable[Finding], path: Path) -> str:
    """Return the findings as one text, the first ones in full."""
    listed = list(findings)
    shown = "; ".join(str(one) for one in listed[:_SHOWN])
    more = f"; and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return f"{path}: {shown}{more}"


def _version(digests: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for one in digests:
        digest.update(one)
    return digest.hexdigest()[:16]


@contextmanager
def _without_collection() -> Iterator[None]:
    """Put the garbage collector off: it would look at hundreds of thousands of new objects again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _failed(problem: str, line: int | None = None) -> Checked:
    return Checked(None, (Finding(None, "", "the file " + problem, line),))


def _parse(content: bytes, file: Path) -> Any:  # noqa: ANN401 - anything may stand in a file
    text = content.decode("utf-8")
    if file.suffix == ".json":
        return loads(text)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(text, Loader=loader)  # noqa: S506 - one of the safe loaders


def _with_lines(findings: list[Finding], file: Path) -> tuple[Finding, ...]:
    """Add lines, which the fast loaders do not keep: JSON is read as the YAML that it also is."""
    lines: list[int] = []
    try:
        text = file.read_bytes().decode("utf-8")
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        if isinstance(root, yaml.MappingNode):
            for key, value in root.value:
                if key.value == "agencies" and isinstance(value, yaml.SequenceNode):
                    lines = [node.start_mark.line + 1 for node in value.value]
    except (OSError, ValueError, yaml.YAMLError):
        pass
    return tuple(
        Finding(one.index, one.code, one.problem, lines[one.index])
        if one.index is not None and one.index < len(lines)
        else one
        for one in findings
    )
