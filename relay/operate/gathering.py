"""The facts behind ``truc why`` and ``truc track``: from the registry, and from one look at the broker's queues."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from relay.broker import names
from relay.errors import BrokerError
from relay.model.agency import Agency
from relay.model.delivery import State
from relay.model.ports import Registry
from relay.model.standing import HeldStanding, Standing
from relay.operate.why import INGRESS, LADDER, Facts, Seen


class Agencies(Protocol):
    """The one question to the directory here."""

    def agency(self, code: str) -> Agency | None:
        """Return the agency of a normal code, whatever its validity."""
        ...


class Looks(Protocol):
    """Looks at queues without taking anything out of them."""

    def seen(self, queues: tuple[str, ...]) -> dict[str, Seen]:
        """Return messages ready and consumers of several queues, None for one that does not exist."""
        ...


def queue_of(directory: Agencies | None, code: str) -> str:
    """Return the queue that serves an agency: its own, its gateway's, or by its name where nothing is known of it."""
    agency = directory.agency(code) if directory is not None else None
    if agency is None or agency.own_queue or agency.gateway is None:
        return names.agency_queue(code)
    return names.agency_queue(agency.gateway)


def gather(
    transport_id: str,
    sender: str | None,
    registry: Registry,
    directory: Agencies | None,
    looks: Looks | None,
    now: datetime,
) -> Facts:
    """Return all that is known about a transport id; a broker that does not answer is a fact too.

    Args:
        transport_id: as the sender chose it.
        sender: only this one's document; several may use the same id.
        registry: what is stored.
        directory: which queue serves a recipient; None where there is none to be read.
        looks: the broker; None where its login cannot be had.
        now: by the clock of this machine.

    Raises:
        RegistryError: it cannot be read.
    """
    found = [registry.standing(one.row, now) for one in registry.find(transport_id, sender)]
    standings = tuple(one for one in found if one is not None)
    held = tuple(held_of(registry, transport_id, standings))
    queues = {
        one.delivery.recipient: queue_of(directory, one.delivery.recipient)
        for standing in standings
        for one in standing.deliveries
        if one.delivery.state is State.QUEUED
    }
    return Facts(
        transport_id=transport_id,
        now=now,
        standings=standings,
        loose=tuple(registry.loose_receipts(transport_id)),
        held=held,
        queues=_look(looks, (*INGRESS, names.DUE, *LADDER, *queues.values())),
        queue_of=queues,
    )


def held_of(registry: Registry, transport_id: str, standings: Iterable[Standing]) -> list[HeldStanding]:
    """Return what is or was in quarantine of these submissions. A delivery stands there under the id of the first one
    of the same bytes."""
    ids = {transport_id, *(one.first.transport_id for one in standings if one.first is not None)}
    return registry.held_about(sorted(ids))


def _look(looks: Looks | None, queues: Iterable[str]) -> dict[str, Seen] | None:
    if looks is None:
        return None
    try:
        return looks.seen(tuple(dict.fromkeys(queues)))
    except BrokerError:
        return None
