"""Each case of ``truc why``, and that each has its sentence in both languages."""

from __future__ import annotations

import re
import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from relay.broker import names
from relay.errors import BrokerError, Code
from relay.model.agency import Agency
from relay.model.delivery import Delivery, State
from relay.model.levels import Level
from relay.model.message import Kind
from relay.model.receipt import ReceiptKind
from relay.model.record import Document, HeldEntry, NewReceipt, Settlement
from relay.model.standing import DeliveryStanding, Drop, HeldStanding, ReceiptStanding, Standing
from relay.model.times import rfc3339
from relay.model.verdict import Verdict
from relay.operate import why as module
from relay.operate.gathering import gather, queue_of
from relay.operate.why import INGRESS, LADDER, Facts, Reason, sentence, texts, why
from relay.registry import memory_registry
from tests.support.registry import START, Maker, accepted, at
from tests.unit.gateway.doubles import FakeDirectory

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
BEFORE = NOW - timedelta(hours=1)
ID = "0b6b0e3a-5f6e-4b52-9d57-7a2f4f0c9d11"
EMPTY = {**dict.fromkeys(INGRESS, (0, 1)), names.DUE: (0, 1)}


def delivery(
    recipient: str = "H53",
    state: State = State.QUEUED,
    *,
    code: Code | None = None,
    due_at: datetime | None = None,
    change: str | None = None,
    lost: bool = False,
    lost_told: bool = False,
    status: str = "",
    detail: str = "",
) -> DeliveryStanding:
    return DeliveryStanding(
        Delivery(
            f"d-{recipient}", recipient, recipient, Level.PROVINCE, state, code, BEFORE, due_at, 2, detail
        ),
        queued_at=BEFORE if state is State.QUEUED else None,
        change=change,
        lost=lost,
        lost_told=lost_told,
        overdue_told=False,
        last_status=status,
    )


def standing(
    *deliveries: DeliveryStanding,
    holder: str = "",
    alive: bool = False,
    refusal: Code | None = None,
    kind: Kind = Kind.EDOC,
    settled: bool = True,
    finished: bool = False,
    deadline: datetime | None = NOW + timedelta(hours=9),
    receipts: tuple[ReceiptStanding, ...] = (),
    detail: str = "",
) -> Standing:
    document = Document(
        row=1,
        sender="H26",
        transport_id=ID,
        kind=kind,
        user="H26",
        lane="normal",
        body_sha256="aa",
        body_bytes=9,
        accepted_at=BEFORE,
        deadline_at=deadline,
        document_id="x",
        code="1/CV",
        promulgation_date="2026/03/01",
        business_type=0,
        verdict=Verdict(True, True, Code.OK, BEFORE),
        directory_version="v1",
        deliveries=tuple(one.delivery for one in deliveries),
        refusal=refusal,
        detail=detail,
        settled=settled,
        finished=finished,
    )
    return Standing(document, BEFORE, holder, alive, BEFORE if holder else None, deliveries, receipts)


def held(
    delivery_id: str = "", *, user: str = "H26", drop: Drop | None = None, released: bool = False
) -> HeldStanding:
    code = Code.REJECTED_BY_GATEWAY if delivery_id else Code.HELD
    entry = HeldEntry(
        "held-1", code, "agency.H53", user, ID, "H26", "H53", delivery_id, "aa", BEFORE, "rejected"
    )
    return HeldStanding(replace(entry, released_at=NOW if released else None), drop)


def receipt(code: str = "", kind: str = "acknowledgement", *, published: bool = True) -> ReceiptStanding:
    return ReceiptStanding("w1-7", kind, code, "H26", BEFORE, NOW if published else None)


def facts(*standings: Standing, queue: tuple[int, int] | None = (0, 1), **more: object) -> Facts:
    known = {
        "queues": {**EMPTY, "agency.H53": queue},
        "queue_of": {"H53": "agency.H53", "H29": "agency.H53"},
        **more,
    }
    return Facts(ID, NOW, standings, **known)  # type: ignore[arg-type]


