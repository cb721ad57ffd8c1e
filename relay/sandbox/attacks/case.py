"""What a case of the corpus is, and how the families note theirs."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from relay.errors import Code
from relay.sandbox.attacks.forge import SENDER, Forge


class Where(StrEnum):
    """Which runs can show a case."""

    BOTH = "both"
    INSIDE = "inside"  # needs what only a test controls: other lists, another directory, another time
    OUTSIDE = "outside"  # the broker's own doors, which only a broker has


class Outcome(StrEnum):
    """How a case has to end."""

    REFUSED = "refused"  # a signed refusal, nothing delivered
    REPEATED = "repeated"  # told the first answer, or SAME-CONTENT; no second delivery
    CLOSED = "closed"  # the broker closes the channel: the code is its number


@dataclass(frozen=True, slots=True)
class Shot:
    """One submission: who publishes what, and how it differs from a good one."""

    body: bytes
    user: str = SENDER  # who is logged in
    kind: str = "edoc"
    lane: str = ""  # by kind
    code: str = ""  # in the routing key; by default the user
    transport_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    headers: Mapping[str, Any] = field(default_factory=dict)
    about: str | None = None  # correlation_id
    claims: str = ""  # another user_id than that of the login
    nameless: bool = False  # published without a user_id
    exchange: str = ""
    key: str = ""  # the whole routing key

    @property
    def routing_key(self) -> str:
        """The key it is published with."""
        lane = self.lane or ("status" if self.kind == "status" else "normal")
        return self.key or f"{lane}.{self.code or self.user}"


Built = bytes | Shot | Sequence[Shot]


@dataclass(frozen=True, slots=True)
class Case:
    """One attack.

    ``codes``: any of them is the right answer. ``stops``: name of the check that is meant to stop it (``checks``).
    """

    family: str
    name: str
    source: str
    target: str
    codes: tuple[str, ...]
    stops: str
    build: Callable[[Forge], Built]
    where: Where = Where.BOTH
    outcome: Outcome = Outcome.REFUSED

    @property
    def key(self) -> str:
        """Family and name."""
        return f"{self.family}: {self.name}"

    def shots(self, forge: Forge) -> tuple[Shot, ...]:
        """Build it: what has to be accepted first, and the attack last."""
        built = self.build(forge)
        if isinstance(built, bytes):
            return (Shot(built),)
        return (built,) if isinstance(built, Shot) else tuple(built)


class Family:
    """Notes the cases of one family.

    Args:
        name: of the family.
        source: where such attacks are described, for cases without a source of their own.
    """

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source
        self.cases: list[Case] = []

    def add(
        self,
        name: str,
        code: Code | str | tuple[Code | str, ...],
        stops: str,
        target: str,
        build: Callable[[Forge], Built],
        *,
        source: str = "",
        where: Where = Where.BOTH,
        outcome: Outcome = Outcome.REFUSED,
    ) -> None:
        """Note a case; arguments as the fields of ``Case``."""
        codes = tuple(str(each) for each in (code if isinstance(code, tuple) else (code,)))
        self.cases.append(
            Case(self.name, name, source or self.source, target, codes, stops, build, where, outcome)
        )
