"""``truc find``: which transport id a document went under."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay.cli.operating import relay_of
from relay.cli.options import (
    agency_code,
    config_option,
    home_option,
    json_option,
    people_time,
    print_json,
    print_table,
    words,
)

if TYPE_CHECKING:
    from relay.model.record import Document

_MOST = 1000


@click.command()
@click.option("--from", "sender", type=agency_code, metavar="CODE", help="Only what this agency sent.")
@click.option("--number", metavar="NUMBER", help="Number and notation as on paper, e.g. 123/QĐ-UBND.")
@click.option("--document-id", metavar="ID", help="The DocumentId of the package.")
@click.option(
    "--date",
    "on",
    type=click.DateTime(["%Y-%m-%d", "%Y/%m/%d", "%d/%m/%Y"]),
    metavar="DAY",
    help="Day of promulgation, e.g. 2026-03-02 or 02/03/2026.",
)
@click.option(
    "--limit", type=click.IntRange(1, _MOST), default=100, show_default=True, help="At most so many."
)
@config_option
@home_option
@json_option
def find(
    sender: str | None,
    number: str | None,
    document_id: str | None,
    on: datetime | None,
    limit: int,
    config: Path | None,
    home: Path,
    as_json: bool,
) -> None:
    """Find a document by what stands on it; the newest first.

    By its number or its document id, and the sender and the day to narrow it. The relay keeps neither subjects nor names,
    so those cannot be looked for. truc track tells the story of what was found.
    """
    from relay.operate.finding import found

    if not number and not document_id:
        raise click.UsageError(words("give --number or --document-id", "cần --number hoặc --document-id"))
    with relay_of(home, config) as relay:
        documents = found(
            relay.registry,
            number=number or "",
            document_id=document_id or "",
            sender=sender,
            on=on.date() if on else None,
            limit=limit,
        )
    if as_json:
        print_json([_json(one) for one in documents])
        return
    head = words(
        "accepted,sender,number,date,document id,transport id,deliveries",
        "tiếp nhận,bên gửi,số ký hiệu,ngày,mã văn bản,mã gửi,tình trạng",
    )
    print_table([tuple(head.split(",")), *(_row(one) for one in documents)])
    if len(documents) == limit:
        click.echo(
            words(f"the newest {limit}; there may be more", f"{limit} văn bản mới nhất; có thể còn nữa")
        )


def _row(document: Document) -> tuple[str, ...]:
    from relay.cli.words import state_name

    states = Counter(one.state.value for one in document.deliveries)
    told = ", ".join(f"{count} {state_name(state)}" for state, count in states.items())
    return (
        people_time(document.accepted_at),
        document.sender,
        document.code,
        document.promulgation_date,
        document.document_id,
        document.transport_id,
        document.refusal.value if document.refusal else told,
    )


def _json(document: Document) -> dict[str, Any]:
    return {
        "transport_id": document.transport_id,
        "sender": document.sender,
        "document_id": document.document_id,
        "code": document.code,
        "promulgation_date": document.promulgation_date,
        "accepted_at": document.accepted_at,
        "sha256": document.body_sha256,
        "refusal": document.refusal.value if document.refusal else "",
        "finished": document.finished,
        "repeats_content": document.same_content_as is not None,
        "deliveries": [
            {
                "recipient": one.recipient,
                "state": one.state.value,
                "code": one.code.value if one.code else "",
                "delivery_id": one.delivery_id,
            }
            for one in document.deliveries
        ],
    }
