"""What is published when a held message is given back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from relay.errors import Code, OperationError
from relay.model.agency import Agency
from relay.model.levels import Level
from relay.model.message import Incoming, Properties
from relay.model.record import HeldEntry
from relay.operate.quarantine import copy_of, matches
from tests.unit.gateway.doubles import FakeClock, FakeDirectory

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
DIRECTORY = FakeDirectory([Agency("H53", "x", Level.PROVINCE)])
DELIVERY = HeldEntry(
    "held-1", Code.REJECTED_BY_GATEWAY, "agency.H53", "", "t1", "H26", "H53", "d1", "aa", NOW
)
SUBMISSION = HeldEntry("held-2", Code.HELD, "worker", "H26", "t1", "", "", "", "aa", NOW)


def message(**properties: object) -> Incoming:
    return Incoming("quarantine", "", "", Properties(**properties), b"body", False, 0, 1, 1)  # type: ignore[arg-type]


def test_a_delivery_goes_back_under_its_delivery_id_and_nothing_else() -> None:
    held = message(
        message_id="t1",
        type="edoc",
        content_type="application/edxml+xml",
        headers={"truc-delivery-id": "d1", "truc-sender": "H26", "x-death": [], "truc-code": "HELD"},
    )
    assert matches(held, DELIVERY)
    assert not matches(held, replace(DELIVERY, delivery_id="d2"))
    copy = copy_of(held, DELIVERY, DIRECTORY, FakeClock())
    assert (copy.exchange, copy.routing_key, copy.body, copy.message_id) == (
        "level.province",
        "H53",
        b"body",
        "t1",
    )
    assert copy.headers == {"truc-delivery-id": "d1", "truc-sender": "H26"}
    assert not copy.as_self


def test_a_submission_goes_back_to_the_workers_as_a_retry() -> None:
    held = message(message_id="held-2", type="edoc", headers={"truc-lane": "urgent", "truc-user": "H26"})
    assert matches(held, SUBMISSION)
    copy = copy_of(held, SUBMISSION, DIRECTORY, FakeClock())
    assert (copy.exchange, copy.message_id, copy.as_self) == ("due", "t1", True)
    assert (copy.headers["truc-user"], copy.headers["truc-lane"], copy.headers["truc-attempt"]) == (
        "H26",
        "urgent",
        "0",
    )


def test_deadline_and_hint_survive_a_release() -> None:
    deadline = "2026-03-03T00:00:00Z"
    aside = message(
        message_id="held-2",
        type="edoc",
        correlation_id="t1",
        headers={"truc-lane": "normal", "truc-user": "H26", "truc-deadline": deadline},
    )
    copy = copy_of(aside, SUBMISSION, DIRECTORY, FakeClock())
    assert (copy.headers["truc-deadline"], copy.correlation_id) == (deadline, None)
    status = message(
        message_id="t1",
        type="status",
        correlation_id="t0",
        user_id="H26",
        headers={"x-first-death-queue": "ingress.status"},
    )
    expired = replace(SUBMISSION, origin="ingress.status")
    assert copy_of(status, expired, DIRECTORY, FakeClock()).correlation_id == "t0"


def test_what_expired_in_ingress_goes_back_to_its_lane() -> None:
    entry = replace(SUBMISSION, origin="ingress.normal", code=Code.EXPIRED_IN_QUEUE)
    held = message(
        message_id="t1", user_id="H26", type="edoc", headers={"x-first-death-queue": "ingress.normal"}
    )
    assert matches(held, entry)
    assert not matches(message(message_id="t1", user_id="H27"), entry)
    assert copy_of(held, entry, DIRECTORY, FakeClock()).headers["truc-lane"] == "normal"


def test_what_can_go_nowhere_says_so() -> None:
    for entry in (replace(SUBMISSION, user=""), replace(DELIVERY, recipient="H99")):
        with pytest.raises(OperationError) as caught:
            copy_of(message(message_id="t1", headers={"truc-lane": "normal"}), entry, DIRECTORY, FakeClock())
        assert caught.value.code is Code.NOT_FOUND
