"""What an operator does with what is held, also when the command dies on the way."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.broker import names
from relay.errors import BrokerError, Code, OperationError
from relay.keeper.quarantine import describe
from relay.model.agency import Agency
from relay.model.delivery import State
from relay.model.levels import Level
from relay.model.message import Incoming, Outgoing, Properties, Published
from relay.model.ports import Registry
from relay.model.record import HeldEntry
from relay.operate import quarantine
from relay.operate.quarantine import DROP, RELEASE, RELEASED, Hands, copy_of, held, matches
from relay.operate.showing import Judged, check_out, shown, write_out
from relay.registry import memory_registry
from tests.support.registry import Maker, accepted, at, states
from tests.unit.gateway.doubles import FakeClock, FakeDirectory

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
DIRECTORY = FakeDirectory([Agency("H53", "x", Level.PROVINCE), Agency("H29", "y", Level.PROVINCE)])
DELIVERY = HeldEntry(
    "held-1", Code.REJECTED_BY_GATEWAY, "agency.H53", "", "t1", "H26", "H53", "d1", "aa", NOW
)
SUBMISSION = HeldEntry("held-2", Code.HELD, "worker", "H26", "t1", "", "", "", "aa", NOW)


def message(**properties: object) -> Incoming:
    return Incoming("quarantine", "", "", Properties(**properties), b"body", False, 0, 1, 1)  # type: ignore[arg-type]


# what is published


def test_a_delivery_goes_back_under_its_delivery_id_and_nothing_else() -> None:
    rejected = message(
        message_id="t1",
        type="edoc",
        content_type="application/edxml+xml",
        headers={"truc-delivery-id": "d1", "truc-sender": "H26", "x-death": [], "truc-code": "HELD"},
    )
    copy = copy_of(rejected, DELIVERY, DIRECTORY, FakeClock())
    assert (copy.exchange, copy.routing_key, copy.body, copy.message_id) == (
        "level.province",
        "H53",
        b"body",
        "t1",
    )
    assert copy.headers == {"truc-delivery-id": "d1", "truc-sender": "H26"}
    assert not copy.as_self


def test_a_submission_goes_back_to_the_workers_as_a_retry() -> None:
    aside = message(message_id="held-2", type="edoc", headers={"truc-lane": "urgent", "truc-user": "H26"})
    copy = copy_of(aside, SUBMISSION, DIRECTORY, FakeClock())
    assert (copy.exchange, copy.message_id, copy.as_self) == ("due", "t1", True)
    assert (copy.headers["truc-user"], copy.headers["truc-lane"], copy.headers["truc-attempt"]) == (
        "H26",
        "urgent",
        "0",
    )


def test_deadline_and_hint_survive_a_release() -> None:
    deadline = "2026-03-03T00:00:00Z"
    aside = message(
        message_id="held-2",
        type="edoc",
        correlation_id="t1",
        headers={"truc-lane": "normal", "truc-user": "H26", "truc-deadline": deadline},
    )
    copy = copy_of(aside, SUBMISSION, DIRECTORY, FakeClock())
    assert (copy.headers["truc-deadline"], copy.correlation_id) == (deadline, None)
    status = message(
        message_id="t1",
        type="status",
        correlation_id="t0",
        user_id="H26",
        headers={"x-first-death-queue": "ingress.status"},
    )
    expired = replace(SUBMISSION, origin="ingress.status")
    assert copy_of(status, expired, DIRECTORY, FakeClock()).correlation_id == "t0"


def test_what_expired_in_ingress_goes_back_to_its_lane() -> None:
    entry = replace(SUBMISSION, origin="ingress.normal", code=Code.EXPIRED_IN_QUEUE)
    expired = message(
        message_id="t1", user_id="H26", type="edoc", headers={"x-first-death-queue": "ingress.normal"}
    )
    assert copy_of(expired, entry, DIRECTORY, FakeClock()).headers["truc-lane"] == "normal"


def test_what_can_go_nowhere_says_so() -> None:
    for entry in (replace(SUBMISSION, user=""), replace(DELIVERY, recipient="H99")):
        with pytest.raises(OperationError) as caught:
            copy_of(message(message_id="t1", headers={"truc-lane": "normal"}), entry, DIRECTORY, FakeClock())
        assert caught.value.code is Code.NOT_FOUND


# commands


class Death(Exception):
    """The command dies here."""


@dataclass
class Broker:
    """A queue ``quarantine`` whose taken messages go back when a door closes, and what was published."""

    ready: list[Incoming] = field(default_factory=list)
    published: list[Outgoing] = field(default_factory=list)
    result: Published = Published.CONFIRMED
    die_at: str = ""
    busy: int = 0  # looks during which somebody else has all of it in hand

    @contextmanager
    def door(self) -> Iterator[Door]:
        door = Door(self)
        try:
            yield door
        finally:
            self.ready = door.taken + self.ready
            self.busy = max(0, self.busy - 1)


@dataclass
class Door:
    broker: Broker
    taken: list[Incoming] = field(default_factory=list)

    def get(self, queue: str) -> Incoming | None:
        assert queue == names.QUARANTINE
        if self.broker.busy or not self.broker.ready:
            return None
        self.taken.append(self.broker.ready.pop(0))
        return self.taken[-1]

    def publish_outgoing(self, sent: Outgoing) -> Published:
        if self.broker.result is Published.CONFIRMED:
            self.broker.published.append(sent)
        if self.broker.die_at == "publish":
            raise Death
        return self.broker.result

    def ack(self, taken: Incoming) -> None:
        if self.broker.die_at == "before ack":
            raise Death
        self.taken.remove(taken)
        if self.broker.die_at == "ack":
            raise Death


@dataclass
class Ground:
    """A document whose first delivery was rejected, and what an operator has in hand."""

    registry: Registry
    broker: Broker
    hands: Hands
    row: int
    entry: HeldEntry
    waited: list[float]

    def release(self) -> None:
        quarantine.release(self.hands, held(self.registry, self.entry.held_id), DIRECTORY, "sửa xong")

    def drop(self, *, gone: bool = False, dry_run: bool = False) -> quarantine.Dropped:
        standing = held(self.registry, self.entry.held_id)
        return quarantine.drop(self.hands, standing, "hỏng", gone=gone, dry_run=dry_run)

    def acts(self) -> list[str]:
        return [act.act for act in reversed(self.registry.acts(self.entry.held_id))]


@pytest.fixture
def ground() -> Iterator[Ground]:
    registry, make, clock = memory_registry(), Maker(), FakeClock()
    clock.now = lambda: at(100)  # type: ignore[method-assign]
    claim = make.claim("a")
    row = accepted(registry, make, claim)
    rejected = message(
        message_id=claim.transport_id,
        type="edoc",
        headers={
            "truc-delivery-id": claim.deliveries[0].delivery_id,
            "truc-sender": "H26",
            "truc-recipient": "H29",
            "x-death": [{"queue": "agency.H29", "reason": "rejected", "time": 7, "count": 1}],
        },
    )
    again = replace(rejected, properties=replace(rejected.properties, headers={
        **rejected.properties.headers, "x-death": [{"queue": "agency.H29", "reason": "rejected", "time": 8, "count": 1}],
    }))  # fmt: skip
    entry = describe(rejected, "relay", at(50))
    registry.hold(entry, ())
    waited: list[float] = []
    broker = Broker([again, rejected])
    hands = Hands(broker.door, registry, "relay", clock, "lan", waited.append)
    yield Ground(registry, broker, hands, row, entry, waited)
    registry.close()


def test_the_very_message_is_meant_not_another_copy_of_the_delivery(ground: Ground) -> None:
    other, mine = ground.broker.ready
    assert matches(mine, ground.entry, "relay")
    assert not matches(other, ground.entry, "relay")
    assert quarantine.look(ground.hands, ground.entry) is mine
    assert ground.broker.ready == [other, mine], "looking takes nothing, and keeps the order"


def test_a_release_publishes_confirmed_before_it_acknowledges(ground: Ground) -> None:
    ground.release()
    assert [one.routing_key for one in ground.broker.published] == ["H29"]
    assert len(ground.broker.ready) == 1
    assert ground.acts() == [RELEASE, RELEASED]
    assert ground.registry.acts(ground.entry.held_id)[1].detail == "sửa xong"
    with pytest.raises(OperationError):
        held(ground.registry, ground.entry.held_id)
    assert states(ground.registry, ground.row)[0] is State.QUEUED


@pytest.mark.parametrize("result", [Published.RETURNED, Published.NACKED, Published.UNDECIDED])
def test_a_release_that_is_not_confirmed_leaves_it_where_it_is(ground: Ground, result: Published) -> None:
    ground.broker.result = result
    with pytest.raises(BrokerError):
        ground.release()
    assert len(ground.broker.ready) == 2
    assert held(ground.registry, ground.entry.held_id).drop is None
    assert ground.acts() == [RELEASE]


@pytest.mark.parametrize("point", ["publish", "before ack", "ack"])
def test_a_release_that_died_is_completed_by_the_next(ground: Ground, point: str) -> None:
    ground.broker.die_at = point
    with pytest.raises(Death):
        ground.release()
    assert held(ground.registry, ground.entry.held_id).drop is None
    assert len(ground.broker.ready) == (1 if point == "ack" else 2)
    ground.broker.die_at = ""
    ground.release()
    assert len(ground.broker.ready) == 1
    assert 1 <= len(ground.broker.published) <= 2, "a copy under the same delivery id at worst"
    assert len({str(one.headers) for one in ground.broker.published}) == 1
    with pytest.raises(OperationError):
        held(ground.registry, ground.entry.held_id)


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("point", ["before ack", "ack"])
def test_what_was_released_by_a_command_that_died_is_not_dropped(
    ground: Ground, point: str, gone: bool
) -> None:
    """Its copy stands in the recipient's queue: nobody may be told that it was dropped."""
    ground.broker.die_at = point
    with pytest.raises(Death):
        ground.release()
    ground.broker.die_at = ""
    with pytest.raises(OperationError) as caught:
        ground.drop(gone=gone)
    assert caught.value.code is Code.NOT_FOUND
    assert ground.registry.untold_drops(9) == []
    ground.release()
    assert states(ground.registry, ground.row)[0] is State.QUEUED
    assert len(ground.broker.ready) == 1


