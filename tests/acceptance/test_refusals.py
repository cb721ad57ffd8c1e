"""Each wrong submission is answered by a signed refusal with its own code, delivers nothing and stops nothing."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field, replace
from functools import partial

import pytest

from tests.acceptance.conftest import Axis
from tests.acceptance.wrong import CASES, FROM, TO, Desk, Try
from tests.support.stranger import Received, Stranger
from tests.support.stranger_xml import Facts, Receipt, check_receipt, sign
from tests.support.waits import until

READERS = (FROM, TO, "H26", "H29", "H30", "H53.31")


@dataclass
class Special:
    """A submission whose answer is not a plain refusal."""

    transport_id: str
    body: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


@dataclass
class Batch:
    """Everything that was published in one go, and what came of it."""

    axis: Axis
    desk: Desk
    tries: dict[str, Try] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    specials: dict[str, Special] = field(default_factory=dict)
    quarantined_before: float = 0.0
    surprises_before: float = 0.0

    def gateway(self, code: str) -> Stranger:
        return self.axis.gateway(code)

    def arrivals(self, body: bytes) -> list[Received]:
        digest = hashlib.sha256(body).hexdigest()
        return [found for code in READERS for found in self.gateway(code).arrived_with(digest)]

    def receipts(self, user: str, body: bytes) -> list[Receipt]:
        return list(self.gateway(user).by_sha256[hashlib.sha256(body).hexdigest()])


@pytest.fixture(scope="module")
def batch(axis: Axis) -> Batch:
    for code in READERS:
        axis.gateway(code)
    sender = axis.gateway(FROM)
    known = Facts(FROM, (TO,))
    known_id, _ = sender.send(known)
    batch = Batch(axis, Desk(axis, known))
    revoked = batch.desk.revoked()
    batch.quarantined_before = axis.metric("truc_quarantined_total", 'code="NO-USER"')
    batch.surprises_before = axis.metric("truc_quarantined_total", 'code="HELD"')
    batch.tries = {name: build(batch.desk) for name, (_, build) in CASES.items()}
    batch.tries["certificate revoked"] = Try(sign(batch.desk.unsigned(), revoked))
    assert sender.acknowledgement(known_id).line(TO).state == "queued"

    def noticed() -> bool:
        """Whether the list of the revoked was read again."""
        transport_id, body = str(uuid.uuid4()), sign(batch.desk.unsigned(), revoked)
        assert sender.publish(body, message_id=transport_id) == "ack"
        return sender.acknowledgement(transport_id).code == "CERTIFICATE-REVOKED"

    until(noticed)
    for name, wrong in batch.tries.items():
        batch.words[name] = axis.gateway(wrong.user).publish(
            wrong.body,
            kind=wrong.kind,
            key=wrong.key,
            message_id=wrong.message_id,
            headers=wrong.headers,
            **wrong.properties,
        )
    _publish_specials(batch)
    good = Facts(FROM, READERS[1:])
    batch.specials["good afterwards"] = Special(*sender.send(good))
    return batch


def _publish_specials(batch: Batch) -> None:
    sender, other = batch.gateway(FROM), batch.gateway("H29")
    first = Special(*sender.send(Facts(FROM, (TO,))))
    batch.specials["first"] = first
    # the same key is not the sender's alone: (sender, id) is
    body = other.paper(Facts("H29", (TO,)))
    assert other.publish(body, message_id=first.transport_id) == "ack"
    batch.specials["another sender's id"] = Special(first.transport_id, body)
    sender.acknowledgement(first.transport_id)
    body = sender.paper(Facts(FROM, ("H26",)))
    assert sender.publish(body, message_id=first.transport_id) == "ack"
    batch.specials["other bytes"] = Special(first.transport_id, body)
    batch.specials["unknown recipient"] = Special(*sender.send(Facts(FROM, (TO, "H99", "H26"))))
    batch.specials["twice the same recipient"] = Special(
        *sender.send(Facts(FROM, ("H26", "000.00.00.H26", "H26")))
    )
    batch.specials["BCC"] = Special(
        *sender.send(Facts(FROM, (TO,)), headers={"BCC": [f"urgent.{FROM}", f"status.{FROM}", "normal.H29"]})
    )
    batch.specials["expires at once"] = Special(*sender.send(Facts(FROM, (TO,)), expiration="0"))
    body = sender.paper(Facts(FROM, (TO,)))
    lonely = Special(str(uuid.uuid4()), body)
    assert sender.publish(body, message_id=lonely.transport_id, user_id=None) == "ack"
    batch.specials["no user_id"] = lonely


@pytest.mark.parametrize("name", [*CASES, "certificate revoked"])
def test_is_refused_by_its_own_code(batch: Batch, name: str) -> None:
    wrong = batch.tries[name]
    code = CASES[name][0] if name in CASES else "CERTIFICATE-REVOKED"
    assert batch.words[name] == "ack"
    gateway = batch.gateway(wrong.user)
    gateway.wait(lambda: batch.receipts(wrong.user, wrong.body), 90, f"a receipt for: {name}")
    (receipt,) = batch.receipts(wrong.user, wrong.body)
    check_receipt(receipt, batch.axis.sandbox.root)
    assert (receipt.result, receipt.code) == ("refused", code)
    assert receipt.kind == "acknowledgement"
    assert receipt.correlation_id == wrong.message_id
    assert receipt.transport_id == (wrong.message_id or "")
    assert receipt.queue.removeprefix("agency.") in gateway.serves
    assert {error[0] for error in receipt.errors} >= {code}
    assert all(len(text) > 10 for text in receipt.texts)
    assert {line.state for line in receipt.lines} <= {"refused"}


def test_nothing_of_it_was_delivered(batch: Batch) -> None:
    _all_told(batch)
    for name, wrong in batch.tries.items():
        assert not batch.arrivals(wrong.body), name


def test_each_was_told_to_the_publishing_user_alone(batch: Batch) -> None:
    _all_told(batch)
    for name, wrong in batch.tries.items():
        told = [code for code in READERS if batch.receipts(code, wrong.body)]
        assert told == [wrong.user], name


def test_nothing_stopped(batch: Batch) -> None:
    good = batch.specials["good afterwards"]
    receipt = batch.gateway(FROM).acknowledgement(good.transport_id)
    assert receipt.result == "accepted"
    assert [line.state for line in receipt.lines] == ["queued"] * len(READERS[1:])
    for code in READERS[1:]:
        received = batch.gateway(code).arrival(good.transport_id)
        assert received.body == good.body
        batch.gateway(code).check(received)


def test_another_agencys_subtree_is_closed_by_the_broker(batch: Batch) -> None:
    body = batch.gateway(FROM).paper(Facts(FROM, (TO,)))
    for key in (f"normal.{FROM}", "normal.H26.15.0", "other.H26", "normal.H261"):
        assert batch.gateway("H26").publish(body, key=key) == "closed 403", key
    assert batch.gateway("H26").publish(body, exchange="level.central", key=TO) == "closed 403"
    assert batch.gateway("H26").publish(body, user_id=FROM, key="normal.H26") == "closed 406"


def test_an_unknown_recipient_is_refused_alone(batch: Batch) -> None:
    special = batch.specials["unknown recipient"]
    receipt = batch.gateway(FROM).acknowledgement(special.transport_id)
    assert receipt.result == "accepted"
    assert {line.code: (line.state, line.outcome_code) for line in receipt.lines} == {
        TO: ("queued", ""),
        "H26": ("queued", ""),
        "H99": ("refused", "UNKNOWN-RECIPIENT"),
    }
    for code in (TO, "H26"):
        assert batch.gateway(code).arrival(special.transport_id).body == special.body


def test_a_recipient_that_stands_twice_gets_it_once(batch: Batch) -> None:
    special = batch.specials["twice the same recipient"]
    receipt = batch.gateway(FROM).acknowledgement(special.transport_id)
    assert [(line.resolved, line.state) for line in receipt.lines] == [("H26", "queued")]
    batch.gateway("H26").arrival(special.transport_id)
    _all_told(batch)
    assert len(batch.gateway("H26").arrivals(special.transport_id)) == 1


def test_the_same_id_with_other_bytes_is_refused(batch: Batch) -> None:
    first, other = batch.specials["first"], batch.specials["other bytes"]
    sender = batch.gateway(FROM)
    sender.wait(lambda: batch.receipts(FROM, other.body), 90, "the refusal of other bytes")
    (receipt,) = batch.receipts(FROM, other.body)
    check_receipt(receipt, batch.axis.sandbox.root)
    assert (receipt.result, receipt.code) == ("refused", "ID-REUSED")
    assert first.sha256 not in receipt.body.decode()
    assert not batch.arrivals(other.body)


def test_another_senders_id_shows_nothing_of_that_sender(batch: Batch) -> None:
    first, other = batch.specials["first"], batch.specials["another sender's id"]
    receipt = batch.gateway("H29").acknowledgement(first.transport_id)
    assert (receipt.result, receipt.sender, receipt.sha256) == ("accepted", "H29", other.sha256)
    assert {found.sha256 for found in batch.gateway("H29").receipts_of(first.transport_id)} == {other.sha256}
    _all_told(batch)
    assert {found.sha256 for found in batch.gateway(TO).arrivals(first.transport_id)} == {
        first.sha256,
        other.sha256,
    }


def test_copies_by_bcc_are_absorbed(batch: Batch) -> None:
    special = batch.specials["BCC"]
    assert batch.gateway(FROM).acknowledgement(special.transport_id).result == "accepted"
    batch.gateway(TO).arrival(special.transport_id)
    _all_told(batch)
    assert len(batch.receipts(FROM, special.body)) == 1
    assert [found.queue for found in batch.arrivals(special.body)] == [f"agency.{TO}"]


def test_what_the_broker_lets_expire_is_not_lost_in_silence(batch: Batch) -> None:
    special = batch.specials["expires at once"]
    sender = batch.gateway(FROM)
    sender.wait(lambda: batch.receipts(FROM, special.body), 90, "a word about what expired")
    (receipt,) = batch.receipts(FROM, special.body)
    check_receipt(receipt, batch.axis.sandbox.root)
    # the worker may have been quicker than the broker
    assert (receipt.kind, receipt.code) in {
        ("held", "EXPIRED-IN-QUEUE"),
        ("acknowledgement", "EXPIRATION-FORBIDDEN"),
    }
    assert not batch.arrivals(special.body)


def test_without_user_id_nobody_is_told_and_it_is_counted(batch: Batch) -> None:
    special = batch.specials["no user_id"]
    _all_told(batch)
    assert not batch.arrivals(special.body)
    assert not any(batch.receipts(code, special.body) for code in READERS)
    lonely = "truc_quarantined_total", 'code="NO-USER"'
    until(lambda: batch.axis.metric(*lonely) > batch.quarantined_before)
    assert batch.axis.metric(*lonely) == batch.quarantined_before + 1
    everything = batch.axis.metric("truc_quarantined_total")
    assert everything - batch.axis.metric(*lonely) == batch.surprises_before
    until(lambda: batch.gateway(FROM).depth("quarantine") >= 1)


def test_the_same_wrong_submission_again_gets_the_same_receipt(batch: Batch) -> None:
    _all_told(batch)
    wrong = replace(batch.tries["altered text"])
    sender = batch.gateway(wrong.user)
    assert sender.publish(wrong.body, message_id=wrong.message_id) == "ack"
    sender.wait(lambda: len(batch.receipts(wrong.user, wrong.body)) >= 2 or None, 90, "the receipt again")
    first, second = batch.receipts(wrong.user, wrong.body)
    assert first.body == second.body
    assert (first.duplicate, second.duplicate) == (False, True)


def _all_told(batch: Batch) -> None:
    """Wait until every wrong submission has an answer and the good one has arrived everywhere."""
    for name, wrong in batch.tries.items():
        look = partial(batch.receipts, wrong.user, wrong.body)
        batch.gateway(wrong.user).wait(look, 90, f"a receipt for: {name}")
    for code in READERS[1:]:
        batch.gateway(code).arrival(batch.specials["good afterwards"].transport_id)
