"""The asynchronous link when the broker or a sender misbehaves."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from relay.broker import consuming, names
from relay.broker.blocking import BlockingClient
from relay.broker.connection import Endpoint
from relay.broker.consuming import FIRST, LOOK
from relay.broker.link import AmqpLink, LinkTimes
from relay.broker.publishing import NACK_RENEW, PublishLimits
from relay.model.message import Incoming, Lane, Outgoing, Properties, Published
from tests.support.node import Node
from tests.support.topology import RELAY, Ground
from tests.support.waits import until_then as until

pytestmark = pytest.mark.broker

SENT = Properties(message_id="m1", type="edoc", content_type=names.CONTENT_EDXML, delivery_mode=2)


@pytest.fixture
def ground(broker_node: Node, request: pytest.FixtureRequest) -> Ground:
    made = Ground(broker_node, f"f-{request.node.name}")
    made.apply()
    return made


def link_of(endpoint: Endpoint, seconds: float = 10, **more: Any) -> AmqpLink:
    return AmqpLink(
        endpoint,
        name="faults",
        jitter=random.Random(1).random,
        limits=PublishLimits(seconds=seconds),
        times=LinkTimes(first_pause=0.05, refused_pause=0.4, answer=1.5),
        **more,
    )


def message(key: str, exchange: str = "level.province") -> Outgoing:
    return Outgoing(exchange, key, b"<edoc/>", f"m-{key}", "edoc", names.CONTENT_EDXML)


def before_it_is_given_up(scene: Callable[[float], Coroutine[None, None, bool]], *seconds: float) -> None:
    """Play a scene that has to be through before the link gives up what is stuck; a machine that stood meanwhile gets
    more time. The scene says whether it was."""
    assert any(asyncio.run(scene(each)) for each in seconds), "all waited for the stuck one to be given up"


def test_a_queue_without_a_leader_stops_neither_publishes_nor_lanes(ground: Ground) -> None:
    with BlockingClient(ground.admin, name="put") as client:
        assert client.publish("ingress", "normal.H53", b"x", SENT) is Published.CONFIRMED

    async def scene(seconds: float) -> bool:
        for queue in ("agency.H5", "ingress.status"):
            await asyncio.to_thread(ground.node.suspend_queue, ground.vhost, queue)
        taken: list[Incoming] = []
        link = link_of(ground.endpoint(RELAY), seconds=seconds)
        await link.start(lambda _lane, one: taken.append(one), {Lane.STATUS: 5, Lane.NORMAL: 5})
        await asyncio.wait_for(link.wait_connected(), 60)
        # The broker's channel itself waits at the first publish to such a queue, so for a moment all of it stands.
        stuck = link.submit(message("H5"))
        await asyncio.sleep(1.5)
        for _ in range(20):
            assert await link.publish(message("H53")) is Published.CONFIRMED
        none_waited = not stuck.done()
        again = link.submit(message("H5"))
        assert await link.publish(message("H53")) is Published.CONFIRMED
        assert (await stuck, await again) == (Published.UNDECIDED, Published.UNDECIDED)
        assert link.outstanding == 0
        await until(lambda: len(taken) == 1)
        assert not link.consuming
        for queue in ("agency.H5", "ingress.status"):
            await asyncio.to_thread(ground.node.resume_queue, ground.vhost, queue)
        await until(lambda: link.consuming)
        assert await link.publish(message("H5")) is Published.CONFIRMED
        await link.stop()
        return none_waited

    before_it_is_given_up(scene, 12.0, 60.0)


def test_after_a_nack_by_a_queue_new_to_the_channel_the_next_goes_over_a_new_one_and_nothing_is_lost(
    ground: Ground,
) -> None:
    """What a queue that was full before and one that met a dead leader have in common; a new channel mends the second."""
    fill(ground)

    async def main() -> None:
        link = link_of(ground.endpoint(RELAY))
        await link.start(lambda _lane, _one: None, {})
        await asyncio.wait_for(link.wait_connected(), 60)
        before = len(link._publisher._lines())
        channels, nacked, sent = await traffic(link, 3 * NACK_RENEW, beyond=before)
        assert Published.NACKED in nacked
        assert before < channels <= 2 * before, "ever more seldom"
        assert link.outstanding == 0
        assert not [one for one in link._publisher._draining if one.unanswered]
        with BlockingClient(ground.admin, name="look") as client:
            assert await asyncio.to_thread(client.depth, "agency.H53") == sent
        await link.stop()

    asyncio.run(main())


def test_a_stuck_queue_that_nobody_knew_holds_up_no_other(ground: Ground) -> None:
    """A burst over fresh channels, the stuck queue in its middle: a channel waits at its first publish to it."""

    async def scene(seconds: float) -> bool:
        await asyncio.to_thread(ground.node.suspend_queue, ground.vhost, "agency.H5")
        link = link_of(ground.endpoint(RELAY), seconds=seconds)
        await link.start(lambda _lane, _one: None, {})
        await asyncio.wait_for(link.wait_connected(), 60)
        others = [
            message("H53"),
            message("H530", "level.district"),
            message("H53.1", "level.commune"),
            message("H53.2", "level.commune"),
        ]
        burst = [
            (one, link.submit(one)) for _ in range(10) for one in (others[0], message("H5"), *others[1:])
        ]
        good = [future for one, future in burst if one.routing_key != "H5"]
        assert {await one for one in good} == {Published.CONFIRMED}
        stuck = [future for one, future in burst if one.routing_key == "H5"]
        while_it_waited = not stuck[0].done()
        assert {await one for one in stuck} == {Published.UNDECIDED}
        assert link.outstanding == 0
        await asyncio.to_thread(ground.node.resume_queue, ground.vhost, "agency.H5")
        await link.stop()
        return while_it_waited

    try:
        before_it_is_given_up(scene, 20.0, 60.0)
    finally:
        ground.node.resume_queue(ground.vhost, "agency.H5")


def test_a_line_left_to_drain_that_the_broker_closes_stops_nothing(ground: Ground) -> None:
    """Behind a queue without a leader waits a publish to an exchange that is taken away meanwhile."""

    async def main() -> None:
        link = link_of(ground.endpoint(RELAY), seconds=5.0)
        await link.start(lambda _lane, _one: None, {})
        await asyncio.wait_for(link.wait_connected(), 60)
        doomed = message("H530", "level.district")
        for one in (message("H5"), doomed, message("H53")):
            assert await link.publish(one) is Published.CONFIRMED
        await asyncio.to_thread(ground.node.suspend_queue, ground.vhost, "agency.H5")
        stuck, behind = link.submit(message("H5")), link.submit(doomed)
        await until(lambda: bool(link._publisher._draining))
        with BlockingClient(ground.admin, name="operator") as operator:
            operator.raw.exchange_delete("level.district")
        await asyncio.to_thread(ground.node.resume_queue, ground.vhost, "agency.H5")
        await asyncio.wait_for(asyncio.gather(stuck, behind), 60)
        await until(lambda: not link._publisher._draining)
        assert await asyncio.wait_for(link.publish(message("H53")), 60) is Published.CONFIRMED
        await asyncio.to_thread(ground.node.suspend_queue, ground.vhost, "agency.H5")
        assert await asyncio.wait_for(link.publish(message("H5")), 60) is Published.UNDECIDED
        await asyncio.to_thread(ground.node.resume_queue, ground.vhost, "agency.H5")
        await link.stop()

    asyncio.run(main())


def test_a_queue_that_becomes_full_ends_no_channel(ground: Ground) -> None:
    async def main() -> None:
        link = link_of(ground.endpoint(RELAY))
        await link.start(lambda _lane, _one: None, {})
        await asyncio.wait_for(link.wait_connected(), 60)
        for _ in range(3):
            assert await link.publish(message("H5")) is Published.CONFIRMED
        await asyncio.to_thread(fill, ground)
        main = link._publisher._main
        _, nacked, _ = await traffic(link, 2 * NACK_RENEW)
        assert Published.NACKED in nacked
        assert link._publisher._main is main
        await link.stop()

    asyncio.run(main())


def fill(ground: Ground) -> None:
    """Let a queue take nothing more. A length limit of RabbitMQ is no exact one."""
    full = {"max-length": 0, "overflow": "reject-publish"}
    ground.management.put_policy("full", names.exactly("agency.H5"), "queues", full, 99)
    end = time.monotonic() + 60
    with BlockingClient(ground.admin, name="fill") as client:
        while client.publish("level.province", "H5", b"x", SENT) is not Published.NACKED:
            assert time.monotonic() < end
            time.sleep(0.05)


async def traffic(link: AmqpLink, seconds: float, beyond: int = 0) -> tuple[int, set[Published], int]:
    """Publish to the full queue and to a good one, for so long and until there were more channels than ``beyond``.

    Return over how many channels, what of the full one, how many.
    """
    end, sent = time.monotonic() + seconds, 0
    channels: set[Any] = set()
    nacked = set()
    while time.monotonic() < end or len(channels) <= beyond:
        assert time.monotonic() < end + 60, "over the same channels all the time"
        publishes = [link.submit(message("H53")) for _ in range(20)]
        nacked.add(await link.publish(message("H5")))
        assert {await one for one in publishes} == {Published.CONFIRMED}
        sent += 20
        channels |= {line.channel for line in link._publisher._lines()}
        await asyncio.sleep(0.02)
    assert nacked <= {Published.NACKED, Published.CONFIRMED}
    return len(channels), nacked, sent


def test_a_queue_that_is_deleted_and_made_again_is_taken_from_again(ground: Ground) -> None:
    async def main() -> None:
        taken: list[Incoming] = []
        link = link_of(ground.endpoint(RELAY))

        def take(_lane: Lane, one: Incoming) -> None:
            taken.append(one)
            link.ack(one)

        await link.start(take, {Lane.NORMAL: 5, Lane.DUE: 5})
        await until(lambda: link.consuming)
        with BlockingClient(ground.admin, name="operator") as operator:
            operator.raw.queue_delete("ingress.normal")
            await until(lambda: not link.consuming)
            assert link.connected
            await asyncio.to_thread(ground.apply)
            await until(lambda: link.consuming)
            assert operator.publish("ingress", "normal.H53", b"x", SENT) is Published.CONFIRMED
        await until(lambda: len(taken) == 1)
        await link.stop()

    asyncio.run(main())


def test_a_lane_begins_with_few_and_takes_more_once_bodies_are_small(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backlog of the largest documents must not be in memory before the first of them is dealt with."""
    monkeypatch.setattr(consuming, "ROOM", FIRST * 8192)
    large, small = b"x" * 8192, b"x"
    with BlockingClient(ground.admin, name="put") as client:
        for lane, body in (("normal", small), ("urgent", large)):
            for _ in range(LOOK + 60):
                client.publish("ingress", f"{lane}.H53", body, SENT)

    async def main() -> None:
        taken: dict[Lane, list[Incoming]] = {Lane.NORMAL: [], Lane.URGENT: []}
        link = link_of(ground.endpoint(RELAY))
        await link.start(
            lambda lane, one: taken[lane].append(one), dict.fromkeys((Lane.NORMAL, Lane.URGENT), 30)
        )
        await until(lambda: all(len(one) == FIRST for one in taken.values()))
        await asyncio.sleep(0.5)
        assert {lane: len(one) for lane, one in taken.items()} == dict.fromkeys(taken, FIRST)
        for lane, in_hand in ((Lane.NORMAL, 30), (Lane.URGENT, FIRST)):
            for number in range(LOOK):
                await until(partial(_more_than, taken[lane], number))
                link.ack(taken[lane][number])
            await until(partial(_more_than, taken[lane], LOOK + in_hand - 1))
        await asyncio.sleep(0.5)
        assert len(taken[Lane.NORMAL]) == LOOK + 30
        assert len(taken[Lane.URGENT]) == LOOK + FIRST
        assert all(one.delivery_count == 0 for lane in taken for one in taken[lane])
        assert link.consuming
        await link.pause()
        link.ack(taken[Lane.NORMAL][LOOK])
        await asyncio.sleep(0.5)
        assert len(taken[Lane.NORMAL]) == LOOK + 30
        await link.resume()
        await until(lambda: len(taken[Lane.NORMAL]) == LOOK + 30 + FIRST)
        await link.stop()

    asyncio.run(main())


