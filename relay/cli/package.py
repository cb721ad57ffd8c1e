"""``truc package``: packages of the national format, read, checked, built, taken apart, compared and mended, offline."""

from __future__ import annotations

import hashlib
import json
import mimetypes
import os
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from relay.cli.advice import advice
from relay.cli.options import agency_code, dry_run_option, json_option, language, print_json, words
from relay.cli.verify import moment
from relay.errors import Code, OperationError, RefusedError

if TYPE_CHECKING:
    from adapters.edxml.check import Checked, CheckedFile
    from adapters.edxml.content import Content
    from adapters.edxml.model import Document, Package
    from relay.errors.catalogue import Language

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_OUT: Final = click.Path(dir_okay=False, path_type=Path)
_REASONED: Final = frozenset({"02", "13", "16"})
_MAX_FACTS: Final = 4 * 1024 * 1024


@click.group()
def package() -> None:
    """Packages of the national format (edXML): read, check, build, extract, compare, mend. All offline."""


@package.command()
@click.argument("file", type=_FILE)
@json_option
def show(file: Path, as_json: bool) -> None:
    """Show what a package says, as a page for people or as JSON (schemas/package-show.schema.json).

    Reads tolerantly: whatever can be told is shown. The exit code is 1 if a part cannot be read without a guess; "truc
    package check" says which, and why.
    """
    from adapters.edxml import report

    checked = _checked(file)
    if as_json:
        print_json({"file": file, "sha256": _sha256(file), **report.facts(checked)})
    else:
        click.echo(f"{file}  {checked.reading.size} B  sha256 {_sha256(file)}")
        for line in report.page(checked, _lang()):
            click.echo(line)
        if checked.reading.package is None:
            for line in report.verdict(checked, _lang(), advice):
                click.echo(line)
    if checked.faults:
        click.get_current_context().exit(1)


@package.command()
@click.argument("file", type=_FILE)
@click.option(
    "--strict", is_flag=True, help="Hold it against the standard as Trục writes it, strict schema included."
)
@json_option
def check(file: Path, strict: bool, as_json: bool) -> None:
    """Say everything that is odd or wrong in a package: where, as what it was read, who can mend it, and how.

    Exit code 0: it can be read without a guess and the relay would take it, signature aside (with --strict: besides, no
    deviation above a note, and valid by schemas/edxml/strict.xsd); 1: not so. "truc verify" judges signatures.
    """
    from adapters.edxml import report

    checked = _checked(file, strict=strict)
    if as_json:
        print_json({"file": file, "sha256": _sha256(file), **report.facts(checked)})
    else:
        for line in report.verdict(checked, _lang(), advice):
            click.echo(line)
    if not checked.passed:
        click.get_current_context().exit(1)


@package.command()
@click.argument("out", type=_OUT)
@click.option(
    "--facts",
    type=_FILE,
    help="JSON with the facts, as `truc package show --json` gives under `package`; each Attachment needs a File besides: "
    "the path of the file to attach, seen from the folder of the facts.",
)
@click.option("--from", "sender", type=agency_code, metavar="CODE", help="Sender; of a status: who reports.")
@click.option("--from-name", default="", help="The sender's name.")
@click.option("--to", multiple=True, type=agency_code, metavar="CODE", help="Recipient; may be repeated.")
@click.option("--subject", help="Subject.")
@click.option("--number", help="Number of the document.")
@click.option("--notation", help="Notation of the document.")
@click.option("--document-id", help="DocumentId; by default made from sender, date, number and notation.")
@click.option("--type-name", default="Công văn", show_default=True, help="Type of the document.")
@click.option(
    "--type",
    "type_number",
    type=click.IntRange(0),
    help="Number of the type; by default that of its name in Amendment 1:2022.",
)
@click.option("--place", default="Hà Nội", show_default=True, help="Place of promulgation.")
@click.option(
    "--date", "day", type=click.DateTime(["%Y-%m-%d"]), help="Date of promulgation; by default today."
)
@click.option("--signer", help="Name of who signed the document.")
@click.option("--content", default="", help="A few words on the content.")
@click.option(
    "--priority", type=click.IntRange(0, 4), default=0, show_default=True, help="0 normal, 1 to 4 urgent."
)
@click.option("--attach", multiple=True, type=_FILE, help="File to attach; may be repeated.")
@click.option(
    "--business",
    type=click.IntRange(0, 3),
    default=0,
    show_default=True,
    help="0 new, 1 revocation, 2 update, 3 replacement.",
)
@click.option("--reason", default="", help="Reason of a revocation, update, replacement or status.")
@click.option("--about", default="", help="DocumentId of the document acted upon, replaced, or reported on.")
@click.option("--about-code", default="", help="Of a status: number/notation of that document.")
@click.option("--about-date", default="", help="Of a status: its date of promulgation, as it wrote it.")
@click.option(
    "--status",
    type=click.Choice(["01", "02", "03", "04", "05", "06", "13", "15", "16"]),
    help="Build a status.",
)
@click.option(
    "--at",
    type=moment,
    metavar="TIME",
    help="When it is made; by default now. The same facts give the same bytes.",
)
@dry_run_option
@json_option
def build(out: Path, facts: Path | None, dry_run: bool, as_json: bool, **fields: Any) -> None:  # noqa: ANN401 - the facts
    """Build an unsigned package into the new file OUT, from options or from JSON.

    The strict writer is used: what breaks the standard is refused, by code 1. An existing OUT is never overwritten.

    \b
    truc package build a.edxml --from H26 --to H53 --subject "Kế hoạch" --number 7 --notation KH-UBND --signer "A" --attach b.pdf
    truc package build s.edxml --from H53 --to H26 --status 03 --about "H26,2026/11/22,7/KH-UBND" --about-code 7/KH-UBND --about-date 2026/11/22
    truc package build c.edxml --facts facts.json
    """  # noqa: D301 - a backspace keeps click from filling the lines
    from adapters.edxml.writer import write_package

    built = _from_facts(facts) if facts is not None else _from_fields(fields)
    _write(out, lambda file: write_package(built, file), dry_run=dry_run)
    _tell_written(out, dry_run=dry_run, as_json=as_json, kind=built.kind.value)


