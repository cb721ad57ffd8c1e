"""One login, to see whether a broker really serves: a listening port alone says too little."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pika
import pika.exceptions

from relay.broker.connection import FAILURES, Endpoint, as_broker_error, look_again
from relay.errors import BrokerError, Code


def try_login(host: str, port: int, vhost: str, user: str, password: str, timeout: float = 5.0) -> str:
    """Log in without TLS; see ``check_login``. ``host`` is on loopback."""
    return check_login(Endpoint(host, port, user, password, vhost), timeout)


def check_login(endpoint: Endpoint, timeout: float = 5.0) -> str:
    """Log in, open a channel, close again; return the broker's version, e.g. ``3.10.8``.

    Args:
        endpoint: The broker, the user, and how to log in.
        timeout: Seconds for the whole handshake.

    Raises:
        BrokerError: BROKER-UNREACHABLE (nobody there yet, or too slow), BROKER-REFUSED (user, vhost, our certificate)
            or BROKER-UNTRUSTED (the broker's certificate does not hold).
        ConfigurationError: the files of TLS cannot be used.
    """
    parameters = endpoint.parameters("truc login")
    parameters.socket_timeout = timeout
    parameters.stack_timeout = timeout
    parameters.blocked_connection_timeout = timeout
    try:
        with _quiet():
            connection = pika.BlockingConnection(parameters)
    except FAILURES as error:
        failure = look_again(endpoint, as_broker_error(error))
        where = f"{endpoint.host}:{endpoint.port}"
        if failure.code is Code.BROKER_REFUSED:
            where = f"{endpoint.user} may not log in to {endpoint.vhost}"
        raise BrokerError(failure.code, f"{where}: {failure.detail}") from error
    try:
        connection.channel()
        version = connection._impl.server_properties["version"]  # noqa: SLF001 - gone once the connection closes
        connection.close()
    except (pika.exceptions.AMQPError, OSError) as error:
        raise BrokerError(
            Code.BROKER_UNREACHABLE, f"{endpoint.host}:{endpoint.port}: {type(error).__name__}"
        ) from error
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
