"""Setting aside while the registry fails: the body is put into quarantine once, and told once the registry is back."""

from __future__ import annotations

import asyncio

from relay.broker import names
from relay.errors import Code, RegistryError
from tests.support.simulation import Simulation, edoc, fine_ticks
from tests.support.virtual import VirtualLoop, run


def test_a_registry_that_is_away_makes_no_second_copy() -> None:
    fine_ticks()

    async def main(loop: VirtualLoop) -> None:
        sim = Simulation(loop)
        process = sim.start()
        await sim.quiet()

        def away(_what: str) -> None:
            raise RegistryError(Code.REGISTRY_UNUSABLE, "away")

        def put_aside() -> int:
            return sum(one.exchange == names.QUARANTINE for one in process.link.published)

        sim.send(edoc("H26", "H29"), expiration="60000", user_id="")
        process.commits.trouble = away
        process.commits.failing = False
        await asyncio.sleep(120)
        assert put_aside() == 1
        assert sim.broker.depth(names.QUARANTINE) == 1
        assert sim.registry.held() == []
        process.commits.trouble = lambda _what: None
        await sim.quiet()
        assert put_aside() == 1
        assert [one.code for one in sim.registry.held()] == [Code.NO_USER]
        await sim.stop(process)

    run(main)
