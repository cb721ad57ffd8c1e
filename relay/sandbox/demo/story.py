"""What people read: the way of one document hop by hop, and the table at the end, in Vietnamese or English."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

from relay.model.message import Kind, Lane
from relay.model.receipt import ReceiptKind
from relay.model.subjects import readable
from relay.model.times import VIETNAM
from relay.sandbox.demo.judge import Judgement
from relay.sandbox.demo.records import Record, Seen, Sent, Told
from relay.sandbox.demo.scenario import MIB, Planned, Scenario

Words = Callable[[str, str], str]

_STATES: Final = {
    "queued": "đã vào hàng đợi",
    "deferred": "tạm hoãn",
    "delivered": "đã giao",
    "refused": "bị từ chối",
    "withdrawn": "đã lấy lại",
    "overdue": "quá hạn",
}
_STATUSES: Final = {
    "01": ("arrived", "đã đến"),
    "02": ("refused by the recipient", "bên nhận từ chối tiếp nhận"),
    "03": ("accepted", "đã tiếp nhận"),
    "05": ("being processed", "đang xử lý"),
    "06": ("finished", "đã hoàn thành"),
    "13": ("asked back", "yêu cầu lấy lại"),
    "15": ("agrees to the take-back", "đồng ý cho lấy lại"),
    "16": ("declines the take-back", "từ chối cho lấy lại"),
}
_NAMES: Final = {
    "altered": "bị sửa sau khi ký",
    "unsigned": "không có chữ ký",
    "wrong signer": "ký bằng chứng thư khác",
    "unknown recipient": "mã nơi nhận không tồn tại",
    "state secret": "bí mật nhà nước",
    "closed, two successors": "nơi nhận đã chia tách",
    "one recipient unknown": "một nơi nhận không tồn tại",
    "one recipient suspended": "một nơi nhận tạm dừng",
}
_LEVELS: Final = {"central": "trung ương", "province": "tỉnh", "district": "huyện", "commune": "xã"}


def words_of(language: str) -> Words:
    """Return the chooser between an English and a Vietnamese text."""
    return (lambda _en, vi: vi) if language == "vi" else (lambda en, _vi: en)


# --- the way of one document ---------------------------------------------------------------------------------------------


def story(record: Record, label: str, words: Words, asked_at: datetime) -> list[str]:
    """Return the way of the document ``label`` as lines; times are counted from ``asked_at``."""
    sent = next(item for item in record.sent if item.label == label)
    local = asked_at.astimezone(VIETNAM)
    lines = [
        words("The way of one document", "Đường đi của một văn bản")
        + f"  {sent.sender} -> {', '.join(sent.reaches)}  ({local:%d/%m/%Y %H:%M:%S} +07:00)",
    ]
    hops = sorted(_hops(record, sent, words), key=lambda hop: hop[0])
    lines += [f"  {_since(at, asked_at):>9}  {who:<16}  {text}" for at, who, text in hops]
    return lines


def _hops(record: Record, sent: Sent, words: Words) -> Iterator[tuple[datetime, str, str]]:
    seen = [item for item in record.seen if item.transport_id == sent.transport_id]
    told = [item for item in record.told if item.transport_id == sent.transport_id]
    accepted = min((item.accepted_at for item in seen if item.accepted_at), default="")
    size = f"{sent.size:,} B"
    yield (
        datetime.fromisoformat(accepted) - timedelta(microseconds=1) if accepted else sent.at,
        sent.sender,
        words("signs it and publishes ", "ký số và gửi ")
        + f"{size}, SHA-256 {sent.sha256[:12]}…, -> exchange ingress, "
        + words("transport id ", "mã gửi ")
        + sent.transport_id,
    )
    for receipt in told:
        if receipt.kind == ReceiptKind.ACKNOWLEDGEMENT:
            yield from _acknowledged(sent, receipt, accepted, words)
        else:
            ends = ", ".join(f"{line.resolved} {_state(line.state, words)}" for line in receipt.lines)
            yield (
                receipt.at,
                sent.sender,
                words("gets the signed outcome ", "nhận kết quả có ký số ") + f"{receipt.number}: {ends}",
            )
    for item in seen:
        yield _delivered(item, sent, words)
    for status in record.sent:
        if status.kind is Kind.STATUS and status.about == sent.transport_id:
            yield from _answered(record, status, words)


def _acknowledged(
    sent: Sent, receipt: Told, accepted: str, words: Words
) -> Iterator[tuple[datetime, str, str]]:
    verdict = words("signature", "chữ ký") + f" {receipt.reason}, {readable(receipt.signer)}"
    yield (
        datetime.fromisoformat(accepted) if accepted else receipt.issued_at,
        words("worker", "tiến trình trục"),
        words("takes it from ", "lấy từ hàng đợi ") + f"ingress.{_lane(sent)}: {verdict}",
    )
    lines = ", ".join(f"{line.resolved} {_state(line.state, words)}" for line in receipt.lines)
    yield (
        receipt.at,
        sent.sender,
        words("gets the signed acknowledgement ", "nhận biên nhận có ký số ") + f"{receipt.number}: {lines}",
    )


def _delivered(item: Seen, sent: Sent, words: Words) -> tuple[datetime, str, str]:
    served = ""
    if item.queue != f"agency.{item.recipient}":
        served = words(" (served by that gateway)", " (điểm kết nối này phục vụ)")
    same = (
        words("the same bytes", "đúng nguyên văn")
        if item.sha256 == sent.sha256
        else words("OTHER BYTES", "KHÁC NỘI DUNG")
    )
    return (
        item.at,
        item.recipient,
        f"<- {item.queue} <- {item.exchange}{served}: {same}, "
        + words("delivery ", "lượt giao ")
        + f"{item.delivery_id[:8]}…",
    )


def _answered(record: Record, status: Sent, words: Words) -> Iterator[tuple[datetime, str, str]]:
    code = status.label.removeprefix("status ")
    text = f"{code} {words(*_STATUSES.get(code, ('', '')))}"
    yield (
        status.at,
        status.sender,
        words("answers with the signed status ", "trả lời bằng trạng thái có ký số ") + text,
    )
    for item in record.seen:
        if item.transport_id == status.transport_id:
            yield (
                item.at,
                item.recipient,
                words("gets the status ", "nhận trạng thái ")
                + f"{code} "
                + words("of ", "của ")
                + f"{item.sender} <- {item.queue} <- {item.exchange}",
            )


def _lane(sent: Sent) -> str:
    # The demo's story is an urgent one; a document tells its lane by nothing else that a recipient sees.
    return Lane.URGENT.value if sent.label == "story" else Lane.NORMAL.value


def _state(state: str, words: Words) -> str:
    return words(state, _STATES.get(state, state))


def _since(at: datetime, begin: datetime) -> str:
    return f"+{max(0.0, (at - begin).total_seconds()) * 1000:.0f} ms"


# --- the table -----------------------------------------------------------------------------------------------------------


def table(
    record: Record, plan: Scenario, levels: Callable[[str], str], result: Judgement, words: Words
) -> list[str]:
    """Return what happened in short: rows of a name and what came of it. ``levels`` tells the level of a code."""
    rows = [
        (words("good documents", "văn bản hợp lệ"), _good(plan, words)),
        (words("deliveries by level", "lượt giao theo cấp"), _by_level(record, levels, words)),
        (words("statuses", "trạng thái"), _by_status(record, words)),
        *_wrong(record, plan, words),
        *_particular(record, plan, words),
        (
            words("receipts", "biên nhận"),
            f"{result.acknowledgements} "
            + words("acknowledgements, ", "biên nhận gửi, ")
            + f"{result.outcomes} "
            + words("outcomes, each signed and checked", "kết quả, đều có ký số và đã kiểm tra"),
        ),
    ]
    width = max(len(name) for name, _ in rows)
    return [f"  {name.ljust(width)}  {text}" for name, text in rows]


def _good(plan: Scenario, words: Words) -> str:
    good: list[Planned] = [plan.story, plan.deadline, *plan.crowd]
    urgent = sum(one.priority > 0 for one in good)
    large = Counter(f"{one.payload // MIB} MB" for one in good if one.payload >= MIB)
    sizes = ", ".join(
        f"{count} x {size}" for size, count in sorted(large.items(), key=lambda pair: len(pair[0]))
    )
    return (
        f"{len(good)}, "
        + words("urgent ", "khẩn ")
        + f"{urgent}, "
        + words("large ", "lớn ")
        + f"{sizes}, "
        + words("recipients each ", "số nơi nhận ")
        + f"{min(len(one.reaches) + len(one.refused) for one in good)}-{max(len(one.reaches) for one in good)}"
    )


def _by_level(record: Record, levels: Callable[[str], str], words: Words) -> str:
    count = Counter(levels(item.recipient) for item in record.seen if item.kind is Kind.EDOC)
    return ", ".join(f"{words(level, name)} {count[level]}" for level, name in _LEVELS.items())


def _by_status(record: Record, words: Words) -> str:
    count = Counter(item.label.removeprefix("status ") for item in record.sent if item.kind is Kind.STATUS)
    return ", ".join(
        f"{code} {words(*_STATUSES.get(code, ('', '')))}: {count[code]}" for code in sorted(count)
    )


def _wrong(record: Record, plan: Scenario, words: Words) -> Iterator[tuple[str, str]]:
    for planned in plan.wrong:
        codes = {
            receipt.code
            for item in record.sent
            if item.label == planned.label
            for receipt in _about(record, item)
        }
        yield words(planned.label, _NAMES.get(planned.label, planned.label)), ", ".join(sorted(codes)) or "-"
    for planned in plan.crowd:
        if planned.refused:
            found = [item for item in record.sent if item.label == planned.label]
            lines = {
                f"{line.code} {line.outcome_code or _state(line.state, words)}"
                for item in found
                for receipt in _about(record, item)
                if receipt.kind == ReceiptKind.ACKNOWLEDGEMENT
                for line in receipt.lines
            }
            yield words(planned.label, _NAMES.get(planned.label, planned.label)), ", ".join(sorted(lines))


def _particular(record: Record, plan: Scenario, words: Words) -> Iterator[tuple[str, str]]:
    again = [receipt for receipt in record.told if receipt.repeated]
    yield (
        words("repeated submission", "gửi lặp lại"),
        words("the first receipts again, same bytes: ", "trả lại đúng biên nhận cũ: ") + str(len(again)),
    )
    other = [receipt.code for receipt in record.told if receipt.code == "SAME-CONTENT"]
    yield words("same bytes, another id", "cùng nội dung, mã khác"), ", ".join(sorted(set(other))) or "-"
    late = next(item for item in record.sent if item.label == plan.deadline.label)
    told = [
        f"{line.resolved} {_state(line.state, words)}"
        for receipt in _about(record, late)
        if receipt.kind == ReceiptKind.OUTCOME
        for line in receipt.lines
    ]
    yield words("a deadline passes", "văn bản quá hạn"), " -> ".join(told)
    back = next(item for item in record.sent if item.label == plan.taken_back)
    answers = [
        f"{item.sender} {words(*_STATUSES[code])}"
        for item in record.sent
        if item.about == back.transport_id and (code := item.label.removeprefix("status ")) in {"15", "16"}
    ]
    yield words("a take-back", "lấy lại văn bản"), ", ".join(sorted(answers))
    served = Counter(
        item.recipient
        for item in record.seen
        if item.kind is Kind.EDOC and item.queue != f"agency.{item.recipient}"
    )
    yield (
        words("served agencies", "đơn vị được phục vụ"),
        ", ".join(
            f"{code}: {count} " + words("through its gateway's queue", "qua hàng đợi của điểm kết nối")
            for code, count in served.items()
        ),
    )


def _about(record: Record, sent: Sent) -> list[Told]:
    return [
        receipt
        for receipt in record.told
        if (receipt.transport_id, receipt.body_sha256) == (sent.transport_id, sent.sha256)
        and not receipt.repeated
    ]
