"""The chain of a process: whatever fails at whatever line, what is stored is on record, and nothing else is."""

from __future__ import annotations

import resource
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from relay.errors import Code, RegistryError
from relay.evidence.crosscheck import Tally
from relay.evidence.verify import LogVerifier
from relay.model.audit import Act
from relay.model.evidence import DirectoryChange, KeyChange
from relay.model.record import Claimed
from relay.registry import SqlRegistry, journal
from relay.registry.journal import Chronicle
from tests.support.evidence import EvidentRelay, facts
from tests.support.registry import START, Maker, accepted, at


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[EvidentRelay]:
    made = EvidentRelay(tmp_path)
    yield made
    made.close()


@pytest.fixture
def make() -> Maker:
    return Maker()


def _work(registry: SqlRegistry, make: Maker, count: int = 1) -> None:
    for _ in range(count):
        make.serial += 1
        accepted(registry, make, make.claim(f"{make.series} {make.serial}", transport_id=str(uuid.uuid4())))


def _holds(relay: EvidentRelay, records: int | None = None) -> None:
    """Log and registry verify, each alone and against each other."""
    reader = relay.registry("reader")
    tally = Tally()
    report = LogVerifier(seen=tally.seen, known=frozenset({relay.key.sha256})).verify(reader.evidence)
    assert report.ok, report.faults
    assert tally.settle(reader.ledger, reader.evidence) == ([], 0)
    acts = [one for one in facts(reader.evidence) if type(one).__name__ == "OperatorAct"]
    assert len(acts) == len(reader.acts())
    assert records is None or report.records == records


class CrashError(BaseException):
    """Nothing catches this."""


class Wire:
    """Breaks at the n-th of the lines that are watched."""

    def __init__(self, at_line: int) -> None:
        self.left = at_line
        self.broke = ""

    def passes(self, what: str) -> None:
        self.left -= 1
        if self.left == 0:
            self.broke = what
            raise CrashError(what)

    def around(self, what: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **more: Any) -> Any:
            self.passes(f"before {what}")
            done = real(*words, **more)
            self.passes(f"after {what}")
            return done

        return call


class Committing:
    """An engine whose commits are lines."""

    def __init__(self, real: Any, wire: Wire) -> None:
        self._real, self._wire = real, wire

    @contextmanager
    def begin(self) -> Iterator[object]:
        self._wire.passes("before begin")
        with self._real.begin() as connection:
            yield connection
            self._wire.passes("before commit")
        self._wire.passes("after commit")


@pytest.mark.parametrize("goes_on", [True, False], ids=["the-process-goes-on", "another-comes"])
def test_a_break_at_each_line(
    tmp_path: Path, make: Maker, monkeypatch: pytest.MonkeyPatch, goes_on: bool
) -> None:
    """The chain begins, a key and a directory are told, an act is noted; then the next one comes."""
    lines: list[str] = []
    for line in range(1, 60):
        folder = tmp_path / str(line)
        folder.mkdir()
        relay = EvidentRelay(folder)
        registry = relay.registry("w1")
        chronicle = registry._chronicle
        assert chronicle is not None
        wire = Wire(line)
        with monkeypatch.context() as patch:
            patch.setattr(registry, "_writer", Committing(registry._writer, wire))
            for name in ("_changes", "_standing", "_begin", "_committed"):
                patch.setattr(chronicle, name, wire.around(name, getattr(chronicle, name)))
            patch.setattr(journal, "_INSERT", wire.around("insert", journal._INSERT))
            patch.setattr(journal, "_frames", wire.around("frames", journal._frames))
            with suppress(CrashError):
                registry.note_act(Act(at(1), "nga", "user.add", "H53"))
        lines.append(wire.broke)
        if not goes_on:
            chronicle.close()  # it is dead: not even its end is told
            registry = relay.registry("w1")
        registry.note_act(Act(at(2), "nga", "user.add", "H29"))
        _work(registry, make)
        subjects = [act.subject for act in registry.acts()]
        durable = not wire.broke or wire.broke.endswith(("after commit", "_committed"))
        assert subjects == (["H29", "H53"] if durable else ["H29"]), wire.broke
        _holds(relay)
        relay.close()
        if not wire.broke:
            break
    assert lines[-1] == ""  # all of it was passed
    assert len(set(lines)) == len(lines) > 12


