"""Bulk taken out of a body before it is parsed: a large package then costs its envelope, not its attachments.

A stretch between two tags is replaced by a short mark where it is long. Mark and stretch consist of base64 characters
and white space alone, which mean the same in any place of an XML document: whatever a parser makes of the stretch it
makes of the mark, so the tree of the one is the tree of the other. That the stretch holds nothing else is known once
it was decoded; that a mark is the whole text of a payload element, and every mark is one, is checked in the tree. Where
either is not so, the body is parsed as it is.

Marks are drawn anew for each body, and nobody can guess them: who could would spell one, by references or in a section,
where its stretch does not stand, and hide the stretch in a comment.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

SMALLEST: Final = 32 * 1024  # bytes of a stretch; below, the parser is as fast
_PREFIX: Final = "TrucBulkText"
_DIGITS: Final = 8
_RANDOM: Final = 16  # bytes
_MOST: Final = 4096
_MOST_TAGS: Final = 100_000


class AmbiguousMarkError(Exception):
    """A mark stands elsewhere too; the body has to be parsed as it is."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A body without its bulk."""

    skeleton: bytes
    texts: dict[str, memoryview]  # by the mark that stands for it

    def filled(self, skeleton: bytes) -> bytes:
        """Return a changed skeleton with the bulk back in the places of its marks. Raises as ``around``."""
        return b"".join(around(skeleton, self.texts))


def cut(body: bytes, draw: Callable[[int], str] = secrets.token_hex) -> Cut | None:
    """Return the body without its long stretches; None where there are none, or the marks would be ambiguous.

    ``draw`` gives random bytes, as many as it is told, as base64 characters.
    """
    if len(body) < SMALLEST:
        return None
    prefix = ""
    source = memoryview(body)
    pieces: list[bytes] = []
    texts: dict[str, memoryview] = {}
    done = 0
    at = body.find(b"<")
    tags = 0
    while at >= 0:
        tags += 1
        if tags > _MOST_TAGS:
            return None  # the parser's bounds refuse it
        # the next tag is near, in most places; a stretch is looked for only where it is not
        following = body.find(b"<", at + 1)
        if following - at > SMALLEST:
            start = body.rfind(b">", at, following) + 1
            if following - start >= SMALLEST and start:
                if len(texts) == _MOST:
                    return None
                prefix = prefix or _PREFIX + draw(_RANDOM)
                mark = f"{prefix}{len(texts):0{_DIGITS}}"
                texts[mark] = source[start:following]
                pieces.append(body[done:start])
                pieces.append(mark.encode())
                done = following
        at = following
    if not texts:
        return None
    pieces.append(body[done:])
    skeleton = b"".join(pieces)
    if skeleton.count(prefix.encode()) != len(texts):
        return None
    return Cut(skeleton, texts)


def around(octets: bytes, texts: Mapping[str, memoryview]) -> Iterator[bytes | memoryview]:
    """Yield the octets with each text in the place of its mark.

    Raises:
        AmbiguousMarkError: a mark is not there, such as one that stood in a comment.
    """
    done = 0
    for mark, text in texts.items():  # in the order of the document
        at = octets.find(mark.encode(), done)
        if at < 0:
            raise AmbiguousMarkError
        yield octets[done:at]
        yield text
        done = at + len(mark)
    yield octets[done:]


def check_marks(root: Any, without: Cut, opaque: frozenset[str]) -> None:  # noqa: ANN401 -- of a library without types
    """Have the body parsed whole unless each mark is the whole text of a bulk element.

    Raises:
        AmbiguousMarkError: it is not.
    """
    found = [element.text for element in root.iter(*opaque)]
    if [text for text in found if text in without.texts] != list(without.texts):
        raise AmbiguousMarkError
