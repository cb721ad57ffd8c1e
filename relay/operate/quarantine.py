"""Giving back what is held, without losing or changing it: publish, await the confirm, only then acknowledge."""

from __future__ import annotations

from typing import Final

from relay.broker import names
from relay.broker.blocking import BlockingClient
from relay.broker.connection import Endpoint
from relay.errors import BrokerError, Code, OperationError
from relay.model.message import Incoming, Lane, Outgoing, Published
from relay.model.ports import Clock, Directory, Registry
from relay.model.record import HeldEntry
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
_LOOKED_AT: Final = 10_000


def release(
    entry: HeldEntry, endpoint: Endpoint, directory: Directory, registry: Registry, clock: Clock
) -> None:
    """Put one held message back: a delivery to its recipient, under its delivery id; a submission to the workers.

    Args:
        entry: as the registry has it.
        endpoint: the relay's own login.
        directory: where the recipient's level stands.
        registry: notes the release.
        clock: the time of it.

    Raises:
        OperationError: NOT-FOUND: it is no longer in the queue, or it cannot go anywhere (no user, recipient gone).
        BrokerError: PUBLISH-RETURNED or PUBLISH-REFUSED: it stays in quarantine.
    """
    with BlockingClient(endpoint, name="truc quarantine") as client:
        message = _find(client, entry)
        result = client.publish_outgoing(copy_of(message, entry, directory, clock))
        if result is not Published.CONFIRMED:
            code = Code.PUBLISH_RETURNED if result is Published.RETURNED else Code.PUBLISH_REFUSED
            raise BrokerError(code, f"{entry.held_id} stays in quarantine: {result.value}")
        # A crash here leaves it in both places: the delivery id, or the transport id, makes the second one harmless.
        client.ack(message)
    registry.released(entry.held_id, clock.now())


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


def matches(message: Incoming, entry: HeldEntry) -> bool:
    """Whether a message in the queue is the one that the registry speaks of."""
    properties = message.properties
    if entry.delivery_id:
        return properties.headers.get(names.H_DELIVERY_ID) == entry.delivery_id
    if entry.origin == "worker" or properties.message_id == entry.held_id:
        return properties.message_id == entry.held_id
    return (properties.message_id or "") == entry.transport_id and (properties.user_id or "") == entry.user


def _lane(message: Incoming) -> Lane | None:
    headers = message.properties.headers
    written = str(headers.get(names.H_LANE) or headers.get("x-first-death-queue", ""))
    try:
        return Lane(written.removeprefix(names.INGRESS_PREFIX))
    except ValueError:
        return None


def _find(client: BlockingClient, entry: HeldEntry) -> Incoming:
    # What is passed over goes back when the client closes.
    for _ in range(_LOOKED_AT):
        message = client.get(names.QUARANTINE)
        if message is None:
            break
        if matches(message, entry):
            return message
    raise OperationError(Code.NOT_FOUND, f"{entry.held_id} is no longer in the queue {names.QUARANTINE}")
