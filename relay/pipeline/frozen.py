"""The claim of a row that stands already: what was decided once is not decided again."""

from __future__ import annotations

from relay.model.record import Claim, Document


def claim_again(document: Document) -> Claim:
    """Return the claim of a stored row: its verdict and plan are frozen, only the key matters."""
    return Claim(
        sender=document.sender,
        transport_id=document.transport_id,
        kind=document.kind,
        user=document.user,
        lane=document.lane,
        body_sha256=document.body_sha256,
        body_bytes=document.body_bytes,
        accepted_at=document.accepted_at,
        deadline_at=document.deadline_at,
        document_id=document.document_id,
        code=document.code,
        promulgation_date=document.promulgation_date,
        business_type=document.business_type,
        verdict=document.verdict,
        directory_version=document.directory_version,
        deliveries=(),
        refusal=document.refusal,
    )
