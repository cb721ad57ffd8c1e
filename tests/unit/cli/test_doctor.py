"""``truc doctor`` at the command line: what a person and a program see, and the exit codes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay.operate.doctor import run
from relay.operate.doctor.facts import Facts, Unseen
from relay.operate.doctor.run import AREAS, CHECKS, Patient, Report, judge
from tests.unit.cli.conftest import Truc
from tests.unit.operate.doctor.test_judging import SPOILT
from tests.unit.operate.doctor.well import NOW, WELL


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let the doctor see what the test puts under ``facts``, and note whom it was sent to."""
    state: dict[str, Any] = {"facts": WELL}

    def doctor(patient: Patient, areas: Sequence[str] = (), limit: float = 0.0) -> Report:
        facts: Facts = state["facts"]
        chosen = [check for check in CHECKS if not areas or check.area in areas]
        state["patient"] = patient
        findings, unseen = judge(facts, chosen)
        return Report(NOW, 1.25, tuple(check.name for check in chosen), findings, unseen)

    monkeypatch.setattr(run, "doctor", doctor)
    return state


def test_healthy_is_0_and_one_line(truc: Truc, seen: dict[str, Any], tmp_path: Path) -> None:
    result = truc("doctor", "--config", tmp_path / "truc.yaml")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        f"healthy: {len(CHECKS)} checks, nothing wrong (02/03/2026 10:00:00 +07:00, 1.2 s)\n"
    )


def test_a_warning_is_6_and_a_fault_is_1(truc: Truc, seen: dict[str, Any], tmp_path: Path) -> None:
    seen["facts"] = SPOILT["queue.quarantine"](WELL)
    assert truc("doctor", "--config", tmp_path / "x").exit_code == 6
    seen["facts"] = SPOILT["broker.alarm.disk"](seen["facts"])
    result = truc("doctor", "--config", tmp_path / "x")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == (
        "FAULT  broker.alarm.disk: The broker has a disk alarm: it takes nothing from publishers."
    )
    assert lines[1] == "  rabbit@one: 50.0 GiB free, limit 2.0 GiB"
    assert lines[2].startswith("  -> Free space on the disk of the broker's data")
    assert lines[2].endswith("(owner: operator)")
    assert lines[4].startswith("WARNING  queue.quarantine: ")
    assert lines[-1].startswith(f"faults: 1, warnings: 1, not made: 0 of {len(CHECKS)} checks (")


def test_what_was_not_seen_is_6_and_said(truc: Truc, seen: dict[str, Any], tmp_path: Path) -> None:
    seen["facts"] = replace(WELL, clock=Unseen("no answer in time"))
    result = truc("doctor", "--config", tmp_path / "x")
    assert result.exit_code == 6
    assert "NOT SEEN  no answer in time\n  clock.broker\n" in result.stdout


def test_many_of_one_kind_are_cut_for_people_and_whole_for_programs(
    truc: Truc, seen: dict[str, Any], tmp_path: Path
) -> None:
    seen["facts"] = replace(WELL, libraries=_many())
    shown = truc("doctor", "--config", tmp_path / "x").stdout
    assert "and 15 more" in shown
    assert shown.count("-> pip install") == 1
    told = json.loads(truc("doctor", "--config", tmp_path / "x", "--json").stdout)
    assert len(told["findings"]) == told["faults"] == 25


def _many() -> Any:
    assert not isinstance(WELL.libraries, Unseen)
    return replace(WELL.libraries, missing=tuple(f"package{number}" for number in range(25)))


def test_both_languages(truc: Truc, seen: dict[str, Any], tmp_path: Path) -> None:
    seen["facts"] = SPOILT["registry.damaged"](WELL)
    result = truc("doctor", "--config", tmp_path / "x", "--lang", "vi")
    assert "LỖI  registry.damaged: Tệp registry bị hỏng." in result.stdout
    assert "(phụ trách: người vận hành)" in result.stdout
    told = json.loads(truc("doctor", "--config", tmp_path / "x", "--json").stdout)
    (finding,) = told["findings"]
    assert (finding["check"], finding["severity"], finding["owner"]) == (
        "registry.damaged",
        "fault",
        "operator",
    )
    assert {*finding["cause"], *finding["remedy"]} == {"vi", "en"}
    assert (told["healthy"], told["at"], told["checks"]) == (False, "2026-03-02T03:00:00.000Z", len(CHECKS))


def test_only_one_area(truc: Truc, seen: dict[str, Any], tmp_path: Path) -> None:
    seen["facts"] = SPOILT["registry.damaged"](SPOILT["queue.quarantine"](WELL))
    result = truc("doctor", "--config", tmp_path / "x", "--only", "queue", "--only", "disk", "--json")
    told = json.loads(result.stdout)
    assert [one["check"] for one in told["findings"]] == ["queue.quarantine"]
    assert told["checks"] == len([check for check in CHECKS if check.area in {"queue", "disk"}])
    assert truc("doctor", "--only", "nothing").exit_code == 2


def test_each_area_can_be_asked_for(truc: Truc) -> None:
    for area in AREAS:
        result = truc("doctor", "--list", "--only", area, "--json")
        assert result.exit_code == 0
        assert {one["check"].partition(".")[0] for one in json.loads(result.stdout)} == {area}


def test_the_list_names_every_check_and_looks_at_nothing(truc: Truc, seen: dict[str, Any]) -> None:
    shown = truc("doctor", "--list").stdout.splitlines()
    assert [line.split()[0] for line in shown] == [check.name for check in CHECKS]
    assert "patient" not in seen


def test_a_sandbox_brings_its_processes_along(truc: Truc, seen: dict[str, Any], home: Path) -> None:
    assert truc("doctor", "--home", home, "--process", "http://127.0.0.1:1").exit_code == 0
    patient: Patient = seen["patient"]
    assert patient.config == home / "config" / "truc.yaml"
    assert len(patient.urls) == 3
    assert patient.urls[-1] == "http://127.0.0.1:1"


def test_no_sandbox_is_5(truc: Truc, tmp_path: Path) -> None:
    assert truc("doctor", "--home", tmp_path / "none").exit_code == 5


def test_a_configuration_that_is_not_there_is_a_finding(truc: Truc, tmp_path: Path) -> None:
    result = truc("doctor", "--config", tmp_path / "none.yaml", "--only", "config")
    assert result.exit_code == 1
    assert result.stdout.startswith("FAULT  config.missing: There is no configuration file.")


def test_a_broker_that_is_down_is_one_line_for_each_area(
    truc: Truc, seen: dict[str, Any], tmp_path: Path
) -> None:
    gone = Unseen("BROKER-UNREACHABLE: management API")
    seen["facts"] = replace(WELL, broker=gone, queues=gone, rights=gone, topology=gone, connections=gone)
    result = truc("doctor", "--config", tmp_path / "x")
    line = next(line for line in result.stdout.splitlines() if line.startswith("  broker ("))
    assert "queue (18 checks)" in line
    assert len(line) < 110
    told = json.loads(truc("doctor", "--config", tmp_path / "x", "--json").stdout)
    assert "queue.leaderless" in told["not_looked_at"][0]["checks"]
