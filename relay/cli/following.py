"""The directory of the settings, whichever kind it is: a plain file, or a signed edition that is followed."""

from __future__ import annotations

from datetime import timedelta

from relay.directory.file import load
from relay.directory.file import summary as told
from relay.directory.follow import SIGNED, Follower, SignedReader, Standing
from relay.directory.snapshot import AgencyDirectory
from relay.errors import Code, ConfigurationError
from relay.model.ports import Clock
from relay.settings import Settings
from relay.trust.chain import TrustStore


def signed_reader(settings: Settings, store: TrustStore, clock: Clock, name: str) -> SignedReader | None:
    """Return the reader of signed editions for the process of that name; None where the directory is a plain file."""
    own = settings.directory
    if own.file.suffix != SIGNED:
        return None
    kept = (own.kept or own.file.parent) / f"{own.file.name}.{name}.kept"
    return SignedReader(Follower(kept, store, clock, own.publisher, timedelta(days=own.grace_days)))


def load_directory(settings: Settings, store: TrustStore, clock: Clock) -> AgencyDirectory:
    """Return the directory for a command; a signed one is judged as a worker would, and keeps a state of its own.

    Raises:
        ConfigurationError: DIRECTORY-INVALID: it cannot be used, or its time and its period of grace are over.
    """
    path = settings.directory.file
    reader = signed_reader(settings, store, clock, "truc")
    if reader is None:
        return load(path)
    checked = reader.first(path)
    if checked.directory is None:
        raise ConfigurationError(Code.DIRECTORY_INVALID, told(checked.findings, path))
    if reader.standing() is Standing.OVER:
        raise ConfigurationError(
            Code.DIRECTORY_INVALID, f"{path}: expired, and its period of grace is over too"
        )
    return checked.directory
