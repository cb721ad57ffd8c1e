"""A gateway's logins while they change, and which changes of a plan are about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from relay.broker import names
from relay.broker.plan import Change, What
from relay.directory.snapshot import AgencyDirectory
from relay.model.agency import Agency, GatewayUser

ABOUT_USERS: Final = frozenset({"user", "permissions", "topic-permissions"})


def ending(agency: Agency, but: str, leaving: Sequence[str], until: datetime) -> tuple[GatewayUser, ...]:
    """Return the gateway's users without one, with an end for some. Ended ones stay: what they sent may be waiting."""
    return tuple(
        replace(user, until=until) if user.name in leaving else user
        for user in agency.logins
        if user.name != but
    )


def with_user(agency: Agency, user: GatewayUser, there: Mapping[str, bool]) -> tuple[GatewayUser, ...]:
    """Return the gateway's users with a new one; where it is the only one and named by the code, none need be listed."""
    others = tuple(
        login for login in agency.logins if login.name != user.name and (login.name in there or agency.users)
    )
    return () if not others and user == GatewayUser(agency.code) else (*others, user)


def about(changes: Iterable[Change], directory: AgencyDirectory, code: str) -> list[Change]:
    """Return those of the changes that are about one agency, its gateway's users, and whom it serves."""
    agency = directory.agency(code)
    gateway = directory.agency(agency.gateway) if agency and agency.gateway else None
    users = {user.name for user in gateway.logins} if gateway else set()
    codes = {code, *directory.served_by(code)}
    queues = {names.agency_queue(one) for one in codes}
    kept = []
    for change in changes:
        if change.what is What.REPORT:
            continue
        if (
            (change.kind in ABOUT_USERS and change.name in users)
            or (change.kind == "queue" and change.name in queues)
            or (change.kind == "binding" and change.subject.key in codes)
        ):
            kept.append(change)
    return kept
