"""Following a signed directory: which edition may be taken after which, and how long the last one holds.

An edition leads on from the one in use or it is not taken: a fork (two histories), a roll-back and one that is out of
date are refused, and the last good one stays. When its time is over it goes on for a period of grace; after that whoever
follows it stops deciding by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from relay.directory.edition import ANCESTORS, Difference, Edition, apply, opened, read
from relay.directory.entries import Entries, Finding
from relay.directory.file import Checked
from relay.directory.snapshot import AgencyDirectory
from relay.directory.write import replace_file, temporary
from relay.errors import Code, ConfigurationError
from relay.model.ports import Clock
from relay.trust.chain import TrustStore

SIGNED: Final = ".signed"
"""How the name of a signed directory file ends."""
GRACE: Final = timedelta(days=7)
_AHEAD: Final = timedelta(minutes=5)  # clocks differ


class Standing(StrEnum):
    """How fresh the edition in use is."""

    FRESH = "fresh"
    AGEING = "ageing"  # past half of its validity: the next one is due
    EXPIRED = "expired"  # in the period of grace
    OVER = "over"  # nothing is decided by it any more


def standing(edition: Edition, now: datetime, grace: timedelta = GRACE) -> Standing:
    """Return how fresh an edition is."""
    if now < edition.half_life:
        return Standing.FRESH
    if now < edition.expires_at:
        return Standing.AGEING
    return Standing.EXPIRED if now < edition.expires_at + grace else Standing.OVER


def in_use(path: Path, kept: Path, store: TrustStore, at: datetime) -> tuple[Edition | None, str]:
    """Return the edition that who follows a file has in use, as far as a look from outside tells, and what is wrong.

    For commands: nothing is written. The file itself if it is a whole edition that is genuine, else the latest one that a
    process keeps. What is wrong with the file is said in any case.

    Args:
        path: the signed file.
        kept: folder in which processes keep their last good editions.
        store: anchors and lists.
        at: time.
    """
    trouble, found = "", None
    try:
        first = read(path.read_bytes(), store, at)
        found = first if isinstance(first, Edition) else None
    except OSError as fault:
        trouble = f"the file cannot be read: {fault.strerror}"
    except ConfigurationError as error:
        trouble = error.detail
    if found is not None:
        return found, ""
    for one in kept.glob(f"{path.name}.*.kept"):
        try:
            edition = opened(one.read_bytes())
        except (OSError, ConfigurationError):
            continue
        if found is None or edition.serial > found.serial:
            found = edition
    return found, trouble


@dataclass(frozen=True, slots=True)
class Follower:
    """What decides on editions. Holds no state but its file.

    Args:
        kept: file that keeps the last good edition over restarts, as it was signed.
        store: anchors and lists that the publisher's certificate is judged by.
        clock: time.
        publisher: name of the relay whose editions are taken; empty: of any that the store trusts.
        grace: how long an edition holds after it has expired.
    """

    kept: Path
    store: TrustStore
    clock: Clock
    publisher: str = ""
    grace: timedelta = GRACE

    def last(self) -> Edition | None:
        """Return the last good edition; None before the first.

        Raises:
            ConfigurationError: DIRECTORY-INVALID: the file that keeps it was damaged.
        """
        try:
            content = self.kept.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise _refused(f"{self.kept}: {fault.strerror}") from fault
        edition = opened(content)
        read(content, self.store, edition.issued_at)  # its certificate need not hold any more today
        return edition

    def standing(self, edition: Edition) -> Standing:
        """Return how fresh an edition is now."""
        return standing(edition, self.clock.now(), self.grace)

    def judge(self, content: bytes) -> tuple[Edition, bytes]:
        """Return the edition that a signed file holds or leads to, if it may be taken now, and its whole signed file.

        Raises:
            ConfigurationError: DIRECTORY-INVALID, with the reason: signature, another publisher, out of date, fork,
                roll-back, too far ahead of what is known.
        """
        now = self.clock.now()
        found = read(content, self.store, now)
        last = self.last()
        if isinstance(found, Difference):
            if last is None:
                raise _refused("a difference, and there is nothing yet that it could lead on from")
            if found.edition.name == last.name:
                return last, self.kept.read_bytes()
            found, content = apply(last, found)
            read(content, self.store, now)
        if self.publisher and found.relay != self.publisher:
            raise _refused(f"published by {found.relay}, not by {self.publisher}")
        if last is not None:
            self._leads_on(last, found)
        if found.expires_at <= now:
            raise _refused(f"serial {found.serial} has expired")
        if found.issued_at > now + _AHEAD:
            raise _refused(f"serial {found.serial} was issued in the future")
        return found, content

    def keep(self, whole: bytes) -> None:
        """Keep a signed whole edition that was judged and can be used."""
        with temporary(self.kept, whole) as new:
            replace_file(new, self.kept)

    @staticmethod
    def _leads_on(last: Edition, found: Edition) -> None:
        if found.name == last.name:
            return
        ahead = found.serial - last.serial
        if ahead < 0:
            raise _refused(f"roll-back: serial {found.serial} after {last.serial}")
        if ahead > ANCESTORS:
            raise _refused(
                f"serial {found.serial} is too far ahead of {last.serial} to tell whether it leads on"
            )
        if ahead == 0 or found.ancestors[ahead - 1] != last.name:
            raise _refused(
                f"fork: serial {found.serial} does not lead on from the known serial {last.serial}"
            )


class SignedReader:
    """Reads a signed directory file for ``DirectoryWatch``: what may not be taken is a finding, the last one stays."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self.edition: Edition | None = None
        """The edition in use."""

    def first(self, path: Path) -> Checked:
        """Read the file at the start; if it may not be taken, what was kept is used."""
        checked = self.check(path)
        if checked.directory is not None:
            return checked
        try:
            last = self._follower.last()
        except ConfigurationError as error:
            return Checked(None, (*checked.findings, Finding(None, "", error.detail)))
        return self._use(last, path) if last is not None else checked

    def check(self, path: Path) -> Checked:
        """Read the file; never raises for what stands in it."""
        try:
            content = path.read_bytes()
            edition, whole = self._follower.judge(content)
        except OSError as fault:
            return Checked(None, (Finding(None, "", f"the file cannot be read: {fault.strerror}"),))
        except ConfigurationError as error:
            return Checked(None, (Finding(None, "", error.detail),))
        if self.edition is not None and edition.name == self.edition.name:
            return self._use(edition, path)
        checked = directory_of(edition, path)
        if checked.directory is not None:
            try:
                self._follower.keep(whole)
            except ConfigurationError as error:
                return Checked(None, (Finding(None, "", error.detail),))
            self.edition = edition
        return checked

    def standing(self) -> Standing:
        """Return how fresh the edition in use is."""
        return self._follower.standing(self.edition) if self.edition is not None else Standing.OVER

    def _use(self, edition: Edition, path: Path) -> Checked:
        self.edition = edition
        return directory_of(edition, path)


def directory_of(edition: Edition, path: Path) -> Checked:
    """Return the directory that an edition holds, or what stands against it. ``path``: the file that it came from."""
    entries = Entries(path.parent)
    entries.read([dict(one) for one in edition.agencies])
    if entries.findings:
        return Checked(None, tuple(entries.findings))
    return Checked(AgencyDirectory.of(entries.agencies, edition.name[:16], (path.absolute(),)), ())


def _refused(problem: str) -> ConfigurationError:
    return ConfigurationError(Code.DIRECTORY_INVALID, f"signed directory: {problem}")
