"""A record's bytes. Version 1; ``docs/evidence.md`` describes each field to the byte.

A record is ``01``, its kind, its number in the chain, its time, 16 bytes of the former record's hash, and the fields of
its kind. Equal content in the same place has equal bytes: there is one spelling of everything, and readers refuse others.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from typing import Final

from relay.evidence import octets as o
from relay.evidence.octets import Cursor, refuse
from relay.model.delivery import State
from relay.model.evidence import (
    ChainEnd,
    ChainStart,
    Deliveries,
    DirectoryChange,
    Draft,
    Effect,
    Facts,
    HeldNoted,
    Judged,
    KeyChange,
    Line,
    Moved,
    OperatorAct,
    ReceiptSealed,
    Record,
    RecordKind,
    Restored,
    Submission,
    Tip,
    Unknown,
    Witnessed,
    Written,
)
from relay.model.receipt import ReceiptKind

VERSION: Final = 1
LINK: Final = 16
"""Bytes of the former record's hash that a record carries. 128 bits stand against a second record with the same hash;
what is sealed is bound by the full 32 bytes in the batch's header."""

_STATES: Final = (
    None,
    State.PLANNED,
    State.QUEUED,
    State.DELIVERED,
    State.REFUSED,
    State.WITHDRAWN,
)
_STATE: Final = {state: bytes([number]) for number, state in enumerate(_STATES)}
_RECEIPTS: Final = tuple(ReceiptKind)
_RECEIPT: Final = {kind: bytes([number]) for number, kind in enumerate(_RECEIPTS, 1)}
_HELD: Final = ("held", "released", "dropped")
_NO: Final = b"\x00"
_YES: Final = b"\x01"
_FLAGS: Final = {
    (intact, trusted): bytes((1 | (2 if intact else 0) | (4 if trusted else 0),))
    for intact in (False, True)
    for trusted in (False, True)
}
_BEGIN: Final = {kind: bytes((VERSION, kind)) for kind in range(256)}


def leaf_hash(octets: bytes) -> bytes:
    """Return the hash of a record or of a batch's header: SHA-256 over ``00`` and the bytes (RFC 9162, 2.1.1)."""
    return hashlib.sha256(b"\x00" + octets).digest()


def first_tip(chain: uuid.UUID) -> Tip:
    """Return where a chain stands before its first record: the link of that one is SHA-256 over ``02`` and the id."""
    return Tip(chain, 0, hashlib.sha256(b"\x02" + chain.bytes).digest())


class Writer:
    """Writes records (port ``Scribe``)."""

    def write(self, tip: Tip, drafts: Sequence[Draft]) -> tuple[list[Written], Tip]:
        """Return the records that follow ``tip`` and where the chain stands after them. Pure.

        Raises:
            RefusedError: EVIDENCE-MALFORMED: a record that no reader would take; what it is about is not stored either.
        """
        seq, last = tip.seq, tip.hash
        sha256, out = hashlib.sha256, []
        for draft in drafts:
            seq += 1
            octets = encode(seq, last, draft)
            if len(octets) > o.MAX_RECORD:
                refuse(f"a record of {len(octets)} bytes")
            last = sha256(b"\x00" + octets).digest()
            out.append(Written(seq, octets, last))
        return out, Tip(tip.chain, seq, last)

    def tip(self, chain: uuid.UUID, last: tuple[int, bytes] | None = None) -> Tip:
        """Return where a chain stands whose last record has that seq and these bytes; None: before its first record."""
        return first_tip(chain) if last is None else Tip(chain, last[0], leaf_hash(last[1]))


def encode(seq: int, last: bytes, draft: Draft) -> bytes:
    """Return the bytes of one record.

    Args:
        seq: its number in the chain, from 1.
        last: hash of the record before it, 32 bytes.
        draft: time and facts.
    """
    facts = draft.facts
    kind, parts = _ENCODE[type(facts)](facts)
    return b"".join((_BEGIN[kind], o.number(seq), o.time(draft.at), last[:LINK], *parts))


