"""What operators do with what is held: look at it, give it back, drop it. Never a lost body, never a silent end.

Who decides has the message in hand first, unacknowledged, so that no two decide at once. Then: the audit row, the
confirmed publish or the durable decision, the acknowledgement, the note in the registry. After a crash in between the
same command again completes what was begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from relay.broker import names
from relay.errors import BrokerError, Code, OperationError
from relay.keeper.quarantine import describe
from relay.model.audit import Act
from relay.model.delivery import Delivery, State
from relay.model.message import Incoming, Lane, Outgoing, Published
from relay.model.ports import Clock, Directory, Registry
from relay.model.record import HeldEntry
from relay.model.standing import Drop, HeldStanding
from relay.model.times import rfc3339

_DELIVERY_HEADERS: Final = (
    names.H_DELIVERY_ID,
    names.H_SENDER,
    names.H_RECIPIENT,
    names.H_SHA256,
    names.H_ACCEPTED_AT,
    names.H_REFERS_TO,
    names.H_HOPS,
)
_LOOKED_AT: Final = 1_000_000
_LOOKS, _PAUSE = 10, 0.5  # the keeper may be looking, and has all of it in hand for that long

RELEASE, RELEASED, DROP = "quarantine.release", "quarantine.released", "quarantine.drop"


class Door(Protocol):
    """A connection to the broker of the relay's own user; what was taken and not settled goes back at its end."""

    def get(self, queue: str) -> Incoming | None:
        """Take one message if there is one."""
        ...

    def publish_outgoing(self, message: Outgoing) -> Published:
        """Publish, mandatory, and wait for the confirm."""
        ...

    def ack(self, message: Incoming) -> None:
        """Acknowledge one message."""
        ...


Connect = Callable[[], AbstractContextManager[Door]]


@dataclass(frozen=True, slots=True)
class Hands:
    """What an operator's command works with.

    Args:
        connect: opens the relay's own login.
        registry: where decisions and acts are kept.
        relay_user: name of that login, by which the relay's own messages are known.
        clock: the time.
        who: user of the operating system.
        wait: sleeps so many seconds.
    """

    connect: Connect
    registry: Registry
    relay_user: str
    clock: Clock
    who: str
    wait: Callable[[float], None]

    def note(self, act: str, subject: str, detail: str = "") -> None:
        """Add an audit row, durable before this returns."""
        self.registry.note_act(Act(self.clock.now(), self.who, act, subject, detail))


def held(registry: Registry, held_id: str) -> HeldStanding:
    """Return what is held under an id and not released. Raises NOT-FOUND."""
    found = registry.held_one(held_id)
    if found is None or found.entry.released_at is not None:
        raise OperationError(Code.NOT_FOUND, f"nothing is held under {held_id}")
    return found


@contextmanager
def in_hand(hands: Hands, entry: HeldEntry) -> Iterator[tuple[Door, Incoming | None]]:
    """Take the message of an entry; None if it is not in the queue, also not after the keeper's look was waited for.

    What is passed over, and the message itself if it is not acknowledged, goes back at the end.

    Raises:
        BrokerError: the broker does not answer.
    """
    for look in range(_LOOKS):
        if look:
            hands.wait(_PAUSE)
        with hands.connect() as door:
            message = _find(hands, door, entry)
            if message is not None:
                yield door, message
                return
            if look == _LOOKS - 1:
                yield door, None


def look(hands: Hands, entry: HeldEntry) -> Incoming:
    """Return the message of an entry and leave it where it is. Raises NOT-FOUND; ``BrokerError``."""
    with in_hand(hands, entry) as (_, message):
        if message is None:
            raise _gone(entry)
        return message


