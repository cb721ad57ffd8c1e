"""Every setting of worker, keeper and topology, frozen. Units are in the names or in the declaration."""

# ruff: noqa: RUF009 - setting, required and section give dataclass fields, not values

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from relay.errors import Code, ConfigurationError
from relay.settings.evidence import EvidenceSettings
from relay.settings.fields import required, section, setting
from relay.settings.inspection import InspectionSettings
from relay.settings.keyplace import KeyPlace

MIB: Final = 1024 * 1024
NAME: Final = r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?"
RUNGS: Final[dict[str, int]] = {"5s": 5, "1m": 60, "10m": 600, "1h": 3600}
"""Names of the retry ladder and their seconds. Queues are named after them, so the names are fixed."""


def read_secret(path: Path, key: str) -> str:
    """Return the first line of a secret's file.

    Raises:
        ConfigurationError: CONFIG-INVALID: unreadable, empty, or open to others than its owner.
    """
    check_secret_mode(path, key)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigurationError(Code.CONFIG_INVALID, f"{key}: {path} cannot be read") from fault
    secret = text.splitlines()[0] if text else ""
    if not secret:
        raise ConfigurationError(Code.CONFIG_INVALID, f"{key}: {path} is empty")
    return secret


def check_secret_mode(path: Path, key: str) -> None:
    """Refuse a secret's file that group or others may use (CONFIG-INVALID)."""
    try:
        mode = path.stat().st_mode
    except OSError as fault:
        raise ConfigurationError(Code.CONFIG_INVALID, f"{key}: {path} cannot be read") from fault
    if stat.S_IMODE(mode) & 0o077 and not _handed_over(path, stat.S_IMODE(mode)):
        raise ConfigurationError(
            Code.CONFIG_INVALID, f"{key}: {path} has mode {stat.S_IMODE(mode):04o}; it must be 0600 or 0400"
        )


