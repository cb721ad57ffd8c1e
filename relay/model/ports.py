"""The ports between rooms. Each is implemented in one room and, where tests need it, by a double that passes the
same contract suite."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Protocol

from relay.errors import Code
from relay.model.agency import Agency, AgencyCertificate, Resolution
from relay.model.audit import Act
from relay.model.envelope import Envelope
from relay.model.inspection import InspectionResult
from relay.model.message import Incoming, Kind, Lane, Outgoing, Published
from relay.model.receipt import SignedReceipt
from relay.model.record import (
    Candidate,
    Claim,
    ClaimResult,
    Document,
    HeldEntry,
    Mention,
    NewReceipt,
    Settled,
    Settlement,
    StatusQuery,
    TrackEvent,
)
from relay.model.standing import Drop, Enrolled, HeldStanding, ReceiptStanding, Shape, ShapeBy, Standing
from relay.model.verdict import SignaturePlace, SignedView, Verification

if TYPE_CHECKING:
    from relay.model.keeping import EvidenceStore


class Clock(Protocol):
    """Time, passed in."""

    def now(self) -> datetime:
        """Return the time in UTC, aware, whole microseconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...


class PackageFormat(Protocol):
    """A document format: tells ``trust`` where the signature stands and reads an envelope from the signed view."""

    content_type: str

    def place(self, kind: Kind) -> SignaturePlace:
        """Return where signature and signed parts stand."""
        ...

    def read(self, view: SignedView, kind: Kind) -> Envelope:
        """Return the envelope. Raises ``RefusedError`` with the one code that is wrong."""
        ...


class Verifier(Protocol):
    """Verification of one package; pure but for the trust material that it holds."""

    def verify(self, body: bytes, place: SignaturePlace, at: datetime) -> Verification:
        """Return the verdict on ``body`` as of ``at``. Never raises on any bytes."""
        ...


class Directory(Protocol):
    """Agencies at a date. One immutable snapshot; a reload gives another."""

    @property
    def version(self) -> str:
        """Stamp of the content, stored with each verdict."""
        ...

    def agency(self, code: str) -> Agency | None:
        """Return the agency of a normal code, whatever its validity."""
        ...

    def resolve(self, written: str, day: date) -> Resolution:
        """Resolve a code as written (either form, alias, closed with one successor) on a day. Never raises."""
        ...

    def may_speak(self, user: str, sender: str) -> bool:
        """Whether the broker user ``user`` may publish for the agency ``sender`` (normal codes)."""
        ...

    def gateway_of(self, user: str) -> str:
        """Return the code of the gateway whose broker user this is; a user that nobody is known by: itself."""
        ...

    def signers(self, sender: str) -> Sequence[AgencyCertificate]:
        """Return the certificates registered for ``sender``, its own and its gateway's; each knows when it may sign."""
        ...

    def predecessors(self, code: str, day: date) -> Sequence[str]:
        """Return the codes that ``code`` is the (transitive, only) successor of on that day."""
        ...

    def successor_of(self, claimant: str, code: str, day: date) -> bool:
        """Whether ``claimant`` is ``code`` itself or its (transitive, only) successor on that day."""
        ...


