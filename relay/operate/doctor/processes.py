"""Workers and keeper, the libraries under them, and what old sandboxes left running."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final

from relay.operate.doctor.check import Found, on, on_both
from relay.operate.doctor.facts import Answer, DirectoryFacts, LibraryFacts, ProcessFacts, Stray
from relay.registry.examine import Examination

KEEPER: Final = "keeper"
_UUID: Final = 37  # characters that a process adds to its name at each start
_OLDEST_PYTHON: Final = (3, 11)
_OLDEST_OPENSSL: Final = (3, 0)


def _alive(registry: Examination) -> list[str]:
    """Return the names of the processes that beat within one lease."""
    return [owner[:-_UUID] or owner for owner, _ in registry.workers if registry.live(owner)]


def _none(registry: Examination) -> Iterator[Found]:
    if registry.trouble is None and not [name for name in _alive(registry) if name != KEEPER]:
        beats = [beat for owner, beat in registry.workers if owner[:-_UUID] != KEEPER]
        yield Found(detail=f"the last sign of life {max(beats):%Y-%m-%d %H:%M:%S} UTC" if beats else "")


def _twice(registry: Examination) -> Iterator[Found]:
    names = [name for name in _alive(registry) if name != KEEPER]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Found(name, f"{names.count(name)} processes")


def _no_keeper(registry: Examination) -> Iterator[Found]:
    held = any(
        lease.name == KEEPER and lease.expires_at > registry.at - timedelta(seconds=5)
        for lease in registry.leases
    )
    if registry.trouble is None and not held:
        yield Found(KEEPER)


def _deaf(processes: ProcessFacts) -> Iterator[Found]:
    for one in processes.answers:
        if one.trouble:
            yield Found(one.url, one.trouble)


def _not_ready(processes: ProcessFacts) -> Iterator[Found]:
    for one in processes.answers:
        if not one.trouble and not one.ready:
            yield Found(one.url, _why(one))


def _why(answer: Answer) -> str:
    facts: Mapping[str, object] = answer.reasons
    named = facts.get("reasons")
    if isinstance(named, list) and named:
        return ", ".join(str(one) for one in named)
    return ", ".join(f"{key} {value}" for key, value in sorted(facts.items()) if key != "ready")[:200]


def _versions(processes: ProcessFacts, libraries: LibraryFacts) -> Iterator[Found]:
    for one in processes.answers:
        if one.version and one.version != libraries.version:
            yield Found(one.url, f"{one.version}, installed is {libraries.version}")


def _directories(processes: ProcessFacts, directory: DirectoryFacts) -> Iterator[Found]:
    for one in processes.answers:
        used = one.reasons.get("directory")
        if isinstance(used, str) and directory.version and used != directory.version:
            yield Found(one.url, f"{used}, the file is {directory.version}")


def _files(processes: ProcessFacts) -> Iterator[Found]:
    for one in processes.answers:
        for key in ("trust_files", "relay_key"):
            if problem := one.reasons.get(key):
                yield Found(one.url, str(problem)[:200])


# --- what it runs on


def _libxml(libraries: LibraryFacts) -> Iterator[Found]:
    if libraries.libxml_trouble:
        yield Found(detail=libraries.libxml_trouble)


def _openssl(libraries: LibraryFacts) -> Iterator[Found]:
    if libraries.openssl_number < _OLDEST_OPENSSL:
        yield Found(detail=libraries.openssl)


def _python(libraries: LibraryFacts) -> Iterator[Found]:
    if libraries.python < _OLDEST_PYTHON:
        yield Found(detail=f"{libraries.python[0]}.{libraries.python[1]}")


def _packages(libraries: LibraryFacts) -> Iterator[Found]:
    for one in libraries.missing:
        yield Found(one)


# --- sandboxes


def _strays(sandboxes: tuple[Stray, ...]) -> Iterator[Found]:
    for one in sandboxes:
        if not one.folder_gone:
            yield Found(one.home, _running(one))


def _folder_gone(sandboxes: tuple[Stray, ...]) -> Iterator[Found]:
    for one in sandboxes:
        if one.folder_gone:
            yield Found(one.home, _running(one))


def _running(stray: Stray) -> str:
    return f"{', '.join(stray.roles)}; processes {' '.join(map(str, stray.pids))}"


CHECKS: Final = (
    on("registry", "workers.none", _none),
    on("registry", "workers.same-name", _twice),
    on("registry", "workers.no-keeper", _no_keeper),
    on("processes", "workers.deaf", _deaf),
    on("processes", "workers.not-ready", _not_ready),
    on("processes", "workers.files", _files),
    on_both("processes", "libraries", "workers.version", _versions),
    on_both("processes", "directory", "workers.directory", _directories),
    on("libraries", "library.libxml", _libxml),
    on("libraries", "library.openssl", _openssl),
    on("libraries", "library.python", _python),
    on("libraries", "library.package", _packages),
    on("sandboxes", "sandbox.stray", _strays),
    on("sandboxes", "sandbox.folder-gone", _folder_gone),
)
