"""Queues: do they have a leader and all members, does anything stand still, is one near its limit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from relay.broker import names
from relay.model.message import Lane
from relay.operate.doctor.check import Found, on, size
from relay.operate.doctor.facts import Queue, QueueFacts

MANY_CONSUMERS: Final = 20
GROWING: Final = 100  # messages in `due` below which nobody need look
BACKLOG: Final = 5000
_NEAR, _FULL = 0.8, 0.98
_LANES: Final = frozenset(names.lane_queue(lane) for lane in Lane)
_SHORT_TIMEOUT: Final = 600_000  # milliseconds


def _ours(name: str) -> bool:
    return (
        name in _LANES or name in names.QUEUES or name.startswith((names.AGENCY_PREFIX, names.RETRY_PREFIX))
    )


def suspicious(queue: Queue) -> bool:
    """Whether one look is not enough: a queue just made has no statistics yet, and what moves is no trouble."""
    return (
        (_ours(queue.name) and queue.messages is None)
        or queue.hidden > 0
        or (queue.name in _LANES and (queue.messages or 0) >= GROWING)
        or (queue.name in _LANES and not queue.consumers)
        or (queue.unacked > 0 and queue.ready > 0)
    )


def _each(wrong: Callable[[Queue], str | None]) -> Callable[[QueueFacts], Iterator[Found]]:
    def judge(queues: QueueFacts) -> Iterator[Found]:
        for queue in queues.queues:
            known = (
                _ours(queue.name) and queue.messages is not None
            )  # without statistics nothing else is true
            if known and (detail := wrong(queue)) is not None:
                yield Found(queue.name, detail)

    return judge


def _again(wrong: Callable[[Queue, Queue], str | None]) -> Callable[[QueueFacts], Iterator[Found]]:
    """Return a judge over two looks, some seconds apart."""

    def judge(queues: QueueFacts) -> Iterator[Found]:
        for queue in queues.queues:
            before = queues.earlier.get(queue.name)
            if before is not None and (detail := wrong(before, queue)) is not None:
                yield Found(queue.name, detail)

    return judge


def _leaderless(before: Queue, now: Queue) -> str | None:
    return "" if before.messages is None and now.messages is None else None


def _stuck(before: Queue, now: Queue) -> str | None:
    stuck = min(before.hidden, now.hidden)
    return f"{stuck} messages" if stuck > 0 else None


def _due_growing(before: Queue, now: Queue) -> str | None:
    if now.name != names.DUE:
        return None
    grown = (now.messages or 0) - (before.messages or 0)
    return f"{before.messages} -> {now.messages}" if grown > 0 and (now.messages or 0) >= GROWING else None


def _backlog(before: Queue, now: Queue) -> str | None:
    lane = now.name in _LANES and now.name != names.DUE
    if not lane or (now.messages or 0) < BACKLOG or (now.messages or 0) < (before.messages or 0):
        return None
    return f"{now.messages} messages"


def _silent(before: Queue, now: Queue) -> str | None:
    """Taken, not acknowledged, and more waiting, at both looks: a dead consumer that looks healthy."""
    both = (before, now)
    standing = all(one.ready > 0 and one.unacked > 0 and one.acked_per_second == 0 for one in both)
    same = before.unacked == now.unacked and now.ready >= before.ready
    return f"{now.unacked} taken and not acknowledged, {now.ready} waiting" if standing and same else None


def _no_majority(queue: Queue) -> str | None:
    if queue.kind != "quorum" or not queue.members:
        return None
    return f"{queue.online} of {queue.members}" if 2 * queue.online <= queue.members else None


def _member_down(queue: Queue) -> str | None:
    if queue.kind != "quorum" or 2 * queue.online <= queue.members:
        return None
    return f"{queue.online} of {queue.members}" if queue.online < queue.members else None


def _not_quorum(queue: Queue) -> str | None:
    return queue.kind if queue.kind != "quorum" else None


def _filled(queue: Queue) -> tuple[float, str]:
    """Return how full a queue is, by its nearest limit."""
    shares = [(0.0, "")]
    for key, value, shown in (
        ("max-length-bytes", queue.octets, size(queue.octets)),
        ("max-length", queue.messages or 0, str(queue.messages)),
    ):
        limit = _number(queue.effective.get(key)) or _number(queue.arguments.get(f"x-{key}"))
        if limit:
            of = size(limit) if key.endswith("bytes") else str(limit)
            shares.append((value / limit, f"{shown} of {of}"))
    return max(shares)


def _number(raw: object) -> int:
    return raw if isinstance(raw, int) and not isinstance(raw, bool) else 0


def _full(queue: Queue) -> str | None:
    share, detail = _filled(queue)
    return detail if share >= _FULL else None


def _near_full(queue: Queue) -> str | None:
    share, detail = _filled(queue)
    return detail if _NEAR <= share < _FULL else None


def _unread(queue: Queue) -> str | None:
    agency = names.code_of_queue(queue.name) is not None
    return f"{queue.ready} waiting" if agency and queue.ready and not queue.consumers else None


def _lane_unread(before: Queue, now: Queue) -> str | None:
    unread = now.name in _LANES and not before.consumers and not now.consumers
    return f"{now.messages} waiting" if unread and now.messages is not None else None


def _many(queue: Queue) -> str | None:
    agency = names.code_of_queue(queue.name) is not None
    return f"{queue.consumers} consumers" if agency and queue.consumers > MANY_CONSUMERS else None


def _quarantine(queue: Queue) -> str | None:
    return f"{queue.messages} held" if queue.name == names.QUARANTINE and queue.messages else None


def _drops(queue: Queue) -> str | None:
    """A limit without ``reject-publish`` deletes the oldest document, confirmed or not."""
    limited = any(queue.effective.get(key) for key in ("max-length", "max-length-bytes"))
    overflow = queue.effective.get("overflow", "drop-head")
    return str(overflow) if limited and overflow != "reject-publish" else None


def _endless(queue: Queue) -> str | None:
    retry = queue.name.startswith(names.RETRY_PREFIX)
    if not retry:
        return None
    lacking = [key for key in ("message-ttl", "dead-letter-exchange") if key not in queue.effective]
    return f"without {', '.join(lacking)}" if lacking else None


def _impatient(queue: Queue) -> str | None:
    limit = _number(queue.effective.get("consumer-timeout")) or _number(
        queue.arguments.get("x-consumer-timeout")
    )
    return f"{limit / 1000:.0f} s" if 0 < limit < _SHORT_TIMEOUT else None


def _wrong_policy(queues: QueueFacts) -> Iterator[Found]:
    for queue in queues.queues:
        wanted = queues.wanted_policies.get(queue.name)
        if wanted is not None and queue.policy and queue.policy != wanted:
            yield Found(queue.name, f"{queue.policy} is in force, not {wanted}")


def wanted_policies(queues: tuple[str, ...], patterns: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Return the policy of each queue that one of ours matches; ``patterns`` are (name, pattern)."""
    return {
        queue: name for queue in queues for name, pattern in patterns if re.search(pattern, queue) is not None
    }


CHECKS: Final = (
    on("queues", "queue.leaderless", _again(_leaderless)),
    on("queues", "queue.no-majority", _each(_no_majority)),
    on("queues", "queue.member-down", _each(_member_down)),
    on("queues", "queue.not-quorum", _each(_not_quorum)),
    on("queues", "queue.dead-letters-stuck", _again(_stuck)),
    on("queues", "queue.drops", _each(_drops)),
    on("queues", "queue.retry-endless", _each(_endless)),
    on("queues", "queue.wrong-policy", _wrong_policy),
    on("queues", "queue.full", _each(_full)),
    on("queues", "queue.near-full", _each(_near_full)),
    on("queues", "queue.lane-unread", _again(_lane_unread)),
    on("queues", "queue.unread", _each(_unread)),
    on("queues", "queue.silent-consumer", _again(_silent)),
    on("queues", "queue.many-consumers", _each(_many)),
    on("queues", "queue.due-growing", _again(_due_growing)),
    on("queues", "queue.backlog", _again(_backlog)),
    on("queues", "queue.quarantine", _each(_quarantine)),
    on("queues", "queue.consumer-timeout", _each(_impatient)),
)
