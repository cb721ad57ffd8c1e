"""How long a whole log takes to verify: ``python -m relay.evidence.speed [RECORDS]``.

Makes a log (one million records by default), writes it to a folder as ``truc evidence export --log`` does, checks it from
there in one process, and prints the figures as JSON; the folder is removed again.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

from relay.evidence.files import FileLog, export_log
from relay.evidence.synthetic import filled, relay_key
from relay.evidence.verify import LogVerifier


def measure(records: int) -> dict[str, object]:
    """Return the figures for a log of so many records. It is made by a process of its own: the peak is the check's."""
    with tempfile.TemporaryDirectory() as folder:
        where, known = Path(folder) / "log", Path(folder) / "known"
        maker = get_context("spawn").Process(target=make, args=(where, known, records))
        maker.start()
        maker.join()
        octets = sum(path.stat().st_size for path in where.rglob("*") if path.is_file())
        wall, cpu = time.perf_counter(), time.process_time()
        verifier = LogVerifier(known=frozenset({known.read_text()}), progress=_tell)
        report = verifier.verify(FileLog(where))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "records": report.records,
        "batches": report.batches,
        "heads": report.heads,
        "bytes": octets,
        "bytes_a_record": round(octets / report.records, 1),
        "faults": len(report.faults),
        "trusted": report.trusted,
        "seconds": round(wall, 2),
        "cpu_seconds": round(cpu, 2),
        "records_a_second": round(report.records / wall),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def make(where: Path, known: Path, records: int) -> None:
    """Write a log of so many records to the folder ``where``, and the SHA-256 of its certificate to ``known``."""
    key = relay_key("truc-speed")
    log = filled(key, records)
    export_log(log, where, key.relay, log.now, lambda _: None)
    known.write_text(key.sha256)


def _tell(done: int) -> None:
    if done % 100_000 == 0:
        sys.stderr.write(f"{done} records\n")


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000), indent=2))  # noqa: T201
