"""Statuses: who may say what, and what it does to the delivery."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from relay.errors import Code
from relay.lifecycle.statuses import Decision, decide, query
from relay.model.agency import Agency, AgencyCertificate, Resolution
from relay.model.delivery import Delivery, State
from relay.model.envelope import Envelope, Recipient, Reference, StatusCode
from relay.model.levels import Level
from relay.model.message import Kind
from relay.model.record import Candidate, Document
from relay.model.verdict import Verdict

NOW = datetime(2026, 11, 21, tzinfo=UTC)
DAY = date(2026, 11, 21)


class Successors:
    """A directory that knows successions alone."""

    version = "t"

    def __init__(self, *pairs: tuple[str, str]) -> None:
        self._pairs = set(pairs)

    def agency(self, code: str) -> Agency | None:
        return None

    def resolve(self, written: str, day: date) -> Resolution:
        return Resolution(written, refusal=Code.UNKNOWN_RECIPIENT)

    def gateway_of(self, user: str) -> str:
        return user

    def may_speak(self, user: str, sender: str) -> bool:
        return user == sender

    def signers(self, sender: str) -> list[AgencyCertificate]:
        return []

    def predecessors(self, code: str, day: date) -> list[str]:
        return [before for heir, before in self._pairs if heir == code]

    def successor_of(self, claimant: str, code: str, day: date) -> bool:
        return claimant == code or (claimant, code) in self._pairs


def candidate(
    state: State = State.QUEUED, change: str | None = None, business_type: int = 0, transport_id: str = "t1"
) -> Candidate:
    delivery = Delivery("d1", "H53", "H53", Level.PROVINCE, state, at=NOW)
    document = Document(
        row=1, sender="G22", transport_id=transport_id, kind=Kind.EDOC, user="G22", lane="normal",
        body_sha256="0" * 64, body_bytes=1, accepted_at=NOW, deadline_at=None, document_id="D", code="1/A",
        promulgation_date="2026/11/21", business_type=business_type, verdict=Verdict(True, True, Code.OK, NOW),
        directory_version="t", deliveries=(delivery,),
    )  # fmt: skip
    return Candidate(document, delivery, 3, change, (), False)


def status(code: str, reporter: str = "H53", addressee: str = "G22") -> Envelope:
    return Envelope(
        kind=Kind.STATUS, sender=reporter, sender_written=reporter, recipients=(Recipient(addressee, addressee),),
        document_id="D", status_code=code, timestamp="2026/11/21 08:00:00",
        refers_to=Reference("", "D", "1/A", "2026/11/21"),
    )  # fmt: skip


def decided(envelope: Envelope, *candidates: Candidate, known: bool = False) -> Decision:
    return decide(envelope, candidates, known, Successors(("H54", "H53"), ("G23", "G22")), DAY)


@pytest.mark.parametrize("code", ["01", "02", "03", "05"])
def test_the_first_status_makes_delivered(code: str) -> None:
    decision = decided(status(code), candidate())
    assert decision.effect is not None
    assert (decision.effect.move_to, decision.effect.version, decision.forward) == (State.DELIVERED, 3, True)
    assert decision.refers_to == "t1"


def test_later_ones_and_repeats_are_stored_and_passed_on() -> None:
    decision = decided(status("01"), candidate(State.DELIVERED))
    assert decision.effect is not None
    assert (decision.effect.move_to, decision.refusal, decision.forward) == (None, None, True)


def test_a_successor_speaks_for_its_predecessor() -> None:
    assert decided(status("01", reporter="H54"), candidate()).effect is not None
    assert decided(status("13", reporter="G23", addressee="H53"), candidate()).effect is not None


def test_strangers_are_refused_at_once() -> None:
    assert decided(status("01", reporter="H29"), candidate()).refusal is Code.STATUS_NOT_A_PARTY
    assert decided(status("01", reporter="H29"), known=True).refusal is Code.STATUS_NOT_A_PARTY
    taking = status("13", reporter="H29", addressee="H53")
    assert decided(taking, candidate()).refusal is Code.TAKE_BACK_NOT_YOURS
    assert decided(taking, known=True).refusal is Code.TAKE_BACK_NOT_YOURS


def test_the_recipient_cannot_take_back() -> None:
    assert decided(status("13"), candidate()).refusal is Code.TAKE_BACK_NOT_YOURS


def test_a_status_about_nothing_waits() -> None:
    assert decided(status("01")).wait


def test_ambiguity_is_refused_with_its_candidates() -> None:
    decision = decided(status("01"), candidate(), candidate(transport_id="t2"))
    assert decision.refusal is Code.STATUS_AMBIGUOUS
    assert decision.detail == "t1, t2"


def test_a_take_back_stops_what_is_planned_and_follows_what_is_queued() -> None:
    taking = status("13", reporter="G22", addressee="H53")
    stopped = decided(taking, candidate(State.PLANNED))
    assert stopped.effect is not None
    assert (stopped.effect.move_to, stopped.forward) == (State.WITHDRAWN, False)
    follows = decided(taking, candidate(State.QUEUED))
    assert follows.effect is not None
    assert (follows.effect.move_to, follows.effect.change, follows.forward) == (None, "asked", True)
    assert decided(taking, candidate(State.REFUSED)).forward is False


@pytest.mark.parametrize("code", ["15", "16"])
def test_an_answer_needs_a_request(code: str) -> None:
    assert decided(status(code), candidate()).refusal is Code.STATUS_WITHOUT_REQUEST
    for asked in (candidate(change="asked"), candidate(business_type=1), candidate(change="declined")):
        answer = decided(status(code), asked)
        assert answer.refusal is None
        assert answer.effect is not None
        assert answer.effect.change == ("withdrawn" if code == "15" else "declined")


@pytest.mark.parametrize("business_type", [2, 3])
def test_to_an_update_one_agrees_and_goes_on_with_it(business_type: int) -> None:
    agreed = decided(status("15"), candidate(business_type=business_type)).effect
    assert agreed is not None
    assert agreed.change == "agreed"
    assert decided(status("03"), candidate(change="agreed", business_type=business_type)).refusal is None
    taken_back = decided(status("15"), candidate(change="asked", business_type=business_type)).effect
    assert taken_back is not None
    assert taken_back.change == "withdrawn"


@pytest.mark.parametrize("code", ["03", "04", "05", "06"])
def test_after_withdrawal_processing_is_stored_and_refused(code: str) -> None:
    decision = decided(status(code), candidate(State.DELIVERED, "withdrawn"))
    assert decision.refusal is Code.STATUS_AFTER_WITHDRAWAL
    assert decision.effect is not None
    assert decision.effect.refusal is Code.STATUS_AFTER_WITHDRAWAL
    assert decision.effect.move_to is None


def test_every_code_of_the_format_is_decided() -> None:
    for code in StatusCode:
        assert decided(status(code.value), candidate()) is not None


def test_the_question_names_both_parties() -> None:
    question = query(status("01", reporter="H54"), "hint", Successors(("H54", "H53")), DAY)
    assert question is not None
    assert (question.reporter, question.addressee, question.hint) == ("H54", "G22", "hint")
    assert question.reporters == ("H53",)
