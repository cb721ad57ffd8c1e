"""``truc verify``: the verdict on one package or receipt, offline."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay.cli.evidence_judges import FILE
from relay.cli.options import home_option, json_option, people_time, print_json, words
from relay.cli.verdicts import verdict_json
from relay.errors import Code, RefusedError
from relay.model.subjects import readable

if TYPE_CHECKING:
    from relay.cli.client import Reader
    from relay.model.inspection import AttachmentVerdict
    from relay.model.verdict import TimeSource


def moment(written: str) -> datetime:
    """Read a time with offset (RFC 3339)."""
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        raise click.BadParameter(f"{written!r} is not a time like 2026-01-31T17:00:00+07:00") from None
    if at.tzinfo is None:
        raise click.BadParameter("a time needs an offset, such as +07:00 or Z")
    return at


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--at", type=moment, metavar="TIME", help="Judge the certificates as of this time; default: now."
)
@click.option(
    "--evidence",
    type=FILE,
    help="A case or a proof (truc evidence export, prove) about the file: judge it as of the time at which that shows it"
    " to have been accepted.",
)
@click.option(
    "--tsa",
    multiple=True,
    type=FILE,
    help="With --evidence: root certificates of the time-stamp authority, PEM; default: those of the configuration.",
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration with anchors and directory; without it the sandbox of --home.",
)
@click.option(
    "--engine",
    type=click.Choice(["fast", "xmlsec"]),
    default="fast",
    show_default=True,
    help="Whose arithmetic: the relay's own, or libxmlsec1 as a judge of it.",
)
@click.option(
    "--attachments",
    "inside",
    is_flag=True,
    help="Also judge the signatures inside the package's attachments (PDF); they do not change the exit code.",
)
@home_option
@json_option
def verify(
    file: Path,
    at: datetime | None,
    evidence: Path | None,
    tsa: tuple[Path, ...],
    config: Path | None,
    engine: str,
    inside: bool,
    home: Path,
    as_json: bool,
) -> None:
    """Judge one package or one receipt by its bytes alone, offline.

    Tells whether the signature covers what is read, whether the signer is trusted and may sign for the sender (of a
    receipt: is the relay that it names), and what the file says. The exit code is 0 only if all of it holds; else it
    is 1, and code, reason and remedy follow on standard output.

    The certificate is judged as of now, or of --at, which nothing vouches for. With --evidence it is judged as of a trusted
    time-stamp over a record of these very bytes, or of the record itself where there is none: so a document can be
    verified years later, when its certificate is over. The case holds the revocation lists of its day.
    """
    from relay.cli.client import is_receipt, open_reader
    from relay.cli.track import print_attachments
    from relay.cli.verify_evidence import facts_of, opened
    from relay.model.verdict import TimeSource
    from relay.observe.clock import SystemClock

    if (evidence is None and tsa) or (evidence is not None and at is not None):
        raise click.UsageError("--evidence says itself as of when to judge; --tsa is for --evidence")

    settings_file = config or _sandbox_settings(home)
    body = file.read_bytes()
    sha256 = hashlib.sha256(body).hexdigest()
    on_record: dict[str, Any] = {}
    source, when = (TimeSource.CLOCK, SystemClock().now()) if at is None else (TimeSource.GIVEN, at)
    if evidence is None:
        reader = open_reader(settings_file, engine)
    else:
        try:
            reader, vouched = opened(evidence, settings_file, engine, tsa, sha256)
        except RefusedError as error:
            # The file is judged as of now all the same: what is in it is told.
            reader = open_reader(settings_file, engine)
            on_record = {"valid": False, "code": error.code.value, "detail": error.detail}
        else:
            source, when = vouched.source, vouched.at
            on_record = {"evidence": facts_of(vouched)}
    facts = _receipt(reader, body, when, source) if is_receipt(body) else _package(reader, body, when, source)
    facts = {"file": file, "sha256": sha256, "bytes": len(body), **facts, **on_record}
    verdicts: tuple[AttachmentVerdict, ...] = ()
    if inside and not is_receipt(body):
        from relay.cli.inspecting import inspected
        from relay.operate.attachments import facts as attachment_facts

        verdicts = inspected(body, settings_file, facts.get("sender", ""), reader.directory, when)
        facts["attachments"] = [attachment_facts(one) for one in verdicts]
    if not facts["valid"]:
        from relay.cli.errors import facts as meaning

        facts["error"] = meaning(Code(facts["code"]), facts["detail"])
    if as_json:
        print_json(facts)
    else:
        _print(facts)
        if inside:
            print_attachments(verdicts)
    if not facts["valid"]:
        click.get_current_context().exit(1)


def _sandbox_settings(home: Path) -> Path:
    # Only files are read: the broker need not run.
    from relay.sandbox.contents import running

    return running(home).settings


def _package(reader: Reader, body: bytes, at: datetime, source: TimeSource) -> dict[str, Any]:
    kind, result, envelope, code, detail = reader.package(body, at)
    facts: dict[str, Any] = {
        "type": kind.value,
        "valid": code is Code.OK,
        "code": code.value,
        "detail": detail,
    }
    facts["verdict"] = verdict_json(replace(result.verdict, vouched=source))
    if envelope is not None:
        number = "/".join(part for part in (envelope.code_number, envelope.code_notation) if part)
        facts["sender"] = envelope.sender
        facts["recipients"] = [one.code for one in envelope.recipients]
        facts["document_id"] = envelope.document_id
        facts["document_code"] = number
        facts["subject"] = envelope.subject
        facts["priority"] = envelope.priority
        facts["status"] = envelope.status_code
    return facts


def _receipt(reader: Reader, body: bytes, at: datetime, source: TimeSource) -> dict[str, Any]:
    from relay.cli.receipts import facts_of
    from relay.cli.words import receipt_json

    result = reader.receipt_verifier.verify(body, at)
    verdict = result.verdict
    facts: dict[str, Any] = {
        "type": "receipt",
        "valid": result.accepted,
        "code": verdict.reason.value,
        "detail": verdict.detail,
        "verdict": verdict_json(replace(verdict, vouched=source)),
    }
    if result.receipt is not None:
        facts["receipt"] = receipt_json(facts_of(result.receipt))
    return facts


def _print(facts: dict[str, Any]) -> None:
    from relay.cli.errors import explain
    from relay.cli.options import language
    from relay.cli.verify_evidence import lines_of, time_line
    from relay.cli.words import kind_name, receipt_name, state_name

    verdict = facts["verdict"]
    good = words("valid", "hợp lệ") if facts["valid"] else words("NOT valid", "KHÔNG hợp lệ")
    click.echo(f"{facts['file']}: {kind_name(facts['type'])}, {good}")
    click.echo(words(f"  intact: {_yes(verdict['intact'])}", f"  nguyên vẹn: {_yes(verdict['intact'])}"))
    click.echo(words(f"  trusted: {_yes(verdict['trusted'])}", f"  tin cậy: {_yes(verdict['trusted'])}"))
    if verdict["signer"]:
        click.echo("  " + words("signer: ", "người ký: ") + readable(verdict["signer"]))
    if verdict["on_behalf_of"]:
        name = verdict["on_behalf_of"]
        click.echo(words(f"  on behalf of: {name}", f"  ký thay cho: {name}"))
    if verdict["intact"]:
        click.echo("  " + _covered(verdict["profile"]))
        click.echo("  " + _revocation(verdict["revocation"], then=verdict["vouched_by"] != "clock"))
    on_record = facts.get("evidence")
    click.echo("  " + time_line(verdict, "" if on_record is None else on_record["authority"]))
    if on_record is not None:
        for line in lines_of(on_record):
            click.echo(f"  {line}")
    if "sender" in facts:
        click.echo(
            f"  {facts['sender']} -> {', '.join(facts['recipients'])}  {facts['document_code']}  {facts['subject']}"
        )
    if "receipt" in facts:
        told = facts["receipt"]
        head = f"{receipt_name(told['kind'])} {told['relay']}/{told['number']} {state_name(told['result'])}"
        click.echo(f"  {head} {told['transport_id']}")
        for line in told["recipients"]:
            click.echo(f"    {line['code']}: {state_name(line['state'])} {line['outcome_code']}".rstrip())
    if not facts["valid"]:
        click.echo(explain(Code(facts["code"]), facts["detail"], language()))


def _covered(profile: str) -> str:
    if profile == "manifest":
        return words(
            "signed: the envelope, and each attachment by its digest",
            "phạm vi ký: phong bì văn bản và từng tệp đính kèm qua giá trị băm",
        )
    return words("signed: the whole document", "phạm vi ký: toàn bộ văn bản")


def _revocation(told: dict[str, Any], *, then: bool) -> str:
    """Say what was known of revocation; ``then``: as of another time than now, which a later list may tell as well."""
    good = words("not revoked", "chưa bị thu hồi")
    state = {
        "good": good + (words(" by then", " cho đến lúc đó") if then else ""),
        "revoked": words("revoked", "đã bị thu hồi"),
        "unknown": words("unknown", "không rõ"),
        "not-checked": words("not checked", "không kiểm tra"),
    }[told["state"]]
    source = f" ({told['source'].upper()}, {people_time(told['made_at'])})" if told["made_at"] else ""
    return words("revocation: ", "thu hồi: ") + state + source


def _yes(value: bool) -> str:
    return words("yes", "có") if value else words("no", "không")
