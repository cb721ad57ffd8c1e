"""The live state of a broker, and its difference to the desired one, as values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from relay.broker import names
from relay.broker.management import Management
from relay.broker.topology import Binding, Desired, Policy, Rights


class What(StrEnum):
    """What a change does."""

    CREATE = "create"
    CHANGE = "change"
    REMOVE = "remove"
    REPORT = "report"  # not ours, or not ours to undo: done only when pruning is asked for, if at all


@dataclass(frozen=True, slots=True)
class Change:
    """One difference."""

    kind: str  # vhost, exchange, policy, queue, binding, user, permissions, topic-permissions, directory
    name: str
    what: What
    before: str = ""
    after: str = ""
    subject: Any = field(default=None, repr=False, compare=False)  # what apply works on; holds no secret

    def __str__(self) -> str:
        sign = {What.CREATE: "+", What.CHANGE: "~", What.REMOVE: "-", What.REPORT: "!"}[self.what]
        detail = f"{self.before} -> {self.after}" if self.before and self.after else self.before or self.after
        return f"{sign} {self.kind} {self.name}" + (f": {detail}" if detail else "")

    def as_json(self) -> dict[str, str]:
        """Return the change as plain data."""
        return {
            "kind": self.kind,
            "name": self.name,
            "what": self.what.value,
            "from": self.before,
            "to": self.after,
        }


@dataclass(frozen=True, slots=True)
class LiveQueue:
    """A queue as it stands."""

    arguments: Mapping[str, Any]
    durable: bool


@dataclass(frozen=True, slots=True)
class Live:
    """What stands on the broker."""

    vhost: bool
    exchanges: Mapping[str, str]
    queues: Mapping[str, LiveQueue]
    bindings: frozenset[Binding]
    policies: Mapping[str, Policy]
    rights: Mapping[str, Rights]  # of users with a row on the vhost
    users: Mapping[str, str]  # all users of the broker: tags
    reader: str = ""  # the user that looked, never reported
    vhost_name: str = names.VHOST


def read_live(management: Management) -> Live:
    """Read the whole state in a few bulk reads. Raises ``BrokerError``."""
    users = {str(row["name"]): _tags(row.get("tags", "")) for row in management.users()}
    if management.vhost not in management.vhosts():
        return Live(False, {}, {}, frozenset(), {}, {}, users, management.user, management.vhost)
    there = management.vhost_definitions()
    topics = {
        str(row["user"]): str(row["write"])
        for row in management.topic_permissions()
        if row.get("exchange") == names.INGRESS
    }
    return Live(
        vhost=True,
        exchanges={str(row["name"]): str(row["type"]) for row in there["exchanges"]},
        queues={
            str(row["name"]): LiveQueue(dict(row.get("arguments", {})), bool(row.get("durable")))
            for row in there["queues"]
        },
        bindings=frozenset(
            Binding(str(row["source"]), str(row["destination"]), str(row["routing_key"]))
            for row in there["bindings"]
            if row.get("destination_type") == "queue" and row["source"]
        ),
        policies={
            str(row["name"]): Policy(
                str(row["name"]), str(row["pattern"]), dict(row["definition"]), int(row.get("priority", 0))
            )
            for row in there["policies"]
        },
        rights={
            str(row["user"]): Rights(
                str(row["configure"]), str(row["write"]), str(row["read"]), topics.get(str(row["user"]))
            )
            for row in management.permissions()
        },
        users=users,
        reader=management.user,
        vhost_name=management.vhost,
    )


def _tags(raw: object) -> str:
    return ",".join(str(tag) for tag in raw) if isinstance(raw, list) else str(raw)


DELIVERING: Final = frozenset({*names.LEVEL_EXCHANGES, names.RECEIPTS})
"""A binding from one of these that the directory does not know delivers to the wrong place."""


def plan(desired: Desired, live: Live) -> list[Change]:
    """Return the changes in the order in which ``apply`` makes them; empty when all is as it should be but for reports."""
    changes: list[Change] = []
    if not live.vhost:
        changes.append(Change("vhost", live.vhost_name, What.CREATE))
    changes += _exchanges(desired, live)
    changes += _policies(desired, live)
    changes += _queues(desired, live)
    new = sorted(desired.bindings - live.bindings)
    changes += [Change("binding", _name(one), What.CREATE, after=one.queue, subject=one) for one in new]
    changes += _users(desired, live)
    for one in sorted(live.bindings - desired.bindings):
        if one.exchange in DELIVERING:
            changes.append(Change("binding", _name(one), What.REMOVE, before=one.queue, subject=one))
        elif one.exchange in desired.exchanges:
            changes.append(Change("binding", _name(one), What.REPORT, "bound by somebody else", subject=one))
    changes += [Change("directory", text.partition(":")[0], What.REPORT, text) for text in desired.problems]
    return changes


def pending(changes: list[Change]) -> list[Change]:
    """Return what ``apply`` would do; the rest are reports."""
    return [change for change in changes if change.what is not What.REPORT]


def _name(binding: Binding) -> str:
    return f"{binding.exchange} --{binding.key}--> {binding.queue}"


def _exchanges(desired: Desired, live: Live) -> list[Change]:
    changes = []
    for name, kind in desired.exchanges.items():
        there = live.exchanges.get(name)
        if there is None:
            changes.append(Change("exchange", name, What.CREATE, after=kind, subject=kind))
        elif there != kind:
            changes.append(Change("exchange", name, What.REPORT, there, f"{kind} is wanted: delete it first"))
    changes += [
        Change("exchange", name, What.REPORT, "not in the configuration")
        for name in sorted(set(live.exchanges) - set(desired.exchanges))
        if name and not name.startswith(("amq.", names.EPOCH_PREFIX))
    ]
    return changes


def _policies(desired: Desired, live: Live) -> list[Change]:
    changes = []
    for policy in desired.policies:
        there = live.policies.get(policy.name)
        if there is None:
            changes.append(Change("policy", policy.name, What.CREATE, after=_told(policy), subject=policy))
        elif there != policy:
            changes.append(
                Change("policy", policy.name, What.CHANGE, _told(there), _told(policy), subject=policy)
            )
    ours = {policy.name for policy in desired.policies}
    changes += [
        Change("policy", name, What.REPORT, "not in the configuration", subject=name)
        for name in sorted(set(live.policies) - ours)
    ]
    return changes


def _told(policy: Policy) -> str:
    return f"{policy.pattern} " + " ".join(
        f"{key}={policy.definition[key]}" for key in sorted(policy.definition)
    )


def _queues(desired: Desired, live: Live) -> list[Change]:
    changes = []
    for name in sorted(desired.queues):
        there = live.queues.get(name)
        if there is None:
            changes.append(Change("queue", name, What.CREATE, subject=name))
        elif not there.durable or dict(there.arguments) != dict(desired.queue_arguments):
            changes.append(
                Change("queue", name, What.REPORT, f"stands with other arguments: {dict(there.arguments)}")
            )
    changes += [
        Change("queue", name, What.REPORT, "not in the configuration or directory", subject=name)
        for name in sorted(set(live.queues) - desired.queues)
    ]
    return changes


def _users(desired: Desired, live: Live) -> list[Change]:
    changes = []
    # An administrator whose name an agency's code happens to be stays one: its rights are not a directory's to give.
    governing = {user for user, tags in live.users.items() if "administrator" in tags} | {live.reader}
    for user, wanted in desired.rights.items():
        if user in governing:
            changes.append(
                Change("user", user, What.REPORT, "an administrator of the broker, no gateway's user")
            )
            continue
        if user not in live.users:
            changes.append(Change("user", user, What.CREATE, subject=user))
        elif live.users[user]:
            changes.append(Change("user", user, What.REPORT, f"has the tags {live.users[user]}"))
        there = live.rights.get(user)
        # The topic row first: a user without one may use every key.
        if wanted.topic is not None and (there is None or there.topic != wanted.topic):
            before = "" if there is None or there.topic is None else there.topic
            changes.append(_right("topic-permissions", user, before, wanted.topic, wanted, there))
        if there is None or _plain(there) != _plain(wanted):
            before = "" if there is None else _plain(there)
            changes.append(_right("permissions", user, before, _plain(wanted), wanted, there))
    ended = sorted(desired.ended & set(live.users) - governing)
    changes += [Change("user", user, What.REMOVE, "its time has ended", subject=user) for user in ended]
    changes += [
        Change("permissions", user, What.REPORT, "a user that is not in the configuration", subject=user)
        for user in sorted(set(live.rights) - set(desired.rights) - desired.ended - governing)
    ]
    return changes


def _right(kind: str, user: str, before: str, after: str, wanted: Rights, there: Rights | None) -> Change:
    what = What.CHANGE if before else What.CREATE
    return Change(
        kind, user, what, before, after, subject=(wanted, there is not None and narrower(there, wanted))
    )


def _plain(rights: Rights) -> str:
    return f"configure {rights.configure} write {rights.write} read {rights.read}"


def narrower(there: Rights, wanted: Rights) -> bool:
    """Whether something is taken away, so that open connections have to be closed for it to hold."""
    pairs = [
        (there.configure, wanted.configure),
        (there.write, wanted.write),
        (there.read, wanted.read),
        (there.topic or ".*", wanted.topic or ".*"),
    ]
    return any(not _alternatives(old) <= _alternatives(new) for old, new in pairs if old != new)


def _alternatives(pattern: str) -> frozenset[str]:
    """Split a pattern of ours into what it allows; one of another hand counts as one alternative of its own."""
    if pattern == "^$":
        return frozenset()
    found = re.fullmatch(r"\^(\([a-z|]+\)\\\.)?(?:\(([^()]*)\)|([^()|]*))\$", pattern)
    if found is None:
        return frozenset({pattern})
    listed = found[2] if found[2] is not None else found[3]
    return frozenset((found[1] or "") + one for one in listed.split("|"))
