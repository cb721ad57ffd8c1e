"""What the operator's commands share: the configuration they act on, its registry, directory and broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relay.errors import TrucError

if TYPE_CHECKING:
    from relay.broker.browse import QueueBrowser
    from relay.broker.connection import Endpoint
    from relay.broker.management import Management
    from relay.directory.snapshot import AgencyDirectory
    from relay.registry import SqlRegistry
    from relay.settings import Settings


@dataclass(frozen=True, slots=True)
class Relay:
    """A relay as its operator meets it. The registry is open until the command ends."""

    settings: Settings
    registry: SqlRegistry

    @property
    def endpoint(self) -> Endpoint:
        """The relay's own login."""
        from relay.cli.wiring import endpoint

        return endpoint(self.settings)

    @property
    def browser(self) -> QueueBrowser:
        """Looks into queues."""
        from relay.broker.browse import QueueBrowser

        return QueueBrowser(self.endpoint, name="truc operator")

    @property
    def browser_if_any(self) -> QueueBrowser | None:
        """Looks into queues, where the login can be read: for what only says more."""
        try:
            return self.browser
        except TrucError:
            return None

    @property
    def management(self) -> Management | None:
        """The management API, where it is configured and its password can be read."""
        from relay.broker.management import Management

        broker = self.settings.broker
        if not broker.management_url:
            return None
        try:
            password = broker.management_password()
        except TrucError:
            return None
        return Management(
            broker.management_url,
            broker.management_user,
            password,
            vhost=broker.vhost,
            ca_file=broker.ca_file,
        )

    def directory(self) -> AgencyDirectory:
        """Read the directory. Raises ``ConfigurationError`` DIRECTORY-INVALID."""
        from relay.cli.following import load_directory
        from relay.cli.wiring import trust_store
        from relay.observe.clock import SystemClock

        return load_directory(self.settings, trust_store(self.settings), SystemClock())

    def directory_if_any(self) -> AgencyDirectory | None:
        """Read the directory, where that can be done: it only says more."""
        try:
            return self.directory()
        except TrucError:
            return None


@contextmanager
def relay_of(home: Path, config: Path | None) -> Iterator[Relay]:
    """Open the relay of a configuration, else of a sandbox.

    Raises:
        ConfigurationError: CONFIG-INVALID; RegistryError: REGISTRY-BUSY, REGISTRY-UNUSABLE; OperationError: NOT-FOUND:
            there is no sandbox.
    """
    from relay import settings
    from relay.evidence.chronicler import tool
    from relay.observe.clock import SystemClock
    from relay.registry import open_registry

    if config is None:
        from relay.sandbox.contents import running

        config = running(home).settings
    chosen = settings.load(config, files=False)  # of keys and passwords only those that a command needs
    registry = open_registry(
        chosen.registry.url,
        chosen.registry.lease_seconds,
        chronicler=tool(chosen.relay.name, SystemClock()),
    )
    try:
        yield Relay(chosen, registry)
    finally:
        registry.close()
