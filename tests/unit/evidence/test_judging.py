"""A proof or a case that somebody was handed: each piece is judged, and each fault is said in both languages."""

from __future__ import annotations

import string
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from relay.errors import Code, RefusedError
from relay.evidence import heads as h
from relay.evidence.headlist import HeadReader
from relay.evidence.judging import check_case, check_heads, check_proof
from relay.evidence.proof import Proof, find, prove
from relay.evidence.said import REASONS, Said
from relay.evidence.synthetic import MemoryLog, RelayKey, relay_key
from relay.model.evidence import Checkpoint, SignedHead, SignedStatement
from relay.trust.certificate import read_pem
from relay.trust.timestamp import Stamped
from tests.support.evidencecase import case_of, small_case, submissions
from tests.support.pki import issue

KEY = relay_key("truc-a")
WITNESS = relay_key("truc-b")
READER = HeadReader(None, frozenset({KEY.sha256, WITNESS.sha256}))


def reasons(found: tuple[Said, ...]) -> list[str]:
    return [one.reason for one in found]


def test_every_reason_is_said_in_both_languages_with_the_same_values() -> None:
    for key, (en, vi) in REASONS.items():
        assert en != vi, key
        fields = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (en, vi)]
        assert fields[0] >= fields[1], key


def test_a_case_is_checked_piece_by_piece() -> None:
    _, case = small_case(KEY)
    checked = check_case(case, READER)
    assert checked.ok
    assert checked.trusted
    assert checked.receipts == 1
    assert reasons(checked.notes).count("no-receipt") == 2
    assert reasons(checked.notes).count("no-certificate") == 1
    assert reasons(check_case(replace(case, relay="truc-b"), READER).faults) == ["case-relay"]
    other = replace(case, transport_id=str(uuid.uuid4()))
    assert set(reasons(check_case(other, READER).faults)) == {"other-record"}
    assert reasons(check_case(replace(case, receipts=(b"<other/>",)), READER).faults) == ["unbound-receipt"]
    for field, reason in (
        ("certificates", "unreadable-certificate"),
        ("revocation_lists", "unreadable-list"),
        ("ocsp_answers", "unreadable-answer"),
    ):
        changed = replace(case, **{field: (b"no DER",)})  # type: ignore[arg-type]
        assert reasons(check_case(changed, READER).faults) == [reason]
    judged = check_case(case, READER, receipt=lambda body, at: "WRONG-SIGNER")
    (fault,) = judged.faults
    assert "WRONG-SIGNER" in fault.text("en")
    assert fault.text("vi").startswith("biên nhận của bản ghi")


def test_what_leads_to_no_anchor_in_the_file_is_said() -> None:
    _, case = small_case(KEY)
    root = issue("Root", ca=True)
    between = issue("Between", root, ca=True)
    leaf = issue("Leaf", between)
    whole = replace(case, certificates=(leaf.der, between.der, root.der))
    assert "no-issuer" not in reasons(check_case(whole, READER).notes)
    broken = check_case(replace(case, certificates=(leaf.der, root.der)), READER)
    assert broken.ok
    (note,) = [one for one in broken.notes if one.reason == "no-issuer"]
    assert (note.values["subject"], note.values["issuer"]) == ("CN=Leaf", "CN=Between")
    # One of the same name that did not issue it leads nowhere.
    other = issue("Between", root, ca=True)
    assert "no-issuer" in reasons(
        check_case(replace(case, certificates=(leaf.der, other.der, root.der)), READER).notes
    )


def test_a_file_full_of_namesakes_costs_no_more_than_a_few_tries_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, case = small_case(KEY)
    tried = 0

    def count(certificate: object, issuer: object) -> bool:
        nonlocal tried
        tried += 1
        return False

    monkeypatch.setattr("relay.evidence.judging.issued", count)
    root = issue("Root", ca=True)
    crowd = (issue("Leaf", root).der,) * 300 + (root.der,) * 300
    check_case(replace(case, certificates=crowd), READER)
    assert 300 <= tried <= 300 * 16


def test_nobody_vouches_for_it_without_an_anchor_or_a_head() -> None:
    log, case = small_case(KEY)
    alone = check_case(case, HeadReader(None))
    assert not alone.trusted
    assert "unvouched" in reasons(alone.notes)
    covered = check_case(case, HeadReader(None), elsewhere=[log.heads[0].head])
    assert covered.trusted
    assert [one.number for one in covered.covered] == [1]
    assert "unvouched" not in reasons(covered.notes)


# --- heads from elsewhere ----------------------------------------------------------------------------------------------


def _history(seed: int, key: RelayKey = KEY) -> tuple[MemoryLog, Proof]:
    log, _ = small_case(key, seed)
    (chain,) = log.chains()
    return log, prove(log, find(log, submissions(log, chain)[0].transport_id))


def test_a_relay_that_shows_the_checker_another_history_is_found_out() -> None:
    """The auditor kept a head; the proof that a party files leads to another one under the same number."""
    kept, _ = _history(1)
    _, proof = _history(2)
    checked = check_proof(proof, READER, elsewhere=[kept.heads[0].head])
    (fault,) = checked.faults
    assert fault.reason == "forked"
    assert fault.values["relay"] == "truc-a"
    assert (fault.values["number"], fault.values["other"]) == ("1", "1")
    assert "truc-a" in fault.text("vi")


