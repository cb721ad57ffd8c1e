"""The worker around the handler: lanes, company, stalls, the end, and trouble that must set nothing aside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from relay.broker import names
from relay.errors import Code, RegistryError
from relay.model.delivery import State
from relay.model.message import Incoming, Kind, Lane, Outgoing, Published
from relay.pipeline.handler import Ending
from tests.support.simulation import Process, Simulation, edoc, fine_ticks
from tests.support.virtual import VirtualLoop, run


@pytest.fixture(autouse=True)
def _ticks() -> None:
    fine_ticks()


def simulated(body: Callable[[Simulation], Awaitable[None]]) -> None:
    async def main(loop: VirtualLoop) -> None:
        await body(Simulation(loop))

    run(main)


def handled(process: Process) -> list[str]:
    """Names of the documents in the order in which the worker began with them."""
    found: list[str] = []
    for one in process.link.published:
        if one.type == Kind.EDOC.value and json.loads(one.body)["id"] not in found:
            found.append(json.loads(one.body)["id"])
    return found


def test_urgent_goes_first_and_normal_still_gets_its_tenth() -> None:
    async def body(sim: Simulation) -> None:
        for number in range(40):
            sim.send(edoc("H26", "H29", name=f"n{number}"))
            sim.send(edoc("H26", "H29", name=f"u{number}", priority=2), lane=Lane.URGENT)
        process = sim.start(window=(1, 1 << 20), prefetch=100)
        await sim.quiet()
        order = handled(process)
        first = order[:40]
        assert sum(name.startswith("n") for name in first) in range(4, 13)
        assert order.index("u39") < order.index("n20")
        await sim.stop(process)

    simulated(body)


def test_a_message_seen_before_is_processed_alone() -> None:
    async def body(sim: Simulation) -> None:
        company: list[
            tuple[int, int]
        ] = []  # at each start: in hand already, and those seen before among them
        held: list[Incoming] = []
        process = sim.start(die_at=2)
        for number in range(3):
            sim.send(edoc("H26", "H29", name=f"d{number}"))
        await sim.quiet()
        await sim.bury(process)
        await asyncio.sleep(11)
        process = sim.start()
        handle = process.handler.handle

        async def watched(lane: Lane, message: Incoming) -> Ending:
            seen = sum(one.delivery_count > 0 for one in held)
            company.append((len(held) if message.delivery_count else 0, seen))
            held.append(message)
            try:
                return await handle(lane, message)
            finally:
                held.remove(message)

        process.handler.handle = watched  # type: ignore[method-assign]
        await sim.quiet()
        assert len(company) >= 3
        assert set(company) == {(0, 0)}
        await sim.stop(process)
        sim.check(copies=2)

    simulated(body)


def test_a_message_seen_too_often_is_set_aside_unparsed_and_told() -> None:
    async def body(sim: Simulation) -> None:
        sim.send(edoc("H26", "H29"))
        for _ in range(6):
            await sim.bury(sim.start(die_at=1))
            process = sim.start()
            process.worker._start_next = lambda: None  # type: ignore[method-assign]
            await asyncio.sleep(0.2)
            await sim.bury(process)
        process = sim.start()
        await sim.quiet()
        assert sim.broker.depth(names.QUARANTINE) == 1
        assert sim.told("H26") == [("held", "accepted", "SET-ASIDE")]
        assert sim.documents() == []
        await sim.stop(process)

    simulated(body)


def test_a_stall_renews_the_link_and_the_document_gets_through() -> None:
    async def body(sim: Simulation) -> None:
        process = sim.start(stall=5.0)
        stuck: asyncio.Future[Published] = sim.loop.create_future()
        submit = process.link.inner.submit

        def swallow(message: Outgoing) -> asyncio.Future[Published]:
            if process.link.renewals:
                return submit(message)
            return stuck

        process.link.inner.submit = swallow  # type: ignore[method-assign]
        sim.send(edoc("H26", "H29"))
        await asyncio.sleep(4)
        assert process.worker.ready()[0]
        await asyncio.sleep(3)
        assert process.link.renewals == 1
        stuck.set_result(Published.UNDECIDED)
        await sim.quiet()
        await asyncio.sleep(1)
        assert process.worker.ready()[0]
        await sim.stop(process)
        sim.check()

    simulated(body)


def test_a_stop_settles_what_is_in_hand_gives_back_the_rest_and_the_leases() -> None:
    async def body(sim: Simulation) -> None:
        gate = sim.loop.create_future()
        process = sim.start(window=(2, 1 << 20))
        submit = process.link.inner.submit

        def slow(message: Outgoing) -> asyncio.Future[Published]:
            answer: asyncio.Future[Published] = sim.loop.create_future()
            gate.add_done_callback(lambda _gate: submit(message).add_done_callback(_pass(answer)))
            return answer

        process.link.inner.submit = slow  # type: ignore[method-assign]
        for number in range(5):
            sim.send(edoc("H26", "H29", name=f"d{number}"))
        await asyncio.sleep(1)
        process.worker.stop()
        await asyncio.sleep(1)
        assert not process.worker.ready()[0]
        assert not process.task.done()
        gate.set_result(None)
        await process.task
        assert len(sim.documents()) == 2
        assert sim.waiting() == 3
        # Nothing waits for a lease to run out.
        process = sim.start()
        await sim.quiet(limit=2.0)
        await sim.stop(process)
        sim.check()

    def _pass(answer: asyncio.Future[Published]) -> Callable[[asyncio.Future[Published]], None]:
        return lambda done: answer.set_result(done.result())

    simulated(body)


@pytest.mark.parametrize("forged", [False, True])
def test_trouble_of_the_registry_stops_the_taking_and_sets_nothing_aside(forged: bool) -> None:
    async def body(sim: Simulation) -> None:
        process = sim.start(stall=5.0)
        await asyncio.sleep(1)

        def trouble(_what: str) -> None:
            raise RegistryError(Code.REGISTRY_UNUSABLE, "disk full")

        process.commits.trouble = trouble
        for number in range(8):
            sim.send(
                edoc("H26", "H29", name=f"d{number}", forged=forged), headers={"CC": "x"} if forged else {}
            )
        await asyncio.sleep(600)
        ready, facts = process.worker.ready()
        assert not ready
        assert facts["registry"] is False
        assert process.link.renewals == 0
        process.commits.trouble = lambda _what: None
        process.commits.failing = False
        await sim.quiet()
        assert sim.broker.depth(names.QUARANTINE) == 0
        assert len(sim.told("H26")) == 8
        assert {kind for kind, _, _ in sim.told("H26")} == {"acknowledgement"}
        await sim.stop(process)
        sim.check()

    simulated(body)


def test_a_t2_that_failed_leaves_no_lease_behind() -> None:
    async def body(sim: Simulation) -> None:
        process = sim.start()

        def trouble(what: str) -> None:
            if what == "T2" or (what == "look" and process.life.story[-1:] == ["publish level.province H29"]):
                raise RegistryError(Code.REGISTRY_UNUSABLE, "disk full")

        process.commits.trouble = trouble
        sim.send(edoc("H26", "H29"))
        await asyncio.sleep(4)
        process.commits.trouble = lambda _what: None
        process.commits.failing = False
        await sim.quiet(limit=30)  # the lease of a worker that lives does not run out
        assert [one.state for one in sim.documents()[0].deliveries] == [State.QUEUED]
        await sim.stop(process)
        sim.check(copies=2)

    simulated(body)


def test_an_alarm_stops_the_taking_and_unready_is_said() -> None:
    async def body(sim: Simulation) -> None:
        process = sim.start(stall=5.0)
        await asyncio.sleep(1)
        sim.broker.blocked = True
        sim.send(edoc("H26", "H29"))
        await asyncio.sleep(60)
        assert process.worker.ready()[0] is False
        assert process.link.renewals == 0
        assert process.link.published == []
        sim.broker.blocked = False
        await sim.quiet()
        await asyncio.sleep(1)
        assert process.worker.ready()[0]
        await sim.stop(process)

    simulated(body)


def test_a_lane_without_its_consumer_is_not_ready() -> None:
    async def body(sim: Simulation) -> None:
        process = sim.start()
        await asyncio.sleep(1)
        assert process.worker.ready()[0]
        sim.broker.delete_queue(names.lane_queue(Lane.STATUS))
        await asyncio.sleep(1)
        ready, facts = process.worker.ready()
        assert not ready
        assert facts["consuming"] is False
        await sim.stop(process)

    simulated(body)


def test_one_line_for_each_message_without_its_content(caplog: pytest.LogCaptureFixture) -> None:
    async def body(sim: Simulation) -> None:
        process = sim.start()
        once = sim.send(edoc("H26", "H29", subject="Về việc riêng"))
        await sim.quiet()
        await sim.stop(process)
        lines = [one for one in caplog.records if one.message == "message-ended"]
        assert [one.__dict__["facts"]["transport_id"] for one in lines] == [once]
        assert {"lane", "outcome", "user", "seconds"} <= set(lines[0].__dict__["facts"])
        assert "riêng" not in caplog.text + str([one.__dict__ for one in caplog.records])

    with caplog.at_level("INFO", logger="truc"):
        simulated(body)


def test_what_comes_while_the_worker_stops_is_given_back_once() -> None:
    """The broker hands it out again at once, counting, until it has read that nothing more is wanted."""

    async def body(sim: Simulation) -> None:
        process = sim.start()
        await sim.quiet()
        given_back: list[Incoming] = []
        cancel, requeue = process.link.inner.cancel, process.link.inner.requeue

        async def slow() -> None:
            await asyncio.sleep(0.5)
            await cancel()

        def counted(message: Incoming) -> None:
            given_back.append(message)
            assert len(given_back) < 20, "round and round"
            requeue(message)

        process.link.inner.cancel = slow  # type: ignore[method-assign]
        process.link.inner.requeue = counted  # type: ignore[method-assign]
        process.worker.stop()
        for number in range(3):
            sim.send(edoc("H26", "H29", name=f"d{number}"))
        await process.task
        assert [one.delivery_count for one in given_back] == [0, 0, 0]
        process = sim.start()
        await sim.quiet()
        await sim.stop(process)
        sim.check()

    simulated(body)


def test_a_full_ladder_sets_nothing_aside() -> None:
    """Bodies that nobody takes are kept in hand, and no renewal of the link makes them older meanwhile."""

    async def body(sim: Simulation) -> None:
        full = {names.RETRY, "level.province"}
        sim.script = lambda one: Published.NACKED if one.exchange in full else None
        process = sim.start(stall=30.0)
        for number in range(3):
            sim.send(edoc("H26", "H29", name=f"d{number}"))
        await asyncio.sleep(900)
        assert process.link.renewals == 0
        full.clear()
        await sim.quiet(900)
        assert sim.broker.depth(names.QUARANTINE) == 0
        await sim.stop(process)
        sim.check()

    simulated(body)


def test_where_a_rung_is_full_another_one_is_taken() -> None:
    """A few documents of the largest size fill one: nothing may wait in hand for its hour to pass."""

    async def body(sim: Simulation) -> None:
        full = {"5s", "1h"}
        sim.script = lambda one: Published.NACKED if full & {one.exchange, one.routing_key} else None
        full.add("level.province")
        process = sim.start()
        sim.send(edoc("H26", "H29"))
        await sim.quiet(60, ladder=False)
        rungs = [len(sim.broker.queues[names.retry_queue(rung)].ready) for rung in names.RUNGS]
        assert rungs == [0, 1, 0, 0]
        await asyncio.sleep(7200)
        assert not sim.unacknowledged()
        full.clear()
        await sim.quiet(4000)
        await sim.stop(process)
        sim.check()

    simulated(body)


def test_what_was_seen_before_does_not_wait_for_what_waits_for_the_ladder() -> None:
    """Otherwise neither would ever move: the ladder has room again when somebody takes from `due`."""

    async def body(sim: Simulation) -> None:
        full = {names.RETRY, "H29"}
        sim.script = lambda one: Published.NACKED if full & {one.exchange, one.routing_key} else None
        process = sim.start()
        sim.send(edoc("H26", "H29", name="stuck"))
        await asyncio.sleep(5)
        await process.link.pause()
        sim.send(edoc("H26", "H53", name="seen"))
        ready = sim.broker.queues[names.lane_queue(Lane.NORMAL)].ready
        ready.append(replace(ready.pop(), deliveries=1))
        await process.link.resume()
        await asyncio.sleep(20)
        assert len(sim.copies("H53")) == 1
        full.clear()
        await sim.quiet(900)
        await sim.stop(process)
        sim.check()

    simulated(body)
