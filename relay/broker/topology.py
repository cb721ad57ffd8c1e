"""The desired state of the broker, computed from ``config/topology.yaml`` and the directory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import yaml

from relay.broker import names
from relay.errors import Code, ConfigurationError
from relay.model.agency import Admission, Agency, LoginBy
from relay.resources import shipped

LISTED_CODES: Final = 100
"""Up to so many codes a topic permission lists them; above, it gives the subtree: a longer list slows every publish."""

LONGEST_PATTERN: Final = 32_000
"""Characters of a permission: RabbitMQ 3.10 refuses patterns from about 37 KB."""

NOTHING: Final = "^$"
RELAY_CONFIGURE: Final = r"^epoch\..*$"
RELAY_WRITE: Final = r"^(level\.(central|province|district|commune)|receipts|retry|due|quarantine|inspect)$"
RELAY_READ: Final = r"^(ingress\.(urgent|normal|status)|retry\.(5s|1m|10m|1h)|due|quarantine|inspect)$"
GATEWAY_WRITE: Final = "^ingress$"

_ACTIVE: Final = frozenset({Admission.TRIAL, Admission.ADMITTED})


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy on queues."""

    name: str
    pattern: str
    definition: Mapping[str, Any]
    priority: int = 10


@dataclass(frozen=True, slots=True, order=True)
class Binding:
    """A queue bound to an exchange under a key."""

    exchange: str
    queue: str
    key: str


@dataclass(frozen=True, slots=True)
class Rights:
    """What a user may do on the vhost; ``topic`` is the pattern of keys on ``ingress``, None: no row is wanted."""

    configure: str
    write: str
    read: str
    topic: str | None


