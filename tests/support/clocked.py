"""The relay's own command line with a clock that a test can set: ``python clocked.py worker --config FILE ...``.

The file ``clock`` in the folder of the configuration holds the seconds by which the wall clock is wrong, ``NAME.clock``
those of the process with the configuration ``NAME.yaml`` alone; the monotonic clock nobody can set, here as on any machine.
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

    shifts: tuple[Path, ...] = ()

    def now(self) -> datetime:
        wrong = 0.0
        for shift in self.shifts:
            try:
                wrong += float(shift.read_text(encoding="ascii"))
            except (OSError, ValueError):
                continue
        return super().now() + timedelta(seconds=wrong)


if __name__ == "__main__":
    config = Path(sys.argv[sys.argv.index("--config") + 1])
    ShiftedClock.shifts = (config.with_name("clock"), config.with_suffix(".clock"))
    setattr(wiring, "SystemClock", ShiftedClock)  # noqa: B010 - not a name that it exports
    main()
