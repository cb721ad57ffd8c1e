"""Codes and code agree: each listed code is used somewhere, and no text that looks like a code is unknown."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from relay.errors import Code

pytestmark = pytest.mark.house

ROOT = Path(__file__).resolve().parents[2]
NAMES = {member.name for member in Code}
VALUES = {member.value for member in Code}
# AMQP, SQL and RFC words of the same shape that are no codes of ours.
FOREIGN = {
    "UTF-8",
    "SHA-256",
    "SHA-384",
    "SHA-512",
    "RSA-PSS",
    "UBND-VX",  # the notation of a sample document
    "P-256",
    "P-384",
    "P-521",
    "US-ASCII",
    "ISO-8601",
    "RFC-3339",
}
SHAPE = re.compile(r"[A-Z][A-Z0-9]*(?:-[A-Z][A-Z0-9]*)+")


def uses(source: str) -> set[str]:
    """Return the names of the members of ``Code`` that a source uses."""
    return {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Code"
    }


def literals(source: str) -> set[str]:
    """Return the string literals that look like a code, docstrings and other bare strings left out."""
    tree = ast.parse(source)
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in bare
        and SHAPE.fullmatch(node.value)
    }


@cache
def _sources() -> tuple[tuple[str, str], ...]:
    return tuple(
        (path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for top in ("relay", "adapters")
        for path in sorted((ROOT / top).rglob("*.py"))
        if path.relative_to(ROOT).parts[:2] != ("relay", "errors")
    )


def test_each_code_is_used() -> None:
    used = {name for _, source in _sources() for name in uses(source)}
    assert not NAMES - used, f"listed and never raised: {sorted(NAMES - used)}"


def test_no_code_is_used_that_is_not_listed() -> None:
    unknown = {
        (path, name) for path, source in _sources() for name in uses(source) if not hasattr(Code, name)
    }
    assert not unknown


def test_no_literal_looks_like_a_code_that_is_not_listed() -> None:
    unknown = {(path, text) for path, source in _sources() for text in literals(source) - VALUES - FOREIGN}
    assert not unknown


def test_planted_faults_are_found() -> None:
    assert uses("raise RefusedError(Code.NO_SUCH_THING)") == {"NO_SUCH_THING"}
    assert literals('"""NOT-A-CODE"""\nx = "NO-SUCH-CODE"\ny = "no-code"') == {"NO-SUCH-CODE"}
