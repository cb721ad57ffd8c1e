"""The units: systemd takes them, what they start exists, they are closed as far as they can be."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import click
import pytest

from relay.cli.main import main
from relay.observe.pulse import STILL
from relay.pipeline import worker as worker_module
from relay.settings import keys
from tests.support.units import Unit, read

ROOT = Path(__file__).resolve().parents[3]
UNITS = ROOT / "deploy" / "systemd"
SERVICES = ("truc-worker@.service", "truc-keeper.service", "truc-backup.service")
SCORE = {
    "truc-worker@.service": 1.2,
    "truc-keeper.service": 1.2,
    "truc-backup.service": 0.5,
    "truc-expire.service": 2.2,
}
"""Exposure by systemd-analyze 252, from 0 (closed) to 10; docs/operations.md states it."""
CLOSED = {
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "PrivateUsers": "yes",
    "MemoryDenyWriteExecute": "yes",
    "RestrictNamespaces": "yes",
    "SystemCallArchitectures": "native",
    "UMask": "0077",
    "LimitCORE": "0",
}


def _all() -> list[Path]:
    return sorted(path for path in UNITS.iterdir() if path.suffix in {".service", ".timer", ".target"})


@pytest.mark.parametrize("path", _all(), ids=lambda path: path.name)
def test_a_unit_is_well_formed(path: Path) -> None:
    assert read(path).value("Unit", "Description")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("ProtectSystme=strict", "not known"),
        ("ProtectHome=maybe", "yes or no"),
        ("TimeoutStopSec=soon", "duration"),
        ("SystemCallFilter=read write", "SystemCallFilter"),
        ("Description=x", None),
        ("ExecStart=truc worker", "absolute"),
        ("LoadCredential=broker.password", "LoadCredential"),
        ("User=%z", "specifiers"),
    ],
)
def test_a_fault_in_a_unit_is_found(line: str, fault: str | None, tmp_path: Path) -> None:
    unit = tmp_path / "x.service"
    unit.write_text(
        f"[Unit]\nDescription=x\n[Service]\nExecStart=/bin/true\n{line}\n".replace(
            "ExecStart=/bin/true\nExecStart", "ExecStart"
        ),
        encoding="utf-8",
    )
    if fault is None:
        read(unit)
    else:
        with pytest.raises(ValueError, match=fault):
            read(unit)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_closed(name: str) -> None:
    unit = read(UNITS / name)
    assert {key: unit.value("Service", key) for key in CLOSED} == CLOSED
    assert unit.values("Service", "SystemCallFilter") == ["@system-service", "~@privileged @resources"]
    assert unit.value("Service", "User") == "truc"


@pytest.mark.parametrize("name", SERVICES[:2])
def test_what_a_service_starts_is_a_command_of_ours_with_options_and_settings_that_exist(name: str) -> None:
    unit = read(UNITS / name)
    program, command, *words = unit.command("3", Path("/run/credentials/x"))
    assert program == "/opt/truc/bin/truc"
    known = {option for item in main.commands[command].params for option in item.opts}
    assert {word for word in words if word.startswith("--")} <= known
    settings = dict(word.split("=", 1) for flag, word in pairwise(words) if flag == "--set")
    assert set(settings) <= set(keys())
    assert settings["broker.password_file"] == "/run/credentials/x/broker.password"
    assert "password" not in unit.environment()
    assert set(unit.credentials()) == {"broker.password"}
    with main.commands[command].make_context(command, ["--config", str(UNITS / name), *words[2:]]) as context:
        assert isinstance(context, click.Context)


def test_a_worker_has_time_for_what_is_in_hand() -> None:
    unit = read(UNITS / "truc-worker@.service")
    assert unit.seconds("TimeoutStopSec") >= 2 * worker_module._FINISH
    assert unit.value("Service", "Restart") == "on-failure"
    assert unit.value("Service", "Type") == "notify"
    assert unit.seconds("WatchdogSec") > STILL
    assert unit.seconds("StartLimitIntervalSec", "Unit") == 0


def test_the_target_holds_workers_and_keeper() -> None:
    for name in SERVICES[:2]:
        unit = read(UNITS / name)
        assert unit.value("Unit", "PartOf") == "truc.target"
        assert unit.value("Install", "WantedBy") == "truc.target"


def test_folders_and_user_of_the_units_are_those_that_are_made() -> None:
    made = {}
    for line in (ROOT / "deploy/tmpfiles.d/truc.conf").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            kind, path, mode, user, group, age = line.split()
            assert (kind, age) == ("d", "-")
            made[path] = (mode, user, group)
    assert made["/etc/truc/secrets"] == ("0750", "root", "truc")
    assert made["/var/lib/truc"] == ("0700", "truc", "truc")
    backup = read(UNITS / "truc-backup.service")
    assert backup.value("Service", "ReadWritePaths") in made
    assert f"/var/lib/{backup.value('Service', 'StateDirectory')}" in made
    users = re.findall(
        r"^u (\S+) - ", (ROOT / "deploy/sysusers.d/truc.conf").read_text("utf-8"), re.MULTILINE
    )
    assert users == ["truc"]
    assert {user for _, user, _ in made.values()} == {"root", "truc"}


def _analyze(*arguments: str | Path) -> str:
    done = subprocess.run(
        ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


def _placed(folder: Path, unit: Unit) -> Path:
    """Return the unit with programs that exist here: verify looks at them."""
    (folder / "bin").mkdir(exist_ok=True)
    for name in ("truc", "truc-backup"):
        (folder / "bin" / name).write_text("#!/bin/sh\n", encoding="utf-8")
        (folder / "bin" / name).chmod(0o755)
    placed = folder / unit.path.name
    placed.write_text(
        unit.path.read_text("utf-8").replace("/opt/truc/bin/", f"{folder}/bin/"), encoding="utf-8"
    )
    return placed


def test_systemd_itself_takes_them_and_its_score_is_the_one_stated(tmp_path: Path) -> None:
    """Where systemd-analyze is not installed, the strict reading above is what stands for it."""
    units = [_placed(tmp_path, read(path)) for path in _all()]
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    if shutil.which("systemd-analyze"):
        for unit in units:
            said = _analyze("verify", unit)
            assert not [line for line in said.splitlines() if "truc" in line], said
        version = int(re.findall(r"systemd (\d+)", _analyze("--version"))[0])
        for unit in units:
            if unit.suffix == ".service":
                said = _analyze("security", "--offline=true", "--no-pager", unit)
                score = float(re.findall(r"exposure level for .*: ([\d.]+)", said)[0])
                # Later versions weigh otherwise; none of them calls these units exposed.
                assert score <= (SCORE[unit.name] if version == 252 else 2.5)
    for name, score in SCORE.items():
        assert re.search(rf"`{re.escape(name)}`[^\n]*\b{score}\b", page), (
            f"the page does not state {name}: {score}"
        )
