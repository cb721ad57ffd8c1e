"""Batches and the main log: a batch's header, how a run of a chain is sealed, and what a proof over it takes.

The keeper seals: it takes the records of a chain that no batch holds yet, puts the header of a new batch at the end of
the main log, and signs a head over the log now and then (``heads``). A header is 141 bytes; its hash is a leaf of the
main log's tree.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from relay.evidence import merkle
from relay.evidence import octets as o
from relay.evidence.octets import Cursor, refuse
from relay.evidence.record import leaf_hash
from relay.model.evidence import Batch, Record, Tip

BATCH_VERSION: Final = 1
BATCH_BYTES: Final = 141
MAX_BATCH: Final = 4096
"""Records in one batch at most: what has to be read again to prove one of them."""
NOTHING: Final = bytes(32)
"""Stands for the hash of the header, or head, before the first one."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A chain as far as batches hold it: what the next batch's header follows from."""

    chain: uuid.UUID
    number: int = 0  # of its last batch
    end: int = 0  # seq of the last record in it
    header: bytes = NOTHING  # hash of its last header


def encode_batch(batch: Batch) -> bytes:
    """Return the header's 141 bytes."""
    return b"".join(
        (
            b"\x01",
            batch.chain.bytes,
            batch.number.to_bytes(8, "big"),
            batch.first.to_bytes(8, "big"),
            batch.count.to_bytes(4, "big"),
            batch.root,
            batch.last,
            batch.previous,
            o.time(batch.sealed_at),
        )
    )


def decode_batch(octets: bytes) -> Batch:
    """Read a header.

    Raises:
        RefusedError: EVIDENCE-MALFORMED.
    """
    if len(octets) != BATCH_BYTES or octets[0] != BATCH_VERSION:
        refuse("no header of a batch of version 1")
    cursor = Cursor(octets)
    cursor.byte()
    batch = Batch(
        chain=uuid.UUID(bytes=cursor.take(16)),
        number=int.from_bytes(cursor.take(8), "big"),
        first=int.from_bytes(cursor.take(8), "big"),
        count=int.from_bytes(cursor.take(4), "big"),
        root=cursor.take(32),
        last=cursor.take(32),
        previous=cursor.take(32),
        sealed_at=cursor.time(),
    )
    if not (batch.number and batch.first and 1 <= batch.count <= MAX_BATCH):
        refuse(f"a batch without a number, without records, or with more than {MAX_BATCH}")
    return batch


def seal(before: Sealed, hashes: Sequence[bytes], at: datetime) -> tuple[bytes, Sealed]:
    """Seal the records that follow ``before`` in its chain.

    Args:
        before: the chain as far as batches hold it.
        hashes: the next records' hashes, 1 to ``MAX_BATCH``, read from what is committed.
        at: the keeper's clock.

    Returns:
        The new header's bytes, and the chain as it is sealed now.

    Raises:
        ValueError: none, or too many.
    """
    if not 1 <= len(hashes) <= MAX_BATCH:
        raise ValueError(f"a batch of {len(hashes)} records")
    header = encode_batch(
        Batch(
            chain=before.chain,
            number=before.number + 1,
            first=before.end + 1,
            count=len(hashes),
            root=merkle.root(hashes),
            last=hashes[-1],
            previous=before.header,
            sealed_at=at,
        )
    )
    return header, Sealed(before.chain, before.number + 1, before.end + len(hashes), leaf_hash(header))


def sealed_by(header: bytes) -> Sealed:
    """Return the chain as sealed by the batch with this header; raises like ``decode_batch``."""
    batch = decode_batch(header)
    return Sealed(batch.chain, batch.number, batch.end, leaf_hash(header))


def follows(tip: Tip, record: Record) -> bool:
    """Whether a record is the one that comes after ``tip``: by its number and by the hash that it carries."""
    return record.seq == tip.seq + 1 and record.link == tip.hash[: len(record.link)]
