"""Every metric by name, and the one object that counts. No global registry, no label that names an agency."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from relay.errors import Code
from relay.model.levels import Level
from relay.model.message import Lane
from relay.model.receipt import LineState, ReceiptKind

Kind = Literal["counter", "gauge", "histogram"]
Stage = Literal["accept", "verify", "claim", "route", "deliver", "report", "settle", "total"]
Ending = Literal["accepted", "refused", "repeated", "deferred", "quarantined"]
Duplicate = Literal["repeated", "same-content", "id-reused", "busy"]
Notice = Literal["overdue", "lost", "held"]
Reload = Literal["taken", "unchanged", "invalid"]

_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_BATCHES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as it is exposed. A histogram's name is that before ``_bucket``, ``_sum`` and ``_count``."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()


CATALOGUE: Final[tuple[Metric, ...]] = (
    Metric(
        "truc_documents_settled_total",
        "counter",
        ("lane", "outcome"),
        "Submissions (documents and statuses) whose handling came to its end, by ingress lane and by how it ended.",
    ),
    Metric(
        "truc_refusals_total", "counter", ("code",), "Submissions and recipients that were refused, by code."
    ),
    Metric(
        "truc_deliveries_total",
        "counter",
        ("level", "outcome"),
        "Deliveries by government level of the recipient (`none` if it was not resolved) and by outcome.",
    ),
    Metric(
        "truc_stage_seconds",
        "histogram",
        ("stage",),
        "Time that one submission spends in a stage; `total` runs from taking it to its acknowledgement.",
        _SECONDS,
    ),
    Metric("truc_in_flight_documents", "gauge", (), "Submissions taken and not yet acknowledged."),
    Metric("truc_in_flight_bytes", "gauge", (), "Bytes of their bodies."),
    Metric("truc_confirms_outstanding", "gauge", (), "Publishes that the broker has not confirmed yet."),
    Metric(
        "truc_redeliveries_total",
        "counter",
        ("lane",),
        "Messages that the broker handed out a second time.",
    ),
    Metric(
        "truc_duplicate_submissions_total",
        "counter",
        ("kind",),
        "Submissions that were known already: the same again, the same bytes under another id, the same id with other"
        " bytes, or one that another worker has in hand.",
    ),
    Metric(
        "truc_deferrals_total",
        "counter",
        ("code",),
        "Deliveries and submissions put off to the retry ladder, by code.",
    ),
    Metric("truc_quarantined_total", "counter", ("code",), "Messages put into quarantine, by code."),
    Metric("truc_registry_commit_seconds", "histogram", (), "Time of one commit of the registry.", _SECONDS),
    Metric("truc_registry_batch_size", "histogram", (), "Submissions that shared one commit.", _BATCHES),
    Metric(
        "truc_last_settled_timestamp_seconds",
        "gauge",
        ("lane",),
        "When a submission of the lane was settled last, in seconds since 1970; 0 if never.",
    ),
    Metric(
        "truc_receipts_published_total",
        "counter",
        ("kind",),
        "Receipts that the broker confirmed, by kind.",
    ),
    Metric(
        "truc_receipts_pending",
        "gauge",
        (),
        "Stored receipts without a confirm, as the keeper saw them last.",
    ),
    Metric(
        "truc_keeper_notices_total",
        "counter",
        ("kind",),
        "Notices that the keeper gave: overdue, lost, held.",
    ),
    Metric("truc_keeper_active", "gauge", (), "1 while this process holds the keeper's lease."),
    Metric(
        "truc_certificate_days_left",
        "gauge",
        ("purpose",),
        "Days until the relay's own material ends, the nearest of each purpose: `relay`, `anchor`, `crl`, `tls`.",
    ),
    Metric("truc_build_info", "gauge", ("version", "python"), "Always 1; the labels say what runs."),
    Metric("truc_broker_connected", "gauge", (), "1 while both connections to the broker are up."),
    Metric(
        "truc_broker_blocked", "gauge", (), "1 while the broker blocks publishing for want of memory or disk."
    ),
    Metric("truc_directory_agencies", "gauge", (), "Agencies in the directory that is in use."),
    Metric(
        "truc_directory_reloads_total",
        "counter",
        ("result",),
        "Looks at a changed directory file: taken, unchanged in content, or invalid (the old one stays in use).",
    ),
)


class Metrics:
    """Counts what one process does. Thread-safe. Series with a closed set of labels exist, at 0, from the start."""

    def __init__(self, *, version: str, process: bool = True) -> None:
        self.registry = CollectorRegistry()
        if process:
            ProcessCollector(registry=self.registry)
        self._counters = {m.name: self._counter(m) for m in CATALOGUE if m.kind == "counter"}
        self._gauges = {m.name: self._gauge(m) for m in CATALOGUE if m.kind == "gauge"}
        self._histograms = {m.name: self._histogram(m) for m in CATALOGUE if m.kind == "histogram"}
        self._gauges["truc_build_info"].labels(version, platform.python_version()).set(1)
        # the child of a label is looked up once, not with each observation
        self._stages = {
            stage: self._histograms["truc_stage_seconds"].labels(stage) for stage in get_args(Stage)
        }
        self._show_zeros()

    def settled(self, lane: Lane, outcome: Ending, at: datetime) -> None:
        """Count a submission that came to its end at ``at``."""
        self._counters["truc_documents_settled_total"].labels(lane.value, outcome).inc()
        self._gauges["truc_last_settled_timestamp_seconds"].labels(lane.value).set(at.timestamp())

    def refused(self, code: Code) -> None:
        """Count a refusal of a submission or of one recipient."""
        self._counters["truc_refusals_total"].labels(code.value).inc()

    def delivery(self, level: Level | None, outcome: LineState) -> None:
        """Count what became of one delivery."""
        self._counters["truc_deliveries_total"].labels(level.value if level else "none", outcome.value).inc()

    def stage(self, stage: Stage, seconds: float) -> None:
        """Note the duration of a stage."""
        self._stages[stage].observe(seconds)

    def in_flight(self, documents: int, body_bytes: int) -> None:
        """Set what is taken and not yet acknowledged."""
        self._gauges["truc_in_flight_documents"].set(documents)
        self._gauges["truc_in_flight_bytes"].set(body_bytes)

    def confirms_outstanding(self, count: int) -> None:
        """Set the number of unconfirmed publishes."""
        self._gauges["truc_confirms_outstanding"].set(count)

    def redelivered(self, lane: Lane) -> None:
        """Count a message that the broker handed out again."""
        self._counters["truc_redeliveries_total"].labels(lane.value).inc()

    def duplicate(self, kind: Duplicate) -> None:
        """Count a submission that was known already."""
        self._counters["truc_duplicate_submissions_total"].labels(kind).inc()

    def deferred(self, code: Code) -> None:
        """Count a deferral."""
        self._counters["truc_deferrals_total"].labels(code.value).inc()

    def quarantined(self, code: Code) -> None:
        """Count a message put into quarantine."""
        self._counters["truc_quarantined_total"].labels(code.value).inc()

    def registry_commit(self, seconds: float, batch: int) -> None:
        """Note one commit and how many submissions shared it."""
        self._histograms["truc_registry_commit_seconds"].observe(seconds)
        self._histograms["truc_registry_batch_size"].observe(batch)

    def receipt_published(self, kind: ReceiptKind) -> None:
        """Count a confirmed receipt."""
        self._counters["truc_receipts_published_total"].labels(kind.value).inc()

    def receipts_pending(self, count: int) -> None:
        """Set the number of stored receipts without a confirm."""
        self._gauges["truc_receipts_pending"].set(count)

    def notice(self, kind: Notice, count: int = 1) -> None:
        """Count notices of the keeper."""
        self._counters["truc_keeper_notices_total"].labels(kind).inc(count)

    def keeper_active(self, active: bool) -> None:
        """Set whether this process holds the keeper's lease."""
        self._gauges["truc_keeper_active"].set(active)

    def certificate_days(self, purpose: Literal["relay", "anchor", "crl", "tls"], days: float) -> None:
        """Set the days left of the nearest end among the relay's own material of one purpose."""
        self._gauges["truc_certificate_days_left"].labels(purpose).set(days)

    def broker(self, *, connected: bool, blocked: bool) -> None:
        """Set the state of the connections."""
        self._gauges["truc_broker_connected"].set(connected)
        self._gauges["truc_broker_blocked"].set(blocked)

    def directory(self, result: Reload, agencies: int) -> None:
        """Count a look at a changed directory file and set the size of the one in use."""
        self._counters["truc_directory_reloads_total"].labels(result).inc()
        self._gauges["truc_directory_agencies"].set(agencies)

    def exposition(self) -> bytes:
        """Return all series in Prometheus' text format, version 0.0.4."""
        return generate_latest(self.registry)

    def value(self, name: str, **labels: str) -> float | None:
        """Return one series as exposed, or None if it does not exist (tests, ``/ready``)."""
        return self.registry.get_sample_value(name, labels)

    def _counter(self, metric: Metric) -> Counter:
        return Counter(metric.name, metric.help, metric.labels, registry=self.registry)

    def _gauge(self, metric: Metric) -> Gauge:
        return Gauge(metric.name, metric.help, metric.labels, registry=self.registry)

    def _histogram(self, metric: Metric) -> Histogram:
        return Histogram(
            metric.name, metric.help, metric.labels, registry=self.registry, buckets=metric.buckets
        )

    def _show_zeros(self) -> None:
        # A rate over a series that appears with its first event misses that event.
        for lane in Lane:
            self._counters["truc_redeliveries_total"].labels(lane.value)
            self._gauges["truc_last_settled_timestamp_seconds"].labels(lane.value).set(0)
            for ending in get_args(Ending):
                self._counters["truc_documents_settled_total"].labels(lane.value, ending)
        for level in (*(one.value for one in Level), "none"):
            for state in LineState:
                self._counters["truc_deliveries_total"].labels(level, state.value)
        for stage in get_args(Stage):
            self._histograms["truc_stage_seconds"].labels(stage)
        for name, values in (
            ("truc_duplicate_submissions_total", get_args(Duplicate)),
            ("truc_receipts_published_total", tuple(kind.value for kind in ReceiptKind)),
            ("truc_keeper_notices_total", get_args(Notice)),
            ("truc_directory_reloads_total", get_args(Reload)),
        ):
            for value in values:
                self._counters[name].labels(value)
