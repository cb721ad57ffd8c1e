"""Where bytes are put into a package that is otherwise left as it is: offsets of tags, by a look that changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from xml.parsers import expat

from relay.errors import Code, RefusedError

_NAME_ENDS: Final = b" \t\r\n/>"


@dataclass(slots=True)
class Offsets:
    """Of one kind of element: where its start tags' names end, and where its end tags begin."""

    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)


def offsets(body: bytes, *paths: Sequence[str]) -> list[Offsets]:
    """Return the offsets of the elements at each path, in the order of the document.

    Args:
        body: well-formed, UTF-8.
        paths: ``{namespace}local`` from the root down.

    Raises:
        RefusedError: NOT-XML; SIGNATURE-MISPLACED: one of them is an empty-element tag, into which nothing fits.
    """
    wanted = {tuple(name.replace("{", "").replace("}", " ") for name in path): Offsets() for path in paths}
    stack: list[str] = []
    begun = False  # nothing came since a start tag
    parser = expat.ParserCreate("utf-8", " ")

    def start(name: str, _attributes: dict[str, str]) -> None:
        nonlocal begun
        stack.append(name)
        begun = True
        found = wanted.get(tuple(stack))
        if found is not None:
            at = parser.CurrentByteIndex + 1
            while body[at] not in _NAME_ENDS:
                at += 1
            found.starts.append(at)

    def end(_name: str) -> None:
        nonlocal begun
        found = wanted.get(tuple(stack))
        if found is not None:
            position = parser.CurrentByteIndex
            if begun and body.endswith(b"/>", 0, position):
                raise RefusedError(
                    Code.SIGNATURE_MISPLACED, "the element for the signature is an empty-element tag"
                )
            found.ends.append(position)
        stack.pop()
        begun = False

    def other(*_anything: Any) -> None:  # noqa: ANN401 -- what each handler of expat gets
        nonlocal begun
        begun = False

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = other
    parser.CommentHandler = other
    parser.StartCdataSectionHandler = other
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise RefusedError(Code.NOT_XML, "not well-formed") from error
    return list(wanted.values())


def insert(body: bytes, pieces: dict[int, bytes]) -> bytes:
    """Return the body with each piece put in at its offset."""
    parts: list[bytes] = []
    done = 0
    for at in sorted(pieces):
        parts += (body[done:at], pieces[at])
        done = at
    return b"".join((*parts, body[done:]))
