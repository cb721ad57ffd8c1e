"""Keeps the newest valid snapshot of a directory file. A change that is invalid is reported; the old one stays."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

from relay.directory.entries import Finding
from relay.directory.file import Checked, check, summary, version_now
from relay.directory.snapshot import AgencyDirectory
from relay.errors import Code, ConfigurationError

AGAIN: Final = 60.0  # seconds after which a file that could not be taken is read once more

_Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Reload:
    """What came of looking at a file that had changed."""

    result: Literal["taken", "unchanged", "invalid"]
    version: str  # of the snapshot that is in use now
    agencies: int
    findings: tuple[Finding, ...] = ()


class Reader(Protocol):
    """Reads one kind of directory file. Never raises for what stands in it."""

    def first(self, path: Path) -> Checked:
        """Read it at the start."""
        ...

    def check(self, path: Path) -> Checked:
        """Read it after a change."""
        ...


class PlainReader:
    """Reads a directory file that the operator keeps."""

    def first(self, path: Path) -> Checked:
        """Read it at the start."""
        return check(path)

    def check(self, path: Path) -> Checked:
        """Read it after a change."""
        return check(path)


class DirectoryWatch:
    """The snapshot in use. ``current`` may be called from any thread; it never waits and never fails."""

    def __init__(
        self, path: Path, report: Callable[[Reload], None] | None = None, reader: Reader | None = None
    ) -> None:
        """Load the file.

        Args:
            path: the directory file.
            report: told of each look at a changed file, from the thread that looked.
            reader: what reads it; a plain file without.

        Raises:
            ConfigurationError: DIRECTORY-INVALID, there is nothing to begin with.
        """
        self._path = path
        self._report = report
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        # Stamped before reading: a change in between is seen by the next look.
        stamp = _stamp((path,))
        self._reader = reader or PlainReader()
        checked = self._reader.first(path)
        if checked.directory is None:
            raise ConfigurationError(Code.DIRECTORY_INVALID, summary(checked.findings, path))
        self._current = checked.directory
        self._stamp = stamp + _stamp(self._current.sources[1:])
        self._judged: tuple[str, Reload] | None = None  # files as they were read last, and what came of it

    def current(self) -> AgencyDirectory:
        """Return the snapshot in use."""
        return self._current

    def poll(self, *, force: bool = False, again: bool = False) -> Reload | None:
        """Look at the file (and at the certificate files that it names) once; None if nothing changed.

        ``force`` looks at its content whatever its times say, as after a message that could not be routed. ``again``
        judges the same content anew: a file that it names may have come, a disk may have room, an edition's time may
        have begun.
        """
        with self._lock:
            before = _stamp((self._path, *self._current.sources[1:]))
            if before == self._stamp and not (force or again):
                return None
            seen = version_now(self._current)
            if seen == self._current.version:
                # Hashing is some hundred times as fast as reading a whole country anew.
                self._stamp, self._judged = before, None
                outcome = self._outcome("unchanged")
            elif self._judged is not None and seen == self._judged[0] and not again:
                self._stamp = before
                outcome = self._judged[1]
            elif (checked := self._reader.check(self._path)).directory is None:
                self._stamp = before
                outcome = self._outcome("invalid", checked.findings)
            else:
                fresh = checked.directory
                same = fresh.version == self._current.version
                self._stamp = before[:1] + _stamp(fresh.sources[1:])
                if not same:
                    self._current = fresh
                outcome = self._outcome("unchanged" if same else "taken")
            if seen is not None and seen != self._current.version and version_now(self._current) == seen:
                # a signed edition is named by what it holds, not by its file; and what is refused stays refused
                told = outcome if outcome.result == "invalid" else self._outcome("unchanged")
                self._judged = (seen, told)
        if self._report is not None:
            self._report(outcome)
        return outcome

    def start(self, seconds: float) -> None:
        """Look every ``seconds``, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, args=(seconds,), name="directory", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End that thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, seconds: float) -> None:
        since, refused = time.monotonic(), False
        while not self._stop.wait(seconds):
            again = refused and time.monotonic() - since >= AGAIN
            try:
                seen = self.poll(again=again)
            except Exception as fault:  # noqa: BLE001 - a thread that ended would leave the old snapshot for ever
                seen = self._outcome(
                    "invalid", (Finding(None, "", f"could not be read: {type(fault).__name__}"),)
                )
                self._tell(seen)
            if seen is not None or again:
                since, refused = time.monotonic(), seen is not None and seen.result == "invalid"

    def _tell(self, outcome: Reload) -> None:
        with suppress(Exception):
            if self._report is not None:
                self._report(outcome)

    def _outcome(
        self, result: Literal["taken", "unchanged", "invalid"], findings: tuple[Finding, ...] = ()
    ) -> Reload:
        return Reload(result, self._current.version, len(self._current.by_code), findings)


def _stamp(paths: tuple[Path, ...]) -> _Stamp:
    found: list[tuple[int, int, int] | None] = []
    for path in paths:
        try:
            state = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((state.st_mtime_ns, state.st_size, state.st_ino))
    return tuple(found)
