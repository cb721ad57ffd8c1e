"""The duty that inspects attachments: each verdict is told once, to those whom it concerns, whatever fails in between."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest

from relay.broker import names
from relay.errors import Code, RefusedError, RegistryError
from relay.evidence.receipts import read
from relay.keeper import inspect as duty_module
from relay.keeper.duty import Tools
from relay.keeper.inspect import InspectDuty, InspectPolicy
from relay.model.inspection import (
    Attached,
    AttachedFiles,
    AttachmentKind,
    AttachmentSignature,
    AttachmentVerdict,
    CertificateState,
    Finding,
    InspectionResult,
    Integrity,
)
from relay.model.message import Incoming, Properties, Published
from relay.model.receipt import ReceiptKind
from tests.support.simulation import Simulation, edoc, fine_ticks, only

KIND = ReceiptKind.ATTACHMENT_VERDICT


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    fine_ticks()
    monkeypatch.setattr(duty_module, "_PAUSE", 0.01)
    monkeypatch.setattr(duty_module, "_WAIT", 0.01)


class Inspector:
    """Finds what it is told; counts."""

    def __init__(self, *answers: AttachmentVerdict) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def inspect(self, content: bytes, name: str, at: datetime) -> AttachmentVerdict:
        self.asked.append(name)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def close(self) -> None:
        """Nothing to end."""


class Source:
    """A package with the files that it is told."""

    def __init__(self, *files: Attached) -> None:
        self.files = files

    def may_be_signed(self, body: bytes, *, unsigned_too: bool) -> bool:
        return True

    def attached(self, body: bytes) -> AttachedFiles:
        if not self.files:
            raise RefusedError(Code.NOT_XML, "")
        return AttachedFiles(self.files)


class Taker:
    """Gives its messages out once."""

    def __init__(self, *messages: Incoming) -> None:
        self.messages = list(messages)
        self.acked: list[Incoming] = []
        self.empty = threading.Event()

    def take(self, queue: str, timeout: float) -> Incoming | None:
        assert queue == names.INSPECT
        if self.messages:
            return self.messages.pop(0)
        self.empty.set()
        threading.Event().wait(timeout)
        return None

    def ack(self, message: Incoming) -> None:
        self.acked.append(message)

    def close(self) -> None:
        """Nothing to close."""


def verdict(
    name: str = "a.pdf",
    *,
    integrity: Integrity = Integrity.INTACT,
    finding: Finding = Finding.SIGNED,
    reason: str = "",
) -> AttachmentVerdict:
    signatures: tuple[AttachmentSignature, ...] = ()
    if finding is Finding.SIGNED:
        signatures = (
            AttachmentSignature(integrity, CertificateState.VALID, "CN=Ai", "Ai", revocation_known=True),
        )
    digest = hashlib.sha256(b"x").hexdigest()
    return AttachmentVerdict(name, digest, 1, AttachmentKind.PDF, finding, reason, signatures)


def pdf(name: str = "a.pdf", size: int = 4, content: Callable[[], bytes] = lambda: b"x") -> Attached:
    return Attached(name, "application/pdf", content, size)


BODY = edoc("H26", "H29", "H99", "H53")


def message(body: bytes = BODY, *, seen: int = 0, transport_id: str = "", sender: str = "H26") -> Incoming:
    return Incoming(
        queue=names.INSPECT,
        exchange=names.INSPECT,
        routing_key=names.INSPECT,
        properties=Properties(message_id=transport_id, headers={names.H_SENDER: sender}),
        body=body,
        redelivered=seen > 0,
        delivery_count=seen,
        tag=1,
        session=1,
    )


class Ground:
    """A registry with one delivered document, and a duty over doubles."""

    def __init__(self, sim: Simulation, transport_id: str) -> None:
        self.sim = sim
        self.transport_id = transport_id
        tools, _, self.link = sim.tools()
        self.tools: Tools = tools
        self.active = True

    async def inspect(
        self,
        *messages: Incoming,
        inspector: Inspector | None = None,
        source: Source | None = None,
        refused: frozenset[InspectionResult] = frozenset(),
        attachments: int = 9,
    ) -> Taker:
        """Let the duty work until its queue is empty."""
        taker = Taker(*(messages or (message(transport_id=self.transport_id),)))
        duty = InspectDuty(
            taker=lambda: taker,
            inspector=lambda: inspector or Inspector(verdict()),
            source=source or Source(pdf()),
            directory=lambda: self.sim.directory,
            policy=InspectPolicy(1, attachments, file_bytes=1000, seconds=5.0, refused=refused),
            active=lambda: self.active,
        )
        await duty.run(self.tools)
        await _until(lambda: taker.empty.is_set() or not any(slot.is_alive() for slot in duty._slots))
        self.active = False
        await _until(lambda: not any(slot.is_alive() for slot in duty._slots))
        self.active = True
        return taker

    def told(self) -> list[Any]:
        return [one for one in self.sim.registry.receipts(1) if one.kind is KIND]


async def _until(look: Callable[[], bool]) -> None:
    while not look():  # noqa: ASYNC110 - threads ring no bell here
        await asyncio.sleep(0.005)


def grounded(body: Callable[[Ground], Awaitable[None]]) -> None:
    async def main() -> None:
        sim = Simulation(asyncio.get_running_loop())  # type: ignore[arg-type]
        process = sim.start()
        transport_id = sim.send(BODY)
        await sim.quiet()
        await sim.stop(process)
        ground = Ground(sim, transport_id)
        await ground.link.start(lambda _lane, _message: None, {})
        await ground.link.wait_connected()
        await body(ground)
        await ground.link.stop()

    asyncio.run(main())


def test_sender_and_those_who_have_it_are_told() -> None:
    async def body(ground: Ground) -> None:
        taker = await ground.inspect()
        assert len(taker.acked) == 1
        told = ground.told()
        assert [one.to for one in told] == ["H26", "H29", "H53"]  # H99 was refused
        assert {one.correlation_id for one in told} == {ground.transport_id}
        first = read(told[0].body)
        assert first.attachments == (verdict(),)
        assert [line.resolved for line in read(told[1].body).recipients] == ["H29"]
        assert ground.sim.registry.inspected(1) is InspectionResult.GOOD
        assert ("attachment-verdict", "accepted", "") in ground.sim.told("H53")
        assert ground.tools.metrics.value("truc_inspections_total", result="good") == 1

    grounded(body)


def test_a_second_copy_is_acknowledged_and_told_to_nobody() -> None:
    async def body(ground: Ground) -> None:
        inspector = Inspector(verdict())
        copies = [message(transport_id=ground.transport_id) for _ in range(3)]
        taker = await ground.inspect(*copies, inspector=inspector)
        assert (len(taker.acked), len(ground.told()), inspector.asked) == (3, 3, ["a.pdf"])

    grounded(body)


def test_receipts_that_did_not_get_out_are_left_to_their_own_duty() -> None:
    async def body(ground: Ground) -> None:
        ground.sim.script = only(*[Published.NACKED] * 3, exchange=names.RECEIPTS)
        taker = await ground.inspect()
        assert len(taker.acked) == 1
        assert ("attachment-verdict", "accepted", "") not in ground.sim.told("H26")
        await ground.sim.keep()
        for code in ("H26", "H29", "H53"):
            assert ("attachment-verdict", "accepted", "") in ground.sim.told(code)
        assert len(ground.told()) == 3

    grounded(body)


@pytest.mark.parametrize(
    "odd",
    [
        message(transport_id="00000000-0000-0000-0000-000000000001", sender="H53"),
        message(b"other", transport_id="00000000-0000-0000-0000-000000000001"),
        message(transport_id="none"),
    ],
)
def test_what_belongs_to_no_document_is_let_go(odd: Incoming) -> None:
    async def body(ground: Ground) -> None:
        inspector = Inspector(verdict())
        taker = await ground.inspect(odd, inspector=inspector)
        assert (len(taker.acked), ground.told(), inspector.asked) == (1, [], [])

    grounded(body)


def test_a_registry_that_fails_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(ground: Ground) -> None:
        registry, failures = ground.tools.registry, iter([True, True])
        tell = registry.tell_inspection

        def failing(*arguments: Any) -> bool:
            if next(failures, False):
                raise RegistryError(Code.REGISTRY_BUSY)
            return tell(*arguments)

        monkeypatch.setattr(registry, "tell_inspection", failing)
        taker = await ground.inspect()
        assert (len(taker.acked), len(ground.told())) == (1, 3)
        assert ground.tools.metrics.value("truc_inspection_failures_total") == 2

    grounded(body)


def test_a_judging_process_that_fails_is_asked_again_before_it_is_told() -> None:
    async def body(ground: Ground) -> None:
        failed = verdict(finding=Finding.UNREADABLE, reason="inspector-failed")
        await ground.inspect(inspector=Inspector(failed, failed, verdict()))
        assert read(ground.told()[0].body).attachments == (verdict(),)

    grounded(body)


def test_a_message_that_was_seen_too_often_is_not_opened() -> None:
    async def body(ground: Ground) -> None:
        inspector = Inspector(verdict())
        await ground.inspect(message(transport_id=ground.transport_id, seen=6), inspector=inspector)
        assert inspector.asked == []
        (found,) = read(ground.told()[0].body).attachments
        assert (found.finding, found.reason) == (Finding.UNREADABLE, "crashed")

    grounded(body)


def refuse() -> bytes:
    raise RefusedError(Code.BAD_VALUE, "")


def test_bounds_and_damage_become_findings() -> None:
    async def body(ground: Ground) -> None:
        files = (
            pdf("good.pdf"),
            pdf("large.pdf", size=9999),
            pdf("damaged.pdf", content=refuse),
            pdf("fourth.pdf"),
        )
        inspector = Inspector(verdict("good.pdf"))
        await ground.inspect(inspector=inspector, source=Source(*files), attachments=3)
        found = read(ground.told()[0].body).attachments
        assert [one.name for one in found] == ["good.pdf", "large.pdf", "damaged.pdf", "fourth.pdf"]
        assert [one.reason for one in found] == ["", "too-large", "no-base64", "too-many-attachments"]
        assert inspector.asked == ["good.pdf"]
        assert ground.sim.registry.inspected(1) is InspectionResult.DOUBTFUL

    grounded(body)


def test_a_package_that_cannot_be_read_is_told_as_unreadable() -> None:
    async def body(ground: Ground) -> None:
        unread = verdict("", finding=Finding.UNREADABLE, reason="damaged")
        await ground.inspect(source=Source(), inspector=Inspector(unread))
        (found,) = read(ground.told()[0].body).attachments
        assert found.finding is Finding.UNREADABLE

    grounded(body)


def test_recipients_of_what_the_policy_refuses_are_not_told() -> None:
    async def body(ground: Ground) -> None:
        registry = ground.sim.registry
        with registry._write() as connection:
            connection.exec_driver_sql("UPDATE deliveries SET state = 'planned' WHERE state = 'queued'")
        altered = verdict(integrity=Integrity.ALTERED)
        await ground.inspect(inspector=Inspector(altered), refused=frozenset({InspectionResult.ALTERED}))
        assert [one.to for one in ground.told()] == ["H26"]

    grounded(body)


def test_a_keeper_that_is_not_the_one_at_work_tells_nothing() -> None:
    async def body(ground: Ground) -> None:
        class Passing(Inspector):
            def inspect(self, content: bytes, name: str, at: datetime) -> AttachmentVerdict:
                ground.active = False  # another keeper took the lease meanwhile
                return super().inspect(content, name, at)

        taker = await ground.inspect(inspector=Passing(verdict()))
        assert (taker.acked, ground.told()) == ([], [])

    grounded(body)