UNTOLD = Drop("held-1", BEFORE, "hỏng")
TOLD = Drop("held-1", BEFORE, "hỏng", told_at=NOW)
PLANNED = delivery(state=State.PLANNED)
LATE = NOW - timedelta(minutes=1)

CASES: dict[str, tuple[Facts, tuple[str, ...]]] = {
    "unknown": (facts(), ("unknown",)),
    "unknown, no broker": (facts(queues=None), ("unknown",)),
    "unknown, and something waits for a retry": (facts(queues={**EMPTY, "retry.10m": (3, 0)}), ("unknown",)),
    "unproven refusal": (facts(loose=(receipt("UNSIGNED"),)), ("refused-unproven",)),
    "unproven refusal, not told yet": (
        facts(loose=(receipt("UNSIGNED", published=False),)),
        ("refused-unproven", "receipt-waiting"),
    ),
    "a code that this relay does not know": (facts(loose=(receipt("NEWER-CODE"),)), ("refused-unproven",)),
    "refused as a whole": (
        facts(standing(refusal=Code.STATE_SECRET, finished=True, detail="Subject")),
        ("refused",),
    ),
    "in hand": (facts(standing(PLANNED, holder="w1-x", alive=True, settled=False)), ("in-hand",)),
    "dead lease": (facts(standing(PLANNED, holder="w1-x", settled=False)), ("orphaned",)),
    "in nobody's hands": (facts(standing(PLANNED, settled=False)), ("abandoned",)),
    "planned and put by": (facts(standing(PLANNED)), ("planned", "abandoned")),
    "deferred": (
        facts(
            standing(delivery(state=State.PLANNED, code=Code.QUEUE_FULL, due_at=NOW + timedelta(minutes=9)))
        ),
        ("deferred",),
    ),
    "deferral due": (
        facts(standing(delivery(state=State.PLANNED, code=Code.QUEUE_FULL, due_at=LATE))),
        ("due",),
    ),
    "deferral due, no worker": (
        facts(
            standing(delivery(state=State.PLANNED, code=Code.QUEUE_FULL, due_at=LATE)),
            queues={names.DUE: (3, 0)},
        ),
        ("due-unread",),
    ),
    "deferral due, no broker": (
        facts(standing(delivery(state=State.PLANNED, code=Code.UNROUTABLE, due_at=LATE)), queues=None),
        ("due",),
    ),
    "lost": (facts(standing(delivery(state=State.PLANNED, lost=True, lost_told=True))), ("lost",)),
    "lost, not told yet": (facts(standing(delivery(state=State.PLANNED, lost=True))), ("lost-untold",)),
    "queue without a consumer": (facts(standing(delivery()), queue=(4, 0)), ("queued-unread",)),
    "queue with others before it": (facts(standing(delivery()), queue=(4, 2)), ("queued-behind",)),
    "taken, not answered": (facts(standing(delivery())), ("queued-taken",)),
    "taken, and the gateway gone": (facts(standing(delivery()), queue=(0, 0)), ("queued-gone",)),
    "queue gone": (facts(standing(delivery()), queue=None), ("queued-missing",)),
    "queued, no broker": (facts(standing(delivery()), queues=None), ("queued-unseen",)),
    "rejected by the gateway": (facts(standing(delivery()), held=(held("d-H53"),)), ("held",)),
    "released again": (facts(standing(delivery()), held=(held("d-H53", released=True),)), ("queued-taken",)),
    "dropped, not told yet": (
        facts(standing(delivery()), held=(held("d-H53", drop=UNTOLD, released=True),)),
        ("dropping",),
    ),
    "dropped": (
        facts(
            standing(delivery(state=State.REFUSED, code=Code.DELIVERY_DROPPED, detail="hỏng"), finished=True),
            held=(held("d-H53", drop=TOLD, released=True),),
        ),
        ("refused-delivery",),
    ),
    "submission held": (facts(held=(held(),)), ("held-submission",)),
    "submission of nobody held": (facts(held=(held(user=""),)), ("held-nobody",)),
    "submission held after it was claimed": (
        facts(standing(PLANNED, settled=False), held=(held(),)),
        ("held-submission",),
    ),
    "submission dropped, not told yet": (facts(held=(held(drop=UNTOLD, released=True),)), ("dropping",)),
    "submission dropped": (
        facts(
            held=(held(drop=TOLD, released=True),),
            loose=(receipt(kind="held"), receipt("SUBMISSION-DROPPED")),
        ),
        ("dropped-submission",),
    ),
    "take-back asked": (facts(standing(delivery(change="asked"))), ("queued-taken",)),
    "all delivered": (
        facts(standing(delivery(state=State.DELIVERED, status="03"), finished=True)),
        ("delivered",),
    ),
    "given back": (
        facts(standing(delivery(state=State.DELIVERED, status="15", change="withdrawn"), finished=True)),
        ("delivered",),
    ),
    "declined": (
        facts(standing(delivery(state=State.DELIVERED, status="16", change="declined"), finished=True)),
        ("delivered",),
    ),
    "withdrawn": (facts(standing(delivery(state=State.WITHDRAWN), finished=True)), ("withdrawn",)),
    "all ended, the outcome not written": (
        facts(standing(delivery(state=State.DELIVERED))),
        ("delivered", "outcome-waiting"),
    ),
    "receipt not yet published": (
        facts(standing(delivery(state=State.DELIVERED), finished=True, receipts=(receipt(published=False),))),
        ("delivered", "receipt-waiting"),
    ),
    "a status": (facts(standing(delivery("H26"), kind=Kind.STATUS, deadline=None)), ("status-queued",)),
}


