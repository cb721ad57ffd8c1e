"""``truc reply`` and ``truc take-back``: the statuses that people send."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.options import (
    agency_code,
    as_option,
    dry_run_option,
    home_option,
    json_option,
    key_options,
    note,
    print_json,
    words,
)
from relay.cli.send import require_confirmed, transport_id
from relay.errors import Code, OperationError

if TYPE_CHECKING:
    from relay.cli.client import Client
    from relay.model.envelope import Envelope
    from relay.settings.keyplace import KeyPlace

ANSWERS = ("02", "03", "04", "05", "06", "15", "16")


@click.command()
@as_option
@click.argument("transport-id", type=transport_id)
@click.argument("status", type=click.Choice(ANSWERS))
@click.option("--reason", default="", help="Reason; due with 02 and 16.")
@click.option(
    "--from", "sender", type=agency_code, metavar="CODE", help="Sender, where several used this transport id."
)
@key_options
@home_option
@dry_run_option
@json_option
def reply(
    code: str,
    transport_id: str,
    status: str,
    reason: str,
    sender: str | None,
    key_place: KeyPlace | None,
    home: Path,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Answer a received document with a status.

    \b
    02 refused            03 accepted            04 assigned
    05 being processed    06 finished
    15 agrees to a take-back    16 declines it

    The document must have come by truc inbox. Prints the status's own transport id.
    """  # noqa: D301 - a backspace keeps click from filling the lines
    from relay.cli.client import open_client
    from relay.model.envelope import StatusCode

    if status in {"02", "16"} and not reason:
        note(
            words(
                f"{status} without --reason: the sender will not know why.",
                f"{status} không có --reason: bên gửi sẽ không biết lý do.",
            )
        )
    with open_client(home, code, key_place) as client:
        if dry_run:
            found = [
                item for item in client.mailbox.documents(code, transport_id) if sender in {None, item.sender}
            ]
            if not found:
                raise OperationError(Code.NOT_FOUND, transport_id)
            _tell(as_json, [], transport_id, status, [item.sender for item in found], dry_run=True)
            return
        sent = client.gateway.reply(transport_id, StatusCode(status), reason, sender)
        require_confirmed(sent)
        _tell(as_json, [sent.transport_id], transport_id, status, [], dry_run=False)


@click.command("take-back")
@as_option
@click.argument("transport-id", type=transport_id)
@click.option(
    "--to",
    "to",
    multiple=True,
    type=agency_code,
    metavar="CODE",
    help="Recipient to ask; default: all. Repeatable.",
)
@click.option("--reason", required=True, help="Why it is taken back.")
@key_options
@home_option
@dry_run_option
@json_option
def take_back(
    code: str,
    transport_id: str,
    to: tuple[str, ...],
    reason: str,
    key_place: KeyPlace | None,
    home: Path,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Ask recipients to give a sent document back (status 13).

    A delivery that is still planned ends withdrawn at once; where the document has arrived, the recipient answers 15
    (agrees) or 16 (declines). The document must have been sent from here by truc send. Prints a transport id for each
    recipient asked.
    """
    from adapters.gateway import StatusDraft
    from relay.cli.client import open_client

    with open_client(home, code, key_place) as client:
        envelope = _sent_envelope(client, code, transport_id)
        named = {one.code: one for one in envelope.recipients}
        if unknown := [one for one in to if one not in named]:
            raise OperationError(Code.NOT_FOUND, f"not a recipient of {transport_id}: {', '.join(unknown)}")
        asked = [named[one] for one in dict.fromkeys(to)] or list(named.values())
        if dry_run:
            _tell(as_json, [], transport_id, "13", [one.code for one in asked], dry_run=True)
            return
        ids = []
        for one in asked:
            draft = StatusDraft(
                sender=code,
                addressee=one.written,
                document_id=envelope.document_id,
                code=f"{envelope.code_number}/{envelope.code_notation}",
                promulgation_date=envelope.promulgation_date,
                status_code="13",
                description=reason,
                at=client.clock.now(),
            )
            sent = client.gateway.take_back(draft, transport_id)
            require_confirmed(sent)
            ids.append(sent.transport_id)
        _tell(as_json, ids, transport_id, "13", [one.code for one in asked], dry_run=False)


def _sent_envelope(client: Client, code: str, transport_id: str) -> Envelope:
    kept = client.mailbox.submission(transport_id, code)
    if kept is None:
        raise OperationError(Code.NOT_FOUND, f"{code} has sent no {transport_id} from here")
    *_, envelope, fault, detail = client.reader.package(kept.body, kept.created_at)
    if envelope is None:
        raise OperationError(fault, detail)
    return envelope


def _tell(
    as_json: bool, ids: list[str], about: str, status: str, recipients: list[str], *, dry_run: bool
) -> None:
    if as_json:
        print_json(
            {
                "about": about,
                "status": status,
                "transport_ids": ids,
                **({"recipients": recipients} if recipients else {}),
                **({"dry_run": True} if dry_run else {}),
            }
        )
    elif dry_run:
        whom = ", ".join(recipients)
        click.echo(
            words(f"would send {status} about {about} to {whom}", f"sẽ gửi {status} về {about} tới {whom}")
        )
    else:
        click.echo("\n".join(ids))
