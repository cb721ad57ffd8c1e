"""A whole log: the six kinds of tampering by record, batches, heads, heads from elsewhere, tails, restores."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.errors import Code, OperationError, RefusedError
from relay.evidence import heads as h
from relay.evidence.faults import Fault, FaultKind, Report, What
from relay.evidence.files import FileLog
from relay.evidence.record import Writer, leaf_hash
from relay.evidence.synthetic import MemoryLog, RelayKey, filled, relay_key
from relay.evidence.verify import LogVerifier
from relay.model.evidence import (
    ChainEnd,
    Checkpoint,
    Draft,
    OperatorAct,
    SignedHead,
    SignedStatement,
    Tip,
)
from relay.trust.certificate import read_pem
from relay.trust.timestamp import Stamped
from tests.support.evidencelog import LogFolder, exported, small_log

KEY = relay_key("truc-a")
Change = Callable[[LogFolder], None]


@pytest.fixture
def folder(tmp_path: Path) -> tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID]:
    log, one, two = small_log(KEY)
    return exported(log, tmp_path / "log"), log, one, two


def check(log: FileLog | MemoryLog, *elsewhere: SignedHead, key: RelayKey = KEY) -> Report:
    return LogVerifier(known=frozenset({key.sha256}), elsewhere=elsewhere).verify(log)


def said(report: Report) -> list[tuple[str, str, int, int]]:
    return [(one.kind.value, one.what.value, one.first, one.last) for one in report.faults]


def forged(log: MemoryLog, chain: uuid.UUID, after: list[bytes], count: int) -> list[bytes]:
    """Return records that continue the last of ``after`` as if the chain had gone on otherwise."""
    drafts = [
        Draft(log.now, OperatorAct(number, "root", "user.add", "H26", "", log.now)) for number in range(count)
    ]
    written, _ = Writer().write(Tip(chain, len(after), leaf_hash(after[-1])), drafts)
    return [each.octets for each in written]


def flip(octets: bytes, at: int = -1) -> bytes:
    changed = bytearray(octets)
    changed[at] ^= 1
    return bytes(changed)


def test_a_good_log(folder: tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID]) -> None:
    files, log, one, two = folder
    report = check(files.write())
    assert report.ok
    assert report.trusted
    assert (report.records, report.batches, report.heads, report.covered) == (105, 5, 3, 99)
    assert report.head is not None
    assert h.head_text(report.head) == log.heads[-1].head.text
    facts = {each.chain: each for each in report.chains}
    assert (facts[one].writer, facts[one].records, facts[one].sealed, facts[one].ended) == (
        "w1",
        62,
        62,
        True,
    )
    assert (facts[two].writer, facts[two].records, facts[two].sealed, facts[two].ended) == (
        "w2",
        43,
        37,
        False,
    )
    (note,) = report.notes  # the tail of a process that did not end
    assert (note.reason, note.chain, note.values["unsealed"]) == ("open", two, "6")


def test_nobody_vouches_for_a_key_that_only_stands_beside(
    folder: tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID],
) -> None:
    report = LogVerifier().verify(folder[0].write())
    assert report.ok
    assert not report.trusted
    assert [one.reason for one in report.notes if one.reason == "no-anchor"] == ["no-anchor"]
    assert report.signer == KEY.sha256


# --- the six kinds, by record ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seq", [1, 2, 10, 20, 21, 40, 61, 62])
@pytest.mark.parametrize("at", [-1, 4, 13])  # content, time, link
def test_altered(folder: tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID], seq: int, at: int) -> None:
    files, _, one, _ = folder
    files.chains[one][seq - 1] = flip(files.chains[one][seq - 1], at)
    (fault,) = check(files.write()).faults
    assert (fault.kind, fault.what, fault.chain, fault.first) == (
        FaultKind.ALTERED,
        What.RECORD,
        one,
        seq,
    )
    assert fault.name.endswith(f"/{one.hex[:8]} #{seq}")


def test_altered_and_made_to_fit_again(
    folder: tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID],
) -> None:
    """Who rewrites a record and all after it up to the end of the batch is found by the batch: its last record."""
    files, log, one, _ = folder
    records = files.chains[one]
    records[9:20] = forged(log, one, records[:9], 11)
    found = check(files.write()).faults
    assert {(each.kind, each.first) for each in found} == {(FaultKind.ALTERED, 20)}
    assert "#1" in found[0].text("en")
    assert "#19" in found[0].text("vi")


def test_two_neighbours_altered(folder: tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID]) -> None:
    files, _, one, _ = folder
    for seq in (30, 31):
        files.chains[one][seq - 1] = flip(files.chains[one][seq - 1])
    assert said(check(files.write())) == [("doubtful", "record", 30, 30), ("altered", "record", 31, 31)]


@pytest.mark.parametrize(("first", "last"), [(1, 1), (7, 7), (20, 20), (19, 23), (61, 61)])
def test_removed(folder: tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID], first: int, last: int) -> None:
    files, _, one, _ = folder
    del files.chains[one][first - 1 : last]
    report = check(files.write())
    assert said(report) == [("removed", "record", first, last)]


@pytest.mark.parametrize(("first", "second"), [(4, 5), (3, 17), (20, 21), (5, 50), (1, 62)])
def test_swapped(folder: tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID], first: int, second: int) -> None:
    files, _, one, _ = folder
    records = files.chains[one]
    records[first - 1], records[second - 1] = records[second - 1], records[first - 1]
    assert said(check(files.write())) == [
        ("swapped", "record", first, first),
        ("swapped", "record", second, second),
    ]


def test_moved(folder: tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID]) -> None:
    files, _, one, _ = folder
    records = files.chains[one]
    records.insert(49, records.pop(4))
    assert said(check(files.write())) == [("swapped", "record", 5, 5)]


def test_inserted(folder: tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID]) -> None:
    files, log, one, two = folder
    whole = list(files.chains[one])
    for extra in (whole[30], files.chains[two][30], *forged(log, one, whole[:10], 1)):
        files.chains[one] = [*whole[:10], extra, *whole[10:]]
        (fault,) = check(files.write()).faults
        assert (fault.kind, fault.what, fault.values["place"]) == (FaultKind.INSERTED, What.RECORD, "11")
        assert fault.first in {11, 31}  # what it says of itself


@pytest.mark.parametrize("kept", [0, 19, 20, 50, 61])
def test_truncated(folder: tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID], kept: int) -> None:
    files, _, one, _ = folder
    del files.chains[one][kept:]
    assert said(check(files.write())) == [("truncated", "record", kept + 1, 62)]


def test_a_whole_chain_is_gone(folder: tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID]) -> None:
    files, _, _, two = folder
    del files.chains[two]
    (files.path / "chains" / str(two)).unlink()
    assert said(check(files.write())) == [("truncated", "record", 1, 37)]


def test_a_file_that_is_named_like_no_chain(
    folder: tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID],
) -> None:
    files, _, one, _ = folder
    log = files.write()
    for name in ("other", str(one).upper(), one.hex):
        (files.path / "chains" / name).write_bytes(b"")
        report = check(log)
        assert [each.kind for each in report.faults] == [FaultKind.MALFORMED]
        assert report.records == 105  # what the headers speak of is read all the same
        (files.path / "chains" / name).unlink()


def test_forked(folder: tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID]) -> None:
    files, log, one, two = folder
    sealed, tail = files.chains[one], files.chains[two]
    branch = forged(log, one, sealed[:10], 3)
    files.chains[one] = [*sealed[:10], *branch, *sealed[10:]]
    files.chains[two] = [*tail[:42], *forged(log, two, tail[:40], 2), *tail[42:]]
    found = check(files.write()).faults
    assert {(each.kind, each.chain, each.first) for each in found} == {
        *((FaultKind.FORKED, one, seq) for seq in (11, 12, 13)),
        *((FaultKind.FORKED, two, seq) for seq in (41, 42)),
    }


def test_a_file_that_ends_inside_a_record(
    folder: tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID],
) -> None:
    files, _, one, _ = folder
    path = files.path / "chains" / str(one)
    path.write_bytes(path.read_bytes()[:-5])
    assert said(check(FileLog(files.path))) == [
        ("malformed", "record", 62, 62),
        ("truncated", "record", 62, 62),
    ]


ONE = st.integers(1, 62)


@given(st.sampled_from(["altered", "removed", "swapped", "copied", "cut"]), ONE, ONE, st.integers(0, 300))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_single_change_is_found_and_named(how: str, first: int, second: int, bit: int) -> None:
    log, one, _ = small_log(KEY)
    records = log.held[one].records
    if how == "altered":
        octets = bytearray(records[first - 1])
        octets[bit % len(octets)] ^= 1 << (bit % 8)
        records[first - 1] = bytes(octets)
        named = {first}
    elif how == "removed":
        del records[first - 1]
        named = {first}
    elif how == "swapped":
        records[first - 1], records[second - 1] = records[second - 1], records[first - 1]
        named = {first, second} if first != second else set()
    elif how == "copied":
        records.insert(first, records[second - 1])
        named = {second}
    else:
        del records[first - 1 :]
        named = {first}
    report = check(log)
    assert {each.first for each in report.faults} == named
    assert report.ok == (not named)
    for fault in report.faults:
        assert fault.text("en")
        assert fault.text("vi")


# --- batches and heads -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("at", [40, 70, 110, 140])  # root, last record, header before, time
def test_an_altered_header_is_named_and_no_record_is_blamed(
    folder: tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID], place: int, at: int
) -> None:
    files, _, _, _ = folder
    chain = uuid.UUID(bytes=files.batches[place][1:17])
    number = int.from_bytes(files.batches[place][17:25], "big")
    files.batches[place] = flip(files.batches[place], at)
    found = check(files.write()).faults
    assert found
    assert {each.what for each in found} == {What.BATCH}
    if at == 140 and place > 2:  # of a chain's last one the time is bound by the head alone
        assert [(each.reason, each.first, each.last) for each in found] == [("main-log", 4, 5)]
    else:
        named = {(each.chain, each.first) for each in found if each.chain is not None}
        assert named == {(chain, number)}


@pytest.mark.parametrize("place", range(3))
def test_a_removed_header(folder: tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID], place: int) -> None:
    files, _, _, _ = folder
    gone = files.batches.pop(place)
    (fault,) = check(files.write()).faults
    assert (fault.kind, fault.what, fault.chain) == (
        FaultKind.REMOVED,
        What.BATCH,
        uuid.UUID(bytes=gone[1:17]),
    )


def test_headers_cut_off_swapped_copied(
    folder: tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID],
) -> None:
    files, _, _, _ = folder
    whole = list(files.batches)
    files.batches = whole[:4]
    assert said(check(files.write())) == [("truncated", "batch", 5, 5)]
    files.batches = [whole[1], whole[0], *whole[2:]]
    assert said(check(files.write())) == [("swapped", "batch", 1, 2)]
    files.batches = [*whole[:2], whole[0], *whole[2:]]
    assert said(check(files.write())) == [("inserted", "batch", 1, 1)]


def test_heads_altered_and_removed(
    folder: tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID],
) -> None:
    files, _, _, _ = folder
    whole = list(files.heads)
    for at in range(3):
        files.heads = list(whole)
        text = whole[at].text.replace(b"life 0", b"life 9")
        files.heads[at] = replace(whole[at], text=text)
        assert ("altered", "head", at + 1, at + 1) in said(check(files.write()))
    for at in range(2):
        files.heads = [one for place, one in enumerate(whole) if place != at]
        assert said(check(files.write())) == [("removed", "head", at + 1, at + 1)]
    files.heads = [whole[1], whole[0], whole[2]]
    assert ("swapped", "head", 1, 1) in said(check(files.write()))


def test_what_is_garbled_takes_nothing_from_the_rest(
    folder: tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID],
) -> None:
    files, _, _, _ = folder
    whole = list(files.heads)
    for at in range(3):
        for text in (b"truc-head 1\n", whole[at].text.replace(b"relay ", b"relay")):
            files.heads = list(whole)
            files.heads[at] = replace(whole[at], text=text)
            report = check(files.write())
            assert ("altered", "head") in {(kind, what) for kind, what, _, _ in said(report)}
            assert report.head is not None
            assert report.head.number == (3 if at < 2 else 2)
    files.heads = whole
    log = files.write()
    (files.path / "statements").write_bytes(b"nothing that anybody said")
    assert said(check(log)) == [("malformed", "head", 0, 0)]
    (files.path / "statements").unlink()
    (files.path / "time-stamps").mkdir()
    (files.path / "time-stamps" / "other").write_bytes(b"x")
    assert said(check(log)) == [("malformed", "head", 0, 0)]


def test_a_head_by_another_key(folder: tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID]) -> None:
    files, log, _, _ = folder
    text = log.heads[2].head.text
    files.heads[2] = SignedHead(text, relay_key("truc-a").sign(text, h.HEAD_TYPE))
    report = check(files.write())
    assert not report.trusted  # the caller knows another certificate
    files.heads[2] = SignedHead(text, relay_key("truc-b").sign(text, h.HEAD_TYPE))
    assert said(check(files.write())) == [("altered", "head", 3, 3)]
    files.heads[2] = SignedHead(text, KEY.sign(text, h.STATEMENT_TYPE))
    assert said(check(files.write())) == [("signature", "head", 3, 3)]


def test_a_head_over_other_batches(folder: tuple[LogFolder, MemoryLog, uuid.UUID, uuid.UUID]) -> None:
    """The relay's own key does not help: what it signed has to be the tree that is stored."""
    files, _, _, _ = folder
    head = replace(h.read_head(files.heads[2].text), root=bytes(32))
    text = h.head_text(head)
    files.heads[2] = SignedHead(text, KEY.sign(text, h.HEAD_TYPE))
    report = check(files.write())
    assert said(report) == [("altered", "batch", 4, 5)]
    assert report.head is not None
    assert report.head.number == 2
    head = replace(h.read_head(files.heads[2].text), root=check_root(files), records=100)
    text = h.head_text(head)
    files.heads[2] = SignedHead(text, KEY.sign(text, h.HEAD_TYPE))
    assert said(check(files.write())) == [("malformed", "head", 3, 3)]


