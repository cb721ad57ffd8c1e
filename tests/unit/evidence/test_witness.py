"""Two relays witness each other; one that shows two histories is found out, and the proof is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from relay.errors import Code, RefusedError
from relay.evidence import heads as h
from relay.evidence.synthetic import relay_key
from relay.evidence.witness import Shown, Vouched, Witness, contradiction, export, overview
from relay.model.evidence import Head, SignedHead
from relay.model.keeping import ForkKind, StoredHead
from relay.registry import SqlRegistry
from relay.registry.evidence import SqlEvidence
from relay.trust.detached import open_detached
from tests.support.evidence import EvidentRelay, HandClock
from tests.support.registry import Maker, accepted


class Pair:
    """Relays a and b, who know each other's certificates."""

    def __init__(self, folder: Path) -> None:
        self.clock = HandClock()
        self.sides: dict[str, tuple[EvidentRelay, SqlRegistry]] = {}
        for name in ("truc-a", "truc-b"):
            (folder / name).mkdir()
            relay = EvidentRelay(folder / name, name, self.clock, relay_key(name))
            self.sides[name] = (relay, relay.registry())
        self.make = Maker()

    def work(self, name: str, count: int = 4) -> None:
        relay, registry = self.sides[name]
        for _ in range(count):
            self.make.serial += 1
            accepted(registry, self.make, self.make.claim(f"{name} {self.make.serial}"))
        relay.seal_all(registry.evidence)

    def export(self, name: str, since: int | None = None, witness: str | None = None) -> bytes:
        return export(self.sides[name][1].evidence, since, witness)

    def witness(self, name: str) -> Witness:
        relay, registry = self.sides[name]
        return Witness(registry.evidence, name, self.check, relay.key.sign, self.clock.now)

    def check(self, line: bytes, text: bytes, kind: str) -> str:
        known = {relay.key.sha256: name for name, (relay, _) in self.sides.items()}
        chain = open_detached(line, text, kind)
        if chain[0].sha256 not in known:
            raise RefusedError(Code.BAD_CERTIFICATE, "unknown")
        return known[chain[0].sha256]

    def close(self) -> None:
        for relay, _ in self.sides.values():
            relay.close()


@pytest.fixture
def pair(tmp_path: Path) -> Any:
    made = Pair(tmp_path)
    yield made
    made.close()


def _changed(octets: bytes, **changes: object) -> bytes:
    return json.dumps({**json.loads(octets), **changes}).encode()


def _refused(code: Code, what: Callable[[], object]) -> str:
    with pytest.raises(RefusedError) as caught:
        what()
    assert caught.value.code is code, caught.value
    return caught.value.detail


def test_two_relays_witness_each_other(pair: Pair) -> None:
    for one, other in (("truc-a", "truc-b"), ("truc-b", "truc-a")):
        for step in range(3):
            pair.work(one)
            shown = pair.witness(other).take(pair.export(one, witness=other))
            assert isinstance(shown, Shown)
            assert (shown.head.relay, shown.head.number, shown.new) == (one, step + 1, True)
            vouched = pair.witness(one).take(shown.statement)
            assert vouched == Vouched(other, step + 1, new=True)
    for name in ("truc-a", "truc-b"):
        _, registry = pair.sides[name]
        assert len(registry.evidence.known_heads("truc-a" if name == "truc-b" else "truc-b")) == 3
        assert registry.evidence.forks() == []
        keys = frozenset(side.key.sha256 for side, _ in pair.sides.values())
        from relay.evidence.verify import LogVerifier

        report = LogVerifier(known=keys).verify(registry.evidence)
        assert report.ok, report.faults
        assert report.statements == 3


def test_the_same_head_again_is_nothing_new(pair: Pair) -> None:
    pair.work("truc-a")
    octets = pair.export("truc-a")
    first = pair.witness("truc-b").take(octets)
    assert isinstance(first, Shown)
    again = pair.witness("truc-b").take(octets)
    assert isinstance(again, Shown)
    assert (first.new, again.new) == (True, False)
    pair.witness("truc-a").take(first.statement)
    assert pair.witness("truc-a").take(first.statement) == Vouched("truc-b", 1, new=False)


def test_a_dry_run_keeps_nothing(pair: Pair) -> None:
    pair.work("truc-a")
    looked = pair.witness("truc-b").look(pair.export("truc-a"))
    assert isinstance(looked, Shown)
    assert pair.sides["truc-b"][1].evidence.known_heads("truc-a") == []


