"""What a TLS listener shows, asked without a login: its certificate, and the old versions that it should not take."""

from __future__ import annotations

import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.broker.blocking import BlockingClient
from relay.broker.connection import Endpoint
from relay.broker.greeting import greeting, old_versions, server_certificate
from relay.broker.login import check_login
from relay.errors import BrokerError, Code
from relay.observe.clock import SystemClock
from tests.support import pki


@contextmanager
def listener(folder: Path, lowest: ssl.TLSVersion) -> Iterator[tuple[Endpoint, pki.Entity]]:
    """Serve TLS handshakes, and nothing after them."""
    entity = pki.issue("localhost")
    (folder / "server.pem").write_bytes(entity.chain_pem)
    (folder / "server.key").write_bytes(entity.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = lowest
    door = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                raw, _ = door.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(raw, server_side=True):
                    pass
            except OSError:
                raw.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield Endpoint("127.0.0.1", door.getsockname()[1], "relay", "x", tls=True), entity
    finally:
        door.shutdown(socket.SHUT_RDWR)
        door.close()
        thread.join(5)


def test_the_certificate_is_read_whether_it_is_believed_or_not(tmp_path: Path) -> None:
    with listener(tmp_path, ssl.TLSVersion.TLSv1_2) as (endpoint, entity):
        assert server_certificate(endpoint) == entity.der


@pytest.mark.parametrize(
    ("lowest", "taken"), [(ssl.TLSVersion.TLSv1_2, ()), (ssl.TLSVersion.TLSv1_1, ("TLS 1.1",))]
)
def test_old_versions_are_told(tmp_path: Path, lowest: ssl.TLSVersion, taken: tuple[str, ...]) -> None:
    with listener(tmp_path, lowest) as (endpoint, _):
        assert old_versions(endpoint) == taken


def test_a_certificate_that_does_not_hold_is_untrusted_at_the_login(tmp_path: Path) -> None:
    with (
        listener(tmp_path, ssl.TLSVersion.TLSv1_2) as (endpoint, _),
        pytest.raises(BrokerError) as refused,
        greeting(endpoint, SystemClock().now),
    ):
        raise AssertionError("let in")
    assert refused.value.code is Code.BROKER_UNTRUSTED


@pytest.fixture
def silent() -> Iterator[Endpoint]:
    """A broker that takes the connection and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=8) as door:
        yield Endpoint("127.0.0.1", door.getsockname()[1], "relay", "x")


def test_a_broker_that_never_answers_is_not_there(silent: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BrokerError) as greeted, greeting(silent, SystemClock().now, 0.3):
        raise AssertionError("let in")
    with pytest.raises(BrokerError) as asked:
        check_login(silent, 0.3)
    usual = Endpoint.parameters

    def quick(self: Endpoint, name: str, *, blocked_timeout: float | None = None) -> Any:
        found = usual(self, name, blocked_timeout=blocked_timeout)
        found.stack_timeout = 0.3
        return found

    monkeypatch.setattr(Endpoint, "parameters", quick)
    with pytest.raises(BrokerError) as opened:
        BlockingClient(silent, name="test").open()
    for refused in (greeted, asked, opened):
        assert refused.value.code is Code.BROKER_UNREACHABLE
        assert "no answer to the login in time" in refused.value.detail


def test_nobody_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = Endpoint("127.0.0.1", free.getsockname()[1], "relay", "x", tls=True)
    with pytest.raises(BrokerError) as refused:
        server_certificate(endpoint)
    assert refused.value.code is Code.BROKER_UNREACHABLE
    assert old_versions(endpoint) == ()
