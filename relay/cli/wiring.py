"""Puts a worker and a keeper together from the settings. Nothing here decides anything."""

from __future__ import annotations

import os
import random
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, get_args

from adapters.edxml.format import EdxmlFormat
from relay import __version__
from relay.broker.browse import QueueBrowser
from relay.broker.connection import Endpoint
from relay.broker.link import AmqpLink
from relay.broker.publishing import PublishLimits
from relay.cli import watching
from relay.cli.evidence_wiring import evidence_duty
from relay.cli.following import signed_reader
from relay.cli.inspecting import keeper_side, worker_side
from relay.directory.authorities import authorities_of
from relay.directory.follow import SignedReader
from relay.directory.watch import DirectoryWatch, Reload
from relay.errors import ConfigurationError
from relay.errors.catalogue import catalogue
from relay.evidence import attachments
from relay.evidence.chronicler import InUse
from relay.evidence.record import Writer
from relay.evidence.signer import RelaySigner
from relay.keeper.duty import KeeperPolicy, Tools
from relay.keeper.keeper import Duty, Keeper
from relay.keeper.queues import QueuesDuty
from relay.keeper.revocation import RevocationDuty
from relay.model.keeping import Chronicler
from relay.model.message import Lane
from relay.model.ports import Directory
from relay.model.verdict import ParseLimits
from relay.observe.clock import SystemClock
from relay.observe.metrics import Metrics
from relay.operate.material import MaterialWatch
from relay.operate.revocation import renewer_of, signers
from relay.pipeline.accept import AcceptPolicy
from relay.pipeline.deliver import Deliverer, Ladder
from relay.pipeline.epoch import EpochWatch
from relay.pipeline.handler import Handler
from relay.pipeline.lanes import Lanes
from relay.pipeline.plan import HandlerPolicy
from relay.pipeline.quarantine import Quarantine
from relay.pipeline.report import Numbers, Reporter
from relay.pipeline.route import RouteLimits
from relay.pipeline.settle import Settler
from relay.pipeline.verify import Examiner, install_remote
from relay.pipeline.worker import Worker, WorkerPolicy
from relay.registry import GroupCommitter, SqlRegistry, open_registry
from relay.settings import Settings
from relay.trust.certificate import read_certificate
from relay.trust.chain import TrustStore, read_certificates
from relay.trust.configured import configured_store
from relay.trust.crl import Source
from relay.trust.libxml import check_libxml
from relay.trust.outcome import Outcome
from relay.trust.verifier import DocumentVerifier


@dataclass(frozen=True, slots=True)
class Common:
    """What worker and keeper share."""

    settings: Settings
    clock: SystemClock
    metrics: Metrics
    registry: SqlRegistry
    commits: GroupCommitter
    link: AmqpLink
    numbers: Numbers
    reporter: Reporter
    settler: Settler
    epoch: EpochWatch
    owner: str
    store: TrustStore
    material: MaterialWatch
    signer: RelaySigner
    in_use: InUse


def endpoint(settings: Settings) -> Endpoint:
    """Return where the broker is and the relay's login."""
    broker = settings.broker
    return Endpoint.from_url(
        broker.url,
        broker.user,
        broker.password(),
        ca_file=broker.ca_file,
        cert_file=broker.cert_file,
        key_file=broker.key_file,
        heartbeat=broker.heartbeat,
    )


def trust_store(settings: Settings) -> TrustStore:
    """Return the anchors and lists of the settings."""
    return configured_store(settings.trust)


def parse_limits(settings: Settings) -> ParseLimits:
    """Return the bounds on foreign bytes."""
    limits = settings.limits
    return ParseLimits(limits.body_bytes, limits.depth, limits.elements, limits.attributes, limits.text)


def common(settings: Settings, name: str, role: str) -> Common:
    """Open what a process needs. Raises ``ConfigurationError``, ``RegistryError``."""
    check_libxml()
    # Read now, beside the code that knows them: an upgrade puts others in their place while the process runs.
    catalogue()
    attachments.texts()
    clock = SystemClock()
    metrics = Metrics(version=__version__)
    store = trust_store(settings)
    relay = settings.relay
    signer = RelaySigner(
        relay.name,
        relay.key,
        relay.certificates,
        clock,
        store,
        password_file=relay.key_password_file,
        second=relay.second.place(),
    )
    in_use = InUse(signer)
    owner = f"{name}-{uuid.uuid4()}"  # a new lease owner for each process start
    registry = open_registry(
        settings.registry.url,
        settings.registry.lease_seconds,
        chronicler=Chronicler(Writer(), relay.name, name, role, __version__, owner, clock, in_use),
    )
    commits = GroupCommitter(
        registry,
        owner,
        clock,
        max_wait=settings.registry.group_wait_ms / 1000,
        max_batch=settings.registry.group_max,
        lease_seconds=settings.registry.lease_seconds,
        on_commit=metrics.registry_commit,
        on_failure=metrics.registry_failure,
    )
    broker = settings.broker
    link = AmqpLink(
        endpoint(settings),
        name=f"truc {name}",
        jitter=random.random,
        limits=PublishLimits(
            count=broker.publish_window, bytes=broker.publish_window_bytes, seconds=broker.publish_timeout_s
        ),
        on_incident=metrics.incident,
    )
    watching.link(link, metrics)
    numbers = Numbers(name, registry.last_receipt_number(name))
    return Common(
        settings=settings,
        clock=clock,
        metrics=metrics,
        registry=registry,
        commits=commits,
        link=link,
        numbers=numbers,
        reporter=Reporter(settings.relay.name, numbers, signer, signer.check),
        settler=Settler(registry, commits, link, link, metrics, clock),
        epoch=EpochWatch(link, registry, commits, uuid.uuid4, clock),
        owner=owner,
        store=store,
        material=MaterialWatch(
            store, signer, lambda: _tls_end(settings), lambda: link.outstanding, metrics, clock
        ),
        signer=signer,
        in_use=in_use,
    )