def _more_than(found: list[Incoming], count: int) -> bool:
    return len(found) > count


def test_refused_users_are_told_and_not_hammered(ground: Ground) -> None:
    node = ground.node
    incidents: list[str] = []

    async def main() -> None:
        link = link_of(
            Endpoint(node.host, node.port, RELAY, "wrong", ground.vhost), 1.0, on_incident=incidents.append
        )
        begin = time.monotonic()
        await link.start(lambda _lane, _one: None, {})
        await asyncio.sleep(1.2)
        await until(lambda: len(incidents) >= 2)
        assert not link.connected
        assert await asyncio.wait_for(link.publish(message("H53")), 60) is Published.UNDECIDED
        await link.stop()
        assert len(incidents) <= 2 + (time.monotonic() - begin) / 0.2

    asyncio.run(asyncio.wait_for(main(), 150))
    assert set(incidents) == {"refused"}


def test_header_tables_that_break_the_library_are_read(ground: Ground) -> None:
    nested: Any = "deep"
    for _ in range(300):
        nested = {"n": nested}
    tables: list[dict[str, Any]] = [
        {"when": _Raw(b"T" + b"\xff" * 8), "after": "seen"},
        {"deep": nested, "after": "seen"},
        {"bytes": _Raw(b"S\0\0\0\2\xff\xfe"), "after": "seen"},
    ]
    taken: list[Incoming] = []
    with BlockingClient(ground.admin, name="sender") as client:
        for table in tables:
            _publish_raw(client, table)

    async def main() -> None:
        link = link_of(ground.endpoint(RELAY))
        await link.start(lambda _lane, one: taken.append(one), {Lane.NORMAL: 10})
        await until(lambda: len(taken) == len(tables))
        for one in taken:
            link.ack(one)
        await asyncio.sleep(0.1)
        await link.stop()

    asyncio.run(main())
    assert all(one.properties.headers["after"] == "seen" for one in taken)
    assert all(one.properties.message_id == "m1" for one in taken)


