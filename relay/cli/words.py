"""How facts look: receipts, documents and statuses as JSON objects and as lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from relay.cli.options import people_time, words

if TYPE_CHECKING:
    from adapters.gateway import Arrived, ReceiptFacts, StoredReceipt
    from relay.errors import Code

_STATES: Final = {
    "accepted": "đã nhận",
    "refused": "bị từ chối",
    "planned": "chờ chuyển",
    "queued": "đã vào hàng đợi",
    "deferred": "tạm hoãn",
    "delivered": "đã giao",
    "withdrawn": "đã lấy lại",
    "overdue": "quá hạn",
    "held": "bị giữ lại",
}


_RECEIPTS: Final = {
    "acknowledgement": ("acknowledgement", "biên nhận"),
    "outcome": ("outcome", "kết quả"),
    "held": ("held", "thông báo giữ lại"),
    "attachment-verdict": ("attachment verdict", "kết quả kiểm tra tệp kèm"),
}
_KINDS: Final = {
    "edoc": ("document", "văn bản"),
    "status": ("status", "trạng thái"),
    "receipt": ("receipt", "biên nhận"),
}
_EVENTS: Final = {
    "same-content": ("same content", "gửi lại cùng nội dung"),
    "lost": ("lost", "mất nội dung"),
    "status": ("status", "trạng thái"),
    "receipt": ("receipt", "biên nhận"),
    "receipt-published": ("receipt published", "đã phát biên nhận"),
    "dropped": ("dropped", "đã bỏ"),
    "drop-told": ("drop told", "đã báo việc bỏ"),
    "released": ("released", "đã thả ra"),
    "quarantine.release": ("release ordered", "lệnh thả ra"),
    "quarantine.released": ("released by an operator", "người vận hành đã thả ra"),
    "quarantine.drop": ("dropped by an operator", "người vận hành đã bỏ"),
    "quarantine.export": ("exported by an operator", "người vận hành đã xuất"),
    "document.resend": ("sent again by an operator", "người vận hành đã gửi lại"),
    "document.resend-receipts": ("receipts sent again by an operator", "người vận hành đã gửi lại biên nhận"),
}


def kind_name(kind: str) -> str:
    """Return what a message is, for people."""
    return words(*_KINDS.get(kind, (kind, kind)))


def receipt_name(kind: str) -> str:
    """Return the kind of a receipt for people."""
    return words(*_RECEIPTS.get(kind, (kind, kind)))


def event_name(event: str) -> str:
    """Return what happened, for people; an act that has no words of its own as it is called."""
    name = event.removesuffix("-failed")
    told = words(*_EVENTS[name]) if name in _EVENTS else state_name(name)
    return told if name == event else f"{told} {words('(failed)', '(không được)')}"


def state_name(state: str) -> str:
    """Return a state or result for people."""
    return words(state, _STATES.get(state, state))


def status_name(code: str) -> str:
    """Return a status code with its meaning."""
    from adapters.edxml.show import STATUS_TEXTS

    vi, en = STATUS_TEXTS.get(code, ("", ""))
    return f"{code} {words(en, vi)}".strip()


def receipt_json(facts: ReceiptFacts) -> dict[str, Any]:
    """Return a receipt as an object."""
    return {
        "kind": facts.kind,
        "result": facts.result,
        "code": facts.code,
        "relay": facts.relay,
        "number": facts.number,
        "at": facts.at,
        "transport_id": facts.transport_id,
        "sender": facts.sender,
        "recipients": [
            {
                "code": line.code,
                "resolved": line.resolved,
                "state": line.state,
                "outcome_code": line.outcome_code,
                "delivery_id": line.delivery_id,
                "at": line.at,
                "detail": line.detail,
            }
            for line in facts.recipients
        ],
        "detail": facts.detail,
    }


def stored_receipt_json(receipt: StoredReceipt) -> dict[str, Any]:
    """Return a receipt of the mailbox as an object."""
    return {
        **receipt_json(receipt.facts),
        "correlation_id": receipt.correlation_id,
        "received_at": receipt.received_at,
    }


def receipt_lines(facts: ReceiptFacts) -> list[str]:
    """Return a receipt as lines for people; the remedy follows where something went wrong."""
    from relay.cli.errors import explain
    from relay.cli.options import language
    from relay.errors import Code

    head = f"{receipt_name(facts.kind)} {facts.relay}/{facts.number}  {people_time(facts.at)}  "
    lines = [head + state_name(facts.result) + (f"  {facts.code}" if facts.code else "")]
    if facts.transport_id:
        lines[0] += f"  {facts.transport_id}"
    for line in facts.recipients:
        resolved = f" -> {line.resolved}" if line.resolved not in {"", line.code} else ""
        reason = "  ".join(part for part in (line.outcome_code, line.detail) if part)
        lines.append(f"  {line.code}{resolved}: {state_name(line.state)}{'  ' + reason if reason else ''}")
    codes = dict.fromkeys(
        code for code in (facts.code, *(line.outcome_code for line in facts.recipients)) if code
    )
    for code in codes:
        if code in Code.__members__.values():
            detail = _bracketed(Code(code), facts.detail) if code == facts.code else ""
            lines += [f"  {part}" for part in explain(Code(code), detail, language()).splitlines()]
    return lines


def _bracketed(code: Code, message: str) -> str:
    """Return what a receipt's English message says beyond the text of its code; all of it if the text is another."""
    from relay.errors.catalogue import entry

    detail = message.removeprefix(entry(code).message["en"]).strip()
    return detail[1:-1] if detail.startswith("(") and detail.endswith(")") else detail


def arrived_json(item: Arrived) -> dict[str, Any]:
    """Return a document or status of the mailbox as an object."""
    common = {
        "kind": item.kind.value,
        "transport_id": item.transport_id,
        "delivery_id": item.delivery_id,
        "sender": item.sender,
        "recipient": item.agency,
        "accepted_at": item.accepted_at,
        "received_at": item.received_at,
        "document_id": item.document_id,
        "code": item.code,
        "sha256": item.sha256,
        "bytes": len(item.body),
    }
    if item.status_code:
        own: dict[str, Any] = {
            "status": item.status_code,
            "refers_to": item.refers_to,
            "description": item.description,
        }
    else:
        own = {"subject": item.subject, "priority": item.priority, "business_type": item.business_type}
    return {**common, **own}


def arrived_line(item: Arrived) -> str:
    """Return a document or status as a line for people."""
    when = people_time(item.received_at)
    if item.status_code:
        reason = f"  {item.description}" if item.description else ""
        about = item.refers_to or item.document_id
        return f"{when}  {item.sender}  {status_name(item.status_code)}{reason}  {about}"
    return f"{when}  {item.sender}  {item.code}  {item.subject}  {item.transport_id}"
