"""Metrics: the catalogue, the page and what is counted agree, and no label names an agency."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.errors import Code
from relay.model.inspection import InspectionResult
from relay.model.levels import Level
from relay.model.message import Lane
from relay.model.receipt import LineState, ReceiptKind
from relay.observe import worst
from relay.observe.docs import page
from relay.observe.metrics import CATALOGUE, Metric, Metrics

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MAY_BE_LABELS = {
    "lane",
    "outcome",
    "code",
    "level",
    "stage",
    "kind",
    "purpose",
    "source",
    "version",
    "python",
    "result",
    "reason",
    "queue",
    "state",
    "duty",
    "material",
}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="1.2.3", process=False)


Count = Callable[[Metrics], None]
CASES: list[tuple[Count, str, dict[str, str], float]] = [
    (
        lambda m: m.settled(Lane.URGENT, "accepted", AT),
        "truc_documents_settled_total",
        {"lane": "urgent", "outcome": "accepted"},
        1,
    ),
    (
        lambda m: m.settled(Lane.DUE, "deferred", AT),
        "truc_last_settled_timestamp_seconds",
        {"lane": "due"},
        AT.timestamp(),
    ),
    (lambda m: m.refused(Code.UNSIGNED), "truc_refusals_total", {"code": "UNSIGNED"}, 1),
    (lambda m: m.asked_to_inspect("put-off"), "truc_inspections_asked_total", {"outcome": "put-off"}, 1),
    (
        lambda m: m.inspected(InspectionResult.ALTERED, 0.5),
        "truc_inspections_total",
        {"result": "altered"},
        1,
    ),
    (lambda m: m.inspected(InspectionResult.ALTERED, 0.5), "truc_inspection_seconds_sum", {}, 0.5),
    (lambda m: m.inspection_failed(), "truc_inspection_failures_total", {}, 1),
    (
        lambda m: m.delivery(Level.COMMUNE, LineState.QUEUED),
        "truc_deliveries_total",
        {"level": "commune", "outcome": "queued"},
        1,
    ),
    (
        lambda m: m.delivery(None, LineState.REFUSED),
        "truc_deliveries_total",
        {"level": "none", "outcome": "refused"},
        1,
    ),
    (lambda m: m.stage("verify", 0.25), "truc_stage_seconds_sum", {"stage": "verify"}, 0.25),
    (lambda m: m.in_flight(7, 900), "truc_in_flight_documents", {}, 7),
    (lambda m: m.in_flight(7, 900), "truc_in_flight_bytes", {}, 900),
    (lambda m: m.confirms_outstanding(5), "truc_confirms_outstanding", {}, 5),
    (lambda m: m.redelivered(Lane.NORMAL), "truc_redeliveries_total", {"lane": "normal"}, 1),
    (lambda m: m.duplicate("same-content"), "truc_duplicate_submissions_total", {"kind": "same-content"}, 1),
    (lambda m: m.deferred(Code.QUEUE_FULL), "truc_deferrals_total", {"code": "QUEUE-FULL"}, 1),
    (lambda m: m.quarantined(Code.NO_USER), "truc_quarantined_total", {"code": "NO-USER"}, 1),
    (lambda m: m.registry_commit(0.5, 12), "truc_registry_commit_seconds_sum", {}, 0.5),
    (lambda m: m.registry_commit(0.5, 12), "truc_registry_batch_size_sum", {}, 12),
    (lambda m: m.receipt_published(ReceiptKind.HELD), "truc_receipts_published_total", {"kind": "held"}, 1),
    (lambda m: m.receipts_pending(4), "truc_receipts_pending", {}, 4),
    (lambda m: m.notice("lost", 3), "truc_keeper_notices_total", {"kind": "lost"}, 3),
    (lambda m: m.keeper_active(True), "truc_keeper_active", {}, 1),
    (lambda m: m.certificate_left("crl", 6.5), "truc_certificate_left_seconds", {"purpose": "crl"}, 6.5),
    (
        lambda m: m.registry_failure(Code.REGISTRY_BUSY),
        "truc_registry_commit_failures_total",
        {"code": "REGISTRY-BUSY"},
        1,
    ),
    (lambda m: m.duplicate_publish("resumed", 2), "truc_duplicate_publishes_total", {"reason": "resumed"}, 2),
    (lambda m: m.keeper_round(0.25), "truc_keeper_rounds_total", {}, 1),
    (lambda m: m.keeper_round(0.25), "truc_keeper_round_seconds_sum", {}, 0.25),
    (lambda m: m.duty_failed("lost"), "truc_keeper_duty_failures_total", {"duty": "lost"}, 1),
    (
        lambda m: m.fetched("crl", "taken"),
        "truc_revocation_fetches_total",
        {"source": "crl", "outcome": "taken"},
        1,
    ),
    (lambda m: m.clock_jumped(), "truc_clock_jumps_total", {}, 1),
    (lambda m: m.incident("refused"), "truc_broker_incidents_total", {"kind": "refused"}, 1),
    (lambda m: m.directory("invalid"), "truc_directory_reloads_total", {"result": "invalid"}, 1),
]


READ = [metric for metric in CATALOGUE if metric.read]


@pytest.mark.parametrize(
    ("count", "name", "labels", "value"), CASES, ids=[f"{i}-{c[1]}" for i, c in enumerate(CASES)]
)
def test_each_count_arrives(
    metrics: Metrics, count: Count, name: str, labels: dict[str, str], value: float
) -> None:
    assert not metrics.value(name, **labels)
    count(metrics)
    assert metrics.value(name, **labels) == value


def test_each_metric_of_the_catalogue_is_counted_by_some_method_or_read() -> None:
    counted = {re.sub(r"_sum$", "", name) for _, name, _, _ in CASES} | {"truc_build_info"}
    assert counted | {metric.name for metric in READ} == {metric.name for metric in CATALOGUE}


@pytest.mark.parametrize("metric", READ, ids=lambda metric: metric.name)
def test_a_gauge_that_is_read_shows_what_there_is_at_the_scrape(metrics: Metrics, metric: Metric) -> None:
    labels = tuple("x" for _ in metric.labels)
    now = {labels: 1.0}
    metrics._readings[metric.name].clear()  # those that there are from the start
    metrics.read(metric.name, lambda: now)
    named = dict(zip(metric.labels, labels, strict=True))
    assert metrics.value(metric.name, **named) == 1
    now = {labels: 2.0}
    assert metrics.value(metric.name, **named) == 2
    now = {}
    assert metrics.value(metric.name, **named) is None


def test_a_reading_that_fails_costs_nothing_but_itself(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> dict[tuple[str, ...], float]:
        raise OSError("password=hunter2")

    metrics.read("truc_registry_disk_free_bytes", broken)
    metrics.read("truc_ready", lambda: {(): 1})
    with caplog.at_level("WARNING", logger="truc"):
        text = metrics.exposition().decode()
    assert "truc_ready 1.0" in text
    assert not re.search(r"^truc_registry_disk_free_bytes ", text, re.MULTILINE)
    assert [one.message for one in caplog.records] == ["reading-failed"]


def test_readings_of_one_gauge_are_put_together(metrics: Metrics) -> None:
    metrics.certificate_left("relay", 9)
    metrics.read("truc_certificate_left_seconds", lambda: {("agency",): 4})
    assert metrics.value("truc_certificate_left_seconds", purpose="relay") == 9
    assert metrics.value("truc_certificate_left_seconds", purpose="agency") == 4


def test_the_sender_refused_most_often_is_counted_and_never_named() -> None:
    now = 0.0
    metrics = Metrics(version="1", process=False, monotonic=lambda: now)

    def most() -> float | None:
        return metrics.value("truc_refusals_of_one_sender_max")

    assert most() == 0
    for user, times in (("H26", 3), ("H53", 5), ("", 9)):
        for _ in range(times):
            metrics.refused(Code.UNSIGNED, user)
    assert most() == 5
    now = 600.0
    for _ in range(4):
        metrics.refused(Code.BAD_CODE, "H26")
    assert most() == 7
    assert "H26" not in metrics.exposition().decode()
    now = 960.0  # the first three are older than the window
    assert most() == 4
    now = 1600.0
    assert most() == 0


def test_how_many_senders_are_told_apart_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worst, "NAMES", 10)
    counted = worst.Worst(lambda: 0.0)
    for number in range(100):
        counted.note(f"u{number}")
        counted.note("u3")
    assert counted.highest() == 101
    assert len(counted._parts[0][1]) == 10


def test_every_refusal_is_there_at_zero_before_it_happens(metrics: Metrics) -> None:
    assert all(metrics.value("truc_refusals_total", code=code.value) == 0 for code in Code)


def test_what_is_exposed_is_what_is_listed(metrics: Metrics) -> None:
    for count, *_ in CASES:
        count(metrics)
    for metric in READ:
        metrics.read(metric.name, lambda some=metric: {tuple("x" for _ in some.labels): 1.0})  # type: ignore[misc]
    text = metrics.exposition().decode()
    exposed = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    assert exposed == {metric.name for metric in CATALOGUE}
    assert 'truc_build_info{python="3.' in text


def test_no_label_can_name_an_agency_and_names_are_regular() -> None:
    assert len({metric.name for metric in CATALOGUE}) == len(CATALOGUE)
    for metric in CATALOGUE:
        assert set(metric.labels) <= MAY_BE_LABELS
        assert metric.name.startswith("truc_")
        assert (metric.kind == "counter") == metric.name.endswith("_total")
        assert bool(metric.buckets) == (metric.kind == "histogram")


def test_two_processes_in_one_do_not_meet() -> None:
    one, other = Metrics(version="1", process=True), Metrics(version="1", process=True)
    one.redelivered(Lane.DUE)
    assert other.value("truc_redeliveries_total", lane="due") == 0
    assert b"process_cpu_seconds_total" in one.exposition()


def test_the_page_is_current() -> None:
    path = Path(__file__).parents[3] / "docs" / "metrics.md"
    assert path.read_text(encoding="utf-8") == page(), "run `python -m relay.observe.docs > docs/metrics.md`"
