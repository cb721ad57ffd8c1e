"""What is committed is on record, and nothing else: on both stores."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.errors import Code, RegistryError
from relay.evidence.record import Writer, decode
from relay.model import evidence as ev
from relay.model.audit import Act
from relay.model.delivery import State
from relay.model.envelope import StatusCode
from relay.model.keeping import Chronicler
from relay.model.record import Claimed, HeldEntry, Move, NewReceipt, Settled, Settlement
from relay.model.standing import Drop
from relay.registry import SqlRegistry, memory_registry, open_registry
from tests.support.evidence import HandClock, facts
from tests.support.registry import START, Maker, accepted, at, candidate

CERTIFICATES = ev.KeyChange((b"leaf", b"issuer"))


def _chronicler(*current: ev.Facts) -> Chronicler:
    return Chronicler(Writer(), "truc-a", "w1", "worker", "1", "w1-x", HandClock(), lambda: current)


@pytest.fixture(params=["file", "memory"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlRegistry]:
    who = _chronicler()
    made = (
        open_registry(f"sqlite:///{tmp_path}/registry.db", chronicler=who)
        if request.param == "file"
        else memory_registry(chronicler=who)
    )
    yield made
    made.close()


def _kinds(registry: SqlRegistry) -> list[str]:
    return [type(one).__name__ for one in facts(registry.evidence)]


def test_a_document_is_on_record_with_its_deliveries_and_its_receipt(
    registry: SqlRegistry, make: Maker
) -> None:
    claim = make.claim("a")
    accepted(registry, make, claim)
    start, submission, moves, receipt = facts(registry.evidence)
    assert isinstance(start, ev.ChainStart)
    assert (start.relay, start.writer, start.role) == ("truc-a", "w1", "worker")
    assert registry.evidence.chains() == [start.chain]
    assert isinstance(submission, ev.Submission)
    assert (submission.sender, submission.transport_id) == ("H26", claim.transport_id)
    assert submission.body_sha256 == claim.body_sha256
    assert [line.recipient for line in submission.lines] == ["H29", "H53"]
    assert isinstance(moves, ev.Deliveries)
    assert [(one.delivery_id, one.state) for one in moves.moves] == [
        (one.delivery_id, State.QUEUED) for one in claim.deliveries
    ]
    assert isinstance(receipt, ev.ReceiptSealed)
    stored = registry.receipts(1)[0]
    assert (receipt.number, receipt.sha256) == (stored.number, hashlib.sha256(stored.body).hexdigest())


def test_what_is_only_asked_for_again_is_not_recorded_again(registry: SqlRegistry, make: Maker) -> None:
    claim = make.claim("a")
    accepted(registry, make, claim)
    before = _kinds(registry)
    (again,) = registry.claim([claim], "w2", at(1))
    assert again.outcome is Claimed.REPEATED
    registry.heartbeat("w1", at(2))
    assert registry.claim([make.claim("other", transport_id=claim.transport_id)], "w2", at(3))[0].outcome is (
        Claimed.ID_REUSED
    )
    assert _kinds(registry) == before


def test_the_same_bytes_under_another_id_name_the_first(registry: SqlRegistry, make: Maker) -> None:
    first, second = make.claim("a"), make.claim("a")
    accepted(registry, make, first)
    registry.claim([second], "w1", at(1))
    last = facts(registry.evidence)[-1]
    assert isinstance(last, ev.Submission)
    assert (last.transport_id, last.same_content_as, last.lines) == (
        second.transport_id,
        first.transport_id,
        (),
    )


def test_a_status_is_recorded_with_what_it_did(registry: SqlRegistry, make: Maker) -> None:
    claim = make.claim("a")
    accepted(registry, make, claim)
    one = candidate(registry, claim, "H29")
    registry.claim([make.status(one, StatusCode.ARRIVED, reporter="H29")], "w1", at(1))
    last = facts(registry.evidence)[-1]
    assert isinstance(last, ev.Submission)
    assert last.effect == ev.Effect(
        claim.transport_id, one.delivery.delivery_id, StatusCode.ARRIVED.value, State.DELIVERED, ""
    )


def test_a_status_that_came_too_late_to_move_anything_says_so(registry: SqlRegistry, make: Maker) -> None:
    claim = make.claim("a")
    accepted(registry, make, claim)
    one = candidate(registry, claim, "H29")
    registry.claim([make.status(one, StatusCode.ARRIVED, reporter="H29")], "w1", at(1))
    again = candidate(registry, claim, "H29")
    registry.claim([make.status(again, StatusCode.PROCESSING, reporter="H29")], "w1", at(2))
    last = facts(registry.evidence)[-1]
    assert isinstance(last, ev.Submission)
    assert last.effect is not None
    assert last.effect.move_to is None


def test_a_move_that_did_not_take_place_is_not_on_record(registry: SqlRegistry, make: Maker) -> None:
    """The recipient's status overtakes our own T2: it stays delivered."""
    claim = make.claim("a")
    (result,) = registry.claim([claim], "w1", START)
    assert result.document
    one = candidate(registry, claim, "H29")
    registry.claim([make.status(one, StatusCode.ARRIVED, reporter="H29")], "w1", at(1))
    assert registry.settle([make.queued(claim, result.document.row, now=at(2))], "w1", at(2)) == [
        Settled.DONE
    ]
    (moves,) = [each for each in facts(registry.evidence) if isinstance(each, ev.Deliveries)]
    assert [move.delivery_id for move in moves.moves] == [claim.deliveries[1].delivery_id]


