"""Broker users of gateways in life: made, changed over, suspended, taken up again, closed.

Each command works in this order: an audit row, the directory (running workers obey it within seconds), the broker's
rights, the open connections. Taking rights away and dying half-way leaves less than there was; giving rights ends with
the broker. The same command again does what is missing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import wraps
from pathlib import Path
from typing import Concatenate, Final, ParamSpec

from relay.broker import names
from relay.broker.apply import apply
from relay.broker.connection import Endpoint
from relay.broker.management import Management
from relay.broker.plan import What, plan, read_live
from relay.broker.topology import TopologyConfig, desired_topology, gateway_logins
from relay.directory.edit import By, change_agency
from relay.directory.file import load
from relay.directory.snapshot import AgencyDirectory
from relay.directory.write import alone
from relay.errors import Code, OperationError, TrucError
from relay.model.agency import Admission, Agency, GatewayUser, LoginBy
from relay.model.audit import Act
from relay.model.ports import Clock, Registry
from relay.model.times import rfc3339, vietnam_day
from relay.operate.logins import ABOUT_USERS, about, ending, with_user

SECOND: Final = "+1"
"""Behind a gateway's code: its other broker user. A plus sign stands in no code."""

_LOOKS: Final = 40  # at a user's connections, until two in a row find none
_PAUSE: Final = 0.25  # seconds between two looks
_SHOWN: Final = 5
_ACTS: Final = 1000


@dataclass(frozen=True, slots=True)
class Done:
    """What a command did, or would do. Holds the one copy of a new password."""

    act: str
    code: str
    login: str = ""
    by: LoginBy | None = None
    password: str = field(default="", repr=False)
    admission: Admission | None = None
    until: datetime | None = None  # end of the former user
    former: tuple[str, ...] = ()  # users beside ``login``
    changes: tuple[str, ...] = ()  # on the broker
    closed: int = 0  # open connections that were ended
    queued: Mapping[str, int] = field(default_factory=dict)  # messages that stand in the agency's queues
    error: TrucError | None = None  # of ``expire``: why this one was not done


@dataclass(frozen=True, slots=True)
class UserRow:
    """One broker user of a gateway, for a list."""

    code: str
    name: str
    login: str
    by: LoginBy | None  # as the broker has it; None: it has no such user
    admission: Admission
    until: datetime | None
    connections: int
    last: Act | None


_P = ParamSpec("_P")


def _in_turn(command: Callable[Concatenate[Users, _P], Done]) -> Callable[Concatenate[Users, _P], Done]:
    """Let commands wait for each other, from the first look to the last change.

    The slower of two would give a right back by what it read before, or show a password that the other's user never got.
    """

    @wraps(command)
    def waiting(users: Users, /, *args: _P.args, **kwargs: _P.kwargs) -> Done:
        if users.dry_run:
            return command(users, *args, **kwargs)
        with alone(users.directory_file.resolve().with_suffix(".users")):
            return command(users, *args, **kwargs)

    return waiting


