"""How answers of ``truc evidence verify`` look: as JSON objects, and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from relay.cli.options import language, people_time, print_json, print_table, words
from relay.cli.words import state_name, status_name
from relay.evidence.case import record_json
from relay.evidence.faults import short
from relay.evidence.heads import head_hash, head_text
from relay.evidence.judging import head_name, seen_json
from relay.evidence.said import said_json
from relay.model.evidence import Deliveries, HeldNoted, ReceiptSealed, Submission
from relay.operate.evidence import head_facts

if TYPE_CHECKING:
    from pathlib import Path

    from relay.errors import TrucError
    from relay.evidence.faults import Fault, Report
    from relay.evidence.held import HeldFiles
    from relay.evidence.judging import Checked, HeadsChecked
    from relay.model.evidence import Head, Record

# --- a whole log -------------------------------------------------------------------------------------------------------


def report_json(report: Report) -> dict[str, Any]:
    """Return the answer on a whole log for programs."""
    head = report.head
    return {
        "ok": report.ok,
        "relay": report.relay,
        "records": report.records,
        "batches": report.batches,
        "heads": report.heads,
        "head": None
        if head is None
        else {
            "number": head.number,
            "life": head.life,
            "size": head.size,
            "records": head.records,
            "root": head.root.hex(),
            "at": head.at,
            "sha256": head_hash(head_text(head)).hex(),
        },
        "signer": report.signer,
        "trusted": report.trusted,
        "covered": report.covered,
        "restored": report.restored,
        "time_stamps": report.time_stamps,
        "statements": report.statements,
        "elsewhere": report.elsewhere,
        "chains": [
            {
                "chain": str(one.chain),
                "writer": one.writer,
                "role": one.role,
                "records": one.records,
                "sealed": one.sealed,
                "ended": one.ended,
                "last_at": one.last_at,
            }
            for one in report.chains
        ],
        "faults": [_fault_json(one) for one in report.faults],
        "notes": [_fault_json(one) for one in report.notes],
    }


def _fault_json(fault: Fault) -> dict[str, Any]:
    return {
        "kind": fault.kind.value,
        "what": fault.what.value,
        "name": fault.name,
        "chain": None if fault.chain is None else str(fault.chain),
        "first": fault.first,
        "last": fault.last,
        "reason": fault.reason,
        "text": {"vi": fault.text("vi"), "en": fault.text("en")},
        "values": dict(fault.values),
    }


_KINDS: Final = {
    "altered": "bị sửa",
    "removed": "bị gỡ bỏ",
    "swapped": "bị đổi chỗ",
    "inserted": "bị chèn thêm",
    "truncated": "bị cắt",
    "forked": "rẽ nhánh",
    "doubtful": "nghi ngờ",
    "malformed": "sai định dạng",
    "signature": "chữ ký",
    "time-stamp": "dấu thời gian",
    "restored": "khôi phục",
    "unrecorded": "chưa ghi nhận",
    "unregistered": "không có trong sổ",
    "contradicted": "mâu thuẫn",
}


_SOURCES: Final = {"": "không có", "files": "--ca", "configuration": "cấu hình", "sandbox": "môi trường thử"}


def _told(fault: Fault) -> str:
    from relay.cli.wording import vietnamese

    said, detail = fault.text(language()), str(fault.values.get("detail", ""))
    if language() == "vi" and detail:
        said = said.replace(detail, vietnamese(detail))
    return f"{words(fault.name, vietnamese(fault.name))}: {said}"


def print_report(report: Report, source: str, before: int, held: HeldFiles | None) -> None:
    """Print the answer on a whole log.

    Args:
        report: the answer.
        source: where the anchors are from.
        before: rows of the registry that are older than the log.
        held: the files that were to be looked for.
    """
    head = report.head
    rows = [
        (words("relay", "trục"), report.relay or "?"),
        (words("records", "bản ghi"), f"{report.records:,}"),
        (words("batches, heads", "lô, đầu nhật ký"), f"{report.batches:,}, {report.heads:,}"),
        (
            words("newest head that fits", "đầu nhật ký mới nhất khớp"),
            words("none", "không có")
            if head is None
            else f"{head.number}, {people_time(head.at)}, "
            + words(f"over {head.records:,} records", f"bao trùm {head.records:,} bản ghi"),
        ),
        (words("signed by", "ký bằng"), report.signer or "-"),
        (
            words("vouched for", "được bảo đảm"),
            words("yes", "có") if report.trusted else words("NO", "KHÔNG"),
        ),
        (words("anchors from", "chứng thư gốc từ"), words(source or "nowhere", _SOURCES[source])),
        (
            words("time-stamps, witnesses", "dấu thời gian, bên làm chứng"),
            f"{report.time_stamps:,}, {report.statements:,}",
        ),
        (words("heads from elsewhere that agree", "đầu nhật ký từ nơi khác khớp"), f"{report.elsewhere:,}"),
    ]
    if before:
        rows.append((words("older than the log", "có trước nhật ký"), f"{before:,} " + words("rows", "dòng")))
    print_table(rows)
    for one in report.notes:
        click.echo(f"  {words('note', 'lưu ý')}: {_told(one)}")
    for one in report.faults:
        click.echo(f"  {words(one.kind.value, _KINDS[one.kind.value])}: {_told(one)}")
    _print_held(held)
    wrong = len(report.faults) + (len(held.unbound) if held else 0)
    click.echo(
        words(f"{wrong} fault{'' if wrong == 1 else 's'}.", f"{wrong} lỗi.")
        if wrong
        else words("Everything holds.", "Mọi thứ đều khớp.")
    )


# --- a proof or a case -------------------------------------------------------------------------------------------------


def checked_json(checked: Checked) -> dict[str, Any]:
    """Return the answer on a proof or a case for programs."""
    return {
        "ok": checked.ok,
        "trusted": checked.trusted,
        "under": checked.proven.under,
        "heads": [
            {**head_facts(point.head), "signer": signer.certificate.sha256, "trusted": signer.trusted}
            for _, signer, point in checked.proven.heads
        ],
        "records": [
            {"chain": str(batch.chain), "batch": batch.number, **record_json(record)}
            for batch, record, _ in checked.proven.records
        ],
        "receipts": checked.receipts,
        **seen_json(checked),
        "covered_by": [_head_json(one) for one in checked.covered],
        "extends": [_head_json(one) for one in checked.extended],
        "faults": [said_json(one) for one in checked.faults],
        "notes": [said_json(one) for one in checked.notes],
    }


def _head_json(head: Head) -> dict[str, Any]:
    return {"relay": head.relay, "number": head.number, "size": head.size, "at": head.at}


def print_checked(file: Path, checked: Checked, held: HeldFiles | None) -> None:
    """Print the answer on a proof or a case."""
    ok = checked.ok and not (held and held.unbound)
    click.echo(f"{file}: " + (words("holds", "khớp") if ok else words("does NOT hold", "KHÔNG khớp")))
    tongue = language()
    under = checked.proven.head
    click.echo(words("  under ", "  dưới ") + f"{head_name(under, tongue)}, {under.relay}")
    for batch, record, _ in sorted(checked.proven.records, key=lambda one: one[1].at):
        place = short(batch.chain, "")[2:]
        click.echo(f"  {people_time(record.at)}  {place} #{record.seq}  {_line(record)}")
    for stamp in checked.time_stamps:
        at = people_time(stamp.at)
        click.echo(
            words(
                f"  head {stamp.head} stood by {at}: time-stamped by {stamp.authority}",
                f"  đầu nhật ký {stamp.head} đã có lúc {at}: dấu thời gian của {stamp.authority}",
            )
        )
    for seen in checked.witnesses:
        at = people_time(seen.at)
        click.echo(
            words(
                f"  head {seen.head} was shown to {seen.witness}, {at}",
                f"  đầu nhật ký {seen.head} đã đưa cho {seen.witness} xem, {at}",
            )
        )
    for head in checked.covered:
        name = head_name(head, tongue)
        click.echo(words(f"  covered by your {name}", f"  được {name} của bạn bao trùm"))
    for head in checked.extended:
        name = head_name(head, tongue)
        click.echo(words(f"  the log goes on from your {name}", f"  nhật ký nối tiếp {name} của bạn"))
    _print_held(held)
    for one in checked.faults:
        click.echo(f"  {words('fault', 'lỗi')}: {one.text(tongue)}")
    for one in checked.notes:
        click.echo(f"  {words('note', 'lưu ý')}: {one.text(tongue)}")


def heads_json(checked: HeadsChecked) -> dict[str, Any]:
    """Return the answer on heads alone for programs."""
    return {
        "ok": checked.ok,
        "trusted": checked.trusted,
        "heads": [
            {
                **_head_json(head),
                "life": head.life,
                "records": head.records,
                "root": head.root.hex(),
                "signer": signer.certificate.sha256,
                "trusted": signer.trusted,
            }
            for head, signer in checked.heads
        ],
        "faults": [said_json(one) for one in checked.faults],
        "notes": [said_json(one) for one in checked.notes],
    }


def print_heads(file: Path, checked: HeadsChecked) -> None:
    """Print the answer on heads alone."""
    tongue = language()
    ok = words("holds", "khớp") if checked.ok else words("does NOT hold", "KHÔNG khớp")
    click.echo(f"{file}: {ok}")
    for head, signer in checked.heads:
        size = words(f"over {head.size} batches", f"bao trùm {head.size} lô")
        by = words("signed by", "ký bằng")
        click.echo(f"  {head.relay}: {head_name(head, tongue)}, {size}, {by} {signer.certificate.sha256}")
    for one in checked.faults:
        click.echo(f"  {words('fault', 'lỗi')}: {one.text(tongue)}")
    for one in checked.notes:
        click.echo(f"  {words('note', 'lưu ý')}: {one.text(tongue)}")


def refused(file: Path, error: TrucError, *, as_json: bool) -> None:
    """Print that a proof or a case does not hold at all, and why."""
    from relay.cli.errors import explain
    from relay.cli.errors import facts as meaning

    if as_json:
        print_json({"ok": False, "file": file, "error": meaning(error.code, error.detail)})
        return
    click.echo(f"{file}: " + words("does NOT hold", "KHÔNG khớp"))
    click.echo(explain(error.code, error.detail, language()))


# --- files that somebody holds -----------------------------------------------------------------------------------------

_BINDINGS: Final = {
    "acceptance": ("what was accepted", "chính là văn bản đã tiếp nhận"),
    "refusal": ("what was refused", "chính là gói tin bị từ chối"),
    "status": ("the status that took effect", "chính là trạng thái đã có hiệu lực"),
    "receipt": ("the receipt that was issued", "chính là biên nhận đã phát hành"),
    "held": ("what was quarantined", "chính là gói tin bị tạm giữ"),
}


def held_json(held: HeldFiles | None) -> dict[str, Any]:
    """Return what records bind the files, for programs; nothing where none were given."""
    if held is None:
        return {}
    bound = [
        {
            "file": one.file,
            "sha256": one.sha256,
            "kind": one.kind,
            "chain": str(one.chain),
            "seq": one.seq,
            "at": one.at,
            "transport_id": one.transport_id,
        }
        for one in held.bindings
    ]
    return {"files": {"bound": bound, "unbound": list(held.unbound)}}


def _print_held(held: HeldFiles | None) -> None:
    for one in held.bindings if held else ():
        place = f"{short(one.chain, '')[2:]} #{one.seq}"
        click.echo(
            f"  {one.file}: {words(*_BINDINGS[one.kind])}, {one.transport_id}, {people_time(one.at)}, "
            + words(f"record {place}", f"bản ghi {place}")
        )
    for name in held.unbound if held else ():
        click.echo(
            f"  {words('fault', 'lỗi')}: {name}: "
            + words("no record here binds its bytes", "không bản ghi nào ở đây ràng buộc nội dung của nó")
        )


def _line(record: Record) -> str:
    facts = record.facts
    if isinstance(facts, Submission):
        if facts.refusal:
            return f"{state_name('refused')} {facts.refusal}"
        if facts.effect is not None:
            moved = f" -> {state_name(facts.effect.move_to.value)}" if facts.effect.move_to else ""
            return (
                f"{facts.sender}: {status_name(facts.effect.status)}{moved} {facts.effect.refusal}".rstrip()
            )
        to = ", ".join(line.recipient for line in facts.lines)
        return f"{facts.sender}: {state_name('accepted')} -> {to}  sha256 {facts.body_sha256}"
    if isinstance(facts, Deliveries):
        return ", ".join(
            f"{move.delivery_id} {state_name(move.state.value)} {move.code}".rstrip() for move in facts.moves
        )
    if isinstance(facts, ReceiptSealed):
        return f"{words('receipt', 'biên nhận')} {facts.number} -> {facts.to}  sha256 {facts.sha256}"
    if isinstance(facts, HeldNoted):
        return f"{state_name('held')}: {facts.act} {facts.code}"
    return words("record", "bản ghi")
