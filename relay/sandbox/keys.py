"""``truc keys``: certificates and broker users for agencies' gateways in a sandbox, and the relay's own key."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from relay.model.codes import normal_form
from relay.sandbox import contents, provision
from relay.sandbox.ca import DevelopmentCa, Issued, KeyKind
from relay.sandbox.contents import Sandbox, SandboxAgency
from relay.sandbox.home import Home
from relay.sandbox.tlsca import TlsAuthorities


def issue_keys(home: Path, written: str, *, kind: KeyKind | None = None) -> SandboxAgency:
    """Give an agency of a sandbox what its gateway needs; an unknown one joins the directory, level by rule.

    A known agency keeps what it has; with ``kind`` it gets a new key of that kind and its old certificate is revoked,
    and where TLS is used the same is done to its gateway's login.
    Where the broker runs, its topology follows at once.

    Args:
        home: The sandbox.
        written: The code in either form.
        kind: Kind of a new key; None keeps the one that is there.

    Returns:
        The agency as it stands in ``sandbox.json``.

    Raises:
        RefusedError: BAD-CODE.
        OperationError: NOT-FOUND: no sandbox here, or the agency is closed.
    """
    code = normal_form(written)
    place = Home(home)
    known = {agency.code for agency in provision.agencies_of(place, place.kept())}
    if code not in known:
        place.change(lambda now: now if code in now.added else replace(now, added=(*now.added, code)))
    if kind is not None and code in known:
        _renew(place, code, kind)
    now = datetime.now(UTC)
    agencies = provision.prepare(place, now)
    kept = place.kept()
    node = place.node(kept)
    if node.running() and node.serves():
        provision.apply_topology(place, kept, agencies)
    with place.guard():
        contents.publish(place, place.kept(), agencies)
    sandbox: Sandbox = contents.running(place.path)
    return sandbox.agency(code)


def renew_relay(home: Path, *, kind: KeyKind = "ec-p256") -> Issued:
    """Give the relay of a sandbox a new key, as an operator does in production: by replacing two files.

    Workers and keeper take it without a restart. The certificate it had stays in ``relay_certs`` of ``sandbox.json``
    and is not revoked, so what was sealed with it still verifies.

    Raises:
        OperationError: NOT-FOUND: no sandbox here.
    """
    place = Home(home)
    kept = place.kept()
    issued = DevelopmentCa(place.ca).relay(
        place.relay, kept.relay_name, datetime.now(UTC), kind=kind, renew=True
    )
    with place.guard():
        contents.publish(place, place.kept(), provision.agencies_of(place, kept))
    return issued


def _renew(place: Home, code: str, kind: KeyKind) -> None:
    now = datetime.now(UTC)
    ca = DevelopmentCa(place.ca)
    agency = {agency.code: agency for agency in provision.agencies_of(place, place.kept())}[code]
    if agency.gateway is None:
        return
    old = ca.agency(place.keys, code, agency.name, now).leaf()
    ca.agency(place.keys, code, agency.name, now, kind=kind, renew=True)
    ca.revoke(old, now)
    if place.kept().tls and agency.gateway == code:
        logins = TlsAuthorities(place.tls)
        former = logins.login(place.logins, code, now).leaf()
        logins.login(place.logins, code, now, renew=True)
        logins.revoke(former, now)
