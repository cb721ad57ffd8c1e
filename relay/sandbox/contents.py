"""``sandbox.json``: what anybody needs to send and receive in a sandbox. Written whole, replaced atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from relay.broker.connection import Endpoint
from relay.errors import Code, OperationError
from relay.model.agency import Admission, Agency
from relay.sandbox.ca import DevelopmentCa, Issued, former
from relay.sandbox.config import metrics_urls, stamps_url
from relay.sandbox.files import write_private
from relay.sandbox.home import Home, Kept
from relay.sandbox.node import VHOST
from relay.sandbox.stamping import StampAuthority

PROTOCOL_VERSION: Final = "1"


@dataclass(frozen=True, slots=True)
class SandboxAgency:
    """An agency of the sandbox and all that its gateway needs to act for it."""

    code: str
    gateway: str
    user: str
    password: str
    key: Path
    cert: Path
    level: str
    parent: str | None


@dataclass(frozen=True, slots=True)
class SandboxGateway:
    """A gateway's broker user and the agencies it serves."""

    code: str
    user: str
    password: str
    serves: tuple[str, ...]
    tls_cert: Path | None = None  # client certificate to log in with, where TLS is used
    tls_key: Path | None = None


@dataclass(frozen=True, slots=True)
class Pids:
    """Process numbers; None or nothing where nothing runs."""

    broker: int | None
    keeper: int | None
    supervisor: int | None
    workers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sandbox:
    """``sandbox.json``, typed."""

    home: Path
    protocol_version: str
    vhost: str
    amqp_url: str
    management_url: str
    metrics_urls: tuple[str, ...]
    doors: Mapping[str, Any]
    registry_url: str
    ca_cert: Path
    relay_certs: tuple[Path, ...]
    directory: Path
    pids: Pids
    gateways: Mapping[str, SandboxGateway]
    agencies: Mapping[str, SandboxAgency]
    tls_ca_cert: Path | None = None  # anchor of the broker's certificate, where TLS is used

    def endpoint(self, gateway: str, login: Literal["certificate", "password"] | None = None) -> Endpoint:
        """Return a gateway's way to the broker.

        Args:
            gateway: Its code.
            login: How it logs in; None: by certificate where it has one, else by password.

        Raises:
            OperationError: NOT-FOUND: no such gateway, or no certificate.
        """
        account = self.gateways.get(gateway)
        if account is None:
            raise OperationError(Code.NOT_FOUND, f"{gateway} is not a gateway of this sandbox")
        by_certificate = account.tls_cert is not None if login is None else login == "certificate"
        if by_certificate and account.tls_cert is None:
            raise OperationError(Code.NOT_FOUND, f"{gateway} has no client certificate: no TLS here")
        return Endpoint.from_url(
            self.amqp_url,
            account.user,
            "" if by_certificate else account.password,
            ca_file=self.tls_ca_cert,
            cert_file=account.tls_cert if by_certificate else None,
            key_file=account.tls_key if by_certificate else None,
        )

    def agency(self, code: str) -> SandboxAgency:
        """Return one agency. Raises NOT-FOUND."""
        try:
            return self.agencies[code]
        except KeyError as error:
            raise OperationError(Code.NOT_FOUND, f"{code} is not an agency of this sandbox") from error

    @property
    def settings(self) -> Path:
        """The configuration of the relay as a whole, as the tools of an operator read it."""
        return Home(self.home).settings_file

    @property
    def up(self) -> bool:
        """Whether the file says that a broker runs here."""
        return self.pids.broker is not None