def decode(octets: bytes) -> Record:
    """Read one record.

    Raises:
        RefusedError: EVIDENCE-MALFORMED: no record of this version, or not in its one spelling.
    """
    if len(octets) > o.MAX_RECORD:
        refuse(f"a record of {len(octets)} bytes")
    cursor = Cursor(octets)
    if cursor.byte() != VERSION:
        refuse(f"a record of version {octets[0]}, this program reads {VERSION}")
    kind = cursor.byte()
    seq = cursor.number()
    at = cursor.time()
    link = cursor.take(LINK)
    read = _DECODE.get(kind)
    if read is None:
        return Record(kind, seq, at, link, Unknown(kind, cursor.rest()))
    facts = read(cursor)
    cursor.end()
    return Record(kind, seq, at, link, facts)


def place(octets: bytes) -> tuple[int, bytes]:
    """Return number and link of a record without reading its facts; raises like ``decode``."""
    cursor = Cursor(octets)
    if cursor.byte() != VERSION:
        refuse(f"a record of version {octets[0]}, this program reads {VERSION}")
    cursor.byte()
    seq = cursor.number()
    cursor.take(8)
    return seq, cursor.take(LINK)


def relinked(octets: bytes, link: bytes) -> bytes:
    """Return a record's bytes with another link; raises like ``decode``."""
    cursor = Cursor(octets)
    cursor.take(2)
    start = 2 + len(o.number(cursor.number())) + 8
    return octets[:start] + link + octets[start + LINK :]


# --- kind by kind ----------------------------------------------------------------------------------------------------

_Parts = tuple[int, Sequence[bytes]]


def _chain_start(facts: ChainStart) -> _Parts:
    return RecordKind.CHAIN_START, (
        facts.chain.bytes,
        o.text(facts.relay),
        o.text(facts.writer),
        o.text(facts.role),
        o.text(facts.version),
    )


def _read_chain_start(cursor: Cursor) -> ChainStart:
    chain = uuid.UUID(bytes=cursor.take(16))
    return ChainStart(chain, cursor.text(), cursor.text(), cursor.text(), cursor.text())


def _submission(facts: Submission) -> _Parts:
    kind = RecordKind.ACCEPTANCE
    if facts.effect is not None:
        kind = RecordKind.STATUS
    elif facts.refusal:
        kind = RecordKind.REFUSAL
    word, token = o.word, o.token
    parts = [
        token(facts.transport_id),
        word(facts.sender),
        word(facts.user),
        word(facts.document_kind),
        bytes.fromhex(facts.body_sha256),
        o.number(facts.body_bytes),
        o.text(facts.document_id),
        o.lasting(facts.directory_version),
    ]
    verdict = facts.verdict
    if verdict is None:
        parts.append(_NO)
    else:
        parts += (
            _FLAGS[verdict.intact, verdict.trusted],
            word(verdict.reason),
            o.lasting(verdict.certificate_sha256),
            word(verdict.algorithm),
            word(verdict.profile),
        )
    parts.append(o.number(len(facts.lines)))
    for line in facts.lines:
        parts += (token(line.delivery_id), word(line.recipient), _STATE[line.state], word(line.code))
    parts.append(o.lasting(facts.same_content_as))  # mostly nothing
    if kind is RecordKind.REFUSAL:
        parts.append(word(facts.refusal))
    elif facts.effect is not None:
        effect = facts.effect
        parts += (
            token(effect.refers_to),
            token(effect.delivery_id),
            word(effect.status),
            _STATE[effect.move_to],
            word(effect.change),
            word(effect.refusal),
        )
    return kind, parts


