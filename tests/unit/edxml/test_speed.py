"""The measuring itself: right packages of the size asked for, figures that mean something. No time is judged here."""

from __future__ import annotations

import pytest

from adapters.edxml import speed
from adapters.edxml.check import check


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


def test_figures_come_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(speed, "_ROUNDS", 1)
    monkeypatch.setattr(speed, "SIZES", (5_000,))
    monkeypatch.setattr(speed, "WRITTEN", 1_000_000)
    assert speed.main([]) == 0
    out = capsys.readouterr().out
    assert "µs" in out
    assert "MB/s" in out
    assert speed.main(["--json"]) == 0
