"""Secrets that the service manager hands over: taken as it makes them, and nothing looser."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.errors import Code, ConfigurationError
from relay.settings.model import read_secret


def _secret(folder: Path, mode: int) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "broker.password"
    path.write_text("geheim\n", encoding="utf-8")
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o400, 0o440])
def test_a_credential_is_taken(mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    assert read_secret(_secret(tmp_path / "credentials", mode), "broker.password_file") == "geheim"


@pytest.mark.parametrize(("folder", "mode"), [("credentials", 0o444), ("credentials", 0o640), ("etc", 0o440)])
def test_nothing_looser_and_nowhere_else(
    folder: str, mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    with pytest.raises(ConfigurationError) as caught:
        read_secret(_secret(tmp_path / folder, mode), "broker.password_file")
    assert caught.value.code is Code.CONFIG_INVALID


def test_without_a_service_manager_the_group_reads_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigurationError):
        read_secret(_secret(tmp_path, 0o440), "broker.password_file")
