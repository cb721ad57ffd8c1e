"""What the bench of evidence says: pairs against each other, never one way's median against another's."""

from __future__ import annotations

from relay.sandbox.bench.evidence import EvidenceReport, Turn, as_json, markdown, told


def _report(*turns: Turn) -> EvidenceReport:
    return EvidenceReport("2026-01-01T00:00:00.000Z", "truc bench --evidence", 4.0, 5120, 3, {}, 0.1, turns)


def _turn(pair: int, way: str, worker: float, *, keeper: float = 10.0, missing: int = 0) -> Turn:
    assert way in ("relay", "unrecorded")
    space = 500.0 + pair if way == "relay" else 0.0
    return Turn(pair, "relay" if way == "relay" else "unrecorded", 100, 300.0, worker, keeper, space, missing)


def test_growth_is_that_of_each_pair() -> None:
    report = _report(
        _turn(0, "relay", 1030.0),
        _turn(0, "unrecorded", 1000.0),
        _turn(1, "unrecorded", 2000.0),
        _turn(1, "relay", 2080.0),
        _turn(2, "relay", 505.0),
        _turn(2, "unrecorded", 500.0),
    )
    assert round(report.growth().median, 6) == 3.0
    assert (round(report.growth().low, 6), round(report.growth().high, 6)) == (1.0, 4.0)
    assert report.extra_us().median == 30.0
    assert report.space().median == 501.0
    assert report.clean
    page = markdown(report)
    assert "| CPU time of the workers grows by | 3.0 (1.0 to 4.0) % |" in page
    assert "| space of the evidence | 501 (500 to 502) bytes |" in page
    assert as_json(report)["growth_percent"]["high"] == report.growth().high


def test_what_did_not_arrive_is_told() -> None:
    turn = _turn(0, "relay", 1030.0, missing=2)
    assert "MISSING 2" in told(turn, 7)
    assert not _report(turn).clean
