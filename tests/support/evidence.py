"""A relay's evidence in small: a registry that puts on record, a key, a clock that a test sets, a sealer."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from relay.evidence.faults import Report
from relay.evidence.record import Writer, decode
from relay.evidence.sealing import Sealer, SealingPolicy
from relay.evidence.synthetic import RelayKey, relay_key
from relay.evidence.verify import LogVerifier
from relay.model.evidence import Facts, SignedHead
from relay.model.keeping import Chronicler
from relay.registry import SqlRegistry, open_registry
from relay.registry.evidence import SqlEvidence
from tests.support.registry import START

POLICY = SealingPolicy(seal=timedelta(seconds=10), records=64, head=timedelta(seconds=60))


@dataclass
class HandClock:
    """Stands still until it is moved. The wall may jump; the other never goes back."""

    wall: datetime = START
    ticks: float = 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.ticks

    def pass_by(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.ticks += seconds


@dataclass
class EvidentRelay:
    """One relay over one file; ``registry()`` is what a new process would open."""

    folder: Path
    name: str = "truc-a"
    clock: HandClock = field(default_factory=HandClock)
    key: RelayKey = field(default_factory=lambda: relay_key("truc-a"))
    opened: list[SqlRegistry] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/registry.db"

    def chronicler(self, writer: str = "w1", role: str = "worker") -> Chronicler:
        return Chronicler(Writer(), self.name, writer, role, "1", f"{writer}-{uuid.uuid4()}", self.clock)

    def registry(self, writer: str = "w1") -> SqlRegistry:
        opened = open_registry(self.url, chronicler=self.chronicler(writer))
        self.opened.append(opened)
        return opened

    def sealer(self, store: SqlEvidence, policy: SealingPolicy = POLICY) -> Sealer:
        return Sealer(store, self.name, self.key.sign, self.clock, policy)

    def seal_all(self, store: SqlEvidence, sealer: Sealer | None = None) -> Sealer:
        """What a keeper does in a while: all is sealed, and a head stands over it."""
        sealer = sealer or self.sealer(store)
        sealer.seal(self.clock.monotonic() + 1)
        self.clock.pass_by(61)
        sealer.seal(self.clock.monotonic() + 1)
        sealer.head()
        self.clock.pass_by(61)
        sealer.head()
        return sealer

    def verify(self, store: SqlEvidence, *elsewhere: SignedHead) -> Report:
        return LogVerifier(known=frozenset({self.key.sha256}), elsewhere=elsewhere).verify(store)

    def close(self) -> None:
        for one in self.opened:
            one.close()


def facts(store: SqlEvidence) -> list[Facts]:
    """All that is on record, chain by chain."""
    return [decode(octets).facts for chain in store.chains() for octets in store.records(chain)]
