"""Between AMQP's library and the relay's nouns: frames that no sender can break, and properties both ways.

A header table is the sender's; the library gives up on some legal values (a NaN, a date out of range, nesting without
end) and would take the connection with it, again at each redelivery. Here such a table is read with care instead.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import pika
from pika import frame, spec
from pika.adapters.asyncio_connection import AsyncioConnection

from relay.broker.names import H_DELIVERY_COUNT
from relay.model.message import Incoming, Outgoing, Properties

Foreign: TypeAlias = Any
"""An object of the library, which ships no types; everything of it is checked where it enters a noun."""

UNREADABLE: Final = "x-unreadable"
"""Name under which the rest of a table stands (as bytes) from the first value that cannot be told apart."""

RECEIVE: Final = 65536  # bytes for each read; the library's 4096 costs one turn of the loop for each page
SEND: Final = 65536  # bytes that are sent at once without waiting for the end of the turn
_DEPTH = 16
_HEADER = 7  # type, channel, size
_FRAME_END = 1
_EMPTY: Mapping[str, object] = {}


class WireConnection(AsyncioConnection):  # type: ignore[misc]
    """The library's connection with a frame reader that copies less and survives any header table, and a writer that
    sends all frames of one turn of the loop together (the library makes a system call for each frame)."""

    _frame_buffer: bytes
    _unsent: list[bytes]
    _unsent_bytes: int

    def _init_connection_state(self) -> None:
        self._unsent = []
        self._unsent_bytes = 0
        super()._init_connection_state()

    def _output_marshaled_frames(self, marshaled_frames: Sequence[bytes]) -> None:
        if not self.is_open:
            self._flush()
            super()._output_marshaled_frames(marshaled_frames)
            return
        if not self._unsent:
            self.ioloop.call_soon(self._flush)
        for one in marshaled_frames:
            self._unsent.append(one)
            self._unsent_bytes += len(one)
        if self._unsent_bytes >= SEND:
            self._flush()

    def send_frames(self, frames: Sequence[bytes]) -> None:
        """Send marshaled frames of one method as they are; nothing of another may come between them."""
        self._output_marshaled_frames(frames)

    def _flush(self) -> None:
        unsent, self._unsent, self._unsent_bytes = self._unsent, [], 0
        if unsent and self._transport is not None and not self.is_closed:
            super()._output_marshaled_frames([b"".join(unsent)])

    def _on_data_available(self, data_in: bytes) -> None:
        buffer = self._frame_buffer + data_in if self._frame_buffer else data_in
        if buffer[:4] == b"AMQP":
            self._frame_buffer = b""
            super()._on_data_available(buffer)
            return
        position = 0
        available = len(buffer)
        while available - position >= _HEADER:
            size = int.from_bytes(buffer[position + 3 : position + 7], "big")
            end = position + _HEADER + size + _FRAME_END
            if end > available:
                break
            raw = buffer[position:end]
            position = end
            self.bytes_received += len(raw)
            self._frame_buffer = b""
            self._process_frame(_decode(raw))
        self._frame_buffer = buffer[position:] if position else buffer


def _decode(raw: bytes) -> Foreign:
    """Decode one whole frame; a header frame whose table breaks the library is read with care."""
    try:
        return frame.decode_frame(raw)[1]
    except Exception:
        if raw[0] != spec.FRAME_HEADER:
            raise
        return _decode_header_with_care(raw)


def _decode_header_with_care(raw: bytes) -> Foreign:
    """Decode a content header frame, its ``headers`` table by our own reader."""
    channel = int.from_bytes(raw[1:3], "big")
    body_size = int.from_bytes(raw[11:19], "big")
    encoded = raw[19:-1]
    flags = int.from_bytes(encoded[:2], "big")
    at = 2
    for flag in (spec.BasicProperties.FLAG_CONTENT_TYPE, spec.BasicProperties.FLAG_CONTENT_ENCODING):
        if flags & flag:
            at += 1 + encoded[at]
    size = int.from_bytes(encoded[at : at + 4], "big")
    table = encoded[at + 4 : at + 4 + size]
    plain = encoded[:at] + b"\0\0\0\0" + encoded[at + 4 + size :]
    properties = spec.BasicProperties()
    properties.decode(plain)
    properties.headers = read_table(table)
    return frame.Header(channel, body_size, properties)


def read_table(table: bytes, depth: int = 0) -> dict[str, object]:
    """Read an AMQP field table; what has no value of Python stays as bytes. Never raises."""
    found: dict[str, object] = {}
    at = 0
    try:
        while at < len(table):
            name = text(table[at + 1 : at + 1 + table[at]]) or ""
            start = at + 1 + table[at]
            value, at = _read_value(table, start, depth)
            found[name] = value
    except (IndexError, struct.error, ValueError):
        found[UNREADABLE] = table[at:]
    return found


_FIXED: Final = {
    b"t": "?",
    b"b": "b",
    b"B": "B",
    b"s": ">h",
    b"U": ">h",
    b"u": ">H",
    b"I": ">i",
    b"i": ">I",
    b"l": ">q",
    b"L": ">q",
    b"f": ">f",
    b"d": ">d",
    b"T": ">Q",
}


def _read_value(table: bytes, at: int, depth: int) -> tuple[object, int]:
    kind = table[at : at + 1]
    at += 1
    if kind in _FIXED:
        form = _FIXED[kind]
        return struct.unpack_from(form, table, at)[0], at + struct.calcsize(form)
    if kind == b"D":
        return table[at : at + 5], at + 5
    if kind == b"V":
        return None, at
    if kind not in {b"S", b"x", b"A", b"F"}:
        raise ValueError("a type that is not in the table of types")
    (size,) = struct.unpack_from(">I", table, at)
    content = table[at + 4 : at + 4 + size]
    if len(content) != size:
        raise ValueError("a value longer than its table")
    value: object = content
    if kind == b"S":
        value = text(content)
    elif kind == b"F" and depth < _DEPTH:
        value = read_table(content, depth + 1)
    return value, at + 4 + size


def text(value: str | bytes | None) -> str | None:
    """Return a short string as text. Octets that are no UTF-8 become ``?``: shown, never matched, never longer.

    So does the zero: one database keeps no text that holds it, and would refuse all that is committed together with it.
    """
    if value is None:
        return None
    found = value if isinstance(value, str) else _decoded(value)
    return found.replace("\0", "?") if "\0" in found else found


def _decoded(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("ascii", "replace").replace("\N{REPLACEMENT CHARACTER}", "?")


def incoming(queue: str, method: Foreign, sent: Foreign, body: bytes, session: int) -> Incoming:
    """Build the relay's message from a delivery of the library's."""
    headers: Mapping[str, object] = sent.headers or _EMPTY
    count = headers.get(H_DELIVERY_COUNT, 0)
    return Incoming(
        queue=queue,
        exchange=text(method.exchange) or "",
        routing_key=text(method.routing_key) or "",
        properties=Properties(
            message_id=text(sent.message_id),
            type=text(sent.type),
            content_type=text(sent.content_type),
            content_encoding=text(sent.content_encoding),
            correlation_id=text(sent.correlation_id),
            reply_to=text(sent.reply_to),
            expiration=text(sent.expiration),
            user_id=text(sent.user_id),
            app_id=text(sent.app_id),
            delivery_mode=sent.delivery_mode,
            priority=sent.priority,
            timestamp=sent.timestamp,
            headers=headers,
        ),
        body=body,
        redelivered=method.redelivered,
        delivery_count=int(count) if isinstance(count, int) else 0,  # the library has an int of its own
        tag=method.delivery_tag,
        session=session,
    )


def properties_of(message: Outgoing, user: str) -> pika.BasicProperties:
    """Build fresh properties: persistent, no ``expiration``, no ``reply_to``, our ``user_id`` only where asked for."""
    return pika.BasicProperties(
        content_type=message.content_type,
        headers=dict(message.headers) or None,
        delivery_mode=2,
        priority=message.priority,
        correlation_id=message.correlation_id,
        message_id=message.message_id,
        timestamp=None if message.timestamp is None else int(message.timestamp.timestamp()),
        type=message.type,
        user_id=user if message.as_self else None,
    )
