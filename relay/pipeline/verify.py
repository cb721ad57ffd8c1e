"""Verify: from bytes to a verdict, an envelope and the proof of who speaks.

``examine`` looks at the bytes alone (parse, signature, chain, reading of the signed view) and may run in a pool;
``judge`` adds what the directory and the broker know (whose certificate, who may speak). Both are pure; from here on
nothing reads the body again, only the envelope that was read from the signed view.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime

from relay.directory.admission import may_send
from relay.errors import Code, RefusedError
from relay.model.codes import normal_form
from relay.model.envelope import Envelope
from relay.model.message import Kind
from relay.model.ports import Directory, PackageFormat, Verifier
from relay.model.verdict import Verdict
from relay.pipeline.accept import Submission


@dataclass(frozen=True, slots=True)
class Examined:
    """What the bytes say. ``envelope`` is there only if the signature is intact and the package readable."""

    verdict: Verdict
    envelope: Envelope | None
    unreadable: Code | None = None  # intact, but the signed package breaks a rule
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Proven:
    """Sender and right to speak are proven; ``refusal``, if any, is about the package and goes to the sender."""

    submission: Submission
    verdict: Verdict
    envelope: Envelope
    refusal: Code | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Unproven:
    """The refusal goes to the publishing broker user and to nobody whom the package names."""

    submission: Submission
    refusal: Code
    detail: str = ""
    verdict: Verdict | None = None
    waits: bool = False  # nothing but revocation data is missing: time may mend that


def examine(verifier: Verifier, form: PackageFormat, body: bytes, kind: Kind, at: datetime) -> Examined:
    """Verify the bytes as of ``at`` and read the envelope from the signed view. Never raises on any bytes."""
    verification = verifier.verify(body, form.place(kind), at)
    if verification.view is None:
        return Examined(verification.verdict, None)
    try:
        envelope = form.read(verification.view, kind)
    except RefusedError as error:
        return Examined(verification.verdict, None, error.code, error.detail)
    return Examined(verification.verdict, envelope)


def judge(submission: Submission, examined: Examined, directory: Directory, day: date) -> Proven | Unproven:
    """Add what the directory knows: is the signer the sender's, may the broker user speak for it?"""
    verdict, envelope = examined.verdict, examined.envelope
    if not verdict.accepted:
        waits = verdict.reason is Code.REVOCATION_UNKNOWN and _in_order(submission, examined, directory, day)
        return Unproven(submission, verdict.reason, verdict.detail, verdict, waits)
    if envelope is None:
        return Unproven(submission, examined.unreadable or Code.NOT_XML, examined.detail, verdict)
    fault = _speaker_fault(submission.user, verdict, envelope, directory, day)
    if fault is not None:
        return Unproven(submission, fault, verdict=replace(verdict, trusted=False, reason=fault))
    verdict = _in_whose_name(verdict, envelope, directory)
    if submission.claimed_sender is not None and not _same_code(submission.claimed_sender, envelope.sender):
        detail = "the routing key does not name the signed sender"
        return Proven(submission, verdict, envelope, Code.BAD_ROUTING_KEY, detail)
    return Proven(submission, verdict, envelope, submission.refusal, submission.detail)


def _in_order(submission: Submission, examined: Examined, directory: Directory, day: date) -> bool:
    """Whether all but the verdict is as it has to be; what the ladder would wash off is not put on it."""
    verdict, envelope = examined.verdict, examined.envelope
    if not verdict.intact or envelope is None or submission.refusal is not None:
        return False
    if submission.claimed_sender is not None and not _same_code(submission.claimed_sender, envelope.sender):
        return False
    return _speaker_fault(submission.user, verdict, envelope, directory, day) is None


def _in_whose_name(verdict: Verdict, envelope: Envelope, directory: Directory) -> Verdict:
    """Name the sender where its gateway's certificate signed, and not one of its own."""
    agency = directory.agency(envelope.sender)
    own = () if agency is None else agency.certificates
    at = verdict.verified_at
    if any(one.sha256 == verdict.certificate_sha256 and one.signs_at(at) for one in own):
        return verdict
    return replace(verdict, on_behalf_of=envelope.sender)


