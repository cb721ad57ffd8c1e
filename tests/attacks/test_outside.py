"""``truc conformance attacks`` against a sandbox that runs, and what it says of one that is not as it must be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from relay.cli.main import main
from relay.errors import Code
from relay.observe.clock import SystemClock
from relay.sandbox.attacks import AGENCIES, CASES, Where
from relay.sandbox.attacks.case import Case
from relay.sandbox.attacks.outside import run_outside
from relay.sandbox.contents import running
from tests.support.sandbox import running_sandbox


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("attacked") / "home"
    with running_sandbox(folder):
        yield folder


def truc(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["conformance", "attacks", *words], catch_exceptions=False)
    return done.exit_code, done.stdout


def test_every_case_is_stopped(home: Path) -> None:
    code, out = truc("--home", str(home), "--json")
    told = json.loads(out)
    assert [row for row in told["rows"] if not row["ok"]] == []
    assert (code, told["failed"]) == (0, 0)
    names = {(row["family"], row["name"]) for row in told["rows"]}
    assert {(case.family, case.name) for case in CASES if case.where is not Where.INSIDE} < names
    assert told["families"] >= 20
    assert set(AGENCIES) <= set(running(home).agencies)


def test_a_relay_that_takes_what_it_must_not_is_found(home: Path) -> None:
    """A case that the relay rightly accepts stands for an attack that gets through: told, and no success."""
    through = Case(
        "none", "a good document", "-", "-", (Code.UNSIGNED.value,), "-", lambda forge: forge.good()
    )
    (row, *others) = run_outside(home, [through], SystemClock(), lambda _line: None)
    assert not row.ok
    assert (row.got, row.note) == ("accepted", "delivered 1 times")
    assert all(each.ok for each in others)


def test_a_miss_ends_the_command_with_one_and_a_table(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true = next(case for case in CASES if case.name == "no signature at all")
    false = Case(*(_but(true, codes=(Code.NOT_XML.value,))))
    monkeypatch.setattr("relay.sandbox.attacks.CASES", (true, false))
    code, out = truc("--home", str(home), "--lang", "en")
    assert code == 1
    assert "attacks: 5 cases in 2 families, 4 stopped, 1 missed" in out
    assert "MISSED" in out


def test_the_list_needs_no_sandbox() -> None:
    code, out = truc("--list", "--json")
    told = json.loads(out)
    assert (code, len(told)) == (0, len(CASES))
    assert all(each["source"] and each["check"] and each["where"] in set(Where) for each in told)
    code, out = truc("--list", "--family", "replay")
    assert (code, len(out.splitlines())) == (0, sum(case.family == "replay" for case in CASES))


def test_what_there_is_not(tmp_path: Path) -> None:
    assert CliRunner().invoke(main, ["conformance", "attacks", "--family", "nothing"]).exit_code == 2
    done = CliRunner().invoke(main, ["conformance", "attacks", "--home", str(tmp_path)])
    assert done.exit_code != 0


def _but(case: Case, **changes: Any) -> tuple[Any, ...]:
    fields = ("family", "name", "source", "target", "codes", "stops", "build")
    return tuple(changes.get(name, getattr(case, name)) for name in fields)
