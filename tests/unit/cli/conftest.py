"""A sandbox that was made and does not run, and a broker in memory that stands in for the real one."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.cli.main import main
from relay.model.message import Incoming, Outgoing, Properties, Published
from relay.sandbox import contents, provision
from relay.sandbox.home import Home, Kept

Truc = Callable[..., Result]


class Wire:
    """What was published, and what stands in the queues; shared by all links of a test."""

    def __init__(self) -> None:
        self.published: list[Outgoing] = []
        self.rejected: list[Incoming] = []
        self.queues: dict[str, deque[Incoming]] = {}
        self.results: deque[Published] = deque()
        self.on_publish: Callable[[Outgoing], None] = lambda _message: None
        self._tags = itertools.count(1)

    def put(self, queue: str, properties: Properties, body: bytes) -> None:
        message = Incoming(queue, "", "", properties, body, False, 0, next(self._tags), 1)
        self.queues.setdefault(queue, deque()).append(message)


class WireLink:
    """The port ``Link`` over a ``Wire``."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def publish(self, message: Outgoing) -> Published:
        result = self._wire.results.popleft() if self._wire.results else Published.CONFIRMED
        if result is Published.CONFIRMED:
            self._wire.published.append(message)
            self._wire.on_publish(message)
        return result

    def consume(self, queue: str, prefetch: int, idle: float) -> Generator[Incoming]:
        waiting = self._wire.queues.setdefault(queue, deque())
        while waiting:
            yield waiting.popleft()

    def ack(self, message: Incoming) -> None:
        pass

    def reject(self, message: Incoming, *, requeue: bool) -> None:
        self._wire.rejected.append(message)

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def sandbox_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sandbox with certificates, directory and configuration, without any process."""
    place = Home(tmp_path_factory.mktemp("sandbox"))
    place.make_folders()
    place.keep(Kept(base_port=20000, node_name="truc@localhost", passwords={"admin": "a"}))
    agencies = provision.prepare(place, datetime.now(UTC))
    contents.publish(place, place.kept(), agencies)
    return place.path


@pytest.fixture
def home(sandbox_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sandbox, with mailboxes of this test's own."""
    monkeypatch.setattr("relay.cli.client.mailboxes", lambda _home: tmp_path / "mailboxes")
    return sandbox_home


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire = Wire()
    monkeypatch.setattr("adapters.gateway.AmqpLink", lambda *_args, **_named: WireLink(wire))
    return wire


@pytest.fixture
def truc(monkeypatch: pytest.MonkeyPatch) -> Truc:
    """Run a command line; English unless it says otherwise."""
    for name in ("LC_ALL", "LC_MESSAGES", "TRUC_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")

    def run(*words: object) -> Result:
        return CliRunner().invoke(main, [str(word) for word in words], prog_name="truc")

    return run