class Registry(Protocol):
    """The durable state. Each method is one transaction (or one read); batches are many documents in one commit.

    All methods are synchronous and run in the one writer thread of a worker (``registry.group``) or in a tool.
    Errors: ``RegistryError`` REGISTRY-BUSY (retry mends it) or REGISTRY-UNUSABLE.
    """

    def claim(self, claims: Sequence[Claim], worker: str, now: datetime) -> list[ClaimResult]:
        """T1. ``worker`` is the lease owner (one per process start). One answer per claim, in order."""
        ...

    def settle(self, settlements: Sequence[Settlement], worker: str, now: datetime) -> list[Settled]:
        """T2. Conditional on the lease for rows of documents; releases it."""
        ...

    def heartbeat(self, worker: str, now: datetime) -> None:
        """Keep the leases of ``worker`` alive."""
        ...

    def release(self, worker: str) -> None:
        """Give all leases of a worker back at a clean stop."""
        ...

    def abandon(self, rows: Sequence[int], worker: str) -> None:
        """Give the leases of these documents back unsettled; the next claim (also by ``worker``) resumes them."""
        ...

    def refusal_receipts(self, user: str, transport_id: str, body_sha256: str) -> list[SignedReceipt]:
        """Return the stored receipts of an unproven submission, so that its repetition gets the same bytes."""
        ...

    def refused(self, transport_id: str) -> list[SignedReceipt]:
        """Return the refusals of unproven submissions under a transport id, oldest first."""
        ...

    def notices(self, transport_id: str) -> list[SignedReceipt]:
        """Return the ``held`` notices about what came, or was delivered, under a transport id, oldest first."""
        ...

    def stored(self, numbers: Sequence[str]) -> set[str]:
        """Return those of the receipts' numbers that are stored (after ``Settled.PARTLY``)."""
        ...

    def published(self, numbers: Sequence[str], now: datetime) -> None:
        """Note that these receipts were confirmed by the broker."""
        ...

    def unpublished(self, before: datetime, limit: int, without: Collection[str] = ()) -> list[SignedReceipt]:
        """Return receipts stored before ``before`` that no confirm is known for, oldest first, but those to ``without``."""
        ...

    def unpublished_count(self, before: datetime) -> int:
        """Return how many receipts stored before ``before`` no confirm is known for."""
        ...

    def last_receipt_number(self, prefix: str) -> int:
        """Return the highest N of the numbers ``<prefix>-<N>``; 0 if none."""
        ...

    def candidates(self, query: StatusQuery) -> list[Candidate]:
        """Return the documents that a status may mean, by the resolution order of the format."""
        ...

    def knows(self, query: StatusQuery) -> bool:
        """Whether a document with that document id exists that the addressee sent or got, whoever the reporter is."""
        ...

    def meant(self, row: int) -> list[Mention]:
        """Return the documents that a revocation, update or replacement names, each with the submissions of the same
        sender that it can mean; empty for every other document."""
        ...

    def document(self, row: int) -> Document | None:
        """Return one document by its row id."""
        ...

    def find(self, transport_id: str, sender: str | None = None) -> list[Document]:
        """Return the documents of a transport id (several senders may use the same one)."""
        ...

    def named(
        self,
        codes: Sequence[str],
        document_ids: Sequence[str],
        sender: str | None = None,
        dates: Sequence[str] = (),
        limit: int = 100,
    ) -> list[Document]:
        """Return the documents (no statuses) that have one of these numbers and one of these document ids, newest first.

        Args:
            codes: ``number/notation`` in the spellings to look for; none: whatever the number. One of the two is given.
            document_ids: the same for document ids.
            sender: normal code of the sender; None: whoever sent it.
            dates: of promulgation, in the spellings to look for; none: whatever the day.
            limit: at most so many.
        """
        ...

    def aliases(self, row: int) -> list[Document]:
        """Return the other submissions of the same bytes (SAME-CONTENT), which get later outcomes too."""
        ...

    def story(self, row: int) -> list[TrackEvent]:
        """Return the timeline of a document."""
        ...

    def receipts(self, row: int) -> list[SignedReceipt]:
        """Return every stored receipt of a document, oldest first."""
        ...

    # keeper
    def overdue(self, now: datetime, limit: int) -> list[Document]:
        """Return documents with an open or queued delivery past its deadline that was not yet told."""
        ...

    def lost(self, due_before: datetime, claimed_before: datetime, limit: int) -> list[Document]:
        """Return documents whose deferral was due before ``due_before``, or that were claimed before
        ``claimed_before`` and never settled, by no live worker; and those marked by ``lose_broker``; not yet told."""
        ...

    def expired(self, accepted_before: datetime, limit: int) -> list[Document]:
        """Return documents with a delivery still planned that were accepted before that time (give-up)."""
        ...

    def unfinished_outcomes(self, limit: int) -> list[Document]:
        """Return settled documents all of whose deliveries have ended but that lack their final outcome, and other
        submissions of the same bytes (``same_content_as``) that lack it though the first one has it."""
        ...

    def notice(self, settlement: Settlement, now: datetime) -> bool:
        """Commit a keeper's settlement without a lease: moves that the table allows, receipts, told marks.
        Returns False (and changes nothing) if a live worker holds the document."""
        ...

    def lease(self, name: str, holder: str, now: datetime, seconds: float) -> bool:
        """Take or renew a named lease (the keeper's)."""
        ...

    def broker_epoch(self) -> tuple[str, bool] | None:
        """Return the id of the broker's data as we know them and whether it was declared there; None at first."""
        ...

    def new_broker_epoch(self, epoch: str, previous: str | None, now: datetime) -> bool:
        """Replace the epoch if it still is ``previous``. When there was one, every open and every queued delivery of a
        document goes back to planned and is marked as lost. False if somebody else was first."""
        ...

    def epoch_declared(self, epoch: str) -> None:
        """Note that the epoch's mark stands in the broker."""
        ...

    def hold(self, entry: HeldEntry, receipts: Sequence[NewReceipt]) -> bool:
        """Note a quarantined message and its ``held`` receipts. False if it was noted before."""
        ...

    def held(self) -> list[HeldEntry]:
        """Return what is noted as held and not released."""
        ...

    def held_count(self) -> int:
        """Return how many are held and not released."""
        ...

    def released(self, held_id: str, now: datetime) -> None:
        """Note a release or drop."""
        ...

    def tell_inspection(
        self, row: int, result: InspectionResult, receipts: Sequence[NewReceipt], now: datetime
    ) -> bool:
        """Store what was found in a document's attachments and the receipts that tell it, in one commit. False, and
        nothing stored, if it was told before."""
        ...

    def inspected(self, row: int) -> InspectionResult | None:
        """Return what was found in a document's attachments; None before it is known."""
        ...

    def oldest_unsettled(self) -> datetime | None:
        """Return accepted-at of the oldest document claimed and not settled."""
        ...

    @property
    def evidence(self) -> EvidenceStore:
        """The log as it is stored: records, batches, heads, what others say of them."""
        ...

    # tools
    def note_act(self, act: Act) -> None:
        """Add an audit row; durable when this returns."""
        ...

    def acts(self, subject: str | None = None, limit: int = 100) -> tuple[Act, ...]:
        """Return audit rows of one subject, or all, newest first."""
        ...

    def oldest_unfinished(self) -> Mapping[str, datetime]:
        """Return, by lane, accepted-at of the oldest document that is not settled or has a delivery that is planned;
        no entry for a lane without one. Bounded work; off the hot path."""
        ...

    def standing(self, row: int, now: datetime) -> Standing | None:
        """Return how a submission stands just now: lease, deliveries, receipts; None for an unknown row."""
        ...

    def loose_receipts(self, transport_id: str) -> list[ReceiptStanding]:
        """Return receipts about a transport id that belong to no document: refusals of unproven ones, notices."""
        ...

    def held_one(self, held_id: str) -> HeldStanding | None:
        """Return one message that is or was in quarantine."""
        ...

    def held_about(self, transport_ids: Sequence[str]) -> list[HeldStanding]:
        """Return what is or was in quarantine under these transport ids, oldest first."""
        ...

    def shape(self, by: ShapeBy, bounds: Sequence[datetime], now: datetime) -> Shape:
        """Count what is unfinished by key and age; ``bounds`` from the youngest on. The database counts."""
        ...

    def answers(self, code: str) -> tuple[datetime | None, datetime | None]:
        """Return when the last status of an agency was accepted, and since when its oldest unanswered delivery waits."""
        ...

    def decide_drop(self, drop: Drop, act: Act) -> None:
        """Note the decision to drop a held message, with its audit row; the keeper tells it."""
        ...

    def untold_drops(self, limit: int) -> list[tuple[HeldEntry, Drop]]:
        """Return decisions that nobody was told of, oldest first."""
        ...

    def end_dropped(self, held_id: str, settlement: Settlement, now: datetime) -> bool:
        """End what was dropped and store what is told, in one commit. False: something has moved, decide again."""
        ...

    def mark_lost(self, row: int, delivery_ids: Sequence[str], now: datetime) -> int:
        """Mark planned or queued deliveries of a document as lost; the keeper tells the sender BODY-LOST.

        Returns how many; none while a live worker has the document in hand, and none that was marked before.
        """
        ...

    def enroll(self, process: Enrolled) -> None:
        """Write a starting process down."""
        ...

    def leave(self, owner: str) -> None:
        """Take a process off that ends."""
        ...

    def enrolled(self) -> list[Enrolled]:
        """Return the processes that are written down, workers first; one that was killed stays for a while."""
        ...

    def in_hand(self, owner: str) -> int:
        """Return how many documents a process has claimed and not settled."""
        ...

    def close(self) -> None:
        """Close connections."""
        ...


