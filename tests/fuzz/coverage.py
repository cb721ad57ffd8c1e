"""Which lines of a target's modules the inputs of a long run reach: what coverage guided there, told in plain numbers."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from tests.fuzz.targets import Target

MODULES: Final = {
    "package": (
        *("reader", "walker", "quick", "values", "sense", "skeleton", "wellformed", "references"),
        *("repair", "writer", "diff", "content", "format", "fields", "secrecy"),
    ),
    "attachment": ("attachments", "unzip", "magic", "content"),
    "code": ("relay.model.codes", "values"),
    "status": ("check", "format", "fields", "reader", "walker", "values"),
    "shown": (
        "report",
        "wording",
        "check",
        "jsonform",
        "repair",
        "diff",
        "schema",
        "attachments",
        "unzip",
    ),
    "revocation-list": ("relay.trust.crl",),
    "ocsp-answer": ("relay.trust.ocsp",),
    "signature": tuple(
        f"relay.trust.{name}"
        for name in (
            *("parse", "cut", "signature", "quick", "manifest", "content", "payload", "canonical"),
            *("cdata", "engine", "verifier", "view"),
        )
    ),
    "certificate": (
        *("relay.trust.certificate", "relay.trust.path", "relay.trust.constraints"),
        "relay.trust.policies",
    ),
    "time-stamp": ("relay.trust.timestamp",),
    "edition": ("relay.trust.detached", "relay.directory.edition"),
    "proof-of-key": ("relay.trust.possession",),
    "recognise": ("adapters.pdf.recognise", "inspecting"),
    "pdf": ("adapters.pdf.judge", "adapters.pdf.chains", "adapters.pdf.subject"),
    "evidence": tuple(
        f"relay.evidence.{name}"
        for name in (
            *("record", "heads", "headlist", "merkle", "octets", "proof"),
            *("case", "judging", "page", "verify"),
        )
    ),
}


@dataclass(frozen=True, slots=True)
class Reached:
    """Lines inside the functions of one module."""

    module: str
    lines: frozenset[int]
    hit: frozenset[int]


def module_names(target: str) -> list[str]:
    """Return the full names of a target's modules."""
    return [name if "." in name else f"adapters.edxml.{name}" for name in MODULES[target]]


def reached(name: str, target: Target, inputs: Iterable[bytes]) -> list[Reached]:
    """Run every input once and return what was reached of the target's modules."""
    files = {
        str(inspect.getsourcefile(module)): module.__name__
        for module in map(importlib.import_module, module_names(name))
    }
    hit: dict[str, set[int]] = {file: set() for file in files}

    def lines(frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            hit[frame.f_code.co_filename].add(frame.f_lineno)
        return lines

    def calls(frame: FrameType, _event: str, _argument: Any) -> Any:
        return lines if frame.f_code.co_filename in hit else None

    before = sys.gettrace()
    sys.settrace(calls)
    try:
        for data in inputs:
            target(data)
    finally:
        sys.settrace(before)
    found = []
    for file, module in files.items():
        known = frozenset(_lines(file))
        found.append(Reached(module, known, known & hit[file]))
    return found


def _lines(file: str) -> Iterator[int]:
    """Yield the lines of all functions of a file, without their heads."""
    waiting = [compile(Path(file).read_text(encoding="utf-8"), file, "exec")]
    while waiting:
        code = waiting.pop()
        waiting += [one for one in code.co_consts if isinstance(one, CodeType)]
        if code.co_flags & inspect.CO_OPTIMIZED:  # a function, no module or class
            head = code.co_firstlineno if not code.co_name.startswith("<") else 0
            yield from (line for _, _, line in code.co_lines() if line and line != head)
