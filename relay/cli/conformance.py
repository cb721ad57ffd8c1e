"""``truc conformance``: does a relay that runs do what the protocol says?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay.cli.options import home_option, json_option, note, print_json, print_table, words

if TYPE_CHECKING:
    from relay.sandbox.attacks.outside import Row


@click.group()
def conformance() -> None:
    """Does a relay that runs do what the protocol says?"""


@conformance.command()
@click.option(
    "--family",
    "families",
    multiple=True,
    metavar="NAME",
    help="Only cases of this family; may be repeated.",
)
@click.option(
    "--list", "only_list", is_flag=True, help="List the cases and what describes each; run nothing."
)
@home_option
@json_option
def attacks(families: tuple[str, ...], only_list: bool, home: Path, as_json: bool) -> None:
    """Attack a running sandbox from outside, with every case of the corpus; print what came of each.

    Publishes as three gateways of its own, which join the sandbox (H97, H98, H98.01), and reads their queues alone. A case
    holds if its code is the right one and nothing was delivered. Documents that are good come first and last, so that a relay
    that refuses everything does not pass. The exit code is 0 only if every case holds, else 1.

    For sandboxes alone: it needs the authority's key, to make certificates as an attacker could never have them.
    """
    from relay.sandbox.attacks import CASES

    chosen = [case for case in CASES if not families or case.family in families]
    if not chosen:
        known = ", ".join(dict.fromkeys(case.family for case in CASES))
        raise click.BadParameter(f"no such family; there are: {known}", param_hint="--family")
    if only_list:
        _list(chosen, as_json=as_json)
        return
    from relay.observe.clock import SystemClock
    from relay.sandbox.attacks.outside import run_outside

    rows = run_outside(home, chosen, SystemClock(), note)
    failed = [row for row in rows if not row.ok]
    if as_json:
        print_json(
            {
                "cases": len(rows),
                "families": len({row.family for row in rows}),
                "failed": len(failed),
                "rows": [_json(row) for row in rows],
            }
        )
    else:
        _print(rows, len(failed))
    if failed:
        click.get_current_context().exit(1)


def _list(cases: list[Any], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "family": case.family,
                    "name": case.name,
                    "codes": list(case.codes),
                    "target": case.target,
                    "source": case.source,
                    "check": case.stops,
                    "where": case.where.value,
                }
                for case in cases
            ]
        )
        return
    print_table([(case.family, case.name, " | ".join(case.codes), case.source) for case in cases])


def _json(row: Row) -> dict[str, Any]:
    return {
        "family": row.family,
        "name": row.name,
        "expected": list(row.expected),
        "got": row.got,
        "note": row.note,
        "ok": row.ok,
    }


def _print(rows: list[Row], failed: int) -> None:
    head = tuple(
        words(en, vi)
        for en, vi in (
            ("family", "nhóm"),
            ("case", "tình huống"),
            ("expected", "mong đợi"),
            ("got", "nhận được"),
            ("", ""),
        )
    )
    print_table(
        [
            head,
            *(
                (
                    row.family,
                    row.name,
                    " | ".join(row.expected),
                    row.got,
                    words("ok", "đạt") if row.ok else words("MISSED", "LỌT") + f" {row.note}".rstrip(),
                )
                for row in rows
            ),
        ]
    )
    families = len({row.family for row in rows})
    click.echo(
        words(
            f"attacks: {len(rows)} cases in {families} families, {len(rows) - failed} stopped, {failed} missed",
            f"tấn công: {len(rows)} tình huống trong {families} nhóm, chặn được {len(rows) - failed}, lọt {failed}",
        )
    )
