"""The bench and its two load processes talk in lines of JSON over pipes: one question, one answer.

A load process ends when its input ends, so none outlives the bench.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from relay.errors import Code, OperationError
from relay.sandbox import programs
from relay.sandbox.home import Home
from relay.sandbox.process import Process, end, identify

Message = dict[str, Any]


async def answer_all(answer: Callable[[Message], Awaitable[Mapping[str, Any]]]) -> None:
    """Answer each question on standard input until it ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        print(json.dumps(await answer(json.loads(line))), flush=True)


class Peer:
    """A load process, seen from the bench."""

    def __init__(self, home: Home, role: str, words: Sequence[str]) -> None:
        self.role = role
        self._home = home
        with home.log(role).open("ab") as log:
            self._child = subprocess.Popen(
                words,
                env=programs.environment(home, role),
                cwd=home.path,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._rest = b""

    def ask(self, limit: float, **question: Any) -> Message:  # noqa: ANN401 - whatever JSON can hold
        """Ask and wait up to ``limit`` seconds. Raises SANDBOX-BROKEN: it ended or is silent."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(question).encode() + b"\n")
            self._child.stdin.flush()
            answer: Message = json.loads(self._line(time.monotonic() + limit))
        except OSError as error:
            raise self._fault("ended") from error
        return answer

    def close(self) -> None:
        """End the process."""
        running: Process | None = identify(self._child.pid)
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()
        if running is not None:
            end([running], 3.0)
        self._child.returncode = 0

    def _line(self, limit: float) -> bytes:
        assert self._child.stdout is not None
        number = self._child.stdout.fileno()
        while b"\n" not in self._rest:
            left = limit - time.monotonic()
            if left <= 0 or not select.select([number], [], [], left)[0]:
                raise self._fault("does not answer")
            piece = os.read(number, 65536)
            if not piece:
                raise self._fault("ended")
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _fault(self, what: str) -> OperationError:
        tail = programs.log_tail(self._home, self.role)
        return OperationError(Code.SANDBOX_BROKEN, f"the bench's {self.role} {what}: {tail}")
