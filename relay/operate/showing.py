"""A held message for the eyes of an operator: its properties, why it is held, and of its content only where it goes.

A relay's operator is no reader. Shown are routing facts of a package that can be read and bears no mark of a state
secret; never its subject, its people or its attachments. Of what is marked, nothing is shown and nothing written out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from relay.broker import names
from relay.errors import Code, OperationError
from relay.model.message import Incoming, Properties

_LONGEST: Final = 200
_FIRST_BYTES: Final = 16
_SHOWN: Final = frozenset(
    {value for name, value in vars(names).items() if name.startswith("H_")}
    | {"x-first-death-queue", "x-first-death-reason", "x-first-death-exchange", "x-death"}
)
"""Headers that the relay or the broker writes; of others the name alone is shown."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a format says of a body, its signature not looked at."""

    readable: bool
    secret: str = ""  # name of the element that bears a mark of secrecy; never its text
    trouble: str = ""  # why it cannot be read
    facts: Mapping[str, Any] = field(default_factory=dict)  # where it goes


Judge = Callable[[bytes], Judged]


def shown(message: Incoming, judge: Judge) -> dict[str, Any]:
    """Return what may be seen of a held message, as an object for JSON."""
    judged = judge(message.body)
    facts: dict[str, Any] = {
        "bytes": len(message.body),
        "deliveries": message.delivery_count,
        "properties": _properties(message.properties),
        "headers": {
            _line(str(name)): _header(name, value) for name, value in message.properties.headers.items()
        },
        "readable": judged.readable,
        "secret": bool(judged.secret),
    }
    if judged.secret:
        return {**facts, "marked_in": judged.secret}
    if not judged.readable:
        return {**facts, "trouble": judged.trouble, "first_bytes": message.body[:_FIRST_BYTES].hex(" ")}
    return {**facts, "package": dict(judged.facts)}


def check_out(message: Incoming, judge: Judge, *, unjudged: bool = False) -> None:
    """Raise STATE-SECRET if the body may not be written out: it is marked, or (but for ``unjudged``) nobody can say."""
    judged = judge(message.body)
    if judged.secret:
        raise OperationError(Code.STATE_SECRET, f"a mark of secrecy stands in {judged.secret}: not written")
    if not judged.readable and not unjudged:
        raise OperationError(
            Code.STATE_SECRET, "it cannot be read, so nobody can say whether it is marked: not written"
        )


def write_out(message: Incoming, path: Path) -> None:
    """Write the body to a new file that its owner alone can read. Raises NOT-FOUND: no such folder, or it exists."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OperationError(Code.NOT_FOUND, f"{path}: {error.strerror}") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(message.body)


def _properties(properties: Properties) -> dict[str, Any]:
    return {
        name: _line(str(value)) if isinstance(value, str) else value
        for name in Properties.__slots__
        if name != "headers" and (value := getattr(properties, name)) is not None
    }


def _header(name: object, value: object) -> Any:  # noqa: ANN401 - whatever a table holds
    if str(name) not in _SHOWN:
        return f"<{type(value).__name__}>"
    return _plain(value)


def _plain(value: object) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {_line(str(key)): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value[:20]]
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)  # the library has an int of its own
    if isinstance(value, bool | float) or value is None:
        return value
    if isinstance(value, datetime):
        return value
    return _line(str(value))


def _line(text: str) -> str:
    """Return a text for one line of a terminal: nothing that moves the cursor or turns its direction, and not long."""
    plain = "".join(character if character.isprintable() else "?" for character in text)
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"
