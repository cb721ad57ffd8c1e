"""The files of deploy/rabbitmq, with real nodes: what they say holds on one node, and three outlive the loss of one."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from relay.broker.apply import apply
from relay.broker.plan import pending, plan, read_live
from relay.broker.topology import TopologyConfig, desired_topology
from relay.directory.write import dump
from relay.model.agency import Agency
from relay.model.levels import Level
from relay.sandbox.ca import DevelopmentCa
from relay.sandbox.provision import certificate_of
from relay.sandbox.tlsca import TlsAuthorities
from tests.support.node import free_ports
from tests.support.production import VHOST, Balancer, ProductionNode, ended
from tests.support.stranger import Sandbox, Stranger
from tests.support.stranger_xml import Facts

pytestmark = [pytest.mark.broker, pytest.mark.timeout(500)]

ROOT = Path(__file__).resolve().parents[2]
RELAY = "relay"


def _tls(folder: Path) -> TlsAuthorities:
    tls = TlsAuthorities(folder)
    tls.ensure(datetime.now(UTC))
    tls.server(folder, datetime.now(UTC))
    return tls


def _agencies(folder: Path, ca: DevelopmentCa, codes: Sequence[str]) -> tuple[Agency, ...]:
    now = datetime.now(UTC)
    made = (Agency(code, f"Đơn vị {code}", Level.PROVINCE, gateway=code, own_queue=True) for code in codes)
    return tuple(
        replace(one, certificates=(certificate_of(ca.agency(folder, one.code, one.name, now)),))
        for one in made
    )


def _apply(node: ProductionNode, agencies: Sequence[Agency], passwords: dict[str, str]) -> int:
    """Apply the topology; return how many changes were made."""
    desired = desired_topology(
        TopologyConfig.load(),
        agencies,
        RELAY,
        {one.code: passwords[one.code] for one in agencies},
        relay_password=passwords[RELAY],
    )
    live = read_live(node.management)
    changes = plan(desired, live)
    apply(changes, desired, live, node.management, node.endpoint())
    return len(pending(changes))


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProductionNode]:
    """One node from conf.d/10-truc.conf, advanced.config and enabled_plugins."""
    folder = tmp_path_factory.mktemp("one")
    base = free_ports(5)
    node = ProductionNode(folder / "node", base, base + 4, _tls(folder / "tls"))
    try:
        node.write().start().wait()
        node.provide()
        yield node
    finally:
        node.close()


def test_every_line_of_the_files_is_known_to_the_broker(one: ProductionNode) -> None:
    log = one.log_tail(2000)
    assert "Starting broker... completed" in log
    assert not re.search(
        r"(?i)deprecated key|unknown|unsupported|no longer supported|not recogni[sz]ed", log
    ), log
    named = set(
        re.findall(r"(?m)^([a-z_.0-9]+) =", (one.folder / "etc/conf.d/10-truc.conf").read_text("utf-8"))
    )
    assert len(named) > 30


def test_what_the_files_say_is_in_force(one: ProductionNode) -> None:
    said = one.ctl(
        "eval",
        "Get = fun(A, K) -> {ok, V} = application:get_env(A, K), V end,"
        " rabbit_json:encode([{K, Get(rabbit, K)} || K <- [max_message_size, consumer_timeout, heartbeat,"
        " channel_max, quorum_cluster_size, disk_free_limit, tcp_listeners]]).",
    )
    found = json.loads(json.loads(said.strip().removeprefix("<<").removesuffix(">>")))
    assert found["max_message_size"] == 134_217_728
    assert found["consumer_timeout"] == 1_800_000
    assert found["heartbeat"] == 30
    assert found["channel_max"] == 128
    assert found["quorum_cluster_size"] == 3
    assert found["tcp_listeners"] == []
    assert "67108864" in one.ctl("eval", "application:get_env(ra, wal_max_size_bytes).")


def _listening(ports: Sequence[int]) -> dict[int, set[str]]:
    """Return the addresses that somebody listens on, by port, as the kernel knows them."""
    found: dict[int, set[str]] = {port: set() for port in ports}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            address, port = line.split()[1].split(":")
            if line.split()[3] == "0A" and int(port, 16) in found:
                found[int(port, 16)].add(address)
    return found


def test_it_listens_with_tls_alone_and_for_the_rest_on_loopback_alone(one: ProductionNode) -> None:
    """What the broker's own overview says of the addresses of management and metrics is wrong: the kernel is asked."""
    said = {row["port"]: row["protocol"] for row in one.management.overview()["listeners"]}
    assert said == {
        one.amqps: "amqp/ssl",
        one.distribution: "clustering",
        one.management_port: "http",
        one.prometheus: "http/prometheus",
    }
    inner = {"0100007F", "00000000000000000000000001000000"}
    for port, addresses in _listening((*said, one.epmd)).items():
        assert addresses, f"nobody listens on {port}"
        assert addresses <= inner, f"{port} is open to the network"
    with socket.create_connection(("127.0.0.1", one.amqps), timeout=10) as plain:
        plain.sendall(b"AMQP\x00\x00\x09\x01")
        answer = plain.recv(8)
    assert not answer.startswith((b"AMQP", b"\x01")), "AMQP without TLS was answered"


