"""The one object that counts; every metric by name stands in ``catalogue``. No global registry, no label that names an agency.

What happens is counted when it happens, by one addition. What merely *is* (ages, depths, free disk, readiness) is read
when somebody scrapes, in the thread that answers: the event loop never waits for a scrape.
"""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Literal, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from relay.errors import Code
from relay.model.inspection import InspectionResult
from relay.model.levels import Level
from relay.model.message import Lane
from relay.model.receipt import LineState, ReceiptKind
from relay.observe import logs
from relay.observe.catalogue import CATALOGUE, LAST_SETTLED, Metric
from relay.observe.worst import Worst

__all__ = ["CATALOGUE", "LAST_SETTLED", "Metric", "Metrics"]

_log = logs.get("observe.metrics")
disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nobody asks for, would double every scrape
Stage = Literal["accept", "verify", "claim", "route", "deliver", "report", "settle", "total"]
Ending = Literal["accepted", "refused", "repeated", "deferred", "quarantined"]
Duplicate = Literal["repeated", "same-content", "id-reused", "busy"]
Notice = Literal["overdue", "lost", "held", "dropped"]
Reload = Literal["taken", "unchanged", "invalid"]
Copy = Literal["undecided", "resumed", "receipt"]
Incident = Literal["lost", "refused", "hook-failed"]
Asked = Literal["handed-over", "put-off"]
Purpose = Literal["relay", "anchor", "crl", "tls", "agency"]

Reading = Callable[[], Mapping[tuple[str, ...], float]]
"""Gives the series of one gauge, by the values of its labels in order; nothing where there is nothing to tell."""


