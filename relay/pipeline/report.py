"""Report: from what happened to receipts, as values and as signed bytes.

The only place where a receipt is put together; every other file merely records outcomes. Holds the worker's receipt
counter and signer, passed in.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from relay.broker import names
from relay.errors import Code
from relay.evidence import receipts as writer
from relay.model.delivery import ENDED, Delivery, State
from relay.model.evidence import Judged, Submission
from relay.model.inspection import AttachmentVerdict
from relay.model.message import Kind, Outgoing
from relay.model.ports import ReceiptSigner
from relay.model.receipt import LineState, Receipt, ReceiptKind, RecipientLine, SignedReceipt
from relay.model.record import Document, Move, NewReceipt
from relay.model.verdict import Verdict

_RECEIPT_NS: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:truc:receipt")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a receipt is about, when there is no row of a proven document: what the broker and the bytes tell."""

    user: str
    transport_id: str
    correlation_id: str | None
    kind: str
    sha256: str
    size: int


class Numbers:
    """Counts receipts of one process: ``<prefix>-<N>``, gap-free while it runs, never twice over restarts."""

    def __init__(self, prefix: str, last: int) -> None:
        self.prefix = prefix
        self._last = last

    def go_on_from(self, last: int) -> None:
        """Count on from a number that the registry knows."""
        self._last = max(self._last, last)

    def __call__(self) -> str:
        """Return the next number."""
        self._last += 1
        return f"{self.prefix}-{self._last}"


