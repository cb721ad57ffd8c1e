"""An exported log to spoil: reads the folder into lists, writes it back changed."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from relay.evidence import heads as h
from relay.evidence.files import FileLog, export_log
from relay.evidence.synthetic import MemoryLog, RelayKey
from relay.model.evidence import SignedHead


@dataclass
class LogFolder:
    """The folder's content as lists that a test changes; ``write`` puts them back."""

    path: Path
    chains: dict[uuid.UUID, list[bytes]]
    batches: list[bytes]
    heads: list[SignedHead]

    @classmethod
    def of(cls, path: Path) -> LogFolder:
        log = FileLog(path)
        return cls(
            path,
            {chain: list(log.records(chain)) for chain in log.chains()},
            list(log.batches()),
            [one.head for one in log.checkpoints()],
        )

    def write(self) -> FileLog:
        for chain, records in self.chains.items():
            framed = b"".join(len(one).to_bytes(4, "big") + one for one in records)
            (self.path / "chains" / str(chain)).write_bytes(framed)
        (self.path / "batches").write_bytes(b"".join(self.batches))
        (self.path / "heads").write_bytes(b"".join(h.dump(one) for one in self.heads))
        return FileLog(self.path)

    def batch_of(self, chain: uuid.UUID, number: int) -> int:
        """Return the place (from 0) of a chain's batch in the main log."""
        return [at for at, one in enumerate(self.batches) if one[1:17] == chain.bytes][number - 1]


def small_log(key: RelayKey) -> tuple[MemoryLog, uuid.UUID, uuid.UUID]:
    """Return a log of two workers: w1 with batches of 20, 20 and 21 records and w2 with 15 and 22, all under heads.

    w1 has ended; w2 has 6 records behind its last batch, as one that was killed.
    """
    log = MemoryLog(key, seed=7)
    one, two = log.start("w1"), log.start("w2")
    for _ in range(9):
        log.document(one, two)
        log.document(two, one)

    log.seal(one, 20)
    log.seal(two, 15)
    log.sign()
    log.seal(one, 20)
    log.sign()
    log.document(one)
    log.seal(two, 22)
    log.end(one)
    log.seal(one)
    log.sign()
    del log.held[two].records[43:], log.held[two].hashes[43:]
    return log, one, two


def exported(log: MemoryLog, folder: Path) -> LogFolder:
    """Write a log to a folder and read it back as lists."""
    export_log(log, folder, log.key.relay, log.now, lambda _: None)
    return LogFolder.of(folder)
