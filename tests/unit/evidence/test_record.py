"""Records, headers and heads: equal content, equal bytes; every other spelling is refused."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import string
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.errors import Code, RefusedError
from relay.evidence import heads, log, octets
from relay.evidence.record import Writer, decode, encode, first_tip, leaf_hash, place, relinked
from relay.model import evidence as ev
from relay.model.codes import MAX_LENGTH
from relay.model.delivery import State
from relay.model.receipt import ReceiptKind
from relay.settings.fields import spec_of
from relay.settings.model import LimitSettings
from tests.support.evidencestranger import fields

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
HEX = st.binary(min_size=32, max_size=32).map(bytes.hex)
UUIDS = st.uuids().map(str)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
TOKEN = UUIDS | HEX | TEXT
NUMBER = st.integers(0, (1 << 63) - 1)
TIME = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))
STATE = st.sampled_from(State)
VERDICT = st.builds(
    ev.Judged,
    intact=st.booleans(),
    trusted=st.booleans(),
    reason=TEXT,
    certificate_sha256=HEX | st.just(""),
    algorithm=TEXT,
    profile=TEXT,
)
LINES = st.lists(st.builds(ev.Line, TOKEN, TEXT, STATE, TEXT), max_size=4).map(tuple)
EFFECT = st.builds(ev.Effect, TOKEN, TOKEN, TEXT, st.none() | STATE, TEXT, TEXT)
SUBMISSION = st.builds(
    ev.Submission,
    transport_id=TOKEN,
    sender=TEXT,
    user=TEXT,
    document_kind=TEXT,
    body_sha256=HEX,
    body_bytes=NUMBER,
    document_id=TEXT,
    directory_version=TOKEN,
    verdict=st.none() | VERDICT,
    lines=LINES,
    refusal=st.just(""),
    same_content_as=TOKEN,
    effect=st.none(),
)
KINDS: tuple[st.SearchStrategy[ev.Facts], ...] = (
    st.builds(ev.ChainStart, st.uuids(), TEXT, TEXT, TEXT, TEXT),
    SUBMISSION,
    st.builds(ev.Submission._replace, SUBMISSION, refusal=TEXT.filter(bool)),
    st.builds(ev.Submission._replace, SUBMISSION, effect=EFFECT),
    st.builds(ev.Deliveries, TOKEN, st.lists(st.builds(ev.Moved, TOKEN, STATE, TEXT), max_size=4).map(tuple)),
    st.builds(
        ev.ReceiptSealed,
        TEXT,
        st.sampled_from(ReceiptKind),
        st.booleans(),
        TEXT,
        TEXT,
        TOKEN,
        HEX,
        NUMBER,
    ),
    st.builds(
        ev.HeldNoted,
        TOKEN,
        st.sampled_from(["held", "released", "dropped"]),
        TEXT,
        TEXT,
        TEXT,
        TOKEN,
        TOKEN,
        TEXT,
    ),
    st.builds(ev.KeyChange, st.lists(st.binary(max_size=60), max_size=3).map(tuple)),
    st.builds(ev.DirectoryChange, TOKEN, TOKEN, NUMBER),
    st.builds(ev.OperatorAct, NUMBER, TEXT, TEXT, TEXT, TEXT, TIME),
    st.builds(ev.Restored, NUMBER, NUMBER, TIME),
    st.builds(ev.Witnessed, TEXT, NUMBER, NUMBER, HEX),
    st.builds(ev.ChainEnd, TEXT),
    st.builds(ev.Unknown, st.integers(200, 255), st.binary(max_size=50)),
)
FACTS: st.SearchStrategy[ev.Facts] = st.one_of(*KINDS)
LAST = st.binary(min_size=32, max_size=32)


@given(st.integers(1, 1 << 40), LAST, TIME, FACTS)
@settings(max_examples=300, deadline=None)
def test_what_is_written_is_read_and_has_one_spelling(
    seq: int, last: bytes, at: datetime, facts: ev.Facts
) -> None:
    written = encode(seq, last, ev.Draft(at, facts))
    read = decode(written)
    assert (read.seq, read.at, read.link, read.facts) == (seq, at, last[:16], facts)
    assert encode(read.seq, last, ev.Draft(read.at, read.facts)) == written
    assert place(written) == (seq, last[:16])


@given(FACTS, st.data())
@settings(max_examples=300, deadline=None)
def test_other_bytes_are_refused_or_other_content(facts: ev.Facts, data: st.DataObject) -> None:
    written = encode(7, bytes(32), ev.Draft(datetime(2026, 1, 2, tzinfo=UTC), facts))
    at = data.draw(st.integers(0, len(written) - 1))
    changed = bytearray(written)
    changed[at] ^= data.draw(st.integers(1, 255))
    how = data.draw(st.sampled_from([bytes(changed), written[:at], written + b"\x00"]))
    try:
        read = decode(how)
    except RefusedError:
        return
    # What is read says all that stands there: it is written back to the same bytes, link included.
    assert encode(read.seq, read.link + bytes(16), ev.Draft(read.at, read.facts)) == how


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for read in (decode, place, log.decode_batch, heads.read_head, heads.read_statement, heads.load):
        with contextlib.suppress(RefusedError):
            read(raw)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("80 00", "a superfluous byte"),
        ("ff ff ff ff ff ff ff ff ff 01", "beyond 2^63"),
        ("ff ff ff ff ff ff ff ff ff ff 01", "longer still"),
        ("80", "the end is missing"),
    ],
)
def test_numbers_in_one_spelling(raw: str, why: str) -> None:
    with pytest.raises(RefusedError) as caught:
        octets.Cursor(bytes.fromhex(raw)).number()
    assert caught.value.code is Code.EVIDENCE_MALFORMED
    assert why


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 16383, 16384, (1 << 63) - 1])
def test_numbers(value: int) -> None:
    written = octets.number(value)
    cursor = octets.Cursor(written)
    assert cursor.number() == value
    cursor.end()


def test_tokens_that_have_a_shorter_spelling_are_refused() -> None:
    for value in (str(uuid.uuid4()), "ab" * 32):
        assert octets.token(value)[0] in {1, 2}
        with pytest.raises(RefusedError, match="shorter"):
            octets.Cursor(b"\x00" + octets.text(value)).token()
    for value in ("", str(uuid.uuid4()).upper(), "AB" * 32, "x" * 36):
        assert octets.Cursor(octets.token(value)).token() == value


def test_a_lone_surrogate_does_not_stop_the_record() -> None:
    assert octets.Cursor(octets.text("a\ud800b")).text() == "a?b"


def test_a_record_to_the_byte() -> None:
    """The example of docs/evidence.md."""
    at = datetime(2026, 1, 31, 2, 3, 4, 5, tzinfo=UTC)
    chain = uuid.UUID("6f9619ff-8b86-4d01-b42d-00cf4fc964ff")
    facts = ev.ReceiptSealed(
        "w1-42",
        ReceiptKind.ACKNOWLEDGEMENT,
        accepted=True,
        code="",
        to="H53",
        transport_id="00112233-4455-4677-8899-aabbccddeeff",
        sha256="ab" * 32,
        size=2500,
    )
    link = hashlib.sha256(b"\x02" + chain.bytes).digest()[:16]
    wanted = (
        "01 06 01"
        + (int(at.timestamp()) * 1_000_000 + 5).to_bytes(8, "big").hex()
        + link.hex()
        + "05 77312d3432 01 01 00 03 483533"
        + "01 00112233445546778899aabbccddeeff"
        + "ab" * 32
        + "c4 13"
    ).replace(" ", "")
    written, tip = Writer().write(first_tip(chain), [ev.Draft(at, facts)])
    assert written[0].octets.hex() == wanted
    assert tip == ev.Tip(chain, 1, hashlib.sha256(b"\x00" + bytes.fromhex(wanted)).digest())


def test_a_document_and_its_status_cost_less_than_a_kilobyte() -> None:
    verdict = ev.Judged(
        intact=True,
        trusted=True,
        reason="OK",
        certificate_sha256="5c" * 32,
        algorithm="ecdsa-sha256",
        profile="whole",
    )
    ids = [str(uuid.uuid4()) for _ in range(4)]
    document = ev.Submission(
        ids[0],
        "H53.31.20",
        "H53.31.20",
        "edoc",
        "ab" * 32,
        123456,
        "H53.31.20,2026/01/31,123456/QD-UBND",
        "cd" * 32,
        verdict,
        (ev.Line(ids[1], "H26.15.01", State.PLANNED),),
    )
    status = document._replace(
        transport_id=ids[2],
        lines=(ev.Line(ids[3], "H53.31.20", State.PLANNED),),
        effect=ev.Effect(ids[0], ids[1], "01", State.DELIVERED, ""),
    )
    receipt = ev.ReceiptSealed(
        "w1-1234567", ReceiptKind.OUTCOME, True, "", "H53.31.20", ids[0], "ef" * 32, 2500
    )
    moved = ev.Deliveries(ids[0], (ev.Moved(ids[1], State.QUEUED),))
    at = datetime(2026, 1, 31, tzinfo=UTC)
    drafts = [ev.Draft(at, one) for one in (document, moved, receipt, status, moved, receipt)]
    written, _ = Writer().write(ev.Tip(uuid.uuid4(), 10_000_000, bytes(32)), drafts)
    assert sum(len(one.octets) for one in written) < 960


def test_a_document_for_as_many_recipients_as_can_be_configured_has_a_record() -> None:
    (spec,) = [spec_of(one) for one in dataclasses.fields(LimitSettings) if one.name == "recipients"]
    assert spec.high is not None
    longest = max((code.value for code in Code), key=len)
    lines = tuple(
        ev.Line(str(uuid.UUID(int=number)), "H" * MAX_LENGTH, State.REFUSED, longest)
        for number in range(int(spec.high))
    )
    facts = ev.Submission("x", "H26", "H26", "edoc", "ab" * 32, 1, "d" * 2000, "v", None, lines)
    (written,), _ = Writer().write(Writer().tip(uuid.UUID(int=1)), [ev.Draft(NOON, facts)])
    assert decode(written.octets).facts == facts


def test_a_record_that_nobody_would_read_is_not_written() -> None:
    facts = ev.OperatorAct(1, "nga", "user.add", "H53", "x" * (1 << 20), NOON)
    with pytest.raises(RefusedError) as caught:
        Writer().write(Writer().tip(uuid.UUID(int=1)), [ev.Draft(NOON, facts)])
    assert caught.value.code is Code.EVIDENCE_MALFORMED


def test_a_chain_goes_on_from_its_tip() -> None:
    drafts = [ev.Draft(datetime(2026, 1, 2, tzinfo=UTC), ev.ChainEnd(str(n))) for n in range(5)]
    start = first_tip(uuid.uuid4())
    whole, tip = Writer().write(start, drafts)
    first, middle = Writer().write(start, drafts[:2])
    rest, same = Writer().write(middle, drafts[2:])
    assert [*first, *rest] == whole
    assert same == tip
    assert [one.seq for one in whole] == [1, 2, 3, 4, 5]
    before = start
    for one in whole:
        read = decode(one.octets)
        assert log.follows(before, read)
        assert one.hash == leaf_hash(one.octets)
        before = ev.Tip(start.chain, one.seq, one.hash)


@given(FACTS, LAST)
@settings(max_examples=50, deadline=None)
def test_only_the_link_changes(facts: ev.Facts, other: bytes) -> None:
    draft = ev.Draft(datetime(2026, 1, 2, tzinfo=UTC), facts)
    assert relinked(encode(300, bytes(32), draft), other[:16]) == encode(300, other, draft)


# --- headers -----------------------------------------------------------------------------------------------------------

BATCH = st.builds(
    ev.Batch,
    chain=st.uuids(),
    number=st.integers(1, (1 << 63) - 1),
    first=st.integers(1, (1 << 63) - 1),
    count=st.integers(1, log.MAX_BATCH),
    root=LAST,
    last=LAST,
    previous=LAST,
    sealed_at=TIME,
)


@given(BATCH)
def test_headers(batch: ev.Batch) -> None:
    written = log.encode_batch(batch)
    assert len(written) == log.BATCH_BYTES
    assert log.decode_batch(written) == batch


def test_a_header_of_nothing_is_refused() -> None:
    batch = ev.Batch(uuid.uuid4(), 1, 1, 1, bytes(32), bytes(32), bytes(32), datetime(2026, 1, 2, tzinfo=UTC))
    for wrong in (
        replace(batch, number=0),
        replace(batch, first=0),
        replace(batch, count=0),
        replace(batch, count=log.MAX_BATCH + 1),
    ):
        with pytest.raises(RefusedError):
            log.decode_batch(log.encode_batch(wrong))
    with pytest.raises(RefusedError):
        log.decode_batch(log.encode_batch(batch) + b"\x00")
    with pytest.raises(ValueError, match="0 records"):
        log.seal(log.Sealed(batch.chain), [], batch.sealed_at)


# --- heads -------------------------------------------------------------------------------------------------------------

HEAD = ev.Head(
    relay="truc-dev",
    number=17,
    life=1,
    base=100,
    size=1234,
    records=567890,
    root=bytes(range(32)),
    at=datetime(2026, 1, 31, 2, 3, 4, 5, tzinfo=UTC),
    previous=bytes(32),
)


def test_a_head_to_the_byte() -> None:
    assert heads.head_text(HEAD).decode().splitlines() == [
        "truc-head 1",
        "relay truc-dev",
        "number 17",
        "life 1",
        "base 100",
        "size 1234",
        "records 567890",
        "root " + bytes(range(32)).hex(),
        "time 2026-01-31T02:03:04.000005Z",
        "previous " + "0" * 64,
    ]
    vietnam = HEAD.at.astimezone(timezone(timedelta(hours=7)))
    assert heads.head_text(replace(HEAD, at=vietnam)) == heads.head_text(HEAD)


@given(
    st.text(string.ascii_letters + string.digits + "-._", min_size=1, max_size=60),
    st.integers(1, 10**17),
    st.integers(0, 1000),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    TIME,
    LAST,
)
@settings(max_examples=60, deadline=None)
def test_heads(relay: str, number: int, life: int, base: int, more: int, at: datetime, root: bytes) -> None:
    head = ev.Head(relay, number, life, base, base + more, (base + more) * 3, root, at, root[::-1])
    assert heads.read_head(heads.head_text(head)) == head


@pytest.mark.parametrize(
    "change",
    [
        (b"number 17", b"number 017"),
        (b"number 17", b"number 0"),
        (b"number 17", b"number  17"),
        (b"base 100", b"base 1235"),
        (b"records 567890", b"records 5"),
        (b"\n", b"\r\n"),
        (b"time 2026-01-31", b"time 2026-02-31"),
        (b"000005Z", b"000005+00:00"),
        (b"truc-dev", b"truc dev"),
        (b"truc-head 1", b"truc-head 2"),
    ],
)
def test_heads_in_one_spelling(change: tuple[bytes, bytes]) -> None:
    text = heads.head_text(HEAD)
    assert change[0] in text
    with pytest.raises(RefusedError):
        heads.read_head(text.replace(*change))
    with pytest.raises(RefusedError):
        heads.read_head(text + b"\n")


@pytest.mark.parametrize("wrong", [{"relay": "two words"}, {"relay": ""}, {"base": 2000}, {"number": 0}])
def test_no_head_is_written_that_cannot_be_read(wrong: dict[str, Any]) -> None:
    with pytest.raises(RefusedError):
        heads.head_text(replace(HEAD, **wrong))


def test_heads_and_statements_one_after_the_other() -> None:
    signed = [
        ev.SignedHead(heads.head_text(replace(HEAD, number=number)), b'{"n":%d}' % number)
        for number in (1, 2, 3)
    ]
    assert heads.load(b"".join(map(heads.dump, signed))) == tuple(signed)
    said = [
        ev.SignedStatement(heads.statement_text("truc-b", one.text, HEAD.at), b'{"s":1}') for one in signed
    ]
    assert heads.load_statements(b"".join(map(heads.dump, said))) == tuple(said)
    read = heads.read_statement(said[1].text)
    assert (read["witness"], read["relay"], read["number"]) == ("truc-b", "truc-dev", "2")
    assert read["head"] == heads.head_hash(signed[1].text).hex()
    for wrong in (b"x", heads.dump(signed[0])[:-1], signed[0].text, signed[0].text + b"no line\n"):
        with pytest.raises(RefusedError):
            heads.load(wrong)


# --- another hand reads them -------------------------------------------------------------------------------------------


def test_a_stranger_reads_every_field_of_every_kind_and_refuses_what_is_refused_here(tmp_path: Path) -> None:
    """Records of all kinds, and changed ones: the program made from docs/evidence.md sees what we see."""
    made: list[bytes] = []

    @given(st.integers(1, 1 << 40), LAST, TIME, st.tuples(*KINDS), st.data())
    @settings(max_examples=10, deadline=None)
    def make(seq: int, last: bytes, at: datetime, each: tuple[ev.Facts, ...], data: st.DataObject) -> None:
        for facts in each:
            written = encode(seq, last, ev.Draft(at, facts))
            changed = bytearray(written)
            changed[data.draw(st.integers(0, len(written) - 1))] ^= data.draw(st.integers(1, 255))
            made.extend((written, bytes(changed), written[:-1], written + b"\0"))

    make()
    file = tmp_path / "chain"
    file.write_bytes(b"".join(len(one).to_bytes(4, "big") + one for one in made))
    theirs = fields(file)
    ours = [_fields(one) for one in made]
    assert len(theirs) == len(ours)
    assert {one.split(" ")[0] for one in ours} >= {"-", *(str(kind.value) for kind in ev.RecordKind)}
    for octets_, mine, other in zip(made, ours, theirs, strict=True):
        assert mine == other, octets_.hex()


def _fields(octets_: bytes) -> str:
    try:
        record = decode(octets_)
    except RefusedError:
        return "-"
    head = [str(record.kind), str(record.seq), _plain(record.at), _plain(record.link)]
    return " ".join([*head, *_facts(record.facts)])


def _facts(facts: Any) -> list[str]:
    if isinstance(facts, ev.Unknown):
        return [_plain(facts.content)]
    if isinstance(facts, ev.Submission):
        return _submission(facts)
    out = []
    for name in _names(facts):
        value = getattr(facts, name)
        if isinstance(value, tuple):
            out.append(str(len(value)))
            out += [each for one in value for each in (_facts(one) if _is_facts(one) else [_plain(one)])]
        elif name in {"sha256", "head_sha256"}:
            out.append(f":{value}")
        elif name == "act" and isinstance(facts, ev.HeldNoted):
            out.append(str(["held", "released", "dropped"].index(value) + 1))
        else:
            out.append(_plain(value))
    return out


def _names(facts: Any) -> tuple[str, ...]:
    """The names of the fields of a dataclass or a tuple with names; none of anything else."""
    if dataclasses.is_dataclass(facts):
        return tuple(field.name for field in dataclasses.fields(facts))
    return tuple(getattr(facts, "_fields", ()))


def _is_facts(value: object) -> bool:
    return bool(_names(value))


def _submission(facts: ev.Submission) -> list[str]:
    out = [_plain(one) for one in (facts.transport_id, facts.sender, facts.user, facts.document_kind)]
    out += [
        f":{facts.body_sha256}",
        *map(_plain, (facts.body_bytes, facts.document_id, facts.directory_version)),
    ]
    verdict = facts.verdict
    if verdict is None:
        out.append("0")
    else:
        out.append(str(1 + 2 * verdict.intact + 4 * verdict.trusted))
        said = (verdict.reason, verdict.certificate_sha256, verdict.algorithm, verdict.profile)
        out += map(_plain, said)
    out.append(str(len(facts.lines)))
    out += [each for line in facts.lines for each in _facts(line)]
    out.append(_plain(facts.same_content_as))
    if facts.effect is not None:
        effect = facts.effect
        out += map(_plain, (effect.refers_to, effect.delivery_id, effect.status))
        out.append("0" if effect.move_to is None else _plain(effect.move_to))
        out += map(_plain, (effect.change, effect.refusal))
    elif facts.refusal:
        out.append(_plain(facts.refusal))
    return out


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, State | ReceiptKind):
        return str(list(type(value)).index(value) + 1)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return str((value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))
    if isinstance(value, uuid.UUID):
        return f":{value.hex}"
    octets_ = value if isinstance(value, bytes) else str(value).encode()
    return f":{octets_.hex()}"
