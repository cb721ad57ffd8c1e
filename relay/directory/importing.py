"""A list from elsewhere becomes a proposal: the directory as it would be, and what would differ. Nothing is written here.

A row changes what its filled cells say and leaves the rest of the agency as it is; a code that is not yet known becomes a
new agency. Whatever is wrong is told with the line of the list, and then there is no proposal: all or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relay.directory.diff import Change, diff
from relay.directory.entries import Entries, Finding
from relay.directory.search import fold
from relay.directory.snapshot import AgencyDirectory
from relay.directory.tables import LISTS, Row, Table
from relay.directory.write import entry
from relay.errors import RefusedError
from relay.model.agency import Admission, Agency
from relay.model.codes import normal_form
from relay.model.levels import Level

_TEXTS: Final = ("short_name", "english_name", "contact", "queue", "admission")
_DATES: Final = ("valid_from", "valid_to", "suspended_until")
_DAY_FIRST: Final = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})")
_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "level": {
        name: level.value
        for level, names in (
            (Level.CENTRAL, ("trung uong", "cap trung uong")),
            (Level.PROVINCE, ("tinh", "cap tinh")),
            (Level.DISTRICT, ("huyen", "cap huyen")),
            (Level.COMMUNE, ("xa", "cap xa")),
        )
        for name in names
    },
    "admission": {
        "thu nghiem": Admission.TRIAL.value,
        "chinh thuc": Admission.ADMITTED.value,
        "tam ngung": Admission.SUSPENDED.value,
        "da dong": Admission.CLOSED.value,
    },
}
_YES: Final = frozenset({"true", "1", "yes", "x"})


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an import would make of the directory."""

    agencies: tuple[Agency, ...]
    changes: tuple[Change, ...]
    defaulted: tuple[str, ...]  # codes of the list whose level is the default rule's
    notes: tuple[str, ...]  # what was read otherwise than it stands, or not at all


def propose(
    current: AgencyDirectory | None, table: Table, *, complete: bool = False
) -> Proposal | tuple[Finding, ...]:
    """Return the proposal, or every finding.

    Args:
        current: the directory as it is; None for none yet.
        table: the list.
        complete: the list names all agencies of its own: who is not in it is closed.
    """
    before = current.agencies() if current else ()
    merge = _Merge({agency.code: entry(agency) for agency in before})
    for row in table.rows:
        merge.take(row, table.rows)
    if merge.findings:
        return tuple(merge.findings)
    if complete:
        for code, raw in merge.entries.items():
            if code not in merge.lines and raw.get("admission") != Admission.CLOSED.value:
                raw["admission"] = Admission.CLOSED.value
    entries = Entries(Path())
    entries.read(list(merge.entries.values()))
    if entries.findings:
        return tuple(
            Finding(None, one.code, one.problem, merge.lines.get(one.code)) for one in entries.findings
        )
    notes = [f"column {name}: means nothing here, left out" for name in table.unknown]
    defaulted = tuple(one.code for one in entries.agencies if one.level_defaulted and one.code in merge.lines)
    return Proposal(
        tuple(entries.agencies), diff(before, entries.agencies), defaulted, (*notes, *merge.notes)
    )


def _day(written: str) -> str:
    """Return a day as ISO 8601 has it; in Vietnam it is written with the day first. What is neither stays."""
    parts = _DAY_FIRST.fullmatch(written)
    if parts is not None:
        return f"{parts[3]}-{int(parts[2]):02}-{int(parts[1]):02}"
    return written.replace("/", "-")


def _value(key: str, written: str) -> str:
    """Return a value of a closed list, which lists in Vietnamese write in words."""
    return _WORDS.get(key, {}).get(fold(written).strip(), written)


