"""Sealing and signing: whatever dies, jumps or works twice, the log stays verifiable, or the fault is named."""

from __future__ import annotations

import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from relay.errors import Code, RegistryError
from relay.evidence import heads
from relay.evidence.faults import FaultKind
from relay.evidence.sealing import LogCheck, Sealer, SealingPolicy
from relay.model.audit import Act
from relay.model.keeping import NewBatch
from relay.registry import SqlRegistry, copy, open_registry
from relay.registry.evidence import SqlEvidence
from tests.support.evidence import POLICY, EvidentRelay
from tests.support.registry import START, Maker, accepted, at


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[EvidentRelay]:
    made = EvidentRelay(tmp_path)
    yield made
    made.close()


@pytest.fixture
def make() -> Maker:
    return Maker()


def _work(registry: SqlRegistry, make: Maker, count: int) -> None:
    for _ in range(count):
        make.serial += 1
        accepted(registry, make, make.claim(f"body {make.serial}"))


def _far(relay: EvidentRelay) -> float:
    return relay.clock.monotonic() + 1000


def _raw(relay: EvidentRelay, sql: str, *values: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(relay.folder / "registry.db")) as database, database:
        return database.execute(sql, values).fetchall()


class _Losing:
    """Loses its connection before or after a commit; whoever waits cannot tell which."""

    def __init__(self, real: Any, before: bool) -> None:
        self._real = real
        self._before = before

    @contextmanager
    def begin(self) -> Iterator[object]:
        with self._real.begin() as connection:
            yield connection
            if self._before:
                raise RegistryError(Code.REGISTRY_BUSY, "lost before")
        raise RegistryError(Code.REGISTRY_BUSY, "lost after")


def test_what_is_sealed_and_signed_verifies(relay: EvidentRelay, make: Maker) -> None:
    one, two = relay.registry("w1"), relay.registry("w2")
    _work(one, make, 50)
    _work(two, make, 3)
    relay.seal_all(one.evidence)
    report = relay.verify(one.evidence)
    assert report.ok, report.faults
    assert (report.records, report.covered) == (151 + 10, 161)
    assert report.batches == 3 + 1  # 64 + 64 + the rest, and the other's
    assert {chain.writer for chain in report.chains} == {"w1", "w2"}


def test_a_record_waits_no_longer_than_it_may(relay: EvidentRelay, make: Maker) -> None:
    registry = relay.registry()
    sealer = relay.sealer(registry.evidence)
    _work(registry, make, 1)
    assert sealer.seal(_far(relay)) == 0
    assert sealer.waiting == 4
    relay.clock.pass_by(9)
    assert sealer.seal(_far(relay)) == 0
    relay.clock.pass_by(2)
    assert sealer.seal(_far(relay)) == 1
    assert sealer.seal(_far(relay)) == 0
    _work(registry, make, 30)
    assert sealer.seal(_far(relay)) == 1  # full: at once


def test_a_head_is_signed_in_time_and_on_demand(relay: EvidentRelay, make: Maker) -> None:
    registry = relay.registry()
    store = registry.evidence
    sealer = relay.sealer(store)
    assert sealer.head() is None  # nothing to sign
    _work(registry, make, 30)
    sealer.seal(_far(relay))
    first = sealer.head()
    assert first is not None
    assert first.number == 1
    assert sealer.head() is None
    _work(registry, make, 30)
    sealer.seal(_far(relay))
    assert sealer.head() is None
    store.ask_head(relay.clock.now())
    second = sealer.head()
    assert second is not None
    assert heads.read_head(second.signed.text).previous == heads.head_hash(first.signed.text)
    assert store.asked() is None
    _work(registry, make, 30)
    sealer.seal(_far(relay))
    relay.clock.pass_by(61)
    third = sealer.head()
    assert third is not None
    assert relay.verify(store).ok


