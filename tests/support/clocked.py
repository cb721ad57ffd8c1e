"""The relay's own command line with a clock that a test can set: ``python clocked.py worker --config FILE ...``.

The file ``clock`` in the folder of the configuration holds the seconds by which the wall clock is wrong; the monotonic
clock nobody can set, here as on any machine.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

from relay.cli import wiring
from relay.cli.main import main
from relay.observe.clock import SystemClock


class ShiftedClock(SystemClock):
    """The machine's clock, set by somebody."""

    shift = Path("clock")

    def now(self) -> datetime:
        try:
            shift = float(self.shift.read_text(encoding="ascii"))
        except (OSError, ValueError):
            shift = 0.0
        return super().now() + timedelta(seconds=shift)


if __name__ == "__main__":
    ShiftedClock.shift = Path(sys.argv[sys.argv.index("--config") + 1]).with_name("clock")
    setattr(wiring, "SystemClock", ShiftedClock)  # noqa: B010 - not a name that it exports
    main()
