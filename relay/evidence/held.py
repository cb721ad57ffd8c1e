"""Files that somebody holds (a package, a status, a receipt), held against records: which of them binds each file's bytes."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from relay.model.evidence import HeldNoted, ReceiptSealed, Record, RecordKind, Submission

_BODIES: Final = {
    RecordKind.ACCEPTANCE: "acceptance",
    RecordKind.REFUSAL: "refusal",
    RecordKind.STATUS: "status",
}


@dataclass(frozen=True, slots=True)
class Binding:
    """A record that names the SHA-256 of a file."""

    file: str
    sha256: str
    kind: str  # "acceptance", "refusal", "status": it is what was sent; "receipt"; "held": it was quarantined
    chain: uuid.UUID
    seq: int
    at: datetime
    transport_id: str


class HeldFiles:
    """Give ``seen`` each record, then ask for ``bindings`` and ``unbound``.

    Args:
        files: names with their SHA-256, lower-case hex.
    """

    def __init__(self, files: Mapping[str, str]) -> None:
        self._names: dict[str, list[str]] = {}
        for name, sha256 in files.items():
            self._names.setdefault(sha256, []).append(name)
        self._found: list[Binding] = []

    def seen(self, chain: uuid.UUID, record: Record) -> None:
        """Take one record."""
        facts = record.facts
        if isinstance(facts, Submission):
            sha256, kind = facts.body_sha256, _BODIES[RecordKind(record.kind)]
        elif isinstance(facts, ReceiptSealed):
            sha256, kind = facts.sha256, "receipt"
        elif isinstance(facts, HeldNoted):
            sha256, kind = facts.body_sha256, "held"
        else:
            return
        for name in self._names.get(sha256, ()):
            self._found.append(Binding(name, sha256, kind, chain, record.seq, record.at, facts.transport_id))

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """What was found, file by file in the order of time."""
        return tuple(sorted(self._found, key=lambda one: (one.file, one.at, one.seq)))

    @property
    def unbound(self) -> tuple[str, ...]:
        """Files that no record names."""
        bound = {one.file for one in self._found}
        return tuple(name for names in self._names.values() for name in names if name not in bound)
