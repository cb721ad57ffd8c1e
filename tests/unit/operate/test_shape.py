"""From counts to rows: destinations, ages, and what the broker says of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from relay.broker import names
from relay.model.standing import Shape, ShapeBy, ShapeCell
from relay.operate.shape import OWN, ages, table, times

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
OLD = NOW - timedelta(hours=3)


def cell(key: str, bucket: int, count: int, planned: int = 0, oldest: datetime = NOW) -> ShapeCell:
    return ShapeCell(key, bucket, count, planned, oldest)


SHAPE = Shape(
    deliveries=(cell("H53", 0, 3), cell("H53.31", 2, 5, 2, OLD), cell("H26", 1, 1, 1), cell("G22", 0, 1)),
    in_hand=(cell("normal", 0, 7, 7),),
    deferred=(cell("0", 1, 1, 1), cell("2", 2, 4, 4, OLD), cell("9", 2, 1, 1)),
    held=(cell("HELD", 2, 2, 2, OLD), cell("REJECTED-BY-GATEWAY", 0, 1, 1)),
)
SEEN = {
    **dict.fromkeys(OWN, (0, 1)),
    "agency.H53": (9, 0),
    "agency.H26": (1, 2),
    "agency.G22": None,
    "agency.H29": (4, 1),
    "agency.G14": (0, 0),
}


def queue_of(code: str) -> str:
    return names.agency_queue("H53" if code == "H53.31" else code)


def test_ages_double() -> None:
    assert ages(5, 4) == (5, 10, 20, 40)
    assert times((5, 10), NOW) == [NOW - timedelta(minutes=5), NOW - timedelta(minutes=10)]


def test_recipients_are_counted_at_the_queue_that_serves_them() -> None:
    found = table(SHAPE, ShapeBy.AGENCY, (5, 10), queue_of, SEEN)
    first = found.rows[0]
    assert (first.name, first.counts, first.planned, first.oldest) == ("agency.H53", (3, 0, 5), 2, OLD)
    assert (first.ready, first.consumers) == (9, 0)
    assert (found.total.total, found.total.counts, found.total.ready) == (10, (4, 1, 5), 14)
    assert found.unread == 1


def test_a_queue_that_holds_what_the_registry_does_not_count_is_shown() -> None:
    rows = {row.name: row for row in table(SHAPE, ShapeBy.AGENCY, (5, 10), queue_of, SEEN).rows}
    assert (rows["agency.H29"].total, rows["agency.H29"].ready) == (0, 4)
    assert "agency.G14" not in rows
    assert rows["agency.G22"].missing


def test_what_top_leaves_out_is_told_together() -> None:
    found = table(SHAPE, ShapeBy.AGENCY, (5, 10), queue_of, SEEN, top=1)
    assert [row.name for row in found.rows] == ["agency.H53"]
    assert found.others is not None
    assert (found.others.name, found.others.counts, found.others.ready) == ("3", (1, 1, 0), 5)
    assert found.total.total == 10


def test_other_keys_are_rows_as_they_are() -> None:
    found = table(SHAPE, ShapeBy.LANE, (5, 10), queue_of, SEEN)
    assert [row.name for row in found.rows] == ["H53.31", "H53", "G22", "H26"]
    assert all(row.ready is None for row in found.rows)


def test_the_relays_own_queues_have_their_ages_from_the_registry() -> None:
    own = {row.name: row for row in table(SHAPE, ShapeBy.LANE, (5, 10), queue_of, SEEN).own}
    assert tuple(own) == OWN
    assert own["ingress.normal"].counts == (7, 0, 0)
    assert own["retry.1m"].counts == (0, 0, 4)
    assert own["retry.1h"].counts == (0, 0, 1), "the last rung is for ever"
    assert own["due"].counts == (0, 1, 0)
    assert (own["quarantine"].counts, own["quarantine"].oldest) == ((1, 0, 2), OLD)
    assert (own["inspect"].total, own["inspect"].consumers) == (0, 1)


def test_without_a_broker_the_registry_still_answers() -> None:
    found = table(SHAPE, ShapeBy.AGENCY, (5, 10), queue_of, None)
    assert not found.broker
    assert found.total.total == 10
    assert found.rows[0].ready is None
