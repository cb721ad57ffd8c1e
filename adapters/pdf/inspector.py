"""The port ``AttachmentInspector`` for PDF: looks at a file's kind itself, has PDFs judged by a process that may die."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import select
import subprocess
import sys
import threading
import time
from datetime import datetime
from typing import Any, Final

from adapters.pdf.material import JudgePolicy, MaterialFiles, as_json
from adapters.pdf.recognise import recognise
from adapters.pdf.wire import HEAD, LENGTH, signatures_from
from relay.errors import ConfigurationError
from relay.model.inspection import AttachmentKind, AttachmentVerdict, Finding
from relay.observe import logs

_log = logs.get("pdf.inspector")
_START: Final = 60.0  # seconds that the process has to load its libraries
_GRACE: Final = 10.0  # seconds beyond the judge's own limit: then the process itself is stuck
_LONGEST: Final = 8 * 1024 * 1024
_PIECE: Final = 1 << 16


class StuckError(Exception):
    """The judging process did not answer, or not what it should."""


class PdfInspector:
    """Judges one file at a time; make one for each thread that judges.

    The process is started with the first PDF, and anew when it has died or the certificates' files have changed. Files
    that cannot be read then change nothing.

    Raises:
        ConfigurationError: CONFIG-INVALID: a file cannot be read now.
    """

    def __init__(self, files: MaterialFiles, policy: JudgePolicy) -> None:
        self._files = files
        self._policy = policy
        self._stamp = files.stamp()
        self._material = files.read()
        self._process: _Judge | None = None
        self._lock = threading.Lock()

    def inspect(self, content: bytes, name: str, at: datetime) -> AttachmentVerdict:
        """Return the verdict on one file as of ``at``. Never raises on any bytes.

        A process that dies takes one try with it: the file is judged once more by a new one, then called unreadable.
        """
        known = recognise(content, name)
        made = AttachmentVerdict(
            name, hashlib.sha256(content).hexdigest(), len(content), known.kind, Finding.UNREADABLE
        )
        if known.finding is not None:
            return _with(made, known.finding, known.reason)
        if len(content) > self._policy.max_bytes:
            return _with(made, Finding.UNREADABLE, "too-large")
        with self._lock:
            for _ in range(2):
                try:
                    facts = self._ready().ask(content, at, self._policy.seconds + _GRACE)
                    return AttachmentVerdict(
                        name=name,
                        sha256=made.sha256,
                        size=made.size,
                        kind=AttachmentKind.PDF,
                        finding=Finding(facts["finding"]),
                        reason=str(facts["reason"]),
                        signatures=signatures_from(facts),
                        more=int(facts["more"]),
                    )
                except (StuckError, OSError, KeyError, ValueError, TypeError) as error:
                    logs.event(_log, logging.ERROR, "inspector-failed", exc=error)
                    self._drop()
        return _with(made, Finding.UNREADABLE, "inspector-failed")

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._drop()

    def _ready(self) -> _Judge:
        stamp = self._files.stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._material = self._files.read()
            except ConfigurationError as error:
                logs.event(_log, logging.ERROR, "material-unusable", exc=error)
            else:
                self._drop()
        if self._process is None:
            self._process = _Judge(as_json(self._material, self._policy))
        return self._process

    def _drop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end()


class _Judge:
    """The process and its two pipes; every wait on them is bounded."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "adapters.pdf.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={
                **_environment(),
                "PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path))),
            },
            close_fds=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        try:
            self._write(facts, b"", until := time.monotonic() + _START)
            if not self._read(until).get("ready"):
                raise StuckError("not ready")
        except BaseException:
            self.end()
            raise

    def ask(self, content: bytes, at: datetime, seconds: float) -> dict[str, Any]:
        """Have one file judged. Raises ``StuckError``, ``OSError``, ``ValueError``."""
        until = time.monotonic() + seconds
        self._write({"at": at.isoformat()}, content, until)
        return self._read(until)

    def end(self) -> None:
        """Kill it, and its copy with it."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _write(self, facts: dict[str, Any], content: bytes, until: float) -> None:
        octets = json.dumps(facts).encode()
        for part in (HEAD.pack(len(octets), len(content)) + octets, content):
            view = memoryview(part)
            while view:
                self._wait([], [self._in], until)
                view = view[os.write(self._in, view[:_PIECE]) :]

    def _read(self, until: float) -> dict[str, Any]:
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size, until))
        if length > _LONGEST:
            raise StuckError("an answer without end")
        facts = json.loads(self._exactly(length, until))
        if not isinstance(facts, dict):
            raise StuckError("no answer")
        return facts

    def _exactly(self, count: int, until: float) -> bytes:
        parts = b""
        while len(parts) < count:
            self._wait([self._out], [], until)
            part = os.read(self._out, count - len(parts))
            if not part:
                raise StuckError("it has ended")
            parts += part
        return parts

    def _wait(self, reading: list[int], writing: list[int], until: float) -> None:
        left = until - time.monotonic()
        if left <= 0 or not any(select.select(reading, writing, [], left)):
            raise StuckError("no answer in time")


def _environment() -> dict[str, str]:
    """Return what a Python process needs, and no secret that this one's environment may hold."""
    return {
        name: os.environ[name]
        for name in ("PATH", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "PYTHONHOME")
        if name in os.environ
    }


def _with(made: AttachmentVerdict, finding: Finding, reason: str) -> AttachmentVerdict:
    return AttachmentVerdict(made.name, made.sha256, made.size, made.kind, finding, reason)
