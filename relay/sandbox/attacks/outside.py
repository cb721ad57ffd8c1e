"""The corpus against a relay that runs, from outside: published as a gateway does, judged by what comes back.

Plays with three agencies of its own (``AGENCIES``), which join the sandbox, so that nobody's mail is read. What they get is
taken from their queues. Each run puts two certificates of its own on the sandbox's revocation lists.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from relay import settings
from relay.broker import names
from relay.broker.blocking import BlockingClient
from relay.errors import BrokerError, Code, OperationError
from relay.evidence.receipts import ReceiptVerifier
from relay.model.message import Incoming, Kind, Properties, Published
from relay.model.ports import Clock
from relay.sandbox import contents
from relay.sandbox.attacks.case import Case, Outcome, Shot, Where
from relay.sandbox.attacks.forge import AGENCIES, SENDER, Forge
from relay.sandbox.attacks.papers import Papers, Signer
from relay.sandbox.ca import DevelopmentCa
from relay.sandbox.contents import Sandbox
from relay.sandbox.home import Home
from relay.sandbox.keys import issue_keys
from relay.trust.chain import TrustStore

PATIENCE: Final = 120.0  # seconds without anything new, after which an answer is missing
_LISTS_ARE_READ: Final = 3.0  # seconds until a running relay has a list that was written, and some to spare
_WAIT: Final = 0.05

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one case."""

    family: str
    name: str
    expected: tuple[str, ...]
    got: str
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether it ended as it must: the right code, and nothing more delivered."""
        return not self.note and self.got in self.expected


@dataclass(slots=True)
class _Office:
    """Grants the forge what an outsider's friend at the authority could: a revocation."""

    ca: DevelopmentCa
    now: datetime
    revoked: int = 0

    def enrol(self, leaf: bytes, code: str) -> None:
        """Nothing: the directory is the operator's."""

    def publish(self, revocations: x509.CertificateRevocationList) -> None:
        """Nothing: the lists are the operator's."""

    def answer(self, certificate: x509.Certificate, octets: bytes) -> None:
        """Nothing: what is fetched is the keeper's."""

    def revoke(self, certificate: x509.Certificate, at: datetime) -> None:
        """Put a certificate on its issuer's list."""
        self.revoked += 1
        self.ca.revoke(certificate, self.now, at)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A receipt that came, believed."""

    kind: str
    result: str
    code: str
    sha256: str
    duplicate: bool
    lines: tuple[str, ...]  # states


@dataclass(slots=True)
class _Mail:
    """What came into the queues of the agencies that play."""

    answers: dict[tuple[str, str], list[_Answer]] = field(default_factory=lambda: defaultdict(list))
    deliveries: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # by SHA-256
    faults: list[str] = field(default_factory=list)
    came: int = 0


class Assault:
    """One run. Use as a context manager: it holds connections.

    Args:
        home: folder of a sandbox that runs.
        clock: the time.
        say: takes lines about how far it is.

    Raises:
        OperationError: NOT-FOUND: no sandbox here; RECEIPT-TIMEOUT: the relay does not take a good document.
        BrokerError: the broker cannot be reached.
    """

    def __init__(self, home: Path, clock: Clock, say: Say) -> None:
        self._home = Home(home)
        self._clock = clock
        self._say = say
        self._stack = ExitStack()
        self._writers: dict[str, BlockingClient] = {}
        self._readers: dict[str, BlockingClient] = {}
        self._mail = _Mail()

    def __enter__(self) -> Self:
        box = contents.running(self._home.path)
        if not box.up:
            raise OperationError(Code.NOT_FOUND, f"nothing runs in {self._home.path}: `truc up --home`")
        for code in AGENCIES:
            if code not in box.agencies:
                self._say(f"agency {code} joins the sandbox")
                issue_keys(self._home.path, code)
        self._box = box = contents.running(self._home.path)
        chosen = settings.load(box.settings, files=False)
        store = TrustStore.from_files(chosen.trust.anchors, chosen.trust.crls)
        self._receipts = ReceiptVerifier(store)
        for code in AGENCIES:
            for clients, role in ((self._writers, "out"), (self._readers, "in")):
                client = BlockingClient(box.endpoint(code), name=f"truc attacks {code} {role}", prefetch=200)
                clients[code] = self._stack.enter_context(client)
        return self

    def __exit__(self, *_trouble: object) -> None:
        self._stack.close()

    def _forge(self) -> tuple[Forge, _Office]:
        """Return a forge that has the sandbox's own authority and the keys of the agencies that play."""
        now = self._clock.now()
        office = _Office(DevelopmentCa(self._home.ca), now)
        papers = Papers(office.ca.folder, now, office)
        return Forge(papers, {code: _signer(self._box, code) for code in AGENCIES}, now), office

    def run(self, cases: Sequence[Case]) -> list[Row]:
        """Run the cases that can be run from outside; return what came of each."""
        forge, office = self._forge()
        self._ready(forge)
        held, workers = self._held(), self._workers()
        chosen = [case for case in cases if case.where is not Where.INSIDE]
        self._say(f"building {len(chosen)} cases")
        built = {case.key: case.shots(forge) for case in chosen}
        if office.revoked:
            time.sleep(_LISTS_ARE_READ)
        first = [shot for shots in built.values() for shot in shots[:-1]]
        self._say(f"publishing {len(first)} documents that come first, and {len(chosen)} attacks")
        # Documents before what speaks of them: a status that comes first may be taken for one about another of that id.
        for kinds in ([shot for shot in first if shot.kind != Kind.STATUS], first):
            for shot in kinds:
                if not self._arrived(shot):
                    self._publish(shot)
                    self._drain(0)
            self._until(lambda kinds=kinds: all(self._arrived(shot) for shot in kinds))  # type: ignore[misc]
        closed: dict[str, str] = {}
        before = dict(self._mail.deliveries)
        for case in chosen:
            closed[case.key] = self._publish(built[case.key][-1])
            self._drain(0)
        self._until(lambda: all(closed[case.key] or self._answered(case, built[case.key]) for case in chosen))
        self._ready(forge)  # it still works, and whatever was to come before has come
        rows = [self._row(case, built[case.key], closed[case.key], before) for case in chosen]
        unbelieved = self._mail.faults[0] if self._mail.faults else "believed"
        same = "the same" if self._workers() == workers else "others"
        rows += [
            Row("the relay", "every receipt that came is its own", ("believed",), unbelieved),
            Row("the relay", "what is held in quarantine", (str(held),), str(self._held())),
            Row("the relay", "the workers that run", ("the same",), same),
        ]
        return rows

    # --- inside

    def _held(self) -> int | None:
        """How many messages stand in quarantine: a surprise of the relay's own would be one more."""
        return self._readers[SENDER].depth(names.QUARANTINE)

    def _workers(self) -> tuple[int, ...]:
        return contents.running(self._home.path).pids.workers

    def _publish(self, shot: Shot) -> str:
        """Publish; return the broker's number if it closed the channel, else nothing."""
        properties = Properties(
            message_id=shot.transport_id,
            type=shot.kind,
            content_type=names.CONTENT_EDXML,
            correlation_id=shot.about,
            user_id=shot.claims or shot.user,
            delivery_mode=2,
            headers=dict(shot.headers),
        )
        client = self._writers[shot.user]
        try:
            ending = client.publish(shot.exchange or names.INGRESS, shot.routing_key, shot.body, properties)
        except BrokerError as error:
            if error.code is not Code.BROKER_REFUSED:
                raise
            return error.detail[:3]
        return "" if ending is Published.CONFIRMED else ending.value

    def _ready(self, forge: Forge) -> None:
        """Send a good document until it arrives: a relay needs a moment to know agencies that have just joined."""
        end = time.monotonic() + PATIENCE
        while True:
            shot = Shot(forge.good())
            self._publish(shot)
            self._until(lambda shot=shot: bool(self._mail.answers[SENDER, shot.transport_id]))  # type: ignore[misc]
            answers = self._mail.answers[SENDER, shot.transport_id]
            if answers and answers[0].result == "accepted":
                digest = hashlib.sha256(shot.body).hexdigest()
                self._until(lambda digest=digest: self._mail.deliveries[digest] > 0)  # type: ignore[misc]
                return
            if time.monotonic() > end:
                got = answers[0].code if answers else "no receipt"
                raise OperationError(
                    Code.RECEIPT_TIMEOUT, f"the relay does not take a good document from {SENDER}: {got}"
                )
            time.sleep(1.0)

    def _until(self, done: Callable[[], bool]) -> None:
        """Read the queues until that is so, or nothing has come for long."""
        last, seen = time.monotonic(), self._mail.came
        while not done() and time.monotonic() - last < PATIENCE:
            self._drain(_WAIT)
            if self._mail.came != seen:
                last, seen = time.monotonic(), self._mail.came

    def _drain(self, wait: float) -> None:
        for code, client in self._readers.items():
            while (message := client.take(names.agency_queue(code), wait or 0.001)) is not None:
                self._note(code, message)
                client.ack(message)
                if not wait:
                    break

    def _note(self, code: str, message: Incoming) -> None:
        self._mail.came += 1
        if message.properties.type != Kind.RECEIPT:
            self._mail.deliveries[hashlib.sha256(message.body).hexdigest()] += 1
            return
        found = self._receipts.verify(message.body, self._clock.now())
        if found.receipt is None or not found.accepted:
            self._mail.faults.append(f"a receipt that does not hold: {found.verdict.reason.value}")
            return
        answer = _Answer(
            found.receipt.kind.value,
            "accepted" if found.receipt.accepted else "refused",
            found.receipt.code,
            found.receipt.body_sha256,
            names.H_DUPLICATE in message.properties.headers,
            tuple(line.state.value for line in found.receipt.recipients),
        )
        self._mail.answers[code, message.properties.correlation_id or ""].append(answer)

    def _answers(self, shot: Shot) -> list[_Answer]:
        digest = hashlib.sha256(shot.body).hexdigest()
        return [one for one in self._mail.answers[shot.user, shot.transport_id] if one.sha256 == digest]

    def _arrived(self, shot: Shot) -> bool:
        """Whether what comes first has been taken: a document has its receipt, a status has reached its addressee."""
        if shot.kind == Kind.STATUS:
            return self._mail.deliveries[hashlib.sha256(shot.body).hexdigest()] > 0
        return bool(self._answers(shot))

    def _answered(self, case: Case, shots: Sequence[Shot]) -> bool:
        answers = self._answers(shots[-1])
        if case.outcome is Outcome.REPEATED and len(shots) > 1 and shots[-1] == shots[0]:
            return any(one.duplicate for one in answers)
        return bool(answers)

    def _row(self, case: Case, shots: Sequence[Shot], closed: str, before: dict[str, int]) -> Row:
        shot = shots[-1]
        digest = hashlib.sha256(shot.body).hexdigest()
        more = self._mail.deliveries[digest] - before.get(digest, 0)
        note = f"delivered {more} times" if more else ""
        expected = tuple(code or "the first answer" for code in case.codes)
        if case.outcome is Outcome.CLOSED or closed:
            return Row(case.family, case.name, expected, closed or "taken", note)
        answers = self._answers(shot)
        if not answers:
            return Row(case.family, case.name, expected, "no receipt", note)
        if case.outcome is Outcome.REPEATED:
            last = answers[-1]
            got = last.code or ("the first answer" if last.duplicate else last.result)
            return Row(case.family, case.name, expected, got, note)
        last = answers[-1]
        got = last.code if last.result == "refused" else f"accepted {last.code}".strip()
        if not note and (last.kind != "acknowledgement" or set(last.lines) - {"refused"}):
            note = f"{last.kind}: {', '.join(last.lines)}"
        return Row(case.family, case.name, expected, got, note)


def _signer(box: Sandbox, code: str) -> Signer:
    agency = box.agency(code)
    chain = x509.load_pem_x509_certificates(agency.cert.read_bytes())
    key = load_pem_private_key(agency.key.read_bytes(), None)
    return Signer(key, tuple(each.public_bytes(Encoding.DER) for each in chain))


def run_outside(home: Path, cases: Iterable[Case], clock: Clock, say: Say) -> list[Row]:
    """Run the cases against the sandbox in ``home``; see ``Assault``."""
    with Assault(home, clock, say) as assault:
        return assault.run(list(cases))


__all__ = ["Assault", "Row", "run_outside"]
