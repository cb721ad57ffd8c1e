"""The doctor at work: all looks side by side and each with a limit of time, then the judging."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from relay.errors import TrucError
from relay.model.agency import Agency
from relay.model.ports import Clock
from relay.operate.doctor import (
    broker,
    config,
    look_broker,
    look_files,
    look_processes,
    processes,
    queues,
    registry,
    topology,
    trust,
)
from relay.operate.doctor.check import Check, Finding, Severity
from relay.operate.doctor.facts import DirectoryFacts, Facts, RightsFacts, Stray, Unseen
from relay.operate.doctor.texts import texts
from relay.operate.doctor.threads import Promise
from relay.registry.examine import Examination, examine
from relay.settings import Settings

T = TypeVar("T")

CHECKS: Final[tuple[Check, ...]] = (
    *config.CHECKS,
    *broker.CHECKS,
    *queues.CHECKS,
    *topology.CHECKS,
    *registry.CHECKS,
    *trust.CHECKS,
    *processes.CHECKS,
)
"""All checks, in the order in which they are listed."""

AREAS: Final = tuple(dict.fromkeys(check.area for check in CHECKS))
LIMIT: Final = 45.0  # seconds for all looks together
_NO_SETTINGS: Final = Unseen("the configuration cannot be used")
_NOT_ASKED: Final = Unseen("not asked")
# What a part is made of beside itself.
_FROM: Final = {"topology": ("rights", "directory", "registry"), "clock": ("login",)}


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined.

    Args:
        config: the configuration file.
        clock: ours.
        urls: HTTP addresses of workers and keepers beside that of the configuration.
        strays: finds processes that dead sandboxes left behind.
        deep: also what costs more: a message of the largest size.
    """

    config: Path
    clock: Clock
    urls: tuple[str, ...] = ()
    strays: Callable[[], tuple[Stray, ...]] = tuple
    deep: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it. Faults come first."""

    at: datetime
    seconds: float
    checks: tuple[str, ...]  # names of all that were asked for
    findings: tuple[Finding, ...]
    unseen: tuple[tuple[str, tuple[str, ...]], ...]  # why not, and the checks that could not be made

    @property
    def faults(self) -> int:
        """How many of the findings are faults."""
        return sum(one.severity is Severity.FAULT for one in self.findings)

    @property
    def healthy(self) -> bool:
        """Whether all was seen, and nothing is wrong."""
        return not self.findings and not self.unseen


def doctor(patient: Patient, areas: Sequence[str] = (), limit: float = LIMIT) -> Report:
    """Look and judge. Nothing is changed; never longer than ``limit`` seconds and the judging.

    Args:
        patient: what is examined.
        areas: only checks of these areas; none: all.
        limit: seconds after which a look counts as not possible.
    """
    began = time.monotonic()
    chosen = [check for check in CHECKS if not areas or check.area in areas]
    wanted = {part for check in chosen for part in check.parts}
    wanted |= {below for part in tuple(wanted) for below in _FROM.get(part, ())}
    facts = look(patient, wanted, limit)
    findings, unseen = judge(facts, chosen)
    return Report(
        facts.at,
        round(time.monotonic() - began, 2),
        tuple(check.name for check in chosen),
        findings,
        unseen,
    )


def judge(
    facts: Facts, checks: Iterable[Check] = CHECKS
) -> tuple[tuple[Finding, ...], tuple[tuple[str, tuple[str, ...]], ...]]:
    """Return what is wrong, faults first, and the checks that could not be made, by the reason. Pure."""
    written = texts()
    findings: list[Finding] = []
    unseen: dict[str, list[str]] = {}
    for check in checks:
        text = written[check.name]
        found = check.judge(facts)
        if isinstance(found, Unseen):
            unseen.setdefault(found.reason, []).append(check.name)
            continue
        severity = Severity(text.severity)
        findings += [
            Finding(check.name, severity, text.owner, one.subject, one.detail, text) for one in found
        ]
    findings.sort(key=lambda one: one.severity is not Severity.FAULT)
    return tuple(findings), tuple((reason, tuple(names)) for reason, names in unseen.items())


def look(patient: Patient, wanted: Iterable[str], limit: float = LIMIT) -> Facts:
    """Gather the wanted parts of the facts."""
    end = time.monotonic() + limit
    asked = frozenset(wanted)
    now = patient.clock.now
    at = now()
    first = Promise(lambda: look_files.config(patient.config), (TrucError,)).result(limit / 4)
    settings = None if isinstance(first, Unseen) else first.settings

    def begin(part: str, work: Callable[[Settings], T | Unseen]) -> Promise[Any]:
        if part not in asked:
            return Promise(lambda: _NOT_ASKED, ())
        if settings is None:
            return Promise(lambda: _NO_SETTINGS, ())
        return Promise(lambda: work(settings), (TrucError, OSError))

    def alone(part: str, work: Callable[[], T]) -> Promise[Any]:
        """Begin what needs no configuration."""
        return Promise(work if part in asked else lambda: _NOT_ASKED, (TrucError, OSError))

    def seen(promise: Promise[Any]) -> Any:  # noqa: ANN401 - one of the fields of Facts
        return promise.result(end - time.monotonic())

    hello = begin("login", lambda s: look_broker.hello(s, now, clock="clock" in asked, deep=patient.deep))
    begun = {
        "tls": begin("tls", lambda s: look_broker.tls(s, at)),
        "broker": begin("broker", look_broker.broker),
        "connections": begin("connections", look_broker.connections),
        "queues": begin("queues", look_broker.queues),
        "rights": begin("rights", look_broker.rights),
        "registry": begin("registry", lambda s: examine(s.registry.url, now(), s.registry.lease_seconds)),
        "disks": begin("disks", look_files.disks),
        "keys": begin("keys", lambda s: look_files.keys(s, at)),
        "trust": begin("trust", lambda s: look_files.trust(s, at)),
        "directory": begin("directory", lambda s: look_files.directory(s, at)),
        "processes": begin("processes", lambda s: look_processes.processes(_urls(patient, s))),
        "libraries": alone("libraries", look_processes.libraries),
        "sandboxes": alone("sandboxes", patient.strays),
    }
    parts = {name: seen(promise) for name, promise in begun.items()}
    hi = seen(hello)
    parts["login"] = hi if isinstance(hi, Unseen) else hi.login
    parts["clock"] = hi if isinstance(hi, Unseen) else hi.clock
    parts["topology"] = _NOT_ASKED if "topology" not in asked else _topology(settings, parts, at)
    return Facts(at=at, config=first, **parts)


def _urls(patient: Patient, settings: Settings) -> tuple[str, ...]:
    own = settings.http
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(own.host, own.host)  # noqa: S104 - asked, not bound
    mine = (f"http://{f'[{host}]' if ':' in host else host}:{own.port}",) if own.port else ()
    return tuple(dict.fromkeys((*mine, *patient.urls)))


def _topology(settings: Settings | None, parts: dict[str, Any], at: datetime) -> Any:  # noqa: ANN401
    rights, directory, kept = parts["rights"], parts["directory"], parts["registry"]
    if settings is None:
        return _NO_SETTINGS
    if not isinstance(rights, RightsFacts):
        return rights
    if not isinstance(directory, DirectoryFacts):
        return directory
    if directory.trouble:
        return Unseen("the directory cannot be used")
    agencies: list[Agency] = [one.agency for one in directory.agencies]
    epoch = kept.epoch if isinstance(kept, Examination) else None
    return look_broker.topology(settings, rights, agencies, epoch, at)
