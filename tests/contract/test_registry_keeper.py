"""What every registry must do for the keeper and for those who ask."""

from __future__ import annotations

from dataclasses import replace

from relay.errors import Code
from relay.model.delivery import State
from relay.model.envelope import StatusCode
from relay.model.ports import Registry
from relay.model.receipt import ReceiptKind
from relay.model.record import (
    Claimed,
    HeldEntry,
    Move,
    NewReceipt,
    Settled,
    Settlement,
)
from tests.support.registry import START, Maker, accepted, at, candidate, states

# the keeper


def test_overdue_is_told_once(registry: Registry, make: Maker) -> None:
    claim = make.claim("a", deadline=at(100))
    row = accepted(registry, make, claim)
    found = candidate(registry, claim, "H29")
    registry.claim([make.status(found, StatusCode.ARRIVED, reporter="H29")], "w1", at(5))
    assert registry.overdue(at(100), 9) == []
    assert [item.row for item in registry.overdue(at(101), 9)] == [row]
    told = NewReceipt(
        make.receipt(kind=ReceiptKind.OUTCOME, code="OVERDUE"), row, told=(claim.deliveries[1].delivery_id,)
    )
    notice = Settlement(row, (), (told,))
    assert registry.notice(notice, at(102))
    assert registry.overdue(at(103), 9) == []
    again = replace(told, receipt=make.receipt(kind=ReceiptKind.OUTCOME, code="OVERDUE"))
    assert not registry.notice(Settlement(row, (), (again,)), at(103))
    assert len(registry.receipts(row)) == 2


def test_a_notice_leaves_a_held_document_alone(registry: Registry, make: Maker) -> None:
    claim = make.claim("a")
    (result,) = registry.claim([claim], "w1", START)
    assert result.document
    row = result.document.row
    refuse = Settlement(
        row,
        tuple(Move(item.delivery_id, State.REFUSED, at(1), Code.UNDELIVERABLE) for item in claim.deliveries),
    )
    assert not registry.notice(refuse, at(1))
    assert states(registry, row) == [State.PLANNED, State.PLANNED]
    assert registry.notice(refuse, at(60))
    assert states(registry, row) == [State.REFUSED, State.REFUSED]


def test_a_notice_that_comes_too_late_changes_nothing(registry: Registry, make: Maker) -> None:
    claim = make.claim("a")
    row = accepted(registry, make, claim)
    give_up = Settlement(
        row,
        (Move(claim.deliveries[0].delivery_id, State.REFUSED, at(1), Code.UNDELIVERABLE),),
        (NewReceipt(make.receipt(kind=ReceiptKind.OUTCOME, code="UNDELIVERABLE"), row),),
    )
    assert not registry.notice(give_up, at(60))
    assert states(registry, row) == [State.QUEUED, State.QUEUED]
    assert len(registry.receipts(row)) == 1


def test_a_new_epoch_marks_what_stood_in_queues(registry: Registry, make: Maker) -> None:
    queued = make.claim("a", recipients=("H29",))
    row = accepted(registry, make, queued)
    delivered = make.claim("b", recipients=("H29",))
    delivered_row = accepted(registry, make, delivered)
    status = make.status(candidate(registry, delivered, "H29"), StatusCode.ARRIVED, reporter="H29")
    status_row = accepted(registry, make, status)
    in_hand = make.claim("c", recipients=("H29",))
    (held,) = registry.claim([in_hand], "w1", START)
    assert held.document
    assert registry.broker_epoch() is None
    assert registry.new_broker_epoch("e1", None, START)
    assert not registry.new_broker_epoch("e0", None, START)
    assert states(registry, row) == [State.QUEUED]
    registry.epoch_declared("e1")
    assert registry.broker_epoch() == ("e1", True)
    assert not registry.new_broker_epoch("e2", "e0", at(1))
    assert registry.new_broker_epoch("e2", "e1", at(1))
    assert not registry.new_broker_epoch("e3", "e1", at(1))
    assert registry.broker_epoch() == ("e2", False)
    assert states(registry, row) == [State.PLANNED]
    assert states(registry, delivered_row) == [State.DELIVERED]
    assert states(registry, status_row) == [State.QUEUED]
    assert registry.settle([make.queued(in_hand, held.document.row)], "w1", at(1)) == [Settled.LOST]
    lost = registry.lost(START, START, 9)
    assert [item.row for item in lost] == [row, held.document.row]
    told = NewReceipt(
        make.receipt(kind=ReceiptKind.OUTCOME, code="BODY-LOST"),
        row,
        told=(queued.deliveries[0].delivery_id,),
    )
    assert registry.notice(Settlement(row, (), (told,)), at(2))
    assert [item.row for item in registry.lost(START, START, 9)] == [held.document.row]
    (again,) = registry.claim([queued], "w2", at(3))
    assert again.outcome is Claimed.RESUMED
    assert told.receipt in again.receipts
    registry.settle([make.queued(queued, row)], "w2", at(3))
    assert states(registry, row) == [State.QUEUED]
    assert registry.new_broker_epoch("e3", "e2", at(4))
    assert row in [item.row for item in registry.lost(START, START, 9)]


