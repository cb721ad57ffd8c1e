"""Publishing by gateways that serve few agencies and many: does the broker's check of the key cost what it may?

Publishes to ``ingress`` alone, confirmed, with nobody behind it: what differs between two gateways is the permission
that the broker looks at for each message. The gateways take turns in one run; the queue is emptied between turns.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

from relay.broker import names
from relay.broker.blocking import BlockingClient
from relay.broker.connection import Endpoint, call, close_quietly, open_channel, open_connection
from relay.broker.topology import topic_pattern
from relay.broker.wire import Foreign, properties_of
from relay.errors import Code, OperationError
from relay.model.agency import Agency
from relay.model.levels import Level
from relay.model.message import Kind, Lane, Outgoing
from relay.model.times import rfc3339
from relay.sandbox import provision
from relay.sandbox.bench import machine
from relay.sandbox.bench.broker import lone_broker
from relay.sandbox.bench.plan import KIB
from relay.sandbox.bench.site import Say
from relay.sandbox.home import Home, Kept
from relay.sandbox.node import ADMIN

BODY: Final = 5 * KIB
WINDOW: Final = 256  # publishes without a confirm
WARM: Final = 0.5  # seconds before the counting begins
_TIMEOUT: Final = 15.0
_QUEUE: Final = names.lane_queue(Lane.NORMAL)


@dataclass(frozen=True, slots=True)
class Turn:
    """One gateway's turn."""

    pair: int
    serves: int
    rate: float  # confirmed publishes a second
    broker_us: float  # CPU time of the broker for each


@dataclass(frozen=True, slots=True)
class GatewayReport:
    """The figures of a run."""

    at: str
    command: str
    seconds: float
    machine: dict[str, str]
    load_before: float
    apply_seconds: float
    again: int  # changes that a second apply found; 0 is right
    patterns: dict[int, int]  # characters of the permission on keys, by size
    turns: tuple[Turn, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes, the smallest first."""
        return tuple(sorted({turn.serves for turn in self.turns}))

    def rate(self, serves: int) -> float:
        """Return the median rate."""
        return median(turn.rate for turn in self.turns if turn.serves == serves)

    def broker_us(self, serves: int) -> float:
        """Return the median of the broker's CPU time for one publish, microseconds."""
        return median(turn.broker_us for turn in self.turns if turn.serves == serves)

    def ratio(self, serves: int) -> float:
        """Return the median over the pairs of this gateway's rate by that of the smallest in the same pair."""
        own = {turn.pair: turn.rate for turn in self.turns if turn.serves == serves}
        least = {turn.pair: turn.rate for turn in self.turns if turn.serves == self.sizes[0]}
        return median(own[pair] / least[pair] for pair in own)


def run_gateways(
    folder: Path, sizes: Sequence[int], *, seconds: float, pairs: int, command: str, say: Say = print
) -> GatewayReport:
    """Measure publishing for gateways that serve so many agencies each.

    Args:
        folder: Where the broker is made; it must not hold a sandbox. It stays.
        sizes: Agencies served, one gateway for each number.
        seconds: Length of one turn.
        pairs: How often each has its turn.
        command: The command line, for the report.
        say: Takes each line for people.

    Raises:
        OperationError: BROKER-MISSING, SANDBOX-LOCKED, SANDBOX-BROKEN: a publish was refused or returned.
    """
    # The one that serves itself alone has a code as deep as those that the others serve: routing costs by the word.
    gateways = {
        size: f"K{number:02d}" if size > 1 else f"K{number:02d}.01.01"
        for number, size in enumerate(sorted(set(sizes)), 1)
    }
    load = os.getloadavg()[0]
    agencies = [_agency(one, code) for size, code in gateways.items() for one in served(code, size)]
    with lone_broker(folder, agencies, say) as (home, version):
        kept = home.kept()
        known = provision.agencies_of(home, kept)
        began = time.monotonic()
        provision.apply_topology(home, kept, known)
        took = time.monotonic() - began
        again = provision.apply_topology(home, kept, known)
        say(f"{len(known)} agencies: topology applied in {took:.1f} s, once more: {again} changes")
        turns: list[Turn] = []
        for pair in range(pairs):
            order = list(gateways.items())
            for size, code in order if pair % 2 == 0 else reversed(order):
                turn = asyncio.run(_turn(home, kept, pair, size, code, seconds))
                turns.append(turn)
                say(
                    f"pair {pair + 1} of {pairs}, {size} served: {turn.rate:.0f}/s, broker {turn.broker_us:.0f} µs each"
                )
        return GatewayReport(
            at=rfc3339(datetime.now(UTC)),
            command=command,
            seconds=seconds,
            machine=machine.facts(folder, version),
            load_before=load,
            apply_seconds=took,
            again=again,
            patterns={size: len(topic_pattern(served(code, size))) for size, code in gateways.items()},
            turns=tuple(turns),
        )


def served(code: str, size: int) -> list[str]:
    """Return the codes that a gateway serves: its own, and those under it."""
    return [code, *(f"{code}.{number:02d}.{unit:02d}" for number, unit in _places(size - 1))]


def _places(count: int) -> Iterator[tuple[int, int]]:
    return itertools.islice(((number, unit) for number in range(1, 1000) for unit in range(100)), count)


def markdown(report: GatewayReport) -> str:
    """Return the figures as Markdown, without a heading of their own."""
    turns = sum(turn.serves == report.sizes[0] for turn in report.turns)
    facts = "; ".join(f"{name}: {value}" for name, value in report.machine.items())
    lines = [
        f"`{report.command}`, {report.at}. {turns} turns of {report.seconds:g} s for each gateway; {BODY // KIB} KB,",
        f"{WINDOW} publishes without a confirm.",
        "",
        f"{facts}; load average before the run: {report.load_before:.2f}.",
        "",
        f"`truc topology apply` for all of them: {report.apply_seconds:.1f} s; a second time {report.again} changes.",
        "",
        "| agencies served | permission, characters | publishes/s | of the smallest | broker CPU for each |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {size:,} | {report.patterns[size]:,} | {report.rate(size):,.0f} | {report.ratio(size):.2f} | "
        f"{report.broker_us(size):.0f} µs |"
        for size in report.sizes
    ]
    return "\n".join(lines) + "\n"


def as_json(report: GatewayReport) -> dict[str, Any]:
    """Return the report as JSON can hold it."""
    raw: dict[str, Any] = asdict(report)
    raw["ratios"] = {str(size): round(report.ratio(size), 4) for size in report.sizes}
    raw["rates"] = {str(size): round(report.rate(size), 1) for size in report.sizes}
    return raw


def _agency(code: str, gateway: str) -> Agency:
    return Agency(
        code=code,
        name=f"Cơ quan {code} (mẫu)",
        level=Level.PROVINCE if code == gateway else Level.DISTRICT,
        gateway=gateway,
        own_queue=code == gateway,
    )


async def _turn(home: Home, kept: Kept, pair: int, size: int, code: str, seconds: float) -> Turn:
    node = home.node(kept)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, _empty, node.endpoint(ADMIN, kept.passwords[ADMIN]))
    publisher = _Publisher(code, served(code, size))
    await publisher.connect(node.endpoint(code, kept.passwords[code]))
    try:
        await publisher.run(WARM)
        used = machine.cpu_seconds(home.path).get("broker", 0.0)
        began = time.monotonic()
        confirmed = await publisher.run(seconds)
        took = time.monotonic() - began
        cpu = machine.cpu_seconds(home.path).get("broker", 0.0) - used
    finally:
        await publisher.close()
    return Turn(pair, size, confirmed / took, cpu / max(confirmed, 1) * 1e6)


