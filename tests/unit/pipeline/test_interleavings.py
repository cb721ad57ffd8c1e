"""Whatever the broker answers, whoever dies, in whatever order: the table of moves holds and each fate is one and told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.model.delivery import MOVES, State
from relay.model.message import Kind, Outgoing, Published
from tests.support.simulation import Simulation, edoc, fine_ticks, status
from tests.support.virtual import VirtualLoop, run

ANSWERS = st.sampled_from([None, None, None, Published.NACKED, Published.RETURNED, Published.UNDECIDED])
DEEDS = st.sampled_from(
    ["send", "again", "alias", "status", "take-back", "forged", "die", "wait", "keep", "other bytes"]
)


@pytest.fixture(autouse=True, scope="module")
def _ticks() -> None:
    fine_ticks()


class Watch:
    """Looks at every state after every commit."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.known: dict[str, State] = {}
        self.broken: list[tuple[str, State, State]] = []
        commit = sim.registry.commit

        def watched(*args: Any, **kwargs: Any) -> Any:
            done = commit(*args, **kwargs)
            self.look()
            return done

        sim.registry.commit = watched  # type: ignore[method-assign]

    def look(self) -> None:
        for document in self.sim.documents():
            for one in document.deliveries:
                before = self.known.get(one.delivery_id)
                self.known[one.delivery_id] = one.state
                if before is None or before is one.state:
                    continue
                if one.state not in MOVES[before] or one.state is State.PLANNED:
                    self.broken.append((one.delivery_id, before, one.state))


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    answers=st.lists(ANSWERS, max_size=12),
    there=st.lists(st.booleans(), min_size=12, max_size=12),
    deeds=st.lists(st.tuples(DEEDS, st.integers(1, 30)), min_size=1, max_size=6),
)
def test_moves_fates_and_receipts_hold(
    answers: list[Published | None], there: list[bool], deeds: list[tuple[str, int]]
) -> None:
    async def main(loop: VirtualLoop) -> None:
        sim = Simulation(loop)
        watch = Watch(sim)
        left = list(zip(answers, there, strict=False))
        copied = 0

        def script(message: Outgoing) -> Published | None:
            nonlocal copied
            if message.type != Kind.EDOC.value or not message.exchange.startswith("level.") or not left:
                return None
            answer, arrived = left.pop(0)
            if answer is Published.UNDECIDED and arrived:
                sim.processes[-1].link.inner.submit(message)
                copied += 1
            return answer

        sim.script = script
        process = sim.start()
        deaths = 0
        ids = [sim.send(edoc("H26", "H29", "H53", "H99"))]
        for deed, number in deeds:
            if deed == "send":
                ids.append(sim.send(edoc("H26", "H29", "G22", name=f"d{number}")))
            elif deed == "again":
                sim.send(edoc("H26", "H29", "H53", "H99"), transport_id=ids[0])
            elif deed == "alias":
                sim.send(edoc("H26", "H29", "H53", "H99"))
            elif deed == "status":
                sim.send(status("H29", "H26", "d1", n=number))
            elif deed == "take-back":
                sim.send(status("H26", "H53", "d1", "13", n=number))
            elif deed == "forged":
                sim.send(edoc("H26", "H29", forged=True))
            elif deed == "other bytes":
                sim.send(edoc("H26", "G22", name="other"), transport_id=ids[0])
            elif deed == "keep":
                await sim.keep()
            elif deed == "wait":
                await asyncio.sleep(number)
            else:
                process.life.die_at = process.life.count + number
                await asyncio.sleep(0.3)
                await sim.bury(process)
                deaths += 1
                process = sim.start()
        await sim.quiet(limit=14 * 3600.0)  # as many times an hour as there are answers
        await sim.stop(process)
        await asyncio.sleep(1)
        await sim.keep(2)
        assert watch.broken == []
        # A status may be about what was not yet published: the recipient's word counts. A copy that arrived unheard of
        # may stand where its delivery was withdrawn.
        if not copied:
            sim.check(copies=1 + deaths, foretold=True)
        assert sim.faults == []

    run(main)