class _Raw(bytes):
    """A field value that goes out as it is, its type octet included."""


def _publish_raw(client: BlockingClient, table: dict[str, Any]) -> None:
    import pika
    from pika import data

    plain = data.encode_value

    def encode(pieces: list[bytes], value: Any) -> int:
        if isinstance(value, _Raw):
            pieces.append(bytes(value))
            return len(value)
        return int(plain(pieces, value))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "encode_value", encode)
        properties = pika.BasicProperties(message_id="m1", headers=table, delivery_mode=2)
        client.raw.basic_publish("ingress", "normal.H53", b"x", properties, True)


def test_the_link_survives_the_death_of_the_broker(tmp_path_factory: pytest.TempPathFactory) -> None:
    node = Node(tmp_path_factory.mktemp("dying"))
    taken: list[Incoming] = []
    try:
        node.start()
        ground = Ground(node, node.vhost)
        ground.apply()

        async def main() -> None:
            link = link_of(ground.endpoint(RELAY))
            await link.start(lambda _lane, one: taken.append(one), {Lane.NORMAL: 5})
            await until(lambda: link.consuming)
            before = await link.publish_many([message("H53") for _ in range(50)])
            assert set(before) == {Published.CONFIRMED}
            await asyncio.to_thread(node.sync)
            node.kill()
            lost = link.submit(message("H53"))
            await asyncio.to_thread(node.start)
            assert await lost in {Published.UNDECIDED, Published.CONFIRMED}
            await asyncio.wait_for(link.wait_connected(), 60)
            assert await link.publish(message("H53")) is Published.CONFIRMED
            await until(lambda: link.consuming)
            with BlockingClient(ground.admin, name="look") as client:
                assert (client.depth("agency.H53") or 0) >= 51
                assert client.publish("ingress", "normal.H53", b"x", replace(SENT)) is Published.CONFIRMED
            await until(lambda: len(taken) == 1)
            await link.stop()

        asyncio.run(main())
    finally:
        node.close()