def test_a_contradiction_that_anybody_could_have_written_is_no_proof_of_two_histories() -> None:
    kept, _ = _history(1)
    _, proof = _history(2)
    forged = SignedHead(kept.heads[0].head.text, b"{}")
    assert reasons(check_proof(proof, READER, elsewhere=[forged]).faults) == ["elsewhere-signature"]


def test_a_head_of_another_relay_is_passed_over_and_one_that_is_not_comparable_is_named() -> None:
    log, proof = _history(1)
    other, _ = _history(1, WITNESS)
    assert reasons(check_proof(proof, READER, elsewhere=[other.heads[0].head]).notes) == ["other-relay"]
    for _ in range(2):
        log.append(log.start("keeper"))
        log.seal(next(reversed(log.held)))
        log.sign()
    later = check_proof(proof, READER, elsewhere=[log.heads[2].head])
    assert reasons(later.notes) == ["unrelated"]
    assert not later.covered
    (chain, *_) = log.chains()
    made = prove(log, find(log, submissions(log, chain)[0].transport_id), [log.heads[2].head])
    assert [one.number for one in check_proof(made, READER, elsewhere=[log.heads[2].head]).covered] == [3]


def test_heads_by_themselves() -> None:
    """Whoever gets two heads needs no log: they follow from one another, or prove two histories."""
    log, _ = small_case(KEY, 1)
    for _ in range(3):
        log.append(log.start("keeper"))
        log.seal(next(reversed(log.held)))
        log.sign()
    heads = [one.head for one in log.heads]
    good = check_heads([*reversed(heads), heads[0]], READER)
    assert (good.ok, good.trusted) == (True, True)
    assert [head.number for head, _ in good.heads] == [1, 2, 3, 4]
    other, _ = _history(2)
    assert reasons(check_heads([*heads, other.heads[0].head], READER).faults).count("forked-heads") >= 1
    stranger, _ = _history(3, relay_key("truc-a"))
    mixed = check_heads([heads[0], stranger.heads[0].head], READER)
    assert reasons(mixed.faults) == ["forked-unvouched"]
    assert not mixed.trusted
    third, _ = _history(1, WITNESS)
    assert check_heads([*heads, third.heads[0].head], READER).ok
    with pytest.raises(RefusedError):
        check_heads([SignedHead(heads[0].text, heads[1].signature)], READER)


# --- what others say ---------------------------------------------------------------------------------------------------


def _stated(
    key: RelayKey, change: Callable[[bytes], bytes] = lambda text: text, by: str = ""
) -> tuple[Any, datetime]:
    """A proof over a head about which somebody has said something."""
    log, case = small_case(KEY)
    head = log.heads[0].head
    text = change(h.statement_text(by or key.relay, head.text, log.now))
    statement = SignedStatement(text, key.sign(text, h.STATEMENT_TYPE))
    log.heads[0] = Checkpoint(head, statements=(statement,))
    return case_of(log, case.transport_id), log.now


def test_what_a_witness_says_of_a_head_is_judged() -> None:
    case, at = _stated(WITNESS)
    checked = check_case(case, READER)
    (seen,) = checked.witnesses
    assert (seen.witness, seen.head, seen.at, seen.trusted) == ("truc-b", 1, at, True)
    assert seen.certificate == WITNESS.sha256
    unknown = check_case(case, HeadReader(None, frozenset({KEY.sha256})))
    assert unknown.ok
    assert "unvouched-witness" in reasons(unknown.notes)
    assert [one.trusted for one in unknown.witnesses] == [False]


@pytest.mark.parametrize(
    ("key", "change", "by"),
    [
        (WITNESS, lambda text: text.replace(b"\nsize ", b"\nsize 9"), "truc-c"),  # signed by another
        (WITNESS, lambda text: text[: text.index(b"head ") + 5] + b"0" * 64 + text[-33:], ""),  # another head
        (KEY, lambda text: text, ""),  # its own witness
    ],
)
def test_a_statement_that_says_nothing_about_this_head_is_a_fault(
    key: RelayKey, change: Callable[[bytes], bytes], by: str
) -> None:
    case, _ = _stated(key, change, by)
    checked = check_case(case, READER)
    assert reasons(checked.faults) == ["statement"]
    assert checked.witnesses == ()


def test_time_stamps_are_told_with_their_time_and_authority_or_said_to_be_unread() -> None:
    log, case = small_case(KEY)
    log.heads[0] = Checkpoint(log.heads[0].head, time_stamps=(b"token",))
    case = case_of(log, case.transport_id)
    asked: list[tuple[bytes, bytes]] = []
    leaf = read_pem(KEY.pem.decode())
    when = datetime(2026, 1, 5, 3, 0, tzinfo=UTC)

    def judge(token: bytes, text: bytes) -> Stamped:
        asked.append((token, text))
        return Stamped(when, 1, "1.2.3", leaf, None)

    (seen,) = check_case(case, READER, stamps=judge).time_stamps
    assert (seen.head, seen.at, seen.authority) == (1, when, leaf.subject)
    assert asked == [(b"token", log.heads[0].head.text)]
    assert "unread-stamp" in reasons(check_case(case, READER).notes)

    def refuse(token: bytes, text: bytes) -> Stamped:
        raise RefusedError(Code.TIME_STAMP_INVALID, "of another text")

    assert reasons(check_case(case, READER, stamps=refuse).faults) == ["stamp"]
