"""What a gateway does: send confirmed, receive with every check, answer 01 from an outbox, keep receipts.

The order on arrival: check, store document and 01 in one commit, acknowledge, publish the 01. A crash between any two
of these leaves something that the next run completes: the broker redelivers what was not acknowledged, the mailbox
knows what was stored, and a 01 keeps its transport id over retries, so that the relay counts it once.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from adapters.gateway.checks import check
from adapters.gateway.ports import (
    Arrived,
    Link,
    OutState,
    ReceiptReader,
    StatusDraft,
    StatusWriter,
    StoredReceipt,
    Submission,
    Taken,
)
from adapters.gateway.store import Mailbox
from relay.broker import names
from relay.errors import BrokerError, Code, OperationError, TrucError
from relay.model.envelope import StatusCode
from relay.model.message import Incoming, Kind, Lane, Outgoing, Published
from relay.model.ports import Clock, Directory, PackageFormat, Verifier
from relay.model.receipt import ReceiptKind
from relay.model.times import rfc3339

log = logging.getLogger("truc.gateway")

PREFETCH: Final = 32
RESUBMIT_AFTER: Final = timedelta(minutes=10)
"""A document without any receipt is sent again after this time: same id, same bytes (the broker contract)."""
RESUBMIT_FOR: Final = timedelta(days=7)

_PAUSES: Final = (0.2, 1.0)
_SLICE: Final = 1.0
_ANSWERS: Final = frozenset({ReceiptKind.ACKNOWLEDGEMENT.value, ReceiptKind.HELD.value})


@dataclass(frozen=True, slots=True)
class Account:
    """In whose name a gateway speaks and which mail it reads."""

    agency: str  # normal code: sender of what we send
    gateway: str  # normal code: broker user, and owner of the mailbox
    queues: tuple[str, ...]  # the agency's own first; the gateway's too, where receipts of the unproven go

    @classmethod
    def of(cls, code: str, directory: Directory) -> Account:
        """Return the account of a normal code by the directory.

        Raises:
            OperationError: NOT-FOUND: the directory does not know it, or no gateway serves it.
        """
        agency = directory.agency(code)
        if agency is None:
            raise OperationError(Code.NOT_FOUND, f"the directory has no agency {code}")
        gateway = agency.gateway or (code if agency.own_queue else None)
        if gateway is None:
            raise OperationError(Code.NOT_FOUND, f"no gateway serves {code}")
        own = (names.agency_queue(code),) if agency.own_queue else ()
        return cls(code, gateway, tuple(dict.fromkeys((*own, names.agency_queue(gateway)))))

    def serves(self, code: str, directory: Directory) -> bool:
        """Whether mail for a code may stand in the queues of this gateway."""
        if code in {self.agency, self.gateway}:
            return True
        agency = directory.agency(code)
        return agency is not None and agency.gateway == self.gateway


class Gateway:
    """One agency's connection point. Not for several threads; several processes share a mailbox by its lock."""

    def __init__(
        self,
        account: Account,
        *,
        link: Link,
        mailbox: Mailbox,
        directory: Directory,
        verifier: Verifier,
        package_format: PackageFormat,
        read_receipt: ReceiptReader,
        write_status: StatusWriter,
        clock: Clock,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.account = account
        self.mailbox = mailbox
        self._link = link
        self._directory = directory
        self._verifier = verifier
        self._format = package_format
        self._read_receipt = read_receipt
        self._write_status = write_status
        self._clock = clock
        self._new_id = new_id
        self._sleep = sleep

    def close(self) -> None:
        """Close the link and the mailbox."""
        self._link.close()
        self.mailbox.close()

    # sending

    def send(
        self,
        body: bytes,
        kind: Kind,
        lane: Lane,
        transport_id: str | None = None,
        *,
        deadline: datetime | None = None,
        correlation_id: str | None = None,
    ) -> Submission:
        """Keep a signed package, publish it confirmed, and return it as it stands then.

        The bytes go as they are. With the id of an earlier submission it is that one's repetition; other bytes under
        a known id are sent too, and the relay answers them. What the broker did not confirm after a few tries stays in
        the outbox (``state`` WAITING) and goes with the next run, same id, same bytes.

        Raises:
            BrokerError: the broker cannot be reached, or refuses for good (then the outbox drops it).
            RegistryError: the mailbox cannot store it; nothing was sent.
        """
        item = Submission(
            transport_id=transport_id or self._new_id(),
            agency=self.account.agency,
            kind=kind,
            lane=lane.value,
            body=body,
            created_at=self._clock.now(),
            correlation_id=correlation_id,
            deadline=deadline,
        )
        kept = self.mailbox.add_submission(item)
        return self._push(item, known=kept.body == body)

    def publish_outbox(self) -> int:
        """Publish what waits in the outbox, oldest first; stop at the first that finds no broker. Returns how many."""
        count = 0
        for item in self.mailbox.waiting():
            try:
                count += self._push(item, pauses=()).state is OutState.CONFIRMED
            except BrokerError as error:
                if error.code is not Code.PUBLISH_REFUSED:
                    raise
                log.warning(
                    "outbox.refused", extra={"transport_id": item.transport_id, "code": error.code.value}
                )
        return count

    def resubmit(self) -> int:
        """Send documents again that were confirmed and that no receipt has answered in time. Returns how many."""
        now = self._clock.now()
        items = self.mailbox.unanswered(now - RESUBMIT_AFTER, now - RESUBMIT_FOR)
        return sum(self._push(item, pauses=()).state is OutState.CONFIRMED for item in items)

    def _push(
        self, item: Submission, *, known: bool = True, pauses: tuple[float, ...] = _PAUSES
    ) -> Submission:
        state = self._try(item, known=known)
        for pause in pauses:
            if state is OutState.CONFIRMED:
                break
            self._sleep(pause)
            state = self._try(item, known=known)
        return replace(item, state=state)

    def _try(self, item: Submission, *, known: bool) -> OutState:
        """Publish once. ``known``: these are the bytes that the outbox keeps."""
        try:
            result = self._link.publish(self._outgoing(item))
        except BrokerError as error:
            if known and error.code is Code.PUBLISH_REFUSED:
                self.mailbox.tried(item, OutState.REFUSED, self._clock.now())
            raise
        state = OutState.CONFIRMED if result is Published.CONFIRMED else OutState.WAITING
        if state is OutState.WAITING:
            log.warning(
                "publish.unconfirmed", extra={"transport_id": item.transport_id, "result": result.value}
            )
        if known:
            self.mailbox.tried(item, state, self._clock.now())
        return state

    def _outgoing(self, item: Submission) -> Outgoing:
        headers = {names.H_DEADLINE: rfc3339(item.deadline)} if item.deadline else {}
        return Outgoing(
            exchange=names.INGRESS,
            routing_key=names.ingress_key(Lane(item.lane), item.agency),
            body=item.body,
            message_id=item.transport_id,
            type=item.kind.value,
            content_type=self._format.content_type,
            correlation_id=item.correlation_id,
            headers=headers,
            as_self=True,
        )

    # statuses

    def reply(
        self, transport_id: str, code: StatusCode, reason: str = "", sender: str | None = None
    ) -> Submission:
        """Send a recipient's status about a document in the mailbox.

        Raises:
            OperationError: NOT-FOUND: no such document; several senders used the id and ``sender`` is not given.
        """
        found = self.mailbox.documents(self.account.agency, transport_id)
        if sender is not None:
            found = [item for item in found if item.sender == sender]
        if len(found) != 1:
            several = ", ".join(item.sender for item in found)
            raise OperationError(
                Code.NOT_FOUND, f"several senders used this id: {several}" if found else transport_id
            )
        answer = self._status_about(found[0], code, reason)
        return self.send(
            answer.body, Kind.STATUS, Lane.STATUS, answer.transport_id, correlation_id=transport_id
        )

    def take_back(self, draft: StatusDraft, transport_id: str) -> Submission:
        """Send the sender's 13 for one recipient of its document ``transport_id``."""
        return self.send(self._write_status(draft), Kind.STATUS, Lane.STATUS, correlation_id=transport_id)

    def _status_about(self, item: Arrived, code: StatusCode, reason: str = "") -> Submission:
        now = self._clock.now()
        body = self._write_status(
            StatusDraft(
                sender=item.agency,
                addressee=item.sender_written,
                document_id=item.document_id,
                code=item.code,
                promulgation_date=item.promulgation_date,
                status_code=code.value,
                description=reason,
                at=now,
            )
        )
        return Submission(
            transport_id=self._new_id(),
            agency=item.agency,
            kind=Kind.STATUS,
            lane=Lane.STATUS.value,
            body=body,
            created_at=now,
            correlation_id=item.transport_id,
        )

    # receiving

    def receive(self, take: int | None = None, idle: float = 1.0, lock_seconds: float = 10.0) -> Taken:
        """Take messages until ``take`` were stored for this agency or nothing came for ``idle`` seconds.

        Publishes the outbox before and after. Receipts do not count against ``take``.

        Raises:
            OperationError: MAILBOX in use by another reader for longer than ``lock_seconds``.
            BrokerError, RegistryError: trouble that passes; nothing is lost, the broker redelivers.
        """
        with self.mailbox.reader(lock_seconds) as mine:
            if not mine:
                raise OperationError(Code.SANDBOX_LOCKED, "another process reads this mailbox")
            return self._take(take, idle, stop=lambda: False)

    def wait_for_receipt(self, transport_id: str, since: datetime, seconds: float) -> StoredReceipt | None:
        """Wait for the relay's answer to a submission that arrived at or after ``since``; None when time is up.

        Reads the queue itself, or looks into the mailbox while another process reads.
        """
        until = self._clock.monotonic() + seconds
        while (found := self._answer(transport_id, since)) is None and self._clock.monotonic() < until:
            with self.mailbox.reader(0) as mine:
                if mine:
                    left = max(0.05, min(_SLICE, until - self._clock.monotonic()))
                    self._take(None, left, stop=lambda: self._answer(transport_id, since) is not None)
                else:
                    self._sleep(0.2)
        return found

    def _answer(self, transport_id: str, since: datetime) -> StoredReceipt | None:
        answers = [
            receipt
            for receipt in self.mailbox.receipts(transport_id, self.account.agency)
            if receipt.facts.kind in _ANSWERS and receipt.received_at >= since
        ]
        return answers[-1] if answers else None

    def _take(self, take: int | None, idle: float, stop: Callable[[], bool]) -> Taken:
        published = self.publish_outbox()
        tally = _Tally(self.account.agency)
        drained = True
        for queue in self.account.queues:
            wanted = PREFETCH if take is None else take - tally.mine
            if wanted <= 0 or stop():
                break
            with closing(self._link.consume(queue, min(PREFETCH, wanted), idle)) as messages:
                for message in messages:
                    self._handle(message, tally)
                    if stop() or (take is not None and tally.mine >= take):
                        drained = False
                        break
        if drained:
            # Only an empty queue proves that no receipt stands in it.
            published += self.resubmit()
        published += self.publish_outbox()
        return replace(tally.taken, published=published)

    def _handle(self, message: Incoming, tally: _Tally) -> None:
        try:
            if message.properties.type == Kind.RECEIPT.value:
                self._keep_receipt(message, tally)
            else:
                self._keep_package(message, tally)
        except TrucError as error:
            if isinstance(error, BrokerError) or error.code in _OURS:
                raise
            name = message.properties.message_id or "no message id"
            log.warning(
                "message.rejected",
                extra={
                    "transport_id": name,
                    "code": error.code.value,
                    "queue": message.queue,
                    "detail": error.detail,
                },
            )
            self._link.reject(message, requeue=False)
            tally.reject(f"{name}: {error}")

    def _keep_package(self, message: Incoming, tally: _Tally) -> None:
        if message.properties.type not in {Kind.EDOC.value, Kind.STATUS.value}:
            raise TrucError(Code.WRONG_TYPE, f"type {message.properties.type!r}")
        item = check(
            message,
            serves=lambda code: self.account.serves(code, self._directory),
            directory=self._directory,
            verifier=self._verifier,
            package_format=self._format,
            now=self._clock.now(),
        )
        stored = self.mailbox.arrived(item.delivery_id)
        if stored is not None and (stored.sha256, stored.agency) != (item.sha256, item.agency):
            raise TrucError(Code.ID_REUSED, f"delivery {item.delivery_id} was stored with other bytes")
        if stored is None:
            answer = self._status_about(item, StatusCode.ARRIVED) if item.kind is Kind.EDOC else None
            self.mailbox.store(item, answer)
        elif item.kind is Kind.EDOC:
            # the broker may have lost what it had confirmed to us; the relay knows a repeat by its id
            self.mailbox.say_again(item.agency, item.transport_id)
        self._link.ack(message)
        tally.package(item, repeat=stored is not None)

    def _keep_receipt(self, message: Incoming, tally: _Tally) -> None:
        if message.properties.content_type != names.CONTENT_RECEIPT:
            raise TrucError(Code.WRONG_CONTENT_TYPE, message.properties.content_type or "none")
        now = self._clock.now()
        facts = self._read_receipt(message.body, now)
        # The signed id is the one that counts; the property only serves what had none.
        correlation = facts.transport_id or message.properties.correlation_id or ""
        agency = facts.sender
        if not agency or not self.account.serves(agency, self._directory):
            sent = self.mailbox.submission(correlation)
            agency = sent.agency if sent else self.account.gateway
        self.mailbox.add_receipt(StoredReceipt(facts, agency, correlation, now, message.body))
        self._link.ack(message)
        tally.taken = replace(tally.taken, receipts=tally.taken.receipts + 1)


_OURS: Final = frozenset(
    {
        Code.REGISTRY_BUSY,
        Code.REGISTRY_UNUSABLE,
        Code.KEY_UNUSABLE,
        Code.CONFIG_INVALID,
        Code.DIRECTORY_INVALID,
    }
)
"""Trouble of this gateway, never of the message: it stays in the queue."""


class _Tally:
    def __init__(self, agency: str) -> None:
        self.taken = Taken()
        self.mine = 0
        self._agency = agency

    def package(self, item: Arrived, *, repeat: bool) -> None:
        old = self.taken
        if repeat:
            self.taken = replace(old, repeats=old.repeats + 1)
        elif item.kind is Kind.EDOC:
            self.taken = replace(old, documents=old.documents + 1)
        else:
            self.taken = replace(old, statuses=old.statuses + 1)
        self.mine += not repeat and item.agency == self._agency

    def reject(self, line: str) -> None:
        self.taken = replace(self.taken, rejected=(*self.taken.rejected, line))
