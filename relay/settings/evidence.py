"""Settings of the evidence: how often batches are sealed, heads signed and time-stamped, and how the log is checked.

That there is evidence is no setting.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from relay.settings.fields import setting


@dataclass(frozen=True, kw_only=True)
class EvidenceSettings:
    """The sealed log over all that the relay did (docs/evidence.md). Read by the keeper."""

    seal_s: float = setting(
        10.0, "A record stands in a batch at the latest after that time.", unit="seconds", low=0.1, high=3600
    )
    batch_records: int = setting(
        2048, "A batch is sealed at once when a chain has so many records.", unit="records", low=1, high=4096
    )
    head_s: float = setting(
        60.0,
        "A head is signed at the latest so long after a batch was sealed; `truc evidence head --now` asks for one.",
        unit="seconds",
        low=0.1,
        high=86_400,
    )
    check_records: int = setting(
        4000,  # about one hundredth of a core; a million records in twenty minutes
        "Sealed records that the keeper checks again in each of its rounds, round and round over the whole log.",
        unit="records",
        low=0,
        high=1_000_000,
    )
    authority: str = setting(
        "",
        "Address of a time-stamp authority (RFC 3161 over HTTP), `http://` or `https://`; none if empty.",
        pattern=r"|https?://\S+",
    )
    authority_anchors: tuple[Path, ...] = setting(
        (), "Root certificates of the authority, PEM. Needed where `authority` is set.", file=True
    )
    stamp_s: float = setting(
        3600.0, "How often the newest head is time-stamped.", unit="seconds", low=0.1, high=86_400
    )
    authority_timeout_s: float = setting(
        10.0, "How long an answer of the authority is waited for.", unit="seconds", low=0.1, high=120
    )
