"""What a service manager is told: that the process runs, that it still does, how it is (sd_notify(3), without its library).

Without ``NOTIFY_SOCKET`` in the environment, or with nobody behind it, nothing is told and nothing is wrong.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

_EVERY: Final = 10.0  # seconds between two messages where no watchdog asks for more


def tell(**facts: str) -> bool:
    """Send facts, such as ``READY="1"``; return whether anybody could be told."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    message = "\n".join(f"{key}={value}" for key, value in facts.items())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as one:
            one.setblocking(False)
            one.sendto(message.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
    except OSError:
        return False
    return True


def interval(environment: Mapping[str, str] = os.environ) -> float:
    """Return how often to tell, in seconds: three times within the watchdog's patience."""
    try:
        patience = int(environment.get("WATCHDOG_USEC", "")) / 1_000_000
    except ValueError:
        return _EVERY
    return min(_EVERY, patience / 3) if patience > 0 else _EVERY


async def keep_telling(
    live: Callable[[], tuple[bool, Mapping[str, object]]],
    ready: Callable[[], tuple[bool, Mapping[str, object]]],
) -> None:
    """Tell until cancelled that this event loop turns. Not while ``live`` says that only a restart helps: then the
    watchdog sees to it."""
    tell(READY="1")
    while True:
        if live()[0]:
            tell(WATCHDOG="1", STATUS="ready" if ready()[0] else "not ready, see /ready")
        await asyncio.sleep(interval())
