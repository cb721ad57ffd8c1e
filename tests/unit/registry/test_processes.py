"""Real processes on one real file, killed in the middle of their commits."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from itertools import count, takewhile
from pathlib import Path

from relay.model.delivery import State
from relay.model.record import Claimed, Settled
from relay.registry import SqlRegistry, open_registry
from tests.support.registry import Maker, at

ROOT = Path(__file__).resolve().parents[3]

# Claims and settles documents for ever, a few in one commit; tells on stdout what was committed.
WORKER = """
import sys
import time
from datetime import UTC, datetime
from relay.model.record import Claimed, Settled
from relay.registry import SqlRegistry
from tests.support.registry import Maker

url, name, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
registry = SqlRegistry(url, busy_timeout=30.0)
make = Maker(series=name)
number = first
while True:
    claims = [make.claim(f"d{number + n}", transport_id=f"t{number + n}") for n in range(5)]
    number += 5
    results = registry.claim(claims, name, datetime.now(UTC))
    print("claimed", *(r.document.row for r in results if r.document), flush=True)
    mine = [(c, r.document.row) for c, r in zip(claims, results) if r.outcome is Claimed.NEW]
    done = registry.settle([make.queued(c, row) for c, row in mine], name, datetime.now(UTC))
    print("settled", *(row for (_, row), d in zip(mine, done) if d is Settled.DONE), flush=True)
    time.sleep(0.003)  # as a worker waits for its confirms; the other gets its turn
"""


def _start(url: str, name: str, first: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, url, name, str(first)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def _kill(process: subprocess.Popen[str]) -> dict[str, set[int]]:
    """Kill -9 and return the rows that it told to be committed."""
    process.send_signal(signal.SIGKILL)
    assert process.stdout
    told: dict[str, set[int]] = {"claimed": set(), "settled": set()}
    for line in process.stdout.read().splitlines(keepends=True):
        word, *rows = line.split()
        if line.endswith("\n"):
            told[word].update(map(int, rows))
    process.stdout.close()
    assert process.wait(30) == -signal.SIGKILL
    return told


def _receipts(registry: SqlRegistry, life: int) -> int:
    """Count both together: under load one of the two may be starved of the lock for long."""
    return sum(registry.last_receipt_number(f"w{life}-{side}") for side in (0, 1))


def test_what_was_committed_before_a_kill_stands(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/r.db"
    registry = open_registry(url)
    claimed: set[int] = set()
    settled: set[int] = set()
    for life in range(2):
        # The two overlap: they claim the same ids, so that each meets what the other holds.
        pair = [_start(url, f"w{life}-{side}", life * 10_000 + side * 20) for side in (0, 1)]
        try:
            until = time.monotonic() + 60
            while (seen := _receipts(registry, life)) < 40 and time.monotonic() < until:
                time.sleep(0.02)
            assert seen >= 40
        finally:
            ends = [_kill(process) for process in pair]
        for told in ends:
            claimed |= told["claimed"]
            settled |= told["settled"]
    assert settled
    stored = list(takewhile(lambda row: registry.document(row) is not None, count(1)))
    assert claimed <= set(stored)  # the last commit before a kill may stand untold
    for row in stored:
        document = registry.document(row)
        assert document
        assert len(document.deliveries) == 2
        whole = {item.state for item in document.deliveries}
        assert whole == ({State.QUEUED} if document.settled else {State.PLANNED})
        assert len(registry.receipts(row)) == int(document.settled)
        assert document.settled or row not in settled
    registry.close()

    # Whoever comes next completes what was left, and only that.
    later = open_registry(url, lease_seconds=0.0)
    make = Maker(series="next")
    now = at(10 * 365 * 86_400)
    left = 0
    for row in stored:
        document = later.document(row)
        assert document
        claim = make.claim(document.document_id, transport_id=document.transport_id)
        (result,) = later.claim([claim], "next", now)
        assert result.outcome is (Claimed.REPEATED if document.settled else Claimed.RESUMED)
        if not document.settled:
            left += 1
            assert later.settle([make.queued(claim, row)], "next", now) == [Settled.DONE]
    assert left <= 2 * 2 * 5
    assert later.oldest_unsettled() is None
    later.close()