@pytest.mark.parametrize(("version", "taken"), [("-tls1_3", True), ("-tls1_2", True), ("-tls1_1", False)])
def test_nothing_below_tls_1_2(version: str, taken: bool, one: ProductionNode) -> None:
    done = subprocess.run(
        [
            *("openssl", "s_client", "-connect", f"127.0.0.1:{one.amqps}", version, "-brief"),
            *("-cipher", "DEFAULT@SECLEVEL=0", "-CAfile", str(one.tls.root_cert), "-verify_return_error"),
        ],
        input=b"",
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (b"CONNECTION ESTABLISHED" in done.stderr + done.stdout) is taken, done.stderr


def test_the_guest_is_gone_and_the_administrator_logs_in_over_tls(one: ProductionNode) -> None:
    assert {row["name"] for row in one.management.users()} >= {"topology"}
    assert "guest" not in {row["name"] for row in one.management.users()}
    assert one.serves()


def test_the_topology_applies_there_and_a_second_time_changes_nothing(
    one: ProductionNode, tmp_path: Path
) -> None:
    ca = DevelopmentCa(tmp_path / "ca")
    ca.ensure(datetime.now(UTC))
    agencies = _agencies(tmp_path / "keys", ca, ("H26", "H53"))
    passwords = {name: secrets.token_urlsafe(12) for name in ("H26", "H53", RELAY)}
    assert _apply(one, agencies, passwords) > 20
    assert _apply(one, agencies, passwords) == 0


# --- three nodes


class Relay:
    """One real worker, configured as in production, and what a stranger has to know."""

    def __init__(self, folder: Path, port: int, tls: TlsAuthorities, codes: Sequence[str]) -> None:
        self.folder = folder
        now = datetime.now(UTC)
        ca = DevelopmentCa(folder / "ca")
        ca.ensure(now)
        self.passwords = {name: secrets.token_urlsafe(12) for name in (*codes, RELAY)}
        self.agencies = _agencies(folder / "keys", ca, codes)
        dump(folder / "directory.json", self.agencies)
        issued = ca.relay(folder / "relay", "truc-test", now)
        secret = folder / "relay.password"
        secret.touch(mode=0o600)
        secret.write_text(self.passwords[RELAY] + "\n", encoding="utf-8")
        settings = {
            "relay": {"name": "truc-test", "key": str(issued.key), "certificates": [str(issued.cert)]},
            "broker": {
                "url": f"amqps://localhost:{port}/{VHOST}",
                "user": RELAY,
                "password_file": str(secret),
                "ca_file": str(tls.root_cert),
            },
            "registry": {"url": f"sqlite:///{folder}/registry.db"},
            "directory": {"file": str(folder / "directory.json")},
            "trust": {"anchors": [str(ca.root_cert)], "crls": [str(path) for path in ca.crls]},
        }
        (folder / "truc.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        self.raw = {
            "vhost": VHOST,
            "amqp_url": f"amqps://localhost:{port}/{VHOST}",
            "tls_ca_cert": str(tls.root_cert),
            "ca_cert": str(ca.root_cert),
            "gateways": {
                code: {"user": code, "password": self.passwords[code], "serves": [code]} for code in codes
            },
            "agencies": {
                code: {
                    "gateway": code,
                    "key": str(folder / "keys" / f"{code}.key"),
                    "cert": str(folder / "keys" / f"{code}.pem"),
                }
                for code in codes
            },
        }

    def start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "worker.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "relay.cli", "worker", "--config", str(self.folder / "truc.yaml")],
                cwd=ROOT,
                env={**os.environ, "TRUC_LOG_STRICT": "1"},
                stdout=log,
                stderr=log,
            )


