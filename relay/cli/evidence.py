"""``truc evidence``: the log of what the relay did, proofs from it, and what is handed out. The check is in ``evidence_verify``."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay.cli.evidence_faults import faults
from relay.cli.evidence_judges import head_option, heads_of, receipts_by
from relay.cli.evidence_verify import progress, verify
from relay.cli.options import (
    config_option,
    dry_run_option,
    home_option,
    json_option,
    language,
    note,
    people_time,
    print_json,
    words,
)
from relay.cli.witness import witness
from relay.errors import Code, OperationError

if TYPE_CHECKING:
    from relay.cli.operating import Relay
    from relay.model.evidence import SignedHead


@click.group()
def evidence() -> None:
    """What the relay accepted, refused and delivered, on record: check it, prove it, hand it out (docs/evidence.md)."""


# --- making ------------------------------------------------------------------------------------------------------------


@evidence.command()
@click.argument("transport-id")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="New file for the proof; else standard output.",
)
@head_option
@config_option
@home_option
@json_option
def prove(
    transport_id: str,
    out: Path | None,
    heads: tuple[Path, ...],
    config: Path | None,
    home: Path,
    as_json: bool,
) -> None:
    """Prove what is on record about a document: inclusion in the log, and consistency of its heads. JSON in any case.

    With --head the proof leads to, or from, the head that the other side has.
    """
    from relay.cli.operating import relay_of
    from relay.evidence.heads import read_head
    from relay.evidence.proof import prove as proof_of
    from relay.evidence.proof import to_json
    from relay.operate.evidence import records_about

    with relay_of(home, config) as relay:
        log, elsewhere = relay.registry.evidence, heads_of(heads)
        made = proof_of(log, records_about(log, transport_id), elsewhere)
    proof = to_json(made)
    for signed in elsewhere:
        if signed.text not in {one.head.text for one in made.heads}:
            number = read_head(signed.text).number
            note(
                words(
                    f"head {number}, given by --head, is not of this log as it is: left out",
                    f"đầu nhật ký {number} cho bằng --head không thuộc nhật ký này: bỏ qua",
                )
            )
    if out is None:
        print_json(proof)
        return
    _write(out, json.dumps(proof, indent=1) + "\n")
    facts = {
        "file": out,
        "records": len(proof["records"]),
        "under": proof["under"],
        "heads": len(proof["heads"]),
    }
    if as_json:
        print_json(facts)
    else:
        click.echo(words(f"{out}: {facts['records']} records", f"{out}: {facts['records']} bản ghi"))


@evidence.command()
@click.argument("transport-id", required=False)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="New file for everything about the document.",
)
@click.option(
    "--log",
    "folder",
    type=click.Path(path_type=Path),
    help="New folder for the whole log; takes no TRANSPORT-ID.",
)
@head_option
@dry_run_option
@config_option
@home_option
@json_option
def export(
    transport_id: str | None,
    out: Path | None,
    folder: Path | None,
    heads: tuple[Path, ...],
    dry_run: bool,
    config: Path | None,
    home: Path,
    as_json: bool,
) -> None:
    """Write everything about one document to a file that can be filed, or the whole log to a folder.

    The file holds records and proofs, receipts, certificates, revocation as the relay knows it, time-stamps and the
    directory's entries; "truc evidence verify FILE" checks it anywhere. A page for people, in both languages, is written
    beside it under the same name with .html. The documents themselves are not in it: sender and recipient have them.
    """
    from relay.cli.operating import relay_of

    if (transport_id is None) == (folder is None) or (folder is None) != (out is not None):
        raise click.UsageError("either TRANSPORT-ID with --out FILE, or --log FOLDER")
    with relay_of(home, config) as relay:
        if folder is not None:
            facts = _export_log(relay, folder, dry_run=dry_run)
        elif transport_id is not None and out is not None:
            facts = _export_case(relay, transport_id, out, heads_of(heads), dry_run=dry_run)
        else:
            raise click.UsageError("--out FILE is missing")
    if as_json:
        print_json(facts)
    else:
        for name, value in facts.items():
            if name == "dry_run" and not value:
                continue
            click.echo(f"{words(name.replace('_', ' '), _NAMES[name])}: {_plain(value)}")


_NAMES = {
    "file": "tệp",
    "sha256": "SHA-256",
    "page": "trang để đọc",
    "folder": "thư mục",
    "records": "bản ghi",
    "receipts": "biên nhận",
    "certificates": "chứng thư",
    "revocation_lists": "danh sách thu hồi",
    "ocsp_answers": "trả lời OCSP",
    "time_stamps": "dấu thời gian",
    "holds": "khớp",
    "dry_run": "chạy thử",
}


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return words("yes", "có") if value else words("no", "không")
    return str(value)


def _export_log(relay: Relay, folder: Path, *, dry_run: bool) -> dict[str, Any]:
    from relay.evidence.files import export_log
    from relay.observe.clock import SystemClock

    name, log = relay.settings.relay.name, relay.registry.evidence
    if dry_run:
        count = sum(1 for chain in log.chains() for _ in log.records(chain))
    else:
        count = export_log(log, folder, name, SystemClock().now(), progress())
    return {"folder": folder, "records": count, "dry_run": dry_run}


def _export_case(
    relay: Relay, transport_id: str, out: Path, elsewhere: tuple[SignedHead, ...], *, dry_run: bool
) -> dict[str, Any]:
    from functools import partial

    from adapters.edxml.show import STATUS_TEXTS
    from relay.cli.evidence_wiring import token_judge
    from relay.cli.wiring import trust_store
    from relay.evidence.case import to_json
    from relay.evidence.headlist import HeadReader
    from relay.evidence.judging import check_case
    from relay.evidence.page import Beside, render
    from relay.observe.clock import SystemClock
    from relay.operate.evidence import gather
    from relay.trust.chain import Purpose

    page = out.with_name(f"{out.name.removesuffix('.json')}.html")
    for path in (out, page):
        if path.exists():
            raise OperationError(Code.FILE_UNUSABLE, f"{path} exists; evidence is never written over")
    store = trust_store(relay.settings)
    tokens = token_judge(relay.settings)
    case = gather(
        transport_id,
        relay=relay.settings.relay.name,
        registry=relay.registry,
        log=relay.registry.evidence,
        directory=relay.directory_if_any(),
        store=store,
        elsewhere=elsewhere,
        now=SystemClock().now(),
    )
    stamps = None if tokens is None else tokens.judge
    reader = HeadReader(partial(store.check, purpose=Purpose.RECEIPT), stamps=stamps)
    checked = check_case(case, reader, stamps=stamps, elsewhere=elsewhere, receipt=receipts_by(store))
    content = json.dumps(to_json(case), ensure_ascii=False, indent=1) + "\n"
    beside = Beside(out.name, hashlib.sha256(content.encode()).hexdigest())
    shown = render(case, checked, beside, STATUS_TEXTS)
    if not dry_run:
        _write(out, content)
        _write(page, shown)
    for one in (*checked.faults, *checked.notes):
        note(one.text(language()))
    return {
        "file": out,
        "sha256": beside.sha256,
        "page": page,
        "records": len(case.proof.records),
        "receipts": len(case.receipts),
        "certificates": len(case.certificates),
        "revocation_lists": len(case.revocation_lists),
        "ocsp_answers": len(case.ocsp_answers),
        "time_stamps": sum(len(one.time_stamps) for one in case.proof.heads),
        "holds": checked.ok,
        "dry_run": dry_run,
    }


@evidence.command()
@click.option(
    "--sign-now",
    "--now",
    "now",
    is_flag=True,
    help="Ask the keeper for a head that covers what is sealed by now.",
)
@click.option(
    "--timeout", type=click.FloatRange(min=1), default=60.0, show_default=True, help="Seconds to wait for it."
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="New file for the head with its signature."
)
@dry_run_option
@config_option
@home_option
@json_option
def head(
    now: bool,
    timeout: float,
    out: Path | None,
    dry_run: bool,
    config: Path | None,
    home: Path,
    as_json: bool,
) -> None:
    """Print the newest head of the log: what a witness or an auditor keeps, to check the relay by later.

    --out writes text and signature as they are exchanged; --dry-run asks for nothing.
    """
    import time

    from relay.cli.operating import relay_of
    from relay.evidence.heads import dump
    from relay.observe.clock import SystemClock
    from relay.operate.evidence import ask_for_head, head_facts

    with relay_of(home, config) as relay:
        log = relay.registry.evidence
        if now and not dry_run:
            signed = ask_for_head(log, SystemClock(), time.sleep, timeout)
        else:
            newest = log.last_head()
            if newest is None:
                raise OperationError(
                    Code.NOT_FOUND, words("no head was signed yet", "chưa có đầu nhật ký nào")
                )
            signed = newest.signed
    if out is not None:
        _write(out, dump(signed).decode("ascii"))
    if as_json:
        facts = head_facts(signed)
        print_json(
            {
                **facts,
                "text": signed.text.decode(),
                "signature": json.loads(signed.signature),
                "dry_run": dry_run,
            }
        )
    else:
        click.echo(signed.text.decode(), nl=False)
        click.echo(words("signed at ", "ký lúc ") + people_time(head_facts(signed)["at"]))


def _write(path: Path, content: str) -> None:
    import os

    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OperationError(Code.FILE_UNUSABLE, f"{path}: {error.strerror or error}") from error


evidence.add_command(verify)
evidence.add_command(witness)
evidence.add_command(faults)