@pytest.mark.parametrize(("known", "keys"), CASES.values(), ids=CASES)
def test_each_case_has_its_reason(known: Facts, keys: tuple[str, ...]) -> None:
    reasons = why(known)
    assert tuple(one.key for one in reasons) == keys
    for one in reasons:
        for language in ("vi", "en"):
            said = sentence(one, language, rfc3339)
            assert said
            assert not re.search(r"[{}]|None", said), said


def test_every_sentence_belongs_to_a_case_and_the_other_way_round() -> None:
    met = {key for _, keys in CASES.values() for key in keys}
    met |= {f"+{word}" for known, _ in CASES.values() for one in why(known) for word in one.also}
    met.add("+overdue")
    assert met == set(texts())
    source = Path(module.__file__).read_text(encoding="utf-8")
    for key in texts():
        assert f'"{key.removeprefix("+")}"' in source, key


def test_both_languages_fill_the_same_blanks() -> None:
    for key, both in texts().items():
        blanks = [
            {name for _, name, _, _ in string.Formatter().parse(text) if name} for text in both.values()
        ]
        assert blanks[0] == blanks[1], key


def test_recipients_that_stand_alike_are_told_together_and_others_apart() -> None:
    known = facts(
        standing(
            delivery("H53"), delivery("H29"), delivery("G22", State.REFUSED, code=Code.UNKNOWN_RECIPIENT)
        )
    )
    reasons = why(known)
    assert [(one.key, one.recipients) for one in reasons] == [
        ("queued-taken", ("H53", "H29")),
        ("refused-delivery", ("G22",)),
    ]
    said = sentence(reasons[0], "en", rfc3339)
    assert said.startswith("H53, H29: went into the queue agency.H53 at 2026-03-02T08:00:00")
    assert "UNKNOWN-RECIPIENT" in sentence(reasons[1], "vi", rfc3339)


def test_many_recipients_are_counted() -> None:
    many = tuple(delivery(f"H53.{n}", State.WITHDRAWN) for n in range(1, 15))
    (reason,) = why(facts(standing(*many, finished=True)))
    assert len(reason.recipients) == 14
    assert " (+4): " in sentence(reason, "en", rfc3339)


