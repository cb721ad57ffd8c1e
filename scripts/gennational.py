"""Writes ``config/directory/national.yaml`` and the checksums beside its sources.

`python -m scripts.gennational` writes them, with `--check` it only tells whether they are current. What the tables are
and what was decided where they say little stands in ``config/directory/sources/README.md``.
"""

from __future__ import annotations

import csv
import hashlib
import sys
import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from relay.directory.write import dump
from relay.model.agency import Agency, FormerName
from relay.model.levels import Level

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCES: Final = ROOT / "config" / "directory" / "sources"
TARGET: Final = ROOT / "config" / "directory" / "national.yaml"
SUMS: Final = SOURCES / "SHA256SUMS"

DECISION_09_2025: Final = date(2025, 4, 14)
RESOLUTION_202_2025: Final = date(2025, 7, 1)
CITIES: Final = frozenset({"Hà Nội", "Hải Phòng", "Đà Nẵng", "Hồ Chí Minh", "Cần Thơ", "Huế"})
RENAMED: Final = {"Huế": ("tỉnh Thừa Thiên Huế", date(2024, 12, 31))}
"""Provinces of another name before, with its last day (Resolution 175/2024/QH15, in force from 2025-01-01)."""
BODIES: Final = (("code_H", "H", "Ủy ban nhân dân"), ("code_K", "K", "Hội đồng nhân dân"))
NOTE: Final = (
    "Codes of level 1 (Decision 20/2020/QĐ-TTg, amended by Decision 09/2025/QĐ-TTg) and the provinces before and after "
    "Resolution 202/2025/QH15, without gateways and certificates. Generated; sources and what was decided are in "
    "sources/README.md. Transcribed, not an official source: check against the gazette before use."
)


def ministries() -> Iterator[Agency]:
    """Yield the bodies of level 1 without the provinces, reserved codes with their last day."""
    eve = DECISION_09_2025 - timedelta(days=1)
    english = {row["code"]: row["english_name"] for row in _rows("english_names.csv")}
    for row in _rows("level1_codes.csv"):
        before, after = row["name_qd20_2020"], row["name_qd09_2025"]
        closed = row["status_qd09_2025"] == "reserved"
        yield Agency(
            code=row["code"],
            name=after or before,
            level=Level.CENTRAL,
            english_name=english.get(row["code"], ""),
            former_names=(FormerName(before, eve),) if before and after and before != after else (),
            valid_from=None if before else DECISION_09_2025,
            valid_to=eve if closed else None,
        )


def provinces() -> Iterator[Agency]:
    """Yield the 63 People's Committees (H), then the 63 People's Councils (K)."""
    eve = RESOLUTION_202_2025 - timedelta(days=1)
    rows = list(_rows("provinces_2025.csv"))
    for column, letter, body in BODIES:
        for row in rows:
            name = row["province_2020"]
            closed = row["status_from_2025_07_01"] == "closed"
            former = [(f"{body} {was}", until) for was, until in filter(None, [RENAMED.get(name)])]
            yield Agency(
                code=row[column],
                name=f"{body} {'thành phố' if name in CITIES else 'tỉnh'} {name}",
                level=Level.PROVINCE,
                former_names=tuple(FormerName(was, until) for was, until in former),
                valid_to=eve if closed else None,
                successors=(letter + row["successor_code_H"][1:],) if closed else (),
            )


def rendered() -> bytes:
    """Return the bytes of the national directory file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / TARGET.name
        dump(path, [*ministries(), *provinces()], NOTE)
        return path.read_bytes()


def checksums(national: bytes) -> str:
    """Return the text of ``SHA256SUMS``, which ``sha256sum -c`` reads in the folder of the sources."""
    named = [(path.name, path.read_bytes()) for path in sorted(SOURCES.glob("*.csv"))]
    named.append((f"../{TARGET.name}", national))
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in named)


def main(arguments: list[str]) -> int:
    """Write the files, or tell whether they are current."""
    national = rendered()
    wanted = {TARGET: national, SUMS: checksums(national).encode()}
    stale = [path for path, content in wanted.items() if not path.exists() or path.read_bytes() != content]
    if "--check" not in arguments:
        for path in stale:
            path.write_bytes(wanted[path])
            print(f"written: {path.relative_to(ROOT)}")
        return 0
    if stale:
        names = ", ".join(path.relative_to(ROOT).as_posix() for path in stale)
        print(f"not current: {names}; run `python -m scripts.gennational`", file=sys.stderr)
    return 1 if stale else 0


def _rows(name: str) -> Iterator[dict[str, str]]:
    with (SOURCES / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
