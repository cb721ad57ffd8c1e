"""The long form: ``python -m tests.differential --documents 10000 --seed 28``.

Prints the counts; exit code 1 where a difference is not explained. The documents concerned are left in ``--out``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.differential.cases import cases
from tests.differential.compare import Report, compare, read_expected
from tests.differential.judges import judge_all
from tests.differential.people import people


def run(documents: int, seed: int, folder: Path) -> Report:
    """Make, judge and compare that many documents. ``folder`` takes the anchor."""
    signers = people(seed)
    anchor = signers.write_anchor(folder)
    made = list(cases(signers, seed, documents))
    return compare(made, judge_all((one.body for one in made), anchor), read_expected())


def main() -> int:
    """Run, print, and keep what nobody explains."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=28)
    parser.add_argument(
        "--out", type=Path, default=Path(), help="where documents are left that nobody explains"
    )
    chosen = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="truc-differential-") as folder:
        report = run(chosen.documents, chosen.seed, Path(folder))
    print(report.table())
    for case, complaint in report.wrong:
        path = chosen.out / f"differential-{chosen.seed}-{case.number}.xml"
        path.write_bytes(case.body)
        print(f"{case.name} (number {case.number}): {complaint}; it is in {path}", file=sys.stderr)
    for name in report.idle:
        print(f"expected.yaml: {name} explains nothing any more", file=sys.stderr)
    print(f"seed {chosen.seed}, {time.monotonic() - started:.0f} s")
    return 1 if report.wrong or report.idle else 0


if __name__ == "__main__":
    sys.exit(main())
