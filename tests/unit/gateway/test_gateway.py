"""The promises of a gateway, with the process dying at each place where it can."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.gateway import Mailbox, OutState, Submission
from relay.errors import BrokerError, Code, OperationError
from relay.model.envelope import StatusCode
from relay.model.message import Kind, Lane, Outgoing, Published
from tests.unit.gateway.doubles import TRANSPORT, Crash, Rig, package, refused, unreachable


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def _statuses(rig: Rig) -> list[Outgoing]:
    return [message for message in rig.link.published if message.type == "status"]


def test_a_document_is_stored_acknowledged_and_answered_01(rig: Rig) -> None:
    body = rig.deliver()
    taken = rig.gateway.receive()
    assert (taken.documents, taken.repeats, taken.rejected, taken.published) == (1, 0, (), 1)
    assert [message.body for message in rig.link.acked] == [body]
    (stored,) = rig.gateway.mailbox.unseen("H26")
    assert (stored.body, stored.sender, stored.code, stored.transport_id) == (body, "H53", "7/VP", TRANSPORT)
    (status,) = _statuses(rig)
    assert (status.exchange, status.routing_key, status.as_self) == ("ingress", "status.H26", True)
    assert (status.correlation_id, status.content_type) == (TRANSPORT, "application/edxml+xml")
    said = json.loads(status.body)
    assert (said["from"], said["to"], said["status"]) == ("H26", ["H53"], "01")
    assert said["about"] == ["D1", "7/VP", "2026/03/02"]


@pytest.mark.parametrize("place", ["ack", "publish", "published"])
def test_a_death_between_any_two_steps_loses_and_doubles_nothing(rig: Rig, place: str) -> None:
    rig.deliver()
    rig.link.die_at = place
    with pytest.raises(Crash):
        rig.gateway.receive()
    rig.start()
    rig.gateway.receive()
    assert len(rig.gateway.mailbox.unseen("H26")) == 1
    assert not rig.link.unsettled
    # The relay counts by transport id: however often it was published, it is one status.
    assert len({message.message_id for message in _statuses(rig)}) == 1
    assert len({message.body for message in _statuses(rig)}) == 1
    rig.start()
    before = len(_statuses(rig))
    rig.gateway.receive()
    assert len(_statuses(rig)) == before


def test_document_and_answer_are_one_commit(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.deliver()
    rig.gateway.mailbox.add_submission(
        Submission(
            "00000000-0000-4000-8000-000000000001", "H26", Kind.STATUS, "status", b"x", rig.clock.now()
        )
    )
    # The 01 takes the same id, so that its insert fails after that of the document.
    with pytest.raises(Exception, match="UNIQUE"):
        rig.gateway.receive()
    assert rig.gateway.mailbox.unseen("H26") == []
    assert not rig.link.acked


def test_a_repeat_is_dropped_and_its_01_said_again_as_it_was(rig: Rig) -> None:
    body = rig.deliver()
    rig.deliver(body)
    taken = rig.gateway.receive()
    assert (taken.documents, taken.repeats) == (1, 1)
    assert len(rig.link.acked) == 2
    assert len(_statuses(rig)) == 1
    rig.deliver(body)
    rig.start()
    assert rig.gateway.receive().repeats == 1
    first, again = _statuses(rig)
    assert again == first
    assert rig.gateway.publish_outbox() == 0


def test_other_bytes_under_a_stored_delivery_id_are_no_repeat(rig: Rig) -> None:
    rig.deliver()
    rig.gateway.receive()
    stored = rig.gateway.mailbox.unseen("H26")[0]
    rig.deliver(package("H53", "H26", note="other"), headers={"truc-delivery-id": stored.delivery_id})
    (line,) = rig.gateway.receive().rejected
    assert "ID-REUSED" in line
    assert len(rig.link.rejected) == 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"headers": {"truc-sha256": "0" * 64}}, Code.DIGEST_MISMATCH),
        ({"body": json.dumps({"from": "H53", "to": ["H26"]}).encode()}, Code.SIGNATURE_INVALID),
        ({"body": package("H53", "H26", signer="cert-H26")}, Code.WRONG_SIGNER),
        ({"body": package("H26", "H26", signer="cert-H53")}, Code.WRONG_SIGNER),
        ({"recipient": "H53"}, Code.NO_RECIPIENT),
        ({"body": package("H53", "H53")}, Code.NO_RECIPIENT),
        ({"drop": "truc-delivery-id"}, Code.MISSING_VALUE),
        ({"drop": "truc-accepted-at"}, Code.MISSING_VALUE),
        ({"headers": {"truc-accepted-at": "yesterday"}}, Code.MISSING_VALUE),
        ({"headers": {"truc-accepted-at": "2026-03-02T00:59:00"}}, Code.MISSING_VALUE),
        ({"drop": "message_id"}, Code.MISSING_VALUE),
        ({"drop": "type"}, Code.WRONG_TYPE),
        ({"properties": {"type": "letter"}}, Code.WRONG_TYPE),
        ({"properties": {"content_type": "text/xml"}}, Code.WRONG_CONTENT_TYPE),
    ],
)
def test_what_fails_a_check_goes_to_quarantine_with_a_log_line(
    rig: Rig, caplog: pytest.LogCaptureFixture, fault: dict[str, object], code: Code
) -> None:
    rig.deliver(**fault)  # type: ignore[arg-type]
    good = rig.deliver(package("H53", "H26", note="the next one"))
    with caplog.at_level(logging.WARNING, "truc.gateway"):
        taken = rig.gateway.receive()
    assert len(rig.link.rejected) == 1
    assert code.value in taken.rejected[0]
    assert [record.message for record in caplog.records] == ["message.rejected"]
    assert [item.body for item in rig.gateway.mailbox.unseen("H26")] == [good]


def test_the_signature_is_judged_as_of_the_relays_acceptance(rig: Rig) -> None:
    rig.deliver(headers={"truc-accepted-at": "2026-02-27T00:00:00Z"})
    rig.deliver(package("H53", "H26", note="future"), headers={"truc-accepted-at": "2099-01-01T00:00:00Z"})
    rig.gateway.receive()
    assert [at.isoformat() for at in rig.verifier.asked_at] == [
        "2026-02-27T00:00:00+00:00",
        "2026-03-02T01:00:00+00:00",
    ]


def test_a_successor_takes_the_mail_of_a_closed_code(rig: Rig) -> None:
    rig.deliver(package("H53", "H27"))
    assert rig.gateway.receive().documents == 1


def test_a_status_is_stored_and_not_answered(rig: Rig) -> None:
    status = json.dumps({"from": "H53", "to": ["H26"], "status": "03", "signer": "cert-H53"}).encode()
    rig.deliver(status, kind=Kind.STATUS, headers={"truc-refers-to": "mine"})
    assert rig.gateway.receive().statuses == 1
    (item,) = rig.gateway.mailbox.unseen("H26")
    assert (item.status_code, item.refers_to) == ("03", "mine")
    assert not rig.link.published


def test_mail_of_served_agencies_stands_in_the_gateways_queue(rig: Rig) -> None:
    rig.deliver(package("H53", "H26.15"), recipient="H26.15")
    rig.gateway.receive()
    assert rig.gateway.mailbox.unseen("H26") == []
    assert len(rig.gateway.mailbox.unseen("H26.15")) == 1
    (status,) = _statuses(rig)
    assert status.routing_key == "status.H26.15"
    assert json.loads(status.body)["from"] == "H26.15"


def test_an_agency_behind_a_gateway_reads_its_own_queue_and_its_gateways(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "H26.16")
    rig.deliver(package("H53", "H26.16"), recipient="H26.16", queue="agency.H26.16")
    rig.receipt("receipt acknowledgement w1-1 unknown -".replace(" -", " "), queue="agency.H26")
    assert rig.gateway.account.queues == ("agency.H26.16", "agency.H26")
    taken = rig.gateway.receive()
    assert (taken.documents, taken.receipts) == (1, 1)


def test_take_stops_at_the_number_of_this_agencys_messages(rig: Rig) -> None:
    rig.deliver(package("H53", "H26.15"), recipient="H26.15")
    for number in range(3):
        rig.deliver(package("H53", "H26", note=str(number)))
    assert rig.gateway.receive(2).documents == 3
    assert len(rig.gateway.mailbox.unseen("H26")) == 2
    assert len(rig.link.queues["agency.H26"]) == 1


def test_take_nothing_only_publishes_the_outbox(rig: Rig) -> None:
    rig.deliver()
    assert rig.gateway.receive(0).documents == 0
    assert len(rig.link.queues["agency.H26"]) == 1


def test_send_sets_all_that_the_contract_asks(rig: Rig) -> None:
    deadline = rig.clock.now() + timedelta(hours=3)
    sent = rig.gateway.send(b"signed", Kind.EDOC, Lane.URGENT, TRANSPORT, deadline=deadline)
    assert (sent.state, sent.transport_id) == (OutState.CONFIRMED, TRANSPORT)
    (message,) = rig.link.published
    assert message == Outgoing(
        "ingress",
        "urgent.H26",
        b"signed",
        TRANSPORT,
        "edoc",
        "application/edxml+xml",
        headers={"truc-deadline": "2026-03-02T04:00:00.000Z"},
        as_self=True,
    )


@pytest.mark.parametrize("result", [Published.RETURNED, Published.NACKED, Published.UNDECIDED])
def test_what_is_not_confirmed_is_sent_again_as_it_was(rig: Rig, result: Published) -> None:
    rig.link.results.extend([result, Published.CONFIRMED])
    assert rig.gateway.send(b"signed", Kind.EDOC, Lane.NORMAL).state is OutState.CONFIRMED
    first, second = rig.link.published
    assert first == second


def test_what_stays_unconfirmed_goes_with_the_next_run(rig: Rig) -> None:
    rig.link.results.extend([Published.RETURNED] * 3)
    sent = rig.gateway.send(b"signed", Kind.EDOC, Lane.NORMAL)
    assert sent.state is OutState.WAITING
    rig.start()
    assert rig.gateway.receive().published == 1
    assert {message.message_id for message in rig.link.published} == {sent.transport_id}
    assert rig.gateway.receive().published == 0


def test_a_document_is_kept_before_the_broker_is_asked(rig: Rig) -> None:
    rig.link.results.append(unreachable())
    with pytest.raises(BrokerError):
        rig.gateway.send(b"signed", Kind.EDOC, Lane.NORMAL, TRANSPORT)
    rig.start()
    assert rig.gateway.publish_outbox() == 1
    assert rig.link.published[0].body == b"signed"


def test_what_the_broker_refuses_for_good_is_not_tried_again(rig: Rig) -> None:
    rig.link.results.append(refused())
    with pytest.raises(BrokerError):
        rig.gateway.send(b"signed", Kind.EDOC, Lane.NORMAL, TRANSPORT)
    assert rig.gateway.publish_outbox() == 0
    kept = rig.gateway.mailbox.submission(TRANSPORT)
    assert kept is not None
    assert kept.state is OutState.REFUSED


def test_one_refused_status_does_not_stop_the_others(rig: Rig) -> None:
    rig.link.results.extend([unreachable(), unreachable()])
    for body in (b"one", b"two"):
        with pytest.raises(BrokerError):
            rig.gateway.send(body, Kind.STATUS, Lane.STATUS)
    rig.link.results.append(refused())
    assert rig.gateway.publish_outbox() == 1
    assert rig.link.published[0].body == b"two"


def test_a_document_without_a_receipt_is_sent_again_after_ten_minutes(rig: Rig) -> None:
    rig.gateway.send(b"signed", Kind.EDOC, Lane.NORMAL, TRANSPORT)
    rig.clock.sleep(599)
    rig.gateway.receive(idle=0.1)
    assert len(rig.link.published) == 1
    rig.clock.sleep(2)
    rig.gateway.receive(idle=0.1)
    assert [message.message_id for message in rig.link.published] == [TRANSPORT, TRANSPORT]
    rig.receipt(f"receipt acknowledgement w1-1 {TRANSPORT} H26")
    rig.clock.sleep(700)
    rig.gateway.receive()
    assert len(rig.link.published) == 2


def test_a_receipt_is_stored_once_under_its_submission(rig: Rig) -> None:
    rig.gateway.send(b"signed", Kind.EDOC, Lane.NORMAL, TRANSPORT)
    for _ in range(2):
        rig.receipt(f"receipt acknowledgement w1-1 {TRANSPORT} H26")
    assert rig.gateway.receive().receipts == 2
    (receipt,) = rig.gateway.mailbox.receipts(TRANSPORT)
    assert (receipt.facts.number, receipt.agency) == ("w1-1", "H26")


def test_a_receipt_that_no_relay_signed_goes_to_quarantine(rig: Rig) -> None:
    rig.receipt("forged")
    rig.receipt(f"receipt acknowledgement w1-1 {TRANSPORT} H26", content_type="text/xml")
    assert len(rig.gateway.receive().rejected) == 2
    assert rig.gateway.mailbox.receipts(TRANSPORT) == []


def test_an_unproven_receipt_belongs_to_who_sent_it(rig: Rig) -> None:
    rig.gateway.mailbox.add_submission(
        Submission(TRANSPORT, "H26.15", Kind.EDOC, "normal", b"x", rig.clock.now())
    )
    rig.receipt(f"receipt acknowledgement w1-1 {TRANSPORT} ")
    rig.gateway.receive()
    assert rig.gateway.mailbox.receipts(TRANSPORT)[0].agency == "H26.15"


def test_waiting_ends_with_the_answer_to_this_submission(rig: Rig) -> None:
    since = rig.clock.now()
    rig.receipt(f"receipt outcome w1-9 {TRANSPORT} H26")
    rig.receipt(f"receipt acknowledgement w1-2 {TRANSPORT} H26")
    rig.deliver()
    found = rig.gateway.wait_for_receipt(TRANSPORT, since, 30)
    assert found is not None
    assert found.facts.number == "w1-2"
    assert len(rig.link.queues["agency.H26"]) == 1


def test_waiting_for_a_repetition_does_not_take_the_old_answer(rig: Rig) -> None:
    rig.receipt(f"receipt acknowledgement w1-1 {TRANSPORT} H26")
    rig.gateway.receive()
    since = rig.clock.now()
    assert rig.gateway.wait_for_receipt(TRANSPORT, since, 3) is None
    rig.receipt(f"receipt acknowledgement w1-1 {TRANSPORT} H26")
    assert rig.gateway.wait_for_receipt(TRANSPORT, since, 3) is not None


def test_two_readers_do_not_meet_and_a_waiting_one_looks_into_the_mailbox(rig: Rig) -> None:
    rig.receipt(f"receipt acknowledgement w1-1 {TRANSPORT} H26")
    rig.gateway.receive()
    other = Mailbox(rig.folder / "H26.sqlite")
    with other.reader(0) as mine:
        assert mine
        with pytest.raises(OperationError):
            rig.gateway.receive(lock_seconds=0)
        assert rig.gateway.wait_for_receipt(TRANSPORT, rig.clock.now() - timedelta(minutes=1), 1) is not None
    rig.gateway.receive()


def test_a_reply_goes_to_the_sender_of_the_document(rig: Rig) -> None:
    rig.deliver()
    rig.gateway.receive()
    sent = rig.gateway.reply(TRANSPORT, StatusCode.REFUSED, "wrong office")
    assert sent.state is OutState.CONFIRMED
    said = json.loads(_statuses(rig)[-1].body)
    assert (said["status"], said["to"], said["reason"]) == ("02", ["H53"], "wrong office")
    assert _statuses(rig)[-1].correlation_id == TRANSPORT


def test_a_reply_about_nothing_is_not_found(rig: Rig) -> None:
    with pytest.raises(OperationError) as caught:
        rig.gateway.reply(TRANSPORT, StatusCode.ACCEPTED)
    assert caught.value.code is Code.NOT_FOUND


def test_a_busy_mailbox_leaves_the_message_in_the_queue(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.deliver()
    monkeypatch.setattr("adapters.gateway.store._BUSY_SECONDS", 0)
    rig.start()
    other = Mailbox(rig.folder / "H26.sqlite")
    with other._engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(Exception, match="REGISTRY-BUSY"):
            rig.gateway.receive()
        connection.exec_driver_sql("ROLLBACK")
    assert not rig.link.rejected
    rig.start()
    assert rig.gateway.receive().documents == 1
