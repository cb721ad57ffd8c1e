"""Writers of one machine take turns at a file beside the database.

SQLite lets writers wait by sleeping up to a tenth of a second between two looks, in no order: under load one process
starves for hundreds of milliseconds. Here they look every half millisecond. The turn is courtesy, not protection: the
lock that counts is SQLite's own, and who gets no turn in time goes there all the same.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from types import TracebackType
from typing import Final

from relay.registry.files import open_own

_LOOK: Final = 0.0005  # seconds between two looks
_STUCK: Final = 0.02  # seconds for a holder that once outlasted our patience: a process that stands still


class Turn:
    """A lock file as a context manager; the kernel gives it back when its process dies. For several threads."""

    def __init__(self, path: str, patience: float) -> None:
        """``patience``: seconds after which the holder of the turn is no longer waited for.

        Raises:
            RegistryError: REGISTRY-UNUSABLE: the file cannot be made beside the database.
        """
        self._file = open_own(path)
        self._patience = patience
        self._thread = threading.Lock()  # threads of one process share the open file
        self._stuck = False

    def __enter__(self) -> None:
        self._thread.acquire()
        end = time.monotonic() + (min(_STUCK, self._patience) if self._stuck else self._patience)
        while time.monotonic() < end:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_LOOK)
            else:
                self._stuck = False
                return
        self._stuck = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._thread.release()

    def close(self) -> None:
        """Close the file. May be called twice."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)