def test_three_nodes_form_a_cluster_over_tls_and_a_document_crosses_after_one_is_lost(tmp_path: Path) -> None:
    names = ("n1", "n2", "n3")
    base = free_ports(14)
    epmd, entry = base + 12, base + 13
    cookie = secrets.token_hex(15)
    tls = _tls(tmp_path / "tls")
    nodes = [
        ProductionNode(tmp_path / name, base + 4 * n, epmd, tls, name=name, fellows=names, cookie=cookie)
        for n, name in enumerate(names)
    ]
    with ExitStack() as end:
        for node in nodes:
            end.callback(node.close)
        for node in nodes:
            node.write().start()
        for node in nodes:
            node.wait(120)
        nodes[0].provide()
        for node in nodes[1:]:
            node.password = nodes[0].password
        assert len(nodes[0].management.nodes()) == 3, "they did not find each other"

        balancer = Balancer(entry, [node.amqps for node in nodes])
        end.callback(balancer.close)
        relay = Relay(tmp_path, entry, tls, ("H26", "H53"))
        _apply(nodes[0], relay.agencies, relay.passwords)
        members = {len(row["members"]) for row in nodes[0].management.queues() if row.get("type") == "quorum"}
        assert members == {3}, "a queue without three members"

        worker = relay.start()
        end.callback(worker.wait, 60)
        end.callback(worker.terminate)
        sandbox = Sandbox(relay.raw)
        sender, recipient = Stranger(sandbox, "H26").start(), Stranger(sandbox, "H53").start()
        first, _ = sender.send(Facts("H26", ("H53",)))
        assert sender.acknowledgement(first, 60).result == "accepted"
        recipient.check(recipient.arrival(first))
        sender.close()
        recipient.close()

        # All connections went to the first node: it is the one that dies.
        nodes[0].kill()
        sender, recipient = Stranger(sandbox, "H26").start(), Stranger(sandbox, "H53").start()
        end.callback(recipient.close)
        end.callback(sender.close)
        # While the queues choose new leaders the broker may nack: same id, same bytes, a new channel, as the protocol has it.
        second, body = str(uuid.uuid4()), sender.paper(Facts("H26", ("H53",)))
        end_by = time.monotonic() + 60
        while (word := sender.publish(body, message_id=second)) != "ack":
            assert word in {"nack", "returned"}, word
            assert time.monotonic() < end_by, "the queues have no leader"
            time.sleep(0.5)
        assert sender.acknowledgement(second, 90).result == "accepted"
        arrived = recipient.arrival(second, 90)
        recipient.check(arrived)
        assert arrived.body == body
        assert not ended(worker.pid)
        end_by = time.monotonic() + 60
        while len([row for row in nodes[1].management.nodes() if row.get("running")]) != 2:
            assert time.monotonic() < end_by
            time.sleep(0.2)
