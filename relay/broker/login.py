"""One login, to see whether a broker really serves: a listening port alone says too little."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pika
import pika.exceptions

from relay.errors import BrokerError, Code


def try_login(host: str, port: int, vhost: str, user: str, password: str, timeout: float = 5.0) -> str:
    """Log in, open a channel, close again; return the broker's version, e.g. ``3.10.8``.

    Args:
        host: Where the broker listens without TLS (loopback).
        port: Its AMQP port.
        vhost: The virtual host to open.
        user: Broker user.
        password: Its password.
        timeout: Seconds for the whole handshake.

    Raises:
        BrokerError: BROKER-UNREACHABLE (nobody there yet, or too slow) or BROKER-REFUSED (user, vhost).
    """
    parameters = pika.ConnectionParameters(
        host=host,
        port=port,
        virtual_host=vhost,
        credentials=pika.PlainCredentials(user, password),
        socket_timeout=timeout,
        stack_timeout=timeout,
        blocked_connection_timeout=timeout,
        connection_attempts=1,
    )
    try:
        with _quiet():
            connection = pika.BlockingConnection(parameters)
    except (
        pika.exceptions.ProbableAuthenticationError,
        pika.exceptions.AuthenticationError,
        pika.exceptions.ProbableAccessDeniedError,
    ) as error:
        raise BrokerError(Code.BROKER_REFUSED, f"{user} may not log in to {vhost}") from error
    except (pika.exceptions.AMQPError, OSError) as error:
        raise BrokerError(Code.BROKER_UNREACHABLE, f"{host}:{port}: {type(error).__name__}") from error
    try:
        connection.channel()
        version = connection._impl.server_properties["version"]  # noqa: SLF001 - gone once the connection closes
        connection.close()
    except (pika.exceptions.AMQPError, OSError) as error:
        raise BrokerError(Code.BROKER_UNREACHABLE, f"{host}:{port}: {type(error).__name__}") from error
    return version.decode() if isinstance(version, bytes) else str(version)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library silent about a broker that is not there yet: the caller asks until it is."""
    logger = logging.getLogger("pika")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
