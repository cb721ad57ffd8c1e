"""The wheel: built, installed in an empty environment outside the checkout, and put to work there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.house, pytest.mark.slow, pytest.mark.timeout(480)]

ROOT = Path(__file__).resolve().parents[2]


def _run(*command: str | Path, cwd: Path, timeout: int = 240) -> str:
    # Nothing of the checkout may help: no PYTHONPATH, no activated environment.
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout[-6000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    (found,) = out.glob("truc-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment that has the locked packages and the wheel, and nothing else."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    _run(sys.executable, "-m", "venv", venv, cwd=venv.parent)
    pip: list[str | Path] = [
        venv / "bin" / "python",
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "install",
    ]
    _run(*pip, "--require-hashes", "-r", ROOT / "requirements.lock", cwd=venv.parent)
    _run(*pip, "--no-deps", wheel, cwd=venv.parent)
    _run(venv / "bin" / "python", "-m", "pip", "check", cwd=venv.parent)
    return venv / "bin"


def test_the_wheel_holds_code_and_data_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"relay", "adapters"}
    for folder in ("schemas", "config"):
        shipped = {
            name.removeprefix("relay/_data/") for name in names if name.startswith(f"relay/_data/{folder}/")
        }
        tracked = {
            path.relative_to(ROOT).as_posix()
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert tracked, f"{folder}/ is empty"
        assert shipped == tracked


def test_the_installed_command_finds_itself_and_its_data(installed: Path, tmp_path: Path) -> None:
    assert "Usage: truc" in _run(installed / "truc", "--help", cwd=tmp_path)
    where = _run(
        installed / "python",
        "-c",
        "import relay; from relay.resources import shipped; print(relay.__file__, shipped('config/errors.yaml'))",
        cwd=tmp_path,
    )
    for path in where.split():
        assert path.startswith(str(installed.parent)), f"{path} lies outside the empty environment"


def test_the_installed_command_runs_the_demo(installed: Path, tmp_path: Path) -> None:
    out = _run(installed / "truc", "demo", cwd=tmp_path)
    last = out.strip().splitlines()[-1]
    pattern = r"demo: (\d+) documents, (\d+) deliveries, (\d+) receipts, lost 0, duplicated 0"
    match = re.fullmatch(pattern, last)
    assert match, f"the last line is {last!r}"
    documents, deliveries, receipts = map(int, match.groups())
    assert documents >= 200
    assert deliveries > documents // 2
    assert receipts >= documents
