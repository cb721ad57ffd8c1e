"""A healthy installation as the doctor would see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from relay.broker import names
from relay.broker.plan import Live
from relay.broker.topology import TopologyConfig, desired_topology
from relay.errors import Code
from relay.model.agency import Agency
from relay.model.levels import Level
from relay.operate.doctor.facts import (
    AgencyFacts,
    Answer,
    BrokerFacts,
    CertificateFacts,
    ClockFacts,
    ConfigFacts,
    ConnectionFacts,
    DirectoryFacts,
    Disk,
    Facts,
    LibraryFacts,
    Listener,
    LoginFacts,
    Node,
    ProcessFacts,
    Queue,
    QueueFacts,
    RelayKeyFacts,
    RevocationList,
    RightsFacts,
    TlsFacts,
    TopologyFacts,
    TrustFacts,
)
from relay.registry.examine import Examination, Lease
from relay.settings import (
    BrokerSettings,
    DirectorySettings,
    RegistrySettings,
    RelaySettings,
    Settings,
    TrustSettings,
)

NOW = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
GIB = 1 << 30
SETTINGS = Settings(
    relay=RelaySettings(name="truc-dev", key="k", certificates=(Path("c"),)),
    broker=BrokerSettings(
        url="amqps://broker.example:5671/truc",
        user="relay",
        password_file=Path("p"),
        management_url="https://broker.example:15671",
    ),
    registry=RegistrySettings(url="sqlite:////var/lib/truc/registry.db"),
    directory=DirectorySettings(file=Path("directory.yaml")),
    trust=TrustSettings(anchors=(Path("a"),)),
)
WORKER, KEEPER = (f"{name}-{'0' * 8}-0000-4000-8000-{'0' * 12}" for name in ("w1", "keeper"))


def days(count: float) -> datetime:
    return NOW + timedelta(days=count)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


NODE = Node(
    "rabbit@one",
    running=True,
    version="3.10.8",
    uptime=5000.0,
    memory_used=GIB,
    memory_limit=4 * GIB,
    disk_free=50 * GIB,
    disk_limit=2 * GIB,
    files_used=100,
    files_total=65536,
    sockets_used=50,
    sockets_total=50000,
    processes_used=500,
    processes_total=1048576,
    plugins=("rabbitmq_management", "rabbitmq_prometheus"),
)
BROKER = BrokerFacts(
    "3.10.8",
    (NODE,),
    (
        Listener("amqp", "127.0.0.1", 5672),
        Listener("amqp/ssl", "::", 5671),
        Listener("http", "127.0.0.1", 15672),
        Listener("clustering", "::", 25672),
    ),
    (),
    (),
    50_331_648,
)
AGENCY = Agency("H26", "Thành phố mẫu", Level.PROVINCE, gateway="H26", own_queue=True)
CERTIFICATE = CertificateFacts("ab" * 32, days(400), current=True, verdict=Code.OK)
DIRECTORY = DirectoryFacts(
    NOW, "directory.yaml", 0o600, "", "0123456789abcdef", (AgencyFacts(AGENCY, (CERTIFICATE,)),)
)

_CONFIG = TopologyConfig.load()
DESIRED = desired_topology(_CONFIG, [AGENCY], "relay", {"H26": None})
LIVE = Live(
    vhost=True,
    exchanges=dict(_CONFIG.exchanges),
    queues={},
    bindings=DESIRED.bindings,
    policies={one.name: one for one in DESIRED.policies},
    rights=DESIRED.rights,
    users={"relay": "", "H26": "", "admin": "administrator"},
    reader="admin",
)


def queue(name: str, **more: Any) -> Queue:
    effective: Mapping[str, object] = {
        "overflow": "reject-publish",
        "max-length-bytes": 8 * GIB,
        "dead-letter-exchange": "due",
        **({"message-ttl": 5000} if name.startswith("retry.") else {}),
    }
    consumers = 1 if name.startswith(("ingress.", "agency.")) or name == "due" else 0
    kept = Queue(name, "quorum", consumers=consumers, members=3, online=3, policy="truc", effective=effective)
    return replace(kept, **more)


QUEUES = QueueFacts(
    tuple(
        queue(name)
        for name in (
            "ingress.urgent",
            "ingress.normal",
            "ingress.status",
            "due",
            "quarantine",
            "inspect",
            *(names.retry_queue(rung) for rung in names.RUNGS),
            "agency.H26",
        )
    )
)
REGISTRY = Examination(
    NOW,
    10.0,
    file="/var/lib/truc/registry.db",
    mode=0o600,
    workers=((WORKER, ago(1)), (KEEPER, ago(2))),
    leases=(Lease("keeper", KEEPER, NOW + timedelta(seconds=10)),),
    newest=ago(1),
)
KEYS = RelayKeyFacts(
    NOW,
    "truc-dev",
    (),
    certificate_name="truc-dev",
    not_before=days(-10),
    not_after=days(400),
    verdict=Code.OK,
)
TRUST = TrustFacts(
    NOW,
    "",
    (("CN=Gốc", days(3000)),),
    (RevocationList("agencies.crl", "CN=CA", days(-1), days(29)),),
    required=True,
)
ANSWER = Answer("http://127.0.0.1:9464", ready=True, reasons={"directory": "0123456789abcdef"}, version="1.0")
LIBRARIES = LibraryFacts((3, 11), "OpenSSL 3.0.0", (3, 0), "", (), "1.0")
DISK = Disk("registry", "/var/lib/truc", 50 * GIB, 100 * GIB, 1_000_000, 2_000_000, False, "ext4")

WELL = Facts(
    at=NOW,
    config=ConfigFacts("truc.yaml", 0o600, (), SETTINGS),
    login=LoginFacts(None, frame_max=131072, channel_max=2047, heartbeat=60),
    tls=TlsFacts(NOW, used=True, not_after=days(200)),
    broker=BROKER,
    connections=ConnectionFacts(()),
    clock=ClockFacts(NOW, ago(0.1), NOW),
    queues=QUEUES,
    rights=RightsFacts(LIVE, ()),
    topology=TopologyFacts((), frozenset()),
    registry=REGISTRY,
    disks=(DISK,),
    keys=KEYS,
    trust=TRUST,
    directory=DIRECTORY,
    processes=ProcessFacts((ANSWER,)),
    libraries=LIBRARIES,
    sandboxes=(),
)