def check_root(files: LogFolder) -> bytes:
    from relay.evidence import merkle

    return merkle.root([leaf_hash(one) for one in files.batches])


# --- from elsewhere ----------------------------------------------------------------------------------------------------


def test_a_log_that_was_cut_is_told_from_one_that_lost_its_tail() -> None:
    log, one, two = small_log(KEY)
    handed = [each.head for each in log.heads]
    # A crash lost what no head covers: the six records behind the last batch of w2. Nothing is wrong, and it says so.
    del log.held[two].records[37:]
    report = check(log, *handed)
    assert report.ok
    assert report.elsewhere == 3
    assert [note.values["unsealed"] for note in report.notes if note.chain == two] == ["0"]
    # Somebody cut the log back to where it was at the second head, and everything that spoke of more.
    del log.headers[3:], log.heads[2:], log.held[two].records[15:], log.held[one].records[40:]
    assert check(log).ok
    report = check(log, *handed)
    (fault,) = report.faults
    assert (fault.kind, fault.reason) == (FaultKind.TRUNCATED, "elsewhere-longer")
    assert "5" in fault.text("en")


def test_a_log_that_was_rewritten_with_the_relays_own_key_is_found_by_a_head_from_elsewhere() -> None:
    log, _, _ = small_log(KEY)
    other = MemoryLog(KEY, seed=8)
    chain = other.start("w1")
    for _ in range(30):
        other.document(chain)
        other.seal(chain)
        other.sign()
    assert check(other).ok
    report = check(other, log.heads[1].head)
    assert [each.kind for each in report.faults] == [FaultKind.FORKED]
    # The same number and size, other text: two heads shown to two people.
    again = replace(h.read_head(other.heads[4].head.text), at=log.now)
    text = h.head_text(again)
    report = check(other, SignedHead(text, KEY.sign(text, h.HEAD_TYPE)))
    assert [(each.kind, each.reason) for each in report.faults] == [(FaultKind.FORKED, "head-other")]


