"""What the bench of evidence says: pairs against each other, never one way's median against another's."""

from __future__ import annotations

import itertools
import random
from datetime import timedelta
from pathlib import Path

import pytest

from relay.registry import drafts, settle
from relay.registry.journal import Journal
from relay.sandbox.bench.evidence import EvidenceReport, Turn, as_json, markdown, told
from relay.sandbox.bench.figures import Estimate
from relay.sandbox.bench.machine import thread_seconds
from relay.sandbox.bench.switched import Switch
from tests.support.evidence import EvidentRelay, facts
from tests.support.registry import START, Maker, accepted


def _report(*turns: Turn, keeper: float = 10.0) -> EvidenceReport:
    when, command = "2026-01-01T00:00:00.000Z", "truc bench --evidence"
    return EvidenceReport(when, command, 400, 5120, 3, {}, 0.1, turns, (500.0, 501.0, 502.0), keeper, 0.012)


def _pair(pair: int, own: tuple[float, float], other: tuple[float, float], missing: int = 0) -> list[Turn]:
    return [
        Turn(pair, "relay", 400, 300.0, own[0], missing),
        *[Turn(pair, "unrecorded", 400, 310.0, each, 0) for each in other],
        Turn(pair, "relay", 400, 300.0, own[1], 0),
    ]


def test_growth_is_that_of_each_pair() -> None:
    report = _report(
        *_pair(0, (1020.0, 1040.0), (990.0, 1010.0)),
        *_pair(1, (2080.0, 2080.0), (1900.0, 2100.0)),
        *_pair(2, (500.0, 510.0), (500.0, 500.0)),
    )
    assert [round(one, 6) for one in report.growth()] == [3.0, 4.0, 1.0]
    assert [round(one, 6) for one in report.growth_with_keeper()] == [4.0, 4.5, 3.0]
    assert report.extra_us() == [30.0, 80.0, 5.0]
    assert report.clean
    page = markdown(report)
    assert "| CPU time of the workers grows by | 2.8 (1.0 to 4.0) % | 3.0 (1.0 to 4.0) % |" in page
    assert "| the keeper when nothing flows | 1.2 % of a core | |" in page
    assert "| space of the evidence | | 501 (500 to 502) bytes |" in page
    assert round(as_json(report)["growth_percent"]["high"], 6) == 4.0
    assert as_json(report)["growth_percent"]["estimate"]["value"] == Estimate.of(report.growth()).value


def test_what_did_not_arrive_is_told() -> None:
    pair = _pair(0, (1030.0, 1030.0), (1000.0, 1000.0), missing=2)
    assert "MISSING 2" in told(pair, 7)
    assert not _report(*pair).clean


def test_an_estimate_is_that_of_signed_ranks() -> None:
    """Seven differences: Wilcoxon's table says 2 at either end, and 95.3 percent."""
    estimate = Estimate.of([1.1, 2.2, 3.3, 4.4, 5.5, 6.6, 7.7])
    means = sorted(
        (a + b) / 2
        for a, b in itertools.combinations_with_replacement([1.1, 2.2, 3.3, 4.4, 5.5, 6.6, 7.7], 2)
    )
    assert estimate.value == pytest.approx(4.4)
    assert (estimate.low, estimate.high) == (means[2], means[-3])
    assert estimate.confidence == pytest.approx(1 - 2 * 3 / 128)
    assert Estimate.of([5.0]) == Estimate(5.0, 5.0, 5.0, 0.0)
    assert Estimate.of([1.0, 2.0, 3.0]).confidence == pytest.approx(0.75)
    with pytest.raises(ValueError, match="nothing"):
        Estimate.of([])


def test_the_interval_holds_the_middle_as_often_as_it_says() -> None:
    chance = random.Random(28)
    held = sum(
        estimate.low <= 3.0 <= estimate.high
        for estimate in (Estimate.of([chance.gauss(3.0, 5.0) for _ in range(10)]) for _ in range(400))
    )
    assert 365 <= held <= 395


def test_one_that_is_far_out_moves_the_estimate_little() -> None:
    calm = [1.9, 2.0, 2.1, 2.2, 1.8, 2.05, 1.95, 2.15]
    assert Estimate.of([*calm, 60.0]).value == pytest.approx(Estimate.of(calm).value, abs=0.1)


def test_a_switch_takes_the_evidence_out_and_puts_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, name in ((drafts, "submission"), (settle, "_note_moves"), (Journal, "note")):
        monkeypatch.setattr(place, name, getattr(place, name))  # whatever happens, back afterwards
    relay, make, switch = EvidentRelay(tmp_path), Maker(), Switch()
    registry = switch.open(relay.url, chronicler=relay.chronicler())
    accepted(registry, make, make.claim("with"))
    on_record = len(facts(registry.evidence))
    made = drafts.submission
    switch.silent()
    switch.silent()
    try:
        accepted(registry, make, make.claim("without", now=START + timedelta(seconds=1)))
        assert len(facts(registry.evidence)) == on_record
        assert drafts.submission is not made
    finally:
        switch.recording()
    assert drafts.submission is made
    accepted(registry, make, make.claim("with again", now=START + timedelta(seconds=2)))
    assert len(facts(registry.evidence)) == on_record + 3
    assert relay.verify(registry.evidence).ok
    registry.close()


def test_cpu_time_of_threads_is_counted(tmp_path: Path) -> None:
    import os

    before = thread_seconds(os.getpid())
    sum(number * number for number in range(300_000))
    assert 0.0 < thread_seconds(os.getpid()) - before < 60.0
    with pytest.raises(OSError, match="No such file"):
        thread_seconds(2**22 + 1)
