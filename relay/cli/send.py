"""``truc send``: build if need be, sign if need be, publish confirmed, print the transport id."""

from __future__ import annotations

import hashlib
import mimetypes
import re
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

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
from relay.errors import BrokerError, Code, OperationError

if TYPE_CHECKING:
    from adapters.gateway import StoredReceipt, Submission
    from relay.cli.client import Client
    from relay.model.message import Kind, Lane
    from relay.settings.keyplace import KeyPlace

_DURATION: Final = re.compile(r"(\d{1,5})(m|h|d)")
_TRACED: Final = re.compile(rb"<edXML:Timestamp>(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)</edXML:Timestamp>")
_CONTENT: Final = frozenset(
    {
        *("to", "subject", "attach", "content", "number", "notation", "document_id", "type_name", "place"),
        *("signer", "priority"),
    }
)
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


def transport_id(written: str) -> str:
    """Read a transport id: a UUID in lower case, not nil."""
    try:
        value = uuid.UUID(written)
    except ValueError:
        raise click.BadParameter(f"{written!r} is not a UUID") from None
    if str(value) != written or not value.int:
        raise click.BadParameter("a transport id is a UUID in lower case with hyphens, and not nil")
    return written


def deadline(written: str) -> datetime | timedelta:
    """Read a deadline: a time with offset (RFC 3339), or a duration like 30m, 2h, 3d."""
    if match := _DURATION.fullmatch(written):
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        raise click.BadParameter(
            f"{written!r} is neither a time (2026-01-31T17:00:00+07:00) nor 30m, 2h, 3d"
        ) from None
    if at.tzinfo is None:
        raise click.BadParameter("a time needs an offset, such as +07:00 or Z")
    return at


@click.command()
@as_option
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--to", "to", multiple=True, type=agency_code, metavar="CODE", help="Recipient; may be repeated."
)
@click.option("--subject", help="Subject of the document that is built.")
@click.option(
    "--attach",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File to attach; may be repeated.",
)
@click.option("--content", default="", help="A few words on the content.")
@click.option("--number", help="Number of the document; by default made from the time.")
@click.option("--notation", help="Notation of the document; by default CV- and the sender's code.")
@click.option("--document-id", help="DocumentId; by default made from sender, date, number and notation.")
@click.option("--type-name", default="Công văn", show_default=True, help="Type of the document.")
@click.option("--place", default="Hà Nội", show_default=True, help="Place of promulgation.")
@click.option("--signer", help="Name of who signed the document; by default the agency's name.")
@click.option(
    "--priority", type=click.IntRange(0, 4), default=0, show_default=True, help="0 normal, 1 to 4 urgent."
)
@click.option(
    "--deadline",
    "due",
    type=deadline,
    metavar="TIME",
    help="When it has to be delivered: a time with offset, or 30m, 2h, 3d from now. Without it the relay decides.",
)
@click.option(
    "--id",
    "chosen_id",
    type=transport_id,
    metavar="UUID",
    help="Transport id. That of an earlier submission, without FILE and facts, repeats it; other content under it is "
    "an error.",
)
@click.option(
    "--profile",
    type=click.Choice(["auto", "whole", "manifest"]),
    default="auto",
    show_default=True,
    help="What is signed here: the whole document, or its envelope with a digest of each attachment; auto takes the "
    "latter for large packages.",
)
@click.option("--wait", is_flag=True, help="Wait for the relay's receipt and print it.")
@click.option(
    "--timeout", type=click.FloatRange(0.1), default=60.0, show_default=True, help="Seconds to wait."
)
@key_options
@home_option
@dry_run_option
@json_option
def send(
    code: str,
    file: Path | None,
    chosen_id: str | None,
    due: datetime | timedelta | None,
    profile: str,
    wait: bool,
    timeout: float,
    key_place: KeyPlace | None,
    home: Path,
    dry_run: bool,
    as_json: bool,
    **fields: Any,  # noqa: ANN401 - the facts of a document to be built
) -> None:
    """Send a document in an agency's name.

    Either FILE, an edXML package: signed, it is sent bit for bit; unsigned, it is signed first. Or --to, --subject and
    --attach, from which a package is built and signed.

    Prints the transport id and nothing else on standard output; with --wait the receipt follows. A refusal as a whole
    gives the exit code 1; refused recipients are named, and alone leave it 0.

    \b
    truc send --as H26 --to H53 --to G22 --subject "Kế hoạch năm 2026" --attach plan.pdf --wait
    truc send --as H26 document.edxml --deadline 2h
    truc send --as H26 --id 0b6b0e3a-5f6e-4b52-9d57-7a2f4f0c9d11
    """  # noqa: D301 - a backspace keeps click from filling the lines
    _check_usage(file, chosen_id, fields)
    from relay.cli.client import open_client

    with open_client(home, code, key_place) as client:
        chosen = None if profile == "auto" else profile
        kept = client.mailbox.submission(chosen_id, client.gateway.account.agency) if chosen_id else None
        if file is not None:
            body = _from_file(client, code, file, kept, chosen)
        elif _given():
            body = _built(client, code, kept, fields, chosen)
        elif kept is not None:
            body = kept.body
        else:
            raise OperationError(Code.NOT_FOUND, f"{code} has sent nothing under {chosen_id}")
        if kept is not None:
            note(
                words(
                    "This id was used before: the same bytes go again.",
                    "Mã này đã dùng: gửi lại đúng nội dung cũ.",
                )
            )
        kind, lane = _lane(client, code, body)
        limit = client.clock.now() + due if isinstance(due, timedelta) else due
        if limit is None and kept is not None:
            limit = kept.deadline
        if dry_run:
            _tell_dry_run(code, kind, lane, body, as_json=as_json)
            return
        since = client.clock.now()
        hint = kept.correlation_id if kept else None
        sent = _publish(client, body, kind, lane, chosen_id or str(uuid.uuid4()), limit, hint)
        if not as_json:
            click.echo(sent.transport_id)
        answer = client.gateway.wait_for_receipt(sent.transport_id, since, timeout) if wait else None
        if as_json:
            print_json(_sent_json(sent, answer))
        elif answer is not None:
            from relay.cli.words import receipt_lines

            click.echo("\n".join(receipt_lines(answer.facts)))
        else:
            note(
                words("The broker keeps it; a receipt will follow.", "Máy chủ đã giữ; biên nhận sẽ đến sau.")
            )
        if wait and answer is None:
            raise OperationError(Code.RECEIPT_TIMEOUT, f"{sent.transport_id}: {timeout:g} s")
        if answer is not None and answer.facts.result != "accepted":
            click.get_current_context().exit(1)


