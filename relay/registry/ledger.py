"""What the registry holds that has to be on record: read slice by slice, to be held against the log."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final

from sqlalchemy import Connection, func, select, tuple_

from relay.model.delivery import State
from relay.model.evidence import LedgerDelivery, LedgerReceipt
from relay.registry.rows import from_us
from relay.registry.schema import deliveries, documents, receipt_bodies, receipts

_SLICE: Final = 2000  # rows in one read: no reader holds a transaction for long


class SqlLedger:
    """``relay.model.evidence.Ledger``; made by a registry, whose transactions it uses."""

    def __init__(self, read: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._read = read

    def receipts(self) -> Iterator[LedgerReceipt]:
        """Yield every receipt in the order of being stored."""
        last = 0
        while True:
            query = (
                select(
                    receipts.c.id,
                    receipts.c.series,
                    receipts.c.serial,
                    receipts.c.correlation_id,
                    receipts.c.at,
                    receipt_bodies.c.body,
                )
                .join(receipt_bodies, receipt_bodies.c.receipt == receipts.c.id)
                .where(receipts.c.id > last)
                .order_by(receipts.c.id)
                .limit(_SLICE)
            )
            with self._read() as connection:
                found = connection.execute(query).all()
            for row in found:
                # SQLite keeps what is written: what somebody put there by hand may be no octets
                body = row.body if isinstance(row.body, bytes) else str(row.body).encode()
                yield LedgerReceipt(
                    f"{row.series}-{row.serial}",
                    row.correlation_id or "",
                    hashlib.sha256(body).hexdigest(),
                    from_us(row.at),
                )
            if len(found) < _SLICE:
                return
            last = found[-1].id

    def deliveries(self) -> Iterator[LedgerDelivery]:
        """Yield every delivery, document by document."""
        last = (0, "")
        key = (deliveries.c.document, deliveries.c.delivery_id)
        while True:
            query = (
                select(
                    *key,
                    deliveries.c.state,
                    documents.c.transport_id,
                    func.coalesce(deliveries.c.at, documents.c.accepted_at).label("moment"),
                )
                .join(documents, documents.c.id == deliveries.c.document)
                .where(tuple_(*key) > tuple_(*last))
                .order_by(*key)
                .limit(_SLICE)
            )
            with self._read() as connection:
                found = connection.execute(query).all()
            for row in found:
                yield LedgerDelivery(row.delivery_id, row.transport_id, State(row.state), from_us(row.moment))
            if len(found) < _SLICE:
                return
            last = (found[-1].document, found[-1].delivery_id)
