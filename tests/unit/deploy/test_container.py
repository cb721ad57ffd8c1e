"""The Containerfile: a lint of our own, and what it copies and starts exists. Its steps are run by tests/house."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.cli.main import main
from relay.observe.http import HttpServer
from relay.settings import keys
from tests.support.containerfile import faults, read, stage

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "deploy" / "container"
TEXT = (FOLDER / "Containerfile").read_text(encoding="utf-8")
GOOD = (
    "FROM docker.io/library/python:3.11.14-slim\nCOPY dist/x.whl ./\nUSER 1:1\nSTOPSIGNAL SIGTERM\n"
    'HEALTHCHECK CMD ["x"]\nENTRYPOINT ["x"]\n'
)


def test_nothing_in_it_is_to_be_regretted() -> None:
    assert faults(read(TEXT)) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (":3.11.14-slim", ":3.11", "pinned"),
        (":3.11.14-slim", "", "pinned"),
        ("dist/x.whl ./", ". ./", "too much"),
        ("dist/x.whl ./", "relay.key ./", "secret"),
        ("USER 1:1", "USER root", "root"),
        ("USER 1:1\n", "", "no USER"),
        ("USER 1:1", "ENV BROKER_PASSWORD=x\nUSER 1", "secret"),
        ("USER 1:1", "RUN pip install truc\nUSER 1", "hashes"),
        ("USER 1:1", "RUN sudo true\nUSER 1", "sudo"),
        ('ENTRYPOINT ["x"]', "ENTRYPOINT x", "shell"),
        ('HEALTHCHECK CMD ["x"]\n', "", "no HEALTHCHECK"),
    ],
)
def test_a_planted_fault_is_found(old: str, new: str, fault: str) -> None:
    assert faults(read(GOOD)) == []
    assert any(fault in one for one in faults(read(GOOD.replace(old, new))))


def test_a_word_that_is_none_is_told() -> None:
    with pytest.raises(ValueError, match="FORM"):
        read("FORM x")


def test_what_it_copies_is_there_and_nothing_else_reaches_the_engine() -> None:
    allowed = {
        line.removeprefix("!")
        for line in (FOLDER / "Containerfile.containerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    }
    copied = {
        path
        for one in read(TEXT)
        if one.word == "COPY" and not one.text.startswith("--from=")
        for path in one.text.split()[:-1]
    }
    assert copied == allowed
    assert all((ROOT / path).is_file() for path in copied if not path.startswith("dist/"))


def test_what_it_starts_is_a_command_with_settings_that_exist() -> None:
    (command,) = (one.text for one in read(TEXT) if one.word == "CMD")
    name, *words = json.loads(command)
    known = {option for item in main.commands[name].params for option in item.opts}
    assert {word for word in words if word.startswith("--")} <= known
    assert words[words.index("--set") + 1].partition("=")[0] in keys()
    (health,) = (one.text for one in read(TEXT) if one.word == "HEALTHCHECK")
    assert words[words.index("--set") + 1].partition("=")[2] == json.loads(health.partition("CMD ")[2])[1]


def test_the_last_stage_has_no_package_tools_and_an_ordinary_user() -> None:
    first, second = stage(read(TEXT), 0), stage(read(TEXT), 1)
    assert "pip uninstall" in first[-1].text
    assert not any("pip" in one.text for one in second if one.word == "RUN")
    assert any("--uid 10001" in one.text for one in second if one.word == "RUN")
    assert next(one.text for one in second if one.word == "USER") == "10001:10001"


@pytest.fixture
def server() -> Iterator[HttpServer]:
    one = HttpServer(lambda: b"", lambda: (False, {}))
    one.start()
    try:
        yield one
    finally:
        one.stop()


def _health(*words: str) -> int:
    return subprocess.run([sys.executable, FOLDER / "health", *words], timeout=30, check=False).returncode


def test_health_is_asked_of_the_process_itself(server: HttpServer) -> None:
    port = server.url.rpartition(":")[2]
    assert _health(port) == 0
    assert _health(port, "/ready") == 1
    server.stop()
    assert _health(port) == 1
