"""``truc quarantine``: what is held, and giving a delivery back to its recipient."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay.cli.options import (
    dry_run_option,
    home_option,
    json_option,
    people_time,
    print_json,
    print_table,
    words,
)
from relay.cli.track import registry_url
from relay.errors import Code, OperationError

if TYPE_CHECKING:
    from relay.model.record import HeldEntry

_CONFIG = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration of a relay; without it the sandbox of --home.",
)


@click.group()
def quarantine() -> None:
    """Messages that are held: our surprises, and what a gateway rejected."""


@quarantine.command("ls")
@_CONFIG
@home_option
@json_option
def ls(config: Path | None, home: Path, as_json: bool) -> None:
    """List what is held and not released."""
    from relay.registry import open_registry

    registry = open_registry(registry_url(home, config))
    try:
        entries = registry.held()
    finally:
        registry.close()
    if as_json:
        print_json([_json(entry) for entry in entries])
    elif not entries:
        click.echo(words("nothing is held", "không có gì bị giữ"))
    else:
        print_table(
            [
                (
                    one.held_id,
                    people_time(one.at),
                    one.code.value,
                    one.origin,
                    one.sender or one.user,
                    one.recipient,
                )
                for one in entries
            ]
        )


@quarantine.command()
@click.argument("held-id")
@_CONFIG
@home_option
@dry_run_option
@json_option
def release(held_id: str, config: Path | None, home: Path, dry_run: bool, as_json: bool) -> None:
    """Give a held message back: a delivery to its recipient's queue, under its delivery id; a submission to a worker.

    A gateway that has stored the delivery before drops it, so a release too many does no harm.
    """
    from relay import settings
    from relay.cli.wiring import endpoint
    from relay.directory.file import load
    from relay.observe.clock import SystemClock
    from relay.operate.quarantine import release as give_back
    from relay.registry import open_registry
    from relay.sandbox.contents import running

    chosen = settings.load(config or running(home).settings)
    registry = open_registry(chosen.registry.url, chosen.registry.lease_seconds)
    try:
        entry = next((one for one in registry.held() if one.held_id == held_id), None)
        if entry is None:
            raise OperationError(Code.NOT_FOUND, f"nothing is held under {held_id}")
        if not dry_run:
            give_back(entry, endpoint(chosen), load(chosen.directory.file), registry, SystemClock())
    finally:
        registry.close()
    if as_json:
        print_json({**_json(entry), "released": not dry_run, **({"dry_run": True} if dry_run else {})})
    elif dry_run:
        click.echo(words(f"would release {held_id}", f"sẽ trả lại {held_id}"))
    else:
        click.echo(words(f"released: {held_id}", f"đã trả lại: {held_id}"))


def _json(entry: HeldEntry) -> dict[str, Any]:
    return {
        "held_id": entry.held_id,
        "code": entry.code.value,
        "origin": entry.origin,
        "user": entry.user,
        "transport_id": entry.transport_id,
        "sender": entry.sender,
        "recipient": entry.recipient,
        "delivery_id": entry.delivery_id,
        "sha256": entry.body_sha256,
        "at": entry.at,
        "detail": entry.detail,
    }
