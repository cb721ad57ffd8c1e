"""One immutable state of the directory: the port ``Directory`` over a validated list of agencies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import MappingProxyType

from relay.directory.admission import standing
from relay.errors import Code, RefusedError
from relay.model.agency import Admission, Agency, AgencyCertificate, Resolution
from relay.model.codes import normal_form


def is_closed(agency: Agency, day: date) -> bool:
    """Whether the code has ended on that day, by its last day of validity or by its admission."""
    return agency.admission is Admission.CLOSED or (agency.valid_to is not None and agency.valid_to < day)


@dataclass(frozen=True, slots=True)
class AgencyDirectory:
    """A snapshot. Made by ``relay.directory.file``, which validates; ``version`` changes with any byte of the source."""

    version: str
    by_code: Mapping[str, Agency]
    by_alias: Mapping[str, str]
    sources: tuple[Path, ...] = ()  # the file and the certificate files that it names
    succeeded: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # codes whose only successor is the key
    users: Mapping[str, str] = field(
        default_factory=dict
    )  # broker user: gateway, where it is not the code itself

    @classmethod
    def of(cls, agencies: Iterable[Agency], version: str, sources: Sequence[Path] = ()) -> AgencyDirectory:
        """Return a snapshot of agencies that are known to be consistent."""
        by_code = {agency.code: agency for agency in agencies}
        by_alias = {alias: agency.code for agency in by_code.values() for alias in agency.aliases}
        succeeded: dict[str, tuple[str, ...]] = {}
        for agency in by_code.values():
            if len(agency.successors) == 1:
                heir = agency.successors[0]
                succeeded[heir] = (*succeeded.get(heir, ()), agency.code)
        return cls(
            version,
            MappingProxyType(by_code),
            MappingProxyType(by_alias),
            tuple(sources),
            MappingProxyType(succeeded),
            MappingProxyType(
                {user.name: agency.code for agency in by_code.values() for user in agency.users}
            ),
        )

    def agencies(self) -> tuple[Agency, ...]:
        """Return every agency in the order of the file."""
        return tuple(self.by_code.values())

    def agency(self, code: str) -> Agency | None:
        """Return the agency of a normal code, whatever its validity."""
        return self.by_code.get(code)

    def served_by(self, gateway: str) -> tuple[str, ...]:
        """Return the codes that a gateway serves, its own included, in the order of the file."""
        return tuple(agency.code for agency in self.by_code.values() if agency.gateway == gateway)

    def gateways(self) -> tuple[str, ...]:
        """Return the codes that are gateways."""
        return tuple(code for code, agency in self.by_code.items() if agency.gateway == code)

    def lookup(self, written: str) -> Agency | None:
        """Return the agency of a code in any written form, whatever its validity.

        A listed alias beats the default conversion of the 2016 form.

        Raises:
            RefusedError: BAD-CODE.
        """
        listed = self.by_alias.get(written)
        if listed is not None:
            return self.by_code[listed]
        return self.by_code.get(normal_form(written))

    def resolve(self, written: str, day: date) -> Resolution:
        """Resolve a code as written on a day. Never raises.

        A closed code leads to its successor if it has exactly one, and so on; ``via`` names the closed codes passed.
        A code that is not yet in force is unknown on that day.
        """
        try:
            agency = self.lookup(written)
        except RefusedError as refused:
            return Resolution(written, refusal=refused.code)
        if agency is None:
            return Resolution(written, refusal=Code.UNKNOWN_RECIPIENT)
        via: list[str] = []
        while is_closed(agency, day):
            via.append(agency.code)
            following = self.by_code.get(agency.successors[0]) if len(agency.successors) == 1 else None
            if following is None or following.code in via:
                return Resolution(
                    written, refusal=Code.RECIPIENT_CLOSED, candidates=agency.successors, via=tuple(via)
                )
            agency = following
        refusal = self._objection(agency, day)
        if refusal is not None:
            return Resolution(written, refusal=refusal, via=tuple(via))
        return Resolution(written, agency=agency, via=tuple(via))

    def heir(self, agency: Agency, day: date) -> Agency:
        """Return who has the duties of an agency on a day, whether or not mail reaches it: itself, or its one successor.

        A closed one with several successors or none has its duties nowhere else: it is returned itself.
        """
        passed: set[str] = set()
        while is_closed(agency, day) and len(agency.successors) == 1 and agency.code not in passed:
            passed.add(agency.code)
            following = self.by_code.get(agency.successors[0])
            if following is None:
                break
            agency = following
        return agency

    def may_speak(self, user: str, sender: str) -> bool:
        """Whether the broker user ``user`` may publish for ``sender``: it is the gateway that serves it.

        Codes are compared whole; a subtree (``H53`` and ``H53.31``) gives no right, nor does a common beginning.
        """
        agency = self.by_code.get(sender)
        return agency is not None and agency.gateway is not None and agency.gateway == self.gateway_of(user)

    def gateway_of(self, user: str) -> str:
        """Return the code of the gateway whose broker user this is; a user that nobody is known by: itself.

        A user whose time has ended still leads there: the broker lets it in no more, and what it published before may
        be waiting.
        """
        return self.users.get(user, user)

    def signers(self, sender: str) -> tuple[AgencyCertificate, ...]:
        """Return the certificates registered for ``sender``, its own and its gateway's; each knows when it may sign."""
        agency = self.by_code.get(sender)
        if agency is None:
            return ()
        gateway = self.by_code.get(agency.gateway) if agency.gateway not in {None, sender} else None
        both = agency.certificates + (gateway.certificates if gateway is not None else ())
        return tuple({certificate.sha256: certificate for certificate in both}.values())

    def successor_of(self, claimant: str, code: str, day: date) -> bool:
        """Whether ``claimant`` is ``code`` itself or its only successor, over any number of steps, on that day."""
        passed: set[str] = set()
        while code != claimant:
            agency = self.by_code.get(code)
            if agency is None or code in passed or not is_closed(agency, day) or len(agency.successors) != 1:
                return False
            passed.add(code)
            code = agency.successors[0]
        return True

    def predecessors(self, code: str, day: date) -> tuple[str, ...]:
        """Return the codes that ``code`` is the only successor of on that day, over any number of steps."""
        found: list[str] = []
        waiting = list(self.succeeded.get(code, ()))
        while waiting:
            before = waiting.pop()
            if before != code and before not in found and self.successor_of(code, before, day):
                found.append(before)
                waiting += self.succeeded.get(before, ())
        return tuple(found)

    @staticmethod
    def _objection(agency: Agency, day: date) -> Code | None:
        if not agency.valid_on(day):
            return Code.UNKNOWN_RECIPIENT
        if standing(agency, day) is Admission.SUSPENDED and agency.suspended_until is None:
            return Code.RECIPIENT_SUSPENDED
        if agency.gateway is None:
            return Code.RECIPIENT_NOT_SERVED
        return None