def test_what_is_overdue_says_so() -> None:
    (reason,) = why(facts(standing(delivery(), deadline=NOW - timedelta(minutes=5))))
    assert reason.also == ("overdue",)
    assert "passed at 2026-03-02T08:55:00" in sentence(reason, "en", rfc3339)
    (done,) = why(facts(standing(delivery(state=State.DELIVERED), finished=True, deadline=BEFORE)))
    assert done.also == ()


def test_a_remedy_comes_from_the_catalogue() -> None:
    (reason,) = why(facts(standing(refusal=Code.STATE_SECRET, finished=True)))
    from relay.errors.catalogue import entry

    assert entry(Code.STATE_SECRET).remedy["vi"] in sentence(reason, "vi", rfc3339)


def test_a_newer_key_would_be_seen() -> None:
    with pytest.raises(KeyError):
        sentence(Reason("no-such"), "en", rfc3339)


# gathering


class Looks:
    def __init__(self, broken: bool = False) -> None:
        self.asked: tuple[str, ...] = ()
        self.broken = broken

    def seen(self, queues: tuple[str, ...]) -> dict[str, tuple[int, int] | None]:
        self.asked = queues
        if self.broken:
            raise BrokerError(Code.BROKER_UNREACHABLE, "")
        return dict.fromkeys(queues, (1, 0))


def test_the_facts_come_from_registry_directory_and_broker() -> None:
    registry, make, looks = memory_registry(), Maker(), Looks()
    directory = FakeDirectory(
        [Agency("H29", "x", Level.PROVINCE, gateway="G22"), Agency("H53", "y", Level.PROVINCE)]
    )
    claim = make.claim("a")
    accepted(registry, make, claim)
    found = gather(claim.transport_id, None, registry, directory, looks, at(5))
    assert set(looks.asked) == {*INGRESS, names.DUE, *LADDER, "agency.G22", "agency.H53"}
    assert {one.key for one in why(found)} == {"queued-unread", "receipt-waiting"}
    later = make.claim("a", now=at(1))
    registry.claim([later], "w1", at(1))
    aside = HeldEntry(
        "h", Code.REJECTED_BY_GATEWAY, "agency.H29", "", claim.transport_id, "H26", "H29",
        claim.deliveries[0].delivery_id, claim.body_sha256, at(2),
    )  # fmt: skip
    registry.hold(aside, ())
    alias = gather(later.transport_id, "H26", registry, None, looks, at(5))
    assert "held" in {one.key for one in why(alias)}
    assert gather(claim.transport_id, "H29", registry, None, looks, at(5)).standings == ()
    assert gather(claim.transport_id, None, registry, None, Looks(broken=True), at(5)).queues is None
    registry.close()


def test_refusals_without_a_document_are_gathered() -> None:
    registry, make = memory_registry(), Maker()
    new = NewReceipt(
        make.receipt(kind=ReceiptKind.ACKNOWLEDGEMENT, code="UNSIGNED"),
        None,
        user="H26",
        transport_id=ID,
        body_sha256="a",
    )
    registry.settle([Settlement(None, (), (new,))], "w1", START)
    assert why(gather(ID, None, registry, None, Looks(), at(5)))[0].key == "refused-unproven"
    registry.close()


def test_the_queue_of_an_agency() -> None:
    directory = FakeDirectory(
        [
            Agency("H29", "x", Level.PROVINCE, gateway="G22"),
            Agency("H53", "y", Level.PROVINCE, gateway="G22", own_queue=True),
            Agency("H26", "z", Level.PROVINCE),
        ]
    )
    assert [queue_of(directory, code) for code in ("H29", "H53", "H26", "H99")] == [
        "agency.G22",
        "agency.H53",
        "agency.H26",
        "agency.H99",
    ]
