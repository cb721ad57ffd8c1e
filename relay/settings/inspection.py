"""Settings of the inspection of attachments: signatures inside PDF files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from relay.settings.fields import setting

_MIB: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class InspectionSettings:
    """Signatures inside attachments: checked by the keeper, beside the hot path (docs/attachments.md)."""

    enabled: bool = setting(
        True, "Whether attachments are inspected at all. Workers and keeper need the same value."
    )
    scope: Literal["signed", "all"] = setting(
        "signed",
        "`signed`: documents with an attachment that bears a mark of a signature. `all`: every document with a PDF, an"
        " office or an XML file, so that a missing signature is told too. With `hold` it is `all`.",
    )
    hold: Literal["never", "altered", "any-failure"] = setting(
        "never",
        "Whether a delivery waits for the verdict, and is refused for it: `altered`: a file that was altered after"
        " signing, or a signature that does not hold; `any-failure`: also one that cannot be read or trusted.",
    )
    hold_s: int = setting(
        600, "How long a delivery waits for the verdict.", unit="seconds", low=10, high=86_400
    )
    hold_then: Literal["deliver", "refuse"] = setting(
        "deliver",
        "What becomes of a delivery when no verdict came in that time; the sender is told in both cases.",
    )
    sha1_until: str = setting(
        "2019-01-01",
        "SHA-1 in a signature is trusted only with a time-stamp before that day in Vietnam.",
        pattern=r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    )
    anchors: tuple[Path, ...] = setting(
        (),
        "Root certificates that are trusted inside attachments, beside `trust.anchors`: PEM or DER files, or folders.",
    )
    authorities: tuple[Path, ...] = setting(
        (), "Certificates of authorities that files do not bring along: PEM or DER files, or folders."
    )
    crls: tuple[Path, ...] = setting(
        (),
        "Revocation lists of those authorities, beside `trust.crls` and what is fetched: PEM or DER files, or folders.",
    )
    at_once: int = setting(
        2,
        "Documents that are inspected at a time, each by a process of its own.",
        unit="documents",
        low=1,
        high=32,
    )
    attachments: int = setting(100, "Attachments of one document that are inspected.", low=1, high=1000)
    signatures: int = setting(20, "Signatures of one attachment that are judged.", low=1, high=200)
    file_bytes: int = setting(
        32 * _MIB, "Size of one attachment that is inspected.", unit="bytes", low=1024, high=128 * _MIB
    )
    seconds: float = setting(
        20.0, "Time for one attachment; then it counts as unreadable.", unit="seconds", low=0.5, high=600
    )
    memory_bytes: int = setting(
        512 * _MIB,
        "Memory for one attachment, beyond what the process has.",
        unit="bytes",
        low=64 * _MIB,
        high=8192 * _MIB,
    )
