"""Broker users in life, against a management API in memory: every point of death, and the same command again."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from relay.broker.connection import Endpoint
from relay.broker.management import Management
from relay.broker.plan import pending, plan, read_live
from relay.broker.topology import TopologyConfig, desired_topology, gateway_logins
from relay.directory.file import load
from relay.directory.write import dump
from relay.errors import BrokerError, Code, OperationError
from relay.model.agency import Admission, Agency, GatewayUser, LoginBy
from relay.model.levels import Level
from relay.operate.users import Done, Users
from relay.registry import SqlRegistry, memory_registry
from tests.support.registry import at

NOTHING = ("^$", "^$", "^$")


class Died(Exception):
    """The process ended here."""


class Api:
    """What RabbitMQ keeps about users, behind the methods of ``Management``. Dies before its n-th write if told."""

    vhost = "truc"
    user = "admin"

    def __init__(self) -> None:
        self.passwords: dict[str, str] = {"admin": "a", "relay": "r"}
        self.rights: dict[str, tuple[str, str, str]] = {}
        self.topics: dict[str, str] = {}
        self.open: dict[str, int] = {}
        self.closing: list[str] = []
        self.dies_at: int | None = None
        self.writes = 0
        self.messages: dict[str, int] = {}
        self.desired = desired_topology(TopologyConfig.load(), AGENCIES, "relay", {}, relay_password="r")

    def _write(self) -> None:
        self.writes += 1
        if self.dies_at is not None and self.writes >= self.dies_at:
            raise Died

    # reads
    def users(self) -> list[dict[str, Any]]:
        tags = {"admin": "administrator"}
        return [{"name": name, "tags": tags.get(name, "")} for name in self.passwords]

    def users_with_password(self) -> dict[str, bool]:
        return {name: bool(password) for name, password in self.passwords.items()}

    def vhosts(self) -> list[str]:
        return [self.vhost]

    def vhost_definitions(self) -> dict[str, Any]:
        wanted = self.desired
        return {
            "exchanges": [{"name": name, "type": kind} for name, kind in wanted.exchanges.items()],
            "queues": [
                {"name": name, "durable": True, "arguments": dict(wanted.queue_arguments)}
                for name in wanted.queues
            ],
            "bindings": [
                {
                    "source": one.exchange,
                    "destination": one.queue,
                    "routing_key": one.key,
                    "destination_type": "queue",
                }
                for one in wanted.bindings
            ],
            "policies": [],
        }

    def permissions(self) -> list[dict[str, str]]:
        return [
            {"user": user, "configure": one[0], "write": one[1], "read": one[2]}
            for user, one in self.rights.items()
        ]

    def topic_permissions(self) -> list[dict[str, str]]:
        return [{"user": user, "exchange": "ingress", "write": key} for user, key in self.topics.items()]

    def connections(self, user: str | None = None) -> list[dict[str, str]]:
        return [
            {"name": f"{who} {number}", "user": who}
            for who, count in self.open.items()
            for number in range(count)
            if user in {None, who}
        ]

    def connections_of(self, user: str) -> list[str]:
        return [row["name"] for row in self.connections(user)]

    def queues(self, _columns: str = "") -> list[dict[str, Any]]:
        return [{"name": name, "messages": count} for name, count in self.messages.items()]

    # writes
    def put_user(self, user: str, password: str, tags: str = "") -> None:
        self._write()
        assert password
        self.passwords[user] = password

    def put_user_without_password(self, user: str, tags: str = "") -> None:
        self._write()
        self.passwords[user] = ""

    def delete_user(self, user: str) -> None:
        self._write()
        for kept in (self.passwords, self.rights, self.topics):
            kept.pop(user, None)

    def put_permissions(self, user: str, configure: str, write: str, read: str) -> None:
        self._write()
        assert user in self.passwords
        self.rights[user] = (configure, write, read)

    def put_topic_permissions(self, user: str, exchange: str, write: str, read: str) -> None:
        self._write()
        assert (user in self.passwords, exchange, read) == (True, "ingress", "^$")
        self.topics[user] = write

    def close_connections(self, user: str) -> int:
        self._write()
        self.closing.append(user)
        return self.open.pop(user, 0)


def agency(code: str, **more: Any) -> Agency:
    return Agency(code, code, Level.PROVINCE, **{"gateway": code, "own_queue": True, **more})


AGENCIES = (
    agency("H53"),
    agency("H30"),
    agency("H30.10", gateway="H30", own_queue=False, parent="H30"),
    agency("H29", admission=Admission.TRIAL),
)


class Office:
    """A directory, a registry and an API, and the commands on them."""

    def __init__(self, folder: Path, registry: SqlRegistry) -> None:
        self.file = folder / "directory.yaml"
        dump(self.file, AGENCIES, "giữ lại")
        self.api = Api()
        self.registry = registry
        self.seconds = 0.0
        self.numbers = itertools.count(1)

    def now(self) -> datetime:
        self.seconds += 0.001
        return at(self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def users(self, **more: Any) -> Users:
        return Users(
            management=self.api,  # type: ignore[arg-type]
            endpoint=Endpoint("localhost", 1, "admin", "a", "truc"),
            directory_file=self.file,
            registry=self.registry,
            relay_user="relay",
            clock=self,
            who="nga",
            password=lambda: f"secret-{next(self.numbers)}",
            ready=lambda queue: self.api.messages.get(queue, 0) - 1,
            sleep=lambda _seconds: None,
            **more,
        )

    def agency(self, code: str) -> Agency:
        found = load(self.file).agency(code)
        assert found
        return found

    def pending(self) -> list[str]:
        """What ``truc topology apply`` would change about users."""
        agencies = load(self.file).agencies()
        desired = desired_topology(
            TopologyConfig.load(), agencies, "relay", dict.fromkeys(gateway_logins(agencies, self.now()))
        )
        management: Any = self.api
        changes = pending(plan(desired, read_live(management)))
        kinds = {"user", "permissions", "topic-permissions"}
        return [str(one) for one in changes if one.kind in kinds and one.name not in {"relay", "H29", "H30"}]

    def acts(self, code: str) -> list[tuple[str, str]]:
        return [(act.act, act.detail) for act in reversed(self.registry.acts(code))]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    registry = memory_registry()
    yield Office(tmp_path, registry)
    registry.close()


def unsafe(work: Callable[[], object], code: Code = Code.UNSAFE_CHANGE) -> str:
    with pytest.raises(OperationError) as caught:
        work()
    assert caught.value.code is code
    return caught.value.detail


def test_a_new_user_is_as_apply_would_have_it(office: Office) -> None:
    done = office.users().add("H53")
    assert done.password == office.api.passwords["H53"] == "secret-1"
    assert office.api.rights["H53"] == ("^$", "^ingress$", r"^agency\.H53$")
    assert office.api.topics["H53"] == r"^(urgent|normal|status)\.(H53)$"
    assert office.pending() == []
    assert office.agency("H53").users == ()
    assert office.acts("H53") == [("user.add", "H53 by password")]
    assert "secret" not in repr(done)
    assert unsafe(lambda: office.users().add("H53"), Code.USER_EXISTS)
    assert office.api.passwords["H53"] == "secret-1"


def test_who_serves_nobody_as_a_gateway_gets_no_user(office: Office) -> None:
    assert "served by H30" in unsafe(lambda: office.users().add("H30.10"), Code.NOT_FOUND)
    unsafe(lambda: office.users().add("H99"), Code.NOT_FOUND)
    unsafe(lambda: office.users().add("H53", login="relay", external=True), Code.USER_EXISTS)
    assert set(office.api.passwords) == {"admin", "relay"}


def test_a_login_by_certificate_has_no_password_and_a_name_of_its_own(office: Office) -> None:
    done = office.users().add("H53", login="gw.h53.example", external=True)
    assert done.password == ""
    assert office.api.passwords["gw.h53.example"] == ""
    assert office.agency("H53").users == (GatewayUser("gw.h53.example", LoginBy.CERTIFICATE),)
    assert office.pending() == []
    assert load(office.file).gateway_of("gw.h53.example") == "H53"
    assert load(office.file).may_speak("gw.h53.example", "H53")
    assert not load(office.file).may_speak("gw.h53.example", "H30")
    assert "certificate" in unsafe(lambda: office.users().rotate("H53", at(1000)))


def test_a_dry_run_changes_nothing_and_makes_no_password(office: Office) -> None:
    content = office.file.read_bytes()
    done = office.users(dry_run=True).add("H53")
    assert done.password == ""
    assert [change[:6] for change in done.changes] == ["+ user", "+ topi", "+ perm"]
    office.users().add("H53")
    before = (dict(office.api.passwords), dict(office.api.rights), office.api.writes)
    for command in ("suspend", "close", "replace_password"):
        getattr(office.users(dry_run=True), command)("H53")
    office.users(dry_run=True).rotate("H53", at(1000))
    assert (office.api.passwords, office.api.rights, office.api.writes) == before
    assert office.file.read_bytes() == content
    assert office.acts("H53") == [("user.add", "H53 by password")]


def test_both_users_speak_while_a_password_changes_over(office: Office) -> None:
    office.users().add("H53")
    done = office.users().rotate("H53", at(1000))
    assert (done.login, done.former, done.until) == ("H53+1", ("H53",), at(1000))
    assert office.api.passwords["H53"] == "secret-1"
    assert office.api.passwords["H53+1"] == done.password == "secret-2"
    assert office.api.rights["H53+1"] == office.api.rights["H53"]
    assert office.api.topics["H53+1"] == office.api.topics["H53"]
    assert office.pending() == []
    assert [load(office.file).may_speak(user, "H53") for user in ("H53", "H53+1")] == [True, True]
    # not yet seen by the gateway: another password for the new one, the end stays
    again = office.users().rotate("H53", at(2000))
    assert (again.login, again.until, office.api.passwords["H53+1"]) == ("H53+1", at(1000), "secret-3")
    office.api.open = {"H53": 2}
    assert "never as H53+1" in unsafe(lambda: office.users().finish("H53"))
    office.api.open = {"H53": 1, "H53+1": 1}
    assert "--finish" in unsafe(lambda: office.users().rotate("H53", at(2000)))
    done = office.users().finish("H53")
    assert (done.former, done.closed) == (("H53",), 1)
    assert "H53" not in office.api.passwords
    assert office.api.open == {"H53+1": 1}
    assert office.pending() == []
    assert load(office.file).may_speak("H53", "H53")  # what it sent before may be waiting
    unsafe(lambda: office.users().finish("H53"), Code.NOT_FOUND)


def test_the_next_change_over_goes_back_to_the_first_name(office: Office) -> None:
    office.users().add("H53")
    office.users().rotate("H53", at(1000))
    office.users().finish("H53", force=True)
    done = office.users().rotate("H53", at(1000))
    assert (done.login, done.former) == ("H53", ("H53+1",))
    office.users().finish("H53", force=True)
    assert sorted(office.api.passwords) == ["H53", "admin", "relay"]
    assert office.pending() == []


def test_an_end_that_has_passed_is_enforced_by_plan_and_by_expire(office: Office) -> None:
    office.users().add("H53")
    office.users().rotate("H53", at(1000))
    assert office.users().expire() == []
    office.seconds = 1001.0
    assert office.pending() == ["- user H53: its time has ended"]
    office.api.open = {"H53": 1}
    (done,) = office.users().expire()
    assert (done.code, done.former, done.closed) == ("H53", ("H53",), 1)
    assert (office.pending(), office.users().expire()) == ([], [])
    # and a change-over after it may take the name again
    assert office.users().rotate("H53", at(5000)).login == "H53"


def test_two_rotations_at_once_both_show_a_password_that_was_set(office: Office) -> None:
    """What the second one finds is what the first one left, not what was there while it waited."""
    office.users().add("H53")
    second: list[threading.Thread] = []
    shown: list[Done] = []
    follow = Users._follow

    def rotate() -> None:
        shown.append(office.users().rotate("H53", at(1000)))

    def interrupted(self: Users, *given: Any) -> tuple[str, ...]:
        if not second:
            second.append(threading.Thread(target=rotate, daemon=True))
            second[0].start()
            second[0].join(0.5)
            assert second[0].is_alive()
        return follow(self, *given)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Users, "_follow", interrupted)
        first = office.users().rotate("H53", at(2000))
        assert office.api.passwords["H53+1"] == first.password or shown
        second[0].join(60)
    (later,) = shown
    assert (first.login, later.login) == ("H53+1", "H53+1")
    assert office.api.passwords["H53+1"] == later.password
    assert [user.name for user in office.agency("H53").logins] == ["H53", "H53+1"]
    assert office.agency("H53").logins[0].until == at(2000)  # the overlap that was promised first


def test_one_that_cannot_be_ended_keeps_no_other_from_its_turn(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    for code in ("H29", "H30", "H53"):
        office.users().add(code)
        office.users().rotate(code, at(1000))
    office.seconds = 1001.0
    delete = office.api.delete_user

    def stuck(user: str) -> None:
        if user == "H30":
            raise BrokerError(Code.BROKER_UNREACHABLE, "management API")
        delete(user)

    monkeypatch.setattr(office.api, "delete_user", stuck)
    done = {one.code: one for one in office.users().expire()}
    assert {code: one.former for code, one in done.items()} == {"H29": ("H29",), "H30": (), "H53": ("H53",)}
    assert done["H30"].error is not None
    assert done["H30"].error.code is Code.BROKER_UNREACHABLE
    assert office.acts("H30")[-1] == ("user.expire-failed", "BROKER-UNREACHABLE")
    monkeypatch.setattr(office.api, "delete_user", delete)
    (again,) = office.users().expire()
    assert (again.code, again.former, again.error) == ("H30", ("H30",), None)


def test_a_password_in_wrong_hands_is_replaced_at_once(office: Office) -> None:
    office.users().add("H53")
    office.users().rotate("H53", at(1000))
    office.api.open = {"H53": 1, "H53+1": 1}
    done = office.users().replace_password("H53")
    assert (done.login, done.former, done.closed) == ("H53+1", ("H53",), 2)
    assert office.api.passwords == {"admin": "a", "relay": "r", "H53+1": "secret-3"}
    assert office.api.open == {}
    assert office.pending() == []


def test_suspended_is_silent_and_resumed_is_as_before(office: Office) -> None:
    office.users().add("H29")
    rights, password = office.api.rights["H29"], office.api.passwords["H29"]
    office.api.open = {"H29": 3}
    done = office.users().suspend("H29")
    assert (done.admission, done.closed) == (Admission.SUSPENDED, 3)
    assert office.api.rights["H29"] == NOTHING
    assert office.api.topics["H29"] == "^$"
    assert office.agency("H29").admission is Admission.SUSPENDED
    assert office.users().suspend("H29").changes == ()
    assert office.users().resume("H29").admission is Admission.TRIAL  # as it was
    assert (office.api.rights["H29"], office.api.passwords["H29"]) == (rights, password)
    assert [act for act, _ in office.acts("H29")] == [
        "user.add",
        "user.suspend",
        "user.suspend",
        "user.resume",
    ]


def test_a_suspension_with_an_end_is_over_on_that_day(office: Office) -> None:
    office.users().add("H29")
    rights = office.api.rights["H29"]
    end = at(86_400).date()
    assert "ahead" in unsafe(lambda: office.users().suspend("H29", at(0).date()))
    office.users().suspend("H29", end)
    assert office.agency("H29").suspended_until == end
    assert office.users().expire() == []
    office.seconds = 86_400.0
    (done,) = office.users().expire()
    assert (done.act, done.admission, office.api.rights["H29"]) == ("user.resume", Admission.TRIAL, rights)
    assert office.agency("H29").suspended_until is None
    office.users().suspend("H29", at(200_000).date())
    office.users().suspend("H29")  # and now without an end
    assert office.agency("H29").suspended_until is None


def test_a_gateway_without_a_user_is_suspended_and_closed_and_gets_none_by_it(office: Office) -> None:
    unsafe(lambda: office.users().rotate("H53", at(1000)), Code.NOT_FOUND)
    assert office.agency("H53").users == ()
    office.users().suspend("H53")
    assert office.agency("H53").admission is Admission.SUSPENDED
    office.users().resume("H53")
    assert set(office.api.passwords) == {"admin", "relay"}
    assert office.users().add("H53").changes[0] == "+ user H53"


def test_a_served_agency_is_suspended_alone(office: Office) -> None:
    office.users().add("H30")
    assert office.api.topics["H30"] == r"^(urgent|normal|status)\.(H30|H30\.10)$"
    office.users().suspend("H30.10")
    assert office.api.topics["H30"] == r"^(urgent|normal|status)\.(H30)$"
    assert office.api.closing == ["H30"]
    assert office.agency("H30").admission is Admission.ADMITTED


def test_two_commands_at_once_go_one_after_the_other(office: Office) -> None:
    """Both change one gateway's rights: by what it read before, the slower one would give the other's back."""
    office.users().add("H30")
    slow = office.users(known_after=0.0)
    follow = Users._follow
    second: list[threading.Thread] = []

    def interrupted(self: Users, *given: Any) -> tuple[str, ...]:
        if self is slow and not second:
            second.append(threading.Thread(target=office.users().suspend, args=("H30",), daemon=True))
            second[0].start()
            second[0].join(0.5)
            assert second[0].is_alive()
        return follow(self, *given)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Users, "_follow", interrupted)
        slow.suspend("H30.10")
        second[0].join(60)
    assert not second[0].is_alive()
    assert office.agency("H30").admission is Admission.SUSPENDED
    assert office.api.topics["H30"] == "^$"


def test_nobody_is_closed_over_something_that_waits(office: Office) -> None:
    office.users().add("H30")
    assert "H30.10" in unsafe(lambda: office.users().close("H30"))
    office.users().add("H53")
    office.api.messages = {"agency.H53": 2}
    assert "2 in agency.H53" in unsafe(lambda: office.users().close("H53"))
    assert office.agency("H53").admission is Admission.ADMITTED
    unsafe(lambda: office.users().resume("H99"), Code.NOT_FOUND)


@pytest.mark.parametrize("death", range(1, 7))
def test_dying_anywhere_in_suspend_leaves_less_than_before_and_it_can_be_done_again(
    office: Office, death: int
) -> None:
    office.users().add("H53")
    office.api.open = {"H53": 1}
    office.api.writes, office.api.dies_at = 0, death
    try:
        office.users().suspend("H53")
    except Died:
        assert office.agency("H53").admission is Admission.SUSPENDED  # workers refuse already
        office.api.dies_at = None
        office.users().suspend("H53")
    else:
        assert office.api.writes < death, "the test dies too late to mean anything"
    assert office.api.rights["H53"] == NOTHING
    assert office.api.open == {}
    assert office.pending() == []


@pytest.mark.parametrize("death", range(1, 5))
@pytest.mark.parametrize("command", ["add", "rotate", "resume", "finish", "replace_password"])
def test_the_same_command_again_completes_it(office: Office, command: str, death: int) -> None:
    if command != "add":
        office.users().add("H53")
    if command == "resume":
        office.users().suspend("H53")
    if command == "finish":
        office.users().rotate("H53", at(1000))
        office.api.open = {"H53": 1, "H53+1": 1}

    def run() -> Done:
        more = {"rotate": (at(1000),), "finish": ()}.get(command, ())
        done: Done = getattr(office.users(), command)("H53", *more)
        return done

    office.api.writes, office.api.dies_at = 0, death
    try:
        done = run()
    except Died:
        office.api.dies_at = None
        for user in set(office.api.passwords) - {"admin", "relay", *office.api.topics}:
            assert user not in office.api.rights  # never a user with rights and without a topic row
        done = run()
    office.api.dies_at = None
    assert office.pending() == []
    assert "H53" not in office.api.open
    if done.password:
        assert office.api.passwords[done.login] == done.password


def test_what_fails_is_noted_too(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.users().add("H53")

    def gone(*_facts: object) -> None:
        raise BrokerError(Code.BROKER_UNREACHABLE, "management API")

    monkeypatch.setattr(office.api, "put_permissions", gone)
    with pytest.raises(BrokerError):
        office.users().suspend("H53")
    assert office.acts("H53")[-2:] == [
        ("user.suspend", "was admitted"),
        ("user.suspend-failed", "BROKER-UNREACHABLE"),
    ]
    assert office.agency("H53").admission is Admission.SUSPENDED


def test_the_list_shows_directory_and_broker_side_by_side(office: Office) -> None:
    office.users().add("H53")
    office.users().add("H30", login="cn=h30", external=True)
    office.users().rotate("H53", at(1000))
    office.api.open = {"H53": 2}
    rows = {row.login: row for row in office.users().ls()}
    assert (rows["H53"].connections, rows["H53"].until, rows["H53"].by) == (2, at(1000), LoginBy.PASSWORD)
    assert rows["H53+1"].last is not None
    assert rows["H53+1"].last.act == "user.rotate"
    assert rows["cn=h30"].by is LoginBy.CERTIFICATE
    assert rows["H29"].by is None
    assert rows["H29"].admission is Admission.TRIAL


def test_the_double_has_the_methods_that_are_used() -> None:
    ours = {name for name in vars(Api) if not name.startswith("_")} - {"vhost", "user"}
    assert ours <= {name for name in vars(Management) if not name.startswith("_")}
