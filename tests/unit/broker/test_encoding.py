"""Frames written directly say what the library's own decoder reads."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import frame, spec

from relay.broker.encoding import publish_frames
from relay.model.message import Outgoing

SHORT = st.text(max_size=60)
MESSAGES = st.builds(
    Outgoing,
    exchange=SHORT,
    routing_key=SHORT,
    body=st.binary(max_size=3000),
    message_id=SHORT,
    type=SHORT,
    content_type=SHORT,
    correlation_id=st.none() | SHORT,
    headers=st.dictionaries(SHORT, st.text(max_size=300), max_size=8),
    as_self=st.booleans(),
    priority=st.none() | st.integers(0, 255),
    timestamp=st.none() | st.just(datetime(2026, 11, 21, tzinfo=UTC)),
)


@given(MESSAGES, st.integers(600, 5000), st.integers(1, 65535))
def test_the_library_reads_what_is_written(message: Outgoing, frame_max: int, channel: int) -> None:
    wire = b"".join(publish_frames(channel, message, "relay", frame_max))
    frames = []
    while wire:
        used, one = frame.decode_frame(wire)
        assert used <= frame_max or isinstance(one, frame.Header)
        assert one.channel_number == channel
        frames.append(one)
        wire = wire[used:]
    method, header, *bodies = frames
    assert isinstance(method.method, spec.Basic.Publish)
    assert (method.method.exchange, method.method.routing_key, method.method.mandatory) == (
        message.exchange,
        message.routing_key,
        True,
    )
    assert not method.method.immediate
    assert header.body_size == len(message.body)
    assert b"".join(one.fragment for one in bodies) == message.body
    sent = header.properties
    assert (sent.message_id, sent.type, sent.content_type) == (
        message.message_id,
        message.type,
        message.content_type,
    )
    assert (sent.correlation_id, sent.priority) == (message.correlation_id, message.priority)
    assert (sent.headers or {}) == dict(message.headers)
    assert sent.delivery_mode == 2
    assert sent.user_id == ("relay" if message.as_self else None)
    assert (sent.timestamp is None) == (message.timestamp is None)
    assert (sent.expiration, sent.reply_to, sent.app_id, sent.content_encoding) == (None, None, None, None)


def test_a_name_longer_than_amqp_allows_is_refused() -> None:
    with pytest.raises(ValueError, match="255"):
        publish_frames(1, Outgoing("e" * 256, "k", b"", "m", "t", "c"), "relay", 4096)
