"""Which document a revocation, update, replacement or status means: the order of resolution, never a guess.

Document ids are the senders' own: not unique among them, and not always with one. So an id is looked for with the sender
that may have given it, and number and date of promulgation narrow what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from adapters.edxml.model import BusinessType, Document, Package, StatusMessage, normal_or_none
from adapters.edxml.walker import written
from relay.model.envelope import StatusCode


class By(StrEnum):
    """What led to a document, in the order in which it is tried."""

    BUSINESS_ID = "Bussiness/DocumentId"
    REPLACEMENT_ID = "ReplacementInfo/DocumentId"
    OWN_ID = "MessageHeader/DocumentId"
    RESPONSE_ID = "ResponseFor/DocumentId"
    NUMBER = "Code"  # sender, number/notation and date of promulgation


@dataclass(frozen=True, slots=True)
class KnownDocument:
    """A document that somebody has stored. ``key`` is his own: a transport id, a row, a file name."""

    key: str
    sender: str  # normal code
    document_id: str
    number: str  # "number/notation"
    promulgation_date: str  # yyyy/MM/dd


@dataclass(frozen=True, slots=True)
class Meant:
    """The answer on one document that a package speaks of."""

    by: By | None
    """What led to it; None: the package names no document."""
    wanted: str
    """The id or number that was looked for."""
    candidates: tuple[KnownDocument, ...]

    @property
    def document(self) -> KnownDocument | None:
        """The one document meant; None where there is none, or where several could be."""
        return self.candidates[0] if len(self.candidates) == 1 else None

    @property
    def ambiguous(self) -> bool:
        """Whether several could be meant; ``candidates`` lists them."""
        return len(self.candidates) > 1


def meant(package: Package, known: Iterable[KnownDocument]) -> tuple[Meant, ...]:
    """Return what a package speaks of: one answer for each document that it names, none for a new document.

    Args:
        package: as read.
        known: what could be meant; more than that does no harm.
    """
    stored = tuple(known)
    if isinstance(package, StatusMessage):
        return (_of_status(package, stored),)
    kind = package.business_type
    if kind is BusinessType.NEW:
        return ()
    own = [one for one in stored if one.sender == package.sender]
    if kind is BusinessType.REPLACEMENT and package.business.replacement_info_list:
        ids = dict.fromkeys(one.document_id for one in package.business.replacement_info_list)
        return tuple(Meant(By.REPLACEMENT_ID, one, _by_id(own, one)) for one in ids)
    return (_acted_upon(package, own),)


def _acted_upon(document: Document, own: Sequence[KnownDocument]) -> Meant:
    """Resolve what a revocation or update is about, among its sender's own documents."""
    header = document.message_header
    named = document.business.document_id
    if named:
        found = _by_id(own, named)
        if found:
            return Meant(By.BUSINESS_ID, named, found)
    found = _by_id(own, header.document_id)
    if found:
        return Meant(By.OWN_ID, header.document_id, found)
    for answered in header.response_for:
        issuer = normal_or_none(answered.organ_id) if answered.organ_id else document.sender
        if answered.document_id and issuer == document.sender:
            found = _by_id(own, answered.document_id)
            if found:
                return Meant(By.RESPONSE_ID, answered.document_id, found)
    day = document.promulgated_on
    date = "" if day is None else written(day)
    if document.number and date:
        found = tuple(one for one in own if (one.number, one.promulgation_date) == (document.number, date))
        if found:
            return Meant(By.NUMBER, document.number, found)
    if named:
        return Meant(By.BUSINESS_ID, named, ())
    return Meant(By.OWN_ID, header.document_id, ())


def _of_status(status: StatusMessage, stored: Sequence[KnownDocument]) -> Meant:
    """Resolve what a status is about: a document of its addressee, or with 13 the reporter's own."""
    about = status.message_header.response_for
    if about is None:
        return Meant(None, "", ())
    sender = status.sender if status.status is StatusCode.TAKE_BACK else about.addressee
    theirs = [one for one in stored if one.sender == sender]
    if about.document_id:
        found = _narrowed(_by_id(theirs, about.document_id), about.code, about.promulgation_date)
        return Meant(By.RESPONSE_ID, about.document_id, found)
    found = tuple(one for one in theirs if one.number == about.code)
    return Meant(By.NUMBER, about.code, _narrowed(found, "", about.promulgation_date))


def _by_id(stored: Sequence[KnownDocument], document_id: str) -> tuple[KnownDocument, ...]:
    return tuple(one for one in stored if one.document_id == document_id)


def _narrowed(found: tuple[KnownDocument, ...], number: str, date: str) -> tuple[KnownDocument, ...]:
    """Where an id is not unique, number and date decide as far as they are given."""
    if len(found) > 1 and number:
        found = tuple(one for one in found if one.number == number)
    if len(found) > 1 and date:
        found = tuple(one for one in found if one.promulgation_date == date)
    return found
