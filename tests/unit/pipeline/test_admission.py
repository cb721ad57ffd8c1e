"""Who may send to whom: each cell of the table, through the whole pipeline; and a suspension with an end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from relay.directory.admission import DOCUMENTS
from relay.directory.snapshot import AgencyDirectory
from relay.errors import Code
from relay.model.agency import Admission, Agency
from relay.model.delivery import State
from relay.model.message import Published
from relay.model.times import vietnam_day
from tests.support.simulation import AGENCIES, Simulation, edoc, fine_ticks
from tests.support.virtual import VirtualLoop, run

OK, TRIAL, SENDER, RECIPIENT, CLOSED = (
    None,
    Code.TRIAL_ONLY,
    Code.SENDER_SUSPENDED,
    Code.RECIPIENT_SUSPENDED,
    Code.RECIPIENT_CLOSED,
)
# By hand, in the order trial, admitted, suspended, closed; the sender's lines, the recipient's columns.
WRITTEN = (
    (OK, TRIAL, RECIPIENT, CLOSED),
    (TRIAL, OK, RECIPIENT, CLOSED),
    (SENDER, SENDER, SENDER, SENDER),
    (SENDER, SENDER, SENDER, SENDER),
)
CELLS = [
    (sender, recipient, WRITTEN[line][column])
    for (line, sender), (column, recipient) in product(enumerate(Admission), enumerate(Admission))
]


@pytest.fixture(autouse=True)
def _ticks() -> None:
    fine_ticks()


def simulated(agencies: tuple[Agency, ...], body: Callable[[Simulation], Awaitable[None]]) -> None:
    async def main(loop: VirtualLoop) -> None:
        await body(Simulation(loop, agencies=agencies))

    run(main)


def admit(sim: Simulation, **admissions: Admission) -> None:
    """The directory changes; the queues stay."""
    changed = [replace(one, admission=admissions.get(one.code, one.admission)) for one in AGENCIES]
    sim.directory = AgencyDirectory.of(changed, "changed")


def test_the_table_has_a_cell_for_each_pair() -> None:
    assert list(Admission) == [Admission.TRIAL, Admission.ADMITTED, Admission.SUSPENDED, Admission.CLOSED]
    assert DOCUMENTS.keys() == set(product(Admission, Admission))
    assert {(sender, recipient): code for sender, recipient, code in CELLS} == dict(DOCUMENTS)


@pytest.mark.parametrize(("sender", "recipient", "code"), CELLS)
def test_a_cell(sender: Admission, recipient: Admission, code: Code | None) -> None:
    async def body(sim: Simulation) -> None:
        admit(sim, H26=sender, H29=recipient)
        process = sim.start()
        sim.send(edoc("H26", "H29"))
        await sim.quiet()
        await sim.stop(process)
        assert len(sim.copies("H29")) == (0 if code else 1)
        told = ("refused", code.value) if code else ("accepted", "")
        assert sim.told("H26") == [("acknowledgement", *told)]
        sim.check()

    simulated(AGENCIES, body)


def suspended(sim: Simulation, days: int | None, code: str = "H29") -> None:
    """The agency is suspended, until ``days`` from now."""
    until = vietnam_day(sim.clock.now() + timedelta(days=days)) if days is not None else None
    sim.directory = AgencyDirectory.of(
        [
            replace(one, admission=Admission.SUSPENDED, suspended_until=until) if one.code == code else one
            for one in sim.directory.agencies()
        ],
        "suspended",
    )


def test_a_suspension_that_ends_in_time_holds_the_document_up() -> None:
    async def body(sim: Simulation) -> None:
        suspended(sim, 2)
        process = sim.start()
        sim.send(edoc("H26", "H29", "H53"))
        await sim.quiet(ladder=False)
        assert len(sim.copies("H53")) == 1
        assert not sim.copies("H29")
        (document,) = sim.documents()
        waiting = next(one for one in document.deliveries if one.recipient == "H29")
        until = vietnam_day(sim.clock.now() + timedelta(days=2)).isoformat()
        assert (waiting.state, waiting.code, waiting.detail) == (State.PLANNED, RECIPIENT, until)
        assert sim.told("H26") == [("acknowledgement", "accepted", "")]
        await sim.stop(process)
        await asyncio.sleep(3 * 86_400)
        process = sim.start(name="w2")
        await sim.quiet(4000)
        await sim.stop(process)
        assert len(sim.copies("H29")) == 1
        sim.check()

    simulated(AGENCIES, body)


def test_a_suspension_that_is_lifted_lets_what_waits_through() -> None:
    async def body(sim: Simulation) -> None:
        before = sim.directory
        suspended(sim, 3)
        process = sim.start()
        sim.send(edoc("H26", "H29"))
        await sim.quiet(ladder=False)
        sim.directory = before
        await sim.quiet(4000)
        await sim.stop(process)
        assert len(sim.copies("H29")) == 1
        sim.check()

    simulated(AGENCIES, body)


def test_a_suspension_that_lasts_longer_than_a_document_can_wait_is_refused_with_its_end() -> None:
    async def body(sim: Simulation) -> None:
        suspended(sim, 30)
        process = sim.start()
        sim.send(edoc("H26", "H29"))
        await sim.quiet()
        await sim.stop(process)
        assert sim.told("H26") == [("acknowledgement", "refused", RECIPIENT.value)]
        sim.check()

    simulated(AGENCIES, body)


@pytest.mark.parametrize("days", [1, None])
def test_an_agency_that_was_suspended_meanwhile_gets_nothing_that_was_planned_before(
    days: int | None,
) -> None:
    """Also what is on the ladder for another reason waits for the end of the suspension, be it known or not."""

    async def body(sim: Simulation) -> None:
        before = sim.directory
        sim.script = lambda one: Published.NACKED if one.exchange == "level.province" else None
        process = sim.start()
        sim.send(edoc("H26", "H29"))
        await sim.quiet(ladder=False)
        suspended(sim, days)
        sim.script = lambda _one: None
        await asyncio.sleep(900)
        assert not sim.copies("H29")
        (delivery,) = sim.documents()[0].deliveries
        assert (delivery.state, delivery.code) == (State.PLANNED, RECIPIENT)
        sim.directory = before
        await sim.quiet(4000)
        assert len(sim.copies("H29")) == 1
        await sim.stop(process)
        sim.check()

    simulated(AGENCIES, body)


def test_the_end_of_a_suspension_frees_the_sender_too() -> None:
    async def body(sim: Simulation) -> None:
        suspended(sim, 1, "H26")
        process = sim.start()
        sim.send(edoc("H26", "H29", name="a"))
        await sim.quiet()
        await sim.stop(process)
        await asyncio.sleep(2 * 86_400)
        process = sim.start(name="w2")
        sim.send(edoc("H26", "H29", name="b"))
        await sim.quiet()
        await sim.stop(process)
        assert sim.told("H26") == [
            ("acknowledgement", "refused", SENDER.value),
            ("acknowledgement", "accepted", ""),
        ]

    simulated(AGENCIES, body)


def test_a_document_is_judged_and_routed_by_one_state_of_the_directory() -> None:
    """The file changes while the signature is checked and the row is claimed: the next document sees it."""

    async def body(sim: Simulation) -> None:
        asked: list[str] = []

        def look() -> AgencyDirectory:
            asked.append(sim.directory.version)
            return sim.directory

        process = sim.start()
        process.handler._directory = look
        claims = sim.registry.claim

        def claim(*arguments: Any) -> Any:
            admit(sim, H29=Admission.CLOSED)
            return claims(*arguments)

        sim.registry.claim = claim  # type: ignore[method-assign, assignment]
        sim.send(edoc("H26", "H29", name="a"))
        await sim.quiet()
        sim.send(edoc("H26", "H29", name="b"))
        await sim.quiet()
        await sim.stop(process)
        assert asked == ["v1", "changed"]
        assert [one.directory_version for one in sim.documents()] == ["v1", "changed"]
        assert len(sim.copies("H29")) == 1

    simulated(AGENCIES, body)