class _Merge:
    """Entries by code, as a directory file has them, while rows come in."""

    def __init__(self, entries: dict[str, dict[str, Any]]) -> None:
        self.entries = entries
        self.lines: dict[str, int] = {}
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self._ids: dict[str, str] | None = None

    def take(self, row: Row, rows: Sequence[Row]) -> None:
        written = row.cells.get("code", "")
        code = self._code(written, row, "code")
        if code is None:
            return
        cells = row.cells
        if code in self.lines:
            self._again(code, row)
            return
        self.lines[code] = row.line
        raw = self.entries.setdefault(code, {"code": code})
        self._names(raw, cells)
        if not raw.get("name"):
            self._fault(row, code, "name: has to be a text")
            return
        for key in (*_TEXTS, *_DATES):
            if key in cells:
                raw[key] = _day(cells[key]) if key in _DATES else _value(key, cells[key])
        for key in LISTS & cells.keys():
            known = raw.get(key, [])
            raw[key] = list(dict.fromkeys([*known, *filter(None, map(str.strip, cells[key].split(";")))]))
        if key_forms := self._aliases(code, written, raw.get("aliases", [])):
            raw["aliases"] = key_forms
        else:
            raw.pop("aliases", None)
        self._relations(raw, row, rows)
        if (level := _value("level", cells.get("level", ""))) in set(Level):
            raw["level"] = level
        elif (
            level and not level.isdigit()
        ):  # the axis service numbers the levels of codes, which are none of ours
            self._fault(row, code, f"level: has to be one of {', '.join(Level)}")
        if cells.get("deleted", "").casefold() in _YES:
            raw["admission"] = Admission.CLOSED.value

    def _again(self, code: str, row: Row) -> None:
        """A code that stands twice: the first name holds, another one is a further name.

        A first row without a name is a finding already, and no later one takes it back.
        """
        raw, name = self.entries[code], row.cells.get("name", "")
        if name and name != raw.get("name", name) and name not in raw.get("other_names", []):
            raw.setdefault("other_names", []).append(name)
            self.notes.append(f"line {row.line}: {code} stands twice, {name!r} is kept as another name")

    @staticmethod
    def _names(raw: dict[str, Any], cells: Mapping[str, str]) -> None:
        name = cells.get("name", "")
        if name:
            raw["name"] = name

    def _aliases(self, code: str, written: str, aliases: Sequence[str]) -> list[str]:
        """Keep what the default conversion would not find by itself."""
        kept = []
        for alias in dict.fromkeys([*aliases, written]):
            try:
                if normal_form(alias) != code:
                    kept.append(alias)
            except RefusedError:
                kept.append(alias)  # the check of the whole says what is wrong with it
        return kept

    def _relations(self, raw: dict[str, Any], row: Row, rows: Sequence[Row]) -> None:
        cells = row.cells
        parent = cells.get("parent", "")
        if not parent and "parent_id" in cells:
            parent = self._by_id(rows).get(cells["parent_id"], "")
        if parent and (found := self._code(parent, row, "parent")) is not None and found != raw["code"]:
            raw["parent"] = found
        if "gateway" in cells and (found := self._code(cells["gateway"], row, "gateway")) is not None:
            raw["gateway"] = found
        elif "centre" in cells and "gateway" not in raw:
            self._centre(raw, row)
        if "successors" in cells:
            raw["successors"] = [self._code(one, row, "successors") or one for one in raw["successors"]]

    def _centre(self, raw: dict[str, Any], row: Row) -> None:
        """The axis service names the connection centre of an agency: it serves it here too, if it is a gateway here."""
        try:
            centre = normal_form(row.cells["centre"])
        except RefusedError:
            return
        if self.entries.get(centre, {}).get("gateway") == centre:
            raw["gateway"] = centre
        else:
            self.notes.append(f"line {row.line}: centre {centre} is no gateway here, left out")

    def _by_id(self, rows: Sequence[Row]) -> dict[str, str]:
        if self._ids is None:
            self._ids = {row.cells["id"]: row.cells.get("code", "") for row in rows if "id" in row.cells}
        return self._ids

    def _code(self, written: str, row: Row, key: str) -> str | None:
        try:
            return normal_form(written)
        except RefusedError as error:
            self._fault(row, written[:40], f"{key}: {error.detail}")
            return None

    def _fault(self, row: Row, code: str, problem: str) -> None:
        self.findings.append(Finding(None, code, problem, row.line))
