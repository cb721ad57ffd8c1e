"""Sending again what can be sent again; telling where nothing is left."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from relay.broker import names
from relay.errors import BrokerError, Code, OperationError
from relay.model.agency import Agency
from relay.model.delivery import State
from relay.model.envelope import StatusCode
from relay.model.levels import Level
from relay.model.message import Incoming, Outgoing, Properties, Published
from relay.model.ports import Registry
from relay.model.receipt import ReceiptKind
from relay.model.record import HeldEntry, Move, NewReceipt, Settlement
from relay.operate.quarantine import RELEASE, RELEASED, Hands
from relay.operate.resend import RESEND, RESEND_RECEIPTS, Step, What, receipts, resend
from relay.registry import memory_registry
from tests.support.registry import Maker, accepted, at, candidate, states
from tests.unit.gateway.doubles import FakeClock, FakeDirectory

DIRECTORY = FakeDirectory([Agency("H53", "x", Level.PROVINCE), Agency("H29", "y", Level.PROVINCE)])


class Death(Exception):
    """The command dies here."""


@dataclass
class Broker:
    queues: dict[str, list[Incoming]] = field(default_factory=dict)
    published: list[Outgoing] = field(default_factory=list)
    result: Published = Published.CONFIRMED
    die: bool = False

    @contextmanager
    def door(self) -> Iterator[Door]:
        door = Door(self)
        try:
            yield door
        finally:
            for message in reversed(door.taken):
                self.queues[message.queue].insert(0, message)

    def seen(self, queues: tuple[str, ...]) -> dict[str, tuple[int, int] | None]:
        return {queue: (len(self.queues.get(queue, ())), 1) for queue in queues}

    def put(self, queue: str, body: bytes, **properties: object) -> None:
        message = Incoming(queue, "", "", Properties(**properties), body, False, 0, 1, 1)  # type: ignore[arg-type]
        self.queues.setdefault(queue, []).append(message)


@dataclass
class Door:
    broker: Broker
    taken: list[Incoming] = field(default_factory=list)

    def get(self, queue: str) -> Incoming | None:
        there = self.broker.queues.get(queue, [])
        if not there:
            return None
        self.taken.append(there.pop(0))
        return self.taken[-1]

    def publish_outgoing(self, sent: Outgoing) -> Published:
        if self.broker.result is Published.CONFIRMED:
            self.broker.published.append(sent)
        if self.broker.die:
            raise Death
        return self.broker.result

    def ack(self, taken: Incoming) -> None:
        self.taken.remove(taken)


class Ground:
    def __init__(self, registry: Registry) -> None:
        self.registry, self.make, self.broker = registry, Maker(), Broker()
        clock = FakeClock()
        clock.now = lambda: at(1000)  # type: ignore[method-assign]
        self.hands = Hands(self.broker.door, registry, "relay", clock, "lan", lambda _seconds: None)

    def deferred(self, *, due: float = 2000.0, queue: str | None = "retry.10m") -> str:
        """A document whose delivery to H53 is deferred, its body on a rung; returns the transport id."""
        claim = self.make.claim("a")
        (result,) = self.registry.claim([claim], "w1", at(0))
        assert result.document
        settlement = Settlement(
            result.document.row,
            (
                Move(claim.deliveries[0].delivery_id, State.QUEUED, at(1)),
                Move(claim.deliveries[1].delivery_id, State.PLANNED, at(1), Code.QUEUE_FULL, at(due), 3),
            ),
            (NewReceipt(self.make.receipt(now=at(1)), result.document.row),),
        )
        self.registry.settle([settlement], "w1", at(1))
        if queue is not None:
            self.put(queue, claim.transport_id)
        return claim.transport_id

    def put(self, queue: str, transport_id: str, body: bytes = b"a") -> None:
        self.broker.put(
            queue,
            body,
            message_id=transport_id,
            type="edoc",
            content_type=names.CONTENT_EDXML,
            user_id="relay",
            headers={
                names.H_USER: "H26",
                names.H_LANE: "normal",
                names.H_ATTEMPT: "3",
                names.H_FIRST_SEEN: "2026-03-02T08:00:00Z",
                "x-death": [],
            },
        )

    def run(self, transport_id: str, *to: str, gone: bool = False, dry_run: bool = False) -> list[Step]:
        return resend(self.hands, DIRECTORY, self.broker, transport_id, to=to, gone=gone, dry_run=dry_run)

    def acts(self, subject: str) -> list[str]:
        return [act.act for act in reversed(self.registry.acts(subject))]


@pytest.fixture
def ground() -> Iterator[Ground]:
    registry = memory_registry()
    yield Ground(registry)
    registry.close()


def test_the_bodies_of_the_maker_are_what_they_claim() -> None:
    assert Maker().claim("a").body_sha256 == hashlib.sha256(b"a").hexdigest()


def test_a_deferral_is_brought_forward_confirmed_before_its_old_copy_goes(ground: Ground) -> None:
    transport_id = ground.deferred()
    ground.broker.queues["retry.10m"].insert(0, ground.broker.queues["retry.10m"][0])
    ground.broker.queues["retry.10m"][0] = replace(ground.broker.queues["retry.10m"][0], body=b"other")
    assert ground.run(transport_id, dry_run=True) == [
        Step(What.IN_QUEUE, ("H29",), "agency.H29"),
        Step(What.FORWARD, ("H53",), "retry.10m"),
    ]
    assert ground.acts(transport_id) == []
    assert ground.run(transport_id)[1] == Step(What.FORWARD, ("H53",), "retry.10m")
    (copy,) = ground.broker.published
    assert (copy.exchange, copy.body, copy.message_id, copy.as_self) == ("due", b"a", transport_id, True)
    assert copy.headers == {
        names.H_USER: "H26",
        names.H_LANE: "normal",
        names.H_ATTEMPT: "3",
        names.H_FIRST_SEEN: "2026-03-02T08:00:00Z",
    }
    assert [one.body for one in ground.broker.queues["retry.10m"]] == [b"other"]
    assert ground.acts(transport_id) == [RESEND]


def test_a_copy_that_is_not_confirmed_leaves_the_old_one(ground: Ground) -> None:
    transport_id = ground.deferred()
    ground.broker.result = Published.NACKED
    with pytest.raises(BrokerError):
        ground.run(transport_id)
    assert len(ground.broker.queues["retry.10m"]) == 1


def test_a_death_between_copy_and_acknowledgement_leaves_two_copies_and_no_loss(ground: Ground) -> None:
    transport_id = ground.deferred()
    ground.broker.die = True
    with pytest.raises(Death):
        ground.run(transport_id)
    assert (len(ground.broker.published), len(ground.broker.queues["retry.10m"])) == (1, 1)


def test_only_the_named_recipient(ground: Ground) -> None:
    transport_id = ground.deferred()
    assert ground.run(transport_id, "H29") == [Step(What.IN_QUEUE, ("H29",), "agency.H29")]
    assert ground.broker.published == []
    for wrong in ((transport_id, "G22"), ("no-such",)):
        with pytest.raises(OperationError) as caught:
            ground.run(*wrong)
        assert caught.value.code is Code.NOT_FOUND


def test_what_has_no_body_left_is_the_keepers_to_tell(ground: Ground) -> None:
    transport_id = ground.deferred(queue=None)
    assert ground.run(transport_id, "H53", dry_run=True) == [Step(What.LOST, ("H53",))]
    assert ground.registry.lost(at(0), at(0), 9) == []
    assert ground.run(transport_id, "H53") == [Step(What.LOST, ("H53",))]
    assert len(ground.registry.lost(at(0), at(900), 9)) == 1
    assert ground.run(transport_id, "H53") == [Step(What.LOST_BEFORE, ("H53",))]
    assert ground.acts(transport_id) == [RESEND]


def test_what_another_look_has_in_hand_is_not_called_lost(ground: Ground) -> None:
    """Two operators at once: who looks for another document holds all that stands on the rung."""
    transport_id = ground.deferred()
    (passed_over,) = ground.broker.queues.pop("retry.10m")
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            ground.broker.queues["retry.10m"] = [passed_over]

    ground.hands = replace(ground.hands, wait=wait)
    assert ground.run(transport_id, "H53") == [Step(What.FORWARD, ("H53",), "retry.10m")]
    assert len(waited) == 3


@pytest.mark.parametrize("queue", ["ingress.normal", "due"])
def test_what_may_be_on_its_way_is_not_called_lost(ground: Ground, queue: str) -> None:
    transport_id = ground.deferred(queue=None)
    ground.put(queue, "another")
    assert ground.run(transport_id, "H53") == [Step(What.UNSURE, ("H53",))]


def test_what_has_just_become_due_is_not_called_lost(ground: Ground) -> None:
    assert ground.run(ground.deferred(due=990, queue=None), "H53") == [Step(What.UNSURE, ("H53",))]


def test_what_a_live_worker_has_in_hand_is_left_to_it(ground: Ground) -> None:
    claim = ground.make.claim("b")
    ground.registry.claim([claim], "w1", at(999))
    assert ground.run(claim.transport_id) == [Step(What.IN_HAND, ("H29", "H53"))]


def test_a_queued_delivery_is_lost_only_if_it_is_known_to_be_gone(ground: Ground) -> None:
    claim = ground.make.claim("b")
    row = accepted(ground.registry, ground.make, claim)
    assert {one.what for one in ground.run(claim.transport_id)} == {What.IN_QUEUE}
    assert ground.run(claim.transport_id, "H29", gone=True) == [Step(What.LOST, ("H29",))]
    assert states(ground.registry, row) == [State.PLANNED, State.QUEUED]


def test_what_has_ended_is_done(ground: Ground) -> None:
    claim = ground.make.claim("b", recipients=("H29",))
    accepted(ground.registry, ground.make, claim)
    found = candidate(ground.registry, claim, "H29")
    ground.registry.claim([ground.make.status(found, StatusCode.ARRIVED, reporter="H29")], "w1", at(5))
    assert ground.run(claim.transport_id, gone=True) == [Step(What.ENDED, ("H29",))]


def test_what_a_gateway_rejected_is_released(ground: Ground) -> None:
    claim = ground.make.claim("b", recipients=("H29",))
    accepted(ground.registry, ground.make, claim)
    headers = {
        names.H_DELIVERY_ID: claim.deliveries[0].delivery_id,
        names.H_SENDER: "H26",
        names.H_RECIPIENT: "H29",
        "x-death": [{"queue": "agency.H29", "reason": "rejected", "time": 7, "count": 1}],
    }
    ground.broker.put(names.QUARANTINE, b"b", message_id=claim.transport_id, type="edoc", headers=headers)
    from relay.keeper.quarantine import describe

    entry = describe(ground.broker.queues[names.QUARANTINE][0], "relay", at(9))
    ground.registry.hold(entry, ())
    assert ground.run(claim.transport_id, dry_run=True) == [Step(What.RELEASED, ("H29",), entry.held_id)]
    assert ground.run(claim.transport_id) == [Step(What.RELEASED, ("H29",), entry.held_id)]
    assert [one.exchange for one in ground.broker.published] == ["level.province"]
    assert ground.acts(entry.held_id) == [RELEASE, RELEASED]


def test_a_planned_delivery_whose_body_was_set_aside_is_released(ground: Ground) -> None:
    transport_id = ground.deferred(queue=None)
    document = ground.registry.find(transport_id)[0]
    ground.broker.put(
        names.QUARANTINE,
        b"a",
        message_id="held",
        correlation_id=transport_id,
        type="edoc",
        user_id="relay",
        headers={names.H_CODE: "SET-ASIDE", names.H_USER: "H26", names.H_LANE: "normal"},
    )
    entry = HeldEntry(
        "held", Code.SET_ASIDE, "due", "H26", transport_id, "", "", "", document.body_sha256, at(9)
    )
    ground.registry.hold(entry, ())
    assert ground.run(transport_id, "H53") == [Step(What.RELEASED, ("H53",), "held")]
    assert [one.exchange for one in ground.broker.published] == ["due"]


def test_a_later_submission_of_the_same_bytes_finds_the_first_ones_body(ground: Ground) -> None:
    ground.deferred()
    later = ground.make.claim("a")
    ground.registry.claim([later], "w2", at(3))
    assert Step(What.FORWARD, ("H53",), "retry.10m") in ground.run(later.transport_id)


# receipts


def test_receipts_come_again_with_the_same_bytes_and_a_mark(ground: Ground) -> None:
    transport_id = ground.deferred()
    (stored,) = ground.registry.receipts(1)
    assert receipts(ground.hands, transport_id, None, dry_run=True) == [
        Step(What.RECEIPT, ("H26",), stored.number)
    ]
    for _ in range(2):
        receipts(ground.hands, transport_id, "H26")
    first, second = ground.broker.published
    assert first.body == second.body == stored.body
    assert first.message_id == second.message_id
    assert names.H_DUPLICATE not in first.headers, "its first publish had never been confirmed"
    assert second.headers[names.H_DUPLICATE] == "true"
    assert ground.acts(transport_id) == [RESEND_RECEIPTS, RESEND_RECEIPTS]
    assert ground.registry.unpublished(at(10**6), 9) == []


def test_refusals_and_notices_without_a_document_come_again_too(ground: Ground) -> None:
    for kind, code in ((ReceiptKind.ACKNOWLEDGEMENT, "UNSIGNED"), (ReceiptKind.HELD, "HELD")):
        new = NewReceipt(
            ground.make.receipt(kind=kind, code=code), None, user="H26", transport_id="t", body_sha256="a"
        )
        ground.registry.settle([Settlement(None, (), (new,))], "w1", at(0))
    ground.broker.result = Published.RETURNED
    assert [one.what for one in receipts(ground.hands, "t", None)] == [What.RECEIPT_FAILED] * 2
    with pytest.raises(OperationError):
        receipts(ground.hands, "u", None)
