"""Every metric by name: what it is, its labels, what it says to people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]
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
    read: bool = False  # a gauge that is read at each scrape, where the process has a reading for it


LAST_SETTLED: Final = "truc_last_settled_timestamp_seconds"

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
        "truc_refusals_of_one_sender_max",
        "gauge",
        (),
        "Refusals within 15 minutes of the one sender that was refused most often. Who it is stands in the log: the user"
        " of the events `refused`.",
        read=True,
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
        "truc_publish_suspects",
        "gauge",
        (),
        "Destinations that answer no publish although the broker answers others: as a rule a queue without a leader.",
        read=True,
    ),
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
        "truc_duplicate_publishes_total",
        "counter",
        ("reason",),
        "Publishes of what may stand in its queue already, under the same delivery id: `undecided` (the one before got no"
        " confirm), `resumed` (a worker ended between publishing and committing), `receipt` (a stored receipt again).",
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
        "truc_registry_commit_failures_total",
        "counter",
        ("code",),
        "Groups that the registry did not commit although it was tried again, by code.",
    ),
    Metric(
        "truc_registry_disk_free_bytes",
        "gauge",
        (),
        "Room that is left to the relay where the registry's file lies.",
        read=True,
    ),
    Metric("truc_registry_disk_size_bytes", "gauge", (), "Size of that file system.", read=True),
    Metric(
        "truc_registry_size_bytes",
        "gauge",
        (),
        "Size of the registry's file and of its write-ahead log.",
        read=True,
    ),
    Metric(
        LAST_SETTLED,
        "gauge",
        ("lane",),
        "When a submission of the lane was settled last, in seconds since 1970; 0 if never.",
    ),
    Metric(
        "truc_oldest_unfinished_age_seconds",
        "gauge",
        ("lane",),
        "Age of the oldest submission by which the relay itself still has something to do (not settled, or a delivery"
        " that is planned or deferred), by lane; 0 if there is none. From the keeper at work.",
        read=True,
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
        "truc_inspections_asked_total",
        "counter",
        ("outcome",),
        "Documents handed over for the inspection of their attachments, or put off since the queue did not take them.",
    ),
    Metric(
        "truc_inspections_total",
        "counter",
        ("result",),
        "Documents whose attachments were inspected, by the worst of what was found.",
    ),
    Metric(
        "truc_inspection_seconds",
        "histogram",
        (),
        "Time that the inspection of one document took.",
        (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
    ),
    Metric(
        "truc_inspection_failures_total",
        "counter",
        (),
        "Inspections that have to be made again: the judging process failed, or the registry did.",
    ),
    Metric(
        "truc_keeper_notices_total",
        "counter",
        ("kind",),
        "Notices that the keeper gave: overdue, lost, held, dropped.",
    ),
    Metric("truc_keeper_active", "gauge", (), "1 while this process holds the keeper's lease."),
    Metric("truc_keeper_rounds_total", "counter", (), "Rounds of duties that were gone through."),
    Metric("truc_keeper_round_seconds", "histogram", (), "Time of one round of duties.", _SECONDS),
    Metric(
        "truc_keeper_lag_seconds",
        "gauge",
        (),
        "How late the next round is; 0 while rounds come as often as configured.",
        read=True,
    ),
    Metric(
        "truc_keeper_duty_failures_total",
        "counter",
        ("duty",),
        "Duties that ended with an error and are tried again in the next round.",
    ),
    Metric(
        "truc_evidence_records_waiting",
        "gauge",
        (),
        "Records that stand in no batch yet. From the keeper at work, like all of the evidence.",
        read=True,
    ),
    Metric(
        "truc_evidence_chains_broken",
        "gauge",
        (),
        "Chains of running processes that cannot be sealed: what is stored does not continue what was sealed.",
        read=True,
    ),
    Metric("truc_evidence_batches", "gauge", (), "Batches in the main log.", read=True),
    Metric(
        "truc_evidence_faults",
        "gauge",
        (),
        "Faults of the log that the keeper has found. `truc evidence verify` names them.",
        read=True,
    ),
    Metric(
        "truc_evidence_forks",
        "gauge",
        (),
        "Pairs of heads, each signed by one other relay, that contradict each other.",
        read=True,
    ),
    Metric(
        "truc_evidence_head_lag_seconds",
        "gauge",
        (),
        "How long batches have waited for a head; 0 while none waits.",
        read=True,
    ),
    Metric(
        "truc_evidence_time_stamp_lag_seconds",
        "gauge",
        (),
        "How long the newest head has waited for a time-stamp that is due; 0 while none is. Only where an authority is"
        " configured.",
        read=True,
    ),
    Metric(
        "truc_evidence_witness_age_seconds",
        "gauge",
        (),
        "Age of the last statement about a head of this relay, of the witness that was silent for the longest.",
        read=True,
    ),
    Metric(
        "truc_evidence_check_rounds",
        "gauge",
        (),
        "How often the whole sealed log was read again and checked, since the process started.",
        read=True,
    ),
    Metric(
        "truc_queue_messages",
        "gauge",
        ("queue",),
        "Messages that stand ready in the relay's own queues, by queue. From the keeper at work.",
        read=True,
    ),
    Metric(
        "truc_queue_consumers",
        "gauge",
        ("queue",),
        "Consumers of the relay's own queues, by queue. From the keeper at work.",
        read=True,
    ),
    Metric(
        "truc_agency_queues",
        "gauge",
        ("state",),
        "Queues of agencies by state: `empty`, `moving` (messages and a consumer), `behind` (the same, and not shorter for"
        " ten minutes), `unread` (messages and no consumer), `missing` (in the directory and not in the broker). From the"
        " keeper at work; the worst of them by name: `truc queue shape`.",
        read=True,
    ),
    Metric(
        "truc_agency_queue_messages",
        "gauge",
        (),
        "Messages that stand ready in the queues of all agencies together. From the keeper at work.",
        read=True,
    ),
    Metric(
        "truc_agency_queue_messages_max",
        "gauge",
        (),
        "Messages in the fullest of them. From the keeper at work.",
        read=True,
    ),
    Metric(
        "truc_agency_queue_consumers",
        "gauge",
        (),
        "Consumers of the queues of all agencies together. From the keeper at work.",
        read=True,
    ),
    Metric(
        "truc_certificate_left_seconds",
        "gauge",
        ("purpose",),
        "Time until the material ends, the nearest of each purpose: `relay` (its signing certificate), `anchor`, `crl` (the"
        " next list is due), `tls`; `agency`: the first agency whose last certificate ends. From workers, `agency` from"
        " keepers.",
        read=True,
    ),
    Metric(
        "truc_material_unusable",
        "gauge",
        ("purpose",),
        "1 while the last change of these files cannot be taken and what they held before stays in force: `trust`"
        " (anchors and revocation lists), `relay` (key and certificate that sign receipts). `/ready` says why.",
        read=True,
    ),
    Metric(
        "truc_agencies_certificate_ending",
        "gauge",
        (),
        "Agencies whose last certificate ends within 30 days or has ended. From keepers.",
        read=True,
    ),
    Metric(
        "truc_crl_age_seconds",
        "gauge",
        (),
        "Age of the revocation list in force, of the issuer whose list is the oldest. From workers.",
        read=True,
    ),
    Metric(
        "truc_revocation_material",
        "gauge",
        ("source", "state"),
        "Revocation lists (`crl`) and OCSP answers (`ocsp`) in force by state: `fresh`, `due` (past half of its life),"
        " `grace` (past its date, still believed), `over` (what it covers waits).",
        read=True,
    ),
    Metric(
        "truc_revocation_age_seconds",
        "gauge",
        ("source",),
        "Age of the oldest list or answer in force.",
        read=True,
    ),
    Metric(
        "truc_revocation_left_seconds",
        "gauge",
        ("source",),
        "Time until the first of them is out of date, negative after that.",
        read=True,
    ),
    Metric(
        "truc_revocation_fetches_total",
        "counter",
        ("source", "outcome"),
        "Lists and answers that the keeper tried to fetch, by what came of it.",
    ),
    Metric("truc_ready", "gauge", (), "1 while `/ready` says yes.", read=True),
    Metric(
        "truc_unready_reason",
        "gauge",
        ("reason",),
        "1 for each reason why `/ready` says no, 0 for the others.",
        read=True,
    ),
    Metric(
        "truc_clock_offset_seconds",
        "gauge",
        (),
        "The clock of this process minus the broker's, to about a second; absent while the broker's is not known.",
        read=True,
    ),
    Metric("truc_clock_jumps_total", "counter", (), "Steps of the clock by more than two seconds."),
    Metric("truc_build_info", "gauge", ("version", "python"), "Always 1; the labels say what runs."),
    Metric("truc_broker_connected", "gauge", (), "1 while both connections to the broker are up.", read=True),
    Metric(
        "truc_broker_blocked",
        "gauge",
        (),
        "1 while the broker blocks publishing for want of memory or disk.",
        read=True,
    ),
    Metric(
        "truc_broker_incidents_total",
        "counter",
        ("kind",),
        "Ends of the link to the broker: `lost` (gone or not there), `refused` (login or rights), `hook-failed`.",
    ),
    Metric(
        "truc_directory_validity_seconds",
        "gauge",
        (),
        "Time until the signed directory in use expires, negative in its period of grace; absent for a plain file.",
        read=True,
    ),
    Metric(
        "truc_directory_fresh_seconds",
        "gauge",
        (),
        "Time until half of the validity of the signed directory in use is over, negative from then on: the next edition"
        " is due. Absent for a plain file.",
        read=True,
    ),
    Metric("truc_directory_agencies", "gauge", (), "Agencies in the directory that is in use.", read=True),
    Metric(
        "truc_directory_reloads_total",
        "counter",
        ("result",),
        "Looks at a changed directory file: taken, unchanged in content, or invalid (the old one stays in use).",
    ),
)
