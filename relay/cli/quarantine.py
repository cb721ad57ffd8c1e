"""``truc quarantine``: what is held; looking at it, giving it back, dropping it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay.cli.operating import Relay, relay_of
from relay.cli.options import (
    config_option,
    dry_run_option,
    home_option,
    json_option,
    note,
    people_time,
    print_json,
    print_table,
    words,
)

if TYPE_CHECKING:
    from relay.model.record import HeldEntry
    from relay.model.standing import HeldStanding, ReceiptStanding
    from relay.operate.quarantine import Dropped, Hands

_reason_option = click.option("--reason", default="", help="Why; kept in the audit row.")


@click.group()
def quarantine() -> None:
    """Messages that are held: our surprises, and what a gateway rejected."""


def hands_of(relay: Relay) -> Hands:
    """Return what an operator's command works with at this relay."""
    from relay.broker.blocking import BlockingClient
    from relay.observe.clock import SystemClock
    from relay.operate.acting import who
    from relay.operate.quarantine import Hands

    endpoint = relay.endpoint
    return Hands(
        connect=lambda: BlockingClient(endpoint, name="truc operator"),
        registry=relay.registry,
        relay_user=relay.settings.broker.user,
        clock=SystemClock(),
        who=who(),
        wait=time.sleep,
    )


@quarantine.command("ls")
@config_option
@home_option
@json_option
def ls(config: Path | None, home: Path, as_json: bool) -> None:
    """List what is held and not released."""
    with relay_of(home, config) as relay:
        entries = relay.registry.held()
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
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the body to this new file, for its owner alone (mode 0600); an audit row is kept.",
)
@click.option(
    "--unjudged",
    is_flag=True,
    help="With --out: also a body that cannot be read, of which nobody can say whether it is a state secret.",
)
@config_option
@home_option
@json_option
def show(
    held_id: str, out: Path | None, unjudged: bool, config: Path | None, home: Path, as_json: bool
) -> None:
    """Show a held message: why it is held, who was told, its properties, and where a readable package goes.

    Subject, people and attachments are not shown. Of a body that bears a mark of a state secret nothing is shown, and
    nothing is written out.
    """
    from relay.cli.judging import judge_of
    from relay.operate.quarantine import held, look
    from relay.operate.showing import check_out, shown, write_out

    with relay_of(home, config) as relay:
        hands = hands_of(relay)
        standing = held(relay.registry, held_id)
        told = [
            one for one in relay.registry.loose_receipts(standing.entry.transport_id) if one.kind == "held"
        ]
        message = look(hands, standing.entry)
        judge = judge_of(relay.settings)
        facts = {**_json(standing.entry), **_decision(standing), "told": [_told(one) for one in told]}
        facts["message"] = shown(message, judge)
        if out is not None:
            check_out(message, judge, unjudged=unjudged)
            hands.note("quarantine.export", held_id, standing.entry.body_sha256)
            write_out(message, out)
            facts["written"] = out
    if as_json:
        print_json(facts)
    else:
        _print(facts)


@quarantine.command()
@click.argument("held-id")
@_reason_option
@config_option
@home_option
@dry_run_option
@json_option
def release(held_id: str, reason: str, config: Path | None, home: Path, dry_run: bool, as_json: bool) -> None:
    """Give a held message back: a delivery to its recipient's queue, under its delivery id; a submission to a worker.

    A gateway that has stored the delivery before drops it, so a release too many does no harm. What was dropped, or has
    ended otherwise, is not released.
    """
    from relay.operate.quarantine import check_release, copy_of, held, look
    from relay.operate.quarantine import release as give_back

    with relay_of(home, config) as relay:
        hands = hands_of(relay)
        standing = held(relay.registry, held_id)
        where = ""
        if dry_run:
            check_release(relay.registry, standing)
            message = look(hands, standing.entry)
            copy = copy_of(message, standing.entry, relay.directory(), hands.clock)
            where = f"{copy.exchange} {copy.routing_key}"
        else:
            give_back(hands, standing, relay.directory(), reason)
    if as_json:
        more = {"dry_run": True, "to": where} if dry_run else {}
        print_json({**_json(standing.entry), "released": not dry_run, **more})
    elif dry_run:
        click.echo(words(f"would release {held_id} to {where}", f"sẽ trả lại {held_id} vào {where}"))
    else:
        click.echo(words(f"released: {held_id}", f"đã trả lại: {held_id}"))


