"""Where a broker is and how to log in; opening one asynchronous connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import pika
from pika import exceptions
from pika.adapters.utils.connection_workflow import AMQPConnectorException, AMQPConnectorStackTimeout

from relay.broker.tls import as_tls_error, client_context
from relay.broker.wire import RECEIVE, Foreign, WireConnection
from relay.errors import BrokerError, Code, ConfigurationError
from relay.settings import is_loopback

AMQP_PORT: Final = 5672
AMQPS_PORT: Final = 5671


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One broker and one user of it. The password stands in no ``repr``.

    With a certificate and no password the login is SASL EXTERNAL: the broker takes the user's name from the
    certificate, and ``user`` is the name that it will find there.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    vhost: str = "truc"
    tls: bool = False
    ca_file: Path | None = None  # anchor of the broker's certificate; the system's store if None
    cert_file: Path | None = None  # client certificate, for EXTERNAL
    key_file: Path | None = None
    heartbeat: int = 20  # seconds

    def __post_init__(self) -> None:
        if not self.tls and not is_loopback(self.host):
            raise ConfigurationError(
                Code.CONFIG_INVALID, "outside loopback the broker is reached by amqps only"
            )
        if not self.tls and self.cert_file is not None:
            raise ConfigurationError(Code.CONFIG_INVALID, "a client certificate needs amqps")

    @classmethod
    def from_url(
        cls,
        url: str,
        user: str | None = None,
        password: str | None = None,
        *,
        ca_file: Path | None = None,
        cert_file: Path | None = None,
        key_file: Path | None = None,
        heartbeat: int = 20,
    ) -> Endpoint:
        """Build from ``amqp://`` or ``amqps://``, the vhost as path; ``user`` and ``password`` win over the URL's.

        Raises:
            ConfigurationError: CONFIG-INVALID: another scheme, no host, no user, or plain AMQP outside loopback.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ConfigurationError(Code.CONFIG_INVALID, "the broker's URL cannot be read") from None
        if parts.scheme not in {"amqp", "amqps"} or not parts.hostname:
            raise ConfigurationError(Code.CONFIG_INVALID, "the broker's URL starts with amqp:// or amqps://")
        name = user if user is not None else unquote(parts.username or "")
        if not name:
            raise ConfigurationError(Code.CONFIG_INVALID, "no broker user is given")
        tls = parts.scheme == "amqps"
        return cls(
            host=parts.hostname,
            port=port or (AMQPS_PORT if tls else AMQP_PORT),
            user=name,
            password=password if password is not None else unquote(parts.password or ""),
            vhost=unquote(parts.path[1:]) or "truc",
            tls=tls,
            ca_file=ca_file,
            cert_file=cert_file,
            key_file=key_file,
            heartbeat=heartbeat,
        )

    @property
    def external(self) -> bool:
        """Whether the login is by client certificate."""
        return self.cert_file is not None and not self.password

    def parameters(self, name: str, *, blocked_timeout: float | None = None) -> pika.ConnectionParameters:
        """Return the library's parameters. ``name`` is what the broker's own tools show for the connection.

        Certificates and keys are read anew at each call.

        Raises:
            ConfigurationError: CONFIG-INVALID, KEY-UNUSABLE: the files of TLS.
        """
        tls = None
        credentials: Foreign = pika.PlainCredentials(self.user, self.password, erase_on_connect=False)
        if self.tls:
            tls = pika.SSLOptions(client_context(self.ca_file, self.cert_file, self.key_file), self.host)
            if self.external:
                credentials = pika.credentials.ExternalCredentials()
        return pika.ConnectionParameters(
            host=self.host,
            port=self.port,
            virtual_host=self.vhost,
            credentials=credentials,
            heartbeat=self.heartbeat,
            connection_attempts=1,
            socket_timeout=5,
            stack_timeout=10,
            blocked_connection_timeout=blocked_timeout,
            client_properties={"connection_name": name, "product": "truc"},
            ssl_options=tls,
        )


FAILURES: Final = (exceptions.AMQPError, AMQPConnectorException, OSError)
"""What the library raises where no connection is to be had. A handshake without an answer is none of its AMQPError."""

REFUSALS: Final = (
    exceptions.AuthenticationError,
    exceptions.ProbableAuthenticationError,
    exceptions.ProbableAccessDeniedError,
)


def as_broker_error(error: BaseException) -> BrokerError:
    """Tell a refusal (403 or 530: a person must mend it) and a failure of TLS from a broker that is not there."""
    causes = _causes(error)
    # Before the refusals: what TLS ends while the login is on its way looks like a wrong password.
    if (failure := as_tls_error(causes)) is not None:
        return failure
    for cause in causes:
        if isinstance(cause, REFUSALS):
            return BrokerError(Code.BROKER_REFUSED, "the broker refuses the user, the password or the vhost")
        if isinstance(cause, exceptions.ConnectionClosed) and cause.reply_code in {403, 530}:
            return BrokerError(Code.BROKER_REFUSED, "the broker refuses this connection")
        if isinstance(cause, exceptions.IncompatibleProtocolError):
            # A client certificate that is not taken ends like this too, where the alert does not come through.
            return BrokerError(
                Code.BROKER_UNREACHABLE,
                "what answers there ended the connection before the login: no AMQP, TLS where none was expected, or a"
                " client certificate that it does not take",
            )
        if isinstance(cause, AMQPConnectorStackTimeout):
            return BrokerError(Code.BROKER_UNREACHABLE, "no answer to the login in time")
    reason = next((one.strerror for one in causes if isinstance(one, OSError) and one.strerror), "")
    return BrokerError(Code.BROKER_UNREACHABLE, reason or type(error).__name__)