@package.command()
@click.argument("file", type=_FILE)
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    show_default="here",
    help="Folder for the files; made if it is missing.",
)
@dry_run_option
@json_option
def extract(file: Path, folder: Path, dry_run: bool, as_json: bool) -> None:
    """Take the attachments out of a package, under names that are safe on any system.

    Those that were zipped for transport are unzipped. Nothing is overwritten: a name that is taken gets a number. The
    exit code is 1 if an attachment cannot be read; the others are taken out all the same.
    """
    checked = _checked(file)
    if checked.reading.package is None:
        raise checked.faults[0].error()
    taken = [_extracted(one, folder, dry_run=dry_run) for one in checked.files]
    if as_json:
        print_json({"file": file, "files": taken, **({"dry_run": True} if dry_run else {})})
    else:
        for one in taken:
            click.echo(
                f"{one['path'] or one['written_name']}  "
                + (
                    f"{one['bytes']} B  sha256 {one['sha256']}"
                    if one["path"]
                    else words("unreadable", "không đọc được")
                )
            )
    if any(one["path"] is None for one in taken):
        click.get_current_context().exit(1)


@package.command()
@click.argument("left", type=_FILE)
@click.argument("right", type=_FILE)
@json_option
def diff(left: Path, right: Path, as_json: bool) -> None:
    """Say what differs between two packages in meaning, and whether the bytes of their attachments do.

    Order, prefixes, white space, the form of a code and the packing of attachments are no difference. Exit code 0: none;
    1: there are some, or one of the two cannot be read without a guess.
    """
    from adapters.edxml import report
    from adapters.edxml.diff import differences

    ours, theirs = _read(left), _read(right)
    same = _sha256(left) == _sha256(right)
    found = () if same else differences(ours, theirs)
    if as_json:
        listed = [{"path": one.path, "left": one.left, "right": one.right} for one in found]
        print_json({"left": left, "right": right, "same_bytes": same, "differences": listed})
    else:
        for one in found:
            click.echo(report.difference_line(one, _lang()))
        if not found:
            click.echo(
                words("the same bytes", "giống nhau từng byte")
                if same
                else words("the same in meaning; the bytes differ", "cùng nội dung; khác về byte")
            )
    if found:
        click.get_current_context().exit(1)


