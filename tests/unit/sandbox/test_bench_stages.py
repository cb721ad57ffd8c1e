"""Which code belongs to which stage of the profile."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from relay.sandbox.bench.profiled import Sampler
from relay.sandbox.bench.stages import STAGES, Frame, function_of, stage_of

ROOT = "/somewhere/lib/truc"
LIBRARY = "/somewhere/lib/python3.11/site-packages"


@pytest.mark.parametrize(
    ("files", "stage"),
    [
        (["relay/trust/parse.py", "relay/trust/verifier.py", "relay/pipeline/verify.py"], "parse"),
        (["relay/trust/engine.py", "relay/pipeline/verify.py"], "signature"),
        (["relay/trust/chain.py", "relay/trust/verifier.py"], "certificates"),
        (["relay/trust/view.py", "relay/trust/verifier.py"], "signed view"),
        (["relay/trust/sign.py", "relay/evidence/receipts.py"], "receipts"),
        (["relay/registry/group.py", "relay/pipeline/handler.py"], "claim and settle"),
        (
            ["pika/channel.py", "relay/broker/publishing.py", "relay/pipeline/deliver.py"],
            "publish and confirms",
        ),
        (["pika/spec.py", "relay/broker/wire.py", "asyncio/events.py"], "frames"),
        (["json/encoder.py", "relay/observe/logs.py", "relay/pipeline/worker.py"], "metrics and logs"),
        (["pika/heartbeat.py", "asyncio/events.py"], "frames"),
        (["pika/adapters/utils/io_services_utils.py", "relay/broker/wire.py", "relay/cli/run.py"], "frames"),
        (["relay/model/delivery.py", "relay/pipeline/route.py"], "route"),
        (["selectors.py", "asyncio/base_events.py", "relay/cli/run.py"], "event loop"),
        (["uuid.py"], "other"),
    ],
)
def test_the_innermost_file_of_ours_decides(files: list[str], stage: str) -> None:
    stack: list[Frame] = [
        (f"{ROOT if file.startswith(('relay', 'adapters')) else LIBRARY}/{file}", "f") for file in files
    ]
    assert stage_of(stack) == stage


def test_each_stage_names_code_that_is_there() -> None:
    root = Path(__file__).parents[3]
    ours = [part for part, _ in STAGES if part.startswith(("relay/", "adapters/"))]
    assert [part for part in ours if not (root / part).exists()] == []


def test_a_function_is_named_by_our_innermost_file() -> None:
    stack = [(f"{LIBRARY}/hashlib.py", "new"), (f"{ROOT}/relay/trust/sign.py", "seal")]
    assert function_of(stack) == "relay/trust/sign.py:seal"
    assert function_of(stack[:1]) == "hashlib.py:new"
    assert function_of([]) == "?"


def test_a_sample_carries_the_time_since_the_last_one() -> None:
    sampler = Sampler()
    end = time.thread_time() + 0.02
    while time.thread_time() < end:
        pass
    sampler.sample(sys._getframe())
    (spent,) = sampler.by_stage.values()
    assert 0.02 <= spent < 1.0
    sampler.clear()
    assert not sampler.by_stage
    assert sampler.samples == 0
