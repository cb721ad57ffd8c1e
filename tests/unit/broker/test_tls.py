"""What a connection takes for the broker, and what it says when it does not: against small TLS servers of our own."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from relay.broker.blocking import BlockingClient
from relay.broker.connection import Endpoint, open_connection
from relay.broker.link import AmqpLink, LinkTimes
from relay.broker.login import check_login
from relay.broker.management import Management
from relay.broker.tls import client_context
from relay.cli.errors import EXIT_CONFIGURATION, exit_code
from relay.errors import Code, ConfigurationError, TrucError
from relay.errors.catalogue import entry
from tests.support import pki
from tests.support.waits import until_then as until

DAY = timedelta(days=1)
ROOT = Path(__file__).resolve().parents[3]


def san(*names: x509.GeneralName) -> tuple[x509.ExtensionType, bool]:
    return x509.SubjectAlternativeName(names), False


HERE = san(x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1")))


class Authority:
    """A root that is valid today, and certificates of it."""

    def __init__(self, folder: Path, name: str) -> None:
        now = datetime.now(UTC)
        self.root = pki.issue(name, ca=True, not_before=now - DAY, not_after=now + DAY)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self.root.pem)
        self.folder = folder

    def leaf(
        self, name: str, *extra: tuple[x509.ExtensionType, bool], begins: int = -1, ends: int = 1
    ) -> Path:
        now = datetime.now(UTC)
        entity = pki.issue(
            name, self.root, extra=extra, not_before=now + begins * DAY, not_after=now + ends * DAY
        )
        path = self.folder / f"{name}-leaf.pem"
        path.write_bytes(entity.key_pem + entity.chain_pem)
        return path


class Server:
    """Accepts, does the handshake, says nothing and hangs up."""

    def __init__(self, certificate: Path | None, **limits: ssl.TLSVersion) -> None:
        self.shaken = 0  # handshakes that the client finished
        self.failed = 0
        self.certificate = certificate
        self._limits = limits
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            try:
                plain.settimeout(5)
                if self.certificate is None:
                    plain.recv(16)
                    plain.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    plain.close()
                    continue
                with self._context().wrap_socket(plain, server_side=True) as safe:
                    safe.recv(1)
                    self.shaken += 1
            except OSError:
                self.failed += 1

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        assert self.certificate is not None
        context.load_cert_chain(self.certificate)
        if self._limits:
            context.set_ciphers("ALL:@SECLEVEL=0")
        for name, value in self._limits.items():
            setattr(context, name, value)
        return context

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(certificate: Path | None, **limits: ssl.TLSVersion) -> Server:
        servers.append(Server(certificate, **limits))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


def at(server: Server, authority: Authority, host: str = "127.0.0.1") -> Endpoint:
    return Endpoint(host, server.port, "relay", "x", tls=True, ca_file=authority.file)


def failures(endpoint: Endpoint) -> list[TrucError]:
    """Return what each way of connecting says."""

    async def asynchronously() -> None:
        await open_connection(endpoint, "test", lambda _error: None, 10)

    def manage() -> None:
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        Management(
            f"https://{host}:{endpoint.port}", "u", "p", ca_file=endpoint.ca_file, timeout=5
        ).overview()

    ways: list[Callable[[], object]] = [
        lambda: check_login(endpoint),
        lambda: BlockingClient(endpoint, name="test", timeout=5).open(),
        lambda: asyncio.run(asynchronously()),
        manage,
    ]
    found = []
    for way in ways:
        with pytest.raises(TrucError) as caught:
            way()
        found.append(caught.value)
    return found


def all_say(endpoint: Endpoint, code: Code, words: str) -> None:
    for error in failures(endpoint):
        assert error.code is code, error
        assert re.search(words, error.detail), error.detail


def test_a_certificate_for_the_name_and_of_the_authority_is_taken(
    serve: Callable[..., Server], authority: Authority
) -> None:
    server = serve(authority.leaf("good", HERE))
    for host in ("127.0.0.1", "localhost"):
        all_say(at(server, authority, host), Code.BROKER_UNREACHABLE, "")
    assert server.shaken == 8
    assert server.failed == 0


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        (lambda one: one.leaf("past", HERE, begins=-9, ends=-1), "certificate has expired"),
        (lambda one: one.leaf("future", HERE, begins=1, ends=2), "not yet valid"),
        (lambda one: one.leaf("other", san(x509.DNSName("broker.example"))), "IP address mismatch"),
        (lambda one: one.leaf("127.0.0.1"), "IP address mismatch"),  # in the common name alone
        (lambda one: Authority(one.folder, "stranger").leaf("s", HERE), "local issuer|self.signed"),
    ],
)
def test_what_is_not_the_broker_is_named(
    serve: Callable[..., Server],
    authority: Authority,
    certificate: Callable[[Authority], Path],
    words: str,
) -> None:
    server = serve(certificate(authority))
    all_say(at(server, authority), Code.BROKER_UNTRUSTED, words)
    assert server.shaken == 0


def test_the_name_is_checked_too_where_a_name_is_connected_to(
    serve: Callable[..., Server], authority: Authority
) -> None:
    server = serve(authority.leaf("other", san(x509.DNSName("broker.example"))))
    all_say(at(server, authority, "localhost"), Code.BROKER_UNTRUSTED, "Hostname mismatch")


def test_the_systems_authorities_do_not_vouch_for_a_stranger(
    serve: Callable[..., Server], authority: Authority
) -> None:
    server = serve(authority.leaf("good", HERE))
    all_say(replace(at(server, authority), ca_file=None), Code.BROKER_UNTRUSTED, "issuer|self.signed")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_of_tls_are_not_spoken(
    serve: Callable[..., Server], authority: Authority, version: ssl.TLSVersion
) -> None:
    server = serve(authority.leaf("good", HERE), minimum_version=version, maximum_version=version)
    all_say(at(server, authority), Code.BROKER_UNTRUSTED, "nothing newer than TLS 1.1")
    assert server.shaken == 0


def test_tls_1_2_is(serve: Callable[..., Server], authority: Authority) -> None:
    server = serve(authority.leaf("good", HERE), maximum_version=ssl.TLSVersion.TLSv1_2)
    all_say(at(server, authority), Code.BROKER_UNREACHABLE, "")
    assert server.shaken == 4


def test_what_does_not_speak_tls_is_named(serve: Callable[..., Server], authority: Authority) -> None:
    all_say(at(serve(None), authority), Code.BROKER_UNTRUSTED, "does not speak TLS")


def test_an_operator_is_asked_and_a_command_ends_while_a_worker_goes_on() -> None:
    known = entry(Code.BROKER_UNTRUSTED)
    assert (known.owner, known.retryable) == ("operator", True)
    assert exit_code(TrucError(Code.BROKER_UNTRUSTED)) == EXIT_CONFIGURATION


def test_a_worker_tries_again_until_the_certificate_is_renewed(
    serve: Callable[..., Server], authority: Authority
) -> None:
    server = serve(authority.leaf("past", HERE, begins=-9, ends=-1))
    incidents: list[str] = []

    async def run() -> int:
        link = AmqpLink(
            at(server, authority),
            name="test",
            jitter=lambda: 0.0,
            times=LinkTimes(first_pause=0.01, longest_pause=0.1, refused_pause=0.1),
            on_incident=incidents.append,
        )
        await link.start(lambda _lane, _message: None, {})
        try:
            await until(lambda: server.failed >= 3)
            before = server.shaken
            server.certificate = authority.leaf("renewed", HERE)
            await until(lambda: server.shaken > 0)
        finally:
            await link.stop()
        return before

    assert asyncio.run(run()) == 0
    assert set(incidents) == {"lost"}, "no refusal: that would mean a long pause"


def test_renewed_files_hold_from_the_next_connection_on(
    serve: Callable[..., Server], authority: Authority, tmp_path: Path
) -> None:
    server = serve(authority.leaf("good", HERE))
    anchor = tmp_path / "anchor.pem"
    anchor.write_bytes(Authority(tmp_path, "former").file.read_bytes())
    endpoint = replace(at(server, authority), ca_file=anchor)
    with pytest.raises(TrucError) as caught:
        check_login(endpoint)
    assert caught.value.code is Code.BROKER_UNTRUSTED
    anchor.write_bytes(authority.file.read_bytes())
    with pytest.raises(TrucError) as caught:
        check_login(endpoint)
    assert caught.value.code is Code.BROKER_UNREACHABLE
    assert server.shaken == 1


@pytest.mark.parametrize("fault", ["missing", "empty", "key"])
def test_an_authority_that_cannot_be_read_is_a_fault_of_the_configuration(
    authority: Authority, tmp_path: Path, fault: str
) -> None:
    path = tmp_path / "ca.pem"
    if fault != "missing":
        path.write_bytes(b"" if fault == "empty" else authority.root.key_pem)
    with pytest.raises(ConfigurationError) as caught:
        client_context(path)
    assert caught.value.code is Code.CONFIG_INVALID
    assert str(path) in caught.value.detail


def test_a_client_certificate_that_cannot_be_used_is_named_without_its_key(
    authority: Authority, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "login.pem", tmp_path / "login.key"
    certificate.write_bytes(pki.issue("H26", authority.root).chain_pem)
    for content in (None, b"nothing", pki.issue("other").key_pem):
        if content is not None:
            key.write_bytes(content)
        with pytest.raises(ConfigurationError) as caught:
            client_context(authority.file, certificate, key)
        assert caught.value.code is Code.KEY_UNUSABLE
        assert "PRIVATE" not in caught.value.detail


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(
    authority: Authority, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives import serialization as form

    login = pki.issue("H26", authority.root)
    certificate, key = tmp_path / "login.pem", tmp_path / "login.key"
    certificate.write_bytes(login.chain_pem)
    key.write_bytes(
        login.key.private_bytes(
            form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"word")
        )
    )
    with pytest.raises(ConfigurationError, match="the key is encrypted"):
        client_context(authority.file, certificate, key)


def test_the_session_keys_are_written_nowhere(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    context = client_context(authority.file)
    assert not (tmp_path / "keys.log").exists()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_client_certificate_goes_with_tls_alone(authority: Authority) -> None:
    with pytest.raises(ConfigurationError, match="needs amqps"):
        Endpoint("127.0.0.1", 1, "H26", "", cert_file=authority.file)


def test_a_certificate_without_a_password_is_the_login(authority: Authority) -> None:
    certificate = authority.leaf("H26")
    plain = Endpoint("127.0.0.1", 1, "H26", "x", tls=True, ca_file=authority.file)
    shown = replace(plain, cert_file=certificate)  # a password wins; the certificate is only shown
    alone = replace(shown, password="")
    assert [one.external for one in (plain, shown, alone)] == [False, False, True]
    assert type(alone.parameters("t").credentials).__name__ == "ExternalCredentials"
    assert type(shown.parameters("t").credentials).__name__ == "PlainCredentials"


def test_nothing_else_makes_contexts_that_trust_anybody() -> None:
    """Only the probe that looks what a stranger offers, and sends nothing to it, may connect unverified."""
    words = re.compile(r"CERT_NONE|check_hostname = False|_create_unverified_context|SSLContext\(")
    found = {
        str(path.relative_to(ROOT))
        for folder in ("relay", "adapters")
        for path in (ROOT / folder).rglob("*.py")
        if words.search(path.read_text(encoding="utf-8"))
    }
    assert found <= {"relay/broker/tls.py", "relay/broker/greeting.py"}
