"""``--key`` and what belongs to it: which combinations are taken."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from relay.cli.options import key_options
from relay.settings.keyplace import KeyPlace

URI = "pkcs11:token=a;object=b?module-path=/m&pin-source=file:/p"


@click.command()
@key_options
def shown(key_place: KeyPlace | None) -> None:
    click.echo(repr(key_place))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.pem", "b.pem", "k.p12", "password"):
        (tmp_path / name).write_text("x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ([], None),
        (["--key", "k.p12"], ("{}/k.p12", (), None)),
        (["--key", "k.p12", "--key-password-file", "password"], ("{}/k.p12", (), "password")),
        (
            ["--key", "k.pem", "--certificate", "a.pem", "--certificate", "b.pem"],
            ("{}/k.pem", ("a.pem", "b.pem"), None),
        ),
        (["--key", URI, "--certificate", "a.pem"], (URI, ("a.pem",), None)),
    ],
)
def test_places(
    folder: Path, words: list[str], place: tuple[str, tuple[str, ...], str | None] | None
) -> None:
    result = CliRunner().invoke(shown, words)
    assert result.exit_code == 0, result.output
    wanted = place and KeyPlace(
        place[0].format(folder) if "{}" in place[0] else place[0],
        tuple(Path(one) for one in place[1]),
        Path(place[2]) if place[2] else None,
    )
    assert result.output.strip() == repr(wanted)


@pytest.mark.parametrize(
    "words",
    [
        ["--certificate", "a.pem"],
        ["--key-password-file", "password"],
        ["--key", "k.pem"],
        ["--key", URI],
        ["--key", URI, "--certificate", "a.pem", "--key-password-file", "password"],
    ],
)
def test_what_does_not_go_together(folder: Path, words: list[str]) -> None:
    assert CliRunner().invoke(shown, words).exit_code == 2
