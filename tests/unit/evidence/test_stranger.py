"""Another hand checks: the program in Java, made from docs/evidence.md, names what our verifier names."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay.evidence import heads as h
from relay.evidence import proof as pr
from relay.evidence.files import FileLog
from relay.evidence.headlist import HeadReader
from relay.evidence.judging import check_proof
from relay.evidence.record import Writer, decode, leaf_hash
from relay.evidence.synthetic import MemoryLog, RelayKey, filled, relay_key
from relay.evidence.verify import LogVerifier
from relay.model.evidence import Draft, OperatorAct, SignedStatement, Submission, Tip
from tests.support.evidencelog import LogFolder, exported, small_log
from tests.support.evidencestranger import Answer, ask

KEY = relay_key("truc-a")
WITNESS = relay_key("truc-b")
Change = Callable[[LogFolder, MemoryLog, uuid.UUID, uuid.UUID], None]


def _flip(octets: bytes, at: int = -1) -> bytes:
    changed = bytearray(octets)
    changed[at] ^= 1
    return bytes(changed)


def _forged(log: MemoryLog, chain: uuid.UUID, after: list[bytes], count: int) -> list[bytes]:
    drafts = [Draft(log.now, OperatorAct(n, "root", "user.add", "H26", "", log.now)) for n in range(count)]
    written, _ = Writer().write(Tip(chain, len(after), leaf_hash(after[-1])), drafts)
    return [each.octets for each in written]


def _altered(files: LogFolder, _log: MemoryLog, one: uuid.UUID, _two: uuid.UUID) -> None:
    files.chains[one][32] = _flip(files.chains[one][32])


def _altered_link(files: LogFolder, _log: MemoryLog, one: uuid.UUID, _two: uuid.UUID) -> None:
    files.chains[one][19] = _flip(files.chains[one][19], 14)


def _removed(files: LogFolder, _log: MemoryLog, one: uuid.UUID, _two: uuid.UUID) -> None:
    del files.chains[one][24:27]


def _swapped(files: LogFolder, _log: MemoryLog, one: uuid.UUID, _two: uuid.UUID) -> None:
    records = files.chains[one]
    records[3], records[49] = records[49], records[3]


def _moved(files: LogFolder, _log: MemoryLog, one: uuid.UUID, _two: uuid.UUID) -> None:
    files.chains[one].insert(49, files.chains[one].pop(4))


def _inserted(files: LogFolder, log: MemoryLog, one: uuid.UUID, _two: uuid.UUID) -> None:
    files.chains[one].insert(10, _forged(log, one, files.chains[one][:10], 1)[0])


def _copied(files: LogFolder, _log: MemoryLog, one: uuid.UUID, _two: uuid.UUID) -> None:
    files.chains[one].insert(10, files.chains[one][30])


def _truncated(files: LogFolder, _log: MemoryLog, one: uuid.UUID, _two: uuid.UUID) -> None:
    del files.chains[one][50:]


def _forked(files: LogFolder, log: MemoryLog, one: uuid.UUID, two: uuid.UUID) -> None:
    files.chains[one][10:10] = _forged(log, one, files.chains[one][:10], 3)
    files.chains[two][42:42] = _forged(log, two, files.chains[two][:40], 2)


def _batch_removed(files: LogFolder, _log: MemoryLog, _one: uuid.UUID, _two: uuid.UUID) -> None:
    del files.batches[2]


def _batches_cut(files: LogFolder, _log: MemoryLog, _one: uuid.UUID, _two: uuid.UUID) -> None:
    del files.batches[4]


def _batches_swapped(files: LogFolder, _log: MemoryLog, _one: uuid.UUID, _two: uuid.UUID) -> None:
    files.batches[:2] = files.batches[1::-1]


def _batch_altered(files: LogFolder, _log: MemoryLog, _one: uuid.UUID, _two: uuid.UUID) -> None:
    files.batches[4] = _flip(files.batches[4])


def _head_altered(files: LogFolder, _log: MemoryLog, _one: uuid.UUID, _two: uuid.UUID) -> None:
    files.heads[2] = replace(files.heads[2], text=files.heads[2].text.replace(b"size 5", b"size 4"))


def _head_removed(files: LogFolder, _log: MemoryLog, _one: uuid.UUID, _two: uuid.UUID) -> None:
    del files.heads[1]


def _head_garbled(files: LogFolder, _log: MemoryLog, _one: uuid.UUID, _two: uuid.UUID) -> None:
    files.heads[1] = replace(files.heads[1], text=files.heads[1].text.replace(b"size", b"s\xffze"))


def _said(log: MemoryLog, by: RelayKey, *, instead: bytes = b"") -> SignedStatement:
    """What a witness says of the second head, or of one that was there instead."""
    text = h.statement_text(by.relay, log.heads[1].head.text, log.now)
    if instead:
        own = h.head_hash(log.heads[1].head.text).hex().encode()
        text = text.replace(own, instead * 64)
    return SignedStatement(text, by.sign(text, h.STATEMENT_TYPE))


def _stated(files: LogFolder, *statements: SignedStatement) -> None:
    (files.path / "statements").write_bytes(b"".join(h.dump(one) for one in statements))


def _witnessed(files: LogFolder, log: MemoryLog, _one: uuid.UUID, _two: uuid.UUID) -> None:
    _stated(files, _said(log, WITNESS))


def _witness_forged(files: LogFolder, log: MemoryLog, _one: uuid.UUID, _two: uuid.UUID) -> None:
    good = _said(log, WITNESS)
    _stated(files, replace(good, text=good.text.replace(b"\nsize 3", b"\nsize 4")))


def _witness_itself(files: LogFolder, log: MemoryLog, _one: uuid.UUID, _two: uuid.UUID) -> None:
    _stated(files, _said(log, KEY))


def _witness_of_another(files: LogFolder, log: MemoryLog, _one: uuid.UUID, _two: uuid.UUID) -> None:
    _stated(files, _said(log, WITNESS, instead=b"0"))


def _witness_of_more(files: LogFolder, log: MemoryLog, _one: uuid.UUID, _two: uuid.UUID) -> None:
    said = _said(log, WITNESS, instead=b"0")
    text = said.text.replace(b"\nnumber 2", b"\nnumber 9")
    _stated(files, SignedStatement(text, WITNESS.sign(text, h.STATEMENT_TYPE)))


def _witness_garbled(files: LogFolder, _log: MemoryLog, _one: uuid.UUID, _two: uuid.UUID) -> None:
    (files.path / "statements").write_bytes(b"nothing that anybody said")


def _nothing(_files: LogFolder, _log: MemoryLog, _one: uuid.UUID, _two: uuid.UUID) -> None:
    """The log as it is."""


ONE, TWO = "one", "two"
# What is done, and what both have to name: kind, what, chain, first, last.
CASES: dict[str, tuple[Change, set[tuple[str, str, str, int, int]]]] = {
    "good": (_nothing, set()),
    "altered": (_altered, {("altered", "record", ONE, 33, 33)}),
    "altered-link": (_altered_link, {("altered", "record", ONE, 20, 20)}),
    "removed": (_removed, {("removed", "record", ONE, 25, 27)}),
    "swapped": (_swapped, {("swapped", "record", ONE, 4, 4), ("swapped", "record", ONE, 50, 50)}),
    "moved": (_moved, {("swapped", "record", ONE, 5, 5)}),
    "inserted": (_inserted, {("inserted", "record", ONE, 11, 11)}),
    "copied": (_copied, {("inserted", "record", ONE, 31, 31)}),
    "truncated": (_truncated, {("truncated", "record", ONE, 51, 62)}),
    "forked": (
        _forked,
        {("forked", "record", ONE, seq, seq) for seq in (11, 12, 13)}
        | {("forked", "record", TWO, seq, seq) for seq in (41, 42)},
    ),
    "batch-removed": (_batch_removed, {("removed", "batch", ONE, 2, 2)}),
    "batches-cut": (_batches_cut, {("truncated", "batch", "-", 5, 5)}),
    "batches-swapped": (_batches_swapped, {("swapped", "batch", "-", 1, 2)}),
    "batch-altered": (_batch_altered, {("altered", "batch", "-", 4, 5)}),
    "head-altered": (_head_altered, {("altered", "head", "-", 3, 3)}),
    "head-garbled": (_head_garbled, {("altered", "head", "-", 2, 2)}),
    "head-removed": (_head_removed, {("removed", "head", "-", 2, 2)}),
    "witnessed": (_witnessed, set()),
    "witness-forged": (_witness_forged, {("signature", "statement", "-", 2, 2)}),
    "witness-itself": (_witness_itself, {("signature", "statement", "-", 2, 2)}),
    "witness-of-another": (_witness_of_another, {("forked", "statement", "-", 2, 2)}),
    "witness-of-more": (_witness_of_more, {("truncated", "statement", "-", 9, 9)}),
    "witness-garbled": (_witness_garbled, {("malformed", "head", "-", 0, 0)}),
}


@pytest.fixture(scope="module")
def answers(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, Path], dict[Path, Answer], dict[str, str]]:
    """All cases in one run of ``java``."""
    top = tmp_path_factory.mktemp("logs")
    folders, names = {}, {}
    for case, (change, _) in CASES.items():
        log, one, two = small_log(KEY)
        files = exported(log, top / case)
        change(files, log, one, two)
        files.write()
        folders[case] = files.path
        names = {str(one): ONE, str(two): TWO, "-": "-"}
    return folders, ask(list(folders.values()), known=KEY.sha256), names


@pytest.mark.parametrize("case", CASES)
def test_both_name_the_same(
    answers: tuple[dict[str, Path], dict[Path, Answer], dict[str, str]], case: str
) -> None:
    folders, said, names = answers
    wanted = CASES[case][1]
    theirs = said[folders[case]]
    assert {
        (kind, what, names[where], first, last) for kind, what, where, first, last in theirs.faults
    } == wanted
    assert theirs.ok == (not wanted)
    report = LogVerifier(known=frozenset({KEY.sha256})).verify(FileLog(folders[case]))
    ours = {
        (
            one.kind.value,
            one.what.value,
            names[str(one.chain)] if one.chain else "-",
            one.first,
            one.last,
        )
        for one in report.faults
    }
    assert ours == wanted


def test_proofs_and_cases(tmp_path: Path) -> None:
    """Any document's proof, against the head that it stands under, an earlier one, a later one, and another log's."""
    log = filled(KEY, 900, chains=3, batch=48)
    while len(log.heads) < 4:
        log.append(log.start("keeper"), OperatorAct(1, "root", "x", "y", "", log.now))
        log.seal(next(reversed(log.held)))
        log.sign()
    other = small_log(relay_key("truc-c"))[0]
    heads = {}
    for name, signed in (
        *((f"own-{at}", each.head) for at, each in enumerate(log.heads)),
        ("other", other.heads[0].head),
    ):
        heads[name] = tmp_path / name
        heads[name].write_bytes(h.dump(signed))
    documents = [
        facts.transport_id
        for chain in log.chains()
        for octets in log.records(chain)
        if isinstance(facts := decode(octets).facts, Submission) and facts.effect is None
    ]
    elsewhere = [each.head for each in log.heads]
    files: dict[Path, bool] = {}
    for at, transport_id in enumerate(documents[::40]):
        value: dict[str, Any] = pr.to_json(pr.prove(log, pr.find(log, transport_id), elsewhere))
        good = tmp_path / f"proof-{at}.json"
        good.write_text(json.dumps(value))
        files[good] = True
        for what in ("record", "path", "header", "under", "consistency", "head"):
            bad = tmp_path / f"proof-{at}-{what}.json"
            bad.write_text(json.dumps(_spoilt(value, what)))
            files[bad] = False
    said = ask(list(files), known=KEY.sha256, heads=list(heads.values()))
    for file, holds in files.items():
        assert said[file].ok == holds, (file, said[file])
        if holds:
            assert "vouched" in said[file].notes
            related = [note for note in said[file].notes if note.startswith("head ")]
            assert len(related) == len(heads)
            assert [note for note in related if note.endswith("unrelated")] == ["head 1 unrelated"]
            assert any(note.endswith("covers") for note in related)


def test_a_proof_of_another_history_than_the_one_that_was_kept(tmp_path: Path) -> None:
    """Both find two histories by a head of the same relay, and a forger's head for what it is."""
    shown, kept, forged = (
        filled(KEY, 60, seed=1),
        filled(KEY, 60, seed=2),
        filled(relay_key("truc-a"), 60, seed=3),
    )
    chain = next(iter(shown.chains()))
    transport_id = next(
        facts.transport_id
        for octets in shown.records(chain)
        if isinstance(facts := decode(octets).facts, Submission) and facts.effect is None
    )
    proof = pr.prove(shown, pr.find(shown, transport_id))
    file = tmp_path / "proof.json"
    file.write_text(json.dumps(pr.to_json(proof)))
    reader = HeadReader(None, frozenset({KEY.sha256}))
    for name, log, kind, reason in (
        ("kept", kept, "forked", "forked"),
        ("forged", forged, "signature", "elsewhere-unvouched"),
    ):
        head = tmp_path / name
        head.write_bytes(h.dump(log.heads[0].head))
        theirs = ask([file], known=KEY.sha256, heads=[head])[file]
        assert [one[:3] for one in theirs.faults] == [(kind, "head", "elsewhere")]
        checked = check_proof(proof, reader, elsewhere=[log.heads[0].head])
        assert [one.reason for one in checked.faults] == [reason]


