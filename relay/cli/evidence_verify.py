"""``truc evidence verify``: a whole log, a proof or a case, checked offline."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from relay.cli.options import (
    config_option,
    home_option,
    json_option,
    people_time,
    print_json,
    print_table,
    wants_json,
    words,
)
from relay.errors import OperationError, TrucError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relay.evidence.case import Checked
    from relay.evidence.faults import Fault, Report
    from relay.evidence.headlist import HeadReader, Judge, StampCheck
    from relay.model.evidence import Record, SignedHead
    from relay.settings import Settings
    from relay.trust.chain import TrustStore

EXIT_UNVOUCHED: Final = 6
_SHA256 = re.compile("[0-9a-f]{64}").fullmatch
_EXISTING: Final = click.Path(exists=True, path_type=Path)
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)

_CODES: Final = """\b
Exit codes of this command:
  0  everything holds, and whoever signed is vouched for
  1  something does not hold; each fault is named
  6  everything holds, but nobody vouches for the relay's certificate: give --ca, --known, --config or --head
"""


def _fingerprint(
    _context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]
) -> frozenset[str]:
    plain = [one.replace(":", "").lower() for one in value]
    for one in plain:
        if not _SHA256(one):
            raise click.BadParameter(f"{one!r} is not a SHA-256 in hexadecimal")
    return frozenset(plain)


head_option = click.option(
    "--head",
    "heads",
    multiple=True,
    type=_FILE,
    help="A head (or several, one after the other) that you have from elsewhere: a witness, an earlier export.",
)


@click.command(epilog=_CODES)
@click.argument("target", required=False, type=_EXISTING)
@head_option
@click.option(
    "--registry", "ledger", is_flag=True, help="Hold the registry against the log too; on the relay itself."
)
@click.option(
    "--ca", multiple=True, type=_EXISTING, help="Trusted root certificates, PEM; a file or a folder."
)
@click.option(
    "--crl",
    multiple=True,
    type=_EXISTING,
    help="Revocation lists, PEM or DER; without any, none is asked for.",
)
@click.option("--tsa", multiple=True, type=_FILE, help="Root certificates of the time-stamp authority, PEM.")
@click.option(
    "--known",
    multiple=True,
    callback=_fingerprint,
    metavar="SHA256",
    help="SHA-256 of a certificate that you know to be the relay's, or a witness's.",
)
@config_option
@home_option
@json_option
def verify(
    target: Path | None,
    heads: tuple[Path, ...],
    ledger: bool,
    ca: tuple[Path, ...],
    crl: tuple[Path, ...],
    tsa: tuple[Path, ...],
    known: frozenset[str],
    config: Path | None,
    home: Path,
    as_json: bool,
) -> None:
    """Check evidence offline: a whole log, a proof, or everything about one document.

    TARGET is a folder that "truc evidence export --log" made, a file of "prove" or "export", or nothing: then the log of
    the relay of --config, else of the sandbox, is read where it is stored.

    Every record, batch and head is checked, and what is altered, removed, swapped, inserted, truncated or forked is named.
    Anchors are those of --ca, else of the relay of --config or --home; on another machine, where there is neither, they
    have to be given.
    """
    judges = _judges(ca, crl, tsa, known, config, home, needed=target is None)
    elsewhere = heads_of(heads)
    if target is not None and ledger:
        raise click.UsageError("--registry is for the relay's own log, not for an export of it")
    if target is not None and target.is_file():
        _verify_file(target, judges, elsewhere, as_json=as_json)
        return
    report, before = _verify_log(target, judges, elsewhere, config, home, ledger=ledger)
    if as_json:
        print_json({**_report_json(report), "older_than_the_log": before, "anchors": judges.source})
    else:
        _print_report(report, judges.source, before)
    _leave(ok=report.ok, vouched=report.trusted or bool(report.elsewhere))


def _leave(*, ok: bool, vouched: bool) -> None:
    if not ok:
        click.get_current_context().exit(1)
    if not vouched:
        click.get_current_context().exit(EXIT_UNVOUCHED)


# --- who vouches -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Judges:
    store: TrustStore | None
    stamps: StampCheck | None
    known: frozenset[str]
    source: str  # where the anchors are from: "files", "configuration", "sandbox" or ""

    @property
    def judge(self) -> Judge | None:
        """Whether a relay's certificate is to be trusted; None: there is nothing to judge by."""
        from functools import partial

        from relay.trust.chain import Purpose

        return None if self.store is None else partial(self.store.check, purpose=Purpose.RECEIPT)

    def reader(self) -> HeadReader:
        from relay.evidence.headlist import HeadReader

        return HeadReader(self.judge, self.known, self.stamps)


