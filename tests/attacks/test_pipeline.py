"""The corpus through the whole pipeline: accept to settle, real handler, worker and registry, over a broker in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pytest

from adapters.edxml.format import EdxmlFormat
from relay.broker import names
from relay.errors import Code
from relay.model.message import Published
from relay.pipeline.verify import Examiner
from relay.sandbox.attacks import AGENCIES, Case, Outcome, Shot
from tests.attacks.world import inside, properties, world
from tests.support import simulation
from tests.support.simulation import Simulation, fine_ticks
from tests.support.virtual import VirtualLoop, run

# what a library says of a certificate of the corpus is no fault of a test
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")

_TOGETHER = 60  # cases in one life of the relay


@pytest.fixture(autouse=True)
def _inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is virtual, so nothing may be done in another thread."""
    fine_ticks()
    monkeypatch.setattr(simulation, "Examiner", partial(Examiner, inline_max=1 << 30))


def chosen() -> list[Case]:
    """What reaches a lane of the relay: not what a broker closes its doors to, nor what is put before a gateway."""
    return [
        case for case in inside() if not any(shot.exchange or shot.key for shot in world().built[case.key])
    ]


def batches() -> Iterator[list[Case]]:
    cases = chosen()
    return (cases[at : at + _TOGETHER] for at in range(0, len(cases), _TOGETHER))


def simulated(body: Callable[[Simulation], Awaitable[None]]) -> None:
    here = world()

    async def main(loop: VirtualLoop) -> None:
        sim = Simulation(loop, agencies=here.agencies, verifier=here.verifier(), form=EdxmlFormat())
        await body(sim)

    run(main)


@dataclass(frozen=True)
class Told:
    """One receipt in the queue of who published."""

    result: str
    code: str
    duplicate: bool


def publish(sim: Simulation, shot: Shot) -> None:
    done = sim.broker.publish(names.INGRESS, shot.routing_key, shot.body, properties(shot))
    assert done is Published.CONFIRMED, shot.routing_key


def told(sim: Simulation, shot: Shot) -> list[Told]:
    """The receipts about exactly this submission, in the queue of who published it."""
    digest = hashlib.sha256(shot.body).hexdigest()
    return [
        Told(
            str(one.properties.headers[names.H_RESULT]),
            str(one.properties.headers[names.H_CODE]),
            names.H_DUPLICATE in one.properties.headers,
        )
        for one in sim.queue(shot.user)
        if one.properties.type == "receipt"
        and (one.properties.correlation_id or "") == shot.transport_id
        and digest.encode() in one.body
    ]


def delivered(sim: Simulation, shot: Shot) -> int:
    return sum(
        one.body == shot.body and one.properties.type != "receipt"
        for code in AGENCIES
        for one in sim.queue(code)
    )


@pytest.mark.parametrize("batch", range(len(list(batches()))))
def test_each_is_answered_by_its_code_and_nothing_is_delivered(batch: int) -> None:
    cases = list(batches())[batch]
    here = world()
    wrong: list[object] = []

    async def body(sim: Simulation) -> None:
        process = sim.start()
        for case in cases:
            for shot in here.built[case.key][:-1]:
                publish(sim, shot)
                await sim.quiet(ladder=False)
        before = {case.key: delivered(sim, here.built[case.key][-1]) for case in cases}
        for case in cases:
            publish(sim, here.built[case.key][-1])
        await sim.quiet(ladder=False)
        for case in cases:
            shots = here.built[case.key]
            wrong.extend(_faults(sim, case, shots))
            if delivered(sim, shots[-1]) != before[case.key]:
                wrong.append((case.key, "delivered"))
        nameless = sum(shot.nameless for case in cases for shot in here.built[case.key])
        assert sim.broker.depth(names.QUARANTINE) == nameless
        good = Shot(here.forge.good())
        publish(sim, good)
        await sim.quiet(ladder=False)
        assert delivered(sim, good) == 1
        assert sim.faults == []
        await sim.stop(process)

    simulated(body)
    assert wrong == [], wrong


def _faults(sim: Simulation, case: Case, shots: Sequence[Shot]) -> list[object]:
    shot = shots[-1]
    found = told(sim, shot)
    if shot.nameless:
        return [(case.key, found)] if found else []
    if case.codes == (Code.REVOCATION_UNKNOWN.value,):
        # nothing current says that it is revoked: it waits on the ladder, undelivered, until its deadline
        waits = [each for rung in names.RUNGS for each in sim.broker.queues[names.retry_queue(rung)].ready]
        return [] if not found and any(each.body == shot.body for each in waits) else [(case.key, found)]
    if case.outcome is Outcome.REPEATED:
        last = found[-1] if found else None
        right = last is not None and (last.code in case.codes) and (last.duplicate or bool(last.code))
        return [] if right else [(case.key, found)]
    if len(found) != 1 or found[0].result != "refused" or found[0].code not in case.codes:
        return [(case.key, found, case.codes)]
    elsewhere = [code for code in AGENCIES if code != shot.user and _told_of(sim, code, shot)]
    return [(case.key, "told to", elsewhere)] if elsewhere and len(shots) == 1 else []


def _told_of(sim: Simulation, code: str, shot: Shot) -> bool:
    digest = hashlib.sha256(shot.body).hexdigest().encode()
    return any(one.properties.type == "receipt" and digest in one.body for one in sim.queue(code))
