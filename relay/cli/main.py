"""The command ``truc``. Each command's work is imported when it runs, so that help comes at once."""

from __future__ import annotations

import click

from relay import __version__
from relay.cli.audit import audit
from relay.cli.bench import bench
from relay.cli.codes import errors
from relay.cli.conformance import conformance
from relay.cli.directory import directory
from relay.cli.directory_data import data_commands
from relay.cli.doctor import doctor
from relay.cli.drain import drain
from relay.cli.edition import edition_commands
from relay.cli.errors import EXIT_CODES, TrucGroup
from relay.cli.evidence import evidence
from relay.cli.find import find
from relay.cli.inbox import inbox
from relay.cli.options import lang_option
from relay.cli.package import package
from relay.cli.quarantine import quarantine
from relay.cli.queue import queue
from relay.cli.registry import registry
from relay.cli.reply import reply, take_back
from relay.cli.resend import resend
from relay.cli.run import keeper, worker
from relay.cli.sandbox import demo, down, keys, up
from relay.cli.send import send
from relay.cli.topology import topology
from relay.cli.track import track
from relay.cli.trust import trust
from relay.cli.user import user
from relay.cli.verify import verify
from relay.cli.why import why


@click.group(
    cls=TrucGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=EXIT_CODES,
)
@click.version_option(__version__, prog_name="truc")
@lang_option
def main() -> None:
    """Trục: a federated relay for signed government documents on RabbitMQ.

    Start with "truc demo"; then "truc up --detach", "truc send --as H26 --to H53 --subject Test --wait" and
    "truc inbox --as H53".
    """


for command in (
    audit,
    bench,
    conformance,
    demo,
    directory,
    doctor,
    down,
    drain,
    errors,
    evidence,
    inbox,
    keeper,
    keys,
    package,
    quarantine,
    queue,
    registry,
    reply,
    resend,
    send,
    take_back,
    topology,
    track,
    trust,
    find,
    up,
    user,
    verify,
    why,
    worker,
):
    main.add_command(command)
for command in (*data_commands, *edition_commands):
    directory.add_command(command)


def _say_whole(group: click.Group) -> None:
    """Let lists of commands show first sentences whole: click wraps a short help, and cuts what it makes of a help."""
    for one in group.commands.values():
        one.short_help = one.get_short_help_str(limit=len(one.help or "") + 1)
        if isinstance(one, click.Group):
            _say_whole(one)


_say_whole(main)
