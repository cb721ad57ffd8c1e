"""What to do about trouble, without the advice to run the command that just ran."""

from __future__ import annotations

import re
from typing import Final

import click

from relay.cli.options import running

_CLAUSES: Final = re.compile(r"(?:(?<=[.;])\s+)")


def advice(remedy: str, context: click.Context | None = None) -> str:
    """Return a remedy without what names the command that runs: brackets and clauses; empty if nothing else is said.

    The same command with an option is another advice and stays. Clauses end in a full stop or a semicolon.
    """
    command = running(context)
    named = re.compile(rf"\btruc {re.escape(command)}(?![\w-]| --)")
    if not command or not named.search(remedy):
        return remedy
    bare = re.sub(rf" ?\([^()]*{named.pattern}[^()]*\)", "", remedy)
    if not named.search(bare):
        return bare
    kept = " ".join(clause for clause in _CLAUSES.split(bare) if not named.search(clause))
    return re.sub(r";$", ".", kept)