def release(hands: Hands, standing: HeldStanding, directory: Directory, reason: str = "") -> None:
    """Put one held message back: a delivery to its recipient, under its delivery id; a submission to the workers.

    A crash on the way leaves it in both places at worst: the delivery id, or the transport id, makes the second one
    harmless.

    Raises:
        OperationError: NOT-FOUND: it is no longer in the queue, or it cannot go anywhere (no user, recipient gone); or
            the code with which its delivery has ended: it can only be dropped.
        BrokerError: PUBLISH-RETURNED or PUBLISH-REFUSED: it stays in quarantine.
    """
    entry = standing.entry
    check_release(hands.registry, standing)
    with in_hand(hands, entry) as (door, message):
        if message is None:
            if not _was_released(hands.registry, entry):
                raise _gone(entry)
        else:
            copy = copy_of(message, entry, directory, hands.clock)
            hands.note(RELEASE, entry.held_id, reason)
            result = door.publish_outgoing(copy)
            if result is not Published.CONFIRMED:
                code = Code.PUBLISH_RETURNED if result is Published.RETURNED else Code.PUBLISH_REFUSED
                raise BrokerError(code, f"{entry.held_id} stays in quarantine: {result.value}")
            hands.note(RELEASED, entry.held_id, f"{copy.exchange} {copy.routing_key}")
            door.ack(message)
    hands.registry.released(entry.held_id, hands.clock.now())


def check_release(registry: Registry, standing: HeldStanding) -> None:
    """Raise if the message may go nowhere any more: its delivery has ended, or it was decided to drop it."""
    entry = standing.entry
    if standing.drop is not None and standing.drop.told_at is None:
        raise OperationError(
            Code.DELIVERY_DROPPED, f"{entry.held_id} was dropped: repeat the drop to complete it"
        )
    delivery = delivery_of(registry, entry)
    if delivery is not None and delivery.state in {State.REFUSED, State.WITHDRAWN}:
        code = delivery.code or Code.UNDELIVERABLE
        raise OperationError(
            code, f"the delivery has ended as {delivery.state.value}: it can only be dropped"
        )


@dataclass(frozen=True, slots=True)
class Dropped:
    """What a drop does, or would do."""

    entry: HeldEntry
    in_queue: bool  # whether the message was there to be taken out
    state: str  # of the delivery before, "" for a submission
    tells: tuple[str, ...]  # codes that are told; nobody where there is nothing new to tell


def drop(
    hands: Hands, standing: HeldStanding, reason: str, *, gone: bool = False, dry_run: bool = False
) -> Dropped:
    """Decide that a held message goes nowhere any more; the keeper ends its delivery and tells sender and recipient.

    Args:
        hands: the operator's.
        standing: what is held.
        reason: told to sender and recipient, and kept in the audit row.
        gone: the message is not in the queue any more (somebody emptied it), and that is known.
        dry_run: only say what would happen.

    Raises:
        OperationError: NOT-FOUND: it is not in the queue and ``gone`` was not said; or a release of it was confirmed and
            died before its end: the copy is on its way, and no decision can take it back.
        BrokerError: the broker does not answer.
    """
    entry = standing.entry
    delivery = delivery_of(hands.registry, entry)
    decided = standing.drop is not None and standing.drop.at >= entry.at
    with in_hand(hands, entry) as (door, message):
        # with the message in hand, so that no release is at it
        if not decided and _was_released(hands.registry, entry):
            raise OperationError(
                Code.NOT_FOUND, f"{entry.held_id} was released: repeat the release to complete it"
            )
        if message is None and not gone and not decided:
            raise _gone(entry)
        result = Dropped(
            entry, message is not None, delivery.state.value if delivery else "", _tells(entry, delivery)
        )
        if dry_run:
            return result
        now = hands.clock.now()
        if not decided:
            kind = "" if message is None else message.properties.type or ""
            size = 0 if message is None else len(message.body)
            act = Act(now, hands.who, DROP, entry.held_id, reason)
            hands.registry.decide_drop(Drop(entry.held_id, now, reason, kind, size), act)
        if message is not None:
            door.ack(message)
    hands.registry.released(entry.held_id, _after(hands.clock.now(), entry.at))
    return result


