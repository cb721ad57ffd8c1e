"""Duty: signatures inside attachments. Takes documents from ``inspect``, has their attachments judged, tells the verdict.

The verdict and its receipts are one commit; it is made once for each document, however often its body stands in
``inspect``. What a crash leaves unacknowledged comes again and is found told; receipts without a confirm are published
by the duty for receipts. Nothing here touches a delivery.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final, Protocol

from relay.broker import names
from relay.directory.signers import owned
from relay.errors import RefusedError, TransientError, TrucError
from relay.keeper.duty import Tools
from relay.model.delivery import State
from relay.model.inspection import (
    Attached,
    AttachedFiles,
    AttachmentInspector,
    AttachmentKind,
    AttachmentSource,
    AttachmentVerdict,
    Finding,
    InspectionResult,
    worst,
)
from relay.model.message import Incoming
from relay.model.ports import Directory
from relay.model.record import Document
from relay.observe import logs

_log = logs.get("keeper.inspect")
_WAIT: Final = 1.0  # seconds that a slot waits for a message before it looks around
_PAUSE: Final = 2.0  # seconds before what failed for a trouble of ours is tried again
_TRIES: Final = 3  # of a judging process that fails on a document
_SEEN: Final = 5  # deliveries of a message after which its attachments are not opened any more
_BUDGET: Final = 10  # the time for a document, in those for one attachment
_FAILED: Final = "inspector-failed"


class Taker(Protocol):
    """Takes messages, over a connection of its own."""

    def take(self, queue: str, timeout: float) -> Incoming | None:
        """Wait for one message."""
        ...

    def ack(self, message: Incoming) -> None:
        """Acknowledge it."""
        ...

    def close(self) -> None:
        """Close; what was taken and not acknowledged goes back."""
        ...


@dataclass(frozen=True, slots=True)
class InspectPolicy:
    """Numbers of the inspection, from the settings."""

    at_once: int
    attachments: int  # of one document
    file_bytes: int
    seconds: float  # for one attachment
    refused: frozenset[InspectionResult] = (
        frozenset()
    )  # for which no delivery is made: recipients are not told


class InspectDuty:
    """Keeps as many slots at work as may be, each a thread with its own connection and its own judging process."""

    def __init__(
        self,
        *,
        taker: Callable[[], Taker],
        inspector: Callable[[], AttachmentInspector],
        source: AttachmentSource,
        directory: Callable[[], Directory],
        policy: InspectPolicy,
        active: Callable[[], bool],
    ) -> None:
        """``active``: whether this keeper is the one at work; asked before each message and before each telling."""
        self._taker = taker
        self._inspector = inspector
        self._source = source
        self._directory = directory
        self._policy = policy
        self._active = active
        self._slots: list[threading.Thread] = []
        self._done = 0
        self._lock = threading.Lock()

    async def run(self, tools: Tools) -> int:
        """Start the slots that are missing. Returns how many documents were told since the last round."""
        self._slots = [one for one in self._slots if one.is_alive()]
        loop = asyncio.get_running_loop()
        while len(self._slots) < self._policy.at_once:
            slot = threading.Thread(target=self._slot, args=(tools, loop), name="inspect", daemon=True)
            slot.start()
            self._slots.append(slot)
        with self._lock:
            done, self._done = self._done, 0
        return done

    def _slot(self, tools: Tools, loop: asyncio.AbstractEventLoop) -> None:
        inspector = self._inspector()
        taker = None
        try:
            taker = self._taker()
            while self._active() and not loop.is_closed():
                message = taker.take(names.INSPECT, _WAIT)
                if message is not None and self._one(message, inspector, tools, loop):
                    taker.ack(message)
        except TrucError as error:  # the next round starts another slot
            logs.event(_log, logging.WARNING, "inspect-stopped", exc=error)
        except Exception as error:  # noqa: BLE001 - the same; a thread must not end unseen
            tools.metrics.duty_failed("inspect")
            logs.event(_log, logging.ERROR, "inspect-stopped", exc=error)
        finally:
            inspector.close()
            if taker is not None:
                taker.close()

    def _one(
        self, message: Incoming, inspector: AttachmentInspector, tools: Tools, loop: asyncio.AbstractEventLoop
    ) -> bool:
        """Inspect one document and tell it; False: it goes back to its queue, since another keeper is at work."""
        while True:
            try:
                document = self._document(message, tools)
                if document is None:
                    return True
                started = time.monotonic()
                verdicts = self._verdicts(message, document, inspector, tools)
                if not self._active():
                    return False
                telling = asyncio.run_coroutine_threadsafe(self._tell(tools, document, verdicts), loop)
                if telling.result():
                    tools.metrics.inspected(worst(verdicts), time.monotonic() - started)
                    with self._lock:
                        self._done += 1
            except TransientError as error:
                tools.metrics.inspection_failed()
                logs.event(_log, logging.WARNING, "inspection-put-off", exc=error)
                time.sleep(_PAUSE)
                if not self._active():
                    return False
            else:
                return True

    def _document(self, message: Incoming, tools: Tools) -> Document | None:
        """Return the document whose body this is, unless its verdict was told."""
        sender = str(message.properties.headers.get(names.H_SENDER, ""))
        digest = hashlib.sha256(message.body).hexdigest()
        for one in tools.registry.find(message.properties.message_id or "", sender):
            if one.body_sha256 == digest:
                return None if tools.registry.inspected(one.row) is not None else one
        logs.event(
            _log,
            logging.WARNING,
            "inspection-unknown",
            transport_id=message.properties.message_id,
            user=sender,
        )
        return None

    def _verdicts(
        self, message: Incoming, document: Document, inspector: AttachmentInspector, tools: Tools
    ) -> tuple[AttachmentVerdict, ...]:
        try:
            package = self._source.attached(message.body)
        except RefusedError:
            package = AttachedFiles((Attached("", "", bytes, 0),))
        if message.delivery_count > _SEEN:  # it may be what killed the keepers before
            return tuple(_unread(one.name, "crashed") for one in package.files)
        return judged_attachments(
            package,
            inspector,
            document.sender,
            self._directory(),
            self._policy,
            tools.clock.now,
            tools.metrics.inspection_failed,
        )

    # --- telling, on the event loop: numbers of receipts are given there

    async def _tell(self, tools: Tools, document: Document, verdicts: tuple[AttachmentVerdict, ...]) -> bool:
        """Commit the verdict with its receipts and publish them. False: it was told before."""
        now = tools.clock.now()
        result = worst(verdicts)
        aliases = await tools.aliases(document)
        told = document
        if result in self._policy.refused:
            told = replace(
                document,
                deliveries=tuple(one for one in document.deliveries if one.state is not State.PLANNED),
            )
        receipts = tools.reporter.attachment_verdict(told, aliases, verdicts, now)
        tell = partial(tools.registry.tell_inspection, document.row, result, receipts, now)
        if not await tools.commits.run(tell):
            return False
        logs.event(
            _log,
            logging.INFO,
            "inspected",
            transport_id=document.transport_id,
            outcome=result.value,
            count=len(verdicts),
        )
        await tools.settler.publish(new.receipt for new in receipts)
        return True


def judged_attachments(
    package: AttachedFiles,
    inspector: AttachmentInspector,
    sender: str,
    directory: Directory,
    policy: InspectPolicy,
    now: Callable[[], datetime],
    on_failure: Callable[[], None] = lambda: None,
) -> tuple[AttachmentVerdict, ...]:
    """Return the verdict on each attachment, with what the directory and the package add to each signature.

    ``on_failure`` is told of each time that the judging process failed.
    """
    until = time.monotonic() + _BUDGET * policy.seconds
    verdicts = []
    for place, one in enumerate(package.files):
        if place >= policy.attachments:
            verdict = _unread(one.name, "too-many-attachments")
        elif time.monotonic() > until:
            verdict = _unread(one.name, "too-slow")
        else:
            verdict = _verdict(one, inspector, policy, now, on_failure)
        signatures = tuple(owned(each, sender, package.leaders, directory) for each in verdict.signatures)
        verdicts.append(replace(verdict, signatures=signatures))
    return tuple(verdicts)


def _verdict(
    one: Attached,
    inspector: AttachmentInspector,
    policy: InspectPolicy,
    now: Callable[[], datetime],
    on_failure: Callable[[], None],
) -> AttachmentVerdict:
    if one.size > policy.file_bytes * 3 // 2:
        return _unread(one.name, "too-large")
    try:
        content = one.content()
    except RefusedError:
        return _unread(one.name, "no-base64")
    verdict = inspector.inspect(content, one.name, now())
    for _ in range(_TRIES - 1):
        if verdict.reason != _FAILED:
            break
        on_failure()
        time.sleep(_PAUSE)
        verdict = inspector.inspect(content, one.name, now())
    return verdict


def _unread(name: str, reason: str) -> AttachmentVerdict:
    empty = hashlib.sha256(b"").hexdigest()
    return AttachmentVerdict(name, empty, 0, AttachmentKind.OTHER, Finding.UNREADABLE, reason)
