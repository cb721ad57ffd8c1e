"""A surprise that cannot even be set aside: the message stays in hand until the trouble has passed, and is told then."""

from __future__ import annotations

import asyncio

from tests.support.plainformat import PlainSigner
from tests.support.simulation import Process, Simulation, edoc, fine_ticks
from tests.support.virtual import VirtualLoop, run


class Broken:
    """A signer with a fault of its own; nothing can be told while it lasts, not even that something is held."""

    def __init__(self) -> None:
        self.broken = True
        self.asked = 0

    def seal(self, unsigned: bytes) -> bytes:
        if self.broken:
            self.asked += 1
            raise ValueError("a fault that nobody has foreseen")
        return PlainSigner().seal(unsigned)

    def into(self, process: Process) -> None:
        process.worker._handler._reporter._signer = self


def test_nothing_is_forgotten_while_nothing_can_be_told() -> None:
    fine_ticks()

    async def main(loop: VirtualLoop) -> None:
        sim = Simulation(loop)
        process, broken = sim.start(), Broken()
        broken.into(process)
        await asyncio.sleep(1)
        sim.send(edoc("H26", "H29"))
        sim.send(edoc("H26", "H53", name="d2"))
        await asyncio.sleep(60)
        assert broken.asked > 4, "tried again and again"
        assert sim.unacknowledged() == 2
        assert not sim.told("H26")
        broken.broken = False
        await sim.quiet()
        assert sim.unacknowledged() == 0
        assert {kind for kind, _, _ in sim.told("H26")} >= {"acknowledgement"}
        assert sum(kind == "acknowledgement" for kind, _, _ in sim.told("H26")) == 2
        await sim.stop(process)

    run(main)
