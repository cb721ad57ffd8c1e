"""What goes between the keeper and the judging process: findings as JSON. Imported on both sides, so without pyHanko."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from relay.model.inspection import (
    AttachmentSignature,
    CertificateState,
    Finding,
    Integrity,
    Later,
    Vouched,
    Whose,
)

LENGTH: Final = struct.Struct(">I")
HEAD: Final = struct.Struct(">IQ")  # bytes of the JSON and of the file


class Found(Protocol):
    """What was found in a file."""

    @property
    def finding(self) -> Finding: ...
    @property
    def reason(self) -> str: ...
    @property
    def signatures(self) -> tuple[AttachmentSignature, ...]: ...
    @property
    def more(self) -> int: ...


def as_json(found: Found) -> dict[str, Any]:
    """Return what was found as what JSON can hold."""
    return {
        "finding": found.finding.value,
        "reason": found.reason,
        "more": found.more,
        "signatures": [
            {**dataclasses.asdict(one), "at": one.at.isoformat() if one.at else None}
            for one in found.signatures
        ],
    }


def signatures_from(facts: Mapping[str, Any]) -> tuple[AttachmentSignature, ...]:
    """Read the signatures that ``as_json`` wrote. Raises ``KeyError``, ``ValueError``, ``TypeError``."""
    return tuple(
        AttachmentSignature(
            **{
                **one,
                "integrity": Integrity(one["integrity"]),
                "certificate": CertificateState(one["certificate"]),
                "whose": Whose(one["whose"]),
                "vouched": Vouched(one["vouched"]),
                "later": Later(one["later"]),
                "at": datetime.fromisoformat(one["at"]) if one["at"] else None,
            }
        )
        for one in facts["signatures"]
    )
