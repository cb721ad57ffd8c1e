"""The bench's own sandbox: a broker, a directory with sixty signers behind one gateway, and the process in the
relay's place, started and stopped by hand so that relay and bare loop can take turns.
"""

from __future__ import annotations

import random
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from relay.broker import names
from relay.directory.write import dump
from relay.errors import Code, OperationError
from relay.model.agency import Agency
from relay.model.codes import form_2016
from relay.model.levels import default_level
from relay.sandbox import health, ports, process, programs, provision
from relay.sandbox.bench import scrape
from relay.sandbox.bench.plan import GATEWAY, RECIPIENTS, RSA_EVERY, SIGNERS, Plan, System
from relay.sandbox.bench.stock import Signer
from relay.sandbox.bench.talk import Peer
from relay.sandbox.ca import DevelopmentCa
from relay.sandbox.config import KEEPER, worker_name
from relay.sandbox.home import Home, Kept
from relay.sandbox.locks import Lock
from relay.sandbox.node import ADMIN, VHOST, server_binary
from relay.sandbox.supervisor import stop_everything

BARE: Final = "bare"
SENDER: Final = "sender"
READER: Final = "readers"
_START: Final = 30.0  # seconds that a process has until it is ready
_STOP: Final = 25.0

Say = Callable[[str], None]


class Site:
    """A sandbox that is up but for the relay."""

    def __init__(self, home: Home, broker_version: str, agencies: dict[str, Agency]) -> None:
        self.home = home
        self.broker_version = broker_version
        self._agencies = agencies
        self._serving: list[process.Process] = []

    @property
    def kept(self) -> Kept:
        """What the home keeps."""
        return self.home.kept()

    @property
    def signers(self) -> tuple[Signer, ...]:
        """The signing agencies."""
        keys = self.home.keys
        return tuple(
            Signer(code, self._agencies[code].name, keys / f"{code}.key", keys / f"{code}.pem")
            for code in SIGNERS
        )

    # --- sender and readers

    @contextmanager
    def load(self) -> Iterator[tuple[Peer, Peer]]:
        """Start sender and readers, and end them."""
        kept = self.kept
        url = f"amqp://127.0.0.1:{kept.ports.amqp}/{VHOST}"
        peers: list[Peer] = []
        try:
            for role, module in ((SENDER, "sender"), (READER, "reader")):
                words = [sys.executable, "-m", f"relay.sandbox.bench.{module}", url]
                peers.append(Peer(self.home, role, words))
            sender, reader = peers
            sender.ask(_START, do="start", user=GATEWAY, password=kept.passwords[GATEWAY])
            queues = [(code, kept.passwords[code], names.agency_queue(code)) for code in RECIPIENTS]
            reader.ask(_START, do="start", queues=queues)
            yield sender, reader
        finally:
            for peer in peers:
                peer.close()

    # --- in the relay's place

    @contextmanager
    def serving(self, system: System, profile: Path | None = None) -> Iterator[list[process.Process]]:
        """Run the relay (its workers and then the keeper) or the bare loop; yield the processes once they take."""
        try:
            if system == "bare":
                self._start_bare()
            else:
                self._start_relay(profile, switched=system == "switched")
            yield list(self._serving)
        finally:
            process.end(self._serving, _STOP)
            self._serving.clear()

    def counters(self, system: System) -> dict[str, float]:
        """Return what the workers have counted so far; nothing of the bare loop."""
        if system == "bare":
            return {}
        kept = self.kept
        return scrape.counters(kept.ports.worker(number) for number in range(1, kept.workers + 1))

    def check_serving(self) -> None:
        """Raise SANDBOX-BROKEN if a process in the relay's place has ended."""
        for one in self._serving:
            one.collect()
            if not one.alive():
                logs = " | ".join(programs.log_tail(self.home, role, 2) for role in (BARE, worker_name(1)))
                raise OperationError(Code.SANDBOX_BROKEN, f"what is measured has ended: {logs}")

    def _start_relay(self, profile: Path | None, *, switched: bool) -> None:
        kept = self.kept
        for number in range(1, kept.workers + 1):
            name = worker_name(number)
            words = programs.command(self.home, kept, name)
            if profile is not None:
                at = words.index("-m") + 1
                words = [*words[:at], "relay.sandbox.bench.profiled", str(profile), *words[at:]]
            if switched:
                at = words.index("-m") + 1
                words = [*words[:at], "relay.sandbox.bench.switched", *words[at:]]
            self._serving.append(programs.start(self.home, name, words, {}))
        self._serving.append(programs.launch(self.home, kept, KEEPER))
        serving = [kept.ports.worker(number) for number in range(1, kept.workers + 1)]
        self._wait(lambda: all(health.answers(port, "/ready") for port in serving), "the worker")
        self._wait(lambda: health.answers(kept.ports.keeper, "/live"), "the keeper")

    def _start_bare(self) -> None:
        ready = self.home.path / "run" / "bare.ready"
        ready.unlink(missing_ok=True)
        words = [sys.executable, "-m", "relay.broker.bareloop"]
        words += ["--config", str(self.home.process_settings(worker_name(1))), "--ready", str(ready)]
        for code in RECIPIENTS:
            words += ["--target", f"{names.level_exchange(self._agencies[code].level)}:{code}"]
        self._serving.append(programs.start(self.home, BARE, words, {}))
        self._wait(ready.exists, "the bare loop")

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        limit = time.monotonic() + _START
        while not done():
            self.check_serving()
            if time.monotonic() > limit:
                raise OperationError(Code.SANDBOX_BROKEN, f"{what} is not ready after {_START:.0f} s")
            time.sleep(0.05)