@dataclass(frozen=True, slots=True)
class TopologyConfig:
    """``config/topology.yaml``, checked."""

    exchanges: Mapping[str, str]  # name: type
    queue_arguments: Mapping[str, str]
    queues: Mapping[str, Binding]
    policies: tuple[Policy, ...]

    @classmethod
    def load(cls, path: Path | None = None) -> TopologyConfig:
        """Read a file, the shipped one by default. Raises ``ConfigurationError`` CONFIG-INVALID."""
        source = path or shipped("config/topology.yaml")
        try:
            raw = yaml.safe_load(source.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigurationError(
                Code.CONFIG_INVALID, f"{source.name} cannot be read: {type(error).__name__}"
            ) from error
        return cls.of(raw)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> TopologyConfig:
        """Check what a file holds. Raises ``ConfigurationError`` CONFIG-INVALID naming what is missing."""
        try:
            exchanges = {str(name): str(kind) for name, kind in raw["exchanges"].items()}
            queues = {
                str(name): Binding(str(body["exchange"]), str(name), str(body["key"]))
                for name, body in raw["queues"].items()
            }
            ladder = {str(rung): float(seconds) for rung, seconds in raw["ladder"].items()}
            policies = [
                Policy(str(name), str(body["pattern"]), dict(body["definition"]))
                for name, body in raw["policies"].items()
            ]
            arguments = {str(key): str(value) for key, value in raw["queue_arguments"].items()}
            for rung, seconds in ladder.items():
                queue = names.retry_queue(rung)
                queues[queue] = Binding(names.RETRY, queue, rung)
                definition = {**raw["retry_policy"], "message-ttl": int(seconds * 1000)}
                policies.append(Policy(f"truc-{queue}", names.exactly(queue), definition))
            for policy in policies:
                re.compile(policy.pattern)
        except (KeyError, TypeError, ValueError, AttributeError, re.error) as error:
            raise ConfigurationError(
                Code.CONFIG_INVALID, f"topology: {type(error).__name__}: {error}"
            ) from error
        missing = sorted(
            {*names.EXCHANGES, *(binding.exchange for binding in queues.values())} - set(exchanges)
        )
        lanes = {names.lane_queue(lane) for lane in (*names.LANES,)} | {
            names.DUE,
            names.QUARANTINE,
            names.INSPECT,
        }
        missing += sorted(lanes - set(queues))
        if missing:
            raise ConfigurationError(Code.CONFIG_INVALID, f"topology lacks {', '.join(missing)}")
        return cls(exchanges, arguments, queues, tuple(policies))


@dataclass(frozen=True, slots=True)
class Desired:
    """What should stand on the broker."""

    exchanges: Mapping[str, str]
    queue_arguments: Mapping[str, str]
    queues: frozenset[str]
    bindings: frozenset[Binding]
    policies: tuple[Policy, ...]
    rights: Mapping[str, Rights]  # by user
    passwords: Mapping[str, str | None] = field(repr=False, default_factory=dict)
    by_certificate: frozenset[str] = frozenset()  # users that get no password
    ended: frozenset[str] = frozenset()  # users that should be no more
    problems: tuple[str, ...] = ()  # what the directory asks for and cannot be had


def desired_topology(
    config: TopologyConfig | Mapping[str, Any],
    directory_agencies: Iterable[Agency],
    relay_user: str,
    gateway_users: Mapping[str, str | None],
    *,
    relay_password: str | None = None,
    relay_by_certificate: bool = False,
) -> Desired:
    """Compute the desired state.

    Args:
        config: ``config/topology.yaml``.
        directory_agencies: All agencies, closed ones too.
        relay_user: The broker user of workers and keeper.
        gateway_users: Broker users of the gateways (see ``gateway_logins``) with the password for one that does not
            exist yet; None where it exists. A user with an end, or of a closed gateway, that is missing here is to be
            removed.
        relay_password: The same for the relay's user.
        relay_by_certificate: The relay's user logs in by client certificate and needs none.

    Raises:
        ConfigurationError: CONFIG-INVALID.
    """
    settings = config if isinstance(config, TopologyConfig) else TopologyConfig.of(config)
    agencies = {agency.code: agency for agency in directory_agencies}
    if relay_user in gateway_users:
        raise ConfigurationError(Code.CONFIG_INVALID, "the relay's broker user is a gateway's too")
    queues = set(settings.queues)
    bindings = set(settings.queues.values())
    problems: list[str] = []
    for agency in agencies.values():
        if agency.admission is Admission.CLOSED:
            continue
        if agency.own_queue:
            queues.add(names.agency_queue(agency.code))
        serving = _serving(agency, agencies)
        if serving is None:
            if agency.gateway is not None:
                problems.append(f"{agency.code}: its gateway {agency.gateway} has no queue")
            continue
        queue = names.agency_queue(serving)
        bindings.add(Binding(names.level_exchange(agency.level), queue, agency.code))
        bindings.add(Binding(names.RECEIPTS, queue, agency.code))
    known = {login.name: (agency.code, login) for agency in agencies.values() for login in agency.logins}
    served: dict[str, list[Agency]] = {}
    for agency in agencies.values():
        gateway = agency.gateway or (agency.code if agency.own_queue else None)
        if gateway is not None and agency.admission in _ACTIVE:
            served.setdefault(gateway, []).append(agency)
    rights = {relay_user: Rights(RELAY_CONFIGURE, RELAY_WRITE, RELAY_READ, None)}
    for user in gateway_users:
        code = known[user][0] if user in known else user
        own = agencies.get(code)
        if own is None:
            problems.append(f"{user}: a gateway's broker user, but no such agency in the directory")
        active = own is not None and own.admission in _ACTIVE
        rights[user] = gateway_rights(served.get(code, ())) if active else NO_RIGHTS
        if len(rights[user].read) > LONGEST_PATTERN:
            problems.append(f"{user}: it has too many queues to read; let its agencies use queue: gateway")
            rights[user] = replace(rights[user], read=names.exactly(names.agency_queue(code)))
    return Desired(
        exchanges=settings.exchanges,
        queue_arguments=settings.queue_arguments,
        queues=frozenset(queues),
        bindings=frozenset(bindings),
        policies=settings.policies,
        rights=rights,
        passwords={relay_user: relay_password, **gateway_users},
        by_certificate=frozenset(
            name for name, (_, login) in known.items() if login.by is LoginBy.CERTIFICATE
        )
        | ({relay_user} if relay_by_certificate else frozenset()),
        ended=frozenset(
            name
            for name, (code, login) in known.items()
            if login.until is not None or agencies[code].admission is Admission.CLOSED
        )
        - {*gateway_users, relay_user},
        problems=tuple(sorted(problems)),
    )


def gateway_logins(agencies: Iterable[Agency], now: datetime) -> dict[str, str]:
    """Return the broker users that gateways should have at that moment, and whose they are: name, gateway's code."""
    return {
        login.name: agency.code
        for agency in agencies
        if agency.admission is not Admission.CLOSED
        for login in agency.logins
        if not login.ended(now)
    }


NO_RIGHTS: Final = Rights(NOTHING, NOTHING, NOTHING, NOTHING)
"""Of a suspended or closed gateway: the user stays, and may do nothing."""


def _serving(agency: Agency, agencies: Mapping[str, Agency]) -> str | None:
    """Return the code whose queue takes what is for this agency."""
    if agency.own_queue:
        return agency.code
    gateway = agencies.get(agency.gateway or "")
    usable = gateway is not None and gateway.own_queue and gateway.admission is not Admission.CLOSED
    return gateway.code if gateway is not None and usable else None


def gateway_rights(agencies: Iterable[Agency]) -> Rights:
    """Return the rights of a gateway that serves these agencies: write ``ingress`` with its codes, read its queues."""
    mine = sorted(agencies, key=lambda agency: agency.code)
    queues = [names.agency_queue(agency.code) for agency in mine if agency.own_queue]
    codes = [agency.code for agency in mine]
    return Rights(NOTHING, GATEWAY_WRITE if codes else NOTHING, names.exactly(*queues), topic_pattern(codes))


def topic_pattern(codes: Iterable[str]) -> str:
    """Return the pattern of routing keys for these sender codes: ``<lane>.<code>``, nothing longer, nothing shorter.

    Above ``LISTED_CODES`` codes the subtrees of the uppermost ones, in whatever lane (a key of another one leads to no
    queue and is returned); the exact right to speak is the worker's to check.
    """
    known = sorted(set(codes))
    if not known:
        return NOTHING
    lanes = "|".join(lane.value for lane in names.LANES)
    if len(known) <= LISTED_CODES:
        return f"^({lanes})\\.({'|'.join(re.escape(code) for code in known)})$"
    whole = set(known)
    tops = [code for code in known if not any(above in whole for above in _above(code))]
    if len(tops) > LISTED_CODES:
        tops = sorted({code.split(".")[0] for code in tops})
    # As short as can be: RabbitMQ 3.10 reads the whole pattern anew, several times, for each key that it has not just seen.
    trees = "|".join(re.escape(code) for code in tops)
    return f"^[a-z]+\\.{trees if len(tops) == 1 else f'({trees})'}(\\.|$)"


def _above(code: str) -> list[str]:
    groups = code.split(".")
    return [".".join(groups[:count]) for count in range(1, len(groups))]
