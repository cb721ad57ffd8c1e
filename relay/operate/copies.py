"""Backup and restore of the registry, with their audit rows."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from relay.model.audit import Act
from relay.model.keeping import Chronicler
from relay.operate.acting import who
from relay.registry import copy, open_registry
from relay.registry.copy import CopyFacts


def backup(
    url: str,
    target: Path,
    now: datetime,
    *,
    dry_run: bool = False,
    chronicler: Chronicler | None = None,
) -> CopyFacts:
    """Copy the registry at ``url`` to the new file ``target``; workers may go on. Errors: those of the copy.

    With ``dry_run`` the copy is made and checked in full, and then removed.
    """
    facts = copy.backup(url, target, keep=not dry_run)
    if dry_run:
        return facts
    registry = open_registry(url, chronicler=chronicler)
    try:
        registry.note_act(Act(now, who(), "registry.backup", target.name, facts.sha256))
    finally:
        registry.close()
    return facts


def restore(
    url: str,
    source: Path,
    now: datetime,
    lease_seconds: float,
    *,
    dry_run: bool = False,
    chronicler: Chronicler | None = None,
) -> CopyFacts:
    """Put a copy in the place of the registry; with ``dry_run`` check all that could stand against it.

    Returns the facts of the copy (dry run) or of the restored registry. Errors: those of the copy.
    """
    facts = copy.examine(source)
    if dry_run:
        copy.check_unused(url, now, lease_seconds)
        return facts
    act = Act(now, who(), "registry.restore", source.name, facts.sha256)
    return copy.restore(url, source, act, lease_seconds, chronicler)