def test_what_is_gone_and_was_never_released_is_not_told_as_released(ground: Ground) -> None:
    ground.broker.ready.clear()
    with pytest.raises(OperationError) as caught:
        ground.release()
    assert caught.value.code is Code.NOT_FOUND
    assert held(ground.registry, ground.entry.held_id).drop is None
    assert ground.acts() == []


def test_the_keepers_look_is_waited_for(ground: Ground) -> None:
    ground.broker.busy = 3
    ground.release()
    assert len(ground.waited) == 3
    assert len(ground.broker.published) == 1


def test_a_drop_is_decided_before_the_message_goes(ground: Ground) -> None:
    seen = ground.drop(dry_run=True)
    assert (seen.in_queue, seen.state, seen.tells) == (True, "queued", ("H26", "H29"))
    assert ground.registry.untold_drops(9) == []
    assert ground.acts() == []
    assert len(ground.broker.ready) == 2
    ground.drop()
    ((entry, drop),) = ground.registry.untold_drops(9)
    assert (entry.held_id, drop.reason, drop.kind, drop.size) == (ground.entry.held_id, "hỏng", "edoc", 4)
    assert ground.acts() == [DROP]
    assert len(ground.broker.ready) == 1
    with pytest.raises(OperationError):
        held(ground.registry, ground.entry.held_id)


