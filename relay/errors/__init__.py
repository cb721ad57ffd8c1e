"""One tree of errors. A refusal of a document is a value (``Refusal``) and never an exception past its room.

::

    TrucError                     carries a Code; nothing else leaves a room
    ├── RefusedError              the document's own fault, raised and caught inside the room that reads it
    ├── TransientError            a retry mends it: deferral, back-off, never a refusal
    │   ├── BrokerError           unreachable, refused, blocked, undecided
    │   └── RegistryError         busy or unusable
    ├── ConfigurationError        settings, directory, topology, keys: an operator mends it
    └── OperationError            a command cannot do what was asked (sandbox, not found, time-out)
"""

from __future__ import annotations

from relay.errors.codes import Code


class TrucError(Exception):
    """Base of all. ``detail`` is for people, in English; it holds no secret and no personal data."""

    def __init__(self, code: Code, detail: str = "") -> None:
        super().__init__(f"{code.value}: {detail}" if detail else code.value)
        self.code = code
        self.detail = detail


class RefusedError(TrucError):
    """The document breaks a rule; the pipeline turns it into a signed refusal."""


class TransientError(TrucError):
    """Trouble that passes; the document is deferred or the taking stops."""


class BrokerError(TransientError):
    """The broker could not be reached, refused us, is blocked, or did not decide in time."""


class RegistryError(TransientError):
    """The registry is locked, full or gone."""


class ConfigurationError(TrucError):
    """A file or key given by the operator cannot be used."""


class OperationError(TrucError):
    """A command could not do what it was asked."""


__all__ = [
    "BrokerError",
    "Code",
    "ConfigurationError",
    "OperationError",
    "RefusedError",
    "RegistryError",
    "TransientError",
    "TrucError",
]
