"""A relay in one thread of virtual time: the real worker and keeper over the broker in memory and a real registry.

Every call of a worker on broker or registry is a *point*. A worker can be made to die right after any of them: nothing of it runs on, its connection is gone, its lease runs out. What then has to hold is asked of
the registry and of what stands in the agencies' queues.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, ParamSpec, TypeVar

from relay.broker import memory, names
from relay.broker.memory import MemoryBroker, MemoryLink, Stored
from relay.broker.topology import TopologyConfig, desired_topology
from relay.directory.snapshot import AgencyDirectory
from relay.errors import BrokerError, Code, RefusedError
from relay.keeper.duty import KeeperPolicy, Tools
from relay.keeper.keeper import Keeper
from relay.model.agency import Agency, AgencyCertificate
from relay.model.codes import normal_form
from relay.model.delivery import State
from relay.model.envelope import Envelope, Recipient, Reference
from relay.model.levels import Level
from relay.model.message import Incoming, Kind, Lane, Outgoing, Properties, Published
from relay.model.ports import PackageFormat, Verifier
from relay.model.receipt import SignedReceipt
from relay.model.record import Claim, ClaimResult, Document, Settled, Settlement
from relay.model.verdict import Node, SignaturePlace, SignedView, Verdict, Verification
from relay.observe.metrics import Metrics
from relay.pipeline.accept import AcceptPolicy
from relay.pipeline.deliver import Deliverer
from relay.pipeline.epoch import EpochWatch
from relay.pipeline.handler import Handler, HandlerPolicy
from relay.pipeline.lanes import Lanes
from relay.pipeline.quarantine import Quarantine
from relay.pipeline.report import Numbers, Reporter
from relay.pipeline.route import RouteLimits
from relay.pipeline.settle import Settler
from relay.pipeline.verify import Examiner
from relay.pipeline.worker import Worker, WorkerPolicy
from relay.registry import GroupCommitter, SqlRegistry, memory_registry
from tests.support.virtual import VirtualClock, VirtualLoop

P = ParamSpec("P")
T = TypeVar("T")

RELAY: Final = "relay"
CERTIFICATE: Final = "c" * 64
WEIGHTS: Final = {Lane.URGENT: 60, Lane.STATUS: 20, Lane.NORMAL: 15, Lane.DUE: 5}


class Crash(BaseException):
    """The worker is dead: nothing catches this."""


@dataclass
class Life:
    """One process from its start to its death."""

    die_at: int | None = None
    count: int = 0
    alive: bool = True
    story: list[str] = field(default_factory=list)

    def point(self, what: str) -> None:
        if not self.alive:
            raise Crash
        self.count += 1
        self.story.append(what)
        if self.count == self.die_at:
            self.alive = False
            raise Crash

    def around(self, what: str, act: Callable[[], T]) -> T:
        """Do it, unless dead; death comes after it: before it is after the one before."""
        if not self.alive:
            raise Crash
        done = act()
        self.point(what)
        return done


# --- a format without XML --------------------------------------------------------------------------------------------


def edoc(sender: str, *recipients: str, name: str = "d1", **more: Any) -> bytes:
    """A document. ``forged=True``: its signature does not hold; ``secret=True``: intact, and not to be read."""
    return json.dumps({"from": sender, "to": recipients, "id": name, **more}).encode()


def status(reporter: str, addressee: str, name: str, code: str = "01", **more: Any) -> bytes:
    return json.dumps({"from": reporter, "to": [addressee], "id": name, "status": code, **more}).encode()


class PlainVerifier:
    """Intact is what does not call itself forged; whoever ``from`` names has signed."""

    def verify(self, body: bytes, place: SignaturePlace, at: datetime) -> Verification:
        try:
            read = json.loads(body)
        except ValueError:
            return Verification(Verdict(False, False, Code.NOT_XML, at))
        if read.get("forged"):
            return Verification(Verdict(False, False, Code.SIGNATURE_INVALID, at))
        root = Node("package", body.decode(), (), ())
        verdict = Verdict(True, True, Code.OK, at, "CN=signer", read.get("certificate", CERTIFICATE))
        return Verification(verdict, SignedView(root, hashlib.sha256(body).hexdigest(), len(body)))


class PlainFormat:
    content_type = names.CONTENT_EDXML

    def place(self, kind: Kind) -> SignaturePlace:
        return SignaturePlace("package", ())

    def read(self, view: SignedView, kind: Kind) -> Envelope:
        read = json.loads(view.root.text or "")
        if read.get("secret"):
            raise RefusedError(Code.STATE_SECRET, "Subject")
        if read.get("explode"):
            raise ValueError("a surprise of our own")
        return Envelope(
            kind=kind,
            sender=read["from"],
            sender_written=read["from"],
            recipients=tuple(Recipient(code, normal_form(code)) for code in read["to"]),
            document_id=read["id"],
            code_number="1",
            code_notation="CV",
            promulgation_date="2026/03/02",
            priority=read.get("priority", 0),
            business_type=read.get("type", 0),
            status_code=read.get("status", ""),
            timestamp="2026/03/02 15:00:00",
            refers_to=Reference("", read["id"], "1/CV", "2026/03/02") if kind is Kind.STATUS else None,
        )


class PlainSigner:
    def seal(self, unsigned: bytes) -> bytes:
        return unsigned


def agency(code: str, level: Level = Level.PROVINCE, **more: Any) -> Agency:
    certificates = (AgencyCertificate(CERTIFICATE, ""),)
    return Agency(
        code, code, level, **{"gateway": code, "own_queue": True, "certificates": certificates, **more}
    )


AGENCIES: Final = (
    agency("G22", Level.CENTRAL),
    agency("H26"),
    agency("H29"),
    agency("H53"),
    agency("H53.31", Level.DISTRICT),
    agency("H53.31.20", Level.COMMUNE, gateway="H53.31", own_queue=False),
)


@cache
def _topology(agencies: tuple[Agency, ...]) -> Any:
    gateways = {one.gateway: "-" for one in agencies if one.gateway}
    return desired_topology(TopologyConfig.load(), agencies, RELAY, gateways, relay_password="-")


# --- a worker's ports, with points -----------------------------------------------------------------------------------


class DirectCommits(GroupCommitter):
    """The committer without its thread: each call is one transaction, at once."""

    def __init__(
        self,
        store: SqlRegistry,
        worker: str,
        clock: VirtualClock,
        life: Life,
        writes: Callable[[], int] = lambda: 0,
    ) -> None:
        super().__init__(store, worker, clock)
        self.store = store
        self.writes = writes
        self.life = life
        self.trouble: Callable[[str], None] = lambda _what: None
        self.failing = False
        self.stopped = False
        self.beaten = float("-inf")

    def start(self) -> None:
        self.store.heartbeat(self.worker, self._clock.now())

    async def stop(self) -> None:
        self.stopped = True
        self.life.around("release", lambda: self.store.release(self.worker))

    def _do(self, what: str | None, act: Callable[[], T]) -> T:
        if not self.life.alive:
            raise Crash
        try:
            self.trouble(what or "look")
        except Exception:
            self.failing = True
            raise
        self.failing = False
        if self._clock.monotonic() - self.beaten > 1:
            self.beaten = self._clock.monotonic()
            self.store.heartbeat(self.worker, self._clock.now())
        return act() if what is None else self.life.around(what, act)

    async def claim(self, claim: Claim) -> ClaimResult:
        await asyncio.sleep(0)
        return self._do("T1", lambda: self.store.claim([claim], self.worker, self._clock.now())[0])

    async def take(self, claim: Claim) -> tuple[ClaimResult, int]:
        return await self.claim(claim), 0

    def stands(self, standing: int) -> bool:
        return True

    async def settle(self, settlement: Settlement) -> Settled:
        await asyncio.sleep(0)
        return self._do("T2", lambda: self.store.settle([settlement], self.worker, self._clock.now())[0])

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Death after a look that changed nothing is death before it: only writes are points."""
        await asyncio.sleep(0)
        before = self.writes()
        done = self._do(None, lambda: call(*args, **kwargs))
        if self.writes() != before:
            self.life.point("write")
        return done

    def note_published(self, number: str) -> None:
        self._do(None, lambda: self.store.published([number], self._clock.now()))

    @property
    def accepting(self) -> bool:
        return not self.failing and not self.stopped

    def healthy(self, now: float | None = None, limit: float = 6.0) -> bool:
        return not self.failing