class Publisher(Protocol):
    """Confirmed publishing. Bounded in count and bytes; waits for room."""

    def submit(self, message: Outgoing) -> Future[Published]:
        """Publish, mandatory, as soon as there is room; the future tells how it ended within the time limit and never
        holds an exception for broker trouble."""
        ...

    async def publish(self, message: Outgoing) -> Published:
        """``submit`` and wait."""
        ...


class MessageSource(Protocol):
    """Consuming with single acknowledgements."""

    def ack(self, message: Incoming) -> None:
        """Acknowledge one message; ignored if its session is gone (the broker will redeliver)."""
        ...

    def requeue(self, message: Incoming) -> None:
        """Give one back untouched (shutting down)."""
        ...


class BrokerLink(Publisher, MessageSource, Protocol):
    """Both ends of a worker's two connections, with reconnection inside."""

    async def start(self, on_message: Callable[[Lane, Incoming], None], prefetch: dict[Lane, int]) -> None:
        """Connect both connections, check passively that queues exist, consume. Reconnects until ``stop``."""
        ...

    async def stop(self) -> None:
        """Cancel consumers and close."""
        ...

    async def cancel(self) -> None:
        """Stop taking; what is in hand may still be settled."""
        ...

    async def pause(self) -> None:
        """Take nothing more until ``resume``, over new connections too; what is in hand may still be settled."""
        ...

    async def give_back(self) -> None:
        """While paused: give back whatever is in hand. Its session is gone then."""
        ...

    async def resume(self) -> None:
        """Take again after ``pause``."""
        ...

    def current(self, message: Incoming) -> bool:
        """Whether the session that delivered the message still lives, so that it can be acknowledged."""
        ...

    async def wait_connected(self) -> None:
        """Return once both connections are up."""
        ...

    @property
    def connected(self) -> bool:
        """Whether both connections are up."""
        ...

    @property
    def consuming(self) -> bool:
        """Whether all consumers are registered."""
        ...

    @property
    def blocked(self) -> bool:
        """Whether the broker has blocked the publishing connection."""
        ...

    async def renew(self) -> None:
        """Drop both connections and connect anew (a consumer that stalls)."""
        ...

    async def mark_stands(self, mark: str) -> bool:
        """Whether the exchange of that name exists (passive declare)."""
        ...

    async def set_mark(self, mark: str) -> None:
        """Declare the epoch's mark."""
        ...

    on_connected: Callable[[], Awaitable[None]] | None
    """Awaited after each (re)connection of the publishing side and before consuming starts."""


class ReceiptSigner(Protocol):
    """Signs a receipt's canonical bytes."""

    def seal(self, unsigned: bytes) -> bytes:
        """Return the receipt with its enveloped signature as last child of the root."""
        ...


__all__ = [
    "BrokerLink",
    "Clock",
    "Code",
    "Directory",
    "MessageSource",
    "PackageFormat",
    "Publisher",
    "ReceiptSigner",
    "Registry",
    "Verifier",
]
