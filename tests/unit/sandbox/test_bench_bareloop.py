"""The bare loop does no less than it says: four confirmed publishes, then one acknowledgement."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from relay.broker.bareloop import ANSWER, BareLoop, Target
from relay.broker.connection import Endpoint
from relay.errors import BrokerError

TARGETS = [
    Target("level.central", "G22"),
    Target("level.province", "H53"),
    Target("level.commune", "H53.31.20"),
]


class Channel:
    def __init__(self) -> None:
        self.published: list[tuple[str, str, bytes, Any, bool]] = []
        self.acknowledged: list[int] = []

    def basic_publish(self, exchange: str, key: str, body: bytes, properties: Any, mandatory: bool) -> None:
        self.published.append((exchange, key, body, properties, mandatory))

    def basic_ack(self, tag: int) -> None:
        self.acknowledged.append(tag)


@pytest.fixture
def channel() -> Channel:
    return Channel()


@pytest.fixture
def bare(channel: Channel) -> BareLoop:
    loop = BareLoop(Endpoint("127.0.0.1", 1, "relay", "x"), TARGETS, prefetch=100)
    loop._giving = loop._taking = channel
    return loop


def take(bare: BareLoop, tag: int) -> None:
    method = SimpleNamespace(delivery_tag=tag, routing_key="normal.H40.17")
    sent = SimpleNamespace(content_type="application/edxml+xml", message_id=f"id-{tag}", type="edoc")
    bare._taken(None, method, sent, b"body")


def confirm(bare: BareLoop, tag: int, *, multiple: bool = False, name: str = "Basic.Ack") -> None:
    method = SimpleNamespace(NAME=name, delivery_tag=tag, multiple=multiple)
    bare._confirmed(SimpleNamespace(method=method))


def test_three_bodies_and_one_answer(bare: BareLoop, channel: Channel) -> None:
    take(bare, 1)
    where = [(exchange, key, body) for exchange, key, body, _, _ in channel.published]
    assert where == [
        ("level.central", "G22", b"body"),
        ("level.province", "H53", b"body"),
        ("level.commune", "H53.31.20", b"body"),
        ("receipts", "H40.17", ANSWER),
    ]
    for _, _, _, properties, mandatory in channel.published:
        assert mandatory
        assert properties.delivery_mode == 2
    assert channel.published[0][3].message_id == "id-1"
    assert channel.published[3][3].correlation_id == "id-1"


def test_the_acknowledgement_waits_for_the_last_confirm(bare: BareLoop, channel: Channel) -> None:
    take(bare, 1)
    take(bare, 2)
    for tag in (4, 1, 3):
        confirm(bare, tag)
    assert channel.acknowledged == []
    confirm(bare, 2)
    assert channel.acknowledged == [1]
    confirm(bare, 7, multiple=True)
    assert channel.acknowledged == [1]
    confirm(bare, 8)
    assert channel.acknowledged == [1, 2]


def test_one_confirm_for_several(bare: BareLoop, channel: Channel) -> None:
    take(bare, 1)
    take(bare, 2)
    confirm(bare, 8, multiple=True)
    assert channel.acknowledged == [1, 2]


def test_a_refused_publish_ends_the_measurement(bare: BareLoop) -> None:
    async def refused() -> None:
        bare._end = asyncio.get_running_loop().create_future()
        take(bare, 1)
        confirm(bare, 1, name="Basic.Nack")
        await bare._end

    with pytest.raises(BrokerError, match="refused"):
        asyncio.run(refused())


@pytest.mark.parametrize("written", ["", "level.central", "level.central:", ":G22"])
def test_a_target_has_exchange_and_key(written: str) -> None:
    with pytest.raises(ValueError, match="exchange:key"):
        Target.read(written)
