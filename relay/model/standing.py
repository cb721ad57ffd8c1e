"""What an operator asks the registry for: how one document stands just now, what is unfinished, which processes run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from relay.model.delivery import Delivery
from relay.model.record import Document, HeldEntry


@dataclass(frozen=True, slots=True)
class DeliveryStanding:
    """One delivery with what the registry knows beside its state."""

    delivery: Delivery
    queued_at: datetime | None
    change: str | None  # of a take-back or update: asked, withdrawn, agreed, declined
    lost: bool  # the broker has its body no more
    lost_told: bool  # ... and the sender knows
    overdue_told: bool
    last_status: str = ""  # the recipient's last accepted status
    last_status_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReceiptStanding:
    """A stored receipt without its bytes."""

    number: str
    kind: str
    code: str
    to: str
    at: datetime
    published_at: datetime | None  # None: no confirm is known


@dataclass(frozen=True, slots=True)
class Standing:
    """One submission, its deliveries (those of the first submission of the same bytes), its receipts, its lease."""

    document: Document
    claimed_at: datetime
    holder: str  # the process that has it in hand; "" for none
    alive: bool  # whether that process still beats
    beat_at: datetime | None  # its last sign of life
    deliveries: tuple[DeliveryStanding, ...]
    receipts: tuple[ReceiptStanding, ...]
    first: Document | None = None  # the first submission of the same bytes, where this is a later one


@dataclass(frozen=True, slots=True)
class Drop:
    """An operator's decision that a held message goes nowhere any more."""

    held_id: str
    at: datetime
    reason: str  # as told to sender and recipient
    kind: str = ""  # the message's property `type`, as sent
    size: int = 0  # of its body, bytes
    told_at: datetime | None = None  # None: the keeper has still to tell it


@dataclass(frozen=True, slots=True)
class HeldStanding:
    """A message in quarantine, released ones too, with the decision about it if there was one."""

    entry: HeldEntry
    drop: Drop | None = None


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A process of the relay, as it wrote itself down at its start."""

    owner: str  # its name for leases: the name and a UUID of this start
    name: str
    role: str  # worker or keeper
    host: str
    machine: str  # machine and namespace that the number counts in
    pid: int
    started: int  # clock ticks since boot: with the number it names one process for ever
    since: datetime
    version: str
    beat_at: datetime | None = None  # last sign of life; keepers do not beat here


class ShapeBy(StrEnum):
    """What the unfinished is counted by."""

    AGENCY = "agency"
    LEVEL = "level"
    LANE = "lane"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class ShapeCell:
    """How many of one key are of one age."""

    key: str
    bucket: int  # 0: youngest; the number of bounds: older than all
    count: int
    planned: int  # of them with the relay still; the others stand in a recipient's queue
    oldest: datetime


@dataclass(frozen=True, slots=True)
class Shape:
    """What is unfinished, counted in the database."""

    deliveries: tuple[ShapeCell, ...]  # by what was asked
    in_hand: tuple[ShapeCell, ...]  # submissions claimed and not settled, by lane
    deferred: tuple[ShapeCell, ...]  # deferred deliveries by attempt; attempt 0: their time has come
    held: tuple[ShapeCell, ...]  # in quarantine, by code
