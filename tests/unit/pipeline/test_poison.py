"""A message that kills each worker that reads it is set aside in the end, and takes none of its neighbours along."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime

from relay.broker import names
from relay.model.verdict import SignaturePlace, Verification
from tests.support.simulation import Crash, PlainVerifier, Simulation, edoc, fine_ticks
from tests.support.virtual import VirtualLoop, run


class Deadly(PlainVerifier):
    """Dies of what calls itself poison."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.deaths = 0

    def verify(self, body: bytes, place: SignaturePlace, at: datetime) -> Verification:
        if json.loads(body).get("poison"):
            self.deaths += 1
            self.sim.processes[-1].life.alive = False
            raise Crash
        return super().verify(body, place, at)


def test_a_poison_takes_no_company_along() -> None:
    fine_ticks()

    async def main(loop: VirtualLoop) -> None:
        sim = Simulation(loop)
        sim.verifier = deadly = Deadly(sim)
        for number in range(5):
            sim.send(edoc("H26", "H29", name=f"before {number}"))
        sim.send(edoc("H26", "H29", name="poison", poison=True))
        for number in range(5):
            sim.send(edoc("H26", "H29", name=f"behind {number}"))
        process = sim.start()
        for _ in range(20):
            await sim.quiet()
            if process.life.alive:
                break
            await sim.bury(process)
            await asyncio.sleep(11)  # leases run out
            process = sim.start()
        assert process.life.alive, "the poison is never set aside"
        assert deadly.deaths <= 6
        assert sim.broker.depth(names.QUARANTINE) == 1, "neighbours were set aside as well"
        assert len(sim.documents()) == 10
        await sim.stop(process)

    run(main)
