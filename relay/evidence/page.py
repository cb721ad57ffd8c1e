"""The page for people beside a case: what the proofs say, in Vietnamese and English, as one HTML file without scripts.

Everything on it is taken from the case and from what checking it came to; whoever doubts the page checks the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from typing import Final

from relay.evidence.case import Case, Checked
from relay.evidence.octets import refuse
from relay.model.delivery import State
from relay.model.evidence import Deliveries, HeldNoted, ReceiptSealed, Record, Submission
from relay.model.receipt import ReceiptKind
from relay.model.times import VIETNAM

_STATES: Final = {
    State.PLANNED: ("planned", "chờ chuyển"),
    State.QUEUED: ("in the recipient's queue", "đã vào hàng đợi của nơi nhận"),
    State.DELIVERED: ("delivered", "đã giao"),
    State.REFUSED: ("refused", "bị từ chối"),
    State.WITHDRAWN: ("withdrawn", "đã thu hồi"),
}
_RECEIPTS: Final = {
    ReceiptKind.ACKNOWLEDGEMENT: ("acknowledgement", "biên nhận tiếp nhận"),
    ReceiptKind.OUTCOME: ("outcome", "biên nhận kết quả"),
    ReceiptKind.HELD: ("notice of quarantine", "thông báo tạm giữ"),
    ReceiptKind.ATTACHMENT_VERDICT: ("verdict on attachments", "kết quả kiểm tra tệp đính kèm"),
}
_HOW: Final = (
    "By the file beside this page alone, offline:",
    "Chỉ cần tệp đi kèm trang này, không cần mạng:",
)
_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem;border-bottom:1px solid #bbb}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;
border-bottom:1px solid #ddd}code{font-size:.85em;overflow-wrap:anywhere}.en{color:#555}.bad{color:#a00000}
@media print{body{margin:0;max-width:none}}
"""


def render(case: Case, checked: Checked) -> str:
    """Return the page.

    Args:
        case: the file that it stands beside.
        checked: what ``check_case`` said of that file.
    """
    records = sorted(checked.proven.records, key=lambda one: one[1].at)
    head, signer, checkpoint = checked.proven.heads[checked.proven.under]
    verdict = (
        _both("Nothing contradicts the proofs.", "Không có gì mâu thuẫn với các chứng minh.")
        if checked.ok
        else f'<p class="bad">{_both("Something does not hold, see below.", "Có phần không khớp, xem bên dưới.")}</p>'
    )
    parts = [
        "<!DOCTYPE html>",
        '<html lang="vi"><head><meta charset="utf-8">',
        f"<title>{escape(case.relay)}: {escape(case.transport_id)}</title>",
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{_both('Evidence about a document', 'Chứng cứ về một văn bản')}</h1>",
        _table(
            [
                (_both("Relay", "Trục"), escape(case.relay)),
                (_both("Transport id", "Mã gửi"), _code(case.transport_id)),
                (_both("Exported", "Ngày xuất"), _time_text(case.exported_at)),
                *_about(records),
            ]
        ),
        f"<p>{verdict}</p>",
        f"<h2>{_both('What is on record', 'Những gì đã được ghi nhận')}</h2>",
        _table([(_time(record.at), _told(record)) for _, record, _ in records]),
        f"<h2>{_both('What vouches for it', 'Điều gì bảo đảm')}</h2>",
        _table(
            [
                (
                    _both("Head of the log", "Đầu nhật ký"),
                    f"{head.number}, {_time(head.at)}<br>{_code(head.root.hex())}",
                ),
                (_both("Signed by certificate", "Ký bằng chứng thư"), _code(signer.certificate.sha256)),
                (_both("Time-stamps", "Dấu thời gian"), str(len(checkpoint.time_stamps))),
                (_both("Witnesses", "Bên làm chứng"), str(len(checkpoint.statements))),
                (_both("Receipts in the file", "Biên nhận trong tệp"), str(checked.receipts)),
            ]
        ),
        *_list(_both("What does not hold", "Những gì không khớp"), checked.faults, "bad"),
        *_list(_both("What was not checked", "Những gì chưa kiểm tra"), checked.notes, ""),
        f"<h2>{_both('How to check', 'Cách kiểm tra')}</h2>",
        f"<p>{_both(*_HOW)} <code>truc evidence verify</code></p>",
        "<p>"
        + _both(
            "This page is for reading. The file is what proves; its format is public.",
            "Trang này để đọc. Tệp đi kèm mới là chứng cứ; định dạng của tệp được công bố.",
        )
        + "</p>",
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _about(records: Sequence[tuple[object, Record, bytes]]) -> Iterable[tuple[str, str]]:
    for _, record, _ in records:
        facts = record.facts
        if isinstance(facts, Submission) and facts.document_kind == "edoc":
            yield _both("Sender", "Nơi gửi"), escape(facts.sender or facts.user)
            yield _both("Document id", "Mã văn bản"), escape(facts.document_id)
            yield "SHA-256", _code(facts.body_sha256)
            return


def _told(record: Record) -> str:
    facts = record.facts
    if isinstance(facts, Submission):
        return _submission(facts)
    if isinstance(facts, Deliveries):
        lines = [
            f"{_both(*_STATES[move.state])} {escape(move.code)} {_code(move.delivery_id)}"
            for move in facts.moves
        ]
        return "<br>".join(lines)
    if isinstance(facts, ReceiptSealed):
        result = _both("accepted", "đã nhận") if facts.accepted else _both("refused", "bị từ chối")
        return (
            f"{_both(*_RECEIPTS[facts.kind])} {escape(facts.number)}: {result} {escape(facts.code)} → "
            f"{escape(facts.to)}<br>{_code(facts.sha256)}"
        )
    if isinstance(facts, HeldNoted):
        return f"{_both('quarantine', 'tạm giữ')}: {escape(facts.act)} {escape(facts.code)}"
    return escape(type(facts).__name__)


def _submission(facts: Submission) -> str:
    if facts.refusal:
        return f"{_both('refused', 'bị từ chối')}: {escape(facts.refusal)}"
    if facts.effect is not None:
        effect = facts.effect
        moved = f": {_both(*_STATES[effect.move_to])}" if effect.move_to is not None else ""
        return (
            f"{_both('status', 'trạng thái')} {escape(effect.status)}, {escape(facts.sender)}{moved} "
            f"{escape(effect.refusal)}<br>{_code(effect.delivery_id)}"
        )
    lines = "".join(
        f"<br>→ {escape(line.recipient)}: {_both(*_STATES[line.state])} {escape(line.code)}"
        for line in facts.lines
    )
    judged = ""
    if facts.verdict is not None:
        judged = f"<br>{_both('signer', 'chứng thư ký')} {_code(facts.verdict.certificate_sha256)}"
    return f"{_both('accepted', 'đã tiếp nhận')}, {escape(facts.document_kind)}{lines}{judged}"


def _list(title: str, lines: Sequence[str], kind: str) -> Iterable[str]:
    if lines:
        yield f"<h2>{title}</h2>"
        yield f'<ul class="{kind}">' + "".join(f"<li>{escape(one)}</li>" for one in lines) + "</ul>"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return (
        "<table>" + "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows) + "</table>"
    )


def _both(en: str, vi: str) -> str:
    return f'{escape(vi)} <span class="en" lang="en">({escape(en)})</span>'


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _time(at: datetime) -> str:
    return f"{at.astimezone(VIETNAM):%d/%m/%Y %H:%M:%S} +07:00"


def _time_text(text: str) -> str:
    try:
        return _time(datetime.fromisoformat(text))
    except ValueError:
        refuse(f"{text!r} is no time")