def test_a_proof_from_what_is_known_is_demanded(pair: Pair) -> None:
    pair.work("truc-a", 20)
    pair.witness("truc-b").take(pair.export("truc-a"))
    known = pair.sides["truc-b"][1].evidence.known_heads("truc-a")
    size = h.read_head(known[0].signed.text).size
    pair.work("truc-a", 20)
    told = _refused(Code.WITNESS_REFUSED, lambda: pair.witness("truc-b").take(pair.export("truc-a")))
    assert f"--since {size}" in told
    assert isinstance(pair.witness("truc-b").take(pair.export("truc-a", since=size)), Shown)
    assert _refused(Code.WITNESS_REFUSED, lambda: pair.export("truc-a", since=10_000))


def test_a_relay_that_shows_two_histories_is_found_out(pair: Pair, tmp_path: Path) -> None:
    """Relay a keeps two registries with one key: one for b, one for everybody else."""
    pair.work("truc-a")
    pair.witness("truc-b").take(pair.export("truc-a"))
    (tmp_path / "other").mkdir()
    relay = pair.sides["truc-a"][0]
    other = EvidentRelay(tmp_path / "other", "truc-a", pair.clock, relay.key)
    pair.sides["truc-a"] = (other, other.registry())
    pair.work("truc-a", 5)
    _refused(Code.WITNESS_FORK, lambda: pair.witness("truc-b").take(pair.export("truc-a")))
    (fork,) = pair.sides["truc-b"][1].evidence.forks()
    assert (fork.relay, fork.kind) == ("truc-a", ForkKind.SAME_NUMBER)
    for head in (fork.first, fork.second):  # whoever looks at the proof needs nobody's word
        assert pair.check(head.signature, head.text, h.HEAD_TYPE) == "truc-a"
    assert h.read_head(fork.first.text).number == h.read_head(fork.second.text).number
    pair.work("truc-a", 5)
    _refused(Code.WITNESS_FORK, lambda: pair.witness("truc-b").take(pair.export("truc-a")))
    assert [one.kind for one in pair.sides["truc-b"][1].evidence.forks()] == [
        ForkKind.SAME_NUMBER,
        ForkKind.PREVIOUS,
    ]
    pair.work("truc-a", 5)
    size = h.read_head(fork.first.text).size
    _refused(Code.WITNESS_FORK, lambda: pair.witness("truc-b").take(pair.export("truc-a", since=size)))
    assert pair.sides["truc-b"][1].evidence.forks()[-1].kind is ForkKind.INCONSISTENT
    _refused(Code.WITNESS_FORK, lambda: pair.witness("truc-b").take(pair.export("truc-a", since=size)))
    assert len(pair.sides["truc-b"][1].evidence.forks()) == 3  # the same one is kept once
    other.close()
    relay.close()


def test_a_witness_shows_a_relay_that_its_own_log_is_another_one(pair: Pair, tmp_path: Path) -> None:
    pair.work("truc-a")
    shown = pair.witness("truc-b").take(pair.export("truc-a"))
    assert isinstance(shown, Shown)
    (tmp_path / "other").mkdir()
    relay = pair.sides["truc-a"][0]
    other = EvidentRelay(tmp_path / "other", "truc-a", pair.clock, relay.key)
    pair.sides["truc-a"] = (other, other.registry())
    _refused(Code.WITNESS_REFUSED, lambda: pair.witness("truc-a").take(shown.statement))
    pair.work("truc-a", 2)
    _refused(Code.WITNESS_REFUSED, lambda: pair.witness("truc-a").take(shown.statement))
    (fault,) = pair.sides["truc-a"][1].evidence.faults()
    assert "truc-b was shown a head" in fault.what
    other.close()
    relay.close()


def test_what_is_shown_of_a_restored_relay(pair: Pair, tmp_path: Path) -> None:
    from relay.model.audit import Act
    from relay.registry import copy

    relay, registry = pair.sides["truc-a"]
    pair.work("truc-a", 30)
    first = pair.witness("truc-b").take(pair.export("truc-a"))
    assert isinstance(first, Shown)
    pair.witness("truc-a").take(first.statement)
    copy.backup(relay.url, tmp_path / "copy")
    pair.work("truc-a", 30)
    second = pair.witness("truc-b").take(pair.export("truc-a", witness="truc-b"))
    assert isinstance(second, Shown)
    registry.close()
    pair.clock.pass_by(100)
    act = Act(pair.clock.now(), "nga", "registry.restore", "copy")
    copy.restore(relay.url, tmp_path / "copy", act, 10.0, relay.chronicler("truc", "tool"))
    pair.sides["truc-a"] = (relay, relay.registry())
    # the restored log goes on at the number that it had: b has a head of the former life under it
    pair.work("truc-a", 3)
    third = pair.witness("truc-b").take(pair.export("truc-a", witness="truc-b"))
    assert isinstance(third, Shown)
    assert (third.new, third.restored, third.head.life) == (True, True, 1)
    assert third.head.number == second.head.number
    pair.work("truc-a", 3)
    fourth = pair.witness("truc-b").take(pair.export("truc-a", since=third.head.size))
    assert isinstance(fourth, Shown)
    assert pair.sides["truc-b"][1].evidence.forks() == []
    # but the former life is over: nothing more is taken of it
    _refused(Code.WITNESS_REFUSED, lambda: pair.witness("truc-b").take(_old_life(relay, second.head)))


