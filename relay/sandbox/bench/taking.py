"""Taking from an agency's queue as fast as one process can: a large prefetch, acknowledgements by the hundred."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from relay.broker.connection import call, open_channel
from relay.broker.wire import Foreign, WireConnection

PREFETCH: Final = 500
_TOGETHER: Final = 100  # deliveries acknowledged at once
_PAUSE: Final = 0.02  # seconds after which fewer are
_TIMEOUT: Final = 10.0


class Taker:
    """One consumer on one queue; ``on_message`` gets the library's properties of each delivery."""

    def __init__(self, queue: str, on_message: Callable[[Foreign], None]) -> None:
        self._queue = queue
        self._on_message = on_message
        self._channel: Foreign = None
        self._last = 0
        self._unacknowledged = 0
        self._timer: asyncio.TimerHandle | None = None

    async def start(self, connection: WireConnection, on_close: Callable[[BaseException], None]) -> None:
        """Consume over an open connection. Raises ``BrokerError``."""
        channel = self._channel = await open_channel(connection, on_close, _TIMEOUT)
        await call(channel.basic_qos, channel=channel, timeout=_TIMEOUT, prefetch_count=PREFETCH)
        await call(channel.basic_consume, self._queue, self._taken, channel=channel, timeout=_TIMEOUT)

    def _taken(self, _channel: Foreign, method: Foreign, properties: Foreign, _body: bytes) -> None:
        self._on_message(properties)
        self._last = method.delivery_tag
        self._unacknowledged += 1
        if self._unacknowledged >= _TOGETHER:
            self._acknowledge()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PAUSE, self._acknowledge)

    def _acknowledge(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._unacknowledged and self._channel.is_open:
            self._unacknowledged = 0
            self._channel.basic_ack(self._last, multiple=True)
