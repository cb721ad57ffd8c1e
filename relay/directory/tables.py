"""Lists of agencies as others keep them: CSV, XLSX, JSON, and the lists that the axis service gives out.

A column is known by its name, in any case and with or without separators; the names of the axis service's lists
(``getAgenciesList``, ``getAgenciesListQD20``, ``getSynchronizeUnit`` and a provincial variant's ``orgCode``, ``orgName``,
``parentCode``) are known as well as ours. Columns that nobody knows are told, not dropped in silence.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import openpyxl

from relay.directory.search import fold
from relay.errors import Code, ConfigurationError

MAX_BYTES: Final = 256 * 1024 * 1024
MAX_ROWS: Final = 1_000_000
LISTS: Final = frozenset({"aliases", "successors", "other_names"})
"""Columns of several values, separated by ``;``."""

_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "code": (
        *("code", "orgcode", "organid", "ma", "macoquan", "madonvi", "madinhdanh", "madinhdanhdientu"),
        *("madinhdanhcoquan", "madinhdanhdonvi"),
    ),
    "name": (
        *("name", "orgname", "organname", "ten", "tencoquan", "tendonvi", "tencoquandonvi"),
        "tencoquantochuc",
    ),
    "short_name": ("shortname", "abbreviation", "tenviettat"),
    "english_name": ("englishname", "nameen", "tentienganh"),
    "other_names": ("othernames", "tenkhac"),
    "level": ("level", "cap"),
    "parent": ("parent", "parentcode", "pcode", "macha", "macaptren", "madonvicaptren", "macoquancaptren"),
    "parent_id": ("pid",),
    "id": ("id",),
    "gateway": ("gateway", "diemketnoi", "madiemketnoi"),
    "centre": ("centercode",),
    "queue": ("queue",),
    "aliases": ("aliases", "oldcode", "code102", "macu", "makhac"),
    "admission": ("admission", "tinhtrang"),
    "deleted": ("deleted",),
    "valid_from": ("validfrom", "hieuluctu", "tungay", "hieuluctungay"),
    "valid_to": ("validto", "hieulucden", "denngay", "hieulucdenngay", "hethieuluc"),
    "suspended_until": ("suspendeduntil", "tamngungden"),
    "successors": (
        "successors",
        "successor",
        "successorcode",
        "kethua",
        "makethua",
        "donvikethua",
        "macoquankethua",
    ),
    "contact": (
        *("contact", "mail", "email", "mobile", "phone", "address", "fax"),
        *("lienhe", "thudientu", "dienthoai", "diachi", "diachithudientu"),
    ),
}
_IGNORED: Final = frozenset({"version", "modifydate", "isagency", "stt", "tt"})
_TITLES: Final = 20  # lines in which the names of the columns may stand: titles come before them
_BY_NAME: Final = {name: column for column, names in _COLUMNS.items() for name in names}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a list: where it stood, and its texts by column; empty cells are left out."""

    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """A list that was read. ``unknown`` names the columns that mean nothing here."""

    rows: tuple[Row, ...]
    unknown: tuple[str, ...] = ()


def read(path: Path) -> Table:
    """Read a list by the kind that its name ends in: ``.csv``, ``.tsv``, ``.xlsx``, ``.json``.

    Raises:
        ConfigurationError: DIRECTORY-INVALID: not such a file, too large, no column ``code``.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _invalid(path, f"is larger than {MAX_BYTES // 1024**2} MiB")
        if path.suffix.lower() == ".xlsx":
            lines: Iterable[tuple[int, Sequence[Any]]] = _xlsx(path)
        elif path.suffix.lower() == ".json":
            return _json(path)
        else:
            lines = _csv(path.read_bytes().decode("utf-8-sig"))
        return _table(path, lines)
    except OSError as fault:
        raise _invalid(path, f"cannot be read: {fault.strerror}") from fault
    except (ValueError, KeyError, csv.Error, RecursionError) as fault:
        raise _invalid(path, "is not what its name says (CSV in UTF-8, XLSX or JSON)") from fault


def _csv(text: str) -> Iterator[tuple[int, Sequence[str]]]:
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    for cells in reader:
        yield reader.line_num, cells


def _xlsx(path: Path) -> Iterator[tuple[int, Sequence[Any]]]:
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception as fault:  # the library lets through whatever a broken archive raises
        raise ValueError(str(fault)) from fault
    try:
        sheet = book.worksheets[0]
        yield from enumerate(sheet.iter_rows(values_only=True), 1)
    finally:
        book.close()


def _json(path: Path) -> Table:
    raw = json.loads(path.read_bytes().decode("utf-8-sig"))
    for key in ("data", "agencies"):
        if isinstance(raw, dict) and isinstance(raw.get(key), list):
            raw = raw[key]
    if not isinstance(raw, list) or not all(isinstance(one, dict) for one in raw):
        raise _invalid(path, "has to hold a list of objects, alone or as data or agencies")
    names = list(dict.fromkeys(str(key) for one in raw for key in one))
    lines: list[tuple[int, Sequence[Any]]] = [(0, names)]
    lines += [(number, [one.get(name) for name in names]) for number, one in enumerate(raw, 1)]
    return _table(path, lines, titles=1)


def _table(path: Path, lines: Iterable[tuple[int, Sequence[Any]]], *, titles: int = _TITLES) -> Table:
    waiting = iter(lines)
    head: Sequence[Any] = ()
    columns: list[str | None] = []
    for _, head in islice(waiting, titles):
        columns = [_column(cell) for cell in head]
        if "code" in columns:
            break
    else:
        raise _invalid(path, "has no column named code")
    unknown = tuple(
        str(cell)
        for cell, column in zip(head, columns, strict=True)
        if column is None and cell not in {None, ""} and _plain(cell) not in _IGNORED
    )
    rows: list[Row] = []
    for line, values in waiting:
        cells: dict[str, str] = {}
        for column, value in zip(columns, values, strict=False):
            text = _text(value)
            if column is None or not text:
                continue
            joined = ";" if column in LISTS else ", "
            cells[column] = f"{cells[column]}{joined}{text}" if column in cells else text
        if cells:
            rows.append(Row(line, cells))
        if len(rows) > MAX_ROWS:
            raise _invalid(path, f"has more than {MAX_ROWS} rows")
    return Table(tuple(rows), unknown)


def _column(cell: object) -> str | None:
    return _BY_NAME.get(_plain(cell))


def _plain(cell: object) -> str:
    return re.sub(r"[\W_]+", "", fold(str(cell or "")))


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ";".join(_text(one) for one in value)
    text = str(value)
    # A spreadsheet makes a time of a date.
    return text.removesuffix(" 00:00:00").strip()


def _invalid(path: Path, problem: str) -> ConfigurationError:
    return ConfigurationError(Code.DIRECTORY_INVALID, f"{path}: the file {problem}")
