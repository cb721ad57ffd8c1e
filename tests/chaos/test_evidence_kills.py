"""Workers and two keepers are killed while they record, seal and sign: the log holds, and so does every receipt's record."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import select

from relay.evidence.record import decode
from relay.evidence.sealing import Sealer, SealingPolicy
from relay.evidence.synthetic import relay_key
from relay.evidence.verify import LogVerifier
from relay.model import evidence as ev
from relay.observe.clock import SystemClock
from relay.registry import open_registry, schema
from tests.support.evidence import POLICY

ROOT: Final = Path(__file__).parents[2]
KILLS: Final = 7
SEED: Final = 20260306


class Herd:
    """Processes that are started again under new names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[str]] = {}
        self.count = 0

    def start(self, role: str) -> None:
        self.count += 1
        name = f"{role}{self.count}"
        words = [sys.executable, "-m", "tests.support.evidence_process", role, str(self.folder), name]
        errors = (self.folder / f"{name}.err").open("w")
        with errors:
            self.running[name] = subprocess.Popen(
                words, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT
            )
        pipe = self.running[name].stdout
        assert pipe is not None
        assert pipe.readline() == "ready\n", (self.folder / f"{name}.err").read_text()

    def kill(self, name: str) -> str:
        process = self.running.pop(name)
        assert process.poll() is None, (self.folder / f"{name}.err").read_text()
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        if process.stdout is not None:
            process.stdout.close()
        return name.rstrip("0123456789")


def test_whoever_is_killed_the_log_holds(tmp_path: Path) -> None:
    key = relay_key("truc-a")
    (tmp_path / "key.pem").write_bytes(
        key.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (tmp_path / "certificate.pem").write_bytes(key.pem)
    chance = random.Random(SEED)
    herd = Herd(tmp_path)
    open_registry(f"sqlite:///{tmp_path}/registry.db").close()
    try:
        for role in ("worker", "worker", "keeper", "keeper"):
            herd.start(role)
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.02, 0.25))
            herd.start(herd.kill(chance.choice(sorted(herd.running))))
    finally:
        for name in list(herd.running):
            herd.kill(name)
    registry = open_registry(f"sqlite:///{tmp_path}/registry.db")
    store = registry.evidence
    verifier = LogVerifier(known=frozenset({key.sha256}))
    assert verifier.verify(store).ok  # as it was left
    clock = SystemClock()
    sealer = Sealer(store, "truc-a", key.sign, clock, SealingPolicy(POLICY.seal * 0, 64, POLICY.head * 0))
    sealer.seal(clock.monotonic() + 60)
    sealer.head()
    report = verifier.verify(store)
    assert report.ok, report.faults
    assert report.covered == report.records > 100
    assert report.heads > 3
    assert not store.faults()
    recorded = {
        facts.number: facts.sha256
        for chain in store.chains()
        for octets in store.records(chain)
        if isinstance(facts := decode(octets).facts, ev.ReceiptSealed)
    }
    with registry._read() as connection:
        rows = connection.execute(
            select(schema.receipts.c.series, schema.receipts.c.serial, schema.receipt_bodies.c.body).join(
                schema.receipt_bodies, schema.receipt_bodies.c.receipt == schema.receipts.c.id
            )
        ).all()
    stored = {f"{row.series}-{row.serial}": hashlib.sha256(row.body).hexdigest() for row in rows}
    assert stored == recorded
    registry.close()