def _after(now: datetime, held_at: datetime) -> datetime:
    """A look of the keeper that began before the drop must not hold it anew: the later time counts."""
    return max(now, held_at)


def _tells(entry: HeldEntry, delivery: Delivery | None) -> tuple[str, ...]:
    if not entry.delivery_id:
        return (entry.user,) if entry.user else ()
    if delivery is not None and delivery.state not in {State.PLANNED, State.QUEUED}:
        return ()
    return tuple(dict.fromkeys(code for code in (entry.sender, entry.recipient) if code))


def delivery_of(registry: Registry, entry: HeldEntry) -> Delivery | None:
    """Return the delivery that a held message belongs to, if it is one and the registry knows it."""
    if not entry.delivery_id:
        return None
    return next(
        (
            one
            for document in registry.find(entry.transport_id, entry.sender)
            for one in document.deliveries
            if one.delivery_id == entry.delivery_id
        ),
        None,
    )


def _was_released(registry: Registry, entry: HeldEntry) -> bool:
    """Whether a release of this message was confirmed and only its note is missing."""
    return any(act.act == RELEASED and act.at >= entry.at for act in registry.acts(entry.held_id))


def _gone(entry: HeldEntry) -> OperationError:
    return OperationError(Code.NOT_FOUND, f"{entry.held_id} is no longer in the queue {names.QUARANTINE}")


def copy_of(message: Incoming, entry: HeldEntry, directory: Directory, clock: Clock) -> Outgoing:
    """Return what to publish for a held message: same bytes, and only the properties that the contract knows."""
    properties = message.properties
    content_type = properties.content_type or names.CONTENT_EDXML
    if entry.delivery_id:
        agency = directory.agency(entry.recipient)
        if agency is None:
            raise OperationError(Code.NOT_FOUND, f"the directory has no agency {entry.recipient}")
        headers = {
            name: str(properties.headers[name]) for name in _DELIVERY_HEADERS if name in properties.headers
        }
        return Outgoing(
            exchange=names.level_exchange(agency.level),
            routing_key=entry.recipient,
            body=message.body,
            message_id=properties.message_id or "",
            type=properties.type or "",
            content_type=content_type,
            headers=headers,
        )
    lane = _lane(message)
    if not entry.user or lane is None:
        raise OperationError(
            Code.NOT_FOUND, f"{entry.held_id} has no user or lane to go back to; it can only be dropped"
        )
    headers = {
        names.H_USER: entry.user,
        names.H_LANE: lane.value,
        names.H_ATTEMPT: "0",
        names.H_FIRST_SEEN: rfc3339(clock.now()),
    }
    if names.H_DEADLINE in properties.headers:
        headers[names.H_DEADLINE] = str(properties.headers[names.H_DEADLINE])
    # a message that a worker set aside carries its transport id there, a dead-lettered one the sender's own hint
    hint = None if properties.correlation_id == entry.transport_id else properties.correlation_id
    return Outgoing(
        exchange=names.DUE,
        routing_key=names.DUE,
        body=message.body,
        message_id=entry.transport_id,
        type=properties.type or "",
        content_type=content_type,
        correlation_id=hint,
        headers=headers,
        as_self=True,
    )


def matches(message: Incoming, entry: HeldEntry, relay_user: str) -> bool:
    """Whether a message in the queue is the very one that the registry speaks of."""
    return describe(message, relay_user, entry.at).held_id == entry.held_id


def _lane(message: Incoming) -> Lane | None:
    headers = message.properties.headers
    written = str(headers.get(names.H_LANE) or headers.get("x-first-death-queue", ""))
    try:
        return Lane(written.removeprefix(names.INGRESS_PREFIX))
    except ValueError:
        return None


def _find(hands: Hands, door: Door, entry: HeldEntry) -> Incoming | None:
    # What is passed over goes back when the door closes.
    for _ in range(_LOOKED_AT):
        message = door.get(names.QUARANTINE)
        if message is None:
            return None
        if matches(message, entry, hands.relay_user):
            return message
    return None
