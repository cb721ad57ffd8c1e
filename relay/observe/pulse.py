"""Whether an event loop still turns: what `/live` rests on. Everything else that can be wrong mends without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from relay.model.ports import Clock

EVERY: Final = 1.0  # seconds between two beats
STILL: Final = (
    60.0  # seconds without one after which only a restart helps; nothing that is done in the loop takes that
)


class Pulse:
    """Beats in the loop, is asked from another thread.

    Args:
        clock: time.
        broken: whether a thread that the process cannot do without has ended.
    """

    def __init__(self, clock: Clock, broken: Callable[[], bool] = lambda: False) -> None:
        self._clock = clock
        self._broken = broken
        self._beaten = clock.monotonic()

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            self._beaten = self._clock.monotonic()
            await asyncio.sleep(EVERY)

    def live(self) -> tuple[bool, Mapping[str, object]]:
        """Return whether the process can come to work by itself, and the facts."""
        still, broken = self._clock.monotonic() - self._beaten, self._broken()
        return still < STILL and not broken, {"loop_still_seconds": round(still, 1), "writer": not broken}
