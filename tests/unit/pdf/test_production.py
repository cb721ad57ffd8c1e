"""Judging under what the keeper's unit allows a process: its filter of system calls, its bounds on memory."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from relay.settings.inspection import InspectionSettings
from tests.support import pdfs
from tests.support.seccomp import filter_of
from tests.support.units import read
from tests.unit.pdf.cases import good

ROOT = Path(__file__).resolve().parents[3]
UNIT = read(ROOT / "deploy" / "systemd" / "truc-keeper.service")
JUDGE = """
import json, sys
from datetime import datetime
from pathlib import Path
from adapters.pdf.inspector import PdfInspector
from adapters.pdf.material import JudgePolicy, MaterialFiles
anchors, file, at = sys.argv[1:]
inspector = PdfInspector(MaterialFiles((Path(anchors),)), JudgePolicy(datetime.fromisoformat(at), seconds=60))
verdict = inspector.inspect(Path(file).read_bytes(), "a.pdf", datetime.fromisoformat(at))
inspector.close()
print(json.dumps([verdict.finding, verdict.reason, [one.good for one in verdict.signatures]]))
"""


def test_a_pdf_is_judged_under_the_filter_of_the_unit(tmp_path: Path) -> None:
    anchors, _ = pdfs.office().write(tmp_path)
    file = tmp_path / "a.pdf"
    file.write_bytes(good())
    put_on = filter_of(UNIT)
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", JUDGE, str(anchors[0]), str(file), pdfs.NOW.isoformat()],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        preexec_fn=None if put_on is None else put_on.put_on,
        timeout=110,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == ["signed", "", [True]]


def test_the_units_memory_holds_what_may_be_judged_at_once_and_an_end_in_it_does_not_end_the_keeper() -> None:
    settings = InspectionSettings()
    found = re.fullmatch(r"(\d+)([MG])", UNIT.value("Service", "MemoryMax"))
    assert found is not None
    room = int(found[1]) * {"M": 1 << 20, "G": 1 << 30}[found[2]]
    process = 128 << 20  # of a judging process before it has a file
    assert room >= (256 << 20) + settings.at_once * (settings.memory_bytes + process)
    assert UNIT.value("Service", "OOMPolicy") == "continue"
