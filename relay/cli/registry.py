"""``truc registry``: a copy of the registry, and the way back."""

from __future__ import annotations

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

if TYPE_CHECKING:
    from relay.registry.copy import CopyFacts
    from relay.settings import Settings


@click.group()
def registry() -> None:
    """The relay's durable state as a file: copy and restore (SQLite; PostgreSQL has pg_dump)."""


@registry.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@config_option
@home_option
@dry_run_option
@json_option
def backup(file: Path, config: Path | None, home: Path, dry_run: bool, as_json: bool) -> None:
    """Copy the registry to the new FILE while the workers go on; its checksum goes to FILE.sha256.

    FILE is mode 0600 and is never overwritten. Bodies of documents are not in the registry: they stand in the broker.
    """
    from relay.evidence.chronicler import tool
    from relay.observe.clock import SystemClock
    from relay.operate import copies

    clock, chosen = SystemClock(), _settings(home, config)
    facts = copies.backup(
        chosen.registry.url, file, clock.now(), dry_run=dry_run, chronicler=tool(chosen.relay.name, clock)
    )
    _show(
        facts,
        as_json=as_json,
        dry_run=dry_run,
        done=("copied", "đã sao lưu"),
        would=("would copy", "sẽ sao lưu"),
    )


@registry.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@config_option
@home_option
@dry_run_option
@json_option
def restore(file: Path, config: Path | None, home: Path, dry_run: bool, as_json: bool) -> None:
    """Put the copy FILE in the place of the registry. Stop all workers and keepers first.

    Refused while a process uses the registry, and if FILE is not what FILE.sha256 says. The former content is kept
    beside the registry. What was accepted after the copy was made is not in it: see docs/operations.md.
    """
    from relay.evidence.chronicler import tool
    from relay.observe.clock import SystemClock
    from relay.operate import copies

    clock, chosen = SystemClock(), _settings(home, config)
    own = chosen.registry
    chronicler = tool(chosen.relay.name, clock)
    facts = copies.restore(
        own.url, file, clock.now(), own.lease_seconds, dry_run=dry_run, chronicler=chronicler
    )
    _show(
        facts,
        as_json=as_json,
        dry_run=dry_run,
        done=("restored", "đã phục hồi"),
        would=("would restore", "sẽ phục hồi"),
    )


def _settings(home: Path, config: Path | None) -> Settings:
    from relay import settings
    from relay.sandbox.contents import running

    return settings.load(config or running(home).settings, files=False)


def _show(
    facts: CopyFacts, *, as_json: bool, dry_run: bool, done: tuple[str, str], would: tuple[str, str]
) -> None:
    if as_json:
        print_json({**_json(facts), "done": not dry_run, **({"dry_run": True} if dry_run else {})})
        return
    click.echo(f"{words(*(would if dry_run else done))}: {facts.file}")
    newest = people_time(facts.newest) if facts.newest else words("none", "không có")
    rows = [
        (words("newest document", "văn bản mới nhất"), newest),
        (words("documents", "văn bản"), str(facts.documents)),
        (words("deliveries", "lượt giao"), str(facts.deliveries)),
        (words("receipts", "biên nhận"), str(facts.receipts)),
        (words("bytes", "số byte"), str(facts.bytes)),
        ("SHA-256", facts.sha256),
        (words("former content", "nội dung cũ"), str(facts.kept or "")),
    ]
    print_table([row for row in rows if row[1]], indent="  ")


def _json(facts: CopyFacts) -> dict[str, Any]:
    return {
        "file": facts.file,
        "sha256": facts.sha256,
        "bytes": facts.bytes,
        "schema_version": facts.schema_version,
        "newest": facts.newest,
        "documents": facts.documents,
        "deliveries": facts.deliveries,
        "receipts": facts.receipts,
        "kept": facts.kept,
    }
