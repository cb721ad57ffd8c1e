"""What the doctor saw, as values. Nothing here holds a password or a key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias, TypeVar

from relay.broker.plan import Change, Live
from relay.errors import Code
from relay.model.agency import Agency
from relay.registry.examine import Examination
from relay.settings import Complaint, Settings


@dataclass(frozen=True, slots=True)
class Unseen:
    """A part that could not be looked at."""

    reason: str


T = TypeVar("T")
Seen: TypeAlias = T | Unseen


# --- configuration


@dataclass(frozen=True, slots=True)
class ConfigFacts:
    """The configuration file, read as far as it goes."""

    path: str
    mode: int | None  # permission bits; None: there is no such file
    complaints: tuple[Complaint, ...]
    settings: Settings | None  # None: it cannot be used at all


# --- broker


@dataclass(frozen=True, slots=True)
class LoginFacts:
    """One login with the relay's own user. ``trouble`` None: it was let in."""

    trouble: Code | None
    detail: str = ""
    frame_max: int = 0  # as the broker offers it; 0: no limit
    channel_max: int = 0
    heartbeat: int = 0  # seconds; 0: none
    largest_taken: bool | None = None  # whether a body of the largest size is taken; None: not asked


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What the broker's TLS listener shows. ``used`` False: the configuration speaks plain AMQP on loopback."""

    at: datetime
    used: bool
    trouble: str = ""  # why its certificate is not believed
    old_versions: tuple[str, ...] = ()  # TLS 1.0, TLS 1.1: taken by the broker
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the broker. None: this version does not tell."""

    name: str
    running: bool
    version: str = ""
    uptime: float = 0.0  # seconds
    memory_alarm: bool = False
    disk_alarm: bool = False
    memory_used: int | None = None
    memory_limit: int | None = None
    disk_free: int | None = None
    disk_limit: int | None = None
    files_used: int | None = None
    files_total: int | None = None
    sockets_used: int | None = None
    sockets_total: int | None = None
    processes_used: int | None = None
    processes_total: int | None = None
    partitions: tuple[str, ...] = ()
    plugins: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Listener:
    """One port that the broker listens on."""

    protocol: str  # amqp, amqp/ssl, http, https, http/prometheus, clustering
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """What the management API tells of the broker as a whole."""

    version: str
    nodes: tuple[Node, ...]
    listeners: tuple[Listener, ...]
    disabled_flags: tuple[str, ...]  # stable ones
    deprecated: tuple[str, ...]  # deprecated features in use
    body_limit: int  # bytes of the largest package, by configuration


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """Open connections that the broker has stopped reading from: (name, user, state)."""

    blocked: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """The broker's clock: the moment at which it accepted our connection lies, by ours, between two others."""

    broker: datetime
    before: datetime
    after: datetime


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue as the broker's statistics show it. ``messages`` None: no statistics, as of one without a leader."""

    name: str
    kind: str  # quorum, classic, stream
    messages: int | None = 0
    ready: int = 0
    unacked: int = 0
    octets: int = 0
    consumers: int = 0
    members: int = 0
    online: int = 0
    policy: str = ""
    effective: Mapping[str, object] = field(default_factory=dict)
    arguments: Mapping[str, object] = field(default_factory=dict)
    acked_per_second: float = 0.0

    @property
    def hidden(self) -> int:
        """Messages that are neither ready nor unacknowledged: dead letters that their target did not take."""
        return 0 if self.messages is None else self.messages - self.ready - self.unacked


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """All queues; ``earlier`` holds those of a first look, some seconds before, that seemed to need a second one."""

    queues: tuple[Queue, ...]
    earlier: Mapping[str, Queue] = field(default_factory=dict)
    wanted_policies: Mapping[str, str] = field(default_factory=dict)  # queue: policy that should be in force


@dataclass(frozen=True, slots=True)
class RightsFacts:
    """Users, permissions and definitions, and who has rights on other virtual hosts."""

    live: Live
    elsewhere: tuple[tuple[str, str], ...]  # (user, vhost)


@dataclass(frozen=True, slots=True)
class TopologyFacts:
    """The difference between what should stand on the broker and what does."""

    changes: tuple[Change, ...]
    narrowed: frozenset[str]  # users who have more rights than they should
    epoch_lost: bool = False  # the mark that the registry knows is not on the broker


