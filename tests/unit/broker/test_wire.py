"""Addresses, credentials, and tables that no sender can break the reader with."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import frame, spec

from relay.broker.connection import Endpoint
from relay.broker.management import Management
from relay.broker.wire import UNREADABLE, _decode, properties_of, read_table, text
from relay.errors import Code, ConfigurationError
from relay.model.message import Outgoing


def field(name: bytes, kind: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + kind + value


def header_frame(table: bytes) -> bytes:
    properties = spec.BasicProperties(content_type="a/b", headers={}, message_id="m", delivery_mode=2)
    raw: bytes = frame.Header(7, 42, properties).marshal()
    payload = raw[7:-1].replace(b"\x03a/b\0\0\0\0", b"\x03a/b" + struct.pack(">I", len(table)) + table)
    return raw[:3] + struct.pack(">I", len(payload)) + payload + raw[-1:]


def test_a_table_that_breaks_the_library_is_read_with_care() -> None:
    table = field(b"nan", b"d", struct.pack(">d", math.nan)) + field(b"after", b"S", b"\0\0\0\x02ok")
    read = _decode(header_frame(table))
    assert (read.channel_number, read.body_size) == (7, 42)
    assert read.properties.message_id == "m"
    assert read.properties.content_type == "a/b"
    assert read.properties.delivery_mode == 2
    assert math.isnan(read.properties.headers["nan"])
    assert read.properties.headers["after"] == "ok"


def test_a_table_with_an_unknown_type_keeps_what_stands_before_it() -> None:
    read = _decode(header_frame(field(b"a", b"I", b"\0\0\0\x05") + field(b"b", b"?", b"rest")))
    assert read.properties.headers["a"] == 5
    assert read.properties.headers[UNREADABLE].startswith(b"\x01b?")


@given(st.binary(max_size=200))
def test_no_table_raises(table: bytes) -> None:
    read_table(table)


def test_short_strings_that_are_no_text_are_shown_and_not_longer() -> None:
    assert text(b"\xff" * 255) == "?" * 255
    assert text("đ") == "đ"
    assert text("a\0b") == text(b"a\0b") == "a?b"
    assert text(None) is None


def test_properties_are_fresh() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    message = Outgoing("due", "", b"", "m", "edoc", "c/t", headers={"a": "b"}, timestamp=at)
    built = properties_of(message, "relay")
    assert (built.delivery_mode, built.user_id, built.expiration, built.reply_to) == (2, None, None, None)
    assert built.timestamp == int(at.timestamp())


def test_plain_amqp_stays_on_loopback_and_passwords_in_no_text() -> None:
    endpoint = Endpoint.from_url("amqp://u:p%40ss@127.0.0.1:2/truc")
    assert (endpoint.user, endpoint.password, endpoint.port, endpoint.vhost) == ("u", "p@ss", 2, "truc")
    assert "p@ss" not in repr(endpoint)
    assert "p@ss" not in repr(Management("http://localhost:1", "u", "p@ss"))
    secure = Endpoint.from_url("amqps://broker.example/truc", "u", "p")
    assert (secure.tls, secure.port) == (True, 5671)


@pytest.mark.parametrize(
    "url",
    [
        "amqp://u:p@broker.example/truc",
        "amqp://u:p@10.0.0.1/",
        "http://u@127.0.0.1",
        "amqp://127.0.0.1/",
        "x",
        "amqp://u@h:x",
    ],
)
def test_what_is_no_safe_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Endpoint.from_url(url)
    assert caught.value.code is Code.CONFIG_INVALID
