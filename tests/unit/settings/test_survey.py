"""A configuration read as far as it goes: all complaints at once, and never a value that could be a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.errors import Code, ConfigurationError
from relay.settings import load, survey

GOOD = """\
relay: {name: truc-dev, key: relay.key, certificates: [relay.pem]}
broker: {url: "amqp://127.0.0.1:5672/truc", user: relay, password_file: relay.password}
registry: {url: "sqlite:///registry.db"}
directory: {file: directory.yaml}
trust: {anchors: [root.pem]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    for name in ("relay.key", "relay.pem", "relay.password", "directory.yaml", "root.pem"):
        (tmp_path / name).write_text("x", encoding="utf-8")
        (tmp_path / name).chmod(0o600)
    path = tmp_path / "truc.yaml"
    path.write_text(GOOD, encoding="utf-8")
    return path


def test_a_good_file_gives_what_load_gives(file: Path) -> None:
    assert survey(file) == (load(file), ())


def test_everything_that_load_would_refuse_is_told_and_the_rest_is_read(file: Path) -> None:
    text = GOOD.replace("127.0.0.1", "broker.example").replace("user: relay", "user: relay, colour: red")
    file.write_text(text + "unknown: 1\n", encoding="utf-8")
    (file.parent / "relay.key").chmod(0o644)
    (file.parent / "root.pem").unlink()
    settings, complaints = survey(file)
    assert settings is not None
    assert settings.relay.name == "truc-dev"
    assert {(one.kind, one.key) for one in complaints} == {
        ("unknown", "unknown"),
        ("unknown", "broker.colour"),
        ("plain", "broker.url"),
        ("mode", "relay.key"),
        ("file", "trust.anchors"),
    }
    with pytest.raises(ConfigurationError) as refused:
        load(file)
    assert refused.value.code is Code.CONFIG_INVALID


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("relay: [", "not YAML"),
        (GOOD.replace("name: truc-dev, ", ""), "relay.name"),
        (GOOD.replace("truc-dev", "Trục"), "relay.name"),
        (GOOD.replace("amqp://", "amqp://user:hunter2@"), "broker.url"),
    ],
)
def test_what_cannot_be_read_at_all_is_one_complaint(file: Path, text: str, word: str) -> None:
    file.write_text(text, encoding="utf-8")
    settings, complaints = survey(file)
    assert settings is None
    assert [one.kind for one in complaints] == ["other"]
    assert word in complaints[0].reason
    assert "hunter2" not in complaints[0].reason


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    settings, complaints = survey(tmp_path / "none.yaml")
    assert settings is None
    assert len(complaints) == 1
