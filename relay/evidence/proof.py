"""Proofs: that records are in the log under a head, and that this head only grew into others. One JSON object.

``truc-proof-1``: the records with their paths into batches, the headers with their paths into the main log, and a row of
heads, the smallest first, each with the proof that the one before is its beginning. What is included stands under the head
number ``under`` of that row and so under every later one. Whoever has one of these heads from elsewhere needs nothing else.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from relay.errors import Code, OperationError, RefusedError
from relay.evidence import heads as h
from relay.evidence import merkle
from relay.evidence.headlist import HeadReader, Signer
from relay.evidence.log import decode_batch
from relay.evidence.octets import refuse, token
from relay.evidence.record import decode, leaf_hash
from relay.model.evidence import (
    Batch,
    Checkpoint,
    Deliveries,
    Facts,
    Head,
    HeldNoted,
    LogReader,
    ReceiptSealed,
    Record,
    SignedHead,
    SignedStatement,
    Submission,
)

FORMAT: Final = "truc-proof-1"
_MAX_ITEMS: Final = 100_000

Found = tuple[uuid.UUID, int, bytes]
"""Chain, seq and bytes of one record."""


# --- what speaks of a document -----------------------------------------------------------------------------------------


def speaks_of(facts: Facts, transport_id: str) -> bool:
    """Whether a record is about the submission with that transport id."""
    if isinstance(facts, Submission):
        named = {facts.transport_id, facts.same_content_as, facts.effect.refers_to if facts.effect else ""}
        return transport_id in named
    if isinstance(facts, Deliveries | ReceiptSealed | HeldNoted):
        return facts.transport_id == transport_id
    return False


def find(
    log: LogReader, transport_id: str, search: Callable[[bytes], Iterable[Found]] | None = None
) -> list[Found]:
    """Return the records about a transport id, chain by chain, in their order.

    Args:
        log: the log.
        transport_id: as sent.
        search: yields the records that hold some bytes, where the store can look for them; None: all are read.
    """
    needle = token(transport_id)
    found = search(needle) if search is not None else _scan(log, needle)
    return [one for one in found if speaks_of(decode(one[2]).facts, transport_id)]


def _scan(log: LogReader, needle: bytes) -> Iterable[Found]:
    for chain in log.chains():
        for octets in log.records(chain):
            if needle in octets:
                yield chain, decode(octets).seq, octets


# --- making ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Included:
    """One record in a batch."""

    octets: bytes
    batch: int  # in the proof's list
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class IncludedBatch:
    """One header in the main log as it was under the head."""

    octets: bytes
    place: int  # from 0
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof as a value."""

    records: tuple[Included, ...]
    batches: tuple[IncludedBatch, ...]
    heads: tuple[Checkpoint, ...]  # the smallest first
    consistency: tuple[tuple[bytes, ...], ...]  # from each head to the next
    under: int  # which of the heads the batches are included in


def prove(log: LogReader, records: Sequence[Found], elsewhere: Sequence[SignedHead] = ()) -> Proof:
    """Make a proof for records.

    The head that they stand under is the first that covers them and has a time-stamp, else the first that covers them;
    the newest one and those from elsewhere stand beside it.

    Args:
        log: the log, as it is stored.
        records: from ``find``.
        elsewhere: heads that the checker has; those that are not of this log's past or present are left out.

    Raises:
        OperationError: EVIDENCE-PENDING: a record stands under no head yet.
    """
    headers = list(log.batches())
    leaves = [leaf_hash(one) for one in headers]
    places = _places(headers, records)
    checkpoints = list(log.checkpoints())
    reach = max(places.values(), default=-1) + 1
    covering = [one for one in checkpoints if reach <= h.read_head(one.head.text).size <= len(leaves)]
    if not covering:
        raise OperationError(Code.EVIDENCE_PENDING, f"no head covers batch {reach} of the main log yet")
    under = next((one for one in covering if one.time_stamps), covering[0])
    row = {_key(one.head): one for one in (under, covering[-1])}
    roots = {size: merkle.root(leaves[:size]) for size in {h.read_head(one.text).size for one in elsewhere}}
    for signed in elsewhere:
        head = h.read_head(signed.text)
        if head.size <= len(leaves) and roots[head.size] == head.root:
            own = next((one for one in checkpoints if one.head.text == signed.text), Checkpoint(signed))
            row.setdefault(_key(signed), own)
    heads = [row[key] for key in sorted(row)]
    sizes = [h.read_head(one.head.text).size for one in heads]
    order = sorted(set(places.values()))
    at = heads.index(row[_key(under.head)])
    return Proof(
        records=tuple(_included(log, headers, places, order, records)),
        batches=tuple(
            IncludedBatch(headers[place], place, tuple(merkle.inclusion(leaves[: sizes[at]], place)))
            for place in order
        ),
        heads=tuple(heads),
        consistency=tuple(tuple(merkle.consistency(leaves[:size], first)) for first, size in pairwise(sizes)),
        under=at,
    )


