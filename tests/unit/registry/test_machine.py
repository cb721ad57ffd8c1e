"""Two workers, a keeper, recipients and a clock in any order, against a model that a person can hold in mind."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from relay.errors import Code
from relay.model.delivery import ENDED, State
from relay.model.envelope import Reference, StatusCode
from relay.model.receipt import ReceiptKind
from relay.model.record import Claim, Claimed, Move, NewReceipt, Settled, Settlement, StatusQuery
from tests.support.registry import Maker, at
from tests.support.shelf import LEASE, Shelf

WORKERS = ("w1", "w2")
RECIPIENTS = ("H29", "H53")
SHELF = Shelf()


@dataclass
class Known:
    """What the model believes of one document."""

    claim: Claim
    row: int
    owner: str | None = None
    settled: bool = False
    states: dict[str, State] = field(default_factory=dict)
    finals: list[str] = field(default_factory=list)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.over = False
        self.registry = SHELF.take(self)
        self.make = Maker()
        self.seconds = 0.0
        self.beats: dict[str, float] = {}
        self.known: dict[int, Known] = {}
        self.claims = [self.make.claim(f"d{number}", recipients=RECIPIENTS) for number in range(3)]

    def teardown(self) -> None:
        self.over = True

    def live(self, owner: str | None) -> bool:
        return owner is not None and self.seconds - self.beats.get(owner, float("-inf")) < LEASE

    @rule(seconds=st.sampled_from([0.5, 4.0, 11.0]))
    def time_passes(self, seconds: float) -> None:
        self.seconds += seconds

    @rule(worker=st.sampled_from(WORKERS))
    def heartbeat(self, worker: str) -> None:
        self.registry.heartbeat(worker, at(self.seconds))
        self.beats[worker] = self.seconds

    @rule(worker=st.sampled_from(WORKERS))
    def stops(self, worker: str) -> None:
        self.registry.release(worker)
        self.beats.pop(worker, None)

    @rule(worker=st.sampled_from(WORKERS), which=st.lists(st.integers(0, 2), min_size=1, max_size=4))
    def claim(self, worker: str, which: list[int]) -> None:
        batch = [self.claims[number] for number in which]
        self.beats[worker] = self.seconds
        results = self.registry.claim(batch, worker, at(self.seconds))
        for number, result in zip(which, results, strict=True):
            known = self.known.get(number)
            if known is None:
                assert result.outcome is Claimed.NEW
                assert result.document
                states = {item.delivery_id: State.PLANNED for item in self.claims[number].deliveries}
                self.known[number] = Known(self.claims[number], result.document.row, worker, states=states)
            elif self.live(known.owner) or known.owner == worker:
                assert result.outcome is Claimed.BUSY
            elif known.settled and State.PLANNED not in known.states.values():
                assert result.outcome is Claimed.REPEATED
                assert result.receipts
            else:
                assert result.outcome is Claimed.RESUMED
                known.owner = worker

    @rule(
        worker=st.sampled_from(WORKERS),
        number=st.integers(0, 2),
        aims=st.tuples(*[st.sampled_from([State.QUEUED, State.PLANNED, State.REFUSED])] * 2),
        final=st.booleans(),
    )
    def settle(self, worker: str, number: int, aims: tuple[State, State], final: bool) -> None:
        known = self.known.get(number)
        if known is None:
            return
        due = at(self.seconds + 60)
        moves = tuple(
            Move(
                item.delivery_id,
                target,
                at(self.seconds),
                Code.QUEUE_FULL,
                due if target is State.PLANNED else None,
            )
            for item, target in zip(known.claim.deliveries, aims, strict=True)
        )
        receipt = NewReceipt(self.make.receipt(kind=ReceiptKind.OUTCOME), known.row, final=final)
        (answer,) = self.registry.settle([Settlement(known.row, moves, (receipt,))], worker, at(self.seconds))
        assert (answer is Settled.LOST) == (known.owner != worker)
        if answer is Settled.LOST:
            return
        known.owner, known.settled = None, True
        for move in moves:
            if known.states[move.delivery_id] is State.PLANNED:
                known.states[move.delivery_id] = move.state
        if final:
            known.finals.append(receipt.receipt.number)

    @rule(number=st.integers(0, 2), recipient=st.sampled_from(RECIPIENTS), reporter=st.sampled_from(WORKERS))
    def status(self, number: int, recipient: str, reporter: str) -> None:
        known = self.known.get(number)
        if known is None:
            return
        query = StatusQuery(recipient, "H26", Reference("", known.claim.document_id, "", ""), None)
        (found,) = self.registry.candidates(query)
        status = self.make.status(found, StatusCode.ARRIVED, reporter=recipient, now=at(self.seconds))
        self.beats[reporter] = self.seconds
        (result,) = self.registry.claim([status], reporter, at(self.seconds))
        assert result.outcome is Claimed.NEW
        if known.states[found.delivery.delivery_id] in {State.PLANNED, State.QUEUED}:
            known.states[found.delivery.delivery_id] = State.DELIVERED

    @rule(worker=st.sampled_from(WORKERS), number=st.integers(0, 2))
    def lets_go(self, worker: str, number: int) -> None:
        known = self.known.get(number)
        if known is None:
            return
        self.registry.abandon([known.row], worker)
        if known.owner == worker:
            known.owner = None

    @rule(number=st.integers(0, 2))
    def keeper_gives_up(self, number: int) -> None:
        known = self.known.get(number)
        if known is None:
            return
        planned = [which for which, state in known.states.items() if state is State.PLANNED]
        moves = tuple(Move(which, State.REFUSED, at(self.seconds), Code.UNDELIVERABLE) for which in planned)
        told = (NewReceipt(self.make.receipt(kind=ReceiptKind.OUTCOME), known.row),) if moves else ()
        done = self.registry.notice(Settlement(known.row, moves, told), at(self.seconds))
        assert done == (not self.live(known.owner))
        if done:
            known.states.update(dict.fromkeys(planned, State.REFUSED))
            if moves and not known.settled:  # whoever should have settled it is dead
                known.settled, known.owner = True, None

    @invariant()
    def what_is_stored_is_what_the_model_knows(self) -> None:
        for known in self.known.values():
            document = self.registry.document(known.row)
            assert document
            assert {item.delivery_id: item.state for item in document.deliveries} == known.states
            assert document.settled == known.settled
            assert document.finished == bool(known.finals)
            finals = [item for item in self.registry.receipts(known.row) if item.number in known.finals]
            assert [item.number for item in finals] == known.finals[:1]
        ended = {
            known.row
            for known in self.known.values()
            if known.settled and not known.finals and set(known.states.values()) <= ENDED
        }
        assert {document.row for document in self.registry.unfinished_outcomes(9)} == ended


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
