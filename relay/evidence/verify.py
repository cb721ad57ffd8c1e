"""Checks a whole log offline, from the bytes that are stored: every record, batch and head, and names what is wrong.

What it holds against one another: each record's link and the hash of the record before; each batch's root and the records;
each header and the header before; each head's root and the headers; signatures; heads that the caller has from elsewhere.
It reads a log once, in time that grows with the records alone; only a chain in which something does not fit is read a
second time, to name it (``examine``).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from relay.errors import RefusedError
from relay.evidence import merkle
from relay.evidence.examine import Entry, Span, examine
from relay.evidence.faults import ChainFacts, Fault, FaultKind, Report, What, short, span
from relay.evidence.headlist import HeadList, HeadReader, Judge, Signer, StampCheck
from relay.evidence.log import MAX_BATCH
from relay.evidence.mainlog import Header, MainLog, read_main_log
from relay.evidence.record import LINK, decode, first_tip, leaf_hash, place, relinked
from relay.model.evidence import ChainEnd, ChainStart, Head, LogReader, Record, SignedHead
from relay.model.times import rfc3339

_TOLD_EVERY: Final = 10_000

Progress = Callable[[int], None]
"""Told how many records are done."""
Seen = Callable[[uuid.UUID, Record], None]
"""Told each record that fits in its place."""


@dataclass(slots=True)
class _Chain:
    """What one pass over a chain found."""

    id: uuid.UUID
    writer: str = ""
    role: str = ""
    records: int = 0
    sealed: int = 0
    ended: bool = False
    last_at: datetime | None = None


class LogVerifier:
    """Checks one log.

    Args:
        judge: whether a relay's certificate is to be trusted; None: signatures are checked, trust is left open.
        known: SHA-256 of certificates that the caller knows to be the relay's.
        stamps: judges time-stamps over heads; None: they are not judged.
        elsewhere: heads that the caller has from elsewhere (a witness, a receipt's proof, an earlier export).
        progress: told how many records are done.
        seen: told each record that fits, chain by chain.
    """

    def __init__(
        self,
        *,
        judge: Judge | None = None,
        known: frozenset[str] = frozenset(),
        stamps: StampCheck | None = None,
        elsewhere: Sequence[SignedHead] = (),
        progress: Progress | None = None,
        seen: Seen | None = None,
    ) -> None:
        self._reader = HeadReader(judge, known, stamps)
        self._elsewhere = elsewhere
        self._progress = progress or (lambda _: None)
        self._seen = seen
        self._judged = judge is not None or bool(known)
        self._done = 0
        self._faults: list[Fault] = []
        self._notes: list[Fault] = []

    def verify(self, log: LogReader) -> Report:
        """Check a log and return what was found. Raises nothing for what stands in the log."""
        self._done, self._faults, self._notes = 0, [], []
        # Heads first: what a running relay adds meanwhile they do not cover.
        heads = self._reader.read(log)
        foreign = self._foreign()
        main = read_main_log(log, [head for head, _ in heads.heads], [head.size for head, _, _ in foreign])
        self._faults += heads.faults
        self._notes += heads.notes
        agreed = self._compare(foreign, heads, main)
        chains = self._chains(log, main)
        writers = {chain.id: chain.writer for chain in chains}
        for fault in main.faults:
            if fault.chain is None:
                self._faults.append(fault)
            else:
                first, last = fault.first, fault.last
                which = f"batch {first}" if first == last else f"batches {first}–{last}"
                name = f"{short(fault.chain, writers.get(fault.chain, ''))} {which}"
                self._faults.append(replace(fault, name=name))
        self._lives(heads)
        return self._report(heads, main, chains, agreed)

    # --- heads from elsewhere

    def _foreign(self) -> list[tuple[Head, SignedHead, Signer]]:
        found = []
        for signed in self._elsewhere:
            try:
                head, signer = self._reader.head(signed)
                found.append((head, signed, signer))
            except RefusedError as error:
                detail = f"{error.code.value} {error.detail}".strip()
                fault = Fault(
                    FaultKind.SIGNATURE,
                    What.HEAD,
                    "head from elsewhere",
                    "head-signature",
                    values={"detail": detail},
                )
                self._faults.append(fault)
        return found

    def _compare(
        self, foreign: Sequence[tuple[Head, SignedHead, Signer]], heads: HeadList, main: MainLog
    ) -> int:
        own = {(head.life, head.number): signed.text for head, signed in heads.heads}
        bases = heads.bases()
        relay = heads.heads[-1][0].relay if heads.heads else None
        agreed = 0
        fits = 0  # the largest size at which a head from elsewhere agrees
        for head, signed, signer in sorted(foreign, key=lambda one: (one[0].life, one[0].size)):
            reason, kind, values = "", FaultKind.FORKED, {"size": str(head.size), "good": str(fits)}
            values |= {"stored": str(main.stored), "at": rfc3339(head.at)}
            left = next((bases[life] for life in sorted(bases) if life > head.life), None)
            if relay is not None and head.relay != relay:
                name, values = f"head {head.number} of {head.relay}", {"relay": head.relay}
                self._notes.append(
                    Fault(FaultKind.SIGNATURE, What.HEAD, name, "elsewhere-relay", values=values)
                )
                continue
            if left is not None and head.size > left:
                reason, kind, values = "elsewhere-restored", FaultKind.RESTORED, values | {"base": str(left)}
            elif head.size > main.stored:
                reason, kind = "elsewhere-longer", FaultKind.TRUNCATED
            elif main.roots.get(head.size) != head.root:
                reason = "elsewhere"
            elif own.get((head.life, head.number), signed.text) != signed.text:
                reason = "head-other"
            if not reason:
                agreed, fits = agreed + 1, max(fits, head.size)
                continue
            if self._judged and not signer.trusted:  # anybody can make a head that contradicts
                detail = f"{signer.code.value} {signer.detail}".strip()
                reason, kind, values = "head-signature", FaultKind.SIGNATURE, {"detail": detail}
            first, last = (fits + 1, head.size) if reason == "elsewhere" else (head.number, head.number)
            name = f"head {head.number} from elsewhere"
            self._faults.append(Fault(kind, What.HEAD, name, reason, None, first, last, values))
        return agreed

    def _lives(self, heads: HeadList) -> None:
        for life, base in heads.bases().items():
            if life:
                number = next(head.number for head, _ in heads.heads if head.life == life)
                self._notes.append(
                    Fault(
                        FaultKind.RESTORED,
                        What.HEAD,
                        f"head {number}",
                        "life",
                        None,
                        number,
                        number,
                        {"base": str(base)},
                    )
                )

    # --- chains

    def _chains(self, log: LogReader, main: MainLog) -> list[_Chain]:
        by_chain = main.chains()
        try:
            stored = set(log.chains())
        except RefusedError as error:
            stored = set()
            self._record(FaultKind.MALFORMED, _Chain(uuid.UUID(int=0)), 0, 0, "format", detail=error.detail)
        order = [*by_chain, *sorted(stored - by_chain.keys(), key=lambda one: one.bytes)]
        return [self._chain(log, chain, by_chain.get(chain, []), main) for chain in order]

    def _chain(self, log: LogReader, chain: uuid.UUID, headers: list[Header], main: MainLog) -> _Chain:
        facts, before = _Chain(chain), len(self._faults)
        good, fits = self._pass(log, facts, headers)
        if not fits:
            # What was said of records behind that place is said again, of those that are genuine.
            kept = [one for one in self._faults[before:] if one.reason == "format" or one.first <= good]
            self._faults[before:] = kept
            self._name(log, facts, headers, good, main)
        facts.sealed = max((one.batch.end for one in headers), default=0)
        unsealed = max(0, facts.records - facts.sealed)
        if not facts.ended and facts.records:
            at = rfc3339(facts.last_at) if facts.last_at else "?"
            name = short(chain, facts.writer)
            values = {"unsealed": str(unsealed), "at": at}
            self._notes.append(
                Fault(
                    FaultKind.TRUNCATED,
                    What.RECORD,
                    name,
                    "open",
                    chain,
                    facts.records,
                    facts.records,
                    values,
                )
            )
        return facts

    def _pass(self, log: LogReader, facts: _Chain, headers: Sequence[Header]) -> tuple[int, bool]:
        """Read a chain once. Returns how many records stand in good batches, and whether everything fits."""
        sha256, seen = hashlib.sha256, self._seen
        last = first_tip(facts.id).hash
        number, good, hashes = 0, 0, list[bytes]()
        due: Iterator[Header] = iter(headers)
        header = next(due, None)
        try:
            for octets in log.records(facts.id):
                number += 1
                record = decode(octets)
                if record.seq != number or record.link != last[:LINK]:
                    return good, False
                last = sha256(b"\x00" + octets).digest()
                hashes.append(last)
                self._note(facts, record)
                if seen is not None:
                    seen(facts.id, record)
                if header is not None and number == header.batch.end:
                    batch = header.batch
                    if batch.first != good + 1 or batch.last != last or merkle.root(hashes) != batch.root:
                        return good, False
                    good, header = number, next(due, None)
                    hashes.clear()
                facts.records = number
                self._done += 1
                if self._done % _TOLD_EVERY == 0:
                    self._progress(self._done)
        except RefusedError as error:
            if number == facts.records:  # the container, not a record
                self._record(
                    FaultKind.MALFORMED, facts, number + 1, number + 1, "format", detail=error.detail
                )
            return good, False
        return good, header is None

    def _note(self, facts: _Chain, record: Record) -> None:
        told = record.facts
        if record.seq == 1:
            if isinstance(told, ChainStart) and told.chain == facts.id:
                facts.writer, facts.role = told.writer, told.role
            else:
                self._record(FaultKind.MALFORMED, facts, 1, 1, "not-start")
        elif isinstance(told, ChainStart):
            self._record(FaultKind.MALFORMED, facts, record.seq, record.seq, "not-start")
        if facts.ended:
            self._record(FaultKind.MALFORMED, facts, record.seq, record.seq, "behind-end")
        facts.ended = facts.ended or isinstance(told, ChainEnd)
        facts.last_at = record.at

    def _name(
        self, log: LogReader, facts: _Chain, headers: Sequence[Header], good: int, main: MainLog
    ) -> None:
        """Read what stands behind the last good batch again, and say what is wrong with it."""
        entries = _entries(log, facts.id, good)
        if not facts.writer:
            facts.writer = next(
                (
                    one.facts.writer
                    for one in (_readable(entry.octets) for entry in entries if entry.seq == 1)
                    if one is not None and isinstance(one.facts, ChainStart)
                ),
                "",
            )
        spans = _spans(headers, good, main, len(entries))
        found = examine(entries, spans, good + 1, relinked)
        for one in found:
            self._record(one.kind, facts, one.first, one.last, one.reason, **one.values)
        named = {seq for one in found for seq in range(one.first, one.last + 1)}
        for entry in entries:
            if entry.seq and entry.seq not in named and (why := _unreadable(entry.octets)):
                self._record(FaultKind.MALFORMED, facts, entry.seq, entry.seq, "format", detail=why)
        newest = _readable(entries[-1].octets) if entries else None
        facts.ended = newest is not None and isinstance(newest.facts, ChainEnd)
        stored = {entry.seq for entry in entries if entry.seq}
        facts.records = max(facts.records, good + len(stored))
        unfit = [] if found else [header for header in headers if header.batch.end > good]
        for header in unfit:
            hashes = [
                one.hash for one in entries if header.batch.first <= one.seq <= header.batch.end
            ]  # in order: nothing was found
            if merkle.root(hashes) != header.batch.root or header.batch.last != hashes[-1]:
                name = f"{short(facts.id, facts.writer)} batch {header.batch.number}"
                number = header.batch.number
                self._faults.append(
                    Fault(FaultKind.ALTERED, What.BATCH, name, "header", facts.id, number, number)
                )
        if not found and not any(fault.chain == facts.id for fault in (*self._faults, *main.faults)):
            # Each record fits the one before it, so it is the beginning that does not.
            self._record(FaultKind.ALTERED, facts, good + 1, good + 1, "sealed")

    def _record(
        self, kind: FaultKind, facts: _Chain, first: int, last: int, reason: str, **values: str
    ) -> None:
        number = f" {span(first, last)}" if first else ""
        name = f"{short(facts.id, facts.writer)}{number}"
        self._faults.append(Fault(kind, What.RECORD, name, reason, facts.id, first, last, values))

    # --- the answer

    def _report(self, heads: HeadList, main: MainLog, chains: Sequence[_Chain], agreed: int) -> Report:
        if main.stored > main.good and not main.bad:
            values = {"count": str(main.stored - main.good)}
            self._notes.append(
                Fault(
                    FaultKind.TRUNCATED,
                    What.BATCH,
                    "main log",
                    "unsigned",
                    None,
                    main.good + 1,
                    main.stored,
                    values,
                )
            )
        self._progress(self._done)
        return Report(
            relay=heads.heads[-1][0].relay if heads.heads else "",
            chains=tuple(
                ChainFacts(one.id, one.writer, one.role, one.records, one.sealed, one.ended, one.last_at)
                for one in chains
            ),
            records=sum(one.records for one in chains),
            batches=main.stored,
            heads=heads.count,
            head=main.head,
            signer=heads.signer.certificate.sha256 if heads.signer else "",
            trusted=heads.signer.trusted if heads.signer else False,
            covered=main.head.records if main.head else 0,
            restored=max((head.life for head, _ in heads.heads), default=0),
            time_stamps=heads.stamps,
            statements=heads.statements,
            elsewhere=agreed,
            faults=tuple(self._faults),
            notes=tuple(self._notes),
        )


def _entries(log: LogReader, chain: uuid.UUID, good: int) -> list[Entry]:
    found: list[Entry] = []
    try:
        for where, octets in enumerate(log.records(chain, good + 1), good + 1):
            try:
                seq, link = place(octets)
            except RefusedError:
                seq, link = 0, b""
            found.append(Entry(where, seq, link, leaf_hash(octets), octets))
    except RefusedError:
        pass  # the container ends there; it was named
    return found


def _readable(octets: bytes) -> Record | None:
    try:
        return decode(octets)
    except RefusedError:
        return None


def _unreadable(octets: bytes) -> str:
    try:
        decode(octets)
    except RefusedError as error:
        return error.detail
    return ""


def _spans(headers: Sequence[Header], good: int, main: MainLog, stored: int) -> list[Span]:
    """What the batches behind the good ones vouch for; a stretch whose batch is missing is vouched for by the next."""
    spans: list[Span] = []
    end = good
    room = stored + MAX_BATCH * len(headers)  # an altered header may speak of any number
    for at, header in enumerate(headers):
        batch = header.batch
        if batch.end <= end or batch.first - end > room:
            continue
        room -= max(0, batch.first - end - 1)
        after = headers[at + 1] if at + 1 < len(headers) else None
        if batch.first > end + 1:
            spans.append(Span(end + 1, batch.first - 1, None))
        vouched = main.vouched(header, after)
        spans.append(Span(max(batch.first, end + 1), batch.end, batch.last if vouched else None))
        end = batch.end
    return spans
