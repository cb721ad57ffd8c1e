"""``truc queue shape``: what is unfinished, by destination and age, beside what stands in the broker's queues.

After ``qshape`` of Postfix: ages double from column to column, so that a stand-still shows as numbers that wander to
the right. The registry's counts come grouped from the database; here they are only put in rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from relay.broker import names
from relay.model.message import Lane
from relay.model.standing import Shape, ShapeBy, ShapeCell
from relay.operate.why import Seen
from relay.pipeline.deliver import Ladder

OWN: Final = (
    *(names.lane_queue(lane) for lane in names.LANES),
    *(names.retry_queue(rung) for rung in names.RUNGS),
    names.DUE,
    names.QUARANTINE,
    names.INSPECT,
)
"""The relay's own queues, in the order of a document's way."""

Agencies = Callable[[str], str]
"""Gives the queue that serves a recipient."""


@dataclass(frozen=True, slots=True)
class Row:
    """One destination."""

    name: str
    counts: tuple[int, ...]  # by age, the youngest first
    planned: int = 0  # of them still with the relay; the others wait for the recipient
    oldest: datetime | None = None
    ready: int | None = (
        None  # messages in the broker's queue, of every kind; None: not a queue, or not looked at
    )
    consumers: int | None = None
    missing: bool = False  # there is no such queue

    @property
    def total(self) -> int:
        """All ages together."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Table:
    """The whole shape. ``bounds`` are ages in minutes; the last column is for what is older than all of them."""

    by: ShapeBy
    bounds: tuple[int, ...]
    total: Row
    rows: tuple[Row, ...]
    others: Row | None  # what --top left out, together
    own: tuple[Row, ...]
    broker: bool  # whether the broker answered
    unread: int  # agency queues with messages and no consumer


def ages(first: int, columns: int) -> tuple[int, ...]:
    """Return the bounds in minutes, each twice the one before."""
    return tuple(first * 2**place for place in range(columns))


def times(bounds: Sequence[int], now: datetime) -> list[datetime]:
    """Return the bounds as times, the youngest first: what the registry is asked with."""
    return [now - timedelta(minutes=bound) for bound in bounds]


def table(
    shape: Shape,
    by: ShapeBy,
    bounds: tuple[int, ...],
    queue_of: Agencies,
    seen: Mapping[str, Seen] | None,
    *,
    top: int = 20,
    ladder: Ladder | None = None,
) -> Table:
    """Put the counts of the registry and the depths of the broker side by side.

    Args:
        shape: counted by the registry.
        by: what it was counted by; agencies are told by the queue that serves them.
        bounds: of the ages, minutes.
        queue_of: the queue of a recipient.
        seen: what the broker says of its queues, agency queues too; None: it does not answer.
        top: so many rows; the rest is told together.
        ladder: the rungs of deferrals.
    """
    width = len(bounds) + 1
    rows = _rows(shape.deliveries, width, queue_of if by is ShapeBy.AGENCY else _same)
    unread = 0
    if by is ShapeBy.AGENCY:
        rows, unread = _with_depths(rows, seen, width)
    ordered = sorted(rows, key=lambda row: (-row.total, -(row.ready or 0), row.name))
    left = ordered[top:]
    return Table(
        by=by,
        bounds=bounds,
        total=_sum("", ordered, width),
        rows=tuple(ordered[:top]),
        others=_sum(str(len(left)), left, width) if left else None,
        own=_own(shape, seen, width, ladder or Ladder()),
        broker=seen is not None,
        unread=unread,
    )


def _same(key: str) -> str:
    return key


def _rows(cells: Iterable[ShapeCell], width: int, name_of: Callable[[str], str]) -> list[Row]:
    found: dict[str, Row] = {}
    for cell in cells:
        name = name_of(cell.key)
        before = found.get(name) or Row(name, (0,) * width)
        counts = list(before.counts)
        counts[cell.bucket] += cell.count
        oldest = cell.oldest if before.oldest is None else min(before.oldest, cell.oldest)
        found[name] = replace(
            before, counts=tuple(counts), planned=before.planned + cell.planned, oldest=oldest
        )
    return list(found.values())


def _with_depths(rows: list[Row], seen: Mapping[str, Seen] | None, width: int) -> tuple[list[Row], int]:
    """Add depth and consumers; also queues where something waits that the registry does not count, receipts say."""
    if seen is None:
        return rows, 0
    known = {row.name for row in rows}
    rows = [_seen(row, seen) for row in rows]
    more = [
        _seen(Row(queue, (0,) * width), seen)
        for queue, one in seen.items()
        if names.code_of_queue(queue) is not None and queue not in known and one is not None and one[0]
    ]
    both = rows + more
    return both, sum(1 for row in both if row.ready and not row.consumers)


def _seen(row: Row, seen: Mapping[str, Seen] | None) -> Row:
    if seen is None or row.name not in seen:
        return row
    one = seen[row.name]
    return replace(row, missing=True) if one is None else replace(row, ready=one[0], consumers=one[1])


def _sum(name: str, rows: Sequence[Row], width: int) -> Row:
    return Row(
        name,
        tuple(sum(row.counts[place] for row in rows) for place in range(width)),
        sum(row.planned for row in rows),
        min((row.oldest for row in rows if row.oldest is not None), default=None),
        sum(row.ready or 0 for row in rows) if any(row.ready is not None for row in rows) else None,
        sum(row.consumers or 0 for row in rows) if any(row.consumers is not None for row in rows) else None,
    )


def _own(shape: Shape, seen: Mapping[str, Seen] | None, width: int, ladder: Ladder) -> tuple[Row, ...]:
    def of_attempt(key: str) -> str:
        attempt = int(key)
        return names.retry_queue(ladder.rung(attempt)[0]) if attempt else names.DUE

    counted = {
        row.name: row
        for row in (
            *_rows(shape.in_hand, width, lambda lane: names.lane_queue(Lane(lane))),
            *_rows(shape.deferred, width, of_attempt),
            *_rows(shape.held, width, lambda _code: names.QUARANTINE),
        )
    }
    return tuple(_seen(counted.get(queue) or Row(queue, (0,) * width), seen) for queue in OWN)
