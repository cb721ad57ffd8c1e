"""Each check over facts: silent on a healthy installation, and seen to fail by itself on the fault it is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from relay.broker.plan import Change, What, plan
from relay.broker.topology import Binding, Policy, Rights
from relay.errors import Code
from relay.model.agency import Admission
from relay.operate.doctor.facts import (
    AgencyFacts,
    Answer,
    CertificateFacts,
    Facts,
    Listener,
    OcspAnswer,
    ProcessFacts,
    Queue,
    QueueFacts,
    RevocationList,
    Stray,
    Unseen,
)
from relay.operate.doctor.look_broker import topology
from relay.operate.doctor.run import CHECKS, judge
from relay.operate.doctor.texts import texts
from relay.registry.examine import Waiting
from relay.settings import Complaint
from tests.unit.operate.doctor.well import (
    AGENCY,
    ANSWER,
    BROKER,
    CERTIFICATE,
    DESIRED,
    DIRECTORY,
    DISK,
    GIB,
    KEEPER,
    KEYS,
    LIBRARIES,
    LIVE,
    NODE,
    NOW,
    QUEUES,
    REGISTRY,
    SETTINGS,
    TRUST,
    WELL,
    WORKER,
    ago,
    days,
    queue,
)

Spoil = Callable[[Facts], Facts]


def config(**more: Any) -> Spoil:
    return lambda facts: replace(facts, config=replace(_seen(facts.config), **more))


def complaint(kind: Any, key: str = "broker.url") -> Spoil:
    return config(complaints=(Complaint(key, "reason", kind),))


def login(**more: Any) -> Spoil:
    return lambda facts: replace(facts, login=replace(_seen(facts.login), **more))


def tls(**more: Any) -> Spoil:
    return lambda facts: replace(facts, tls=replace(_seen(facts.tls), **more))


def broker(**more: Any) -> Spoil:
    return lambda facts: replace(facts, broker=replace(BROKER, **more))


def node(**more: Any) -> Spoil:
    return broker(nodes=(replace(NODE, **more),))


def listener(protocol: str, address: str = "0.0.0.0") -> Spoil:
    return broker(listeners=(*BROKER.listeners, Listener(protocol, address, 5672)))


def one(name: str, before: Mapping[str, Any] | None = None, **more: Any) -> Spoil:
    """Change one queue; ``before``: how it looked some seconds earlier."""

    def spoil(facts: Facts) -> Facts:
        rest = tuple(each for each in QUEUES.queues if each.name != name)
        earlier: Mapping[str, Queue] = {} if before is None else {name: queue(name, **before)}
        return replace(facts, queues=QueueFacts((*rest, queue(name, **more)), earlier))

    return spoil


def live(**more: Any) -> Spoil:
    """Let something else stand on the broker; the difference to the plan is worked out as it always is."""

    def spoil(facts: Facts) -> Facts:
        queues: Mapping[str, Any] = {name: _standing() for name in DESIRED.queues}
        there = replace(_seen(facts.rights), live=replace(LIVE, **{"queues": queues, **more}))
        found = topology(SETTINGS, there, [AGENCY], None, NOW)
        return replace(facts, rights=there, topology=found)

    return spoil


def _standing() -> Any:
    from relay.broker.plan import LiveQueue

    return LiveQueue(dict(DESIRED.queue_arguments), durable=True)


def change(kind: str, what: What, before: str = "", after: str = "") -> Spoil:
    return lambda facts: replace(
        facts, topology=replace(_seen(facts.topology), changes=(Change(kind, "x", what, before, after),))
    )


def registry(**more: Any) -> Spoil:
    return lambda facts: replace(facts, registry=replace(REGISTRY, **more))


def disk(**more: Any) -> Spoil:
    return lambda facts: replace(facts, disks=(replace(DISK, **more),))


def keys(**more: Any) -> Spoil:
    return lambda facts: replace(facts, keys=replace(KEYS, **more))


def trust(**more: Any) -> Spoil:
    return lambda facts: replace(facts, trust=replace(TRUST, **more))


def directory(**more: Any) -> Spoil:
    return lambda facts: replace(facts, directory=replace(DIRECTORY, **more))


def agency(*certificates: CertificateFacts, **more: Any) -> Spoil:
    return directory(agencies=(AgencyFacts(replace(AGENCY, **more), certificates),))


def processes(**more: Any) -> Spoil:
    return lambda facts: replace(facts, processes=ProcessFacts((replace(ANSWER, **more),)))


def libraries(**more: Any) -> Spoil:
    return lambda facts: replace(facts, libraries=replace(LIBRARIES, **more))


def stray(*, folder_gone: bool) -> Spoil:
    return lambda facts: replace(
        facts, sandboxes=(Stray("/var/tmp/old", ("beam.smp", "w1"), (41, 42), folder_gone),)
    )


def clock(seconds: float) -> Spoil:
    return lambda facts: replace(
        facts, clock=replace(_seen(facts.clock), broker=NOW + timedelta(seconds=seconds))
    )


def _seen(part: Any) -> Any:
    assert not isinstance(part, Unseen)
    return part


def without(mapping: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key != name}


_ANSWER = OcspAnswer("ab" * 32, days(-20), days(10))
_LIST = RevocationList("agencies.crl", "CN=CA", days(-20), days(10))
_OLD = replace(CERTIFICATE, sha256="cd" * 32, not_after=days(-3), current=False, verdict=None)
_POLICY = DESIRED.policies[0]
_H26 = DESIRED.rights["H26"]

SPOILT: Final[dict[str, Spoil]] = {
    "config.missing": config(mode=None, settings=None, complaints=(Complaint("", "no", "other"),)),
    "config.invalid": complaint("other"),
    "config.unknown-key": complaint("unknown"),
    "config.plain-amqp": complaint("plain"),
    "config.file-missing": complaint("file"),
    "config.secret-open": complaint("mode", "broker.password_file"),
    "config.writable": config(mode=0o620),
    "config.no-management": config(
        settings=replace(SETTINGS, broker=replace(SETTINGS.broker, management_url=""))
    ),
    "broker.unreachable": login(trouble=Code.BROKER_UNREACHABLE),
    "broker.refused": login(trouble=Code.BROKER_REFUSED),
    "broker.untrusted": login(trouble=Code.BROKER_UNTRUSTED),
    "broker.limit.frame": login(frame_max=4096),
    "broker.limit.channels": login(channel_max=8),
    "broker.heartbeat": login(heartbeat=0),
    "broker.limit.message-size": login(largest_taken=False),
    "broker.tls.old-version": tls(old_versions=("TLS 1.1",)),
    "broker.tls.certificate-ended": tls(not_after=days(-1)),
    "broker.tls.certificate-ending": tls(not_after=days(20)),
    "broker.version": broker(version="3.9.29"),
    "broker.version-mixed": broker(nodes=(NODE, replace(NODE, name="rabbit@two", version="3.11.1"))),
    "broker.alarm.memory": node(memory_alarm=True),
    "broker.alarm.disk": node(disk_alarm=True),
    "broker.memory-near": node(memory_used=int(3.5 * GIB)),
    "broker.disk-near": node(disk_free=3 * GIB),
    "broker.limit.disk-free": node(disk_limit=50_000_000),
    "broker.limit.memory": node(memory_used=1, memory_limit=100 << 20),
    "broker.limit.files": node(files_used=60_000),
    "broker.limit.sockets": node(sockets_used=49_000),
    "broker.limit.processes": node(processes_used=1_000_000),
    "broker.plugin": node(plugins=("rabbitmq_management",)),
    "broker.partition": node(partitions=("rabbit@two",)),
    "broker.node-down": broker(nodes=(NODE, replace(NODE, name="rabbit@two", running=False))),
    "broker.feature-flag": broker(disabled_flags=("stream_queue",)),
    "broker.deprecated": broker(deprecated=("transient_nonexcl_queues",)),
    "broker.listener.plain": listener("amqp"),
    "broker.listener.management": listener("http", "::"),
    "broker.blocked": lambda facts: replace(
        facts, connections=replace(_seen(facts.connections), blocked=(("c", "relay", "blocked"),))
    ),
    "broker.user.guest": lambda facts: replace(
        facts,
        rights=replace(_seen(facts.rights), live=replace(LIVE, users={**LIVE.users, "guest": ""})),
    ),
    "broker.user.default-vhost": lambda facts: replace(
        facts, rights=replace(_seen(facts.rights), elsewhere=(("someone", "/"),))
    ),
    "clock.broker": clock(2.2),
    "queue.leaderless": one("agency.H26", before={"messages": None}, messages=None),
    "queue.no-majority": one("agency.H26", online=1),
    "queue.member-down": one("agency.H26", online=2),
    "queue.not-quorum": one("agency.H26", kind="classic", members=0, online=0),
    "queue.dead-letters-stuck": one("retry.5s", before={"messages": 4}, messages=4),
    "queue.drops": one("agency.H26", effective={"max-length-bytes": 100}),
    "queue.retry-endless": one("retry.5s", effective={}),
    "queue.wrong-policy": lambda facts: replace(
        facts, queues=replace(QUEUES, wanted_policies={"agency.H26": "truc-agency"})
    ),
    "queue.full": one("agency.H26", messages=9, ready=9, octets=8 * GIB),
    "queue.near-full": one("agency.H26", messages=9, ready=9, octets=7 * GIB),
    "queue.lane-unread": one("ingress.normal", before={"consumers": 0}, consumers=0),
    "queue.unread": one("agency.H26", messages=3, ready=3, consumers=0),
    "queue.silent-consumer": one(
        "agency.H26",
        before={"messages": 30, "ready": 10, "unacked": 20},
        messages=32,
        ready=12,
        unacked=20,
    ),
    "queue.many-consumers": one("agency.H26", consumers=200),
    "queue.due-growing": one(
        "due", before={"messages": 300, "ready": 300}, messages=400, ready=400, acked_per_second=1.0
    ),
    "queue.backlog": one(
        "ingress.normal",
        before={"messages": 9000, "ready": 9000, "acked_per_second": 1.0},
        messages=9100,
        ready=9100,
    ),
    "queue.quarantine": one("quarantine", messages=1, ready=1),
    "queue.consumer-timeout": one("agency.H26", arguments={"x-consumer-timeout": 60_000}),
    "topology.vhost-missing": change("vhost", What.CREATE),
    "topology.exchange-missing": live(exchanges=without(LIVE.exchanges, "receipts")),
    "topology.queue-missing": live(queues={name: _standing() for name in DESIRED.queues - {"due"}}),
    "topology.binding-missing": live(
        bindings=DESIRED.bindings - {Binding("level.province", "agency.H26", "H26")}
    ),
    "topology.binding-wrong": live(
        bindings=DESIRED.bindings | {Binding("level.province", "agency.H26", "H53")}
    ),
    "topology.wrong-kind": live(exchanges={**LIVE.exchanges, "receipts": "fanout"}),
    "topology.policy-missing": live(policies=without(LIVE.policies, _POLICY.name)),
    "topology.policy-differs": live(
        policies={**LIVE.policies, _POLICY.name: replace(_POLICY, definition={"delivery-limit": 3})}
    ),
    "topology.foreign": live(policies={**LIVE.policies, "other": Policy("other", ".*", {})}),
    "topology.directory": change("directory", What.REPORT, "H30: its gateway H31 has no queue"),
    "topology.data-gone": lambda facts: replace(
        facts, topology=replace(_seen(facts.topology), epoch_lost=True)
    ),
    "permissions.user-missing": live(users=without(LIVE.users, "H26")),
    "permissions.user-ended": change("user", What.REMOVE, "its time has ended"),
    "permissions.no-topic-rule": live(rights={**LIVE.rights, "H26": replace(_H26, topic=None)}),
    "permissions.too-many": live(rights={**LIVE.rights, "H26": replace(_H26, write=".*")}),
    "permissions.differ": live(rights={**LIVE.rights, "H26": replace(_H26, read="^$")}),
    "permissions.tags": live(users={**LIVE.users, "H26": "management"}),
    "permissions.stranger": live(
        users={**LIVE.users, "someone": ""},
        rights={**LIVE.rights, "someone": Rights("^$", "^$", ".*", None)},
    ),
    "permissions.administrators": live(users={**LIVE.users, "second": "administrator"}),
    "registry.unusable": registry(trouble=Code.REGISTRY_UNUSABLE),
    "registry.damaged": registry(damage="database disk image is malformed"),
    "registry.schema": registry(versions=(2,)),
    "registry.read-only": registry(writable=False),
    "registry.locked": registry(locked_by=4711),
    "registry.open": registry(mode=0o644),
    "registry.wal": registry(wal_bytes=GIB),
    "evidence.faults": registry(faults=(("main log batch 3", "does not continue the batch before it"),)),
    "evidence.forks": registry(forks=(("truc-b", "same-number: head 3"),)),
    "evidence.unsealed": registry(unsealed=Waiting(2, ago(7200))),
    "registry.orphans": registry(orphans=(("w9-gone", Waiting(3, ago(300))),)),
    "registry.unfinished": registry(unsettled=Waiting(1, ago(3000))),
    "registry.receipts": registry(unpublished=Waiting(2, ago(3000))),
    "registry.deferred": registry(deferred=Waiting(2, ago(3000))),
    "registry.untold": registry(untold=Waiting(2, ago(3000))),
    "registry.future": registry(newest=NOW + timedelta(minutes=5)),
    "disk.full": disk(free=1000),
    "disk.low": disk(free=GIB // 2),
    "disk.inodes": disk(inodes_free=1000),
    "disk.read-only": disk(read_only=True),
    "disk.network": disk(kind="nfs4"),
    "keys.open": keys(open_files=(("relay.key", 0o640),)),
    "keys.unusable": keys(trouble="not a private key"),
    "keys.mismatch": keys(fits=False),
    "keys.name": keys(certificate_name="another", verdict=Code.OK),
    "keys.ended": keys(not_after=days(-1), verdict=Code.CERTIFICATE_EXPIRED),
    "keys.not-yet": keys(not_before=days(1), verdict=Code.CERTIFICATE_NOT_YET_VALID),
    "keys.ending": keys(not_after=days(12)),
    "keys.untrusted": keys(verdict=Code.UNKNOWN_CA),
    "trust.unusable": trust(trouble="root.pem: no certificate", anchors=(), lists=()),
    "trust.anchor-ended": trust(anchors=(("CN=Gốc", days(-1)),)),
    "trust.anchor-ending": trust(anchors=(("CN=Gốc", days(30)),)),
    "trust.crl-missing": trust(lists=()),
    "trust.crl-ended": trust(lists=(replace(_LIST, next_update=days(-1)),)),
    "trust.crl-ending": trust(lists=(replace(_LIST, next_update=days(1)),)),
    "trust.crl-future": trust(lists=(replace(_LIST, this_update=days(1), next_update=days(30)),)),
    "trust.crl-optional": trust(required=False),
    "trust.answers-ended": trust(answers=(_ANSWER, replace(_ANSWER, next_update=days(-1)))),
    "trust.answers-ending": trust(answers=(_ANSWER, replace(_ANSWER, next_update=days(1)))),
    "trust.fetched-none": trust(fetching="/var/lib/truc/fetched"),
    "trust.fetched-damaged": trust(fetching="/f", answers=(_ANSWER,), damaged=("list-0123.crl",)),
    "directory.invalid": directory(trouble="line 3: no such key", agencies=(), version=""),
    "directory.ageing": directory(serial=4, due_at=days(-1), expires_at=days(9), over_at=days(16)),
    "directory.expired": directory(serial=4, due_at=days(-11), expires_at=days(-1), over_at=days(6)),
    "directory.writable": directory(mode=0o666),
    "directory.unserved": agency(gateway=None, own_queue=False),
    "directory.no-certificate": agency(),
    "directory.certificates-ended": agency(_OLD),
    "directory.certificate-ending": agency(replace(CERTIFICATE, not_after=days(9))),
    "directory.certificate-expired": agency(_OLD, CERTIFICATE),
    "directory.certificate-revoked": agency(replace(CERTIFICATE, verdict=Code.CERTIFICATE_REVOKED)),
    "directory.certificate-untrusted": agency(replace(CERTIFICATE, verdict=Code.REVOCATION_UNKNOWN)),
    "directory.no-successor": agency(CERTIFICATE, admission=Admission.CLOSED),
    "workers.none": registry(workers=((WORKER, ago(500)), (KEEPER, ago(2)))),
    "workers.same-name": registry(
        workers=((WORKER, ago(1)), (WORKER.replace("4000", "4001"), ago(1)), (KEEPER, ago(2)))
    ),
    "workers.no-keeper": registry(leases=()),
    "workers.deaf": processes(trouble="Connection refused", ready=False, version=""),
    "workers.not-ready": processes(ready=False, reasons={"reasons": ["broker-gone"]}),
    "workers.files": processes(reasons={"trust_files": "agencies.crl: no revocation list"}),
    "workers.version": processes(version="0.9"),
    "workers.directory": processes(reasons={"directory": "fedcba9876543210"}),
    "library.libxml": libraries(libxml_trouble="lxml runs libxml2 2.14.6, xmlsec 2.9.14"),
    "library.openssl": libraries(openssl="OpenSSL 1.1.1", openssl_number=(1, 1)),
    "library.python": libraries(python=(3, 10)),
    "library.package": libraries(missing=("pika is not installed",)),
    "sandbox.stray": stray(folder_gone=False),
    "sandbox.folder-gone": stray(folder_gone=True),
}


def test_a_healthy_installation_has_nothing() -> None:
    assert judge(WELL) == ((), ())
    well = live()(WELL)
    assert judge(well) == ((), ())
    assert not plan(DESIRED, _seen(well.rights).live)


def test_each_check_has_its_fault_here() -> None:
    assert len(CHECKS) >= 40
    assert {check.name for check in CHECKS} == set(SPOILT)


@pytest.mark.parametrize("name", SPOILT)
def test_each_check_is_seen_to_fail_alone(name: str) -> None:
    findings, unseen = judge(SPOILT[name](WELL))
    assert {found.name for found in findings} == {name}
    assert not unseen


def test_each_check_has_a_text_and_each_text_a_check() -> None:
    written = texts()
    assert [check.name for check in CHECKS] == list(written)
    for name, text in written.items():
        assert text.cause["vi"] != text.cause["en"], name
        assert text.severity in {"fault", "warning"}, name
        assert text.owner in {"operator", "relay", "gateway"}, name
        for both in (text.cause, text.remedy):
            assert set(both) == {"vi", "en"}, name
            assert all(len(part) > 10 and part.endswith((".", "'", '"')) for part in both.values()), name


def test_names_are_words_with_their_area_first() -> None:
    import re

    for check in CHECKS:
        assert re.fullmatch(r"[a-z]+(\.[a-z]+(-[a-z]+)*)+", check.name), check.name
    assert len({check.name for check in CHECKS}) == len(CHECKS)


@pytest.mark.parametrize("part", [field for field in WELL.__slots__ if field != "at"])
def test_what_was_not_seen_is_said_and_hides_nothing_else(part: str) -> None:
    others = {name for name, spoil in SPOILT.items() if name.startswith(("disk.", "library."))}
    blind: Any = {part: Unseen("no answer in time")}
    findings, unseen = judge(replace(WELL, **blind))
    assert not findings
    ((reason, names),) = unseen
    assert reason == "no answer in time"
    assert set(names) == {check.name for check in CHECKS if part in check.parts}
    for name in sorted(others - set(names)):
        found, _ = judge(replace(SPOILT[name](WELL), **blind))
        assert {one.name for one in found} == {name}


def test_faults_come_before_warnings() -> None:
    findings, _ = judge(SPOILT["broker.alarm.memory"](SPOILT["queue.quarantine"](WELL)))
    assert [one.name for one in findings] == ["broker.alarm.memory", "queue.quarantine"]
    findings, _ = judge(SPOILT["registry.wal"](SPOILT["library.python"](WELL)))
    assert [one.severity.value for one in findings] == ["fault", "warning"]


@pytest.mark.parametrize("seconds", [-2.05, -1.9, 0.0, 1.9])
def test_a_clock_within_two_seconds_is_no_finding(seconds: float) -> None:
    """The broker accepted the connection at some moment of the tenth of a second between our two readings."""
    assert judge(clock(seconds)(WELL))[0] == ()


@pytest.mark.parametrize(("seconds", "side"), [(3.0, "ahead of"), (-3.0, "behind")])
def test_a_clock_is_told_with_its_side(seconds: float, side: str) -> None:
    (found,), _ = judge(clock(seconds)(WELL))
    assert side in found.detail


def test_a_silence_below_the_limits_is_no_finding() -> None:
    for spoil in (
        one("agency.H26", before={"messages": None}),
        one("retry.5s", before={"messages": 4, "ready": 0}, messages=0),
        one("retry.5s", before={"messages": 4, "ready": 4}, messages=4, ready=4),
        one("ingress.normal", before={"consumers": 0}),
        one(
            "agency.H26",
            before={"messages": 30, "ready": 10, "unacked": 20, "acked_per_second": 5.0},
            messages=30,
            ready=10,
            unacked=20,
        ),
        one("due", before={"messages": 3, "ready": 3}, messages=9, ready=9),
        one("due", before={"messages": 900, "ready": 900}, messages=400, ready=400),
        registry(unsettled=Waiting(5, ago(30)), unpublished=Waiting(1, ago(20))),
        registry(orphans=(("w9-gone", Waiting(3, ago(20))),)),
        trust(lists=(_LIST, replace(_LIST, this_update=days(-90), next_update=days(-60)))),
        agency(replace(CERTIFICATE, not_after=days(9)), CERTIFICATE),
        agency(admission=Admission.SUSPENDED),
        node(uptime=1.0, plugins=None, memory_limit=None, memory_used=None, files_total=None),
        lambda facts: replace(facts, processes=ProcessFacts((Answer("u", ready=True),))),
        tls(used=False, not_after=None),
    ):
        assert judge(spoil(WELL))[0] == ()


def test_the_keeper_of_another_process_counts() -> None:
    assert KEEPER.startswith("keeper-")
    found, _ = judge(registry(workers=((KEEPER, ago(1)),))(WELL))
    assert {one.name for one in found} == {"workers.none"}
