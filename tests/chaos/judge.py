"""The judge: what the recipients' queues gave, what the senders were told; the registry only for outcomes."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.office import Arrival, Post, Town, check_receipts


@dataclass(frozen=True)
class Verdict:
    """What was counted."""

    documents: int
    deliveries: int
    copies: int  # further copies on the wire, beyond the first of each delivery
    redelivered: int  # the broker's own second tries
    again: int  # submissions beyond the first

    def __str__(self) -> str:
        return (
            f"{self.documents} documents, {self.deliveries} deliveries, {self.copies} copies, "
            f"{self.redelivered} redelivered, {self.again} sent again"
        )


def judge(town: Town, post: Post, registry: Path, *, allowed: int = 0) -> Verdict:
    """Fail unless each (document, recipient) ended once and all was told; ``allowed``: copies on the wire."""
    by_delivery: dict[tuple[str, str], list[Arrival]] = defaultdict(list)
    for arrival in town.arrivals():
        if arrival.kind == "edoc":
            by_delivery[arrival.transport_id, arrival.recipient].append(arrival)
    wanted = {
        (letter.transport_id, recipient): letter for _, letter in post.sent for recipient in letter.recipients
    }
    missing = [key for key in wanted if key not in by_delivery]
    assert not missing, f"{len(missing)} deliveries never arrived, e.g. {missing[:3]}"
    copies = redelivered = 0
    seen_ids: dict[str, tuple[str, str]] = {}
    for key, letter in wanted.items():
        found = by_delivery[key]
        wrong = [
            each for each in found if each.sha256 != letter.sha256 or each.claimed_sha256 != letter.sha256
        ]
        assert not wrong, f"other bytes than were signed arrived for {key}"
        ids = {each.delivery_id for each in found}
        assert len(ids) == 1, f"{key} came under {len(ids)} delivery ids: processed twice"
        assert seen_ids.setdefault(ids.pop(), key) == key, "one delivery id for two deliveries"
        fresh = sum(not each.redelivered for each in found)
        copies += max(fresh - 1, 0)
        redelivered += len(found) - fresh
    assert copies <= allowed, f"{copies} copies on the wire, at most {allowed} are explained"
    _judge_receipts(town, post)
    _judge_registry(post, registry)
    again = sum(max(letter.times - 1, 0) for _, letter in post.sent)
    return Verdict(len(post.sent), len(wanted), copies, redelivered, again)


def _judge_receipts(town: Town, post: Post) -> None:
    for code, letter in post.sent:
        office = town.offices[code]
        receipts = office.receipts[letter.transport_id]
        check_receipts(receipts, town.sandbox)
        assert office.acknowledged(letter.transport_id), f"{letter.transport_id} has no acknowledgement"
        assert office.final(letter.transport_id), f"{letter.transport_id} has no final outcome"
        told: dict[str, set[str]] = defaultdict(set)
        for receipt in receipts:
            bad = [line for line in receipt.lines if line.state in {"refused", "withdrawn", "held"}]
            assert not bad, f"{letter.transport_id}: told {bad[0].state} {bad[0].outcome_code}"
            assert receipt.result == "accepted", (
                f"{letter.transport_id}: {receipt.kind} refused, {receipt.code}"
            )
            told[receipt.kind].add(receipt.number)
        assert len(told["acknowledgement"]) == 1, f"{letter.transport_id} has two acknowledgements: {told}"
    sent = {letter.transport_id for _, letter in post.sent}
    for office in town.offices.values():
        for transport_id, receipts in office.receipts.items():
            if transport_id in sent:
                continue
            refused = [each.code for each in receipts if each.result != "accepted"]
            assert not refused, f"{office.code}'s status was refused: {refused}"


def _judge_registry(post: Post, registry: Path) -> None:
    """Each (document, recipient) has one row and it says *delivered*. Read-only, by plain SQL."""
    connection = sqlite3.connect(f"file:{registry}?mode=ro", uri=True, timeout=10)
    try:
        rows = connection.execute(
            "SELECT d.transport_id, v.recipient, v.state FROM documents d JOIN deliveries v ON v.document = d.id"
        ).fetchall()
        held = connection.execute("SELECT code FROM held WHERE released_at IS NULL").fetchall()
    finally:
        connection.close()
    states: dict[tuple[str, str], list[str]] = defaultdict(list)
    for transport_id, recipient, state in rows:
        states[transport_id, recipient].append(state)
    wrong = Counter(
        str(states[letter.transport_id, recipient])
        for _, letter in post.sent
        for recipient in letter.recipients
        if states[letter.transport_id, recipient] != ["delivered"]
    )
    assert not wrong, f"outcomes in the registry: {dict(wrong)}"
    assert not held, f"quarantined: {held}"
