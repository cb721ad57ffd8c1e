"""``truc topology``: the difference between configuration, directory and the live broker, and making it so."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.options import config_option, dry_run_option, home_option, json_option, print_json, words
from relay.errors import Code, ConfigurationError

if TYPE_CHECKING:
    from relay.broker.management import Management
    from relay.broker.plan import Change, Live
    from relay.broker.topology import Desired
    from relay.settings import Settings

_PASSWORDS = click.option(
    "--passwords",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON object, broker user to password, mode 0600: for users that do not exist yet.",
)


@click.group()
def topology() -> None:
    """Exchanges, queues, bindings, policies, users and rights of the broker."""


@topology.command("plan")
@config_option
@home_option
@json_option
def plan_(config: Path | None, home: Path, as_json: bool) -> None:
    """Show what apply would change, and what stands on the broker without being asked for.

    \b
    + is missing    ~ differs    - is too much    ! is reported only
    """  # noqa: D301 - a backspace keeps click from filling the lines
    view = _look(home, config, None)
    _show(view.changes, as_json=as_json, applied=False)


@topology.command()
@config_option
@_PASSWORDS
@click.option(
    "--prune", is_flag=True, help="Remove also what is otherwise only reported; queues only if empty."
)
@home_option
@dry_run_option
@json_option
def apply(
    config: Path | None, passwords: Path | None, prune: bool, home: Path, dry_run: bool, as_json: bool
) -> None:
    """Make the broker what configuration and directory say.

    Binds the new before it unbinds the old, and returns only when each new queue has a leader and answers. Twice in a
    row changes nothing.
    """
    from relay.broker.apply import apply as make_so
    from relay.broker.connection import Endpoint
    from relay.broker.plan import pending

    view = _look(home, config, passwords)
    if dry_run:
        _show(view.changes, as_json=as_json, applied=False)
        return
    broker = view.settings.broker
    administrator = Endpoint.from_url(
        broker.url, broker.management_user, broker.management_password(), ca_file=broker.ca_file
    )
    todo = view.changes if prune else pending(view.changes)
    shown = not as_json and sys.stderr.isatty()
    with click.progressbar(length=len(todo), file=sys.stderr, hidden=not shown) as bar:
        make_so(
            view.changes,
            view.desired,
            view.live,
            view.management,
            administrator,
            prune=prune,
            on_change=lambda _change: bar.update(1),
        )
    _show(view.changes, as_json=as_json, applied=True)


@dataclass(frozen=True, slots=True)
class _View:
    settings: Settings
    management: Management
    desired: Desired
    live: Live
    changes: list[Change]


def _look(home: Path, config: Path | None, passwords: Path | None) -> _View:
    from relay import settings
    from relay.broker.management import Management
    from relay.broker.plan import plan, read_live
    from relay.broker.topology import TopologyConfig, desired_topology, gateway_logins
    from relay.cli.following import load_directory
    from relay.cli.wiring import trust_store
    from relay.observe.clock import SystemClock

    known: Mapping[str, str] = {}
    if config is None:
        from relay.sandbox.contents import running

        sandbox = running(home)
        config = sandbox.settings
        known = {gateway.user: gateway.password for gateway in sandbox.gateways.values()}
    if passwords is not None:
        known = {**known, **_read_passwords(passwords)}
    chosen = settings.load(config)
    broker = chosen.broker
    if not broker.management_url:
        raise ConfigurationError(Code.CONFIG_INVALID, "broker.management_url is needed for truc topology")
    management = Management(
        broker.management_url,
        broker.management_user,
        broker.management_password(),
        vhost=broker.vhost,
        ca_file=broker.ca_file,
    )
    directory = load_directory(chosen, trust_store(chosen), SystemClock())
    desired = desired_topology(
        TopologyConfig.load(),
        directory.agencies(),
        broker.user,
        {name: known.get(name) for name in gateway_logins(directory.agencies(), SystemClock().now())},
        relay_password=broker.password() or None,
        relay_by_certificate=broker.password_file is None,
    )
    live = read_live(management)
    return _View(chosen, management, desired, live, plan(desired, live))


def _read_passwords(path: Path) -> dict[str, str]:
    from relay.settings.model import check_secret_mode

    check_secret_mode(path, "--passwords")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ConfigurationError(Code.CONFIG_INVALID, f"{path} is not JSON") from None
    if not isinstance(raw, dict) or not all(isinstance(value, str) and value for value in raw.values()):
        raise ConfigurationError(Code.CONFIG_INVALID, f"{path} has to hold an object of user: password")
    return raw


def _show(changes: list[Change], *, as_json: bool, applied: bool) -> None:
    from relay.broker.plan import pending

    count = len(pending(changes))
    if as_json:
        print_json(
            {"applied": applied, "pending": count, "changes": [change.as_json() for change in changes]}
        )
        return
    for change in changes:
        click.echo(str(change))
    if not count:
        click.echo(words("nothing to change", "không có gì phải thay đổi"))
    elif applied:
        click.echo(words(f"{count} changes made", f"đã thực hiện {count} thay đổi"))
    else:
        click.echo(words(f"{count} changes to make", f"cần {count} thay đổi"))
