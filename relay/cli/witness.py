"""``truc evidence witness``: heads handed to other relays and taken from them, by files."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay.cli.options import (
    config_option,
    dry_run_option,
    home_option,
    json_option,
    people_time,
    print_json,
    print_table,
    words,
)
from relay.errors import Code, OperationError

if TYPE_CHECKING:
    from relay.evidence.witness import Shown, Vouched
    from relay.model.keeping import Fork


@click.group()
def witness() -> None:
    """Show this relay's head to other relays and keep theirs: whoever shows two histories is found out."""


@witness.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--for", "relay_name", help="The relay that it is for: from the head that it has stated last.")
@click.option(
    "--since", type=click.IntRange(min=0), help="Size of the head that it has, where it asked for that."
)
@config_option
@home_option
@json_option
def export_(
    file: Path, relay_name: str | None, since: int | None, config: Path | None, home: Path, as_json: bool
) -> None:
    """Write the newest head, and the proof that it only adds to the former one, to the new FILE."""
    from relay.cli.operating import relay_of
    from relay.evidence.witness import export

    with relay_of(home, config) as relay:
        octets = export(relay.registry.evidence, since, relay_name)
    _write(file, octets)
    if as_json:
        print_json({"file": file, "bytes": len(octets)})
    else:
        click.echo(words(f"written: {file}", f"đã ghi: {file}"))


@witness.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--answer",
    type=click.Path(dir_okay=False, path_type=Path),
    help="New file for the statement that goes back to the relay whose head it is.",
)
@dry_run_option
@config_option
@home_option
@json_option
def import_(
    file: Path, answer: Path | None, dry_run: bool, config: Path | None, home: Path, as_json: bool
) -> None:
    """Take another relay's head, or its statement about a head of this one, from FILE.

    A head that contradicts an earlier one of the same relay is refused with WITNESS-FORK; both are kept as proof.
    """
    from relay.cli.operating import relay_of
    from relay.evidence.witness import MAX_FILE

    try:
        with file.open("rb") as content:
            octets = content.read(MAX_FILE + 1)
    except OSError as error:
        raise OperationError(Code.FILE_UNUSABLE, f"{file}: {error.strerror}") from error
    with relay_of(home, config) as relay:
        from relay.cli.evidence_wiring import witness_of

        taker = witness_of(relay.settings, relay.registry.evidence)
        taken = taker.look(octets) if dry_run else taker.take(octets)
    written = None
    if answer is not None and not dry_run and (statement := getattr(taken, "statement", None)):
        _write(answer, statement)
        written = answer
    facts = _facts(taken)
    if as_json:
        print_json(
            {**facts, "answer": written, "done": not dry_run, **({"dry_run": True} if dry_run else {})}
        )
        return
    click.echo(_line(taken))


@witness.command("ls")
@config_option
@home_option
@json_option
def ls_(config: Path | None, home: Path, as_json: bool) -> None:
    """Show which heads of other relays are kept, and which heads of this one others have vouched for."""
    from relay.cli.operating import relay_of
    from relay.evidence.witness import overview

    with relay_of(home, config) as relay:
        found = overview(relay.registry.evidence)
    if as_json:
        print_json([asdict(one) for one in found])
    elif not found:
        click.echo(words("no other relay is known", "chưa có trục nào khác"))
    else:
        shown, vouched = words("has shown", "đã đưa"), words("has vouched for", "đã làm chứng cho")
        head = words("head", "đầu nhật ký")
        print_table(
            [
                (one.relay, shown if one.shown else vouched, f"{head} {one.number}", people_time(one.at))
                for one in found
            ]
        )


@witness.command("forks")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the heads, as signed."
)
@config_option
@home_option
@json_option
def forks_(out: Path | None, config: Path | None, home: Path, as_json: bool) -> None:
    """Show relays that have signed two histories, and hand out the two heads that prove it."""
    from relay.cli.operating import relay_of
    from relay.evidence.heads import dump

    with relay_of(home, config) as relay:
        found = relay.registry.evidence.forks()
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for number, fork in enumerate(found, 1):
            for name, head in (("first", fork.first), ("second", fork.second)):
                _write(out / f"{number}-{fork.relay}-{name}.head", dump(head))
    if as_json:
        print_json([_fork(one) for one in found])
    elif not found:
        click.echo(words("none was found", "không phát hiện"))
    else:
        print_table([(people_time(one.at), one.relay, one.kind.value, one.detail) for one in found])


def _fork(fork: Fork) -> dict[str, Any]:
    return {
        "relay": fork.relay,
        "kind": fork.kind.value,
        "at": fork.at,
        "detail": fork.detail,
        "first": fork.first.text.decode("ascii"),
        "second": fork.second.text.decode("ascii"),
    }


def _facts(taken: Shown | Vouched) -> dict[str, Any]:
    from relay.evidence.witness import Shown

    if isinstance(taken, Shown):
        head = taken.head
        return {
            "kind": "head",
            "relay": head.relay,
            "number": head.number,
            "size": head.size,
            "life": head.life,
            "at": head.at,
            "new": taken.new,
            "restored": taken.restored,
        }
    return {"kind": "statement", "witness": taken.witness, "number": taken.number, "new": taken.new}


def _line(taken: Shown | Vouched) -> str:
    from relay.evidence.witness import Shown

    if isinstance(taken, Shown):
        head = taken.head
        line = words(
            f"{head.relay}: head {head.number} over {head.size} batches, {people_time(head.at)}",
            f"{head.relay}: đầu nhật ký {head.number}, {head.size} lô, {people_time(head.at)}",
        )
        if taken.restored:
            line += words(
                f"; restored from a copy, what stood behind {head.base} batches is lost",
                f"; đã phục hồi từ bản sao, phần sau {head.base} lô đã mất",
            )
        return line if taken.new else line + words("; known before", "; đã biết")
    return words(
        f"{taken.witness} has seen head {taken.number}", f"{taken.witness} đã thấy đầu nhật ký {taken.number}"
    )


def _write(path: Path, octets: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
    except FileExistsError:
        raise OperationError(Code.FILE_UNUSABLE, f"{path} exists; evidence is never written over") from None
    except OSError as error:
        raise OperationError(Code.FILE_UNUSABLE, f"{path}: {error.strerror}") from error
