"""The gateway's link over the plain broker client: one connection to publish, one for each time of consuming."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from relay.broker.blocking import BlockingClient
from relay.broker.connection import Endpoint
from relay.errors import BrokerError, Code
from relay.model.message import Incoming, Outgoing, Published

# What the broker answers to a publish that a right or a property forbids: sending it again would change nothing.
_FOR_GOOD: Final = ("403", "404", "406")


class AmqpLink:
    """The port ``Link``. Connects at the first use; after a broken connection the next call connects anew."""

    def __init__(self, endpoint: Endpoint, *, name: str = "truc gateway", timeout: float = 15.0) -> None:
        self._endpoint = endpoint
        self._name = name
        self._timeout = timeout
        self._publisher: BlockingClient | None = None
        self._consumer: BlockingClient | None = None

    def publish(self, message: Outgoing) -> Published:
        """Publish as ourselves. Raises ``BrokerError``, PUBLISH-REFUSED when it is refused for good."""
        if self._publisher is None:
            self._publisher = BlockingClient(self._endpoint, name=f"{self._name} out", timeout=self._timeout)
        self._publisher.open()
        try:
            result = self._publisher.publish_outgoing(message)
        except BrokerError as error:
            if error.code is Code.BROKER_REFUSED and error.detail.startswith(_FOR_GOOD):
                raise BrokerError(Code.PUBLISH_REFUSED, error.detail) from error
            raise
        if result is Published.NACKED:
            # A channel that met a queue whose leader had just died is nacked for ever (RabbitMQ 3.10): not this one again.
            self._publisher.close()
            self._publisher = None
        return result

    def consume(self, queue: str, prefetch: int, idle: float) -> Generator[Incoming]:
        """Yield messages until none came for ``idle`` seconds; what is not settled then goes back."""
        self._end_consumer()
        consumer = BlockingClient(
            self._endpoint, name=f"{self._name} in", timeout=self._timeout, prefetch=prefetch
        )
        self._consumer = consumer
        try:
            while (message := consumer.take(queue, idle)) is not None:
                yield message
        finally:
            self._end_consumer()

    def ack(self, message: Incoming) -> None:
        """Acknowledge; if its connection is gone, the message comes again."""
        if self._consumer is not None:
            self._consumer.ack(message)

    def reject(self, message: Incoming, *, requeue: bool) -> None:
        """Give back or dead-letter."""
        if self._consumer is not None:
            if requeue:
                self._consumer.requeue(message)
            else:
                self._consumer.reject(message)

    def close(self) -> None:
        """Close what is open."""
        self._end_consumer()
        if self._publisher is not None:
            self._publisher.close()
            self._publisher = None

    def _end_consumer(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()
