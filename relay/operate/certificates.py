"""Signing certificates of agencies in life: proven, registered, side by side with the former one, retired.

Workers and gateways read the directory file and obey within seconds. A certificate that is retired stays in it: what it
signed before that moment was accepted and stays good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from relay.directory.edit import By, change_agency
from relay.directory.file import load
from relay.directory.snapshot import AgencyDirectory
from relay.errors import Code, OperationError, RefusedError, TrucError
from relay.model.agency import Admission, Agency, AgencyCertificate
from relay.model.audit import Act
from relay.model.ports import Clock, Registry
from relay.model.times import rfc3339, vietnam_day
from relay.trust.certificate import Certificate, pem_of, read_pem
from relay.trust.chain import Purpose, TrustStore
from relay.trust.possession import challenge_text, requested_by, signed_by

LIFE: Final = timedelta(days=7)
"""How long a challenge may be answered."""

_ACTS: Final = 10_000
_LEAST: Final = 8  # hex digits that name a certificate
_SHOWN: Final = 5
State = Literal["valid", "not-yet", "expired", "retired", "unusable"]


@dataclass(frozen=True, slots=True)
class Challenge:
    """What an agency has to sign."""

    code: str
    text: bytes
    until: datetime


@dataclass(frozen=True, slots=True)
class Row:
    """One registered certificate, for a list and as the answer of a command."""

    code: str
    sha256: str
    subject: str
    not_before: datetime | None  # its own dates; None: it cannot be read
    not_after: datetime | None
    registered: AgencyCertificate = field(repr=False)
    state: State
    changed: bool = False

    @property
    def retired_at(self) -> datetime | None:
        """From when on it signs nothing."""
        return self.registered.retired_at


@dataclass(frozen=True, slots=True)
class Certificates:
    """The commands.

    Args:
        directory_file: is changed.
        registry: keeps challenges and audit rows.
        trust: anchors and revocation lists, as the workers have them.
        relay: name of the relay, part of each challenge.
        clock: time.
        who: the name for audit rows.
        nonce: makes what a challenge is known by.
        dry_run: check everything and change nothing.

    Errors of each command: ``OperationError`` NOT-FOUND, UNSAFE-CHANGE; ``ConfigurationError`` DIRECTORY-INVALID;
    ``RegistryError``; ``RefusedError`` with what is wrong with a certificate or a proof.
    """

    directory_file: Path
    registry: Registry
    trust: TrustStore
    relay: str
    clock: Clock
    who: str
    nonce: Callable[[], str]
    dry_run: bool = False

    def challenge(self, code: str) -> Challenge:
        """Make a challenge for an agency; it may be answered once, within ``LIFE``."""
        self._agency(load(self.directory_file), code)
        now, nonce = self.clock.now(), self.nonce()
        until = now + LIFE
        self.registry.note_act(Act(now, self.who, "certificate.challenge", code, f"{nonce} {rfc3339(until)}"))
        return Challenge(
            code, challenge_text(self.relay, code, nonce, datetime.fromisoformat(rfc3339(until))), until
        )

    def add(
        self,
        code: str,
        chain: Sequence[Certificate],
        *,
        proof: bytes | None = None,
        request: bytes | None = None,
        not_before: date | None = None,
    ) -> Row:
        """Register a certificate beside those that the agency has.

        Args:
            code: the agency.
            chain: the certificate, then those that lead to an anchor.
            proof: a signature over an open challenge of this agency's.
            request: or the PKCS#10 request that it was issued for.
            not_before: first day in Vietnam on which it may sign, where that is later than its own date.

        Raises:
            RefusedError: PROOF-INVALID; CERTIFICATE-TAKEN; or what a worker would say of the certificate.
        """
        directory = load(self.directory_file)
        agency, leaf, now = self._agency(directory, code), chain[0], self.clock.now()
        result = self.trust.check(chain, now, Purpose.DOCUMENT)
        if result.code is not Code.OK:
            raise RefusedError(result.code, result.detail)
        self._check_taken(directory, code, leaf)
        known = next((one for one in agency.certificates if one.sha256 == leaf.sha256), None)
        comes_back = known is not None and known.retired_at is not None
        shown = self._check_possession(code, leaf, proof, request, now, anew=comes_back)
        between = tuple(pem_of(one) for one in result.chain[1:-1])
        new = AgencyCertificate(leaf.sha256, pem_of(leaf), not_before, chain=between)
        if known is not None and known.retired_at is None and known.not_before == not_before:
            return _row(code, known, now)
        with self._acting("certificate.add", code, f"{leaf.sha256} {shown}"):
            self._change(
                "certificate.add",
                code,
                lambda one: replace(
                    one, certificates=(*(old for old in one.certificates if old.sha256 != new.sha256), new)
                ),
            )
        return replace(_row(code, new, now), changed=True)

    def retire(self, code: str, which: str, at: datetime | None = None, *, force: bool = False) -> Row:
        """Let a certificate sign nothing from a moment on, now by default.

        Refused if somebody would be left without any certificate to sign with.

        Args:
            code: the agency that it is registered for.
            which: its SHA-256 over the DER, in hex, or the first eight digits or more.
            at: when.
            force: do it even then.
        """
        directory = load(self.directory_file)
        agency, now = self._agency(directory, code), self.clock.now()
        moment = at or now
        if moment < now and not force:
            raise OperationError(
                Code.UNSAFE_CHANGE, "that moment has passed: recipients would reject what was accepted since"
            )
        found = [
            one
            for one in agency.certificates
            if len(which) >= _LEAST and one.sha256.startswith(which.lower())
        ]
        if len(found) != 1:
            raise OperationError(Code.NOT_FOUND, f"{code} has no certificate {which[:64]}")
        old = found[0]
        if old.retired_at is not None and (old.retired_at <= now or old.retired_at == moment):
            return _row(code, old, now)
        new = replace(old, retired_at=moment)
        lacking = _lacking(directory, code, old, moment)
        if lacking and not force:
            more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
            raise OperationError(
                Code.UNSAFE_CHANGE, f"nothing would be left to sign for {' '.join(lacking[:_SHOWN])}{more}"
            )
        with self._acting("certificate.retire", code, f"{old.sha256} from {rfc3339(moment)}"):
            self._change(
                "certificate.retire",
                code,
                lambda one: replace(
                    one,
                    certificates=tuple(
                        new if each.sha256 == new.sha256 else each for each in one.certificates
                    ),
                ),
            )
        return replace(_row(code, new, now), changed=True)

    def ls(self, code: str | None = None) -> list[Row]:
        """Return the certificates of one agency, or of all, retired ones too."""
        directory, now = load(self.directory_file), self.clock.now()
        if code is not None and directory.agency(code) is None:
            raise OperationError(Code.NOT_FOUND, f"the directory has no agency {code}")
        return [
            _row(agency.code, one, now)
            for agency in directory.agencies()
            if code in {None, agency.code}
            for one in agency.certificates
        ]

    # --- steps

    @staticmethod
    def _agency(directory: AgencyDirectory, code: str) -> Agency:
        agency = directory.agency(code)
        if agency is None or agency.admission is Admission.CLOSED:
            told = "is closed" if agency else "is not in the directory"
            raise OperationError(Code.NOT_FOUND, f"{code} {told}")
        return agency

    def _check_possession(
        self,
        code: str,
        leaf: Certificate,
        proof: bytes | None,
        request: bytes | None,
        now: datetime,
        *,
        anew: bool,
    ) -> str:
        """Return what proved it, for the audit row: the challenge's nonce, or ``pkcs10``.

        A challenge proves one certificate, so that a command that died may be given again; ``anew``: not even that one.
        """
        if request is not None:
            requested_by(leaf, request)
            return "pkcs10"
        if proof is None:
            raise RefusedError(Code.PROOF_INVALID, "neither a signed challenge nor a request")
        acts = self.registry.acts(code, _ACTS)
        added = [act.detail.partition(" ") for act in acts if act.act == "certificate.add"]
        used = {nonce for sha256, _, nonce in added if anew or sha256 != leaf.sha256}
        asked = [act.detail.partition(" ") for act in acts if act.act == "certificate.challenge"]
        late = ""
        for nonce, _, until in asked:
            end = datetime.fromisoformat(until)
            if signed_by(leaf, challenge_text(self.relay, code, nonce, end), proof):
                if nonce not in used and now <= end:
                    return nonce
                late = "it answers a challenge that was used before or is too old"
        raise RefusedError(
            Code.PROOF_INVALID, late or f"no signature by this certificate's key over a challenge for {code}"
        )

    @staticmethod
    def _check_taken(directory: AgencyDirectory, code: str, leaf: Certificate) -> None:
        for agency in directory.agencies():
            for one in agency.certificates if agency.code != code else ():
                known = _certificate(one)
                if one.sha256 == leaf.sha256 or (known is not None and known.key == leaf.key):
                    raise RefusedError(Code.CERTIFICATE_TAKEN, f"{agency.code} has it or its key")

    def _change(self, act: str, code: str, change: Callable[[Agency], Agency]) -> None:
        if not self.dry_run:
            change_agency(self.directory_file, code, change, By(self.who, act, self.clock.now()))

    @contextmanager
    def _acting(self, act: str, code: str, detail: str) -> Iterator[None]:
        """Note the act before it is done, and once more if it failed."""
        if self.dry_run:
            yield
            return
        self.registry.note_act(Act(self.clock.now(), self.who, act, code, detail))
        try:
            yield
        except TrucError as error:
            self.registry.note_act(Act(self.clock.now(), self.who, f"{act}-failed", code, error.code.value))
            raise


def _certificate(registered: AgencyCertificate) -> Certificate | None:
    """Return a registered certificate, read; None where no worker would take it."""
    try:
        return read_pem(registered.pem)
    except RefusedError:
        return None


def _row(code: str, registered: AgencyCertificate, now: datetime) -> Row:
    found = _certificate(registered)
    state: State = "valid"
    if found is None:
        state = "unusable"
    elif registered.retired_at is not None and registered.retired_at <= now:
        state = "retired"
    elif found.not_after < now or (
        registered.not_after is not None and registered.not_after < vietnam_day(now)
    ):
        state = "expired"
    elif found.not_before > now or not registered.signs_at(now):
        state = "not-yet"
    return Row(
        code,
        registered.sha256,
        found.subject if found else "",
        found.not_before if found else None,
        found.not_after if found else None,
        registered,
        state,
    )


def _lacking(directory: AgencyDirectory, code: str, gone: AgencyCertificate, moment: datetime) -> list[str]:
    """Return who could sign at that moment and could not without one certificate: the agency, and whom it serves."""
    lacking = []
    for one in dict.fromkeys((code, *directory.served_by(code))):
        able = {each.sha256 for each in directory.signers(one) if _row(one, each, moment).state == "valid"}
        if able == {gone.sha256}:
            lacking.append(one)
    return lacking
