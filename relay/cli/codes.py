"""``truc errors``: what a code means, who can mend it, and how."""

from __future__ import annotations

import click

from relay.cli.options import json_option, print_json, print_table
from relay.errors import Code, OperationError


class _CodesGroup(click.Group):
    """Takes a code where a command could stand: ``truc errors CODE`` is ``truc errors show CODE``."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the words mean."""
        named = args and (args[0] in self.commands or args[0].startswith("-"))
        return super().resolve_command(ctx, args if named else ["show", *args])


@click.group("errors", cls=_CodesGroup)
def errors() -> None:
    """Explain the codes of receipts, logs and messages; `truc errors CODE` explains one."""


@errors.command("show")
@click.argument("code")
@json_option
def show(code: str, as_json: bool) -> None:
    """Explain one code, in both languages."""
    from relay.cli.errors import explain, facts

    try:
        known = Code(code.upper().replace("_", "-"))
    except ValueError:
        raise OperationError(Code.NOT_FOUND, f"there is no code {code}") from None
    if as_json:
        print_json(facts(known))
    else:
        click.echo(f"{explain(known, '', 'vi')}\n\n{explain(known, '', 'en')}")


@errors.command("ls")
@json_option
def ls(as_json: bool) -> None:
    """List every code with its owner."""
    from relay.cli.errors import facts
    from relay.cli.options import language
    from relay.errors.catalogue import catalogue

    if as_json:
        print_json([facts(code) for code in catalogue()])
        return
    vi = language() == "vi"
    print_table(
        [
            (code.value, one.owner, one.message["vi"] if vi else one.message["en"])
            for code, one in catalogue().items()
        ]
    )
