"""What every registry must do for the operator's commands."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import make_url

from relay.errors import Code
from relay.model.audit import Act
from relay.model.delivery import State
from relay.model.envelope import StatusCode
from relay.model.ports import Registry
from relay.model.receipt import ReceiptKind
from relay.model.record import HeldEntry, Move, NewReceipt, Settlement
from relay.model.standing import Drop, Enrolled, ShapeBy, ShapeCell
from relay.registry import looks, open_registry
from relay.registry import schema as tables
from tests.support.registry import START, Maker, accepted, at, candidate, states, stored

ACT = Act(START, "lan", "quarantine.drop", "held-1", "vì sao")


def entry(make: Maker, row: int, registry: Registry, place: int = 0) -> HeldEntry:
    document = stored(registry, row)
    return HeldEntry(
        held_id="held-1",
        code=Code.REJECTED_BY_GATEWAY,
        origin="agency.H29",
        user="",
        transport_id=document.transport_id,
        sender="H26",
        recipient=document.deliveries[place].recipient,
        delivery_id=document.deliveries[place].delivery_id,
        body_sha256=document.body_sha256,
        at=at(1),
    )


def refusal(registry: Registry, make: Maker, row: int, *places: int, final: bool = False) -> Settlement:
    wanted = [stored(registry, row).deliveries[place].delivery_id for place in places]
    receipt = make.receipt(kind=ReceiptKind.OUTCOME, code="DELIVERY-DROPPED")
    return Settlement(
        row,
        tuple(Move(one, State.REFUSED, at(9), Code.UNDELIVERABLE, detail="vì sao") for one in wanted),
        (NewReceipt(receipt, row, final=final),),
    )


# one document's standing


def test_a_standing_tells_lease_changes_and_receipts(registry: Registry, make: Maker) -> None:
    claim = make.claim("a")
    (result,) = registry.claim([claim], "w1", START)
    assert result.document
    row = result.document.row
    now = registry.standing(row, at(2))
    assert now
    assert (now.holder, now.alive, now.beat_at, now.receipts) == ("w1", True, START, ())
    later = registry.standing(row, at(60))
    assert later
    assert not later.alive
    registry.settle([make.queued(claim, row, now=at(3))], "w1", at(3))
    registry.claim(
        [make.status(candidate(registry, claim, "H29"), StatusCode.ARRIVED, reporter="H29", now=at(4))],
        "w1",
        at(4),
    )
    settled = registry.standing(row, at(60))
    assert settled
    assert settled.holder == ""
    first, second = settled.deliveries
    assert (first.delivery.state, first.last_status, first.last_status_at) == (State.DELIVERED, "01", at(4))
    assert (second.queued_at, second.last_status, second.lost) == (at(3), "", False)
    (receipt,) = settled.receipts
    assert receipt.published_at is None
    registry.published([receipt.number], at(5))
    again = registry.standing(row, at(60))
    assert again
    assert again.receipts[0].published_at == at(5)
    assert registry.standing(row + 99, at(60)) is None


def test_a_later_submission_stands_where_the_first_one_does(registry: Registry, make: Maker) -> None:
    row = accepted(registry, make, make.claim("a"))
    (result,) = registry.claim([make.claim("a")], "w1", START)
    assert result.document
    standing = registry.standing(result.document.row, START)
    assert standing
    assert standing.first
    assert standing.first.row == row
    assert [one.delivery.state for one in standing.deliveries] == [State.QUEUED, State.QUEUED]


def test_receipts_without_a_document_are_found_by_their_transport_id(registry: Registry, make: Maker) -> None:
    one = NewReceipt(make.receipt(), None, user="H26", transport_id="t", body_sha256="a")
    other = NewReceipt(make.receipt(), None, user="H26", transport_id="u", body_sha256="a")
    for new in (one, other):
        registry.settle([Settlement(None, (), (new,))], "w1", START)
    assert [found.number for found in registry.loose_receipts("t")] == [one.receipt.number]


# quarantine


def test_a_drop_ends_the_delivery_and_is_told_in_the_same_commit(registry: Registry, make: Maker) -> None:
    row = accepted(registry, make, make.claim("a"))
    held = entry(make, row, registry)
    assert registry.hold(held, ())
    assert registry.untold_drops(9) == []
    registry.decide_drop(Drop("held-1", at(2), "vì sao"), ACT)
    assert registry.acts("held-1") == (ACT,)
    assert [(one.held_id, drop.reason) for one, drop in registry.untold_drops(9)] == [("held-1", "vì sao")]
    found = registry.held_one("held-1")
    assert found
    assert found.drop
    assert found.drop.told_at is None
    assert registry.end_dropped("held-1", refusal(registry, make, row, 0), at(9))
    assert states(registry, row) == [State.REFUSED, State.QUEUED]
    assert stored(registry, row).deliveries[0].detail == "vì sao"
    assert registry.untold_drops(9) == []
    assert len(registry.receipts(row)) == 2
    (about,) = registry.held_about([held.transport_id, "other"])
    assert about.drop
    assert about.drop.told_at == at(9)
    assert registry.held_about(["other"]) == []


def test_the_last_drop_of_a_document_finishes_it(registry: Registry, make: Maker) -> None:
    row = accepted(registry, make, make.claim("a"))
    registry.hold(entry(make, row, registry), ())
    registry.decide_drop(Drop("held-1", at(2), ""), ACT)
    assert registry.end_dropped("held-1", refusal(registry, make, row, 0, 1, final=True), at(9))
    assert stored(registry, row).finished
    assert registry.unfinished_outcomes(9) == []
    assert registry.overdue(at(10**6), 9) == []
    registry.decide_drop(Drop("held-1", at(2), ""), ACT)
    assert not registry.end_dropped("held-1", refusal(registry, make, row, 0, final=True), at(9))


def test_what_has_gone_on_meanwhile_is_not_dropped(registry: Registry, make: Maker) -> None:
    claim = make.claim("a")
    row = accepted(registry, make, claim)
    registry.hold(entry(make, row, registry), ())
    registry.decide_drop(Drop("held-1", at(2), ""), ACT)
    settlement = refusal(registry, make, row, 0, 1)
    status = make.status(candidate(registry, claim, "H29"), StatusCode.ARRIVED, reporter="H29")
    registry.claim([status], "w1", START)
    assert not registry.end_dropped("held-1", settlement, at(60))
    assert states(registry, row) == [State.DELIVERED, State.QUEUED]
    assert len(registry.untold_drops(9)) == 1
    assert len(registry.receipts(row)) == 1


def test_what_a_live_worker_has_in_hand_is_not_dropped(registry: Registry, make: Maker) -> None:
    (result,) = registry.claim([make.claim("a")], "w1", START)
    assert result.document
    row = result.document.row
    registry.hold(entry(make, row, registry), ())
    registry.decide_drop(Drop("held-1", at(2), ""), ACT)
    assert not registry.end_dropped("held-1", refusal(registry, make, row, 0), at(1))
    assert registry.end_dropped("held-1", refusal(registry, make, row, 0, 1, final=True), at(60))
    assert registry.lost(at(10**6), at(10**6), 9) == []


def test_a_decision_that_was_told_can_be_made_again(registry: Registry, make: Maker) -> None:
    row = accepted(registry, make, make.claim("a"))
    registry.hold(replace(entry(make, row, registry), delivery_id=""), ())
    registry.decide_drop(Drop("held-1", at(2), "first"), ACT)
    registry.decide_drop(Drop("held-1", at(3), "second"), ACT)
    assert [drop.reason for _, drop in registry.untold_drops(9)] == ["first"]
    assert registry.end_dropped("held-1", Settlement(None), at(9))
    registry.decide_drop(Drop("held-1", at(10), "third"), ACT)
    assert [drop.reason for _, drop in registry.untold_drops(9)] == ["third"]


# losses that an operator knows of


def test_what_is_marked_as_lost_is_the_keepers_to_tell(registry: Registry, make: Maker) -> None:
    claim = make.claim("a")
    row = accepted(registry, make, claim)
    wanted = [claim.deliveries[1].delivery_id]
    assert registry.mark_lost(row, wanted, at(60)) == 1
    assert states(registry, row) == [State.QUEUED, State.PLANNED]
    assert [one.row for one in registry.lost(at(0), at(50), 9)] == [row]
    assert registry.mark_lost(row, wanted, at(61)) == 0
    standing = registry.standing(row, at(61))
    assert standing
    assert [one.lost for one in standing.deliveries] == [False, True]


def test_nothing_in_hand_and_nothing_ended_is_marked_as_lost(registry: Registry, make: Maker) -> None:
    claim = make.claim("a", refused=("H53",))
    (result,) = registry.claim([claim], "w1", START)
    assert result.document
    wanted = [one.delivery_id for one in claim.deliveries]
    assert registry.mark_lost(result.document.row, wanted, at(1)) == 0
    assert registry.mark_lost(result.document.row, wanted, at(60)) == 1
    assert states(registry, result.document.row) == [State.PLANNED, State.REFUSED]


# processes


def test_processes_come_and_go(registry: Registry) -> None:
    one = Enrolled("w1-a", "w1", "worker", "pc", "m", 7, 70, START, "1")
    registry.enroll(one)
    registry.heartbeat("w1-a", at(1))
    registry.enroll(replace(one, owner="keeper-a", name="keeper", role="keeper", pid=8))
    assert [(found.owner, found.beat_at) for found in registry.enrolled()] == [
        ("w1-a", at(1)),
        ("keeper-a", None),
    ]
    later = START + timedelta(hours=2)
    registry.enroll(replace(one, owner="w2-a", name="w2", pid=9, since=later))
    assert [found.owner for found in registry.enrolled()] == ["w1-a", "w2-a"], "what never beat is old now"
    registry.enroll(replace(one, owner="w3-a", name="w3", since=later))
    assert [found.owner for found in registry.enrolled()] == ["w2-a", "w3-a"], "the number is another's now"
    registry.leave("w3-a")
    assert [found.owner for found in registry.enrolled()] == ["w2-a"]


def test_what_a_process_has_in_hand_is_counted(registry: Registry, make: Maker) -> None:
    assert registry.in_hand("w1") == 0
    claim = make.claim("a")
    (result,) = registry.claim([claim, make.claim("b")], "w1", START)[:1]
    assert registry.in_hand("w1") == 2
    assert registry.in_hand("w2") == 0
    assert result.document
    deferral = Settlement(
        result.document.row,
        tuple(
            Move(one.delivery_id, State.PLANNED, at(1), Code.QUEUE_FULL, at(5), 1) for one in claim.deliveries
        ),
    )
    registry.settle([deferral], "w1", at(1))
    assert registry.in_hand("w1") == 1
    registry.claim([claim], "w1", at(6))
    assert registry.in_hand("w1") == 2, "taken up again"


# the shape


def test_the_shape_counts_by_key_and_age(registry: Registry, make: Maker) -> None:
    now = at(3600)
    bounds = [now - timedelta(minutes=5), now - timedelta(minutes=10)]
    accepted(registry, make, make.claim("a", now=at(3500)))
    old = make.claim("b", now=at(0))
    row = accepted(registry, make, old)
    accepted(registry, make, make.claim("c", recipients=("H53",), now=at(0)))
    waiting = make.claim("d", recipients=("H53",), now=at(3100))
    (result,) = registry.claim([waiting], "w1", at(3100))
    assert result.document
    found = registry.shape(ShapeBy.AGENCY, bounds, now)
    assert set(found.deliveries) == {
        ShapeCell("H29", 0, 1, 0, at(3500)),
        ShapeCell("H53", 0, 1, 0, at(3500)),
        ShapeCell("H29", 2, 1, 0, at(0)),
        ShapeCell("H53", 2, 2, 0, at(0)),
        ShapeCell("H53", 1, 1, 1, at(3100)),
    }
    assert found.in_hand == (ShapeCell("normal", 1, 1, 1, at(3100)),)
    status = make.status(candidate(registry, old, "H29"), StatusCode.ARRIVED, reporter="H29", now=at(3400))
    registry.claim([status], "w2", at(3400))
    by_lane = registry.shape(ShapeBy.LANE, bounds, now).deliveries
    assert ShapeCell("status", 0, 1, 1, at(3400)) in by_lane
    assert ShapeCell("normal", 2, 2, 0, at(0)) in by_lane, "one of three was delivered"
    defer = Settlement(
        result.document.row,
        (Move(waiting.deliveries[0].delivery_id, State.PLANNED, now, Code.QUEUE_FULL, at(4000), 2),),
    )
    registry.settle([defer], "w1", now)
    later = registry.shape(ShapeBy.CODE, bounds, now)
    assert ShapeCell("QUEUE-FULL", 1, 1, 1, at(3100)) in later.deliveries
    assert later.deferred == (ShapeCell("2", 1, 1, 1, at(3100)),)
    assert registry.shape(ShapeBy.LEVEL, bounds, at(4001)).deferred == (ShapeCell("0", 1, 1, 1, at(3100)),)
    registry.hold(entry(make, row, registry), ())
    assert registry.shape(ShapeBy.LEVEL, bounds, now).held == (
        ShapeCell("REJECTED-BY-GATEWAY", 2, 1, 1, at(1)),
    )
    assert {cell.key for cell in registry.shape(ShapeBy.LEVEL, bounds, now).deliveries} == {"province"}


def test_an_older_registry_gets_tables_and_indices_in_place(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    open_registry(f"sqlite:///{path}").close()
    raw = sqlite3.connect(path)
    for name in sorted(tables.ADDED_INDICES):
        raw.execute(f"DROP INDEX {name}")
    for table in (tables.drops, tables.processes):
        raw.execute(f"DROP TABLE {table.name}")
    raw.commit()
    raw.close()
    open_registry(f"sqlite:///{path}").close()
    raw = sqlite3.connect(path)
    there = {name for (name,) in raw.execute("SELECT name FROM sqlite_master")}
    raw.close()
    assert there >= tables.ADDED_INDICES
    assert {"drops", "processes", "drops_untold"} <= there


def test_the_shape_is_counted_from_the_partial_indices(tmp_path: Path) -> None:
    registry = open_registry(f"sqlite:///{tmp_path}/r.db")

    said: list[str] = []
    event.listen(registry._engine, "before_cursor_execute", lambda _c, _k, sql, *_r: said.append(sql))
    registry.shape(ShapeBy.AGENCY, [START], at(1))
    registry.refused("x")
    registry.held_about(["x"])
    registry.close()
    raw = sqlite3.connect(tmp_path / "r.db")
    plans = [
        " ".join(step[3] for step in raw.execute(f"EXPLAIN QUERY PLAN {sql}", ("x",) * sql.count("?")))
        for sql in said
        if sql.startswith("SELECT")
    ]
    raw.close()
    wanted = (
        "documents_unfinished",
        "deliveries_planned",
        "documents_unsettled",
        "deliveries_planned",
        "held_waiting",
        "receipts_loose",
        "held_of",
    )
    for plan, index in zip(plans, wanted, strict=True):
        assert index in plan, plan


def test_the_shape_can_be_said_in_postgresql() -> None:
    dialect = make_url("postgresql://").get_dialect()()
    for query in (looks._in_hand([1]), looks._deferred([1], 2), looks._held([1])):
        said = str(query.compile(dialect=dialect))
        assert "GROUP BY key, bucket" in said
        assert "CASE WHEN" in said