@dataclass(frozen=True, slots=True)
class Users:
    """The commands. Not inside a running event loop.

    Args:
        management: an administrator's access to the management API.
        endpoint: the same administrator, by AMQP.
        directory_file: is changed.
        registry: gets the audit rows.
        relay_user: the relay's own broker user, which is no gateway's.
        clock: time.
        who: the name for audit rows.
        password: makes a new password.
        ready: how many messages stand ready in a queue.
        known_after: seconds after which every worker has read a changed directory file; no user with a name of its own
            is let in before.
        dry_run: say what would be done and do nothing.

    Errors of each command: ``OperationError`` NOT-FOUND (no such agency, or no gateway), USER-EXISTS, UNSAFE-CHANGE
    (the detail says what for, ``force`` overrules), TOPOLOGY-NOT-READY; ``ConfigurationError`` DIRECTORY-INVALID,
    FILE-UNUSABLE; ``BrokerError``; ``RegistryError``. Nothing is changed before the audit row is stored.
    """

    management: Management
    endpoint: Endpoint
    directory_file: Path
    registry: Registry
    relay_user: str
    clock: Clock
    who: str
    password: Callable[[], str]
    ready: Callable[[str], int]
    known_after: float = 3.0
    dry_run: bool = False
    topology: TopologyConfig = field(default_factory=TopologyConfig.load)
    sleep: Callable[[float], None] = time.sleep

    # --- commands

    @_in_turn
    def add(self, code: str, *, login: str = "", external: bool = False) -> Done:
        """Make the broker user of a gateway that stands in the directory, with its queues, bindings and rights.

        ``external``: it logs in by client certificate, under ``login``, the name that the broker finds in it.
        """
        agency = self._gateway(code)
        by = LoginBy.CERTIFICATE if external else LoginBy.PASSWORD
        user = GatewayUser(login or code, by)
        there = self._broker_users()
        if user.name in there and self._complete(agency, user, there):
            raise OperationError(Code.USER_EXISTS, f"{user.name}, of {code}")
        password = "" if external else self._new_password()
        with self._acting("user.add", code, f"{user.name} by {by.value}"):
            after = self._change(
                "user.add", code, lambda now: replace(now, users=with_user(now, user, there))
            )
            if user.name in there and not self.dry_run:
                self._set_password(user, password)
            changes = self._follow(after, code, {user.name: password})
        return Done("user.add", code, user.name, by, password, agency.admission, changes=changes)

    @_in_turn
    def rotate(self, code: str, until: datetime, *, force: bool = False) -> Done:
        """Give a gateway a second user beside the first, both valid until ``until``; then the first is to be removed.

        While two are there, the newer one gets another password, unless it is in use already.
        """
        agency = self._gateway(code)
        now = self.clock.now()
        if until <= now:
            raise OperationError(Code.UNSAFE_CHANGE, "the end of the overlap has to lie ahead")
        live = [user for user in agency.logins if not user.ended(now)]
        leaving = [user for user in live if user.until is not None]
        staying = [user for user in live if user.until is None]
        if any(user.by is LoginBy.CERTIFICATE for user in staying):
            raise OperationError(
                Code.UNSAFE_CHANGE,
                f"{code} logs in by certificate: a new certificate for the same name needs no second user",
            )
        if leaving and staying:
            new = staying[0]
            if not force and self._open([new.name]):
                raise OperationError(
                    Code.UNSAFE_CHANGE,
                    f"{new.name} is in use already, {leaving[0].name} ends at {rfc3339(leaving[0].until or now)}: "
                    f"truc user rotate {code} --finish",
                )
            until = leaving[0].until or until
        else:
            taken = {user.name for user in live}
            new = GatewayUser(next(name for name in (code, code + SECOND) if name not in taken))
        former = tuple(user.name for user in live if user.name != new.name)
        there = self._broker_users()
        if not there.keys() & set(former):
            raise OperationError(
                Code.NOT_FOUND, f"{code} has no user on the broker yet: truc user add {code}"
            )
        password = self.password()
        with self._acting(
            "user.rotate", code, f"{new.name}, beside {' '.join(former)} until {rfc3339(until)}"
        ):
            if new.name in there and not leaving:
                self._remove([new.name])  # left over from an earlier change, its time had ended
            after = self._change(
                "user.rotate",
                code,
                lambda one: replace(
                    one,
                    users=(*ending(one, new.name, former, until), replace(new, until=None)),
                ),
            )
            if new.name in there and leaving and not self.dry_run:
                self._set_password(new, password)
            changes = self._follow(after, code, {new.name: password})
        return Done(
            "user.rotate",
            code,
            new.name,
            LoginBy.PASSWORD,
            password,
            agency.admission,
            until,
            former,
            changes,
        )

    @_in_turn
    def replace_password(self, code: str) -> Done:
        """Give a gateway another password at once, for one that got into wrong hands: nothing else lets it in any more."""
        agency = self._gateway(code)
        now = self.clock.now()
        live = [user for user in agency.logins if not user.ended(now) and user.by is LoginBy.PASSWORD]
        if not live:
            raise OperationError(Code.NOT_FOUND, f"{code} has no user with a password")
        kept = next((user for user in live if user.until is None), live[-1])
        former = tuple(user.name for user in agency.logins if user.name != kept.name and user in live)
        password = self._new_password()
        before = self._open([kept.name, *former])
        with self._acting("user.rotate", code, f"{kept.name} at once"):
            if kept.name in self._broker_users() and not self.dry_run:
                self._set_password(kept, password)
            after = self._change(
                "user.rotate",
                code,
                lambda one: replace(
                    one,
                    users=(*ending(one, kept.name, former, now), replace(kept, until=None)),
                ),
            )
            changes = self._follow(after, code, {kept.name: password})
            closed = self._cut([kept.name, *former], before)
        return Done(
            "user.rotate", code, kept.name, kept.by, password, agency.admission, None, former, changes, closed
        )

    @_in_turn
    def finish(self, code: str, *, force: bool = False) -> Done:
        """End a change-over: the former user is removed, its connections are closed.

        Refused while the gateway still uses the former user and not the new one.
        """
        agency = self._gateway(code)
        now = self.clock.now()
        there = self._broker_users()
        leaving = [user for user in agency.logins if user.until is not None]
        former = tuple(
            user.name
            for user in leaving
            if not user.ended(now) or user.name in there or self._open([user.name])
        )
        if not former:
            raise OperationError(Code.NOT_FOUND, f"{code} is not changing over")
        staying = [user.name for user in agency.logins if user.until is None]
        before = self._open(former)
        if not force and before and not self._open(staying):
            raise OperationError(
                Code.UNSAFE_CHANGE, f"{code} still connects as {former[0]} and never as {' '.join(staying)}"
            )
        with self._acting("user.rotate", code, f"ends {' '.join(former)}"):
            after = self._change(
                "user.rotate",
                code,
                lambda one: replace(
                    one,
                    users=ending(one, "", [user.name for user in leaving if not user.ended(now)], now),
                ),
            )
            changes = self._follow(after, code, {})
            closed = self._cut(former, before)
        return Done(
            "user.rotate",
            code,
            " ".join(staying),
            None,
            "",
            agency.admission,
            None,
            former,
            changes,
            closed,
        )

    def expire(self) -> list[Done]:
        """Remove every user whose time has ended from the broker, and resume every suspension that has; for a timer.

        One that fails has its ``error`` and keeps no other from its turn.
        """
        now = self.clock.now()
        there = self._broker_users()
        done = []
        for agency in load(self.directory_file).agencies():
            if self._is_over(agency, now):
                done.append(self._tried(self.resume, "user.resume", agency.code))
            if self._ended(agency, now, there):
                done.append(self._tried(self._expire, "user.expire", agency.code))
        return done

    @staticmethod
    def _is_over(agency: Agency, now: datetime) -> bool:
        """Whether a suspension has come to its end."""
        until = agency.suspended_until
        return agency.admission is Admission.SUSPENDED and until is not None and until <= vietnam_day(now)

    @staticmethod
    def _ended(agency: Agency, now: datetime, there: Mapping[str, bool]) -> list[str]:
        """Return the users of a gateway that the broker has and whose time is over."""
        if agency.admission is Admission.CLOSED:
            return []
        return [user.name for user in agency.logins if user.ended(now) and user.name in there]

    @staticmethod
    def _tried(command: Callable[[str], Done], act: str, code: str) -> Done:
        try:
            return command(code)
        except TrucError as error:
            return Done(act, code, error=error)

    @_in_turn
    def _expire(self, code: str) -> Done:
        agency = self._agency(code)
        ended = self._ended(agency, self.clock.now(), self._broker_users())
        with self._acting("user.expire", code, " ".join(ended)):
            closed = self._remove(ended)
        changes = tuple(f"- user {name}" for name in ended)
        return Done(
            "user.expire",
            code,
            former=tuple(ended),
            admission=agency.admission,
            changes=changes,
            closed=closed,
        )

    @_in_turn
    def suspend(self, code: str, until: date | None = None) -> Done:
        """Stop an agency: workers refuse what it sends and what is sent to it; its gateway loses its rights.

        For an agency that is served by another's gateway, that gateway loses the right to its code alone. ``until``:
        first day on which it takes part again, if that is known; senders are told, and ``expire`` gives the rights back.
        """
        if until is not None and until <= vietnam_day(self.clock.now()):
            raise OperationError(Code.UNSAFE_CHANGE, "the end of the suspension has to lie ahead")
        agency = self._agency(code)
        if agency.admission is Admission.CLOSED:
            raise OperationError(Code.NOT_FOUND, f"{code} is closed")
        return self._admit(agency, "user.suspend", Admission.SUSPENDED, until)

    @_in_turn
    def resume(self, code: str) -> Done:
        """Take a suspended agency up again, as it was admitted before."""
        agency = self._agency(code)
        if agency.admission is not Admission.SUSPENDED:
            if agency.admission is Admission.CLOSED:
                raise OperationError(Code.NOT_FOUND, f"{code} is closed for good")
            return self._admit(agency, "user.resume", agency.admission)
        return self._admit(agency, "user.resume", self._before_suspension(code))

    @_in_turn
    def close(self, code: str, *, force: bool = False) -> Done:
        """End an agency for good: nothing to it or from it, its broker users are removed.

        Its queues stay until they are empty. Refused while something stands in one, or while it serves others: nobody
        could read it any more.
        """
        agency = self._agency(code)
        served = [
            one.code
            for one in load(self.directory_file).agencies()
            if one.gateway == code and one.code != code and one.admission is not Admission.CLOSED
        ]
        if served:
            more = f" and {len(served) - _SHOWN} more" if len(served) > _SHOWN else ""
            raise OperationError(
                Code.UNSAFE_CHANGE,
                f"{code} serves {' '.join(served[:_SHOWN])}{more}: give them another gateway first",
            )
        waiting = self._waiting(agency)
        if any(waiting.values()) and not force:
            told = ", ".join(f"{count} in {queue}" for queue, count in waiting.items() if count)
            raise OperationError(Code.UNSAFE_CHANGE, f"not yet taken: {told}")
        done = self._admit(agency, "user.close", Admission.CLOSED)
        return replace(done, queued=waiting)

    def ls(self) -> list[UserRow]:
        """Return every broker user of every gateway, as directory and broker have it."""
        there, connected = self._broker_users(), self._connections()
        rows = []
        for agency in load(self.directory_file).agencies():
            for user in agency.logins:
                if agency.admission is Admission.CLOSED and user.name not in there:
                    continue
                by = LoginBy.PASSWORD if there.get(user.name) else LoginBy.CERTIFICATE
                last = next(iter(self.registry.acts(agency.code, 1)), None)
                rows.append(
                    UserRow(
                        agency.code,
                        agency.name,
                        user.name,
                        by if user.name in there else None,
                        agency.admission,
                        user.until,
                        connected[user.name],
                        last,
                    )
                )
        return rows

    # --- steps

    def _admit(self, agency: Agency, act: str, admission: Admission, until: date | None = None) -> Done:
        code, closed = agency.code, 0
        users = [user.name for user in agency.logins]
        before = self._open(users)
        with self._acting(act, code, f"was {agency.admission.value}"):
            after = self._change(
                act, code, lambda one: replace(one, admission=admission, suspended_until=until)
            )
            changes = self._follow(after, code, {})
            if admission not in {Admission.ADMITTED, Admission.TRIAL}:
                # whatever was found to change: an earlier try may have died just before this
                closed = self._cut(users, before)
        return Done(act, code, admission=admission, changes=changes, closed=closed)

    def _before_suspension(self, code: str) -> Admission:
        for act in self.registry.acts(code, _ACTS):
            if act.act == "user.suspend" and act.detail == f"was {Admission.TRIAL.value}":
                return Admission.TRIAL
            if act.act == "user.resume" or (
                act.act == "user.suspend" and act.detail == f"was {Admission.ADMITTED.value}"
            ):
                break
        return Admission.ADMITTED

    def _agency(self, code: str) -> Agency:
        agency = load(self.directory_file).agency(code)
        if agency is None:
            raise OperationError(Code.NOT_FOUND, f"the directory has no agency {code}")
        return agency

    def _gateway(self, code: str) -> Agency:
        agency = self._agency(code)
        if agency.gateway != code:
            told = f"it is served by {agency.gateway}" if agency.gateway else "it is not connected"
            raise OperationError(Code.NOT_FOUND, f"{code} is no gateway in the directory: {told}")
        if agency.admission is Admission.CLOSED:
            raise OperationError(Code.NOT_FOUND, f"{code} is closed")
        return agency

    def _change(self, act: str, code: str, change: Callable[[Agency], Agency]) -> AgencyDirectory:
        """Change one agency in the file; in a dry run in memory alone."""
        if not self.dry_run:
            return change_agency(self.directory_file, code, change, By(self.who, act, self.clock.now()))
        before = load(self.directory_file)
        agencies = [change(one) if one.code == code else one for one in before.agencies()]
        return AgencyDirectory.of(agencies, before.version, before.sources)

    def _follow(self, directory: AgencyDirectory, code: str, passwords: Mapping[str, str]) -> tuple[str, ...]:
        """Make the broker what the directory says of one agency and its gateway; return the changes."""
        agencies = directory.agencies()
        desired = desired_topology(
            self.topology,
            agencies,
            self.relay_user,
            {name: passwords.get(name) for name in gateway_logins(agencies, self.clock.now())},
        )
        live = read_live(self.management)
        if not live.vhost or names.INGRESS not in live.exchanges:
            raise OperationError(
                Code.TOPOLOGY_NOT_READY, "the broker is bare: truc topology apply comes first"
            )
        changes = [
            change
            for change in about(plan(desired, live), directory, code)
            # A user that the broker does not have is made only where this command is to make it.
            if change.kind not in ABOUT_USERS or change.name in passwords or change.name in live.users
        ]
        if not self.dry_run:
            if any(one.kind == "user" and one.what is What.CREATE and one.name != code for one in changes):
                self.sleep(self.known_after)  # a worker that does not know whose user it is would refuse it
            apply(changes, desired, live, self.management, self.endpoint)
        return tuple(str(change) for change in changes)

    def _complete(self, agency: Agency, user: GatewayUser, there: Mapping[str, bool]) -> bool:
        """Whether the user stands on the broker as directory and plan want it."""
        if user.name not in {login.name for login in agency.logins}:
            raise OperationError(Code.USER_EXISTS, f"{user.name}, a user of somebody else")
        agencies = load(self.directory_file).agencies()
        logins = gateway_logins(agencies, self.clock.now())
        desired = desired_topology(self.topology, agencies, self.relay_user, dict.fromkeys(logins))
        rights = read_live(self.management).rights.get(user.name)
        return rights == desired.rights.get(user.name) and there[user.name] == (user.by is LoginBy.PASSWORD)

    def _new_password(self) -> str:
        return "" if self.dry_run else self.password()

    def _broker_users(self) -> dict[str, bool]:
        return self.management.users_with_password()

    def _set_password(self, user: GatewayUser, password: str) -> None:
        if user.by is LoginBy.CERTIFICATE:
            self.management.put_user_without_password(user.name)
        else:
            self.management.put_user(user.name, password)

    def _remove(self, users: Sequence[str]) -> int:
        before = self._open(users)
        for user in () if self.dry_run else users:
            self.management.delete_user(user)
        return self._cut(users, before)

    def _connections(self) -> Counter[str]:
        return Counter(str(row.get("user", "")) for row in self.management.connections())

    def _open(self, users: Iterable[str]) -> set[str]:
        """Return the names of the users' open connections."""
        return {name for user in users for name in self.management.connections_of(user)}

    def _cut(self, users: Iterable[str], before: Iterable[str] = ()) -> int:
        """Close the users' connections until two looks in a row find none: a gateway tries again at once.

        Returns how many there were, with those that were seen ``before``.
        """
        seen, quiet = set(before), 0
        for _ in range(0 if self.dry_run else _LOOKS):
            found = self._open(users)
            seen |= found
            quiet = 0 if found else quiet + 1
            if quiet == 2:
                break
            for user in users if found else ():
                self.management.close_connections(user)
            self.sleep(_PAUSE)
        return len(seen)

    def _waiting(self, agency: Agency) -> dict[str, int]:
        """Return what stands in the agency's queue; nothing for one that has none."""
        if not agency.own_queue:
            return {}
        queue = names.agency_queue(agency.code)
        rows = self.management.queues("name,messages")
        # with what is delivered and not acknowledged, but seconds late; the broker's own count is of now
        counted = next((int(row.get("messages", 0)) for row in rows if row.get("name") == queue), None)
        return {} if counted is None else {queue: max(counted, self.ready(queue))}

    @contextmanager
    def _acting(self, act: str, code: str, detail: str) -> Iterator[None]:
        """Note the act before it is done, and once more if it failed."""
        if self.dry_run:
            yield
            return
        self.registry.note_act(Act(self.clock.now(), self.who, act, code, detail))
        try:
            yield
        except TrucError as error:
            failed = Act(self.clock.now(), self.who, f"{act}-failed", code, error.code.value)
            self.registry.note_act(failed)
            raise