def _judges(
    ca: tuple[Path, ...],
    crl: tuple[Path, ...],
    tsa: tuple[Path, ...],
    known: frozenset[str],
    config: Path | None,
    home: Path,
    *,
    needed: bool,
) -> _Judges:
    from relay.trust.chain import TrustStore, read_certificates
    from relay.trust.timestamp import TokenJudge

    settings = None if ca or known else _settings(config, home, needed=needed)
    stamps = TokenJudge([one for path in tsa for one in read_certificates(path)]) if tsa else None
    source = ""
    store = None
    if ca:
        store = TrustStore.from_files(ca, crl, anchors_without_crl=() if crl else ca)
        source = "files"
    elif settings is not None:
        from relay.cli.evidence_wiring import token_judge
        from relay.cli.wiring import trust_store

        store = trust_store(settings)
        stamps = stamps or token_judge(settings)
        source = "configuration" if config else "sandbox"
    return _Judges(store, None if stamps is None else stamps.judge, known, source)


def _settings(config: Path | None, home: Path, *, needed: bool) -> Settings | None:
    from relay import settings

    try:
        if config is None:
            from relay.sandbox.contents import running

            config = running(home).settings
        return settings.load(config, files=False)
    except OperationError:
        if needed:
            raise
        return None  # an auditor's machine: there is no relay here


def heads_of(files: tuple[Path, ...]) -> tuple[SignedHead, ...]:
    """Read the heads of files that a person gave: heads as "truc evidence head --out" writes them, what another relay was
    shown, or those in a proof or a case."""
    from relay.evidence.heads import load

    found: list[SignedHead] = []
    for file in files:
        octets = file.read_bytes()
        found += _heads_in(_read_json(file)) if octets.lstrip()[:1] == b"{" else load(octets)
    return tuple(found)


def _heads_in(value: object) -> Sequence[SignedHead]:
    from relay.evidence.case import FORMAT as CASE
    from relay.evidence.proof import ascii_text, from_json, member
    from relay.evidence.witness import FORMAT as SHOWN
    from relay.model.evidence import SignedHead

    content = member(value, dict)
    if content.get("format") == SHOWN:
        return [SignedHead(ascii_text(content, "head"), ascii_text(content, "signature"))]
    proof = content.get("proof") if content.get("format") == CASE else content
    return [one.head for one in from_json(proof).heads]


# --- a whole log -------------------------------------------------------------------------------------------------------


def _verify_log(
    folder: Path | None,
    judges: _Judges,
    elsewhere: tuple[SignedHead, ...],
    config: Path | None,
    home: Path,
    *,
    ledger: bool,
) -> tuple[Report, int]:
    from dataclasses import replace

    from relay.cli.operating import relay_of
    from relay.evidence.crosscheck import Tally
    from relay.evidence.files import FileLog
    from relay.evidence.verify import LogVerifier

    tally = Tally() if ledger else None
    verifier = LogVerifier(
        judge=judges.judge,
        known=judges.known,
        stamps=judges.stamps,
        elsewhere=elsewhere,
        progress=progress(),
        seen=tally.seen if tally else None,
    )
    if folder is not None:
        return verifier.verify(FileLog(folder)), 0
    with relay_of(home, config) as relay:
        report = verifier.verify(relay.registry.evidence)
        if tally is None:
            return report, 0
        faults, before = tally.settle(relay.registry.ledger, relay.registry.evidence)
    return replace(report, faults=(*report.faults, *faults)), before


def progress() -> Callable[[int], None]:
    """Return what tells a person how many records are done; nothing when JSON was asked for."""
    if wants_json():
        return lambda _: None
    terminal = sys.stderr.isatty()

    def told(done: int) -> None:
        if terminal:
            click.echo(words(f"\r{done:,} records", f"\r{done:,} bản ghi"), nl=False, err=True)
        elif done % 100_000 == 0 and done:
            click.echo(words(f"{done:,} records", f"{done:,} bản ghi"), err=True)

    return told


def _report_json(report: Report) -> dict[str, Any]:
    from relay.evidence.heads import head_hash, head_text

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


