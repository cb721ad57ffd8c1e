"""Changing one agency of a directory file: read, change, check, replace, one process at a time, with its history.

The file is written anew as a whole, so comments in a YAML file are lost; its ``note`` stays. Nothing that would not be
read again without a finding is ever put in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from relay.directory import history
from relay.directory.file import load, note_of
from relay.directory.snapshot import AgencyDirectory
from relay.directory.write import alone
from relay.errors import Code, OperationError
from relay.model.agency import Agency


@dataclass(frozen=True, slots=True)
class By:
    """Who makes a change, by which act, and when: for the history."""

    who: str
    act: str
    at: datetime


def change_agency(path: Path, code: str, change: Callable[[Agency], Agency], by: By) -> AgencyDirectory:
    """Replace one agency of the file by what ``change`` makes of it; return the directory as it stands now.

    A change that changes nothing leaves the file alone. Readers see the old file or the new one, and so does a process
    that dies here.

    Raises:
        ConfigurationError: DIRECTORY-INVALID: the file cannot be read, or would be invalid afterwards; FILE-UNUSABLE: it
            cannot be written.
        OperationError: NOT-FOUND: no such agency.
    """
    file = path.resolve()  # a link to the file stays a link
    with alone(file):
        before = load(file)
        agency = before.agency(code)
        if agency is None:
            raise OperationError(Code.NOT_FOUND, f"the directory has no agency {code}")
        changed = change(agency)
        if changed == agency:
            return before
        agencies = [changed if one.code == code else one for one in before.agencies()]
        return history.write(file, agencies, who=by.who, act=by.act, at=by.at, note=note_of(file))[0]
