"""``truc up``: what a change between TLS and plain AMQP would mean; names of relays, and whom they trust."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from relay import settings
from relay.cli.main import main
from relay.sandbox import provision
from relay.sandbox.home import Home, Kept
from relay.sandbox.up import Asked


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
        "relay_name": "truc-dev",
        "trusts": [],
    }
    assert home.kept() == kept


def test_a_new_sandbox_is_plain_unless_asked_for(tmp_path: Path) -> None:
    assert "would make a sandbox" in told(tmp_path / "new", "--tls")
    assert json.loads(told(tmp_path / "new", "--json"))["tls"] is False
    assert not (tmp_path / "new").exists()


def sandbox(folder: Path, name: str) -> Home:
    """What ``up`` leaves of a sandbox that does not run: its authority and its configuration."""
    home = Home(folder)
    home.make_folders()
    if not home.exists():
        home.keep(Kept(base_port=20_000, node_name=name, passwords={"admin": "a" * 24}, relay_name=name))
    provision.prepare(home, datetime.now(UTC))
    return home


def refused(*options: object) -> tuple[int, str]:
    words = ["up", "--lang", "vi", "--dry-run", *map(str, options)]
    dry = CliRunner().invoke(main, words)
    real = CliRunner().invoke(main, [word for word in words if word != "--dry-run"])
    assert (dry.exit_code, dry.stderr) == (real.exit_code, real.stderr)
    return dry.exit_code, dry.stderr


@pytest.mark.parametrize("name", ["Truc", "truc a", "-a", "", "a" * 33, "trục"])
def test_a_relay_is_named_as_the_settings_name_it(tmp_path: Path, name: str) -> None:
    code, said = refused("--home", tmp_path / "home", "--name", name)
    assert (code, said.partition(":")[0]) == (3, "CONFIG-INVALID")
    assert "không phải là tên trục hợp lệ" in said
    assert not (tmp_path / "home").exists()


def test_a_relay_keeps_its_name(tmp_path: Path) -> None:
    assert json.loads(told(tmp_path / "new", "--json", "--name", "truc-a"))["relay_name"] == "truc-a"
    home = sandbox(tmp_path / "home", "truc-a")
    assert json.loads(told(home.path, "--json"))["relay_name"] == "truc-a"
    assert json.loads(told(home.path, "--json", "--name", "truc-a"))["relay_name"] == "truc-a"
    code, said = refused("--home", home.path, "--name", "truc-b")
    assert (code, "trục này tên là truc-a và không đổi tên" in said) == (3, True)
    Asked(name="truc-a").note(home)
    assert home.kept().relay_name == "truc-a"


def test_only_another_relays_sandbox_can_be_trusted(tmp_path: Path) -> None:
    home, twin = (sandbox(tmp_path / folder, "truc-a") for folder in ("one", "twin"))
    for folder in (home.path, twin.path):
        code, said = refused("--home", home.path, "--trust", folder)
        assert (code, f"trục ở {folder} cũng tên là truc-a" in said) == (3, True)
    assert refused("--home", home.path, "--trust", tmp_path / "missing")[0] == 5
    assert refused("--home", tmp_path / "new", "--name", "truc-a", "--trust", twin.path)[0] == 3
    assert home.kept().trusts == ()


def test_a_trusted_sandbox_is_an_anchor_as_long_as_it_is_there(tmp_path: Path) -> None:
    one, two = sandbox(tmp_path / "one", "truc-a"), sandbox(tmp_path / "two", "truc-b")
    assert json.loads(told(one.path, "--json", "--trust", str(two.path)))["trusts"] == [str(two.path)]
    Asked(trusts=(str(two.path),)).note(one)
    Asked(workers=2).note(one)  # what is not asked for stays
    sandbox(one.path, "truc-a")
    for file in ("truc", "keeper", "w1", "w2"):
        trust = settings.load(one.process_settings(file)).trust
        assert trust.anchors == (one.ca / "root.pem", two.ca / "root.pem")
        assert len(trust.crls) == 4
    shutil.rmtree(two.path)
    sandbox(one.path, "truc-a")
    assert settings.load(one.settings_file).trust.anchors == (one.ca / "root.pem",)


def test_a_home_of_before_trusts_nobody(tmp_path: Path) -> None:
    home = sandbox(tmp_path / "home", "truc-a")
    file = home.path / "kept.json"
    before = json.loads(file.read_text(encoding="utf-8"))
    del before["trusts"]
    file.write_text(json.dumps(before), encoding="utf-8")
    assert home.kept().trusts == ()


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