@package.command()
@click.argument("file", type=_FILE)
@click.argument("out", type=_OUT)
@dry_run_option
@json_option
def repair(file: Path, out: Path, dry_run: bool, as_json: bool) -> None:
    """Propose a package that is right, in the new file OUT, and name each change. FILE is never touched.

    Nothing is guessed: what cannot be read without a guess is refused, what only a person knows is listed and stays. The
    result is written anew and unsigned: a signature, comments and white space between elements are not in it. Exit code
    0: the strict writer takes it; 1: something is left to do, or it cannot be read.
    """
    from adapters.edxml import report
    from adapters.edxml.repair import propose
    from adapters.edxml.writer import write_package

    with _of_file(file), _sources(file) as source:
        proposal = propose(source)
        _write(out, lambda target: write_package(proposal.package, target, checked=False), dry_run=dry_run)
    objection = proposal.objection
    if as_json:
        print_json(
            {
                "file": file,
                "out": out,
                "complete": proposal.complete,
                "changes": [report.change_facts(one) for one in proposal.changes],
                "left": [report.finding_facts(one) for one in proposal.left],
                "objection": None if objection is None else report.objection_facts(objection),
                **({"dry_run": True} if dry_run else {}),
            }
        )
    else:
        for change in proposal.changes:
            click.echo(report.change_line(change, _lang()))
        for finding in proposal.left:
            for line in report.left_lines(finding, _lang()):
                click.echo(line)
        if objection is not None:
            click.echo(report.objection_line(objection, _lang()))
        _tell_written(out, dry_run=dry_run, as_json=False, kind=proposal.package.kind.value)
    if not proposal.complete:
        click.get_current_context().exit(1)


# files


def _lang() -> Language:
    return "vi" if language() == "vi" else "en"


@contextmanager
def _sources(file: Path) -> Iterator[Any]:
    """Open a package for reading piece by piece. Raises FILE-UNUSABLE."""
    from adapters.edxml.content import FileSource

    try:
        yield FileSource(file)
    except OSError as error:
        raise unusable(error) from error


def unusable(error: OSError, meant: Path | None = None) -> OperationError:
    """Return a trouble with a file as the error that people see; ``meant``: the file that they know."""
    name = str(meant or "") or (Path(str(error.filename)).name if error.filename else "")
    return OperationError(
        Code.FILE_UNUSABLE, f"{name}: {error.strerror or type(error).__name__}".lstrip(": ")
    )


def _checked(file: Path, *, strict: bool = False) -> Checked:
    from adapters.edxml.check import check as judge

    with _sources(file) as source:
        return judge(source, "strict" if strict else "tolerant")


def _read(file: Path) -> Package:
    from adapters.edxml.reader import read

    with _of_file(file), _sources(file) as source:
        found = read(source).package
    assert found is not None
    return found


@contextmanager
def _of_file(file: Path) -> Iterator[None]:
    """Say of which file an error is, where two are dealt with."""
    try:
        yield
    except RefusedError as error:
        raise RefusedError(error.code, f"{file.name}: {error.detail}".removesuffix(": ")) from error


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise unusable(error) from error


def _write(out: Path, fill: Any, *, dry_run: bool) -> None:  # noqa: ANN401 - a function that writes
    """Write a new file whole or not at all; never over another."""
    if dry_run:
        with tempfile.TemporaryFile() as nowhere:
            fill(nowhere)
        return
    try:
        with _new_file(out.parent, out.name) as file:
            fill(file)
    except OSError as error:
        raise unusable(error, out) from error


