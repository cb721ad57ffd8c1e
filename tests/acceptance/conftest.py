"""One sandbox for the whole folder: a private broker, one worker, the keeper, and strangers that use it."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.ending import ends_with
from tests.support.sandbox import running_sandbox
from tests.support.stranger import Sandbox, Stranger

BODY_LIMIT = 24 * 1024 * 1024
SETTINGS: dict[str, dict[str, Any]] = {
    "limits": {"body_bytes": BODY_LIMIT},
    # Short times, so that what an hour would show is shown in seconds; the rules are the same.
    "deadlines": {"unknown_document_s": 1, "min_s": 1},
    "keeper": {"interval_s": 0.5},
    "evidence": {"seal_s": 0.5},
}


@dataclass
class Axis:
    """The running sandbox as a stranger sees it, and the folder for what only its operator can do."""

    home: Path
    sandbox: Sandbox
    gateways: dict[str, Stranger] = field(default_factory=dict)

    def gateway(self, code: str) -> Stranger:
        """Return the gateway of that code; it reads its queues from the first call on."""
        if code not in self.gateways:
            self.gateways[code] = Stranger(self.sandbox, code).start()
        return self.gateways[code]

    def close(self) -> None:
        """End the gateways."""
        for gateway in self.gateways.values():
            gateway.close()

    def metric(self, name: str, label: str = "") -> float:
        """Return the sum of a metric over workers and keeper, with a label as ``code="NO-USER"`` if told."""
        total = 0.0
        for url in self.sandbox.raw["metrics_urls"]:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(url, timeout=30) as answer:
                text = answer.read().decode()
            total += sum(
                float(value)
                for labels, value in re.findall(rf"^{name}(\{{.*\}})? (\S+)$", text, re.MULTILINE)
                if label in labels
            )
        return total

    def settled(self, seconds: float = 60.0) -> None:
        """Wait until nothing stands in the ingress queues."""
        reader = next(iter(self.gateways.values()))
        end = time.monotonic() + seconds
        while any(reader.depth(f"ingress.{lane}") for lane in ("urgent", "normal", "status")):
            assert time.monotonic() < end, "the ingress queues do not drain"
            time.sleep(0.1)


@pytest.fixture(scope="session")
def axis(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Axis]:
    home = tmp_path_factory.mktemp("axis")
    with ends_with("acceptance", request.config) as stack:
        stack.enter_context(running_sandbox(home, settings=SETTINGS))
        running = Axis(home, Sandbox.load(home / "sandbox.json"))
        stack.callback(running.close)
        yield running