def _reads_submission(kind: RecordKind) -> Callable[[Cursor], Submission]:
    def read(cursor: Cursor) -> Submission:
        transport_id, sender, user = cursor.token(), cursor.text(), cursor.text()
        document_kind, body, size = cursor.text(), cursor.take(32).hex(), cursor.number()
        document_id, directory = cursor.text(), cursor.token()
        flags = cursor.byte()
        if flags > 7 or (flags and not flags & 1):
            refuse(f"flags {flags} of a verdict")
        verdict = None
        if flags:
            verdict = Judged(
                intact=bool(flags & 2),
                trusted=bool(flags & 4),
                reason=cursor.text(),
                certificate_sha256=cursor.token(),
                algorithm=cursor.text(),
                profile=cursor.text(),
            )
        lines = tuple(_line(cursor) for _ in range(cursor.number()))
        same = cursor.token()
        refusal, effect = "", None
        if kind is RecordKind.REFUSAL:
            refusal = cursor.text()
            if not refusal:
                refuse("a refusal without a code")
        elif kind is RecordKind.STATUS:
            effect = Effect(
                refers_to=cursor.token(),
                delivery_id=cursor.token(),
                status=cursor.text(),
                move_to=_state(cursor),
                change=cursor.text(),
                refusal=cursor.text(),
            )
        return Submission(
            transport_id,
            sender,
            user,
            document_kind,
            body,
            size,
            document_id,
            directory,
            verdict,
            lines,
            refusal,
            same,
            effect,
        )

    return read


def _line(cursor: Cursor) -> Line:
    return Line(cursor.token(), cursor.text(), _known(_state(cursor)), cursor.text())


def _deliveries(facts: Deliveries) -> _Parts:
    parts = [o.token(facts.transport_id), o.number(len(facts.moves))]
    for move in facts.moves:
        parts += (o.token(move.delivery_id), _STATE[move.state], o.word(move.code))
    return RecordKind.DELIVERY, parts


def _read_deliveries(cursor: Cursor) -> Deliveries:
    transport_id = cursor.token()
    moves = tuple(
        Moved(cursor.token(), _known(_state(cursor)), cursor.text()) for _ in range(cursor.number())
    )
    return Deliveries(transport_id, moves)


def _receipt(facts: ReceiptSealed) -> _Parts:
    return RecordKind.RECEIPT, (
        o.text(facts.number),
        _RECEIPT[facts.kind],
        _YES if facts.accepted else _NO,
        o.word(facts.code),
        o.word(facts.to),
        o.token(facts.transport_id),
        bytes.fromhex(facts.sha256),
        o.number(facts.size),
    )


def _read_receipt(cursor: Cursor) -> ReceiptSealed:
    number, kind = cursor.text(), cursor.byte()
    if not 1 <= kind <= len(_RECEIPTS):
        refuse(f"no kind of receipt is {kind}")
    return ReceiptSealed(
        number,
        _RECEIPTS[kind - 1],
        cursor.flag(),
        cursor.text(),
        cursor.text(),
        cursor.token(),
        cursor.take(32).hex(),
        cursor.number(),
    )


def _held(facts: HeldNoted) -> _Parts:
    return RecordKind.HELD, (
        o.token(facts.held_id),
        bytes((_HELD.index(facts.act) + 1,)),
        o.text(facts.code),
        o.text(facts.origin),
        o.text(facts.user),
        o.token(facts.transport_id),
        o.token(facts.body_sha256),
        o.text(facts.detail),
    )


def _read_held(cursor: Cursor) -> HeldNoted:
    held_id, act = cursor.token(), cursor.byte()
    if not 1 <= act <= len(_HELD):
        refuse(f"no act in quarantine is {act}")
    return HeldNoted(
        held_id,
        _HELD[act - 1],
        cursor.text(),
        cursor.text(),
        cursor.text(),
        cursor.token(),
        cursor.token(),
        cursor.text(),
    )


def _key_change(facts: KeyChange) -> _Parts:
    return RecordKind.KEY_CHANGE, (
        o.number(len(facts.certificates)),
        *(o.blob(each) for each in facts.certificates),
    )


