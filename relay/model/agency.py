"""Agencies as the directory knows them, and the answer to "who is this code on that day?"."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from relay.errors import Code
from relay.model.levels import Level
from relay.model.times import vietnam_day


class Admission(StrEnum):
    """Whether an agency may take part (data, not activity)."""

    TRIAL = "trial"
    ADMITTED = "admitted"
    SUSPENDED = "suspended"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class AgencyCertificate:
    """A signing certificate registered for an agency, and when it may sign for it; its own dates bind besides."""

    sha256: str  # lower-case hex over the DER
    pem: str
    not_before: date | None = None  # first and last day in Vietnam
    not_after: date | None = None
    retired_at: datetime | None = (
        None  # from this moment on it signs nothing; what was accepted before stays good
    )
    chain: tuple[str, ...] = ()
    """Authorities that lead from it towards an anchor, PEM, as they were registered with it; trusted in nothing."""

    def signs_at(self, at: datetime) -> bool:
        """Whether the directory lets it sign at that moment (of acceptance by the relay)."""
        day = vietnam_day(at)
        return (
            (self.not_before is None or self.not_before <= day)
            and (self.not_after is None or day <= self.not_after)
            and (self.retired_at is None or at < self.retired_at)
        )


class LoginBy(StrEnum):
    """How a broker user proves who it is."""

    PASSWORD = "password"  # noqa: S105 - a word, no secret
    CERTIFICATE = "certificate"  # of TLS, by the mechanism EXTERNAL; it has no password


@dataclass(frozen=True, slots=True)
class GatewayUser:
    """A broker user of a gateway. While a password is changed over there are two."""

    name: str
    by: LoginBy = LoginBy.PASSWORD
    until: datetime | None = (
        None  # end of its right to log in; past: known, and to be removed from the broker
    )

    def ended(self, now: datetime) -> bool:
        """Whether its time has passed."""
        return self.until is not None and self.until <= now


@dataclass(frozen=True, slots=True)
class FormerName:
    """A name that an agency had."""

    name: str
    until: date  # the last day


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
    users: tuple[GatewayUser, ...] = ()  # of a gateway; none: the one named by its code, with a password
    short_name: str = ""
    english_name: str = ""
    other_names: tuple[str, ...] = ()  # under which people look for it
    former_names: tuple[FormerName, ...] = ()
    contact: str = ""  # whom an operator writes to or calls
    suspended_until: date | None = (
        None  # first day on which a suspended agency takes part again, where that is known
    )

    def name_on(self, day: date) -> str:
        """Return the name of that day, for receipts, statistics and disputes about it."""
        earlier = [former for former in self.former_names if day <= former.until]
        return min(earlier, key=lambda former: former.until).name if earlier else self.name

    @property
    def logins(self) -> tuple[GatewayUser, ...]:
        """The broker users of a gateway, ended ones too; of an agency that is none: nothing."""
        if self.gateway != self.code:
            return ()
        return self.users or (GatewayUser(self.code),)

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
    until: date | None = None  # first day on which a suspended agency takes part again
