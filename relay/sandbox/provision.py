"""What a sandbox is provided with before its workers run: certificates, directory, configuration, topology."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

from cryptography.hazmat.primitives import serialization

from relay.broker.apply import apply, stuck_queues
from relay.broker.plan import plan, read_live
from relay.broker.topology import TopologyConfig, desired_topology, gateway_logins
from relay.directory.file import load
from relay.directory.write import dump
from relay.model.agency import Agency, AgencyCertificate
from relay.model.times import vietnam_day
from relay.sandbox.agencies import new_agency, sample_agencies
from relay.sandbox.ca import DevelopmentCa, Issued
from relay.sandbox.config import RELAY_USER, write_config
from relay.sandbox.home import Home, Kept
from relay.sandbox.node import ADMIN
from relay.sandbox.stamping import StampAuthority
from relay.sandbox.tlsca import TlsAuthorities

_NOTE = "Sample agencies of a sandbox (mẫu), no national data."
_PROBE = 3.0  # seconds for a queue's answer


def agencies_of(home: Home, kept: Kept) -> tuple[Agency, ...]:
    """Return the agencies of the sandbox, sorted by code: what its directory file says, and what that lacks of the
    samples and of those added by ``truc keys issue``.

    Raises:
        ConfigurationError: DIRECTORY-INVALID: the file was changed by hand into one that cannot be used.
    """
    agencies: dict[str, Agency] = {}
    if home.directory_file.exists():
        agencies = {agency.code: agency for agency in load(home.directory_file).agencies()}
    for agency in sample_agencies():
        agencies.setdefault(agency.code, agency)
    for code in kept.added:
        if code not in agencies:
            agencies[code] = new_agency(code, frozenset(agencies))
    return tuple(agencies[code] for code in sorted(agencies))


def prepare(home: Home, now: datetime) -> tuple[Agency, ...]:
    """Make what is missing of CA, keys, passwords, directory and configuration; keep all that is there.

    Returns the agencies with their certificates. Revocation lists are renewed.
    """
    home.make_folders()
    ca = DevelopmentCa(home.ca)
    ca.ensure(now)
    kept = home.kept()
    StampAuthority(home.stamps).ensure(now)
    relay = ca.relay(home.relay, kept.relay_name, now)
    before = agencies_of(home, kept)
    own = {agency.code for agency in sample_agencies()} | set(kept.added)
    agencies = tuple(_certified(home, ca, agency, now) if agency.code in own else agency for agency in before)
    for agency in agencies:
        if agency.gateway is not None and agency.code in own:
            home.password(agency.gateway)
    if kept.tls:
        _secure(home, home.kept(), agencies, now)
    if agencies != before or not home.directory_file.exists():
        dump(home.directory_file, agencies, _NOTE)
    write_config(home, home.kept(), ca, relay)
    return agencies


def _secure(home: Home, kept: Kept, agencies: Sequence[Agency], now: datetime) -> None:
    """Make what TLS needs: the broker's certificate, and one for each gateway to log in with."""
    authorities = TlsAuthorities(home.tls)
    authorities.ensure(now)
    folder = home.node(kept).tls_folder
    authorities.server(folder, now)
    authorities.publish(folder, now)
    for gateway in sorted({agency.gateway for agency in agencies if agency.gateway}):
        if gateway in kept.passwords:
            authorities.login(home.logins, gateway, now)


def apply_topology(
    home: Home, kept: Kept, agencies: Sequence[Agency], say: Callable[[str], None] | None = None
) -> int:
    """Make the broker what configuration and directory say; return the number of changes.

    Returns once each new queue has its leader and is old enough to outlive a crash. Queues that lost their leader in a
    crash before they were ever used are helped to one.

    Raises:
        OperationError: TOPOLOGY-NOT-READY.
        BrokerError: unreachable or refused.
    """
    node = home.node(kept)
    live = read_live(node.management)
    logins = gateway_logins(agencies, datetime.now(UTC))
    desired = desired_topology(
        TopologyConfig.load(),
        agencies,
        RELAY_USER,
        {
            name: kept.passwords.get(name) if name in live.users else home.password(name)
            for name, code in sorted(logins.items())
            if code in kept.passwords
        },
        relay_password=kept.passwords[RELAY_USER],
    )
    endpoint = node.endpoint(ADMIN, kept.passwords[ADMIN])
    bound = {binding.queue for binding in live.bindings}
    unused = sorted(queue for queue in live.queues if queue in desired.queues and queue not in bound)
    for queue in stuck_queues(endpoint, unused, _PROBE) if unused else ():
        if say is not None:
            say(f"queue {queue} lost its leader before it was used: electing one")
        node.elect_leader(queue)
    changes = plan(desired, live)
    return len(apply(changes, desired, live, node.management, endpoint).done)


def _certified(home: Home, ca: DevelopmentCa, agency: Agency, now: datetime) -> Agency:
    """Return the agency with the certificate of its key in the sandbox, beside those that it has already."""
    if agency.gateway is None:
        return agency
    certificate = certificate_of(ca.agency(home.keys, agency.code, agency.name, now))
    if any(known.sha256 == certificate.sha256 for known in agency.certificates):
        return agency
    return replace(agency, certificates=(*agency.certificates, certificate))


def certificate_of(issued: Issued) -> AgencyCertificate:
    """Return an issued certificate as the directory holds it."""
    leaf = issued.leaf()
    return AgencyCertificate(
        sha256=sha256(leaf.public_bytes(serialization.Encoding.DER)).hexdigest(),
        pem=issued.leaf_pem(),
        not_before=vietnam_day(leaf.not_valid_before_utc),
        not_after=vietnam_day(leaf.not_valid_after_utc),
    )
