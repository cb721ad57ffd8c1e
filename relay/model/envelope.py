"""What a signed package says, read from the signed view by a format and by nobody else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from relay.model.message import Kind


class Recipient(NamedTuple):
    """One addressee: the code as written in the package and its normal form."""

    written: str
    code: str


@dataclass(frozen=True, slots=True)
class Reference:
    """Which document a status (or a later document) speaks of, by its business identity."""

    sender: str
    """Normal code of the agency that sent the document meant; empty if the package does not tell."""
    document_id: str
    code: str  # "number/notation"
    promulgation_date: str  # as written, yyyy/MM/dd


class Envelope(NamedTuple):
    """The addressed facts of a document or status, all of them signed."""

    kind: Kind
    sender: str  # normal form
    sender_written: str
    recipients: tuple[Recipient, ...]  # of a status: the one addressee
    document_id: str
    code_number: str = ""
    code_notation: str = ""
    promulgation_date: str = ""
    subject: str = ""  # never logged
    priority: int = 0  # 0 normal ... 4; anything odd counts as 0
    business_type: int = 0  # 0 new, 1 revocation, 2 update, 3 replacement
    status_code: str = ""  # of a status: "01" ... "16"
    description: str = ""  # of a status: the reason
    timestamp: str = ""  # of a status: yyyy/MM/dd HH:mm:ss, Vietnam time
    refers_to: Reference | None = None
    speaks_of: tuple[str, ...] = ()
    """Document ids that a revocation, update or replacement names; of its own sender's documents."""
    notes: tuple[str, ...] = ()  # harmless oddities, in English, for the verdict's detail

    @property
    def urgent(self) -> bool:
        """Whether the signed Priority allows the urgent lane."""
        return self.kind is Kind.EDOC and self.priority >= 1


class StatusCode(StrEnum):
    """edXML status codes; 07-12 and 14 do not exist."""

    ARRIVED = "01"
    REFUSED = "02"
    ACCEPTED = "03"
    ASSIGNED = "04"
    PROCESSING = "05"
    FINISHED = "06"
    TAKE_BACK = "13"
    AGREED = "15"
    DECLINED = "16"