def directory_watch(
    settings: Settings, parts: Common, name: str
) -> tuple[DirectoryWatch, SignedReader | None]:
    """Return what looks after the directory file, and the reader of signed editions if it is one.

    Raises:
        ConfigurationError: DIRECTORY-INVALID: there is nothing to begin with.
    """
    own = settings.directory
    reader = signed_reader(settings, parts.store, parts.clock, name)

    def told(seen: Reload) -> None:
        parts.metrics.directory(seen.result)
        if seen.result == "taken":
            parts.store.learn(authorities_of(watch.current().agencies()))

    watch = DirectoryWatch(own.file, told, reader)
    parts.store.learn(authorities_of(watch.current().agencies()))
    watch.start(own.reload_seconds)
    parts.in_use.follow(watch.current)
    return watch, reader


def build_worker(settings: Settings) -> tuple[Worker, Common]:
    """Return a worker ready to run."""
    parts = common(settings, settings.worker.name, "worker")
    watch, signed = directory_watch(settings, parts, settings.worker.name)

    def reload() -> Directory:
        watch.poll(force=True)
        return watch.current()

    own = settings.worker
    ladder = Ladder(settings.retry.rungs)
    quarantine = Quarantine(
        parts.link,
        parts.registry,
        parts.commits,
        parts.settler,
        parts.reporter,
        parts.metrics,
        parts.clock,
        settings.broker.user,
        lambda user: watch.current().gateway_of(user),
    )
    handler = Handler(
        link=parts.link,
        registry=parts.registry,
        commits=parts.commits,
        examiner=_examiner(settings, parts.store),
        directory=watch.current,
        deliverer=Deliverer(
            parts.link,
            watch.current,
            reload,
            parts.clock,
            ladder,
            lambda count: parts.metrics.duplicate_publish("undecided", count),
        ),
        reporter=parts.reporter,
        settler=parts.settler,
        quarantine=quarantine,
        policy=_policy(settings),
        ladder=ladder,
        inspection=worker_side(settings, parts, ladder),
        metrics=parts.metrics,
        clock=parts.clock,
    )
    weights = own.weights
    lanes = Lanes(
        {
            Lane.URGENT: weights.urgent,
            Lane.STATUS: weights.status,
            Lane.NORMAL: weights.normal,
            Lane.DUE: weights.due,
        },
        own.window_documents,
        own.window_bytes,
    )
    worker = Worker(
        name=own.name,
        link=parts.link,
        commits=parts.commits,
        handler=handler,
        lanes=lanes,
        epoch=parts.epoch,
        policy=WorkerPolicy(
            prefetch={
                Lane.URGENT: own.prefetch.urgent,
                Lane.STATUS: own.prefetch.status,
                Lane.NORMAL: own.prefetch.normal,
                Lane.DUE: own.prefetch.due,
            },
            stall=own.stall_seconds,
            give_back=own.give_back_after_s,
        ),
        metrics=parts.metrics,
        clock=parts.clock,
        watch=lambda: {**parts.material.look(), "directory": watch.current().version},
        guard=watching.both(
            watching.guard(settings, parts.metrics, parts.clock),
            watching.validity(signed, parts.metrics, parts.clock),
            watching.signing(parts.signer),
        ),
    )
    watching.lists(parts.store, parts.metrics, parts.clock)
    watching.revocation(parts.store, parts.metrics, parts.clock)
    watching.readiness(worker, parts.metrics)
    return worker, parts


