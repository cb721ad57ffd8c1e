"""What differs between two states of the directory, agency by agency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from relay.directory.write import entry
from relay.model.agency import Agency


class Kind(StrEnum):
    """What happened to an agency."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Change:
    """One agency that is not as it was. ``fields``: name, value before and after, as a directory file has them."""

    kind: Kind
    code: str
    name: str
    fields: tuple[tuple[str, Any, Any], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        fields = {name: {"before": before, "after": after} for name, before, after in self.fields}
        return {"kind": self.kind.value, "code": self.code, "name": self.name, "fields": fields}


def diff(before: Iterable[Agency], after: Iterable[Agency]) -> tuple[Change, ...]:
    """Return the changes in order of codes. What a default rule filled in is compared by the rule's input alone."""
    old = {agency.code: agency for agency in before}
    new = {agency.code: agency for agency in after}
    changes: list[Change] = []
    for code in sorted(old.keys() | new.keys()):
        was, now = old.get(code), new.get(code)
        if was is None and now is not None:
            changes.append(Change(Kind.ADDED, code, now.name, _fields({}, entry(now))))
        elif was is not None and now is None:
            changes.append(Change(Kind.REMOVED, code, was.name, _fields(entry(was), {})))
        elif was is not None and now is not None and was != now:
            fields = _fields(entry(was), entry(now))
            if fields:
                changes.append(Change(Kind.CHANGED, code, now.name, fields))
    return tuple(changes)


def _fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[tuple[str, Any, Any], ...]:
    names = [*before, *(name for name in after if name not in before)]
    return tuple(
        (name, before.get(name), after.get(name))
        for name in names
        if name != "code" and before.get(name) != after.get(name)
    )
