"""Names what is wrong in a sequence whose parts carry the hash of the part before: a chain's records, or its batches.

The verifier comes here only once something does not fit. What is vouched for from outside (the hash of the last record of
each batch) is walked backwards: each part that fits says what the one before it has to be, wherever that stands. What is
found so is genuine; what is not found is altered, removed or cut off; what is left over was inserted, or is a branch.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from relay.evidence.faults import FaultKind

_REACH: Final = 4096  # how far behind the sealed end a number may lie and still be looked at as the tail's


@dataclass(frozen=True, slots=True)
class Entry:
    """One part as stored."""

    place: int  # in what is stored, from 1
    seq: int  # its number, 0 if it cannot be read
    link: bytes  # what it says of the part before, a prefix of that one's hash
    hash: bytes
    octets: bytes


@dataclass(frozen=True, slots=True)
class Span:
    """A run that something vouches for. ``end_hash`` is the hash of its last part, None: nobody vouches for it."""

    first: int
    last: int
    end_hash: bytes | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault; ``reason`` is a key of ``faults.REASONS``."""

    kind: FaultKind
    first: int
    last: int
    reason: str
    values: dict[str, str] = field(default_factory=dict)


def examine(
    entries: Sequence[Entry],
    spans: Sequence[Span],
    start: int,
    relink: Callable[[bytes, bytes], bytes] | None,
) -> list[Finding]:
    """Return what is wrong, by number.

    Args:
        entries: what is stored, in its order.
        spans: what is vouched for, by number, without gaps, from ``start`` on.
        start: the first number that is looked at.
        relink: returns a part's bytes with another link; with it a part of which only the link was altered is told from
            one that stands behind an altered one. None: not tried.
    """
    return _Examination(entries, spans, start, relink).findings()


