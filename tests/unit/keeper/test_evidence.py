"""The keeper's duty over the log: heads, time-stamps by the real protocol, outages, what scrapes are told."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from relay.errors import Code, TransientError
from relay.evidence.sealing import SealingPolicy
from relay.evidence.verify import LogVerifier
from relay.keeper.evidence import Authority as Asked
from relay.keeper.evidence import EvidenceDuty, EvidencePolicy
from relay.model.keeping import Fault, TimeStamp
from relay.observe.metrics import Metrics
from relay.registry import SqlRegistry
from relay.trust.certificate import read_certificate
from relay.trust.timestamp import TokenJudge, ask, question, read_answer
from tests.support.evidence import EvidentRelay
from tests.support.registry import Maker, accepted
from tests.support.tsa import Authority, serving

T = TypeVar("T")
POLICY = EvidencePolicy(SealingPolicy(timedelta(0), 64, timedelta(0)), 1000, timedelta(seconds=60))


@dataclass
class Duty:
    """The duty over a registry, in rounds of a test's."""

    relay: EvidentRelay
    registry: SqlRegistry
    duty: EvidenceDuty
    metrics: Metrics
    make: Maker

    def work(self) -> None:
        self.make.serial += 1
        accepted(self.registry, self.make, self.make.claim(f"{self.make.serial}"))

    async def round(self) -> int:
        async def off(look: Callable[[], T]) -> T:
            return await asyncio.to_thread(look)

        tools: Any = SimpleNamespace(off=off)
        return await self.duty.run(tools)

    async def until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(120):
            while not what():
                self.relay.clock.pass_by(61)
                await self.round()
                await asyncio.sleep(0.02)

    def told(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(name)


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[EvidentRelay]:
    made = EvidentRelay(tmp_path)
    yield made
    made.close()


def _duty(relay: EvidentRelay, authority: Asked | None = None) -> Duty:
    registry, metrics = relay.registry("keeper"), Metrics(version="t", process=False)
    duty = EvidenceDuty(registry.evidence, relay.name, relay.key.sign, POLICY, relay.clock, authority)
    duty.serve(metrics)
    return Duty(relay, registry, duty, metrics, Maker())


def _run(what: Awaitable[None]) -> None:
    async def main() -> None:
        await what

    asyncio.run(main())


def _asks(address: str, authority: Authority) -> Asked:
    judge = TokenJudge([read_certificate(authority.root.public_bytes(Encoding.DER))])

    def stamp(text: bytes) -> TimeStamp:
        token = read_answer(ask(address, question(hashlib.sha256(text).digest(), 7), 60))
        return TimeStamp(0, address, judge.judge(token, text, 7).at, token)

    return stamp


def test_a_round_seals_signs_checks_and_tells(relay: EvidentRelay) -> None:
    duty = _duty(relay)

    async def main() -> None:
        assert duty.told("truc_evidence_batches") is None  # nothing was seen yet
        duty.work()
        assert await duty.round() == 2  # a batch and a head
        assert await duty.round() == 0
        assert duty.told("truc_evidence_batches") == 1
        assert duty.told("truc_evidence_records_waiting") == 0
        assert duty.told("truc_evidence_head_lag_seconds") == 0
        assert duty.told("truc_evidence_check_rounds") >= 1  # type: ignore[operator]
        assert duty.told("truc_evidence_faults") == 0
        assert duty.told("truc_evidence_time_stamp_lag_seconds") is None
        assert duty.told("truc_evidence_witness_age_seconds") is None
        duty.registry.evidence.note_fault(Fault("chain x record 1", "is missing", relay.clock.now()))
        await duty.round()
        assert duty.told("truc_evidence_faults") == 1

    _run(main())
    assert relay.verify(duty.registry.evidence).ok


def test_a_key_that_cannot_sign_stops_neither_sealing_nor_checking_and_is_told(relay: EvidentRelay) -> None:
    duty = _duty(relay)

    def away(_text: bytes, _kind: str) -> bytes:
        raise TransientError(Code.KEY_AWAY, "no token")

    duty.duty._sealer._sign = away

    async def main() -> None:
        for _ in range(3):
            duty.work()
            relay.clock.pass_by(61)
            with pytest.raises(TransientError):
                await duty.round()
        assert duty.told("truc_evidence_batches") == 3
        assert (
            duty.told("truc_evidence_records_waiting") == 3
        )  # those that the last round has found, and sealed
        assert duty.told("truc_evidence_head_lag_seconds") == 122
        assert duty.told("truc_evidence_check_rounds") >= 2  # type: ignore[operator]
        duty.duty._sealer._sign = relay.key.sign
        assert await duty.round() == 1
        assert duty.told("truc_evidence_head_lag_seconds") == 0

    _run(main())


def test_heads_are_time_stamped_by_the_protocol(relay: EvidentRelay) -> None:
    authority = Authority()
    with serving(authority) as address:
        duty = _duty(relay, _asks(address, authority))
        store = duty.registry.evidence

        async def main() -> None:
            duty.work()
            await duty.until(lambda: store.last_stamp() is not None)
            duty.work()
            await duty.until(lambda: (store.last_stamp() or TimeStamp(0, "", authority.now, b"")).number == 2)

        _run(main())
    judge = TokenJudge([read_certificate(authority.root.public_bytes(Encoding.DER))])
    report = LogVerifier(known=frozenset({relay.key.sha256}), stamps=judge.judge).verify(store)
    assert report.ok, report.faults
    assert report.time_stamps == 2


def test_an_outage_of_the_authority_delays_time_stamps_and_nothing_else(relay: EvidentRelay) -> None:
    authority = Authority(http=503)
    with serving(authority) as address:
        duty = _duty(relay, _asks(address, authority))
        store = duty.registry.evidence

        async def main() -> None:
            for number in range(1, 6):
                duty.work()
                relay.clock.pass_by(61)
                await duty.round()
                await asyncio.sleep(0.05)
                head = store.last_head()
                assert head is not None
                assert head.number == number
            assert store.last_stamp() is None
            await duty.until(lambda: (duty.told("truc_evidence_time_stamp_lag_seconds") or 0) > 60)
            authority.http = 200
            await duty.until(lambda: store.last_stamp() is not None)
            assert (store.last_stamp() or TimeStamp(0, "", authority.now, b"")).number == 5
            await duty.round()
            assert duty.told("truc_evidence_time_stamp_lag_seconds") == 0

        _run(main())


def test_rounds_go_on_while_the_authority_does_not_answer_at_all(relay: EvidentRelay) -> None:
    import threading

    asked, answer = threading.Event(), threading.Event()

    def silent(_text: bytes) -> TimeStamp:
        asked.set()
        answer.wait(120)
        raise TransientError(Code.TIME_STAMP_AWAY, "timed out")

    duty = _duty(relay, silent)

    async def main() -> None:
        duty.work()
        await duty.until(asked.is_set)
        for _ in range(3):
            duty.work()
            assert await duty.round() == 2
        answer.set()

    _run(main())
    assert relay.verify(duty.registry.evidence).heads == 4