def running(home: Path) -> Sandbox:
    """Read ``sandbox.json`` of a home. Raises NOT-FOUND or SANDBOX-BROKEN."""
    place = Home(home)
    try:
        raw = json.loads(place.sandbox_file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise OperationError(
            Code.NOT_FOUND, f"no sandbox in {place.path}: `truc up --home` makes one"
        ) from error
    except (OSError, ValueError) as error:
        raise OperationError(Code.SANDBOX_BROKEN, f"{place.sandbox_file}: {error}") from error
    try:
        return _read(place.path, raw)
    except (KeyError, TypeError, AttributeError) as error:
        raise OperationError(Code.SANDBOX_BROKEN, f"{place.sandbox_file}: {error!r}") from error


def publish(home: Home, kept: Kept, agencies: Sequence[Agency]) -> dict[str, Any]:
    """Write ``sandbox.json`` from what stands in the home and what was noted as running; return it."""
    content = contents(home, kept, agencies)
    write_private(home.sandbox_file, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return content


def contents(home: Home, kept: Kept, agencies: Sequence[Agency]) -> dict[str, Any]:
    """Return the content of ``sandbox.json``: the agencies that the sandbox has a key for and that are not closed."""
    ca = DevelopmentCa(home.ca)
    node = home.node(kept)
    relay = Issued(home.relay / "relay.key", home.relay / "relay.pem")
    noted = home.running()
    served = [
        agency
        for agency in agencies
        if agency.gateway in kept.passwords
        and agency.admission is not Admission.CLOSED
        and (home.keys / f"{agency.code}.pem").exists()
    ]
    gateways = sorted({agency.gateway for agency in served if agency.gateway})
    return {
        "protocol_version": PROTOCOL_VERSION,
        "vhost": VHOST,
        "amqp_url": node.amqp_url,
        "management_url": node.management_url,
        "metrics_urls": metrics_urls(kept),
        "doors": {},
        "registry_url": home.registry_url,
        "ca_cert": str(ca.root_cert),
        **({"tls_ca_cert": str(node.ca_file)} if node.ca_file else {}),
        "tsa_url": stamps_url(kept),
        "tsa_ca_cert": str(StampAuthority(home.stamps).root_cert),
        "relay_name": kept.relay_name,
        "relay_certs": [str(path) for path in (relay.cert, *former(home.relay))],
        "directory": str(home.directory_file),
        "pids": {
            "broker": noted.broker.pid if noted.broker else None,
            "keeper": noted.keeper.pid if noted.keeper else None,
            "supervisor": noted.supervisor.pid if noted.supervisor else None,
            "workers": [noted.workers[name].pid for name in sorted(noted.workers)],
        },
        "gateways": {
            code: {
                "user": code,
                "password": kept.passwords[code],
                "serves": sorted(agency.code for agency in served if agency.gateway == code),
                **_login(home, kept, code),
            }
            for code in gateways
        },
        "agencies": {
            agency.code: {
                "gateway": agency.gateway,
                "user": agency.gateway,
                "password": kept.passwords[agency.gateway or ""],
                "key": str(home.keys / f"{agency.code}.key"),
                "cert": str(home.keys / f"{agency.code}.pem"),
                "level": agency.level.value,
                "parent": agency.parent,
            }
            for agency in served
        },
    }


def _login(home: Home, kept: Kept, gateway: str) -> dict[str, str]:
    """Return where a gateway's client certificate lies; nothing where TLS is not used."""
    login = Issued(home.logins / f"{gateway}.key", home.logins / f"{gateway}.pem")
    return {"tls_cert": str(login.cert), "tls_key": str(login.key)} if kept.tls else {}


def _path(value: str | None) -> Path | None:
    return None if value is None else Path(value)


def _read(home: Path, raw: Mapping[str, Any]) -> Sandbox:
    pids = raw["pids"]
    return Sandbox(
        home=home,
        protocol_version=raw["protocol_version"],
        vhost=raw["vhost"],
        amqp_url=raw["amqp_url"],
        management_url=raw["management_url"],
        metrics_urls=tuple(raw["metrics_urls"]),
        doors=raw["doors"],
        registry_url=raw["registry_url"],
        ca_cert=Path(raw["ca_cert"]),
        relay_certs=tuple(Path(path) for path in raw["relay_certs"]),
        directory=Path(raw["directory"]),
        pids=Pids(pids["broker"], pids["keeper"], pids["supervisor"], tuple(pids["workers"])),
        gateways={
            code: SandboxGateway(
                code,
                entry["user"],
                entry["password"],
                tuple(entry["serves"]),
                _path(entry.get("tls_cert")),
                _path(entry.get("tls_key")),
            )
            for code, entry in raw["gateways"].items()
        },
        agencies={
            code: SandboxAgency(
                code=code,
                gateway=entry["gateway"],
                user=entry["user"],
                password=entry["password"],
                key=Path(entry["key"]),
                cert=Path(entry["cert"]),
                level=entry["level"],
                parent=entry["parent"],
            )
            for code, entry in raw["agencies"].items()
        },
        tls_ca_cert=_path(raw.get("tls_ca_cert")),
    )
