"""Fuzzing the readers of evidence: a log's files, proofs and cases. What is not whole is named or refused, never missed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

from relay.errors import RefusedError
from relay.evidence import heads as h
from relay.evidence import proof as pr
from relay.evidence.case import Case, case_from_json, to_json
from relay.evidence.headlist import HeadReader
from relay.evidence.judging import check_case, check_proof
from relay.evidence.log import BATCH_BYTES
from relay.evidence.octets import refuse
from relay.evidence.page import Beside, render
from relay.evidence.proof import find, from_json, prove
from relay.evidence.record import decode
from relay.evidence.synthetic import MemoryLog, RelayKey, relay_key
from relay.evidence.verify import LogVerifier
from relay.model.evidence import Checkpoint, SignedHead, SignedStatement, Submission

_KEY: Final = relay_key("truc-fuzz")
_WITNESS: Final = relay_key("truc-witness")
_KNOWN: Final = frozenset({_KEY.sha256, _WITNESS.sha256})
_PARTS: Final = b"\n=\n"


class RawLog:
    """A log whose files are given as bytes: statements, heads, headers, then each chain behind its id."""

    def __init__(self, data: bytes) -> None:
        parts = data.split(_PARTS)
        self._statements, self._heads, self._batches = (*parts[:3], b"", b"", b"")[:3]
        self._chains = {uuid.UUID(bytes=one[:16]): one[16:] for one in parts[3:] if len(one) >= 16}

    def chains(self) -> Sequence[uuid.UUID]:
        return tuple(self._chains)

    def records(self, chain: uuid.UUID, start: int = 1, end: int | None = None) -> Iterator[bytes]:
        rest, place = self._chains.get(chain, b""), 0
        while rest:
            place += 1
            size = int.from_bytes(rest[:4], "big")
            if len(rest) < 4 + size:
                refuse("cut off")
            if place >= start and (end is None or place <= end):
                yield rest[4 : 4 + size]
            rest = rest[4 + size :]

    def batches(self) -> Iterator[bytes]:
        for at in range(0, len(self._batches), BATCH_BYTES):
            yield self._batches[at : at + BATCH_BYTES]

    def checkpoints(self) -> Iterator[Checkpoint]:
        said = h.load_statements(self._statements)
        for signed in h.load(self._heads):
            own = h.head_hash(signed.text).hex()
            yield Checkpoint(
                signed, statements=tuple(one for one in said if h.read_statement(one.text)["head"] == own)
            )

    def witnessed(self) -> Iterator[SignedHead]:
        return iter(())


def raw(log: MemoryLog) -> bytes:
    """Return a log in the form that ``RawLog`` reads."""
    chains = [
        chain.bytes + b"".join(len(one).to_bytes(4, "big") + one for one in held.records)
        for chain, held in log.held.items()
    ]
    statements = b"".join(h.dump(one) for head in log.heads for one in head.statements)
    heads = b"".join(h.dump(one.head) for one in log.heads)
    return _PARTS.join([statements, heads, b"".join(log.headers), *chains])


def _log(key: RelayKey) -> MemoryLog:
    log = MemoryLog(key, seed=3)
    one, two = log.start("w1"), log.start("w2")
    for _ in range(3):
        log.document(one, two)
        log.seal(one)
        log.seal(two)
        log.sign()
    log.end(one)
    text = h.statement_text(_WITNESS.relay, log.heads[0].head.text, log.now)
    log.heads[0] = Checkpoint(
        log.heads[0].head, statements=(SignedStatement(text, _WITNESS.sign(text, h.STATEMENT_TYPE)),)
    )
    return log


@cache
def seeds() -> tuple[bytes, ...]:
    """Return a log, a proof and a case."""
    log = _log(_KEY)
    about = [
        facts.transport_id
        for chain in log.chains()
        for octets in log.records(chain)
        if isinstance(facts := decode(octets).facts, Submission) and facts.effect is None
    ]
    proof = prove(log, find(log, about[0]), [log.heads[0].head])
    case = Case(_KEY.relay, about[0], "2026-01-05T01:00:00Z", proof, told={"x": 1})
    return (
        raw(log),
        raw(log),
        json.dumps(pr.to_json(proof)).encode(),
        json.dumps(to_json(case)).encode(),
    )


@cache
def _whole() -> frozenset[bytes]:
    log = _log(_KEY)
    return frozenset(octets for chain in log.chains() for octets in log.records(chain))


@cache
def _elsewhere() -> tuple[SignedHead, ...]:
    """Heads that the checker has: those of the log, and one of another history under the same key."""
    other = MemoryLog(_KEY, seed=8)
    chain = other.start("w1")
    other.document(chain)
    other.seal(chain)
    other.sign()
    return tuple(one.head for one in (*_log(_KEY).heads, *other.heads))


def fuzz_evidence(data: bytes) -> None:
    """Read bytes as a log, a proof or a case; what holds all through says nothing that the seeds do not say."""
    if data[:1] == b"{":
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return
        _file(value)
        return
    report = LogVerifier(known=_KNOWN).verify(RawLog(data))
    for fault in (*report.faults, *report.notes):
        assert fault.text("vi")
        assert fault.text("en")
    if report.head is not None and report.ok:
        # What a head covers is genuine: a head's signature cannot be had by changing bytes.
        raw_log = RawLog(data)
        for chain in report.chains:
            for octets in raw_log.records(chain.chain, 1, chain.sealed):
                assert octets in _whole()


def _file(value: Any) -> None:
    reader = HeadReader(None, _KNOWN)
    try:
        checked = check_proof(from_json(value), reader, elsewhere=_elsewhere())
        assert all(octets in _whole() for _, _, octets in checked.proven.records)
        for said in (*checked.faults, *checked.notes):
            assert said.text("vi")
            assert said.text("en")
    except RefusedError:
        pass
    try:
        case = case_from_json(value)
        checked = check_case(case, reader)
        assert "<script" not in render(case, checked, Beside("case.json", ""), {}).lower()
    except RefusedError:
        pass