@pytest.mark.parametrize("point", ["before ack", "ack"])
def test_a_drop_that_died_is_completed_by_the_next(ground: Ground, point: str) -> None:
    ground.broker.die_at = point
    with pytest.raises(Death):
        ground.drop()
    assert len(ground.registry.untold_drops(9)) == 1, "it will be told whatever happens here"
    with pytest.raises(OperationError) as caught:
        ground.release()
    assert caught.value.code is Code.DELIVERY_DROPPED
    ground.broker.die_at = ""
    ground.drop()
    assert len(ground.broker.ready) == 1
    assert len(ground.registry.untold_drops(9)) == 1
    assert ground.acts() == [DROP]
    with pytest.raises(OperationError):
        held(ground.registry, ground.entry.held_id)


def test_what_somebody_took_away_is_dropped_only_knowingly(ground: Ground) -> None:
    ground.broker.ready.clear()
    with pytest.raises(OperationError) as caught:
        ground.drop()
    assert caught.value.code is Code.NOT_FOUND
    assert ground.drop(gone=True).in_queue is False
    assert len(ground.registry.untold_drops(9)) == 1


def test_what_has_ended_is_not_released(ground: Ground) -> None:
    document = ground.registry.document(ground.row)
    assert document
    wanted = [document.deliveries[0].delivery_id]
    ground.registry.mark_lost(ground.row, wanted, at(60))
    from relay.model.record import Move, Settlement

    move = Move(wanted[0], State.REFUSED, at(70), Code.UNDELIVERABLE)
    assert ground.registry.notice(Settlement(ground.row, (move,)), at(70))
    with pytest.raises(OperationError) as caught:
        ground.release()
    assert caught.value.code is Code.UNDELIVERABLE
    assert ground.broker.published == []
    assert ground.drop().tells == ()