def test_a_lost_lease_leaves_no_record(registry: SqlRegistry, make: Maker) -> None:
    claim = make.claim("a")
    (result,) = registry.claim([claim], "w1", START)
    assert result.document
    before = _kinds(registry)
    assert registry.settle([make.queued(claim, result.document.row)], "w2", at(1)) == [Settled.LOST]
    assert _kinds(registry) == before


def test_a_refusal_without_a_document_is_on_record_once(registry: SqlRegistry, make: Maker) -> None:
    refused = ev.Submission("x", "", "H26", "edoc", "ab" * 32, 7, "", "", None, refusal="BAD-XML")

    def new() -> NewReceipt:
        return NewReceipt(
            make.receipt(code="BAD-XML"),
            None,
            user="H26",
            transport_id="x",
            body_sha256="ab" * 32,
            refused=refused,
        )

    assert registry.settle([Settlement(None, (), (new(),))], "w1", START) == [Settled.DONE]
    assert registry.settle([Settlement(None, (), (new(),))], "w1", START) == [Settled.PARTLY]
    _, told, receipt = facts(registry.evidence)
    assert told == refused
    assert isinstance(receipt, ev.ReceiptSealed)


def test_what_breaks_a_key_takes_its_records_with_it(registry: SqlRegistry, make: Maker) -> None:
    good, bad = make.claim("good"), make.claim("bad")
    rows = [one.document.row for one in registry.claim([good, bad], "w1", START) if one.document]
    number = make.receipt(number="t1-1")
    first = Settlement(rows[0], (), (NewReceipt(number, rows[0]),))
    second = Settlement(
        rows[1],
        (Move(bad.deliveries[0].delivery_id, State.QUEUED, START),),
        (NewReceipt(make.receipt(number="t1-1"), rows[1]),),
    )
    settled, _ = registry.commit([first, second], [], [], "w1", at(1))
    assert settled[0] is Settled.DONE
    assert isinstance(settled[1], RegistryError)
    assert _kinds(registry) == ["ChainStart", "Submission", "Submission", "ReceiptSealed"]


def test_a_notice_that_comes_too_late_leaves_no_record(registry: SqlRegistry, make: Maker) -> None:
    claim = make.claim("a")
    row = accepted(registry, make, claim)
    before = _kinds(registry)
    gone = Settlement(row, (Move(claim.deliveries[0].delivery_id, State.REFUSED, at(1)),), ())
    assert not registry.notice(gone, at(1))
    assert _kinds(registry) == before


