"""From the relay's receipt, verified in ``evidence``, to what a gateway acts on."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from relay.errors import Code, OperationError
from relay.model.times import rfc3339

if TYPE_CHECKING:
    from adapters.gateway import ReceiptFacts
    from relay.evidence.receipts import ReadReceipt, ReceiptVerifier


def read_receipt(body: bytes, at: datetime, verifier: ReceiptVerifier) -> ReceiptFacts:
    """Return what a receipt says.

    Args:
        body: the receipt's bytes.
        at: the time that counts for the relay's certificate.
        verifier: holds the anchors.

    Raises:
        OperationError: RECEIPT-INVALID: signature, signer or shape do not hold.
    """
    result = verifier.verify(body, at)
    if not result.accepted or result.receipt is None:
        verdict = result.verdict
        raise OperationError(Code.RECEIPT_INVALID, f"{verdict.reason.value} {verdict.detail}".strip())
    return facts_of(result.receipt)


def facts_of(receipt: ReadReceipt) -> ReceiptFacts:
    """Return the facts of a receipt that was read."""
    from adapters.gateway import ReceiptFacts, ReceiptLine

    return ReceiptFacts(
        kind=receipt.kind.value,
        result="accepted" if receipt.accepted else "refused",
        code=receipt.code,
        relay=receipt.relay,
        number=receipt.number,
        at=receipt.at,
        transport_id=receipt.transport_id,
        sender=receipt.sender,
        recipients=tuple(
            ReceiptLine(
                code=line.code,
                resolved=line.resolved,
                state=line.state.value,
                outcome_code=line.outcome_code,
                delivery_id=line.delivery_id,
                at=rfc3339(line.at),
                detail=line.messages.get("en", ""),
            )
            for line in receipt.recipients
        ),
        detail=receipt.error.messages.get("en", "") if receipt.error else _attachments(receipt),
    )


def _attachments(receipt: ReadReceipt) -> str:
    """Return in a sentence what an attachment-verdict comes to; empty for the other kinds."""
    from relay.cli.options import language
    from relay.evidence.attachments import of_all
    from relay.model.inspection import worst

    if not receipt.attachments:
        return ""
    return of_all(worst(receipt.attachments), "vi" if language() == "vi" else "en")
