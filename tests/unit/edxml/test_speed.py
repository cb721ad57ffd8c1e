"""The measuring itself: right packages of the size asked for, figures that mean something. No time is judged here."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from adapters.edxml import speed
from adapters.edxml.check import check
from relay.cli.main import main


@pytest.mark.parametrize("size", [5_000, 64_000])
def test_the_sample_has_the_size_and_nothing_odd(size: int) -> None:
    body = speed.sample(size)
    assert abs(len(body) - size) < size // 5
    assert body == speed.sample(size)
    checked = check(body, "strict")
    assert {one.oddity.value for one in checked.findings} == {
        "content-not-as-named"
    }  # random bytes are no PDF
    assert not checked.schema


def test_samples_differ_in_what_they_say() -> None:
    envelopes = {speed.sample(5_000, seed)[:2500] for seed in range(20)}
    assert len(envelopes) == 20


def test_figures_come_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_ROUNDS", 1)
    monkeypatch.setattr(speed, "SIZES", (5_000,))
    monkeypatch.setattr(speed, "WRITTEN", 1_000_000)
    shown = CliRunner().invoke(main, ["bench", "--format"])
    assert shown.exit_code == 0
    assert "µs" in shown.output
    assert "MB/s" in shown.output
    (read,) = json.loads(CliRunner().invoke(main, ["bench", "--format", "--json"]).output)["read"]
    assert read["relay_ratio"] == pytest.approx(read["relay_us"] / read["bare_us"])
    assert CliRunner().invoke(main, ["bench", "--format", "--out", "x.md"]).exit_code == 2
