"""One very short run over a real broker: relay and bare loop take turns, nothing is lost, nothing is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.sandbox.bench import Plan, run_bench
from relay.sandbox.bench.plan import KIB, RECIPIENTS
from relay.sandbox.process import marked

pytestmark = [pytest.mark.broker, pytest.mark.bench, pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_short_run_is_complete_and_leaves_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    folder = tmp_path / "bench"
    report = run_bench(folder, Plan(seconds=2.0, pairs=1, sizes=(5 * KIB,)), say=said.append)
    relay, bare = report.legs
    assert (relay.system, bare.system) == ("relay", "bare")
    for leg in report.legs:
        assert leg.clean, said
        assert leg.full.rate > 0
        assert leg.steady.sent > 0
        assert leg.full.body_bytes == pytest.approx(5 * KIB, rel=0.1)
        assert 0 < leg.steady.delivery_ms["p50"] <= leg.steady.delivery_ms["p99"]
    assert relay.steady.rate == bare.steady.rate
    assert {"worker", "keeper", "broker", "sender", "readers"} <= set(relay.full.cpu_us)
    assert {"bare", "broker", "sender", "readers"} == set(bare.full.cpu_us)
    assert relay.full.inside is not None
    assert {"accept", "verify", "claim", "deliver", "settle"} <= set(relay.full.inside.stage_ms)
    assert len(RECIPIENTS) == 3
    assert not folder.exists()
    assert not marked(folder)
