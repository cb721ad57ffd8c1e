"""The registry on SQLAlchemy Core: one transaction around each method of the port."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, bindparam, delete, update
from sqlalchemy.exc import SQLAlchemyError

from relay.errors import RegistryError
from relay.model.audit import Act
from relay.model.inspection import InspectionResult
from relay.model.keeping import Chronicler
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
from relay.model.standing import (
    Drop,
    Enrolled,
    HeldStanding,
    ReceiptStanding,
    Shape,
    ShapeBy,
    Standing,
)
from relay.registry import acts, dialect, inspections, keeper, looks, operator, queries, schema
from relay.registry.claims import beat, claim_batch, live_owners
from relay.registry.evidence import SqlEvidence
from relay.registry.files import make_own
from relay.registry.journal import Chronicle, Journal
from relay.registry.ledger import SqlLedger
from relay.registry.many import Many
from relay.registry.rows import from_us, to_us
from relay.registry.settle import notice, settle_batch
from relay.registry.turn import Turn

T = TypeVar("T")
C = TypeVar("C")

_PUBLISHED = Many(
    update(schema.receipts)
    .where(
        schema.receipts.c.series == bindparam("which"),
        schema.receipts.c.serial == bindparam("number"),
        schema.receipts.c.published_at.is_(None),
    )
    .values(published_at=bindparam("now"))
)
_ABANDONED = Many(
    update(schema.documents)
    .where(schema.documents.c.id == bindparam("row"), schema.documents.c.lease_owner == bindparam("owner"))
    .values(lease_owner=None)
)


class SqlRegistry:
    """``relay.model.ports.Registry`` on SQLite or PostgreSQL. Safe to use from several threads.

    Args:
        url: as SQLAlchemy writes it; ``sqlite://`` lives in memory and dies with this object.
        lease_seconds: a worker that was silent for longer has lost its leases.
        busy_timeout: seconds that one transaction waits for another writer.
        chronicler: who puts on record what this object commits; without one nothing is put on record.

    Raises:
        RegistryError: REGISTRY-UNUSABLE (not ours, another version, not to be opened) or REGISTRY-BUSY.
    """

    def __init__(
        self,
        url: str,
        lease_seconds: float = 10.0,
        busy_timeout: float = dialect.BUSY_TIMEOUT,
        *,
        chronicler: Chronicler | None = None,
    ) -> None:
        self._chronicle = None if chronicler is None else Chronicle(chronicler)
        self._engine = dialect.open_engine(url, busy_timeout)
        self._writer = self._engine.execution_options(**{dialect.WRITE: True})
        self._lease = int(lease_seconds * 1_000_000)
        self._lease_seconds = lease_seconds
        # In memory there is one connection, hence one transaction at a time, for all threads.
        self._turn = threading.RLock() if dialect.in_memory(url) else nullcontext()
        file = dialect.file_of(url)
        if file is not None:
            make_own(file)
        self._writers = nullcontext() if file is None else Turn(f"{file}-turn", busy_timeout)
        try:
            with self._write() as connection:
                schema.create_or_check(connection)
        except RegistryError:
            self._engine.dispose()
            raise

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        try:
            with self._turn, self._writers, self._writer.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise dialect.as_registry_error(error) from error

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        try:
            with self._turn, self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise dialect.as_registry_error(error) from error

    @contextmanager
    def _record(self) -> Iterator[tuple[Connection, Journal]]:
        """A transaction that puts on record what is noted in it."""
        with self._chain() as journal, self._write() as connection:
            yield connection, journal
            self._flush(connection, journal)

    def _chain(self) -> AbstractContextManager[Journal]:
        return nullcontext(Journal()) if self._chronicle is None else self._chronicle.turn()

    def _flush(self, connection: Connection, journal: Journal, *, look: bool = False) -> None:
        if self._chronicle is not None:
            self._chronicle.flush(connection, journal, look=look)

    @property
    def evidence(self) -> SqlEvidence:
        """The log, as it is stored."""
        return SqlEvidence(self._read, self._write, self._record)

    @property
    def ledger(self) -> SqlLedger:
        """What has to be on record, to be held against the log."""
        return SqlLedger(self._read)

    # the hot path

    def commit(
        self,
        settlements: Sequence[Settlement],
        claims: Sequence[Claim],
        published: Sequence[str],
        worker: str,
        now: datetime,
        heartbeat: bool = True,
    ) -> tuple[list[Settled | RegistryError], list[ClaimResult | RegistryError]]:
        """Commit a group: settlements, then claims, then publishes noted, in one transaction.

        An item that breaks a key of the database gets the error as its answer and leaves the others alone.

        Raises:
            RegistryError: nothing was committed.
        """
        try:
            with (
                self._chain() as journal,
                self._turn,
                self._writers,
                self._writer.begin() as connection,
            ):
                self._head(connection, published, worker, to_us(now), heartbeat)
                settled = settle_batch(connection, settlements, worker, journal)
                claimed = claim_batch(connection, claims, worker, now, self._lease_seconds, journal)
                self._flush(connection, journal, look=heartbeat)
            return list(settled), list(claimed)
        except SQLAlchemyError as error:
            if not dialect.is_integrity(error):
                raise dialect.as_registry_error(error) from error
        return self._commit_one_by_one(settlements, claims, published, worker, now, heartbeat)

    def _commit_one_by_one(
        self,
        settlements: Sequence[Settlement],
        claims: Sequence[Claim],
        published: Sequence[str],
        worker: str,
        now: datetime,
        heartbeat: bool,
    ) -> tuple[list[Settled | RegistryError], list[ClaimResult | RegistryError]]:
        with self._record() as (connection, journal):
            self._head(connection, published, worker, to_us(now), heartbeat)
            settled: list[Settled | RegistryError] = [
                _apart(connection, journal, partial(settle_batch, connection, [item], worker, journal))
                for item in settlements
            ]
            seconds = self._lease_seconds
            claimed: list[ClaimResult | RegistryError] = [
                _apart(
                    connection,
                    journal,
                    partial(claim_batch, connection, [item], worker, now, seconds, journal),
                )
                for item in claims
            ]
        return settled, claimed

    def _head(
        self, connection: Connection, published: Sequence[str], worker: str, now: int, heartbeat: bool
    ) -> None:
        if heartbeat:
            beat(connection, worker, now)
        if published:
            rows = [
                {"which": series, "number": serial, "now": now}
                for series, serial in queries.numbers_of(published)
            ]
            _PUBLISHED(connection, rows)

    def claim(self, claims: Sequence[Claim], worker: str, now: datetime) -> list[ClaimResult]:
        """T1. A claim that breaks a key raises, after the others were committed."""
        return _all_good(self.commit((), claims, (), worker, now)[1])

    def settle(self, settlements: Sequence[Settlement], worker: str, now: datetime) -> list[Settled]:
        """T2. A settlement that breaks a key raises, after the others were committed."""
        return _all_good(self.commit(settlements, (), (), worker, now, heartbeat=False)[0])

    def heartbeat(self, worker: str, now: datetime) -> None:
        """Keep the leases of ``worker`` alive."""
        with self._write() as connection:
            beat(connection, worker, to_us(now))

    def release(self, worker: str) -> None:
        """Give all leases of a worker back: without a heartbeat on record they bind nobody."""
        with self._write() as connection:
            connection.execute(delete(schema.workers).where(schema.workers.c.worker == worker))

    def abandon(self, rows: Sequence[int], worker: str) -> None:
        """Give the leases of these documents back unsettled: the next claim resumes them, also this worker's own."""
        with self._write() as connection:
            _ABANDONED(connection, [{"row": row, "owner": worker} for row in rows])

    def published(self, numbers: Sequence[str], now: datetime) -> None:
        """Note that these receipts were confirmed by the broker; the first time stands."""
        with self._write() as connection:
            self._head(connection, numbers, "", to_us(now), heartbeat=False)

    # reading

    def _ask(self, question: Callable[[Connection], T]) -> T:
        with self._read() as connection:
            return question(connection)

    def refusal_receipts(self, user: str, transport_id: str, body_sha256: str) -> list[SignedReceipt]:
        """Return the stored receipts of an unproven submission."""
        return self._ask(
            lambda connection: queries.refusal_receipts(connection, user, transport_id, body_sha256)
        )

    def refused(self, transport_id: str) -> list[SignedReceipt]:
        """Return the refusals of unproven submissions under a transport id, oldest first."""
        return self._ask(lambda connection: queries.refused(connection, transport_id))

    def notices(self, transport_id: str) -> list[SignedReceipt]:
        """Return the ``held`` notices about what came, or was delivered, under a transport id, oldest first."""
        return self._ask(lambda connection: queries.notices(connection, transport_id))

    def stored(self, numbers: Sequence[str]) -> set[str]:
        """Return those of the numbers that are stored."""
        return self._ask(lambda connection: queries.stored(connection, numbers))

    def unpublished(self, before: datetime, limit: int, without: Collection[str] = ()) -> list[SignedReceipt]:
        """Return receipts stored before ``before`` without a known confirm, oldest first, but those to ``without``."""
        return self._ask(lambda connection: queries.unpublished(connection, to_us(before), limit, without))

    def unpublished_count(self, before: datetime) -> int:
        """Return how many receipts stored before ``before`` have no known confirm."""
        return self._ask(lambda connection: queries.unpublished_count(connection, to_us(before)))

    def last_receipt_number(self, prefix: str) -> int:
        """Return the highest N of ``<prefix>-<N>``; 0 if none."""
        return self._ask(lambda connection: queries.last_receipt_number(connection, prefix))

    def candidates(self, query: StatusQuery) -> list[Candidate]:
        """Return the documents that a status may mean. ``Candidate.statuses`` holds the accepted ones."""
        return self._ask(lambda connection: queries.candidates(connection, query, self._lease))

    def knows(self, query: StatusQuery) -> bool:
        """Whether the document exists between the addressee and somebody."""
        return self._ask(lambda connection: queries.knows(connection, query))

    def meant(self, row: int) -> list[Mention]:
        """Return what a revocation, update or replacement names, and what that can mean."""
        return self._ask(lambda connection: queries.meant(connection, row))

    def document(self, row: int) -> Document | None:
        """Return one document by its row id."""
        return self._ask(lambda connection: queries.document(connection, row))

    def find(self, transport_id: str, sender: str | None = None) -> list[Document]:
        """Return the documents of a transport id."""
        return self._ask(lambda connection: queries.find(connection, transport_id, sender))

    def named(
        self,
        codes: Sequence[str],
        document_ids: Sequence[str],
        sender: str | None = None,
        dates: Sequence[str] = (),
        limit: int = 100,
    ) -> list[Document]:
        """Return the documents of one of these numbers or document ids, newest first."""
        return self._ask(
            lambda connection: queries.named(connection, codes, document_ids, sender, dates, limit)
        )

    def aliases(self, row: int) -> list[Document]:
        """Return the other submissions of the same bytes."""
        return self._ask(lambda connection: queries.aliases(connection, row))

    def story(self, row: int) -> list[TrackEvent]:
        """Return the timeline of a document."""
        return self._ask(lambda connection: queries.story(connection, row))

    def receipts(self, row: int) -> list[SignedReceipt]:
        """Return every stored receipt of a document, oldest first."""
        return self._ask(lambda connection: queries.receipts_of(connection, row))

    def oldest_unsettled(self) -> datetime | None:
        """Return accepted-at of the oldest document claimed and not settled."""
        oldest = self._ask(queries.oldest_unsettled)
        return None if oldest is None else from_us(oldest)

    def oldest_unfinished(self) -> dict[str, datetime]:
        """Return, by lane, accepted-at of the oldest document by which the relay still has something to do."""
        return {lane: from_us(at) for lane, at in self._ask(queries.oldest_unfinished).items()}

    # the keeper

    def overdue(self, now: datetime, limit: int) -> list[Document]:
        """Return documents with a delivery past its deadline, neither ended nor told."""
        return self._ask(lambda connection: keeper.overdue(connection, to_us(now), limit))

    def lost(self, due_before: datetime, claimed_before: datetime, limit: int) -> list[Document]:
        """Return documents that the broker seems to have lost, not yet told."""
        return self._ask(
            lambda connection: keeper.lost(connection, to_us(due_before), to_us(claimed_before), limit)
        )

    def expired(self, accepted_before: datetime, limit: int) -> list[Document]:
        """Return documents accepted before that time with a delivery still planned."""
        return self._ask(lambda connection: keeper.expired(connection, to_us(accepted_before), limit))

    def unfinished_outcomes(self, limit: int) -> list[Document]:
        """Return settled documents all of whose deliveries ended, without their final outcome."""
        return self._ask(lambda connection: keeper.unfinished_outcomes(connection, limit))

    def notice(self, settlement: Settlement, now: datetime) -> bool:
        """Commit a keeper's settlement, all of it or (False) nothing: when a live worker holds the document, or a
        move, a telling or the final outcome has come too late."""
        with self._record() as (connection, journal):
            return notice(
                connection,
                settlement,
                lambda owner: bool(live_owners(connection, [owner], to_us(now), self._lease)),
                journal,
            )

    def lease(self, name: str, holder: str, now: datetime, seconds: float) -> bool:
        """Take or renew a named lease."""
        with self._write() as connection:
            return keeper.take_lease(connection, name, holder, to_us(now), int(seconds * 1_000_000))

    def broker_epoch(self) -> tuple[str, bool] | None:
        """Return the known epoch of the broker's data and whether its mark was declared."""
        return self._ask(keeper.broker_epoch)

    def new_broker_epoch(self, epoch: str, previous: str | None, now: datetime) -> bool:
        """Replace the epoch; what stood in queues is lost, and leases of workers that published there end."""
        with self._record() as (connection, journal):
            return keeper.new_epoch(connection, epoch, previous, to_us(now), journal)

    def epoch_declared(self, epoch: str) -> None:
        """Note that the epoch's mark stands in the broker."""
        with self._write() as connection:
            keeper.epoch_declared(connection, epoch)

    def hold(self, entry: HeldEntry, receipts: Sequence[NewReceipt]) -> bool:
        """Note a quarantined message and its notices. False if it is held already."""
        with self._record() as (connection, journal):
            return keeper.hold(connection, entry, receipts, journal)

    def held(self) -> list[HeldEntry]:
        """Return what is held and not released."""
        return self._ask(keeper.held_entries)

    def held_count(self) -> int:
        """Return how many are held and not released."""
        return self._ask(looks.held_count)

    def released(self, held_id: str, now: datetime) -> None:
        """Note a release or drop."""
        with self._record() as (connection, journal):
            keeper.released(connection, held_id, to_us(now), journal)

    def tell_inspection(
        self, row: int, result: InspectionResult, receipts: Sequence[NewReceipt], now: datetime
    ) -> bool:
        """Store what was found in a document's attachments, and the receipts that tell it. False if it was told."""
        with self._record() as (connection, journal):
            return inspections.tell(connection, row, result, receipts, to_us(now), journal)

    def inspected(self, row: int) -> InspectionResult | None:
        """Return what was found in a document's attachments; None before it is known."""
        return self._ask(lambda connection: inspections.result_of(connection, row))

    # tools

    def note_act(self, act: Act) -> None:
        """Add an audit row; durable when this returns."""
        with self._record() as (connection, journal):
            acts.note(connection, act, journal)

    def acts(self, subject: str | None = None, limit: int = 100) -> tuple[Act, ...]:
        """Return audit rows of one subject, or all, newest first."""
        return self._ask(lambda connection: acts.latest(connection, subject, limit))

    def standing(self, row: int, now: datetime) -> Standing | None:
        """Return how a submission stands just now."""
        return self._ask(lambda connection: looks.standing(connection, row, to_us(now), self._lease))

    def loose_receipts(self, transport_id: str) -> list[ReceiptStanding]:
        """Return receipts about a transport id that belong to no document."""
        return self._ask(lambda connection: looks.loose_receipts(connection, transport_id))

    def held_one(self, held_id: str) -> HeldStanding | None:
        """Return one message that is or was in quarantine."""
        return self._ask(lambda connection: looks.held_one(connection, held_id))

    def held_about(self, transport_ids: Sequence[str]) -> list[HeldStanding]:
        """Return what is or was in quarantine under these transport ids, oldest first."""
        return self._ask(lambda connection: looks.held_about(connection, transport_ids))

    def shape(self, by: ShapeBy, bounds: Sequence[datetime], now: datetime) -> Shape:
        """Count what is unfinished by key and age."""
        times = [to_us(bound) for bound in bounds]
        return self._ask(lambda connection: looks.shape(connection, by, times, to_us(now)))

    def answers(self, code: str) -> tuple[datetime | None, datetime | None]:
        """Return when an agency last answered, and since when its oldest unanswered delivery waits."""
        return self._ask(lambda connection: looks.answers(connection, code))

    def decide_drop(self, drop: Drop, act: Act) -> None:
        """Note the decision to drop a held message, with its audit row."""
        with self._record() as (connection, journal):
            acts.note(connection, act, journal)
            operator.decide_drop(connection, drop, journal)

    def untold_drops(self, limit: int) -> list[tuple[HeldEntry, Drop]]:
        """Return decisions that nobody was told of, oldest first."""
        return self._ask(lambda connection: operator.untold_drops(connection, limit))

    def end_dropped(self, held_id: str, settlement: Settlement, now: datetime) -> bool:
        """End what was dropped and store what is told, in one commit."""
        with self._record() as (connection, journal):
            return operator.end_dropped(
                connection, held_id, settlement, to_us(now), self._live(connection, now), journal
            )

    def mark_lost(self, row: int, delivery_ids: Sequence[str], now: datetime) -> int:
        """Mark planned or queued deliveries of a document as lost."""
        with self._record() as (connection, journal):
            live = self._live(connection, now)
            return operator.mark_lost(connection, row, delivery_ids, to_us(now), live, journal)

    def _live(self, connection: Connection, now: datetime) -> Callable[[str | None], bool]:
        return lambda owner: bool(live_owners(connection, [owner], to_us(now), self._lease))

    def enroll(self, process: Enrolled) -> None:
        """Write a starting process down."""
        with self._write() as connection:
            operator.enroll(connection, process, to_us(process.since))

    def leave(self, owner: str) -> None:
        """Take a process off that ends."""
        with self._write() as connection:
            operator.leave(connection, owner)

    def enrolled(self) -> list[Enrolled]:
        """Return the processes that are written down."""
        return self._ask(looks.enrolled)

    def in_hand(self, owner: str) -> int:
        """Return how many documents a process has claimed and not settled."""
        return self._ask(lambda connection: looks.in_hand(connection, owner))

    def close(self) -> None:
        """End the chain of this process, if it has one, and close connections. May be called twice.

        Whoever still commits afterwards gets REGISTRY-UNUSABLE: it could not be put on record.
        """
        if self._chronicle is not None:
            if self._chronicle.begun:
                with (
                    suppress(RegistryError),
                    self._record() as (connection, _),
                ):  # its end is told without it too
                    self._chronicle.end(connection, "closed")
            self._chronicle.close()
        self._engine.dispose()
        if isinstance(self._writers, Turn):
            self._writers.close()


def _apart(connection: Connection, journal: Journal, work: Callable[[], Sequence[C]]) -> C | RegistryError:
    """Do one item in a savepoint of its own."""
    try:
        with journal.savepoint(), connection.begin_nested():
            return work()[0]
    except SQLAlchemyError as error:
        if not dialect.is_integrity(error):
            raise
        return dialect.as_registry_error(error)


def _all_good(answers: Sequence[C | RegistryError]) -> list[C]:
    good: list[C] = []
    for answer in answers:
        if isinstance(answer, RegistryError):
            raise answer
        good.append(answer)
    return good