def test_heads_from_elsewhere_that_prove_nothing() -> None:
    log, _, _ = small_log(KEY)
    strange = relay_key("truc-a")
    same = small_log(strange)[0].heads[0].head  # the same tree, by a key that nobody vouches for: no matter
    assert check(log, same).ok
    forged = filled(strange, 40, seed=9).heads[0].head
    assert [each.kind for each in check(log, forged).faults] == [FaultKind.SIGNATURE]
    other = relay_key("truc-b")
    theirs = small_log(other)[0].heads[0].head
    verifier = LogVerifier(known=frozenset({KEY.sha256, other.sha256}), elsewhere=[theirs])
    report = verifier.verify(log)
    assert report.ok
    assert report.elsewhere == 0
    assert [each.name for each in report.notes if each.reason == "elsewhere-relay"] == ["head 1 of truc-b"]


def test_a_restore_that_the_log_declares() -> None:
    log, one, _two = small_log(KEY)
    lost = log.heads[2].head
    del log.headers[3:], log.heads[2:]
    log.held[one].records[40:], log.held[_two].records[15:] = [], []
    again = MemoryLog(KEY)
    again.held, again.heads = log.held, log.heads
    for header in log.headers:
        again.headers.append(header)
        again._frontier.add(leaf_hash(header))
    chain = again.start("w1")
    again.append(chain, ChainEnd("stopped"))
    again._sealed_records = 55
    again.seal(chain)
    again._sealed_records = 57
    again.sign(life=1, base=3)
    report = check(again)
    assert report.ok
    assert report.restored == 1
    assert [each.values for each in report.notes if each.reason == "life"] == [{"base": "3"}]
    report = check(again, again.heads[0].head, lost)
    assert report.elsewhere == 1
    assert [(each.kind, each.reason) for each in report.faults] == [
        (FaultKind.RESTORED, "elsewhere-restored")
    ]


