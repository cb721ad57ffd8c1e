"""The broker as a whole: does it let us in, does it take messages, is it near a limit, is it closed to strangers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

from relay.broker.versions import OLDEST
from relay.errors import Code
from relay.operate.doctor.check import Found, on, size, span
from relay.operate.doctor.facts import (
    BrokerFacts,
    ClockFacts,
    ConnectionFacts,
    LoginFacts,
    Node,
    RightsFacts,
    TlsFacts,
)
from relay.settings import is_loopback

MAX_CLOCK: Final = 2.0  # seconds
ENDING: Final = timedelta(days=30)
_NEAR: Final = 0.8
_SMALL_DISK_LIMIT: Final = 64 * 1024 * 1024  # RabbitMQ's own default is 50 MB
_SMALL_MEMORY: Final = 256 * 1024 * 1024
_FEW_FILES: Final = 4096
_FEW_CHANNELS: Final = 32  # a worker opens one for each lane and each line of publishing
_SMALL_FRAME: Final = 16 * 1024
_NEEDED: Final = frozenset({"rabbitmq_prometheus"})


# --- the login


def _login(code: Code) -> Callable[[LoginFacts], Iterator[Found]]:
    def judge(login: LoginFacts) -> Iterator[Found]:
        if login.trouble is code:
            yield Found(detail=login.detail)

    return judge


def _unreachable(login: LoginFacts) -> Iterator[Found]:
    if login.trouble not in {None, Code.BROKER_REFUSED, Code.BROKER_UNTRUSTED}:
        yield Found(detail=login.detail)


def _offer(wrong: Callable[[LoginFacts], str]) -> Callable[[LoginFacts], Iterator[Found]]:
    def judge(login: LoginFacts) -> Iterator[Found]:
        if login.trouble is None and (detail := wrong(login)):
            yield Found(detail=detail)

    return judge


def _frame(login: LoginFacts) -> str:
    return f"{login.frame_max} bytes" if 0 < login.frame_max < _SMALL_FRAME else ""


def _channels(login: LoginFacts) -> str:
    return f"{login.channel_max} channels" if 0 < login.channel_max < _FEW_CHANNELS else ""


def _heartbeat(login: LoginFacts) -> str:
    return "" if 5 <= login.heartbeat <= 600 else f"{login.heartbeat} s"


def _too_small(login: LoginFacts) -> str:
    return "refused" if login.largest_taken is False else ""


# --- TLS


def _old_tls(tls: TlsFacts) -> Iterator[Found]:
    if tls.old_versions:
        yield Found(detail=", ".join(tls.old_versions))


def _ended(at: datetime, end: datetime | None) -> bool:
    return end is not None and end <= at


def _tls_ended(tls: TlsFacts) -> Iterator[Found]:
    if tls.not_after is not None and _ended(tls.at, tls.not_after):
        yield Found(detail=f"since {tls.not_after:%Y-%m-%d %H:%M} UTC")


def _tls_ending(tls: TlsFacts) -> Iterator[Found]:
    if tls.not_after is not None and tls.at < tls.not_after <= tls.at + ENDING:
        yield Found(detail=f"{tls.not_after:%Y-%m-%d %H:%M} UTC")


# --- the whole


def _version(text: str) -> tuple[int, int] | None:
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def _unsupported(broker: BrokerFacts) -> Iterator[Found]:
    version = _version(broker.version)
    if version is None or version < OLDEST:
        yield Found(detail=f"{broker.version or 'unknown'}, at least {OLDEST[0]}.{OLDEST[1]}")


def _mixed(broker: BrokerFacts) -> Iterator[Found]:
    versions = {node.version for node in broker.nodes if node.version}
    if len(versions) > 1:
        yield Found(detail=", ".join(f"{node.name} {node.version}" for node in broker.nodes))


def _each(wrong: Callable[[Node], str | None]) -> Callable[[BrokerFacts], Iterator[Found]]:
    """Return a judge of each node that runs; None: nothing is wrong with it."""

    def judge(broker: BrokerFacts) -> Iterator[Found]:
        for node in broker.nodes:
            if node.running and (detail := wrong(node)) is not None:
                yield Found(node.name, detail)

    return judge


def _memory_alarm(node: Node) -> str | None:
    return _of(node.memory_used, node.memory_limit) if node.memory_alarm else None


def _disk_alarm(node: Node) -> str | None:
    if not node.disk_alarm:
        return None
    return f"{size(node.disk_free or 0)} free, limit {size(node.disk_limit or 0)}"


def _of(used: int | None, limit: int | None) -> str:
    return f"{size(used or 0)} of {size(limit or 0)}"


def _memory_near(node: Node) -> str | None:
    near = node.memory_limit and node.memory_used and node.memory_used > _NEAR * node.memory_limit
    return _of(node.memory_used, node.memory_limit) if near and not node.memory_alarm else None


def _disk_near(node: Node) -> str | None:
    if node.disk_free is None or node.disk_limit is None or node.disk_alarm:
        return None
    near = node.disk_free < 2 * node.disk_limit
    return f"{size(node.disk_free)} free, limit {size(node.disk_limit)}" if near else None


def _disk_limit(node: Node) -> str | None:
    small = node.disk_limit is not None and node.disk_limit < _SMALL_DISK_LIMIT
    return size(node.disk_limit or 0) if small else None


def _memory_limit(node: Node) -> str | None:
    small = node.memory_limit is not None and node.memory_limit < _SMALL_MEMORY
    return size(node.memory_limit or 0) if small else None


def _files(node: Node) -> str | None:
    if not node.files_total:
        return None
    near = node.files_total < _FEW_FILES or (node.files_used or 0) > _NEAR * node.files_total
    return f"{node.files_used or 0} of {node.files_total}" if near else None


def _sockets(node: Node) -> str | None:
    near = node.sockets_total and (node.sockets_used or 0) > _NEAR * node.sockets_total
    return f"{node.sockets_used} of {node.sockets_total}" if near else None


def _processes(node: Node) -> str | None:
    near = node.processes_total and (node.processes_used or 0) > _NEAR * node.processes_total
    return f"{node.processes_used} of {node.processes_total}" if near else None


def _plugins(node: Node) -> str | None:
    lacking = _NEEDED - set(_NEEDED if node.plugins is None else node.plugins)
    return ", ".join(sorted(lacking)) if lacking else None


def _partition(node: Node) -> str | None:
    return ", ".join(node.partitions) if node.partitions else None


def _down(broker: BrokerFacts) -> Iterator[Found]:
    for node in broker.nodes:
        if not node.running:
            yield Found(node.name)


def _flags(broker: BrokerFacts) -> Iterator[Found]:
    if broker.disabled_flags:
        yield Found(detail=", ".join(broker.disabled_flags))


def _deprecated(broker: BrokerFacts) -> Iterator[Found]:
    if broker.deprecated:
        yield Found(detail=", ".join(broker.deprecated))


def _listening(protocol: str) -> Callable[[BrokerFacts], Iterator[Found]]:
    def judge(broker: BrokerFacts) -> Iterator[Found]:
        for one in broker.listeners:
            if one.protocol == protocol and not is_loopback(one.address):
                yield Found(f"{one.address}:{one.port}")

    return judge


def _blocked(connections: ConnectionFacts) -> Iterator[Found]:
    for name, user, state in connections.blocked:
        yield Found(user, f"{state}: {name}")


def _guest(rights: RightsFacts) -> Iterator[Found]:
    if "guest" in rights.live.users:
        yield Found("guest")


def _default_vhost(rights: RightsFacts) -> Iterator[Found]:
    users = sorted(user for user, vhost in rights.elsewhere if vhost == "/" and rights.live.vhost_name != "/")
    if users:
        yield Found("/", ", ".join(users))


def _clock(clock: ClockFacts) -> Iterator[Found]:
    """The least difference that the two readings around it leave room for."""
    ahead = (clock.broker - clock.after).total_seconds()
    behind = (clock.before - clock.broker).total_seconds()
    if max(ahead, behind) > MAX_CLOCK:
        side = "ahead of" if ahead > behind else "behind"
        yield Found(detail=f"the broker is {span(max(ahead, behind))} {side} this machine")


CHECKS: Final = (
    on("login", "broker.unreachable", _unreachable),
    on("login", "broker.refused", _login(Code.BROKER_REFUSED)),
    on("login", "broker.untrusted", _login(Code.BROKER_UNTRUSTED)),
    on("login", "broker.limit.frame", _offer(_frame)),
    on("login", "broker.limit.channels", _offer(_channels)),
    on("login", "broker.heartbeat", _offer(_heartbeat)),
    on("login", "broker.limit.message-size", _offer(_too_small)),
    on("tls", "broker.tls.old-version", _old_tls),
    on("tls", "broker.tls.certificate-ended", _tls_ended),
    on("tls", "broker.tls.certificate-ending", _tls_ending),
    on("broker", "broker.version", _unsupported),
    on("broker", "broker.version-mixed", _mixed),
    on("broker", "broker.alarm.memory", _each(_memory_alarm)),
    on("broker", "broker.alarm.disk", _each(_disk_alarm)),
    on("broker", "broker.memory-near", _each(_memory_near)),
    on("broker", "broker.disk-near", _each(_disk_near)),
    on("broker", "broker.limit.disk-free", _each(_disk_limit)),
    on("broker", "broker.limit.memory", _each(_memory_limit)),
    on("broker", "broker.limit.files", _each(_files)),
    on("broker", "broker.limit.sockets", _each(_sockets)),
    on("broker", "broker.limit.processes", _each(_processes)),
    on("broker", "broker.plugin", _each(_plugins)),
    on("broker", "broker.partition", _each(_partition)),
    on("broker", "broker.node-down", _down),
    on("broker", "broker.feature-flag", _flags),
    on("broker", "broker.deprecated", _deprecated),
    on("broker", "broker.listener.plain", _listening("amqp")),
    on("broker", "broker.listener.management", _listening("http")),
    on("connections", "broker.blocked", _blocked),
    on("rights", "broker.user.guest", _guest),
    on("rights", "broker.user.default-vhost", _default_vhost),
    on("clock", "clock.broker", _clock),
)
