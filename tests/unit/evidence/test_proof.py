"""Proofs: what they prove, under which head, and that a changed one proves nothing."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.errors import Code, OperationError, RefusedError
from relay.evidence import heads as h
from relay.evidence.case import record_json
from relay.evidence.headlist import HeadReader
from relay.evidence.proof import Found, Proof, check, find, from_json, prove
from relay.evidence.proof import to_json as proof_json
from relay.evidence.record import decode
from relay.evidence.synthetic import MemoryLog, relay_key
from relay.model.evidence import Checkpoint, HeldNoted, SignedHead, Submission
from tests.support.evidencelog import small_log

KEY = relay_key("truc-a")
READER = HeadReader(None, frozenset({KEY.sha256}))


def documents(log: MemoryLog) -> list[str]:
    return [
        facts.transport_id
        for chain in log.chains()
        for octets in log.records(chain)
        if isinstance(facts := decode(octets).facts, Submission) and facts.effect is None
    ]


def covered(log: MemoryLog) -> tuple[str, list[Found]]:
    """A document all of whose records stand under the first head."""
    return documents(log)[0], find(log, documents(log)[0])


def test_what_is_on_record_about_a_document() -> None:
    log, one, two = small_log(KEY)
    transport_id, found = covered(log)
    kinds = [(chain, record_json(decode(octets))["kind"]) for chain, _, octets in found]
    assert kinds == [
        (one, "acceptance"),
        (one, "delivery"),
        (one, "receipt"),
        (two, "status"),
        (two, "receipt"),
    ]
    asked: list[bytes] = []

    def search(needle: bytes) -> list[Found]:
        asked.append(needle)
        return [(one, decode(octets).seq, octets) for octets in log.records(one) if needle in octets]

    assert find(log, transport_id, search) == found[:3]
    assert asked == [b"\x01" + uuid.UUID(transport_id).bytes]
    assert find(log, str(uuid.uuid4())) == []
    held = HeldNoted("ab" * 32, "held", "HELD", "w1", "H26", "no uuid", "cd" * 32)
    log.append(one, held)
    assert [decode(octets).facts for _, _, octets in find(log, "no uuid")] == [held]


def test_a_proof_holds_under_its_head_and_under_later_ones() -> None:
    log, _, _ = small_log(KEY)
    _, found = covered(log)
    proof = from_json(json.loads(json.dumps(proof_json(prove(log, found)))))
    proven = check(proof, READER)
    assert [octets for _, _, octets in proven.records] == [octets for _, _, octets in found]
    assert [head.number for head, _, _ in proven.heads] == [1, 3]
    assert proven.head.number == 1
    assert proven.covered_by(log.heads[0].head)
    assert proven.covered_by(log.heads[2].head)
    assert not proven.covered_by(log.heads[1].head)  # nobody asked for that one
    proven = check(prove(log, found, [log.heads[1].head]), READER)
    assert all(proven.covered_by(each.head) for each in log.heads)


def test_an_earlier_head_is_what_the_log_goes_on_from() -> None:
    log, _, _ = small_log(KEY)
    late = [one for one in documents(log) if _last_batch(log, find(log, one)) > 3]
    found = find(log, late[0])
    proven = check(prove(log, found, [log.heads[0].head]), READER)
    assert proven.head.number == 3
    assert not proven.covered_by(log.heads[0].head)
    assert proven.extends(log.heads[0].head)


def _last_batch(log: MemoryLog, found: list[Found]) -> int:
    from relay.evidence.log import decode_batch

    batches = [decode_batch(one) for one in log.batches()]
    places = [
        at
        for chain, seq, _ in found
        for at, batch in enumerate(batches, 1)
        if batch.chain == chain and batch.first <= seq <= batch.end
    ]
    return max(places) if len(places) == len(found) else 0


def test_a_time_stamped_head_is_preferred() -> None:
    log, _, _ = small_log(KEY)
    log.heads[1] = Checkpoint(log.heads[1].head, time_stamps=(b"token",))
    proof = prove(log, covered(log)[1])
    assert check(proof, READER).head.number == 2


def test_what_stands_under_no_head_yet() -> None:
    log, one, _ = small_log(KEY)
    transport_id = log.document(one).transport_id
    with pytest.raises(OperationError) as caught:
        prove(log, find(log, transport_id))
    assert caught.value.code is Code.EVIDENCE_PENDING
    log.seal(one)
    with pytest.raises(OperationError, match="no head covers"):
        prove(log, find(log, transport_id))
    log.sign()
    assert check(prove(log, find(log, transport_id)), READER).head.number == 4


def test_heads_of_other_logs_are_left_out() -> None:
    log, _, _ = small_log(KEY)
    other = MemoryLog(KEY, seed=99)
    chain = other.start("w1")
    other.document(chain)
    other.seal(chain)
    strange = other.sign()
    _, found = covered(log)
    assert prove(log, found, [strange]) == prove(log, found)


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_a_changed_proof_proves_nothing_else(data: st.DataObject) -> None:
    log, _, _ = small_log(KEY)
    found = find(log, documents(log)[data.draw(st.integers(0, 4))])
    try:
        value: dict[str, Any] = proof_json(prove(log, found, [one.head for one in log.heads]))
    except OperationError:
        return  # in the tail
    paths = sorted(_leaves(value, ()), key=repr)
    path = data.draw(st.sampled_from(paths))
    holder: Any = value
    for step in path[:-1]:
        holder = holder[step]
    old = holder[path[-1]]
    if isinstance(old, int):
        holder[path[-1]] = old + data.draw(st.sampled_from([-1, 1, 7]))
    else:
        at = data.draw(st.integers(0, len(old) - 1))
        letter = data.draw(st.sampled_from('0aZ"/'))
        holder[path[-1]] = old[:at] + letter + old[at + 1 :]
        if holder[path[-1]] == old:
            return
    genuine = {octets for chain in log.chains() for octets in log.records(chain)}
    try:
        proven = check(from_json(json.loads(json.dumps(value))), READER)
    except RefusedError:
        return
    # "under" may name another head that covers them too; a signature's JSON may be spelt otherwise.
    assert path[-1] in {"under", "signature"}
    assert all(octets in genuine for _, _, octets in proven.records)


def _leaves(value: object, path: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [one for name, each in value.items() for one in _leaves(each, (*path, name))]
    if isinstance(value, list):
        return [one for at, each in enumerate(value) for one in _leaves(each, (*path, at))]
    return [path] if isinstance(value, str | int) and value != "" else []


@pytest.mark.parametrize(
    "change",
    [
        lambda proof: replace(proof, records=()),
        lambda proof: replace(proof, under=5),
        lambda proof: replace(proof, under=-1),
        lambda proof: replace(proof, consistency=()),
        lambda proof: replace(proof, heads=proof.heads[::-1]),
        lambda proof: replace(proof, batches=()),
        lambda proof: replace(proof, records=(replace(proof.records[0], batch=9),)),
        lambda proof: replace(
            proof, batches=tuple(replace(one, place=one.place + 2) for one in proof.batches)
        ),
    ],
)
def test_proofs_that_lack_something(change: Any) -> None:
    log, _, _ = small_log(KEY)
    proof: Proof = prove(log, covered(log)[1])
    with pytest.raises(RefusedError):
        check(change(proof), READER)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"format": "truc-proof-2"},
        {"format": "truc-proof-1"},
        {"format": "truc-proof-1", "records": {}},
    ],
)
def test_what_is_no_proof(value: object) -> None:
    with pytest.raises(RefusedError) as caught:
        from_json(value)
    assert caught.value.code is Code.EVIDENCE_MALFORMED


def test_a_head_with_its_signature_in_another_spelling_is_the_same_head() -> None:
    log, _, _ = small_log(KEY)
    spaced = SignedHead(log.heads[0].head.text, log.heads[0].head.signature.replace(b'":', b'": '))
    assert READER.head(spaced)[0] == h.read_head(spaced.text)
