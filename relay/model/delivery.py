"""A delivery: one document for one resolved recipient, and the one table of its allowed moves."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from relay.errors import Code
from relay.model.levels import Level

TRUC_NS: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:truc:delivery")


def delivery_id(sender: str, body_sha256: str, recipient: str) -> str:
    """Return the id of the delivery of these bytes from ``sender`` to ``recipient`` (normal codes, hex digest)."""
    return str(uuid.uuid5(TRUC_NS, f"{sender}\n{body_sha256}\n{recipient}"))


class State(StrEnum):
    """States of a delivery. *deferred* is PLANNED with a due time; *overdue* is a notice, not a state."""

    PLANNED = "planned"
    QUEUED = "queued"
    DELIVERED = "delivered"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


ENDED: Final = frozenset({State.DELIVERED, State.REFUSED, State.WITHDRAWN})

MOVES: Final[dict[State, frozenset[State]]] = {
    # back to PLANNED from QUEUED only when the broker lost its data (BODY-LOST)
    State.PLANNED: frozenset({State.QUEUED, State.REFUSED, State.WITHDRAWN, State.DELIVERED}),
    State.QUEUED: frozenset({State.DELIVERED, State.PLANNED}),
    State.DELIVERED: frozenset(),
    State.REFUSED: frozenset(),
    State.WITHDRAWN: frozenset(),
}
"""PLANNED to DELIVERED: a recipient's status may overtake our own commit after a crash between confirm and T2."""

BY_DROP: Final = frozenset({State.PLANNED, State.QUEUED})
"""What ends as refused when an operator drops the message from quarantine; ``MOVES`` does not know it. The body then
stands in no agency's queue any more, so nobody can take what was refused."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery as the registry knows it."""

    delivery_id: str
    written: str  # recipient code as written in the package
    recipient: str  # resolved normal code; the written one's normal form when nothing was resolved
    level: Level | None  # None when refused before routing
    state: State
    code: Code | None = None  # why refused, withdrawn or deferred
    at: datetime | None = None  # of the state
    due_at: datetime | None = None  # set while deferred
    attempt: int = 0
    detail: str = ""  # e.g. the candidates of a closed code

    @property
    def open(self) -> bool:
        """Whether the relay still has to publish it."""
        return self.state is State.PLANNED
