"""Runs a worker that puts on record or does not, as it is told: the difference is what evidence costs.

``python -m relay.sandbox.bench.switched MODULE ARGUMENT...``. One process has both turns, so that nothing else differs:
neither memory nor the state of caches and connections, which between two processes cost more than what is looked for.
There is no setting for it: a relay always keeps evidence.
"""

from __future__ import annotations

import runpy
import signal
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import relay.registry
from relay.registry import SqlRegistry, claims, drafts, journal, open_registry, settle

SILENT: Final = signal.SIGUSR1
"""From here on nothing is put on record, and nothing is made ready for it."""
RECORDING: Final = signal.SIGUSR2
"""Everything is, as at the start."""

_MADE: Final[tuple[tuple[ModuleType | type, str], ...]] = (
    (drafts, "submission"),
    (drafts, "receipt"),
    (drafts, "moved"),
    (drafts, "deliveries"),
    (settle, "_note_moves"),
    (journal.Journal, "note"),
)
"""What the hot path makes for the records alone."""


class Switch:
    """Takes the evidence out of the registries of this process, and puts it back; between two documents."""

    def __init__(self) -> None:
        self._registries: list[SqlRegistry] = []
        self._chronicles: list[Any] = []
        self._real = [(place, name, getattr(place, name)) for place, name in _MADE]

    def open(self, *words: Any, **more: Any) -> SqlRegistry:  # noqa: ANN401 - as ``open_registry``
        """Open a registry that can be switched."""
        opened = open_registry(*words, **more)
        self._registries.append(opened)
        return opened

    def silent(self) -> None:
        """Put nothing on record."""
        if self._chronicles:
            return
        self._chronicles = [one._chronicle for one in self._registries]  # noqa: SLF001 - the bench is of the house
        for one in self._registries:
            one._chronicle = None  # noqa: SLF001
        for place, name, _ in self._real:
            setattr(place, name, _nothing)

    def recording(self) -> None:
        """Put everything on record."""
        for place, name, real in self._real:
            setattr(place, name, real)
        for one, chronicle in zip(self._registries, self._chronicles, strict=False):
            one._chronicle = chronicle  # noqa: SLF001
        self._chronicles = []


def _nothing(*_: object, **_more: object) -> None:
    """Make nothing."""


def on(number: signal.Signals, act: Callable[[], None]) -> None:
    """Act when that signal comes."""
    signal.signal(number, lambda *_: act())


def main(module: str) -> None:
    """Run the module."""
    assert vars(claims)["drafts"] is drafts, "the hot path asks the module for each draft"
    switch = Switch()
    on(SILENT, switch.silent)
    on(RECORDING, switch.recording)
    vars(relay.registry)["open_registry"] = switch.open  # before anything takes it from there
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    target = sys.argv[1]
    sys.argv = sys.argv[1:]
    main(target)
