"""A sandbox with TLS alone: who gets in and how, what it carries, and a relay whose key changes in the middle of it.

The tests share one sandbox and stand in the order of a life; each leaves it working.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

import pika
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from relay.broker.blocking import BlockingClient
from relay.broker.connection import Endpoint, close_quietly, open_connection
from relay.broker.login import check_login, try_login
from relay.cli.main import main
from relay.errors import BrokerError, Code
from relay.model.message import Properties
from relay.observe.clock import SystemClock
from relay.operate.doctor.run import Patient, doctor
from relay.resources import shipped
from relay.sandbox import contents
from relay.sandbox.home import Home
from relay.sandbox.issuing import Issued
from relay.sandbox.keys import issue_keys, renew_relay
from relay.sandbox.tlsca import TlsAuthorities
from relay.sandbox.up import up
from tests.support.jsonschema import faults
from tests.support.sandbox import QUICK, running_sandbox
from tests.support.stranger import Sandbox, Stranger
from tests.support.stranger_xml import Facts
from tests.support.waits import until

pytestmark = pytest.mark.broker

DAY = timedelta(days=1)
WITHIN = 60.0  # seconds; running processes look at their files each second or two


class Certified(Stranger):
    """A third party's gateway that logs in by its client certificate."""

    def __init__(self, sandbox: Sandbox, gateway: str) -> None:
        super().__init__(sandbox, gateway)
        entry = sandbox.raw["gateways"][gateway]
        context = ssl.create_default_context(cafile=sandbox.raw["tls_ca_cert"])
        context.load_cert_chain(entry["tls_cert"], entry["tls_key"])
        self._parameters.credentials = pika.credentials.ExternalCredentials()
        self._parameters.ssl_options = pika.SSLOptions(context, str(self._parameters.host))