def _key(signed: SignedHead) -> tuple[int, int, int, bytes]:
    head = h.read_head(signed.text)
    return head.size, head.life, head.number, signed.text


def _places(headers: Sequence[bytes], records: Sequence[Found]) -> dict[tuple[uuid.UUID, int], int]:
    wanted = {chain.bytes for chain, _, _ in records}
    spans: dict[uuid.UUID, list[tuple[int, int, int]]] = {}
    for place, octets in enumerate(headers):
        if octets[1:17] in wanted:
            batch = decode_batch(octets)
            spans.setdefault(batch.chain, []).append((batch.first, batch.end, place))
    out: dict[tuple[uuid.UUID, int], int] = {}
    for chain, seq, _ in records:
        held = [at for first, end, at in spans.get(chain, ()) if first <= seq <= end]
        if not held:
            raise OperationError(
                Code.EVIDENCE_PENDING, f"record {seq} of chain {chain} stands in no batch yet"
            )
        out[chain, seq] = held[0]
    return out


def _included(
    log: LogReader,
    headers: Sequence[bytes],
    places: dict[tuple[uuid.UUID, int], int],
    order: Sequence[int],
    records: Sequence[Found],
) -> Iterable[Included]:
    hashes: dict[int, list[bytes]] = {}
    for chain, seq, octets in records:
        place = places[chain, seq]
        batch = decode_batch(headers[place])
        if place not in hashes:
            hashes[place] = [leaf_hash(one) for one in log.records(chain, batch.first, batch.end)]
        path = merkle.inclusion(hashes[place], seq - batch.first)
        yield Included(octets, order.index(place), tuple(path))


# --- checking ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proven:
    """What a proof proves: these records, in the log that these heads are over."""

    records: tuple[tuple[Batch, Record, bytes], ...]
    heads: tuple[tuple[Head, Signer, Checkpoint], ...]
    under: int

    @property
    def head(self) -> Head:
        """The smallest head that the records are known to stand under."""
        return self.heads[self.under][0]

    def covered_by(self, signed: SignedHead) -> bool:
        """Whether the records stand under a head that the checker has: it is in the row, not before ``under``."""
        wanted = h.read_head(signed.text)
        return any(
            (head.size, head.root, head.relay) == (wanted.size, wanted.root, wanted.relay)
            for head, _, _ in self.heads[self.under :]
        )

    def extends(self, signed: SignedHead) -> bool:
        """Whether the log that the records are in begins with what a head that the checker has is over."""
        wanted = h.read_head(signed.text)
        return any(
            (head.size, head.root, head.relay) == (wanted.size, wanted.root, wanted.relay)
            for head, _, _ in self.heads
        )


def check(proof: Proof, reader: HeadReader) -> Proven:
    """Check a proof from its bytes alone; who signed the heads is told, and left to the caller to judge.

    Raises:
        RefusedError: EVIDENCE-BROKEN: something in it does not fit; EVIDENCE-MALFORMED, SIGNATURE-INVALID and others of
            a head's signature.
    """
    if not proof.records or not 0 <= proof.under < len(proof.heads):
        raise RefusedError(Code.EVIDENCE_BROKEN, "the proof proves nothing")
    if len(proof.consistency) != len(proof.heads) - 1:
        raise RefusedError(Code.EVIDENCE_BROKEN, "a consistency proof for each two heads is wanted")
    heads = []
    for checkpoint in proof.heads:
        head, signer = reader.head(checkpoint.head)
        heads.append((head, signer, checkpoint))
    for at, path in enumerate(proof.consistency):
        first, second = heads[at][0], heads[at + 1][0]
        if first.relay != second.relay or not merkle.consistent(
            first.size, first.root, second.size, second.root, path
        ):
            raise RefusedError(
                Code.EVIDENCE_BROKEN, f"head {first.number} is not the beginning of head {second.number}"
            )
    under = heads[proof.under][0]
    batches = []
    for one in proof.batches:
        if not merkle.included(leaf_hash(one.octets), one.place, under.size, one.path, under.root):
            raise RefusedError(
                Code.EVIDENCE_BROKEN,
                f"batch {one.place + 1} of the main log is not under head {under.number}",
            )
        batches.append(decode_batch(one.octets))
    records = []
    for included in proof.records:
        if not 0 <= included.batch < len(batches):
            raise RefusedError(Code.EVIDENCE_BROKEN, "a record in a batch that the proof does not hold")
        batch, record = batches[included.batch], decode(included.octets)
        index = record.seq - batch.first
        if not merkle.included(leaf_hash(included.octets), index, batch.count, included.path, batch.root):
            raise RefusedError(
                Code.EVIDENCE_BROKEN,
                f"record {record.seq} is not in batch {batch.number} of chain {batch.chain}",
            )
        records.append((batch, record, included.octets))
    return Proven(tuple(records), tuple(heads), proof.under)


