"""The main log: the batches' headers in their order, against the heads that are signed over them."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

from relay.errors import RefusedError
from relay.evidence import merkle
from relay.evidence.examine import Entry, examine
from relay.evidence.faults import Fault, FaultKind, What, span
from relay.evidence.log import NOTHING, decode_batch
from relay.evidence.record import leaf_hash
from relay.model.evidence import Batch, Head, LogReader

_PREVIOUS: Final = slice(101, 133)
_PAIRS: Final = 64  # headers between two heads among which an exchange of two is looked for


@dataclass(frozen=True, slots=True)
class Header:
    """One header as stored."""

    place: int  # in the main log, from 1
    octets: bytes
    hash: bytes
    batch: Batch


@dataclass(slots=True)
class MainLog:
    """What was read, and how far signed heads vouch for it."""

    headers: list[Header] = field(default_factory=list)
    stored: int = 0  # headers, those that cannot be read too
    roots: dict[int, bytes] = field(default_factory=dict)  # over the first N, for the N that were asked for
    good: int = 0  # the size of the newest head that fits
    bad: bool = False  # a head does not fit
    head: Head | None = None  # the newest that fits
    faults: list[Fault] = field(default_factory=list)

    def chains(self) -> dict[uuid.UUID, list[Header]]:
        """Return the headers by chain, in the order of their numbers, one for each number."""
        found: dict[uuid.UUID, dict[int, Header]] = defaultdict(dict)
        for header in self.headers:
            found[header.batch.chain].setdefault(header.batch.number, header)
        return {chain: [held[number] for number in sorted(held)] for chain, held in found.items()}

    def vouched(self, header: Header, after: Header | None) -> bool:
        """Whether a head, or the chain's next header, stands for this one; or nothing speaks against it."""
        if header.place <= self.good or not self.bad:
            return True
        return after is not None and after.batch.previous == header.hash


def read_main_log(log: LogReader, heads: Sequence[Head], sizes: Iterable[int]) -> MainLog:
    """Read the headers and hold them against the heads.

    Args:
        log: the log.
        heads: its own heads whose signatures hold, oldest first.
        sizes: further sizes at which the root is wanted.
    """
    out = MainLog()
    wanted = {head.size for head in heads} | set(sizes)
    frontier = merkle.Frontier()
    leaves: list[bytes] = []
    if 0 in wanted:
        out.roots[0] = merkle.EMPTY
    try:
        for octets in log.batches():
            out.stored += 1
            leaf = leaf_hash(octets)
            leaves.append(leaf)
            frontier.add(leaf)
            if out.stored in wanted:
                out.roots[out.stored] = frontier.root()
            try:
                out.headers.append(Header(out.stored, octets, leaf, decode_batch(octets)))
            except RefusedError as error:
                out.faults.append(_at(FaultKind.ALTERED, out.stored, "format", {"detail": error.detail}))
    except RefusedError as error:
        out.faults.append(_at(FaultKind.MALFORMED, out.stored + 1, "format", {"detail": error.detail}))
    misfit = _against(heads, out)
    for chain, headers in _by_chain(out.headers).items():
        out.faults += _joined(chain, headers, out.good)
    if misfit is not None and not out.faults:
        out.faults.append(_why(misfit, leaves, out.good))
    return out


def _by_chain(headers: Iterable[Header]) -> dict[uuid.UUID, list[Header]]:
    found: dict[uuid.UUID, list[Header]] = defaultdict(list)
    for header in headers:
        found[header.batch.chain].append(header)
    return found


def _joined(chain: uuid.UUID, headers: Sequence[Header], good: int) -> Iterable[Fault]:
    """Whether the headers of one chain follow from one another; else what is wrong, by number."""
    last, hash_, end = 0, NOTHING, 0
    for header in headers:
        batch = header.batch
        if batch.number != last + 1 or batch.previous != hash_:
            yield from _named(chain, headers, good)
            return
        if batch.first != end + 1:
            values = {"first": f"#{batch.first}", "end": f"#{end}"}
            yield _of(FaultKind.ALTERED, chain, batch.number, batch.number, "batch-range", values)
        last, hash_, end = batch.number, header.hash, batch.end


