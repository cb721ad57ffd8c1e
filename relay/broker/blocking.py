"""A plain client for gateways and tools: one connection, one thread, one thing at a time, nothing without a limit."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import pika
from pika import exceptions

from relay.broker.connection import FAILURES, Endpoint, as_broker_error, look_again
from relay.broker.wire import Foreign, incoming, properties_of
from relay.errors import BrokerError, Code
from relay.model.message import Incoming, Outgoing, Properties, Published


class BlockingClient:
    """Publishes confirmed and mandatory, takes with single acknowledgements.

    Not for several threads. Who publishes and consumes for long uses two clients: an alarm of the broker stops the
    acknowledgements of a connection that has published. After an error the next call connects anew.

    Errors: ``BrokerError`` BROKER-UNREACHABLE, BROKER-REFUSED (403, 404, 406, 530: the detail begins with the broker's
    number), BROKER-BLOCKED (an alarm lasted longer than the limit).
    """

    def __init__(self, endpoint: Endpoint, *, name: str, timeout: float = 10.0, prefetch: int = 10) -> None:
        self._endpoint = endpoint
        self._name = name
        self._timeout = timeout  # seconds for each answer of the broker
        self._prefetch = prefetch
        self._connection: Foreign = None
        self._channel: Foreign = None
        self._session = 0
        self._consuming: str | None = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def user(self) -> str:
        """The broker user of this client."""
        return self._endpoint.user

    def open(self) -> None:
        """Connect and log in, if not done yet."""
        with self._guard(self._timeout):
            self._ready()

    def close(self) -> None:
        """Close; what was taken and not settled goes back to its queue."""
        connection, self._connection = self._connection, None
        self._forget_channel()
        try:
            if connection is not None and connection.is_open:
                connection.close()
        except (exceptions.AMQPError, OSError):
            pass

    # --- publish

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: Properties,
        *,
        mandatory: bool = True,
        timeout: float | None = None,
    ) -> Published:
        """Publish with exactly these properties and wait for the confirm.

        UNDECIDED: the connection ended or the limit passed before an answer; the message may be there.
        """
        return self._publish(exchange, routing_key, body, _foreign(properties), mandatory, timeout)

    def publish_outgoing(self, message: Outgoing, *, timeout: float | None = None) -> Published:
        """Publish one of the relay's own messages; see ``publish``."""
        properties = properties_of(message, self._endpoint.user)
        return self._publish(
            message.exchange, message.routing_key, message.body, properties, mandatory=True, timeout=timeout
        )

    def _publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: pika.BasicProperties,
        mandatory: bool,
        timeout: float | None,
    ) -> Published:
        sent = False
        try:
            with self._guard(timeout or self._timeout):
                channel = self._ready()
                sent = True
                try:
                    channel.basic_publish(exchange, routing_key, body, properties, mandatory)
                except exceptions.UnroutableError:
                    return Published.RETURNED
                except exceptions.NackError:
                    return Published.NACKED
                return Published.CONFIRMED
        except BrokerError as error:
            if sent and error.code is Code.BROKER_UNREACHABLE:
                return Published.UNDECIDED
            raise

    # --- take

    def get(self, queue: str) -> Incoming | None:
        """Take one message if there is one."""
        with self._guard(self._timeout):
            channel = self._ready()
            method, properties, body = channel.basic_get(queue, auto_ack=False)
            return None if method is None else incoming(queue, method, properties, body, self._session)

    def take(self, queue: str, timeout: float) -> Incoming | None:
        """Wait up to ``timeout`` seconds for one message. The consumer stays for the next call on the same queue."""
        with self._guard(timeout + self._timeout):
            channel = self._ready()
            if self._consuming != queue:
                if self._consuming is not None:
                    channel.cancel()
                channel.basic_qos(prefetch_count=self._prefetch)
                self._consuming = queue
            # Each generator goes on with the one consumer of the channel.
            deliveries = channel.consume(queue, inactivity_timeout=timeout)
            method, properties, body = next(deliveries, (None, None, b""))
            if method is None:
                if not channel.consumer_tags:
                    self._consuming = None
                return None
            return incoming(queue, method, properties, body, self._session)

    def ack(self, message: Incoming) -> None:
        """Acknowledge; ignored if its session is gone (it will come again)."""
        if self._current(message):
            with self._guard(self._timeout):
                self._channel.basic_ack(message.tag)

    def reject(self, message: Incoming) -> None:
        """Say that this one failed: it is dead-lettered."""
        if self._current(message):
            with self._guard(self._timeout):
                self._channel.basic_reject(message.tag, requeue=False)

    def requeue(self, message: Incoming) -> None:
        """Give it back untouched."""
        if self._current(message):
            with self._guard(self._timeout):
                self._channel.basic_nack(message.tag, requeue=True)

    def depth(self, queue: str) -> int | None:
        """Return how many messages stand ready in a queue, or None if there is no such queue (passive declare)."""
        seen = self.seen(queue)
        return None if seen is None else seen[0]

    def seen(self, queue: str) -> tuple[int, int] | None:
        """Return messages ready in a queue and its consumers, or None if there is no such queue (passive declare)."""
        try:
            with self._guard(self._timeout):
                found = self._ready().queue_declare(queue, passive=True).method
                return int(found.message_count), int(found.consumer_count)
        except BrokerError as error:
            if error.detail.startswith("404"):
                return None
            raise

    def idle(self, seconds: float = 0.0) -> None:
        """Let the connection answer heartbeats; call it while nothing else is called for long."""
        with self._guard(seconds + self._timeout):
            self._ready()
            self._connection.process_data_events(seconds)

    @property
    def raw(self) -> Foreign:
        """The library's channel, for tests that try what no client of ours would do."""
        with self._guard(self._timeout):
            return self._ready()

    # --- inside

    def _current(self, message: Incoming) -> bool:
        return self._channel is not None and self._channel.is_open and message.session == self._session

    def _ready(self) -> Foreign:
        if self._connection is None or not self._connection.is_open:
            self._forget_channel()
            limit = self._timeout
            parameters = self._endpoint.parameters(self._name, blocked_timeout=limit)
            try:
                self._connection = pika.BlockingConnection(parameters)
            except FAILURES as error:
                raise look_again(self._endpoint, as_broker_error(error)) from error
        if self._channel is None or not self._channel.is_open:
            self._forget_channel()
            self._channel = self._connection.channel()
            self._channel.confirm_delivery()
            self._session += 1
        return self._channel

    def _forget_channel(self) -> None:
        self._channel = None
        self._consuming = None

    @contextmanager
    def _guard(self, seconds: float) -> Generator[None]:
        """Turn the library's errors into ours, and end the connection when the broker does not answer in time."""
        was_open = self._connection is not None and self._connection.is_open
        timer = self._arm(seconds) if was_open else None
        try:
            yield
        except exceptions.ConnectionBlockedTimeout as error:
            self.close()
            raise BrokerError(Code.BROKER_BLOCKED, "the broker has an alarm and takes nothing") from error
        except exceptions.ChannelClosedByBroker as error:
            self._forget_channel()
            raise BrokerError(Code.BROKER_REFUSED, f"{error.reply_code} {error.reply_text}") from error
        except FAILURES as error:
            self.close()
            raise as_broker_error(error) from error
        finally:
            self._disarm(timer)

    def _arm(self, seconds: float) -> Foreign:
        """The library waits for a confirm without end; a timer of its inner loop ends the connection instead."""
        inner = self._connection._impl  # noqa: SLF001

        def out_of_time() -> None:
            inner._terminate_stream(exceptions.StreamLostError("no answer in time"))  # noqa: SLF001

        return inner, inner._adapter_call_later(seconds, out_of_time)  # noqa: SLF001

    @staticmethod
    def _disarm(timer: Foreign) -> None:
        if timer is not None:
            inner, handle = timer
            inner._adapter_remove_timeout(handle)  # noqa: SLF001


def _foreign(properties: Properties) -> pika.BasicProperties:
    return pika.BasicProperties(
        content_type=properties.content_type,
        content_encoding=properties.content_encoding,
        headers=dict(properties.headers) or None,
        delivery_mode=properties.delivery_mode,
        priority=properties.priority,
        correlation_id=properties.correlation_id,
        reply_to=properties.reply_to,
        expiration=properties.expiration,
        message_id=properties.message_id,
        timestamp=properties.timestamp,
        type=properties.type,
        user_id=properties.user_id,
        app_id=properties.app_id,
    )
