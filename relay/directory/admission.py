"""Who may send to whom: one table over the admission of both sides, and which code answers where the answer is no.

Admission is data (an agency is on trial, admitted, suspended, closed). Whether it has a queue of its own is another
matter, and whether it answers is a third one, which is computed and never stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Final

from relay.errors import Code
from relay.model.agency import Admission, Agency

_TRIAL, _IN, _SUSPENDED, _CLOSED = Admission.TRIAL, Admission.ADMITTED, Admission.SUSPENDED, Admission.CLOSED

DOCUMENTS: Final[Mapping[tuple[Admission, Admission], Code | None]] = MappingProxyType({
    # sender, recipient                 a closed recipient has been followed to its one successor before this is asked
    (_TRIAL, _TRIAL): None,
    (_TRIAL, _IN): Code.TRIAL_ONLY,
    (_TRIAL, _SUSPENDED): Code.RECIPIENT_SUSPENDED,
    (_TRIAL, _CLOSED): Code.RECIPIENT_CLOSED,
    (_IN, _TRIAL): Code.TRIAL_ONLY,
    (_IN, _IN): None,
    (_IN, _SUSPENDED): Code.RECIPIENT_SUSPENDED,
    (_IN, _CLOSED): Code.RECIPIENT_CLOSED,
    (_SUSPENDED, _TRIAL): Code.SENDER_SUSPENDED,
    (_SUSPENDED, _IN): Code.SENDER_SUSPENDED,
    (_SUSPENDED, _SUSPENDED): Code.SENDER_SUSPENDED,
    (_SUSPENDED, _CLOSED): Code.SENDER_SUSPENDED,
    (_CLOSED, _TRIAL): Code.SENDER_SUSPENDED,
    (_CLOSED, _IN): Code.SENDER_SUSPENDED,
    (_CLOSED, _SUSPENDED): Code.SENDER_SUSPENDED,
    (_CLOSED, _CLOSED): Code.SENDER_SUSPENDED,
})  # fmt: skip
"""For documents. A status is about a document that was let through: between trial and admitted it passes."""


def standing(agency: Agency, day: date) -> Admission:
    """Return the admission that counts on a day: a suspension with an end is over from that day on."""
    if (
        agency.admission is Admission.SUSPENDED
        and agency.suspended_until is not None
        and agency.suspended_until <= day
    ):
        return Admission.ADMITTED
    return agency.admission


def may_send(agency: Agency, day: date) -> bool:
    """Whether an agency may send anything at all."""
    return DOCUMENTS[standing(agency, day), Admission.ADMITTED] is not Code.SENDER_SUSPENDED


def between(sender: Agency, recipient: Agency, day: date) -> Code | None:
    """Return what a document from ``sender`` to ``recipient`` is answered with; None: it may pass."""
    return DOCUMENTS[standing(sender, day), standing(recipient, day)]
