"""From what sender and readers noted to the figures of one phase. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

PERCENTS: Final = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class Notes:
    """What was noted in one phase; times in seconds of one monotonic clock."""

    published: dict[str, float]  # by transport id
    receipts: dict[str, float]
    arrivals: dict[tuple[str, int], float]  # by transport id and recipient, the first one
    copies: int  # arrivals beyond the first
    strangers: int  # arrivals of nothing that was sent in this phase

    @classmethod
    def read(cls, sent: Path, came: Path) -> Notes:
        """Read the files of sender and readers."""
        published, receipts = {}, {}
        for line in sent.read_text(encoding="ascii").splitlines():
            name, at, receipt = line.split()
            published[name] = float(at)
            if float(receipt):
                receipts[name] = float(receipt)
        arrivals: dict[tuple[str, int], float] = {}
        copies = strangers = 0
        for line in came.read_text(encoding="ascii").splitlines():
            name, recipient, at = line.split()
            key = (name, int(recipient))
            if name not in published:
                strangers += 1
            elif key in arrivals:
                copies += 1
            else:
                arrivals[key] = float(at)
        return cls(published, receipts, arrivals, copies, strangers)

    def missing(self, recipients: int) -> int:
        """Return how many deliveries and receipts did not come."""
        return len(self.published) * (recipients + 1) - len(self.arrivals) - len(self.receipts)

    def rate(self, recipients: int, begin: float, end: float) -> float:
        """Return documents a second that were done (all deliveries and the receipt came) from ``begin`` to ``end``."""
        came: dict[str, list[float]] = {name: [at] for name, at in self.receipts.items()}
        for (name, _), at in self.arrivals.items():
            if name in came:
                came[name].append(at)
        done = sum(1 for times in came.values() if len(times) == recipients + 1 and begin < max(times) <= end)
        return done / (end - begin) if end > begin else 0.0

    def delivery_ms(self, begin: float) -> list[float]:
        """Return the ms from publish to arrival, of each delivery of what was published after ``begin``, sorted."""
        return sorted(
            (at - self.published[name]) * 1000
            for (name, _), at in self.arrivals.items()
            if self.published[name] > begin
        )

    def receipt_ms(self, begin: float) -> list[float]:
        """Return the ms from publish to receipt of each document published after ``begin``, sorted."""
        return sorted(
            (at - self.published[name]) * 1000
            for name, at in self.receipts.items()
            if self.published[name] > begin
        )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest value that ``percent`` of the values do not exceed; 0 of none. ``ordered`` ascends."""
    if not ordered:
        return 0.0
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank), 1) - 1]


@dataclass(frozen=True, slots=True)
class Spread:
    """Several measurements of one thing."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Summarize. Raises ``ValueError`` on none."""
        kept = list(values)
        if not kept:
            raise ValueError("nothing was measured")
        return cls(median(kept), min(kept), max(kept))

    def written(self, form: str) -> str:
        """Return ``median (low to high)``, each in the format."""
        return f"{self.median:{form}} ({self.low:{form}} to {self.high:{form}})"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What several differences say together: the middle of them, and between what it lies."""

    value: float
    low: float
    high: float
    confidence: (
        float  # that the true middle lies between, at least; of few differences it is lower than was wanted
    )

    @classmethod
    def of(cls, differences: Iterable[float], wanted: float = 0.95) -> Estimate:
        """Estimate by Hodges and Lehmann: the median of all means of two, with the interval of Wilcoxon's signed ranks.

        It asks of the differences only that they lie alike on both sides of the middle, and one that is far out, as
        another process on the machine makes it, moves it little. Raises ``ValueError`` on none.
        """
        kept = list(differences)
        if not kept:
            raise ValueError("nothing was measured")
        means = sorted((one + two) / 2 for at, one in enumerate(kept) for two in kept[at:])
        left, share = _outside(len(kept), (1 - wanted) / 2)
        return cls(median(means), means[left], means[-1 - left], 1 - 2 * share)

    def written(self, form: str) -> str:
        """Return ``value (low to high)``, each in the format."""
        return f"{self.value:{form}} ({self.low:{form}} to {self.high:{form}})"


def _outside(count: int, limit: float) -> tuple[int, float]:
    """Return how many of the ordered means may be left out at each end, and the chance that the middle lies beyond.

    The chance is that of a sum of signed ranks so small: each rank from 1 to ``count`` is in the sum or is not.
    """
    ways = [1]  # by sum
    for rank in range(1, count + 1):
        ways = [
            (ways[total] if total < len(ways) else 0) + (ways[total - rank] if total >= rank else 0)
            for total in range(len(ways) + rank)
        ]
    share, left = ways[0] / 2**count, 0
    while left + 1 < len(ways) // 2 and share + ways[left + 1] / 2**count <= limit:
        left += 1
        share += ways[left] / 2**count
    return left, share
