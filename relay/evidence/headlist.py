"""The heads of a log, one after the other: numbers, hashes, signatures, and what others say of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol, runtime_checkable

from relay.errors import Code, RefusedError
from relay.evidence import heads as h
from relay.evidence.faults import Fault, FaultKind, What
from relay.evidence.log import NOTHING
from relay.model.evidence import Checkpoint, Head, LogReader, SignedHead, SignedStatement
from relay.trust.certificate import Certificate, relay_name
from relay.trust.chain import ChainResult
from relay.trust.detached import open_detached
from relay.trust.timestamp import Stamped

Judge = Callable[[Sequence[Certificate], datetime], ChainResult]
"""Whether a relay's certificate is to be trusted at a moment (``TrustStore.check`` for receipts)."""
StampCheck = Callable[[bytes, bytes], Stamped]
"""Judges a time-stamp token over a head's text; raises ``RefusedError``."""


@runtime_checkable
class _Adrift(Protocol):
    def adrift(self) -> tuple[SignedStatement, ...]:
        """Return statements about heads that the log does not have."""
        ...


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed a text."""

    certificate: Certificate
    code: Code  # OK, or why it is not to be trusted
    detail: str = ""

    @property
    def trusted(self) -> bool:
        """Whether somebody whom the caller trusts vouches for it."""
        return self.code is Code.OK


@dataclass(slots=True)
class HeadList:
    """What was read, in order, and what is wrong with it."""

    heads: list[tuple[Head, SignedHead]] = field(default_factory=list)  # whose signature holds
    signer: Signer | None = None  # of the newest
    stamps: int = 0
    statements: int = 0
    count: int = 0
    faults: list[Fault] = field(default_factory=list)
    notes: list[Fault] = field(default_factory=list)

    def bases(self) -> dict[int, int]:
        """Return the base of each life that a head tells of."""
        return {head.life: head.base for head, _ in self.heads}


NO_JUDGE: Final = "no anchor was given"


class HeadReader:
    """Reads heads and judges who signed them.

    Args:
        judge: anchors; None: nobody is trusted but ``known``.
        known: SHA-256 of certificates (lower-case hex) that the caller knows to be the relay's or a witness's.
        stamps: judges time-stamps; None: they are counted as unread.
    """

    def __init__(
        self, judge: Judge | None, known: frozenset[str] = frozenset(), stamps: StampCheck | None = None
    ) -> None:
        self._judge = judge
        self._known = known
        self._stamps = stamps

    def signer(self, text: bytes, line: bytes, kind: str, relay: str, at: datetime) -> Signer:
        """Check one signature.

        Raises:
            RefusedError: it does not hold, or its certificate is not that of ``relay``.
        """
        chain = open_detached(line, text, kind)
        if (named := relay_name(chain[0])) != relay:
            raise RefusedError(Code.SIGNATURE_INVALID, f"signed by {named or 'no relay'}, not by {relay}")
        if chain[0].sha256 in self._known:
            return Signer(chain[0], Code.OK)
        if self._judge is None:
            return Signer(chain[0], Code.UNKNOWN_CA, NO_JUDGE)
        result = self._judge(chain, at)
        return Signer(chain[0], result.code, result.detail)

    def head(self, signed: SignedHead) -> tuple[Head, Signer]:
        """Read one head and check its signature. Raises ``RefusedError``."""
        head = h.read_head(signed.text)
        return head, self.signer(signed.text, signed.signature, h.HEAD_TYPE, head.relay, head.at)

    def statement(self, statement: SignedStatement, signed: SignedHead) -> tuple[Mapping[str, str], Signer]:
        """Read what a witness said of a head, as ``heads.read_statement`` returns it, and check its signature.

        Raises:
            RefusedError: EVIDENCE-BROKEN: it speaks of another head; else as ``signer``; a relay is no witness of itself.
        """
        said, head = h.read_statement(statement.text), h.read_head(signed.text)
        at = datetime.fromisoformat(said["at"])
        signer = self.signer(statement.text, statement.signature, h.STATEMENT_TYPE, said["witness"], at)
        if said["witness"] == head.relay:
            raise RefusedError(Code.SIGNATURE_INVALID, f"{head.relay} is no witness of itself")
        if said["head"] != h.head_hash(signed.text).hex():
            raise RefusedError(
                Code.EVIDENCE_BROKEN,
                f"{said['witness']} was shown another head {said['number']} with hash {said['head']}",
            )
        return said, signer

    def read(self, log: LogReader) -> HeadList:
        """Read all heads of a log."""
        out = HeadList()
        before: tuple[Head, bytes] | None = None
        unread = 0  # heads since ``before`` that are none
        signers: dict[str, Signer] = {}
        try:
            for checkpoint in log.checkpoints():
                out.count += 1
                try:
                    head = h.read_head(checkpoint.head.text)
                except RefusedError as error:
                    unread += 1
                    number = unread + (before[0].number if before else 0)
                    out.faults.append(_fault(FaultKind.ALTERED, number, "format", error.detail))
                    continue
                out.faults += _follows(head, before, unread)
                before, unread = (head, h.head_hash(checkpoint.head.text)), 0
                self._judge_one(checkpoint, head.number, out, signers)
        except RefusedError as error:
            out.faults.append(_fault(FaultKind.MALFORMED, 0, "format", error.detail))
        if isinstance(log, _Adrift):
            self._adrift(log.adrift(), out)
        self._trust(out, signers)
        return out

    def _judge_one(
        self, checkpoint: Checkpoint, number: int, out: HeadList, signers: dict[str, Signer]
    ) -> None:
        text = checkpoint.head.text
        try:
            head, signer = self.head(checkpoint.head)
        except RefusedError as error:
            detail = f"{error.code.value} {error.detail}".strip()
            kind = FaultKind.ALTERED if error.code is Code.SIGNATURE_INVALID else FaultKind.SIGNATURE
            out.faults.append(_fault(kind, number, "head-signature", detail))
        else:
            out.heads.append((head, checkpoint.head))
            out.signer = signers[signer.certificate.sha256] = signer
        for token in checkpoint.time_stamps:
            self._stamp(token, text, number, out)
        for statement in checkpoint.statements:
            self._statement(statement, checkpoint.head, number, out)

    def _stamp(self, token: bytes, text: bytes, number: int, out: HeadList) -> None:
        if self._stamps is None:
            if not any(note.reason == "unread-stamp" for note in out.notes):
                out.notes.append(_fault(FaultKind.TIME_STAMP, number, "unread-stamp", NO_JUDGE))
            return
        try:
            self._stamps(token, text)
            out.stamps += 1
        except RefusedError as error:
            detail = f"{error.code.value} {error.detail}".strip()
            out.faults.append(_fault(FaultKind.TIME_STAMP, number, "stamp", detail))

    def _statement(self, statement: SignedStatement, signed: SignedHead, number: int, out: HeadList) -> None:
        name = f"statement on head {number}"
        try:
            said, signer = self.statement(statement, signed)
        except RefusedError as error:
            values = {"detail": f"{error.code.value} {error.detail}".strip()}
            kind = FaultKind.FORKED if error.code is Code.EVIDENCE_BROKEN else FaultKind.SIGNATURE
            out.faults.append(Fault(kind, What.STATEMENT, name, "statement", None, number, number, values))
            return
        if self._judge is not None and not signer.trusted:  # anybody may say what he has seen
            values = {"witness": said["witness"], "sha256": signer.certificate.sha256}
            kind = FaultKind.SIGNATURE
            out.notes.append(Fault(kind, What.STATEMENT, name, "no-witness", None, number, number, values))
            return
        out.statements += 1

    def _adrift(self, statements: Iterable[SignedStatement], out: HeadList) -> None:
        stored = {head.number for head, _ in out.heads}
        for statement in statements:
            said = h.read_statement(statement.text)
            number = int(said["number"])
            name, at = f"head {number}", datetime.fromisoformat(said["at"])
            kind = FaultKind.FORKED if number in stored else FaultKind.TRUNCATED
            detail = f"{said['witness']} was shown head {number} with hash {said['head']}"
            try:
                line = statement.signature
                self.signer(statement.text, line, h.STATEMENT_TYPE, said["witness"], at)
            except RefusedError as error:  # anybody can write that he was shown another one
                kind, detail = FaultKind.SIGNATURE, f"{error.code.value} {error.detail}".strip()
            values = {"detail": detail}
            out.faults.append(Fault(kind, What.STATEMENT, name, "statement", None, number, number, values))

    def _trust(self, out: HeadList, signers: dict[str, Signer]) -> None:
        newest = out.signer
        if newest is None:
            return
        number = out.heads[-1][0].number
        if not newest.trusted:
            if self._judge is None:
                sha256 = newest.certificate.sha256
                out.notes.append(
                    Fault(
                        FaultKind.SIGNATURE,
                        What.HEAD,
                        f"head {number}",
                        "no-anchor",
                        None,
                        number,
                        number,
                        {"sha256": sha256},
                    )
                )
            else:
                detail = f"{newest.code.value} {newest.detail}".strip()
                out.faults.append(_fault(FaultKind.SIGNATURE, number, "head-signature", detail))
        for sha256, signer in signers.items():
            if sha256 != newest.certificate.sha256 and not signer.trusted and self._judge is not None:
                detail = f"{signer.code.value} {signer.detail}".strip()
                out.notes.append(_fault(FaultKind.SIGNATURE, number, "old-signer", detail))


def _follows(head: Head, before: tuple[Head, bytes] | None, unread: int) -> Iterable[Fault]:
    number = head.number
    former, hash_ = before or (None, NOTHING)
    last = unread + (former.number if former else 0)
    if number > last + 1:
        values = {"first": str(last + 1), "last": str(number - 1)}
        yield Fault(
            FaultKind.REMOVED,
            What.HEAD,
            f"head {last + 1}" if number == last + 2 else f"heads {last + 1} to {number - 1}",
            "head-gone",
            None,
            last + 1,
            number - 1,
            values,
        )
        return
    if number <= last:
        yield Fault(FaultKind.SWAPPED, What.HEAD, f"head {number}", "head-order", None, number, number)
        return
    if not unread and head.previous != hash_:
        yield Fault(FaultKind.ALTERED, What.HEAD, f"head {last}", "head-previous", None, last, last)
    if former is None:
        return
    same = head.life == former.life and head.base == former.base
    restored = head.life > former.life and former.size <= head.base
    grown = head.size >= former.size and head.records >= former.records and head.relay == former.relay
    if not (grown and (same or restored)):
        yield Fault(FaultKind.FORKED, What.HEAD, f"head {number}", "head-order", None, number, number)


def _fault(kind: FaultKind, number: int, reason: str, detail: str) -> Fault:
    name = f"head {number}" if number else "heads"
    return Fault(kind, What.HEAD, name, reason, None, number, number, {"detail": detail})