Script = Callable[[Outgoing], Published | None]


class PointedLink:
    """The port ``BrokerLink`` over the memory link. ``script`` may answer a publish in the broker's place."""

    def __init__(
        self, inner: MemoryLink, life: Life, script: Script, on_ack: Callable[[Incoming], None]
    ) -> None:
        self.inner = inner
        self.life = life
        self.script = script
        self.on_ack = on_ack
        self.on_connected: Callable[[], Awaitable[None]] | None = None
        self.renewals = 0
        self.published: list[Outgoing] = []

    async def start(self, on_message: Callable[[Lane, Incoming], None], prefetch: dict[Lane, int]) -> None:
        self.inner.on_connected = self.on_connected
        await self.inner.start(on_message, prefetch)

    async def stop(self) -> None:
        await self.inner.stop()

    async def cancel(self) -> None:
        await self.inner.cancel()

    async def renew(self) -> None:
        self.renewals += 1
        await self.inner.renew()

    async def wait_connected(self) -> None:
        await self.inner.wait_connected()

    @property
    def connected(self) -> bool:
        return self.inner.connected

    @property
    def consuming(self) -> bool:
        return self.inner.consuming

    @property
    def blocked(self) -> bool:
        return self.inner.blocked

    def current(self, message: Incoming) -> bool:
        return self.inner.current(message)

    async def mark_stands(self, mark: str) -> bool:
        return await self.inner.mark_stands(mark)

    async def set_mark(self, mark: str) -> None:
        await self.inner.set_mark(mark)

    async def publish(self, message: Outgoing) -> Published:
        return await self.submit(message)

    def submit(self, message: Outgoing) -> asyncio.Future[Published]:
        what = f"publish {message.exchange} {message.routing_key}"
        if not self.life.alive:
            raise Crash
        self.published.append(message)
        answer = self.script(message)
        if answer is None:
            future = self.inner.submit(message)
        else:
            future = asyncio.get_running_loop().create_future()
            future.set_result(answer)
        self.life.point(what)
        return future

    def ack(self, message: Incoming) -> None:
        if self.life.alive and self.inner.current(message):
            self.on_ack(message)
        self.life.around("ack", lambda: self.inner.ack(message))

    def requeue(self, message: Incoming) -> None:
        self.life.around("requeue", lambda: self.inner.requeue(message))


