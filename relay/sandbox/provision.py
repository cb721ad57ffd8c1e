"""What a sandbox is provided with before its workers run: certificates, directory, configuration, topology."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import sha256

from cryptography.hazmat.primitives import serialization

from relay.model.agency import Agency, AgencyCertificate
from relay.sandbox.agencies import new_agency, sample_agencies
from relay.sandbox.ca import DevelopmentCa, Issued
from relay.sandbox.config import write_config
from relay.sandbox.home import Home, Kept


def agencies_of(kept: Kept) -> tuple[Agency, ...]:
    """Return the agencies of the sandbox, samples and added ones, without certificates, sorted by code."""
    agencies = {agency.code: agency for agency in sample_agencies()}
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
    relay = ca.relay(home.relay, home.kept().relay_name, now)
    agencies = tuple(_certified(home, ca, agency, now) for agency in agencies_of(home.kept()))
    for agency in agencies:
        if agency.gateway is not None:
            home.password(agency.gateway)
    write_directory(home, agencies)
    write_config(home, home.kept(), ca, relay)
    return agencies


def write_directory(home: Home, agencies: Sequence[Agency]) -> None:
    """Write the directory file, unless it says the same already."""


def apply_topology(home: Home, kept: Kept, agencies: Sequence[Agency]) -> None:
    """Make the broker what configuration and directory say; return once no confirmed message can be lost."""


def _certified(home: Home, ca: DevelopmentCa, agency: Agency, now: datetime) -> Agency:
    if agency.gateway is None:
        return agency
    issued = ca.agency(home.keys, agency.code, agency.name, now)
    return replace(agency, certificates=(certificate_of(issued),))


def certificate_of(issued: Issued) -> AgencyCertificate:
    """Return an issued certificate as the directory holds it."""
    leaf = issued.leaf()
    return AgencyCertificate(
        sha256=sha256(leaf.public_bytes(serialization.Encoding.DER)).hexdigest(),
        pem=issued.leaf_pem(),
        not_before=leaf.not_valid_before_utc.date(),
        not_after=leaf.not_valid_after_utc.date(),
    )
