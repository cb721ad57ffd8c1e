"""The registry held against the log: a receipt or a delivery that is not on record, and a record that nothing stands for.

The log binds what was recorded; that everything was recorded, only this shows. It takes the registry at its word for what
exists, so it finds a mistake, and a clumsy hand, not somebody who changes both.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from relay.errors import RefusedError
from relay.evidence.faults import Fault, FaultKind, What
from relay.evidence.record import decode
from relay.model.delivery import ENDED, State
from relay.model.evidence import (
    Deliveries,
    Ledger,
    LogReader,
    ReceiptSealed,
    Record,
    RecordKind,
    Submission,
)
from relay.model.times import rfc3339

_ORDER: Final = tuple(State)
_LOOKS: Final = 6  # a delivery moves less often than that


class Tally:
    """Collects from the log what the registry should hold; give ``seen`` to the verifier, then ask ``settle``."""

    def __init__(self) -> None:
        self._receipts: dict[str, bytes] = {}
        self._twice: list[str] = []
        self._deliveries: dict[str, int] = {}  # id: a bit for each state that is on record
        self._began: datetime | None = None
        self._ends: dict[uuid.UUID, int] = {}  # of each chain: the last record that was taken

    def seen(self, chain: uuid.UUID, record: Record) -> None:
        """Take one record."""
        self._ends[chain] = max(record.seq, self._ends.get(chain, 0))
        if self._began is None or record.at < self._began:
            self._began = record.at
        facts = record.facts
        if isinstance(facts, ReceiptSealed):
            if facts.number in self._receipts:
                self._twice.append(facts.number)
            self._receipts[facts.number] = bytes.fromhex(facts.sha256)
        elif isinstance(facts, Submission):
            if record.kind != RecordKind.REFUSAL:
                for line in facts.lines:
                    self._note(line.delivery_id, line.state)
            if facts.effect is not None and facts.effect.move_to is not None:
                self._note(facts.effect.delivery_id, facts.effect.move_to)
        elif isinstance(facts, Deliveries):
            for move in facts.moves:
                self._note(move.delivery_id, move.state)

    def _note(self, delivery_id: str, state: State) -> None:
        self._deliveries[delivery_id] = self._deliveries.get(delivery_id, 0) | 1 << _ORDER.index(state)

    def settle(self, ledger: Ledger, log: LogReader) -> tuple[list[Fault], int]:
        """Hold the registry against the log while both may grow.

        What was committed between reading the one and the other differs, but only once: a difference counts if it stands
        in each of several looks, with the log read on before each. Times play no part, so that no clock that jumped hides
        anything.

        Args:
            ledger: the registry.
            log: where the records came from.

        Returns:
            As ``compare``.
        """
        faults, before = self.compare(ledger)
        for _ in range(_LOOKS - 1):
            if not faults:
                break
            self._read_on(log)
            again, before = self.compare(ledger)
            stands = {(one.kind, one.what, one.name) for one in again}
            faults = [one for one in faults if (one.kind, one.what, one.name) in stands]
        return faults, before

    def _read_on(self, log: LogReader) -> None:
        for chain in log.chains():
            try:
                for octets in log.records(chain, self._ends.get(chain, 0) + 1):
                    self.seen(chain, decode(octets))
            except RefusedError:
                continue  # the verifier has named it

    def compare(self, ledger: Ledger) -> tuple[list[Fault], int]:
        """Hold the registry, as it stands now, against what was collected.

        Args:
            ledger: the registry.

        Returns:
            The faults, and how many receipts and deliveries are older than the log itself (a relay that had none yet).
        """
        faults = [
            _fault(FaultKind.CONTRADICTED, What.RECEIPT, each, "other", recorded="twice", stored="once")
            for each in self._twice
        ]
        before = 0
        rest = dict(self._receipts)
        for receipt in ledger.receipts():
            recorded = rest.pop(receipt.number, None)
            if recorded is None and self._older(receipt.at):
                before += 1
            elif recorded is None:
                faults.append(_fault(FaultKind.UNRECORDED, What.RECEIPT, receipt.number, "no-record"))
            elif recorded.hex() != receipt.sha256:
                faults.append(
                    _fault(
                        FaultKind.CONTRADICTED,
                        What.RECEIPT,
                        receipt.number,
                        "other",
                        recorded=recorded.hex(),
                        stored=receipt.sha256,
                    )
                )
        faults += [_fault(FaultKind.UNREGISTERED, What.RECEIPT, number, "no-row") for number in rest]
        states = dict(self._deliveries)
        for delivery in ledger.deliveries():
            known = states.pop(delivery.delivery_id, None)
            if known is None and self._older(delivery.at):
                before += 1
            elif known is None:
                faults.append(_fault(FaultKind.UNRECORDED, What.DELIVERY, delivery.delivery_id, "no-record"))
            elif not _agrees(known, delivery.state):
                faults.append(
                    _fault(
                        FaultKind.CONTRADICTED,
                        What.DELIVERY,
                        delivery.delivery_id,
                        "other",
                        recorded=", ".join(_states(known)),
                        stored=f"{delivery.state.value} ({rfc3339(delivery.at)})",
                    )
                )
        faults += [_fault(FaultKind.UNREGISTERED, What.DELIVERY, each, "no-row") for each in states]
        return faults, before

    def _older(self, at: datetime) -> bool:
        return self._began is None or at < self._began


def _agrees(known: int, state: State) -> bool:
    ended = known & sum(1 << _ORDER.index(one) for one in ENDED)
    return bool(known & 1 << _ORDER.index(state)) and (state in ENDED or not ended)


def _states(known: int) -> Iterable[str]:
    return (state.value for at, state in enumerate(_ORDER) if known & 1 << at)


def _fault(kind: FaultKind, what: What, name: str, reason: str, **values: str) -> Fault:
    return Fault(kind, what, name, reason, values=values)
