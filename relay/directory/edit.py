"""Changing one agency of a directory file: read, change, check, replace, one process at a time.

The file is written anew as a whole, so comments in a YAML file are lost; its ``note`` stays. Nothing that would not be
read again without a finding is ever put in its place.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from relay.directory.file import check, load, note_of, summary
from relay.directory.snapshot import AgencyDirectory
from relay.directory.write import render, replace_file, temporary
from relay.errors import Code, ConfigurationError, OperationError
from relay.model.agency import Agency


def change_agency(path: Path, code: str, change: Callable[[Agency], Agency]) -> AgencyDirectory:
    """Replace one agency of the file by what ``change`` makes of it; return the directory as it stands now.

    A change that changes nothing leaves the file alone. Readers see the old file or the new one, and so does a process
    that dies here.

    Raises:
        ConfigurationError: DIRECTORY-INVALID: the file cannot be read or written, or would be invalid afterwards.
        OperationError: NOT-FOUND: no such agency.
    """
    file = path.resolve()  # a link to the file stays a link
    with _alone(file):
        before = load(file)
        agency = before.agency(code)
        if agency is None:
            raise OperationError(Code.NOT_FOUND, f"the directory has no agency {code}")
        changed = change(agency)
        if changed == agency:
            return before
        agencies = [changed if one.code == code else one for one in before.agencies()]
        with temporary(file, render(file, agencies, note_of(file))) as new:
            checked = check(new)
            if checked.directory is None:
                raise ConfigurationError(Code.DIRECTORY_INVALID, summary(checked.findings, path))
            _like(file, new)
            replace_file(new, file)
        return replace(checked.directory, sources=(file,))


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Hold a lock beside the file; the kernel gives it back when its process dies."""
    try:
        lock = os.open(file.with_name(f".{file.name}.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        raise ConfigurationError(
            Code.DIRECTORY_INVALID, f"{file}: its folder cannot be written: {fault.strerror}"
        ) from fault
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _like(old: Path, new: Path) -> None:
    """Give the new file the mode and, where we may, the owner of the old one: the relay has to read it."""
    state = old.stat()
    new.chmod(state.st_mode & 0o777)
    if (state.st_uid, state.st_gid) != (os.geteuid(), os.getegid()):
        try:
            os.chown(new, state.st_uid, state.st_gid)
        except PermissionError:
            pass
