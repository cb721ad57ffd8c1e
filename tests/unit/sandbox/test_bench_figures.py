"""From what was noted to the figures, and the figures on a page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from relay.errors import OperationError
from relay.sandbox.bench import report as pages
from relay.sandbox.bench import scrape
from relay.sandbox.bench.figures import Notes, Spread, percentile
from relay.sandbox.bench.legs import documents_for, profile_of, used_cpu
from relay.sandbox.bench.machine import cpu_of, file_system
from relay.sandbox.bench.plan import KIB, RSA_EVERY, SIGNERS, Plan, System, first_system
from relay.sandbox.bench.results import Full, Leg, Report, Steady
from relay.sandbox.bench.run import told


def notes(tmp_path: Path, sent: str, came: str) -> Notes:
    (tmp_path / "sent").write_text(sent)
    (tmp_path / "came").write_text(came)
    return Notes.read(tmp_path / "sent", tmp_path / "came")


def leg(system: System, pair: int, rate: float, size: int = 5 * KIB) -> Leg:
    times = {"p50": 1.0, "p95": 2.0, "p99": 3.25}
    role = "worker" if system == "relay" else "bare"
    full = Full(rate, 10.0, 1000, 5100.0, {role: 900.0, "broker": 500.0}, ended_early=False)
    return Leg(pair, size, system, full, Steady(rate / 2, rate / 2, 500, times, times, 0.5), 0, 0, 0)


def report(*legs: Leg, load: float = 0.1) -> Report:
    facts = {"cores": "2", "file system": "ext4"}
    plan = Plan(sizes=(5 * KIB,), pairs=3)
    return Report("2026-01-02T03:04:05.000Z", "truc bench", plan, facts, (load, 0.0, 0.0), legs)


SYSTEMS: tuple[System, System] = ("relay", "bare")
PAIRS = tuple(
    leg(system, pair, rate)
    for pair, rates in enumerate([(300.0, 1000.0), (500.0, 1000.0), (320.0, 800.0)])
    for system, rate in zip(SYSTEMS, rates, strict=True)
)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([], 50, 0.0),
        ([7.0], 99, 7.0),
        ([1.0, 2.0], 50, 1.0),
        ([1.0, 2.0, 3.0], 50, 2.0),
        ([float(value) for value in range(1, 101)], 95, 95.0),
        ([float(value) for value in range(1, 101)], 99, 99.0),
    ],
)
def test_percentile_is_the_nearest_rank(values: list[float], percent: int, expected: float) -> None:
    assert percentile(values, percent) == expected


def test_a_document_is_done_with_its_last_message(tmp_path: Path) -> None:
    found = notes(
        tmp_path,
        "a 1.0 1.5\nb 2.0 2.2\nc 2.5 2.6\nd 2.6 0.0\n",
        "a 0 1.1\na 1 1.2\nb 0 2.1\nb 1 3.5\nc 0 2.7\nc 1 2.8\nd 0 2.9\nd 1 2.9\n",
    )
    # a at 1.5, c at 2.8; b is done at 3.5 only, d never.
    assert found.rate(2, 1.0, 3.0) == pytest.approx(1.0)
    assert found.rate(2, 3.0, 4.0) == pytest.approx(1.0)
    assert found.rate(2, 3.0, 3.0) == 0.0
    assert found.missing(2) == 1


def test_what_came_twice_or_from_nowhere_is_counted(tmp_path: Path) -> None:
    found = notes(tmp_path, "a 1.0 1.5\n", "a 0 1.1\na 0 1.2\nz 0 1.3\n")
    assert (found.copies, found.strangers, found.missing(1)) == (1, 1, 0)
    assert found.arrivals == {("a", 0): 1.1}


def test_latencies_are_those_after_the_start(tmp_path: Path) -> None:
    found = notes(tmp_path, "a 1.0 9.0\nb 2.0 2.5\n", "a 0 8.0\nb 0 2.1\nb 1 2.05\n")
    assert found.delivery_ms(1.5) == pytest.approx([50.0, 100.0])
    assert found.receipt_ms(1.5) == pytest.approx([500.0])


def test_the_ratio_is_taken_within_each_pair() -> None:
    assert report(*PAIRS).ratios(5 * KIB) == pytest.approx([0.3, 0.5, 0.4])
    assert Spread.of(report(*PAIRS).ratios(5 * KIB)).written(".2f") == "0.40 (0.30 to 0.50)"
    with pytest.raises(ValueError, match="nothing"):
        Spread.of([])


def test_the_order_within_a_pair_turns_round() -> None:
    assert first_system(0) == ("relay", "bare")
    assert first_system(1) == ("bare", "relay")


def test_there_are_enough_signers_and_some_of_them_use_rsa() -> None:
    assert len(set(SIGNERS)) >= 50
    assert 0 < len(SIGNERS[::RSA_EVERY]) < len(SIGNERS)


def test_there_are_more_documents_than_the_rate_asks_for() -> None:
    assert documents_for(1000.0, 12.0) > 1.2 * 12_000


def test_the_page_shows_median_spread_and_ratio() -> None:
    text = pages.markdown(report(*PAIRS), "benchmarks/raw.json")
    assert "| documents a second, full load | 320 (300 to 500) | 1000 (800 to 1000) |" in text
    assert "| **relay / bare loop, by pair** | **0.40 (0.30 to 0.50)** | |" in text
    assert "| publish to arrival, p99, ms | 3.2 (3.2 to 3.2) |" in text
    assert "| CPU for each document, workers, µs | 900 (900 to 900) |  |" in text
    assert "300 / 1000, 500 / 1000, 320 / 800" in text
    assert "benchmarks/raw.json" in text
    assert "Below" not in text
    assert "busy" not in text


def test_the_page_says_what_is_wrong_with_a_run() -> None:
    slow = [leg("relay", 0, 150.0), leg("bare", 0, 1000.0)]
    assert "Below 0.2 of the bare loop" in pages.markdown(report(*slow))
    assert "busy with other work" in pages.markdown(report(*PAIRS, load=1.5))
    lost = replace(PAIRS[0], missing=1)
    assert not lost.clean
    assert "do not count" in pages.markdown(report(lost, *PAIRS[1:]))
    assert "MISSING 1" in told(lost, Plan())
    in_memory = replace(report(*PAIRS), machine={"file system": "tmpfs"})
    assert "not on a disk" in pages.markdown(in_memory)


def test_a_page_keeps_what_stands_around_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    begin, end = pages.FIGURES
    page.write_text(f"# Head\n\n{begin}\nold\n{end}\n\nFoot\n")
    written = pages.write(report(*PAIRS), page)
    text = page.read_text()
    assert text.startswith("# Head\n")
    assert text.endswith("\nFoot\n")
    assert "old" not in text
    assert "### 5 KB" in text
    assert written == [page, tmp_path / "benchmarks" / "figures-1-inline.json"]
    raw = json.loads(written[1].read_text())
    assert raw["ratios"] == {"5120": [0.3, 0.5, 0.4]}
    assert [one["full"]["rate"] for one in raw["legs"]][:2] == [300.0, 1000.0]
    pages.write(report(*PAIRS), page)
    assert page.read_text() == text


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Head\n")
    with pytest.raises(OperationError, match="NOT-FOUND"):
        pages.write(report(*PAIRS), page)
    assert page.read_text() == "# Head\n"


def test_the_page_of_the_project_has_both_marks() -> None:
    page = (Path(__file__).parents[3] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for marks in (pages.FIGURES, pages.PROFILE):
        assert "new figures" in pages.place(page, marks, "new figures")


def test_the_profile_shares_the_time_among_documents() -> None:
    found = {"samples": 10, "stages": {"parse": 0.25, "signature": 0.75}, "functions": {"relay/x.py:f": 0.5}}
    profile = profile_of(5 * KIB, 1000, found)
    assert [(one.stage, one.us, one.share) for one in profile.stages] == [
        ("signature", 750.0, 0.75),
        ("parse", 250.0, 0.25),
    ]
    text = pages.markdown(replace(report(), profiles=(profile,)))
    assert "| signature | 750 | 75% |" in text
    assert "| all | 1000 | 100% |" in text


def test_cpu_time_of_all_workers_together() -> None:
    before = {"w1": 1.0, "w2": 1.0, "broker": 5.0}
    after = {"w1": 2.0, "w2": 1.5, "broker": 7.0, "keeper": 0.5, "supervisor": 9.0}
    assert used_cpu(before, after) == {"worker": 1.5, "keeper": 0.5, "broker": 2.0}


def test_cpu_time_of_a_process_with_an_odd_name() -> None:
    stat = "77 (a) b) S 1 77 77 0 -1 4194560 1 0 0 0 250 150 9 9 20 0 1 0 100 1 1"
    assert cpu_of(stat) == pytest.approx(4.0)


def test_the_file_system_is_that_of_the_innermost_mount(tmp_path: Path) -> None:
    mounts = f"/dev/a / ext4 rw 0 0\ntmpfs {tmp_path} tmpfs rw 0 0\nproc /proc proc rw 0 0\n"
    assert file_system(tmp_path / "x", mounts) == "tmpfs"
    assert file_system(Path("/"), mounts) == "ext4"


def test_the_workers_own_means() -> None:
    first = scrape.parse(
        "# HELP truc_stage_seconds Time\n"
        'truc_stage_seconds_bucket{le="0.1",stage="verify"} 9.0\n'
        'truc_stage_seconds_count{stage="verify"} 10.0\n'
        'truc_stage_seconds_sum{stage="verify"} 1.0\n'
        'truc_stage_seconds_count{stage="route"} 10.0\n'
        'truc_stage_seconds_sum{stage="route"} 1.0\n'
        "truc_registry_batch_size_count 2.0\ntruc_registry_batch_size_sum 8.0\n"
    )
    assert len(first) == 6
    then = dict(first)
    then['truc_stage_seconds_count{stage="verify"}'] += 100
    then['truc_stage_seconds_sum{stage="verify"}'] += 0.25
    then["truc_registry_batch_size_count"] += 4
    then["truc_registry_batch_size_sum"] += 50
    found = scrape.inside(first, then)
    assert found.stage_ms == pytest.approx({"verify": 2.5})
    assert (found.commit_ms, found.in_commit) == (0.0, 12.5)
    one = replace(PAIRS[0], steady=replace(PAIRS[0].steady, inside=found))
    text = pages.markdown(report(one, *PAIRS[1:]))
    assert "at the steady rate, mean ms of a document in each stage: verify 2.5." in text
