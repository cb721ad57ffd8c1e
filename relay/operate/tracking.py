"""``truc track``: everything that is known to have happened to a transport id, in the order of its times.

The registry's own story of a document, what was held and decided about it, the notices that belong to no document, and
the acts of operators on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from relay.model.audit import Act
from relay.model.inspection import AttachmentVerdict
from relay.model.ports import Registry
from relay.model.record import Document, Mention, TrackEvent
from relay.model.standing import HeldStanding, ReceiptStanding, Standing
from relay.model.times import vietnam_day
from relay.operate.attachments import told
from relay.operate.gathering import Agencies, held_of

_ACTS = 1000


@dataclass(frozen=True, slots=True)
class Story:
    """One submission: how it stands, and what happened, oldest first."""

    document: Document
    standing: Standing
    events: tuple[TrackEvent, ...]
    refers_to: str = ""  # of a status: transport id of the document that it was taken to mean
    speaks_of: tuple[Mention, ...] = ()  # of a revocation, update or replacement
    attachments: tuple[AttachmentVerdict, ...] = ()  # as far as they were told


@dataclass(frozen=True, slots=True)
class Track:
    """All that a transport id leads to."""

    stories: tuple[Story, ...]
    loose: tuple[TrackEvent, ...]  # what happened to submissions that no document was made of
    names: dict[
        str, str
    ]  # of the agencies met, by code, on the day of the acceptance (of the first of several)


def track(
    transport_id: str, registry: Registry, directory: Agencies | None, standings: tuple[Standing, ...]
) -> Track:
    """Return the stories under a transport id; nothing in it: nothing is known.

    Args:
        transport_id: as the sender chose it.
        registry: what is stored.
        directory: gives names; None where there is none to be read.
        standings: of the documents, as the registry gave them.
    """
    held = held_of(registry, transport_id, standings)
    notices = [one for one in registry.loose_receipts(transport_id) if one.kind == "held"]
    stories = tuple(_story(registry, one, held, notices) for one in standings)
    loose: tuple[TrackEvent, ...] = ()
    if not stories:
        loose = tuple(
            _ordered([*_of_held(held), *_of_notices(notices), *_of_acts(_acts(registry, transport_id, held))])
        )
    codes = {code for story in stories for code in _codes(story)} | {event.recipient for event in loose}
    times = [story.document.accepted_at for story in stories] or [event.at for event in loose]
    day = vietnam_day(min(times)) if times else None
    return Track(stories, loose, _names(directory, codes, day))


def _story(
    registry: Registry, standing: Standing, held: list[HeldStanding], notices: list[ReceiptStanding]
) -> Story:
    document = standing.document
    ids = {one.delivery.delivery_id for one in standing.deliveries}
    mine = [
        one
        for one in held
        if one.entry.delivery_id in ids
        or (not one.entry.delivery_id and one.entry.body_sha256 == document.body_sha256)
    ]
    events = [
        *registry.story(document.row),
        *_of_held(mine),
        *_of_notices(notices if mine else ()),
        *_of_acts(_acts(registry, document.transport_id, mine)),
    ]
    meant = None if document.refers_to is None else registry.document(document.refers_to)
    refers_to = meant.transport_id if meant else ""
    return Story(
        document,
        standing,
        tuple(_ordered(events)),
        refers_to,
        tuple(registry.meant(document.row)),
        told(registry, standing),
    )


def _ordered(events: list[TrackEvent]) -> list[TrackEvent]:
    return sorted(events, key=lambda event: event.at)


def _of_held(held: Iterable[HeldStanding]) -> Iterator[TrackEvent]:
    for one in held:
        entry = one.entry
        detail = f"{entry.held_id} {entry.detail}".strip()
        yield TrackEvent(entry.at, "held", entry.recipient, entry.code.value, detail)
        if one.drop is not None:
            yield TrackEvent(one.drop.at, "dropped", entry.recipient, "", one.drop.reason)
            if one.drop.told_at is not None:
                yield TrackEvent(one.drop.told_at, "drop-told", entry.recipient, "", entry.held_id)
        elif entry.released_at is not None:
            yield TrackEvent(entry.released_at, "released", entry.recipient, "", entry.held_id)


def _of_notices(notices: Iterable[ReceiptStanding]) -> Iterator[TrackEvent]:
    for one in notices:
        yield TrackEvent(one.at, "receipt", one.to, one.code, f"{one.kind} {one.number}")
        if one.published_at is not None:
            yield TrackEvent(one.published_at, "receipt-published", one.to, one.code, one.number)


def _acts(registry: Registry, transport_id: str, held: Iterable[HeldStanding]) -> list[Act]:
    subjects = dict.fromkeys((transport_id, *(one.entry.held_id for one in held)))
    return [act for subject in subjects for act in registry.acts(subject, _ACTS)]


def _of_acts(acts: Iterable[Act]) -> Iterator[TrackEvent]:
    for act in acts:
        yield TrackEvent(act.at, act.act, "", "", f"{act.who}: {act.detail}" if act.detail else act.who)


def _codes(story: Story) -> Iterator[str]:
    yield story.document.sender
    for one in story.standing.deliveries:
        yield one.delivery.recipient
    for event in story.events:
        yield event.recipient
        yield event.about


def _names(directory: Agencies | None, codes: Iterable[str], day: date | None) -> dict[str, str]:
    if directory is None or day is None:
        return {}
    found = ((code, directory.agency(code)) for code in sorted(set(codes)) if code)
    return {code: agency.name_on(day) for code, agency in found if agency is not None and agency.name}