def _read_key_change(cursor: Cursor) -> KeyChange:
    return KeyChange(tuple(cursor.blob() for _ in range(cursor.number())))


def _directory_change(facts: DirectoryChange) -> _Parts:
    return RecordKind.DIRECTORY_CHANGE, (
        o.token(facts.former),
        o.token(facts.version),
        o.number(facts.agencies),
    )


def _read_directory_change(cursor: Cursor) -> DirectoryChange:
    return DirectoryChange(cursor.token(), cursor.token(), cursor.number())


def _operator_act(facts: OperatorAct) -> _Parts:
    return RecordKind.OPERATOR_ACT, (
        o.number(facts.row),
        o.text(facts.who),
        o.text(facts.act),
        o.text(facts.subject),
        o.text(facts.detail),
        o.time(facts.acted_at),
    )


def _read_operator_act(cursor: Cursor) -> OperatorAct:
    return OperatorAct(
        cursor.number(), cursor.text(), cursor.text(), cursor.text(), cursor.text(), cursor.time()
    )


def _restored(facts: Restored) -> _Parts:
    return RecordKind.RESTORE, (o.number(facts.life), o.number(facts.size), o.time(facts.restored_at))


def _read_restored(cursor: Cursor) -> Restored:
    return Restored(cursor.number(), cursor.number(), cursor.time())


def _witnessed(facts: Witnessed) -> _Parts:
    return RecordKind.WITNESSED, (
        o.text(facts.relay),
        o.number(facts.number),
        o.number(facts.size),
        bytes.fromhex(facts.head_sha256),
    )


def _read_witnessed(cursor: Cursor) -> Witnessed:
    return Witnessed(cursor.text(), cursor.number(), cursor.number(), cursor.take(32).hex())


def _chain_end(facts: ChainEnd) -> _Parts:
    return RecordKind.CHAIN_END, (o.text(facts.reason),)


def _read_chain_end(cursor: Cursor) -> ChainEnd:
    return ChainEnd(cursor.text())


def _unknown(facts: Unknown) -> _Parts:
    return facts.kind, (facts.content,)


def _state(cursor: Cursor) -> State | None:
    value = cursor.byte()
    if value >= len(_STATES):
        refuse(f"no state is {value}")
    return _STATES[value]


def _known(state: State | None) -> State:
    if state is None:
        refuse("a delivery without a state")
    return state


# Keyed by type; each function takes that type alone, which a dictionary's type cannot say.
_ENCODE: Final[dict[type[Facts], Callable[..., _Parts]]] = {
    ChainStart: _chain_start,
    Submission: _submission,
    Deliveries: _deliveries,
    ReceiptSealed: _receipt,
    HeldNoted: _held,
    KeyChange: _key_change,
    DirectoryChange: _directory_change,
    OperatorAct: _operator_act,
    Restored: _restored,
    Witnessed: _witnessed,
    ChainEnd: _chain_end,
    Unknown: _unknown,
}
_DECODE: Final[dict[int, Callable[[Cursor], Facts]]] = {
    RecordKind.CHAIN_START: _read_chain_start,
    RecordKind.ACCEPTANCE: _reads_submission(RecordKind.ACCEPTANCE),
    RecordKind.REFUSAL: _reads_submission(RecordKind.REFUSAL),
    RecordKind.STATUS: _reads_submission(RecordKind.STATUS),
    RecordKind.DELIVERY: _read_deliveries,
    RecordKind.RECEIPT: _read_receipt,
    RecordKind.HELD: _read_held,
    RecordKind.KEY_CHANGE: _read_key_change,
    RecordKind.DIRECTORY_CHANGE: _read_directory_change,
    RecordKind.OPERATOR_ACT: _read_operator_act,
    RecordKind.RESTORE: _read_restored,
    RecordKind.WITNESSED: _read_witnessed,
    RecordKind.CHAIN_END: _read_chain_end,
}