def test_two_keepers_do_not_quarrel(relay: EvidentRelay, make: Maker) -> None:
    """Both believe that they hold the lease: each step of one is refused where the other was first."""
    registry, other = relay.registry("k1"), relay.registry("k2")
    one, two = relay.sealer(registry.evidence), relay.sealer(other.evidence)
    for step in range(6):
        _work(registry, make, 25)
        relay.clock.pass_by(30)
        (one if step % 2 else two).seal(_far(relay))
        for sealer in (one, two):
            sealer.seal(_far(relay))
            sealer.head()
    relay.seal_all(registry.evidence, one)
    report = relay.verify(registry.evidence)
    assert report.ok, report.faults
    assert report.covered == report.records


def test_a_batch_that_another_has_sealed_is_not_joined_twice(relay: EvidentRelay, make: Maker) -> None:
    registry = relay.registry()
    store = registry.evidence
    _work(registry, make, 30)
    seen: list[tuple[int, list[NewBatch]]] = []

    class Slow(SqlEvidence):
        def join(self, place: int, new: list[NewBatch]) -> bool:  # type: ignore[override]
            seen.append((place, list(new)))
            return False

    late = Slow(store._read, store._write, store._record)
    relay.clock.pass_by(20)
    assert relay.sealer(late).seal(_far(relay)) == 0
    assert relay.sealer(store).seal(_far(relay)) == 1
    ((place, batches),) = seen
    assert not store.join(place, batches)  # the log has grown
    assert not store.join(place + 1, batches)  # at the end, but the chain has that batch
    assert store.size() == 1
    relay.seal_all(store)
    head = store.last_head()
    assert head is not None
    assert not store.add_head(head)


def test_a_keeper_that_died_between_batch_and_head_leaves_nothing_to_mend(
    relay: EvidentRelay, make: Maker
) -> None:
    registry = relay.registry()
    store = registry.evidence
    _work(registry, make, 60)
    relay.clock.pass_by(20)
    relay.sealer(store, replace(POLICY, records=16)).seal(_far(relay))
    between = relay.verify(store)
    assert between.ok
    assert between.heads == 0
    # another one comes, an hour later, with other numbers
    relay.clock.pass_by(3600)
    _work(registry, make, 7)
    relay.seal_all(store, relay.sealer(store))
    after = relay.verify(store)
    assert after.ok, after.faults
    assert after.covered == after.records == 1 + 3 * 67


def test_a_portion_at_a_time_catches_up(relay: EvidentRelay, make: Maker) -> None:
    registry = relay.registry()
    store = registry.evidence
    _work(registry, make, 40)
    relay.clock.pass_by(20)
    policy = replace(POLICY, records=4)

    class Ticking:
        """Every look at the clock takes a tenth of a second."""

        now = staticmethod(relay.clock.now)

        def monotonic(self) -> float:
            relay.clock.pass_by(0.1)
            return relay.clock.monotonic()

    sealer = Sealer(store, relay.name, relay.key.sign, Ticking(), policy)
    rounds = 0
    while store.size() < 31 and rounds < 50:
        sealer.seal(relay.clock.monotonic() + 1)
        relay.clock.pass_by(11)
        rounds += 1
    assert rounds > 3
    assert relay.verify(store).ok


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_a_clock_that_jumps_harms_nothing(relay: EvidentRelay, make: Maker, jump: float) -> None:
    registry = relay.registry()
    store = registry.evidence
    sealer = relay.sealer(store)
    _work(registry, make, 30)
    relay.seal_all(store, sealer)
    relay.clock.wall += timedelta(seconds=jump)
    _work(registry, make, 1)
    sealer.seal(_far(relay))
    relay.clock.pass_by(11)
    assert sealer.seal(_far(relay)) == 1  # counted by the other clock
    sealer.head()
    relay.clock.pass_by(61)
    assert sealer.head() is not None
    report = relay.verify(store)
    assert report.ok, report.faults


