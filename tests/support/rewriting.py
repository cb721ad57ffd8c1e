"""Files that somebody looks at again and again, changed so that each change shows, however soon it follows the last."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_SECOND: Final = 1_000_000_000  # nanoseconds


def rewrite(path: Path, content: bytes | str) -> Path:
    """Write a file and return it; one that was there is a second younger afterwards, at least.

    A kernel counts the time of files in ticks of some milliseconds: of two writes of equal length within one nobody
    learns who looks at time and length, as a quick machine would show.
    """
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    after = max(path.stat().st_mtime_ns, before + _SECOND)
    os.utime(path, ns=(after, after))
    return path