def _handed_over(path: Path, mode: int) -> bool:
    """Whether systemd handed the file to this process alone (``LoadCredential=``): from version 254 on its reader stands
    in an access list, whose mask looks like a right of the group."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    return bool(folder) and path.parent == Path(folder) and mode == 0o440


@dataclass(frozen=True, kw_only=True)
class SecondKeySettings:
    """The key beside the first one."""

    key: str = setting("", "As `relay.key`; empty: there is none.", key=True)
    key_password_file: Path | None = setting(None, "As `relay.key_password_file`.", file=True, secret=True)
    certificates: tuple[Path, ...] = setting((), "As `relay.certificates`.", file=True)

    def place(self) -> KeyPlace | None:
        """Return where the key is; None: there is none."""
        return KeyPlace(self.key, self.certificates, self.key_password_file) if self.key else None


@dataclass(frozen=True, kw_only=True)
class RelaySettings:
    """Who this relay is."""

    name: str = required(
        "Name of the relay. It stands in each receipt and in the certificate's `urn:truc:relay:<name>`.",
        pattern=NAME,
    )
    key: str = required(
        "Private key that signs receipts: a PEM file (PKCS#8), a PKCS#12 file (`.p12`, `.pfx`), both mode 0600, or a key in"
        " a PKCS#11 token by its URI (`pkcs11:token=…;object=…?module-path=/…&pin-source=file:/…`). See docs/keys.md.",
        key=True,
    )
    key_password_file: Path | None = setting(
        None, "File whose first line opens the file of the key, mode 0600.", file=True, secret=True
    )
    certificates: tuple[Path, ...] = setting(
        (),
        "Certificate chain of that key, PEM files, the relay's own first. May be left out where a PKCS#12 file holds it.",
        file=True,
    )
    second: SecondKeySettings = section(
        SecondKeySettings,
        "Another key of the relay: signs when the first cannot, for instance while its token is away.",
    )

    def place(self) -> KeyPlace:
        """Return where the key is."""
        return KeyPlace(self.key, self.certificates, self.key_password_file)


@dataclass(frozen=True, kw_only=True)
class BrokerSettings:
    """How to reach RabbitMQ."""

    url: str = required(
        "`amqp://host:port/vhost` on loopback, `amqps://` anywhere else. User and password do not belong in it."
    )
    user: str = required("Broker user of the relay; with a client certificate the name that stands in it.")
    password_file: Path | None = setting(
        None,
        "File whose first line is the password, mode 0600. Without it the login is by client certificate (EXTERNAL).",
        file=True,
        secret=True,
    )
    ca_file: Path | None = setting(
        None,
        "Authority that signed the broker's TLS certificate, PEM; those of the system if absent. Read anew at each"
        " connection, like the next two.",
        file=True,
    )
    cert_file: Path | None = setting(
        None, "Client certificate of the relay, PEM, leaf first; `amqps://` only.", file=True
    )
    key_file: Path | None = setting(
        None, "Private key of that certificate, PEM, unencrypted, mode 0600.", file=True, secret=True
    )
    management_url: str = setting(
        "",
        "Address of the management plugin, `http://` on loopback, else `https://`. Operators' commands use it; worker and"
        " keeper ask it for the broker's clock, without a login.",
    )
    management_user: str = setting("", "Administrator for `truc topology`; workers never use it.")
    management_password_file: Path | None = setting(
        None, "File whose first line is the administrator's password, mode 0600. Read only when it is used."
    )
    heartbeat: int = setting(30, "AMQP heartbeat.", unit="seconds", low=5, high=600)
    publish_timeout_s: float = setting(
        5.0,
        "How long a publish waits for its confirm before it counts as undecided.",
        unit="seconds",
        low=0.1,
        high=120,
    )
    publish_window: int = setting(
        512, "Unconfirmed publishes at a time.", unit="messages", low=1, high=65_535
    )
    publish_window_bytes: int = setting(
        64 * MIB, "Unconfirmed publishes at a time, together.", unit="bytes", low=MIB, high=4096 * MIB
    )

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return urlsplit(self.url).scheme == "amqps"

    @property
    def host(self) -> str:
        """Host of the broker."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """Port of the broker, with AMQP's own defaults."""
        return urlsplit(self.url).port or (5671 if self.tls else 5672)

    @property
    def vhost(self) -> str:
        """Virtual host, decoded."""
        return unquote(urlsplit(self.url).path.removeprefix("/")) or "/"

    def password(self) -> str:
        """Read the password; empty where the login is by certificate. Raises ``ConfigurationError`` CONFIG-INVALID."""
        if self.password_file is None:
            return ""
        return read_secret(self.password_file, "broker.password_file")

    def management_password(self) -> str:
        """Read the administrator's password. Raises ``ConfigurationError`` CONFIG-INVALID."""
        if self.management_password_file is None:
            raise ConfigurationError(Code.CONFIG_INVALID, "broker.management_password_file: not set")
        return read_secret(self.management_password_file, "broker.management_password_file")


@dataclass(frozen=True, kw_only=True)
class RegistrySettings:
    """The durable state."""

    url: str = required(
        "SQLAlchemy address: `sqlite:////absolute/path` (WAL, one machine) or `postgresql+driver://host/name`; no password"
        " in it."
    )
    lease_seconds: float = setting(
        10.0,
        "How long a claimed document belongs to a worker that gives no sign of life.",
        unit="seconds",
        low=1,
        high=600,
    )
    group_wait_ms: float = setting(
        25.0,
        "How long a commit waits for more documents to join it when the worker's window is full; with a part of the"
        " window in use, that part of it.",
        unit="milliseconds",
        low=0,
        high=1000,
    )
    group_max: int = setting(256, "Documents in one commit at most.", unit="documents", low=1, high=10_000)


@dataclass(frozen=True, kw_only=True)
class DirectorySettings:
    """The agencies."""

    file: Path = required(
        "Directory of agencies: YAML or JSON, or a signed edition that another relay publishes (a name that ends in"
        " `.signed`).",
        file=True,
    )
    reload_seconds: float = setting(
        2.0, "How often the file is looked at for changes.", unit="seconds", low=0.1, high=3600
    )
    publisher: str = setting(
        "", "Relay whose signed editions are taken; empty: any relay whose certificate leads to an anchor."
    )
    kept: Path | None = setting(
        None,
        "Folder where the last good signed edition is kept over restarts, a file for each worker and keeper; the"
        " folder of the signed file if absent.",
    )
    grace_days: int = setting(
        7,
        "How long a signed edition is used after it has expired. After that nothing is taken from the broker until a new"
        " one is there.",
        unit="days",
        low=0,
        high=90,
    )


