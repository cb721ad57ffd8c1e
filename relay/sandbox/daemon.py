"""The supervisor as a process of its own: ``python -m relay.sandbox.daemon HOME``, started by ``truc up --detach``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from relay.errors import TrucError
from relay.sandbox.home import Home
from relay.sandbox.up import stamped, supervise


def main(folder: Path) -> int:
    """Leave the caller, supervise, return the exit code."""
    if os.fork():
        os._exit(0)
    os.setsid()
    place = Home(folder)
    try:
        supervise(place, lambda line: print(stamped(line), flush=True))
    except TrucError as error:
        print(stamped(str(error)), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
