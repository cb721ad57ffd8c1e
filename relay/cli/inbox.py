"""``truc inbox``: receive, check, store with the 01, acknowledge, show."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay.cli.options import (
    as_option,
    dry_run_option,
    home_option,
    json_option,
    key_options,
    note,
    print_json,
    words,
)

if TYPE_CHECKING:
    from adapters.gateway import Arrived, StoredReceipt, Taken
    from relay.cli.client import Client
    from relay.settings.keyplace import KeyPlace


@click.command()
@as_option
@click.option(
    "--take", type=click.IntRange(0), help="Show at most so many documents and statuses; default: all."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for packages, attachments and receipts, made if need be.",
)
@click.option(
    "--idle",
    type=click.FloatRange(0.05),
    default=1.0,
    show_default=True,
    help="Seconds without a message after which the queue counts as empty.",
)
@click.option("--all", "again", is_flag=True, help="Show also what was shown before.")
@key_options
@home_option
@dry_run_option
@json_option
def inbox(
    code: str,
    take: int | None,
    out: Path | None,
    idle: float,
    again: bool,
    key_place: KeyPlace | None,
    home: Path,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Receive what has come for an agency.

    Each message is checked (SHA-256, signature, signer, sender, recipient, not stored before), stored together with
    its signed status 01 in one commit, acknowledged, and answered with that 01. What fails a check goes to quarantine.
    Receipts of the relay are checked and stored too.

    Prints what was not shown before: documents, statuses, receipts. --dry-run shows what the local mailbox already
    holds and takes nothing from the queue.
    """
    from adapters.gateway import Taken
    from relay.cli.client import open_client

    with open_client(home, code, key_place) as client:
        taken = Taken()
        if not dry_run:
            waiting = 0 if take is None else len(client.mailbox.unseen(code, take))
            taken = client.gateway.receive(None if take is None else take - waiting, idle)
        items = client.mailbox.unseen(code, take, again=again)
        receipts = client.mailbox.unseen_receipts(code, again=again)
        files = {item.delivery_id: _write(client, item, out) for item in items} if out and not dry_run else {}
        if out and not dry_run:
            for receipt in receipts:
                _write_file(out, f"{_receipt_name(receipt)}.xml", receipt.body)
        if as_json:
            print_json(_json(code, items, receipts, taken, files))
        else:
            _print(items, receipts, taken, files)
        if not dry_run:
            client.mailbox.seen(items, receipts, client.clock.now())


def _json(
    code: str, items: list[Arrived], receipts: list[StoredReceipt], taken: Taken, files: dict[str, list[Path]]
) -> dict[str, Any]:
    from relay.cli.words import arrived_json, stored_receipt_json

    rows = [{**arrived_json(item), "files": files.get(item.delivery_id, [])} for item in items]
    return {
        "agency": code,
        "documents": [row for row in rows if row["kind"] == "edoc"],
        "statuses": [row for row in rows if row["kind"] == "status"],
        "receipts": [stored_receipt_json(receipt) for receipt in receipts],
        "repeats": taken.repeats,
        "rejected": list(taken.rejected),
        "published": taken.published,
    }


def _print(
    items: list[Arrived], receipts: list[StoredReceipt], taken: Taken, files: dict[str, list[Path]]
) -> None:
    from relay.cli.words import arrived_line, receipt_lines

    for title, group in (
        (words("Documents", "Văn bản"), [item for item in items if not item.status_code]),
        (words("Statuses", "Trạng thái"), [item for item in items if item.status_code]),
    ):
        if group:
            click.echo(f"{title} ({len(group)})")
        for item in group:
            click.echo(f"  {arrived_line(item)}")
            for path in files.get(item.delivery_id, []):
                click.echo(f"    {path}")
    if receipts:
        click.echo(f"{words('Receipts', 'Biên nhận')} ({len(receipts)})")
    for receipt in receipts:
        for line in receipt_lines(receipt.facts):
            click.echo(f"  {line}")
    if not items and not receipts:
        note(words("Nothing new.", "Không có gì mới."))
    if taken.repeats:
        note(words(f"{taken.repeats} stored before, dropped.", f"{taken.repeats} bản đã có, bỏ qua."))
    for line in taken.rejected:
        note(words(f"To quarantine: {line}", f"Đưa vào khu cách ly: {line}"))


def _receipt_name(receipt: StoredReceipt) -> str:
    from adapters.edxml.attachments import safe_name

    facts = receipt.facts
    return safe_name(f"receipt-{facts.kind}-{facts.relay}-{facts.number}")


def _write(client: Client, item: Arrived, out: Path) -> list[Path]:
    """Write a package and the files in it; return the paths, the package's first."""
    from adapters.edxml.attachments import received_files, safe_name
    from relay.errors import RefusedError

    stem = safe_name(f"{item.sender}-{item.transport_id}")
    written = [_write_file(out, f"{stem}.edxml", item.body)]
    if item.status_code:
        return written
    place = client.reader.package_format.place(item.kind)
    view = client.reader.verifier.verify(item.body, place, item.received_at, with_opaque=True).view
    if view is None:
        return written
    try:
        files = received_files(view)
    except RefusedError as error:
        note(f"{item.transport_id}: {error}")
        return written
    return written + [_write_file(out / stem, one.name, one.content) for one in files]


def _write_file(folder: Path, name: str, content: bytes) -> Path:
    """Write a file whole or not at all; what stands there under the name, be it a link, is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    # A name may be as long as the file system takes, so the temporary one is not made from it.
    half = folder / f".{hashlib.sha256(name.encode()).hexdigest()[:16]}.{os.getpid()}"
    half.unlink(missing_ok=True)
    with half.open("xb") as file:
        file.write(content)
    half.replace(path)
    return path
