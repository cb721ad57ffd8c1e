"""``truc track``: a document's story out of the registry, per recipient."""

from __future__ import annotations

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
    language,
    people_time,
    print_json,
    print_table,
    words,
)
from relay.cli.verdicts import verdict_json
from relay.errors import Code, OperationError
from relay.model.subjects import readable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from adapters.gateway import ReceiptFacts
    from relay.model.delivery import Delivery
    from relay.model.inspection import AttachmentVerdict
    from relay.model.receipt import SignedReceipt
    from relay.model.record import TrackEvent
    from relay.operate.tracking import Story


@click.command()
@click.argument("transport-id")
@click.option(
    "--sender", type=agency_code, metavar="CODE", help="Only this sender's; several may use one transport id."
)
@config_option
@home_option
@json_option
def track(transport_id: str, sender: str | None, config: Path | None, home: Path, as_json: bool) -> None:
    """Tell the story of a document: what was decided, where each delivery stands, what was told to whom, who acted.

    First what happened to each recipient, then what concerns the whole. A submission that was refused before its sender
    was proven, or that is only known from quarantine, is no document; if there is nothing else under the id, its
    receipts and events are shown, whatever --sender says. Names of agencies are those of the directory.
    """
    from relay.observe.clock import SystemClock
    from relay.operate.tracking import track as stories_of

    with relay_of(home, config) as relay:
        registry, now = relay.registry, SystemClock().now()
        found = [registry.standing(one.row, now) for one in registry.find(transport_id, sender)]
        known = stories_of(
            transport_id, registry, relay.directory_if_any(), tuple(one for one in found if one is not None)
        )
        refused = [] if known.stories else registry.refused(transport_id)
    if not known.stories and not refused and not known.loose:
        raise OperationError(Code.NOT_FOUND, transport_id)
    if as_json:
        print_json(
            {
                "transport_id": transport_id,
                "documents": [_json(story) for story in known.stories],
                "refused": _refused_json(refused),
                "events": [_event_json(event) for event in known.loose],
                "names": known.names,
            }
        )
        return
    if refused:
        _print_refused(refused)
    _print_events(known.loose)
    for story in known.stories:
        _print(story, known.names)
    _print_codes([*known.loose, *(event for story in known.stories for event in story.events)])


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


def _json(story: Story) -> dict[str, Any]:
    from relay.operate.attachments import facts as attachment_facts

    document, standing = story.document, story.standing
    return {
        "sender": document.sender,
        "kind": document.kind.value,
        "status": document.status_code,
        "refers_to": story.refers_to,
        "speaks_of": [
            {"document_id": one.document_id, "transport_ids": list(one.transport_ids)}
            for one in story.speaks_of
        ],
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
        "verdict": verdict_json(document.verdict),
        "directory_version": document.directory_version,
        "same_content_as": standing.first.transport_id if standing.first else "",
        "deliveries": [_delivery_json(one.delivery) for one in standing.deliveries],
        "receipts": [
            {
                "number": one.number,
                "kind": one.kind,
                "code": one.code,
                "to": one.to,
                "at": one.at,
                "published_at": one.published_at,
            }
            for one in standing.receipts
        ],
        "attachments": [attachment_facts(one) for one in story.attachments],
        "events": [_event_json(event) for event in story.events],
    }