class Reporter:
    """Makes receipts. ``numbers`` gives the next number of this process, e.g. ``w1-42``.

    ``check`` raises ``TransientError`` where it is known that nothing can be signed now. Every way of making a receipt
    may raise it too: what waits for a receipt is tried again.
    """

    def __init__(
        self,
        relay: str,
        numbers: Callable[[], str],
        signer: ReceiptSigner,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.check = check
        self._relay = relay
        self._numbers = numbers
        self._signer = signer

    def refusal(
        self,
        subject: Subject,
        code: Code,
        detail: str,
        verdict: Verdict | None,
        at: datetime,
        to: str | None = None,
    ) -> NewReceipt:
        """A refusal whose sender is not proven: to the queue of the broker user that published it."""
        receipt = Receipt(
            kind=ReceiptKind.ACKNOWLEDGEMENT,
            accepted=False,
            relay=self._relay,
            number=self._numbers(),
            at=at,
            code=code,
            transport_id=subject.transport_id,
            sender="" if to is None else to,
            document_kind=subject.kind,
            body_sha256=subject.sha256,
            body_bytes=subject.size,
            verdict=verdict,
            detail=detail,
        )
        to = to or subject.user
        return self._new(receipt, to, subject.correlation_id, None, subject=subject, refusal=True)

    def acknowledgement(
        self, document: Document, moves: Iterable[Move], at: datetime, lines: tuple[Delivery, ...] = ()
    ) -> NewReceipt:
        """The acknowledgement of a submission: one line for each recipient, as they stand after ``moves``.

        ``lines`` are those of a document that is refused as a whole, of which no delivery is stored.
        """
        deliveries = lines or apply(document.deliveries, moves)
        accepted = document.refusal is None
        receipt = self._about(
            document, ReceiptKind.ACKNOWLEDGEMENT, accepted, document.refusal, at, deliveries
        )
        return self._new(receipt, document.sender, document.transport_id, document.row, final=not accepted)

    def same_content(self, document: Document, original: Document, at: datetime) -> NewReceipt:
        """The acknowledgement of bytes that came before under another transport id."""
        receipt = self._about(
            document, ReceiptKind.ACKNOWLEDGEMENT, True, Code.SAME_CONTENT, at, original.deliveries
        )
        detail = "" if original.transport_id == document.transport_id else original.transport_id
        return self._new(
            replace(receipt, detail=detail),
            document.sender,
            document.transport_id,
            document.row,
            final=original.finished,
        )

    def outcome(
        self,
        document: Document,
        aliases: Iterable[Document],
        at: datetime,
        *,
        code: Code | None = None,
        only: frozenset[str] | None = None,
        states: Mapping[str, LineState] | None = None,
    ) -> list[NewReceipt]:
        """An outcome for a document and for each later submission of the same bytes.

        ``only``: the delivery ids that a notice is about; without it the receipt is the final one and names all.
        """
        deliveries = tuple(one for one in document.deliveries if only is None or one.delivery_id in only)
        result = []
        for submission in (document, *aliases):
            receipt = self._about(submission, ReceiptKind.OUTCOME, True, code, at, deliveries, states or {})
            final = only is None
            told = tuple(one.delivery_id for one in deliveries) if submission.row == document.row else ()
            accepted = any(line.state is not LineState.REFUSED for line in receipt.recipients)
            result.append(
                self._new(
                    replace(receipt, accepted=accepted),
                    submission.sender,
                    submission.transport_id,
                    submission.row,
                    final=final,
                    told=told,
                )
            )
        return result

    def held(
        self, subject: Subject, to: str, code: Code, detail: str, at: datetime, line: RecipientLine | None
    ) -> NewReceipt:
        """A notice that a message stands in quarantine."""
        receipt = Receipt(
            kind=ReceiptKind.HELD,
            accepted=True,
            relay=self._relay,
            number=self._numbers(),
            at=at,
            code=code,
            transport_id=subject.transport_id,
            sender="",
            document_kind=subject.kind,
            body_sha256=subject.sha256,
            body_bytes=subject.size,
            recipients=(line,) if line else (),
            detail=detail,
        )
        return self._new(receipt, to, subject.correlation_id, None, subject=subject)

    def attachment_verdict(
        self,
        document: Document,
        aliases: Iterable[Document],
        verdicts: tuple[AttachmentVerdict, ...],
        at: datetime,
    ) -> list[NewReceipt]:
        """What was found in a document's attachments: to the sender of each submission, and to each recipient that has
        or will have it."""
        result = []
        for submission in (document, *aliases):
            receipt = self._about(submission, ReceiptKind.ATTACHMENT_VERDICT, True, None, at, ())
            receipt = replace(receipt, attachments=verdicts, detail="")
            result.append(self._new(receipt, submission.sender, submission.transport_id, submission.row))
        for one in document.deliveries:
            if one.state in {State.REFUSED, State.WITHDRAWN}:
                continue
            receipt = self._about(document, ReceiptKind.ATTACHMENT_VERDICT, True, None, at, (one,))
            receipt = replace(receipt, attachments=verdicts, detail="")
            result.append(self._new(receipt, one.recipient, document.transport_id, document.row))
        return result

    def _about(
        self,
        document: Document,
        kind: ReceiptKind,
        accepted: bool,
        code: Code | None,
        at: datetime,
        deliveries: Iterable[Delivery],
        states: Mapping[str, LineState] | None = None,
    ) -> Receipt:
        return Receipt(
            kind=kind,
            accepted=accepted,
            relay=self._relay,
            number=self._numbers(),
            at=at,
            code=code,
            transport_id=document.transport_id,
            sender=document.sender,
            document_kind=document.kind.value,
            body_sha256=document.body_sha256,
            body_bytes=document.body_bytes,
            document_id=document.document_id,
            verdict=document.verdict,
            recipients=tuple(line(one, at, (states or {}).get(one.delivery_id)) for one in deliveries),
            detail=document.detail,
        )

    def _new(
        self,
        receipt: Receipt,
        to: str,
        correlation_id: str | None,
        row: int | None,
        *,
        final: bool = False,
        told: tuple[str, ...] = (),
        subject: Subject | None = None,
        refusal: bool = False,
    ) -> NewReceipt:
        message_id = str(uuid.uuid5(_RECEIPT_NS, f"{receipt.relay}\n{receipt.number}"))
        signed = writer.sign(
            receipt, self._signer, to=to, correlation_id=correlation_id, message_id=message_id
        )
        return NewReceipt(
            receipt=signed,
            document=row,
            final=final,
            told=told,
            user=subject.user if subject else "",
            transport_id=subject.transport_id if subject else receipt.transport_id,
            body_sha256=receipt.body_sha256,
            refused=_refusal(receipt, subject) if refusal and subject else None,
        )


def _refusal(receipt: Receipt, subject: Subject) -> Submission:
    """What is put on record of a submission that no row of a document is made of."""
    verdict = receipt.verdict
    return Submission(
        transport_id=subject.transport_id,
        sender=receipt.sender,
        user=subject.user,
        document_kind=subject.kind,
        body_sha256=subject.sha256,
        body_bytes=subject.size,
        document_id=receipt.document_id,
        directory_version="",
        verdict=None
        if verdict is None
        else Judged(
            verdict.intact,
            verdict.trusted,
            verdict.reason.value,
            verdict.certificate_sha256,
            verdict.algorithm,
            verdict.profile,
        ),
        refusal="" if receipt.code is None else receipt.code.value,
    )


def line(delivery: Delivery, at: datetime, state: LineState | None = None) -> RecipientLine:
    """Return the line of one delivery; PLANNED is told as *deferred*."""
    told = state or (
        LineState.DEFERRED if delivery.state is State.PLANNED else LineState(delivery.state.value)
    )
    return RecipientLine(
        code=delivery.written,
        resolved=delivery.recipient,
        state=told,
        outcome_code=delivery.code,
        delivery_id=delivery.delivery_id,
        at=delivery.at or at,
        detail=delivery.detail,
    )


def apply(deliveries: tuple[Delivery, ...], moves: Iterable[Move]) -> tuple[Delivery, ...]:
    """Return the deliveries as they stand after the moves."""
    by_id = {move.delivery_id: move for move in moves}
    return tuple(
        replace(one, state=move.state, code=move.code, at=move.at, due_at=move.due_at, attempt=move.attempt)
        if (move := by_id.get(one.delivery_id))
        else one
        for one in deliveries
    )


def ended(document: Document) -> bool:
    """Whether every delivery of a document has ended, so that its final outcome is due."""
    return (
        document.kind is Kind.EDOC
        and not document.finished
        and bool(document.deliveries)
        and all(one.state in ENDED for one in document.deliveries)
    )


def message(receipt: SignedReceipt, *, duplicate: bool = False) -> Outgoing:
    """Return the message that carries a stored receipt."""
    headers = {
        names.H_RECEIPT_KIND: receipt.kind.value,
        names.H_RESULT: "accepted" if receipt.accepted else "refused",
        names.H_CODE: receipt.code,
    }
    if duplicate:
        headers[names.H_DUPLICATE] = "true"
    return Outgoing(
        exchange=names.RECEIPTS,
        routing_key=receipt.to,
        body=receipt.body,
        message_id=receipt.message_id,
        type=Kind.RECEIPT.value,
        content_type=names.CONTENT_RECEIPT,
        correlation_id=receipt.correlation_id,
        headers=headers,
    )
