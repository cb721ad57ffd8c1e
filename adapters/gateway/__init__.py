"""A gateway's side of the broker contract, as a library: ``Gateway`` over a ``Link`` and a ``Mailbox``."""

from adapters.gateway.client import Account, Gateway
from adapters.gateway.link import AmqpLink
from adapters.gateway.ports import (
    Arrived,
    Link,
    OutState,
    ReceiptFacts,
    ReceiptLine,
    StatusDraft,
    StoredReceipt,
    Submission,
    Taken,
)
from adapters.gateway.store import Mailbox

__all__ = [
    "Account",
    "AmqpLink",
    "Arrived",
    "Gateway",
    "Link",
    "Mailbox",
    "OutState",
    "ReceiptFacts",
    "ReceiptLine",
    "StatusDraft",
    "StoredReceipt",
    "Submission",
    "Taken",
]
