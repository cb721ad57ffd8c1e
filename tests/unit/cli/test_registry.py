"""``truc registry``: copies and restores as a person and as a script meet them."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from relay.operate.acting import who
from relay.registry import open_registry
from tests.support.registry import Maker, at
from tests.unit.cli.conftest import Truc


@pytest.fixture
def config(home: Path, tmp_path: Path) -> Path:
    """The sandbox's configuration with a registry of this test's own: two documents."""
    registry, make = open_registry(f"sqlite:///{tmp_path}/registry.db"), Maker(series="w1")
    registry.claim([make.claim("one"), make.claim("two")], "w1", at(0))
    registry.close()
    (tmp_path / "truc.yaml").write_text(
        "relay: {name: truc-dev, key: k, certificates: [c]}\n"
        "broker: {url: 'amqp://127.0.0.1/truc', user: relay, password_file: p}\n"
        f"registry: {{url: 'sqlite:///{tmp_path}/registry.db'}}\n"
        "directory: {file: d}\ntrust: {anchors: [a]}\n",
        encoding="utf-8",
    )
    return tmp_path / "truc.yaml"


def test_there_and_back(truc: Truc, config: Path, tmp_path: Path) -> None:
    made = truc("registry", "backup", tmp_path / "copy", "--config", config, "--json")
    assert made.exit_code == 0, made.output
    facts = json.loads(made.stdout)
    assert (facts["documents"], facts["done"], facts["newest"]) == (2, True, "2026-03-02T08:00:00.000Z")
    back = truc("registry", "restore", tmp_path / "copy", "--config", config)
    assert back.exit_code == 0, back.output
    assert "02/03/2026 15:00:00 +07:00" in back.stdout
    assert "former content" in back.stdout
    registry = open_registry(f"sqlite:///{tmp_path}/registry.db")
    assert [(one.act, one.who, one.subject, one.detail) for one in registry.acts()] == [
        ("registry.restore", who(), "copy", facts["sha256"])
    ]
    registry.close()


def test_a_backup_leaves_an_audit_row(truc: Truc, config: Path, tmp_path: Path) -> None:
    truc("registry", "backup", tmp_path / "copy", "--config", config)
    registry = open_registry(f"sqlite:///{tmp_path}/registry.db")
    assert [(one.act, one.subject) for one in registry.acts()] == [("registry.backup", "copy")]
    registry.close()


def test_dry_runs_check_and_change_nothing(truc: Truc, config: Path, tmp_path: Path) -> None:
    said = truc("registry", "backup", tmp_path / "copy", "--config", config, "--dry-run", "--json")
    assert (said.exit_code, json.loads(said.stdout)["dry_run"]) == (0, True)
    assert not (tmp_path / "copy").exists()
    truc("registry", "backup", tmp_path / "copy", "--config", config)
    said = truc("registry", "restore", tmp_path / "copy", "--config", config, "--dry-run", "--lang", "vi")
    assert said.exit_code == 0
    assert "sẽ phục hồi" in said.stdout
    assert not list(tmp_path.glob("*before*"))
    registry = open_registry(f"sqlite:///{tmp_path}/registry.db")
    assert [one.act for one in registry.acts()] == ["registry.backup"]
    registry.close()


def test_what_stands_against_it_has_a_code_and_an_exit_code(truc: Truc, config: Path, tmp_path: Path) -> None:
    truc("registry", "backup", tmp_path / "copy", "--config", config)
    again = truc("registry", "backup", tmp_path / "copy", "--config", config, "--json")
    assert (again.exit_code, json.loads(again.stderr)["error"]["code"]) == (1, "REGISTRY-BACKUP")

    held = sqlite3.connect(tmp_path / "registry.db")
    held.execute("SELECT count(*) FROM documents").fetchone()
    used = truc("registry", "restore", tmp_path / "copy", "--config", config, "--json")
    held.close()
    assert (used.exit_code, json.loads(used.stderr)["error"]["code"]) == (4, "REGISTRY-IN-USE")

    (tmp_path / "copy.sha256").write_text("00  copy\n", encoding="utf-8")
    wrong = truc("registry", "restore", tmp_path / "copy", "--config", config, "--dry-run")
    assert wrong.exit_code == 1
    assert "REGISTRY-BACKUP" in wrong.stderr
