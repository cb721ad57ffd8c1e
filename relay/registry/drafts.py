"""What is put on record of a document, a receipt, a message in quarantine, an act: from values to facts."""

from __future__ import annotations

import hashlib
from datetime import datetime

from relay.model.audit import Act
from relay.model.delivery import State
from relay.model.evidence import (
    Deliveries,
    Effect,
    HeldNoted,
    Judged,
    Line,
    Moved,
    OperatorAct,
    ReceiptSealed,
    Submission,
)
from relay.model.receipt import SignedReceipt
from relay.model.record import Claim, Document, HeldEntry, Move
from relay.model.verdict import Verdict


def judged(verdict: Verdict) -> Judged:
    """Return what is recorded of a verdict."""
    return Judged(
        verdict.intact,
        verdict.trusted,
        verdict.reason.value,
        verdict.certificate_sha256,
        verdict.algorithm,
        verdict.profile,
    )


def submission(
    claim: Claim,
    document: Document,
    original: Document | None = None,
    referred: Document | None = None,
    moved: State | None = None,
) -> Submission:
    """Return what is recorded of T1.

    Args:
        claim: what was claimed.
        document: the row that was made of it.
        original: the first submission of these bytes, if this is another one.
        referred: of a status with an effect: the document meant.
        moved: the state that the effect moved the delivery to.
    """
    effect = None
    if referred is not None and claim.effect is not None:
        effect = Effect(
            refers_to=referred.transport_id,
            delivery_id=claim.effect.delivery_id,
            status=claim.effect.status.value,
            move_to=moved,
            change=claim.effect.change or "",
            refusal="" if claim.effect.refusal is None else claim.effect.refusal.value,
        )
    return Submission(
        transport_id=claim.transport_id,
        sender=claim.sender,
        user=claim.user,
        document_kind=claim.kind.value,
        body_sha256=claim.body_sha256,
        body_bytes=claim.body_bytes,
        document_id=claim.document_id,
        directory_version=claim.directory_version,
        verdict=judged(claim.verdict),
        lines=tuple(
            [
                Line(one.delivery_id, one.recipient, one.state, "" if one.code is None else one.code.value)
                for one in document.deliveries
            ]
        ),
        refusal="" if claim.refusal is None else claim.refusal.value,
        same_content_as="" if original is None else original.transport_id,
        effect=effect,
    )


def moved(move: Move) -> Moved:
    """Return what is recorded of a move."""
    return Moved(move.delivery_id, move.state, "" if move.code is None else move.code.value)


def deliveries(transport_id: str, moves: tuple[Moved, ...]) -> Deliveries:
    """Return what is recorded of moves of one document."""
    return Deliveries(transport_id, moves)


def receipt(one: SignedReceipt) -> ReceiptSealed:
    """Return what is recorded of a receipt: its bytes are bound by their hash."""
    return ReceiptSealed(
        number=one.number,
        kind=one.kind,
        accepted=one.accepted,
        code=one.code,
        to=one.to,
        transport_id=one.correlation_id or "",
        sha256=hashlib.sha256(one.body).hexdigest(),
        size=len(one.body),
    )


def held(entry: HeldEntry, act: str, detail: str | None = None) -> HeldNoted:
    """Return what is recorded of a message in quarantine: ``held``, ``released`` or ``dropped``."""
    return HeldNoted(
        held_id=entry.held_id,
        act=act,
        code=entry.code.value,
        origin=entry.origin,
        user=entry.user,
        transport_id=entry.transport_id,
        body_sha256=entry.body_sha256,
        detail=entry.detail if detail is None else detail,
    )


def act(row: int, one: Act) -> OperatorAct:
    """Return what is recorded of an audit row."""
    return OperatorAct(row, one.who, one.act, one.subject, one.detail, one.at)


def latest(moves: tuple[Move, ...] | list[Move]) -> datetime:
    """Return when the last of several moves took place."""
    return max([one.at for one in moves])
