"""Who speaks for whom while users and certificates change: the directory of the moment decides, nothing is lost by it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from relay.broker import names
from relay.directory.snapshot import AgencyDirectory
from relay.errors import Code
from relay.model.agency import Admission, Agency, AgencyCertificate, GatewayUser
from relay.model.delivery import State
from tests.support.simulation import AGENCIES, Simulation, agency, edoc, fine_ticks
from tests.support.virtual import VirtualLoop, run

SECOND = GatewayUser("H26+1")


def with_users(*users: GatewayUser) -> tuple[Agency, ...]:
    return tuple(replace(one, users=users) if one.code == "H26" else one for one in AGENCIES)


@pytest.fixture(autouse=True)
def _ticks() -> None:
    fine_ticks()


def simulated(agencies: tuple[Agency, ...], body: Callable[[Simulation], Awaitable[None]]) -> None:
    async def main(loop: VirtualLoop) -> None:
        await body(Simulation(loop, agencies=agencies))

    run(main)


def become(sim: Simulation, *agencies: Agency) -> None:
    """The directory file was changed, and the worker has looked."""
    changed = {one.code: one for one in agencies}
    merged = [changed.get(one.code, one) for one in sim.directory.agencies()]
    sim.directory = AgencyDirectory.of(merged, "v2")


@pytest.mark.parametrize("user", ["H26", "H26+1"])
def test_both_users_of_a_gateway_speak_for_it_and_its_queue_is_told(user: str) -> None:
    async def body(sim: Simulation) -> None:
        process = sim.start()
        sim.send(edoc("H26", "H29"), user=user)
        sim.send(edoc("H26", "H29", name="f", forged=True), user=user)
        sim.send(edoc("H26", "H29", name="x", explode=True), user=user)
        await sim.quiet()
        await sim.stop(process)
        assert len(sim.copies("H29")) == 1
        assert sorted(sim.told("H26")) == [
            ("acknowledgement", "accepted", ""),
            ("acknowledgement", "refused", Code.SIGNATURE_INVALID.value),
            ("held", "accepted", Code.HELD.value),
        ]

    simulated(with_users(GatewayUser("H26"), SECOND), body)


def test_a_user_that_no_gateway_has_speaks_for_nobody() -> None:
    async def body(sim: Simulation) -> None:
        process = sim.start()
        sim.send(edoc("H26", "H29"), user="H53")
        become(sim, replace(AGENCIES[3], users=(SECOND,)))  # H53's now
        sim.send(edoc("H26", "H29", name="d2"), user="H26+1")
        await sim.quiet()
        await sim.stop(process)
        assert sim.copies("H29") == []
        assert sim.told("H53") == [("acknowledgement", "refused", Code.SENDER_NOT_ALLOWED.value)] * 2

    simulated(AGENCIES, body)


def test_the_same_submission_by_the_other_user_is_the_same() -> None:
    async def body(sim: Simulation) -> None:
        process = sim.start()
        for name, forged in (("d1", False), ("d2", True)):
            once = edoc("H26", "H29", name=name, forged=forged)
            transport_id = sim.send(once, user="H26")
            await sim.quiet()
            sim.send(once, user="H26+1", transport_id=transport_id)
            await sim.quiet()
        await sim.stop(process)
        assert len(sim.copies("H29")) == 1
        assert len(sim.told("H26")) == 2  # each receipt once more with the same bytes
        sim.check()

    simulated(with_users(GatewayUser("H26"), SECOND), body)


def test_what_waits_from_a_user_that_has_ended_is_taken() -> None:
    """The broker lets the user in no more; what it published while it might is the gateway's all the same."""

    async def body(sim: Simulation) -> None:
        sim.send(edoc("H26", "H29"), user="H26+1")
        become(sim, replace(AGENCIES[1], users=(replace(SECOND, until=sim.clock.now()), GatewayUser("H26"))))
        process = sim.start()
        await sim.quiet()
        await sim.stop(process)
        assert [one.state for one in sim.documents()[0].deliveries] == [State.QUEUED]
        sim.check()

    simulated(with_users(GatewayUser("H26"), SECOND), body)


def test_an_expired_message_is_told_to_the_gateway_of_its_user() -> None:
    async def body(sim: Simulation) -> None:
        sim.send(edoc("H26", "H29"), user="H26+1", expiration="1")
        await sim.keep(rounds=1)
        (stored,) = sim.broker.queues["ingress.normal"].ready
        sim.broker.queues["ingress.normal"].ready.clear()
        headers = {"x-death": [{"queue": "ingress.normal", "reason": "expired", "count": 1}]}
        dead = replace(stored, properties=replace(stored.properties, headers=headers))
        sim.broker.queues[names.QUARANTINE].ready.append(dead)
        await sim.keep(rounds=1)
        assert sim.told("H26") == [("held", "accepted", Code.EXPIRED_IN_QUEUE.value)]

    simulated(with_users(GatewayUser("H26"), SECOND), body)


@pytest.mark.parametrize("admission", [Admission.SUSPENDED, Admission.CLOSED])
def test_a_silenced_gateway_speaks_for_nobody_whom_it_serves(admission: Admission) -> None:
    async def body(sim: Simulation) -> None:
        process = sim.start()
        become(sim, replace(AGENCIES[4], admission=admission))  # H53.31 serves H53.31.20
        sim.send(edoc("H53.31.20", "H29"), user="H53.31")
        await sim.quiet()
        become(sim, AGENCIES[4])
        sim.send(edoc("H53.31.20", "H29", name="d2"), user="H53.31")
        await sim.quiet()
        await sim.stop(process)
        assert len(sim.copies("H29")) == 1
        assert sim.told("H53.31") == [
            ("acknowledgement", "refused", Code.SENDER_SUSPENDED.value),
            ("acknowledgement", "accepted", ""),
        ]

    simulated(AGENCIES, body)


def test_a_retired_certificate_signs_nothing_from_that_moment_on() -> None:
    old, new = "a" * 64, "b" * 64

    async def body(sim: Simulation) -> None:
        process = sim.start()
        sim.send(edoc("H26", "H29", name="1", certificate=old))
        await sim.quiet()
        end = sim.clock.now() + timedelta(seconds=60)
        both = (AgencyCertificate(old, "", retired_at=end), AgencyCertificate(new, ""))
        become(sim, replace(AGENCIES[1], certificates=both))
        for name, certificate in (("2", old), ("3", new)):
            sim.send(edoc("H26", "H29", name=name, certificate=certificate))
        await sim.quiet()
        await asyncio.sleep(61)
        for name, certificate in (("4", old), ("5", new)):
            sim.send(edoc("H26", "H29", name=name, certificate=certificate))
        await sim.quiet()
        await sim.stop(process)
        told = [(result, code) for _, result, code in sim.told("H26")]
        assert told == [("accepted", "")] * 3 + [("refused", Code.WRONG_SIGNER.value), ("accepted", "")]

    first = agency("H26", certificates=(AgencyCertificate(old, ""),))
    simulated(tuple(first if one.code == "H26" else one for one in AGENCIES), body)
