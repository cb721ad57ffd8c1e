"""Lock files: held by the kernel for a living process, so a dead holder leaves nothing to clean up."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class Lock:
    """An exclusive ``flock`` on a file, handed on to children only where the descriptor is passed on purpose."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        """The open descriptor; a child that inherits it holds the lock too."""
        if self._descriptor is None:
            raise ValueError(f"{self.path.name} is not held")
        return self._descriptor

    def take(self) -> bool:
        """Take it without waiting. False if a living process holds it."""
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            # A holder that removes its file on the way out leaves us with a lock on a file that nobody else sees.
            try:
                same = os.path.samestat(os.fstat(descriptor), self.path.stat())
            except FileNotFoundError:
                same = False
            if same:
                self._descriptor = descriptor
                return True
            os.close(descriptor)

    def leave(self, *, remove: bool = False) -> None:
        """Close our descriptor, removing the file first if asked; the lock ends with its last descriptor."""
        if self._descriptor is None:
            return
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None


def held(path: Path) -> bool:
    """Whether a living process holds the lock of that file. Asking does not disturb another who asks."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
