"""Every change of a directory file with who and when, in a file beside it: ``<file>.history.jsonl``.

One line for each agency that changed. They are written before the file is replaced, so no change goes unrecorded; what
was recorded and then not made (a crash in between) is told apart by its version, which no later line begins from.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from relay.directory.diff import Change, diff
from relay.directory.file import check, summary
from relay.directory.snapshot import AgencyDirectory
from relay.directory.write import like, render, replace_file, temporary
from relay.errors import Code, ConfigurationError
from relay.model.agency import Agency
from relay.model.times import rfc3339


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the history. ``made``: whether the file really went on from it."""

    at: str  # RFC 3339, UTC
    who: str
    act: str
    before: str  # version
    after: str
    change: dict[str, Any]
    made: bool = True


def file_of(directory: Path) -> Path:
    """Return where the history of a directory file is."""
    return directory.with_name(f"{directory.name}.history.jsonl")


def write(
    path: Path, agencies: Iterable[Agency], *, who: str, act: str, at: datetime, note: str = ""
) -> tuple[AgencyDirectory, tuple[Change, ...]]:
    """Put a directory of these agencies in the place of ``path``, checked first, with its history.

    Returns what is in force now and what differs. The same agencies: nothing is written.

    Raises:
        ConfigurationError: DIRECTORY-INVALID: the agencies contradict each other; FILE-UNUSABLE: it cannot be written.
            The old file is untouched.
    """
    old = check(path).directory if path.exists() else None
    with temporary(path, render(path, agencies, note)) as new:
        checked = check(new)
        if checked.directory is None:
            raise ConfigurationError(Code.DIRECTORY_INVALID, summary(checked.findings, path))
        changes = diff(old.agencies() if old else (), checked.directory.agencies())
        if old is not None and not changes:
            return old, ()
        before = old.version if old else ""
        _append(path, [_line(one, who, act, at, before, checked.directory.version) for one in changes])
        if old is not None:
            like(path, new)
        else:
            new.chmod(0o644)
        replace_file(new, path)
    return replace(checked.directory, sources=(path.absolute(),)), changes


def read(directory: Path, code: str | None = None) -> Iterator[Entry]:
    """Yield the history, oldest first, of one agency or of all. A last line that a crash cut off is left out.

    Raises:
        ConfigurationError: DIRECTORY-INVALID: the history cannot be read.
    """
    path = file_of(directory)
    if not path.exists():
        return
    now = check(directory).directory
    lines = list(_lines(path))
    begun = {one["before"] for one in lines} | ({now.version} if now else set())
    for one in lines:
        if code is None or one["change"]["code"] == code:
            yield Entry(**one, made=one["after"] in begun)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8") as file:
            for text in file:
                if text.endswith("\n"):
                    yield json.loads(text)
    except (OSError, ValueError) as fault:
        raise ConfigurationError(Code.DIRECTORY_INVALID, f"{path}: the history cannot be read") from fault


def _line(change: Change, who: str, act: str, at: datetime, before: str, after: str) -> str:
    whole = {
        "at": rfc3339(at),
        "who": who,
        "act": act,
        "before": before,
        "after": after,
        "change": change.as_json(),
    }
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")) + "\n"


def _append(path: Path, lines: Iterable[str]) -> None:
    history = file_of(path)
    try:
        handle = os.open(history, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        with os.fdopen(handle, "ab") as file:
            file.writelines(line.encode() for line in lines)
            file.flush()
            os.fsync(file.fileno())
    except OSError as fault:
        raise ConfigurationError(
            Code.FILE_UNUSABLE, f"{history}: cannot be written: {fault.strerror}"
        ) from fault
