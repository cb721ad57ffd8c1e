"""``truc track``: a document's story out of the registry, per recipient."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay.cli.options import (
    agency_code,
    home_option,
    json_option,
    people_time,
    print_json,
    print_table,
    words,
)
from relay.errors import Code, OperationError

if TYPE_CHECKING:
    from adapters.gateway import ReceiptFacts
    from relay.model.delivery import Delivery
    from relay.model.receipt import SignedReceipt
    from relay.model.record import Document, TrackEvent


@click.command()
@click.argument("transport-id")
@click.option(
    "--sender", type=agency_code, metavar="CODE", help="Only this sender's; several may use one transport id."
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration of a relay; without it the sandbox of --home.",
)
@home_option
@json_option
def track(transport_id: str, sender: str | None, config: Path | None, home: Path, as_json: bool) -> None:
    """Tell the story of a document: what was decided, where each delivery stands, what was told to whom.

    A submission that was refused before its sender was proven is no document; if there is nothing else under the id,
    the receipts that refused it are shown, whatever --sender says.
    """
    from relay.registry import open_registry

    registry = open_registry(registry_url(home, config))
    try:
        stories = [(one, registry.story(one.row)) for one in registry.find(transport_id, sender)]
        refused = [] if stories else registry.refused(transport_id)
    finally:
        registry.close()
    if not stories and not refused:
        raise OperationError(Code.NOT_FOUND, transport_id)
    if as_json:
        documents = [_json(*story) for story in stories]
        print_json({"transport_id": transport_id, "documents": documents, "refused": _refused_json(refused)})
        return
    if refused:
        _print_refused(refused)
    for story in stories:
        _print(*story)


def registry_url(home: Path, config: Path | None) -> str:
    """Return where the registry is: of a configuration, else of a sandbox.

    Raises:
        ConfigurationError: CONFIG-INVALID; OperationError: NOT-FOUND: there is no sandbox.
    """
    if config is not None:
        from relay import settings

        return settings.load(config, files=False).registry.url
    from relay.sandbox.contents import running

    return running(home).registry_url


def _json(document: Document, events: list[TrackEvent]) -> dict[str, Any]:
    verdict = document.verdict
    return {
        "sender": document.sender,
        "kind": document.kind.value,
        "status": document.status_code,
        "user": document.user,
        "lane": document.lane,
        "accepted_at": document.accepted_at,
        "deadline_at": document.deadline_at,
        "document_id": document.document_id,
        "code": document.code,
        "promulgation_date": document.promulgation_date,
        "sha256": document.body_sha256,
        "bytes": document.body_bytes,
        "refusal": document.refusal.value if document.refusal else "",
        "detail": document.detail,
        "settled": document.settled,
        "finished": document.finished,
        "verdict": {
            "intact": verdict.intact,
            "trusted": verdict.trusted,
            "reason": verdict.reason.value,
            "signer": verdict.signer,
            "certificate_sha256": verdict.certificate_sha256,
            "algorithm": verdict.algorithm,
            "verified_at": verdict.verified_at,
        },
        "deliveries": [_delivery_json(one) for one in document.deliveries],
        "events": [
            {
                "at": event.at,
                "event": event.event,
                "recipient": event.recipient,
                "code": event.code,
                "detail": event.detail,
            }
            for event in events
        ],
    }


def _refused_json(refused: list[SignedReceipt]) -> list[dict[str, Any]]:
    from relay.cli.words import receipt_json

    return [{**receipt_json(_facts(one)), "told": one.to} for one in refused]


def _print_refused(refused: list[SignedReceipt]) -> None:
    from relay.cli.words import receipt_lines

    for one in refused:
        click.echo(
            words(
                f"refused before the sender was proven; told to {one.to}",
                f"bị từ chối khi chưa xác định được bên gửi; đã báo cho {one.to}",
            )
        )
        click.echo("\n".join(f"  {line}" for line in receipt_lines(_facts(one))))


def _facts(receipt: SignedReceipt) -> ReceiptFacts:
    from relay.cli.receipts import facts_of
    from relay.evidence.receipts import read

    return facts_of(read(receipt.body))


def _delivery_json(delivery: Delivery) -> dict[str, Any]:
    return {
        "delivery_id": delivery.delivery_id,
        "written": delivery.written,
        "recipient": delivery.recipient,
        "level": delivery.level.value if delivery.level else "",
        "state": delivery.state.value,
        "code": delivery.code.value if delivery.code else "",
        "at": delivery.at,
        "due_at": delivery.due_at,
        "attempt": delivery.attempt,
        "detail": delivery.detail,
    }


def _print(document: Document, events: list[TrackEvent]) -> None:
    from relay.cli.words import state_name

    head = (
        document.sender,
        document.kind.value,
        document.code,
        people_time(document.accepted_at),
        document.refusal.value if document.refusal else "",
    )
    click.echo("  ".join(part for part in head if part))
    verdict = document.verdict
    click.echo(
        words(
            f"  signature: {verdict.reason.value}  {verdict.signer}",
            f"  chữ ký: {verdict.reason.value}  {verdict.signer}",
        ).rstrip()
    )
    for delivery in document.deliveries:
        resolved = f" -> {delivery.recipient}" if delivery.recipient != delivery.written else ""
        click.echo(
            f"  {delivery.written}{resolved}: {state_name(delivery.state.value)}"
            + (f"  {delivery.code.value}" if delivery.code else "")
            + (f"  {people_time(delivery.at)}" if delivery.at else "")
        )
    print_table(
        [(people_time(event.at), event.event, event.recipient, event.code, event.detail) for event in events],
        indent="    ",
    )