def test_a_commit_in_doubt_tells_key_and_directory_again_rather_than_not(
    relay: EvidentRelay, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = relay.registry("w1")
    chronicle = registry._chronicle
    assert chronicle is not None
    told = (KeyChange((b"one",)), DirectoryChange("", "v1", 3))
    monkeypatch.setattr(chronicle, "_who", _with(chronicle, lambda: told))
    for step in ("before commit", "after commit"):
        with monkeypatch.context() as patch:
            patch.setattr(registry, "_writer", Committing(registry._writer, _at(step)))
            with pytest.raises(CrashError):
                registry.commit([], [], [], "w1", START, heartbeat=True)
    _work(registry, make)
    found = facts(registry.evidence)
    assert {type(one).__name__ for one in found[:3]} == {"ChainStart", "KeyChange", "DirectoryChange"}
    assert [one for one in found if isinstance(one, KeyChange)] == [told[0]] * 2
    _holds(relay)


def _with(chronicle: Chronicle, current: Callable[[], Any]) -> Any:
    from dataclasses import replace

    return replace(chronicle._who, current=current)


def _at(step: str) -> Wire:
    class Once(Wire):
        def passes(self, what: str) -> None:
            if what == step:
                raise CrashError(what)

    return Once(1)


@pytest.mark.parametrize("how", ["pages", "file"])
def test_a_full_disk_loses_no_record_and_leaves_no_gap(relay: EvidentRelay, make: Maker, how: str) -> None:
    """Inside the transaction, or at the write of the commit itself; afterwards there is room again."""
    registry = relay.registry("w1")
    _work(registry, make, 3)
    refused: list[Code] = []
    with _full(relay, registry, how):
        for _ in range(40):
            try:
                _work(registry, make)
            except RegistryError as error:
                refused.append(error.code)
            if len(refused) == 3:
                break
    assert refused == [Code.REGISTRY_UNUSABLE] * 3
    _work(registry, make, 3)
    _holds(relay)


@contextmanager
def _full(relay: EvidentRelay, registry: SqlRegistry, how: str) -> Iterator[None]:
    if how == "pages":

        def pages(limit: int) -> None:
            with registry._engine.connect() as connection:
                connection.exec_driver_sql(f"PRAGMA max_page_count = {limit}")

        with registry._engine.connect() as connection:
            now = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        pages(now + 3)
        yield
        pages(1 << 30)
        return
    log = relay.folder / "registry.db-wal"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 50_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_registry_that_is_busy_is_gone_on_with(relay: EvidentRelay, make: Maker) -> None:
    relay.registry("w1").close()
    registry = SqlRegistry(relay.url, busy_timeout=0.02, chronicler=relay.chronicler("w1"))
    _work(registry, make)
    with closing(sqlite3.connect(relay.folder / "registry.db", isolation_level=None)) as other:
        for _ in range(3):
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(RegistryError) as caught:
                _work(registry, make)
            assert caught.value.code is Code.REGISTRY_BUSY
            other.execute("ROLLBACK")
            _work(registry, make)
    _holds(relay, 1 + 4 * 3)
    registry.close()


def test_two_processes_of_one_name_have_two_chains(relay: EvidentRelay) -> None:
    first, second = relay.registry("w1"), relay.registry("w1")
    one, two = Maker(series="a"), Maker(series="b")
    for _ in range(5):
        _work(first, one)
        _work(second, two)
    assert len(first.evidence.chains()) == 2
    _holds(relay)


def test_two_processes_that_append_to_one_chain_leave_one_chain(relay: EvidentRelay) -> None:
    """A process that was forked after its chain had begun. What meets the other is refused or done again, never lost."""
    who = relay.chronicler("w1")
    first, second = (SqlRegistry(relay.url, chronicler=who) for _ in range(2))
    chain = uuid.uuid4()
    first._chronicle, second._chronicle = (Chronicle(who, lambda: chain) for _ in range(2))
    one, two = Maker(series="a"), Maker(series="b")
    refused = 0
    for number in range(6):
        for registry, make in ((first, one), (second, two)):
            _work(registry, make)
            try:
                registry.note_act(Act(at(number), "nga", "user.add", make.series))
            except RegistryError:
                refused += 1
        _work(first, one)
    assert first.evidence.chains() == [chain]
    assert len(first.acts()) == 12 - refused
    _holds(relay)
    for registry in (first, second):
        registry._engine.dispose()


def test_a_lost_broker_with_more_documents_than_one_frame_holds(
    relay: EvidentRelay, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_MAX_RECORDS", 7)
    registry = relay.registry("w1")
    claims = [make.claim(f"{number}") for number in range(30)]
    for result in registry.claim(claims, "w1", START):
        assert result.outcome is Claimed.NEW
    registry.new_broker_epoch("one", None, at(1))
    before = len(facts(registry.evidence))
    assert registry.new_broker_epoch("two", "one", at(2))
    lost = facts(registry.evidence)[before:]
    assert [type(one).__name__ for one in lost] == ["Deliveries"] * 30
    (chain,) = registry.evidence.chains()
    whole = list(registry.evidence.records(chain))
    for start in range(1, len(whole) + 1):
        part = list(registry.evidence.records(chain, start, start + 8))
        assert part == whole[start - 1 : start + 8]
    assert not registry.new_broker_epoch("three", "one", at(3))  # somebody was first: nothing is noted
    _holds(relay, before + 30)
