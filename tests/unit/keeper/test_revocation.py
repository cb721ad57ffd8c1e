"""The keeper's fetching: beside its rounds, one batch at a time, nobody held up by a server that does not answer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime

from relay.keeper import revocation
from relay.keeper.duty import Tools
from relay.keeper.revocation import RevocationDuty
from relay.trust.outcome import Outcome
from relay.trust.renew import Renewed, Signer, Wanted
from tests.support.simulation import Simulation
from tests.support.virtual import VirtualLoop, run


def wanted(name: str, host: str = "a") -> Wanted:
    return Wanted(name, "crl", (f"http://{host}/{name}",), True)


class Renewer:
    """Notes what it is asked for; ``answer`` says what comes of it."""

    def __init__(self, *all_of: Wanted) -> None:
        self.all_of = all_of
        self.answer: Callable[[Wanted], Outcome] = lambda _one: Outcome.TAKEN
        self.asked: list[str] = []
        self.published: list[list[str]] = []
        self.tidied = 0
        self.broken = False
        self.wayless = ()

    def wanted(self, signers: Iterable[Signer], now: datetime) -> list[Wanted]:
        if self.broken:
            raise ValueError("a surprise")
        return list(self.all_of)

    def due(self, wanted: Iterable[Wanted], now: datetime) -> list[Wanted]:
        return [one for one in wanted if one.name not in self.asked]

    def renew(self, one: Wanted, now: datetime) -> Renewed:
        outcome = self.answer(one)
        self.asked.append(one.name)
        return Renewed(one, outcome)

    def publish(self, results: Iterable[Renewed]) -> None:
        self.published.append([one.wanted.name for one in results])

    def tidy(self, wanted: Iterable[Wanted], now: datetime) -> int:
        self.tidied += 1
        return 0


def duty_of(renewer: Renewer) -> RevocationDuty:
    return RevocationDuty(renewer, lambda _now: ())  # type: ignore[arg-type]


def simulated(body: Callable[[Tools], object]) -> None:
    async def main(loop: VirtualLoop) -> None:
        tools, _, _ = Simulation(loop).tools()
        body(tools)

    run(main)


def turn(duty: RevocationDuty, tools: Tools) -> int:
    """One round of the keeper, after the batch before has ended."""
    end = time.monotonic() + 60
    while duty._batch is not None and not duty._batch.done():
        assert time.monotonic() < end
        time.sleep(0.01)
    found: list[int] = []

    async def once() -> None:
        found.append(await duty.run(tools))

    thread = threading.Thread(target=lambda: asyncio.run(once()))
    thread.start()
    thread.join(60)
    return found[0]


def fetched(tools: Tools, outcome: Outcome) -> float | None:
    return tools.metrics.value("truc_revocation_fetches_total", source="crl", outcome=outcome.value)


def test_what_is_due_is_fetched_published_and_counted() -> None:
    def body(tools: Tools) -> None:
        renewer = Renewer(wanted("one"), wanted("two"), wanted("three", "b"))
        renewer.answer = lambda one: Outcome.EXPIRED if one.name == "two" else Outcome.TAKEN
        duty = duty_of(renewer)
        assert turn(duty, tools) == 0, "begun, not awaited"
        assert turn(duty, tools) == 2
        assert sorted(renewer.published) == [["one", "two"], ["three"]]
        assert (fetched(tools, Outcome.TAKEN), fetched(tools, Outcome.EXPIRED)) == (2.0, 1.0)
        assert turn(duty, tools) == 0
        assert renewer.tidied == 1

    simulated(body)


def test_a_slow_server_holds_up_nobody() -> None:
    def body(tools: Tools) -> None:
        gate = threading.Event()
        renewer = Renewer(wanted("slow"), wanted("quick", "b"))

        def reply(one: Wanted) -> Outcome:
            if one.name == "slow":
                assert gate.wait(60)
            return Outcome.TAKEN

        renewer.answer = reply
        duty = duty_of(renewer)
        turn(duty, tools)
        end = time.monotonic() + 60
        while ["quick"] not in renewer.published:
            assert time.monotonic() < end
            time.sleep(0.01)

        async def rounds() -> list[int]:
            return [await duty.run(tools) for _ in range(3)]

        found: list[list[int]] = []
        thread = threading.Thread(target=lambda: found.append(asyncio.run(rounds())))
        thread.start()
        thread.join(60)
        assert found == [[0, 0, 0]], "rounds go on, and no second batch is begun"
        assert renewer.asked == ["quick"]
        gate.set()
        assert turn(duty, tools) == 2

    simulated(body)


def test_a_host_that_does_not_answer_is_left_alone() -> None:
    def body(tools: Tools) -> None:
        away = [wanted(f"a{number}") for number in range(10)]
        renewer = Renewer(*away, wanted("b", "b"))
        renewer.answer = lambda one: Outcome.TAKEN if one.name == "b" else Outcome.UNREACHABLE
        duty = duty_of(renewer)
        turn(duty, tools)
        turn(duty, tools)
        turn(duty, tools)
        assert sorted(renewer.asked) == ["a0", "a1", "b"]
        duty._rests = dict.fromkeys(duty._rests, -revocation.REST)
        turn(duty, tools)
        turn(duty, tools)
        assert sorted(renewer.asked) == ["a0", "a1", "a2", "a3", "b"]

    simulated(body)


def test_who_signs_is_asked_again_when_the_directory_changes() -> None:
    def body(tools: Tools) -> None:
        renewer, version = Renewer(wanted("one")), ["v1"]
        duty = RevocationDuty(renewer, lambda _now: (), lambda: version[0])  # type: ignore[arg-type]
        turn(duty, tools)
        turn(duty, tools)
        renewer.all_of = (wanted("one"), wanted("two"))
        turn(duty, tools)
        turn(duty, tools)
        assert renewer.asked == ["one"]
        version[0] = "v2"
        turn(duty, tools)
        turn(duty, tools)
        turn(duty, tools)
        assert renewer.asked == ["one", "two"]

    simulated(body)


def test_a_surprise_is_told_and_the_next_round_goes_on() -> None:
    def body(tools: Tools) -> None:
        renewer = Renewer(wanted("one"))
        renewer.broken = True
        duty = duty_of(renewer)
        turn(duty, tools)
        end = time.monotonic() + 60
        while duty._batch is None or not duty._batch.done():
            assert time.monotonic() < end
            time.sleep(0.01)
        failed: list[type[Exception]] = []

        async def once() -> None:
            try:
                await duty.run(tools)
            except ValueError as error:
                failed.append(type(error))

        thread = threading.Thread(target=lambda: asyncio.run(once()))
        thread.start()
        thread.join(60)
        assert failed == [ValueError]
        renewer.broken = False
        duty._looked = float("-inf")
        turn(duty, tools)
        assert turn(duty, tools) == 1

    simulated(body)
