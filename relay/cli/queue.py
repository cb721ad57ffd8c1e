"""``truc queue shape``: what is unfinished, by destination and age."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from relay.cli.operating import Relay, relay_of
from relay.cli.options import (
    config_option,
    home_option,
    json_option,
    people_time,
    print_json,
    print_table,
    words,
)
from relay.errors import BrokerError

if TYPE_CHECKING:
    from relay.directory.snapshot import AgencyDirectory
    from relay.operate.shape import Row, Table

_BY = ("agency", "level", "lane", "code")
_ASKED_ONE_BY_ONE: Final = 2000  # agency queues, where there is no management API


@click.group()
def queue() -> None:
    """What waits, and where."""


@queue.command()
@click.option(
    "--by",
    type=click.Choice(_BY),
    default="agency",
    show_default=True,
    help="Rows: queues of agencies, levels, lanes, or why it waits.",
)
@click.option("--top", type=click.IntRange(1, 100_000), default=20, show_default=True, help="Rows to show.")
@click.option(
    "--first",
    type=click.IntRange(1, 10_000),
    default=5,
    show_default=True,
    help="Minutes of the first column.",
)
@click.option(
    "--columns", type=click.IntRange(1, 20), default=9, show_default=True, help="Columns, each twice as old."
)
@config_option
@home_option
@json_option
def shape(
    by: str, top: int, first: int, columns: int, config: Path | None, home: Path, as_json: bool
) -> None:
    """Show unfinished deliveries by destination and age, beside what stands in the broker's queues.

    A column counts what is younger than its minutes and not younger than those of the column before; the last one is
    for all that is older. "relay" counts what is not yet in the recipient's queue. A stand-still shows as numbers that
    wander to the right; a queue that nobody reads has no consumers. The lower part is the relay's own queues: in
    ingress, ages are those of documents in a worker's hands, what no worker has taken yet is only counted (ready).
    """
    from relay.model.standing import ShapeBy
    from relay.observe.clock import SystemClock
    from relay.operate.gathering import queue_of
    from relay.operate.shape import ages, table, times
    from relay.pipeline.deliver import Ladder

    with relay_of(home, config) as relay:
        now = SystemClock().now()
        bounds = ages(first, columns)
        counted = relay.registry.shape(ShapeBy(by), times(bounds, now), now)
        directory = relay.directory_if_any()
        found = table(
            counted,
            ShapeBy(by),
            bounds,
            lambda code: queue_of(directory, code),
            _look(relay, directory if by == "agency" else None),
            top=top,
            ladder=Ladder(relay.settings.retry.rungs),
        )
    if as_json:
        print_json(_json(found))
    else:
        _print(found)


def _look(relay: Relay, directory: AgencyDirectory | None) -> dict[str, tuple[int, int] | None] | None:
    """Ask the broker queue by queue, which is exact; for very many agency queues in one read of the management API,
    whose figures are some seconds old."""
    from relay.broker import names
    from relay.operate.shape import OWN

    connected = (
        [names.agency_queue(one.code) for one in directory.agencies() if one.own_queue] if directory else []
    )
    found: dict[str, tuple[int, int] | None] = {}
    try:
        if len(connected) > _ASKED_ONE_BY_ONE and (management := relay.management) is not None:
            for row in management.queues("name,messages_ready,consumers"):
                found[str(row["name"])] = (
                    int(row.get("messages_ready") or 0),
                    int(row.get("consumers") or 0),
                )
            connected = []
        browser = relay.browser_if_any
        if browser is not None:
            found |= browser.seen((*OWN, *connected[:_ASKED_ONE_BY_ONE]))
    except BrokerError:
        pass
    return found or None


def _json(found: Table) -> dict[str, Any]:
    return {
        "by": found.by.value,
        "minutes": list(found.bounds),
        "broker": found.broker,
        "unread": found.unread,
        "total": _row(found.total),
        "rows": [_row(one) for one in found.rows],
        "others": _row(found.others) if found.others else None,
        "own": [_row(one) for one in found.own],
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "total": row.total,
        "ages": list(row.counts),
        "relay": row.planned,
        "oldest": row.oldest,
        "ready": row.ready,
        "consumers": row.consumers,
        **({"missing": True} if row.missing else {}),
    }


def _print(found: Table) -> None:
    heads = ("", "T", *(str(bound) for bound in found.bounds), f"{found.bounds[-1]}+")
    named = (
        words("relay", "tại trục"),
        words("ready", "đang chờ"),
        words("consumers", "cổng kết nối"),
        words("oldest", "cũ nhất"),
    )
    body = [(words("TOTAL", "TỔNG"), found.total), *((row.name, row) for row in found.rows)]
    if found.others is not None:
        left = found.others.name
        body.append((words(f"({left} more)", f"(còn {left})"), found.others))
    lines = [(*heads, *named), *(_cells(name, row) for name, row in body)]
    lines += [("",) * len(lines[0])]
    lines += [_cells(row.name, row) for row in found.own]
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    print_table(
        tuple(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
    if not found.broker:
        click.echo(words("the broker does not answer: no depths", "không kết nối được máy chủ hàng đợi"))
    elif found.unread:
        click.echo(
            words(
                f"{found.unread} agency queues wait and have no consumer",
                f"{found.unread} hàng đợi của đơn vị có bản tin mà không có cổng nào kết nối",
            )
        )


def _cells(name: str, row: Row) -> tuple[str, ...]:
    def known(value: int | None) -> str:
        return "–" if value is None else str(value)

    return (
        name,
        str(row.total),
        *(str(count) if count else "." for count in row.counts),
        str(row.planned) if row.planned else ".",
        "!" if row.missing else known(row.ready),
        known(row.consumers),
        people_time(row.oldest) if row.oldest else "",
    )
