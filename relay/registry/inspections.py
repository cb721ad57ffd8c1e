"""What was found in the attachments of a document: told once, known to whoever holds a delivery for it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from relay.model.inspection import InspectionResult
from relay.model.record import NewReceipt
from relay.registry import dialect
from relay.registry.journal import Journal
from relay.registry.schema import inspections
from relay.registry.settle import store_receipts


def tell(
    connection: Connection,
    document: int,
    result: InspectionResult,
    receipts: Sequence[NewReceipt],
    now: int,
    journal: Journal,
) -> bool:
    """Store the result with its receipts; False, and nothing stored, if it was told before."""
    if not dialect.insert_new(
        connection, inspections, {"document": document, "result": result.value, "at": now}
    ):
        return False
    store_receipts(connection, receipts, journal)
    return True


def result_of(connection: Connection, document: int) -> InspectionResult | None:
    """Return the result; None before it is known."""
    found = connection.execute(
        select(inspections.c.result).where(inspections.c.document == document)
    ).scalar_one_or_none()
    return None if found is None else InspectionResult(found)
