"""Desired state and plan, without a broker."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from relay.broker import names
from relay.broker.plan import Live, What, narrower, pending, plan
from relay.broker.topology import (
    Binding,
    Rights,
    TopologyConfig,
    desired_topology,
    gateway_logins,
    gateway_rights,
    topic_pattern,
)
from relay.broker.versions import behaviour, version_of
from relay.errors import Code, ConfigurationError
from relay.model.agency import Admission, GatewayUser, LoginBy
from relay.model.levels import Level
from tests.support.topology import AGENCIES, RELAY, agency

EMPTY = Live(False, {}, {}, frozenset(), {}, {}, {})


def test_the_shipped_file_names_what_the_code_names() -> None:
    config = TopologyConfig.load()
    assert set(config.exchanges) == set(names.EXCHANGES)
    assert {*config.queues, "agency.<code>"} == set(names.QUEUES)
    for queue in config.queues:
        matching = [policy for policy in config.policies if re.search(policy.pattern, queue)]
        assert len(matching) == 1, queue
        assert matching[0].definition["delivery-limit"] > 0
        assert matching[0].definition["overflow"] == "reject-publish"
    ladder = {
        policy.name: policy.definition["message-ttl"] for policy in config.policies if "retry" in policy.name
    }
    assert ladder == {
        f"truc-retry.{rung}": int(step.total_seconds() * 1000) for rung, step in names.RUNGS.items()
    }


@pytest.mark.parametrize("missing", ["exchanges", "queues", "ladder", "policies", "retry_policy"])
def test_a_file_that_lacks_a_part_is_refused(missing: str) -> None:
    raw = {
        "exchanges": {},
        "queue_arguments": {},
        "queues": {},
        "ladder": {"5s": 5},
        "policies": {},
        "retry_policy": {},
    }
    del raw[missing]
    with pytest.raises(ConfigurationError) as caught:
        TopologyConfig.of(raw)
    assert caught.value.code is Code.CONFIG_INVALID


def test_patterns_tell_overlapping_codes_apart() -> None:
    rights = gateway_rights([agency("H53"), agency("H53.1", own_queue=False, gateway="H53")])
    assert rights == Rights("^$", "^ingress$", r"^agency\.H53$", r"^(urgent|normal|status)\.(H53|H53\.1)$")
    assert rights.topic is not None
    for key, allowed in {
        "normal.H53": True,
        "urgent.H53.1": True,
        "normal.H5": False,
        "normal.H530": False,
        "normal.H53x1": False,
        "xnormal.H53": False,
        "normal.H53.1.1": False,
    }.items():
        assert bool(re.search(rights.topic, key)) is allowed
    assert not re.search(rights.read, "agency.H530")
    assert not re.search(rights.read, "agencyxH53")


def test_above_a_hundred_codes_the_subtree_is_given() -> None:
    hundred = [f"H26.{number}" for number in range(100)]
    assert topic_pattern(hundred).count("|") == 101
    many = topic_pattern(["H26", *hundred])
    assert many == r"^[a-z]+\.H26(\.|$)"
    assert re.search(many, "normal.H26")
    assert re.search(many, "normal.H26.7.A")
    assert not re.search(many, "normal.H267")
    assert topic_pattern([]) == "^$"


def test_suspended_users_keep_nothing_and_suspended_served_agencies_lose_their_code() -> None:
    agencies = [
        agency("G1", admission=Admission.SUSPENDED),
        agency("G2"),
        agency("G2.1", gateway="G2", admission=Admission.SUSPENDED),
    ]
    desired = desired_topology(TopologyConfig.load(), agencies, RELAY, {"G1": None, "G2": None})
    assert desired.rights["G1"] == Rights("^$", "^$", "^$", "^$")
    assert desired.rights["G2"].topic == r"^(urgent|normal|status)\.(G2)$"
    assert desired.rights["G2"].read == r"^agency\.G2$"
    assert "agency.G1" in desired.queues


def test_who_is_behind_no_queue_is_a_problem_and_gets_no_binding() -> None:
    agencies = [agency("A1", gateway="B1", own_queue=False), agency("B1", own_queue=False)]
    desired = desired_topology(TopologyConfig.load(), agencies, RELAY, {"C1": None})
    assert not [one for one in desired.bindings if one.key in {"A1", "B1"}]
    assert len(desired.problems) == 3


def test_the_relays_rights_are_the_least() -> None:
    rights = desired_topology(TopologyConfig.load(), AGENCIES, RELAY, {}).rights[RELAY]
    assert all(re.search(rights.write, name) for name in names.EXCHANGES if name != "ingress")
    assert not any(re.search(rights.write, name) for name in ("ingress", "amq.default", "level.x", "dues"))
    assert not any(re.search(rights.read, name) for name in ("agency.H53", "retry.x", "retry.5s1", "ingress"))
    # an operator brings a deferral forward by the relay's own login
    assert all(re.search(rights.read, names.retry_queue(rung)) for rung in names.RUNGS)
    assert not re.search(rights.configure, "level.central")


def test_a_plan_on_an_empty_broker_is_plain_data_without_secrets() -> None:
    gateways = {"H5": "secret-1", "H53": "secret-2"}
    desired = desired_topology(TopologyConfig.load(), AGENCIES, RELAY, gateways, relay_password="secret-3")
    changes = plan(desired, EMPTY)
    assert pending(changes) == [change for change in changes if change.kind != "directory"]
    text = "\n".join([*map(str, changes), *map(repr, changes), repr(desired)])
    assert "secret" not in text
    order = [change.kind for change in changes if change.name == "H53"]
    assert order.index("topic-permissions") < order.index("permissions")
    assert set(changes[0].as_json()) == {"kind", "name", "what", "from", "to"}


def test_new_bindings_stand_before_old_ones_go() -> None:
    desired = desired_topology(TopologyConfig.load(), [agency("H5", Level.DISTRICT)], RELAY, {})
    stale = Binding("level.province", "agency.H5", "H5")
    changes = plan(desired, Live(True, {}, {}, frozenset({stale}), {}, {}, {}))
    bindings = [change for change in changes if change.kind == "binding"]
    assert bindings[-1].what is What.REMOVE
    assert bindings[-1].subject == stale


@pytest.mark.parametrize(
    ("old", "new", "taken"),
    [
        ("^(urgent|normal|status)\\.(A|B)$", "^(urgent|normal|status)\\.(A|B|C)$", False),
        ("^(urgent|normal|status)\\.(A|B)$", "^(urgent|normal|status)\\.(A)$", True),
        ("^(urgent|normal|status)\\.(A)$", "^$", True),
        ("^$", "^(urgent|normal|status)\\.(A)$", False),
        ("by hand", "^$", True),
        (None, "^$", True),
    ],
)
def test_what_takes_a_right_away_is_known(old: str | None, new: str, taken: bool) -> None:
    assert narrower(Rights("^$", "^ingress$", "^$", old), Rights("^$", "^ingress$", "^$", new)) is taken


def test_versions_have_one_table() -> None:
    assert version_of({"version": b"3.10.8"}) == (3, 10)
    assert version_of({"version": "4.3.0"}) == (4, 3)
    assert version_of({}) is None
    assert behaviour((3, 13)).default_delivery_limit is None
    assert behaviour((4, 1)).default_delivery_limit == 20
    assert behaviour((4, 1)).requeue_counts
    assert not behaviour((4, 3)).requeue_counts
    assert behaviour(None) == behaviour((3, 10))


def test_a_gateway_has_the_users_that_the_directory_says() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    both = (GatewayUser("H53", until=now), GatewayUser("H53+1"), GatewayUser("cn=x", LoginBy.CERTIFICATE))
    agencies = [
        replace(agency("H53"), users=both),
        agency("H53.1", own_queue=False, gateway="H53"),
        replace(agency("H29"), admission=Admission.CLOSED),
    ]
    before, after = (gateway_logins(agencies, at) for at in (now - timedelta(seconds=1), now))
    assert before == {"H53": "H53", "H53+1": "H53", "cn=x": "H53"}
    assert after == {"H53+1": "H53", "cn=x": "H53"}
    desired = desired_topology(TopologyConfig.load(), agencies, RELAY, dict.fromkeys(after))
    assert desired.rights["H53+1"] == desired.rights["cn=x"]
    assert desired.rights["H53+1"].topic == r"^(urgent|normal|status)\.(H53|H53\.1)$"
    assert desired.ended == {"H53", "H29"}
    assert desired.by_certificate == {"cn=x"}
    live = Live(True, {}, {}, frozenset(), {}, {}, {"H53": "", "H29": "", "other": ""})
    users = [str(change) for change in plan(desired, live) if change.kind == "user"]
    assert users == [
        f"+ user {RELAY}",
        "+ user H53+1",
        "+ user cn=x",
        *(f"- user {one}: its time has ended" for one in ("H29", "H53")),
    ]


def test_too_many_queues_to_read_are_a_problem_and_no_permission_that_the_broker_refuses() -> None:
    agencies = [
        agency("H53"),
        *(replace(agency(f"H53.{number}", gateway="H53"), own_queue=True) for number in range(3000)),
    ]
    desired = desired_topology(TopologyConfig.load(), agencies, RELAY, {"H53": None})
    assert desired.rights["H53"].read == r"^agency\.H53$"
    assert any("H53: it has too many queues" in problem for problem in desired.problems)
    few = desired_topology(TopologyConfig.load(), agencies[:456], RELAY, {"H53": None})
    assert few.rights["H53"].read.count("agency") == 456
    assert not few.problems