@contextmanager
def _new_file(folder: Path, name: str) -> Iterator[BinaryIO]:
    """Give a file that appears under its name once it is complete. Raises ``FileExistsError`` if the name is taken."""
    if (folder / name).is_symlink() or (folder / name).exists():
        raise FileExistsError(17, os.strerror(17), str(folder / name))
    handle, temporary = tempfile.mkstemp(prefix=".truc-", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(temporary).chmod(0o666 & ~_umask())
        os.link(temporary, folder / name)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _umask() -> int:
    current = os.umask(0o077)
    os.umask(current)
    return current


def _extracted(file: CheckedFile, folder: Path, *, dry_run: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"written_name": file.written_name, "path": None, "bytes": None, "sha256": None}
    if file.examined is None:
        return facts
    facts |= {"bytes": file.examined.size, "sha256": file.examined.sha256}
    if dry_run:
        return {**facts, "path": str(folder / file.name)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stem, suffix = Path(file.name).stem, Path(file.name).suffix
        for number in range(1, 1000):
            name = file.name if number == 1 else f"{stem} ({number}){suffix}"
            try:
                with _new_file(folder, name) as out:
                    for piece in file.examined.content.pieces():
                        out.write(piece)
                return {**facts, "path": str(folder / name)}
            except FileExistsError:
                continue
    except OSError as error:
        raise unusable(error) from error
    raise OperationError(Code.FILE_UNUSABLE, f"{file.name}: every name like it is taken")


def _tell_written(out: Path, *, dry_run: bool, as_json: bool, kind: str) -> None:
    digest = "" if dry_run else _sha256(out)
    if as_json:
        size = None if dry_run else out.stat().st_size
        facts = {"out": out, "kind": kind, "bytes": size, "sha256": digest or None}
        print_json({**facts, **({"dry_run": True} if dry_run else {})})
    elif dry_run:
        click.echo(words(f"would write {out}", f"sẽ ghi {out}"))
    else:
        click.echo(words(f"written: {out}", f"đã ghi: {out}"))


# building


def _from_facts(path: Path) -> Package:
    from adapters.edxml.content import Content
    from adapters.edxml.jsonform import from_json

    def content_of(name: str) -> Content:
        try:
            return Content.of_file(path.parent / name)
        except OSError as error:
            raise unusable(error) from error

    try:
        if path.stat().st_size > _MAX_FACTS:
            raise RefusedError(Code.TOO_LARGE, f"{path.name}: facts take at most {_MAX_FACTS} bytes")
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise unusable(error) from error
    except (ValueError, RecursionError) as error:
        raise RefusedError(Code.BAD_VALUE, f"{path.name} is no JSON") from error
    return from_json(raw.get("package", raw) if isinstance(raw, dict) else raw, content_of)


def _from_fields(fields: dict[str, Any]) -> Package:
    from adapters.edxml.facts import Organ, StatusFields, status_of
    from relay.model.times import VIETNAM
    from relay.observe.clock import SystemClock

    if fields["sender"] is None or not fields["to"]:
        raise click.UsageError("give --facts, or at least --from and --to")
    at: datetime = (fields["at"] or SystemClock().now()).astimezone(VIETNAM)
    reporter = Organ(fields["sender"], name=fields["from_name"])
    if fields["status"]:
        if len(fields["to"]) != 1:
            raise click.UsageError("a status goes to one agency")
        if fields["status"] in _REASONED and not fields["reason"]:
            click.echo(
                words(
                    f"{fields['status']} without --reason: who reads it will not know why.",
                    f"{fields['status']} không có --reason: bên nhận sẽ không biết lý do.",
                ),
                err=True,
            )
        return status_of(
            StatusFields(
                reporter=reporter,
                addressee=fields["to"][0],
                document_id=fields["about"],
                number=fields["about_code"],
                promulgation_date=fields["about_date"],
                status_code=fields["status"],
                reported_at=at,
                description=fields["reason"],
            )
        )
    missing = [name for name in ("subject", "number", "notation", "signer") if not fields[name]]
    if missing:
        raise click.UsageError("a document needs " + ", ".join(f"--{name}" for name in missing))
    return _document(fields, at, reporter)


def _document(fields: dict[str, Any], at: datetime, sender: Any) -> Document:  # noqa: ANN401 - Organ, imported late
    from dataclasses import replace

    from adapters.edxml.codelists import TYPE_NUMBERS
    from adapters.edxml.content import Content
    from adapters.edxml.facts import DocumentFields, Organ, Replaced, document_of
    from adapters.edxml.jsonform import listed_of
    from adapters.edxml.model import Attachment

    day: date = fields["day"].date() if fields["day"] else at.date()
    type_number = fields["type_number"]
    if type_number is None:
        type_number = TYPE_NUMBERS.get(unicodedata.normalize("NFC", fields["type_name"]).capitalize())
    if type_number is None:
        raise click.UsageError(f"{fields['type_name']!r} has no number of its own: give it with --type")
    replacing = fields["business"] == 3
    document = document_of(
        DocumentFields(
            sender=sender,
            recipients=tuple(Organ(code) for code in dict.fromkeys(fields["to"])),
            document_id=fields["document_id"]
            or f"{sender.code},{day:%Y/%m/%d},{fields['number']}/{fields['notation']}",
            number=fields["number"],
            notation=fields["notation"],
            place=fields["place"],
            promulgated_on=day,
            type_number=type_number,
            type_name=fields["type_name"],
            subject=fields["subject"],
            content=fields["content"],
            signer_name=fields["signer"],
            traced_at=at,
            priority=fields["priority"],
            business_type=fields["business"],
            business_reason=fields["reason"],
            business_document_id="" if replacing else fields["about"],
            content_changed=fields["business"] == 2,
            replaces=(Replaced(fields["about"], tuple(fields["to"])),)
            if replacing and fields["about"]
            else (),
        )
    )
    try:
        attachments = [
            Attachment(
                content_id=f"cid:attachment-{index}",
                attachment_name=path.name,
                content_type=mimetypes.guess_type(path.name)[0] or "application/octet-stream",
                content=Content.of_file(path),
            )
            for index, path in enumerate(fields["attach"], 1)
        ]
    except OSError as error:
        raise unusable(error) from error
    return replace(document, attachments=tuple(attachments), references=tuple(listed_of(attachments)))
