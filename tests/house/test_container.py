"""The steps of the Containerfile, run as a script in a folder: what an engine would run, without an engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.containerfile import read, stage

pytestmark = [pytest.mark.house, pytest.mark.slow, pytest.mark.timeout(480)]

ROOT = Path(__file__).resolve().parents[2]


def _run(*command: str | Path, cwd: Path) -> str:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    env["PATH"] = f"{cwd}/bin:{env['PATH']}"
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def test_its_steps_give_a_command_that_runs_and_an_environment_without_package_tools(tmp_path: Path) -> None:
    build, target = tmp_path / "build", tmp_path / "opt" / "truc"
    (build / "bin").mkdir(parents=True)
    (build / "bin" / "python").symlink_to(shutil.which(sys.executable) or sys.executable)
    for one in stage(read((ROOT / "deploy/container/Containerfile").read_text(encoding="utf-8")), 0):
        if one.word == "COPY" and "whl" in one.text:
            _run(
                sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", build, ROOT, cwd=build
            )
        elif one.word == "COPY":
            for name in one.text.split()[:-1]:
                shutil.copy(ROOT / name, build)
        elif one.word == "RUN":
            _run("sh", "-ec", one.text.replace("/opt/truc", str(target)), cwd=build)
    assert "Usage: truc" in _run(target / "bin" / "truc", "worker", "--help", cwd=tmp_path)
    tools = _run(
        target / "bin" / "python", "-c", "import importlib.util as u; print(u.find_spec('pip'))", cwd=tmp_path
    )
    assert tools.strip() == "None"
