"""``truc bench``: the whole path beside the bare loop."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from relay.cli.options import default_home, json_option, note, print_json


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(1, 300),
    default=10.0,
    show_default=True,
    help="Length of each measured phase.",
)
@click.option(
    "--pairs",
    type=click.IntRange(1, 50),
    default=5,
    show_default=True,
    help="How often relay and bare loop take turns at each size.",
)
@click.option(
    "--size",
    "sizes",
    type=click.IntRange(5, 16384),
    multiple=True,
    default=(5, 64),
    show_default=True,
    metavar="KB",
    help="Size of a signed document; may be repeated.",
)
@click.option(
    "--workers", type=click.IntRange(1, 16), default=1, show_default=True, help="Workers of the relay."
)
@click.option(
    "--verify",
    type=click.Choice(["inline", "threads", "processes"]),
    default="inline",
    show_default=True,
    help="Where signatures are checked.",
)
@click.option(
    "--profile",
    is_flag=True,
    help="Tell where a worker's CPU time goes, in the place of the comparison.",
)
@click.option(
    "--serves",
    type=click.IntRange(1, 50_000),
    multiple=True,
    metavar="N",
    help="Instead: publishing alone, by gateways that serve N agencies each; may be repeated.",
)
@click.option(
    "--agencies",
    type=click.IntRange(100, 500_000),
    metavar="N",
    help="Instead: the directory with N agencies, and the topology of a part of them. 111000 is the country.",
)
@click.option(
    "--format",
    "of_format",
    is_flag=True,
    help="Instead: reading and writing packages, beside a bare XML parser. No broker; ten seconds.",
)
@click.option(
    "--trust",
    "of_trust",
    is_flag=True,
    help="Instead: verification, beside libxmlsec1 and SHA-256, and where its time goes. No broker; a minute.",
)
@click.option(
    "--connected",
    type=click.IntRange(60, 20_000),
    default=3000,
    show_default=True,
    metavar="N",
    help="With --agencies: how many have a queue of their own.",
)
@click.option(
    "--evidence",
    is_flag=True,
    help="Instead: what evidence costs: the same workers with it and without, --pairs times four turns of about --seconds,"
    " at the smallest --size. 12 pairs of 2 seconds are enough.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the report: JSON to a .json; a page gets it between its marks, with the raw data beside it.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where broker and registry put their data: a new folder on the disk to be measured, removed afterwards. "
    "By default beside the sandbox's.",
)
@click.option("--keep", is_flag=True, help="Leave that folder.")
@json_option
def bench(
    serves: tuple[int, ...],
    agencies: int | None,
    connected: int,
    evidence: bool,
    out: Path | None,
    folder: Path | None,
    keep: bool,
    as_json: bool,
    **wanted: Any,  # noqa: ANN401
) -> None:
    """Measure the relay beside a bare loop in its place: same broker, queues, sender and readers, taking turns.

    Starts a broker of its own; ends by itself. The figures mean something on a quiet machine only.
    """
    if wanted.pop("of_format"):
        if out is not None:
            raise click.UsageError("--format prints its figures; --out is for the whole path")
        _format(as_json=as_json)
        return
    if wanted.pop("of_trust"):
        if out is not None:
            raise click.UsageError("--trust prints its figures; --out is for the whole path")
        _trust(as_json=as_json)
        return
    if serves:
        if out is not None:
            raise click.UsageError("--serves prints its figures; --out is for the whole path")
        _gateways(
            folder or _new_folder(), serves, wanted["seconds"], wanted["pairs"], keep=keep, as_json=as_json
        )
        return
    if agencies is not None:
        if out is not None:
            raise click.UsageError("--agencies prints its figures; --out is for the whole path")
        _country(folder or _new_folder(), agencies, connected, keep=keep, as_json=as_json)
        return
    if evidence:
        if out is not None:
            raise click.UsageError("--evidence prints its figures; --out is for the whole path")
        _evidence(folder or _new_folder(), keep=keep, as_json=as_json, **wanted)
        return
    from relay.sandbox.bench import Plan, run_bench
    from relay.sandbox.bench.plan import KIB
    from relay.sandbox.bench.report import as_json as facts
    from relay.sandbox.bench.report import markdown, write

    sizes = tuple(sorted({size * KIB for size in wanted.pop("sizes")}))
    report = run_bench(
        folder or _new_folder(),
        Plan(sizes=sizes, **wanted),
        command=_command(),
        keep=keep,
        say=note,
    )
    if out is not None:
        for written in write(report, out):
            note(str(written))
    if as_json:
        print_json(facts(report))
    else:
        click.echo(markdown(report), nl=False)
    if not report.clean:
        click.get_current_context().exit(1)


def _format(*, as_json: bool) -> None:
    from dataclasses import asdict

    from adapters.edxml.speed import measure, table

    speed = measure()
    if as_json:
        print_json(asdict(speed))
        return
    click.echo(table(speed))


def _trust(*, as_json: bool) -> None:
    from dataclasses import asdict

    from relay.sandbox.bench.trusting import markdown, measure

    found = measure()
    if as_json:
        print_json(asdict(found))
        return
    click.echo(markdown(found), nl=False)


def _gateways(
    folder: Path, serves: tuple[int, ...], seconds: float, pairs: int, *, keep: bool, as_json: bool
) -> None:
    import shutil

    from relay.sandbox.bench.gateways import as_json as facts
    from relay.sandbox.bench.gateways import markdown, run_gateways

    fresh = not folder.exists()
    try:
        report = run_gateways(folder, serves, seconds=seconds, pairs=pairs, command=_command(), say=note)
    finally:
        if fresh and not keep:
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        print_json(facts(report))
    else:
        click.echo(markdown(report), nl=False)


def _evidence(folder: Path, *, keep: bool, as_json: bool, **wanted: Any) -> None:  # noqa: ANN401
    import shutil

    from relay.sandbox.bench.evidence import as_json as facts
    from relay.sandbox.bench.evidence import markdown, run_evidence
    from relay.sandbox.bench.plan import KIB

    fresh = not folder.exists()
    try:
        report = run_evidence(
            folder,
            size=min(wanted["sizes"]) * KIB,
            seconds=wanted["seconds"],
            pairs=wanted["pairs"],
            workers=wanted["workers"],
            command=_command(),
            say=note,
        )
    finally:
        if fresh and not keep:
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        print_json(facts(report))
    else:
        click.echo(markdown(report), nl=False)
    if not report.clean:
        click.get_current_context().exit(1)


def _country(folder: Path, agencies: int, connected: int, *, keep: bool, as_json: bool) -> None:
    import shutil

    from relay.sandbox.bench.country import as_json as facts
    from relay.sandbox.bench.country import markdown, run_country

    fresh = not folder.exists()
    try:
        report = run_country(folder, count=agencies, connected=connected, command=_command(), say=note)
    finally:
        if fresh and not keep:
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        print_json(facts(report))
    else:
        click.echo(markdown(report), nl=False)


def _new_folder() -> Path:
    import tempfile

    beside = default_home().parent
    beside.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="bench-", dir=beside))
    made.rmdir()
    return made


def _command() -> str:
    return " ".join(["truc", *sys.argv[1:]])
