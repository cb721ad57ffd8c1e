"""How the broker is asked: again where it has no statistics yet, with a second look where the first leaves a doubt."""

from __future__ import annotations

from typing import Any

import pytest

from relay.broker.plan import Live
from relay.errors import BrokerError, Code
from relay.operate.doctor import look_broker
from relay.operate.doctor.facts import RightsFacts, TopologyFacts
from tests.unit.operate.doctor.well import AGENCY, DESIRED, LIVE, NOW, SETTINGS

ROW = {
    "name": "agency.H26",
    "type": "quorum",
    "messages": 0,
    "messages_ready": 0,
    "messages_unacknowledged": 0,
    "consumers": 1,
    "members": ["a", "b", "c"],
    "online": ["a", "b"],
    "policy": "truc-agency",
    "effective_policy_definition": {"overflow": "reject-publish"},
    "arguments": {"x-queue-type": "quorum"},
    "message_stats": {"ack_details": {"rate": 2.5}},
}


class Api:
    """A management API whose answers come one after the other; the last one stays."""

    def __init__(self, **answers: list[Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def answer() -> Any:
            self.asked.append(name)
            waiting = self.answers.get(name, [[]])
            found = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            if isinstance(found, Exception):
                raise found
            return found

        return answer


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.operate.doctor.look_broker.time.sleep", lambda _seconds: None)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    made = Api()
    monkeypatch.setattr(look_broker, "management", lambda _settings: made)
    return made


def test_a_queue_is_read_from_its_row(api: Api) -> None:
    api.answers["queues"] = [[ROW]]
    found = look_broker.queues(SETTINGS)
    (queue,) = found.queues
    assert (queue.kind, queue.members, queue.online, queue.acked_per_second) == ("quorum", 3, 2, 2.5)
    assert queue.effective == {"overflow": "reject-publish"}
    assert found.wanted_policies == {"agency.H26": "truc-agency"}
    assert not found.earlier
    assert api.asked == ["queues"]


def test_a_doubt_brings_a_second_look_six_seconds_later(api: Api) -> None:
    waits: list[float] = []
    api.answers["queues"] = [[{**ROW, "messages": 3}], [ROW]]
    found = look_broker.queues(SETTINGS, waits.append)
    assert waits == [6.0]
    assert found.earlier["agency.H26"].hidden == 3
    assert found.queues[0].hidden == 0


def test_a_queue_without_statistics_is_given_time(api: Api) -> None:
    bare = {"name": "agency.H26", "type": "quorum"}
    waits: list[float] = []
    api.answers["queues"] = [[bare], [bare], [bare], [ROW]]
    found = look_broker.queues(SETTINGS, waits.append)
    assert found.queues[0].messages == 0
    assert 6.0 < sum(waits) < 16.0
    api.answers["queues"] = [[bare]]
    waits.clear()
    found = look_broker.queues(SETTINGS, waits.append)
    assert found.queues[0].messages is found.earlier["agency.H26"].messages is None
    assert sum(waits) < 20.0


def test_a_broker_that_has_just_started_is_asked_again(api: Api) -> None:
    inside = BrokerError(Code.BROKER_REFUSED, "management API answers 500 at GET /api/connections")
    api.answers["connection_states"] = [inside, inside, [{"name": "c", "user": "relay", "state": "blocked"}]]
    assert look_broker.connections(SETTINGS).blocked == (("c", "relay", "blocked"),)
    api.answers["connection_states"] = [inside]
    with pytest.raises(BrokerError):
        look_broker.connections(SETTINGS)
    refused = BrokerError(Code.BROKER_REFUSED, "management API refuses user or password")
    api.answers["connection_states"] = [refused, []]
    with pytest.raises(BrokerError):
        look_broker.connections(SETTINGS)


def test_the_broker_as_a_whole(api: Api) -> None:
    api.answers = {
        "overview": [
            {
                "rabbitmq_version": "3.13.7",
                "listeners": [
                    {"protocol": "amqp", "ip_address": "0.0.0.0", "port": 5672, "socket_opts": {}},
                    {"protocol": "http", "ip_address": "::", "port": 1, "socket_opts": {"ip": "127.0.0.1"}},
                    {"protocol": "clustering", "ip_address": "::", "port": 2, "socket_opts": []},
                ],
            }
        ],
        "nodes": [
            [{"name": "rabbit@one", "running": True}],
            [
                {
                    "name": "rabbit@one",
                    "running": True,
                    "mem_limit": 10,
                    "mem_used": 3,
                    "uptime": 5000,
                    "applications": [{"name": "rabbit", "version": "3.13.7"}],
                    "enabled_plugins": ["rabbitmq_prometheus"],
                },
                {"name": "rabbit@two", "running": False},
            ],
        ],
        "alarms_in_force": [[("rabbit@one", "memory")]],
        "feature_flags": [
            [
                {"name": "a", "state": "enabled", "stability": "stable"},
                {"name": "b", "state": "disabled", "stability": "stable"},
                {"name": "c", "state": "disabled", "stability": "experimental"},
            ]
        ],
        "deprecated_in_use": [["global_qos"]],
    }
    found = look_broker.broker(SETTINGS)
    assert [(one.protocol, one.address) for one in found.listeners] == [
        ("amqp", "0.0.0.0"),
        ("http", "127.0.0.1"),
        ("clustering", "::"),
    ]
    one, two = found.nodes
    assert (one.version, one.memory_alarm, one.disk_alarm, one.memory_limit) == ("3.13.7", True, False, 10)
    assert (one.uptime, one.plugins, one.files_total) == (5.0, ("rabbitmq_prometheus",), None)
    assert (two.running, two.plugins) == (False, None)
    assert (found.disabled_flags, found.deprecated) == (("b",), ("global_qos",))


@pytest.mark.parametrize(
    ("epoch", "lost"), [(None, False), (("e1", False), False), (("e1", True), False), (("e2", True), True)]
)
def test_the_mark_of_the_brokers_data(epoch: tuple[str, bool] | None, lost: bool) -> None:
    live = Live(
        True,
        {**LIVE.exchanges, "epoch.e1": "fanout"},
        {},
        DESIRED.bindings,
        LIVE.policies,
        LIVE.rights,
        LIVE.users,
        "admin",
    )
    found = look_broker.topology(SETTINGS, RightsFacts(live, ()), [AGENCY], epoch, NOW)
    assert isinstance(found, TopologyFacts)
    assert found.epoch_lost is lost