# --- what others say ---------------------------------------------------------------------------------------------------


def test_statements_of_witnesses(tmp_path: Path) -> None:
    log, _, _ = small_log(KEY)
    witness = relay_key("truc-b")
    text = h.statement_text("truc-b", log.heads[1].head.text, log.now)
    good = SignedStatement(text, witness.sign(text, h.STATEMENT_TYPE))
    log.heads[1] = Checkpoint(log.heads[1].head, statements=(good,))
    report = check(log)
    assert report.ok
    assert report.statements == 1
    bad = SignedStatement(text.replace(b"size 3", b"size 4"), good.signature)
    log.heads[1] = Checkpoint(log.heads[1].head, statements=(bad,))
    assert said(check(log)) == [("signature", "statement", 2, 2)]
    # Somebody was shown another head under that number; and the relay is no witness of itself.
    other = text.replace(h.head_hash(log.heads[1].head.text).hex().encode(), b"0" * 64)
    log.heads[1] = Checkpoint(
        log.heads[1].head, statements=(SignedStatement(other, witness.sign(other, h.STATEMENT_TYPE)),)
    )
    assert said(check(log)) == [("forked", "statement", 2, 2)]
    own = h.statement_text(KEY.relay, log.heads[1].head.text, log.now)
    log.heads[1] = Checkpoint(
        log.heads[1].head, statements=(SignedStatement(own, KEY.sign(own, h.STATEMENT_TYPE)),)
    )
    assert said(check(log)) == [("signature", "statement", 2, 2)]
    # The relay dropped the head that it had shown.
    log.heads[1] = Checkpoint(log.heads[1].head, statements=(good,))
    files = exported(log, tmp_path / "log")
    del files.heads[1:], files.batches[2:]
    report = check(files.write())
    assert ("truncated", "statement", 2, 2) in said(report)


