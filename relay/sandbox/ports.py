"""Ports of a sandbox: one free block below the ephemeral range, chosen once and remembered by the home.

Inside the ephemeral range any client of the machine may sit on a port at the moment the broker wants it back.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay.errors import Code, OperationError

BLOCK: Final = 32
_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_PREFERRED = (20000, 32000)
_OTHERWISE = (2048, 65536)
_BROKER_PORTS = 5
_MOST_WORKERS = BLOCK - _BROKER_PORTS - 2  # keeper and time-stamps have one each


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one home, by their first number."""

    base: int

    @property
    def amqp(self) -> int:
        return self.base

    @property
    def management(self) -> int:
        return self.base + 1

    @property
    def prometheus(self) -> int:
        return self.base + 2

    @property
    def distribution(self) -> int:
        return self.base + 3

    @property
    def epmd(self) -> int:
        return self.base + 4

    @property
    def broker(self) -> tuple[int, ...]:
        """The five ports of the node."""
        return tuple(range(self.base, self.base + _BROKER_PORTS))

    @property
    def keeper(self) -> int:
        """HTTP port of the keeper."""
        return self.base + _BROKER_PORTS

    @property
    def stamps(self) -> int:
        """HTTP port of the time-stamp authority: the last one."""
        return self.base + BLOCK - 1

    def worker(self, number: int) -> int:
        """HTTP port of worker ``number`` (from 1 on). Raises SANDBOX-BROKEN beyond the block."""
        if not 1 <= number <= _MOST_WORKERS:
            raise OperationError(Code.SANDBOX_BROKEN, f"a sandbox has room for {_MOST_WORKERS} workers")
        return self.base + _BROKER_PORTS + number


def ephemeral_range() -> tuple[int, int]:
    """Return the first and the last port that the kernel hands out by itself."""
    try:
        low, high = _RANGE_FILE.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return 32768, 60999
    return int(low), int(high)


def is_free(port: int) -> bool:
    """Whether nothing on this machine listens on the port of the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def candidates(ephemeral: tuple[int, int], dice: random.Random) -> Iterator[int]:
    """Yield the first ports of blocks outside the ephemeral range: those in 20000-32000 first, in random order."""
    low, high = ephemeral
    seen: set[int] = set()
    for first, last in (_PREFERRED, _OTHERWISE):
        blocks = [
            base
            for base in range(first, last - BLOCK + 1, BLOCK)
            if base not in seen and (base + BLOCK <= low or base > high)
        ]
        dice.shuffle(blocks)
        seen.update(blocks)
        yield from blocks


@contextmanager
def claim(base: int) -> Iterator[bool]:
    """Hold a block against other sandboxes of this machine, of any user, while it is being chosen and first used.

    Yields False if another one holds it. The name lives in the kernel and ends with the process.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as guard:
        try:
            guard.bind(f"\0truc-sandbox-ports-{base}")
        except OSError:
            yield False
            return
        yield True


@contextmanager
def choose(dice: random.Random) -> Iterator[Ports]:
    """Choose a free block and hold it while the ``with`` block runs. Raises SANDBOX-BROKEN if there is none."""
    for base in candidates(ephemeral_range(), dice):
        with claim(base) as mine:
            if mine and all(is_free(port) for port in range(base, base + BLOCK)):
                yield Ports(base)
                return
    raise OperationError(Code.SANDBOX_BROKEN, "no free block of ports outside the ephemeral range")
