"""Who puts on record: a process of the relay with the key and directory in use, or an operator's tool."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from relay import __version__
from relay.evidence.record import Writer
from relay.model.evidence import DirectoryChange, Facts, KeyChange
from relay.model.keeping import Chronicler
from relay.model.ports import Clock

TOOL: Final = "tool"


class Signing(Protocol):
    """What is asked of the relay's signer."""

    @property
    def taken(self) -> int:
        """How many changes of the key were taken."""
        ...

    @property
    def certificates(self) -> Sequence[bytes]:
        """The certificates in use as DER, the relay's own first."""
        ...


class Catalogue(Protocol):
    """What is asked of a directory."""

    @property
    def version(self) -> str:
        """Stamp of the content."""
        ...

    def agencies(self) -> Sequence[object]:
        """All agencies."""
        ...


def tool(relay: str, clock: Clock) -> Chronicler:
    """Return the chronicler of a command that an operator runs."""
    return Chronicler(Writer(), relay, "truc", TOOL, __version__, f"{TOOL}-{uuid.uuid4()}", clock)


class InUse:
    """The key and the directory that a process uses: looked at before each record, hence cheap while nothing changes."""

    def __init__(self, signer: Signing) -> None:
        self._signer = signer
        self._directory: Callable[[], Catalogue] | None = None
        self._seen: tuple[int, str] = (-1, "")
        self._facts: tuple[Facts, ...] = ()

    def follow(self, directory: Callable[[], Catalogue]) -> None:
        """Tell where the directory is found; nothing is told of anything before."""
        self._directory = directory

    def __call__(self) -> Sequence[Facts]:
        """Return the facts that count now."""
        if self._directory is None:
            return ()
        directory = self._directory()
        seen = (self._signer.taken, directory.version)
        if seen != self._seen:
            self._facts = (
                KeyChange(tuple(self._signer.certificates)),
                DirectoryChange("", directory.version, len(directory.agencies())),
            )
            self._seen = seen
        return self._facts
