"""Looks at the broker, by a login of the relay's own and by the management API. Reads only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from cryptography import x509

from relay.broker.connection import Endpoint
from relay.broker.greeting import Greeting, greeting, old_versions, server_certificate, takes
from relay.broker.management import Management, Row
from relay.broker.plan import Live, narrower, plan, read_live
from relay.broker.topology import TopologyConfig, desired_topology, gateway_logins
from relay.broker.versions import behaviour
from relay.errors import BrokerError, Code, ConfigurationError, TrucError
from relay.model.agency import Agency
from relay.operate.doctor.facts import (
    BrokerFacts,
    ClockFacts,
    ConnectionFacts,
    Listener,
    LoginFacts,
    Node,
    Queue,
    QueueFacts,
    RightsFacts,
    TlsFacts,
    TopologyFacts,
    Unseen,
)
from relay.operate.doctor.queues import suspicious, wanted_policies
from relay.settings import Settings

T = TypeVar("T")

TIMEOUT: Final = 5.0  # seconds for each step of a login
_BULK: Final = (
    15.0  # seconds for one answer of the management API: a hundred thousand bindings take their time
)
_SECOND_LOOK: Final = 6.0  # the broker renews its statistics each 5 s
_STATISTICS: Final = 15.0  # seconds after which even a new queue or node has some
_PAUSE: Final = 1.5
_TRIES: Final = 5
_INSIDE: Final = " answers 5"  # of a status of 500 and above
_LISTED: Final = 8.0  # seconds until the management API, which looks each 5 s, must know a new connection
_BLOCKED: Final = frozenset({"blocked", "blocking"})
_RESERVE: Final = 65_536  # bytes for properties and frames around the largest package


def endpoint(settings: Settings) -> Endpoint:
    """Return the relay's own login. Raises ``ConfigurationError``."""
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


def management(settings: Settings) -> Management:
    """Return the management API. Raises ``ConfigurationError``: not configured, or its password cannot be read."""
    broker = settings.broker
    if not broker.management_url:
        raise ConfigurationError(Code.CONFIG_INVALID, "broker.management_url is not set")
    return Management(
        broker.management_url,
        broker.management_user,
        broker.management_password(),
        vhost=broker.vhost,
        ca_file=broker.ca_file,
        timeout=_BULK,
    )


def _steady(ask: Callable[[], T]) -> T:
    """Ask, and again where the API fails inside: right after a start it answers 500 until it has its statistics."""
    for _ in range(_TRIES - 1):
        try:
            return ask()
        except BrokerError as error:
            if _INSIDE not in error.detail:
                raise
        time.sleep(_PAUSE)
    return ask()


# --- the login and the clock


@dataclass(frozen=True, slots=True)
class Hello:
    """What one login gave."""

    login: LoginFacts
    clock: ClockFacts | Unseen


def hello(settings: Settings, now: Callable[[], datetime], *, clock: bool, deep: bool) -> Hello:
    """Log in as the relay does, and ask for the largest body where that is in doubt.

    ``clock``: read the broker's clock, which may take some seconds. ``deep``: ask for the largest body in any case.
    """
    asked = _asker(settings)
    try:
        with greeting(endpoint(settings), now, TIMEOUT) as hi:
            read = _clock(hi, asked) if clock else Unseen("not asked")
            largest = _largest(hi, asked, settings, deep=deep)
            login = LoginFacts(
                None,
                frame_max=hi.frame_max,
                channel_max=hi.channel_max,
                heartbeat=hi.heartbeat,
                largest_taken=largest,
            )
        return Hello(login, read)
    except BrokerError as error:
        where = f"{settings.broker.host}:{settings.broker.port}"
        return Hello(LoginFacts(error.code, f"{where}: {error.detail}"), Unseen("no login at the broker"))


def _asker(settings: Settings) -> Management | Unseen:
    try:
        return management(settings)
    except ConfigurationError as error:
        return Unseen(str(error))


def _clock(hi: Greeting, asked: Management | Unseen) -> ClockFacts | Unseen:
    """The broker notes, in milliseconds of its own clock, when it accepted a connection: ours, just now."""
    if isinstance(asked, Unseen):
        return asked
    limit = time.monotonic() + _LISTED
    try:
        while True:
            for row in _steady(asked.connection_states):
                at = row.get("connected_at")
                if row.get("user_provided_name") == hi.name and isinstance(at, int):
                    return ClockFacts(datetime.fromtimestamp(at / 1000, UTC), hi.before, hi.after)
            if time.monotonic() > limit:
                return Unseen("the management API does not list our connection")
            time.sleep(0.2)
    except BrokerError as error:
        return Unseen(str(error))


