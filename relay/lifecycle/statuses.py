"""Statuses and take-back: one pure decision from the signed facts and what the registry knows.

Takes the envelope of a status and its candidates; gives an effect to be applied in T1, a refusal, or "wait". Rules:
edXML status codes 01-06, 13, 15, 16 (QCVN 102:2016/BTTTT); a take-back is the sender's or its successor's alone; after
15 a status 03-06 is stored and refused (Decision 28/2018, article 9: the received copy is destroyed).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from relay.errors import Code
from relay.model.delivery import State
from relay.model.envelope import Envelope, StatusCode
from relay.model.ports import Directory
from relay.model.record import Candidate, StatusEffect, StatusQuery

ASKED, WITHDRAWN, AGREED, DECLINED = "asked", "withdrawn", "agreed", "declined"
_PROCESSING: Final = frozenset(
    {StatusCode.ACCEPTED, StatusCode.ASSIGNED, StatusCode.PROCESSING, StatusCode.FINISHED}
)
_REWRITES: Final = frozenset({2, 3})  # update, replacement
_CHANGE_REQUESTS: Final = frozenset({1, 2, 3})  # business types that ask for a 15 or 16


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a status.

    ``effect`` to be applied, maybe with a refusal inside; or ``refusal`` with nothing stored about a document; or
    ``wait``: the document may still come. ``forward`` is False where there is nobody to tell.
    """

    effect: StatusEffect | None = None
    refusal: Code | None = None
    detail: str = ""
    wait: bool = False
    forward: bool = True
    refers_to: str | None = None  # transport id of the document meant


def query(envelope: Envelope, hint: str | None, directory: Directory, day: date) -> StatusQuery | None:
    """Return the question to the registry, or None where the status names no document.

    Who has succeeded another agency speaks for it: the question holds the former codes too.
    """
    if envelope.refers_to is None or not envelope.recipients:
        return None
    addressee = envelope.recipients[0].code
    return StatusQuery(
        reporter=envelope.sender,
        addressee=addressee,
        reference=replace(envelope.refers_to, sender=""),
        hint=hint,
        reporters=tuple(directory.predecessors(envelope.sender, day)),
        addressees=tuple(directory.predecessors(addressee, day)),
    )


def decide(
    envelope: Envelope, candidates: Sequence[Candidate], known: bool, directory: Directory, day: date
) -> Decision:
    """Decide on one status. ``known``: a document with that id exists between the addressee and somebody else."""
    status = StatusCode(envelope.status_code)
    mine = [one for one in candidates if _is_party(envelope, status, one, directory, day)]
    if not mine:
        if candidates or known:
            stranger = Code.TAKE_BACK_NOT_YOURS if status is StatusCode.TAKE_BACK else Code.STATUS_NOT_A_PARTY
            return Decision(refusal=stranger)
        return Decision(wait=True)
    if len(mine) > 1:
        listed = ", ".join(one.document.transport_id for one in mine[:10])
        return Decision(refusal=Code.STATUS_AMBIGUOUS, detail=listed)
    return _effect(envelope, status, mine[0])


def _is_party(
    envelope: Envelope, status: StatusCode, candidate: Candidate, directory: Directory, day: date
) -> bool:
    """The sender asks for a take-back, the recipient says everything else; a successor stands for its predecessor."""
    owner = candidate.document.sender if status is StatusCode.TAKE_BACK else candidate.delivery.recipient
    return owner == envelope.sender or directory.successor_of(envelope.sender, owner, day)


def _effect(envelope: Envelope, status: StatusCode, candidate: Candidate) -> Decision:
    refusal = _refusal(status, candidate)
    move_to, change, forward = None, None, True
    if refusal is not None:
        forward = False
    elif status is StatusCode.TAKE_BACK:
        if candidate.delivery.state is State.PLANNED:
            move_to, change, forward = State.WITHDRAWN, WITHDRAWN, False
        elif candidate.delivery.state in {State.QUEUED, State.DELIVERED}:
            change = None if candidate.change == WITHDRAWN else ASKED
        else:
            forward = False  # refused or withdrawn: nothing ever reached the recipient
    else:
        if candidate.delivery.state in {State.QUEUED, State.PLANNED}:
            move_to = State.DELIVERED
        if status is StatusCode.AGREED:
            # To an update or a replacement one may agree and go on with it.
            gone = candidate.change == ASKED or candidate.document.business_type not in _REWRITES
            change = WITHDRAWN if gone else AGREED
        elif status is StatusCode.DECLINED:
            change = DECLINED
    return Decision(
        effect=StatusEffect(
            document=candidate.document.row,
            delivery_id=candidate.delivery.delivery_id,
            version=candidate.version,
            status=status,
            timestamp=envelope.timestamp,
            move_to=move_to,
            change=change,
            refusal=refusal,
        ),
        refusal=refusal,
        forward=forward,
        refers_to=candidate.document.transport_id,
    )


def _refusal(status: StatusCode, candidate: Candidate) -> Code | None:
    if status in {StatusCode.AGREED, StatusCode.DECLINED}:
        asked = candidate.change is not None or candidate.document.business_type in _CHANGE_REQUESTS
        return None if asked else Code.STATUS_WITHOUT_REQUEST
    if status in _PROCESSING and candidate.change == WITHDRAWN:
        return Code.STATUS_AFTER_WITHDRAWAL
    return None
