"""The recipients' gateways in one process: takes from the agency queues and notes when each delivery came.

Started by the bench: ``python -m relay.sandbox.bench.reader AMQP_URL``, one line ``user password queue`` for each
recipient in its first question.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from relay.broker.connection import Endpoint, open_connection
from relay.broker.wire import Foreign
from relay.sandbox.bench.taking import Taker
from relay.sandbox.bench.talk import Message, answer_all


class Readers:
    """All recipients; answers the bench."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._arrivals: list[tuple[str, int, float]] = []

    async def answer(self, question: Message) -> Mapping[str, Any]:
        """Do what the bench asks: ``start``, ``begin`` a phase, ``count``, ``end`` it into a file."""
        what = question["do"]
        if what == "start":
            for number, (user, password, queue) in enumerate(question["queues"]):
                endpoint = Endpoint.from_url(self._url, user, password)
                connection = await open_connection(endpoint, f"bench reader {user}", broken, 15.0)
                await Taker(queue, partial(self._note, number)).start(connection, broken)
        elif what == "begin":
            self._arrivals = []
        elif what == "end":
            write(
                Path(question["out"]), (f"{name} {number} {at:.6f}\n" for name, number, at in self._arrivals)
            )
        return {"deliveries": len(self._arrivals)}

    def _note(self, number: int, properties: Foreign) -> None:
        self._arrivals.append((properties.message_id, number, time.monotonic()))


def write(out: Path, lines: Iterable[str]) -> None:
    """Write notes; the link may wait meanwhile, for nothing is measured then."""
    with out.open("w", encoding="ascii") as file:
        file.writelines(lines)


def broken(error: BaseException) -> None:
    """End the process at once: a measurement with a broken link is none."""
    print(f"link broken: {error}", file=sys.stderr, flush=True)
    os._exit(1)


def run(answer: Callable[[Message], Any]) -> None:
    """Answer the bench until it ends."""
    asyncio.run(answer_all(answer))


if __name__ == "__main__":
    run(Readers(sys.argv[1]).answer)
