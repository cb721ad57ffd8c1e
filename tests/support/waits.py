"""Waiting for what must happen: looked at again and again, with an end that only a fault can meet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(look: Callable[[], T], seconds: float = 90.0, what: str = "") -> T:
    """Return the first answer that is true. ``what`` is said when none comes."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"did not happen in time: {what}"
        time.sleep(0.05)
    return found


async def until_then(look: Callable[[], T], seconds: float = 90.0, what: str = "") -> T:
    """The same inside an event loop."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"did not happen in time: {what}"
        await asyncio.sleep(0.02)
    return found
