"""Runs a worker or keeper that puts nothing on record: the other half of a pair that measures what evidence costs.

``python -m relay.sandbox.bench.unrecorded MODULE ARGUMENT...``. There is no setting for it: a relay always keeps evidence.
"""

from __future__ import annotations

import runpy
import sys
from typing import Any

import relay.registry
from relay.registry import SqlRegistry, open_registry


def _silently(url: str, lease_seconds: float, **_chronicler: Any) -> SqlRegistry:  # noqa: ANN401
    return open_registry(url, lease_seconds)


def main(module: str) -> None:
    """Run the module with registries that nobody keeps a chain for."""
    vars(relay.registry)["open_registry"] = _silently  # before anything takes it from there
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    target = sys.argv[1]
    sys.argv = sys.argv[1:]
    main(target)
