"""``truc find``: from what stands on a document to the transport id under which it went.

The registry keeps a document's number, date and id as they were written, so each is looked for in the spellings of one
number, one day, one id. Subjects and names are not kept and cannot be looked for.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import date

from relay.errors import Code, OperationError
from relay.model.ports import Registry
from relay.model.record import Document

MOST = 1000


def found(
    registry: Registry,
    *,
    number: str = "",
    document_id: str = "",
    sender: str | None = None,
    on: date | None = None,
    limit: int = 100,
) -> list[Document]:
    """Return the documents that people call so, newest first.

    Args:
        registry: what is stored.
        number: ``number/notation`` as on paper, e.g. ``123/QĐ-UBND``; without a notation the number alone.
        document_id: the id of the document; one of the two has to be given.
        sender: normal code of the sender.
        on: day of promulgation.
        limit: at most so many.

    Raises:
        OperationError: NOT-FOUND: nothing of that name went through this relay.
    """
    if not number and not document_id:
        raise ValueError("a number or a document id")
    documents = registry.named(
        _numbers(number) if number else (),
        tuple(_forms(document_id)) if document_id else (),
        sender,
        _days(on) if on else (),
        limit,
    )
    if not documents:
        told = (number, document_id, sender or "", on.isoformat() if on else "")
        raise OperationError(Code.NOT_FOUND, " ".join(part for part in told if part))
    return documents


def _forms(text: str) -> Iterable[str]:
    """Return a text in both Unicode forms: keyboards differ, and nothing was changed when it was stored."""
    bare = text.strip()
    return dict.fromkeys((bare, unicodedata.normalize("NFC", bare), unicodedata.normalize("NFD", bare)))


def _numbers(number: str) -> tuple[str, ...]:
    # a document without a notation is stored with the stroke behind its number or without it
    return tuple(one for form in _forms(number) for one in (form, form if "/" in form else f"{form}/"))


def _days(on: date) -> tuple[str, ...]:
    """Return how a day is written: as the standard has it, and as others do."""
    return tuple(
        dict.fromkeys(
            (
                f"{on.year:04}/{on.month:02}/{on.day:02}",
                f"{on.year:04}-{on.month:02}-{on.day:02}",
                f"{on.day:02}/{on.month:02}/{on.year:04}",
                f"{on.day:02}-{on.month:02}-{on.year:04}",
                f"{on.year}/{on.month}/{on.day}",
                f"{on.day}/{on.month}/{on.year}",
            )
        )
    )
