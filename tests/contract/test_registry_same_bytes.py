"""Same bytes under another id complete what is open; T2 says when a receipt was not stored; a stop gives leases back."""

from __future__ import annotations

import asyncio

from relay.model.delivery import State
from relay.model.ports import Registry
from relay.model.receipt import ReceiptKind
from relay.model.record import Claimed, Move, NewReceipt, Settled, Settlement
from relay.registry import GroupCommitter, SqlRegistry, memory_registry
from tests.support.registry import START, Maker, accepted, at


class Still:
    """A clock that stands."""

    def now(self) -> object:
        return START

    def monotonic(self) -> float:
        return 0.0


def test_open_deliveries_of_the_first_submission_come_along_unless_somebody_is_at_them(
    registry: Registry, make: Maker
) -> None:
    claim = make.claim("a")
    (first,) = registry.claim([claim], "w1", START)
    assert first.document
    (busy,) = registry.claim([make.claim("a")], "w2", at(1))
    assert (busy.outcome, busy.completes) == (Claimed.SAME_CONTENT, False)
    gone, kept = claim.deliveries
    moves = (
        Move(gone.delivery_id, State.QUEUED, at(2)),
        Move(kept.delivery_id, State.PLANNED, at(2), due_at=at(7)),
    )
    assert registry.settle([Settlement(first.document.row, moves)], "w1", at(2)) == [Settled.DONE]
    again = make.claim("a")
    (taken,) = registry.claim([again], "w2", at(3))
    assert (taken.outcome, taken.completes) == (Claimed.SAME_CONTENT, True)
    assert registry.claim([claim], "w3", at(4))[0].outcome is Claimed.BUSY
    (resumed,) = registry.claim([again], "w3", at(60))  # w2 has died
    assert (resumed.outcome, resumed.completes) == (Claimed.RESUMED, True)
    done = Settlement(first.document.row, (Move(kept.delivery_id, State.QUEUED, at(61)),))
    assert registry.settle([done], "w3", at(61)) == [Settled.DONE]
    (late,) = registry.claim([make.claim("a")], "w4", at(62))
    assert late.completes is False


def test_a_receipt_that_was_not_stored_is_named(registry: Registry, make: Maker) -> None:
    row = accepted(registry, make, make.claim("a"))
    ends = [NewReceipt(make.receipt(kind=ReceiptKind.OUTCOME), row, final=True) for _ in range(2)]
    refusals = [
        NewReceipt(make.receipt(), None, user="H26", transport_id="t", body_sha256="00") for _ in range(2)
    ]
    for first, second in (ends, refusals):
        assert registry.settle([Settlement(None, receipts=(first,))], "w1", START) == [Settled.DONE]
        assert registry.settle([Settlement(None, receipts=(second,))], "w1", START) == [Settled.PARTLY]
        numbers = [first.receipt.number, second.receipt.number, "w9-9"]
        assert registry.stored(numbers) == {first.receipt.number}


def test_a_clean_stop_gives_the_leases_back(make: Maker) -> None:
    store: SqlRegistry = memory_registry()
    claim = make.claim("a")
    shared: list[tuple[float, int]] = []

    async def main() -> None:
        clock = Still()
        group = GroupCommitter(store, "w1", clock, on_commit=lambda s, n: shared.append((s, n)))  # type: ignore[arg-type]
        group.start()
        assert (await group.claim(claim)).outcome is Claimed.NEW
        assert store.claim([claim], "w2", START)[0].outcome is Claimed.BUSY
        await group.stop()

    asyncio.run(main())
    assert store.claim([claim], "w2", START)[0].outcome is Claimed.RESUMED
    assert [count for _, count in shared] == [1]
