"""Values for tests of the registry and of what stands on it: claims, receipts, settlements."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from relay.errors import Code
from relay.model.delivery import Delivery, State, delivery_id
from relay.model.envelope import Reference, StatusCode
from relay.model.levels import Level
from relay.model.message import Kind
from relay.model.ports import Registry
from relay.model.receipt import ReceiptKind, SignedReceipt
from relay.model.record import (
    Candidate,
    Claim,
    Claimed,
    Document,
    Move,
    NewReceipt,
    Settled,
    Settlement,
    StatusEffect,
    StatusQuery,
)
from relay.model.verdict import Verdict

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@dataclass
class Maker:
    """Makes values with numbers of its own, so that nothing collides unless a test wants it."""

    series: str = "t1"
    serial: int = 0
    made: dict[str, int] = field(default_factory=dict)

    def transport_id(self) -> str:
        self.serial += 1
        return str(uuid.UUID(int=self.serial))

    def claim(
        self,
        content: str,
        *,
        sender: str = "H26",
        recipients: tuple[str, ...] = ("H29", "H53"),
        transport_id: str | None = None,
        now: datetime = START,
        deadline: datetime | None = None,
        refusal: Code | None = None,
        kind: Kind = Kind.EDOC,
        effect: StatusEffect | None = None,
        status_code: str = "",
        document_id: str = "",
        code: str = "12/CV",
        promulgation_date: str = "2026/03/01",
        refused: tuple[str, ...] = (),
    ) -> Claim:
        digest = hashlib.sha256(content.encode()).hexdigest()
        return Claim(
            sender=sender,
            transport_id=transport_id or self.transport_id(),
            kind=kind,
            user=sender,
            lane="normal" if kind is Kind.EDOC else "status",
            body_sha256=digest,
            body_bytes=len(content),
            accepted_at=now,
            deadline_at=deadline or (now + timedelta(hours=24) if kind is Kind.EDOC else None),
            document_id=document_id or content,
            code=code,
            promulgation_date=promulgation_date,
            business_type=0,
            verdict=Verdict(
                True, True, Code.OK, now, "CN=Văn phòng,O=Mẫu", "ab" * 32, "ecdsa-sha256", detail="không có"
            ),
            directory_version="v1",
            deliveries=tuple(
                Delivery(
                    delivery_id(sender, digest, code),
                    code,
                    code,
                    None if code in refused else Level.PROVINCE,
                    State.REFUSED if code in refused else State.PLANNED,
                    Code.UNKNOWN_RECIPIENT if code in refused else None,
                    now,
                )
                for code in recipients
            ),
            refusal=refusal,
            effect=effect,
            status_code=status_code,
        )

    def status(
        self,
        candidate: Candidate,
        status: StatusCode,
        *,
        reporter: str,
        move_to: State | None = State.DELIVERED,
        change: str | None = None,
        refusal: Code | None = None,
        now: datetime = START,
        transport_id: str | None = None,
    ) -> Claim:
        return self.claim(
            f"{status} {candidate.delivery.delivery_id} {self.serial}",
            sender=reporter,
            recipients=(candidate.document.sender,),
            kind=Kind.STATUS,
            now=now,
            transport_id=transport_id,
            status_code=status.value,
            effect=StatusEffect(
                candidate.document.row,
                candidate.delivery.delivery_id,
                candidate.version,
                status,
                "2026/03/02 15:00:00",
                move_to,
                change,
                refusal,
            ),
        )

    def receipt(
        self,
        *,
        kind: ReceiptKind = ReceiptKind.ACKNOWLEDGEMENT,
        code: str = "",
        to: str = "H26",
        now: datetime = START,
        number: str = "",
    ) -> SignedReceipt:
        self.serial += 1
        return SignedReceipt(
            number=number or f"{self.series}-{self.serial}",
            kind=kind,
            accepted=True,
            code=code,
            to=to,
            correlation_id="some",
            body=f"<receipt n='{self.serial}'/>".encode(),
            message_id=str(uuid.UUID(int=self.serial)),
            at=now,
        )

    def queued(self, claim: Claim, row: int, *, now: datetime = START) -> Settlement:
        """The ordinary T2: every planned delivery queued, one acknowledgement."""
        moves = tuple(
            Move(item.delivery_id, State.QUEUED, now)
            for item in claim.deliveries
            if item.state is State.PLANNED
        )
        return Settlement(row, moves, (NewReceipt(self.receipt(now=now, to=claim.sender), row),))


def accepted(registry: Registry, make: Maker, claim: Claim, worker: str = "w1") -> int:
    """Claim and settle with every delivery queued; return the row."""
    (result,) = registry.claim([claim], worker, claim.accepted_at)
    assert result.outcome is Claimed.NEW
    assert result.document
    settlement = make.queued(claim, result.document.row)
    assert registry.settle([settlement], worker, claim.accepted_at) == [Settled.DONE]
    return result.document.row


def stored(registry: Registry, row: int) -> Document:
    document = registry.document(row)
    assert document
    return document


def states(registry: Registry, row: int) -> list[State]:
    return [delivery.state for delivery in stored(registry, row).deliveries]


def candidate(registry: Registry, claim: Claim, reporter: str, *, by_sender: bool = False) -> Candidate:
    reference = Reference("", claim.document_id, claim.code, claim.promulgation_date)
    query = (
        StatusQuery(claim.sender, reporter, reference, claim.transport_id)
        if by_sender
        else StatusQuery(reporter, claim.sender, reference, claim.transport_id)
    )
    (found,) = registry.candidates(query)
    return found
