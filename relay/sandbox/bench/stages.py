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
    ("relay/pipeline/", "handler"),
    ("relay/", "other"),
    ("asyncio/", "event loop"),
    ("selectors.py", "event loop"),
    ("pika/", "frames"),
)
"""Part of a path and the stage; the first that fits a frame counts."""

_AS_CALLER: Final = ("relay/model/", "relay/errors/", "relay/cli/", "relay/sandbox/")
"""Nouns work for whoever calls them; the others stand at the bottom of every stack."""

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
        if _is_ours(file):
            return f"{_short(file)}:{name}"
    return f"{_short(stack[0][0])}:{stack[0][1]}" if stack else "?"


def _ours(file: str) -> str:
    return _match(file) if _is_ours(file) and not any(f"/{part}" in file for part in _AS_CALLER) else ""


def _library(file: str) -> str:
    return "" if _is_ours(file) else _match(file)


def _is_ours(file: str) -> bool:
    # A library may have a folder named `adapters` too.
    return ("/relay/" in file or "/adapters/" in file) and "/site-packages/pika/" not in file


def _match(file: str) -> str:
    return next((stage for part, stage in STAGES if f"/{part}" in file), "")


def _short(file: str) -> str:
    tops = ("/relay/", "/adapters/") if _is_ours(file) else ("/site-packages/",)
    for top in tops:
        _, found, rest = file.rpartition(top)
        if found:
            return f"{top.strip('/')}/{rest}" if _is_ours(file) else rest
    return file.rpartition("/")[2]
