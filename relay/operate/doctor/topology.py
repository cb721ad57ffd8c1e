"""What should stand on the broker and does not, and who may do more than the plan says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from relay.broker.plan import Change, What
from relay.operate.doctor.check import Found, on
from relay.operate.doctor.facts import RightsFacts, TopologyFacts

_SHOWN: Final = 160
_ADMINISTRATOR: Final = "administrator"


def _changes(kind: str, *whats: What) -> Callable[[TopologyFacts], Iterator[Found]]:
    return _where(lambda one: one.kind == kind and one.what in whats)


def _where(wanted: Callable[[Change], bool]) -> Callable[[TopologyFacts], Iterator[Found]]:
    def judge(topology: TopologyFacts) -> Iterator[Found]:
        for one in topology.changes:
            if wanted(one):
                yield _told(one)

    return judge


def _told(change: Change) -> Found:
    texts = [change.before, change.after] if change.kind != "binding" else []
    detail = " -> ".join(text for text in texts if text)
    return Found(change.name, detail if len(detail) <= _SHOWN else detail[:_SHOWN] + "…")


def _wrong(change: Change) -> bool:
    """Whether a thing of ours stands there with other properties, which only deleting it can change."""
    return change.what is What.REPORT and (
        (change.kind == "exchange" and " is wanted" in change.after)
        or (change.kind == "queue" and change.before.startswith("stands with"))
    )


def _foreign(change: Change) -> bool:
    return (
        change.what is What.REPORT
        and change.kind in {"exchange", "queue", "policy", "binding"}
        and not _wrong(change)
    )


def _more_rights(topology: TopologyFacts) -> Iterator[Found]:
    for one in topology.changes:
        if one.kind in {"permissions", "topic-permissions"} and one.name in topology.narrowed and one.before:
            yield _told(one)


def _other_rights(topology: TopologyFacts) -> Iterator[Found]:
    for one in topology.changes:
        right = one.kind == "permissions" and one.what is not What.REPORT
        key = one.kind == "topic-permissions" and one.what is What.CHANGE
        if (right or key) and (one.what is What.CREATE or one.name not in topology.narrowed):
            yield _told(one)


def _tagged(topology: TopologyFacts) -> Iterator[Found]:
    yield from _where(lambda one: one.kind == "user" and one.what is What.REPORT)(topology)


def _strangers(topology: TopologyFacts) -> Iterator[Found]:
    yield from _where(lambda one: one.kind == "permissions" and one.what is What.REPORT)(topology)


def _administrators(rights: RightsFacts) -> Iterator[Found]:
    for user, tags in sorted(rights.live.users.items()):
        if _ADMINISTRATOR in tags.split(",") and user != rights.live.reader:
            yield Found(user)


def _epoch(topology: TopologyFacts) -> Iterator[Found]:
    if topology.epoch_lost:
        yield Found()


CHECKS: Final = (
    on("topology", "topology.vhost-missing", _changes("vhost", What.CREATE)),
    on("topology", "topology.exchange-missing", _changes("exchange", What.CREATE)),
    on("topology", "topology.queue-missing", _changes("queue", What.CREATE)),
    on("topology", "topology.binding-missing", _changes("binding", What.CREATE)),
    on("topology", "topology.binding-wrong", _changes("binding", What.REMOVE)),
    on("topology", "topology.wrong-kind", _where(_wrong)),
    on("topology", "topology.policy-missing", _changes("policy", What.CREATE)),
    on("topology", "topology.policy-differs", _changes("policy", What.CHANGE)),
    on("topology", "topology.foreign", _where(_foreign)),
    on("topology", "topology.directory", _changes("directory", What.REPORT)),
    on("topology", "topology.data-gone", _epoch),
    on("topology", "permissions.user-missing", _changes("user", What.CREATE)),
    on("topology", "permissions.user-ended", _changes("user", What.REMOVE)),
    on("topology", "permissions.no-topic-rule", _changes("topic-permissions", What.CREATE)),
    on("topology", "permissions.too-many", _more_rights),
    on("topology", "permissions.differ", _other_rights),
    on("topology", "permissions.tags", _tagged),
    on("topology", "permissions.stranger", _strangers),
    on("rights", "permissions.administrators", _administrators),
)
