"""The workers' own metrics, read before and after a phase: how long stages and commits took on average."""

from __future__ import annotations

import http.client
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from relay.errors import Code, OperationError

_STAGE: Final = "truc_stage_seconds"
_COMMIT: Final = "truc_registry_commit_seconds"
_BATCH: Final = "truc_registry_batch_size"


@dataclass(frozen=True, slots=True)
class Inside:
    """What the workers say of a phase, all together."""

    stage_ms: Mapping[str, float]  # mean time that a document spends in a stage
    commit_ms: float  # mean
    in_commit: float  # claims and settlements that shared a commit, mean


def counters(ports: Iterable[int]) -> dict[str, float]:
    """Return the counts and sums that the processes on these ports expose, added up. Raises SANDBOX-BROKEN."""
    found: defaultdict[str, float] = defaultdict(float)
    for port in ports:
        for name, value in parse(_get(port)).items():
            found[name] += value
    return dict(found)


def parse(exposition: str) -> dict[str, float]:
    """Return sums and counts of histograms by name and labels as written."""
    found = {}
    for line in exposition.splitlines():
        name, _, value = line.rpartition(" ")
        if name.partition("{")[0].endswith(("_sum", "_count")):
            found[name] = float(value)
    return found


def inside(before: Mapping[str, float], after: Mapping[str, float]) -> Inside:
    """Return the means between two looks."""

    def mean(name: str, labels: str = "") -> float:
        total, count = f"{name}_sum{labels}", f"{name}_count{labels}"
        times = after.get(count, 0.0) - before.get(count, 0.0)
        return (after.get(total, 0.0) - before.get(total, 0.0)) / times if times else 0.0

    begin = f'{_STAGE}_sum{{stage="'
    stages = [name.removeprefix(begin).partition('"')[0] for name in after if name.startswith(begin)]
    means = {stage: mean(_STAGE, f'{{stage="{stage}"}}') * 1000 for stage in stages}
    return Inside({stage: ms for stage, ms in means.items() if ms}, mean(_COMMIT) * 1000, mean(_BATCH))


def _get(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5.0)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise OperationError(Code.SANDBOX_BROKEN, f"a worker shows no metrics: {error}") from error
    finally:
        connection.close()