@contextmanager
def site(folder: Path, plan: Plan, say: Say) -> Iterator[Site]:
    """Make the sandbox in ``folder``, start its broker, and end everything afterwards; the folder stays.

    Raises:
        OperationError: BROKER-MISSING, SANDBOX-LOCKED (the folder is in use), SANDBOX-BROKEN.
    """
    server_binary()
    home = Home(folder)
    home.make_folders()
    lock = Lock(home.lock_file)
    if not lock.take():
        raise OperationError(Code.SANDBOX_LOCKED, f"{home.lock_file} is held by another process")
    try:
        with ports.choose(random.Random(secrets.randbits(64))) as chosen:
            agencies = _provide(home, plan, chosen.base)
            say("starting a broker")
            node = home.node(home.kept())
            try:
                version = node.wait_ready(node.start())
                provision.apply_topology(home, home.kept(), tuple(agencies.values()))
                yield Site(home, version, agencies)
            finally:
                stop_everything(home)
    finally:
        lock.leave(remove=True)


def _provide(home: Home, plan: Plan, base_port: int) -> dict[str, Agency]:
    """Write what the sandbox keeps, issue all certificates, write directory and configuration."""
    if not home.exists():
        home.keep(
            Kept(
                base_port=base_port,
                node_name=f"truc-{secrets.token_hex(4)}",
                passwords={ADMIN: secrets.token_urlsafe(18)},
                workers=plan.workers,
                added=(GATEWAY, *SIGNERS),
                settings={"worker": {"verify": {"mode": plan.verify}}},
            )
        )
    else:
        raise OperationError(Code.SANDBOX_BROKEN, f"{home.path} holds a sandbox already")
    now = datetime.now(UTC)
    ca = DevelopmentCa(home.ca)
    ca.ensure(now)
    signers = [_agency(code) for code in SIGNERS]
    for agency in signers[::RSA_EVERY]:
        ca.agency(home.keys, agency.code, agency.name, now, kind="rsa-2048")
    dump(home.directory_file, [_agency(GATEWAY), *signers], "Agencies of a bench (mẫu), no national data.")
    return {agency.code: agency for agency in provision.prepare(home, now)}


def _agency(code: str) -> Agency:
    alias = form_2016(code)
    return Agency(
        code=code,
        name=f"Cơ quan {code} (mẫu)",
        level=default_level(code),
        parent=None if code == GATEWAY else GATEWAY,
        gateway=GATEWAY,
        own_queue=code == GATEWAY,
        aliases=(alias,) if alias else (),
    )
