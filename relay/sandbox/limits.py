"""Open files: a broker with many quorum queues needs more than the thousand that a login gives."""

from __future__ import annotations

import resource
from typing import Final

_ENOUGH: Final = 65_536


def raise_open_files() -> int:
    """Raise this process's limit of open files to what the system allows, for the broker that it starts.

    A broker without a free one accepts connections and never answers them. Returns the limit in force.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft
