"""Every command has its help and its promises: --json, --dry-run, languages, exit codes, no traceback."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from relay.cli.advice import advice
from relay.cli.errors import exit_code, explain
from relay.cli.main import main
from relay.cli.options import default_language, people_time
from relay.errors import (
    BrokerError,
    Code,
    ConfigurationError,
    OperationError,
    RefusedError,
    RegistryError,
    TrucError,
)
from tests.unit.cli.conftest import Truc

CHANGES = {
    "send",
    "inbox",
    "reply",
    "take-back",
    "up",
    "down",
    "keys issue",
    "keys relay",
    "topology apply",
    "user add",
    "user rotate",
    "user expire",
    "user suspend",
    "user resume",
    "user close",
    "directory certificate add",
    "directory certificate retire",
    "directory export",
    "directory import",
    "directory publish",
    "directory receive",
    "quarantine release",
    "quarantine drop",
    "drain",
    "resend",
    "registry backup",
    "registry restore",
    "package build",
    "package extract",
    "package repair",
    "evidence export",
    "evidence faults",
    "evidence head",
    "evidence witness import",
    "trust fetch",
}
"""Commands that change something for others; each takes --dry-run. (demo makes a world of its own.)"""

RUN_UNTIL_TOLD = {"worker", "keeper"}


def commands(command: click.Command = main, name: str = "") -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for word, inner in command.commands.items():
            yield from commands(inner, f"{name} {word}".strip())
    else:
        yield name, command


ALL = dict(commands())


@pytest.mark.parametrize(
    "name", ["", *ALL, *(word for word, one in main.commands.items() if isinstance(one, click.Group))]
)
def test_each_command_explains_itself(truc: Truc, name: str) -> None:
    result = truc(*name.split(), "--help")
    assert result.exit_code == 0
    assert "Usage: truc" in result.output


@pytest.mark.parametrize("name", ALL)
def test_each_option_and_command_has_a_text(name: str) -> None:
    assert ALL[name].help
    for parameter in ALL[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize("name", sorted(set(ALL) - RUN_UNTIL_TOLD))
def test_each_command_that_prints_facts_takes_json(name: str) -> None:
    assert "as_json" in {parameter.name for parameter in ALL[name].params}


def test_each_command_that_changes_something_takes_dry_run() -> None:
    assert {name for name, one in ALL.items() if "dry_run" in {item.name for item in one.params}} == CHANGES


@pytest.mark.parametrize("name", sorted({name.rpartition(" ")[0] for name in ALL}))
def test_lists_of_commands_cut_nothing_and_keep_to_the_screen(
    truc: Truc, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    group: click.Command = main
    for word in name.split():
        assert isinstance(group, click.Group)
        group = group.commands[word]
    assert isinstance(group, click.Group)
    shown = truc(*name.split(), "--help").output.partition("\nCommands:\n")[2]
    listed = " ".join(shown.split())
    for word, one in group.commands.items():
        told = " ".join(inspect.cleandoc(one.help or "").partition("\n\n")[0].split())
        first = re.split(r"(?<=[.?])\s", told)[0]
        assert f"{word} {first.removesuffix('.')}" in listed
    assert "..." not in listed
    assert max(map(len, shown.splitlines())) <= 80


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from relay.cli.main import main; "
        "heavy = {'lxml', 'xmlsec', 'pika', 'sqlalchemy', 'cryptography', 'yaml'} & set(sys.modules); "
        "print(*sorted(heavy))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not result.stdout.split()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RefusedError(Code.UNSIGNED), 1),
        (OperationError(Code.RECEIPT_INVALID), 1),
        (ConfigurationError(Code.KEY_UNUSABLE), 3),
        (OperationError(Code.SANDBOX_BROKEN), 3),
        (OperationError(Code.BROKER_MISSING), 3),
        (BrokerError(Code.BROKER_UNREACHABLE), 4),
        (RegistryError(Code.REGISTRY_BUSY), 4),
        (OperationError(Code.RECEIPT_TIMEOUT), 4),
        (OperationError(Code.NOT_FOUND), 5),
    ],
)
def test_exit_codes(error: TrucError, code: int) -> None:
    assert exit_code(error) == code


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("vi", ("Không tìm thấy", "khắc phục:", "phụ trách: người vận hành")),
        ("en", ("not found", "remedy:", "owner: operator")),
    ],
)
def test_an_error_speaks_the_chosen_language(
    truc: Truc, tmp_path: Path, language: str, words: tuple[str, ...]
) -> None:
    for line in (("--lang", language, "inbox"), ("inbox", "--lang", language)):
        result = truc(*line, "--as", "H26", "--home", tmp_path)
        assert result.exit_code == 5
        assert result.stdout == ""
        assert result.stderr.startswith("NOT-FOUND: ")
        assert all(word in result.stderr for word in words)
        assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("language", "kept"), [("vi", "Kiểm tra lại mã"), ("en", "Check the id, code or folder")]
)
def test_nobody_is_told_to_run_the_command_that_just_ran(
    truc: Truc, tmp_path: Path, language: str, kept: str
) -> None:
    searched = truc("directory", "search", "x", "--home", tmp_path, "--lang", language)
    assert (searched.exit_code, "directory search" in searched.stderr) == (5, False)
    assert re.search(rf"{kept}[^;]*\.$", searched.stderr, re.MULTILINE)
    other = truc("directory", "show", "H26", "--home", tmp_path, "--lang", language)
    assert "truc directory search" in other.stderr
    broken = tmp_path / "broken.edxml"
    broken.write_text("<a>")
    checked = truc("package", "check", broken, "--lang", language)
    assert (checked.exit_code, "package check" in checked.output) == (1, False)
    assert "&amp;, &lt;" in checked.output or "&amp; or &lt;" in checked.output
    assert "truc package check" in truc("errors", "NOT-XML", "--lang", language).output


@pytest.mark.parametrize(
    ("command", "remedy", "said"),
    [
        ("user ls", "Use truc user rotate; truc user ls shows them.", "Use truc user rotate."),
        ("user rotate", "Use truc user rotate; truc user ls shows them.", "truc user ls shows them."),
        (
            "evidence head",
            "Wait, or: truc evidence head --sign-now.",
            "Wait, or: truc evidence head --sign-now.",
        ),
        ("up", "Run truc up-to-date, or (truc up) not.", "Run truc up-to-date, or not."),
        ("down", "Run truc down.", ""),
        ("", "Run truc down.", "Run truc down."),
    ],
)
def test_what_is_left_of_a_remedy(command: str, remedy: str, said: str) -> None:
    context = click.Context(click.Command("x"))
    context.meta["truc.running"] = command
    assert advice(remedy, context) == said


def test_an_error_is_an_object_where_json_was_asked_for(truc: Truc, tmp_path: Path) -> None:
    result = truc("track", "x", "--json", "--home", tmp_path)
    error = json.loads(result.stderr)["error"]
    assert (result.exit_code, error["code"], error["owner"]) == (5, "NOT-FOUND", "operator")
    assert set(error["message"]) == {"vi", "en"}


@pytest.mark.parametrize(
    ("locale", "language"), [("vi_VN.UTF-8", "vi"), ("en_US.UTF-8", "en"), ("C", "en"), ("", "en")]
)
def test_the_locale_decides_the_language(monkeypatch: pytest.MonkeyPatch, locale: str, language: str) -> None:
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.delenv("LC_MESSAGES", raising=False)
    monkeypatch.setenv("LANG", locale)
    assert default_language() == language


@pytest.mark.parametrize(
    "line",
    [
        ("send", "--as", "h26", "--to", "H53", "--subject", "x"),
        ("send", "--as", "H26"),
        ("send", "--as", "H26", "--id", "0b6b0e3a-5f6e-4b52-9d57-7a2f4f0c9d11", "--priority", "1"),
        ("send", "--as", "H26", __file__, "--content", "x"),
        ("send", "--as", "H26", "--to", "H53"),
        (
            "send",
            "--as",
            "H26",
            "--to",
            "H53",
            "--subject",
            "x",
            "--id",
            "00000000-0000-0000-0000-000000000000",
        ),
        (
            "send",
            "--as",
            "H26",
            "--to",
            "H53",
            "--subject",
            "x",
            "--id",
            "0B6B0E3A-5F6E-4B52-9D57-7A2F4F0C9D11",
        ),
        ("send", "--as", "H26", "--to", "H53", "--subject", "x", "--deadline", "tomorrow"),
        ("send", "--as", "H26", "--to", "H53", "--subject", "x", "--deadline", "2026-01-01T00:00:00"),
        ("reply", "--as", "H26", "0b6b0e3a-5f6e-4b52-9d57-7a2f4f0c9d11", "13"),
        ("take-back", "--as", "H26", "0b6b0e3a-5f6e-4b52-9d57-7a2f4f0c9d11"),
        ("nothing",),
    ],
)
def test_wrong_usage_is_2(truc: Truc, line: tuple[str, ...]) -> None:
    assert truc(*line).exit_code == 2


def test_a_code_is_explained_in_both_languages(truc: Truc) -> None:
    result = truc("errors", "show", "unknown_recipient")
    assert result.exit_code == 0
    assert "remedy:" in result.output
    assert "khắc phục:" in result.output
    assert json.loads(truc("errors", "show", "QUEUE-FULL", "--json").output)["retryable"] is True
    assert truc("errors", "show", "NO-SUCH").exit_code == 5
    assert truc("errors", "unknown_recipient").output == result.output
    assert truc("errors", "NO-SUCH").exit_code == 5
    assert len(json.loads(truc("errors", "ls", "--json").output)) == len(Code)


@pytest.mark.parametrize("code", list(Code))
def test_each_code_can_be_explained(code: Code) -> None:
    for language in ("vi", "en"):
        assert explain(code, "detail", language).startswith(f"{code.value}: ")


def test_people_see_vietnam_time() -> None:
    from datetime import UTC, datetime

    assert people_time(datetime(2026, 1, 31, 18, 30, tzinfo=UTC)) == "01/02/2026 01:30:00 +07:00"