def test_a_commit_that_may_or_may_not_have_taken_place_is_looked_up(
    relay: EvidentRelay, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = relay.registry()
    _work(registry, make, 1)
    real = registry._writer
    for fails_before in (True, False):
        monkeypatch.setattr(registry, "_writer", _Losing(real, fails_before))
        with pytest.raises(RegistryError):
            registry.note_act(Act(at(1), "nga", "user.add", "H53"))
        monkeypatch.setattr(registry, "_writer", real)
        _work(registry, make, 1)
    relay.seal_all(registry.evidence)
    report = relay.verify(registry.evidence)
    assert report.ok, report.faults
    assert report.records == 1 + 3 * 3 + 1
    assert len(registry.acts()) == 1


def test_a_restored_copy_begins_a_new_life_and_says_what_is_lost(
    relay: EvidentRelay, make: Maker, tmp_path: Path
) -> None:
    registry = relay.registry()
    _work(registry, make, 30)
    relay.seal_all(registry.evidence)
    copy.backup(relay.url, tmp_path / "copy")
    _work(registry, make, 30)
    relay.seal_all(registry.evidence)
    later = registry.evidence.last_head()
    assert later is not None
    registry.close()
    relay.clock.pass_by(100)
    act = Act(relay.clock.now(), "nga", "registry.restore", "copy")
    copy.restore(relay.url, tmp_path / "copy", act, 10.0, relay.chronicler("truc", "tool"))
    again = relay.registry("w1")
    _work(again, make, 5)
    relay.seal_all(again.evidence)
    last = again.evidence.last_head()
    assert last is not None
    head = heads.read_head(last.signed.text)
    assert (head.life, head.base) == (1, 2)
    report = relay.verify(again.evidence)
    assert report.ok, report.faults
    assert report.restored == 1
    # whoever has a head of the former life learns that it was restored, not that it was forged
    told = relay.verify(again.evidence, later.signed)
    assert {fault.kind for fault in told.faults} == {FaultKind.RESTORED}


def test_a_copy_put_back_by_hand_is_found_out(relay: EvidentRelay, make: Maker, tmp_path: Path) -> None:
    registry = relay.registry()
    _work(registry, make, 30)
    relay.seal_all(registry.evidence)
    copy.backup(relay.url, tmp_path / "copy")
    _work(registry, make, 30)
    relay.seal_all(registry.evidence)
    later = registry.evidence.last_head()
    assert later is not None
    registry.close()
    for name in ("registry.db-wal", "registry.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "registry.db").write_bytes((tmp_path / "copy").read_bytes())
    again = relay.registry()
    told = relay.verify(again.evidence, later.signed)
    assert [fault.kind for fault in told.faults] == [FaultKind.TRUNCATED]


def test_a_lost_tail_of_the_main_log_is_found_and_no_head_is_signed_over_it(
    relay: EvidentRelay, make: Maker
) -> None:
    registry = relay.registry()
    store = registry.evidence
    _work(registry, make, 30)
    sealer = relay.seal_all(store)
    _raw(relay, "DELETE FROM evidence_batches WHERE place = 1")
    store.ask_head(relay.clock.now())
    assert sealer.head() is None
    (fault,) = store.faults()
    assert "end of the log is missing" in fault.what


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM evidence_batches WHERE place = 1",
        "UPDATE evidence_batches SET header = zeroblob(140) || X'01' WHERE place = 1",
        "UPDATE evidence_batches SET header = replace(header, X'01', X'02') WHERE place = 0",
    ],
)
def test_a_keeper_that_finds_another_main_log_than_its_head_goes_on_with_neither(
    relay: EvidentRelay, make: Maker, sql: str
) -> None:
    """A head over what was put there would be the relay's own signature under a second history."""
    registry = relay.registry()
    store = registry.evidence
    _work(registry, make, 30)
    relay.seal_all(store)
    _raw(relay, sql)
    size, last = store.size(), store.last_head()
    later = relay.sealer(store)  # after a restart
    for _ in range(3):
        _work(registry, make, 30)
        relay.clock.pass_by(61)
        store.ask_head(relay.clock.now())
        assert later.seal(_far(relay)) == 0
        assert later.head() is None
    assert (store.size(), store.last_head()) == (size, last)
    assert later.waiting >= 90 or later.broken
    assert store.faults()


