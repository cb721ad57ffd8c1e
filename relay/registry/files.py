"""Files of the registry: closed to others, and owned by the service also where an administrator's command made them."""

from __future__ import annotations

import os
from pathlib import Path

from relay.errors import Code, RegistryError


def open_own(path: str) -> int:
    """Open a file for reading and writing, made with mode 0600 if it is missing; return its descriptor.

    What root makes belongs to whom the folder belongs to: otherwise the first command of an administrator would lock
    the workers out.

    Raises:
        RegistryError: REGISTRY-UNUSABLE.
    """
    try:
        try:
            file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)
        folder = Path(path).absolute().parent.stat()
        if os.geteuid() == 0 and folder.st_uid != 0:
            os.fchown(file, folder.st_uid, folder.st_gid)
        return file
    except OSError as error:
        raise RegistryError(Code.REGISTRY_UNUSABLE, f"{path}: {error.strerror}") from error


def make_own(path: str) -> None:
    """Make an empty file where there is none, as ``open_own`` does; an empty file is an empty database."""
    os.close(open_own(path))