@dataclass(frozen=True, kw_only=True)
class FetchSettings:
    """Revocation lists and OCSP answers that the keeper fetches, beside the hot path."""

    folder: Path | None = setting(
        None,
        "Folder that the keeper writes what it fetched to, and that workers read. Nothing is fetched without it. Workers on"
        " other machines need the same files there.",
    )
    lists: tuple[str, ...] = setting(
        (), "Addresses of revocation lists: `http://`, `https://`, `file:///`. Each is asked as it stands."
    )
    responder: str = setting(
        "", "OCSP responder that is asked about every certificate, in place of those that certificates name."
    )
    hosts: tuple[str, ...] = setting(
        (),
        "Hosts (`host` or `host:port`) that may be asked where a certificate names them as its distribution point or"
        " responder, or an answer redirects there. Others are not.",
    )
    nonce: Literal["off", "try", "require"] = setting(
        "try",
        "Whether a question to a responder carries a nonce. `try`: an answer with another one is refused, one without is"
        " taken; `require`: one without is refused too. Responders that answer from stock know none.",
    )
    every_s: int = setting(
        3600,
        "Lists are fetched anew at half of their life, and at least so often.",
        unit="seconds",
        low=10,
        high=604_800,
    )
    timeout_s: float = setting(
        20.0, "How long one fetch may take, to its last byte.", unit="seconds", low=0.1, high=600
    )
    max_bytes: int = setting(32 * MIB, "Size of one list.", unit="bytes", low=1024, high=256 * MIB)


@dataclass(frozen=True, kw_only=True)
class TrustSettings:
    """Whom signatures have to lead to."""

    anchors: tuple[Path, ...] = required("Trusted root certificates, PEM files.", file=True)
    intermediates: tuple[Path, ...] = setting(
        (),
        "Authorities that may lead from a signer to an anchor, PEM files; trusted in nothing. Those that come with a"
        " signature, or stand with an agency in the directory, are known too.",
        file=True,
    )
    crls: tuple[Path, ...] = setting((), "Revocation lists, PEM or DER files.", file=True)
    crl_required: bool = setting(
        True,
        "Refuse where no current revocation list or answer covers a certificate. Signatures themselves cannot be made"
        " optional.",
    )
    revocation: Literal["either", "crl", "ocsp"] = setting(
        "either",
        "What vouches for a signer: a list, an OCSP answer, or either. What one of them calls revoked is revoked in any"
        " case. Authorities may always be vouched for by a list.",
    )
    crl_anchors: tuple[Path, ...] = setting(
        (), "Those of the anchors under which lists alone vouch, whatever `revocation` says.", file=True
    )
    ocsp_anchors: tuple[Path, ...] = setting(
        (), "Those of the anchors under which OCSP answers alone vouch for a signer.", file=True
    )
    hard_fail_after_s: int = setting(
        0,
        "How long a list or an answer is still believed after its date, with a warning. After that what it covers is put"
        " off, not refused, until there is a new one.",
        unit="seconds",
        low=0,
        high=604_800,
    )
    clock_skew_s: int = setting(
        300,
        "How far the clocks of authorities may be ahead of ours: for certificates, lists and answers that have just been"
        " made.",
        unit="seconds",
        low=0,
        high=3600,
    )
    policies: tuple[str, ...] = setting(
        (), "Certificate policies (dotted) of which one has to hold on the whole path; any if empty."
    )
    key_purposes: tuple[str, ...] = setting(
        (),
        "Extended key usages (dotted) of which a signer's certificate has to name one, if it names any; not looked at if"
        " empty: the directory says who signs for whom.",
    )
    fetch: FetchSettings = section(FetchSettings, "Lists and answers that the keeper fetches.")


