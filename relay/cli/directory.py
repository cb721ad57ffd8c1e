"""``truc directory``: who is who."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from relay.cli.certificate import certificate
from relay.cli.options import home_option, json_option, people_time, print_json, print_table, words
from relay.errors import Code, ConfigurationError, OperationError, RefusedError

if TYPE_CHECKING:
    from relay.directory.advice import Advice
    from relay.directory.entries import Finding
    from relay.directory.file import Checked
    from relay.directory.snapshot import AgencyDirectory
    from relay.model.agency import Agency, Resolution

directory_option = click.option(
    "--file",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Directory file; without it that of the sandbox of --home.",
)


@click.group()
def directory() -> None:
    """Agencies: codes, names, levels, gateways, certificates, successors."""


directory.add_command(certificate)


@directory.command()
@click.argument("code")
@click.option(
    "--at",
    "--on",
    "at",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Day that counts; default: today in Vietnam.",
)
@directory_option
@home_option
@json_option
def show(code: str, at: datetime | None, file: Path | None, home: Path, as_json: bool) -> None:
    """Show one agency by any of its codes, and where mail to that code goes on a day."""
    agencies = _load(home, file)
    day = at.date() if at else _today()
    resolution = agencies.resolve(code, day)
    try:
        agency = agencies.lookup(code)
    except RefusedError as error:
        raise OperationError(Code.NOT_FOUND, error.detail) from error
    if agency is None:
        raise OperationError(Code.NOT_FOUND, code)
    heir = agencies.heir(agency, day)
    answering = _activity(home, agency.code) if file is None else None
    facts = {
        **_json(agency),
        "activity": answering,
        "name_on": agency.name_on(day),
        "resolution": {
            "on": day.isoformat(),
            "agency": resolution.agency.code if resolution.agency else "",
            "duties_with": heir.code,
            "duties_with_name": heir.name_on(day),
            "refusal": resolution.refusal.value if resolution.refusal else "",
            "candidates": list(resolution.candidates),
            "via": list(resolution.via),
        },
    }
    if as_json:
        print_json(facts)
        return
    click.echo(f"{agency.code}  {agency.name_on(day)}")
    shown_day = _day(day)
    former = ", ".join(f"{one.name} (– {_day(one.until)})" for one in agency.former_names)
    rows = [
        (words("name now", "tên hiện nay"), agency.name if agency.name_on(day) != agency.name else ""),
        (words("former names", "tên cũ"), former),
        (words("other names", "tên khác"), ", ".join(agency.other_names)),
        (words("short name", "tên viết tắt"), agency.short_name),
        (words("English name", "tên tiếng Anh"), agency.english_name),
        (
            words("level", "cấp"),
            _LEVELS[agency.level.value]()
            + (words(" (by default rule)", " (theo quy tắc mặc định)") if agency.level_defaulted else ""),
        ),
        (words("parent", "cơ quan chủ quản"), agency.parent or ""),
        (words("gateway", "điểm kết nối"), agency.gateway or ""),
        (
            words("own queue", "hàng đợi riêng"),
            words("yes", "có") if agency.own_queue else words("no", "không"),
        ),
        (words("aliases", "mã khác"), " ".join(agency.aliases)),
        (words("admission", "tình trạng kết nối"), _ADMISSIONS[agency.admission.value]()),
        (words("contact", "liên hệ"), agency.contact),
        (
            words("suspended until", "tạm ngừng đến"),
            _day(agency.suspended_until) if agency.suspended_until else "",
        ),
        (words("valid", "hiệu lực"), f"{_day(agency.valid_from)} – {_day(agency.valid_to)}"),
        (words(f"on {shown_day}", f"ngày {shown_day}"), _STATES[_state_on(agency, day)]()),
        (words("successors", "kế thừa"), " ".join(agency.successors)),
        (
            words("duties now with", "nhiệm vụ nay thuộc"),
            f"{heir.code}  {heir.name_on(day)}" if heir is not agency else "",
        ),
        (words("mail goes to", "thư đến"), _mail(resolution)),
    ]
    if answering is not None:
        said, waits = answering["last_status"], answering["unanswered_since"]
        rows += [
            (words("answers", "trả lời"), answering["activity"]),
            (words("last status", "trạng thái gần nhất"), people_time(said) if said else ""),
            (words("unanswered since", "chưa trả lời từ"), people_time(waits) if waits else ""),
        ]
    rows += [(words("certificate", "chứng thư"), one.sha256) for one in agency.certificates]
    print_table([row for row in rows if row[1]], indent="  ")


@directory.command()
@click.argument("text")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many at most."
)
@directory_option
@home_option
@json_option
def search(text: str, limit: int, file: Path | None, home: Path, as_json: bool) -> None:
    """Find agencies by code, or by words or initials of their names, with or without diacritics; the best ones first.

    Codes that are closed today are marked, with who has their duties. The exit code is 5 if nothing is found.
    """
    from relay.directory.search import search as find

    known, day = _load(home, file), _today()
    found = find(known.agencies(), text, limit)
    if as_json:
        print_json(
            [
                {**_json(one), "state": _state_on(one, day), "duties_with": known.heir(one, day).code}
                for one in found
            ]
        )
        return
    if not found:
        raise OperationError(Code.NOT_FOUND, text)
    print_table(
        [
            (
                one.code,
                _LEVELS[one.level.value](),
                one.gateway or "-",
                one.name + _mark(one, known.heir(one, day), day),
            )
            for one in found
        ]
    )


def _mark(agency: Agency, heir: Agency, day: date) -> str:
    """Say behind a name what keeps mail from the agency today."""
    state = _state_on(agency, day)
    if state == "closed":
        return f"  [{_STATES[state]()}{f' → {heir.code}' if heir is not agency else ''}]"
    if state != "in-force":
        return f"  [{_STATES[state]()}]"
    admission = agency.admission.value
    return "" if admission == "admitted" else f"  [{_ADMISSIONS[admission]()}]"


@directory.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--file", "named", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The same as FILE."
)
@home_option
@json_option
def check(file: Path | None, named: Path | None, home: Path, as_json: bool) -> None:
    """Check a directory file; every finding is told. The exit code is 0 only if there is none.

    Told besides, and no fault: orphans, bodies in force under a closed one, districts after their end, agencies without a
    gateway, without a certificate or with one that ends within 30 days, closed codes without a living successor,
    suspensions whose end has passed.
    """
    from relay.directory.advice import advice
    from relay.directory.wording import told

    path = place_of(home, file or named)
    result = examined(path)
    notices = list(advice(result.directory, _today())) if result.directory else []
    defaulted = (
        [one.code for one in result.directory.agencies() if one.level_defaulted] if result.directory else []
    )
    if as_json:
        print_json(
            {
                "file": path,
                "valid": result.directory is not None,
                "version": result.directory.version if result.directory else "",
                "agencies": len(result.directory.by_code) if result.directory else 0,
                "level_defaulted": defaulted,
                "advice": [
                    {"matter": one.matter.value, "code": one.code, "detail": one.detail} for one in notices
                ],
                "findings": [finding_facts(one) for one in result.findings],
            }
        )
    else:
        for finding in result.findings:
            click.echo(told(finding, words))
        if result.directory is not None:
            count = len(result.directory.by_code)
            click.echo(
                words(f"{path}: {count} agencies, no finding", f"{path}: {count} đơn vị, không có lỗi")
            )
        _print_advice(notices)
        if defaulted:
            click.echo(words("level by default rule: ", "cấp theo quy tắc mặc định: ") + some(defaulted))
    if result.directory is None:
        click.get_current_context().exit(1)


_SHOWN: Final = 20


def _day(day: date | None) -> str:
    return f"{day:%d/%m/%Y}" if day else "…"


def some(codes: Sequence[str]) -> str:
    """Return codes for people: the first ones, and how many there are besides."""
    more = len(codes) - _SHOWN
    rest = words(f" … and {more} more (all: --json)", f" … và {more} mã nữa (đủ: --json)") if more > 0 else ""
    return " ".join(codes[:_SHOWN]) + rest


def finding_facts(finding: Finding) -> dict[str, Any]:
    """Return a finding for programs, the problem in both languages."""
    from relay.directory.wording import vietnamese

    explained = {"vi": vietnamese(finding.problem), "en": finding.problem}
    return {"line": finding.line, "code": finding.code, "problem": finding.problem, "explained": explained}


def _print_advice(notices: Sequence[Advice]) -> None:
    """Print what wants attention, matter by matter; of each the first ones, and how many there are besides."""
    for matter, said in _MATTERS.items():
        listed = [one for one in notices if one.matter.value == matter]
        if not listed:
            continue
        click.echo(f"{said()} ({len(listed)}):")
        click.echo("  " + some([f"{one.code} ({one.detail})" if one.detail else one.code for one in listed]))


def _state_on(agency: Agency, day: date) -> str:
    """Return whether a code is in force on a day: a key of ``_STATES``."""
    from relay.directory.snapshot import is_closed

    if is_closed(agency, day):
        return "closed"
    return "in-force" if agency.valid_on(day) else "not-yet"


_STATES: Final[Mapping[str, Callable[[], str]]] = {
    "closed": lambda: words("closed", "mã đã đóng"),
    "not-yet": lambda: words("not yet in force", "mã chưa có hiệu lực"),
    "in-force": lambda: words("in force", "mã đang có hiệu lực"),
}


def _mail(resolution: Resolution) -> str:
    """Say where mail to a code goes, or why it goes nowhere."""
    from relay.errors.catalogue import entry

    if resolution.agency is not None:
        return resolution.agency.code
    assert resolution.refusal is not None
    message = entry(resolution.refusal).message[words("en", "vi")]  # type: ignore[index]
    candidates = " ".join(resolution.candidates)
    asked = words(f" Candidates: {candidates}.", f" Có thể là: {candidates}.") if candidates else ""
    return f"{resolution.refusal.value}: {message}{asked}"


_LEVELS: Final[Mapping[str, Callable[[], str]]] = {
    "central": lambda: words("central", "trung ương"),
    "province": lambda: words("province", "tỉnh"),
    "district": lambda: words("district", "huyện"),
    "commune": lambda: words("commune", "xã"),
}
_ADMISSIONS: Final[Mapping[str, Callable[[], str]]] = {
    "trial": lambda: words("trial", "thử nghiệm"),
    "admitted": lambda: words("admitted", "chính thức"),
    "suspended": lambda: words("suspended", "tạm ngừng"),
    "closed": lambda: words("closed", "đã đóng"),
}
_MATTERS: Final[Mapping[str, Callable[[], str]]] = {
    "orphan": lambda: words("its parent is not listed", "đơn vị cấp trên không có trong danh bạ"),
    "out-of-rank": lambda: words(
        "of a number that no decision gives out", "số hiệu cấp 1 ngoài khoảng mà các quyết định quy định"
    ),
    "parent-closed": lambda: words(
        "in force, while the one above it is closed", "còn hiệu lực trong khi đơn vị cấp trên đã đóng"
    ),
    "district-ended": lambda: words(
        "of the district level, which ended on 2025-07-01", "thuộc cấp huyện, đã kết thúc từ ngày 01/7/2025"
    ),
    "not-connected": lambda: words("behind no gateway", "chưa có điểm kết nối"),
    "no-certificate": lambda: words("no certificate that signs today", "không có chứng thư còn hiệu lực"),
    "certificate-ends": lambda: words("its last certificate ends soon", "chứng thư cuối cùng sắp hết hạn"),
    "no-successor": lambda: words("closed, without a successor", "đã đóng, không có đơn vị kế thừa"),
    "successor-closed": lambda: words("its successor is closed too", "đơn vị kế thừa cũng đã đóng"),
    "suspension-over": lambda: words("the suspension has ended by its date", "thời hạn tạm ngừng đã hết"),
}


def _activity(home: Path, code: str) -> dict[str, Any] | None:
    """Return whether an agency of the sandbox answers; None where its registry cannot be asked."""
    from relay.errors import TrucError
    from relay.lifecycle.activity import activity
    from relay.observe.clock import SystemClock
    from relay.registry import open_registry
    from relay.sandbox.contents import running

    try:
        registry = open_registry(running(home).registry_url)
    except TrucError:
        return None
    try:
        said, waits = registry.answers(code)
    finally:
        registry.close()
    found = activity(said, waits, SystemClock().now())
    return {"activity": found.value, "last_status": said, "unanswered_since": waits}


def _load(home: Path, file: Path | None) -> AgencyDirectory:
    return looked_at(place_of(home, file))


def looked_at(path: Path) -> AgencyDirectory:
    """Return the directory of a file to look at; of a signed edition too, whose signature is not judged here.

    Raises:
        ConfigurationError: DIRECTORY-INVALID.
    """
    from relay.directory.file import summary

    found = examined(path)
    if found.directory is None:
        raise ConfigurationError(Code.DIRECTORY_INVALID, summary(found.findings, path))
    return found.directory


def examined(path: Path) -> Checked:
    """Check a file, plain or a signed edition; of one that is signed it is said that nobody has judged its signature."""
    from relay.directory.edition import opened
    from relay.directory.entries import Finding
    from relay.directory.file import Checked, check
    from relay.directory.follow import SIGNED, directory_of

    if path.suffix != SIGNED:
        return check(path)
    try:
        edition = opened(path.read_bytes())
    except OSError as fault:
        return Checked(None, (Finding(None, "", f"the file cannot be read: {fault.strerror}"),))
    except ConfigurationError as error:
        return Checked(None, (Finding(None, "", error.detail),))
    until = people_time(edition.expires_at)
    click.echo(
        words(
            f"edition {edition.serial} of {edition.relay}, valid until {until}; its signature is not judged here",
            f"bản số {edition.serial} của {edition.relay}, hiệu lực đến {until}; ở đây không kiểm tra chữ ký",
        ),
        err=True,
    )
    return directory_of(edition, path)


def place_of(home: Path, file: Path | None) -> Path:
    """Return the directory file that is meant: the one named, else that of the sandbox.

    Raises:
        OperationError: NOT-FOUND: none is named, and there is no sandbox.
    """
    if file is not None:
        return file
    from relay.sandbox.contents import running

    try:
        return running(home).directory
    except OperationError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        raise OperationError(Code.NOT_FOUND, f"{error.detail}, --file names a directory") from error


def _today() -> date:
    from relay.model.times import vietnam_day
    from relay.observe.clock import SystemClock

    return vietnam_day(SystemClock().now())


def _json(agency: Agency) -> dict[str, Any]:
    return {
        "code": agency.code,
        "name": agency.name,
        "short_name": agency.short_name,
        "english_name": agency.english_name,
        "other_names": list(agency.other_names),
        "former_names": [{"name": one.name, "until": one.until.isoformat()} for one in agency.former_names],
        "contact": agency.contact,
        "level": agency.level.value,
        "level_defaulted": agency.level_defaulted,
        "parent": agency.parent,
        "gateway": agency.gateway,
        "own_queue": agency.own_queue,
        "aliases": list(agency.aliases),
        "admission": agency.admission.value,
        "suspended_until": agency.suspended_until.isoformat() if agency.suspended_until else None,
        "valid_from": agency.valid_from.isoformat() if agency.valid_from else None,
        "valid_to": agency.valid_to.isoformat() if agency.valid_to else None,
        "successors": list(agency.successors),
        "certificates": [one.sha256 for one in agency.certificates],
    }
