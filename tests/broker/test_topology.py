"""Plan and apply against a real broker."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

import pytest
from pika.exceptions import AMQPError

from relay.broker import names
from relay.broker.apply import _bind_many, apply, stuck_queues
from relay.broker.blocking import BlockingClient
from relay.broker.plan import Change, What, pending, plan, read_live
from relay.broker.topology import Binding
from relay.errors import BrokerError, Code, OperationError
from relay.model.agency import Admission
from relay.model.levels import Level
from relay.model.message import Properties, Published
from tests.support.node import Node
from tests.support.topology import AGENCIES, RELAY, Ground, agency
from tests.support.waits import until

pytestmark = pytest.mark.broker

SENT = Properties(message_id="m", type="edoc", delivery_mode=2)


@pytest.fixture
def ground(broker_node: Node, request: pytest.FixtureRequest) -> Ground:
    """A vhost without anything in it yet."""
    return Ground(broker_node, f"t-{request.node.name}")


def test_twice_in_a_row_changes_nothing(ground: Ground) -> None:
    first = ground.plan()
    assert {change.kind for change in first} == {
        "vhost",
        "exchange",
        "policy",
        "queue",
        "binding",
        "user",
        "permissions",
        "topic-permissions",
    } - ({"user"} if RELAY in read_live(ground.management).users else set())
    assert all(change.what is What.CREATE for change in first)
    assert "password" not in json.dumps([change.as_json() for change in first])
    applied = ground.apply()
    assert len(applied.done) == len(first)
    assert ground.plan() == []
    assert ground.apply().done == ()


def test_each_agency_is_bound_to_the_exchange_of_its_level_and_served_ones_to_their_gateway(
    ground: Ground,
) -> None:
    ground.apply()
    live = read_live(ground.management)
    mine = {one for one in live.bindings if one.key in {"H53", "H53.1", "H53.2"}}
    assert mine == {
        Binding("level.province", "agency.H53", "H53"),
        Binding("level.commune", "agency.H53.1", "H53.1"),
        Binding("level.commune", "agency.H53", "H53.2"),
        Binding("receipts", "agency.H53", "H53"),
        Binding("receipts", "agency.H53.1", "H53.1"),
        Binding("receipts", "agency.H53", "H53.2"),
    }
    assert all(queue.arguments["x-queue-type"] == "quorum" for queue in live.queues.values())
    listed = ground.node.ctl("list_queues", "-p", ground.vhost, "name", "policy", "--formatter", "json")
    policy = {row["name"]: row["policy"] for row in json.loads(listed)}
    assert all(policy.values()), "each queue has a policy"
    assert policy["agency.H53.1"] == "truc-agency"
    assert policy["ingress.urgent"] == "truc-ingress"
    definition = dict(live.policies["truc-agency"].definition)
    assert definition["delivery-limit"] == 50
    assert definition["overflow"] == "reject-publish"
    assert definition["dead-letter-strategy"] == "at-least-once"
    assert live.policies[policy["retry.5s"]].definition["message-ttl"] == 5000
    assert live.policies[policy["retry.5s"]].definition["dead-letter-exchange"] == "due"


def test_a_binding_that_contradicts_the_directory_goes_after_the_right_one_stands(ground: Ground) -> None:
    ground.apply()
    with BlockingClient(ground.admin, name="operator") as operator:
        operator.raw.queue_bind("agency.H5", "level.province", "H53")
        operator.raw.queue_unbind("agency.H53", "level.province", "H53")
        operator.raw.queue_bind("agency.H5", "ingress", "normal.#")
    changes = ground.plan()
    kinds = [(change.kind, change.what) for change in changes]
    assert kinds == [("binding", What.CREATE), ("binding", What.REPORT), ("binding", What.REMOVE)]
    done = ground.apply().done
    assert [change.what for change in done] == [What.CREATE, What.REMOVE]
    assert [change.what for change in ground.plan()] == [What.REPORT]


def test_what_is_not_ours_is_reported_and_goes_only_when_pruning(ground: Ground) -> None:
    ground.apply()
    with BlockingClient(ground.admin, name="operator") as operator:
        for queue in ("tap", "full"):
            operator.raw.queue_declare(queue, durable=True)
        assert operator.publish("", "full", b"x", SENT) is Published.CONFIRMED
        time.sleep(0.1)
    reported = ground.plan()
    assert [(change.kind, change.name) for change in reported] == [("queue", "full"), ("queue", "tap")]
    assert pending(reported) == []
    assert ground.apply().done == ()
    assert [change.name for change in ground.apply(prune=True).done] == ["tap"]
    assert [change.name for change in ground.plan()] == ["full"]


def test_a_closed_agency_loses_its_keys_and_its_queue_is_kept_until_told(ground: Ground) -> None:
    ground.apply()
    closed = [replace(one, admission=Admission.CLOSED) if one.code == "G14" else one for one in AGENCIES]
    ground.apply(closed)
    live = read_live(ground.management)
    assert not [one for one in live.bindings if one.key == "G14"]
    assert "agency.G14" in live.queues
    assert live.rights["G14"].read == live.rights["G14"].write == live.rights["G14"].topic == "^$"


def test_an_administrator_with_an_agencys_name_keeps_its_rights(ground: Ground) -> None:
    management = ground.management
    management.put_user("H77", "x" * 20, "administrator")
    try:
        applied = ground.apply([*AGENCIES, agency("H77")])
        assert [str(one) for one in applied.done if one.name == "H77" and one.kind != "binding"] == []
        (told,) = [one for one in ground.plan([*AGENCIES, agency("H77")]) if one.name == "H77"]
        assert (told.what, told.before) == (What.REPORT, "an administrator of the broker, no gateway's user")
        assert "H77" not in read_live(management).rights
    finally:
        management.delete_user("H77")


def test_a_right_that_is_taken_away_holds_on_an_open_connection(ground: Ground) -> None:
    ground.apply()
    with BlockingClient(ground.endpoint("G14"), name="g14") as gateway:
        sent = replace(SENT, user_id="G14")
        assert gateway.publish("ingress", "normal.G14", b"x", sent) is Published.CONFIRMED
        # The broker lists a new connection only after a while.
        until(lambda: ground.management.connections("G14"))
        suspended = [
            replace(one, admission=Admission.SUSPENDED) if one.code == "G14" else one for one in AGENCIES
        ]
        applied = ground.apply(suspended)
        assert applied.closed == ("G14",)
        outcomes: list[Published | Code] = []
        for _ in range(2):
            try:
                outcomes.append(gateway.publish("ingress", "normal.G14", b"x", sent))
            except BrokerError as error:
                outcomes.append(error.code)
        assert Published.CONFIRMED not in outcomes
        assert outcomes[-1] is Code.BROKER_REFUSED


def test_more_codes_for_a_gateway_close_nothing(ground: Ground) -> None:
    ground.apply()
    more = [*AGENCIES, agency("G14.1", Level.CENTRAL, gateway="G14", own_queue=False)]
    applied = ground.apply(more)
    assert applied.closed == ()
    assert {change.kind for change in applied.done} == {"binding", "topic-permissions"}


def test_a_queue_without_a_leader_is_named_and_stops_no_other(broker_node: Node, ground: Ground) -> None:
    ground.apply()
    broker_node.suspend_queue(ground.vhost, "agency.H5")
    assert stuck_queues(ground.admin, ["agency.H5", "agency.H53", "due"], timeout=5.0) == ["agency.H5"]
    broker_node.resume_queue(ground.vhost, "agency.H5")
    assert stuck_queues(ground.admin, ["agency.H5"], timeout=60.0) == []


def test_a_new_queue_that_does_not_answer_gets_no_binding_and_fails_the_apply(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.broker.apply.stuck_queues", lambda _endpoint, _queues, _probe: ["agency.H5"])
    with pytest.raises(OperationError) as caught:
        ground.apply()
    assert caught.value.code is Code.TOPOLOGY_NOT_READY
    assert "agency.H5" in caught.value.detail
    live = read_live(ground.management)
    assert not [one for one in live.bindings if one.queue == "agency.H5"]
    assert [one for one in live.bindings if one.queue == "agency.H530"]
    monkeypatch.undo()
    ground.apply()
    assert ground.plan() == []


def test_apply_waits_until_new_queues_are_safe_and_puts_nothing_into_them(ground: Ground) -> None:
    waited: list[float] = []
    desired = ground.desired()
    live = read_live(ground.management)
    apply(plan(desired, live), desired, live, ground.management, ground.admin, sleep=waited.append)
    assert waited
    assert sum(waited) >= 1.5
    with BlockingClient(ground.admin, name="look") as client:
        assert all(client.depth(queue) == 0 for queue in desired.queues)


def test_a_whole_ministry_is_planned_and_applied(ground: Ground) -> None:
    many = [agency(f"H01.{number}", gateway="H01", own_queue=number % 20 == 0) for number in range(1, 460)]
    country = [agency("H01"), *many]
    ground.apply(country)
    assert ground.plan(country) == []
    topic = read_live(ground.management).rights["H01"].topic
    assert topic == r"^[a-z]+\.H01(\.|$)"
    with BlockingClient(ground.endpoint("H01"), name="h01") as gateway:
        sent = replace(SENT, user_id="H01")
        assert gateway.publish("ingress", "normal.H01.459", b"x", sent) is Published.CONFIRMED
        with pytest.raises(BrokerError):
            gateway.publish("ingress", "normal.H011", b"x", sent)


def test_many_bindings_go_by_batches_and_a_wrong_one_among_them_is_not_passed_over(ground: Ground) -> None:
    ground.apply()
    wanted = [Binding(names.RECEIPTS, "agency.H5", f"x{number}") for number in range(450)]
    wrong = Binding(names.RECEIPTS, "agency.none", "x")
    noted: list[Change] = []

    def changes(bindings: list[Binding]) -> list[Change]:
        return [Change("binding", one.key, What.CREATE, subject=one) for one in bindings]

    with pytest.raises(AMQPError):
        asyncio.run(_bind_many(ground.admin, changes([*wanted[:250], wrong, *wanted[250:]]), noted.append))
    assert len(noted) == 200
    asyncio.run(_bind_many(ground.admin, changes(wanted), noted.append))
    assert set(wanted) <= read_live(ground.management).bindings


def test_the_ladder_leads_to_due(ground: Ground) -> None:
    ground.apply()
    with BlockingClient(ground.endpoint(RELAY), name="relay") as relay:
        properties = replace(SENT, headers={names.H_ATTEMPT: "1"}, user_id=RELAY)
        began = time.monotonic()
        assert relay.publish("retry", "5s", b"body", properties) is Published.CONFIRMED
        message = relay.take("due", 60)
        assert message is not None
        assert time.monotonic() - began >= 4.9, "the first rung"
        assert message.body == b"body"
        assert message.properties.user_id == RELAY
        assert message.properties.headers[names.H_ATTEMPT] == "1"
        relay.ack(message)
