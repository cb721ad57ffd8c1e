"""Puts the inspection of attachments together from the settings: for workers, for the keeper, for ``truc verify``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from adapters.edxml.inspecting import EdxmlAttachments
from adapters.pdf.inspector import PdfInspector
from adapters.pdf.material import JudgePolicy, MaterialFiles
from relay.broker.blocking import BlockingClient
from relay.keeper.inspect import InspectDuty, InspectPolicy, judged_attachments
from relay.model.times import VIETNAM
from relay.pipeline.defer import Deferrer
from relay.pipeline.inspection import REFUSED, Inspection, InspectionPolicy
from relay.settings import load

if TYPE_CHECKING:
    from pathlib import Path

    from relay.broker.connection import Endpoint
    from relay.cli.wiring import Common
    from relay.model.inspection import AttachmentVerdict
    from relay.model.ports import Directory
    from relay.pipeline.deliver import Ladder
    from relay.settings import Settings

_HEARTBEAT: Final = 600  # seconds: a slot that judges does not look at its connection


def pdf_inspector(settings: Settings) -> PdfInspector:
    """Return an inspector with the trust material of the settings. Raises ``ConfigurationError`` CONFIG-INVALID."""
    own, trust = settings.inspection, settings.trust
    return PdfInspector(
        MaterialFiles(
            anchors=(*trust.anchors, *own.anchors),
            others=own.authorities,
            lists=(*trust.crls, *own.crls),
            shelf=trust.fetch.folder,
        ),
        JudgePolicy(
            sha1_until=datetime.combine(date.fromisoformat(own.sha1_until), time(), VIETNAM),
            max_bytes=own.file_bytes,
            max_signatures=own.signatures,
            seconds=own.seconds,
            memory=own.memory_bytes,
        ),
    )


def inspected(
    body: bytes, settings_file: Path, sender: str, directory: Directory, at: datetime
) -> tuple[AttachmentVerdict, ...]:
    """Judge the attachments of a package here and now, as the keeper would.

    Raises:
        ConfigurationError: CONFIG-INVALID. RefusedError: the package cannot be read.
    """
    settings = load(settings_file, files=False)
    inspector = pdf_inspector(settings)
    try:
        return judged_attachments(
            EdxmlAttachments().attached(body), inspector, sender, directory, policy_of(settings), lambda: at
        )
    finally:
        inspector.close()


def policy_of(settings: Settings) -> InspectPolicy:
    """Return the numbers of the inspection."""
    own = settings.inspection
    return InspectPolicy(
        at_once=own.at_once,
        attachments=own.attachments,
        file_bytes=own.file_bytes,
        seconds=own.seconds,
        refused=REFUSED[own.hold],
    )


def worker_side(settings: Settings, parts: Common, ladder: Ladder) -> Inspection | None:
    """Return the worker's side; None where nothing is inspected."""
    own = settings.inspection
    if not own.enabled:
        return None
    return Inspection(
        parts.link,
        parts.registry,
        parts.commits,
        Deferrer(parts.link, ladder, parts.metrics),
        EdxmlAttachments(),
        InspectionPolicy(
            # what is to be held up must not pass for its author's having hidden the mark
            everything=own.scope == "all" or own.hold != "never",
            hold=own.hold,
            hold_for=timedelta(seconds=own.hold_s),
            then_deliver=own.hold_then == "deliver",
        ),
        ladder,
        parts.metrics,
        parts.clock,
    )


def keeper_side(
    settings: Settings,
    endpoint: Endpoint,
    directory: Callable[[], Directory],
    active: Callable[[], bool],
) -> InspectDuty | None:
    """Return the keeper's duty; None where nothing is inspected. Raises ``ConfigurationError`` CONFIG-INVALID."""
    own = settings.inspection
    if not own.enabled:
        return None
    pdf_inspector(settings)  # what cannot be read is told at the start
    patient = replace(endpoint, heartbeat=_HEARTBEAT)
    return InspectDuty(
        taker=lambda: BlockingClient(patient, name="truc inspect", prefetch=1),
        inspector=lambda: pdf_inspector(settings),
        source=EdxmlAttachments(),
        directory=directory,
        policy=policy_of(settings),
        active=active,
    )