def _spoilt(value: dict[str, Any], what: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(value))
    if what == "record":
        found["records"][0]["record"] = pr.b64(_flip(pr.octets(found["records"][0], "record")))
    elif what == "path":
        found["records"][0]["path"][0] = "00" * 32
    elif what == "header":
        found["batches"][0]["header"] = pr.b64(_flip(pr.octets(found["batches"][0], "header")))
    elif what == "under":
        found["batches"][0]["place"] += 1
    elif what == "consistency":
        found["consistency"][-1] = [*found["consistency"][-1], "00" * 32]
    else:
        found["heads"][0]["text"] = found["heads"][0]["text"].replace("life 0", "life 1")
    return found


def test_both_find_whatever_is_done(tmp_path: Path) -> None:
    """Changes at random: of a single one both name the same, of several both say that something is wrong."""
    rnd = random.Random(20)
    done: dict[Path, int] = {}
    for number in range(40):
        log, one, two = small_log(KEY)
        files = exported(log, tmp_path / str(number))
        done[files.path] = changes = 1 if number < 25 else 3
        for _ in range(changes):
            _at_random(files, rnd, rnd.choice((one, two)))
        files.write()
    theirs = ask(list(done), known=KEY.sha256)
    for path, changes in done.items():
        report = LogVerifier(known=frozenset({KEY.sha256})).verify(FileLog(path))
        ours = {
            (each.kind.value, each.what.value, str(each.chain or "-"), each.first, each.last)
            for each in report.faults
        }
        assert bool(ours) == bool(theirs[path].faults), (path, ours)
        if changes == 1:
            assert ours == set(theirs[path].faults), path


def _at_random(files: LogFolder, rnd: random.Random, chain: uuid.UUID) -> None:
    records = files.chains[chain]
    at, other = rnd.randrange(1, len(records)), rnd.randrange(len(records))
    how = rnd.randrange(6)
    if how == 0:
        records[at] = _flip(records[at], rnd.randrange(len(records[at])))
    elif how == 1:
        del records[at : at + rnd.choice((1, 3))]
    elif how == 2:
        records[at], records[other] = records[other], records[at]
    elif how == 3:
        records.insert(at, records[other])
    elif how == 4:
        del records[at:]
    else:
        place = rnd.randrange(len(files.batches))
        files.batches[place] = _flip(files.batches[place], rnd.randrange(37, 141))
