"""The one resolver of the files that Trục ships: ``config/`` and ``schemas/``.

Takes a relative name, gives a path; works from a checkout (top-level folders) and from a wheel (``relay/_data``).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


@cache
def shipped(name: str) -> Path:
    """Return the path of a shipped file or folder, e.g. ``config/errors.yaml``.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    for base in (_PACKAGE / "_data", _PACKAGE.parent):
        candidate = base / name
        if candidate.exists():
            return candidate
    raise FileNotFoundError(f"{name} is missing from this installation of truc")