def _speaker_fault(
    user: str, verdict: Verdict, envelope: Envelope, directory: Directory, day: date
) -> Code | None:
    agency = directory.agency(envelope.sender)
    if agency is None:
        return Code.UNKNOWN_SENDER
    at = verdict.verified_at
    signers = {known.sha256 for known in directory.signers(envelope.sender) if known.signs_at(at)}
    if verdict.certificate_sha256 not in signers:
        return Code.WRONG_SIGNER
    if not directory.may_speak(user, envelope.sender):
        return Code.SENDER_NOT_ALLOWED
    gateway = directory.agency(agency.gateway) if agency.gateway is not None else None
    silenced = any(not may_send(one, day) for one in (agency, gateway) if one is not None)
    if silenced or not agency.valid_on(day):
        return Code.SENDER_SUSPENDED
    return None


def _same_code(claimed: str, sender: str) -> bool:
    try:
        return normal_form(claimed) == claimed == sender
    except RefusedError:
        return False


class Examiner:
    """Runs ``examine`` where measurement says: small bodies at once, large ones in a pool.

    A hand-over to another thread costs more than the check of a small package, and while a thread computes outside
    the interpreter the I/O thread goes on; so only bodies above ``inline_max`` go to the pool.
    """

    def __init__(
        self,
        verifier: Verifier,
        form: PackageFormat,
        *,
        mode: str = "inline",
        workers: int = 1,
        inline_max: int = 256 * 1024,
        initializer: Callable[[], None] | None = None,
        authorities: Callable[[], tuple[bytes, ...]] = tuple,
    ) -> None:
        """``authorities``: what a pool process is to know besides its own files, as DER, with each body."""
        self._authorities = authorities
        self._verifier = verifier
        self._form = form
        self._inline_max = inline_max if mode == "inline" else 0
        self._workers = workers
        self._initializer = initializer
        self._remote = mode == "processes"
        self._pool: Executor = (
            self._processes(workers)
            if self._remote
            else ThreadPoolExecutor(max_workers=workers, thread_name_prefix="verify")
        )

    async def examine(self, body: bytes, kind: Kind, at: datetime) -> Examined:
        """Return what the bytes say, from wherever it is cheapest to compute.

        Raises:
            concurrent.futures.BrokenExecutor: the bytes have ended two processes, the second one alone.
        """
        if len(body) <= self._inline_max:
            return examine(self._verifier, self._form, body, kind, at)
        loop = asyncio.get_running_loop()
        if not self._remote:
            return await loop.run_in_executor(self._pool, examine, self._verifier, self._form, body, kind, at)
        pool = self._pool
        try:
            return await loop.run_in_executor(pool, examine_remotely, body, kind, at, self._authorities())
        except BrokenExecutor:
            if self._pool is pool:
                self._pool = self._processes(self._workers)  # one that is broken stays so
                pool.shutdown(wait=False)
        # One body has ended a process, and all that were with it are here: each by itself now.
        alone = self._processes(1)
        try:
            return await loop.run_in_executor(alone, examine_remotely, body, kind, at, self._authorities())
        finally:
            alone.shutdown(wait=False)

    def _processes(self, workers: int) -> Executor:
        return ProcessPoolExecutor(max_workers=workers, initializer=self._initializer)

    def close(self) -> None:
        """Give the pool back."""
        self._pool.shutdown(wait=False, cancel_futures=True)


Learn = Callable[[tuple[bytes, ...]], None]
_REMOTE: list[tuple[Verifier, PackageFormat, Learn]] = []


def install_remote(verifier: Verifier, form: PackageFormat, learn: Learn = lambda _authorities: None) -> None:
    """Called once in each pool process by its initializer: what is trusted does not travel.

    ``learn`` is told the authorities, as DER, that come with a body.
    """
    _REMOTE[:] = [(verifier, form, learn)]


def examine_remotely(body: bytes, kind: Kind, at: datetime, authorities: tuple[bytes, ...] = ()) -> Examined:
    """``examine`` inside a pool process."""
    verifier, form, learn = _REMOTE[0]
    learn(authorities)
    return examine(verifier, form, body, kind, at)
