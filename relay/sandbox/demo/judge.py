"""Lost and duplicated, counted from what was sent and what the readers saw. Pure; knows nothing of the relay's state.

- A pair (document or status, recipient) is *lost* while its delivery id has not come out of a queue with the very
  bytes that were sent. A submission is lost to its sender while the sender has no acknowledgement, has not been told
  how each recipient ended, lacks a status that a recipient owes it, or lacks a notice that is due.
- A delivery id that came out of the queues more than once is *duplicated*: the demo makes no fault, so there is no
  excuse for a second copy.
- What else is not as it must be (an unexpected delivery, another code, a bad signature, held mail) is a *fault*.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from relay.model.delivery import ENDED
from relay.model.message import Kind
from relay.model.receipt import ReceiptKind
from relay.sandbox.demo.records import Record, Seen, Sent, Told

_ENDED: Final = frozenset(state.value for state in ENDED)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The result of a demo. The three lists hold one line for each case."""

    documents: int  # submissions of a document under an id of their own, wrong ones too
    deliveries: int  # (document, recipient) that arrived with the bytes that were sent
    acknowledgements: int  # different ones about documents that senders have
    outcomes: int
    statuses: int  # (status, recipient) that arrived
    expected: int  # things that had to come
    lost: tuple[str, ...]
    duplicated: tuple[str, ...]
    faults: tuple[str, ...]

    @property
    def receipts(self) -> int:
        """Acknowledgements and outcomes."""
        return self.acknowledgements + self.outcomes

    @property
    def holds(self) -> bool:
        """Whether everything is as it must be."""
        return not (self.lost or self.duplicated or self.faults)

    @property
    def line(self) -> str:
        """The one line that scripts read."""
        return (
            f"demo: {self.documents} documents, {self.deliveries} deliveries, {self.receipts} receipts, "
            f"lost {len(self.lost)}, duplicated {len(self.duplicated)}"
        )


def judge(record: Record) -> Judgement:
    """Return what a record amounts to."""
    seen: dict[str, list[Seen]] = defaultdict(list)
    for copy in record.seen:
        seen[copy.delivery_id].append(copy)
    told: dict[tuple[str, str], list[Told]] = defaultdict(list)
    for receipt in record.told:
        told[receipt.transport_id, receipt.body_sha256].append(receipt)
    statuses = _statuses(record.sent)

    pairs: dict[str, tuple[Sent, str]] = {}
    for item in record.sent:
        for one, recipient in item.deliveries.items():
            pairs.setdefault(one, (item, recipient))
    arrived = {one: pair for one, pair in pairs.items() if _arrived(*pair, seen.get(one, ()))}
    lost = [
        f"{_name(item)}: never reached {code}" for one, (item, code) in pairs.items() if one not in arrived
    ]
    expected = len(pairs)
    faults: list[str] = []
    for item in record.sent:
        if item.kind is Kind.EDOC:
            missing = list(_missing(item, told.get((item.transport_id, item.sha256), []), statuses))
            expected += _due(item)
            lost += missing
            faults += _surprises(item, told.get((item.transport_id, item.sha256), []))
    known = {(item.transport_id, item.sha256) for item in record.sent}
    faults += _strange(record, pairs, known)
    counted = {
        (receipt.number, receipt.kind)
        for receipt in record.told
        if not receipt.fault and receipt.document_kind == Kind.EDOC
    }
    kinds = Counter(kind for _, kind in counted)
    return Judgement(
        documents=len({(item.sender, item.transport_id) for item in record.sent if item.kind is Kind.EDOC}),
        deliveries=sum(item.kind is Kind.EDOC for item, _ in arrived.values()),
        acknowledgements=kinds[ReceiptKind.ACKNOWLEDGEMENT.value],
        outcomes=kinds[ReceiptKind.OUTCOME.value],
        statuses=sum(item.kind is Kind.STATUS for item, _ in arrived.values()),
        expected=expected,
        lost=tuple(lost),
        duplicated=tuple(
            f"{copies[0].sender} {copies[0].transport_id}: {len(copies)} copies for {copies[0].recipient}"
            for copies in seen.values()
            if len(copies) > 1
        ),
        faults=tuple(faults),
    )


def _arrived(item: Sent, recipient: str, copies: Iterable[Seen]) -> bool:
    return any(
        copy.sha256 == item.sha256 and copy.size == item.size and copy.recipient == recipient
        for copy in copies
    )


