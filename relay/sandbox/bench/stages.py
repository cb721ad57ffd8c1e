"""Which stage of the worker a piece of code belongs to: innermost known file first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

Frame = tuple[str, str]
"""File and function."""

STAGES: Final[tuple[tuple[str, str], ...]] = (
    ("relay/pipeline/accept.py", "accept"),
    ("relay/trust/parse.py", "parse"),
    ("relay/trust/libxml.py", "parse"),
    ("relay/trust/sign.py", "receipts"),
    ("relay/trust/view.py", "signed view"),
    ("relay/trust/chain.py", "certificates"),
    ("relay/trust/path.py", "certificates"),
    ("relay/trust/crl.py", "certificates"),
    ("relay/trust/certificate.py", "certificates"),
    ("relay/trust/", "signature"),
    ("adapters/edxml/", "reading the view"),
    ("relay/pipeline/verify.py", "verify"),
    ("relay/directory/", "route"),
    ("relay/pipeline/route.py", "route"),
    ("relay/registry/", "claim and settle"),
    ("relay/evidence/", "receipts"),
    ("relay/pipeline/report.py", "receipts"),
    ("relay/broker/consuming.py", "take and acknowledge"),
    ("relay/broker/publishing.py", "publish and confirms"),
    ("relay/pipeline/deliver.py", "publish and confirms"),
    ("relay/broker/", "frames"),
    ("relay/observe/", "metrics and logs"),
    ("relay/model/", "handler"),
    ("relay/pipeline/", "handler"),
    ("relay/", "other"),
    ("asyncio/", "event loop"),
    ("selectors.py", "event loop"),
    ("pika/", "frames"),
)
"""Part of a path and the stage; the first that fits a frame counts."""

WRITER: Final = "registry's thread"
OTHER_THREADS: Final = "other threads"


def stage_of(stack: Sequence[Frame]) -> str:
    """Return the stage of a stack, innermost frame first: a library's work is its caller's."""
    for known in (_ours, _library):
        for file, _ in stack:
            if found := known(file):
                return found
    return "other"


def function_of(stack: Sequence[Frame]) -> str:
    """Return the innermost function of ours, or of all, as ``file:function``."""
    for file, name in stack:
        if _ours(file):
            return f"{_short(file)}:{name}"
    return f"{_short(stack[0][0])}:{stack[0][1]}" if stack else "?"


def _ours(file: str) -> str:
    return _match(file) if "/relay/" in file or "/adapters/" in file else ""


def _library(file: str) -> str:
    return _match(file)


def _match(file: str) -> str:
    return next((stage for part, stage in STAGES if f"/{part}" in file), "")


def _short(file: str) -> str:
    for top in ("/relay/", "/adapters/", "/site-packages/", "/python3"):
        _, found, rest = file.rpartition(top)
        if found:
            return f"{top.strip('/')}/{rest}" if top in {"/relay/", "/adapters/"} else rest
    return file