class _Examination:
    def __init__(
        self,
        entries: Sequence[Entry],
        spans: Sequence[Span],
        start: int,
        relink: Callable[[bytes, bytes], bytes] | None,
    ) -> None:
        self.entries = entries
        self.start = start
        self.relink = relink
        self.by_seq: dict[int, list[Entry]] = defaultdict(list)
        self.by_link: dict[bytes, list[Entry]] = defaultdict(list)
        self.width = next((len(one.link) for one in entries if one.link), 16)
        for one in entries:
            self.by_link[one.hash[: self.width]].append(one)
            if one.seq:
                self.by_seq[one.seq].append(one)
        self.sealed = spans[-1].last if spans else start - 1
        self.spans = [*spans, *self._tail()]
        self.genuine: dict[int, Entry] = {}
        self.weak: dict[int, tuple[int, int]] = {}  # altered: the run that it alone vouches for
        self.doubtful: set[int] = set()
        self.damaged: list[int] = []
        self.spare: dict[int, Entry] = {}

    def findings(self) -> list[Finding]:
        for span in reversed(self.spans):
            self._walk(span)
        self.damaged.sort()
        found = [*self._lacking(), *self._order(), *self._rest()]
        return sorted(found, key=lambda one: (one.first, one.last, one.kind.value))

    # --- what is genuine

    def _tail(self) -> list[Span]:
        """What stands behind the last batch: it ends with the longest run that holds together."""
        reach = self.sealed + len(self.entries) + _REACH
        last = max((seq for seq in self.by_seq if self.sealed < seq <= reach), default=0)
        return [Span(self.sealed + 1, last, None)] if last else []

    def _walk(self, span: Span) -> None:
        want = span.end_hash
        if want is None:
            above = self.genuine.get(span.last + 1)
            want = above.link if above else None
        if want is None and self.by_seq.get(span.last):
            want = self.by_seq[span.last][0].hash
        weak_from = 0
        for seq in range(span.last, span.first - 1, -1):
            found = self._by(want, seq)
            if found is not None:
                self.genuine[seq] = found
                want = found.link
                continue
            if weak_from:
                self.weak[weak_from] = (seq + 1, weak_from - 1)
            self.damaged.append(seq)
            weak_from = seq
            want = self._before(seq, want) if seq > span.first else None
        if weak_from > span.first:
            self.weak[weak_from] = (span.first, weak_from - 1)

    def _by(self, want: bytes | None, seq: int) -> Entry | None:
        if want is None:
            return None
        found = [
            one
            for one in self.by_link.get(want[: self.width], ())
            if one.seq == seq and one.hash[: len(want)] == want
        ]
        if len(found) < 2:
            return found[0] if found else None
        above = self.genuine.get(seq + 1)  # of copies the one that stands where it belongs
        return next((one for one in found if above is not None and one.place == above.place - 1), found[0])

    def _before(self, seq: int, want: bytes | None) -> bytes | None:
        """What the part before a damaged one has to be, as well as that can be known."""
        lower = self.by_seq.get(seq - 1, [])
        claims = self.by_seq.get(seq, [])
        says = {claim.link for claim in claims}
        for one in lower:
            if one.hash[: self.width] in says:
                return one.hash
        if not claims:
            return lower[0].hash if lower else None
        for one in lower:
            for claim in claims:
                if want is not None and self._mended(claim, one) == want[: self.width]:
                    return one.hash
        if lower:
            self.doubtful.add(seq - 1)
        return next(iter(says))

    def _mended(self, claim: Entry, lower: Entry) -> bytes | None:
        if self.relink is None:
            return None
        octets = self.relink(claim.octets, lower.hash[: self.width])
        return hashlib.sha256(b"\x00" + octets).digest()[: self.width]

    # --- what is missing, or not what it was

    def _lacking(self) -> Iterable[Finding]:
        used = {one.place for one in self.genuine.values()}
        spare = self.spare = {one.place: one for one in self.entries if one.place not in used}
        gone: list[int] = []
        for seq in self.damaged:
            claim = next((one for one in self.by_seq.get(seq, ()) if one.place in spare), None)
            claim = claim or self._between(seq)
            if claim is None:
                gone.append(seq)
                continue
            del spare[claim.place]
            if seq in self.doubtful:
                yield Finding(FaultKind.DOUBTFUL, seq, seq, "unvouched")
            elif (run := self.weak.get(seq)) and seq in self._ends():
                yield Finding(
                    FaultKind.ALTERED, seq, seq, "weak", {"from_": f"#{run[0]}", "to": f"#{run[1]}"}
                )
            else:
                yield Finding(FaultKind.ALTERED, seq, seq, "sealed" if seq in self._ends() else "next")
        for first, last in _runs(gone):
            if last == self.sealed and not any(seq > last for seq in self.genuine):
                stored = max((seq for seq in self.genuine if seq < first), default=first - 1)
                values = {"end": f"#{self.sealed}", "stored": f"#{stored}"}
                yield Finding(FaultKind.TRUNCATED, first, last, "end-gone", values)
            else:
                yield Finding(FaultKind.REMOVED, first, last, "gone")

    def _ends(self) -> set[int]:
        return {span.last for span in self.spans if span.end_hash is not None}

    def _between(self, seq: int) -> Entry | None:
        """What stands where a damaged part belongs and cannot be read, or says another number."""
        below = self.genuine.get(seq - 1)
        above = self.genuine.get(seq + 1)
        if below is not None:
            place = below.place + 1
        elif above is not None:
            place = above.place - 1
        else:
            return None
        one = self.spare.get(place)
        if one is None or (one.seq in self.genuine and one.hash == self.genuine[one.seq].hash):
            return None  # nothing, or a copy of another one
        return None if one.seq != seq and one.seq in self.damaged else one

    # --- order

    def _order(self) -> Iterable[Finding]:
        held = [self.genuine[seq] for seq in sorted(self.genuine)]
        slots = sorted(held, key=lambda one: one.place)
        wrong = [at for at, one in enumerate(slots) if one is not held[at]]
        if not wrong:
            return
        if (
            len(wrong) > 2
        ):  # one that was moved shifts all between: name the fewest whose absence leaves order
            kept = _increasing([one.seq for one in slots])
            wrong = [at for at, one in enumerate(slots) if one.seq not in kept]
        for at in wrong:
            one = slots[at]
            values = {"place": str(one.place), "owner": f"#{held[at].seq}"}
            yield Finding(FaultKind.SWAPPED, one.seq, one.seq, "place", values)

    # --- what is left over

    def _rest(self) -> Iterable[Finding]:
        rest = sorted(self.spare.values(), key=lambda one: one.place)
        followed = {one.link for one in rest if one.link}
        branch: set[bytes] = set()
        for one in rest:
            values = {"place": str(one.place)}
            twin = self.genuine.get(one.seq)
            if twin is not None and twin.hash == one.hash:
                yield Finding(FaultKind.INSERTED, one.seq, one.seq, "copy", values)
                continue
            before = self.genuine.get(one.seq - 1)
            joined = before is not None and before.hash[: self.width] == one.link and twin is not None
            goes_on = one.hash[: self.width] in followed
            if one.link in branch or (joined and (goes_on or one.seq > self.sealed)):
                branch.add(one.hash[: self.width])
                yield Finding(FaultKind.FORKED, one.seq, one.seq, "branch", values)
            else:
                yield Finding(FaultKind.INSERTED, one.seq, one.seq, "extra", values)


def _runs(numbers: Sequence[int]) -> Iterable[tuple[int, int]]:
    first = last = 0
    for number in numbers:
        if first and number == last + 1:
            last = number
            continue
        if first:
            yield first, last
        first = last = number
    if first:
        yield first, last


def _increasing(numbers: Sequence[int]) -> set[int]:
    """Return a longest increasing subsequence."""
    ends: list[int] = []
    at: list[int] = []
    before: list[int] = [-1] * len(numbers)
    for index, number in enumerate(numbers):
        length = bisect_left(ends, number)
        if length:
            before[index] = at[length - 1]
        if length == len(ends):
            ends.append(number)
            at.append(index)
        else:
            ends[length], at[length] = number, index
    kept, index = set(), at[-1] if at else -1
    while index >= 0:
        kept.add(numbers[index])
        index = before[index]
    return kept