def _event_json(event: TrackEvent) -> dict[str, Any]:
    return {
        "at": event.at,
        "event": event.event,
        "recipient": event.recipient,
        "about": event.about,
        "code": event.code,
        "detail": event.detail,
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


def _print(story: Story, names: Mapping[str, str]) -> None:
    from relay.cli.words import kind_name, state_name, status_name

    document = story.document
    head = (
        _named(document.sender, names),
        kind_name(document.kind.value),
        status_name(document.status_code) if document.status_code else "",
        document.code,
        people_time(document.accepted_at),
        document.refusal.value if document.refusal else "",
    )
    click.echo("  ".join(part for part in head if part))
    if story.standing.first is not None:
        before = story.standing.first.transport_id
        click.echo("  " + words(f"same bytes as {before}", f"cùng nội dung với {before}"))
    if story.refers_to:
        click.echo("  " + words(f"about {story.refers_to}", f"về văn bản {story.refers_to}"))
    for mention in story.speaks_of:
        known = ", ".join(mention.transport_ids) or words("unknown here", "không có ở đây")
        click.echo("  " + words("changes ", "thay đổi văn bản ") + f"{mention.document_id}: {known}")
    verdict = document.verdict
    signature = f"{verdict.reason.value}  {readable(verdict.signer)}".rstrip()
    click.echo("  " + words("signature: ", "chữ ký: ") + signature)
    print_attachments(story.attachments, indent="  ")
    deliveries = [one.delivery for one in story.standing.deliveries]
    for delivery in deliveries:
        resolved = f" -> {delivery.recipient}" if delivery.recipient != delivery.written else ""
        name = f" ({names[delivery.recipient]})" if delivery.recipient in names else ""
        click.echo(
            f"  {delivery.written}{resolved}{name}: {state_name(delivery.state.value)}"
            + (f"  {delivery.code.value}" if delivery.code else "")
            + (f"  {people_time(delivery.at)}" if delivery.at else "")
        )
        _print_events(event for event in story.events if delivery.recipient in _whom(event))
    apart = {delivery.recipient for delivery in deliveries}
    click.echo(words("  the whole:", "  toàn bộ:"))
    _print_events(event for event in story.events if not _whom(event) & apart)


def _whom(event: TrackEvent) -> set[str]:
    """Return whose lines an event belongs to."""
    return {event.recipient, event.about} - {""}


def print_attachments(verdicts: Sequence[AttachmentVerdict], indent: str = "") -> None:
    """Print what was found of signatures inside attachments, in the language of the command; nothing if there is none."""
    from relay.evidence import attachments
    from relay.model.inspection import worst

    if not verdicts:
        return
    chosen: attachments.Language = "vi" if language() == "vi" else "en"
    click.echo(indent + attachments.of_all(worst(verdicts), chosen))
    for verdict in verdicts:
        first, *others = attachments.lines(verdict, chosen)
        click.echo(f"{indent}  {first}")
        for line in others:
            click.echo(f"{indent}    {line}")


def _named(code: str, names: Mapping[str, str]) -> str:
    return f"{code} ({names[code]})" if code in names else code


def _print_events(events: Iterable[TrackEvent]) -> None:
    from relay.cli.words import event_name

    print_table(
        [
            (
                people_time(event.at),
                event_name(event.event),
                f"{event.recipient} -> {event.about}" if event.about else event.recipient,
                *_code_and_detail(event),
            )
            for event in events
        ],
        indent="    ",
    )


def _code_and_detail(event: TrackEvent) -> tuple[str, str]:
    """Return code and detail of an event as people read them."""
    from relay.cli.words import receipt_name, status_name

    if event.event == "status":
        return status_name(event.code), event.detail
    if event.event == "accepted":
        return event.code, readable(event.detail)
    kind, _, rest = event.detail.partition(" ")
    if event.event == "receipt" and rest:
        return event.code, f"{receipt_name(kind)} {rest}"
    if event.event == "deferred" and kind == "due" and rest:
        again = people_time(datetime.fromisoformat(rest))
        return event.code, words(f"again at {again}", f"thử lại lúc {again}")
    return event.code, event.detail


def _print_codes(events: Iterable[TrackEvent]) -> None:
    """Say what the codes mean that were shown; truc errors says what to do."""
    from relay.errors.catalogue import entry

    known = Code.__members__.values()
    shown = dict.fromkeys(event.code for event in events if event.code in known and event.code != Code.OK)
    for code in shown:
        message = entry(Code(code)).message
        click.echo(f"  {code}: {words(message['en'], message['vi'])}")
