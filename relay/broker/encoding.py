"""Frames of a publish, written directly.

The library builds an object for each frame and encodes each property through several calls; for the four publishes of
one document that is the largest single cost of a worker's event loop. What is written here is only what the relay ever
publishes: persistent, mandatory, text headers. A test holds it against the library's own decoder.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from pika import spec

from relay.model.message import Outgoing

_METHOD, _HEADER, _BODY, _END = (
    spec.FRAME_METHOD,
    spec.FRAME_HEADER,
    spec.FRAME_BODY,
    bytes((spec.FRAME_END,)),
)
_FRAME: Final = struct.Struct(">BHI")  # type, channel, size
_PUBLISH: Final = struct.pack(">IH", spec.Basic.Publish.INDEX, 0)  # method, reserved ticket
_CLASS: Final = struct.Struct(">HHQ")  # class, weight, body size
_OF = spec.BasicProperties
_ALWAYS: Final = _OF.FLAG_CONTENT_TYPE | _OF.FLAG_DELIVERY_MODE | _OF.FLAG_MESSAGE_ID | _OF.FLAG_TYPE
_MANDATORY: Final = b"\x01"
_PERSISTENT: Final = b"\x02"
SHORT: Final = 255  # octets of a short string


@lru_cache(maxsize=4096)
def _short(value: str) -> bytes:
    """Encode a text that comes again and again (exchanges, keys, types)."""
    return _short_once(value)


def _short_once(value: str) -> bytes:
    raw = value.encode()
    if len(raw) > SHORT:
        raise ValueError("a short string has at most 255 octets")
    return bytes((len(raw),)) + raw


def publish_frames(channel: int, message: Outgoing, user: str, frame_max: int) -> list[bytes]:
    """Return the frames of one mandatory publish: method, header, body cut to ``frame_max``.

    Raises:
        ValueError: a name or property is longer than AMQP allows (255 octets).
    """
    method = _PUBLISH + _short(message.exchange) + _short(message.routing_key) + _MANDATORY
    content = _properties(message, user)
    body = message.body
    size = len(body)
    head = (
        _FRAME.pack(_METHOD, channel, len(method))
        + method
        + _END
        + _FRAME.pack(_HEADER, channel, _CLASS.size + len(content))
        + _CLASS.pack(_OF.INDEX, 0, size)
        + content
        + _END
    )
    room = frame_max - _FRAME.size - len(_END)
    if size <= room:
        return [head + _FRAME.pack(_BODY, channel, size), body, _END] if size else [head]
    frames = [head]
    for start in range(0, size, room):
        piece = body[start : start + room]
        frames += [_FRAME.pack(_BODY, channel, len(piece)), piece, _END]
    return frames


def _properties(message: Outgoing, user: str) -> bytes:
    """Encode flags and properties in the order of the protocol's table."""
    flags = _ALWAYS
    parts = [_short(message.content_type)]
    if message.headers:
        flags |= _OF.FLAG_HEADERS
        parts.append(_table(message.headers))
    parts.append(_PERSISTENT)
    if message.priority is not None:
        flags |= _OF.FLAG_PRIORITY
        parts.append(bytes((message.priority,)))
    if message.correlation_id is not None:
        flags |= _OF.FLAG_CORRELATION_ID
        parts.append(_short_once(message.correlation_id))
    parts.append(_short_once(message.message_id))
    if message.timestamp is not None:
        flags |= _OF.FLAG_TIMESTAMP
        parts.append(struct.pack(">Q", int(message.timestamp.timestamp())))
    parts.append(_short(message.type))
    if message.as_self:
        flags |= _OF.FLAG_USER_ID
        parts.append(_short(user))
    return struct.pack(">H", flags) + b"".join(parts)


def _table(headers: Mapping[str, str]) -> bytes:
    parts = []
    for name, value in headers.items():
        raw = value.encode()
        parts.append(_short(name) + b"S" + len(raw).to_bytes(4, "big") + raw)
    table = b"".join(parts)
    return len(table).to_bytes(4, "big") + table
