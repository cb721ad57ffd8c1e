"""Acts of operators: who changed what, when. Kept beside the documents, in the registry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Act:
    """One act. Holds no secret: it is shown to whoever may read the registry."""

    at: datetime  # UTC, aware
    who: str  # user of the operating system
    act: str  # one dotted word of a closed set: "user.suspend", "certificate.add", "quarantine.drop"
    subject: str  # what it was done to: an agency's code, an id
    detail: str = ""