def test_time_stamps_are_judged_by_whoever_knows_them() -> None:
    log, _, _ = small_log(KEY)
    log.heads[2] = Checkpoint(log.heads[2].head, time_stamps=(b"token",))
    assert [each.reason for each in check(log).notes if each.what is What.HEAD] == ["unread-stamp"]
    seen: list[tuple[bytes, bytes]] = []

    def stamps(token: bytes, text: bytes) -> Stamped:
        seen.append((token, text))
        return Stamped(log.now, 1, "1.2.3", read_pem(KEY.pem.decode()), None)

    verifier = LogVerifier(known=frozenset({KEY.sha256}), stamps=stamps)
    report = verifier.verify(log)
    assert report.ok
    assert report.time_stamps == 1
    assert seen == [(b"token", log.heads[2].head.text)]

    def refuses(token: bytes, text: bytes) -> Stamped:
        raise RefusedError(Code.SIGNATURE_INVALID, "no")

    report = LogVerifier(known=frozenset({KEY.sha256}), stamps=refuses).verify(log)
    assert said(report) == [("time-stamp", "head", 3, 3)]


# --- the shape of chains -----------------------------------------------------------------------------------------------


def test_chains_that_begin_or_end_wrongly() -> None:
    log = MemoryLog(KEY)
    chain = log.start("w1")
    log.end(chain)
    log.end(chain)  # behind the end
    other = log.start("w2")
    log.held[other].records[0] = log.held[chain].records[0]
    log.seal(chain)
    log.sign()
    found = {(each.chain, each.reason) for each in check(log).faults}
    assert (chain, "behind-end") in found
    assert any(each == other for each, _ in found)


