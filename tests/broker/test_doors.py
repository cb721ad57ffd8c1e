"""Least privilege on a real broker: one test for each door.

Where RabbitMQ 3.10 leaves a door open, the test shows that it is open there; what closes it is the worker, in its own
tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from relay.broker import names
from relay.broker.blocking import BlockingClient
from relay.broker.connection import Endpoint
from relay.errors import BrokerError, Code
from relay.model.message import Properties, Published
from tests.support.node import Node
from tests.support.topology import AGENCIES, RELAY, Ground, password_of

pytestmark = pytest.mark.broker
LONG = 60.0  # seconds in which a message that comes has come

SENT = Properties(
    message_id="5d1f1a53-2f5b-4a0e-9d5e-000000000001",
    type="edoc",
    content_type=names.CONTENT_EDXML,
    delivery_mode=2,
    user_id="H53",
)


@pytest.fixture(scope="module")
def ground(broker_node: Node) -> Ground:
    made = Ground(broker_node, "doors")
    made.apply(AGENCIES)
    return made


@pytest.fixture
def gateway(ground: Ground) -> Iterator[BlockingClient]:
    """The gateway H53, whose neighbours are called H5 and H530."""
    with BlockingClient(ground.endpoint("H53"), name="H53") as client:
        yield client


@pytest.fixture
def relay(ground: Ground) -> Iterator[BlockingClient]:
    with BlockingClient(ground.endpoint(RELAY), name="relay") as client:
        yield client


@pytest.fixture
def operator(ground: Ground) -> Iterator[BlockingClient]:
    with BlockingClient(ground.admin, name="operator") as client:
        for queue in (
            "agency.H5",
            "agency.H53",
            "agency.H530",
            *(names.lane_queue(lane) for lane in names.LANES),
        ):
            client.raw.queue_purge(queue)
        yield client


def refused(number: int, attempt: Callable[[], object]) -> None:
    with pytest.raises(BrokerError) as caught:
        attempt()
    assert caught.value.code is Code.BROKER_REFUSED
    assert caught.value.detail.startswith(str(number))


def via(client: BlockingClient, call: Callable[[Any], object]) -> None:
    """Do something on the library's channel under the client's translation of errors."""
    with client._guard(10):
        call(client.raw)


@pytest.mark.parametrize("key", ["normal.H53", "urgent.H53.1", "status.H53.2"])
def test_a_gateway_writes_for_the_agencies_that_it_serves(gateway: BlockingClient, key: str) -> None:
    assert gateway.publish("ingress", key, b"x", SENT) is Published.CONFIRMED


@pytest.mark.parametrize(
    "exchange", [*names.LEVEL_EXCHANGES, "receipts", "retry", "due", "quarantine", "inspect"]
)
def test_a_gateway_writes_to_no_exchange_of_the_relay(gateway: BlockingClient, exchange: str) -> None:
    refused(403, lambda: gateway.publish(exchange, "H53", b"x", SENT))


@pytest.mark.parametrize(
    "key",
    [
        "normal.H5",
        "normal.H530",
        "normal.H53.3",
        "normal.H53.1.1",
        "normal.H53x1",
        "normal.G14",
        "normal.",
        "due.H53",
        "xnormal.H53",
        "H53",
    ],
)
def test_a_gateway_writes_no_key_of_another_sender_or_lane(gateway: BlockingClient, key: str) -> None:
    refused(403, lambda: gateway.publish("ingress", key, b"x", SENT))


@pytest.mark.parametrize("queue", ["agency.H53", "agency.H5", "ingress.urgent", "quarantine"])
def test_a_gateway_reaches_no_queue_by_the_default_exchange(gateway: BlockingClient, queue: str) -> None:
    refused(403, lambda: gateway.publish("", queue, b"x", SENT))


def test_a_false_user_id_is_refused(gateway: BlockingClient) -> None:
    refused(406, lambda: gateway.publish("ingress", "normal.H53", b"x", replace(SENT, user_id="H5")))


def test_open_at_the_broker_a_missing_user_id(gateway: BlockingClient, operator: BlockingClient) -> None:
    sent = replace(SENT, user_id=None)
    assert gateway.publish("ingress", "normal.H53", b"x", sent) is Published.CONFIRMED
    message = operator.take("ingress.normal", LONG)
    assert message is not None
    assert message.properties.user_id is None
    operator.ack(message)


@pytest.mark.parametrize("header", ["CC", "BCC"])
def test_open_at_the_broker_copies_into_other_lanes(
    gateway: BlockingClient, operator: BlockingClient, header: str
) -> None:
    sent = replace(SENT, headers={header: ["urgent.H5"]})
    assert gateway.publish("ingress", "normal.H53", b"x", sent) is Published.CONFIRMED
    copy = operator.take("ingress.urgent", LONG)
    assert copy is not None
    # What the worker can go by: the copy bears the true user and the first key, which names another lane.
    assert copy.properties.user_id == "H53"
    assert copy.routing_key == "normal.H53"
    assert ("CC" in copy.properties.headers) == (header == "CC")
    operator.ack(copy)


def test_copies_reach_no_other_exchange(gateway: BlockingClient, operator: BlockingClient) -> None:
    sent = replace(SENT, headers={"CC": ["H5"], "BCC": ["H530", "agency.H5"]})
    assert gateway.publish("ingress", "normal.H53", b"x", sent) is Published.CONFIRMED
    time.sleep(0.2)
    assert operator.depth("agency.H5") == operator.depth("agency.H530") == 0


@pytest.mark.parametrize(
    "queue", ["agency.H5", "agency.H530", "ingress.normal", "due", "quarantine", "inspect", "retry.5s"]
)
def test_a_gateway_reads_purges_and_deletes_no_queue_of_others(gateway: BlockingClient, queue: str) -> None:
    refused(403, lambda: gateway.get(queue))
    refused(403, lambda: via(gateway, lambda channel: channel.basic_consume(queue, lambda *_: None)))
    refused(403, lambda: via(gateway, lambda channel: channel.queue_purge(queue)))
    refused(403, lambda: via(gateway, lambda channel: channel.queue_delete(queue)))


def test_a_gateway_reads_its_own_queues(
    gateway: BlockingClient, relay: BlockingClient, operator: BlockingClient
) -> None:
    own = replace(SENT, user_id=None)
    for exchange, key, queue in (
        ("level.province", "H53", "agency.H53"),
        ("level.commune", "H53.1", "agency.H53.1"),
        ("level.commune", "H53.2", "agency.H53"),
        ("receipts", "H53.2", "agency.H53"),
    ):
        assert relay.publish(exchange, key, key.encode(), own) is Published.CONFIRMED
        message = gateway.take(queue, LONG)
        assert message is not None
        assert message.body == key.encode()
        gateway.ack(message)


@pytest.mark.parametrize("queue", ["agency.H53", "agency.H9", "mine"])
def test_a_gateway_declares_no_queue(gateway: BlockingClient, queue: str) -> None:
    refused(
        403,
        lambda: via(
            gateway,
            lambda channel: channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"}),
        ),
    )


def test_a_gateway_declares_no_queue_that_the_broker_names(gateway: BlockingClient) -> None:
    refused(403, lambda: via(gateway, lambda channel: channel.queue_declare("", exclusive=True)))


def test_a_gateway_declares_no_exchange_and_no_mark(gateway: BlockingClient) -> None:
    for name in ("ingress", "mine", "epoch.1"):
        refused(403, partial(via, gateway, partial(_declare, name=name)))


def _declare(channel: Any, name: str) -> None:
    channel.exchange_declare(name, "fanout")


def _bind(channel: Any, exchange: str) -> None:
    channel.queue_bind("agency.H53", exchange, "H5")


def test_a_gateway_binds_and_unbinds_nothing(gateway: BlockingClient) -> None:
    for exchange in ("level.province", "receipts", "ingress"):
        refused(403, partial(via, gateway, partial(_bind, exchange=exchange)))
    refused(
        403, lambda: via(gateway, lambda channel: channel.queue_unbind("agency.H53", "level.province", "H53"))
    )


def test_open_at_the_broker_purging_its_own_queue(
    gateway: BlockingClient, relay: BlockingClient, operator: BlockingClient
) -> None:
    assert relay.publish("receipts", "H53", b"x", replace(SENT, user_id=None)) is Published.CONFIRMED
    via(gateway, lambda channel: channel.queue_purge("agency.H53"))
    assert operator.depth("agency.H53") == 0


def test_open_at_the_broker_the_depth_of_any_queue(gateway: BlockingClient) -> None:
    assert gateway.depth("quarantine") == 0
    assert gateway.depth("agency.H9") is None


def test_what_a_gateway_rejects_reaches_quarantine(
    gateway: BlockingClient, relay: BlockingClient, operator: BlockingClient
) -> None:
    assert relay.publish("level.province", "H53", b"odd", replace(SENT, user_id=None)) is Published.CONFIRMED
    message = gateway.take("agency.H53", LONG)
    assert message is not None
    gateway.reject(message)
    held = relay.take("quarantine", LONG)
    assert held is not None
    assert held.body == b"odd"
    assert held.properties.headers["x-first-death-queue"] == "agency.H53"
    relay.ack(held)


def test_what_expires_in_ingress_reaches_quarantine(gateway: BlockingClient, relay: BlockingClient) -> None:
    sent = replace(SENT, expiration="0")
    assert gateway.publish("ingress", "status.H53", b"gone", sent) is Published.CONFIRMED
    held = relay.take("quarantine", LONG)
    assert held is not None
    assert held.properties.headers["x-first-death-reason"] == "expired"
    assert held.properties.user_id == "H53"
    relay.ack(held)


@pytest.mark.parametrize("exchange", ["ingress", "", "amq.topic"])
def test_the_relay_writes_only_where_it_must(relay: BlockingClient, exchange: str) -> None:
    refused(403, lambda: relay.publish(exchange, "normal.H53", b"x", replace(SENT, user_id=None)))


def test_the_relay_reads_no_agency_and_declares_nothing_but_its_mark(relay: BlockingClient) -> None:
    refused(403, lambda: relay.get("agency.H53"))
    assert relay.get("retry.5s") is None, "its own ladder it may read: an operator brings deferrals forward"
    refused(403, lambda: via(relay, lambda channel: channel.queue_declare("mine", durable=True)))
    refused(403, lambda: via(relay, lambda channel: channel.exchange_declare("level.moon", "direct")))
    via(relay, lambda channel: channel.exchange_declare("epoch.test", "fanout", durable=True))


def test_a_wrong_password_and_another_vhost_are_refusals(ground: Ground) -> None:
    node = ground.node
    for endpoint in (
        Endpoint(node.host, node.port, "H53", "wrong", ground.vhost),
        Endpoint(node.host, node.port, "H53", password_of("H53"), node.vhost + "-else"),
    ):
        with pytest.raises(BrokerError) as caught:
            BlockingClient(endpoint, name="x").open()
        assert caught.value.code is Code.BROKER_REFUSED
        assert "wrong" not in repr(endpoint) + str(caught.value)


def test_each_gateway_has_a_topic_row_and_no_tags(ground: Ground) -> None:
    rows = {row["user"] for row in ground.management.topic_permissions() if row["exchange"] == "ingress"}
    gateways = {agency.gateway for agency in AGENCIES}
    assert gateways <= rows
    tags = {row["name"]: row["tags"] for row in ground.management.users()}
    assert all(not tags[user] for user in [*gateways, RELAY] if user is not None)
