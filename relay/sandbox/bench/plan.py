"""What is to be measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Verify = Literal["inline", "threads", "processes"]
System = Literal["relay", "bare", "switched"]
"""``switched``: the relay, its workers told now and then to put nothing on record."""

KIB: Final = 1024
SIZES: Final = (5 * KIB, 64 * KIB)
GATEWAY: Final = "H40"
SIGNERS: Final = tuple(f"{GATEWAY}.{number:02d}" for number in range(1, 61))
"""The agencies that sign; one gateway serves them all."""
RSA_EVERY: Final = 5  # each fifth of them signs with RSA-2048, the others with ECDSA P-256
RECIPIENTS: Final = ("G22", "H53", "H53.31.20")
"""Three levels, three gateways, three queues."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of the bench."""

    seconds: float = 10.0  # of each measured phase
    pairs: int = 5
    sizes: tuple[int, ...] = SIZES  # bytes of a signed package, about
    workers: int = 1
    verify: Verify = "inline"
    profile: bool = False

    @property
    def warm(self) -> float:
        """Seconds of load before the counting begins."""
        return min(2.0, self.seconds / 2)

    @property
    def window(self) -> int:
        """Documents on their way at most while the publisher fills the queue: more than the workers' prefetch."""
        return 200 + 200 * self.workers


def first_system(pair: int) -> tuple[System, System]:
    """Return the order within a pair, from 0 on: it turns round each time, so that a drift helps neither."""
    return ("relay", "bare") if pair % 2 == 0 else ("bare", "relay")
