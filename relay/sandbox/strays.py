"""What dead sandboxes left running: processes that carry a home's mark while no supervisor of that home lives."""

from __future__ import annotations

from pathlib import Path

from relay.operate.doctor.facts import Stray
from relay.sandbox.home import Home
from relay.sandbox.locks import held
from relay.sandbox.process import Marked, every_marked


def strays() -> tuple[Stray, ...]:
    """Return the homes with processes and without a supervisor. Sees this user's processes, or all for root."""
    homes: dict[str, list[Marked]] = {}
    for home, found in every_marked():
        homes.setdefault(home, []).append(found)
    return tuple(
        Stray(
            home,
            tuple(sorted({found.name if found.role == "broker" else found.role for found in group})),
            tuple(found.process.pid for found in group),
            folder_gone=not Path(home).is_dir(),
        )
        for home, group in sorted(homes.items())
        if not _supervised(Path(home), group)
    )


def _supervised(home: Path, group: list[Marked]) -> bool:
    """Whether a supervisor lives: by its lock (one in a terminal carries no mark), or, before it has that, by its mark."""
    if any(found.role == "supervisor" for found in group):
        return True
    try:
        return held(Home(home).lock_file)
    except OSError:
        return False
