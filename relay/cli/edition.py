"""``truc directory publish|receive``: the directory as a signed file, for gateways and peers."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from relay.cli.options import (
    config_option,
    dry_run_option,
    home_option,
    json_option,
    people_time,
    print_json,
    words,
)
from relay.errors import Code, ConfigurationError

if TYPE_CHECKING:
    from relay.directory.edition import Edition


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--days", type=click.IntRange(1, 366), default=30, show_default=True, help="How long the edition holds."
)
@click.option(
    "--difference",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what differs from the edition before, too.",
)
@config_option
@home_option
@dry_run_option
@json_option
def publish(
    out: Path,
    days: int,
    difference: Path | None,
    config: Path | None,
    home: Path,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Sign the directory with the relay's key and write it to OUT, as the edition that follows the one in OUT.

    Publish again before half of the time is over: whoever follows it is warned from then on. Keep OUT: the next edition
    leads on from it.
    """
    from relay import settings
    from relay.cli.wiring import trust_store
    from relay.directory.edition import next_edition, read, seal, seal_difference
    from relay.directory.file import load, note_of
    from relay.directory.write import alone, replace_file, temporary
    from relay.observe.clock import SystemClock
    from relay.sandbox.contents import running
    from relay.trust.keys import open_pair_now

    chosen = settings.load(config or running(home).settings)
    own, clock = chosen.relay, SystemClock()
    # two at once would give two editions one serial: a fork
    with nullcontext() if dry_run else alone(out):
        before = _published(out)
        now = clock.now().replace(microsecond=0)
        edition = next_edition(
            load(chosen.directory.file).agencies(),
            before,
            own.name,
            now,
            now + timedelta(days=days),
            note_of(chosen.directory.file),
        )
        if difference is not None and before is None:
            raise ConfigurationError(Code.DIRECTORY_INVALID, f"{out}: there is no edition yet to differ from")
        if not dry_run:
            pair = open_pair_now(own.place())
            content = seal(edition, pair.key, pair.pem)
            read(content, trust_store(chosen), clock.now())  # nobody is given what nobody would take
            # The whole one first: a difference to an edition that was never kept would be a fork from the next one on.
            with temporary(out, content) as new:
                new.chmod(0o644)
                replace_file(new, out)
            if difference is not None and before is not None:
                with temporary(difference, seal_difference(before, edition, pair.key, pair.pem)) as new:
                    new.chmod(0o644)
                    replace_file(new, difference)
    _tell(edition, out, as_json=as_json, written=not dry_run)


@click.command()
@click.argument("signed", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--ca",
    "anchors",
    multiple=True,
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="Anchor that the publisher's certificate leads to; may be repeated.",
)
@click.option(
    "--crl", "crls", multiple=True, type=click.Path(exists=True, path_type=Path), help="Revocation list."
)
@click.option("--publisher", default="", help="Name of the relay whose editions are taken; without it any.")
@dry_run_option
@json_option
def receive(
    signed: Path,
    file: Path,
    anchors: tuple[Path, ...],
    crls: tuple[Path, ...],
    publisher: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Check a signed directory (whole or a difference) and write it to FILE as a plain one.

    It is taken only if it leads on from the edition that was received before; that one is kept beside FILE, as
    FILE.kept. What is refused (fork, roll-back, expired, another publisher) changes nothing.
    """
    from relay.directory import history
    from relay.directory.entries import Entries
    from relay.directory.file import summary
    from relay.directory.follow import Follower
    from relay.directory.write import alone
    from relay.observe.clock import SystemClock
    from relay.operate.acting import who
    from relay.trust.chain import TrustStore

    clock = SystemClock()
    store = TrustStore.from_files(anchors, crls, anchors_without_crl=() if crls else anchors)
    follower = Follower(file.with_name(f"{file.name}.kept"), store, clock, publisher)
    with nullcontext() if dry_run else alone(file.resolve()):
        edition, whole = follower.judge(signed.read_bytes())
        entries = Entries(file.parent)
        entries.read([dict(one) for one in edition.agencies])
        if entries.findings:
            raise ConfigurationError(Code.DIRECTORY_INVALID, summary(entries.findings, signed))
        if not dry_run:
            # The edition first: what was received and then not written is written by the next call.
            follower.keep(whole)
            history.write(
                file,
                entries.agencies,
                who=who(),
                act="directory.receive",
                at=clock.now(),
                note=edition.note,
            )
    _tell(edition, file, as_json=as_json, written=not dry_run)


edition_commands: Final = (publish, receive)
"""Commands of the group ``directory``."""


def _published(out: Path) -> Edition | None:
    """Return the edition that stands in a file that we wrote; its signature was ours and need not hold any more."""
    from relay.directory.edition import opened

    return opened(out.read_bytes()) if out.exists() else None


def _tell(edition: Edition, path: Path, *, as_json: bool, written: bool) -> None:
    if as_json:
        print_json(
            {
                "file": path,
                "written": written,
                "name": edition.name,
                "serial": edition.serial,
                "relay": edition.relay,
                "issued_at": edition.issued_at,
                "expires_at": edition.expires_at,
                "agencies": len(edition.agencies),
            }
        )
        return
    until = people_time(edition.expires_at)
    click.echo(
        words(
            f"{path}: serial {edition.serial} of {edition.relay}, {len(edition.agencies)} agencies, until {until}",
            f"{path}: bản số {edition.serial} của {edition.relay}, {len(edition.agencies)} đơn vị, đến {until}",
        )
    )
