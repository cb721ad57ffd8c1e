"""Submissions again, statuses and take-back, deadlines, rejects: the sender always learns one fate, once in effect."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.conftest import Axis
from tests.support.stranger import Received, Stranger
from tests.support.stranger_xml import Facts, Receipt, read_status
from tests.support.waits import until

FROM, TO = "H29", "G14"


@pytest.fixture(scope="module")
def sender(axis: Axis) -> Stranger:
    return axis.gateway(FROM)


@pytest.fixture(scope="module")
def recipient(axis: Axis) -> Stranger:
    return axis.gateway(TO)


def facts(*recipients: str, **more: object) -> Facts:
    return Facts(FROM, recipients or (TO,), **more)  # type: ignore[arg-type]


def in_a_moment(stranger: Stranger) -> None:
    """Let pass what must not come: the way of a good document and back is the measure of a moment."""
    marker, _ = stranger.send(Facts(stranger.code, (stranger.code,)))
    stranger.arrival(marker)
    stranger.acknowledgement(marker)


def outcome_is(receipt: Receipt, **lines: str) -> None:
    assert {line.resolved: line.state for line in receipt.lines} == {
        code.replace("_", "."): state for code, state in lines.items()
    }


# --- the same again --------------------------------------------------------------------------------------------------------


def test_the_same_submission_again_gets_every_receipt_so_far_again(
    sender: Stranger, recipient: Stranger
) -> None:
    transport_id, body = sender.send(facts())
    acknowledged = sender.acknowledgement(transport_id)
    recipient.answer(recipient.arrival(transport_id))
    ended = sender.receipt(transport_id, "outcome")
    assert sender.publish(body, message_id=transport_id) == "ack"
    sender.wait(lambda: len(sender.receipts_of(transport_id)) >= 4 or None, what="the receipts again")
    in_a_moment(sender)
    receipts = sender.receipts_of(transport_id)
    assert [each.body for each in receipts] == [acknowledged.body, ended.body] * 2
    assert [each.duplicate for each in receipts] == [False, False, True, True]
    assert len(recipient.arrivals(transport_id)) == 1


def test_the_same_submission_in_another_lane_is_still_the_same(sender: Stranger, recipient: Stranger) -> None:
    transport_id, body = sender.send(facts(priority=2), urgent=True)
    first = sender.acknowledgement(transport_id)
    assert sender.publish(body, message_id=transport_id, key=sender.key()) == "ack"
    sender.wait(lambda: len(sender.receipts_of(transport_id)) >= 2 or None, what="the receipt again")
    assert sender.receipts_of(transport_id)[1].body == first.body
    in_a_moment(sender)
    assert len(recipient.arrivals(transport_id)) == 1


def test_the_same_bytes_under_another_id_are_no_second_delivery(
    sender: Stranger, recipient: Stranger
) -> None:
    first, body = sender.send(facts())
    original = sender.acknowledgement(first)
    second = str(uuid.uuid4())
    assert sender.publish(body, message_id=second) == "ack"
    same = sender.acknowledgement(second)
    assert (same.result, same.code) == ("accepted", "SAME-CONTENT")
    assert [line.delivery_id for line in same.lines] == [line.delivery_id for line in original.lines]
    assert same.line(TO).state == "queued"
    recipient.answer(recipient.arrival(first))
    for transport_id in (first, second):
        outcome_is(sender.receipt(transport_id, "outcome"), G14="delivered")
    in_a_moment(sender)
    assert not recipient.arrivals(second)
    assert all(len(sender.receipts_of(each, "outcome")) == 1 for each in (first, second))


def test_the_same_id_with_other_bytes_is_refused_and_changes_nothing(
    sender: Stranger, recipient: Stranger
) -> None:
    transport_id, _ = sender.send(facts())
    first = sender.acknowledgement(transport_id)
    assert sender.publish(sender.paper(facts()), message_id=transport_id) == "ack"
    refused = sender.receipt(transport_id, "acknowledgement", code="ID-REUSED")
    assert refused.result == "refused"
    assert refused.sha256 != first.sha256
    recipient.answer(recipient.arrival(transport_id))
    assert sender.receipt(transport_id, "outcome").sha256 == first.sha256
    assert len(recipient.arrivals(transport_id)) == 1


def test_the_delivery_id_is_what_anyone_can_compute(sender: Stranger, recipient: Stranger) -> None:
    transport_id, _ = sender.send(facts())
    received = recipient.arrival(transport_id)
    namespace = uuid.uuid5(uuid.NAMESPACE_URL, "urn:truc:delivery")
    assert received.delivery_id == str(uuid.uuid5(namespace, f"{FROM}\n{received.sha256}\n{TO}"))
    assert sender.acknowledgement(transport_id).line(TO).delivery_id == received.delivery_id


# --- statuses ----------------------------------------------------------------------------------------------------------------


def passed_on(stranger: Stranger, told: tuple[str, bytes], about: str, code: str) -> Received:
    received = stranger.arrival(told[0], kind="status")
    assert received.body == told[1]
    assert received.headers["truc-refers-to"] == about
    assert read_status(received.body)[1] == code
    stranger.check(received)
    return received


def test_the_first_status_delivers_and_all_are_passed_on(sender: Stranger, recipient: Stranger) -> None:
    transport_id, _ = sender.send(facts())
    document = recipient.arrival(transport_id)
    assert not sender.receipts_of(transport_id, "outcome")
    for code in ("01", "03", "04", "05", "06"):
        passed_on(sender, recipient.answer(document, code), transport_id, code)
    outcome_is(sender.receipt(transport_id, "outcome"), G14="delivered")
    in_a_moment(sender)
    assert len(sender.receipts_of(transport_id, "outcome")) == 1


def test_a_refusal_by_the_clerk_is_a_delivery(sender: Stranger, recipient: Stranger) -> None:
    transport_id, _ = sender.send(facts())
    told = recipient.answer(recipient.arrival(transport_id), "02", description="Không thuộc thẩm quyền")
    passed_on(sender, told, transport_id, "02")
    outcome_is(sender.receipt(transport_id, "outcome"), G14="delivered")


def test_an_accepted_status_gets_no_receipt(sender: Stranger, recipient: Stranger) -> None:
    transport_id, _ = sender.send(facts())
    told, _ = recipient.answer(recipient.arrival(transport_id))
    sender.arrival(told, kind="status")
    in_a_moment(recipient)
    assert not recipient.receipts_of(told)


def test_a_status_that_is_said_again_is_passed_on_again(sender: Stranger, recipient: Stranger) -> None:
    transport_id, _ = sender.send(facts())
    document = recipient.arrival(transport_id)
    for when in ("2026/03/02 10:00:00", "2026/03/02 09:00:00"):  # late ones too
        passed_on(sender, recipient.answer(document, "05", when=when), transport_id, "05")


def test_a_status_without_the_hint_finds_its_document(sender: Stranger, recipient: Stranger) -> None:
    paper = facts()
    transport_id, _ = sender.send(paper)
    recipient.arrival(transport_id)
    passed_on(sender, recipient.tell(paper, "01"), transport_id, "01")


def test_a_wrong_hint_is_not_believed(sender: Stranger, recipient: Stranger) -> None:
    paper = facts()
    transport_id, _ = sender.send(paper)
    other, _ = sender.send(facts())
    recipient.arrival(other)
    recipient.arrival(transport_id)
    passed_on(sender, recipient.tell(paper, "01", about=other), transport_id, "01")
    in_a_moment(sender)
    assert not sender.receipts_of(other, "outcome")


def test_an_outcome_names_every_recipient_once_all_have_ended(
    axis: Axis, sender: Stranger, recipient: Stranger
) -> None:
    other = axis.gateway("H53")
    transport_id, _ = sender.send(facts(TO, "H53", "H99"))
    recipient.answer(recipient.arrival(transport_id))
    sender.arrival(recipient.answer(recipient.arrival(transport_id), "03")[0], kind="status")
    assert not sender.receipts_of(transport_id, "outcome")
    other.answer(other.arrival(transport_id))
    ended = sender.receipt(transport_id, "outcome")
    outcome_is(ended, G14="delivered", H53="delivered", H99="refused")
    assert ended.result == "accepted"


def status_first(axis: Axis, sender: Stranger, recipient: Stranger) -> tuple[str, str] | None:
    """Send a status and then its document; return the ids of both.

    The status comes round after five seconds: None if the machine stood so long that it was refused by right.
    """
    paper = facts()
    deferrals = "truc_deferrals_total", 'code="STATUS-UNKNOWN-DOCUMENT"'
    before = axis.metric(*deferrals)
    told, _ = recipient.tell(paper, "01")
    recipient.wait(lambda: axis.metric(*deferrals) > before, what="the status put off")
    transport_id, _ = sender.send(paper)
    sender.acknowledgement(transport_id)
    sender.wait(lambda: bool(sender.arrivals(told, "status") or recipient.receipts_of(told)), what="its fate")
    if not sender.arrivals(told, "status"):
        assert recipient.acknowledgement(told).code == "STATUS-UNKNOWN-DOCUMENT"
        return None
    return told, transport_id


def test_a_status_before_its_document_waits_for_it(axis: Axis, sender: Stranger, recipient: Stranger) -> None:
    told, transport_id = until(lambda: status_first(axis, sender, recipient)) or ("", "")
    assert sender.arrival(told, kind="status").headers["truc-refers-to"] == transport_id
    outcome_is(sender.receipt(transport_id, "outcome"), G14="delivered")
    assert not recipient.receipts_of(told)


# --- take-back ---------------------------------------------------------------------------------------------------------------


def test_a_take_back_follows_what_is_queued(sender: Stranger, recipient: Stranger) -> None:
    paper = facts()
    transport_id, _ = sender.send(paper)
    document = recipient.arrival(transport_id)

    def take_back() -> None:
        told = sender.tell(paper, "13", about=transport_id, addressee=TO, description="Gửi nhầm bản dự thảo")
        passed_on(recipient, told, transport_id, "13")

    take_back()
    passed_on(sender, recipient.answer(document, "16", description="Đã xử lý"), transport_id, "16")
    passed_on(sender, recipient.answer(document, "03"), transport_id, "03")  # after 16 nothing has changed
    take_back()
    passed_on(sender, recipient.answer(document, "15"), transport_id, "15")
    late, _ = recipient.answer(document, "04")
    refused = recipient.acknowledgement(late)
    assert (refused.result, refused.code) == ("refused", "STATUS-AFTER-WITHDRAWAL")
    in_a_moment(recipient)
    assert not sender.arrivals(late, "status")


@pytest.mark.parametrize("code", ["15", "16"])
def test_an_answer_to_no_request_is_refused(sender: Stranger, recipient: Stranger, code: str) -> None:
    transport_id, _ = sender.send(facts())
    told, _ = recipient.answer(recipient.arrival(transport_id), code)
    refused = recipient.acknowledgement(told)
    assert (refused.result, refused.code) == ("refused", "STATUS-WITHOUT-REQUEST")
    in_a_moment(recipient)
    assert not sender.arrivals(told, "status")


@pytest.mark.parametrize("business", ["1", "2", "3"])
def test_a_revocation_update_or_replacement_may_be_answered(
    sender: Stranger, recipient: Stranger, business: str
) -> None:
    transport_id, _ = sender.send(facts(business=business))
    document = recipient.arrival(transport_id)
    passed_on(sender, recipient.answer(document, "15"), transport_id, "15")


# --- where it goes -----------------------------------------------------------------------------------------------------------


def test_a_served_agency_is_reached_through_its_gateway(axis: Axis, sender: Stranger) -> None:
    gateway = axis.gateway("H30")
    transport_id, body = sender.send(facts("H30.10.01"))
    received = gateway.arrival(transport_id)
    assert (received.queue, received.recipient, received.body) == ("agency.H30", "H30.10.01", body)
    gateway.check(received)
    passed_on(sender, gateway.answer(received), transport_id, "01")
    sent, _ = gateway.send(Facts("H30.10.01", (FROM,)))  # and speaks through it
    assert sender.arrival(sent).headers["truc-sender"] == "H30.10.01"
    assert gateway.acknowledgement(sent).queue == "agency.H30"


def test_both_written_forms_reach_the_same_agency(axis: Axis, sender: Stranger) -> None:
    gateway = axis.gateway("H26.15.01")
    transport_id, _ = sender.send(facts("000.01.15.H26"))
    line = sender.acknowledgement(transport_id).lines[0]
    assert (line.code, line.resolved) == ("000.01.15.H26", "H26.15.01")
    assert gateway.arrival(transport_id).recipient == "H26.15.01"


def test_a_closed_code_leads_to_its_one_successor(axis: Axis, sender: Stranger) -> None:
    gateway = axis.gateway("H29.20")
    transport_id, _ = sender.send(facts("H29.21"))
    line = sender.acknowledgement(transport_id).lines[0]
    assert (line.code, line.resolved, line.state) == ("H29.21", "H29.20", "queued")
    passed_on(sender, gateway.answer(gateway.arrival(transport_id)), transport_id, "01")
    outcome_is(sender.receipt(transport_id, "outcome"), H29_20="delivered")


# --- what goes wrong on the way ----------------------------------------------------------------------------------------------


def urgent_within(sender: Stranger, left: timedelta) -> tuple[str, datetime]:
    """Send with a deadline that is accepted: a second has to be left of it, however long the machine took."""
    deadline = datetime.now(UTC) + left
    transport_id, _ = sender.send(
        facts(priority=1), urgent=True, headers={"truc-deadline": deadline.isoformat().replace("+00:00", "Z")}
    )
    told = sender.acknowledgement(transport_id)
    if told.code == "BAD-DEADLINE" and left < timedelta(seconds=30):
        return urgent_within(sender, 3 * left)
    assert told.result == "accepted"
    return transport_id, deadline


def test_a_deadline_that_passes_is_told_once_and_a_later_delivery_supersedes_it(
    sender: Stranger, recipient: Stranger
) -> None:
    transport_id, deadline = urgent_within(sender, timedelta(seconds=2))
    document = recipient.arrival(transport_id)
    late = sender.receipt(transport_id, "outcome", code="OVERDUE")
    outcome_is(late, G14="overdue")
    assert datetime.now(UTC) >= deadline
    time.sleep(1.2)  # two rounds of the keeper
    recipient.answer(document)
    ended = sender.receipt(transport_id, "outcome", code="")
    outcome_is(ended, G14="delivered")
    assert [each.code for each in sender.receipts_of(transport_id, "outcome")] == ["OVERDUE", ""]


def test_what_a_gateway_rejects_is_held_and_both_are_told(axis: Axis, sender: Stranger) -> None:
    gateway = axis.gateway("G18")
    transport_id = str(uuid.uuid4())
    gateway.rejects.add(transport_id)
    sender.send(facts("G18"), message_id=transport_id)
    for told in (sender, gateway):
        held = told.receipt(transport_id, "held")
        assert held.code == "REJECTED-BY-GATEWAY"
        outcome_is(held, G18="held")
    in_a_moment(sender)
    assert not sender.receipts_of(transport_id, "outcome")
    assert len(sender.receipts_of(transport_id, "held")) == 1