def _publish(
    client: Client,
    body: bytes,
    kind: Kind,
    lane: Lane,
    chosen_id: str,
    limit: datetime | None,
    hint: str | None,
) -> Submission:
    try:
        sent = client.gateway.send(body, kind, lane, chosen_id, deadline=limit, correlation_id=hint)
    except BrokerError as error:
        if error.code is Code.PUBLISH_REFUSED:
            raise
        # The outbox has it: whoever sends anew without this id makes a second document.
        raise BrokerError(error.code, f"{error.detail}; {kept_text(chosen_id)}") from error
    require_confirmed(sent)
    return sent


def kept_text(transport_id: str) -> str:
    """Say that a submission stands in the outbox."""
    return f"{transport_id} stands in the outbox and goes with the next truc inbox of this agency"


def require_confirmed(sent: Submission) -> None:
    """Raise PUBLISH-REFUSED unless the broker confirmed a submission."""
    from adapters.gateway import OutState

    if sent.state is not OutState.CONFIRMED:
        raise BrokerError(Code.PUBLISH_REFUSED, kept_text(sent.transport_id))


def _given() -> list[str]:
    """Return the options on the content that the caller wrote, as written."""
    context = click.get_current_context()
    return [
        option.opts[0]
        for option in context.command.params
        if isinstance(option, click.Option)
        and option.name in _CONTENT
        and context.get_parameter_source(option.name) is click.core.ParameterSource.COMMANDLINE
    ]


def _check_usage(file: Path | None, chosen_id: str | None, fields: dict[str, Any]) -> None:
    given = _given()
    if file is not None and given:
        raise click.UsageError(f"give FILE, or --to, --subject and --attach, not both: {', '.join(given)}")
    if file is None and not (fields["to"] and fields["subject"]) and (given or not chosen_id):
        raise click.UsageError("give FILE, or at least --to and --subject (or --id alone, to repeat)")


def _other_content(transport_id: str) -> click.UsageError:
    return click.UsageError(
        words(
            f"NOT sent: other content was sent under {transport_id}. To repeat that give --id alone; "
            "new content needs a new id (leave --id out).",
            f"CHƯA gửi: mã {transport_id} đã dùng cho nội dung khác. Muốn gửi lại nội dung cũ, chỉ dùng --id; "
            "nội dung mới cần mã mới (bỏ --id).",
        )
    )


def _from_file(client: Client, code: str, file: Path, kept: Submission | None, profile: str | None) -> bytes:
    body = file.read_bytes()
    if kept is not None:
        if body == kept.body or _same_but_signature(body, kept.body):
            # Signed anew it would be other bytes under a known id.
            return kept.body
        raise _other_content(kept.transport_id)
    kind, result, *_ = client.reader.package(body, client.clock.now())
    if result.verdict.reason is not Code.UNSIGNED:
        return body
    note(words(f"unsigned: signed here as {code}", f"chưa ký: được ký tại đây với tư cách {code}"))
    return client.sign(body, kind, profile)


