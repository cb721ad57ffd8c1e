"""Witnesses: relays show one another their heads, keep what they are shown, and find out who shows two histories.

What goes from relay to relay is a file of JSON: a head with the proof that a smaller one is its beginning, or a witness's
statement that it was shown a head. Nothing in it is believed but what is signed; the proof is checked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NoReturn, Protocol

from relay.errors import Code, RefusedError
from relay.evidence import heads as h
from relay.evidence import merkle
from relay.evidence.record import leaf_hash
from relay.model.evidence import Draft, Head, SignedHead, SignedStatement, Witnessed
from relay.model.keeping import EvidenceStore, Fault, Fork, ForkKind, KnownHead, StoredHead, StoredStatement
from relay.model.times import rfc3339

FORMAT: Final = "truc-witness-1"
MAX_FILE: Final = 256 * 1024
_HEADERS: Final = 5000


class Keeping(Protocol):
    """The part of the registry that a witness needs."""

    def known_heads(self, relay: str) -> Sequence[KnownHead]:
        """See ``EvidenceStore``, like all of these."""
        ...

    def head(self, number: int) -> StoredHead | None:
        """See there."""
        ...

    def add_known(self, known: KnownHead, draft: Draft) -> bool:
        """See there."""
        ...

    def add_fork(self, fork: Fork) -> bool:
        """See there."""
        ...

    def add_statement(self, stored: StoredStatement) -> bool:
        """See there."""
        ...

    def note_fault(self, fault: Fault) -> bool:
        """See there."""
        ...


Sign = Callable[[bytes, str], bytes]
Check = Callable[[bytes, bytes, str], str]
"""Checks the line of a signature over a text of a kind; returns the relay that its certificate names. Raises
``RefusedError``."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Another relay's head, taken."""

    head: Head
    new: bool
    restored: bool  # the relay says that its registry went back to a copy: what stood behind ``base`` is lost
    statement: bytes  # a file for that relay


@dataclass(frozen=True, slots=True)
class Vouched:
    """A witness's statement about a head of ours, taken."""

    witness: str
    number: int
    new: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """The latest that is known of another relay."""

    relay: str
    shown: bool  # its own head; else its statement about one of ours
    number: int
    at: datetime  # when it was seen, or as the statement says


def overview(store: EvidenceStore) -> tuple[Standing, ...]:
    """Return the newest head of each other relay, and the newest of ours that each has vouched for."""
    latest: dict[tuple[str, bool], Standing] = {}
    for known in store.witnessed():
        head = h.read_head(known.text)
        if (head.relay, True) not in latest:
            newest = max(store.known_heads(head.relay), key=lambda one: one.seen_at)
            latest[head.relay, True] = Standing(head.relay, True, newest.number, newest.seen_at)
    for stated in store.statements():
        latest[stated.witness, False] = Standing(stated.witness, False, stated.number, stated.at)
    return tuple(latest[key] for key in sorted(latest))


# --- handing out -----------------------------------------------------------------------------------------------------


def export(store: EvidenceStore, since: int | None = None, witness: str | None = None) -> bytes:
    """Return a file that shows the newest head.

    Args:
        store: our log.
        since: size of the head that the other side has; None: what ``witness`` has stated last.
        witness: the relay that it is for.

    Raises:
        RefusedError: WITNESS-REFUSED: there is no head, or none of that size.
    """
    last = store.last_head()
    if last is None:
        _refuse("no head is signed yet")
    head = h.read_head(last.signed.text)
    if since is None:
        told = () if witness is None else store.statements(witness)
        since = max((one.size for one in told if _is_beginning(store, one, head)), default=0)
    if since > head.size:
        _refuse(f"the newest head is over {head.size} batches")
    leaves: list[bytes] = []
    while len(leaves) < head.size:
        found = store.headers(len(leaves), min(_HEADERS, head.size - len(leaves)))
        if not found:
            _refuse(f"{head.size} batches are signed for, {len(leaves)} stand: run truc evidence verify")
        leaves += [leaf_hash(one) for one in found]
    path = merkle.consistency(leaves, since) if since else []
    return _dump(
        {
            "format": FORMAT,
            "head": last.signed.text.decode("ascii"),
            "signature": last.signed.signature.decode("ascii"),
            "since": since,
            "proof": [one.hex() for one in path],
        }
    )