# --- files


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system under one of our folders."""

    place: str  # what lies there: registry, log, directory
    folder: str
    free: int  # bytes for us
    total: int
    inodes_free: int
    inodes: int  # 0: not counted
    read_only: bool
    kind: str = ""  # ext4, nfs4


@dataclass(frozen=True, slots=True)
class RelayKeyFacts:
    """The relay's own key and certificate."""

    at: datetime
    name: str  # of the relay, by configuration
    open_files: tuple[tuple[str, int], ...]  # private keys that others may read, with their modes
    trouble: str = ""  # the key or the certificate cannot be used
    fits: bool = True
    certificate_name: str | None = None  # NAME of urn:truc:relay:NAME
    not_before: datetime | None = None
    not_after: datetime | None = None
    verdict: Code | None = None  # on its chain, by our own anchors and lists; None: not judged
    verdict_detail: str = ""


@dataclass(frozen=True, slots=True)
class RevocationList:
    """One list of revoked certificates."""

    file: str
    issuer: str
    this_update: datetime
    next_update: datetime | None


@dataclass(frozen=True, slots=True)
class OcspAnswer:
    """One OCSP answer that was fetched."""

    certificate: str  # SHA-256
    this_update: datetime
    next_update: datetime | None


@dataclass(frozen=True, slots=True)
class TrustFacts:
    """Anchors, revocation lists, OCSP answers."""

    at: datetime
    trouble: str
    anchors: tuple[tuple[str, datetime], ...]  # (subject, its end)
    lists: tuple[RevocationList, ...]  # from files and fetched
    required: bool
    fetching: str = ""  # folder that lists and answers are fetched to; empty: none
    answers: tuple[OcspAnswer, ...] = ()
    damaged: tuple[str, ...] = ()  # fetched files that cannot be read


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """One certificate of an agency."""

    sha256: str
    not_after: datetime  # the earlier of its own end and that of its registration
    current: bool  # valid on this day
    verdict: Code | None = None  # on its chain; None: not judged


@dataclass(frozen=True, slots=True)
class AgencyFacts:
    """An agency and its certificates."""

    agency: Agency
    certificates: tuple[CertificateFacts, ...]


@dataclass(frozen=True, slots=True)
class DirectoryFacts:
    """The directory file."""

    at: datetime
    path: str
    mode: int | None
    trouble: str  # why it cannot be used
    version: str = ""
    agencies: tuple[AgencyFacts, ...] = ()
    serial: int = 0  # of a signed edition
    due_at: datetime | None = (
        None  # of a signed edition: when the next one is due, when it expires, when the grace ends
    )
    expires_at: datetime | None = None
    over_at: datetime | None = None


# --- processes and the machine


@dataclass(frozen=True, slots=True)
class Answer:
    """What one worker or keeper says of itself over HTTP. ``trouble``: it does not answer."""

    url: str
    trouble: str = ""
    ready: bool = False
    reasons: Mapping[str, object] = field(default_factory=dict)
    version: str = ""
    python: str = ""


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """Workers and keepers that were asked."""

    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class LibraryFacts:
    """What this installation runs on."""

    python: tuple[int, int]
    openssl: str
    openssl_number: tuple[int, int]
    libxml_trouble: str
    missing: tuple[str, ...]  # packages that this version asks for and that are absent or of another version
    version: str  # of Trục


@dataclass(frozen=True, slots=True)
class Stray:
    """Processes of a sandbox whose supervisor is dead."""

    home: str
    roles: tuple[str, ...]
    pids: tuple[int, ...]
    folder_gone: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """All that was seen at one time."""

    at: datetime
    config: Seen[ConfigFacts]
    login: Seen[LoginFacts]
    tls: Seen[TlsFacts]
    broker: Seen[BrokerFacts]
    connections: Seen[ConnectionFacts]
    clock: Seen[ClockFacts]
    queues: Seen[QueueFacts]
    rights: Seen[RightsFacts]
    topology: Seen[TopologyFacts]
    registry: Seen[Examination]
    disks: Seen[tuple[Disk, ...]]
    keys: Seen[RelayKeyFacts]
    trust: Seen[TrustFacts]
    directory: Seen[DirectoryFacts]
    processes: Seen[ProcessFacts]
    libraries: Seen[LibraryFacts]
    sandboxes: Seen[tuple[Stray, ...]]
