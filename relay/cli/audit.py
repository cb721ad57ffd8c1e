"""``truc audit``: who changed what, when."""

from __future__ import annotations

from pathlib import Path

import click

from relay.cli.options import (
    config_option,
    home_option,
    json_option,
    people_time,
    print_json,
    print_table,
    words,
)
from relay.cli.track import registry_url
from relay.cli.user import act_json


@click.command()
@click.argument("subject", required=False)
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="How many at most."
)
@config_option
@home_option
@json_option
def audit(subject: str | None, limit: int, config: Path | None, home: Path, as_json: bool) -> None:
    """Show what operators changed, the newest first: of one SUBJECT (an agency's code, a held message) or of all."""
    from relay.registry import open_registry

    registry = open_registry(registry_url(home, config))
    try:
        acts = registry.acts(subject, limit)
    finally:
        registry.close()
    if as_json:
        print_json([act_json(act) for act in acts])
    elif not acts:
        click.echo(words("nothing is noted", "chưa ghi gì"))
    else:
        print_table([(people_time(one.at), one.who, one.act, one.subject, one.detail) for one in acts])
