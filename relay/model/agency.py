"""Agencies as the directory knows them, and the answer to "who is this code on that day?"."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from relay.errors import Code
from relay.model.levels import Level


class Admission(StrEnum):
    """Whether an agency may take part (data, not activity)."""

    TRIAL = "trial"
    ADMITTED = "admitted"
    SUSPENDED = "suspended"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class AgencyCertificate:
    """A signing certificate registered for an agency."""

    sha256: str  # lower-case hex over the DER
    pem: str
    not_before: date | None = None
    not_after: date | None = None


@dataclass(frozen=True, slots=True)
class Agency:
    """One body with an identifier code."""

    code: str
    name: str
    level: Level
    level_defaulted: bool = False
    parent: str | None = None
    gateway: str | None = None  # code of the gateway that serves it; itself for a gateway
    own_queue: bool = False  # connected: has agency.<code>
    aliases: tuple[str, ...] = ()
    certificates: tuple[AgencyCertificate, ...] = ()
    valid_from: date | None = None
    valid_to: date | None = None  # last day of validity
    successors: tuple[str, ...] = ()
    admission: Admission = Admission.ADMITTED

    def valid_on(self, day: date) -> bool:
        """Whether the code is in force on that day."""
        return (self.valid_from is None or self.valid_from <= day) and (
            self.valid_to is None or day <= self.valid_to
        )


@dataclass(frozen=True, slots=True)
class Resolution:
    """Where a written code leads. Exactly one of ``agency`` and ``refusal`` is set."""

    written: str
    agency: Agency | None = None
    refusal: Code | None = None
    candidates: tuple[str, ...] = ()  # of a closed code with several successors
    via: tuple[str, ...] = ()  # the closed codes passed on the way
