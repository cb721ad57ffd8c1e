from __future__ import annotations

import copy
import json
import os
import stat
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from relay.errors import Code, OperationError
from relay.resources import shipped
from relay.sandbox import contents, health, programs, provision
from relay.sandbox.files import write_private
from relay.sandbox.home import Home, Kept, Programs, Running
from relay.sandbox.process import Process
from relay.sandbox.up import up
from relay.settings import load
from tests.support.jsonschema import faults

NOW = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
SCHEMA = json.loads(shipped("schemas/sandbox.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = Home(tmp_path_factory.mktemp("trục số 1"))
    made.make_folders()
    made.keep(Kept(20000, "truc-x", {"admin": "a" * 20}, workers=2, settings={"deadlines": {"min_s": 1}}))
    provision.prepare(made, datetime.now(UTC))
    return made


@pytest.fixture(scope="module")
def content(home: Home) -> dict[str, Any]:
    home.note_running(
        Running(Process(11, 1), Process(12, 1), Process(13, 1), {"w2": Process(15, 1), "w1": Process(14, 1)})
    )
    agencies = provision.prepare(home, datetime.now(UTC))
    return contents.publish(home, home.kept(), agencies)


def test_the_file_fits_its_schema(content: dict[str, Any]) -> None:
    assert faults(content, SCHEMA) == []


@pytest.mark.parametrize("path", ["vhost", "pids.broker", "agencies.H26.key", "gateways.H30.serves"])
def test_the_schema_misses_what_is_missing(content: dict[str, Any], path: str) -> None:
    broken = copy.deepcopy(content)
    *above, last = path.replace("H26", "H26").split(".")
    inner = broken
    for step in above:
        inner = inner[step]
    del inner[last]
    assert faults(broken, SCHEMA)


def test_the_schema_refuses_a_user_in_the_address_and_unknown_keys(content: dict[str, Any]) -> None:
    assert faults({**content, "amqp_url": "amqp://u:p@127.0.0.1/truc"}, SCHEMA)
    assert faults({**content, "surprise": 1}, SCHEMA)
    assert faults({**content, "pids": {**content["pids"], "broker": "12"}}, SCHEMA)


def test_the_file_says_what_runs_and_who_is_served(home: Home, content: dict[str, Any]) -> None:
    sandbox = contents.running(home.path)
    assert (sandbox.pids.supervisor, sandbox.pids.broker, sandbox.pids.keeper) == (11, 12, 13)
    assert sandbox.pids.workers == (14, 15)
    assert sandbox.gateways["H30"].serves == ("H30", "H30.10", "H30.10.01")
    served = sandbox.agency("H30.10.01")
    assert (served.gateway, served.password) == ("H30", sandbox.gateways["H30"].password)
    assert served.key.is_file()
    assert served.cert.is_file()
    assert "H29.21" not in sandbox.agencies
    assert len({gateway.password for gateway in sandbox.gateways.values()}) == len(sandbox.gateways)
    with pytest.raises(OperationError) as raised:
        sandbox.agency("H99")
    assert raised.value.code is Code.NOT_FOUND


def test_every_file_with_a_secret_is_its_owners_alone(home: Home, content: dict[str, Any]) -> None:
    secrets = {content["gateways"]["H26"]["password"], "a" * 20, "PRIVATE KEY"}
    found = 0
    for path in home.path.rglob("*"):
        if path.is_file() and any(secret in path.read_text(errors="replace") for secret in secrets):
            found += 1
            assert stat.S_IMODE(path.stat().st_mode) in {0o600, 0o400}, path
    assert found > 15


def test_preparing_again_changes_no_password_and_no_key(home: Home) -> None:
    before = {
        path: path.read_bytes()
        for path in [*home.keys.iterdir(), *home.relay.iterdir(), home.path / "kept.json"]
    }
    provision.prepare(home, datetime.now(UTC))
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(("name", "port"), [("w1", 20006), ("w2", 20007), ("keeper", 20005)])
def test_worker_and_keeper_read_their_settings(home: Home, name: str, port: int) -> None:
    settings = load(home.process_settings(name))
    assert settings.http.port == port
    assert settings.broker.password() == home.kept().passwords["relay"]
    assert settings.broker.port == 20000
    assert settings.deadlines.min_s == 1
    assert settings.registry.url == home.registry_url
    if name != "keeper":
        assert settings.worker.name == name


def test_other_settings_or_another_program_give_another_fingerprint(home: Home) -> None:
    kept = home.kept()
    first = programs.fingerprint(home, kept, "w1")
    assert first == programs.fingerprint(home, kept, "w1")
    assert first != programs.fingerprint(home, kept, "w2")
    other = replace(kept, programs=Programs(("true", "{config}"), ("true",)))
    assert first != programs.fingerprint(home, other, "w1")
    assert programs.command(home, other, "w1") == ["true", str(home.process_settings("w1"))]


def test_nothing_of_the_callers_environment_leaks_in(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RABBITMQ_NODENAME", "stray")
    monkeypatch.setenv("PYTHONSTARTUP", "stray")
    environment = programs.environment(home, "w1")
    assert "stray" not in environment.values()


def test_what_is_kept_survives_many_writers(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make_folders()
    home.keep(Kept(20000, "n", {}))
    threads = [threading.Thread(target=home.password, args=(f"u{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(home.kept().passwords) == {f"u{number}" for number in range(8)}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 2}', '{"format": 1, "surprise": 0, "programs": null}']
)
def test_a_damaged_home_is_told(tmp_path: Path, text: str) -> None:
    home = Home(tmp_path)
    (home.path / "kept.json").write_text(text)
    with pytest.raises(OperationError) as raised:
        home.kept()
    assert raised.value.code is Code.SANDBOX_BROKEN


def test_no_sandbox_is_not_found(tmp_path: Path) -> None:
    for ask in (lambda: Home(tmp_path).kept(), lambda: contents.running(tmp_path)):
        with pytest.raises(OperationError) as raised:
            ask()
        assert raised.value.code is Code.NOT_FOUND


def test_notes_of_what_runs_may_be_lost(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make_folders()
    assert home.running() == Running()
    home.note_running(Running(broker=Process(1, 2)))
    assert home.running().broker == Process(1, 2)
    (tmp_path / "run" / "processes.json").write_text('{"broker"')
    assert home.running() == Running()
    assert health.trouble(home, Kept(20000, "n", {"admin": "x"})) == "the broker does not run"


def test_a_private_file_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    write_private(path, "một")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("một", 0o600)

    def full(_descriptor: int) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_private(path, "hai")
    assert path.read_text() == "một"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_broker_is_named_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUC_RABBITMQ_BIN", str(tmp_path / "nowhere"))
    with pytest.raises(OperationError) as raised:
        up(tmp_path / "home", detach=True)
    assert raised.value.code is Code.BROKER_MISSING
    assert not (tmp_path / "home").exists()