@dataclass
class Process:
    """A worker that runs."""

    worker: Worker
    life: Life
    link: PointedLink
    commits: DirectCommits
    handler: Handler
    task: asyncio.Task[None]
    metrics: Metrics


class Browse:
    """The keeper's look into queues."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self.broken = False

    def _check(self) -> None:
        if self.broken:
            raise BrokerError(Code.BROKER_UNREACHABLE, "no broker")

    def depth(self, queue: str) -> int:
        self._check()
        return self.broker.depth(queue)

    def depths(self, queues: tuple[str, ...]) -> dict[str, int]:
        self._check()
        return {queue: self.broker.depth(queue) for queue in queues}

    def browse(self, queue: str, limit: int, max_bytes: int) -> list[Incoming]:
        self._check()
        return [
            Incoming(queue, one.exchange, one.routing_key, one.properties, one.body, True, 1, 1, 1)
            for one in list(self.broker.queues[queue].ready)[:limit]
        ]


class Simulation:
    """One broker, one registry, and the processes that come and go."""

    def __init__(
        self,
        loop: VirtualLoop,
        *,
        agencies: Sequence[Agency] = AGENCIES,
        registry: SqlRegistry | None = None,
        verifier: Verifier | None = None,
        form: PackageFormat | None = None,
    ) -> None:
        self.loop = loop
        self.clock = VirtualClock(loop)
        self.registry = registry or memory_registry(lease_seconds=10.0)
        self.writes = 0
        self._count_writes()
        self.broker = MemoryBroker.of(_topology(tuple(agencies)), self.clock)
        self.directory = AgencyDirectory.of(agencies, "v1")
        self.verifier: Verifier = verifier or PlainVerifier()
        self.form: PackageFormat = form or PlainFormat()
        self.script: Script = lambda _message: None
        self.processes: list[Process] = []
        self.faults: list[str] = []
        self.sent: list[tuple[str, str, bytes]] = []
        self.give_up = timedelta(days=7)
        self._ids = 0

    def _count_writes(self) -> None:
        write = self.registry._write

        def counted() -> Any:
            self.writes += 1
            return write()

        self.registry._write = counted  # type: ignore[method-assign]

    # processes

    def start(
        self,
        *,
        die_at: int | None = None,
        name: str = "w1",
        prefetch: int = 50,
        stall: float = 30.0,
        set_aside_after: int = 5,
        window: tuple[int, int] = (16, 1 << 20),
    ) -> Process:
        """Start a worker of that name; receipts are counted on from where the name stands."""
        life = Life(die_at)
        link = PointedLink(MemoryLink(self.broker, RELAY), life, self._script, self._check_ack)
        commits = DirectCommits(
            self.registry, f"{name}-{len(self.processes)}", self.clock, life, lambda: self.writes
        )
        metrics = Metrics(version="0", process=False)
        settler = Settler(self.registry, commits, link, link, metrics, self.clock)
        reporter = Reporter(RELAY, Numbers(name, self.registry.last_receipt_number(name)), PlainSigner())
        handler = Handler(
            link=link,
            registry=self.registry,
            commits=commits,
            examiner=Examiner(self.verifier, self.form),
            directory=lambda: self.directory,
            deliverer=Deliverer(link, lambda: self.directory, lambda: self.directory, self.clock),
            reporter=reporter,
            settler=settler,
            quarantine=Quarantine(
                link, self.registry, commits, settler, reporter, metrics, self.clock, RELAY
            ),
            policy=HandlerPolicy(
                accept=AcceptPolicy(RELAY),
                route=RouteLimits(),
                urgent_deadline=timedelta(hours=2),
                normal_deadline=timedelta(hours=24),
                give_up=self.give_up,
                unknown_document=timedelta(seconds=12),
                set_aside_after=set_aside_after,
            ),
            metrics=metrics,
            clock=self.clock,
        )
        worker = Worker(
            name=name,
            link=link,
            commits=commits,
            handler=handler,
            lanes=Lanes(WEIGHTS, *window),
            epoch=EpochWatch(link, self.registry, commits, self._epoch, self.clock),
            policy=WorkerPolicy(dict.fromkeys(Lane, prefetch), stall=stall),
            metrics=metrics,
            clock=self.clock,
        )
        # The epoch is looked at before the points begin to count: its own test has it.
        process = Process(worker, life, link, commits, handler, self.loop.create_task(worker.run()), metrics)
        self.processes.append(process)
        return process

    def _script(self, message: Outgoing) -> Published | None:
        return self.script(message)

    def _epoch(self) -> uuid.UUID:
        return uuid.UUID(int=1000 + len(self.processes))

    async def bury(self, process: Process) -> None:
        """End what is left of a process that died."""
        process.life.alive = False
        tasks = [process.task, *process.worker._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await process.link.inner.stop()

    async def stop(self, process: Process) -> None:
        """SIGTERM."""
        process.worker.stop()
        await process.task

    def tools(self, name: str = "keeper", **policy: Any) -> tuple[Tools, Numbers, PointedLink]:
        """The keeper's hands. The link is not started: publishes go straight to the broker."""
        life = Life()
        link = PointedLink(MemoryLink(self.broker, RELAY), life, self._script, lambda _m: None)
        commits = DirectCommits(self.registry, f"{name}-owner", self.clock, life)
        metrics = Metrics(version="0", process=False)
        numbers = Numbers(name, self.registry.last_receipt_number(name))
        numbers_policy = {
            "interval": timedelta(seconds=5),
            "receipts_after": timedelta(0),
            "lost_after": timedelta(minutes=2),
            "lost_at_last": timedelta(hours=2),
            "give_up": self.give_up,
            "lease": timedelta(seconds=15),
            **policy,
        }
        tools = Tools(
            registry=self.registry,
            commits=commits,
            settler=Settler(self.registry, commits, link, link, metrics, self.clock),
            reporter=Reporter(RELAY, numbers, PlainSigner()),
            browser=Browse(self.broker),
            metrics=metrics,
            clock=self.clock,
            policy=KeeperPolicy(**numbers_policy),
        )
        return tools, numbers, link

    async def keep(self, rounds: int = 1, name: str = "keeper", **policy: Any) -> Keeper:
        """Let a keeper do some rounds."""
        tools, numbers, link = self.tools(name, **policy)
        keeper = Keeper(
            name=f"{name}-owner",
            link=link,
            tools=tools,
            epoch=EpochWatch(link, self.registry, tools.commits, self._epoch, self.clock),
            relay_user=RELAY,
            numbers=numbers,
        )
        await link.start(lambda _lane, _message: None, {})
        await link.wait_connected()
        for _ in range(rounds):
            await asyncio.sleep(0.01)
            await keeper._round()
        await link.stop()
        return keeper

    # senders

    def send(
        self,
        body: bytes,
        *,
        user: str | None = None,
        lane: Lane | None = None,
        transport_id: str | None = None,
        key: str | None = None,
        **changed: Any,
    ) -> str:
        """Publish to ``ingress`` as a gateway does; returns the transport id."""
        try:
            read = json.loads(body)
        except ValueError:
            read = {}
        sender = read.get("from", "H26")
        kind = Kind.STATUS if "status" in read else Kind.EDOC
        lane = lane or (Lane.STATUS if kind is Kind.STATUS else Lane.NORMAL)
        self._ids += 1
        transport_id = transport_id or str(uuid.UUID(int=self._ids))
        properties = Properties(
            **{
                "message_id": transport_id,
                "type": kind.value,
                "content_type": names.CONTENT_EDXML,
                "user_id": user or sender,
                "delivery_mode": 2,
                **changed,
            }
        )
        done = self.broker.publish(names.INGRESS, key or names.ingress_key(lane, sender), body, properties)
        assert done is Published.CONFIRMED
        self.sent.append((sender, transport_id, body))
        return transport_id

    # waiting

    def unacknowledged(self) -> int:
        return sum(len(consumer.unacked) for consumer in self.broker._consumers)

    def waiting(self, *, ladder: bool = True) -> int:
        """Messages that some worker still has to take, or has in hand; ``ladder``: also those on the ladder."""
        queues = [names.lane_queue(lane) for lane in Lane]
        queues += [names.retry_queue(rung) for rung in names.RUNGS if ladder]
        return sum(len(self.broker.queues[queue].ready) for queue in queues) + self.unacknowledged()

    async def quiet(self, limit: float = 300.0, *, ladder: bool = True) -> None:
        """Wait until no message is left (but, without ``ladder``, those on the ladder), or until a worker has died."""
        end = self.loop.time() + limit
        await asyncio.sleep(0.05)
        while self.waiting(ladder=ladder) and all(one.life.alive for one in self.processes[-1:]):
            assert self.loop.time() < end, (
                f"{self.waiting()} messages still wait: {self.processes[-1].life.story[-20:]}"
            )
            await asyncio.sleep(0.1)

    # what there is

    def queue(self, code: str) -> list[Stored]:
        return list(self.broker.queues[names.agency_queue(code)].ready)

    def copies(self, code: str, kind: Kind = Kind.EDOC) -> list[Stored]:
        return [one for one in self.queue(code) if one.properties.type == kind.value]

    def told(self, code: str) -> list[tuple[str, str, str]]:
        """Kind, result and code of each receipt in an agency's queue, repetitions left out."""
        once: dict[str | None, tuple[str, str, str]] = {}
        for one in self.copies(code, Kind.RECEIPT):
            headers = one.properties.headers
            once[one.properties.message_id] = (
                str(headers[names.H_RECEIPT_KIND]),
                str(headers[names.H_RESULT]),
                str(headers[names.H_CODE]),
            )
        return list(once.values())

    def documents(self) -> list[Document]:
        found = []
        row = 1
        while (document := self.registry.document(row)) is not None:
            found.append(document)
            row += 1
        return found

    def stored_receipts(self) -> list[SignedReceipt]:
        far = self.clock.now() + timedelta(days=100)
        known: dict[str, SignedReceipt] = {one.number: one for one in self.registry.unpublished(far, 10_000)}
        for document in self.documents():
            known.update({one.number: one for one in self.registry.receipts(document.row)})
        for sender, transport_id, body in self.sent:
            digest = hashlib.sha256(body).hexdigest()
            for user in {sender, *(one.code for one in self.directory.agencies())}:
                known.update(
                    {one.number: one for one in self.registry.refusal_receipts(user, transport_id, digest)}
                )
        return list(known.values())

    # what has to hold

    def _check_ack(self, message: Incoming) -> None:
        """Nothing is acknowledged before T2 and its receipts, unless a copy of it is kept elsewhere."""
        digest = hashlib.sha256(message.body).hexdigest()
        transport_id = message.properties.message_id or ""
        if self._kept_elsewhere(message):
            return
        rows = [one for one in self.registry.find(transport_id) if one.body_sha256 == digest]
        if any(not row.settled for row in rows):
            self.faults.append(f"acknowledged before T2: {transport_id}")
        user = message.properties.user_id or ""
        receipts = [one for row in rows for one in self.registry.receipts(row.row)]
        receipts += self.registry.refusal_receipts(user, transport_id, digest)
        if not rows and not receipts and not self._refused_elsewhere(transport_id, digest):
            self.faults.append(f"acknowledged without an answer: {transport_id}")
        for receipt in receipts:
            if receipt.message_id not in self._receipt_ids() and not self._was_tried(receipt):
                self.faults.append(f"acknowledged before its receipt: {receipt.number}")

    def _was_tried(self, receipt: SignedReceipt) -> bool:
        return any(
            one.message_id == receipt.message_id
            for process in self.processes
            for one in process.link.published
        )

    def _refused_elsewhere(self, transport_id: str, digest: str) -> bool:
        return any(
            self.registry.refusal_receipts(one.code, transport_id, digest)
            for one in self.directory.agencies()
        )

    def _receipt_ids(self) -> set[str | None]:
        return {
            one.properties.message_id
            for queue in self.broker.queues.values()
            for one in queue.ready
            if one.properties.type == Kind.RECEIPT.value
        }

    def _kept_elsewhere(self, message: Incoming) -> bool:
        places = [names.QUARANTINE, names.DUE, *(names.retry_queue(rung) for rung in names.RUNGS)]
        ready = [one for place in places for one in self.broker.queues[place].ready]
        held = [one for consumer in self.broker._consumers for one in consumer.unacked.values()]
        held = [one for one in held if one.properties.user_id == RELAY]
        others = [one for one in held if one.properties is not message.properties]
        return any(one.body == message.body for one in (*ready, *others)) and not (
            message.queue == names.DUE and not any(one.body == message.body for one in ready)
        )

    def check(self, *, copies: int = 1, open_left: bool = False, foretold: bool = False) -> None:
        """All that has to hold once everything is quiet.

        ``copies``: at most so many of one delivery; ``foretold``: a recipient has reported what it had not got.
        """
        assert self.faults == []
        self._check_deliveries(copies, open_left=open_left, foretold=foretold)
        self._check_receipts()
        self._check_answers()

    def _check_deliveries(self, copies: int, *, open_left: bool, foretold: bool) -> None:
        bodies = {hashlib.sha256(body).hexdigest(): body for _, _, body in self.sent}
        seen: Counter[str] = Counter()
        for document in self.documents():
            assert document.settled, document
            for delivery in document.deliveries:
                seen[delivery.delivery_id] += 1
                assert open_left or delivery.state is not State.PLANNED, delivery
                there = self._copies_of(delivery.delivery_id)
                assert {one.body for one in there} <= {bodies[document.body_sha256]}
                assert {one.properties.message_id for one in there} <= {document.transport_id}
                if delivery.state in {State.QUEUED, State.DELIVERED}:
                    assert int(not foretold) <= len(there) <= copies, (delivery, len(there))
                if delivery.state in {State.REFUSED, State.WITHDRAWN}:
                    assert not there, delivery
        assert not [which for which, count in seen.items() if count > 1], "two fates of one delivery"
        known = {delivery.delivery_id for document in self.documents() for delivery in document.deliveries}
        for name in self.broker.queues:
            for one in self.broker.queues[name].ready if name.startswith(names.AGENCY_PREFIX) else ():
                if one.properties.type != Kind.RECEIPT.value:
                    assert one.properties.headers[names.H_DELIVERY_ID] in known

    def _copies_of(self, delivery_id: str) -> list[Stored]:
        return [
            one
            for name, queue in self.broker.queues.items()
            if name.startswith(names.AGENCY_PREFIX)
            for one in queue.ready
            if one.properties.headers.get(names.H_DELIVERY_ID) == delivery_id
        ]

    def _check_receipts(self) -> None:
        """What is stored is what was sent: each number one text, everything stored sent, nothing else."""
        stored = {one.message_id: one for one in self.stored_receipts()}
        sent: dict[str | None, set[tuple[str, bytes]]] = {}
        for name, queue in self.broker.queues.items():
            for one in queue.ready:
                if one.properties.type == Kind.RECEIPT.value:
                    sent.setdefault(one.properties.message_id, set()).add((name, one.body))
        held = {key for key, texts in sent.items() if any(b'kind="held"' in text for _, text in texts)}
        assert set(sent) - held == set(stored) - held, (
            "sent, not stored",
            [sent[key] for key in set(sent) - set(stored) - held],
            "stored, not sent",
            [stored[key] for key in set(stored) - set(sent)],
        )
        for key, texts in sent.items():
            assert len(texts) == 1, "one number, two texts"
            if key in stored:
                assert texts == {(names.agency_queue(stored[key].to), stored[key].body)}
        numbers = [re.search(rb'number="([^"]+)"', text) for texts in sent.values() for _, text in texts]
        assert len({found[1] for found in numbers if found}) == len(sent)

    def _check_answers(self) -> None:
        """Each submission of a document has one acknowledgement; each that has ended has one final outcome."""
        for document in self.documents():
            own = self.registry.receipts(document.row)
            kinds = Counter(one.kind.value for one in own)
            if document.kind is Kind.EDOC:
                assert kinds["acknowledgement"] == 1, (document, own)
            else:
                assert kinds["acknowledgement"] == (document.refusal is not None), (document, own)
            ended = bool(document.deliveries) and all(
                one.state in {State.DELIVERED, State.REFUSED, State.WITHDRAWN} for one in document.deliveries
            )
            if document.kind is Kind.EDOC and ended and document.refusal is None:
                assert document.finished, document
                for alias in self.registry.aliases(document.row):
                    assert alias.finished, alias


def only(*answers: Published, to: str | None = None, exchange: str = names.LEVEL_PREFIX) -> Script:
    """Answer the first publishes to an exchange (whose name begins so), and to a key, in the broker's place."""
    left = list(answers)

    def script(message: Outgoing) -> Published | None:
        wanted = message.exchange.startswith(exchange) and (to is None or message.routing_key == to)
        return left.pop(0) if wanted and left else None

    return script


def fine_ticks() -> None:
    """The memory broker looks at what has expired four times a (virtual) second."""
    memory.TICK = 0.25  # type: ignore[misc]


def apart(outgoing: Iterable[Outgoing]) -> list[tuple[str, str]]:
    return [(one.exchange, one.routing_key) for one in outgoing]