class Metrics:
    """Counts what one process does. Thread-safe. Series with a closed set of labels exist, at 0, from the start."""

    def __init__(
        self, *, version: str, process: bool = True, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.registry = CollectorRegistry()
        if process:
            ProcessCollector(registry=self.registry)
        self._counters = {m.name: self._counter(m) for m in CATALOGUE if m.kind == "counter"}
        self._gauges = {m.name: self._gauge(m) for m in CATALOGUE if m.kind == "gauge" and not m.read}
        self._histograms = {m.name: self._histogram(m) for m in CATALOGUE if m.kind == "histogram"}
        self._readings: dict[str, list[Reading]] = {m.name: [] for m in CATALOGUE if m.read}
        self._left: dict[tuple[str, ...], float] = {}
        self.read("truc_certificate_left_seconds", self._left.copy)
        self.registry.register(_Readings(self._readings))
        self._worst = Worst(monotonic)
        self.read("truc_refusals_of_one_sender_max", lambda: {(): self._worst.highest()})
        self._gauges["truc_build_info"].labels(version, platform.python_version()).set(1)
        # the child of a label is looked up once, not with each observation: that is half the price of counting
        self._stages = {
            stage: self._histograms["truc_stage_seconds"].labels(stage) for stage in get_args(Stage)
        }
        settled, last = self._counters["truc_documents_settled_total"], self._gauges[LAST_SETTLED]
        self._endings = {
            (lane, ending): settled.labels(lane.value, ending) for lane in Lane for ending in get_args(Ending)
        }
        self._last = {lane: last.labels(lane.value) for lane in Lane}
        told = self._counters["truc_deliveries_total"]
        self._told = {
            (level, state): told.labels(level.value if level else "none", state.value)
            for level in (*Level, None)
            for state in LineState
        }
        published = self._counters["truc_receipts_published_total"]
        self._published = {kind: published.labels(kind.value) for kind in ReceiptKind}
        self._commit_seconds = self._histograms["truc_registry_commit_seconds"]
        self._batch_size = self._histograms["truc_registry_batch_size"]
        self._show_zeros()

    def read(self, name: str, reading: Reading) -> None:
        """Read a gauge at each scrape from now on; several readings of one gauge are put together.

        ``reading`` is called in the thread that answers the scrape. If it fails, its series are left out of that scrape.
        """
        self._readings[name].append(reading)

    def settled(self, lane: Lane, outcome: Ending, at: datetime) -> None:
        """Count a submission that came to its end at ``at``."""
        self._endings[lane, outcome].inc()
        self._last[lane].set(at.timestamp())

    def refused(self, code: Code, user: str = "") -> None:
        """Count a refusal of a submission or of one recipient. ``user``: whose submission it was; no label names it."""
        if user:
            self._worst.note(user)
        self._counters["truc_refusals_total"].labels(code.value).inc()

    def delivery(self, level: Level | None, outcome: LineState) -> None:
        """Count what became of one delivery."""
        self._told[level, outcome].inc()

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
        self._commit_seconds.observe(seconds)
        self._batch_size.observe(batch)

    def registry_failure(self, code: Code) -> None:
        """Count a group that was not committed."""
        self._counters["truc_registry_commit_failures_total"].labels(code.value).inc()

    def duplicate_publish(self, reason: Copy, count: int = 1) -> None:
        """Count publishes of what may stand in its queue already."""
        self._counters["truc_duplicate_publishes_total"].labels(reason).inc(count)

    def receipt_published(self, kind: ReceiptKind) -> None:
        """Count a confirmed receipt."""
        self._published[kind].inc()

    def receipts_pending(self, count: int) -> None:
        """Set the number of stored receipts without a confirm."""
        self._gauges["truc_receipts_pending"].set(count)

    def asked_to_inspect(self, outcome: Asked) -> None:
        """Count a document that was handed over for the inspection of its attachments."""
        self._counters["truc_inspections_asked_total"].labels(outcome).inc()

    def inspected(self, result: InspectionResult, seconds: float) -> None:
        """Count an inspected document, by the worst of what was found."""
        self._counters["truc_inspections_total"].labels(result.value).inc()
        self._histograms["truc_inspection_seconds"].observe(seconds)

    def inspection_failed(self) -> None:
        """Count an inspection that has to be made again, for a trouble of ours."""
        self._counters["truc_inspection_failures_total"].inc()

    def notice(self, kind: Notice, count: int = 1) -> None:
        """Count notices of the keeper."""
        self._counters["truc_keeper_notices_total"].labels(kind).inc(count)

    def keeper_active(self, active: bool) -> None:
        """Set whether this process holds the keeper's lease."""
        self._gauges["truc_keeper_active"].set(active)

    def certificate_left(self, purpose: Purpose, seconds: float) -> None:
        """Set the seconds to the nearest end among the material of one purpose."""
        self._left[purpose,] = seconds

    def keeper_round(self, seconds: float) -> None:
        """Note a round of the keeper's duties."""
        self._counters["truc_keeper_rounds_total"].inc()
        self._histograms["truc_keeper_round_seconds"].observe(seconds)

    def duty_failed(self, duty: str) -> None:
        """Count a duty of the keeper that ended with an error; ``duty`` is from the keeper's own list."""
        self._counters["truc_keeper_duty_failures_total"].labels(duty).inc()

    def foresee(self, name: str, labels: Iterable[tuple[str, ...]]) -> None:
        """Show these series of a counter from now on, at 0 if nothing was counted."""
        for values in labels:
            self._counters[name].labels(*values)

    def fetched(self, source: str, outcome: str) -> None:
        """Count a fetch of a list (``crl``) or an answer (``ocsp``), by its outcome of a closed list."""
        self._counters["truc_revocation_fetches_total"].labels(source, outcome).inc()

    def clock_jumped(self) -> None:
        """Count a step of the clock."""
        self._counters["truc_clock_jumps_total"].inc()

    def incident(self, kind: Incident) -> None:
        """Count an end of the link to the broker."""
        self._counters["truc_broker_incidents_total"].labels(kind).inc()

    def directory(self, result: Reload) -> None:
        """Count a look at a changed directory file."""
        self._counters["truc_directory_reloads_total"].labels(result).inc()

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
            self._gauges[LAST_SETTLED].labels(lane.value).set(0)
            for ending in get_args(Ending):
                self._counters["truc_documents_settled_total"].labels(lane.value, ending)
        for level in (*(one.value for one in Level), "none"):
            for state in LineState:
                self._counters["truc_deliveries_total"].labels(level, state.value)
        for stage in get_args(Stage):
            self._histograms["truc_stage_seconds"].labels(stage)
        for name, values in (
            ("truc_refusals_total", tuple(code.value for code in Code)),
            ("truc_duplicate_submissions_total", get_args(Duplicate)),
            ("truc_receipts_published_total", tuple(kind.value for kind in ReceiptKind)),
            ("truc_keeper_notices_total", get_args(Notice)),
            ("truc_directory_reloads_total", get_args(Reload)),
            ("truc_duplicate_publishes_total", get_args(Copy)),
            ("truc_broker_incidents_total", get_args(Incident)),
            ("truc_inspections_asked_total", get_args(Asked)),
            ("truc_inspections_total", tuple(result.value for result in InspectionResult)),
        ):
            for value in values:
                self._counters[name].labels(value)


class _Readings(Collector):
    """The gauges that are read at each scrape."""

    def __init__(self, readings: Mapping[str, list[Reading]]) -> None:
        self._readings = readings

    def describe(self) -> list[GaugeMetricFamily]:
        """Return the names without reading anything."""
        return [GaugeMetricFamily(m.name, m.help, labels=m.labels) for m in CATALOGUE if m.read]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read each gauge that this process has a reading for."""
        for metric in CATALOGUE:
            readings = self._readings.get(metric.name)
            if not readings:
                continue
            family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for reading in readings:
                try:
                    series = reading()
                except Exception as fault:  # noqa: BLE001 - one broken reading must not cost a whole scrape
                    logs.event(_log, logging.WARNING, "reading-failed", exc=fault, object=metric.name)
                    continue
                for labels, value in series.items():
                    family.add_metric(labels, value)
            yield family
