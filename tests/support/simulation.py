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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, Final

from relay.broker import memory, names
from relay.broker.memory import MemoryBroker, MemoryLink, Stored
from relay.broker.topology import TopologyConfig, desired_topology
from relay.directory.snapshot import AgencyDirectory
from relay.keeper.duty import KeeperPolicy, Tools
from relay.keeper.keeper import Keeper
from relay.model.agency import Agency
from relay.model.delivery import State
from relay.model.message import Incoming, Kind, Lane, Outgoing, Properties, Published
from relay.model.ports import PackageFormat, Verifier
from relay.model.receipt import SignedReceipt
from relay.model.record import Document
from relay.observe.metrics import Metrics
from relay.pipeline.accept import AcceptPolicy
from relay.pipeline.deliver import Deliverer
from relay.pipeline.epoch import EpochWatch
from relay.pipeline.handler import Handler
from relay.pipeline.lanes import Lanes
from relay.pipeline.plan import HandlerPolicy
from relay.pipeline.quarantine import Quarantine
from relay.pipeline.report import Numbers, Reporter
from relay.pipeline.route import RouteLimits
from relay.pipeline.settle import Settler
from relay.pipeline.verify import Examiner
from relay.pipeline.worker import Worker, WorkerPolicy
from relay.registry import SqlRegistry
from tests.support.plainformat import AGENCIES, PlainFormat, PlainSigner, PlainVerifier, agency, edoc, status
from tests.support.points import Browse, Crash, DirectCommits, Life, PointedLink, Script
from tests.support.shelf import Shelf
from tests.support.virtual import VirtualClock, VirtualLoop

__all__ = [
    "AGENCIES",
    "RELAY",
    "Crash",
    "Life",
    "PlainFormat",
    "PlainSigner",
    "PlainVerifier",
    "PointedLink",
    "Process",
    "Script",
    "Simulation",
    "agency",
    "apart",
    "edoc",
    "fine_ticks",
    "only",
    "status",
]

RELAY: Final = "relay"
_SHELF: Final = Shelf()
WEIGHTS: Final = {Lane.URGENT: 60, Lane.STATUS: 20, Lane.NORMAL: 15, Lane.DUE: 5}


@cache
def _topology(agencies: tuple[Agency, ...]) -> Any:
    gateways = {one.gateway: "-" for one in agencies if one.gateway}
    return desired_topology(TopologyConfig.load(), agencies, RELAY, gateways, relay_password="-")


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
        self.registry = registry or _SHELF.take(self)
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

    @property
    def over(self) -> bool:
        """Whether its loop has ended: nothing of it runs any more, and the next one may have its registry."""
        return self.loop.is_closed()

    # processes

    def start(
        self,
        *,
        die_at: int | None = None,
        name: str = "w1",
        prefetch: int = 50,
        stall: float = 30.0,
        give_back: float = 60.0,
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
            deliverer=Deliverer(
                link,
                lambda: self.directory,
                lambda: self.directory,
                self.clock,
                on_repeat=lambda count: metrics.duplicate_publish("undecided", count),
            ),
            reporter=reporter,
            settler=settler,
            quarantine=Quarantine(
                link,
                self.registry,
                commits,
                settler,
                reporter,
                metrics,
                self.clock,
                RELAY,
                self._gateway_of,
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
            policy=WorkerPolicy(dict.fromkeys(Lane, prefetch), stall=stall, give_back=give_back),
            metrics=metrics,
            clock=self.clock,
        )
        # The epoch is looked at before the points begin to count: its own test has it.
        process = Process(worker, life, link, commits, handler, self.loop.create_task(worker.run()), metrics)
        self.processes.append(process)
        return process

    def _script(self, message: Outgoing) -> Published | None:
        return self.script(message)

    def _gateway_of(self, user: str) -> str:
        return self.directory.gateway_of(user)

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
            gateway_of=self._gateway_of,
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