def test_every_good_record_is_shown_in_its_order() -> None:
    log = filled(KEY, 400, batch=64)
    seen: list[tuple[uuid.UUID, int]] = []
    told: list[int] = []
    verifier = LogVerifier(
        known=frozenset({KEY.sha256}),
        seen=lambda chain, record: seen.append((chain, record.seq)),
        progress=told.append,
    )
    report = verifier.verify(log)
    assert report.ok
    assert len(seen) == report.records == told[-1]
    for facts in report.chains:
        assert [seq for chain, seq in seen if chain == facts.chain] == list(range(1, facts.records + 1))


def test_a_folder_that_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(OperationError) as caught:
        FileLog(tmp_path)
    assert caught.value.code is Code.FILE_UNUSABLE


def test_an_export_is_not_written_over(tmp_path: Path) -> None:
    log, _, _ = small_log(KEY)
    exported(log, tmp_path / "log")
    with pytest.raises(OperationError):
        exported(log, tmp_path / "log")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log"]


def test_reasons_are_said_in_both_languages() -> None:
    from relay.evidence.faults import REASONS

    for en, vi in REASONS.values():
        assert en
        assert vi
        assert set(_fields(en)) == set(_fields(vi))
    assert Fault(FaultKind.REMOVED, What.RECORD, "x", "gone").text("vi") == REASONS["gone"][1]


def _fields(text: str) -> list[str]:
    import string

    return [name for _, name, _, _ in string.Formatter().parse(text) if name]
