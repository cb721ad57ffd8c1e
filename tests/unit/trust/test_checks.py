"""The table of checks is the room's own: nothing in it that is not there, nothing there that is not in it."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest

from relay.model.verdict import REASONS
from relay.trust import names
from relay.trust.checks import CHECKS, Check

# Whose tests meet the codes that a verdict gets outside of this room.
ROOMS = ("trust", "pipeline", "evidence")
MODULES = ("parse", "signature", "cdata", "manifest", "content", "verifier")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_each_check_is_a_function(check: Check) -> None:
    module = importlib.import_module(check.module)
    function = getattr(module, check.function)
    assert inspect.isfunction(function)
    assert function.__module__ == check.module
    assert check.codes
    assert check.codes <= REASONS
    if check.lookup:
        assert getattr(names, check.lookup)
    else:
        assert inspect.signature(function).return_annotation == "None"


def test_no_check_is_left_out() -> None:
    found = {
        f"{name}.{function}"
        for name in MODULES
        for function, value in vars(importlib.import_module(f"relay.trust.{name}")).items()
        if function.startswith("check_")
        and inspect.isfunction(value)
        and value.__module__ == f"relay.trust.{name}"
    }
    assert found == {check.name for check in CHECKS if not check.lookup}
    assert len(CHECKS) == len({check.name for check in CHECKS})


def test_each_reason_is_met_by_a_test() -> None:
    unit = Path(__file__).parent.parent
    text = "".join(path.read_text() for room in ROOMS for path in sorted((unit / room).glob("test_*.py")))
    assert [one.name for one in REASONS if f"Code.{one.name}" not in text] == []
