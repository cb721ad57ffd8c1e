"""``truc doctor``: what is wrong with this installation, why, and what to do first. It changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from relay.cli.options import home_option, json_option, language, people_time, print_json, print_table, words

if TYPE_CHECKING:
    from relay.operate.doctor.check import Finding
    from relay.operate.doctor.run import Patient, Report
    from relay.operate.doctor.texts import Text

EXIT_FAULT: Final = 1
EXIT_WARNING: Final = 6
_SHOWN: Final = 10
_FEW: Final = 5
_AREAS: Final = (
    *("config", "broker", "clock", "queue", "topology", "permissions", "registry", "disk", "keys", "trust"),
    *("directory", "workers", "evidence", "library", "sandbox"),
)


@click.command(
    epilog="""\b
Exit codes:
  0  everything was looked at, and nothing is wrong
  1  at least one fault: documents stand still, are refused or at risk
  2  wrong usage
  5  no sandbox in --home
  6  no fault, but a warning, or something that could not be looked at
"""
)
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Configuration of a relay; without it the sandbox of --home.",
)
@home_option
@click.option(
    "--only", "areas", multiple=True, type=click.Choice(_AREAS), help="Look at this area alone; repeatable."
)
@click.option(
    "--process",
    "urls",
    multiple=True,
    metavar="URL",
    help="HTTP address of a further worker or keeper, http://host:port; repeatable.",
)
@click.option(
    "--deep",
    is_flag=True,
    help="Also see whether the broker takes a message of the largest size, whatever its version. That sends one, to no"
    " queue, and leaves a line in the broker's log.",
)
@click.option("--list", "listing", is_flag=True, help="List all checks and look at nothing.")
@json_option
def doctor(
    config: Path | None,
    home: Path,
    areas: tuple[str, ...],
    urls: tuple[str, ...],
    deep: bool,
    listing: bool,
    as_json: bool,
) -> None:
    """Look at everything that this relay rests on, and say what is wrong, why, and what to do first.

    Configuration, broker, queues, rights, registry, disks, keys, certificates, directory, workers, libraries. It changes
    nothing, shows no secret and ends within a minute; what does not answer is named and hides nothing else.
    """
    from relay.operate.doctor.run import doctor as examine

    if listing:
        _list(areas, as_json=as_json)
        return
    report = examine(_patient(config, home, urls, deep=deep), areas)
    if as_json:
        print_json(_json(report))
    else:
        _page(report)
    click.get_current_context().exit(_code(report))


def _patient(config: Path | None, home: Path, urls: tuple[str, ...], *, deep: bool) -> Patient:
    from relay.observe.clock import SystemClock
    from relay.operate.doctor.run import Patient
    from relay.sandbox.strays import strays

    if config is None:
        from relay.sandbox.config import process_urls
        from relay.sandbox.home import Home

        place = Home(home)
        urls = (*process_urls(place.kept()), *urls)
        config = place.settings_file
    return Patient(config, SystemClock(), urls, strays, deep)


def _code(report: Report) -> int:
    if report.faults:
        return EXIT_FAULT
    return 0 if report.healthy else EXIT_WARNING


# --- as data


def _json(report: Report) -> dict[str, Any]:
    return {
        "healthy": report.healthy,
        "at": report.at,
        "seconds": report.seconds,
        "checks": len(report.checks),
        "faults": report.faults,
        "warnings": len(report.findings) - report.faults,
        "findings": [
            {
                "check": one.name,
                "severity": one.severity.value,
                "owner": one.owner,
                "subject": one.subject,
                "detail": one.detail,
                "cause": dict(one.text.cause),
                "remedy": dict(one.text.remedy),
            }
            for one in report.findings
        ],
        "not_looked_at": [{"reason": reason, "checks": list(names)} for reason, names in report.unseen],
    }


# --- for people


def _page(report: Report) -> None:
    from relay.cli.wording import vietnamese

    groups: dict[str, list[Finding]] = {}
    for one in report.findings:
        groups.setdefault(one.name, []).append(one)
    for group in groups.values():
        _group(group)
    for reason, names in report.unseen:
        click.echo(words(f"NOT SEEN  {reason}", f"KHÔNG XEM ĐƯỢC  {vietnamese(reason)}"))
        click.echo(f"  {_areas(names)}")
        click.echo()
    click.echo(_sum(report))


def _areas(names: tuple[str, ...]) -> str:
    """Return the checks that could not be made: a few by name, many by their area."""
    if len(names) <= _FEW:
        return ", ".join(names)
    counts: dict[str, int] = {}
    for name in names:
        area = name.partition(".")[0]
        counts[area] = counts.get(area, 0) + 1
    checks = words("checks", "mục")
    return ", ".join(f"{area} ({count} {checks})" for area, count in counts.items())


def _group(group: list[Finding]) -> None:
    from relay.cli.errors import owner_name
    from relay.cli.wording import vietnamese

    first, lang = group[0], language()
    vi = lang == "vi"
    mark = {"fault": words("FAULT", "LỖI"), "warning": words("WARNING", "CẢNH BÁO")}[first.severity.value]
    click.echo(f"{mark}  {first.name}: {first.text.cause['vi' if vi else 'en']}")
    for one in group[:_SHOWN]:
        line = ": ".join(part for part in (one.subject, vietnamese(one.detail) if vi else one.detail) if part)
        if line:
            click.echo(f"  {line}")
    if len(group) > _SHOWN:
        click.echo(words(f"  and {len(group) - _SHOWN} more", f"  và {len(group) - _SHOWN} mục nữa"))
    remedy = first.text.remedy["vi" if vi else "en"]
    click.echo(f"  -> {remedy} ({words('owner', 'phụ trách')}: {owner_name(first.owner, lang)})")
    click.echo()


def _sum(report: Report) -> str:
    unseen = sum(len(names) for _, names in report.unseen)
    done = len(report.checks) - unseen
    warnings = len(report.findings) - report.faults
    when = people_time(report.at)
    if report.healthy:
        return words(
            f"healthy: {done} checks, nothing wrong ({when}, {report.seconds:.1f} s)",
            f"khỏe: {done} mục kiểm tra, không có gì sai ({when}, {report.seconds:.1f} s)",
        )
    return words(
        f"faults: {report.faults}, warnings: {warnings}, not made: {unseen} of {len(report.checks)} checks"
        f" ({when}, {report.seconds:.1f} s)",
        f"lỗi: {report.faults}, cảnh báo: {warnings}, không kiểm tra được: {unseen} trong {len(report.checks)} mục"
        f" ({when}, {report.seconds:.1f} s)",
    )


def _list(areas: tuple[str, ...], *, as_json: bool) -> None:
    from relay.operate.doctor.run import CHECKS
    from relay.operate.doctor.texts import texts

    written = texts()
    chosen: list[tuple[str, Text]] = [
        (check.name, written[check.name]) for check in CHECKS if not areas or check.area in areas
    ]
    if as_json:
        print_json(
            [
                {
                    "check": name,
                    "severity": text.severity,
                    "owner": text.owner,
                    "cause": dict(text.cause),
                    "remedy": dict(text.remedy),
                }
                for name, text in chosen
            ]
        )
        return
    vi = language() == "vi"
    print_table((name, text.severity, text.cause["vi" if vi else "en"]) for name, text in chosen)
