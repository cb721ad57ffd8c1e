"""The stranger is one: what the acceptance tests rely on must not lean on the relay's own code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parent.parent / "support"
FOREIGN = {"cryptography", "lxml", "pika"}


@pytest.mark.parametrize("name", ["stranger.py", "stranger_xml.py"])
def test_the_stranger_knows_nothing_of_the_relay(name: str) -> None:
    tree = ast.parse((SUPPORT / name).read_text(encoding="utf-8"))
    imported = {
        alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    } | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {each for each in imported if each.split(".")[0] in {"relay", "adapters"}}
    assert {each for each in imported if each.startswith("tests.")} <= {"tests.support.stranger_xml"}
    assert {each.split(".")[0] for each in imported} & FOREIGN
