"""An office: one gateway of the sandbox at work in a thread of its own, through the library that gateways use."""

from __future__ import annotations

import hashlib
import queue
import random
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Final

from adapters.edxml.facts import DocumentFields, Organ, StatusFields
from adapters.edxml.format import EdxmlFormat
from adapters.edxml.samples import sample_document
from adapters.edxml.writer import document_package, status_package
from adapters.gateway import Account, Gateway, Mailbox, ReceiptFacts, ReceiptLine, StatusDraft
from relay import settings
from relay.broker import names
from relay.directory.file import load
from relay.errors import Code, OperationError, TrucError
from relay.evidence.receipts import ReceiptVerifier
from relay.model.agency import Admission
from relay.model.codes import normal_form
from relay.model.envelope import StatusCode
from relay.model.message import Kind, Lane, Outgoing
from relay.model.ports import Clock
from relay.model.times import rfc3339
from relay.sandbox.contents import Sandbox
from relay.sandbox.demo.reader import Book, Tap
from relay.sandbox.demo.records import Seen, Sent
from relay.sandbox.demo.scenario import Answer, Planned, Twist
from relay.sandbox.demo.spoil import altered
from relay.trust.chain import TrustStore
from relay.trust.sign import PrivateKey, load_chain, load_key, sign_document
from relay.trust.verifier import DocumentVerifier

_IDLE: Final = 0.3  # seconds without a message after which an office looks for other work
_TAKE: Final = 20  # documents and statuses that are stored before their 01s go out
_STRANGER: Final = "G14"  # whose key signs what it must not


@dataclass(frozen=True, slots=True)
class Letter:
    """A document that was built, as its sender keeps it."""

    planned: Planned
    transport_id: str
    fields: DocumentFields
    body: bytes


class Workshop:
    """What all offices share: keys, directory, verifiers, the book, and what was planned under which id."""

    def __init__(self, sandbox: Sandbox, book: Book, clock: Clock, seed: int) -> None:
        self.sandbox = sandbox
        self.book = book
        self.clock = clock
        chosen = settings.load(sandbox.settings, files=False)
        store = TrustStore.from_files(chosen.trust.anchors, chosen.trust.crls)
        self.directory = load(chosen.directory.file)
        self.verifier = DocumentVerifier(store)
        self.receipts = ReceiptVerifier(store)
        self.format = EdxmlFormat()
        self.letters: dict[str, Letter] = {}  # by label
        self.plans: dict[str, Planned] = {}  # by transport id
        self._seed = seed
        self._keys = cache(self._load)

    def open(self, gateway: str) -> bool:
        """Whether a gateway takes part: one that is suspended can read nothing."""
        known = self.directory.agency(gateway)
        return known is not None and known.admission in {Admission.ADMITTED, Admission.TRIAL}

    def organ(self, code: str) -> Organ:
        """Return an agency as a package names it, its code as written."""
        known = self.directory.agency(normal_form(code))
        return Organ(code, name=known.name if known else "")

    def sign(self, unsigned: bytes, kind: Kind, code: str) -> bytes:
        """Sign with an agency's key."""
        return sign_document(unsigned, self.format.place(kind), *self._keys(code))

    def write(self, planned: Planned) -> Letter:
        """Build a document as planned, wrong where it is to be wrong, under a new transport id."""
        rng = random.Random(f"{self._seed} {planned.label}")
        fields = sample_document(
            rng,
            self.organ(planned.sender),
            [self.organ(code) for code in planned.to],
            self.clock.now(),
            priority=planned.priority,
            payload_bytes=planned.payload,
        )
        if planned.subject:
            fields = replace(fields, subject=planned.subject)
        unsigned = document_package(fields, checked=planned.good)
        if planned.twist is Twist.UNSIGNED:
            body = unsigned
        else:
            signer = _STRANGER if planned.twist is Twist.WRONG_SIGNER else planned.sender
            body = self.sign(unsigned, Kind.EDOC, signer)
        if planned.twist is Twist.ALTERED:
            body = altered(body)
        letter = Letter(planned, str(uuid.uuid4()), fields, body)
        self.letters[planned.label] = letter
        self.plans[letter.transport_id] = planned
        return letter

    def _load(self, code: str) -> tuple[PrivateKey, bytes]:
        agency = self.sandbox.agency(code)
        return load_key(agency.key), load_chain(agency.cert)