def _old_life(relay: EvidentRelay, head: Head) -> bytes:
    previous = h.head_hash(h.head_text(head))
    text = h.head_text(
        replace(head, number=head.number + 1, size=head.size + 1, records=head.records + 1, previous=previous)
    )
    line = relay.key.sign(text, h.HEAD_TYPE).decode()
    return json.dumps({"format": "truc-witness-1", "head": text.decode(), "signature": line}).encode()


def test_what_is_no_file_of_a_witness(pair: Pair) -> None:
    pair.work("truc-a")
    octets = pair.export("truc-a")
    witness = pair.witness("truc-b")
    for bad in (b"", b"{}", b"[" * 100_000, b"\xff", octets * 1000, _changed(octets, head=3)):
        _refused(Code.WITNESS_REFUSED, partial(witness.take, bad))
    _refused(Code.EVIDENCE_MALFORMED, lambda: witness.take(_changed(octets, head="x")))
    text = json.loads(octets)["head"]
    assert _refused(
        Code.SIGNATURE_INVALID,
        lambda: witness.take(
            _changed(octets, head=text.replace("size 1", "size 2").replace("records 1", "records 2"))
        ),
    )
    _refused(Code.WITNESS_REFUSED, lambda: pair.witness("truc-a").take(octets))
    shown = witness.take(octets)
    assert isinstance(shown, Shown)
    _refused(Code.WITNESS_REFUSED, lambda: witness.take(shown.statement))
    pair.work("truc-a")
    for proof in ("x", [3], ["zz"], None):
        bad_proof = _changed(pair.export("truc-a"), proof=proof)
        assert _refused(Code.WITNESS_REFUSED, partial(witness.take, bad_proof))


def test_a_head_signed_by_another_relay_is_refused(pair: Pair) -> None:
    pair.work("truc-a")
    pair.work("truc-b")
    text = json.loads(pair.export("truc-a"))["head"]
    line = pair.sides["truc-b"][0].key.sign(text.encode(), h.HEAD_TYPE).decode()
    _refused(
        Code.WITNESS_REFUSED,
        lambda: pair.witness("truc-b").take(_changed(pair.export("truc-a"), signature=line)),
    )


def test_nothing_to_show(pair: Pair) -> None:
    _refused(Code.WITNESS_REFUSED, lambda: pair.export("truc-a"))


def _signed(head: Head) -> tuple[Head, SignedHead]:
    return head, SignedHead(h.head_text(head), b"")


def test_contradictions() -> None:
    base = Head("truc-a", 3, 0, 0, 10, 100, bytes(32), HandClock().now(), bytes(32))
    old = _signed(base)
    fits = replace(base, number=4, size=12, previous=h.head_hash(old[1].text))
    cases = {
        replace(base, size=11): ForkKind.SAME_NUMBER,
        replace(fits, previous=bytes(32)): ForkKind.PREVIOUS,
        replace(fits, number=5, size=9): ForkKind.SHRUNK,
        replace(fits, number=5, size=10, root=b"\x01" * 32): ForkKind.SAME_SIZE,
        replace(fits, number=5, size=9, base=9, life=1): None,
        fits: None,
        replace(fits, number=5, size=10): None,
    }
    for head, wanted in cases.items():
        new = _signed(head)
        assert contradiction(*old, *new) is wanted, head
        assert contradiction(*new, *old) is wanted, head
    life = _signed(replace(base, life=1, base=5))
    later = _signed(replace(base, number=6, size=20))
    assert contradiction(*life, *later) is None
    assert StoredHead(3, 10, old[1]).signed is old[1]


def test_who_has_shown_and_vouched_for_what(pair: Pair) -> None:
    store = pair.sides["truc-a"][1].evidence
    assert overview(store) == ()
    for _ in range(2):
        pair.work("truc-a")
        pair.work("truc-b")
        shown = pair.witness("truc-b").take(pair.export("truc-a", witness="truc-b"))
        assert isinstance(shown, Shown)
        pair.witness("truc-a").take(shown.statement)
        pair.witness("truc-a").take(pair.export("truc-b", since=_size(store)))
    assert [(one.relay, one.shown, one.number) for one in overview(store)] == [
        ("truc-b", False, 2),
        ("truc-b", True, 2),
    ]


def _size(store: SqlEvidence) -> int:
    known = store.known_heads("truc-b")
    return h.read_head(known[-1].signed.text).size if known else 0