def _statuses(sent: Iterable[Sent]) -> Counter[tuple[str, str]]:
    """Return how many statuses each agency has sent about each document."""
    return Counter((item.about, item.sender) for item in sent if item.kind is Kind.STATUS)


def _missing(item: Sent, told: list[Told], statuses: Counter[tuple[str, str]]) -> Iterator[str]:
    """Yield what the sender of a document still lacks, apart from what stands in the queues as deliveries."""
    good = [receipt for receipt in told if not receipt.fault]
    if item.again:
        if not any(receipt.repeated for receipt in good):
            yield f"{_name(item)}: its first receipt did not come again"
        return
    if not any(receipt.kind == ReceiptKind.ACKNOWLEDGEMENT for receipt in good):
        yield f"{_name(item)}: no acknowledgement"
    ended = {line.code for receipt in good for line in receipt.lines if line.state in _ENDED} | {
        line.resolved for receipt in good for line in receipt.lines if line.state in _ENDED
    }
    if not ended.issuperset(item.reaches) and not item.refusal:
        yield f"{_name(item)}: {item.sender} was not told how it ended"
    for notice in item.notices:
        if not any(receipt.kind == ReceiptKind.OUTCOME and receipt.code == notice for receipt in good):
            yield f"{_name(item)}: no notice {notice}"
    for recipient, owed in item.answers.items():
        if statuses[item.transport_id, recipient] < owed:
            yield f"{_name(item)}: {recipient} has not answered"


def _due(item: Sent) -> int:
    """Return how many lines ``_missing`` can yield at most."""
    return 1 if item.again else 1 + (not item.refusal) + len(item.notices) + len(item.answers)


def _surprises(item: Sent, told: list[Told]) -> Iterator[str]:
    """Yield where a receipt says another thing than it must."""
    finals = {receipt.number for receipt in told if receipt.kind == ReceiptKind.OUTCOME and not receipt.code}
    if len(finals) > 1:
        yield f"{_name(item)}: ended {len(finals)} times: {', '.join(sorted(finals))}"
    for receipt in told:
        if receipt.fault:
            yield f"{_name(item)}: receipt {receipt.number}: {receipt.fault}"
        elif receipt.kind == ReceiptKind.ACKNOWLEDGEMENT:
            if receipt.code != (item.refusal or item.code) and not item.again:
                yield f"{_name(item)}: acknowledged with {receipt.code or 'no code'}"
            if (receipt.result == "refused") != bool(item.refusal):
                yield f"{_name(item)}: {receipt.result}"
            refused = {line.code: line.outcome_code for line in receipt.lines if line.state == "refused"}
            if not item.refusal and refused != dict(item.refused):
                yield f"{_name(item)}: refused for {refused}"
        elif receipt.kind == ReceiptKind.OUTCOME and receipt.code and receipt.code not in item.notices:
            yield f"{_name(item)}: outcome {receipt.code}"


def _strange(
    record: Record, pairs: dict[str, tuple[Sent, str]], known: set[tuple[str, str]]
) -> Iterator[str]:
    """Yield what came out of the queues and was not to be."""
    for copy in record.seen:
        if copy.delivery_id not in pairs:
            yield f"{copy.sender} {copy.transport_id}: reached {copy.recipient}, which it must not"
        elif copy.sha256 != pairs[copy.delivery_id][0].sha256:
            yield f"{copy.sender} {copy.transport_id}: reached {copy.recipient} with other bytes"
    copies: dict[str, list[Told]] = defaultdict(list)
    for receipt in record.told:
        copies[receipt.number].append(receipt)
        if receipt.kind == ReceiptKind.HELD:
            yield f"{receipt.transport_id}: held, {receipt.code}"
        elif (receipt.transport_id, receipt.body_sha256) not in known:
            yield f"receipt {receipt.number} speaks of {receipt.transport_id}, which nobody sent"
        elif receipt.document_kind == Kind.STATUS:
            yield f"status {receipt.transport_id}: refused with {receipt.code}"
    for number, same in copies.items():
        if sum(not receipt.repeated for receipt in same) > 1 or len({receipt.sha256 for receipt in same}) > 1:
            yield f"receipt {number} came more than once without a mark, or with other bytes"


def _name(item: Sent) -> str:
    return f"{item.label or item.kind.value} {item.sender} {item.transport_id}"
