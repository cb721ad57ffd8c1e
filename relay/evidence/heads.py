"""Heads: the whole log in ten lines of text, and the signature beside them.

The text is what is hashed, signed, time-stamped and handed to witnesses. It is read strictly: one spelling, so that one
head has one hash. The signature is a detached JSON Web Signature (``relay.trust.detached``) by the relay's certificate.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from relay.evidence.octets import refuse
from relay.model.evidence import Head, SignedHead, SignedStatement
from relay.trust.detached import MAX_LINE

HEAD_TYPE: Final = "truc-head+text"
"""Header ``typ`` of a head's signature."""
STATEMENT_TYPE: Final = "truc-witness+text"
"""Header ``typ`` of a witness's signature."""
MAX_HEAD: Final = 2048
"""Bytes of a head's text."""

_NAME: Final = r"[!-~]{1,200}"
_COUNT: Final = r"0|[1-9][0-9]{0,17}"
_TIME: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z"
_HASH: Final = r"[0-9a-f]{64}"
_HEAD: Final = re.compile(
    rf"truc-head 1\nrelay (?P<relay>{_NAME})\nnumber (?P<number>{_COUNT})\nlife (?P<life>{_COUNT})\n"
    rf"base (?P<base>{_COUNT})\nsize (?P<size>{_COUNT})\nrecords (?P<records>{_COUNT})\nroot (?P<root>{_HASH})\n"
    rf"time (?P<at>{_TIME})\nprevious (?P<previous>{_HASH})\n"
)
_STATEMENT: Final = re.compile(
    rf"truc-witness 1\nwitness (?P<witness>{_NAME})\nrelay (?P<relay>{_NAME})\nnumber (?P<number>{_COUNT})\n"
    rf"size (?P<size>{_COUNT})\nhead (?P<head>{_HASH})\ntime (?P<at>{_TIME})\n"
)


def head_text(head: Head) -> bytes:
    """Return the text of a head: ASCII, ten lines, each ended by LF.

    Raises:
        RefusedError: EVIDENCE-MALFORMED: a name or a number that no head can hold.
    """
    text = (
        f"truc-head 1\nrelay {head.relay}\nnumber {head.number}\nlife {head.life}\nbase {head.base}\n"
        f"size {head.size}\nrecords {head.records}\nroot {head.root.hex()}\ntime {_written(head.at)}\n"
        f"previous {head.previous.hex()}\n"
    ).encode()
    if read_head(text) != head:
        refuse("a head that does not read as it was meant")
    return text


def read_head(text: bytes) -> Head:
    """Read a head's text. Its signature is another matter.

    Raises:
        RefusedError: EVIDENCE-MALFORMED.
    """
    found = _match(_HEAD, text, "head")
    head = Head(
        relay=found["relay"],
        number=int(found["number"]),
        life=int(found["life"]),
        base=int(found["base"]),
        size=int(found["size"]),
        records=int(found["records"]),
        root=bytes.fromhex(found["root"]),
        at=_moment(found["at"]),
        previous=bytes.fromhex(found["previous"]),
    )
    if not head.number or head.base > head.size or head.records < head.size:
        refuse("a head whose numbers contradict one another")
    return head


def head_hash(text: bytes) -> bytes:
    """Return SHA-256 over a head's text: what the next head names, a time-stamp vouches for, a witness repeats."""
    return hashlib.sha256(text).digest()


def statement_text(witness: str, head: bytes, at: datetime) -> bytes:
    """Return what a witness signs: that it was shown the head with this text, at that moment of its clock.

    Raises:
        RefusedError: EVIDENCE-MALFORMED: ``head`` is no head, or the witness's name cannot stand here.
    """
    shown = read_head(head)
    text = (
        f"truc-witness 1\nwitness {witness}\nrelay {shown.relay}\nnumber {shown.number}\nsize {shown.size}\n"
        f"head {head_hash(head).hex()}\ntime {_written(at)}\n"
    ).encode()
    read_statement(text)
    return text


def read_statement(text: bytes) -> dict[str, str]:
    """Read a witness's statement: ``witness``, ``relay``, ``number``, ``size``, ``head``, ``at`` as written.

    Raises:
        RefusedError: EVIDENCE-MALFORMED.
    """
    found = _match(_STATEMENT, text, "statement of a witness")
    _moment(found["at"])
    return found


def dump(signed: SignedHead | SignedStatement) -> bytes:
    """Return text and signature as one piece: the text, the line of the signature, LF."""
    return signed.text + signed.signature + b"\n"


def load(octets: bytes) -> tuple[SignedHead, ...]:
    """Read heads that stand one after the other, each as ``dump`` writes it.

    Raises:
        RefusedError: EVIDENCE-MALFORMED.
    """
    return tuple(SignedHead(text, line) for text, line in _pairs(_HEAD, octets, "head"))


def pieces(octets: bytes) -> Iterator[SignedHead]:
    """Yield what stands in a file of heads, cut where each begins, whatever it says: for whoever names what is wrong."""
    for part in re.split(rb"(?m)^(?=truc-head )", octets):
        if part:
            text, brace, line = part.partition(b"\n{")
            yield SignedHead(text + b"\n", (brace + line)[1:].removesuffix(b"\n"))


def load_statements(octets: bytes) -> tuple[SignedStatement, ...]:
    """Read statements that stand one after the other, each as ``dump`` writes it.

    Raises:
        RefusedError: EVIDENCE-MALFORMED.
    """
    return tuple(SignedStatement(text, line) for text, line in _pairs(_STATEMENT, octets, "statement"))


def _pairs(form: re.Pattern[str], octets: bytes, what: str) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(octets):
        found = form.match(octets[at : at + MAX_HEAD].decode("latin-1"))
        if found is None:
            refuse(f"no {what} at byte {at}")
        start = at + found.end()
        end = octets.find(b"\n", start, start + MAX_LINE + 1)
        if end < 0 or octets[start : start + 1] != b"{":
            refuse(f"no signature at byte {start}")
        yield octets[at:start], octets[start:end]
        at = end + 1


def _match(form: re.Pattern[str], text: bytes, what: str) -> dict[str, str]:
    found = form.fullmatch(text.decode("latin-1")) if len(text) <= MAX_HEAD else None
    if found is None:
        refuse(f"no {what} of version 1")
    return found.groupdict()


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        refuse(f"{text} is no time")
