"""A sandbox to do harm to: its processes by role, its broker's tools, its registry file."""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pika
import pytest

from relay.sandbox.home import Home
from relay.sandbox.node import ADMIN, Node, server_binary
from relay.sandbox.process import identify
from tests.chaos.judge import Verdict, judge
from tests.chaos.office import Letter, Post, Town
from tests.support.stranger import Sandbox

CODES: Final = ("G22", "H26", "H29", "H53.31", "H53.31.20")
WINDOW: Final = 32  # documents in flight in one worker
WORKERS: Final = 2
SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {
    # Short times, so that what an hour would show is shown in seconds; the rules are the same.
    "registry": {"lease_seconds": 4},
    "keeper": {
        "interval_s": 0.5,
        "receipts_after_s": 5,
        "lost_after_s": 45,
        "lease_s": 3,
    },
    "broker": {"heartbeat": 5},
    "worker": {"window_documents": WINDOW},
    "retry": {"rungs": ["5s"]},
}
# pika's asynchronous adapter forgets a socket now and then when a connection breaks while it opens.
PIKA_LEAKS: Final = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
MARKS: Final = [pytest.mark.chaos, pytest.mark.broker, pytest.mark.timeout(900), PIKA_LEAKS]
_WAVES: Final = 10
"""How often a moment is looked for at which something is in flight."""
SUMMARY: Final[list[str]] = []
"""Lines that a run of tests ends with."""