def test_an_alarm_blocks_and_ends_undecided_and_goes_on_after(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    node = Node(tmp_path_factory.mktemp("alarm"))
    try:
        node.start()
        ground = Ground(node, node.vhost)
        ground.apply()

        async def main() -> None:
            link = link_of(ground.endpoint(RELAY), seconds=1.0)

            async def goes_through() -> None:
                """Publish until one is confirmed: a second is little for a machine that stands now and then."""
                end = time.monotonic() + 60
                while await link.publish(message("H53")) is not Published.CONFIRMED:
                    assert time.monotonic() < end

            await link.start(lambda _lane, _one: None, {Lane.NORMAL: 5})
            await until(lambda: link.consuming)
            await goes_through()
            await asyncio.to_thread(node.ctl, "set_vm_memory_high_watermark", "0.0001")
            # The first one is in the socket when the broker tells; the next ones wait here.
            assert await link.publish(message("H53")) is Published.UNDECIDED
            await until(lambda: link.blocked)
            assert await link.publish(message("H53")) is Published.UNDECIDED
            await asyncio.to_thread(node.ctl, "set_vm_memory_high_watermark", "absolute", "4GB")
            await until(lambda: not link.blocked)
            await goes_through()
            await link.stop()

        asyncio.run(main())
    finally:
        node.close()