def _named(chain: uuid.UUID, headers: Sequence[Header], good: int) -> Iterable[Fault]:
    entries = [
        Entry(place, one.batch.number, one.batch.previous, one.hash, one.octets)
        for place, one in enumerate(headers, 1)
    ]
    found = examine(entries, [], 1, _relinked)
    reasons = {"gone": "batch-gone", "next": "batch-next"}
    covered = {one.batch.number for one in headers if one.place <= good}
    for one in found:
        reason = reasons.get(one.reason, one.reason)
        if (
            one.reason == "next" and one.first in covered
        ):  # a head vouches for it: the one after it says so falsely
            yield _of(FaultKind.ALTERED, chain, one.first + 1, one.first + 1, "batch-link", {})
            continue
        yield _of(one.kind, chain, one.first, one.last, reason, one.values)
    if not found:  # the first header follows something that is not there
        yield _of(
            FaultKind.ALTERED, chain, headers[0].batch.number, headers[0].batch.number, "batch-next", {}
        )


def _relinked(octets: bytes, link: bytes) -> bytes:
    return octets[: _PREVIOUS.start] + link + octets[_PREVIOUS.stop :]


def _against(heads: Sequence[Head], out: MainLog) -> Head | None:
    """Hold the heads against the tree; returns the first whose root is another one."""
    counts = [0]
    readable = {header.place: header.batch.count for header in out.headers}
    for place in range(1, out.stored + 1):
        counts.append(counts[-1] + readable.get(place, 0))
    for head in heads:
        if head.size > out.stored:
            values = {"size": str(head.size), "stored": str(out.stored)}
            out.faults.append(
                Fault(
                    FaultKind.TRUNCATED,
                    What.BATCH,
                    f"main log {span(out.stored + 1, head.size)}",
                    "size",
                    None,
                    out.stored + 1,
                    head.size,
                    values,
                )
            )
            out.bad = True
            return None
        if out.roots.get(head.size) != head.root:
            out.bad = True
            return head
        if counts[head.size] != head.records:
            values = {"said": str(head.records), "held": str(counts[head.size])}
            name = f"head {head.number}"
            out.faults.append(
                Fault(
                    FaultKind.MALFORMED,
                    What.HEAD,
                    name,
                    "records-count",
                    None,
                    head.number,
                    head.number,
                    values,
                )
            )
        out.good, out.head = head.size, head
    return None


def _why(head: Head, leaves: Sequence[bytes], good: int) -> Fault:
    """Two headers that were exchanged, or else the stretch in which something is wrong."""
    size = head.size
    if size - good <= _PAIRS:
        changed = list(leaves[:size])
        for one, other in combinations(range(good, size), 2):
            changed[one], changed[other] = changed[other], changed[one]
            if merkle.root(changed) == head.root:
                values = {"place": str(one + 1), "owner": str(other + 1)}
                name = f"main log #{one + 1} and #{other + 1}"
                return Fault(
                    FaultKind.SWAPPED, What.BATCH, name, "main-order", None, one + 1, other + 1, values
                )
            changed[one], changed[other] = changed[other], changed[one]
    values = {"size": str(size), "good": str(good)}
    name = f"main log {span(good + 1, size)}"
    return Fault(FaultKind.ALTERED, What.BATCH, name, "main-log", None, good + 1, size, values)


def _at(kind: FaultKind, place: int, reason: str, values: dict[str, str]) -> Fault:
    return Fault(kind, What.BATCH, f"main log #{place}", reason, None, place, place, values)


def _of(
    kind: FaultKind, chain: uuid.UUID, first: int, last: int, reason: str, values: dict[str, str]
) -> Fault:
    return Fault(kind, What.BATCH, "", reason, chain, first, last, values)  # named once the writer is known
