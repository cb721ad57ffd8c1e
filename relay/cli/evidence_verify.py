"""``truc evidence verify``: a whole log, a proof or a case, checked offline."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from relay.cli.evidence_judges import (
    FILE,
    anchor_options,
    head_option,
    heads_of,
    is_heads,
    judges_of,
    read_json,
)
from relay.cli.options import config_option, home_option, json_option, print_json, wants_json, words
from relay.errors import TrucError

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable, Sequence

    from relay.cli.evidence_judges import Judges
    from relay.evidence.faults import Report
    from relay.evidence.held import HeldFiles
    from relay.model.evidence import Record, SignedHead

EXIT_UNVOUCHED: Final = 6

_CODES: Final = """\b
Exit codes of this command:
  0  everything holds, and whoever signed is vouched for
  1  something does not hold; each fault is named
  6  everything holds, but nobody vouches for the relay's certificate: give --ca, --known, --config or --head
"""


@click.command(epilog=_CODES)
@click.argument("target", required=False, type=click.Path(exists=True, path_type=Path))
@head_option
@click.option(
    "--file",
    "files",
    multiple=True,
    type=FILE,
    help="A package, status or receipt that you hold: which record binds its bytes? None does: a fault.",
)
@click.option(
    "--registry", "ledger", is_flag=True, help="Hold the registry against the log too; on the relay itself."
)
@anchor_options
@config_option
@home_option
@json_option
def verify(
    target: Path | None,
    heads: tuple[Path, ...],
    files: tuple[Path, ...],
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
    the relay of --config, else of the sandbox, is read where it is stored. A file of heads is checked too, with those of
    --head: two that contradict each other prove that their relay has two histories.

    Every record, batch and head is checked, and what is altered, removed, swapped, inserted, truncated or forked is named.
    Anchors are those of --ca, else of the relay of --config or --home; on another machine, where there is neither, they
    have to be given.
    """
    judges = judges_of(ca, crl, tsa, known, config, home, needed=target is None)
    elsewhere = heads_of(heads)
    if target is not None and ledger:
        raise click.UsageError("--registry is for the relay's own log, not for an export of it")
    held = _held(files)
    if held is not None and target is not None and target.is_file() and is_heads(target):
        raise click.UsageError("--file is looked up in records, and heads hold none")
    if target is not None and target.is_file():
        _verify_file(target, judges, elsewhere, held, as_json=as_json)
        return
    report, before = _verify_log(target, judges, elsewhere, config, home, held, ledger=ledger)
    from relay.cli import evidence_words as show

    ok = report.ok and not (held and held.unbound)
    if as_json:
        facts = {**show.report_json(report), "older_than_the_log": before, "anchors": judges.source}
        print_json({**facts, "ok": ok, **show.held_json(held)})
    else:
        if sys.stderr.isatty():
            click.echo(err=True)
        show.print_report(report, judges.source, before, held)
    _leave(ok=ok, vouched=report.trusted or bool(report.elsewhere))


def _leave(*, ok: bool, vouched: bool) -> None:
    if not ok:
        click.get_current_context().exit(1)
    if not vouched:
        click.get_current_context().exit(EXIT_UNVOUCHED)


def _held(files: tuple[Path, ...]) -> HeldFiles | None:
    from relay.evidence.held import HeldFiles

    if not files:
        return None
    hashes = {}
    for file in files:
        with file.open("rb") as content:
            hashes[str(file)] = hashlib.file_digest(content, "sha256").hexdigest()
    return HeldFiles(hashes)


# --- a whole log -------------------------------------------------------------------------------------------------------


def _verify_log(
    folder: Path | None,
    judges: Judges,
    elsewhere: tuple[SignedHead, ...],
    config: Path | None,
    home: Path,
    held: HeldFiles | None,
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
        seen=_all([one.seen for one in (tally, held) if one is not None]),
    )
    if folder is not None:
        return verifier.verify(FileLog(folder)), 0
    with relay_of(home, config) as relay:
        report = verifier.verify(relay.registry.evidence)
        if tally is None:
            return report, 0
        faults, before = tally.settle(relay.registry.ledger, relay.registry.evidence)
    return replace(report, faults=(*report.faults, *faults)), before


def _all(
    takers: Sequence[Callable[[uuid.UUID, Record], None]],
) -> Callable[[uuid.UUID, Record], None] | None:
    if len(takers) < 2:  # the usual ones: nothing between
        return takers[0] if takers else None

    def seen(chain: uuid.UUID, record: Record) -> None:
        for take in takers:
            take(chain, record)

    return seen


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


# --- one file ----------------------------------------------------------------------------------------------------------


def _verify_heads(file: Path, judges: Judges, elsewhere: Sequence[SignedHead], *, as_json: bool) -> None:
    from relay.cli import evidence_words as show
    from relay.evidence.judging import check_heads

    try:
        checked = check_heads([*heads_of((file,)), *elsewhere], judges.reader())
    except TrucError as error:
        show.refused(file, error, as_json=as_json)
        click.get_current_context().exit(1)
    if as_json:
        print_json({"file": file, **show.heads_json(checked)})
    else:
        show.print_heads(file, checked)
    _leave(ok=checked.ok, vouched=checked.trusted)


def _verify_file(
    file: Path, judges: Judges, elsewhere: Sequence[SignedHead], held: HeldFiles | None, *, as_json: bool
) -> None:
    from relay.cli import evidence_words as show
    from relay.evidence.case import FORMAT, case_from_json
    from relay.evidence.judging import check_case, check_proof
    from relay.evidence.proof import from_json

    if is_heads(file):
        _verify_heads(file, judges, elsewhere, as_json=as_json)
        return
    value = read_json(file)
    reader, stamps = judges.reader(), judges.stamps
    try:
        if isinstance(value, dict) and value.get("format") == FORMAT:
            case = case_from_json(value)
            checked = check_case(case, reader, stamps=stamps, elsewhere=elsewhere, receipt=judges.receipt())
        else:
            checked = check_proof(from_json(value), reader, stamps=stamps, elsewhere=elsewhere)
    except TrucError as error:
        show.refused(file, error, as_json=as_json)
        click.get_current_context().exit(1)
    if held is not None:
        for batch, record, _ in checked.proven.records:
            held.seen(batch.chain, record)
    ok = checked.ok and not (held and held.unbound)
    if as_json:
        print_json({"file": file, **show.checked_json(checked), "ok": ok, **show.held_json(held)})
    else:
        show.print_checked(file, checked, held)
    _leave(ok=ok, vouched=checked.trusted)
