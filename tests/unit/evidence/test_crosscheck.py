"""The registry held against the log: what is on one side alone, and what both hold with other content."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from relay.evidence.crosscheck import Tally
from relay.evidence.faults import Fault
from relay.evidence.verify import LogVerifier
from relay.model.delivery import State
from relay.model.envelope import StatusCode
from relay.model.evidence import LedgerDelivery, LedgerReceipt
from relay.registry import SqlRegistry, open_registry
from tests.support.evidence import EvidentRelay
from tests.support.registry import START, Maker, accepted, candidate


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[EvidentRelay]:
    made = EvidentRelay(tmp_path)
    yield made
    made.close()


@pytest.fixture
def registry(relay: EvidentRelay) -> SqlRegistry:
    """Three documents, one of them delivered to one recipient."""
    registry, make = relay.registry(), Maker()
    for number in range(3):
        claim = make.claim(f"body {number}", refused=("H53",) if number == 2 else ())
        accepted(registry, make, claim)
        if number == 1:
            status = make.status(candidate(registry, claim, "H29"), StatusCode.ARRIVED, reporter="H29")
            registry.claim([status], "w1", START)
    return registry


def told(registry: SqlRegistry, make: Maker, content: str, at: datetime) -> None:
    """A document with everything at one time."""
    claim = make.claim(content, now=at)
    (made,) = registry.claim([claim], "w1", at)
    assert made.document
    registry.settle([make.queued(claim, made.document.row, now=at)], "w1", at)


def compare(registry: SqlRegistry) -> tuple[list[Fault], int]:
    tally = Tally()
    LogVerifier(seen=tally.seen).verify(registry.evidence)
    return tally.settle(registry.ledger, registry.evidence)


def raw(relay: EvidentRelay, sql: str) -> None:
    with closing(sqlite3.connect(relay.folder / "registry.db")) as database, database:
        database.execute("PRAGMA foreign_keys=OFF")
        database.execute(sql)


def said(faults: list[Fault]) -> set[tuple[str, str]]:
    return {(one.kind.value, one.what.value) for one in faults}


def test_both_say_the_same(registry: SqlRegistry) -> None:
    assert compare(registry) == ([], 0)
    states = {one.state for one in registry.ledger.deliveries()}
    assert states >= {State.QUEUED, State.DELIVERED, State.REFUSED}
    assert len(list(registry.ledger.receipts())) == 3


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("UPDATE receipt_bodies SET body = 'other' WHERE receipt = 1", ("contradicted", "receipt")),
        ("DELETE FROM receipts WHERE id = 2", ("unregistered", "receipt")),
        ("UPDATE receipts SET serial = 99 WHERE id = 2", ("unrecorded", "receipt")),
        ("UPDATE deliveries SET state = 'withdrawn' WHERE document = 1", ("contradicted", "delivery")),
        ("UPDATE deliveries SET state = 'queued' WHERE state = 'delivered'", ("contradicted", "delivery")),
        ("DELETE FROM deliveries WHERE document = 1", ("unregistered", "delivery")),
        (
            "UPDATE deliveries SET delivery_id = 'other' || recipient WHERE document = 1",
            ("unrecorded", "delivery"),
        ),
    ],
)
def test_what_was_changed_in_the_registry_is_named(
    relay: EvidentRelay, registry: SqlRegistry, sql: str, wanted: tuple[str, str]
) -> None:
    raw(relay, sql)
    faults, _ = compare(registry)
    assert wanted in said(faults)
    assert {what for _, what in said(faults)} == {wanted[1]}
    for fault in faults:
        assert fault.name
        assert fault.text("vi")


class Busy:
    """A registry in which a document comes, with all of its receipts and moves, after each time that one side was read."""

    def __init__(self, registry: SqlRegistry, documents: int) -> None:
        self.registry = registry
        self.left = documents
        self.make = Maker(series="busy", serial=100)

    def _come(self) -> None:
        if self.left:
            self.left -= 1
            told(self.registry, self.make, f"later {self.left}", START + timedelta(seconds=5))

    def receipts(self) -> Iterator[LedgerReceipt]:
        self._come()
        yield from self.registry.ledger.receipts()

    def deliveries(self) -> Iterator[LedgerDelivery]:
        self._come()
        yield from self.registry.ledger.deliveries()


@pytest.mark.parametrize("documents", [1, 2, 3, 1000])
def test_what_comes_while_both_are_read_is_no_fault(registry: SqlRegistry, documents: int) -> None:
    tally = Tally()
    LogVerifier(seen=tally.seen).verify(registry.evidence)
    busy = Busy(registry, documents)
    assert tally.settle(busy, registry.evidence) == ([], 0)


def test_a_difference_is_found_though_documents_come_all_the_time(
    registry: SqlRegistry, relay: EvidentRelay
) -> None:
    raw(relay, "UPDATE receipts SET serial = 99 WHERE id = 2")
    raw(relay, "UPDATE deliveries SET state = 'withdrawn' WHERE document = 1")
    tally = Tally()
    LogVerifier(seen=tally.seen).verify(registry.evidence)
    faults, _ = tally.settle(Busy(registry, 1000), registry.evidence)
    assert said(faults) == {
        ("unrecorded", "receipt"),
        ("unregistered", "receipt"),
        ("contradicted", "delivery"),
    }


def test_a_clock_that_was_wrong_hides_nothing(registry: SqlRegistry, relay: EvidentRelay) -> None:
    told(registry, Maker(series="t2", serial=100), "in the year to come", START + timedelta(days=300))
    raw(relay, "UPDATE receipts SET serial = 99 WHERE id = (SELECT max(id) FROM receipts)")
    assert said(compare(registry)[0]) == {("unrecorded", "receipt"), ("unregistered", "receipt")}


def test_what_is_older_than_the_log_is_counted(tmp_path: Path) -> None:
    """A relay that had no evidence before: what it did then is no fault, and is told."""
    url = f"sqlite:///{tmp_path}/registry.db"
    before, make = open_registry(url), Maker()
    told(before, make, "old", START - timedelta(days=1))
    before.close()
    relay = EvidentRelay(tmp_path)
    registry = relay.registry()
    told(registry, make, "new", START)
    assert compare(registry) == ([], 3)
    relay.close()