@quarantine.command()
@click.argument("held-id")
@click.option("--reason", required=True, help="Why; told to sender and recipient, and kept in the audit row.")
@click.option(
    "--gone",
    is_flag=True,
    help="Its message is not in the queue any more (somebody emptied it): end it all the same.",
)
@config_option
@home_option
@dry_run_option
@json_option
def drop(
    held_id: str, reason: str, gone: bool, config: Path | None, home: Path, dry_run: bool, as_json: bool
) -> None:
    """Drop a held message for good. Its delivery ends as refused, DELIVERY-DROPPED; sender and recipient are told.

    A submission that no document was made of yet is refused, SUBMISSION-DROPPED, to the gateway that published it. The
    keeper tells it in its next round. A crash on the way loses nothing: the same command again completes it.
    """
    from relay.operate.quarantine import drop as let_go
    from relay.operate.quarantine import held

    with relay_of(home, config) as relay:
        dropped = let_go(hands_of(relay), held(relay.registry, held_id), reason, gone=gone, dry_run=dry_run)
    _show_drop(dropped, dry_run=dry_run, as_json=as_json)


def _show_drop(dropped: Dropped, *, dry_run: bool, as_json: bool) -> None:
    entry = dropped.entry
    if as_json:
        print_json(
            {
                **_json(entry),
                "in_queue": dropped.in_queue,
                "state": dropped.state,
                "tells": list(dropped.tells),
                "dropped": not dry_run,
                **({"dry_run": True} if dry_run else {}),
            }
        )
        return
    told = ", ".join(dropped.tells) or words("nobody", "không ai")
    if dry_run:
        click.echo(
            words(
                f"would drop {entry.held_id} and tell {told}", f"sẽ loại bỏ {entry.held_id} và báo cho {told}"
            )
        )
    else:
        click.echo(words(f"dropped: {entry.held_id}", f"đã loại bỏ: {entry.held_id}"))
        note(words(f"the keeper tells {told}", f"keeper sẽ báo cho {told}"))


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


def _decision(standing: HeldStanding) -> dict[str, Any]:
    if standing.drop is None:
        return {}
    return {
        "drop": {
            "at": standing.drop.at,
            "reason": standing.drop.reason,
            "told_at": standing.drop.told_at,
        }
    }


def _told(one: ReceiptStanding) -> dict[str, Any]:
    return {
        "to": one.to,
        "number": one.number,
        "code": one.code,
        "at": one.at,
        "published_at": one.published_at,
    }


def _print(facts: dict[str, Any]) -> None:
    """Names stay as they are in JSON: they are those of the protocol."""
    from relay.cli.errors import explain
    from relay.cli.options import language
    from relay.errors import Code

    message = facts.pop("message")
    told = facts.pop("told")
    drop = facts.pop("drop", None)
    rows = [(name, _cell(value)) for name, value in facts.items() if value not in {"", None}]
    print_table(rows)
    click.echo(explain(Code(facts["code"]), facts["detail"], language()))
    for one in told:
        when = people_time(one["published_at"]) if one["published_at"] else words("not yet", "chưa")
        click.echo(words("told: ", "đã báo: ") + f"{one['to']}  {one['number']}  {one['code']}  {when}")
    if drop is not None:
        click.echo(words("dropped: ", "đã loại bỏ: ") + f"{people_time(drop['at'])}  {drop['reason']}")
    if message["secret"]:
        click.echo(
            words(
                f"it bears a mark of a state secret (in {message['marked_in']}): nothing of it is shown",
                f"có dấu hiệu bí mật nhà nước (ở {message['marked_in']}): không hiển thị nội dung",
            )
        )
    for part in ("properties", "headers", "package"):
        if part in message:
            click.echo(f"{part}:")
            print_table(
                [(name, _cell(value)) for name, value in message[part].items() if value != ""], indent="  "
            )
    if not message["readable"]:
        click.echo(
            words(f"it cannot be read: {message['trouble']}", f"không đọc được: {message['trouble']}")
            + f"  [{message['first_bytes']}]"
        )


def _cell(value: object) -> str:
    from datetime import datetime

    if isinstance(value, datetime):
        return people_time(value)
    if isinstance(value, list):
        return ", ".join(_cell(one) for one in value)
    if isinstance(value, dict):
        return "  ".join(f"{name}={_cell(one)}" for name, one in value.items())
    return str(value)
