"""The figure of speed: what it measures is a whole check of a log that holds."""

from __future__ import annotations

from pathlib import Path

from relay.evidence.files import FileLog
from relay.evidence.speed import make, measure
from relay.evidence.verify import LogVerifier


def test_what_is_measured_is_a_log_that_holds() -> None:
    figures = measure(1500)
    assert figures["faults"] == 0
    assert figures["trusted"]
    assert isinstance(figures["records"], int)
    assert figures["records"] >= 1500
    assert isinstance(figures["bytes_a_record"], float)
    assert figures["bytes_a_record"] < 170  # six records stand for a document and its status


def test_the_log_has_more_than_one_chain_and_head(tmp_path: Path) -> None:
    make(tmp_path / "log", tmp_path / "known", 20_000)
    known = frozenset({(tmp_path / "known").read_text()})
    report = LogVerifier(known=known).verify(FileLog(tmp_path / "log"))
    assert report.ok
    assert len(report.chains) == 2
    assert report.heads > 1
    assert all(one.ended for one in report.chains)