def _largest(hi: Greeting, asked: Management | Unseen, settings: Settings, *, deep: bool) -> bool | None:
    wanted = settings.limits.body_bytes + _RESERVE
    if isinstance(asked, Unseen):
        return None
    try:
        version = asked.overview().get("rabbitmq_version", "")
        enough = behaviour(_numbers(str(version))).default_max_message >= wanted
        if (enough and not deep) or asked.alarms():
            return None
        return takes(hi, wanted)
    except BrokerError:
        return None


def _numbers(text: str) -> tuple[int, int] | None:
    parts = text.split(".")
    return (
        (int(parts[0]), int(parts[1]))
        if len(parts) > 1 and parts[0].isdigit() and parts[1].isdigit()
        else None
    )


def tls(settings: Settings, at: datetime) -> TlsFacts | Unseen:
    """Look at the listener's TLS, where it is used."""
    if not settings.broker.tls:
        return TlsFacts(at, used=False)
    where = endpoint(settings)
    try:
        der = server_certificate(where, TIMEOUT)
        end = x509.load_der_x509_certificate(der).not_valid_after_utc
        return TlsFacts(at, used=True, old_versions=old_versions(where, TIMEOUT), not_after=end)
    except BrokerError as error:
        return Unseen(str(error))
    except ValueError:
        return Unseen("its certificate cannot be read")


# --- the management API


def broker(settings: Settings) -> BrokerFacts:
    """Read versions, nodes, listeners, flags. Raises ``TrucError``."""
    api = management(settings)
    overview = _steady(api.overview)
    return BrokerFacts(
        version=str(overview.get("rabbitmq_version", "")),
        nodes=_nodes(api),
        listeners=tuple(_listener(row) for row in overview.get("listeners", ())),
        disabled_flags=tuple(
            sorted(
                str(row["name"])
                for row in api.feature_flags()
                if row.get("state") == "disabled" and row.get("stability", "stable") in {"stable", "required"}
            )
        ),
        deprecated=tuple(api.deprecated_in_use()),
        body_limit=settings.limits.body_bytes,
    )


def _nodes(api: Management) -> tuple[Node, ...]:
    """Read the nodes; of one that has just started the broker tells nothing for some seconds."""
    limit = time.monotonic() + _STATISTICS
    alarms = frozenset(api.alarms_in_force())
    while True:
        rows = _steady(api.nodes)
        if all("mem_limit" in row or not row.get("running") for row in rows) or time.monotonic() > limit:
            return tuple(_node(row, alarms) for row in rows)
        time.sleep(1.0)


def _listener(row: Row) -> Listener:
    # Of its web listeners the broker says :: whatever they are bound to; their options have the address.
    options = row.get("socket_opts")
    bound = options.get("ip") if isinstance(options, dict) else None
    return Listener(str(row.get("protocol")), str(bound or row.get("ip_address")), int(row.get("port", 0)))


def _node(row: Row, alarms: frozenset[tuple[str, str]]) -> Node:
    versions = [
        str(one.get("version", ""))
        for one in row.get("applications", ())
        if isinstance(one, dict) and one.get("name") == "rabbit"
    ]
    return Node(
        name=str(row.get("name")),
        running=bool(row.get("running")),
        version=versions[0] if versions else "",
        uptime=float(row.get("uptime", 0)) / 1000,
        memory_alarm=(str(row.get("name")), "memory") in alarms,
        disk_alarm=(str(row.get("name")), "disk") in alarms,
        memory_used=_whole(row.get("mem_used")),
        memory_limit=_whole(row.get("mem_limit")),
        disk_free=_whole(row.get("disk_free")),
        disk_limit=_whole(row.get("disk_free_limit")),
        files_used=_whole(row.get("fd_used")),
        files_total=_whole(row.get("fd_total")),
        sockets_used=_whole(row.get("sockets_used")),
        sockets_total=_whole(row.get("sockets_total")),
        processes_used=_whole(row.get("proc_used")),
        processes_total=_whole(row.get("proc_total")),
        partitions=tuple(str(one) for one in row.get("partitions", ())),
        plugins=_names(row.get("enabled_plugins")),
    )