def _is_beginning(store: EvidenceStore, one: StoredStatement, head: Head) -> bool:
    """Whether the head that was stated must be the beginning of ``head``."""
    stated = store.head(one.number)
    if stated is None:
        return False
    life = h.read_head(stated.signed.text).life
    return life == head.life or (life == head.life - 1 and one.size <= head.base)


# --- taking ----------------------------------------------------------------------------------------------------------


class Witness:
    """Takes what other relays hand over.

    Args:
        store: our log, and what is kept of others'.
        relay: our name.
        check: checks a signature.
        sign: signs a statement.
        now: the time.
    """

    def __init__(
        self, store: Keeping, relay: str, check: Check, sign: Sign, now: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._relay = relay
        self._check = check
        self._sign = sign
        self._now = now

    def look(self, octets: bytes) -> Shown | Vouched:
        """Say what ``take`` would, and keep nothing. Raises as ``take``."""
        return Witness(_Unkept(self._store), self._relay, self._check, self._sign, self._now).take(octets)

    def take(self, octets: bytes) -> Shown | Vouched:
        """Take a file.

        Raises:
            RefusedError: EVIDENCE-MALFORMED, WITNESS-REFUSED: nothing can be learnt from it, or what is wrong with its
                signature; WITNESS-FORK: it contradicts what its relay has shown before. Both heads are kept then.
        """
        content = _load(octets)
        if "statement" in content:
            return self._statement(content)
        return self._shown(content)

    # --- a head

    def _shown(self, content: dict[str, Any]) -> Shown:
        signed = SignedHead(_text(content, "head"), _text(content, "signature"))
        head = h.read_head(signed.text)
        signer = self._check(signed.signature, signed.text, h.HEAD_TYPE)
        if signer != head.relay:
            _refuse(f"the head of {head.relay} is signed by {signer}")
        if head.relay == self._relay:
            _refuse(
                f"the head is one of {self._relay}, as this relay is called: no relay is a witness of itself"
            )
        known = [(one, h.read_head(one.signed.text)) for one in self._store.known_heads(head.relay)]
        for one, before in known:
            if one.signed.text == signed.text:
                return self._answer(head, signed, new=False, known=known)
            kind = contradiction(before, one.signed, head, signed)
            if kind is not None:
                self._fork(kind, one.signed, signed)
        if known and (head.life, head.number) < max((before.life, before.number) for _, before in known):
            _refuse(f"a later head of {head.relay} is known")
        self._consistent(content, head, signed, known)
        now = self._now()
        kept = KnownHead(head.relay, head.number, signed, now)
        facts = Witnessed(head.relay, head.number, head.size, h.head_hash(signed.text).hex())
        self._store.add_known(kept, Draft(now, facts))
        return self._answer(head, signed, new=True, known=known)

    def _consistent(
        self, content: dict[str, Any], head: Head, signed: SignedHead, known: Sequence[tuple[KnownHead, Head]]
    ) -> None:
        """Demand the proof that what was shown before is the beginning of what is shown now."""
        bases = {one.life: one.base for one in (*(before for _, before in known), head)}
        comparable = [
            (one, before)
            for one, before in known
            if (bound := _bound(before, head, bases)) is not None and before.size <= bound
        ]
        if not comparable:
            return  # the first one, or nothing of it is left behind a restore: its own words say so
        one, before = max(comparable, key=lambda pair: (pair[1].size, pair[1].number))
        since, path = content.get("since"), content.get("proof")
        if since != before.size:
            _refuse(f"no proof from the head that is known: export with --since {before.size}")
        try:
            hashes = [bytes.fromhex(each) for each in path or []]
        except (TypeError, ValueError):
            _refuse("the proof is no list of hashes")
        if not merkle.consistent(before.size, before.root, head.size, head.root, hashes):
            self._fork(ForkKind.INCONSISTENT, one.signed, signed)

    def _fork(self, kind: ForkKind, first: SignedHead, second: SignedHead) -> None:
        one, two = h.read_head(first.text), h.read_head(second.text)
        detail = ", ".join(
            f"head {head.number} of {rfc3339(head.at)} over {head.size} batches" for head in (one, two)
        )
        self._store.add_fork(Fork(one.relay, kind, first, second, self._now(), detail))
        raise RefusedError(Code.WITNESS_FORK, f"{one.relay}: {kind.value}: {detail}")

    def _answer(
        self, head: Head, signed: SignedHead, *, new: bool, known: Sequence[tuple[KnownHead, Head]]
    ) -> Shown:
        text = h.statement_text(self._relay, signed.text, self._now())
        restored = any(before.life < head.life and before.size > head.base for _, before in known)
        file = _dump(
            {
                "format": FORMAT,
                "statement": text.decode("ascii"),
                "signature": self._sign(text, h.STATEMENT_TYPE).decode("ascii"),
            }
        )
        return Shown(head, new, restored, file)

    # --- a statement

    def _statement(self, content: dict[str, Any]) -> Vouched:
        statement = SignedStatement(_text(content, "statement"), _text(content, "signature"))
        said = h.read_statement(statement.text)
        signer = self._check(statement.signature, statement.text, h.STATEMENT_TYPE)
        if signer != said["witness"] or signer == self._relay:
            _refuse(f"the statement of {said['witness']} is signed by {signer}")
        if said["relay"] != self._relay:
            _refuse(f"the statement is about {said['relay']}")
        number, size = int(said["number"]), int(said["size"])
        own = self._store.head(number)
        if own is None or h.head_hash(own.signed.text).hex() != said["head"]:
            what = (
                "this log does not have it" if own is None else "this log has another one under that number"
            )
            self._store.note_fault(
                Fault(
                    f"main log, head {number}",
                    f"{signer} was shown a head {said['head'][:16]}… over {size} batches; {what}",
                    self._now(),
                )
            )
            _refuse(f"{signer} was shown a head {number} over {size} batches, and {what}")
        at = datetime.fromisoformat(said["at"])
        new = self._store.add_statement(StoredStatement(number, size, signer, statement, at))
        return Vouched(signer, number, new)


class _Unkept:
    """A log to which nothing is added."""

    def __init__(self, store: Keeping) -> None:
        self._store = store

    def known_heads(self, relay: str) -> Sequence[KnownHead]:
        return self._store.known_heads(relay)

    def head(self, number: int) -> StoredHead | None:
        return self._store.head(number)

    def add_known(self, known: KnownHead, draft: Draft) -> bool:
        return True

    def add_fork(self, fork: Fork) -> bool:
        return True

    def add_statement(self, stored: StoredStatement) -> bool:
        return True

    def note_fault(self, fault: Fault) -> bool:
        return True


def contradiction(before: Head, old: SignedHead, head: Head, new: SignedHead) -> ForkKind | None:
    """Return how two heads of one relay, each signed by it, contradict each other; None: these two alone do not.

    Heads of two lives do not: the later one says itself what is lost, and its numbers go on where the copy's ended.
    """
    if before.life != head.life:
        return None
    if before.number == head.number:
        return None if old.text == new.text else ForkKind.SAME_NUMBER
    first, second = (before, head) if before.number < head.number else (head, before)
    text = old.text if first is before else new.text
    if second.number == first.number + 1 and second.previous != h.head_hash(text):
        return ForkKind.PREVIOUS
    if second.size < first.size:
        return ForkKind.SHRUNK
    if second.size == first.size and second.root != first.root:
        return ForkKind.SAME_SIZE
    return None


def _bound(before: Head, head: Head, bases: Mapping[int, int]) -> int | None:
    """Return how many batches of an earlier head's log a later one still has; None: a life between is not known."""
    if before.life == head.life:
        return head.size
    lives = range(before.life + 1, head.life + 1)
    return min(bases[life] for life in lives) if all(life in bases for life in lives) else None


# --- the file --------------------------------------------------------------------------------------------------------


def _dump(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()


def _load(octets: bytes) -> dict[str, Any]:
    try:
        content = json.loads(octets) if len(octets) <= MAX_FILE else None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        _refuse("no file of a witness")
    return content


def _text(content: dict[str, Any], key: str) -> bytes:
    value = content.get(key)
    if not isinstance(value, str) or not value.isascii():
        _refuse(f"{key} is missing")
    return value.encode("ascii")


def _refuse(why: str) -> NoReturn:
    raise RefusedError(Code.WITNESS_REFUSED, why)