class Office(threading.Thread):
    """One gateway: sends what it is asked to, reads its queues, answers as planned.

    After an error it stops and notes the error in the book.
    """

    def __init__(self, shop: Workshop, code: str) -> None:
        super().__init__(name=f"office {code}", daemon=True)
        gateway = shop.sandbox.gateways[code]
        self._shop = shop
        self._todo: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._addressees: dict[str, str] = {}  # sha256 of a status -> whom it is for
        self._tap = Tap(
            shop.sandbox.endpoint(code),
            f"truc demo {code}",
            shop.book,
            shop.receipts,
            shop.clock,
            self._confirmed,
        )
        self._mailbox = Mailbox(shop.sandbox.home / "mailboxes" / f"{code}.sqlite")
        queues = [
            names.agency_queue(one)
            for one in sorted(gateway.serves, key=lambda one: one != code)
            if (known := shop.directory.agency(one)) is not None and known.own_queue
        ]
        self._desks = {one: self._desk(Account(one, code, tuple(queues))) for one in gateway.serves}
        self._reading = self._desks[code]

    def ask(self, work: Callable[[], None]) -> None:
        """Have something done in the office's thread."""
        self._todo.put(work)

    def stop(self) -> None:
        """Ask the office to end."""
        self._stopping.set()

    def run(self) -> None:
        """Work until told to stop."""
        try:
            while not self._stopping.is_set():
                busy = self._work()
                self._reading.receive(take=_TAKE, idle=0.01 if busy else _IDLE)
                self._answer()
        except TrucError as error:
            if not self._stopping.is_set():
                self._shop.book.trouble(error)
        finally:
            self._tap.close()
            self._mailbox.close()

    # --- what it is asked to do

    def submit(self, planned: Planned) -> None:
        """Write, sign and send a document."""
        letter = self._shop.write(planned)
        due = self._shop.clock.now() + planned.deadline if planned.deadline else None
        self._send(letter, letter.transport_id, due=due)
        self._shop.book.sent(
            self._noted(
                letter,
                reaches=planned.reaches,
                refusal=planned.refusal.value if planned.refusal else "",
                refused={code: reason.value for code, reason in planned.refused.items()},
                notices=tuple(notice.value for notice in planned.notices),
                answers=planned.owes() if planned.good else {},
            )
        )

    def repeat(self, label: str) -> None:
        """Send a document once more as it was: same id, same bytes."""
        letter = self._shop.letters[label]
        self._send(letter, letter.transport_id)
        self._shop.book.sent(
            self._noted(letter, label="repeated", reaches=letter.planned.reaches, again=True)
        )

    def same_content(self, label: str) -> None:
        """Send the same bytes under another id."""
        letter = self._shop.letters[label]
        transport_id = str(uuid.uuid4())
        self._send(letter, transport_id)
        self._shop.book.sent(
            self._noted(
                letter,
                label="same content",
                transport_id=transport_id,
                reaches=letter.planned.reaches,
                code=Code.SAME_CONTENT.value,
            )
        )

    def take_back(self, label: str, reason: str) -> None:
        """Ask the recipients for a document back."""
        letter = self._shop.letters[label]
        fields = letter.fields
        for code in letter.planned.asked_back:
            draft = StatusDraft(
                sender=letter.planned.sender,
                addressee=code,
                document_id=fields.document_id,
                code=f"{fields.number}/{fields.notation}",
                promulgation_date=f"{fields.promulgated_on:%Y/%m/%d}",
                status_code=StatusCode.TAKE_BACK.value,
                description=reason,
                at=self._shop.clock.now(),
            )
            self._desks[letter.planned.sender].take_back(draft, letter.transport_id)

    # --- inside

    def _work(self) -> bool:
        """Do one thing that was asked for. Returns whether there was one."""
        try:
            work = self._todo.get_nowait()
        except queue.Empty:
            return False
        work()
        return True

    def _send(self, letter: Letter, transport_id: str, due: datetime | None = None) -> None:
        lane = Lane.URGENT if letter.planned.priority else Lane.NORMAL
        desk = self._desks[letter.planned.sender]
        desk.send(letter.body, Kind.EDOC, lane, transport_id, deadline=due)

    def _answer(self) -> None:
        """Send what is planned for what came since the last look; the 01s are the gateway's own work."""
        fresh, self._tap.fresh = self._tap.fresh, []
        for item in fresh:
            for about, answer in self._answers(item):
                self._desks[item.recipient].reply(about, answer.status, answer.reason)

    def _answers(self, item: Seen) -> list[tuple[str, Answer]]:
        if item.kind is Kind.EDOC:
            planned = self._shop.plans.get(item.transport_id)
            answers = planned.answers.get(item.recipient, ()) if planned else ()
            return [(item.transport_id, answer) for answer in answers]
        planned = self._shop.plans.get(item.refers_to)
        asked = planned.asked_back.get(item.recipient) if planned else None
        if asked is None:
            return []
        stored = self._mailbox.arrived(item.delivery_id)
        if stored is None or stored.status_code != StatusCode.TAKE_BACK:
            return []
        return [(item.refers_to, asked)]

    def _confirmed(self, message: Outgoing) -> None:
        """Note each status as the broker has it: it must reach its addressee."""
        if message.type != Kind.STATUS:
            return
        digest = hashlib.sha256(message.body).hexdigest()
        addressee, status = self._addressees[digest].split()
        self._shop.book.sent(
            Sent(
                kind=Kind.STATUS,
                sender=message.routing_key.partition(".")[2],
                transport_id=message.message_id,
                sha256=digest,
                size=len(message.body),
                at=self._shop.clock.now(),
                label=f"status {status}",
                reaches=(addressee,),
                about=message.correlation_id or "",
            )
        )

    def _noted(self, letter: Letter, *, transport_id: str = "", label: str = "", **more: object) -> Sent:
        return Sent(
            kind=Kind.EDOC,
            sender=letter.planned.sender,
            transport_id=transport_id or letter.transport_id,
            sha256=hashlib.sha256(letter.body).hexdigest(),
            size=len(letter.body),
            at=self._shop.clock.now(),
            label=label or letter.planned.label,
            **more,  # type: ignore[arg-type]
        )

    def _desk(self, account: Account) -> Gateway:
        return Gateway(
            account,
            link=self._tap,
            mailbox=self._mailbox,
            directory=self._shop.directory,
            verifier=self._shop.verifier,
            package_format=self._shop.format,
            read_receipt=self._read_receipt,
            write_status=self._write_status,
            clock=self._shop.clock,
        )

    def _write_status(self, draft: StatusDraft) -> bytes:
        unsigned = status_package(
            StatusFields(
                reporter=self._shop.organ(draft.sender),
                addressee=draft.addressee,
                document_id=draft.document_id,
                number=draft.code,
                promulgation_date=draft.promulgation_date,
                status_code=draft.status_code,
                reported_at=draft.at,
                description=draft.description,
            ),
            checked=False,
        )
        body = self._shop.sign(unsigned, Kind.STATUS, draft.sender)
        digest = hashlib.sha256(body).hexdigest()
        self._addressees[digest] = f"{normal_form(draft.addressee)} {draft.status_code}"
        return body

    def _read_receipt(self, body: bytes, at: datetime) -> ReceiptFacts:
        result = self._shop.receipts.verify(body, at)
        receipt = result.receipt
        if not result.accepted or receipt is None:
            raise OperationError(Code.RECEIPT_INVALID, result.verdict.detail)
        return ReceiptFacts(
            kind=receipt.kind.value,
            result="accepted" if receipt.accepted else "refused",
            code=receipt.code,
            relay=receipt.relay,
            number=receipt.number,
            at=receipt.at,
            transport_id=receipt.transport_id,
            sender=receipt.sender,
            recipients=tuple(
                ReceiptLine(
                    code=line.code,
                    resolved=line.resolved,
                    state=line.state.value,
                    outcome_code=line.outcome_code,
                    delivery_id=line.delivery_id,
                    at=rfc3339(line.at),
                )
                for line in receipt.recipients
            ),
        )