def build_keeper(settings: Settings, name: str = "keeper") -> tuple[Keeper, Common]:
    """Return a keeper ready to run."""
    parts = common(settings, name, "keeper")
    own = settings.keeper
    watch, signed = directory_watch(settings, parts, name)
    tools = Tools(
        registry=parts.registry,
        commits=parts.commits,
        settler=parts.settler,
        reporter=parts.reporter,
        browser=QueueBrowser(endpoint(settings), name=f"truc {name} look"),
        metrics=parts.metrics,
        clock=parts.clock,
        policy=KeeperPolicy(
            interval=timedelta(seconds=own.interval_s),
            receipts_after=timedelta(seconds=own.receipts_after_s),
            lost_after=timedelta(seconds=own.lost_after_s),
            lost_at_last=timedelta(seconds=max(own.lost_after_s, 7200)),
            give_up=timedelta(seconds=settings.deadlines.give_up_s),
            lease=timedelta(seconds=own.lease_s),
        ),
        gateway_of=lambda user: watch.current().gateway_of(user),
    )
    queues = QueuesDuty(watching.connected(watch), lambda: keeper.active)
    queues.serve(parts.metrics)
    evidence = evidence_duty(
        settings, parts.registry.evidence, parts.signer, parts.clock, lambda: keeper.active
    )
    evidence.serve(parts.metrics)
    inspecting = keeper_side(settings, endpoint(settings), watch.current, lambda: keeper.active)
    keeper = Keeper(
        name=parts.owner,
        link=parts.link,
        tools=tools,
        epoch=parts.epoch,
        relay_user=settings.broker.user,
        numbers=parts.numbers,
        more=(
            ("queues", queues.run),
            ("evidence", evidence.run),
            *_fetching(settings, parts, watch),
            *((("inspect", inspecting.run),) if inspecting is not None else ()),
        ),
        guard=watching.both(
            watching.guard(settings, parts.metrics, parts.clock),
            watching.validity(signed, parts.metrics, parts.clock),
            watching.signing(parts.signer),
        ),
        watch=lambda: {**parts.material.look(), "directory": watch.current().version},
    )
    parts.metrics.read("truc_keeper_lag_seconds", keeper.lag)
    watching.directory(watch, parts.metrics)
    watching.certificates(watch, parts.metrics, parts.clock)
    watching.readiness(keeper, parts.metrics)
    return keeper, parts


def _fetching(settings: Settings, parts: Common, watch: DirectoryWatch) -> tuple[Duty, ...]:
    """Return the duty that fetches lists and answers, if the settings let it."""
    renewer = renewer_of(settings, parts.store)
    if renewer is None:
        return ()
    labels = [(source, outcome.value) for source in get_args(Source) for outcome in Outcome]
    parts.metrics.foresee("truc_revocation_fetches_total", labels)
    duty = RevocationDuty(
        renewer,
        lambda now: signers(settings, watch.current().agencies, now),
        lambda: watch.current().version,
    )
    return (("revocation", duty.run),)


def _tls_end(settings: Settings) -> datetime | None:
    """Return when the first of the certificates ends that TLS to the broker needs: authority, our own; None: none."""
    ends: list[datetime] = []
    for path in (settings.broker.ca_file, settings.broker.cert_file):
        if path is not None:
            # TLS judges these files itself, and takes kinds of keys that documents may not be signed with.
            with suppress(ConfigurationError):
                ends += [one.not_after for one in read_certificates(path)]
    return min(ends, default=None)


def _examiner(settings: Settings, store: TrustStore) -> Examiner:
    verify = settings.worker.verify
    form = EdxmlFormat()
    verifier = DocumentVerifier(store, parse_limits(settings))
    extra: dict[str, Any] = {}
    if verify.mode == "processes":
        extra["initializer"] = _Remote(settings)
        extra["authorities"] = lambda: tuple(one.der for one in store.learnt)
    return Examiner(
        verifier,
        form,
        mode=verify.mode,
        workers=verify.workers or len(os.sched_getaffinity(0)),
        inline_max=settings.worker.inline_max_bytes,
        **extra,
    )


@dataclass(frozen=True, slots=True)
class _Remote:
    """Makes the verifier of a pool process, inside it."""

    settings: Settings

    def __call__(self) -> None:
        store = trust_store(self.settings)
        install_remote(
            DocumentVerifier(store, parse_limits(self.settings)),
            EdxmlFormat(),
            lambda authorities: store.learn(read_certificate(one) for one in authorities),
        )


def _policy(settings: Settings) -> HandlerPolicy:
    deadlines, limits = settings.deadlines, settings.limits
    return HandlerPolicy(
        accept=AcceptPolicy(
            relay_user=settings.broker.user,
            max_body=limits.body_bytes,
            min_deadline=timedelta(seconds=deadlines.min_s),
            max_deadline=timedelta(seconds=deadlines.max_s),
        ),
        route=RouteLimits(limits.recipients, limits.fanout_bytes, timedelta(seconds=deadlines.give_up_s)),
        urgent_deadline=timedelta(seconds=deadlines.urgent_s),
        normal_deadline=timedelta(seconds=deadlines.normal_s),
        give_up=timedelta(seconds=deadlines.give_up_s),
        unknown_document=timedelta(seconds=deadlines.unknown_document_s),
        set_aside_after=settings.worker.set_aside_after,
        unknown_revocation=timedelta(seconds=deadlines.unknown_revocation_s),
    )