def _print_report(report: Report, source: str, before: int) -> None:
    if sys.stderr.isatty():
        click.echo(err=True)
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
        (words("anchors from", "chứng thư gốc từ"), source or words("nowhere", "không có")),
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
        click.echo(f"  {words('note', 'lưu ý')}: {one.name}: {one.text(words('en', 'vi'))}")
    for one in report.faults:
        click.echo(
            f"  {words(one.kind.value, _KINDS[one.kind.value])}: {one.name}: {one.text(words('en', 'vi'))}"
        )
    click.echo(
        words("Everything holds.", "Mọi thứ đều khớp.")
        if report.ok
        else words(f"{len(report.faults)} faults.", f"{len(report.faults)} lỗi.")
    )


# --- one file ----------------------------------------------------------------------------------------------------------


def _verify_file(file: Path, judges: _Judges, elsewhere: Sequence[SignedHead], *, as_json: bool) -> None:
    from relay.evidence.case import FORMAT, case_from_json, check_case, check_proof
    from relay.evidence.proof import from_json

    value = _read_json(file)
    reader = judges.reader()
    try:
        if isinstance(value, dict) and value.get("format") == FORMAT:
            case = case_from_json(value)
            checked = check_case(
                case, reader, stamps=judges.stamps, elsewhere=elsewhere, receipt=_receipt_check(judges)
            )
        else:
            checked = check_proof(from_json(value), reader, stamps=judges.stamps, elsewhere=elsewhere)
    except TrucError as error:
        if as_json:
            from relay.cli.errors import facts as meaning

            print_json({"ok": False, "file": file, "error": meaning(error.code, error.detail)})
        else:
            from relay.cli.errors import explain
            from relay.cli.options import language

            click.echo(f"{file}: " + words("does NOT hold", "KHÔNG khớp"))
            click.echo(explain(error.code, error.detail, language()))
        click.get_current_context().exit(1)
    if as_json:
        print_json({"file": file, **_checked_json(checked)})
    else:
        _print_checked(file, checked)
    _leave(ok=checked.ok, vouched=checked.trusted)


def _read_json(file: Path) -> object:
    from relay.evidence.case import MAX_BYTES
    from relay.evidence.octets import refuse

    if file.stat().st_size > MAX_BYTES:
        refuse(f"{file} is too large")
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        refuse(f"{file} is no JSON")


def _receipt_check(judges: _Judges) -> Callable[[bytes, Any], str] | None:
    from relay.evidence.receipts import ReceiptVerifier

    if judges.store is None:
        return None
    verifier = ReceiptVerifier(judges.store)

    def check(body: bytes, at: Any) -> str:  # noqa: ANN401
        verdict = verifier.verify(body, at).verdict
        return "" if verdict.accepted else f"{verdict.reason.value} {verdict.detail}".strip()

    return check


def _checked_json(checked: Checked) -> dict[str, Any]:
    from relay.evidence.case import record_json
    from relay.operate.evidence import head_facts

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
        "time_stamps": checked.time_stamps,
        "covered_by": list(checked.covered),
        "extends": list(checked.extended),
        "faults": list(checked.faults),
        "notes": list(checked.notes),
    }


def _print_checked(file: Path, checked: Checked) -> None:
    click.echo(f"{file}: " + (words("holds", "khớp") if checked.ok else words("does NOT hold", "KHÔNG khớp")))
    head = checked.proven.head
    click.echo(
        words("  under head ", "  dưới đầu nhật ký ") + f"{head.number}, {people_time(head.at)}, {head.relay}"
    )
    for _, record, _ in sorted(checked.proven.records, key=lambda one: one[1].at):
        click.echo(f"  {people_time(record.at)}  {_line(record)}")
    for name in checked.covered:
        click.echo(words(f"  covered by your {name}", f"  được bao trùm bởi {name} của bạn"))
    for name in checked.extended:
        click.echo(words(f"  the log goes on from your {name}", f"  nhật ký nối tiếp {name} của bạn"))
    for one in checked.faults:
        click.echo(f"  {words('fault', 'lỗi')}: {one}")
    for one in checked.notes:
        click.echo(f"  {words('note', 'lưu ý')}: {one}")


def _line(record: Record) -> str:
    from relay.cli.words import state_name, status_name
    from relay.model.evidence import Deliveries, HeldNoted, ReceiptSealed, Submission

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