def _empty(endpoint: Endpoint) -> None:
    with BlockingClient(endpoint, name="truc bench") as client:
        client.raw.queue_purge(_QUEUE)


class _Publisher:
    """One gateway's connection: publishes for its agencies in turn, at most ``WINDOW`` without a confirm."""

    def __init__(self, user: str, codes: Sequence[str]) -> None:
        self._user = user
        self._keys = itertools.cycle([names.ingress_key(Lane.NORMAL, code) for code in codes])
        self._body = os.urandom(BODY)
        self._connection: Foreign = None
        self._channel: Foreign = None
        self._sent = self._confirmed = 0
        self._open: dict[int, None] = {}  # tags without a confirm, in order
        self._room = asyncio.Event()
        self._trouble: BaseException | None = None

    async def connect(self, endpoint: Endpoint) -> None:
        self._connection = await open_connection(endpoint, "bench gateway", self._broken, _TIMEOUT)
        self._channel = await open_channel(self._connection, self._broken, _TIMEOUT)
        self._channel.add_on_return_callback(
            lambda *_: self._broken(OperationError(Code.SANDBOX_BROKEN, "a publish was returned"))
        )

        def select(*, callback: Foreign) -> None:
            self._channel.confirm_delivery(ack_nack_callback=self._told, callback=callback)

        await call(select, channel=self._channel, timeout=_TIMEOUT)

    async def run(self, seconds: float) -> int:
        """Publish for so long, await every confirm, return how many there were."""
        before, end = self._confirmed, time.monotonic() + seconds
        while time.monotonic() < end:
            while self._sent - self._confirmed < WINDOW:
                self._one()
            await self._news()
        while self._confirmed < self._sent:
            await self._news()
        return self._confirmed - before

    async def _news(self) -> None:
        self._room.clear()
        if self._trouble is None:
            async with asyncio.timeout(_TIMEOUT):
                await self._room.wait()
        if self._trouble is not None:
            raise OperationError(Code.SANDBOX_BROKEN, f"publishing as {self._user}: {self._trouble}")

    def _one(self) -> None:
        message = Outgoing(
            exchange=names.INGRESS,
            routing_key=next(self._keys),
            body=self._body,
            message_id=str(uuid.UUID(int=self._sent + 1)),
            type=Kind.EDOC.value,
            content_type=names.CONTENT_EDXML,
            as_self=True,
        )
        self._sent += 1
        self._open[self._sent] = None
        self._channel.basic_publish(
            message.exchange, message.routing_key, message.body, properties_of(message, self._user), True
        )

    def _told(self, frame: Foreign) -> None:
        if frame.method.NAME != "Basic.Ack":
            self._broken(OperationError(Code.SANDBOX_BROKEN, "a publish was refused"))
            return
        tag = frame.method.delivery_tag
        for one in (
            list(itertools.takewhile(lambda each: each <= tag, self._open))
            if frame.method.multiple
            else [tag]
        ):
            del self._open[one]
            self._confirmed += 1
        self._room.set()

    def _broken(self, error: BaseException) -> None:
        self._trouble = self._trouble or error
        self._room.set()

    async def close(self) -> None:
        close_quietly(self._connection)
        await asyncio.sleep(0.1)