def _names(raw: object) -> tuple[str, ...] | None:
    return tuple(str(one) for one in raw) if isinstance(raw, list) else None


def _whole(raw: object) -> int | None:
    return raw if isinstance(raw, int) and not isinstance(raw, bool) else None


def connections(settings: Settings) -> ConnectionFacts:
    """Read which connections the broker has stopped reading from. Raises ``TrucError``."""
    return ConnectionFacts(
        tuple(
            (str(row.get("name")), str(row.get("user")), str(row["state"]))
            for row in _steady(management(settings).connection_states)
            if row.get("state") in _BLOCKED
        )
    )


def queues(settings: Settings, sleep: Callable[[float], None] = time.sleep) -> QueueFacts:
    """Read all queues, again some seconds later where the first look leaves a doubt. Raises ``TrucError``."""
    api = management(settings)
    now = _queues(_steady(api.queues))
    earlier = {one.name: one for one in now if suspicious(one)}
    if earlier:
        sleep(_SECOND_LOOK)
        now = _queues(_steady(api.queues))
        waited = _SECOND_LOOK
        while waited < _STATISTICS and any(one.messages is None for one in now):
            sleep(_PAUSE)
            waited += _PAUSE
            now = _queues(_steady(api.queues))
    ours = tuple((policy.name, policy.pattern) for policy in TopologyConfig.load().policies)
    return QueueFacts(now, earlier, wanted_policies(tuple(one.name for one in now), ours))


def _queues(rows: Iterable[Row]) -> tuple[Queue, ...]:
    return tuple(_queue(row) for row in rows)


def _queue(row: Row) -> Queue:
    members, online = row.get("members"), row.get("online")
    arguments: Mapping[str, Any] = row.get("arguments") or {}
    effective = row.get("effective_policy_definition")
    stats = row.get("message_stats")
    return Queue(
        name=str(row.get("name")),
        kind=str(row.get("type") or arguments.get("x-queue-type", "classic")),
        messages=_whole(row.get("messages")),
        ready=_whole(row.get("messages_ready")) or 0,
        unacked=_whole(row.get("messages_unacknowledged")) or 0,
        octets=_whole(row.get("message_bytes")) or 0,
        consumers=_whole(row.get("consumers")) or 0,
        members=len(members) if isinstance(members, list) else 0,
        online=len(online) if isinstance(online, list) else 0,
        policy=str(row.get("policy") or ""),
        effective=effective if isinstance(effective, dict) else {},
        arguments=arguments,
        acked_per_second=_rate(stats, "ack_details") if isinstance(stats, dict) else 0.0,
    )


def _rate(stats: Mapping[str, Any], key: str) -> float:
    with suppress(KeyError, TypeError, ValueError):
        return float(stats[key]["rate"])
    return 0.0


def rights(settings: Settings) -> RightsFacts:
    """Read users, rights and definitions. Raises ``TrucError``."""
    api = management(settings)
    elsewhere = tuple((str(row.get("user")), str(row.get("vhost"))) for row in api.permissions_elsewhere())
    return RightsFacts(_steady(lambda: read_live(api)), elsewhere)


def topology(
    settings: Settings,
    seen: RightsFacts,
    agencies: Sequence[Agency],
    epoch: tuple[str, bool] | None,
    at: datetime,
) -> TopologyFacts | Unseen:
    """Compare what should stand with what stands. Pure.

    Args:
        settings: of the relay.
        seen: what stands.
        agencies: all of the directory.
        epoch: the mark of the broker's data as the registry knows it, and whether it was set.
        at: now.
    """
    live: Live = seen.live
    try:
        desired = desired_topology(
            TopologyConfig.load(), agencies, settings.broker.user, dict.fromkeys(gateway_logins(agencies, at))
        )
    except TrucError as error:
        return Unseen(str(error))
    changes = tuple(plan(desired, live))
    narrowed = frozenset(
        user
        for user, wanted in desired.rights.items()
        if user in live.rights and narrower(live.rights[user], wanted)
    )
    lost = epoch is not None and epoch[1] and live.vhost and f"epoch.{epoch[0]}" not in live.exchanges
    return TopologyFacts(changes, narrowed, lost)
