"""``truc directory import|export|diff|history``: lists of agencies in and out, and who changed what."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from relay.cli.directory import directory_option, finding_facts, looked_at, place_of, some
from relay.cli.options import (
    dry_run_option,
    home_option,
    json_option,
    people_time,
    print_json,
    print_table,
    words,
)
from relay.errors import Code, ConfigurationError, OperationError

if TYPE_CHECKING:
    from relay.directory.diff import Change
    from relay.directory.entries import Finding
    from relay.directory.snapshot import AgencyDirectory

_SHOWN: Final = 200
_ABSENT: Final = {"admission": "admitted"}
"""What a key that is not there means."""


@click.command("import")
@click.argument("list-file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--complete", is_flag=True, help="The list names every agency: who is not in it is closed.")
@directory_option
@home_option
@dry_run_option
@json_option
def import_(
    list_file: Path, complete: bool, file: Path | None, home: Path, dry_run: bool, as_json: bool
) -> None:
    """Take agencies from a list: CSV, XLSX, JSON, or what the axis service gives out. All of it or nothing.

    A row changes what its filled cells say; a code that is not known becomes a new agency. With --dry-run the difference
    is shown and nothing is written. Running workers take the new directory by themselves.
    """
    from relay.directory import history
    from relay.directory.file import note_of
    from relay.directory.importing import propose
    from relay.directory.tables import read
    from relay.directory.write import alone
    from relay.observe.clock import SystemClock
    from relay.operate.acting import who

    path = place_of(home, file)
    with nullcontext() if dry_run else alone(path):
        found = propose(_current(path), read(list_file), complete=complete)
        if isinstance(found, tuple):
            raise _faulty(list_file, found, as_json=as_json)
        if not dry_run and found.changes:
            history.write(
                path,
                found.agencies,
                who=who(),
                act="directory.import",
                at=SystemClock().now(),
                note=note_of(path) if path.exists() else "",
            )
    if as_json:
        print_json(
            {
                "file": path,
                "written": bool(found.changes) and not dry_run,
                "agencies": len(found.agencies),
                "changes": [change.as_json() for change in found.changes],
                "level_defaulted": list(found.defaulted),
                "notes": list(found.notes),
            }
        )
        return
    from relay.directory.wording import vietnamese

    for note in found.notes[:_SHOWN]:
        click.echo(words(note, vietnamese(note)))
    _print_changes(found.changes)
    if found.defaulted:
        click.echo(words("level by default rule: ", "cấp theo quy tắc mặc định: ") + some(found.defaulted))
    if dry_run:
        click.echo(words("nothing was written (--dry-run)", "chưa ghi gì (--dry-run)"))


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@directory_option
@home_option
@dry_run_option
@json_option
def export(out: Path, file: Path | None, home: Path, dry_run: bool, as_json: bool) -> None:
    """Write the agencies as a list that `import` reads again: CSV, XLSX or JSON, by the name of OUT.

    Certificates and broker users are not in it: they have commands of their own.
    """
    from relay.directory.exporting import write_list

    agencies = looked_at(place_of(home, file)).agencies()
    if not dry_run:
        write_list(out, agencies)
    if as_json:
        print_json({"file": out, "written": not dry_run, "agencies": len(agencies)})
        return
    click.echo(words(f"{out}: {len(agencies)} agencies", f"{out}: {len(agencies)} đơn vị"))


@click.command()
@click.argument("before", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("after", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@home_option
@json_option
def diff(before: Path, after: Path | None, home: Path, as_json: bool) -> None:
    """Show what differs between two directory files; without AFTER the one in use. Exit code 1 if anything does."""
    from relay.directory.diff import diff as compare

    changes = compare(looked_at(before).agencies(), looked_at(place_of(home, after)).agencies())
    if as_json:
        print_json([change.as_json() for change in changes])
    else:
        _print_changes(changes)
    if changes:
        click.get_current_context().exit(1)


@click.command()
@click.argument("code", required=False)
@click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, help="How many at most, newest first."
)
@directory_option
@home_option
@json_option
def history(code: str | None, limit: int, file: Path | None, home: Path, as_json: bool) -> None:
    """Show who changed an agency, or any, and when."""
    from relay.directory import history as kept

    wanted = None
    if code is not None:
        from relay.cli.options import agency_code

        wanted = agency_code(code)
    entries = list(kept.read(place_of(home, file), wanted))[-limit:][::-1]
    if as_json:
        print_json(
            [
                {
                    "at": one.at,
                    "who": one.who,
                    "act": one.act,
                    "before": one.before,
                    "after": one.after,
                    "made": one.made,
                    **one.change,
                }
                for one in entries
            ]
        )
        return
    if not entries:
        raise OperationError(Code.NOT_FOUND, code or "history")
    from datetime import datetime

    print_table(
        [
            (
                people_time(datetime.fromisoformat(one.at)),
                one.who,
                one.act + ("" if one.made else words(" (not made)", " (chưa thực hiện)")),
                one.change["code"],
                _fields(
                    [(name, value["before"], value["after"]) for name, value in one.change["fields"].items()]
                ),
            )
            for one in entries
        ]
    )


data_commands: Final = (import_, export, diff, history)
"""Commands of the group ``directory``."""


def _faulty(list_file: Path, found: Sequence[Finding], *, as_json: bool) -> ConfigurationError:
    """Print every fault of a list; return the error that ends the command."""
    from relay.directory.wording import told

    if as_json:
        print_json({"file": list_file, "written": False, "findings": [finding_facts(one) for one in found]})
    else:
        for finding in found:
            click.echo(told(finding, words))
    detail = words(f"faults: {len(found)}; nothing was written", f"{len(found)} lỗi; chưa ghi gì")
    return ConfigurationError(Code.DIRECTORY_INVALID, f"{list_file}: {detail}")


def _current(path: Path) -> AgencyDirectory | None:
    from relay.directory.file import load

    return load(path) if path.exists() else None


def _print_changes(changes: Sequence[Change]) -> None:
    marks = {"added": "+", "changed": "~", "removed": "-"}
    print_table(
        [
            (marks[one.kind.value], one.code, one.name, _fields(one.fields) if one.kind == "changed" else "")
            for one in changes[:_SHOWN]
        ]
    )
    more = len(changes) - _SHOWN
    if more > 0:
        click.echo(words(f"… and {more} more", f"… và {more} thay đổi nữa"))
    counts = [sum(1 for one in changes if one.kind == kind) for kind in marks]
    click.echo(
        words(
            f"{counts[0]} added, {counts[1]} changed, {counts[2]} removed",
            f"thêm {counts[0]}, đổi {counts[1]}, bỏ {counts[2]}",
        )
    )


def _fields(fields: Sequence[tuple[str, object, object]]) -> str:
    return "; ".join(
        f"{name}: {_short(before, name)} → {_short(after, name)}" for name, before, after in fields
    )


def _short(value: object, name: str) -> str:
    text = _plain(value) if value is not None else _ABSENT.get(name, "–")
    return text if len(text) <= 60 else text[:57] + "…"


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if isinstance(value, dict):
        return " ".join(map(str, value.values()))
    return str(value)
