"""``truc evidence faults``: what the keeper found wrong with the log, until somebody has looked into it."""

from __future__ import annotations

from pathlib import Path

import click

from relay.cli.options import (
    config_option,
    dry_run_option,
    home_option,
    json_option,
    people_time,
    print_json,
    print_table,
    words,
)


@click.command()
@click.option(
    "--settle", is_flag=True, help="Take them off the list: the alarm ends. What is wrong stays wrong."
)
@click.option("--reason", default="", help="With --settle: what came out; it stands in the audit.")
@dry_run_option
@config_option
@home_option
@json_option
def faults(settle: bool, reason: str, dry_run: bool, config: Path | None, home: Path, as_json: bool) -> None:
    """Show what the keeper found wrong with the log. `truc evidence verify` checks all of it and says more."""
    from relay.cli.operating import relay_of
    from relay.model.audit import Act
    from relay.observe.clock import SystemClock
    from relay.operate.acting import who

    if settle and not reason:
        raise click.UsageError("--settle needs a --reason")
    with relay_of(home, config) as relay:
        store = relay.registry.evidence
        found = store.faults()
        if settle and found and not dry_run:
            subject = found[0].place if len(found) == 1 else f"{len(found)} faults"
            store.settle_faults(Act(SystemClock().now(), who(), "evidence.settle", subject, reason))
    if as_json:
        listed = [{"place": one.place, "what": one.what, "found_at": one.found_at} for one in found]
        done = {"settled": settle and not dry_run, **({"dry_run": True} if dry_run else {})}
        print_json({"faults": listed, **(done if settle else {})})
        return
    if not found:
        click.echo(words("none was found", "không phát hiện"))
        return
    print_table([(people_time(one.found_at), one.place, one.what) for one in found])
    if settle:
        click.echo(
            words("would be settled", "sẽ được gỡ khỏi danh sách")
            if dry_run
            else words("settled", "đã gỡ khỏi danh sách")
        )