def look_again(endpoint: Endpoint, error: BrokerError, timeout: float = 2.0) -> BrokerError:
    """Return why a connection did not come about, if our certificate was the reason; else the error as it is.

    With TLS 1.3 a broker judges our certificate when we believe to be connected already and have begun to speak; what
    it says then is lost as a rule, for its system answers our words with a reset. So once more without a word. Waits
    up to ``timeout`` seconds (where a certificate is used and nothing else is known); not inside an event loop.
    """
    if error.code is not Code.BROKER_UNREACHABLE or not endpoint.tls or endpoint.cert_file is None:
        return error
    try:
        context = client_context(endpoint.ca_file, endpoint.cert_file, endpoint.key_file)
        with (
            socket.create_connection((endpoint.host, endpoint.port), timeout) as plain,
            context.wrap_socket(plain, server_hostname=endpoint.host) as safe,
        ):
            safe.recv(1)
    except OSError as reason:
        return as_tls_error([reason]) or error
    return error


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting and len(found) < 20:
        one = waiting.pop()
        if not isinstance(one, BaseException) or one in found:
            continue
        found.append(one)
        waiting += [one.__cause__, getattr(one, "exception", None), *getattr(one, "exceptions", ())]
        waiting += list(one.args)
    return found


async def open_connection(
    endpoint: Endpoint,
    name: str,
    on_close: Callable[[BaseException], None],
    timeout: float,
) -> WireConnection:
    """Open one connection. ``on_close`` is called once, when an opened connection ends for whatever reason.

    Raises:
        BrokerError: BROKER-UNREACHABLE or BROKER-REFUSED.
    """
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[None] = loop.create_future()

    def failed(_connection: object, error: BaseException) -> None:
        if not opened.done():
            opened.set_exception(as_broker_error(error))

    connection = WireConnection(
        endpoint.parameters(name),
        on_open_callback=lambda _c: None if opened.done() else opened.set_result(None),
        on_open_error_callback=failed,
        on_close_callback=lambda _c, error: on_close(error),
        custom_ioloop=loop,
    )
    try:
        async with asyncio.timeout(timeout):
            await opened
    except TimeoutError:
        close_quietly(connection)
        raise BrokerError(Code.BROKER_UNREACHABLE, "no answer in time") from None
    except BrokerError as error:
        close_quietly(connection)
        raise await asyncio.to_thread(look_again, endpoint, error) from error
    except BaseException:
        close_quietly(connection)
        raise
    transport = getattr(connection, "_transport", None)
    if transport is not None:
        transport._MAX_RECV_BYTES = RECEIVE  # noqa: SLF001 - the library has no parameter for it
    return connection


def close_quietly(connection: Foreign) -> None:
    """Start closing a connection in whatever state it is."""
    try:
        if not (connection.is_closed or connection.is_closing):
            connection.close()
    except exceptions.AMQPError:
        pass


async def open_channel(
    connection: Foreign, on_close: Callable[[BaseException], None], timeout: float
) -> Foreign:
    """Open a channel. ``on_close`` is called when it ends for whatever reason.

    Raises:
        BrokerError: BROKER-UNREACHABLE: no channel in time, or the connection is gone.
    """
    future: asyncio.Future[Foreign] = asyncio.get_running_loop().create_future()

    def settle(channel: Foreign) -> None:
        if not future.done():
            future.set_result(channel)

    def closed(_channel: object, error: BaseException) -> None:
        if not future.done():
            future.set_exception(BrokerError(Code.BROKER_UNREACHABLE, "the channel did not open"))
        on_close(error)

    try:
        channel = connection.channel(on_open_callback=settle)
        channel.add_on_close_callback(closed)
        async with asyncio.timeout(timeout):
            return await future
    except (exceptions.AMQPError, TimeoutError) as error:
        raise BrokerError(Code.BROKER_UNREACHABLE, "no channel") from error


async def call(
    method: Callable[..., Foreign], *arguments: Foreign, channel: Foreign, timeout: float, **named: Foreign
) -> Foreign:
    """Call one synchronous AMQP method of ``channel`` and return its answer, or raise what closed the channel.

    Raises:
        ChannelClosedByBroker: the library's own, with the broker's code.
        BrokerError: BROKER-UNREACHABLE: no answer in time, or the connection is gone.
    """
    future: asyncio.Future[Foreign] = asyncio.get_running_loop().create_future()

    def answered(frame: Foreign) -> None:
        if not future.done():
            future.set_result(frame)

    def closed(_channel: object, error: BaseException) -> None:
        if not future.done():
            future.set_exception(error)

    try:
        channel.add_on_close_callback(closed)
        method(*arguments, callback=answered, **named)
        async with asyncio.timeout(timeout):
            return await future
    except exceptions.ChannelClosedByBroker:
        raise
    except (exceptions.AMQPError, TimeoutError) as error:
        raise BrokerError(Code.BROKER_UNREACHABLE, "no answer") from error