# showing


def judge(readable: bool = True, secret: str = "") -> Callable[[bytes], Judged]:
    return lambda _body: Judged(readable, secret, "" if readable else "NOT-XML", {"sender": "H26"})


def test_what_a_sender_wrote_into_headers_is_not_shown() -> None:
    one = message(
        message_id="t1\x1b[2J",
        headers={"truc-sender": "H26", "Ghi-chú": "nội dung riêng", "x-death": [{"count": 1}]},
    )
    facts = shown(one, judge())
    assert facts["properties"] == {"message_id": "t1?[2J"}
    assert facts["headers"] == {"truc-sender": "H26", "Ghi-chú": "<str>", "x-death": [{"count": 1}]}
    assert facts["package"] == {"sender": "H26"}


def test_of_a_state_secret_nothing_is_shown_and_nothing_written(tmp_path: Path) -> None:
    one = message(message_id="t1")
    facts = shown(one, judge(secret="Subject"))
    assert "package" not in facts
    assert "first_bytes" not in facts
    for unjudged in (False, True):
        with pytest.raises(OperationError) as caught:
            check_out(one, judge(secret="Subject"), unjudged=unjudged)
        assert caught.value.code is Code.STATE_SECRET


def test_what_cannot_be_judged_is_written_only_knowingly() -> None:
    one = message(message_id="t1")
    assert shown(one, judge(readable=False))["first_bytes"] == "62 6f 64 79"
    with pytest.raises(OperationError):
        check_out(one, judge(readable=False))
    check_out(one, judge(readable=False), unjudged=True)


def test_a_body_is_written_for_its_owner_alone_and_over_nothing(tmp_path: Path) -> None:
    path = tmp_path / "body"
    write_out(message(message_id="t1"), path)
    assert path.read_bytes() == b"body"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for taken in (path, tmp_path / "no" / "such"):
        with pytest.raises(OperationError):
            write_out(message(message_id="t1"), taken)