def _same_but_signature(unsigned: bytes, signed: bytes) -> bool:
    from relay.trust.sign import without_signature

    return without_signature(signed) == unsigned


def _built(
    client: Client, code: str, kept: Submission | None, fields: dict[str, Any], profile: str | None
) -> bytes:
    from adapters.edxml.writer import document_package
    from relay.model.message import Kind

    if kept is None:
        unsigned = document_package(_fields(client, code, fields, client.clock.now()))
        return client.sign(unsigned, Kind.EDOC, profile)
    again = _as_built(client, kept, fields)
    if again is None:
        raise _other_content(kept.transport_id)
    built_at, known = again
    if not _same_but_signature(document_package(_fields(client, code, known, built_at)), kept.body):
        raise _other_content(kept.transport_id)
    return kept.body


def _as_built(
    client: Client, kept: Submission, fields: dict[str, Any]
) -> tuple[datetime, dict[str, Any]] | None:
    """Return when a kept document was built, and the facts with what was made up then; None: it was not built here."""
    from relay.model.times import VIETNAM

    envelope = client.reader.package(kept.body, kept.created_at)[2]
    traced = _TRACED.search(kept.body)
    if envelope is None or traced is None:
        return None
    made = {"number": envelope.code_number, "document_id": envelope.document_id}
    built_at = datetime.strptime(traced[1].decode(), "%Y/%m/%d %H:%M:%S").replace(tzinfo=VIETNAM)
    return built_at, {**fields, **{name: fields[name] or value for name, value in made.items()}}


def _fields(client: Client, code: str, fields: dict[str, Any], now: datetime) -> Any:  # noqa: ANN401 - DocumentFields, imported late
    from adapters.edxml.facts import AttachedFile, DocumentFields
    from relay.cli.client import organ
    from relay.model.times import VIETNAM

    local = now.astimezone(VIETNAM)
    number = fields["number"] or f"{local:%d%H%M%S}{now.microsecond // 1000:03}"
    notation = fields["notation"] or f"CV-{code}"[:30]
    sender = organ(code, client.reader.directory)
    return DocumentFields(
        sender=sender,
        recipients=tuple(organ(one, client.reader.directory) for one in dict.fromkeys(fields["to"])),
        document_id=fields["document_id"] or f"{code},{local:%Y/%m/%d},{number}/{notation}",
        number=number,
        notation=notation,
        place=fields["place"],
        promulgated_on=local.date(),
        type_number=18,
        type_name=fields["type_name"],
        subject=fields["subject"],
        content=fields["content"],
        signer_name=(fields["signer"] or sender.name or code)[:50],
        traced_at=now,
        priority=fields["priority"],
        attachments=tuple(
            AttachedFile(
                path.name, path.read_bytes(), mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            )
            for path in fields["attach"]
        ),
    )


def _lane(client: Client, code: str, body: bytes) -> tuple[Kind, Lane]:
    """Return kind and lane by what is signed; a package that cannot be read goes as a normal document."""
    from relay.model.message import Kind, Lane

    kind, _result, envelope, fault, detail = client.reader.package(body, client.clock.now())
    if fault is not Code.OK:
        from relay.cli.wording import vietnamese

        note(
            words(
                f"Note: the relay will refuse it: {fault.value} {detail}",
                f"Lưu ý: trục sẽ từ chối: {fault.value} {vietnamese(detail)}",
            )
        )
    if envelope is not None and envelope.sender != code:
        note(words(f"Note: signed From is {envelope.sender}.", f"Lưu ý: bên gửi đã ký là {envelope.sender}."))
    if kind is Kind.STATUS:
        return kind, Lane.STATUS
    return kind, Lane.URGENT if envelope is not None and envelope.urgent else Lane.NORMAL


def _tell_dry_run(code: str, kind: Kind, lane: Lane, body: bytes, *, as_json: bool) -> None:
    if as_json:
        facts = {"dry_run": True, "sender": code, "kind": kind.value, "lane": lane.value}
        print_json({**facts, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()})
    else:
        text = f"{kind.value} {lane.value}.{code} {len(body)} B"
        click.echo(words(f"would send: {text}", f"sẽ gửi: {text}"))


def _sent_json(sent: Submission, answer: StoredReceipt | None) -> dict[str, Any]:
    from relay.cli.words import receipt_json

    return {
        "transport_id": sent.transport_id,
        "sender": sent.agency,
        "kind": sent.kind.value,
        "lane": sent.lane,
        "state": sent.state.value,
        "bytes": len(sent.body),
        "sha256": hashlib.sha256(sent.body).hexdigest(),
        "deadline": sent.deadline,
        "receipt": receipt_json(answer.facts) if answer else None,
    }
