"""The agencies as a list for other people's tools: CSV, XLSX or JSON with the columns that ``tables`` reads."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import openpyxl
from openpyxl.cell import WriteOnlyCell

from relay.directory.write import entry, replace_file, temporary
from relay.errors import Code, ConfigurationError
from relay.model.agency import Agency

COLUMNS: Final = (
    "code", "name", "short_name", "english_name", "other_names", "level", "parent", "gateway", "queue", "aliases",
    "admission", "suspended_until", "valid_from", "valid_to", "successors", "contact",
)  # fmt: skip


def write_list(path: Path, agencies: Iterable[Agency]) -> None:
    """Write a list by the kind that its name ends in: ``.csv``, ``.tsv``, ``.xlsx`` or ``.json``.

    Raises:
        ConfigurationError: FILE-UNUSABLE: another ending, or it cannot be written.
    """
    rows = [_row(agency) for agency in agencies]
    kind = path.suffix.lower()
    if kind == ".json":
        content = json.dumps({"agencies": rows}, ensure_ascii=False, indent=1).encode()
    elif kind == ".xlsx":
        content = _xlsx(rows)
    elif kind in {".csv", ".tsv"}:
        content = _csv(rows, "\t" if kind == ".tsv" else ",")
    else:
        raise ConfigurationError(Code.FILE_UNUSABLE, f"{path}: the name ends in .csv, .tsv, .xlsx or .json")
    with temporary(path, content) as new:
        new.chmod(0o644)
        replace_file(new, path)


def _row(agency: Agency) -> dict[str, str]:
    values = entry(agency)
    return {column: _text(values[column]) for column in COLUMNS if column in values}


def _text(value: Any) -> str:  # noqa: ANN401
    return ";".join(value) if isinstance(value, list) else str(value)


def _csv(rows: Iterable[Mapping[str, str]], delimiter: str) -> bytes:
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, delimiter=delimiter, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    # The mark at the start is how spreadsheets know that it is UTF-8.
    return ("\ufeff" + file.getvalue()).encode()


def _xlsx(rows: Iterable[Mapping[str, str]]) -> bytes:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("agencies")
    sheet.append(list(COLUMNS))
    for row in rows:
        sheet.append([_cell(sheet, row.get(column, "")) for column in COLUMNS])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _cell(sheet: Any, text: str) -> Any:  # noqa: ANN401
    """A text is never a formula: what a list holds is not run by whoever opens it."""
    if not text:
        return None
    cell = WriteOnlyCell(sheet, text)
    cell.data_type = "s"
    return cell
