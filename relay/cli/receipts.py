"""Reading a receipt as anybody may: signature, signer's name, then the facts, from the signed view alone."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from relay.errors import Code, OperationError
from relay.model.verdict import Node, SignaturePlace

if TYPE_CHECKING:
    from adapters.gateway import ReceiptFacts
    from relay.trust.verifier import DocumentVerifier

_NS: Final = "{urn:truc:receipt:1}"
PLACE: Final = SignaturePlace(root=f"{_NS}receipt", path=())


def read_receipt(body: bytes, at: datetime, verifier: DocumentVerifier) -> ReceiptFacts:
    """Return what a receipt says.

    Args:
        body: the receipt's bytes.
        at: the time that counts for the relay's certificate.
        verifier: one for the purpose RECEIPT.

    Raises:
        OperationError: RECEIPT-INVALID: the signature does not hold, the signer is no relay or another relay than the
            one that is named, or a fact is missing.
    """
    from adapters.gateway import ReceiptFacts, ReceiptLine

    result, chain = verifier.judge(body, PLACE, at)
    if result.view is None or not result.verdict.accepted or chain is None:
        raise _invalid(f"{result.verdict.reason.value} {result.verdict.detail}".strip())
    root = result.view.root
    relay = _attribute(root, "relay")
    if chain.relay != relay:
        raise _invalid(f"it names the relay {relay}, and {chain.relay or 'no relay'} signed it")
    document = root.first(f"{_NS}document")
    if document is None:
        raise _invalid("no document is named")
    try:
        told_at = datetime.fromisoformat(_attribute(root, "at"))
    except ValueError:
        raise _invalid("at is no time") from None
    if told_at.tzinfo is None:
        raise _invalid("at has no offset")
    lines = tuple(
        ReceiptLine(
            code=_attribute(line, "code"),
            resolved=line.attribute("resolved") or "",
            state=_attribute(line, "state"),
            outcome_code=line.attribute("outcome-code") or "",
            delivery_id=line.attribute("delivery-id") or "",
            at=line.attribute("at") or "",
            detail=line.attribute("detail") or "",
        )
        for line in root.all(f"{_NS}recipient")
    )
    return ReceiptFacts(
        kind=_attribute(root, "kind"),
        result=_attribute(root, "result"),
        code=root.attribute("code") or "",
        relay=relay,
        number=_attribute(root, "number"),
        at=told_at,
        transport_id=document.attribute("transport-id") or "",
        sender=document.attribute("sender") or "",
        recipients=lines,
        detail=_detail(root),
    )


def _detail(root: Node) -> str:
    error = root.first(f"{_NS}error")
    detail = error.first(f"{_NS}detail") if error else None
    return (detail.text or "").strip() if detail else ""


def _attribute(node: Node, name: str) -> str:
    value = node.attribute(name)
    if value is None:
        raise _invalid(f"{name} is missing")
    return value


def _invalid(detail: str) -> OperationError:
    return OperationError(Code.RECEIPT_INVALID, detail)
