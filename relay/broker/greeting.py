"""One login that looks at what the broker offers, declares nothing and leaves nothing behind."""

from __future__ import annotations

import secrets
import socket
import ssl
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pika
from pika import exceptions

from relay.broker.connection import FAILURES, Endpoint, as_broker_error
from relay.broker.tls import client_context
from relay.broker.wire import Foreign
from relay.errors import BrokerError, Code

_OLD: Final = (("TLS 1.0", ssl.TLSVersion.TLSv1), ("TLS 1.1", ssl.TLSVersion.TLSv1_1))


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a broker offers to a client of ours. 0: without a limit."""

    name: str  # of the connection, unique: by it the management API finds it
    before: datetime  # by our clock: the connection was accepted between these two
    after: datetime
    frame_max: int
    channel_max: int
    heartbeat: int  # seconds
    channel: Foreign


@contextmanager
def greeting(endpoint: Endpoint, now: Callable[[], datetime], timeout: float = 5.0) -> Iterator[Greeting]:
    """Log in, open a channel, and close both at the end.

    Args:
        endpoint: the broker, the user, and how to log in.
        now: our clock.
        timeout: seconds for each step of the handshake.

    Raises:
        BrokerError: BROKER-UNREACHABLE, BROKER-REFUSED, BROKER-UNTRUSTED.
        ConfigurationError: the files of TLS cannot be used.
    """
    name = f"truc doctor {secrets.token_hex(6)}"
    offered = {"heartbeat": 0}

    def take(_connection: object, server: int) -> int:
        offered["heartbeat"] = server
        return server

    parameters = endpoint.parameters(name, blocked_timeout=timeout)
    parameters.socket_timeout = timeout
    parameters.stack_timeout = timeout
    parameters.heartbeat = take
    before = now()
    try:
        connection = pika.BlockingConnection(parameters)
    except FAILURES as error:
        raise as_broker_error(error) from error
    after = now()
    try:
        agreed = connection._impl.params  # noqa: SLF001 - the library tells what was agreed nowhere else
        yield Greeting(
            name,
            before,
            after,
            int(agreed.frame_max),
            int(agreed.channel_max),
            offered["heartbeat"],
            connection.channel(),
        )
    except (exceptions.AMQPError, OSError) as error:
        raise as_broker_error(error) from error
    finally:
        try:
            if connection.is_open:
                connection.close()
        except (exceptions.AMQPError, OSError):
            pass


def takes(hello: Greeting, octets: int) -> bool:
    """Whether the broker takes a body of that size. The channel of the greeting is gone afterwards.

    The body goes to a queue that does not exist, over the exchange that the relay's user may not write: the broker
    judges the size first (406), then the right (403), and nothing is stored either way.

    Raises:
        BrokerError: BROKER-UNREACHABLE, BROKER-BLOCKED: it did not come to an answer.
    """
    channel = hello.channel
    try:
        channel.confirm_delivery()
        channel.basic_publish("", f"{hello.name} {secrets.token_hex(8)}", bytes(octets))
    except exceptions.ChannelClosedByBroker as error:
        return bool(error.reply_code != 406)
    except exceptions.ConnectionBlockedTimeout as error:
        raise BrokerError(Code.BROKER_BLOCKED, "the broker has an alarm and takes nothing") from error
    except (exceptions.AMQPError, OSError) as error:
        raise as_broker_error(error) from error
    return True


def server_certificate(endpoint: Endpoint, timeout: float = 5.0) -> bytes:
    """Return the DER of the certificate that the broker shows, believed or not.

    Raises:
        BrokerError: BROKER-UNREACHABLE: nobody answers there, or not with TLS.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Nothing is sent over this connection; whether the certificate holds is judged by the login.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    found = _handshake(endpoint, context, timeout)
    if not found:
        raise BrokerError(Code.BROKER_UNREACHABLE, f"{endpoint.host}:{endpoint.port}: no TLS handshake")
    return found


def old_versions(endpoint: Endpoint, timeout: float = 5.0) -> tuple[str, ...]:
    """Return the versions of TLS below 1.2 that the broker takes (RFC 8996 says that it must not)."""
    taken = []
    for name, version in _OLD:
        context = client_context(endpoint.ca_file)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = version
            context.maximum_version = version
        context.set_ciphers("ALL:@SECLEVEL=0")  # else this side refuses before the broker is asked
        if _handshake(endpoint, context, timeout):
            taken.append(name)
    return tuple(taken)


def _handshake(endpoint: Endpoint, context: ssl.SSLContext, timeout: float) -> bytes:
    try:
        with (
            socket.create_connection((endpoint.host, endpoint.port), timeout=timeout) as raw,
            context.wrap_socket(raw, server_hostname=endpoint.host) as safe,
        ):
            return safe.getpeercert(binary_form=True) or b""
    except (OSError, ValueError):
        return b""
