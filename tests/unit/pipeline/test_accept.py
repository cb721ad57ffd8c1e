"""Accept: every property that the contract names, each by its own code."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import Code
from relay.model.message import Incoming, Kind, Lane, Properties
from relay.pipeline.accept import Absorbed, AcceptPolicy, Submission, Unanswerable, accept, transport_id_fault

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)
POLICY = AcceptPolicy(relay_user="relay", max_body=1000)
GOOD = Properties(
    message_id="6f1c2a34-5b6d-4e7f-8a9b-0c1d2e3f4a5b",
    type="edoc",
    content_type="application/edxml+xml",
    user_id="H26",
    delivery_mode=2,
)


def message(properties: Properties = GOOD, key: str = "normal.H26", body: bytes = b"<a/>") -> Incoming:
    return Incoming("ingress.normal", "ingress", key, properties, body, False, 0, 1, 1)


def refusal(properties: Properties, lane: Lane = Lane.NORMAL, body: bytes = b"<a/>") -> Code | None:
    taken = accept(message(properties, f"{lane.value}.H26", body), lane, POLICY, NOW)
    assert isinstance(taken, Submission)
    return taken.refusal


def test_a_good_submission_passes() -> None:
    taken = accept(message(), Lane.NORMAL, POLICY, NOW)
    assert isinstance(taken, Submission)
    assert (taken.refusal, taken.user, taken.claimed_sender, taken.kind) == (None, "H26", "H26", Kind.EDOC)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"message_id": None}, Code.MISSING_TRANSPORT_ID),
        ({"message_id": ""}, Code.MISSING_TRANSPORT_ID),
        ({"message_id": "42"}, Code.BAD_TRANSPORT_ID),
        ({"message_id": str(uuid.UUID(int=0))}, Code.BAD_TRANSPORT_ID),
        ({"message_id": GOOD.message_id.upper() if GOOD.message_id else ""}, Code.BAD_TRANSPORT_ID),
        ({"type": None}, Code.WRONG_TYPE),
        ({"type": "receipt"}, Code.WRONG_TYPE),
        ({"content_type": "text/xml"}, Code.WRONG_CONTENT_TYPE),
        ({"delivery_mode": 1}, Code.NOT_PERSISTENT),
        ({"delivery_mode": None}, Code.NOT_PERSISTENT),
        ({"expiration": "0"}, Code.EXPIRATION_FORBIDDEN),
        ({"reply_to": "amq.rabbitmq.reply-to"}, Code.REPLY_TO_FORBIDDEN),
        ({"content_encoding": "gzip"}, Code.CONTENT_ENCODING_FORBIDDEN),
        ({"headers": {"CC": ["normal.H29"]}}, Code.CC_FORBIDDEN),
        ({"headers": {"BCC": ["normal.H29"]}}, Code.CC_FORBIDDEN),
        ({"headers": {"truc-user": "H29"}}, Code.FORBIDDEN_HEADER),
        ({"headers": {"Truc-Deadline": "x"}}, Code.FORBIDDEN_HEADER),
        ({"headers": {"x-death": []}}, Code.FORBIDDEN_HEADER),
        ({"type": "status"}, Code.WRONG_LANE),
    ],
)
def test_each_property_has_its_code(change: dict[str, object], code: Code) -> None:
    assert refusal(replace(GOOD, **change)) is code  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "told"),
    [("X-My-Header", "X-My-Header"), ("Truc-\u0130\n", "Truc-??"), ("x-" + "a" * 100, "x-" + "a" * 62)],
)
def test_a_forbidden_header_is_named_as_it_was_sent(name: str, told: str) -> None:
    taken = accept(message(replace(GOOD, headers={name: 1})), Lane.NORMAL, POLICY, NOW)
    assert isinstance(taken, Submission)
    assert (taken.refusal, taken.detail) == (Code.FORBIDDEN_HEADER, told)


def test_bodies_are_bounded() -> None:
    assert refusal(GOOD, body=b"") is Code.EMPTY_BODY
    assert refusal(GOOD, body=b"x" * 1001) is Code.TOO_LARGE


def test_headers_of_the_broker_and_of_strangers_pass() -> None:
    assert refusal(replace(GOOD, headers={"x-delivery-count": 3, "color": "blue"})) is None


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ((NOW + timedelta(hours=1)).isoformat(), True),
        ("2026-11-21T16:00:00+07:00", True),
        ((NOW + timedelta(minutes=9)).isoformat(), False),
        ((NOW + timedelta(days=31)).isoformat(), False),
        ("tomorrow", False),
        (12, False),
        ("2026-13-45T00:00:00Z", False),
    ],
)
def test_deadlines_are_read_and_bounded(text: object, good: bool) -> None:
    properties = replace(GOOD, headers={"truc-deadline": text})
    assert refusal(properties) is (None if good else Code.BAD_DEADLINE)


def test_nobody_can_be_told_without_a_user() -> None:
    taken = accept(message(replace(GOOD, user_id=None)), Lane.NORMAL, POLICY, NOW)
    assert isinstance(taken, Unanswerable)
    assert taken.code is Code.NO_USER


def test_a_copy_in_another_lane_is_absorbed() -> None:
    assert isinstance(accept(message(key="normal.H26"), Lane.URGENT, POLICY, NOW), Absorbed)


def test_retry_headers_are_believed_with_the_relays_user_only() -> None:
    headers = {
        "truc-user": "H26",
        "truc-lane": "normal",
        "truc-attempt": "2",
        "truc-first-seen": "2026-11-21T07:00:00.000Z",
    }
    ours = replace(GOOD, user_id="relay", headers=headers)
    taken = accept(message(ours, "5s"), Lane.DUE, POLICY, NOW)
    assert isinstance(taken, Submission)
    assert (taken.user, taken.attempt, taken.retry) == ("H26", 2, True)
    assert isinstance(
        accept(message(replace(ours, user_id="H26"), "5s"), Lane.DUE, POLICY, NOW), Unanswerable
    )
    assert isinstance(accept(message(replace(ours, headers={}), "5s"), Lane.DUE, POLICY, NOW), Unanswerable)


@given(st.uuids().filter(lambda one: one.int != 0))
def test_every_lower_case_uuid_is_a_transport_id(value: uuid.UUID) -> None:
    assert transport_id_fault(str(value)) is None
    assert transport_id_fault("{" + str(value) + "}") is Code.BAD_TRANSPORT_ID


@given(
    st.builds(
        Properties,
        message_id=st.none() | st.text(),
        type=st.none() | st.text(),
        content_type=st.none() | st.text(),
        user_id=st.none() | st.text(),
        delivery_mode=st.none() | st.integers(0, 255),
        headers=st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.binary()),
    ),
    st.sampled_from(list(Lane)),
    st.text(max_size=20),
)
def test_no_properties_make_it_raise(properties: Properties, lane: Lane, key: str) -> None:
    assert isinstance(
        accept(message(properties, key), lane, POLICY, NOW), Submission | Unanswerable | Absorbed
    )