# --- as JSON -----------------------------------------------------------------------------------------------------------


def to_json(proof: Proof) -> dict[str, Any]:
    """Return the proof as what JSON can hold."""
    return {
        "format": FORMAT,
        "records": [
            {"record": b64(one.octets), "batch": one.batch, "path": [each.hex() for each in one.path]}
            for one in proof.records
        ],
        "batches": [
            {"header": b64(one.octets), "place": one.place, "path": [each.hex() for each in one.path]}
            for one in proof.batches
        ],
        "under": proof.under,
        "heads": [
            {
                "text": one.head.text.decode(),
                "signature": one.head.signature.decode(),
                "time_stamps": [b64(stamp) for stamp in one.time_stamps],
                "statements": [
                    {"text": each.text.decode(), "signature": each.signature.decode()}
                    for each in one.statements
                ],
            }
            for one in proof.heads
        ],
        "consistency": [[each.hex() for each in path] for path in proof.consistency],
    }


def from_json(value: object) -> Proof:
    """Read a proof.

    Raises:
        RefusedError: EVIDENCE-MALFORMED.
    """
    found = member(value, dict)
    if found.get("format") != FORMAT:
        refuse(f"no proof of form {FORMAT}")
    return Proof(
        records=tuple(
            Included(
                octets(one, "record"), number(one, "batch"), tuple(_hash(each) for each in items(one, "path"))
            )
            for one in items(found, "records")
        ),
        batches=tuple(
            IncludedBatch(
                octets(one, "header"), number(one, "place"), tuple(_hash(each) for each in items(one, "path"))
            )
            for one in items(found, "batches")
        ),
        heads=tuple(_checkpoint(one) for one in items(found, "heads")),
        consistency=tuple(
            tuple(_hash(each) for each in member(path, list)) for path in items(found, "consistency")
        ),
        under=number(found, "under"),
    )


def _checkpoint(value: object) -> Checkpoint:
    return Checkpoint(
        SignedHead(ascii_text(value, "text"), ascii_text(value, "signature")),
        tuple(_unbase(each) for each in items(value, "time_stamps")),
        tuple(
            SignedStatement(ascii_text(each, "text"), ascii_text(each, "signature"))
            for each in items(value, "statements")
        ),
    )


def b64(value: bytes) -> str:
    """Return base64."""
    return base64.b64encode(value).decode()


def member(value: object, kind: type) -> Any:  # noqa: ANN401 - JSON
    """Return a value of that type, or refuse."""
    if not isinstance(value, kind) or isinstance(value, bool):
        refuse(f"a {kind.__name__} was wanted")
    return value


def items(value: object, name: str) -> list[Any]:
    """Return a member that is a list."""
    found = member(member(value, dict).get(name), list)
    if len(found) > _MAX_ITEMS:
        refuse(f"{name} is too long")
    return list(found)


def number(value: object, name: str) -> int:
    """Return a member that is a number from 0."""
    found = member(member(value, dict).get(name), int)
    if not 0 <= found < 1 << 63:
        refuse(f"{name} is out of range")
    return int(found)


def text(value: object, name: str) -> str:
    """Return a member that is a string."""
    return str(member(member(value, dict).get(name), str))


def ascii_text(value: object, name: str) -> bytes:
    """Return a member that is a string of ASCII, as bytes."""
    try:
        return text(value, name).encode("ascii")
    except UnicodeEncodeError:
        refuse(f"{name} is not ASCII")


def octets(value: object, name: str) -> bytes:
    """Return a member that is base64."""
    return _unbase(member(value, dict).get(name))


def _unbase(value: object) -> bytes:
    try:
        return base64.b64decode(member(value, str), validate=True)
    except (binascii.Error, ValueError):
        refuse("not base64")


def _hash(value: object) -> bytes:
    written = member(value, str)
    try:
        found = bytes.fromhex(written)
    except ValueError:
        refuse("not hexadecimal")
    if len(found) != 32 or found.hex() != written:
        refuse("not 64 lower-case hexadecimal digits")
    return found