@dataclass(frozen=True, kw_only=True)
class LimitSettings:
    """Bounds on foreign bytes, checked at accept or before any verification."""

    body_bytes: int = setting(50_331_648, "Size of one package.", unit="bytes", low=1024, high=128 * MIB)
    recipients: int = setting(
        1000,
        "Recipients of one document. Its record in the evidence has to stay below a mebibyte.",
        unit="recipients",
        low=1,
        high=8000,
    )
    fanout_bytes: int = setting(
        1_073_741_824,
        "Size of the package times the number of recipients.",
        unit="bytes",
        low=1024,
        high=1 << 40,
    )
    depth: int = setting(32, "Nesting of elements.", unit="levels", low=8, high=256)
    elements: int = setting(20_000, "Elements of one package.", unit="elements", low=100, high=10_000_000)
    attributes: int = setting(64, "Attributes of one element.", unit="attributes", low=8, high=1024)
    text: int = setting(
        65_536,
        "Length of one text that is not an attachment's content.",
        unit="characters",
        low=1024,
        high=16 * MIB,
    )


@dataclass(frozen=True, kw_only=True)
class DeadlineSettings:
    """When a delivery is overdue, and when the relay gives up."""

    urgent_s: int = setting(7200, "Deadline of an urgent document.", unit="seconds", low=1)
    normal_s: int = setting(86_400, "Deadline of any other document.", unit="seconds", low=1)
    min_s: int = setting(
        600, "Nearest deadline that a sender may set by `truc-deadline`.", unit="seconds", low=1
    )
    max_s: int = setting(2_592_000, "Farthest deadline that a sender may set.", unit="seconds", low=1)
    give_up_s: int = setting(
        604_800,
        "A delivery still planned so long after acceptance ends as UNDELIVERABLE.",
        unit="seconds",
        low=1,
    )
    unknown_document_s: int = setting(
        600,
        "How long a status about an unknown document is retried before it is refused.",
        unit="seconds",
        low=0,
    )
    unknown_revocation_s: int = setting(
        86_400,
        "How long a submission is retried while nothing current tells whether its certificate is revoked; then it is"
        " refused as REVOCATION-UNKNOWN, and may be sent again.",
        unit="seconds",
        low=0,
    )


@dataclass(frozen=True, kw_only=True)
class PrefetchSettings:
    """Unacknowledged messages that a worker takes at most from each ingress queue; at first, and of large ones, fewer."""

    urgent: int = setting(60, "From `ingress.urgent`.", unit="messages", low=1, high=10_000)
    status: int = setting(60, "From `ingress.status`.", unit="messages", low=1, high=10_000)
    normal: int = setting(100, "From `ingress.normal`.", unit="messages", low=1, high=10_000)
    due: int = setting(30, "From `due`, the retries.", unit="messages", low=1, high=10_000)


@dataclass(frozen=True, kw_only=True)
class WeightSettings:
    """Shares of the worker's turns when every lane has something waiting."""

    urgent: int = setting(60, "Share of urgent documents.", unit="parts", low=1, high=1000)
    status: int = setting(25, "Share of statuses.", unit="parts", low=1, high=1000)
    normal: int = setting(10, "Share of normal documents.", unit="parts", low=1, high=1000)
    due: int = setting(5, "Share of retries.", unit="parts", low=1, high=1000)