def test_what_was_claimed_and_left_is_lost_and_told_once(registry: Registry, make: Maker) -> None:
    refused = make.claim("a", refusal=Code.WRONG_LANE, recipients=())
    (result,) = registry.claim([refused], "w1", START)
    assert result.document
    row = result.document.row
    registry.heartbeat("w1", at(50))
    assert registry.lost(at(40), at(40), 9) == []
    assert registry.oldest_unsettled() == START
    assert [item.row for item in registry.lost(at(60), at(60), 9)] == [row]
    told = NewReceipt(make.receipt(kind=ReceiptKind.OUTCOME, code="BODY-LOST"), row)
    assert registry.notice(Settlement(row, (), (told,)), at(120))
    assert registry.lost(at(60), at(60), 9) == []
    assert registry.claim([refused], "w2", at(121))[0].outcome is Claimed.RESUMED


def test_the_oldest_unfinished_of_each_lane(registry: Registry, make: Maker) -> None:
    assert registry.oldest_unfinished() == {}
    accepted(registry, make, make.claim("a"))  # queued: what is to come is the recipient's
    assert registry.oldest_unfinished() == {}
    deferred = make.claim("b", recipients=("H29",), now=at(1))
    (result,) = registry.claim([deferred], "w1", at(1))
    assert result.document
    row = result.document.row
    assert registry.oldest_unfinished() == {"normal": at(1)}
    later = Move(deferred.deliveries[0].delivery_id, State.PLANNED, at(1), Code.QUEUE_FULL, at(60), 1)
    registry.settle([Settlement(row, (later,))], "w1", at(1))
    urgent = replace(make.claim("c", now=at(2)), lane="urgent")
    registry.claim([urgent, make.claim("d", now=at(3))], "w1", at(3))
    assert registry.oldest_unfinished() == {"normal": at(1), "urgent": at(2)}
    registry.settle([make.queued(deferred, row)], "w1", at(4))
    registry.claim([deferred], "w1", at(4))
    registry.settle([make.queued(deferred, row)], "w1", at(5))
    assert registry.oldest_unfinished() == {"normal": at(3), "urgent": at(2)}


def test_a_deferral_that_never_came_back(registry: Registry, make: Maker) -> None:
    claim = make.claim("a", recipients=("H29",))
    (result,) = registry.claim([claim], "w1", START)
    assert result.document
    row = result.document.row
    deferral = Move(claim.deliveries[0].delivery_id, State.PLANNED, START, Code.QUEUE_FULL, at(60), 1)
    registry.settle([Settlement(row, (deferral,))], "w1", START)
    assert registry.lost(at(60), at(60), 9) == []
    assert [item.row for item in registry.lost(at(61), START, 9)] == [row]
    assert [item.row for item in registry.expired(at(1), 9)] == [row]
    assert registry.expired(START, 9) == []


