"""What every registry must do on the hot path: claims, statuses, candidates, settlements, receipts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay.errors import Code, RegistryError
from relay.model.delivery import MOVES, State
from relay.model.envelope import Reference, StatusCode
from relay.model.ports import Registry
from relay.model.receipt import ReceiptKind
from relay.model.record import (
    Claimed,
    Move,
    NewReceipt,
    Settled,
    Settlement,
    StatusQuery,
)
from tests.support.registry import START, Maker, accepted, at, candidate, states, stored

# claim


def test_a_new_document_comes_back_as_claimed(registry: Registry, make: Maker) -> None:
    claim = make.claim("a")
    (result,) = registry.claim([claim], "w1", START)
    assert result.outcome is Claimed.NEW
    assert result.document
    assert result.document == stored(registry, result.document.row)
    assert result.document.verdict == claim.verdict
    assert result.document.deliveries == claim.deliveries
    assert not result.document.settled


def test_a_half_finished_attempt_is_resumed_by_its_frozen_plan(registry: Registry, make: Maker) -> None:
    claim = make.claim("a", recipients=("H29", "H53"))
    (first,) = registry.claim([claim], "w1", START)
    assert registry.claim([claim], "w2", at(1))[0].outcome is Claimed.BUSY
    assert registry.claim([claim], "w1", at(1))[0].outcome is Claimed.BUSY
    later = replace(claim, deliveries=claim.deliveries[:1], accepted_at=at(60), directory_version="v2")
    (again,) = registry.claim([later], "w2", at(60))
    assert again.outcome is Claimed.RESUMED
    assert again.document == first.document
    assert first.document
    lost = registry.settle([make.queued(claim, first.document.row)], "w1", at(61))
    assert lost == [Settled.LOST]
    assert states(registry, first.document.row) == [State.PLANNED, State.PLANNED]
    assert registry.receipts(first.document.row) == []
    assert registry.settle([make.queued(claim, first.document.row)], "w2", at(61)) == [Settled.DONE]


def test_a_heartbeat_keeps_and_a_release_gives_back(registry: Registry, make: Maker) -> None:
    claim = make.claim("a")
    registry.claim([claim], "w1", START)
    registry.heartbeat("w1", at(9))
    assert registry.claim([claim], "w2", at(18))[0].outcome is Claimed.BUSY
    registry.heartbeat("w1", at(3))  # older than what stands
    assert registry.claim([claim], "w2", at(18.5))[0].outcome is Claimed.BUSY
    registry.release("w1")
    assert registry.claim([claim], "w2", at(18.6))[0].outcome is Claimed.RESUMED


def test_a_finished_submission_is_repeated_with_every_receipt(registry: Registry, make: Maker) -> None:
    claim = make.claim("a")
    row = accepted(registry, make, claim)
    outcome = NewReceipt(make.receipt(kind=ReceiptKind.OUTCOME, code="OVERDUE"), row)
    assert registry.settle([Settlement(None, receipts=(outcome,))], "w1", at(2)) == [Settled.DONE]
    (again,) = registry.claim([claim], "w2", at(3))
    assert again.outcome is Claimed.REPEATED
    assert [receipt.kind for receipt in again.receipts] == [ReceiptKind.ACKNOWLEDGEMENT, ReceiptKind.OUTCOME]
    assert again.receipts[1] == outcome.receipt
    assert list(again.receipts) == registry.receipts(row)


def test_a_deferred_delivery_is_resumed_with_its_attempt(registry: Registry, make: Maker) -> None:
    claim = make.claim("a")
    (result,) = registry.claim([claim], "w1", START)
    assert result.document
    moves = (
        Move(claim.deliveries[0].delivery_id, State.QUEUED, START),
        Move(claim.deliveries[1].delivery_id, State.PLANNED, START, Code.QUEUE_FULL, at(60), 2),
    )
    registry.settle([Settlement(result.document.row, moves)], "w1", START)
    (again,) = registry.claim([claim], "w1", at(5))
    assert again.outcome is Claimed.RESUMED
    assert again.document
    queued, deferred = again.document.deliveries
    assert (queued.state, deferred.state) == (State.QUEUED, State.PLANNED)
    assert (deferred.attempt, deferred.due_at, deferred.code) == (2, at(60), Code.QUEUE_FULL)


def test_the_same_id_with_other_bytes_shows_nothing(registry: Registry, make: Maker) -> None:
    claim = make.claim("a")
    accepted(registry, make, claim)
    (result,) = registry.claim([make.claim("b", transport_id=claim.transport_id)], "w1", at(1))
    assert (result.outcome, result.document, result.receipts) == (Claimed.ID_REUSED, None, ())
    (other,) = registry.claim([make.claim("a", sender="H29", transport_id=claim.transport_id)], "w1", at(1))
    assert other.outcome is Claimed.NEW
    assert {item.sender for item in registry.find(claim.transport_id)} == {"H26", "H29"}
    assert [item.sender for item in registry.find(claim.transport_id, "H29")] == ["H29"]


def test_the_same_bytes_under_other_ids_point_to_the_first(registry: Registry, make: Maker) -> None:
    first = make.claim("a")
    row = accepted(registry, make, first)
    (second,) = registry.claim([make.claim("a")], "w1", at(1))
    (third,) = registry.claim([make.claim("a")], "w1", at(2))
    for result in (second, third):
        assert result.outcome is Claimed.SAME_CONTENT
        assert result.original == stored(registry, row)
        assert result.document
        assert result.document.same_content_as == row
        assert result.document.deliveries == ()
    assert second.document
    assert third.document
    assert [item.row for item in registry.aliases(row)] == [second.document.row, third.document.row]
    acknowledgement = NewReceipt(make.receipt(), second.document.row)
    registry.settle([Settlement(second.document.row, (), (acknowledgement,))], "w1", at(2))
    (again,) = registry.claim([make.claim("a", transport_id=second.document.transport_id)], "w1", at(3))
    assert again.outcome is Claimed.REPEATED
    assert again.receipts == (acknowledgement.receipt,)
    assert again.original == stored(registry, row)


def test_what_was_refused_as_a_whole_is_no_first(registry: Registry, make: Maker) -> None:
    refused = make.claim("a", refusal=Code.WRONG_LANE)
    (result,) = registry.claim([refused], "w1", START)
    assert result.outcome is Claimed.NEW
    assert result.document
    registry.settle(
        [Settlement(result.document.row, (), (NewReceipt(make.receipt(), result.document.row),))], "w1", START
    )
    good = make.claim("a")
    row = accepted(registry, make, good)
    assert row != result.document.row
    (bad_again,) = registry.claim([make.claim("a", refusal=Code.BAD_DEADLINE)], "w1", at(1))
    assert bad_again.outcome is Claimed.NEW  # refused on its own account, not "the same, accepted"


def test_a_batch_is_judged_in_order(registry: Registry, make: Maker) -> None:
    claim = make.claim("a")
    batch = [
        claim,
        claim,
        make.claim("b", transport_id=claim.transport_id),
        make.claim("a"),
        make.claim("c", refusal=Code.WRONG_LANE),
        make.claim("c"),
        make.claim("c"),
    ]
    outcomes = [result.outcome for result in registry.claim(batch, "w1", START)]
    assert outcomes == [
        Claimed.NEW,
        Claimed.BUSY,
        Claimed.ID_REUSED,
        Claimed.SAME_CONTENT,
        Claimed.NEW,
        Claimed.NEW,
        Claimed.SAME_CONTENT,
    ]


def test_a_recipient_that_stands_twice_is_one_delivery(registry: Registry, make: Maker) -> None:
    (result,) = registry.claim([make.claim("a", recipients=("H29", "H53", "H29"))], "w1", START)
    assert result.document
    assert [item.recipient for item in result.document.deliveries] == ["H29", "H53"]
    assert result.document == stored(registry, result.document.row)


def test_a_batch_larger_than_one_list_of_values(registry: Registry, make: Maker) -> None:
    claims = [make.claim(f"d{number}") for number in range(1203)]
    results = registry.claim(claims, "w1", START)
    assert {result.outcome for result in results} == {Claimed.NEW}
    settlements = [
        make.queued(claim, result.document.row)
        for claim, result in zip(claims, results, strict=True)
        if result.document
    ]
    assert set(registry.settle(settlements, "w1", START)) == {Settled.DONE}
    assert {result.outcome for result in registry.claim(claims, "w2", START)} == {Claimed.REPEATED}


# statuses


def test_a_status_delivers_and_is_judged_once(registry: Registry, make: Maker) -> None:
    claim = make.claim("a")
    row = accepted(registry, make, claim)
    found = candidate(registry, claim, "H29")
    assert (found.document.row, found.delivery.recipient, found.leased) == (row, "H29", False)
    status = make.status(found, StatusCode.ARRIVED, reporter="H29", now=at(5))
    (result,) = registry.claim([status], "w1", at(5))
    assert result.outcome is Claimed.NEW
    assert result.referred == stored(registry, row)
    assert states(registry, row) == [State.DELIVERED, State.QUEUED]
    assert result.document
    assert result.document.refers_to == row
    stale = make.status(found, StatusCode.ACCEPTED, reporter="H29", now=at(6))
    (conflict,) = registry.claim([stale], "w1", at(6))
    assert (conflict.outcome, conflict.document) == (Claimed.CONFLICT, None)
    assert registry.find(stale.transport_id) == []
    assert candidate(registry, claim, "H29").statuses == ("01",)
    assert candidate(registry, claim, "H29").version == found.version + 1


def test_two_statuses_in_one_batch_see_each_other(registry: Registry, make: Maker) -> None:
    claim = make.claim("a")
    accepted(registry, make, claim)
    one = make.status(candidate(registry, claim, "H29"), StatusCode.ARRIVED, reporter="H29")
    two = make.status(candidate(registry, claim, "H53"), StatusCode.ARRIVED, reporter="H53")
    stale = make.status(candidate(registry, claim, "H53"), StatusCode.ACCEPTED, reporter="H53")
    first, second, third = registry.claim([one, two, stale], "w1", at(5))
    assert first.referred
    assert second.referred
    assert [item.state for item in first.referred.deliveries] == [State.DELIVERED, State.QUEUED]
    assert [item.state for item in second.referred.deliveries] == [State.DELIVERED, State.DELIVERED]
    assert third.outcome is Claimed.CONFLICT


def test_a_status_that_overtook_our_commit_stays(registry: Registry, make: Maker) -> None:
    claim = make.claim("a", recipients=("H29",))
    (result,) = registry.claim([claim], "w1", START)
    assert result.document
    found = candidate(registry, claim, "H29")
    assert found.leased
    registry.claim([make.status(found, StatusCode.ARRIVED, reporter="H29")], "w2", at(1))
    registry.settle([make.queued(claim, result.document.row)], "w1", at(2))
    assert states(registry, result.document.row) == [State.DELIVERED]
    assert [item.row for item in registry.unfinished_outcomes(9)] == [result.document.row]


def test_a_status_again_is_repeated_with_its_document(registry: Registry, make: Maker) -> None:
    claim = make.claim("a", recipients=("H29",))
    row = accepted(registry, make, claim)
    status = make.status(candidate(registry, claim, "H29"), StatusCode.ARRIVED, reporter="H29", now=at(1))
    status_row = registry.claim([status], "w1", at(1))[0].document
    assert status_row
    resumed = registry.claim([status], "w2", at(60))[0]
    assert resumed.outcome is Claimed.RESUMED
    assert resumed.referred == stored(registry, row)
    registry.settle([make.queued(status, status_row.row)], "w2", at(60))
    repeated = registry.claim([status], "w2", at(61))[0]
    assert (repeated.outcome, repeated.referred) == (Claimed.REPEATED, stored(registry, row))
    anew = registry.claim([replace(status, transport_id=make.transport_id())], "w2", at(62))[0]
    assert (anew.outcome, anew.referred) == (Claimed.SAME_CONTENT, stored(registry, row))
    assert candidate(registry, claim, "H29").statuses == ("01",)


def test_a_refused_status_is_stored_and_changes_nothing(registry: Registry, make: Maker) -> None:
    claim = make.claim("a", recipients=("H29",))
    row = accepted(registry, make, claim)
    found = candidate(registry, claim, "H29")
    refused = make.status(
        found, StatusCode.PROCESSING, reporter="H29", refusal=Code.STATUS_AFTER_WITHDRAWAL, now=at(1)
    )
    assert registry.claim([refused], "w1", at(1))[0].outcome is Claimed.NEW
    assert states(registry, row) == [State.QUEUED]
    assert candidate(registry, claim, "H29").version == found.version
    assert any(event.event == "status" and event.code == "05" for event in registry.story(row))


def test_a_take_back_waits_for_who_publishes(registry: Registry, make: Maker) -> None:
    claim = make.claim("a", recipients=("H29",))
    (result,) = registry.claim([claim], "w1", START)
    assert result.document
    found = candidate(registry, claim, "H29", by_sender=True)
    take_back = make.status(
        found, StatusCode.TAKE_BACK, reporter="H26", move_to=State.WITHDRAWN, change="withdrawn", now=at(1)
    )
    assert registry.claim([take_back], "w1", at(1))[0].outcome is Claimed.BUSY
    assert registry.claim([take_back], "w2", at(1))[0].outcome is Claimed.BUSY
    deferral = Move(claim.deliveries[0].delivery_id, State.PLANNED, at(2), Code.QUEUE_FULL, at(60), 1)
    registry.settle([Settlement(result.document.row, (deferral,))], "w1", at(2))
    found = candidate(registry, claim, "H29", by_sender=True)
    take_back = make.status(
        found, StatusCode.TAKE_BACK, reporter="H26", move_to=State.WITHDRAWN, change="withdrawn", now=at(3)
    )
    (done,) = registry.claim([take_back], "w2", at(3))
    assert done.outcome is Claimed.NEW
    delivery = stored(registry, result.document.row).deliveries[0]
    assert (delivery.state, delivery.code, delivery.due_at) == (State.WITHDRAWN, Code.WITHDRAWN, None)
    assert registry.claim([claim], "w1", at(60))[0].outcome is Claimed.REPEATED


def test_a_queued_delivery_is_asked_back_and_not_withdrawn(registry: Registry, make: Maker) -> None:
    claim = make.claim("a", recipients=("H29",))
    row = accepted(registry, make, claim)
    found = candidate(registry, claim, "H29", by_sender=True)
    take_back = make.status(
        found, StatusCode.TAKE_BACK, reporter="H26", move_to=State.WITHDRAWN, change="asked", now=at(3)
    )
    registry.claim([take_back], "w1", at(3))
    assert states(registry, row) == [State.QUEUED]  # the table of moves has no way from queued to withdrawn
    after = candidate(registry, claim, "H29")
    assert (after.change, after.statuses) == ("asked", ("13",))


def test_a_take_back_names_in_the_story_whom_it_asks(registry: Registry, make: Maker) -> None:
    claim = make.claim("a", recipients=("H29", "H53"))
    row = accepted(registry, make, claim)
    asked = []
    for moment, code in enumerate(("H53", "H29"), start=1):
        found = candidate(registry, claim, code, by_sender=True)
        (done,) = registry.claim(
            [make.status(found, StatusCode.TAKE_BACK, reporter="H26", change="asked", now=at(moment))],
            "w1",
            at(moment),
        )
        assert done.document
        asked.append(done.document.row)
    found = candidate(registry, claim, "H29")
    registry.claim([make.status(found, StatusCode.ARRIVED, reporter="H29", now=at(3))], "w1", at(3))
    told = [
        (event.recipient, event.about, event.code) for event in registry.story(row) if event.event == "status"
    ]
    assert told == [("H26", "H53", "13"), ("H26", "H29", "13"), ("H29", "", "01")]
    own = [event.about for event in registry.story(asked[1]) if event.event == "status"]
    assert own == ["H29"]


# candidates


def test_a_hint_is_believed_only_where_all_agrees(registry: Registry, make: Maker) -> None:
    one = make.claim("a", document_id="53234", code="1/CV")
    two = make.claim("b", document_id="53234", code="2/CV")
    rows = [accepted(registry, make, claim) for claim in (one, two)]
    reference = Reference("", "53234", "", "")

    def ask(hint: str | None, **changed: str) -> list[int]:
        query = StatusQuery("H29", "H26", replace(reference, **changed), hint)
        return [found.document.row for found in registry.candidates(query)]

    assert ask(two.transport_id) == rows[1:]
    assert ask(None) == rows  # ambiguous: the caller's to judge
    assert ask("00000000-0000-0000-0000-00000000ffff") == rows
    assert ask(None, code="2/CV") == rows[1:]
    assert ask(None, code="3/CV") == []
    assert ask(two.transport_id, document_id="other") == []
    stranger = StatusQuery("H30", "H26", reference, two.transport_id)
    assert registry.candidates(stranger) == []


def test_the_date_decides_between_two_of_one_number(registry: Registry, make: Maker) -> None:
    accepted(registry, make, make.claim("a", document_id="7", promulgation_date="2025/03/01"))
    row = accepted(registry, make, make.claim("b", document_id="7", promulgation_date="2026/03/01"))
    query = StatusQuery("H29", "H26", Reference("", "7", "12/CV", "2026/03/01"), None)
    assert [found.document.row for found in registry.candidates(query)] == [row]


def test_a_status_may_name_its_document_by_number_and_date_alone(registry: Registry, make: Maker) -> None:
    last = accepted(
        registry, make, make.claim("a", document_id="7", code="12/CV", promulgation_date="2025/03/01")
    )
    this = accepted(
        registry, make, make.claim("b", document_id="8", code="12/CV", promulgation_date="2026/03/01")
    )
    bare = accepted(
        registry, make, make.claim("c", document_id="9", code="13/", promulgation_date="2026/03/01")
    )

    def ask(code: str, day: str, reporter: str = "H29") -> list[int]:
        query = StatusQuery(reporter, "H26", Reference("", "", code, day), None)
        found = [one.document.row for one in registry.candidates(query)]
        assert registry.knows(query) is bool(found) or reporter != "H29"
        return found

    assert ask("12/CV", "2026/03/01") == [this]
    assert ask("12/CV", "") == [last, this]  # ambiguous: the caller's to judge
    assert ask("12/CV", "2027/03/01") == []
    assert ask("13", "2026/03/01") == [bare]  # a number without a notation
    assert ask("12/CV", "2026/03/01", "H30") == []  # no party to it


def test_a_hint_is_believed_for_a_number_too(registry: Registry, make: Maker) -> None:
    one = make.claim("a", document_id="7", code="12/CV")
    two = make.claim("b", document_id="8", code="12/CV")
    rows = [accepted(registry, make, claim) for claim in (one, two)]
    query = StatusQuery("H29", "H26", Reference("", "", "12/CV", ""), two.transport_id)
    assert [found.document.row for found in registry.candidates(query)] == rows[1:]


def test_a_change_names_documents_and_what_they_can_mean(registry: Registry, make: Maker) -> None:
    six = make.claim("a", document_id="6")
    accepted(registry, make, six)
    accepted(registry, make, make.claim("b", sender="H29", recipients=("H26",), document_id="6"))

    def told(
        name: str, document_id: str, business_type: int, *named: str
    ) -> list[tuple[str, tuple[str, ...]]]:
        claim = replace(
            make.claim(name, document_id=document_id), business_type=business_type, speaks_of=named
        )
        return [
            (one.document_id, one.transport_ids) for one in registry.meant(accepted(registry, make, claim))
        ]

    assert told("new", "1", 0) == []
    assert told("revocation", "2", 1, "6") == [("6", (six.transport_id,))]
    assert told("by its own id", "6", 1, "6") == [("6", (six.transport_id,))]
    again = make.claim("c", document_id="8")
    accepted(registry, make, again)
    assert told("unknown, own id known", "8", 2, "7") == [("7", (again.transport_id,))]
    assert told("replacement", "8", 3, "7", "2")[0] == ("7", ())  # its own id is no replaced document's
    assert len(told("ambiguous", "9", 1, "8")[0][1]) > 1
    assert registry.meant(10_000) == []


def test_both_directions_are_candidates(registry: Registry, make: Maker) -> None:
    mine = accepted(registry, make, make.claim("a", sender="H26", recipients=("H29",), document_id="7"))
    theirs = accepted(registry, make, make.claim("b", sender="H29", recipients=("H26",), document_id="7"))
    query = StatusQuery("H29", "H26", Reference("", "7", "", ""), None)
    assert [found.document.row for found in registry.candidates(query)] == [mine, theirs]
    named = StatusQuery("H29", "H26", Reference("H26", "7", "", ""), None)
    assert [found.document.row for found in registry.candidates(named)] == [mine]


def test_a_hint_to_a_second_submission_means_the_first(registry: Registry, make: Maker) -> None:
    first = make.claim("a")
    row = accepted(registry, make, first)
    second = make.claim("a")
    registry.claim([second], "w1", at(1))
    assert candidate(registry, second, "H29").document.row == row


# settle


def test_a_final_outcome_is_written_once(registry: Registry, make: Maker) -> None:
    row = accepted(registry, make, make.claim("a"))
    first = NewReceipt(make.receipt(kind=ReceiptKind.OUTCOME), row, final=True)
    second = NewReceipt(make.receipt(kind=ReceiptKind.OUTCOME), row, final=True)
    third = NewReceipt(make.receipt(kind=ReceiptKind.OUTCOME), row, final=True)
    answers = registry.settle([Settlement(None, (), (first,)), Settlement(None, (), (second,))], "w1", at(1))
    assert answers == [Settled.DONE, Settled.PARTLY]
    registry.settle([Settlement(None, (), (third,))], "w2", at(2))
    outcomes = [item for item in registry.receipts(row) if item.kind is ReceiptKind.OUTCOME]
    assert outcomes == [first.receipt]
    assert stored(registry, row).finished


def test_the_first_answer_to_an_unproven_submission_stands(registry: Registry, make: Maker) -> None:
    def answer(digest: str) -> NewReceipt:
        return NewReceipt(make.receipt(), None, user="H26", transport_id="x", body_sha256=digest)

    first, second, other = answer("aa"), answer("aa"), answer("bb")
    registry.settle([Settlement(None, (), (item,)) for item in (first, second, other)], "w1", START)
    assert registry.refusal_receipts("H26", "x", "aa") == [first.receipt]
    assert registry.refusal_receipts("H26", "x", "bb") == [other.receipt]
    assert registry.refusal_receipts("H29", "x", "aa") == []
    assert registry.refused("x") == [first.receipt, other.receipt]
    assert registry.refused("y") == []


def test_one_bad_settlement_leaves_the_others_alone(registry: Registry, make: Maker) -> None:
    claims = [make.claim("a"), make.claim("b"), make.claim("c")]
    rows = [result.document.row for result in registry.claim(claims, "w1", START) if result.document]
    settlements = [make.queued(claim, row) for claim, row in zip(claims, rows, strict=True)]
    taken = settlements[0].receipts[0].receipt.number
    settlements[1] = replace(settlements[1], receipts=(NewReceipt(make.receipt(number=taken), rows[1]),))
    with pytest.raises(RegistryError) as caught:
        registry.settle(settlements, "w1", START)
    assert caught.value.code is Code.REGISTRY_UNUSABLE
    assert [stored(registry, row).settled for row in rows] == [True, False, True]
    assert states(registry, rows[1]) == [State.PLANNED, State.PLANNED]


@pytest.mark.parametrize("target", list(State))
@pytest.mark.parametrize("source", list(State))
def test_settling_keeps_to_the_table_of_moves(
    registry: Registry, make: Maker, source: State, target: State
) -> None:
    """A second move is applied where the table allows it, else silently not; back to planned only a loss leads."""
    claim = make.claim(
        "a", recipients=("H29", "H53")
    )  # the second one stays open: the document can be resumed
    for state in (source, target):
        (result,) = registry.claim([claim], "w1", START)
        assert result.document
        move = Move(claim.deliveries[0].delivery_id, state, START, due_at=at(60))
        assert registry.settle([Settlement(result.document.row, (move,))], "w1", START) == [Settled.DONE]
    allowed = target in MOVES[source] and target is not State.PLANNED
    (row,) = [item.row for item in registry.find(claim.transport_id)]
    assert states(registry, row)[0] is (target if allowed else source)


def test_a_heart_that_beat_in_a_time_to_come_binds_nobody_when_the_clock_is_right_again(
    registry: Registry, make: Maker
) -> None:
    claim = make.claim("a")
    registry.claim([claim], "w1", at(86_400))
    registry.heartbeat("w1", at(0))
    registry.heartbeat("w1", at(-30))  # two threads, or a second between two looks: nothing new
    assert registry.claim([claim], "w2", at(9))[0].outcome is Claimed.BUSY
    assert registry.claim([claim], "w2", at(11))[0].outcome is Claimed.RESUMED


def test_a_worker_that_died_with_its_clock_ahead_holds_nothing(registry: Registry, make: Maker) -> None:
    near, far = make.claim("near"), make.claim("far")
    registry.claim([near], "w1", at(60))  # as far as two machines may be apart
    registry.claim([far], "w2", at(86_400))
    assert registry.claim([near], "w3", at(0))[0].outcome is Claimed.BUSY
    assert registry.claim([far], "w3", at(0))[0].outcome is Claimed.RESUMED


def test_a_lease_can_be_let_go(registry: Registry, make: Maker) -> None:
    claim = make.claim("a")
    (result,) = registry.claim([claim], "w1", START)
    assert result.document
    registry.abandon([result.document.row], "w2")
    assert registry.claim([claim], "w1", START)[0].outcome is Claimed.BUSY
    registry.abandon([result.document.row], "w1")
    assert registry.claim([claim], "w1", START)[0].outcome is Claimed.RESUMED


def test_a_settled_document_has_no_lease(registry: Registry, make: Maker) -> None:
    claim = make.claim("a")
    row = accepted(registry, make, claim)
    assert registry.settle([make.queued(claim, row)], "w1", START) == [Settled.LOST]
    assert registry.settle([make.queued(claim, 4711)], "w1", START) == [Settled.LOST]


# receipts


def test_receipts_without_a_confirm_are_found_again(registry: Registry, make: Maker) -> None:
    rows = [accepted(registry, make, make.claim(name)) for name in "abc"]
    numbers = [registry.receipts(row)[0].number for row in rows]
    registry.published(numbers[:1], at(1))
    assert [item.number for item in registry.unpublished(at(1), 9)] == numbers[1:]
    assert [item.number for item in registry.unpublished(at(1), 1)] == numbers[1:2]
    assert registry.unpublished(START, 9) == []
    assert registry.unpublished(at(1), 9, ["H29"]) == registry.unpublished(at(1), 9)
    assert registry.unpublished(at(1), 9, ["H29", registry.unpublished(at(1), 1)[0].to]) == []
    assert (registry.unpublished_count(at(1)), registry.unpublished_count(START)) == (2, 0)


def test_numbers_go_on_where_they_ended(registry: Registry, make: Maker) -> None:
    assert registry.last_receipt_number("w1") == 0
    numbers = ["w1-9", "w1-10", "w1-x-11", "w12-99", "odd"]
    for number in numbers:
        unproven = NewReceipt(make.receipt(number=number), None, user="H26", transport_id=number)
        registry.settle([Settlement(None, (), (unproven,))], "w1", START)
    assert registry.last_receipt_number("w1") == 10
    assert registry.last_receipt_number("w1-x") == 11
    assert {item.number for item in registry.unpublished(at(1), 9)} == set(numbers)
