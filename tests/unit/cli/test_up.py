"""``truc up --dry-run``: what a change between TLS and plain AMQP would mean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from relay.cli.main import main
from relay.sandbox.home import Home, Kept


def told(home: Path, *options: str) -> str:
    result = CliRunner().invoke(main, ["up", "--dry-run", "--home", str(home), "--lang", "en", *options])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(
    ("before", "option", "words"),
    [
        (False, "--tls", "to TLS and restart its broker"),
        (True, "--no-tls", "to plain AMQP and restart its broker"),
        (True, "--tls", "start or repair"),
        (True, "", "start or repair"),
    ],
)
def test_a_change_of_a_sandbox_is_said_and_not_made(
    tmp_path: Path, before: bool, option: str, words: str
) -> None:
    home = Home(tmp_path / "home")
    home.make_folders()
    kept = Kept(base_port=20_000, node_name="truc-test", passwords={"admin": "a" * 24}, tls=before)
    home.keep(kept)
    options = [option] if option else []
    assert words in told(home.path, *options)
    after = {"--tls": True, "--no-tls": False}.get(option, before)
    assert json.loads(told(home.path, "--json", *options)) == {
        "dry_run": True,
        "home": str(home.path),
        "exists": True,
        "tls": after,
    }
    assert home.kept() == kept


def test_a_new_sandbox_is_plain_unless_asked_for(tmp_path: Path) -> None:
    assert "would make a sandbox" in told(tmp_path / "new", "--tls")
    assert json.loads(told(tmp_path / "new", "--json"))["tls"] is False
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_folder_that_cannot_be_made_is_told_without_a_traceback(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    home = tmp_path / "file" / "home"
    result = CliRunner().invoke(
        main, ["up", "--detach", "--home", str(home), "--lang", "vi", *options], catch_exceptions=False
    )
    assert result.exit_code == 1
    assert "FILE-UNUSABLE" in result.stderr
    assert "Traceback" not in result.output
    if not options:
        assert f"{home}: không phải là thư mục" in result.stderr
