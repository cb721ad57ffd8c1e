"""Connects what a process shows of itself: readings for scrapes, guards for readiness. Nothing here decides anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from relay.broker.clock import BrokerClock
from relay.broker.link import AmqpLink
from relay.directory.edition import Edition
from relay.directory.follow import SignedReader, Standing
from relay.directory.watch import DirectoryWatch
from relay.evidence.signer import RelaySigner
from relay.model.ports import Clock
from relay.observe.metrics import Metrics
from relay.observe.ready import Reason
from relay.operate.agencies import AgencyCertificates
from relay.operate.guards import ClockGuard, DiskGuard
from relay.registry.dialect import file_of
from relay.settings import Settings
from relay.settings.reader import is_loopback
from relay.trust.chain import TrustStore
from relay.trust.standing import ages, counts, lefts, standings

Series = Mapping[tuple[str, ...], float]


class Asked(Protocol):
    """A process that can be asked whether it is ready."""

    def ready(self) -> tuple[bool, dict[str, object]]:
        """Whether it can do its work now, and why not."""
        ...


def guard(settings: Settings, metrics: Metrics, clock: Clock) -> Callable[[], Sequence[Reason]]:
    """Watch clock and disk; return what is to be asked at each tick."""
    file = file_of(settings.registry.url)
    disk = DiskGuard(None if file is None else Path(file))
    metrics.read("truc_registry_disk_free_bytes", disk.free)
    metrics.read("truc_registry_disk_size_bytes", disk.size)
    metrics.read("truc_registry_size_bytes", disk.used)
    broker = settings.broker
    if not broker.management_url:
        time = ClockGuard(clock, metrics)
    else:
        asked = BrokerClock(broker.management_url, clock, broker.ca_file)
        asked.start()
        time = ClockGuard(clock, metrics, asked.offset, asked.again, foreign=not is_loopback(broker.host))
    metrics.read("truc_clock_offset_seconds", time.offset)
    return lambda: time.look() + disk.look()


def link(broker: AmqpLink, metrics: Metrics) -> None:
    """Show the state of the link to the broker."""
    metrics.read("truc_broker_connected", lambda: {(): broker.connected})
    metrics.read("truc_broker_blocked", lambda: {(): broker.blocked})
    metrics.read("truc_publish_suspects", lambda: {(): broker.suspects})


def both(*guards: Callable[[], Sequence[Reason]]) -> Callable[[], Sequence[Reason]]:
    """Return what asks several guards."""
    return lambda: [reason for one in guards for reason in one()]


def signing(signer: RelaySigner) -> Callable[[], Sequence[Reason]]:
    """Return what tells whether receipts can be signed at all."""

    def look() -> Sequence[Reason]:
        signer.refresh()
        return (Reason.SIGNER_AWAY,) if signer.away else ()

    return look


def readiness(process: Asked, metrics: Metrics) -> None:
    """Show to scrapes what ``/ready`` answers."""

    def reasons() -> Series:
        _, facts = process.ready()
        found = facts.get("reasons", ())
        named = set(found) if isinstance(found, list) else set()
        return {(one.value,): one.value in named for one in Reason}

    metrics.read("truc_ready", lambda: {(): process.ready()[0]})
    metrics.read("truc_unready_reason", reasons)


def lists(store: TrustStore, metrics: Metrics, clock: Clock) -> None:
    """Show the age of the revocation lists."""

    def age() -> Series:
        made: datetime | None = store.lists_made()
        return {} if made is None else {(): (clock.now() - made).total_seconds()}

    metrics.read("truc_crl_age_seconds", age)


def revocation(store: TrustStore, metrics: Metrics, clock: Clock) -> None:
    """Show how lists and answers in force stand."""
    metrics.read("truc_revocation_material", lambda: counts(standings(store, clock.now())))
    metrics.read("truc_revocation_age_seconds", lambda: ages(standings(store, clock.now()), clock.now()))
    metrics.read("truc_revocation_left_seconds", lambda: lefts(standings(store, clock.now()), clock.now()))


def certificates(watch: DirectoryWatch, metrics: Metrics, clock: Clock) -> None:
    """Show until when the agencies' certificates hold."""
    known = AgencyCertificates(watch.current, clock)
    metrics.read("truc_certificate_left_seconds", known.left)
    metrics.read("truc_agencies_certificate_ending", known.ending)


def directory(watch: DirectoryWatch, metrics: Metrics) -> None:
    """Show how many agencies are known."""
    metrics.read("truc_directory_agencies", lambda: {(): len(watch.current().by_code)})


def validity(reader: SignedReader | None, metrics: Metrics, clock: Clock) -> Callable[[], Sequence[Reason]]:
    """Show how long the signed directory is fresh and holds; return what is to be asked at each tick."""
    if reader is None:
        return tuple

    def until(end: Callable[[Edition], datetime]) -> Callable[[], Series]:
        def left() -> Series:
            edition = reader.edition
            return {} if edition is None else {(): (end(edition) - clock.now()).total_seconds()}

        return left

    metrics.read("truc_directory_fresh_seconds", until(lambda edition: edition.half_life))
    metrics.read("truc_directory_validity_seconds", until(lambda edition: edition.expires_at))
    return lambda: (Reason.DIRECTORY_OVER,) if reader.standing() is Standing.OVER else ()


def connected(watch: DirectoryWatch) -> Callable[[], Sequence[str]]:
    """Return what gives the codes of the agencies that have a queue of their own."""
    return lambda: [one.code for one in watch.current().agencies() if one.own_queue]