@dataclass(frozen=True, kw_only=True)
class VerifySettings:
    """Where signatures are checked."""

    mode: Literal["inline", "threads", "processes"] = setting(
        "inline", "In the event loop, in a pool of threads, or in a pool of processes."
    )
    workers: int = setting(
        0, "Size of the pool; 0 means one for each processor.", unit="threads or processes", low=0, high=64
    )


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """One worker."""

    name: str = setting(
        "w1", "Name of the worker, unique in this relay; receipt numbers begin with it.", pattern=NAME
    )
    window_documents: int = setting(128, "Documents in flight.", unit="documents", low=1, high=10_000)
    window_bytes: int = setting(128 * MIB, "Bytes in flight.", unit="bytes", low=MIB, high=16_384 * MIB)
    prefetch: PrefetchSettings = section(PrefetchSettings, "Unacknowledged messages by queue.")
    weights: WeightSettings = section(WeightSettings, "Turns by lane.")
    verify: VerifySettings = section(VerifySettings, "Where signatures are checked.")
    inline_max_bytes: int = setting(
        262_144,
        "Packages up to this size may skip the pool where handing over costs more.",
        unit="bytes",
        low=0,
    )
    set_aside_after: int = setting(
        5, "A message that was seen more often is set aside unparsed.", unit="times", low=2, high=100
    )
    stall_seconds: float = setting(
        30.0,
        "Consumers are renewed when messages wait and nothing was settled for so long.",
        unit="seconds",
        low=1,
        high=3600,
    )
    give_back_after_s: float = setting(
        60.0,
        "While the relay's key, the registry, the clock or the directory keeps a worker from working, it stops taking after a"
        " sixth of this time, and after all of it gives what it has back to the queues, for other workers.",
        unit="seconds",
        low=1,
        high=900,
    )


@dataclass(frozen=True, kw_only=True)
class RetrySettings:
    """The ladder of deferrals."""

    rungs: tuple[str, ...] = setting(
        tuple(RUNGS), "Rungs that are climbed, in this order; the last one is kept until give-up."
    )

    @property
    def seconds(self) -> tuple[int, ...]:
        """The waiting time of each rung."""
        return tuple(RUNGS[rung] for rung in self.rungs)


@dataclass(frozen=True, kw_only=True)
class KeeperSettings:
    """The duties off the hot path."""

    interval_s: float = setting(
        5.0, "How often receipts, deadlines and deferrals are looked at.", unit="seconds", low=0.1
    )
    receipts_after_s: float = setting(
        30.0,
        "A stored receipt without a confirm is published by the keeper after that time.",
        unit="seconds",
        low=0,
    )
    lost_after_s: float = setting(
        120.0, "A deferral so long past its due time counts as lost from the broker.", unit="seconds", low=1
    )
    lease_s: float = setting(
        15.0, "How long the keeper's lease outlives it.", unit="seconds", low=1, high=3600
    )


@dataclass(frozen=True, kw_only=True)
class HttpSettings:
    """Metrics and health."""

    host: str = setting("127.0.0.1", "Address that `/metrics`, `/live` and `/ready` listen on.")
    port: int = setting(0, "Port; 0 means none.", low=0, high=65_535)


@dataclass(frozen=True, kw_only=True)
class LoggingSettings:
    """Structured logs, one JSON object a line."""

    level: Literal["debug", "info", "warning", "error"] = setting("info", "Least level that is written.")
    file: Path | None = setting(None, "File to append to; standard error if absent.")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The whole configuration. Made by ``relay.settings.load`` alone, which validates it."""

    relay: RelaySettings = required("Who this relay is.")
    broker: BrokerSettings = required("How to reach RabbitMQ.")
    registry: RegistrySettings = required("The durable state.")
    directory: DirectorySettings = required("The agencies.")
    trust: TrustSettings = required("Whom signatures have to lead to.")
    limits: LimitSettings = section(LimitSettings, "Bounds on foreign bytes.")
    deadlines: DeadlineSettings = section(
        DeadlineSettings, "When a delivery is overdue, and when the relay gives up."
    )
    worker: WorkerSettings = section(WorkerSettings, "One worker.")
    retry: RetrySettings = section(RetrySettings, "The ladder of deferrals.")
    keeper: KeeperSettings = section(KeeperSettings, "The duties off the hot path.")
    inspection: InspectionSettings = section(InspectionSettings, "Signatures inside attachments.")
    evidence: EvidenceSettings = section(EvidenceSettings, "The sealed log.")
    http: HttpSettings = section(HttpSettings, "Metrics and health.")
    logging: LoggingSettings = section(LoggingSettings, "Structured logs, one JSON object a line.")
    format: Literal["edxml"] = setting("edxml", "Document format that this relay carries.")