def test_a_header_that_is_damaged_under_a_running_keeper_stops_that_chain_alone(
    relay: EvidentRelay, make: Maker
) -> None:
    registry, other = relay.registry("w1"), relay.registry("w2")
    store = registry.evidence
    _work(registry, make, 30)
    _work(other, make, 30)
    sealer = relay.seal_all(store)
    _raw(
        relay,
        "UPDATE evidence_batches SET header = 'no octets' WHERE place = (SELECT max(place) FROM evidence_batches)",
    )
    _work(registry, make, 30)
    _work(other, make, 30)
    size = store.size()
    relay.seal_all(store, sealer)
    assert store.size() > size
    assert len(sealer.broken) == 1
    assert any("cannot be read" in fault.what for fault in store.faults())


def test_a_chain_that_grows_while_it_is_taken_off_the_list_stays_on_it(
    relay: EvidentRelay, make: Maker
) -> None:
    """A process that stood still for hours wakes up between the keeper's look and its decision."""
    registry = relay.registry("w1")
    store = registry.evidence
    _work(registry, make, 1)
    relay.seal_all(store)
    seen = store.standings(relay.clock.now(), 10)
    relay.clock.pass_by(7200)
    _work(registry, make, 1)
    store.retire(seen)
    assert len(store.standings(relay.clock.now(), 10)) == 1
    relay.seal_all(store)
    store.retire(store.standings(relay.clock.now(), 10))
    assert store.standings(relay.clock.now(), 10) == []
    assert relay.verify(store).ok


def test_after_the_end_of_its_chain_a_process_stores_nothing(relay: EvidentRelay, make: Maker) -> None:
    """What cannot be put on record must not be stored: a thread that is late is refused, whoever ends the process."""
    registry = relay.registry("w1")
    _work(registry, make, 1)
    late = relay.registry("w2")
    late_start, ended = threading.Event(), threading.Event()
    refused: list[Code] = []

    def commit_late() -> None:
        late_start.wait(60)
        try:
            late.note_act(Act(relay.clock.now(), "nga", "user.add", "H53"))
        except RegistryError as error:
            refused.append(error.code)
        ended.set()

    thread = threading.Thread(target=commit_late)
    late.note_act(Act(relay.clock.now(), "nga", "user.add", "H29"))
    chronicle = late._chronicle
    assert chronicle is not None
    thread.start()
    with chronicle.turn():  # who ends the chain has it in hand
        late_start.set()
        chronicle._ending = True
        chronicle._next = (chronicle._tip, chronicle._row, ())  # type: ignore[assignment]
    assert ended.wait(60)
    thread.join()
    assert refused == [Code.REGISTRY_UNUSABLE]
    late.close()
    late.close()
    for again in (registry, late):
        again.close()
        with pytest.raises(RegistryError):
            again.note_act(Act(relay.clock.now(), "nga", "user.add", "H26"))
    reader = open_registry(relay.url)
    assert [act.subject for act in reader.acts()] == ["H29"]
    reader.close()


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("UPDATE evidence_frames SET octets = X'00000003010203' WHERE id = 10", "cannot be read"),
        ("DELETE FROM evidence_frames WHERE id = 10", "stands in its place"),
        ("UPDATE evidence_frames SET octets = replace(octets, X'6f', X'70') WHERE id = 1", "does not follow"),
    ],
)
def test_what_was_altered_before_it_was_sealed_is_not_sealed(
    relay: EvidentRelay, make: Maker, sql: str, named: str
) -> None:
    registry = relay.registry("wo")
    store = registry.evidence
    _work(registry, make, 12)
    _raw(relay, sql)
    sealer = relay.sealer(store)
    relay.clock.pass_by(1)
    sealer.seal(_far(relay))
    relay.clock.pass_by(20)
    assert sealer.seal(_far(relay)) == 0
    assert len(sealer.broken) == 1
    (fault,) = store.faults()
    assert named in fault.what, fault
    # the worker of another chain is sealed as before
    other = relay.registry("w2")
    _work(other, make, 3)
    relay.seal_all(store, sealer)
    assert store.size() == 1