@dataclass
class Place:
    home: Home
    gateways: list[Stranger] = field(default_factory=list)

    @property
    def sandbox(self) -> contents.Sandbox:
        return contents.running(self.home.path)

    @property
    def raw(self) -> Any:
        return json.loads(self.home.sandbox_file.read_text(encoding="utf-8"))

    def gateway(self, kind: type[Stranger], code: str) -> Stranger:
        """Return a gateway that reads its queues, anew: nothing is kept over a restart of the broker."""
        made = kind(Sandbox.load(self.home.sandbox_file), code).start()
        self.gateways.append(made)
        return made

    def close(self) -> None:
        while self.gateways:
            self.gateways.pop().close()

    def ask(self, url: str, path: str) -> str:
        opener = build_opener(ProxyHandler({}))
        with opener.open(url.removesuffix("/metrics") + path, timeout=60) as answer:
            return str(answer.read().decode())

    def facts(self) -> list[dict[str, Any]]:
        """Return what worker and keeper say at ``/ready``."""
        worker, keeper, _broker = self.sandbox.metrics_urls
        return [json.loads(self.ask(url, "/ready")) for url in (worker, keeper)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("tls") / "home"
    with running_sandbox(folder, tls=True) as sandbox:
        made = Place(Home(sandbox.home))
        yield made
        made.close()


def refused(endpoint: Endpoint, code: Code) -> str:
    with pytest.raises(BrokerError) as caught:
        check_login(endpoint)
    assert caught.value.code is code, caught.value
    return caught.value.detail


def turned_away(endpoint: Endpoint) -> BrokerError:
    """Return why a certificate is not taken, which every kind of connection has to say."""

    async def asynchronously() -> None:
        await open_connection(endpoint, "test", lambda _error: None, 10)

    ways: list[Callable[[], object]] = [
        lambda: check_login(endpoint),
        lambda: BlockingClient(endpoint, name="test").open(),
        lambda: asyncio.run(asynchronously()),
    ]
    found = []
    for way in ways:
        with pytest.raises(BrokerError) as caught:
            way()
        found.append(caught.value)
    assert len({(error.code, error.detail.rpartition(": ")[2]) for error in found}) == 1, found
    return found[0]


def listening(pid: int) -> set[tuple[str, int]]:
    """Return the addresses that a process listens on, as the kernel knows them."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found = re.fullmatch(r"socket:\[(\d+)\]", str(entry.readlink()))
        except OSError:
            continue
        if found:
            inodes.add(found[1])
    addresses = set()
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in inodes:
                address, port = words[1].split(":")
                octets = b"".join(
                    bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8)
                )
                addresses.add((socket.inet_ntop(family, octets), int(port, 16)))
    return addresses


# --- who gets in ---------------------------------------------------------------------------------------------------------


def test_sandbox_json_says_how_to_get_in(place: Place) -> None:
    raw = place.raw
    schema = json.loads(shipped("schemas/sandbox.schema.json").read_text(encoding="utf-8"))
    assert faults(raw, schema) == []
    assert raw["amqp_url"].startswith("amqps://127.0.0.1:")
    assert raw["management_url"].startswith("https://127.0.0.1:")
    assert raw["tls_ca_cert"] != raw["ca_cert"]
    for code, gateway in raw["gateways"].items():
        leaf = Issued(Path(gateway["tls_key"]), Path(gateway["tls_cert"])).leaf()
        assert leaf.subject.rfc4514_string() == f"CN={code}"
        assert Path(gateway["tls_key"]).stat().st_mode & 0o777 == 0o600


def test_no_port_of_the_broker_speaks_plain_amqp(place: Place) -> None:
    sandbox, kept = place.sandbox, place.home.kept()
    assert sandbox.pids.broker is not None
    ports = kept.ports
    addresses = {
        ("127.0.0.1", port) for port in (ports.amqp, ports.management, ports.prometheus, ports.distribution)
    }
    assert listening(sandbox.pids.broker) == addresses
    for address in addresses:
        with socket.create_connection(address, timeout=60) as plain:
            plain.sendall(b"AMQP\x00\x00\x09\x01")
            plain.settimeout(1)
            try:
                answer = plain.recv(64)
            except (ConnectionError, TimeoutError):
                answer = b""  # the distribution port waits for more of its own protocol
        assert not answer.startswith((b"AMQP", b"\x01\x00\x00")), address
    told = {
        (one["protocol"], one["port"]) for one in place.home.node(kept).management.overview()["listeners"]
    }
    assert {name for name, _ in told} == {"amqp/ssl", "https", "http/prometheus", "clustering"}
    with pytest.raises(BrokerError):
        try_login("127.0.0.1", ports.amqp, "truc", "H26", sandbox.gateways["H26"].password)


def test_a_gateway_logs_in_by_password_and_by_certificate(place: Place) -> None:
    async def asynchronously(endpoint: Endpoint) -> None:
        ended = asyncio.Event()
        close_quietly(await open_connection(endpoint, "test", lambda _error: ended.set(), 10))
        await asyncio.wait_for(ended.wait(), 60)

    for login in ("password", "certificate"):
        endpoint = place.sandbox.endpoint("H26", login)
        assert endpoint.external == (login == "certificate")
        assert check_login(endpoint).startswith(("3.", "4."))
        asyncio.run(asynchronously(endpoint))
    assert place.sandbox.endpoint("H26").external, "the certificate where there is one"
    assert check_login(replace(place.sandbox.endpoint("H26"), host="localhost")).startswith(("3.", "4."))


def test_who_has_no_right_to_is_kept_out(place: Place, tmp_path: Path) -> None:
    sandbox = place.sandbox
    by_password, by_certificate = (sandbox.endpoint("H26", one) for one in ("password", "certificate"))
    now = datetime.now(UTC)
    own, stranger = TlsAuthorities(place.home.tls), TlsAuthorities(tmp_path / "stranger")
    stranger.ensure(now)
    shown = {
        "another authority": stranger.login(tmp_path / "a", "H26", now),
        "expired": own.login(tmp_path / "b", "H26", now - 400 * DAY, life=398 * DAY),
        "of the broker": own.server(tmp_path / "c", now),
        "of the signatures": Issued(sandbox.agencies["H26"].key, sandbox.agencies["H26"].cert),
    }
    for issued in shown.values():
        error = turned_away(replace(by_certificate, cert_file=issued.cert, key_file=issued.key))
        assert error.code is Code.BROKER_REFUSED, error
        assert "does not take our certificate" in error.detail

    unknown = own.login(tmp_path / "d", "H99", now)
    refused(replace(by_certificate, cert_file=unknown.cert, key_file=unknown.key), Code.BROKER_REFUSED)
    refused(replace(by_password, password="wrong"), Code.BROKER_REFUSED)
    refused(replace(by_password, password=""), Code.BROKER_REFUSED)
    refused(replace(by_password, ca_file=stranger.root_cert), Code.BROKER_UNTRUSTED)
    refused(replace(by_password, ca_file=own.logins_cert), Code.BROKER_UNTRUSTED)


def test_a_revoked_certificate_logs_nobody_in_and_a_new_one_does(place: Place) -> None:
    before = place.sandbox.endpoint("H53.31")
    assert before.cert_file is not None
    assert before.key_file is not None
    cert, key = place.home.path / "former.pem", place.home.path / "former.key"
    cert.write_bytes(before.cert_file.read_bytes())
    key.write_bytes(before.key_file.read_bytes())
    issue_keys(place.home.path, "H53.31", kind="ec-p256")
    error = turned_away(replace(before, cert_file=cert, key_file=key))
    assert error.code is Code.BROKER_REFUSED
    assert "REVOKED" in error.detail
    assert check_login(place.sandbox.endpoint("H53.31"))
    assert check_login(place.sandbox.endpoint("G18")), "no other's login"


@pytest.mark.parametrize("name", ["admin", "relay", "guest", "H26+1", "H26,admin", "*", ""])
def test_no_certificate_is_made_for_a_name_that_is_no_agencys(
    place: Place, tmp_path: Path, name: str
) -> None:
    from relay.errors import RefusedError

    with pytest.raises(RefusedError):
        TlsAuthorities(place.home.tls).login(tmp_path, name, datetime.now(UTC))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_the_broker_speaks_no_old_tls(place: Place, version: ssl.TLSVersion) -> None:
    kept = place.home.kept()
    for port in (kept.ports.amqp, kept.ports.management):
        context = ssl.create_default_context(cafile=place.sandbox.tls_ca_cert)
        context.minimum_version = context.maximum_version = version
        context.set_ciphers("ALL:@SECLEVEL=0")  # else this side refuses before the broker is asked
        with (
            socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
            pytest.raises(ssl.SSLError, match=r"PROTOCOL_VERSION|protocol version"),
        ):
            context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_the_user_of_a_certificate_is_that_user(place: Place) -> None:
    properties = Properties(message_id="m", type="edoc", user_id="G22", delivery_mode=2)
    with BlockingClient(place.sandbox.endpoint("H26"), name="test") as client:
        with pytest.raises(BrokerError) as caught:
            client.publish("ingress", "normal.H26", b"x", properties)
        assert caught.value.detail.startswith("406")
        with pytest.raises(BrokerError) as caught:
            client.publish("ingress", "normal.G22", b"x", replace(properties, user_id="H26"))
        assert caught.value.detail.startswith("403")
        with pytest.raises(BrokerError) as caught:
            client.get("agency.G22")
        assert caught.value.detail.startswith("403")


# --- what it carries -----------------------------------------------------------------------------------------------------


def test_a_document_crosses_with_both_logins(place: Place) -> None:
    sender = place.gateway(Certified, "H26")
    reader = place.gateway(Stranger, "H53")
    for one, other in ((sender, reader), (reader, sender)):
        sent, body = one.send(Facts(one.code, (other.code,)))
        arrived = other.arrival(sent)
        assert arrived.body == body
        other.check(arrived)
        other.answer(arrived)
        assert one.acknowledgement(sent).result == "accepted"
        assert one.receipt(sent, "outcome").line(other.code).state == "delivered"


def test_our_own_commands_need_nothing_more(place: Place) -> None:
    home = ["--home", str(place.home.path)]
    sent = CliRunner().invoke(
        main, ["send", "--as", "G14", "--to", "G18", "--subject", "Thử", "--wait", "--json", *home]
    )
    assert sent.exit_code == 0, sent.output
    taken = CliRunner().invoke(main, ["inbox", "--as", "G18", "--json", *home])
    assert taken.exit_code == 0, taken.output
    identifier = json.loads(sent.stdout)["transport_id"]
    assert identifier in taken.output
    shown = CliRunner().invoke(main, ["topology", "plan", "--json", *home])
    assert (shown.exit_code, json.loads(shown.stdout)["pending"]) == (0, 0), shown.output


def test_the_doctor_looks_at_the_listener(place: Place) -> None:
    words = ["doctor", "--only", "broker", "--only", "clock", "--json", "--home", str(place.home.path)]
    result = CliRunner().invoke(main, words)
    told = json.loads(result.stdout)
    assert (result.exit_code, told["findings"], told["not_looked_at"]) == (0, [], [])

    class Later(SystemClock):
        def now(self) -> datetime:
            return datetime.now(UTC) + timedelta(days=3650)

    report = doctor(Patient(place.home.settings_file, Later()), ("broker",))
    assert {one.name for one in report.findings} == {"broker.tls.certificate-ended"}


def test_the_relay_itself_may_log_in_by_certificate(place: Place, tmp_path: Path) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay")])
    login = TlsAuthorities(place.home.tls)._leaf(
        "logins",
        tmp_path,
        "relay",
        name,
        ExtendedKeyUsageOID.CLIENT_AUTH,
        (),
        datetime.now(UTC),
        DAY,
        renew=True,
    )
    own = {"password_file": None, "cert_file": str(login.cert), "key_file": str(login.key)}
    up(place.home.path, settings={**QUICK, "broker": own}, detach=True)
    management = place.home.node(place.home.kept()).management

    def logins() -> int:
        return sum(
            (one.get("auth_mechanism"), one.get("peer_cert_subject")) == ("EXTERNAL", "CN=relay")
            for one in management.connections("relay")
        )

    until(lambda: logins() >= 3, what="two connections of the worker and one of the keeper")
    sent, _ = place.gateways[0].send(Facts("H26", ("H53",)))
    assert place.gateways[0].acknowledgement(sent).result == "accepted"
    shown = CliRunner().invoke(main, ["topology", "plan", "--json", "--home", str(place.home.path)])
    assert (shown.exit_code, json.loads(shown.stdout)["pending"]) == (0, 0), shown.output


def test_a_wrong_authority_ends_a_command_with_its_reason(place: Place, tmp_path: Path) -> None:
    stranger = TlsAuthorities(tmp_path / "stranger")
    stranger.ensure(datetime.now(UTC))
    raw = {**place.raw, "tls_ca_cert": str(stranger.root_cert)}
    (tmp_path / "sandbox.json").write_text(json.dumps(raw), encoding="utf-8")
    (tmp_path / "config").symlink_to(place.home.config)
    result = CliRunner().invoke(main, ["inbox", "--as", "G22", "--json", "--home", str(tmp_path)])
    assert result.exit_code == 3
    error = json.loads(result.stderr)["error"]
    assert (error["code"], error["owner"]) == ("BROKER-UNTRUSTED", "operator")


# --- the relay's own key -------------------------------------------------------------------------------------------------


def test_the_relays_key_changes_in_the_middle_of_traffic(place: Place) -> None:
    """Real processes, no restart: nothing is refused, nothing lost, each receipt verifies, before and after."""
    place.close()
    sender, reader = place.gateway(Certified, "H29"), place.gateway(Stranger, "H29.20")
    processes = place.sandbox.pids
    former = place.sandbox.relay_certs
    sent: list[str] = []
    enough = threading.Event()
    failed: list[BaseException] = []

    def traffic() -> None:
        try:
            while not enough.is_set():
                sent.append(sender.send(Facts("H29", ("H29.20",)))[0])
                time.sleep(0.02)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=traffic, daemon=True)
    thread.start()
    try:
        until(lambda: len(sent) >= 10)
        begin = place.home.relay / "relay.key"
        old_key = begin.read_bytes()
        renew_relay(place.home.path)
        assert begin.read_bytes() != old_key
        new = Issued(begin, place.home.relay / "relay.pem").leaf()

        def newest() -> x509.Certificate:
            return signer_of(sender.acknowledgement(sent[-2]).body)

        until(lambda: newest() == new, WITHIN, "the worker seals with the new key")
        until(
            lambda: '"relay-key-taken"' in place.home.log("keeper").read_text(encoding="utf-8"),
            WITHIN,
            "the keeper takes the new key",
        )
        seen = len(sent)
        until(lambda: len(sent) >= seen + 10)
    finally:
        enough.set()
        thread.join(90)
    assert not failed, failed
    signers = set()
    for identifier in sent:
        receipt = sender.acknowledgement(identifier)  # checked by the protocol's own rules
        assert (receipt.result, receipt.code) == ("accepted", "")
        reader.arrival(identifier)
        signers.add(signer_of(receipt.body).serial_number)
    assert len(signers) == 2, "both keys sealed something"
    known = place.sandbox.relay_certs
    assert len(known) == len(former) + 1
    assert signers <= {x509.load_pem_x509_certificates(path.read_bytes())[0].serial_number for path in known}
    assert place.sandbox.pids == processes, "nothing was restarted"


def test_a_key_without_its_certificate_is_not_taken_and_told(place: Place) -> None:
    place.close()
    sender = place.gateway(Certified, "H29")
    relay = Issued(place.home.relay / "relay.key", place.home.relay / "relay.pem")
    kept = relay.cert.read_bytes()
    relay.cert.write_bytes(place.home.keys.joinpath("H26.pem").read_bytes())
    until(lambda: all(one["relay_key"] for one in place.facts()), WITHIN, "worker and keeper tell it")
    assert all(one["ready"] for one in place.facts())
    for url in place.sandbox.metrics_urls[:2]:
        assert 'truc_material_unusable{purpose="relay"} 1.0' in place.ask(url, "/metrics")
    sent, _ = sender.send(Facts("H29", ("H53",)))
    assert sender.acknowledgement(sent).result == "accepted"
    relay.cert.write_bytes(kept)
    until(lambda: not any(one["relay_key"] for one in place.facts()), WITHIN, "all is well again")


def signer_of(receipt: bytes) -> x509.Certificate:
    found = re.search(rb"<X509Certificate>([^<]+)<", receipt)
    assert found is not None
    pem = b"-----BEGIN CERTIFICATE-----\n" + found[1] + b"\n-----END CERTIFICATE-----\n"
    return x509.load_pem_x509_certificate(pem)


# --- restarts ------------------------------------------------------------------------------------------------------------


def test_the_worker_comes_back_with_the_broker_and_a_damaged_home_is_repaired(place: Place) -> None:
    place.close()
    before, kept = place.raw, place.home.kept()
    folder = place.home.node(kept).tls_folder
    login = Path(before["gateways"]["H26"]["tls_cert"])
    server = Issued(folder / "server.key", folder / "server.pem")
    old = server.leaf().serial_number
    server.cert.unlink()
    login.unlink()
    broker = place.home.running().broker
    assert broker is not None
    broker.send(signal.SIGKILL)
    up(place.home.path, detach=True)
    after = place.raw
    assert after["pids"]["broker"] != before["pids"]["broker"]
    assert {**after, "pids": 0} == {**before, "pids": 0}, "addresses, passwords and places are kept"
    assert server.leaf().serial_number != old
    sender = place.gateway(Certified, "H26")
    sent, _ = sender.send(Facts("H26", ("G22",)))
    assert sender.acknowledgement(sent).result == "accepted"


def test_a_sandbox_may_be_changed_to_plain_and_says_so(place: Place) -> None:
    place.close()
    secure = place.raw
    sandbox = up(place.home.path, tls=False, settings=QUICK, detach=True)
    plain = place.raw
    assert urlsplit(plain["amqp_url"])[1:] == urlsplit(secure["amqp_url"])[1:], "the port is kept"
    assert plain["amqp_url"].startswith("amqp://")
    assert "tls_ca_cert" not in plain
    assert {code: {**one, "tls_cert": "", "tls_key": ""} for code, one in plain["gateways"].items()} == {
        code: {**one, "tls_cert": "", "tls_key": ""} for code, one in secure["gateways"].items()
    }
    assert not sandbox.endpoint("H26").tls
    sender = place.gateway(Stranger, "H26")
    sent, _ = sender.send(Facts("H26", ("G22",)))
    assert sender.acknowledgement(sent).result == "accepted"