def test_acts_quarantine_and_losses_are_on_record(registry: SqlRegistry, make: Maker) -> None:
    claim = make.claim("a")
    accepted(registry, make, claim)
    entry = HeldEntry(
        "h", Code.HELD, "w1", "H26", claim.transport_id, "H26", "H29", "", "ab" * 32, at(1), "sao"
    )
    assert registry.hold(entry, [NewReceipt(make.receipt(), None, user="H26")])
    act = Act(at(2), "nga", "quarantine.drop", "h", "vì sao")
    registry.decide_drop(Drop("h", at(2), "vì sao", "edoc", 7), act)
    registry.released("h", at(3))
    registry.released("h", at(4))
    assert registry.new_broker_epoch("one", None, at(5))
    assert registry.new_broker_epoch("two", "one", at(6))
    told = facts(registry.evidence)[4:]
    assert [getattr(one, "act", type(one).__name__) for one in told] == [
        "held",
        "ReceiptSealed",
        "quarantine.drop",
        "dropped",
        "released",
        "Deliveries",
    ]
    recorded = told[2]
    assert isinstance(recorded, ev.OperatorAct)
    assert (recorded.row, recorded.who, recorded.acted_at) == (1, "nga", at(2))
    lost = told[-1]
    assert isinstance(lost, ev.Deliveries)
    assert {(one.state, one.code) for one in lost.moves} == {(State.PLANNED, "BODY-LOST")}
    assert len(lost.moves) == 2


def test_key_and_directory_stand_before_what_is_done_with_them(tmp_path: Path, make: Maker) -> None:
    current: list[ev.Facts] = [CERTIFICATES, ev.DirectoryChange("", "v1", 3)]
    who = Chronicler(Writer(), "truc-a", "w1", "worker", "1", "w1-x", HandClock(), lambda: tuple(current))
    registry = open_registry(f"sqlite:///{tmp_path}/registry.db", chronicler=who)
    accepted(registry, make, make.claim("a"))
    current[1] = ev.DirectoryChange("", "v2", 4)
    registry.commit([], [], [], "w1", at(3), heartbeat=True)
    registry.commit([], [], [], "w1", at(4), heartbeat=True)
    found = facts(registry.evidence)
    assert found[1:3] == [CERTIFICATES, ev.DirectoryChange("", "v1", 3)]
    assert found[-1] == ev.DirectoryChange("v1", "v2", 4)
    assert len(found) == 7
    registry.close()


def test_records_follow_one_another_over_many_commits(registry: SqlRegistry, make: Maker) -> None:
    for number in range(70):
        accepted(registry, make, make.claim(f"{number}"))
    (chain,) = registry.evidence.chains()
    tip = Writer().tip(chain)
    for octets in registry.evidence.records(chain):
        record = decode(octets)
        assert (record.seq, record.link) == (tip.seq + 1, tip.hash[:16])
        tip = Writer().tip(chain, (record.seq, octets))
    assert tip.seq == 1 + 3 * 70
    parts = [list(registry.evidence.records(chain, start, start + 9)) for start in range(1, 212, 10)]
    assert [one for part in parts for one in part] == list(registry.evidence.records(chain))
    assert list(registry.evidence.records(chain, 212)) == []
    assert list(registry.evidence.records(uuid.uuid4())) == []


def test_a_document_is_found_by_its_id(registry: SqlRegistry, make: Maker) -> None:
    claims = [make.claim(f"{number}", now=at(number)) for number in range(40)]
    for claim in claims:
        accepted(registry, make, claim)
    needle = uuid.UUID(claims[20].transport_id).bytes
    found = [decode(octets).facts for _, _, octets in registry.evidence.mentioning(needle)]
    assert [type(one) for one in found] == [ev.Submission, ev.Deliveries]
    assert len(list(registry.evidence.mentioning(needle, at(0), at(20)))) == 2
    assert not list(registry.evidence.mentioning(needle, at(21), at(22)))


def test_a_process_that_ends_says_so(tmp_path: Path, make: Maker) -> None:
    url = f"sqlite:///{tmp_path}/registry.db"
    silent = open_registry(url, chronicler=_chronicler())
    silent.close()  # it did nothing: no chain
    worker = open_registry(url, chronicler=_chronicler())
    accepted(worker, make, make.claim("a"))
    worker.close()
    reader = open_registry(url)
    assert len(reader.evidence.chains()) == 1
    assert facts(reader.evidence)[-1] == ev.ChainEnd("closed")
    reader.close()