def test_the_running_check_finds_what_is_altered_later(relay: EvidentRelay, make: Maker) -> None:
    registry = relay.registry()
    store = registry.evidence
    _work(registry, make, 60)
    relay.seal_all(store)
    check = LogCheck(store, relay.clock)
    for _ in range(8):
        check.run(40, _far(relay))
    assert check.rounds >= 1
    assert store.faults() == []
    (frame,) = _raw(relay, "SELECT id, octets FROM evidence_frames WHERE id = 31")
    octets = bytearray(frame[1])  # type: ignore[call-overload]
    octets[-1] ^= 1
    _raw(relay, "UPDATE evidence_frames SET octets = ? WHERE id = 31", bytes(octets))
    for _ in range(8):
        check.run(40, _far(relay))
    assert any("sealed over other records" in fault.what for fault in store.faults())


def test_a_chain_is_looked_at_no_more_when_it_is_over(relay: EvidentRelay, make: Maker) -> None:
    tool = relay.registry("truc")
    tool.note_act(Act(START, "nga", "user.add", "H53"))
    tool.close()
    store = relay.registry("k").evidence
    sealer = relay.sealer(store)
    sealer.seal(_far(relay))
    relay.clock.pass_by(20)
    sealer.seal(_far(relay))
    sealer.seal(_far(relay))
    assert store.standings(relay.clock.now(), 10) == []
    assert relay.verify(store).records == 3


def test_a_chain_that_is_written_to_again_comes_back(relay: EvidentRelay, make: Maker) -> None:
    registry = relay.registry("w1")
    store = registry.evidence
    _work(registry, make, 1)
    sealer = relay.sealer(store)
    for _ in range(6):
        sealer.seal(_far(relay))
        relay.clock.pass_by(3000)
    assert store.standings(relay.clock.now(), 10) == []
    relay.clock.pass_by(700)
    _work(registry, make, 1)
    assert len(store.standings(relay.clock.now(), 10)) == 1
    relay.seal_all(store, sealer)
    assert relay.verify(store).ok


def test_a_reader_puts_nothing_on_record(relay: EvidentRelay, make: Maker) -> None:
    reader = open_registry(relay.url)
    _work(reader, make, 1)
    assert reader.evidence.chains() == []
    assert list(reader.evidence.records(uuid.uuid4())) == []
    reader.close()


def test_nobody_waits_for_the_keeper(relay: EvidentRelay, make: Maker) -> None:
    """While it reads, makes batches, signs and checks, a worker commits: nothing is held meanwhile."""
    worker, keeper = relay.registry("w1"), relay.registry("keeper")
    committed: list[str] = []

    def work(during: str) -> None:
        _work(worker, make, 1)
        committed.append(during)

    class Watched(SqlEvidence):
        def records(self, chain: uuid.UUID, start: int = 1, end: int | None = None) -> Iterator[bytes]:
            for octets in super().records(chain, start, end):
                work("reading")
                yield octets

    def sign(text: bytes, kind: str) -> bytes:
        work("signing")
        return relay.key.sign(text, kind)

    _work(worker, make, 2)
    own = keeper.evidence
    store = Watched(own._read, own._write, own._record)
    sealer = Sealer(store, relay.name, sign, relay.clock, SealingPolicy(timedelta(0), 7, timedelta(0)))
    assert sealer.seal(_far(relay)) == 1
    assert sealer.head() is not None
    LogCheck(store, relay.clock).run(100, _far(relay))
    assert committed == ["reading"] * 7 + ["signing"] + ["reading"] * 7
    relay.seal_all(own)
    assert relay.verify(own).ok


def test_a_worker_waits_for_no_other_chain(relay: EvidentRelay, make: Maker) -> None:
    """One process stands still with its chain in hand; another one's commits go on."""
    stuck, other = relay.registry("w1"), relay.registry("w2")
    assert stuck._chronicle is not None
    with stuck._chronicle.turn():
        _work(other, make, 3)
    _work(stuck, make, 1)
    relay.seal_all(other.evidence)
    assert relay.verify(other.evidence).ok


def test_policy_bounds(relay: EvidentRelay, make: Maker) -> None:
    registry = relay.registry()
    _work(registry, make, 3)
    policy = SealingPolicy(timedelta(0), 1, timedelta(0))
    sealer = relay.sealer(registry.evidence, policy)
    assert sealer.seal(_far(relay)) == 10
    assert sealer.head() is not None
    assert relay.verify(registry.evidence).ok