def test_outcomes_that_are_missing(registry: Registry, make: Maker) -> None:
    claim = make.claim("a", recipients=("H29", "X1"), refused=("X1",))
    row = accepted(registry, make, claim)
    assert registry.unfinished_outcomes(9) == []
    status = make.status(candidate(registry, claim, "H29"), StatusCode.ARRIVED, reporter="H29")
    registry.claim([status], "w1", at(1))
    assert [item.row for item in registry.unfinished_outcomes(9)] == [row]
    final = NewReceipt(make.receipt(kind=ReceiptKind.OUTCOME), row, final=True)
    assert registry.notice(Settlement(row, (), (final,)), at(2))
    assert registry.unfinished_outcomes(9) == []
    late = NewReceipt(make.receipt(kind=ReceiptKind.OUTCOME), row, final=True)
    assert not registry.notice(Settlement(row, (), (late,)), at(3))


def test_all_recipients_refused_is_an_end_too(registry: Registry, make: Maker) -> None:
    row = accepted(registry, make, make.claim("a", recipients=("X1",), refused=("X1",)))
    assert [item.row for item in registry.unfinished_outcomes(9)] == [row]


def test_a_named_lease_has_one_holder(registry: Registry) -> None:
    assert registry.lease("keeper", "k1", START, 10)
    assert not registry.lease("keeper", "k2", at(9), 10)
    assert registry.lease("keeper", "k1", at(9), 10)
    assert not registry.lease("keeper", "k2", at(18), 10)
    assert registry.lease("keeper", "k2", at(19), 10)
    assert not registry.lease("keeper", "k1", at(20), 10)


def test_a_lease_from_a_time_to_come_is_waited_for_by_nobody(registry: Registry) -> None:
    """A keeper whose clock was a day ahead has died; so has a keeper, seen by one whose clock is a day behind."""
    day = 86_400
    assert registry.lease("keeper", "k1", at(day), 10)
    assert registry.lease("keeper", "k2", at(1), 10)
    assert not registry.lease("keeper", "k3", at(1 - 60), 10)  # clocks of two machines may differ a little
    assert registry.lease("keeper", "k3", at(1 - day), 10)
    assert registry.lease("keeper", "k2", at(2), 10)


def test_held_is_noted_once_until_released(registry: Registry, make: Maker) -> None:
    entry = HeldEntry("h1", Code.SET_ASIDE, "ingress.normal", "H26", "", "", "", "", "aa", START, "chi tiết")
    both = [NewReceipt(make.receipt(kind=ReceiptKind.HELD, to=to), None, user="H26") for to in ("H26", "H29")]
    assert registry.hold(entry, both)
    assert not registry.hold(entry, [NewReceipt(make.receipt(kind=ReceiptKind.HELD), None)])
    assert registry.held() == [entry]
    assert [item.to for item in registry.unpublished(at(1), 9)] == ["H26", "H29"]
    assert registry.refusal_receipts("H26", "", "") == []
    registry.released("h1", at(5))
    assert registry.held() == []
    anew = replace(entry, at=at(6))
    assert registry.hold(anew, [NewReceipt(make.receipt(kind=ReceiptKind.HELD), None)])
    assert registry.held() == [anew]


def test_the_story_tells_each_step_in_order(registry: Registry, make: Maker) -> None:
    claim = make.claim("a", recipients=("H29", "X1"), refused=("X1",))
    row = accepted(registry, make, claim)
    status = make.status(candidate(registry, claim, "H29"), StatusCode.ARRIVED, reporter="H29", now=at(5))
    registry.claim([status], "w1", at(5))
    registry.published([registry.receipts(row)[0].number], at(7))
    registry.claim([make.claim("a", now=at(8))], "w1", at(8))
    told = [(event.event, event.recipient) for event in registry.story(row)]
    assert told[0] == ("accepted", "")
    assert told[-1] == ("same-content", "")
    assert ("queued", "H29") in told
    assert ("refused", "X1") in told
    assert told.index(("queued", "H29")) < told.index(("delivered", "H29"))
    assert ("status", "H29") in told
    assert told.index(("receipt", "H26")) < told.index(("receipt-published", "H26"))
    assert registry.story(4711) == []