@dataclass
class Ground:
    """One running sandbox."""

    home: Path

    codes: tuple[str, ...] = CODES

    @property
    def sandbox(self) -> Sandbox:
        return Sandbox.load(self.home / "sandbox.json")

    @property
    def registry(self) -> Path:
        return Path(str(self.sandbox.raw["registry_url"]).removeprefix("sqlite:///"))

    @property
    def node(self) -> Node:
        place = Home(self.home)
        return place.node(place.kept())

    # --- processes

    def pids(self, role: str) -> list[int]:
        """Return the living processes of a role: ``workers``, ``keeper``, ``broker``."""
        found = json.loads((self.home / "sandbox.json").read_text(encoding="utf-8"))["pids"][role]
        listed = found if isinstance(found, list) else [found]
        return [pid for pid in listed if pid is not None and identify(pid) is not None]

    def kill(
        self, role: str, number: int = signal.SIGKILL, *, count: int | None = None, seed: int = 0
    ) -> list[int]:
        """Send a signal to all processes of a role, or to ``count`` of them; return which."""
        end = time.monotonic() + 20
        while len(pids := self.pids(role)) < (WORKERS if role == "workers" else 1):
            assert time.monotonic() < end, f"no {role} runs"
            time.sleep(0.05)
        chosen = pids if count is None else random.Random(seed).sample(pids, count)
        for pid in chosen:
            os.kill(pid, number)
        return chosen

    def freeze_a_worker(self, seed: int) -> int:
        """Stop one worker at a moment when it does not hold the registry's write lock; return its process id.

        One that stands still inside a commit stops every writer of its machine: no other worker could show anything.
        """
        chance = random.Random(seed)
        for _ in range(40):
            (pid,) = self.kill("workers", signal.SIGSTOP, count=1, seed=seed)
            if self._others_may_write():
                return pid
            os.kill(pid, signal.SIGCONT)
            time.sleep(chance.uniform(0.005, 0.03))
        raise AssertionError("the worker was never met outside a commit")

    def freeze_a_worker_at_work(self, town: Town, count: int, seed: int) -> tuple[int, Post]:
        """Send documents and stop a worker that has some of them in hand; return its process id and what was sent.

        It had some if not all is told though the other worker has nothing left to do; where all is told it is let go
        on, and as many again are sent.
        """
        everything = Post()
        for wave in range(_WAVES):
            post = self.papers(town, count, seed + 100 * wave, f"frozen {wave}")
            everything.sent.extend(post.sent)
            moment = town.documents_arrived() + count // 4
            town.post(post.sent)
            town.wait(partial(town.has_got, moment), 60, "documents arrive before the stop")
            pid = self.freeze_a_worker(seed)
            if self._keeps_some(town, post):
                return pid, everything
            os.kill(pid, signal.SIGCONT)
        raise AssertionError("no worker was ever stopped with something in hand")

    def _keeps_some(self, town: Town, post: Post) -> bool:
        """Say whether something stays untold while nothing is ready in the lanes and nothing moves for a second."""
        since, told = time.monotonic(), -1
        while time.monotonic() - since < 1.0:
            left = len(post.unfinished(town))
            if not left:
                return False
            if left != told or any(self.depths(("ingress.normal", "due")).values()):
                since, told = time.monotonic(), left
            time.sleep(0.1)
        return True

    def _others_may_write(self) -> bool:
        with (
            closing(sqlite3.connect(self.registry, timeout=0.5, isolation_level=None)) as database,
            Path(f"{self.registry}-turn").open() as turn,
        ):
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                try:
                    fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    database.execute("BEGIN IMMEDIATE")
                except (BlockingIOError, sqlite3.OperationalError):
                    time.sleep(0.002)
                else:
                    database.execute("ROLLBACK")
                    return True
        return False

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl on the sandbox's node."""
        node = self.node
        return subprocess.run(
            [server_binary().with_name("rabbitmqctl"), "-q", "-n", f"{node.name}@localhost", *arguments],
            env=node._environment(),
            cwd=node.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=60,
            text=True,
        ).stdout

    # --- post

    def papers(self, town: Town, count: int, seed: int, label: str, size: int = 600) -> Post:
        """Make ``count`` signed documents of random senders for two or three random recipients each."""
        chance = random.Random(seed)
        post = Post()
        for number in range(count):
            sender = chance.choice(CODES)
            others = [code for code in CODES if code != sender]
            chosen = tuple(chance.sample(others, chance.choice((2, 2, 3))))
            post.sent.append((sender, town.offices[sender].paper(chosen, f"{label} {number}", size)))
        return post

    def under_fault(
        self,
        town: Town,
        count: int,
        seed: int,
        harm: Callable[[], object],
        *,
        allowed: int,
        label: str = "",
        seconds: float = 120.0,
    ) -> Verdict:
        """Send ``count`` documents, do harm in their middle, wait until all is told, judge.

        Where the relay is through with them before the harm can be done, as many again are sent.
        """
        everything = Post()
        for wave in range(_WAVES):
            post = self.papers(town, count, seed + 100 * wave, f"{label or f'seed {seed}'} {wave}")
            everything.sent.extend(post.sent)
            deliveries = sum(len(letter.recipients) for _, letter in post.sent)
            before = town.documents_arrived()
            moment = before + int(deliveries * random.Random(seed + 1).uniform(0.08, 0.5))
            town.post(post.sent)
            town.wait(partial(town.has_got, moment), 60, "documents arrive before the fault")
            if post.unfinished(town):
                break
        else:
            raise AssertionError("nothing was ever in flight any more when the fault came")
        harm()
        self.finished(town, everything, seconds)
        return judge(town, everything, self.registry, allowed=allowed)

    def finished(self, town: Town, post: Post, seconds: float) -> None:
        """Wait until every sender has its receipts and nothing moves any more."""
        try:
            town.wait(lambda: not post.unfinished(town), seconds, "all receipts")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story(town, post)}") from error
        self.quiet(town)

    def quiet(self, town: Town, seconds: float = 60.0) -> None:
        """Wait until the relay's queues and the ladder's first rung are empty and nothing arrives."""
        queues = ("ingress.normal", "ingress.status", "ingress.urgent", "due", "retry.5s")
        end = time.monotonic() + seconds
        arrived, since = -1, time.monotonic()
        while time.monotonic() - since < 0.8:
            now = len(town.arrivals())
            depths = self.depths(queues)
            if now != arrived or any(depths.values()):
                since = time.monotonic()
            arrived = now
            assert time.monotonic() < end, f"not quiet: {depths}"
            time.sleep(0.1)

    def depths(self, queues: Sequence[str]) -> dict[str, int]:
        """Return how many messages stand ready in queues (asked as the administrator, and right now)."""
        with self.administrator() as channel:
            return {name: channel.queue_declare(name, passive=True).method.message_count for name in queues}

    @contextmanager
    def administrator(self) -> Iterator[Any]:
        """Give a channel that may do anything."""
        url = urlsplit(self.sandbox.raw["amqp_url"])
        login = pika.PlainCredentials(ADMIN, Home(self.home).password(ADMIN))
        connection = pika.BlockingConnection(
            pika.ConnectionParameters(url.hostname, url.port, url.path[1:], login, socket_timeout=5)
        )
        try:
            yield connection.channel()
        finally:
            connection.close()

    def story(self, town: Town, post: Post, limit: int = 3) -> str:
        """Return what is known of documents that did not finish, for the message of a failed test."""
        lines = [f"unfinished: {len(post.unfinished(town))} of {len(post.sent)}"]
        senders: dict[str, tuple[str, Letter]] = {
            letter.transport_id: (code, letter) for code, letter in post.sent
        }
        for letter in post.unfinished(town)[:limit]:
            code, _ = senders[letter.transport_id]
            told = [
                (each.kind, each.code, [line.state for line in each.lines])
                for each in town.offices[code].receipts[letter.transport_id]
            ]
            got = [
                arrival.recipient
                for arrival in town.arrivals()
                if arrival.transport_id == letter.transport_id
            ]
            lines.append(
                f"{letter.transport_id} {code}->{letter.recipients} sent {letter.times}x confirmed={letter.confirmed} "
                f"receipts={told} arrived={got}"
            )
        return "\n".join(lines)
